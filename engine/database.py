"""One database, SQLite file or PostgreSQL schema: connections to read, to read consistently, to write. The only commit of the house is here."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import sqlalchemy as sa

from engine.bell import was_asked
from engine.database_faults import LostRace, told_plainly
from engine.database_lock import FairLock
from engine.database_ready import Ready, run_text
from engine.database_resting import Resting
from engine.database_watch import Watch
from engine.errors import Unavailable

Dialect = Literal["sqlite", "postgresql"]
T = TypeVar("T")
#: Where a connection's ``info`` tells about the try it serves.
TRY = "try"


class Try(NamedTuple):
    """One try of a transaction that may be run again: how many follow, and the records (entity, id) it was lost about before."""

    left: int
    fought: frozenset[tuple[str, int]]


_MOST_ANSWERS = 5000
#: What begins a read-only transaction that sees one state.
_ONE_STATE = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
#: Where a SQLite connection's ``info`` tells how its commits wait for the disc.
_SYNCHRONOUS = "synchronous"
#: How a commit that need not outlive a power failure waits instead.
_LAX = {"FULL": "NORMAL", "EXTRA": "NORMAL"}
_LAX_COMMIT = Ready(sa.select(sa.func.set_config("synchronous_commit", "off", True)))


@dataclass(frozen=True, slots=True)
class Engines:
    """Pools of one SQLite file or one PostgreSQL schema. ``long`` reads one state without a time limit, ``direct`` passes by a pooler."""

    read: sa.Engine
    long: sa.Engine
    write: sa.Engine
    direct: sa.Engine


class Database:
    """One database. Every way in is a context manager giving a connection; nested use passes the connection on instead of opening a second.

    ``read``: single statements, each on its own. ``snapshot``: several statements that see one state. ``write``: one transaction, committed
    at the end of the block, rolled back by any exception. Driver errors about the database's state become refusals (database_faults).
    """

    __slots__ = ("_answers", "_close", "_engines", "_lock", "_resting", "_synchronous", "_timeout", "_watch", "dialect", "path", "ring", "schema")

    def __init__(
        self,
        dialect: Dialect,
        engines: Engines,
        resting: Resting,
        *,
        schema: str | None = None,
        path: Path | None = None,
        lock: FairLock | None = None,
        timeout: float = 60.0,
        synchronous: str = "",
        watch: Watch | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.dialect = dialect
        self.schema = schema
        self.path = path
        self._engines = engines
        self._resting = resting
        self._lock = lock
        self._timeout = timeout
        self._synchronous = synchronous  # how SQLite commits what must outlive a power failure
        self._watch = watch
        self._answers: tuple[int, dict[Hashable, Any]] = (0, {})
        self._close = close
        self.ring: Callable[[], None] = lambda: None  # called after a commit that asked for work

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Autocommit: for one statement, or several that need not agree. Nothing can be written through it."""
        with told_plainly(), self._resting.lend(self._engines.read) as connection:
            yield connection

    def kept(self, key: Hashable, ask: Callable[[sa.Connection], T]) -> T:
        """What ``ask`` reads under this key, not read again while nobody has committed anything to this database.

        SQLite tells in microseconds whether somebody has, in any process; PostgreSQL is asked each time. For the small reads every request begins
        with, of nothing that changes by itself (the time).
        """
        mark = self._watch.mark() if self._watch is not None else None
        if mark is None:
            with self.read() as connection:
                return ask(connection)
        answers = self._answers  # one tuple: an answer never lands under another mark than the one it was read after
        if answers[0] != mark or len(answers[1]) > _MOST_ANSWERS:
            answers = self._answers = (mark, {})
        if key not in answers[1]:
            with self.read() as connection:
                answers[1][key] = ask(connection)
        found: T = answers[1][key]
        return found

    @contextmanager
    def snapshot(self, *, long: bool = False) -> Iterator[sa.Connection]:
        """One read-only state for several statements. ``long``: without the time limit of requests, for exports and reports."""
        if long:
            with told_plainly(), self._resting.lend(self._engines.long) as connection, connection.begin():
                yield connection
            return
        with told_plainly(), self._resting.lend(self._engines.read) as connection:
            run_text(connection, _ONE_STATE[self.dialect])
            try:
                yield connection
            except BaseException:
                with suppress(sa.exc.DBAPIError):  # what ended the transaction by itself
                    if not connection.invalidated:
                        run_text(connection, "ROLLBACK")
                raise
            run_text(connection, "COMMIT")  # after a rollback psycopg would forget its prepared statements, and every page would be planned anew

    @contextmanager
    def write(self, *, background: bool = False, direct: bool = False, lasting: bool = True) -> Iterator[sa.Connection]:
        """The only commit. ``background`` work waits behind people's requests (SQLite); ``direct`` for publishing and migrating (PostgreSQL).

        Not ``lasting``: nobody is told that it is done, and what a power failure takes back as a whole is done again; the disc is not waited for.
        """
        if self._lock is not None and not self._lock.acquire(self._timeout, background=background):
            raise Unavailable("database_busy")
        try:
            with told_plainly(), self._writer(direct) as connection:
                if self._synchronous:
                    _wait_for_disc(connection, self._synchronous if lasting else _LAX.get(self._synchronous, self._synchronous))
                with connection.begin():
                    if not lasting and not self._synchronous:
                        _LAX_COMMIT.run(connection)
                    yield connection
                asked = was_asked(connection)
        finally:
            if self._lock is not None:
                self._lock.release()
        if asked:
            self.ring()

    def _writer(self, direct: bool) -> AbstractContextManager[sa.Connection]:
        return self._engines.direct.connect() if direct else self._resting.lend(self._engines.write)

    @contextmanager
    def outside(self) -> Iterator[sa.Connection]:
        """Outside any transaction, for what PostgreSQL refuses inside one (CREATE INDEX CONCURRENTLY); each statement stands at once."""
        if self.dialect == "sqlite":
            raise RuntimeError("SQLite changes tables inside write()")
        with told_plainly(), self._engines.direct.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            yield connection

    def transact(self, work: Callable[[sa.Connection], T], *, attempts: int = 3, background: bool = False, again: tuple[type[Exception], ...] = ()) -> T:
        """Run ``work`` in a write transaction; when it loses a race (or raises one of ``again``), the whole of it runs again.

        ``connection.info[TRY]`` tells it how many tries are left and which records it lost before, to take hold of first.
        """
        losing: tuple[type[Exception], ...] = (LostRace, *again)
        fought: set[tuple[str, int]] = set()
        for left in range(attempts - 1, -1, -1):
            try:
                with self.write(background=background) as connection:
                    connection.info[TRY] = Try(left, frozenset(fought))
                    try:
                        return work(connection)
                    finally:
                        connection.info.pop(TRY, None)
            except losing as lost:
                if not left:
                    raise
                if isinstance(lost, LostRace) and lost.row is not None:
                    fought.add(lost.row)
        raise AssertionError("attempts must be at least 1")

    def wanted(self) -> bool:
        """Whether a request waits to write: background work should end its batch now (SQLite; PostgreSQL does not queue)."""
        return self._lock is not None and self._lock.wanted()

    def close(self) -> None:
        """Close idle connections; those in use close when given back."""
        self._resting.let_go(self._engines.read, self._engines.long, self._engines.write)
        self._answers = (0, {})
        self._close()


def _wait_for_disc(connection: sa.Connection, synchronous: str) -> None:
    """How the next commits of a SQLite connection wait."""
    if connection.info.get(_SYNCHRONOUS) != synchronous:
        run_text(connection, f"PRAGMA synchronous={synchronous}")
        connection.info[_SYNCHRONOUS] = synchronous
