"""A SQLite file as a database: opened safely, one writer at a time behind a fair lock, statements of readers limited in time."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from engine.database import Database, Engines
from engine.database_faults import refuse_unscoped
from engine.database_lock import FairLock
from engine.database_ready import run_text
from engine.database_resting import Resting
from engine.database_watch import Watch
from engine.errors import Unavailable
from engine.expressions.sqlite_functions import register
from engine.settings import Settings
from engine.storage import to_json

OLDEST_SQLITE = (3, 37, 0)
_RESTING = 6  # connections of a file kept at hand
_HEADER = b"SQLite format 3\x00"


def _from_json(kept: Any) -> Any:
    """JSON as SQLite gives it. Its JSON columns have numeric affinity: the text of a bare number comes back as that number."""
    return orjson.loads(kept) if kept.__class__ is str else kept


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
            ours = file.read(len(_HEADER)) == _HEADER
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
    cache = 8000 if writing else 2000  # KiB; readers, of whom there may be many, are not faster with 4000: the system keeps the file's pages, too
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
    engine = sa.create_engine("sqlite+pysqlite://", json_serializer=to_json, json_deserializer=_from_json, query_cache_size=2000, **words)
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
    long = _sqlite_engine(reader, 0, 0, "BEGIN", read.pool)
    write = _sqlite_engine(_opener(path, settings, writing=True), 1, 2, "BEGIN IMMEDIATE")
    for engine in (read, long):
        _limit_statements(engine, settings.statement_timeout)
    engines = Engines(read, long.execution_options(long=True), write, write)

    watch = Watch(reader)

    def close() -> None:
        watch.close()
        for engine in (read, write):
            engine.pool.dispose()  # not the engine: it would put another pool in its place, which long reads would not share

    return Database(
        "sqlite",
        engines,
        Resting(_RESTING),
        path=path,
        lock=FairLock(),
        timeout=settings.busy_timeout,
        synchronous=settings.sqlite_synchronous,
        watch=watch,
        close=close,
    )
