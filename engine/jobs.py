"""Work to do after a commit: put into the same transaction as the change that asks for it, claimed under a lease, retried, given up on in the open.

Two modes, chosen by the kind of job. ``leased``: its function runs outside any transaction and writes in its own; what it has done so far it keeps by
``checkpoint`` in the same transaction as the work, so that a job killed half-way resumes exactly there; calls to the outside are at least once, with the
job's key. ``tx``: its function runs inside the transaction that ends the job, so that what it writes to the database happens exactly once. Job times are
the machine's (PostgreSQL: the server's), not a sandbox's clock: an import is not to wait for a rehearsal. What runs jobs is worker.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from engine.bell import note_asked
from engine.clock import wall
from engine.database_ready import Ready
from engine.errors import Conflict, NotFound
from engine.system_tables import home_job, workspace_job

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

HOME_SCHEMA = "tangram"
WAITING, DONE, DEAD = "waiting", "done", "dead"

_on_postgresql = home_job.to_metadata(sa.MetaData(), schema=HOME_SCHEMA)


def table_for(dialect: str) -> sa.Table:
    """Where jobs lie: in the workspace's file on SQLite, in the home schema on PostgreSQL; either way the transaction of the change reaches it."""
    return workspace_job if dialect == "sqlite" else _on_postgresql


class LeaseLost(Exception):
    """Another worker has taken the job over: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one attempt of a ``tx`` job ended. ``code`` "" = well; ``final``: it is not tried again."""

    run: JobRun
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    final: bool = True
    refused: bool = False  # by a refusal, not by a mistake or the database's state
    micros: int = 0


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a job's name means. ``retries``: tries after the first; refusals (wrong input) are never tried again.

    Of ``tx`` jobs several share a transaction: ``prepare`` is called once with all of them and what it gives is their ``shared``; ``together`` is entered
    around those that stand or fall together (all that follow one another, or each alone in a savepoint) and may give them another; ``ended`` is called
    before the commit with how they ended. ``slow`` leased ones have a loop of their own, so that nothing that is quickly done waits behind them.
    """

    name: str
    run: Callable[[JobRun], Mapping[str, Any] | None]
    retries: int = 8
    mode: Literal["leased", "tx"] = "leased"
    prepare: Callable[[sa.Connection, Sequence[JobRun]], Any] | None = None
    together: Callable[[Any, Sequence[JobRun]], AbstractContextManager[Any]] | None = None
    ended: Callable[[sa.Connection, Any, Sequence[Ended]], None] | None = None
    slow: bool = False


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as people see it. ``state``: waiting, running, done or dead; ``progress`` holds ``done`` and ``total`` and whatever the job adds.

    ``run_at``: when a waiting one is tried (again), of a running one the end of its lease.
    """

    id: int
    name: str
    state: str
    progress: Mapping[str, Any]
    error: Mapping[str, Any] | None
    person: int | None
    created_at: datetime
    done_at: datetime | None
    args: Mapping[str, Any]
    attempts: int
    run_at: datetime


def moment(connection: sa.Connection, later: timedelta = timedelta()) -> Any:
    """The database's time, or one that much later, to be written or compared with: on PostgreSQL read where it is used."""
    if connection.dialect.name == "sqlite":
        return wall() + later
    return sa.func.now() + later if later else sa.func.now()


def put(
    connection: sa.Connection,
    workspace: str,
    name: str,
    args: Mapping[str, Any],
    *,
    key: str | None = None,
    run_at: datetime | None = None,
    person: int | None = None,
) -> int:
    """Ask for work in the caller's transaction; gives the job's id. A job with the same ``key`` that still waits is that job already."""
    table = table_for(connection.dialect.name)
    if key is not None:
        standing = connection.execute(sa.select(table.c.id).where(table.c.key == _own_key(workspace, key))).scalar_one_or_none()
        if standing is not None:
            return int(standing)
    note_asked(connection)
    dialect = connection.dialect.name
    now = wall() if dialect == "sqlite" else None  # on PostgreSQL the statement's own
    made = _putting(dialect, run_at is not None).first(connection, _row(workspace, name, args, key, run_at or now, now, person))
    assert made is not None
    return int(made[0])


@dataclass(frozen=True, slots=True)
class Asked:
    """One of many jobs asked for together. ``key``: none that still waits has it."""

    args: Mapping[str, Any]
    key: str | None = None
    person: int | None = None


def put_all(connection: sa.Connection, workspace: str, name: str, asked: Sequence[Asked]) -> None:
    """Ask for many jobs in one go, to be begun at once and in this order."""
    if asked:
        note_asked(connection)
        dialect = connection.dialect.name
        now = wall() if dialect == "sqlite" else None
        _putting(dialect, later=False, told=False).run_each(connection, [_row(workspace, name, one.args, one.key, now, now, one.person) for one in asked])


@cache
def _putting(dialect: str, later: bool, told: bool = True) -> Ready:
    """The INSERT of one job, to be begun at once or ``later``; gives its id when it is to be ``told``."""
    table = table_for(dialect)
    given = {column.name for column in table.c} - {"id", "worker", "error", "done_at"}
    timed = () if dialect == "sqlite" else ("created_at",) if later else ("created_at", "run_at")
    insert = sa.insert(table).values({name: sa.func.now() for name in timed}) if timed else sa.insert(table)
    return Ready(insert.returning(table.c.id) if told else insert.inline(), sorted(given - set(timed)))


