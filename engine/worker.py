"""What runs jobs and timed rounds: one loop for jobs inside transactions, one for leased ones, one for slow leased ones, woken after commits and every few seconds.

On PostgreSQL any number of workers share the work. On SQLite one at a time drains a workspace, in whichever process, behind people's requests.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

from engine.bell import hear
from engine.database_faults import LostRace
from engine.database_lock import file_lock
from engine.errors import Refusal, Unavailable
from engine.jobs import JobKind, JobRun, LeaseLost, put
from engine.worker_batch import run_batch
from engine.worker_claims import AHEAD, BATCH, Lane, claim, end_leases, fail, finish, give_back, is_busy, is_last

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

log = logging.getLogger("tangram.jobs")

#: Looks for what falls due in one workspace and puts jobs for it.
Round = Callable[["Home", str], object]

SWEEP_SECONDS = 2.0
ROUND_SECONDS = 1.0
#: A round runs at most this part of the time.
ROUND_SHARE = 1 / 20
#: Where jobs took less than this each, more of them are claimed at a time.
QUICK_SECONDS = 0.02
FIRST_HOURLY_SECONDS, HOURLY_SECONDS = 60.0, 3600.0


class Worker:
    """Runs the jobs of a home. ``start`` begins in the background; ``drain`` runs what is due in the caller's thread instead."""

    def __init__(self, home: Home, kinds: Mapping[str, JobKind], hourly: Sequence[str] = (), rounds: Sequence[Round] = ()) -> None:
        self.home = home
        self.kinds = kinds
        self.hourly = hourly
        self.rounds = rounds
        self.name = f"{os.uname().nodename}:{os.getpid()}:{uuid4().hex[:8]}"
        within = tuple(sorted(name for name, kind in kinds.items() if kind.mode == "tx"))
        slow = tuple(sorted(name for name, kind in kinds.items() if kind.mode == "leased" and kind.slow))
        self.lanes = (Lane(True, within), Lane(False, (*within, *slow), rest=True), Lane(False, slow))
        self._next_hourly = monotonic() + FIRST_HOURLY_SECONDS
        self._next_round: dict[str, float] = {}
        self._wakes = {lane.key: threading.Event() for lane in self.lanes}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._deaf: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin in the background."""
        self._deaf = self.home.bell.listen(self.wake)
        works: list[tuple[str, Callable[[], None]]] = [
            (f"tangram-{lane.key}", lambda lane=lane: self._loop(lane))  # type: ignore[misc]
            for lane in self.lanes
        ]
        if self.home.database.dialect == "postgresql":
            works.append(("tangram-ear", lambda: hear(self.home.database, self.wake, self._stop)))
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10) -> None:
        """Finish the running jobs' steps and end."""
        self._stop.set()
        self.wake()
        self._deaf()
        until = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    def wake(self) -> None:
        """Look for work now."""
        for wake in self._wakes.values():
            wake.set()

    def drain(self, workspace: str = "", *, wait: float = 0.0) -> int:
        """Run everything that is due now (in one workspace); gives how many attempts were made. ``wait``: seconds for another drainer to end."""
        count = 0
        while not self._stop.is_set():
            done = sum(self._drain(lane, workspace, wait) for lane in self.lanes)
            count += done
            if not done:
                break
        return count

    def settle(self, workspace: str) -> int:
        """Drain a workspace, and wait until no other worker is at work on it. Raises Unavailable when that does not come to an end."""
        count, database = 0, self.home.database if self.home.database.dialect == "postgresql" else self.home.database_of(workspace)
        until = monotonic() + 2 * self.home.settings.job_lease
        while is_busy(database, workspace):
            if monotonic() > until:
                raise Unavailable("workspace_busy", name=workspace)
            done = self.drain(workspace, wait=self.home.settings.job_lease)
            count += done
            if not done:
                sleep(0.01)
        return count

    def look(self, *, now: bool = False) -> None:
        """The timed rounds of every workspace whose turn has come, of all when ``now``."""
        for entry in self.home.workspaces() if self.rounds else ():
            if not now and monotonic() < self._next_round.get(entry.name, 0.0):
                continue
            begin = perf_counter()
            try:
                for work in self.rounds:
                    work(self.home, entry.name)
            except Refusal as refusal:
                log.warning("timed work of %s: %s", entry.name, refusal)
            took = perf_counter() - begin
            self._next_round[entry.name] = monotonic() + max(ROUND_SECONDS, took / ROUND_SHARE)

    def _drain(self, lane: Lane, workspace: str, wait: float) -> int:
        count = 0
        for database in self._databases(workspace) if lane.names or lane.rest else ():
            with self._alone(database, lane, wait) as last:
                if last is None:
                    continue
                if last and last != self.name:
                    end_leases(database, self.name, lane)
                many = BATCH
                while not self._stop.is_set() and (runs := claim(self.home, database, self.name, lane, self.kinds, workspace, many)):
                    begin = perf_counter()
                    self._run(lane, runs)
                    many = AHEAD if perf_counter() - begin < QUICK_SECONDS * len(runs) else BATCH
                    count += len(runs)
        return count

    def _alone(self, database: Database, lane: Lane, wait: float) -> AbstractContextManager[str | None]:
        """On SQLite one drainer at a time: whoever drained before and did not end a job is dead, and its leases with it."""
        if database.path is None:
            return nullcontext(self.name)
        return file_lock(database.path.with_suffix(f".{lane.key}.lock"), self.name, wait=wait)

    def _run(self, lane: Lane, runs: Sequence[JobRun]) -> None:
        if not lane.tx:
            self._run_leased(runs[0])
            return
        for _, group in groupby(runs, lambda run: run.workspace):
            some = list(group)
            parts = [some[start : start + BATCH] for start in range(0, len(some), BATCH)]
            left = [run for part in parts for run in run_batch(self.kinds, part, self._must_end)]
            if left:
                give_back(left[0].database, left)

    def _must_end(self) -> bool:
        return self._stop.is_set()

    def _run_leased(self, run: JobRun) -> None:
        kind = self.kinds.get(run.name)
        if kind is None:
            self._end(run, kind, "job_unknown", {"name": run.name}, final=True)
            return
        if run.crashed:
            self._end(run, kind, "job_killed_worker", {"name": run.name}, final=True)
            return
        try:
            result = kind.run(run)
        except LeaseLost:
            log.warning("job %s %s: lease lost", run.name, run.id)
        except Refusal as refusal:
            self._end(run, kind, refusal.code, refusal.params, final=not isinstance(refusal, Unavailable | LostRace))
        except Exception as error:
            log.exception("job %s %s failed, attempt %s", run.name, run.id, run.attempt)
            self._end(run, kind, "job_failed", {"kind": type(error).__name__}, final=False)
        else:
            with run.database.write(background=True) as connection:
                finish(connection, run, result)

    @staticmethod
    def _end(run: JobRun, kind: JobKind | None, code: str, params: Mapping[str, object], *, final: bool) -> None:
        with run.database.write(background=True) as connection:
            fail(connection, run, code, params, last=is_last(run, kind, final=final))

    def _ask_hourly(self) -> None:
        """Put the hourly jobs of every workspace, once however many workers ask."""
        if not self.hourly or monotonic() < self._next_hourly:
            return
        self._next_hourly = monotonic() + HOURLY_SECONDS
        for entry in self.home.workspaces():
            with self.home.database_of(entry.name).write(background=True) as connection:
                for name in self.hourly:
                    put(connection, entry.name, name, {}, key=name)

    def _databases(self, workspace: str) -> list[Database]:
        if self.home.database.dialect == "postgresql":
            return [self.home.database]
        return [self.home.database_of(name) for name in ([workspace] if workspace else [item.name for item in self.home.workspaces()])]

    def _loop(self, lane: Lane) -> None:
        wake = self._wakes[lane.key]
        while not self._stop.is_set():
            wake.clear()
            try:
                if lane.tx:
                    self.look()
                elif lane.rest:
                    self._ask_hourly()
                self._drain(lane, "", 0.0)
            except Refusal as refusal:
                log.warning("worker: %s", refusal)
            except Exception:
                log.exception("worker: unexpected; goes on")
            wake.wait(min(SWEEP_SECONDS, ROUND_SECONDS) if lane.tx and self.rounds else SWEEP_SECONDS)
