"""One database, SQLite file or PostgreSQL schema: connections to read, to read consistently, to write. The only commit of the house is here."""

import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

import orjson
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool, QueuePool

from engine.bell import was_asked
from engine.database_faults import LostRace, refuse_unscoped, told_plainly
from engine.database_lock import FairLock
from engine.database_ready import execute_anew, run_text
from engine.database_watch import Watch
from engine.errors import Unavailable
from engine.expressions.sqlite_functions import register
from engine.settings import Settings

Dialect = Literal["sqlite", "postgresql"]
T = TypeVar("T")
#: Where a connection's ``info`` tells about the try it serves.
TRY = "try"


class Try(NamedTuple):
    """One try of a transaction that may be run again: how many follow, and the records (entity, id) it was lost about before."""

    left: int
    fought: frozenset[tuple[str, int]]


OLDEST_SQLITE = (3, 37, 0)
_MOST_ANSWERS = 5000
_SQLITE_HEADER = b"SQLite format 3\x00"
_NO_DISC_ARM = "-c random_page_cost=1.1"  # PostgreSQL's own 4 weighs an index against a walk as if a disc had to turn to each row
_PING_AFTER = 1.0  # seconds a pooled connection may rest before it is asked whether it still lives


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _from_json(kept: Any) -> Any:
    """JSON as the database gives it. SQLite's JSON columns have numeric affinity: the text of a bare number comes back as that number."""
    return kept if isinstance(kept, int | float) else orjson.loads(kept)


@dataclass(frozen=True, slots=True)
class _Engines:
    """Pools of one SQLite file or one PostgreSQL schema. ``long`` reads without a time limit, ``direct`` passes by a pooler."""

    read: sa.Engine
    snapshot: sa.Engine
    long: sa.Engine
    write: sa.Engine
    direct: sa.Engine


