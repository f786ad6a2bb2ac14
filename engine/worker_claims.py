"""Claiming due jobs and writing how they ended; every write is fenced by the worker's name, so that a late worker changes nothing. Runs nothing."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from engine.clock import wall
from engine.database_ready import Ready
from engine.jobs import DEAD, DONE, WAITING, JobKind, JobRun, moment, table_for
from engine.scope import among, ids_value
from engine.storage import Instant

if TYPE_CHECKING:
    from engine.database import Database
    from engine.home import Home

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)
#: Workers that may die while a ``tx`` job is claimed (it need not be the one to blame) before it is given up on.
MOST_CRASHES = 5
#: Jobs that share a transaction at most; and that are claimed at most, where the ones before went quickly.
BATCH, AHEAD = 20, 100


@dataclass(frozen=True, slots=True)
class Lane:
    """Which jobs one loop runs: those of ``tx`` kinds, many to a transaction; slow ones, one by one; or the ``rest``: all that have none of the names."""

    tx: bool
    names: Collection[str]
    rest: bool = False

    @property
    def key(self) -> str:
        """Its name."""
        return "tx" if self.tx else "leased" if self.rest else "slow"

    def terms(self, table: sa.Table, workspace: str) -> list[sa.ColumnElement[bool]]:
        """Its waiting jobs, of one workspace or of all."""
        named = table.c.name.not_in(self.names) if self.rest else table.c.name.in_(self.names)
        return [table.c.queue == WAITING, named, *([table.c.workspace == workspace] if workspace else [])]


class _Job(NamedTuple):
    """What a claim reads of a job."""

    id: int
    workspace: str
    name: str
    key: str | None
    args: Mapping[str, Any]
    attempts: int
    worker: str | None
    progress: Mapping[str, Any] | None
    person: int | None


@dataclass(frozen=True, slots=True)
class _Statements:
    """What one kind of database is asked for with each batch of a lane. ``due``: whether there is anything; ``ready``: what may be taken, first come first."""

    due: Ready
    ready: Ready
    take: Ready
    hold: Ready
    remove: Ready


@cache
def _statements(dialect: str, tx: bool, rest: bool, within: bool, many: int = BATCH) -> _Statements:
    """Of the jobs whose names are given, or of all others (``rest``); ``within``: of one workspace; ``many``: claimed at once."""
    table, postgresql = table_for(dialect), dialect == "postgresql"
    now: Any = sa.func.now() if postgresql else sa.bindparam("now", type_=Instant)
    lease: Any = now + sa.bindparam("lease", type_=sa.Interval) if postgresql else sa.bindparam("lease", type_=Instant)
    worker = sa.bindparam("of", type_=sa.Text, required=True)
    ids, named, waits = among(table.c.id, "ids", dialect), among(table.c.name, "names", dialect), table.c.queue == sa.literal(WAITING)
    due = [waits, sa.not_(named) if rest else named, table.c.run_at <= now]
    if within:
        due.append(table.c.workspace == sa.bindparam("within", type_=sa.Text, required=True))
    ready = sa.select(*(table.c[name] for name in _Job._fields)).where(*due).order_by(table.c.run_at, table.c.id).limit(many if tx else 1)
    return _Statements(
        Ready(sa.select(table.c.id).where(*due).limit(1)),
        Ready(ready.with_for_update(skip_locked=True)),
        Ready(table.update().where(ids).values(worker=worker, attempts=table.c.attempts + 1, run_at=lease)),
        Ready(sa.select(table.c.id, table.c.worker, table.c.queue).where(ids).with_for_update()),
        Ready(table.delete().where(ids)),
    )


def claim(home: Home, database: Database, worker: str, lane: Lane, kinds: Mapping[str, JobKind], workspace: str = "", many: int = BATCH) -> list[JobRun]:
    """Take the longest-due jobs of a lane whose lease (if any) has ended: some, or none when nothing is due.

    A job that another worker left without a word is taken alone: it may be what killed that worker.
    """
    dialect = database.dialect
    ask, lease = _statements(dialect, lane.tx, lane.rest, bool(workspace), many), timedelta(seconds=home.settings.job_lease)
    given = {"names": ids_value(lane.names, dialect), "within": workspace, "now": wall()}
    with database.read() as connection:
        if ask.due.first(connection, given) is None:
            return []
    with database.write(background=True, lasting=not lane.tx) as connection:  # what reaches outside must know of everything that led to it
        rows = [_Job(*row) for row in ask.ready.rows(connection, given)]
        if not rows:
            return []
        taken = rows[:1] if rows[0].worker else list(takewhile(lambda row: not row.worker, rows))
        until = lease if dialect == "postgresql" else wall() + lease
        ask.take.run(connection, {"ids": ids_value([row.id for row in taken], dialect), "of": worker, "lease": until})
    return [_run_of(home, database, row, worker, kinds) for row in taken]


def _run_of(home: Home, database: Database, row: _Job, worker: str, kinds: Mapping[str, JobKind]) -> JobRun:
    own = database if database.dialect == "sqlite" else home.database_of(row.workspace)
    kind = kinds.get(row.name)
    most = 0 if kind is None else MOST_CRASHES if kind.mode == "tx" else kind.retries + 1
    crashed = bool(row.worker) and row.attempts >= most
    key = row.key and row.key.partition("/")[2]
    return JobRun(home, own, row.workspace, row.id, row.name, row.args, row.progress or {}, row.attempts + 1, worker, row.person, key, crashed=crashed)


def hold(connection: sa.Connection, runs: Sequence[JobRun]) -> set[int]:
    """Those of the claimed jobs that are still this worker's, kept from others until the transaction ends."""
    dialect = connection.dialect.name
    found = _statements(dialect, True, False, False).hold.rows(connection, {"ids": ids_value([run.id for run in runs], dialect)})
    return {number for number, worker, queue in found if worker == runs[0].worker and queue == WAITING}


