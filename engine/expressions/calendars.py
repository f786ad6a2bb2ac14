"""Business calendars: when a place is open, by weekday, with days that are closed or have hours of their own. Knows no setting and no database."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.expressions.zones import local_time, moment_of

#: The closed days of a named holiday calendar.
Holidays = Callable[[str], Collection[date]]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: How far an opening is looked for.
_HORIZON_DAYS = 400

Span = tuple[int, int]


class BadCalendar(ValueError):
    """The definition of a calendar cannot be read; the text names the part."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open spans in minutes of the local day, by weekday (0 = Monday); ``days`` override single dates, ``holidays`` names closed ones."""

    week: tuple[tuple[Span, ...], ...]
    days: Mapping[date, tuple[Span, ...]]
    holidays: str = ""

    def add(self, moment: datetime, seconds: int, zone: ZoneInfo, holidays: Holidays) -> datetime | None:
        """The moment after so many seconds of open time (before, if negative); None when that is not within reach."""
        left = timedelta(seconds=abs(seconds))
        if seconds == 0:
            return moment
        for start, end in self._spans(moment, zone, holidays, forwards=seconds > 0):
            if seconds > 0:
                begin = max(start, moment)
                if end - begin >= left:
                    return begin + left
                left -= max(end - begin, timedelta())
            else:
                finish = min(end, moment)
                if finish - start >= left:
                    return finish - left
                left -= max(finish - start, timedelta())
        return None

    def open_at(self, moment: datetime, zone: ZoneInfo, holidays: Holidays) -> datetime | None:
        """The moment itself when open, else the next opening; None when there is none within a year."""
        for start, end in self._spans(moment, zone, holidays, forwards=True):
            if moment < end:
                return max(start, moment)
        return None

    def _spans(self, moment: datetime, zone: ZoneInfo, holidays: Holidays, *, forwards: bool) -> Iterator[tuple[datetime, datetime]]:
        local = local_time(moment, zone)
        if local is None:
            return
        closed = holidays(self.holidays) if self.holidays else ()
        first = local.date() - timedelta(days=1 if forwards else -1)
        for number in range(_HORIZON_DAYS):
            day = first + timedelta(days=number if forwards else -number)
            spans = self.days.get(day, () if day in closed else self.week[day.weekday()])
            for start, end in spans if forwards else reversed(spans):
                opening, closing = _at(day, start, zone), _at(day, end, zone)
                if opening is not None and closing is not None and opening < closing:
                    yield opening, closing


def _at(day: date, minutes: int, zone: ZoneInfo) -> datetime | None:
    found = moment_of(datetime(day.year, day.month, day.day) + timedelta(minutes=minutes), zone)
    return None if found is None else found.astimezone(UTC)


def read(definition: Mapping[str, Any]) -> Calendar:
    """The calendar of a setting's value: ``{"mon-fri": ["08:30-12:00"], "2026-10-01": [], "holidays": "cn"}``. Raises BadCalendar."""
    return _read(json.dumps(definition, sort_keys=True, default=str))


@lru_cache(maxsize=256)
def _read(text: str) -> Calendar:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise BadCalendar(text[:40])
    week: list[tuple[Span, ...]] = [()] * 7
    days: dict[date, tuple[Span, ...]] = {}
    holidays = ""
    for key, given in document.items():
        if key == "holidays":
            holidays = str(given)
        elif key[:1].isdigit():
            days[_date(key)] = _spans(given)
        else:
            for weekday in _weekdays(key):
                week[weekday] = _spans(given)
    return Calendar(tuple(week), days, holidays)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadCalendar(text) from None


def _weekdays(key: str) -> list[int]:
    first, _, last = key.partition("-")
    if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
        raise BadCalendar(key)
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [number % 7 for number in range(start, (end if end >= start else end + 7) + 1)]


def _spans(given: Any) -> tuple[Span, ...]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise BadCalendar(str(given)[:40])
    found = []
    for text in given:
        start, _, end = text.partition("-")
        opening, closing = _minutes(start), _minutes(end)
        found.append((opening, closing if closing > opening else closing + 1440))
    return tuple(sorted(found))


def _minutes(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdecimal() and minutes.isdecimal()) or int(hours) > 24 or int(minutes) > 59:
        raise BadCalendar(text)
    return int(hours) * 60 + int(minutes)
