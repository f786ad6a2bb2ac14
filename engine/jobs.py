"""Work to do after a commit: put into the same transaction as the change that asks for it, claimed under a lease, retried, given up on in the open.

A job's function runs outside any transaction and writes in its own; what it has done so far it keeps by ``checkpoint`` in the same transaction as the
work, so that a job killed half-way resumes exactly there. Calls to the outside are at least once, with the job's key. Job times are the machine's
(PostgreSQL: the server's), not a sandbox's clock: an import is not to wait for a rehearsal. What runs them is worker.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.clock import database_now
from engine.errors import Conflict, NotFound
from engine.system_tables import home_job, workspace_job

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

HOME_SCHEMA = "tangram"
WAITING, DONE, DEAD = "waiting", "done", "dead"
LEASE = timedelta(seconds=60)

_on_postgresql = home_job.to_metadata(sa.MetaData(), schema=HOME_SCHEMA)


def table_for(dialect: str) -> sa.Table:
    """Where jobs lie: in the workspace's file on SQLite, in the home schema on PostgreSQL; either way the transaction of the change reaches it."""
    return workspace_job if dialect == "sqlite" else _on_postgresql


class LeaseLost(Exception):
    """Another worker has taken the job over: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a job's name means. ``retries``: tries after the first; refusals (wrong input) are never tried again."""

    name: str
    run: Callable[[JobRun], Mapping[str, Any] | None]
    retries: int = 8


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as people see it. ``state``: waiting, running, done or dead; ``progress`` holds ``done`` and ``total`` and whatever the job adds."""

    id: int
    name: str
    state: str
    progress: Mapping[str, Any]
    error: Mapping[str, Any] | None
    person: int | None
    created_at: datetime
    done_at: datetime | None
    args: Mapping[str, Any]


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
    now = database_now(connection)
    if key is not None:
        standing = connection.execute(sa.select(table.c.id).where(table.c.key == key)).scalar_one_or_none()
        if standing is not None:
            return int(standing)
    inserted = connection.execute(
        table.insert().returning(table.c.id),
        {
            "workspace": workspace,
            "queue": WAITING,
            "name": name,
            "key": key,
            "args": dict(args),
            "run_at": run_at or now,
            "attempts": 0,
            "progress": {},
            "person": person,
            "created_at": now,
        },
    )
    return int(inserted.scalar_one())


def _state_of(row: Any) -> JobState:
    state = {DONE: DONE, DEAD: DEAD}.get(row.queue) or ("running" if row.worker else "waiting")
    error = row.error and {"code": row.error} | dict((row.progress or {}).get("error") or {})
    return JobState(row.id, row.name, state, row.progress or {}, error or None, row.person, row.created_at, row.done_at, row.args)


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


def run_again(connection: sa.Connection, workspace: str, job: int) -> None:
    """Put a dead job back to work. Raises Conflict when it is not dead."""
    table = table_for(connection.dialect.name)
    done = connection.execute(
        table.update()
        .where(table.c.id == job, table.c.workspace == workspace, table.c.queue == DEAD)
        .values(queue=WAITING, attempts=0, worker=None, error=None, run_at=database_now(connection))
    )
    if done.rowcount == 0:
        raise Conflict("job_not_dead", id=job)


@dataclass(frozen=True, slots=True)
class JobRun:
    """A claimed job, given to its function."""

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

    def checkpoint(self, connection: sa.Connection, progress: Mapping[str, Any]) -> None:
        """Keep how far the job is, in the transaction of the work itself, and renew the lease. Raises LeaseLost when it is not this worker's any more."""
        table = table_for(self.database.dialect)
        kept = connection.execute(
            table.update()
            .where(table.c.id == self.id, table.c.worker == self.worker, table.c.queue == WAITING)
            .values(progress=dict(progress), run_at=database_now(connection) + LEASE)
        )
        if kept.rowcount == 0:
            raise LeaseLost(self.name)

    def tell(self, progress: Mapping[str, Any]) -> None:
        """A checkpoint in a transaction of its own, for work that writes nothing meanwhile."""
        with self.database.write(background=True) as connection:
            self.checkpoint(connection, progress)
