"""Cron schedules by the wall clock of a time zone: the next tick after a moment, the latest one before it. Five fields, as the checker admits them.

Where clocks are put forward, a tick inside the hour that is left out comes just as much later; where they are put back, a tick inside the hour that is
told twice comes once, unless every hour is meant. Day of month and day of week, both given, mean either, as cron has always had it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
#: A schedule that has no day within so many (29 February on a certain weekday comes every 28, with 2100 in between every 40 years) has none.
_HORIZON = 366 * 41
_DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of a schedule. ``days`` and ``weekdays`` None: any."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None  # 0 = Sunday
    every_hour: bool

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first tick later than a moment; None when there is none."""
        return next((tick for tick in self._ticks(moment, zone, forwards=True) if tick > moment), None)

    def until(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The latest tick not later than a moment."""
        return next((tick for tick in self._ticks(moment, zone, forwards=False) if tick <= moment), None)

    def between(self, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The ticks from one moment on, before another, in order."""
        for tick in self._ticks(since, zone, forwards=True):
            if tick >= until:
                return
            if tick >= since:
                yield tick

    def _ticks(self, moment: datetime, zone: ZoneInfo, *, forwards: bool) -> Iterator[datetime]:
        """Ticks day by day, from the day before (after) the moment's, since one may have been moved over midnight."""
        step = _DAY if forwards else -_DAY
        day = moment.astimezone(zone).date() - step
        for _ in range(_HORIZON):
            if self._on(day):
                found = sorted({tick for hour in self.hours for minute in self.minutes for tick in self._at(day, hour, minute, zone)}, reverse=not forwards)
                yield from found
            day += step

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        weekday = day.isoweekday() % 7
        if self.days is not None and self.weekdays is not None:
            return day.day in self.days or weekday in self.weekdays
        return (self.days is None or day.day in self.days) and (self.weekdays is None or weekday in self.weekdays)

    def _at(self, day: date, hour: int, minute: int, zone: ZoneInfo) -> Iterator[datetime]:
        """The moments of a local time: none or a later one where it is left out, one or both where it is told twice."""
        local = datetime.combine(day, time(hour, minute), zone)
        first = local.astimezone(UTC)
        second = local.replace(fold=1).astimezone(UTC)
        if first < second and self.every_hour:
            yield from (first, second)
        elif first <= second or not self.every_hour:
            yield first


@lru_cache(maxsize=512)
def read(text: str) -> Schedule:
    """The schedule of a checked text."""
    minute, hour, day, month, week = text.upper().split()
    weekdays = frozenset(number % 7 for number in _numbers(week, 0, 7, _WEEK))
    return Schedule(
        _numbers(minute, 0, 59),
        _numbers(hour, 0, 23),
        None if day in ("*", "*/1") else frozenset(_numbers(day, 1, 31)),
        frozenset(_numbers(month, 1, 12, _MONTHS, 1)),
        None if week in ("*", "*/1") else weekdays,
        hour.startswith("*"),
    )


def _numbers(text: str, low: int, high: int, names: tuple[str, ...] = (), offset: int = 0) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if first == "*":
            begin, end = low, high
        else:
            begin = names.index(first) + offset if first in names else int(first)
            end = (names.index(last) + offset if last in names else int(last)) if last else (high if step else begin)
        found |= set(range(begin, end + 1, int(step) if step else 1))
    return tuple(sorted(found))
