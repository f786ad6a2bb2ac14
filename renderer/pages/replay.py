"""Replays of a rule: what to ask, how far it is, what would have been against what was, each number down to its records and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from engine import replay_kept
from engine.context import Context
from engine.errors import Invalid
from engine.messages import catalogue, sentence
from engine.replay_kept import Asked, Kept, Wanted
from engine.rule_drafts import drafted, read_text, rule_of, text_of
from engine.rules.book import CompiledRule
from engine.rules.labels import Labels
from engine.rules.sentences import labels_of, lines
from metadata.messages import describe
from metadata.text import label_text
from renderer.bound_replay import (
    COLOURS,
    changed_settings,
    day_sums,
    doubt_words,
    finding_facts,
    finding_views,
    owner_sums,
    settings_asked,
    settings_given,
    state_words,
    verdict_words,
)
from renderer.bound_rule import moment, rule_title
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")
DAYS = 30
WORKING = ("waiting", "running")


@routes.get("/w/{ws}/rules/{key}/replay", SETTINGS)
def ask(visit: Visit) -> Response:
    """What to ask, and what was asked before."""
    return _ask_page(visit)


@routes.post("/w/{ws}/rules/{key}/replay", SETTINGS)
def begin(visit: Visit) -> Response:
    """Ask for it."""
    key, days = str(visit.path["key"]), visit.text("days:")
    try:
        body = read_text(visit.text("body:")) if visit.text("which:") == "text" else drafted(visit.ctx, key) if visit.text("which:") == "draft" else None
        asked = Asked(
            key,
            int(days) if days.isdecimal() and len(days) < 6 else 0,
            visit.text("owner:"),
            body,
            settings_given(visit.ctx, visit.raw()),
            visit.text("today:") == "1",
        )
        number = replay_kept.ask(visit.ctx, asked)
    except Invalid as refusal:
        return _ask_page(visit, refusal)
    return visit.redirect(f"{visit.base}/replays/{number}")


def _ask_page(visit: Visit, refusal: Invalid | None = None) -> Response:
    ctx, key = visit.ctx, str(visit.path["key"])
    rule = rule_of(ctx.workspace, key)
    draft = drafted(ctx, key)
    entity = ctx.workspace.entities.get(rule.entity)
    names = Labels(ctx.workspace.bundle, ctx.locale)
    return visit.page(
        "replay.html",
        status=422 if refusal is not None else 200,
        title=rule_title(ctx, key),
        when=lines(rule, labels_of(ctx.workspace, visit.locale))[0].text,
        days=visit.text("days:") or str(DAYS),
        longest=replay_kept.LONGEST,
        owners=[(name, names.field(rule.entity, name)) for name in replay_kept.owners_of(entity)],
        owner=visit.text("owner:"),
        which=visit.text("which:") or "published",
        drafted=draft is not None,
        body=visit.text("body:") or text_of(draft or ctx.workspace.bundle.documents["rule", key]),
        today=visit.text("today:"),
        settings=settings_asked(ctx, rule, visit.base),
        errors=_errors(refusal, visit.locale) if refusal is not None else [],
        past=[_past(ctx, kept) for kept in replay_kept.newest(ctx, key)],
        here=f"{visit.base}/rules/{key}/replay",
    )


def _errors(refusal: Invalid, locale: str) -> list[str]:
    problems = refusal.params.get("problems")
    if isinstance(problems, list):
        return [f"{item.pointer}: {describe(item, locale, catalogue())}" for item in problems]
    return [sentence(fault.code, fault.params, locale) for fault in refusal.faults] or [sentence(refusal.code, refusal.params, locale)]


def _past(ctx: Context, kept: Kept) -> dict[str, Any]:
    return {
        "id": kept.id,
        "at": moment(ctx, kept.at),
        "state": state_words()[kept.state],
        "days": (kept.until - kept.since).days,
        "changed": bool(kept.body or kept.settings),
    }


# --- what was found ------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/replays/{id}", SETTINGS)
def show(visit: Visit) -> Response:
    """Where a replay stands, and what it found."""
    return visit.page("replayed.html", **_view(visit, replay_kept.of(visit.ctx, visit.number("id"))))


@routes.get("/w/{ws}/replays/{id}/progress", SETTINGS)
def progress(visit: Visit) -> Response:
    """The moving part; asks again while work goes on."""
    return visit.part("_replayed.html", **_view(visit, replay_kept.of(visit.ctx, visit.number("id"))))


@routes.post("/w/{ws}/replays/{id}/stop", SETTINGS)
def stop(visit: Visit) -> Response:
    """Stop it."""
    number = visit.number("id")
    replay_kept.cancel(visit.ctx, number)
    return visit.redirect(f"{visit.base}/replays/{number}", toast=_("Stopped"))


def _view(visit: Visit, kept: Kept) -> dict[str, Any]:
    ctx = visit.ctx
    rule, here = _rule(ctx, kept), f"{visit.base}/replays/{kept.id}"
    known: dict[str, Any] = {
        "kept": kept,
        "title": label_text(rule.title, visit.locale, kept.rule),
        "said": [line.text for line in lines(rule, labels_of(ctx.workspace, visit.locale))],
        "state": state_words()[kept.state],
        "working": kept.state in WORKING,
        "since": _minute(ctx, kept.since),
        "until": _minute(ctx, kept.until),
        "settings": changed_settings(ctx, kept),
        "failure": sentence(str(kept.error.get("code", "")), dict(kept.error.get("params") or {}), visit.locale) if kept.error else "",
        "here": here,
        "whole": None,
        "ask_href": f"{visit.base}/rules/{kept.rule}/replay",
    }
    return known if kept.state != "done" else {**known, **_found(visit, kept, rule, here)}


def _minute(ctx: Context, at: Any) -> str:
    return f"{at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M}"


def _rule(ctx: Context, kept: Kept) -> CompiledRule:
    """The rule a replay was about, as it can be made now; where its text no longer fits, the published one."""
    try:
        return rule_of(ctx.workspace, kept.rule, kept.body)
    except Invalid:
        return rule_of(ctx.workspace, kept.rule)


def _found(visit: Visit, kept: Kept, rule: CompiledRule, here: str) -> dict[str, Any]:
    ctx, given = visit.ctx, {name: str(visit.request.query_params.get(name, ""))[:20] for name in ("verdict", "owner", "day", "approximate")}
    after = str(visit.request.query_params.get("after", ""))
    wanted = Wanted(given["verdict"], int(given["owner"]) if given["owner"].isdecimal() else None, given["day"], approximate=given["approximate"] == "1")
    found, following = replay_kept.findings(ctx, kept.id, wanted, int(after) if after.isdecimal() else 0)
    (whole,) = replay_kept.counts(ctx, kept.id)
    kept_given = {name: value for name, value in given.items() if value}
    owners = owner_sums(ctx, replay_kept.counts(ctx, kept.id, "owner")) if kept.owner else []
    return {
        "words": verdict_words(),
        "colours": COLOURS,
        "whole": whole,
        "approximate": replay_kept.approximate(ctx, kept.id),
        "doubts": list(doubt_words().values()),
        "owners": owners,
        "owner_title": Labels(ctx.workspace.bundle, ctx.locale).field(rule.entity, kept.owner) if kept.owner else "",
        "days": day_sums(replay_kept.counts(ctx, kept.id, "day")),
        "rows": finding_views(ctx, rule.entity, found, visit.base),
        "given": given,
        "filters": _filters(kept_given, owners),
        "following": f"?{urlencode({**kept_given, 'after': following})}" if following else "",
    }


def _filters(given: Mapping[str, str], owners: Any) -> list[str]:
    names = {row.key: row.title for row in owners}
    shown = {"verdict": verdict_words().get(given.get("verdict", ""), ""), "owner": names.get(given.get("owner", ""), ""), "day": given.get("day", "")}
    return [*filter(None, shown.values()), *([_("approximate")] if given.get("approximate") else [])]


@routes.get("/w/{ws}/replays/{id}/findings/{finding}", SETTINGS)
def one(visit: Visit) -> Response:
    """One finding: what the condition saw then, how far the steps go, the run it was."""
    ctx, kept = visit.ctx, replay_kept.of(visit.ctx, visit.number("id"))
    found, rule = replay_kept.finding_of(ctx, kept.id, visit.number("finding")), _rule(ctx, kept)
    (row,) = finding_views(ctx, rule.entity, [(0, found)], visit.base)
    said = lines(rule, labels_of(ctx.workspace, visit.locale))
    words = {
        "row": row,
        "title": label_text(rule.title, visit.locale, kept.rule),
        "condition": next((line.text for line in said if line.part == "if"), ""),
        "run_href": f"{visit.base}/runs/{found.run}" if found.run else "",
        "back": f"{visit.base}/replays/{kept.id}",
        **finding_facts(ctx, kept, rule, found),
    }
    return visit.part("_finding.html", **words) if visit.wants_part else visit.page("finding.html", **words)
