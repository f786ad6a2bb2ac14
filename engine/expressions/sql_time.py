"""Calendar arithmetic in SQL, the same on both databases: local days by the zone's steps (zones.py), units, exact differences. NULL in, NULL out.

SQLite: instants are integer microseconds, days ISO text. PostgreSQL: timestamptz and date; day lengths are always given in hours, so that
the session's time zone plays no part.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.expressions.functions import SqlFace
from engine.expressions.sql_types import held
from engine.expressions.zones import FIRST, FIRST_DAY, LAST, LAST_DAY, MOST_DAYS, MOST_MONTHS
from engine.storage import Instant, to_micros

Column = sa.ColumnElement[Any]

DAY = 86_400
_STAMP, _LOCAL = sa.DateTime(timezone=True), sa.DateTime()
_MICRO = 1_000_000
#: Makes every difference of instants positive before it is divided, so that division rounds down.
_LIFT = {60: 6_000_000_000, 3_600: 100_000_000, DAY: 4_000_000}
_PERIODS = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM", "quarter": 'YYYY-"Q"Q', "year": "YYYY"}
_STARTS = {"day": (), "week": ("-6 days", "weekday 1"), "month": ("start of month",), "year": ("start of year",)}
_LENGTHS = {"day": "+1 day", "week": "+7 days", "month": "+1 month", "quarter": "+3 months", "year": "+1 year"}
UNITS = tuple(_PERIODS)


class SqlTime:
    """The calendar of one statement."""

    def __init__(self, face: SqlFace) -> None:
        self.face = face
        self.lite = face.dialect == "sqlite"

    def micros(self, column: Column) -> Column:
        """SQLite: the integer an instant is."""
        return sa.cast(column, sa.BigInteger)

    def moved(self, moment: Column, amount: Column, seconds: int) -> Column:
        """An instant ``amount`` times ``seconds`` later; NULL beyond the calendar."""
        if self.lite:
            later = self.micros(moment) + amount * sa.literal(seconds * _MICRO, sa.BigInteger)
            return self._instant(later)
        return self._instant(sa.cast(moment, _STAMP) + sa.cast(amount, sa.Double) * sa.literal(timedelta(seconds=seconds), sa.Interval))

    def _instant(self, moment: Column) -> Column:
        if self.lite:
            return sa.type_coerce(held("sqlite", sa.type_coerce(moment, sa.BigInteger), to_micros(FIRST), to_micros(LAST)), Instant())
        return sa.type_coerce(held("postgresql", sa.type_coerce(moment, _STAMP), sa.literal(FIRST, _STAMP), sa.literal(LAST, _STAMP)), Instant())

    def some(self, number: Column, most: int) -> Column:
        """A number of days or months; NULL when it is absurd."""
        return held(self.face.dialect, number, -most, most)

    def add_days(self, day: Column, number: Column) -> Column:
        """A day so many days later."""
        number = self.some(number, MOST_DAYS)
        if self.lite:
            return self._day(_date(day, sa.cast(number, sa.String).concat(" days")))
        return self._day(sa.cast(day, sa.Date).op("+")(sa.cast(number, sa.Integer)))

    def _day(self, day: Column) -> Column:
        if self.lite:
            return sa.type_coerce(held("sqlite", sa.type_coerce(day, sa.String), FIRST_DAY.isoformat(), LAST_DAY.isoformat()), sa.Date())
        return held("postgresql", sa.type_coerce(day, sa.Date), sa.literal(FIRST_DAY, sa.Date), sa.literal(LAST_DAY, sa.Date))

    def add_months(self, day: Column, number: Column) -> Column:
        """The same day of a later month, or that month's last."""
        number = self.some(number, MOST_MONTHS)
        if not self.lite:
            return self._day(sa.cast(sa.cast(day, _LOCAL) + sa.func.make_interval(0, sa.cast(number, sa.Integer), type_=sa.Interval), sa.Date))
        first = _date(day, "start of month", sa.cast(number, sa.String).concat(" months"))
        wanted = _date(first, sa.cast(sa.cast(_format("%d", day), sa.Integer) - 1, sa.String).concat(" days"))
        return self._day(sa.func.min(wanted, _date(first, "+1 month", "-1 day"), type_=sa.String))

    def elapsed(self, since: Column, until: Column, seconds: int) -> Column:
        """Whole units between two instants, rounded down."""
        if self.lite:
            lift = _LIFT[seconds]
            lifted = self.micros(until) - self.micros(since) + sa.literal(lift * seconds * _MICRO, sa.BigInteger)
            return sa.type_coerce(lifted // sa.literal(seconds * _MICRO, sa.BigInteger) - lift, sa.BigInteger)
        return sa.cast(sa.func.floor(self._seconds(since, until) / seconds), sa.BigInteger)

    def _seconds(self, since: Column, until: Column) -> Column:
        return sa.type_coerce(sa.extract("epoch", sa.cast(until, _STAMP) - sa.cast(since, _STAMP)), sa.Numeric)

    def elapsed_micros(self, since: Column, until: Column) -> Column:
        """Microseconds between two instants, an integer."""
        if self.lite:
            return self.micros(until) - self.micros(since)
        return sa.cast(self._seconds(since, until) * _MICRO, sa.BigInteger)

    def days(self, since: Column, until: Column) -> Column:
        """Days between two days."""
        if self.lite:
            return sa.cast(sa.func.julianday(until, type_=sa.Double) - sa.func.julianday(since, type_=sa.Double), sa.BigInteger)
        return sa.cast(sa.type_coerce(sa.cast(until, sa.Date).op("-")(sa.cast(since, sa.Date)), sa.Integer), sa.BigInteger)

    def local(self, moment: Column) -> Column:
        """The local wall-clock time: microseconds on SQLite, timestamp on PostgreSQL."""
        if self.lite:
            micros = self.micros(moment)
            return sa.type_coerce(micros + self._offset(micros, "utc_steps"), sa.BigInteger)
        return sa.type_coerce(sa.func.timezone("UTC", sa.cast(moment, _STAMP), type_=_LOCAL) + self._offset(sa.cast(moment, _STAMP), "utc_steps"), _LOCAL)

    def of_local(self, local: Column) -> Column:
        """The instant of a local wall-clock time."""
        if self.lite:
            return self._instant(local - self._offset(local, "local_steps"))
        there = sa.type_coerce(local - self._offset(local, "local_steps"), _LOCAL)
        return self._instant(sa.func.timezone("UTC", there, type_=_STAMP))

    def _offset(self, time: Column, by: str) -> Column:
        """The zone's offset at a moment or a local time, found among its steps."""
        offsets = self.face.zone("offsets")
        if self.lite:
            each = sa.func.json_each(self.face.zone(by)).table_valued("value")
            passed = sa.select(sa.func.count()).select_from(each).where(each.c.value <= time).correlate_except(each).scalar_subquery()
            place = sa.literal("$[", sa.String).concat(sa.cast(passed, sa.String)).concat("]")
            return sa.func.json_extract(offsets, place, type_=sa.BigInteger)
        micros = offsets[sa.func.width_bucket(time, self.face.zone(by), type_=sa.Integer) + 1]
        return sa.type_coerce(sa.cast(micros, sa.Double) * sa.literal(timedelta(microseconds=1), sa.Interval), sa.Interval)

    def local_day(self, moment: Column) -> Column:
        """The local date of an instant."""
        if self.lite:
            lift = 62_135_596_800
            seconds = (self.local(moment) + sa.literal(lift * _MICRO, sa.BigInteger)) // sa.literal(_MICRO, sa.BigInteger) - lift
            return sa.type_coerce(_date(seconds, "unixepoch"), sa.Date())
        return sa.cast(self.local(moment), sa.Date)

    def midnight(self, day: Column) -> Column:
        """The instant a local day begins."""
        return self.of_local(self._local_midnight(day))

    def _local_midnight(self, day: Column) -> Column:
        if self.lite:
            return sa.cast(_format("%s", day), sa.BigInteger) * sa.literal(_MICRO, sa.BigInteger)
        return sa.cast(day, _LOCAL)

    def add_local_months(self, moment: Column, number: Column) -> Column:
        """The same local time on the same day of a later month."""
        local, day = self.local(moment), self.local_day(moment)
        later = self._local_midnight(self.add_months(day, number))
        return self.of_local(sa.type_coerce(later + (local - self._local_midnight(day)), sa.BigInteger() if self.lite else _LOCAL))

    def unit_start(self, day: Column, unit: str) -> Column:
        """The first day of a day's week, month, quarter or year."""
        if not self.lite:
            return sa.cast(sa.func.date_trunc(unit, sa.cast(day, _LOCAL)), sa.Date)
        if unit == "quarter":
            back = sa.cast((sa.cast(_format("%m", day), sa.Integer) - 1) % 3, sa.String)
            return sa.type_coerce(_date(day, "start of month", sa.literal("-", sa.String).concat(back).concat(" months")), sa.Date())
        return sa.type_coerce(_date(day, *_STARTS[unit]), sa.Date())

    def unit_end(self, day: Column, unit: str) -> Column:
        """The first day after a day's unit."""
        start = self.unit_start(day, unit)
        if self.lite:
            return self._day(_date(start, _LENGTHS[unit]))
        count, name = _LENGTHS[unit].lstrip("+").split(" ")
        months, days = (int(count) * 12 if name == "year" else int(count), 0) if name not in ("day", "days") else (0, int(count))
        return self._day(sa.cast(sa.cast(start, _LOCAL) + sa.func.make_interval(0, months, 0, days, type_=sa.Interval), sa.Date))

    def period(self, day: Column, unit: str) -> Column:
        """The name of a day's unit: 2026-03-05, 2026-W10, 2026-03, 2026-Q1, 2026."""
        if not self.lite:
            return sa.func.to_char(sa.cast(day, _LOCAL), _PERIODS[unit], type_=sa.String)
        if unit == "week":
            thursday = _date(day, "-3 days", "weekday 4")
            number = (sa.cast(_format("%j", thursday), sa.Integer) - 1) // 7 + 1
            return sa.func.printf("%s-W%02d", _format("%Y", thursday), number, type_=sa.String)
        if unit == "quarter":
            number = (sa.cast(_format("%m", day), sa.Integer) - 1) // 3 + 1
            return sa.func.nullif(sa.func.printf("%s-Q%d", _format("%Y", day), number, type_=sa.String), "-Q0", type_=sa.String)
        return _format({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[unit], day)


def _date(day: Column, *changes: Any) -> Column:
    return sa.func.date(day, *changes, type_=sa.String)


def _format(pattern: str, day: Column) -> Column:
    return sa.func.strftime(pattern, day, type_=sa.String)
