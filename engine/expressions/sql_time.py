"""Calendar arithmetic in SQL, the same on both databases: local days of the time zone, units, exact differences. NULL in, NULL out.

SQLite keeps instants as integer microseconds and days as ISO text, and calls the functions of sqlite_functions.py. PostgreSQL has timestamptz
and date; offsets come from the zone's steps (zones.py), and days are given in hours, so that neither its own zone data nor the session's
time zone play a part.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.expressions.functions import SqlFace
from engine.expressions.sql_types import held
from engine.expressions.zones import FIRST, FIRST_DAY, LAST, LAST_DAY, MOST_DAYS, MOST_MONTHS
from engine.storage import Instant

Column = sa.ColumnElement[Any]

DAY = 86_400
_STAMP, _LOCAL = sa.DateTime(timezone=True), sa.DateTime()
_MICRO = 1_000_000
_PERIODS = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM", "quarter": 'YYYY-"Q"Q', "year": "YYYY"}
_LENGTHS = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "quarter": (3, 0), "year": (12, 0)}
UNITS = tuple(_PERIODS)


class SqlTime:
    """The calendar of one statement."""

    def __init__(self, face: SqlFace) -> None:
        self.face = face
        self.lite = face.dialect == "sqlite"

    def later(self, moment: Column, amount: Column, seconds: int, most: int) -> Column:
        """An instant ``amount`` (less than ``most``) times ``seconds`` later; NULL beyond the calendar."""
        if self.lite:
            return sa.func.tangram_later(moment, amount, seconds, most, type_=Instant())
        step = sa.literal(timedelta(seconds=seconds), sa.Interval)
        return self._instant(sa.cast(moment, _STAMP) + sa.cast(_some(amount, most), sa.Double) * step)

    def _instant(self, moment: Column) -> Column:
        return sa.type_coerce(held(sa.type_coerce(moment, _STAMP), sa.literal(FIRST, _STAMP), sa.literal(LAST, _STAMP)), Instant())

    def add_days(self, day: Column, number: Column) -> Column:
        """A day so many days later."""
        if self.lite:
            return sa.func.tangram_add_days(day, number, type_=sa.Date())
        return _day(sa.cast(day, sa.Date).op("+")(sa.cast(_some(number, MOST_DAYS), sa.Integer)))

    def add_months(self, day: Column, number: Column) -> Column:
        """The same day of a later month, or that month's last."""
        if self.lite:
            return sa.func.tangram_add_months(day, number, type_=sa.Date())
        return _day(sa.cast(self._local_midnight(day) + _months(_some(number, MOST_MONTHS)), sa.Date))

    def elapsed(self, since: Column, until: Column, seconds: int) -> Column:
        """Whole units between two instants, rounded down."""
        return elapsed(self.face.dialect, since, until, seconds)

    def elapsed_micros(self, since: Column, until: Column) -> Column:
        """Microseconds between two instants, an integer."""
        if self.lite:
            return sa.func.tangram_elapsed(since, until, 1, type_=sa.BigInteger())
        return sa.cast(_seconds(since, until) * _MICRO, sa.BigInteger)

    def days(self, since: Column, until: Column) -> Column:
        """Days between two days."""
        if self.lite:
            return sa.cast(sa.func.julianday(until, type_=sa.Double) - sa.func.julianday(since, type_=sa.Double), sa.BigInteger)
        return sa.cast(sa.type_coerce(sa.cast(until, sa.Date).op("-")(sa.cast(since, sa.Date)), sa.Integer), sa.BigInteger)

    def local_day(self, moment: Column) -> Column:
        """The local date of an instant."""
        if self.lite:
            return sa.func.tangram_local_day(moment, self.face.zone("name"), type_=sa.Date())
        return sa.cast(self._local(moment), sa.Date)

    def midnight(self, day: Column) -> Column:
        """The instant a local day begins."""
        if self.lite:
            return sa.func.tangram_midnight(day, self.face.zone("name"), type_=Instant())
        return self._of_local(self._local_midnight(day))

    def same_time_later(self, moment: Column, number: Column) -> Column:
        """The same local time on the same day of a later month."""
        if self.lite:
            return sa.func.tangram_later_month(moment, number, self.face.zone("name"), type_=Instant())
        local, day = self._local(moment), self.local_day(moment)
        later = self._local_midnight(self.add_months(day, number))
        return self._of_local(sa.type_coerce(later + (local - self._local_midnight(day)), _LOCAL))

    def unit_start(self, day: Column, unit: str) -> Column:
        """The first day of a day's week, month, quarter or year."""
        if self.lite:
            return sa.func.tangram_unit_start(day, unit, type_=sa.Date())
        return sa.cast(sa.func.date_trunc(unit, self._local_midnight(day)), sa.Date)

    def unit_end(self, day: Column, unit: str) -> Column:
        """The first day after a day's unit."""
        if self.lite:
            return sa.func.tangram_unit_end(day, unit, type_=sa.Date())
        return _day(sa.cast(self._local_midnight(self.unit_start(day, unit)) + _months(*_LENGTHS[unit]), sa.Date))

    def period(self, day: Column, unit: str) -> Column:
        """The name of a day's unit: 2026-03-05, 2026-W10, 2026-03, 2026-Q1, 2026."""
        if self.lite:
            return sa.func.tangram_period(day, unit, type_=sa.String())
        return sa.func.to_char(self._local_midnight(day), _PERIODS[unit], type_=sa.String)

    def _local(self, moment: Column) -> Column:
        """PostgreSQL: the local wall-clock time of an instant."""
        moment = sa.cast(moment, _STAMP)
        return sa.type_coerce(sa.func.timezone("UTC", moment, type_=_LOCAL) + self._offset(moment, "utc_steps"), _LOCAL)

    def _of_local(self, local: Column) -> Column:
        there = sa.type_coerce(local - self._offset(local, "local_steps"), _LOCAL)
        return self._instant(sa.func.timezone("UTC", there, type_=_STAMP))

    def _offset(self, time: Column, by: str) -> Column:
        """PostgreSQL: the zone's offset at a moment or a local time, found among its steps by halving."""
        place = sa.func.width_bucket(time, self.face.zone(by), type_=sa.Integer)
        micros = sa.cast(self.face.zone("offsets").op("->")(place), sa.BigInteger)
        return sa.type_coerce(sa.cast(micros, sa.Double) * sa.literal(timedelta(microseconds=1), sa.Interval), sa.Interval)

    @staticmethod
    def _local_midnight(day: Column) -> Column:
        return sa.cast(day, _LOCAL)


def elapsed(dialect: str, since: Column, until: Column, seconds: int) -> Column:
    """How often so many seconds went by between two instants, rounded down."""
    if dialect == "sqlite":
        return sa.func.tangram_elapsed(since, until, seconds * _MICRO, type_=sa.BigInteger())
    return sa.cast(sa.func.floor(_seconds(since, until) / seconds), sa.BigInteger)


def _some(number: Column, most: int) -> Column:
    return held(sa.type_coerce(number, sa.BigInteger), sa.literal(-most, sa.BigInteger), sa.literal(most, sa.BigInteger))


def _day(day: Column) -> Column:
    return held(sa.type_coerce(day, sa.Date), sa.literal(FIRST_DAY, sa.Date), sa.literal(LAST_DAY, sa.Date))


def _months(months: Column | int, days: int = 0) -> Column:
    return sa.func.make_interval(0, sa.cast(months, sa.Integer), 0, days, type_=sa.Interval)


def _seconds(since: Column, until: Column) -> Column:
    return sa.type_coerce(sa.extract("epoch", sa.cast(until, _STAMP) - sa.cast(since, _STAMP)), sa.Numeric)