def _own_key(workspace: str, key: str) -> str:
    """A key as the table holds it, which on PostgreSQL is that of all workspaces."""
    return f"{workspace}/{key}"


def _row(workspace: str, name: str, args: Mapping[str, Any], key: str | None, run_at: Any, now: Any, person: int | None) -> dict[str, Any]:
    return {
        "workspace": workspace,
        "queue": WAITING,
        "name": name,
        "key": None if key is None else _own_key(workspace, key),
        "args": dict(args),
        "run_at": run_at,
        "attempts": 0,
        "progress": {},
        "person": person,
        "created_at": now,
    }


def _state_of(row: Any) -> JobState:
    state = {DONE: DONE, DEAD: DEAD}.get(row.queue) or ("running" if row.worker else "waiting")
    error = row.error and {"code": row.error} | dict((row.progress or {}).get("error") or {})
    return JobState(row.id, row.name, state, row.progress or {}, error or None, row.person, row.created_at, row.done_at, row.args, row.attempts, row.run_at)


def find(database: Database, workspace: str, job: int) -> JobState:
    """One job of a workspace. Raises NotFound."""
    table = table_for(database.dialect)
    with database.read() as connection:
        row = connection.execute(sa.select(table).where(table.c.id == job, table.c.workspace == workspace)).one_or_none()
    if row is None:
        raise NotFound("unknown_job", id=job)
    return _state_of(row)


def newest(database: Database, workspace: str, *, limit: int = 50) -> list[JobState]:
    """The newest jobs of a workspace."""
    table = table_for(database.dialect)
    with database.read() as connection:
        rows = connection.execute(sa.select(table).where(table.c.workspace == workspace).order_by(table.c.id.desc()).limit(limit)).all()
    return [_state_of(row) for row in rows]


def given_up(database: Database, workspace: str, *, name: str = "", limit: int = 500) -> list[JobState]:
    """The dead jobs of a workspace (of one name), newest first."""
    table = table_for(database.dialect)
    select = sa.select(table).where(table.c.workspace == workspace, table.c.queue == DEAD).order_by(table.c.id.desc()).limit(limit)
    with database.read() as connection:
        rows = connection.execute(select.where(table.c.name == name) if name else select).all()
    return [_state_of(row) for row in rows]


def run_again(connection: sa.Connection, workspace: str, *jobs: int) -> int:
    """Put dead jobs back to work; gives how many. Raises Conflict when none of them is dead."""
    table = table_for(connection.dialect.name)
    note_asked(connection)
    done = connection.execute(
        table.update()
        .where(table.c.id.in_(jobs), table.c.workspace == workspace, table.c.queue == DEAD)
        .values(queue=WAITING, attempts=0, worker=None, error=None, done_at=None, run_at=moment(connection))
    )
    if done.rowcount == 0:
        raise Conflict("job_not_dead", id=jobs[0] if jobs else 0)
    return int(done.rowcount)


def end(connection: sa.Connection, workspace: str, job: int, result: Mapping[str, Any]) -> bool:
    """End a job that waits or is being worked on, with a result; its worker finds out at its next checkpoint. False when it had ended already."""
    table = table_for(connection.dialect.name)
    select = sa.select(table.c.progress).where(table.c.id == job, table.c.workspace == workspace, table.c.queue == WAITING).with_for_update()
    found = connection.execute(select).one_or_none()
    if found is None:
        return False
    ended = {"queue": DONE, "key": None, "worker": None, "error": None, "done_at": moment(connection), "progress": {**(found.progress or {}), **result}}
    connection.execute(table.update().where(table.c.id == job).values(ended))
    return True


@dataclass(frozen=True, slots=True)
class JobRun:
    """A claimed job, given to its function. ``connection`` (mode ``tx``): the open transaction to write in; ``shared``: what its kind's ``together`` gave.

    ``crashed``: so many workers died of it that it is given up on.
    """

    home: Home
    database: Database
    workspace: str
    id: int
    name: str
    args: Mapping[str, Any]
    progress: Mapping[str, Any]
    attempt: int
    worker: str
    person: int | None
    key: str | None = None
    connection: sa.Connection | None = None
    shared: Any = None
    crashed: bool = False

    @property
    def open(self) -> sa.Connection:
        """The transaction of a ``tx`` job; RuntimeError for a leased one."""
        if self.connection is None:
            raise RuntimeError(f"job {self.name} runs outside a transaction")
        return self.connection

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a sign of life."""
        return timedelta(seconds=self.home.settings.job_lease)

    def checkpoint(self, connection: sa.Connection, progress: Mapping[str, Any]) -> None:
        """Keep how far the job is, in the transaction of the work itself, and renew the lease. Raises LeaseLost when it is not this worker's any more."""
        table = table_for(self.database.dialect)
        kept = connection.execute(
            table.update()
            .where(table.c.id == self.id, table.c.worker == self.worker, table.c.queue == WAITING)
            .values(progress=dict(progress), run_at=moment(connection, self.lease))
        )
        if kept.rowcount == 0:
            raise LeaseLost(self.name)

    def tell(self, progress: Mapping[str, Any]) -> None:
        """A checkpoint in a transaction of its own, for work that writes nothing meanwhile."""
        with self.database.write(background=True) as connection:
            self.checkpoint(connection, progress)
