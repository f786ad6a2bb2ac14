"""Approvals by the clock: those that escalate or expire, each ended by a job in the transaction that ends the job; and those that wait for somebody who left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.actors import enter_as
from engine.context import Cause, Context
from engine.jobs import JobKind, JobRun, put
from engine.records import asks_deciding, asks_leaving
from engine.records.work import LEAVING
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


def _leave(job: JobRun) -> dict[str, Any]:
    """Pass on what waits for somebody who left, some at a time."""
    ctx: Context = job.shared
    found = asks_leaving.left_waiting(ctx, int(job.args.get("after", 0)))
    for number in found:
        asks_leaving.pass_on(ctx, number)
    if found:
        put(ctx.open, ctx.workspace.name, LEAVING, {"after": found[-1]})
    return {"passed": len(found)}


def _run(job: JobRun) -> dict[str, Any]:
    ctx: Context = job.shared
    return {"state": asks_deciding.tick(ctx, job.args["ask"])}


SOURCE = Source("asks", _next, _ask)
KIND = JobKind(JOB, _run, mode="tx", prepare=_prepare)
LEAVING_KIND = JobKind(LEAVING, _leave, mode="tx", prepare=_prepare)
