"""What time it is in a workspace: database time for a live one, a stored value for a sandbox. Everything that asks for the time asks here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from engine import system_tables as tables
from engine.database import Database
from engine.database_ready import Ready
from engine.errors import Denied, Invalid, NotFound
from engine.storage import Instant

_state = tables.workspace_state
_PEOPLE_CHANGED, _NEVER = "tangram_people_changed", object()


def wall() -> datetime:
    """This machine's time; the time of a database only where both are one machine (SQLite)."""
    return datetime.now(UTC)


def database_now(connection: sa.Connection) -> datetime:
    """The database's time: on PostgreSQL that of the transaction's begin, on SQLite this machine's."""
    if connection.dialect.name == "sqlite":
        return wall()
    found = connection.execute(sa.select(sa.func.now(type_=Instant()))).scalar_one()
    assert isinstance(found, datetime)
    return found


@dataclass(frozen=True, slots=True)
class State:
    """The one row of workspace_state, and the time it was read at by the workspace's clock."""

    name: str
    title: str
    version: int
    permission_version: int
    settings_version: int
    sandbox: bool
    demo: bool
    release: str
    timezone: ZoneInfo
    preset: str
    preset_version: str
    hold_outgoing: bool
    now: datetime


_columns = (
    _state.c.name,
    _state.c.title,
    _state.c.version,
    _state.c.permission_version,
    _state.c.settings_version,
    _state.c.sandbox,
    _state.c.demo,
    _state.c.release,
    _state.c.timezone,
    _state.c.preset,
    _state.c.preset_version,
    _state.c.hold_outgoing,
    _state.c.now,
)
_select_sqlite = sa.select(*_columns, sa.null().label("database_now"))
_select_postgresql = sa.select(*_columns, sa.func.now(type_=Instant()).label("database_now"))
_ready = {"sqlite": Ready(_select_sqlite), "postgresql": Ready(_select_postgresql)}


def read_state(connection: sa.Connection, *, lock: bool = False) -> State:
    """The workspace's state in one statement. ``lock``: held until the transaction ends (publishing, moving the clock)."""
    if lock:
        select = _select_sqlite if connection.dialect.name == "sqlite" else _select_postgresql
        row: Sequence[Any] | None = connection.execute(select.with_for_update()).one_or_none()
    else:
        row = _ready[connection.dialect.name].first(connection)
    if row is None:
        raise NotFound("workspace_empty")
    return _state_of(row)


class StateBeside:
    """Reads the state together with one row of another system table, in one statement. ``on``: which row; its binds are given when it is read."""

    def __init__(self, table: sa.FromClause | None = None, on: sa.ColumnElement[bool] | None = None, *columns: sa.ColumnElement[Any]) -> None:
        self._selects = {
            name: Ready(select if table is None or on is None else select.add_columns(*columns).select_from(_state.outerjoin(table, on)))
            for name, select in (("sqlite", _select_sqlite), ("postgresql", _select_postgresql))
        }

    def read(self, database: Database, **binds: object) -> tuple[State, Sequence[Any]]:
        """The state as it is now, and the other row's columns: all None when there is none. Raises NotFound as ``read_state``."""
        return self._told(database.kept((self, *binds.values()), lambda connection: self._selects[connection.dialect.name].first(connection, binds)))

    def read_on(self, connection: sa.Connection, **binds: object) -> tuple[State, Sequence[Any]]:
        """The same as an open transaction sees it."""
        return self._told(self._selects[connection.dialect.name].first(connection, binds))

    @staticmethod
    def _told(row: Sequence[Any] | None) -> tuple[State, Sequence[Any]]:
        if row is None:
            raise NotFound("workspace_empty")
        own = len(_columns) + 1
        return _state_of(row[:own]), row[own:]


#: The state alone.
STATE = StateBeside()


def _state_of(row: Sequence[Any]) -> State:
    *words, hold, sandbox_now, database_time = row
    name, title, version, permission, settings, sandbox, demo, release, zone, preset, preset_version = words
    now = sandbox_now if sandbox and sandbox_now is not None else database_time or wall()
    return State(name, title, version, permission, settings, sandbox, demo, release, ZoneInfo(zone), preset or "", preset_version or "", hold, now)


def move(connection: sa.Connection, to: datetime) -> datetime:
    """Move a sandbox's clock forward, inside a write transaction. Raises Denied on a live workspace, Invalid when ``to`` is earlier.

    Values of settings that come into force on the way count from then on.
    """
    state = read_state(connection, lock=True)
    if not state.sandbox:
        raise Denied("clock_of_live_workspace", workspace=state.name)
    if to < state.now:
        raise Invalid("clock_backwards", now=state.now.isoformat(), to=to.isoformat())
    comes = sa.select(tables.setting_value.c.id).where(tables.setting_value.c.in_force_from > state.now, tables.setting_value.c.in_force_from <= to).limit(1)
    raised = int(connection.execute(comes).first() is not None)
    connection.execute(_state.update().values(now=to, settings_version=_state.c.settings_version + raised))
    return to


def raise_permission_version(connection: sa.Connection) -> None:
    """To be called by whatever changes people, teams or roles, in the same transaction: every cached right is read anew."""
    connection.execute(_state.update().values(permission_version=_state.c.permission_version + 1))


def note_people_changed(connection: sa.Connection) -> None:
    """This transaction has changed people, teams or roles: what was read of them before, or is read in it, holds for nobody else."""
    connection.info[_PEOPLE_CHANGED] = connection.get_transaction()


def has_changed_people(connection: sa.Connection) -> bool:
    """Whether the connection's transaction has."""
    return connection.info.get(_PEOPLE_CHANGED, _NEVER) is connection.get_transaction()


def raise_settings_version(connection: sa.Connection) -> None:
    """To be called by whatever changes values of settings or switches rules on and off, in the same transaction: every process reads them anew."""
    connection.execute(_state.update().values(settings_version=_state.c.settings_version + 1))
