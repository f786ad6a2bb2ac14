"""Local days of a time zone, in Python and as the steps SQL looks offsets up in: the zone's rules come from Python's data on both databases.

A local time that exists twice means the first, one that is skipped is read with the offset before the gap. Steps are known from 1800 to 2400;
beyond, the nearest offset holds on PostgreSQL.
"""

from __future__ import annotations

from calendar import monthrange
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

_FROM, _TO = datetime(1800, 1, 1, tzinfo=UTC), datetime(2400, 1, 1, tzinfo=UTC)
_STRIDE = timedelta(days=5)
_SECOND = timedelta(seconds=1)


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
    """The offset changes of a zone between 1800 and 2400."""
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


def unit_start(day: date, unit: str) -> date:
    """The first day of a day's week, month, quarter or year; the day itself for ``day``."""
    if unit == "week":
        return date.fromordinal(max(1, day.toordinal() - day.weekday()))
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1) if unit == "year" else day


def unit_end(day: date, unit: str) -> date | None:
    """The first day after a day's unit; None beyond the calendar."""
    start = unit_start(day, unit)
    if unit in ("day", "week"):
        return later_day(start, 1 if unit == "day" else 7)
    return later_month(start, {"month": 1, "quarter": 3, "year": 12}[unit])


def period_name(day: date, unit: str) -> str:
    """2026-03-05, 2026-W10, 2026-03, 2026-Q1 or 2026."""
    if unit == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if unit == "quarter":
        return f"{day.year:04d}-Q{(day.month - 1) // 3 + 1}"
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[unit]]


def later_day(day: date, number: int) -> date | None:
    """A day so many days later; None beyond the calendar."""
    if not -MOST_DAYS < number < MOST_DAYS:
        return None
    try:
        found = day + timedelta(days=number)
    except OverflowError:
        return None
    return found if FIRST_DAY < found < LAST_DAY else None


def later_month(day: date, number: int) -> date | None:
    """The same day of a later month, or that month's last; None beyond the calendar."""
    if not -MOST_MONTHS < number < MOST_MONTHS:
        return None
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    if not 1 <= year <= 9999:
        return None
    found = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    return found if FIRST_DAY < found < LAST_DAY else None


def later(moment: datetime, number: int, seconds: int) -> datetime | None:
    """A moment ``number`` times ``seconds`` later; None beyond the calendar."""
    try:
        found = moment + number * seconds * _SECOND
    except OverflowError:
        return None
    return found if FIRST < found < LAST else None


def same_time_later(moment: datetime, number: int, zone: ZoneInfo) -> datetime | None:
    """The same local time on the same day of a later month; None beyond the calendar."""
    local = local_time(moment, zone)
    day = None if local is None else later_month(local.date(), number)
    return None if day is None or local is None else moment_of(datetime.combine(day, local.time()), zone)
