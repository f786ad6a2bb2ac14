"""One installation: its home database and the registry of workspaces, each opened once and kept while used. Publishes nothing, knows no person."""

from __future__ import annotations

import fcntl
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import monotonic, strftime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.bell import Bell
from engine.clock import STATE, State, StateBeside, move, wall
from engine.crypto import Keys
from engine.database import Database
from engine.database_sqlite import check_sqlite, create_file, open_sqlite
from engine.errors import Conflict, Invalid, NotFound, Unavailable
from engine.migrations import HEADS, Branch, state_of, upgrade
from engine.outbound import Outbound
from engine.rates import DatabaseRates, MemoryRates, Rates
from engine.settings import Settings
from engine.workspace import Workspace
from engine.workspace_load import load_workspace

if TYPE_CHECKING:
    from engine.api_tokens import Bearer
    from engine.database_postgresql import PostgresServer
    from engine.registry import Registry

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
OLDEST_POSTGRESQL = 15
HOME_SCHEMA = "tangram"
DEFAULT_TIMEZONE = "Asia/Shanghai"
_LOOK_AFTER = 1.0  # seconds a compiled version is trusted without a look at the database

#: Makes the published version a Workspace; ``known`` is the one of an earlier version, whose unchanged entities may be shared.
Loader = Callable[[sa.Connection, "Home", Database, State, Workspace | None], Workspace]


@dataclass(frozen=True, slots=True)
class WorkspaceEntry:
    """One workspace as the registry knows it."""

    name: str
    title: str
    sandbox: bool
    demo: bool
    created_at: datetime


class _Opened:
    """A workspace's database and, once asked for, its current compiled version."""

    __slots__ = ("database", "looked", "making", "state", "workspace")

    def __init__(self, database: Database) -> None:
        self.database = database
        self.workspace: Workspace | None = None
        self.state: State | None = None
        self.looked = float("-inf")
        self.making = Lock()


