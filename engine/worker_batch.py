"""Jobs of mode ``tx``: some of them in one transaction, their effects and their ends committed together, each all or nothing. Claims nothing.

Nearly all jobs end well, so several are tried without savepoints first; when one of them fails, all of it goes back and is run again with one for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.database_faults import LostRace, refusal_of
from engine.errors import Refusal, Unavailable
from engine.jobs import Ended, JobKind, JobRun
from engine.worker_claims import fail, hold, is_last, remove

if TYPE_CHECKING:
    from engine.database import Database

log = logging.getLogger("tangram.jobs")

#: A transaction of jobs ends after this long, so that nobody waits for its locks.
LONGEST_SECONDS = 0.05
SLOW_SECONDS = 0.2
#: How often one job may lose a race before it waits like one that failed.
MOST_LOST = 3


class _Failed(Exception):
    """A job failed where there is no savepoint to go back to."""


class _Lost(Exception):
    """A job lost a race: what was done before it is committed, so that its locks are free, then it runs again."""


def run_batch(kinds: Mapping[str, JobKind], runs: Sequence[JobRun], stop: Callable[[], bool]) -> list[JobRun]:
    """Run claimed jobs of one workspace, as many to a transaction as people leave time for; gives those not begun when told to stop.

    What fails as a whole (a broken connection, a commit refused) is run again one by one, so that each job answers for itself.
    """
    left, lost = list(runs), dict[int, int]()
    alone, apart = False, False
    while left and not stop():
        part = left[:1] if alone else left
        try:
            left = _transaction(kinds, part, lost, apart=apart or alone) + left[len(part) :]
        except _Failed:
            apart = True
        except Exception as error:
            log.warning("%s jobs of %s failed together: %r", len(part), part[0].workspace, error)
            if len(part) == 1:
                _note_failure(kinds, part[0], error)
                left = left[1:]
            alone = True
    return left


def _note_failure(kinds: Mapping[str, JobKind], run: JobRun, error: Exception) -> None:
    """The end of a job whose own transaction failed."""
    kind = kinds.get(run.name)
    code, params, _ = _told(run, error)
    last = is_last(run, kind, final=False)
    with run.database.write(background=True) as connection:
        if hold(connection, [run]):
            fail(connection, run, code, params, last=last)


def _transaction(kinds: Mapping[str, JobKind], runs: Sequence[JobRun], lost: dict[int, int], *, apart: bool) -> list[JobRun]:
    """One transaction of jobs, each in a savepoint when ``apart``; gives those there was no time for. Raises _Failed when one fails and has none."""
    database, begin = runs[0].database, perf_counter()
    left: list[JobRun] = []
    with database.write(background=True) as connection:
        mine = hold(connection, runs)
        ours = [run for run in runs if run.id in mine]
        shared = _prepared(kinds, connection, ours)
        ended: list[Ended] = []
        for number, run in enumerate(ours):
            if number and _time_is_up(database, begin):
                left = ours[number:]
                break
            try:
                ended.append(_attempt(kinds.get(run.name), connection, replace(run, connection=connection, shared=shared.get(run.name)), lost, apart))
            except _Lost:
                left = ours[number:]
                break
        _settle(kinds, connection, shared, ended)
    return left


def _time_is_up(database: Database, begin: float) -> bool:
    return database.wanted() or perf_counter() - begin > LONGEST_SECONDS


def _prepared(kinds: Mapping[str, JobKind], connection: sa.Connection, runs: Sequence[JobRun]) -> dict[str, Any]:
    found = {}
    for name in dict.fromkeys(run.name for run in runs):
        prepare = kinds[name].prepare if name in kinds else None
        if prepare is not None:
            found[name] = prepare(connection, [run for run in runs if run.name == name])
    return found


def _attempt(kind: JobKind | None, connection: sa.Connection, run: JobRun, lost: dict[int, int], apart: bool) -> Ended:
    """One job. Raises _Lost when it lost a race and may run again at once, _Failed when it cannot be undone alone."""
    begin = perf_counter()
    if run.crashed or kind is None:
        code = "job_unknown" if kind is None else "job_killed_worker"
        return Ended(run, code, {"name": run.name})
    try:
        with connection.begin_nested() if apart else nullcontext():
            kind.run(run)
    except Exception as error:
        if not apart:
            raise _Failed from error
        code, params, refused = _told(run, error)
        if code == "lost_race" and lost.get(run.id, 0) < MOST_LOST:
            lost[run.id] = lost.get(run.id, 0) + 1
            raise _Lost from error
        return Ended(run, code, params, is_last(run, kind, final=refused), refused, _micros(begin))
    if perf_counter() - begin > SLOW_SECONDS:
        log.warning("job %s %s held its transaction for %.0f ms", run.name, run.id, (perf_counter() - begin) * 1000)
    return Ended(run, micros=_micros(begin))


def _micros(begin: float) -> int:
    return int((perf_counter() - begin) * 1_000_000)


def _told(run: JobRun, error: Exception) -> tuple[str, Mapping[str, Any], bool]:
    """Code and parameters of a failure, and whether it is a refusal that trying again would not change."""
    found: Exception | None = refusal_of(error) if isinstance(error, sa.exc.DBAPIError) else error
    if isinstance(found, Refusal):
        return found.code, found.params, not isinstance(found, Unavailable | LostRace)
    log.error("job %s %s failed, attempt %s", run.name, run.id, run.attempt, exc_info=error)
    return "job_failed", {"kind": type(error).__name__}, False


def _settle(kinds: Mapping[str, JobKind], connection: sa.Connection, shared: Mapping[str, Any], ended: Sequence[Ended]) -> None:
    """Write how the jobs ended, in the transaction of what they did."""
    remove(connection, [end.run.id for end in ended if not end.code])
    for end in ended:
        if end.code:
            fail(connection, end.run, end.code, end.params, last=end.final)
    for name in dict.fromkeys(end.run.name for end in ended):
        told = kinds[name].ended if name in kinds else None
        if told is not None:
            told(connection, shared.get(name), [end for end in ended if end.run.name == name])
