"""One action on many chosen records of a list: one form, each record by itself, what was refused and why; soft refusals gone on against together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from engine.errors import Invalid, NotFound, Refusal
from engine.records import service
from engine.records.query_labels import labels
from engine.records.ruling_press import parameter_fields, parameters_of, read_given, short_name
from engine.records.work import Work
from engine.rules.book import CompiledRule
from metadata.text import label_text
from renderer import errors
from renderer.bound_action import ParameterBinder, confirm_codes, icon_of, named, typed_of
from renderer.pages.list_tools import chosen_ids
from renderer.pages.lists import Shown
from renderer.requests import Routes, Visit
from renderer.shell import list_title
from renderer.translations import ngettext

routes = Routes()


@dataclass(slots=True)
class _Outcome:
    """What came of it: how many went through, each refused record with its reason, those that may be gone on with and their codes."""

    done: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    soft: list[int] = field(default_factory=list)
    confirm: str = ""

    def note(self, number: int, refusal: Refusal, locale: str) -> None:
        self.refused.append((number, errors.sentences(refusal, locale)))
        codes = confirm_codes(refusal, self.confirm)
        if codes:
            self.soft.append(number)
            self.confirm = codes


@routes.get("/w/{ws}/l/{list}/many/{action}")
def ask_many(visit: Visit) -> Response:
    """The form of the action for the chosen rows."""
    shown = Shown(visit)
    return _form(visit, shown, _rule(visit, shown), chosen_ids(visit, visit.request.query_params.getlist("ids")))


@routes.post("/w/{ws}/l/{list}/many/{action}")
def press_many(visit: Visit) -> Response:
    """Do it on each, by itself; what is wrong with the form is told before anything is done."""
    shown = Shown(visit)
    rule, ids = _rule(visit, shown), chosen_ids(visit, visit.texts("ids:"))
    parameters = parameters_of(visit.ctx.workspace, rule)
    raw = typed_of(parameter_fields(parameters), visit.raw())
    try:
        with visit.ctx.snapshot() as ctx:
            read_given(Work(ctx), parameters, raw)
    except Invalid as refusal:
        return _form(visit, shown, rule, ids, raw, refusal)
    confirmed = [code for code in visit.text("confirm:").split(",") if code]
    outcome = _Outcome(confirm=",".join(confirmed))
    for number in ids:
        try:
            service.act(visit.ctx, shown.entity.key, number, short_name(rule), raw, confirmed=confirmed)
            outcome.done += 1
        except Refusal as refusal:
            outcome.note(number, refusal, visit.locale)
    title, back = label_text(rule.title, visit.locale, rule.key), f"{visit.base}/l/{shown.definition.key}"
    if not outcome.refused:
        return visit.redirect(back, toast=f"{title}：" + ngettext("%(num)s record done", "%(num)s records done", outcome.done) % {"num": outcome.done})
    return _told(visit, shown, title, back, outcome, raw)


def _rule(visit: Visit, shown: Shown) -> CompiledRule:
    """The action of that name that the list offers for many. Raises NotFound."""
    name = str(visit.path["action"])
    found = next((rule for rule in named(visit.ctx, shown.entity, shown.definition.bulk) if short_name(rule) == name), None)
    if found is None:
        raise NotFound("unknown_action", name=name[:80])
    return found


def _form(visit: Visit, shown: Shown, rule: CompiledRule, ids: list[int], raw: Mapping[str, Any] | None = None, refusal: Refusal | None = None) -> Response:
    with visit.ctx.snapshot() as ctx:
        form = ParameterBinder(ctx, parameters_of(ctx.workspace, rule), rule.trigger.name, shown.entity.key, visit.base, raw=raw).bind(refusal)
    data: dict[str, Any] = {
        "form": form,
        "ids": ids,
        "action": f"{visit.base}/l/{shown.definition.key}/many/{short_name(rule)}",
        "here": f"{visit.base}/l/{shown.definition.key}",
        "label": ngettext("%(num)s chosen record", "%(num)s chosen records", len(ids)) % {"num": len(ids)},
        "title": label_text(rule.title, visit.locale, rule.key),
        "help": label_text(rule.body.get("description"), visit.locale),
        "icon_name": icon_of(rule),
        "once": "",
        "closed": False,
        "reason": "",
    }
    status = 422 if refusal is not None else 200
    if visit.wants_part:
        return visit.part("_action_form.html" if visit.target == "action-form" else "_action.html", status=status, **data)
    return visit.page("action.html", status=status, **data)


def _told(visit: Visit, shown: Shown, title: str, back: str, outcome: _Outcome, raw: Mapping[str, Any]) -> Response:
    with visit.ctx.reading() as ctx:
        known = labels(ctx, shown.entity.key, {number for number, _reason in outcome.refused})
    given = [(name, str(value)) for name, values in raw.items() for value in (values if isinstance(values, list) else [values])]
    data: dict[str, Any] = {
        "title": title,
        "list_title": list_title(visit.ctx.workspace, shown.definition, visit.locale),
        "done": outcome.done,
        "refused": [(f"{visit.base}/r/{shown.entity.key}/{number}", known.get(number) or f"#{number}", reason) for number, reason in outcome.refused],
        "ids": outcome.soft,
        "confirm": outcome.confirm if outcome.soft else "",
        "given": given,
        "action": f"{back}/many/{visit.path['action']}",
        "back": back,
    }
    if not visit.wants_part:
        return visit.page("many_done.html", **data)
    response = visit.part("_many_done.html", **data)
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog", "innerHTML"
    return response
