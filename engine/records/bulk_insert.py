"""Many rows into one table at driver speed: statements of many rows on SQLite, COPY on PostgreSQL. Values are typed values; knows no entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

from engine.database_ready import catch_up
from engine.storage import Instant, JsonList, JsonValue, to_json, to_micros

#: Rows of one SQLite statement, and its variables at most. The interpreter runs other threads while one statement does its work, and each time it has ended
#: the writer waits for them: twice as many are a twentieth faster, but each connection keeps its statements, some megabytes of them.
_TOGETHER, _VARIABLES = 500, 32_000
#: Makes a driver's value of a typed one that is not None; None: it is one already.
Converter = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class Inserter:
    """An INSERT of some columns of a table, ready to be run with tuples of driver values in the order of ``names``."""

    table: sa.Table
    names: tuple[str, ...]
    statement: str
    converters: tuple[Converter, ...]
    together: int  # rows of the long statement
    long_statement: str

    @classmethod
    def of(cls, table: sa.Table, names: Sequence[str], dialect: sa.Dialect) -> Inserter:
        """The INSERT of the columns of these keys; ``names`` of the result may stand in another order."""
        compiled = sa.insert(table).compile(dialect=dialect, column_keys=list(names))
        order = tuple(getattr(compiled, "positiontup", None) or names) if dialect.name == "sqlite" else tuple(names)
        head, word, values = str(compiled).rpartition(" VALUES ")
        together = min(_TOGETHER, _VARIABLES // len(order))
        long_statement = head + word + ", ".join([values] * together)
        return cls(table, order, str(compiled), tuple(converter(table.c[name].type, dialect) for name in order), together, long_statement)

    def insert(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]], schema: str | None) -> None:
        """Insert all rows or none. Raises what a statement of SQLAlchemy would raise."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            self._insert_long(connection, rows)
        else:
            self._copy(connection, rows, schema)

    def _insert_long(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        options = {"scoped": True}
        over = len(rows) - len(rows) % self.together
        for start in range(0, over, self.together):
            values = tuple(chain.from_iterable(rows[start : start + self.together]))
            connection.exec_driver_sql(self.long_statement, values, execution_options=options)
        if over < len(rows):
            connection.exec_driver_sql(self.statement, list(rows[over:]), execution_options=options)

    def _copy(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]], schema: str | None) -> None:
        dialect: Any = connection.dialect
        quote = dialect.identifier_preparer.quote
        target = ".".join(quote(name) for name in (schema, self.table.name) if name)
        columns = ", ".join(quote(self.table.c[name].name) for name in self.names)
        catch_up(connection)
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(f"COPY {target} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except dialect.loaded_dbapi.Error as error:
            raise sa.exc.DBAPIError.instance(f"COPY {self.table.name}", None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error

    def row(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Typed values by column key as one tuple."""
        return tuple(
            [value if (value := values[name]) is None or convert is None else convert(value) for name, convert in zip(self.names, self.converters, strict=True)]
        )


def converter(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Converter:
    """What makes a driver's value of a typed value of a column type."""
    if isinstance(kind, JsonList | JsonValue):
        return to_json
    if isinstance(kind, sa.Date):
        return date.isoformat
    if isinstance(kind, Instant):
        return to_micros if dialect.name == "sqlite" else datetime.isoformat  # as text: psycopg's own way of writing instants is several times slower
    if isinstance(kind, sa.Boolean | sa.Text | sa.Integer):
        return None
    return kind._cached_bind_processor(dialect)


@lru_cache(maxsize=512)
def inserter(table: sa.Table, names: tuple[str, ...], dialect: sa.Dialect) -> Inserter:
    """The inserter of some columns of a table, made once."""
    return Inserter.of(table, names, dialect)


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], schema: str | None) -> None:
    """Insert rows that all have the same keys (names of columns)."""
    if rows:
        prepared = inserter(table, tuple(rows[0]), connection.dialect)
        prepared.insert(connection, [prepared.row(row) for row in rows], schema)
