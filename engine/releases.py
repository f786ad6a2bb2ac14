"""Publishes that people wait for with a page open: a leased job that plays the scenarios, tells how far it is and which did not hold, and then publishes.

The drafts are published as they were shown, or not at all: where they, or the live version, moved meanwhile, the job says so and everything stays. It can be stopped
up to the publishing transaction; killed, it goes on behind the last scenario it played.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from engine import jobs
from engine.access import rights
from engine.actors import actor_behind, enter_as
from engine.clock import read_state
from engine.context import Cause
from engine.errors import Conflict, Denied, NotFound, Refusal
from engine.jobs import JobKind, JobRun, JobState
from engine.messages import catalogue, told_together
from engine.provenance import version_of
from engine.publishing import finish_preparing, publish, refuse
from engine.publishing_plan import Plan, plan_drafts
from engine.releasing import to_play
from engine.scenarios import Result, run_scenarios, scenarios_of
from engine.system_tables import draft
from metadata.messages import describe
from metadata.text import label_text

if TYPE_CHECKING:
    from engine.context import Context

JOB = "release"
_TOLD_EVERY = 0.5
State = Literal["waiting", "playing", "live", "held", "broken", "refused", "stopped", "failed"]
WORKING = ("waiting", "playing")


@dataclass(frozen=True, slots=True)
class Broken:
    """A scenario that did not hold: what did not come true, each with its place, in the words of whoever asked."""

    key: str
    title: str
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Release:
    """How a publish stands. ``state``: live (``version`` is published), held (all scenarios held, nothing was to be published), refused (``why`` says it)."""

    id: int
    state: State
    publishes: bool
    note: str
    person: int | None
    at: datetime
    done: int
    total: int
    broken: tuple[Broken, ...] = ()
    version: int | None = None
    why: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)


# --- asking --------------------------------------------------------------------------------------------------------------------------------


def start(ctx: Context, plan: Plan, *, note: str = "", expect_digest: str | None = None, publishes: bool = True) -> int:
    """Have the scenarios of the drafts played and, when all hold, the drafts published as this plan shows them; gives the job's id.

    Not ``publishes``: only played. Raises Denied, whatever ``publish`` would refuse by itself, Conflict "release_running" while another is under way.
    """
    if not rights(ctx, "publish" if publishes else "design"):
        raise Denied("publish_denied")
    refuse(plan, expect_digest)
    args = {
        "digest": plan.digest,
        "base": plan.base_version,
        "note": note,
        "publishes": publishes,
        "locale": ctx.locale,
        "total": len(to_play(ctx.workspace, plan)),
    }
    with ctx.writing() as inner:
        standing = _running(inner.open, ctx.workspace.name)
        if standing is not None:
            raise Conflict("release_running", id=standing)
        return jobs.put(inner.open, ctx.workspace.name, JOB, args, key=JOB, person=ctx.actor.person_id)


def _running(connection: sa.Connection, workspace: str) -> int | None:
    table = jobs.table_for(connection.dialect.name)
    waiting = sa.select(table.c.id).where(table.c.workspace == workspace, table.c.name == JOB, table.c.queue == jobs.WAITING)
    return connection.execute(waiting).scalars().first()


def running(ctx: Context) -> int | None:
    """The publish of this workspace that is under way."""
    with ctx.reading() as inner:
        return _running(inner.open, ctx.workspace.name)


def stop(ctx: Context, job: int) -> None:
    """Stop one that is under way; nothing is published. Raises Denied, NotFound, Conflict "release_ended"."""
    found = of(ctx, job)
    if not rights(ctx, "publish" if found.publishes else "design"):
        raise Denied("publish_denied")
    with ctx.writing() as inner:
        if not jobs.end(inner.open, ctx.workspace.name, job, {"outcome": "stopped"}):
            raise Conflict("release_ended")


# --- looking -------------------------------------------------------------------------------------------------------------------------------


def of(ctx: Context, job: int) -> Release:
    """One of this workspace. Raises NotFound, Denied without the right to design or to publish."""
    if not (rights(ctx, "design") or rights(ctx, "publish")):
        raise Denied("publish_denied")
    state = jobs.find(ctx.workspace.database, ctx.workspace.name, job)
    if state.name != JOB:
        raise NotFound("unknown_job", id=job)
    return _release(state)


def _release(state: JobState) -> Release:
    kept, args = state.progress, state.args
    return Release(
        state.id,
        _state_of(state),
        bool(args["publishes"]),
        str(args["note"]),
        state.person,
        state.created_at,
        int(kept.get("done", 0)),
        int(args["total"]),
        tuple(Broken(one["key"], one["title"], tuple((place, text) for place, text in one["problems"])) for one in kept.get("broken", ())),
        kept.get("version"),
        str(kept.get("why", "")),
        state.error or {},
    )


def _state_of(state: JobState) -> State:
    if state.state == jobs.DONE:
        outcome: State = state.progress.get("outcome", "failed")
        return outcome
    return "failed" if state.state == jobs.DEAD else "playing" if state.state == "running" else "waiting"


# --- working -------------------------------------------------------------------------------------------------------------------------------


def run(job: JobRun) -> Mapping[str, Any]:
    """Play what was not played yet, then publish; a refusal that trying again would not change is the outcome, with its words."""
    if "version" in job.progress:
        return _live(job, int(job.progress["version"]))  # a worker died behind the publish
    ctx = _acting(job)
    try:
        plan = _as_shown(ctx, job)
        broken = _play(ctx, job, plan)
        if broken or not job.args["publishes"]:
            return {"outcome": "broken" if broken else "held"}
        made = publish(ctx, plan, note=job.args["note"], wait=False, within=partial(_made, job))
    except Refusal as refusal:
        if refusal.passing:
            raise
        return {"outcome": "refused", "why": told_together(refusal, ctx.locale)}
    return _live(job, made.number)


def _made(job: JobRun, connection: sa.Connection, number: int) -> None:
    """In the publishing transaction: from here on the job is about this version; LeaseLost, which takes the version back, when somebody stopped it meanwhile."""
    total = job.args["total"]
    job.checkpoint(connection, {"done": total, "total": total, "version": number})


KIND = JobKind(JOB, run, retries=3, slow=True)


def _acting(job: JobRun) -> Context:
    """As whoever asked, with the rights they have now."""
    ctx = enter_as(job.home, job.workspace, "operator", locale=job.args["locale"])
    with ctx.reading() as inner:
        actor = actor_behind(inner, read_state(inner.open), job.person)
    return replace(ctx, actor=actor, cause=Cause("publish"), background=True)


def _as_shown(ctx: Context, job: JobRun) -> Plan:
    """The plan that was confirmed. Raises Conflict when what is live, or a draft, is another by now."""
    plan = plan_drafts(ctx)
    if plan.base_version != job.args["base"]:
        raise Conflict("release_version_moved", version=plan.base_version)
    if plan.digest != job.args["digest"]:
        raise Conflict("release_drafts_moved")
    return plan


def _play(ctx: Context, job: JobRun, plan: Plan) -> list[dict[str, Any]]:
    """Play the rest; gives those that did not hold. Raises Conflict as soon as there is no use in going on, LeaseLost when somebody stopped it."""
    keys = to_play(ctx.workspace, plan)
    done, broken, last = int(job.progress.get("done", 0)), list(job.progress.get("broken", ())), 0.0
    job.tell({"done": done, "total": len(keys), "broken": broken})
    for result in run_scenarios(ctx.workspace.registry, plan.bundle, keys[done:], timezone=str(ctx.workspace.timezone)):
        done += 1
        if not result.holds:
            broken.append(_told(result, plan, ctx.locale))
        if monotonic() - last > _TOLD_EVERY or done == len(keys):
            job.tell({"done": done, "total": len(keys), "broken": broken})
            _still(ctx, plan)
            last = monotonic()
    return broken


def _still(ctx: Context, plan: Plan) -> None:
    with ctx.reading() as inner:
        version = read_state(inner.open).version
        standing = {(kind, key): number for kind, key, number in inner.open.execute(sa.select(draft.c.kind, draft.c.key, draft.c.number))}
    if version != plan.base_version:
        raise Conflict("release_version_moved", version=version)
    if any(standing.get((one.kind, one.key)) != one.number for one in plan.drafts):
        raise Conflict("release_drafts_moved")


def _told(result: Result, plan: Plan, locale: str) -> dict[str, Any]:
    title = scenarios_of(plan.bundle)[result.key].get("title")
    problems = [(f"{problem.file}{problem.pointer}", describe(problem, locale, catalogue())) for problem in result.problems]
    return {"key": result.key, "title": label_text(title, locale) or result.key, "problems": problems}


def _live(job: JobRun, number: int) -> dict[str, Any]:
    """The version is made; what is slow in it is built now, and again by the hourly round should this worker die."""
    try:
        finish_preparing(job.home, job.workspace, number)
    except Refusal as refusal:
        if refusal.passing:
            raise
        return {"outcome": "refused", "why": told_together(refusal, job.args["locale"])}
    with job.database.read() as connection:
        live = version_of(connection, number).state == "live"
    return {"outcome": "live" if live else "refused", "version": number}
