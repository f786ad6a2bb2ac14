"""What a driver's error means for us: a lost race to run again, a reason for 'not now', a broken guarantee. Also the guard of record tables."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from engine.errors import Conflict, Unavailable


class LostRace(Conflict):
    """Another transaction won (serialisation, deadlock, plan changed under it): the whole transaction may be run again.

    ``row``: the record (entity, id) it was about, where one is known; the next try takes hold of it first and so waits its turn.
    """

    def __init__(self, row: tuple[str, int] | None = None) -> None:
        super().__init__("lost_race")
        self.row = row


class UnscopedStatement(RuntimeError):
    """A statement names a record table without coming through the scope compiler: a mistake in our code."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A guarantee of the database that a statement would have broken. ``index`` is known on PostgreSQL, ``columns`` on SQLite."""

    kind: str  # unique | foreign_key | other
    index: str = ""
    table: str = ""
    columns: tuple[str, ...] = ()


_SQLITE_CODES = {
    sqlite3.SQLITE_FULL: "database_full",
    sqlite3.SQLITE_READONLY: "database_read_only",
    sqlite3.SQLITE_BUSY: "database_busy",
    sqlite3.SQLITE_LOCKED: "database_busy",
    sqlite3.SQLITE_INTERRUPT: "too_slow",
    sqlite3.SQLITE_CORRUPT: "database_corrupt",
    sqlite3.SQLITE_NOTADB: "database_corrupt",
    sqlite3.SQLITE_CANTOPEN: "database_unreadable",
    sqlite3.SQLITE_IOERR: "database_unreadable",
    sqlite3.SQLITE_PERM: "database_unreadable",
}
_POSTGRES_CODES = {
    "53100": "database_full",
    "53200": "database_busy",
    "53300": "database_busy",
    "25006": "database_read_only",
    "57014": "too_slow",
    "55P03": "database_busy",
    "57P01": "database_away",
    "57P02": "database_away",
    "57P03": "database_away",
}
_LOST = ("40001", "40P01")
_CACHED_PLAN = "0A000"
_STARTUP_REFUSED = ("28", "3D")  # wrong password, no such database


def refusal_of(error: sa.exc.DBAPIError) -> Conflict | Unavailable | None:
    """What a person is told; None when it is not the database's state but our statement that is wrong (or a guarantee: ``violation_of``)."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        name = _SQLITE_CODES.get(code & 0xFF) if code is not None else None
        if name is None and "not a database" in str(cause):
            name = "database_corrupt"
        return Unavailable(name) if name else None
    state = getattr(cause, "sqlstate", None)
    if state in _LOST or (state == _CACHED_PLAN and "cached plan" in str(cause)):
        return LostRace()
    if state in _POSTGRES_CODES:
        return Unavailable(_POSTGRES_CODES[state])
    away = error.connection_invalidated or (state is None and isinstance(error, sa.exc.OperationalError)) or str(state).startswith(("08", *_STARTUP_REFUSED))
    return Unavailable("database_away") if away else None


def violation_of(error: sa.exc.IntegrityError) -> Violation:
    """Which guarantee was about to be broken."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        text = str(cause)
        if text.startswith("UNIQUE constraint failed: index"):
            return Violation("unique", index=text.split("'")[1])
        if text.startswith("UNIQUE constraint failed: "):
            names = [part.strip().split(".") for part in text.removeprefix("UNIQUE constraint failed: ").split(",")]
            return Violation("unique", table=names[0][0], columns=tuple(name[-1] for name in names))
        return Violation("foreign_key" if "FOREIGN KEY" in text else "other")
    diagnosis = getattr(cause, "diag", None)
    kind = {"23505": "unique", "23503": "foreign_key"}.get(getattr(cause, "sqlstate", None) or "", "other")
    return Violation(kind, getattr(diagnosis, "constraint_name", None) or "", getattr(diagnosis, "table_name", None) or "")


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns the driver's errors about the database's state into refusals; lets mistakes and broken guarantees through."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise Unavailable("database_busy") from error
    except sa.exc.DBAPIError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


_RECORD_TABLE = re.compile(r"(?<![A-Za-z0-9_%(:])[rs]_[a-z][a-z0-9_]*")
_NOT_ROWS = ("CREATE ", "ALTER ", "DROP ", "PRAGMA ", "ANALYZE", "REINDEX", "COMMENT ", "LOCK ", "SAVEPOINT", "RELEASE", "ROLLBACK")


@lru_cache(maxsize=4096)
def _names_records(statement: str) -> bool:
    return _RECORD_TABLE.search(statement) is not None and not statement.lstrip().upper().startswith(_NOT_ROWS)


def refuse_unscoped(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    """Event ``before_cursor_execute``: reads and writes of record tables (r_*, s_*) need the execution option ``scoped=True``.

    It looks at the text that leaves for the database, so nothing gets round it, whatever it was built with.
    """
    options = context.execution_options if context is not None else connection.get_execution_options()
    if not options.get("scoped") and _names_records(statement):
        raise UnscopedStatement(f"a record table is named outside the scope compiler (engine/scope.py): {statement[:200]}")
