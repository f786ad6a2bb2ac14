"""Many rows into one table at driver speed: a prepared executemany on SQLite, COPY on PostgreSQL. Values are typed values; knows no entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from psycopg import sql

Processor = Callable[[Any], Any] | None


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], schema: str | None) -> None:
    """Insert rows that all have the same keys (names of columns)."""
    if not rows:
        return
    names = tuple(rows[0])
    statement, processors = _prepared(table, names, connection.dialect)
    values = [tuple([row[name] if process is None else process(row[name]) for name, process in processors]) for row in rows]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, values, execution_options={"scoped": True})
    else:
        _copy(connection, table, names, values, schema)


@lru_cache(maxsize=512)
def _prepared(table: sa.Table, names: tuple[str, ...], dialect: sa.Dialect) -> tuple[str, tuple[tuple[str, Processor], ...]]:
    """The INSERT and, for each of its values in order, the key and what makes it a driver value."""
    compiled = sa.insert(table).compile(dialect=dialect, column_keys=list(names))
    order = getattr(compiled, "positiontup", None) or list(names)
    kept = names if dialect.name != "sqlite" else tuple(order)
    return str(compiled), tuple((name, table.c[name].type._cached_bind_processor(dialect)) for name in kept)


def _copy(connection: sa.Connection, table: sa.Table, names: Sequence[str], values: Sequence[tuple[Any, ...]], schema: str | None) -> None:
    target = sql.Identifier(schema, table.name) if schema else sql.Identifier(table.name)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(target, sql.SQL(", ").join(sql.Identifier(table.c[name].name) for name in names))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in values:
            copy.write_row(row)