class Home:
    """The installation. Thread-safe; one per process."""

    def __init__(self, settings: Settings, registry: Registry, database: Database, server: PostgresServer | None, load: Loader) -> None:
        self.settings = settings
        self.registry = registry
        self.database = database
        self.keys = Keys.open(settings)
        self.outbound = Outbound(settings.outbound_networks)
        self.rates: Rates = MemoryRates() if server is None else DatabaseRates(database)
        self.bell = Bell(database if server is not None else None)
        database.ring = self.bell.ring
        self._server = server
        self._load = load
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._mutex = Lock()
        self.bearers: dict[str, Bearer] = {}  # by digest of a token, kept by api_tokens.py; guesses, always checked

    @classmethod
    def open(cls, settings: Settings, registry: Registry, load: Loader = load_workspace, *, migrate: bool = False) -> Home:
        """Open the installation; a new one is made. Raises Unavailable with the one reason it cannot be opened.

        ``migrate``: system tables of an older release are brought up to date (after a backup on SQLite); otherwise they are refused.
        ``load``: how a version is made a Workspace, for tests that need none.
        """
        check_sqlite()
        server = None if settings.embedded else _server(settings)
        if server is None:
            path = settings.home / "home.db"
            create_file(path)
            database = open_sqlite(path, settings)
        else:
            if server.version() < OLDEST_POSTGRESQL:
                raise Unavailable("postgresql_too_old", found=server.version(), needed=OLDEST_POSTGRESQL)
            if HOME_SCHEMA not in server.schemas():
                server.create_schema(HOME_SCHEMA)
            database = server.database(HOME_SCHEMA)
        home = cls(settings, registry, database, server, load)
        home._bring_up(database, "home", "home", migrate)
        return home

    def close(self) -> None:
        """Close every connection."""
        self.bell.close()
        self._let_go()

    def _let_go(self) -> None:
        for opened in self._opened.values():
            opened.database.close()
        self.database.close()
        if self._server is not None:
            self._server.close()

    def refill(self, put: Callable[[], None]) -> None:
        """Let go of every connection while ``put`` lays other contents of the same databases under them, and forget what was read of the old ones.

        What was made of definitions stays, where version and settings are the same: a copy of a workspace need not be compiled again.
        """
        self._let_go()
        put()
        self.bearers = {}
        for opened in self._opened.values():
            if opened.workspace is not None:
                opened.workspace = opened.workspace.unread()
            opened.looked = float("-inf")

    # -- releases

    def _bring_up(self, database: Database, branch: Branch, name: str, migrate: bool) -> bool:
        try:
            state = state_of(database, branch)
        except Unavailable as refusal:
            if database.path is None or refusal.code not in ("database_corrupt", "database_unreadable"):
                raise
            raise Unavailable("database_file_damaged", path=str(database.path)) from refusal
        if state == "newer":
            raise Unavailable("database_of_newer_release", name=name)
        if state == "older" and not migrate:
            raise Unavailable("database_of_older_release", name=name)
        if state == "older" and database.path is not None:
            self.copy_file(database.path, name)
        if state != "current":
            upgrade(database, branch)
        return state != "current"

    def copy_file(self, path: Path, name: str) -> Path:
        """A consistent copy of a SQLite file in the folder ``backups``."""
        target = self.settings.home / "backups" / f"{name}-{strftime('%Y%m%dT%H%M%S')}.db"
        create_file(target)
        source, copy = sqlite3.connect(path), sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
        return target

    def migrate(self) -> list[str]:
        """Bring the system tables of every workspace up to this release; the names of those that changed."""
        return [entry.name for entry in self.workspaces() if self._bring_up(self._connect(entry.name), "workspace", entry.name, True)]

    # -- the registry

    def workspaces(self) -> list[WorkspaceEntry]:
        """All workspaces by name."""
        table = tables.workspace
        columns = (table.c.name, table.c.title, table.c.sandbox, table.c.demo, table.c.created_at)
        with self.database.read() as connection:
            return [WorkspaceEntry(*row) for row in connection.execute(sa.select(*columns).where(table.c.state == "ready").order_by(table.c.name))]

    def _known(self, name: str) -> bool:
        table = tables.workspace
        with self.database.read() as connection:
            return connection.execute(sa.select(table.c.name).where(table.c.name == name, table.c.state == "ready")).first() is not None

    def _path(self, name: str) -> Path:
        return self.settings.home / "workspaces" / f"{name}.db"

    def _connect(self, name: str) -> Database:
        found = self._server.database(f"ws_{name}") if self._server is not None else open_sqlite(self._path(name), self.settings)
        found.ring = self.bell.ring
        return found

    @contextmanager
    def creating(
        self, name: str, title: str, *, sandbox: bool = False, demo: bool = False, now: datetime | None = None, timezone: str = DEFAULT_TIMEZONE
    ) -> Iterator[Database]:
        """A new, empty workspace at version 0, registered when the block ends well and gone without a trace when it does not.

        ``now`` is where a sandbox's clock starts. Raises Invalid for a name that cannot be one, Conflict when there is one.
        """
        if not NAME.fullmatch(name):
            raise Invalid("workspace_name", name=name)
        with self._alone(name):
            self._claim(name, title, sandbox, demo)
            try:
                database = self._make(name)
                with database.write() as connection:
                    connection.execute(
                        tables.workspace_state.insert().values(
                            id=1,
                            name=name,
                            title=title or name,
                            version=0,
                            permission_version=1,
                            settings_version=1,
                            sandbox=sandbox,
                            demo=demo,
                            now=(now or wall()) if sandbox else None,
                            release=HEADS["workspace"],
                            timezone=timezone,
                            hold_outgoing=False,
                            keys=self.keys.new_ring(),
                            created_at=wall(),
                        )
                    )
                yield database
            except BaseException:
                self._remove(name)
                raise
            with self.database.write() as connection:
                connection.execute(tables.workspace.update().where(tables.workspace.c.name == name).values(state="ready"))

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One process at a time makes this workspace; a killed one lets go of the lock by dying."""
        if self._server is not None:
            with self.database.write(direct=True) as connection:
                if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext(f"create {name}")))).scalar_one():
                    raise Conflict("workspace_being_made", name=name)
                yield
            return
        create_file(self._path(name).with_suffix(".lock"))
        with self._path(name).with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict("workspace_being_made", name=name) from None
            yield
            self._path(name).with_suffix(".lock").unlink(missing_ok=True)

    def _claim(self, name: str, title: str, sandbox: bool, demo: bool) -> None:
        table = tables.workspace
        with self.database.write() as connection:
            state = connection.execute(sa.select(table.c.state).where(table.c.name == name)).scalar_one_or_none()
            if state == "ready" or (state is None and self._server is None and self._path(name).exists()):
                raise Conflict("workspace_exists", name=name)
            connection.execute(table.delete().where(table.c.name == name))
            connection.execute(table.insert().values(name=name, title=title or name, sandbox=sandbox, demo=demo, state="creating", created_at=wall()))
        if state == "creating":
            self._drop(name)

    def _make(self, name: str) -> Database:
        if self._server is not None:
            self._server.create_schema(f"ws_{name}")
        else:
            create_file(self._path(name))
        database = self._connect(name)
        upgrade(database, "workspace")
        return self._keep(name, database).database

    def _remove(self, name: str) -> None:
        with self._mutex:
            opened = self._opened.pop(name, None)
        if opened is not None:
            opened.database.close()
        self._drop(name)
        with self.database.write() as connection:
            connection.execute(tables.workspace.delete().where(tables.workspace.c.name == name, tables.workspace.c.state == "creating"))

    def _drop(self, name: str) -> None:
        if self._server is not None:
            self._server.drop_schema(f"ws_{name}")
            return
        for suffix in (".db", ".db-wal", ".db-shm", ".lock", ".tx.lock", ".leased.lock", ".slow.lock"):
            self._path(name).with_suffix(suffix).unlink(missing_ok=True)

    # -- open workspaces

    def _open(self, name: str) -> _Opened:
        with self._mutex:
            opened = self._opened.get(name)
            if opened is not None:
                self._opened.move_to_end(name)
                return opened
        if not NAME.fullmatch(name) or not self._known(name):
            raise NotFound("unknown_workspace", name=name)
        database = self._connect(name)
        self._bring_up(database, "workspace", name, False)
        return self._keep(name, database)

    def _keep(self, name: str, database: Database) -> _Opened:
        """Hold a database open; the one longest unused is closed when there are too many."""
        with self._mutex:
            opened = self._opened.setdefault(name, _Opened(database))
            if len(self._opened) > self.settings.open_workspaces:
                self._opened.popitem(last=False)[1].database.close()
        if opened.database is not database:
            database.close()
        return opened

    def has_open(self, name: str) -> bool:
        """Whether this process has a workspace open: then it is there, and its tables are of this release."""
        return name in self._opened

    def database_of(self, name: str) -> Database:
        """The database of a workspace. Raises NotFound."""
        return self._open(name).database

    def workspace(self, name: str) -> Workspace:
        """The current version of a workspace, at most a second old. Raises NotFound."""
        opened = self._open(name)
        if opened.workspace is not None and monotonic() - opened.looked < _LOOK_AFTER:
            return opened.workspace
        return self.look(name)[0]

    def look(self, name: str) -> tuple[Workspace, State]:
        """The version and the state that hold this very moment (one small read): what a request begins with."""
        workspace, state, _ = self.look_beside(name, STATE)
        return workspace, state

    def standing(self, name: str, state: State) -> Workspace | None:
        """The workspace as this state describes it, when it is at hand: for those who have read the state already."""
        opened = self._open(name)
        return None if opened.state is None or _differs(opened.state, state) else opened.workspace

    def last(self, name: str) -> tuple[Workspace, State] | None:
        """What this process saw last of a workspace it has open: what stands may be newer."""
        opened = self._opened.get(name)
        return None if opened is None or opened.workspace is None or opened.state is None else (opened.workspace, opened.state)

    def look_beside(self, name: str, what: StateBeside, connection: sa.Connection | None = None, **binds: object) -> tuple[Workspace, State, Sequence[Any]]:
        """As ``look``, with what was read in the same statement: a row that tells who asks. ``connection``: of a transaction that has changed nothing yet."""
        opened = self._open(name)
        state, beside = what.read(opened.database, **binds) if connection is None else what.read_on(connection, **binds)
        if opened.workspace is None or opened.state is None or _differs(opened.state, state):
            with nullcontext(connection) if connection is not None else opened.database.read() as reading:
                self._refresh(reading, opened, state)
        opened.state, opened.looked = state, monotonic()
        assert opened.workspace is not None
        return opened.workspace, state, beside

    def _refresh(self, connection: sa.Connection, opened: _Opened, state: State) -> None:
        with opened.making:
            if opened.workspace is None or opened.state is None or _differs(opened.state, state):
                opened.workspace = self._load(connection, self, opened.database, state, opened.workspace)
                opened.state = state

    def at(self, connection: sa.Connection, known: Workspace, state: State) -> Workspace:
        """The version ``state`` names, made inside an open transaction that found it newer than ``known``."""
        return self._load(connection, self, known.database, state, known)

    def look_again(self, name: str) -> None:
        """Something was published or moved by this process: the next use looks at the database."""
        opened = self._opened.get(name)
        if opened is not None:
            opened.looked = float("-inf")

    def move_clock(self, name: str, to: datetime) -> datetime:
        """Move a sandbox's clock forward. Raises Denied on a live workspace, Invalid for an earlier instant."""
        with self.database_of(name).write() as connection:
            found = move(connection, to)
        self.look_again(name)
        return found


def _differs(old: State, new: State) -> bool:
    """Whether what a compiled workspace was made from has changed."""
    return (old.version, old.settings_version, old.title, old.timezone, old.sandbox, old.demo) != (
        new.version,
        new.settings_version,
        new.title,
        new.timezone,
        new.sandbox,
        new.demo,
    )


def _server(settings: Settings) -> PostgresServer:
    """The server of the settings. Its driver, nine megabytes, is loaded where there is one."""
    from engine.database_postgresql import PostgresServer

    return PostgresServer(settings)
