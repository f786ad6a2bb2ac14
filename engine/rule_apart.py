"""Items a rule handles apart: each in a transaction of its own together with the job's progress, so that one killed half-way goes on exactly there.

A refused or failed item is counted and named; it never stops the others. When all are through, the rule's ``done`` runs with the tally.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.actors import actor_behind, enter_as
from engine.clock import read_state
from engine.context import Cause, Context
from engine.errors import Refusal
from engine.jobs import JobKind, JobRun, LeaseLost
from engine.records.asks_ending import rule_of
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules.book import Step
from engine.rules.carrying import revive
from engine.rules.effects import Handle
from engine.rules.frame import Start

if TYPE_CHECKING:
    import sqlalchemy as sa

log = logging.getLogger("tangram.rules")

JOB = "apart"
#: Refusals kept by name in the job's progress.
_NAMED = 50


def run(job: JobRun) -> Mapping[str, Any]:
    """Go through the items from where the last attempt got to."""
    items = job.args["items"]
    progress: dict[str, Any] = {"done": 0, "refused": 0, "failed": 0, "total": len(items), "faults": [], **job.progress}
    progress.pop("error", None)
    ctx = replace(enter_as(job.home, job.workspace, "clock"), background=True)
    for number in range(sum(progress[word] for word in ("done", "refused", "failed")), len(items)):
        _item(ctx, job, number, items[number], progress)
    _finish(ctx, job, progress)
    return {name: progress[name] for name in ("done", "refused", "failed", "total", "faults")}


def _item(ctx: Context, job: JobRun, number: int, item: Any, progress: dict[str, Any]) -> None:
    """One item; its effects and the count of it stand or fall together."""
    try:
        with ctx.workspace.database.write(background=True) as connection:
            _branch(ctx, job, connection, "then", item, f"apart:{job.id}:{number}")
            job.checkpoint(connection, {**progress, "done": progress["done"] + 1})
        progress["done"] += 1
        return
    except Refusal as refusal:
        if refusal.passing:
            raise
        code, word = refusal.code, "refused"
    except LeaseLost:
        raise
    except Exception as error:
        log.exception("rule %s, item %s of job %s", job.args["rule"], number, job.id)
        code, word = type(error).__name__, "failed"
    progress[word] += 1
    if len(progress["faults"]) < _NAMED:
        progress["faults"] = [*progress["faults"], {"item": number, "code": code}]
    job.tell(progress)


def _finish(ctx: Context, job: JobRun, progress: Mapping[str, Any]) -> None:
    tally = {name: progress[name] for name in ("done", "refused", "failed")}
    with ctx.workspace.database.write(background=True) as connection:
        _branch(ctx, job, connection, "done", None, f"apart:{job.id}:done", tally)
        job.checkpoint(connection, progress)


def _branch(ctx: Context, job: JobRun, connection: sa.Connection, word: str, item: Any, occurrence: str, tally: Mapping[str, int] | None = None) -> None:
    """Run one branch of the step for one item, once."""
    args = job.args
    inner = ctx.within(connection)
    inner = replace(inner, actor=actor_behind(inner, read_state(connection), job.person), cause=Cause("rule", args["rule"]))
    saving = Saving(Work(inner, json=True))
    rule, step = rule_of(inner.workspace, connection, args)
    steps: tuple[Step, ...] = step.branches.get(word, ())
    if not steps or saving.log.known(rule.key, occurrence):
        return
    read = saving.work.row
    record = Handle(args["entity"], args["record"], read) if args["entity"] is not None else None
    names = {name: revive(value, read) for name, value in args["frame"].items()}
    if tally is not None:
        names["tally"] = tally
    elif isinstance(step.body.get("as"), str):
        names[step.body["as"]] = revive(item, read)
    saving.ruling.chain = tuple(args["chain"][:-1])
    saving.ruling.branch(rule, steps, Start(record, None, names, job=job.id), occurrence)
    saving.finish()


KIND = JobKind(JOB, run)
