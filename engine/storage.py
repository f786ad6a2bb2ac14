"""Column types that mean the same on SQLite and PostgreSQL: instants, lists, JSON values, keys. Knows no field type and no table."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: A 64-bit key drawn by the database and never reused (SQLite needs INTEGER for that, and AUTOINCREMENT on the table).
Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def to_json(value: object) -> str:
    """A JSON value as text, as both databases take it."""
    return orjson.dumps(value).decode()


def to_micros(value: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime."""
    return (value - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(0, 0, value)  # by place: by name it takes a quarter longer, and every row of a list has some


def _from_timestamp(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _from_number(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


class Instant(sa.types.TypeDecorator[datetime]):
    """A moment in time: aware UTC datetime in Python, integer microseconds on SQLite (exact), timestamptz on PostgreSQL. Naive values are refused."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        return value if dialect.name == "postgresql" else to_micros(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """One plain function for each cell, instead of SQLAlchemy's two around ``process_result_value``: every row has some."""
        return _from_timestamp if dialect.name == "postgresql" else _from_number


class JsonValue(sa.types.TypeDecorator[Any]):
    """Any JSON value; None is NULL. Text on SQLite, jsonb on PostgreSQL (which keeps no key order: definitions are stored as text instead)."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        kind = JSONB(none_as_null=True) if dialect.name == "postgresql" else sa.JSON(none_as_null=True)
        return dialect.type_descriptor(kind)


class JsonList(sa.types.TypeDecorator[list[Any]]):
    """A list of scalars (choices, tags, links): JSON text on SQLite, jsonb on PostgreSQL. None is NULL; an empty list stays one."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        kind = JSONB(none_as_null=True) if dialect.name == "postgresql" else sa.JSON(none_as_null=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        return None if value is None else list(value)
