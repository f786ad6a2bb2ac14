"""A publish as people ask for it: the scenarios of the definitions are played first, in throw-away sandboxes, and one that does not hold stops it by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.access import rights
from engine.errors import Denied, Invalid
from engine.publishing import Published, publish
from engine.publishing_plan import Plan
from engine.scenarios import Result, run_scenarios

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

_SKIPPED = "[scenarios skipped: {reason}]"
_KEPT = "scenarios"
#: Kinds of definition that say how things look: no scenario can tell one from another.
_LOOKS = frozenset({"form", "list", "report", "dashboard"})


def release(ctx: Context, plan: Plan, *, note: str = "", expect_digest: str | None = None, skip_scenarios: str | None = None, wait: bool = True) -> Published:
    """Publish a plan whose scenarios hold. ``skip_scenarios``: the reason for which they are left out in an emergency; it stands in the version's note.

    Raises Invalid "publish_scenarios" with what did not come true, and whatever ``publish`` raises.
    """
    if skip_scenarios is not None and not skip_scenarios.strip():
        raise Invalid("scenario_skip_reason")
    if not rights(ctx, "publish"):
        raise Denied("publish_denied")
    if skip_scenarios is not None:
        note = f"{note} {_SKIPPED.format(reason=skip_scenarios.strip())}".strip()
    elif plan.ready and expect_digest in (None, plan.digest):
        broken = [result for result in prove(ctx.workspace, plan) if not result.holds]
        if broken:
            problems = [problem for result in broken for problem in result.problems]
            raise Invalid("publish_scenarios", count=len(broken), titles=", ".join(result.key for result in broken), problems=problems)
    return publish(ctx, plan, note=note, expect_digest=expect_digest, wait=wait)


def may_break(workspace: Workspace, plan: Plan) -> bool:
    """Whether a plan changes anything that a scenario could tell."""
    was, now = workspace.bundle.documents, plan.bundle.documents
    return any(was.get(place) != now.get(place) for place in {*was, *now} if place[0] not in _LOOKS)


def prove(workspace: Workspace, plan: Plan) -> tuple[Result, ...]:
    """Play the scenarios of a plan that is ready, none where it changes looks only; what came of the same definitions in this process is kept, so that looking and publishing play them once."""
    if not may_break(workspace, plan):
        return ()
    kept = workspace.cache.get((_KEPT, plan.digest))
    if not isinstance(kept, tuple):
        kept = tuple(run_scenarios(workspace.registry, plan.bundle, timezone=str(workspace.timezone)))
        workspace.cache[(_KEPT, plan.digest)] = kept
    return kept
