"""Work to do after a commit: put into the same transaction as the change that asks for it, claimed under a lease, retried, given up on in the open.

A job's function runs outside any transaction and writes in its own; what it has done so far it keeps by ``checkpoint`` in the same transaction as the
work, so that a job killed half-way resumes exactly there. Calls to the outside are at least once, with the job's key. Job times are the machine's
(PostgreSQL: the server's), not a sandbox's clock: an import is not to wait for a rehearsal.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from engine.clock import database_now
from engine.errors import Conflict, NotFound, Refusal
from engine.system_tables import home_job, workspace_job

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

log = logging.getLogger("tangram.jobs")

HOME_SCHEMA = "tangram"
WAITING, DONE, DEAD = "waiting", "done", "dead"
LEASE = timedelta(seconds=60)
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)
SWEEP_SECONDS = 2.0
FIRST_ROUND_SECONDS, ROUND_SECONDS = 60.0, 3600.0

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


def _claim(home: Home, database: Database, worker: str) -> JobRun | None:
    """Take the longest-due job whose lease (if any) has ended."""
    table = table_for(database.dialect)
    due = sa.select(table).where(table.c.queue == WAITING).order_by(table.c.run_at, table.c.id).limit(1)
    with database.read() as connection:
        if connection.execute(sa.select(table.c.id).where(table.c.queue == WAITING).limit(1)).first() is None:
            return None
    with database.write(background=True) as connection:
        now = database_now(connection)
        row = connection.execute(due.where(table.c.run_at <= now).with_for_update(skip_locked=True)).one_or_none()
        if row is None:
            return None
        connection.execute(table.update().where(table.c.id == row.id).values(worker=worker, attempts=row.attempts + 1, run_at=now + LEASE))
    own = database if database.dialect == "sqlite" else home.workspace(row.workspace).database
    return JobRun(home, own, row.workspace, row.id, row.name, row.args, row.progress or {}, row.attempts + 1, worker, row.person)


def _finish(run: JobRun, kind: JobKind | None, error: tuple[str, Mapping[str, Any]] | None, result: Mapping[str, Any] | None, final: bool) -> None:
    """Write the end of one attempt; fenced by the worker's name, so that a late worker changes nothing."""
    table = table_for(run.database.dialect)
    with run.database.write(background=True) as connection:
        now = database_now(connection)
        mine = table.update().where(table.c.id == run.id, table.c.worker == run.worker, table.c.queue == WAITING)
        if error is None:
            progress = connection.execute(sa.select(table.c.progress).where(table.c.id == run.id)).scalar_one()
            connection.execute(mine.values(queue=DONE, key=None, worker=None, error=None, done_at=now, progress={**(progress or {}), **(result or {})}))
            return
        code, params = error
        progress = {**(connection.execute(sa.select(table.c.progress).where(table.c.id == run.id)).scalar_one() or {}), "error": {"params": dict(params)}}
        if final or kind is None or run.attempt > kind.retries:
            connection.execute(mine.values(queue=DEAD, key=None, worker=None, error=code, done_at=now, progress=progress))
            return
        pause = min(FIRST_PAUSE * 2 ** (run.attempt - 1), LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        connection.execute(mine.values(worker=None, error=code, run_at=now + pause, progress=progress))


class Worker:
    """Runs the jobs of a home: one thread, woken after commits and every few seconds. ``drain`` runs what is due in the caller's thread instead."""

    def __init__(self, home: Home, kinds: Mapping[str, JobKind], hourly: Sequence[str] = ()) -> None:
        self.home = home
        self.kinds = kinds
        self.hourly = hourly
        self._next_round = time.monotonic() + FIRST_ROUND_SECONDS
        self.name = f"{os.uname().nodename}:{os.getpid()}:{uuid4().hex[:8]}"
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._thread = threading.Thread(target=self._loop, name="tangram-worker", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 10) -> None:
        """Finish the running job's step and end."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def wake(self) -> None:
        """Look for work now (called after a commit that put some)."""
        self._wake.set()

    def drain(self) -> int:
        """Run everything that is due now; gives how many attempts were made."""
        count = 0
        for database in self._databases():
            while not self._stop.is_set() and (run := _claim(self.home, database, self.name)) is not None:
                self._run(run)
                count += 1
        return count

    def _ask_hourly(self) -> None:
        """Put the hourly jobs of every workspace, once however many workers ask."""
        if not self.hourly or time.monotonic() < self._next_round:
            return
        self._next_round = time.monotonic() + ROUND_SECONDS
        for entry in self.home.workspaces():
            with self.home.workspace(entry.name).database.write(background=True) as connection:
                for name in self.hourly:
                    put(connection, entry.name, name, {}, key=f"{name}:{entry.name}")

    def _databases(self) -> list[Database]:
        if self.home.database.dialect == "postgresql":
            return [self.home.database]
        return [self.home.workspace(item.name).database for item in self.home.workspaces()]

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._ask_hourly()
                self.drain()
            except Refusal as refusal:
                log.warning("worker: %s", refusal)
            except Exception:
                log.exception("worker: unexpected; goes on")
            self._wake.wait(SWEEP_SECONDS)

    def _run(self, run: JobRun) -> None:
        kind = self.kinds.get(run.name)
        if kind is None:
            _finish(run, None, ("job_unknown", {"name": run.name}), None, True)
            return
        try:
            result = kind.run(run)
        except LeaseLost:
            log.warning("job %s %s: lease lost", run.name, run.id)
        except Refusal as refusal:
            _finish(run, kind, (refusal.code, refusal.params), None, refusal.code not in ("database_busy", "database_lost"))
        except Exception as error:
            log.exception("job %s %s failed, attempt %s", run.name, run.id, run.attempt)
            _finish(run, kind, ("job_failed", {"kind": type(error).__name__}), None, False)
        else:
            _finish(run, kind, None, result, True)
