"""What SQLite lacks: exact products, white space and the calendar of a time zone, as functions of the connection. They are the Python face's own operations.

Every SQLite connection that runs compiled expressions must have been given to ``register``; PostgreSQL computes the same in SQL (sql_time.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.expressions import operations, zones
from engine.storage import from_micros, to_micros

Value = Any


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


@lru_cache(maxsize=4096)
def _local_day(micros: int, zone: str) -> str | None:
    local = zones.local_time(from_micros(micros), _zone(zone))
    return None if local is None else local.date().isoformat()


@lru_cache(maxsize=4096)
def _midnight(day: str, zone: str) -> int | None:
    return _micros(zones.midnight(date.fromisoformat(day), _zone(zone)))


def _later_month(micros: int, number: int, zone: str) -> int | None:
    return _micros(zones.same_time_later(from_micros(micros), number, _zone(zone)))


def _later(micros: int, number: int, seconds: int, most: int) -> int | None:
    return _micros(zones.later(from_micros(micros), number, seconds)) if -most < number < most else None


def _add_days(day: str, number: int) -> str | None:
    return _iso(zones.later_day(date.fromisoformat(day), number))


def _add_months(day: str, number: int) -> str | None:
    return _iso(zones.later_month(date.fromisoformat(day), number))


def _unit_start(day: str, unit: str) -> str | None:
    return _iso(zones.unit_start(date.fromisoformat(day), unit))


def _unit_end(day: str, unit: str) -> str | None:
    return _iso(zones.unit_end(date.fromisoformat(day), unit))


def _period(day: str, unit: str) -> str:
    return zones.period_name(date.fromisoformat(day), unit)


def _elapsed(since: int, until: int, micros: int) -> int:
    return (until - since) // micros


_FUNCTIONS: tuple[tuple[str, int, Callable[..., Value]], ...] = (
    ("tangram_times", 2, operations.multiply),
    ("tangram_local_day", 2, _local_day),
    ("tangram_midnight", 2, _midnight),
    ("tangram_later_month", 3, _later_month),
    ("tangram_later", 4, _later),
    ("tangram_add_days", 2, _add_days),
    ("tangram_add_months", 2, _add_months),
    ("tangram_unit_start", 2, _unit_start),
    ("tangram_unit_end", 2, _unit_end),
    ("tangram_period", 2, _period),
    ("tangram_elapsed", 3, _elapsed),
    ("tangram_squeeze", 1, operations.squeeze),
)


def _strict(python: Callable[..., Value]) -> Callable[..., Value]:
    def call(*args: Value) -> Value:
        return None if None in args else python(*args)

    return call


def register(connection: Any) -> None:
    """Give a DBAPI connection of SQLite the functions (``sqlite3.Connection`` or what wraps one)."""
    for name, count, python in _FUNCTIONS:
        connection.create_function(name, count, _strict(python), deterministic=True)
