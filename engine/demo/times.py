"""When invented things happen: weights of days and hours, drawn quickly. No recipe syntax here, no records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The span demo data covers: from ``since`` to ``now`` (UTC), seen in ``zone``."""

    since: datetime
    now: datetime
    zone: ZoneInfo

    @property
    def first_day(self) -> date:
        return self.since.astimezone(self.zone).date()

    @property
    def last_day(self) -> date:
        return self.now.astimezone(self.zone).date()

    def at(self, day: date, hour: int, minute: int) -> datetime:
        """The UTC instant of a local wall-clock time."""
        return datetime.combine(day, time(hour, minute), self.zone).astimezone(UTC)

    def day_end(self, days: int) -> datetime:
        """The exclusive end of the local day ``days`` after today."""
        return self.at(self.last_day + DAY * (days + 1), 0, 0)


class Profile:
    """One rhythm of life: how much happens on which day and in which hour.

    Words: ``weekend`` factor, ``hours`` {hour: weight}, ``peaks`` [{days_ago, days, factor}], ``quiet`` [{from, to, factor}]: days of every year,
    written month-day.
    """

    def __init__(self, words: Mapping[str, Any], window: Window) -> None:
        hours = {int(hour): float(weight) for hour, weight in words.get("hours", {str(hour): 1 for hour in range(9, 20)}).items()}
        self.window = window
        self._hours = tuple(hours)
        self._hour_sums = tuple(accumulate(hours.values()))
        first = window.first_day
        count = (window.last_day - first).days + 1
        self._days = tuple(first + DAY * number for number in range(count))
        self._day_sums = tuple(accumulate(_weights(self._days, words, window.last_day)))

    def hour(self, random: Random) -> int:
        """An hour of the day."""
        return self._hours[bisect_right(self._hour_sums, random.random() * self._hour_sums[-1])]

    def anywhere(self, random: Random) -> datetime:
        """A moment in the window, never after its end."""
        day = self._days[bisect_right(self._day_sums, random.random() * self._day_sums[-1])]
        return self._capped(self.window.at(day, self.hour(random), random.randrange(60)), random)

    def near(self, moment: datetime, random: Random) -> datetime:
        """A moment on the local day of ``moment``, at an hour of this profile; never after the window's end."""
        local = moment.astimezone(self.window.zone)
        return self._capped(self.window.at(local.date(), self.hour(random), random.randrange(60)), random)

    def ahead(self, moment: datetime, random: Random) -> datetime:
        """As ``near``, but may lie in the future."""
        return self.window.at(moment.astimezone(self.window.zone).date(), self.hour(random), random.randrange(60))

    def before(self, minutes: float) -> datetime:
        """The moment so many minutes before the window's end, counting only minutes in this profile's hours."""
        moment, left = self.window.now, timedelta(minutes=minutes)
        while True:
            local = moment.astimezone(self.window.zone)
            begun = local.replace(minute=0, second=0, microsecond=0)
            if begun == local:
                begun -= HOUR
            if begun.hour in self._hours:
                if local - begun > left:
                    return moment - left
                left -= local - begun
            moment = begun.astimezone(UTC)

    def _capped(self, moment: datetime, random: Random) -> datetime:
        if moment <= self.window.now:
            return moment
        return self.window.now - timedelta(minutes=random.randrange(5, 300))


def _weights(days: Sequence[date], words: Mapping[str, Any], last: date) -> list[float]:
    weekend = float(words.get("weekend", 1))
    peaks = [(last - DAY * int(item["days_ago"]), int(item["days"]), float(item["factor"])) for item in words.get("peaks", ())]
    quiet = [(str(item["from"]), str(item["to"]), float(item["factor"])) for item in words.get("quiet", ())]
    found = []
    for day in days:
        weight = weekend if day.weekday() >= 5 else 1.0
        for start, length, factor in peaks:
            if start <= day < start + DAY * length:
                weight *= factor
        for begin, end, factor in quiet:
            if _in_year(day, begin, end):
                weight *= factor
        found.append(weight)
    return found


def _in_year(day: date, begin: str, end: str) -> bool:
    """Whether a day lies between two days of the year, both included; one that begins later than it ends goes over New Year."""
    at = f"{day:%m-%d}"
    return begin <= at <= end if begin <= end else at >= begin or at <= end
