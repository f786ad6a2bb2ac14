"""How expression types lie in SQL: column types for binds, bounds that keep integers exact, sizes of JSON lists. Compiles no expression."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from engine.expressions.types import LIMIT, Type
from engine.storage import Instant, JsonList, JsonValue

Column = sa.ColumnElement[Any]

#: Values beyond all that expressions can have, standing for empty where SQLite's min and max would give NULL.
LOWEST: Mapping[str, Column] = {
    "integer": sa.literal(-(2**62), sa.BigInteger()),
    "double": sa.literal(-1e300, sa.Double()),
    "date": sa.literal("", sa.String()),
}
HIGHEST: Mapping[str, Column] = {"integer": sa.literal(2**62, sa.BigInteger()), "double": sa.literal(1e300, sa.Double()), "date": sa.literal("~", sa.String())}

_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "boolean": sa.Boolean(),
    "integer": sa.BigInteger(),
    "decimal": sa.BigInteger(),
    "double": sa.Double(),
    "money": sa.BigInteger(),
    "percent": sa.BigInteger(),
    "duration": sa.BigInteger(),
    "text": sa.String(),
    "choice": sa.String(),
    "region": sa.String(),
    "date": sa.Date(),
    "instant": Instant(),
    "link": sa.BigInteger(),
    "person": sa.BigInteger(),
    "team": sa.BigInteger(),
    "choices": JsonList(),
    "tags": JsonList(),
    "links": JsonList(),
    "people": JsonList(),
    "list": JsonList(),
    "json": JsonValue(),
}


def sql_type(type: Type) -> sa.types.TypeEngine[Any]:
    """The column type of an expression type."""
    return _TYPES.get(type.name, sa.types.NULLTYPE)


def null_of(type: Type) -> Column:
    """A typed NULL."""
    return sa.null() if type.name == "null" else sa.cast(sa.null(), sql_type(type))


def held(column: Column, least: Any, most: Any) -> Column:
    """PostgreSQL: a value strictly between two bounds, else NULL; the value is named once, so nesting does not grow."""
    kind = column.type
    inner = sa.func.least(sa.func.greatest(column, least, type_=kind), most, type_=kind)
    return sa.func.nullif(sa.func.nullif(inner, most, type_=kind), least, type_=kind)


def exact_product(dialect: str, left: Column, right: Column) -> Column:
    """A product of integers, NULL beyond LIMIT: never an overflow on PostgreSQL, never a rounded number on SQLite."""
    if dialect == "sqlite":
        return sa.func.tangram_times(left, right, type_=sa.BigInteger)
    beyond = sa.literal(LIMIT + 1, sa.BigInteger())
    product = sa.cast(left, sa.Numeric) * sa.cast(right, sa.Numeric)
    return sa.cast(held(sa.type_coerce(product, sa.Numeric()), -beyond, beyond), sa.BigInteger)


def json_size(dialect: str, column: Column) -> Column:
    """The number of items of a JSON list; 0 for NULL."""
    length = sa.func.jsonb_array_length if dialect == "postgresql" else sa.func.json_array_length
    return sa.func.coalesce(length(column, type_=sa.BigInteger), 0, type_=sa.BigInteger)


def json_holds(dialect: str, column: Column, item: Column) -> Column:
    """Whether a JSON list holds an item; not true (false or NULL) when either is NULL."""
    if dialect == "postgresql":
        wanted: Column = sa.func.jsonb_build_array(item, type_=JSONB)
        return sa.type_coerce(column, JSONB).contains(wanted)
    each = sa.func.json_each(column).table_valued("value")
    return sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.value == item).correlate_except(each))
