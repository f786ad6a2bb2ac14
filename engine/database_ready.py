"""Statements compiled once and handed straight to the driver, for the few that every save sends. Events, guard of record tables and faults stay.

SQLAlchemy finds a statement it compiled before by a key made of its whole tree, takes binds by name and wraps the answer, anew each time: for a small
statement several times what the driver and the database need for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    import psycopg  # loaded only where there is such a server

T = TypeVar("T")
Values = Mapping[str, Any]
Convert = Callable[[Any], Any]

_NOTHING: Mapping[Any, Any] = {}
_UNKNOWN = "unknown"
_MOST_SCHEMAS = 1000
_CURSOR = "tangram_cursor"
_PUT_OFF = "tangram_put_off"
_SMALL = 100  # rows of an answer that may stay in memory until the connection's next statement


class PutOffFailed(Exception):
    """A statement that was put off failed, or did not touch its row: the transaction must go back as a whole."""


@dataclass(slots=True)
class _Text:
    """A statement as one database takes it. ``take`` gives the values it wants in the driver's order, ``converts`` by place what makes them the driver's."""

    dialect: sa.Dialect
    text: str
    take: Callable[[Values], tuple[Any, ...]]
    converts: tuple[tuple[int, Convert], ...]
    constants: tuple[tuple[int, Any], ...]  # driver's values that stand in the statement itself, by place
    keys: tuple[str, ...] | None  # the driver's names of all values, constants included; None where they go by position
    kinds: tuple[sa.types.TypeEngine[Any], ...]  # of the answer's columns
    cells: tuple[tuple[int, Convert], ...] | None = None  # what makes typed values of them, by place; known with the first answer

    def parameters(self, values: Values) -> Any:
        """The values as the driver takes them. KeyError for one that is missing."""
        given: Any = self.take(values)
        if self.converts or self.constants:
            given = list(given)
            for place, convert in self.converts:
                given[place] = convert(given[place])
            for place, constant in self.constants:
                given.insert(place, constant)
        return tuple(given) if self.keys is None else dict(zip(self.keys, given, strict=True))

    def answer(self, cursor: Any) -> list[tuple[Any, ...]]:
        """All rows, as tuples of typed values."""
        found: list[tuple[Any, ...]] = cursor.fetchall()
        cells = self.cells
        if cells is None:
            made = [kind._cached_result_processor(self.dialect, told[1]) for kind, told in zip(self.kinds, cursor.description, strict=True)]
            cells = self.cells = tuple((place, convert) for place, convert in enumerate(made) if convert is not None)
        return [_converted(row, cells) for row in found] if cells else found


class Ready:
    """One statement, compiled the first time it meets a kind of database and a schema. ``names``: the columns an INSERT is given.

    One whose text varies with its values (IN over a list; ``scope.among`` binds a list as a whole) goes SQLAlchemy's way each time; constants that must stand
    in the text do so once and for all.
    """

    __slots__ = ("_names", "_statement", "_texts", "execution_options")

    def __init__(self, statement: Any, names: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._names = None if names is None else list(names)
        self._texts: dict[tuple[str, str | None], _Text | None] = {}
        self.execution_options: Mapping[str, Any] = statement.get_execution_options()

    def rows(self, connection: sa.Connection, values: Values = _NOTHING) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        made = self._text(connection)
        if made is None:
            return [tuple(row) for row in connection.execute(self._statement, values)]
        return self._send(connection, made, made.parameters(values), made.answer)

    def first(self, connection: sa.Connection, values: Values = _NOTHING) -> tuple[Any, ...] | None:
        """The first row of the answer."""
        found = self.rows(connection, values)
        return found[0] if found else None

    def made(self, connection: sa.Connection, values: Values) -> int:
        """The id of the row an INSERT has made: what it answers; on SQLite, where an answer costs a third of the statement, what the driver knows."""
        made = self._text(connection)
        if made is None:
            return int(connection.execute(self._statement, values).lastrowid)
        return self._send(connection, made, made.parameters(values), _last_row if made.keys is None else _answered_id)

    def run(self, connection: sa.Connection, values: Values = _NOTHING) -> int:
        """How many rows it touched."""
        made = self._text(connection)
        if made is None:
            return int(connection.execute(self._statement, values).rowcount)
        return self._send(connection, made, made.parameters(values), _touched)

    def run_each(self, connection: sa.Connection, rows: Sequence[Values]) -> None:
        """Run it for each of the rows, in one call of the driver."""
        made = self._text(connection) if len(rows) > 1 else None
        if made is not None:
            self._send(connection, made, [made.parameters(row) for row in rows], _touched)
        elif rows:
            for row in rows:
                self.run(connection, row)

    def put_off(self, connection: sa.Connection, values: Values) -> None:
        """Run it, touching exactly one row, just before this connection sends anything else, all that were put off in one go.

        For transactions that stand or fall as a whole: what goes wrong raises PutOffFailed, at the latest when something else is sent. Call ``catch_up``
        before the end.
        """
        made = self._text(connection)
        if made is None or made.keys is None:  # SQLite answers in the same process: nothing is won
            _one_row(lambda: self.run(connection, values), 1)
            return
        transaction, waiting = connection.info.get(_PUT_OFF, (None, None))
        if transaction is not connection.get_transaction() or waiting is None:
            waiting = []
            connection.info[_PUT_OFF] = connection.get_transaction(), waiting
        waiting.append((self, made, made.parameters(values)))

    def _send(self, connection: sa.Connection, made: _Text, parameters: Any, take: Callable[[Any], T]) -> T:
        many = type(parameters) is list
        if not connection.in_transaction():
            connection.begin()
        if made.keys is not None and _PUT_OFF in connection.info:  # only there is anything put off
            catch_up(connection)
        cursor: Any = _cursor(connection) if made.keys is not None else connection.connection.cursor()
        for listener in connection.engine.dispatch.before_cursor_execute:
            listener(connection, cursor, made.text, parameters, self, many)
        try:
            if many:
                cursor.executemany(made.text, parameters)
            elif made.keys is None:
                cursor.execute(made.text, parameters)
            else:
                execute_anew(cursor, made.text, parameters)
            return take(cursor)
        except made.dialect.loaded_dbapi.Error as error:
            raise _told(connection, made.text, error) from error
        finally:
            if made.keys is None or many or cursor.rowcount > _SMALL:
                cursor.close()

    def _text(self, connection: sa.Connection) -> _Text | None:
        schema = connection.get_execution_options().get("schema_translate_map", _NOTHING).get(None)
        key = (connection.dialect.name, schema)
        made = self._texts.get(key, _UNKNOWN)
        if isinstance(made, str):
            if len(self._texts) > _MOST_SCHEMAS:
                self._texts.clear()
            made = self._texts[key] = self._compiled(connection.dialect, schema)
        return made

    def _compiled(self, dialect: sa.Dialect, schema: str | None) -> _Text | None:
        """The text; None where there is not one alone."""
        where = {"schema_translate_map": {None: schema}, "render_schema_translate": True} if schema is not None else {}
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._names, **where)
        in_text = compiled.literal_execute_params
        if compiled.post_compile_params or compiled.prefetch or any(bind.required for bind in in_text):
            return None
        every, text, processors = list(compiled.positiontup if compiled.positional else compiled.bind_names.values()), str(compiled), compiled._bind_processors
        if in_text:
            given = compiled.construct_expanded_state({name: None for name in every if compiled.binds[name].required})
            every, text = [name for name in every if compiled.binds[name] not in in_text], given.statement
        names = [name for name in every if compiled.binds[name].required]
        constants = [(place, _constant(compiled.binds[name], processors.get(name))) for place, name in enumerate(every) if not compiled.binds[name].required]
        keys = None if compiled.positional else tuple(compiled.escaped_bind_names.get(name, name) for name in every)
        converts = tuple((place, processors[name]) for place, name in enumerate(names) if name in processors)
        kinds = tuple(entry.type for entry in compiled._result_columns)
        return _Text(dialect, text, _taking(names), converts, tuple(constants), keys, kinds)


def catch_up(connection: sa.Connection) -> None:
    """Send what was put off in this transaction. Raises PutOffFailed."""
    transaction, waiting = connection.info.pop(_PUT_OFF, (None, ()))
    if transaction is not connection.get_transaction():
        return  # rolled back with it
    for (ready, made), some in groupby(waiting, lambda one: one[:2]):
        parameters = [given for _, _, given in some]
        _one_row(partial(ready._send, connection, made, parameters, _touched), len(parameters))


def _one_row(send: Callable[[], int], times: int) -> None:
    """Each of so many runs of a statement touched one row. Raises PutOffFailed."""
    try:
        touched = send()
    except sa.exc.DBAPIError as error:
        raise PutOffFailed from error
    if touched != times:
        raise PutOffFailed


def behind_put_off(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    """Event ``before_cursor_execute``: statements that SQLAlchemy sends come behind what was put off."""
    if _PUT_OFF in connection.info:
        catch_up(connection)


def _constant(bind: Any, convert: Convert | None) -> Any:
    return bind.effective_value if convert is None else convert(bind.effective_value)


def _taking(names: Sequence[str]) -> Callable[[Values], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def _converted(row: Sequence[Any], cells: tuple[tuple[int, Convert], ...]) -> tuple[Any, ...]:
    typed = list(row)
    for place, convert in cells:
        typed[place] = convert(typed[place])
    return tuple(typed)


def _cursor(connection: sa.Connection) -> Any:
    """The cursor of a PostgreSQL connection, kept with it: psycopg makes one at the price of a small statement. One that held a long answer was closed."""
    kept = connection.info.get(_CURSOR)
    if kept is None or kept.closed:
        kept = connection.info[_CURSOR] = connection.connection.cursor()
    return kept


def _touched(cursor: Any) -> int:
    return int(cursor.rowcount)


def _last_row(cursor: Any) -> int:
    return int(cursor.lastrowid)


def _answered_id(cursor: Any) -> int:
    return int(cursor.fetchone()[0])


def run_text(connection: sa.Connection, text: str) -> None:
    """Send a word that takes no value and gives no answer (BEGIN)."""
    driver: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    try:
        if isinstance(driver, sqlite3.Connection):
            driver.execute(text).close()
        else:
            _cursor(connection).execute(text, prepare=False)
    except dialect.loaded_dbapi.Error as error:
        raise _told(connection, text, error) from error


def execute_anew(cursor: psycopg.Cursor[Any], text: Any, parameters: Any) -> None:
    """Run a statement; outside a transaction a plan prepared before a publish is forgotten and the statement run again (a transaction is rolled back instead)."""
    try:
        cursor.execute(text, parameters)
    except cursor.connection.NotSupportedError as error:
        if cursor.connection.info.transaction_status or "cached plan" not in str(error):
            raise
        cursor.connection.execute("DEALLOCATE ALL").close()
        cursor.execute(text, parameters)


def _told(connection: sa.Connection, text: str, error: Any) -> Exception:
    """The driver's error as SQLAlchemy raises it, without the values: what reads refusals and broken guarantees sees no difference."""
    dialect: Any = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection, None)
    told: Exception = sa.exc.DBAPIError.instance(text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect)
    if gone:
        connection.invalidate(error)
    return told
