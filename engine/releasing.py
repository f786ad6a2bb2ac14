"""A publish as people ask for it: the scenarios of the definitions are played first, in throw-away sandboxes, and one that does not hold stops it by name.

Asked for by people with a page open it is a job: releases.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.access import rights
from engine.errors import Denied, Invalid
from engine.publishing import Published, publish
from engine.publishing_plan import Plan
from engine.scenarios import Result, Told, play_scenarios, promised, quiet

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

#: Kinds of definition that say how things look: no scenario can tell one from another.
_LOOKS = frozenset({"form", "list", "report", "dashboard"})


def release(
    ctx: Context, plan: Plan, *, note: str = "", expect_digest: str | None = None, skip_scenarios: str | None = None, wait: bool = True, told: Told = quiet
) -> Published:
    """Publish a plan whose scenarios hold. ``skip_scenarios``: the reason for which they are left out in an emergency; it stands with the version.

    Raises Invalid "publish_scenarios" with what did not come true, and whatever ``publish`` raises.
    """
    if skip_scenarios is not None and not skip_scenarios.strip():
        raise Invalid("scenario_skip_reason")
    if not rights(ctx, "publish"):
        raise Denied("publish_denied")
    if skip_scenarios is None and plan.ready and expect_digest in (None, plan.digest):
        _refuse_broken(prove(ctx.workspace, plan, told))
    return publish(ctx, plan, note=note, unproven=(skip_scenarios or "").strip(), expect_digest=expect_digest, wait=wait)


def _refuse_broken(results: tuple[Result, ...]) -> None:
    """Raises Invalid "publish_scenarios" when one of them does not hold."""
    broken = [result for result in results if not result.holds]
    if broken:
        problems = [problem for result in broken for problem in result.problems]
        raise Invalid("publish_scenarios", count=len(broken), titles=", ".join(result.key for result in broken), problems=problems)


def to_play(workspace: Workspace, plan: Plan) -> list[str]:
    """The scenarios that a plan must hold, by key: all of its definitions', none while it is not ready or where it changes looks only."""
    was, now = workspace.bundle.documents, plan.bundle.documents
    touches = any(was.get(place) != now.get(place) for place in {*was, *now} if place[0] not in _LOOKS)
    return promised(plan.bundle) if touches and plan.ready else []


def prove(workspace: Workspace, plan: Plan, told: Told = quiet) -> tuple[Result, ...]:
    """Play the scenarios a plan must hold."""
    keys = to_play(workspace, plan)
    return play_scenarios(workspace.registry, plan.bundle, keys, timezone=str(workspace.timezone), told=told) if keys else ()
