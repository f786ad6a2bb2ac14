"""What a workspace needs done from time to time: people made anonymous whose time is over, unbound uploads removed, an interrupted publish finished, keys, jobs and files forgotten that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import delivery, erasures, files, jobs, provenance, replay_kept
from engine.actors import enter_as
from engine.jobs import JobKind, JobRun
from engine.publishing import finish_preparing
from engine.records.asks_leaving import left_waiting
from engine.records.service import IDEMPOTENT_FOR
from engine.records.work import LEAVING
from engine.system_tables import idempotency

if TYPE_CHECKING:
    from engine.context import Context

JOB = "upkeep"
#: Files of imports are kept as long as an import can be undone.
IMPORTS_KEPT = timedelta(days=30)
#: What came of a finished job can be looked at as long; what it was told to do may hold things people typed.
JOBS_KEPT = timedelta(days=30)


def run(job: JobRun) -> Mapping[str, Any]:
    """One round for one workspace; each part may run again at any time."""
    ctx = enter_as(job.home, job.workspace, "retention")
    with ctx.reading() as inner:
        waiting = provenance.preparing(inner.open)
    if waiting is not None:
        finish_preparing(job.home, job.workspace, waiting.number)
    lost = delivery.mend(ctx)
    with ctx.reading() as inner:
        left = left_waiting(inner, limit=1)  # of somebody whose last day has passed; who is ended by a change is seen with it
    if left:
        with ctx.writing() as inner:
            jobs.put(inner.open, job.workspace, LEAVING, {}, key=LEAVING)
    return {
        "anonymous": erasures.let_go(ctx),
        "uploads": files.clean(ctx),
        "lost": lost,
        "keys": _forget_keys(ctx),
        "jobs": _forget_jobs(ctx),
        "imports": _forget_imports(ctx),
        "replays": replay_kept.forget(ctx),
        "finished": waiting.number if waiting else None,
    }


def _forget_keys(ctx: Context) -> int:
    with ctx.writing() as inner:
        done = inner.open.execute(sa.delete(idempotency).where(idempotency.c.at < inner.now - IDEMPOTENT_FOR))
        return int(done.rowcount)


def _forget_jobs(ctx: Context) -> int:
    """Finished ones only: dead ones wait for somebody."""
    with ctx.writing() as inner:
        table = jobs.table_for(inner.open.dialect.name)
        old = sa.and_(table.c.workspace == ctx.workspace.name, table.c.queue == jobs.DONE, table.c.done_at < jobs.moment(inner.open, -JOBS_KEPT))
        return int(inner.open.execute(sa.delete(table).where(old)).rowcount)


def _forget_imports(ctx: Context) -> int:
    folder: Path = ctx.home.settings.home / "imports" / ctx.workspace.name
    oldest = time.time() - IMPORTS_KEPT.total_seconds()
    gone = [path for path in folder.glob("*") if path.stat().st_mtime < oldest] if folder.is_dir() else []
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


KIND = JobKind(JOB, run, retries=2)