class Database:
    """One database. Every way in is a context manager giving a connection; nested use passes the connection on instead of opening a second.

    ``read``: single statements, each on its own. ``snapshot``: several statements that see one state. ``write``: one transaction, committed
    at the end of the block, rolled back by any exception. Driver errors about the database's state become refusals (database_faults).
    """

    __slots__ = ("_answers", "_asker", "_asking", "_close", "_engines", "_lock", "_timeout", "_watch", "dialect", "path", "ring", "schema")

    def __init__(
        self,
        dialect: Dialect,
        engines: _Engines,
        *,
        schema: str | None = None,
        path: Path | None = None,
        lock: FairLock | None = None,
        timeout: float = 60.0,
        watch: Watch | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.dialect = dialect
        self.schema = schema
        self.path = path
        self._engines = engines
        self._lock = lock
        self._timeout = timeout
        self._watch = watch
        self._answers: tuple[int, dict[Hashable, Any]] = (0, {})
        self._asker: sa.Connection | None = None
        self._asking = Lock()
        self._close = close
        self.ring: Callable[[], None] = lambda: None  # called after a commit that asked for work

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Autocommit: for one statement, or several that need not agree. Nothing can be written through it."""
        with told_plainly(), self._engines.read.connect() as connection:
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
            answers[1][key] = self._asked(ask)
        found: T = answers[1][key]
        return found

    def _asked(self, ask: Callable[[sa.Connection], T]) -> T:
        """On a connection that is never given back: after a commit every request asks, and taking one costs more than the answer. One at a time."""
        with self._asking:
            asker = self._asker = self._asker or self._engines.read.connect()
            try:
                with told_plainly():
                    return ask(asker)
            except BaseException:
                self._asker = None
                asker.close()
                raise

    @contextmanager
    def snapshot(self, *, long: bool = False) -> Iterator[sa.Connection]:
        """One read-only state for several statements. ``long``: without the time limit of requests, for exports and reports."""
        with told_plainly(), (self._engines.long if long else self._engines.snapshot).connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, background: bool = False, direct: bool = False) -> Iterator[sa.Connection]:
        """The only commit. ``background`` work waits behind people's requests (SQLite); ``direct`` for publishing and migrating (PostgreSQL)."""
        if self._lock is not None and not self._lock.acquire(self._timeout, background=background):
            raise Unavailable("database_busy")
        try:
            with told_plainly(), (self._engines.direct if direct else self._engines.write).connect() as connection:
                with connection.begin():
                    yield connection
                asked = was_asked(connection)
        finally:
            if self._lock is not None:
                self._lock.release()
        if asked:
            self.ring()

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
        with self._asking:
            if self._asker is not None:
                self._asker.close()
            self._asker = None
        self._close()


# --- SQLite --------------------------------------------------------------------------------------------------------------------------------


def check_sqlite() -> None:
    """Raises Unavailable when Python's SQLite is too old or has no full-text search."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Unavailable("sqlite_too_old", found=sqlite3.sqlite_version, needed=".".join(map(str, OLDEST_SQLITE[:2])))
    probe = sqlite3.connect(":memory:")
    try:
        probe.execute("CREATE VIRTUAL TABLE t USING fts5(x, detail=none)")
    except sqlite3.OperationalError:
        raise Unavailable("sqlite_without_fts", found=sqlite3.sqlite_version) from None
    finally:
        probe.close()


def check_file(path: Path) -> None:
    """Raises Unavailable when ``path`` cannot be read or is no SQLite database.

    Asks SQLite and never opens the file itself: closing any other descriptor of it would drop the POSIX locks of every connection this process
    has to it, and the next process to leave would take the write-ahead log away from under them.
    """
    try:
        path.stat()
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=5)) as connection:
            connection.execute("PRAGMA schema_version").fetchall()
    except OSError as error:
        raise Unavailable("database_file_unreadable", path=str(path), reason=error.strerror or type(error).__name__) from error
    except sqlite3.OperationalError as error:
        raise Unavailable("database_file_unreadable", path=str(path), reason=str(error)) from error
    except sqlite3.DatabaseError as error:
        with path.open("rb") as file:  # nobody can have a connection to what SQLite refuses
            ours = file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
        raise Unavailable("database_file_damaged" if ours else "database_file_foreign", path=str(path)) from error


def create_file(path: Path) -> None:
    """An empty database file only its owner can read. Raises Unavailable when the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise Unavailable("database_file_unreadable", path=str(path), reason=error.strerror or type(error).__name__) from error


class _Deadline:
    """When the running statement of one SQLite connection must have ended."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = float("inf")

    def over(self) -> bool:
        return monotonic() > self.at


def _opener(path: Path, settings: Settings, *, writing: bool) -> Callable[[], sqlite3.Connection]:
    uri = f"file:{quote(str(path))}?mode=rw"
    words = ["journal_mode=WAL"] if writing else ["query_only=ON"]
    cache = 8000 if writing else 4000  # KiB; readers, of whom there may be many, were not slower with 2000: the system keeps the file's pages, too
    words += [f"synchronous={settings.sqlite_synchronous}", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY", f"cache_size=-{cache}"]

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=settings.busy_timeout, cached_statements=256)
        try:
            for word in words:
                connection.execute(f"PRAGMA {word}").close()
            register(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    return connect


def _sqlite_engine(opener: Callable[[], sqlite3.Connection], size: int, overflow: int, begin: str = "", pool: Any = None) -> sa.Engine:
    words: dict[str, Any] = (
        {"pool": pool} if pool is not None else {"creator": opener, "poolclass": QueuePool, "pool_size": size, "max_overflow": overflow, "pool_timeout": 30}
    )
    engine = sa.create_engine("sqlite+pysqlite://", json_serializer=_to_json, json_deserializer=_from_json, query_cache_size=2000, **words)
    sa.event.listen(engine, "before_cursor_execute", refuse_unscoped)

    def start(connection: sa.Connection) -> None:
        run_text(connection, begin)

    if begin:
        sa.event.listen(engine, "begin", start)
    return engine


def _limit_statements(engine: sa.Engine, seconds: float) -> None:
    """SQLite has no statement timeout: a progress handler looks at the clock."""

    def install(connection: sqlite3.Connection, record: Any) -> None:
        deadline = record.info["deadline"] = _Deadline()
        connection.set_progress_handler(deadline.over, 50_000)

    def start(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        limit = float("inf") if connection.get_execution_options().get("long") else monotonic() + seconds
        connection.info["deadline"].at = limit

    if not getattr(engine.pool, "limited", False):
        sa.event.listen(engine.pool, "connect", install)
        engine.pool.limited = True  # type: ignore[attr-defined]
    sa.event.listen(engine, "before_cursor_execute", start)


def open_sqlite(path: Path, settings: Settings) -> Database:
    """The database in an existing file. Raises Unavailable when it is none; reads and writes have pools of their own."""
    check_file(path)
    reader = _opener(path, settings, writing=False)
    read = _sqlite_engine(reader, settings.pool_size, 40)
    snapshot = _sqlite_engine(reader, 0, 0, "BEGIN", read.pool)
    write = _sqlite_engine(_opener(path, settings, writing=True), 1, 2, "BEGIN IMMEDIATE")
    for engine in (read, snapshot):
        _limit_statements(engine, settings.statement_timeout)
    engines = _Engines(read, snapshot, snapshot.execution_options(long=True), write, write)

    watch = Watch(reader)

    def close() -> None:
        watch.close()
        read.dispose()
        write.dispose()

    return Database("sqlite", engines, path=path, lock=FairLock(), timeout=settings.busy_timeout, watch=watch, close=close)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------------------------------


def _keep_alive(engine: sa.Engine) -> None:
    """Ask a connection that rested whether it lives; cheaper than asking at every checkout, and a restart of the server heals itself."""

    def given_back(connection: Any, record: Any) -> None:
        record.info["rested"] = monotonic()

    def taken(connection: psycopg.Connection[Any], record: Any, proxy: Any) -> None:
        if monotonic() - record.info.get("rested", float("inf")) < _PING_AFTER or "rested" not in record.info:
            return
        try:
            autocommit = connection.autocommit
            connection.autocommit = True
            connection.execute("SELECT 1").close()
            connection.autocommit = autocommit
        except psycopg.Error as error:
            raise sa.exc.DisconnectionError from error

    sa.event.listen(engine, "checkin", given_back)
    sa.event.listen(engine, "checkout", taken)


def _execute_anew(cursor: psycopg.Cursor[Any], statement: Any, parameters: Any, context: Any) -> bool:
    """Event ``do_execute`` of the read engine."""
    execute_anew(cursor, statement, parameters)
    return True


class PostgresServer:
    """The connections to one PostgreSQL database, shared by the schemas in it."""

    def __init__(self, settings: Settings) -> None:
        limit = f"-c statement_timeout={round(settings.statement_timeout * 1000)} {_NO_DISC_ARM}"
        pools = {"pool_size": settings.pool_size, "max_overflow": settings.pool_overflow, "pool_timeout": 30}
        self._read = self._engine(settings, settings.database_url, limit, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **pools)
        self._write = self._engine(settings, settings.database_url, "", **pools)
        self._direct = self._engine(settings, settings.direct_database_url or settings.database_url, "", poolclass=NullPool)
        for engine in (self._read, self._write):
            _keep_alive(engine)
        sa.event.listen(self._read, "do_execute", _execute_anew)

    @staticmethod
    def _engine(settings: Settings, url: str, options: str, **words: Any) -> sa.Engine:
        # A transaction pooler neither takes start-up options nor keeps our prepared statements apart (it returned another workspace's row).
        arguments: dict[str, Any] = {"connect_timeout": 5, "prepare_threshold": None if settings.pooler else 5}
        if not settings.pooler:
            arguments["options"] = f"{make_url(url).query.get('options', '')} -c timezone=UTC {options}".strip()
        engine = sa.create_engine(url, connect_args=arguments, json_serializer=_to_json, json_deserializer=orjson.loads, query_cache_size=2000, **words)
        sa.event.listen(engine, "before_cursor_execute", refuse_unscoped)
        return engine

    def database(self, schema: str) -> Database:
        """The database in one schema: unqualified tables are looked up there, by name, in every statement."""

        def at(engine: sa.Engine, **options: Any) -> sa.Engine:
            return engine.execution_options(schema_translate_map={None: schema}, **options)

        one_state = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        engines = _Engines(at(self._read), at(self._read, **one_state), at(self._write, **one_state), at(self._write), at(self._direct))
        return Database("postgresql", engines, schema=schema)

    def schemas(self) -> set[str]:
        """The schemas there are. Raises Unavailable when the server cannot be reached."""
        with told_plainly(), self._read.connect() as connection:
            return set(sa.inspect(connection).get_schema_names())

    def version(self) -> int:
        """The server's major version."""
        with told_plainly(), self._read.connect() as connection:
            return int(connection.dialect.server_version_info[0]) if connection.dialect.server_version_info else 0

    def create_schema(self, name: str) -> None:
        """Make a schema unless it is there."""
        with told_plainly(), self._direct.begin() as connection:
            connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))

    def drop_schema(self, name: str) -> None:
        """Remove a schema with everything in it."""
        with told_plainly(), self._direct.begin() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))

    def close(self) -> None:
        """Close idle connections."""
        for engine in (self._read, self._write):
            engine.dispose()
