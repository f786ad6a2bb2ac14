"""Pressing a button of a record: its form in a dialog or as a page, what was refused and why, what came of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from engine.context import Context
from engine.errors import Conflict, Denied, Invalid, Refusal
from engine.explaining import Explained, explain_rule
from engine.messages import told_together
from engine.records import service
from engine.records.asks import OPEN, asked_about
from engine.records.query import get
from engine.records.ruling_press import admitted, parameter_fields, parameters_of, short_name
from engine.rules.book import CompiledRule
from engine.rules.wording import told
from metadata.text import label_text
from renderer import errors
from renderer.bound_action import ParameterBinder, icon_of, typed_of
from renderer.bound_record import Desk, amounts, record_label
from renderer.pages.records import address, entity_of, list_address
from renderer.requests import Routes, Visit
from renderer.translations import _

routes = Routes()


@routes.get("/w/{ws}/r/{entity}/{id}/do/{action}")
def ask_action(visit: Visit) -> Response:
    """The form of an action; why not, where it cannot be pressed now."""
    return _form(visit)


@routes.post("/w/{ws}/r/{entity}/{id}/do/{action}")
def press(visit: Visit) -> Response:
    """Do it, or show the form again with everything typed and every reason; ``at_once:``: a button without a form was pressed where it stands."""
    entity, number = entity_of(visit), visit.number("id")
    with visit.ctx.snapshot() as ctx:
        rule = _rule(ctx, entity, number, str(visit.path["action"]))
    raw = typed_of(parameter_fields(parameters_of(visit.ctx.workspace, rule)), visit.raw())
    confirmed = [code for code in visit.text("confirm:").split(",") if code]
    once = visit.text("once:")[:64] or None
    try:
        acted = service.act(visit.ctx, entity, number, short_name(rule), raw, confirmed=confirmed, idempotency_key=once, waits=True)
    except (Invalid, Conflict) as refusal:
        return _refused_at_once(visit, raw, refusal) if visit.text("at_once:") else _form(visit, raw, refusal)
    with visit.ctx.snapshot() as ctx:
        waits = any(one.state == OPEN and one.rule == rule.key and one.person == ctx.actor.person_id for one in asked_about(ctx, entity, number, limit=3))
        said = " ".join(dict.fromkeys(told(ctx, acted.told)))
    title = label_text(rule.title, visit.locale, rule.key)
    done = _("%(name)s: handed in, waiting for approval", name=title) if waits else said or _("%(name)s: done", name=title)
    if acted.record is None:
        return visit.redirect(list_address(visit, entity), toast=done)
    shown_on = visit.request.headers.get("hx-current-url", "")
    came_from, alone = shown_on.partition(f"{visit.base}/l/")[2], urlsplit(shown_on).path == visit.request.url.path  # the form is a page of its own
    if visit.text("at_once:"):
        return visit.nothing(toast=done, events={"freshPage": True})
    if visit.wants_part and came_from:
        return visit.redirect(f"{visit.base}/l/{came_from}", toast=done)
    if visit.wants_part and not alone:
        return visit.nothing(toast=done, events={"closeDialog": True, "freshPage": True})
    return visit.redirect(address(visit, entity, number), toast=done)


@routes.post("/w/{ws}/r/{entity}/{id}/do/{action}/refresh")
def refresh(visit: Visit) -> Response:
    """The form with what is typed, what is asked for decided anew."""
    with visit.ctx.snapshot() as ctx:
        rule = _rule(ctx, entity_of(visit), visit.number("id"), str(visit.path["action"]))
    return _form(visit, typed_of(parameter_fields(parameters_of(visit.ctx.workspace, rule)), visit.raw()))


def _refused_at_once(visit: Visit, raw: dict[str, Any], refusal: Refusal) -> Response:
    """A refusal that is final is told beside the page, which is drawn anew: it was out of date; one that may be gone on against opens the form."""
    if not refusal.soft_codes:
        status = errors.status_of(refusal)
        return visit.nothing(toast=told_together(refusal, visit.locale), kind="error", events={"freshPage": True}, status=status)
    form = _form(visit, raw, refusal)
    form.headers["HX-Retarget"], form.headers["HX-Reswap"] = "#dialog", "innerHTML"
    return form


def _rule(ctx: Context, entity: str, record: int, name: str) -> CompiledRule:
    """The button of that name that the person may press on this record. Raises NotFound, Denied."""
    get(ctx, entity, record, fields=("id",))
    found = next((rule for rule in admitted(ctx, ctx.workspace.entities[entity], record) if short_name(rule) == name), None)
    if found is None:
        raise Denied("may_not_act", action=name)
    return found


def _form(visit: Visit, raw: dict[str, Any] | None = None, refusal: Refusal | None = None) -> Response:
    entity, number = entity_of(visit), visit.number("id")
    with visit.ctx.snapshot() as ctx:
        rule = _rule(ctx, entity, number, str(visit.path["action"]))
        binder = ParameterBinder(ctx, parameters_of(ctx.workspace, rule), rule.trigger.name, entity, visit.base, record=number, raw=raw, live=True)
        given = binder.bind(refusal, visit.text("confirm:"))
        compiled = ctx.workspace.entities[entity]
        record = get(ctx, entity, number)
        label, facts = record_label(ctx, compiled, record), amounts(Desk(ctx, visit.site.pages, visit.base), compiled, record)
        why = explain_rule(ctx, rule, number)
    here = address(visit, entity, number)
    data: dict[str, Any] = {
        "form": given,
        "action": f"{here}/do/{short_name(rule)}",
        "refresh": f"{here}/do/{short_name(rule)}/refresh" if any(field.refresh for field in given.fields) else "",
        "here": here,
        "label": label,
        "facts": facts,
        "entity_title": label_text(compiled.title, visit.locale, entity),
        "title": label_text(rule.title, visit.locale, rule.key),
        "help": label_text(rule.body.get("description"), visit.locale),
        "icon_name": icon_of(rule),
        "once": visit.text("once:") or visit.mark(),
        "closed": why.holds is False,
        "reason": _reason(why),
    }
    status = 422 if refusal is not None else 200
    if visit.wants_part:
        return visit.part("_action_form.html" if visit.target == "action-form" else "_action.html", status=status, **data)
    return visit.page("action.html", status=status, **data)


def _reason(why: Explained) -> str:
    """The first part that does not hold, with what it saw; '' where the person may not see it."""
    part = why.reason
    if part is None or part.hidden or not part.text:
        return ""
    seen = "、".join(f"{one.label} {one.shown}" for one in part.seen)
    return f"{part.text}（{seen}）" if seen else part.text
