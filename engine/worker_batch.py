"""Jobs of mode ``tx``: some of them in one transaction, their effects and their ends committed together, each all or nothing. Claims nothing.

Nearly all jobs end well, so several are tried without savepoints first; when one of them fails, all of it goes back and is run again with one for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import groupby
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from engine.database_faults import LostRace, refusal_of
from engine.errors import Refusal, Unavailable
from engine.jobs import Ended, JobKind, JobRun
from engine.worker_claims import fail, hold, is_last, remove

log = logging.getLogger("tangram.jobs")

#: A transaction of jobs ends after this long (sooner when people of this process wait to write), so that nobody waits for its locks.
LONGEST_SECONDS = 0.15
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
    with database.write(background=True, lasting=False) as connection:  # taken back, it is a waiting job again
        mine = hold(connection, runs)
        ours = [run for run in runs if run.id in mine]
        shared, ended = _prepared(kinds, connection, ours), list[Ended]()

        def goes_on() -> bool:
            return not ended or not (database.wanted() or perf_counter() - begin > LONGEST_SECONDS)

        for part in _parts(ours, apart=apart):
            kind, given = kinds.get(part[0].name), shared.get(part[0].name)
            try:
                if kind is None or part[0].crashed:
                    ended += [Ended(run, "job_unknown" if kind is None else "job_killed_worker", {"name": run.name}) for run in part]
                elif apart:
                    ended.append(_alone(kind, connection, part[0], given, lost))
                else:
                    _together(kind, connection, part, given, ended, goes_on)
            except _Lost:
                break
            if not goes_on():
                break
        _settle(kinds, connection, shared, ended)
    return ours[len(ended) :]


def _prepared(kinds: Mapping[str, JobKind], connection: sa.Connection, runs: Sequence[JobRun]) -> dict[str, Any]:
    found = {}
    for name in dict.fromkeys(run.name for run in runs):
        prepare = kinds[name].prepare if name in kinds else None
        if prepare is not None:
            found[name] = prepare(connection, [run for run in runs if run.name == name])
    return found


def _parts(runs: Sequence[JobRun], *, apart: bool) -> list[list[JobRun]]:
    """Each job alone, or those of one kind that follow one another."""
    return [[run] for run in runs] if apart else [list(some) for _, some in groupby(runs, lambda run: run.name)]


def _together(kind: JobKind, connection: sa.Connection, runs: Sequence[JobRun], shared: Any, ended: list[Ended], goes_on: Callable[[], bool]) -> None:
    """Jobs that end well, as long as there is time. Raises _Failed when one of them does not: they cannot be undone alone."""
    try:
        with _entered(kind, runs, shared) as what:
            for run in runs:
                begin = perf_counter()
                kind.run(replace(run, connection=connection, shared=what))
                ended.append(_well(run, begin))
                if not goes_on():
                    break
    except Exception as error:
        raise _Failed from error


def _alone(kind: JobKind, connection: sa.Connection, run: JobRun, shared: Any, lost: dict[int, int]) -> Ended:
    """One job in its savepoint. Raises _Lost when it lost a race and may run again at once."""
    begin = perf_counter()
    try:
        with connection.begin_nested(), _entered(kind, [run], shared) as what:
            kind.run(replace(run, connection=connection, shared=what))
    except Exception as error:
        code, params, refused = _told(run, error)
        if code == "lost_race" and lost.get(run.id, 0) < MOST_LOST:
            lost[run.id] = lost.get(run.id, 0) + 1
            raise _Lost from error
        return Ended(run, code, params, is_last(run, kind, final=refused), refused, _micros(begin))
    return _well(run, begin)


def _entered(kind: JobKind, runs: Sequence[JobRun], shared: Any) -> AbstractContextManager[Any]:
    return nullcontext(shared) if kind.together is None else kind.together(shared, runs)


def _well(run: JobRun, begin: float) -> Ended:
    micros = _micros(begin)
    if micros > SLOW_SECONDS * 1_000_000:
        log.warning("job %s %s held its transaction for %.0f ms", run.name, run.id, micros / 1000)
    return Ended(run, micros=micros)


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
