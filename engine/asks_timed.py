"""Approvals by the clock: those that escalate or expire, each ended by a job in the transaction that ends the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.actors import enter_as
from engine.context import Cause, Context
from engine.jobs import JobKind, JobRun, put
from engine.records import asks_deciding
from engine.timed import Source

if TYPE_CHECKING:
    from typing import Any

JOB = "ask"


def _next(ctx: Context) -> datetime | None:
    with ctx.reading() as ctx:
        found: datetime | None = asks_deciding.next_due(ctx.open)
    return found


def _ask(ctx: Context) -> int:
    """Ask for everything that is due; gives how many there were."""
    with ctx.reading() as inner:
        found = asks_deciding.due(inner.open, inner.now)
    if not found:
        return 0
    with ctx.writing() as inner:
        for number in asks_deciding.due(inner.open, inner.now):
            put(inner.open, inner.workspace.name, JOB, {"ask": number}, key=f"ask:{number}")
    return len(found)


def _prepare(connection: sa.Connection, runs: Sequence[JobRun]) -> Context:
    ctx = enter_as(runs[0].home, runs[0].workspace, "clock").within(connection)
    return replace(ctx, background=True, cause=Cause("system", "asks"))


def _run(job: JobRun) -> dict[str, Any]:
    ctx: Context = job.shared
    return {"state": asks_deciding.tick(ctx, job.args["ask"])}


SOURCE = Source("asks", _next, _ask)
KIND = JobKind(JOB, _run, mode="tx", prepare=_prepare)
