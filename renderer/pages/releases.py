"""A publish under way: how many scenarios have been played, which did not hold and in what words, the version it made; stopping it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from engine import publishing, releases
from engine.errors import Conflict
from engine.messages import sentence
from engine.records.query_labels import labels
from engine.releases import WORKING
from renderer.bound_rule import moment
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
DESIGN = Permission("member", right="design")
PUBLISH = Permission("member", right="publish")
COLOURS = {"live": "green", "held": "green", "broken": "red", "refused": "red", "failed": "red", "stopped": "amber"}


def begin(visit: Visit, plan: publishing.Plan, *, note: str = "", digest: str | None = None, publishes: bool = True) -> Response:
    """Have the scenarios played in the background, and the drafts published when all hold; the page of one that is under way when there is one."""
    try:
        number = releases.start(visit.ctx, plan, note=note, expect_digest=digest, publishes=publishes)
    except Conflict as refusal:
        if refusal.code != "release_running":
            raise
        return visit.redirect(f"{visit.base}/releases/{refusal.params['id']}", toast=_("A publish is under way already"), kind="error")
    return visit.redirect(f"{visit.base}/releases/{number}")


@routes.post("/w/{ws}/publish/play", DESIGN)
def play(visit: Visit) -> Response:
    """Play the scenarios of what is shown, and publish nothing."""
    return begin(visit, publishing.plan_drafts(visit.ctx), digest=visit.text("digest"), publishes=False)


@routes.get("/w/{ws}/releases/{id}", DESIGN)
def show(visit: Visit) -> Response:
    """How a publish stands."""
    return visit.page("release.html", **_view(visit))


@routes.get("/w/{ws}/releases/{id}/progress", DESIGN)
def progress(visit: Visit) -> Response:
    """The moving part; asks again while scenarios are played."""
    return visit.part("_release.html", **_view(visit))


@routes.post("/w/{ws}/releases/{id}/stop", DESIGN)
def stop(visit: Visit) -> Response:
    """Stop it; nothing is published."""
    number = visit.number("id")
    releases.stop(visit.ctx, number)
    return visit.redirect(f"{visit.base}/releases/{number}", toast=_("Stopped"))


def _view(visit: Visit) -> dict[str, Any]:
    release = releases.of(visit.ctx, visit.number("id"))
    with visit.ctx.reading() as ctx:
        people = labels(ctx, "person", {release.person} if release.person is not None else set())
    error = release.error
    return {
        "release": release,
        "state": _words()[release.state],
        "colour": COLOURS.get(release.state, ""),
        "working": release.state in WORKING,
        "may_stop": visit.ctx.actor.rights & ({"publish"} if release.publishes else {"design"}),
        "failure": release.why or (sentence(str(error["code"]), dict(error.get("params") or {}), visit.locale) if error else ""),
        "by": people.get(release.person or 0, ""),
        "at": moment(visit.ctx, release.at),
        "here": f"{visit.base}/releases/{release.id}",
        "back": f"{visit.base}/publish",
    }


def _words() -> dict[releases.State, str]:
    return {
        "waiting": _("Waiting its turn"),
        "playing": _("Playing scenarios"),
        "live": _("Published"),
        "held": _("All scenarios hold"),
        "broken": _("Not published"),
        "refused": _("Not published"),
        "stopped": _("Stopped"),
        "failed": _("Failed"),
    }
