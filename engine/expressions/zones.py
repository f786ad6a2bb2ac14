"""Local days of a time zone, in Python and as the steps SQL looks offsets up in: the zone's rules come from Python's data on both databases.

A local time that exists twice means the first, one that is skipped is read with the offset before the gap. Steps are known from 1800 to 2200;
beyond, the nearest offset holds in SQL.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

#: Bounds of computed moments and days, exclusive: what lies beyond is empty.
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
FIRST_DAY, LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
#: Largest number of days, exclusive, that is added to a moment or a day (2,700 years).
MOST_DAYS = 1_000_000
MOST_MONTHS = 30_000

_FROM, _TO = datetime(1800, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_STRIDE = timedelta(days=5)


class Steps(NamedTuple):
    """Where a zone's offset changes. ``utc`` and ``local``: the moments and local times from which ``offsets[i + 1]`` holds (``offsets[0]`` before)."""

    utc: tuple[datetime, ...]
    local: tuple[datetime, ...]
    offsets: tuple[timedelta, ...]


def local_time(moment: datetime, zone: ZoneInfo) -> datetime | None:
    """The local wall-clock time, without zone; None beyond the calendar."""
    try:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:
        return None


def moment_of(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment of a local wall-clock time; None beyond the calendar."""
    try:
        found = local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return None
    return found if FIRST < found < LAST else None


def midnight(day: date, zone: ZoneInfo) -> datetime | None:
    """The moment a local day begins."""
    return moment_of(datetime.combine(day, time()), zone)


@lru_cache(maxsize=64)
def steps(zone: ZoneInfo) -> Steps:
    """The offset changes of a zone between 1800 and 2200."""
    utc, local, offsets = [], [], [_offset(_FROM, zone)]
    here = _FROM
    while here < _TO:
        there = min(here + _STRIDE, _TO)
        if _offset(there, zone) != offsets[-1]:
            change = _change(here, there, zone)
            before, after = offsets[-1], _offset(change, zone)
            utc.append(change)
            local.append((change + max(before, after)).replace(tzinfo=None))
            offsets.append(after)
            there = change
        here = there
    return Steps(tuple(utc), tuple(local), tuple(offsets))


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first second after ``low`` at which the offset differs from that at ``low``."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high
