"""What runs jobs: a loop that claims what is due under a lease, gives it to its function, and writes its end; fenced, so that a late worker changes nothing."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from engine import jobs
from engine.clock import database_now
from engine.errors import Refusal
from engine.jobs import DEAD, DONE, WAITING, JobKind, JobRun, LeaseLost, put, table_for

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

log = logging.getLogger("tangram.jobs")

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)
SWEEP_SECONDS = 2.0
FIRST_ROUND_SECONDS, ROUND_SECONDS = 60.0, 3600.0


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
        connection.execute(table.update().where(table.c.id == row.id).values(worker=worker, attempts=row.attempts + 1, run_at=now + jobs.LEASE))
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