def remove(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Jobs held by this transaction are done, and leave no row."""
    dialect = connection.dialect.name
    if ids:
        _statements(dialect, True, False, False).remove.run(connection, {"ids": ids_value(ids, dialect)})


def _mine(table: sa.Table, run: JobRun) -> Any:
    return table.update().where(table.c.id == run.id, table.c.worker == run.worker, table.c.queue == WAITING)


def finish(connection: sa.Connection, run: JobRun, result: Mapping[str, Any] | None) -> None:
    """The job is done; its row stays with the result."""
    table = table_for(connection.dialect.name)
    progress = connection.execute(sa.select(table.c.progress).where(table.c.id == run.id)).scalar_one_or_none()
    connection.execute(
        _mine(table, run).values(queue=DONE, key=None, worker=None, error=None, done_at=moment(connection), progress={**(progress or {}), **(result or {})})
    )


def is_last(run: JobRun, kind: JobKind | None, *, final: bool) -> bool:
    """Whether a failed attempt is the last one."""
    return final or run.crashed or kind is None or run.attempt > kind.retries


def fail(connection: sa.Connection, run: JobRun, code: str, params: Mapping[str, Any], *, last: bool) -> None:
    """One attempt failed: the job waits for the next after a pause that grows (or as long as ``retry_after`` of the params says), or is given up on."""
    table = table_for(connection.dialect.name)
    progress = connection.execute(sa.select(table.c.progress).where(table.c.id == run.id)).scalar_one_or_none()
    told = {**(progress or {}), "error": {"params": dict(params)}}
    if last:
        connection.execute(_mine(table, run).values(queue=DEAD, key=None, worker=None, error=code, done_at=moment(connection), progress=told))
        return
    wanted = params.get("retry_after")
    grown = min(FIRST_PAUSE * 2 ** (run.attempt - 1), LONGEST_PAUSE) * random.uniform(0.8, 1.2)
    pause = timedelta(seconds=wanted) if isinstance(wanted, int | float) else grown
    connection.execute(_mine(table, run).values(worker=None, error=code, run_at=moment(connection, pause), progress=told))


def give_back(database: Database, runs: Sequence[JobRun]) -> None:
    """Claimed jobs that were not begun: anybody may take them now."""
    table = table_for(database.dialect)
    with database.write(background=True) as connection:
        mine = table.update().where(table.c.id.in_([run.id for run in runs]), table.c.worker == runs[0].worker, table.c.queue == WAITING)
        connection.execute(mine.values(worker=None, attempts=table.c.attempts - 1, run_at=moment(connection)))


def end_leases(database: Database, worker: str, lane: Lane) -> int:
    """Whoever else held a lease on a job of this lane is dead (the caller holds the only drainer's lock): the jobs may be taken at once."""
    table = table_for(database.dialect)
    left = sa.select(table.c.id).where(*lane.terms(table, ""), table.c.worker.is_not(None), table.c.worker != worker)
    with database.read() as connection:
        ids = connection.execute(left).scalars().all()
    if ids:
        with database.write(background=True) as connection:
            connection.execute(table.update().where(table.c.id.in_(ids), table.c.worker.is_not(None)).values(run_at=moment(connection)))
    return len(ids)


@cache
def _busy(dialect: str) -> Ready:
    table = table_for(dialect)
    now: Any = sa.func.now() if dialect == "postgresql" else sa.bindparam("now", type_=Instant())
    waits = (table.c.workspace == sa.bindparam("within", type_=sa.Text()), table.c.queue == sa.literal(WAITING))
    return Ready(sa.select(table.c.id).where(*waits, sa.or_(table.c.worker.is_not(None), table.c.run_at <= now)).limit(1))


def is_busy(database: Database, workspace: str) -> bool:
    """Whether somebody is at work on a job of this workspace right now, or one is due."""
    with database.read() as connection:
        return _busy(database.dialect).first(connection, {"within": workspace, "now": wall()}) is not None
