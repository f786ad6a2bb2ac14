"""Definitions over JSON: read them, put drafts, see the plan, publish, roll back; the schema of a record; the clock of a sandbox."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from engine import drafts, publishing, releases
from engine.access import grant
from engine.background import advance
from engine.context import Context
from engine.errors import Denied, Fault, Invalid, NotFound
from engine.messages import catalogue
from engine.records.jsonshape import instant_json
from engine.rehearsal import Ran
from engine.releasing import release, to_play
from metadata.definitions import KINDS
from metadata.messages import sentence
from renderer.api.route import OneHop
from renderer.api.schemas import entity_schema
from renderer.api.shapes import Body, answer, json_object, refuse_repeats
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)
#: A clock stands within these, so that no time zone or duration leads out of what a date can say.
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
#: Seconds one call may move a clock for.
LONGEST_MOVE = 60.0


@router.get("/definitions", **guarded(right="design"))
def list_definitions(ctx: ApiContext) -> Response:
    """All published definitions, with the version they are."""
    bundle = ctx.workspace.bundle
    return answer(
        {
            "version": ctx.workspace.version,
            "digest": bundle.digest,
            "items": [{"kind": kind, "key": key, "title": document.get("title")} for (kind, key), document in bundle.documents.items()],
        }
    )


@router.get("/definitions/{kind}/{key}", **guarded(right="design"))
def get_definition(ctx: ApiContext, kind: str, key: str) -> Response:
    """One published definition as its document, and the draft of it if there is one."""
    document = ctx.workspace.bundle.documents.get((kind, key))
    if document is None:
        raise NotFound("unknown_definition", kind=kind[:40], key=key[:60])
    return answer({"kind": kind, "key": key, "version": ctx.workspace.version, "document": document, "draft": drafted(ctx, kind, key)})


def drafted(ctx: Context, kind: str, key: str) -> dict[str, Any] | None:
    """The draft of a definition; its number is what the next one is based on."""
    state = drafts.state(ctx, kind, key)
    return {"number": state.number, "document": state.document} if state.changed else None


@router.put("/drafts/{kind}/{key}", **guarded(right="design"))
def put_draft(ctx: ApiContext, kind: str, key: str, body: Body) -> Response:
    """Put a whole document as the draft of a definition; ``number`` is the draft's number it is based on (0: none yet)."""
    given = json_object(body)
    refuse_repeats(body)
    document, number = given.get("document"), given.get("number", 0)
    if kind not in KINDS:
        raise NotFound("unknown_definition", kind=kind[:40], key=key[:60])
    if not isinstance(document, dict) or type(number) is not int:
        raise Invalid("draft_wrong", faults=[Fault("/document", "draft_wrong")])
    state = drafts.act(ctx, kind, key, {"op": "put", "document": document}, number)
    return answer({"kind": kind, "key": key, "number": state.number})


@router.get("/plan", **guarded(right="design"))
def get_plan(ctx: ApiContext) -> Response:
    """What publishing all drafts would do: differences, steps with affected rows, rights, problems."""
    return answer(plan_json(publishing.plan_drafts(ctx), ctx.locale))


def plan_json(plan: publishing.Plan, locale: str) -> dict[str, Any]:
    """A plan as JSON; its digest confirms the publish."""
    return {
        "base_version": plan.base_version,
        "digest": plan.digest,
        "ready": plan.ready,
        "sentences": plan.sentences(locale),
        "steps": [
            {
                "code": step.code,
                "risk": str(step.risk),
                "entity": step.entity,
                "field": step.field or None,
                "rows": step.rows,
                "slow": step.slow,
                "sentence": step.sentence(locale),
            }
            for step in plan.steps
        ],
        "problems": [
            {
                "file": item.file,
                "pointer": item.pointer,
                "line": item.line,
                "code": item.code,
                "severity": item.severity,
                "message": sentence(item.code, item.params, locale, catalogue()),
            }
            for item in plan.problems
        ],
        "conflicts": [{"kind": kind, "key": key, "pointers": list(pointers)} for (kind, key), pointers in plan.conflicts.items()],
    }


@router.post("/publish", **guarded(right="publish"))
def publish(ctx: ApiContext, body: Body) -> Response:
    """Publish all drafts; ``digest`` is the one the plan gave, ``skip_scenarios`` the reason to leave the scenarios out in an emergency.

    Where scenarios are to be played first, the answer names the job that does it and then publishes.
    """
    given = json_object(body)
    digest = given.get("digest")
    if not isinstance(digest, str):
        raise Invalid("digest_missing", faults=[Fault("/digest", "digest_missing")])
    skip = given.get("skip_scenarios")
    if skip is not None and not isinstance(skip, str):
        raise Invalid("scenario_skip_reason", faults=[Fault("/skip_scenarios", "scenario_skip_reason")])
    note = str(given.get("note", ""))[:500]
    plan = publishing.plan_drafts(ctx)
    if skip is None and to_play(ctx.workspace, plan):
        job = releases.start(ctx, plan, note=note, expect_digest=digest)
        return answer({"job": job}, 202, Location=f"/api/{ctx.workspace.name}/jobs/{job}")
    done = release(ctx, plan, note=note, expect_digest=digest, skip_scenarios=None if skip is None else skip[:200])
    return answer({"version": done.number, "state": done.state})


@router.post("/rollback", **guarded(right="publish"))
def rollback(ctx: ApiContext, body: Body) -> Response:
    """Publish an earlier version again as the newest."""
    number = json_object(body).get("version")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Invalid("version_wrong", faults=[Fault("/version", "version_wrong")])
    done = publishing.rollback(ctx, number)
    return answer({"version": done.number, "state": done.state})


@router.get("/schema/{entity}", **guarded("read"))
def schema(ctx: ApiContext, entity: str) -> Response:
    """The record as plain JSON Schema, as this caller may see it."""
    granted = grant(ctx, entity)
    if not granted.allowed("read"):
        raise NotFound("unknown_entity", entity=entity)
    return answer(entity_schema(ctx, entity))


@router.put("/clock", **guarded(right="settings"))
def clock(ctx: ApiContext, body: Body) -> Response:
    """Move a sandbox's clock forward, running what falls due in order; ``now`` is where it stands after a minute at most, everything until then done."""
    if not ctx.workspace.sandbox:
        raise Denied("clock_of_live_workspace", workspace=ctx.workspace.name)
    given = json_object(body).get("now")
    try:
        moment = datetime.fromisoformat(given if isinstance(given, str) else "")
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=ctx.workspace.timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("clock_wrong", faults=[Fault("/now", "clock_wrong")]) from None
    if not EARLIEST <= moment <= LATEST:
        raise Invalid("clock_wrong", faults=[Fault("/now", "clock_wrong")])
    done = advance(ctx.home, ctx.workspace.name, moment, seconds=LONGEST_MOVE)
    return answer({"now": instant_json(ctx.workspace, done.now), "ran": [_ran(ctx, item) for item in done.ran]})


def _ran(ctx: Context, item: Ran) -> dict[str, Any]:
    return {**asdict(item), "at": instant_json(ctx.workspace, item.at)}
