"""What is done to chosen records of a list: a button's action, one field changed, deleted. Each record by itself; what was refused and why; many of them in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from engine import many
from engine.errors import Denied, Invalid, NotFound, Refusal
from engine.many import MOST, Step, Tally
from engine.messages import sentence
from engine.records.query import page
from engine.records.query_labels import labels
from engine.records.ruling_press import parameter_fields, parameters_of, read_given, short_name
from engine.records.work import Work
from engine.rules.book import CompiledRule
from metadata.text import label_text
from renderer.bound_action import ParameterBinder, icon_of, named, typed_of
from renderer.bound_field import bound_field
from renderer.bound_list import query_of
from renderer.filters_view import title_of
from renderer.pages.lists import Shown
from renderer.requests import Routes, Visit
from renderer.shell import list_title
from renderer.translations import _, ngettext

routes = Routes()
WORKING = ("waiting", "running")
#: Marks "every record the list's conditions find" instead of chosen ones.
EVERY = "every:"


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The records something is to be done to. ``every``: all that the list shows in this state."""

    ids: Sequence[int]
    every: bool

    @property
    def label(self) -> str:
        """How many, in words."""
        number = len(self.ids)
        if self.every:
            return ngettext("all %(num)s record", "all %(num)s records", number) % {"num": number}
        return ngettext("%(num)s chosen record", "%(num)s chosen records", number) % {"num": number}

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What a form carries along of it."""
        return [(EVERY, "1")] if self.every else [("ids:", str(number)) for number in self.ids]


def _chosen(visit: Visit, shown: Shown) -> _Chosen:
    """What was chosen. Raises Invalid when it is nothing or too many."""
    given = visit.request.query_params
    if given.get(EVERY) or visit.text(EVERY):
        return _Chosen(_every(visit, shown), True)
    texts = [*given.getlist("ids"), *visit.texts("ids"), *visit.texts("ids:")]
    found = [int(text) for text in dict.fromkeys(texts) if text.isascii() and text.isdigit() and len(text) < 19]
    if not found:
        raise Invalid("nothing_chosen")
    if len(found) > MOST:
        raise Invalid("too_many_chosen", limit=MOST)
    return _Chosen(found, False)


def _every(visit: Visit, shown: Shown) -> list[int]:
    found: list[int] = []
    layout, cursor = shown.layout(), None
    with visit.ctx.snapshot() as ctx:
        while True:
            answer = page(ctx, query_of(ctx, layout, replace(shown.state, cursor=""), fields=(), limit=200, cursor=cursor))
            found += [record["id"] for record in answer.items]
            if len(found) > MOST:
                raise Invalid("too_many_chosen", limit=MOST)
            cursor = answer.next
            if cursor is None:
                break
    if not found:
        raise Invalid("nothing_chosen")
    return found


# --- a button's action -----------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/l/{list}/many/{action}")
def ask_many(visit: Visit) -> Response:
    """The form of the action for the chosen rows."""
    shown = Shown(visit)
    return _form(visit, shown, _rule(visit, shown), _chosen(visit, shown))


@routes.post("/w/{ws}/l/{list}/many/{action}")
def press_many(visit: Visit) -> Response:
    """Do it on each; what is wrong with the form is told before anything is done."""
    shown = Shown(visit)
    rule, chosen = _rule(visit, shown), _chosen(visit, shown)
    parameters = parameters_of(visit.ctx.workspace, rule)
    raw = typed_of(parameter_fields(parameters), visit.raw())
    try:
        with visit.ctx.snapshot() as ctx:
            read_given(Work(ctx), parameters, raw)
    except Invalid as refusal:
        return _form(visit, shown, rule, chosen, raw, refusal)
    confirmed = tuple(code for code in visit.text("confirm:").split(",") if code)
    return _do(visit, shown, Step(shown.entity.key, "act", short_name(rule), raw, confirmed), chosen)


def _rule(visit: Visit, shown: Shown) -> CompiledRule:
    """The action of that name that the list offers for many. Raises NotFound."""
    name = str(visit.path["action"])
    found = next((rule for rule in named(visit.ctx, shown.entity, shown.definition.bulk) if short_name(rule) == name), None)
    if found is None:
        raise NotFound("unknown_action", name=name[:80])
    return found


def _form(visit: Visit, shown: Shown, rule: CompiledRule, chosen: _Chosen, raw: Mapping[str, Any] | None = None, refusal: Refusal | None = None) -> Response:
    with visit.ctx.snapshot() as ctx:
        form = ParameterBinder(ctx, parameters_of(ctx.workspace, rule), rule.trigger.name, shown.entity.key, visit.base, raw=raw).bind(refusal)
    data: dict[str, Any] = {
        "form": form,
        "carried": chosen.fields,
        "action": shown.address(tool=f"many/{short_name(rule)}"),
        "here": shown.address(),
        "label": chosen.label,
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


# --- one field, or gone ----------------------------------------------------------------------------------------------------------------------


def _changeable(shown: Shown) -> list[tuple[str, str]]:
    return [
        (name, title_of(item, shown.visit.locale))
        for name, item in shown.entity.fields.items()
        if name in shown.grant.writable
        and not item.derived
        and not item.encrypted
        and item.definition.once is False
        and item.read_only is False
        and item.type.widget not in ("file", "files", "image", "json", "serial")
    ]


@routes.get("/w/{ws}/l/{list}/bulk")
def ask_change(visit: Visit) -> Response:
    """Choose a field and its new value for the chosen rows."""
    shown = Shown(visit)
    fields = _changeable(shown)
    if not fields:
        raise Denied("may_not_update", entity=shown.entity.key)
    given = visit.request.query_params
    people = next((name for name, _title in fields if shown.entity.fields[name].target == "person"), "")
    wanted = given.get("field:", "") or (people if given.get("assign:") else "")
    name, chosen = wanted if wanted in dict(fields) else fields[0][0], _chosen(visit, shown)
    control = bound_field(shown.entity.fields[name], None, shown.around("b"), name="value", required=False, read_only=False, help="")
    action = shown.address(tool="bulk")
    return visit.part("_bulk.html", fields=fields, field=name, control=control, carried=chosen.fields, label=chosen.label, action=action)


@routes.post("/w/{ws}/l/{list}/bulk")
def change_many(visit: Visit) -> Response:
    """Set one field of the chosen rows."""
    shown = Shown(visit)
    name, chosen = visit.text("field:"), _chosen(visit, shown)
    if name not in dict(_changeable(shown)):
        raise Denied("may_not_update", entity=shown.entity.key)
    values = visit.texts("value")
    several = shown.entity.fields[name].type.widget in ("choices", "tags", "links", "people")
    raw: Any = [value for value in values if value] if several else values[0] if values else ""
    return _do(visit, shown, Step(shown.entity.key, "set", name, {name: raw}), chosen)


@routes.post("/w/{ws}/l/{list}/delete")
def delete_many(visit: Visit) -> Response:
    """Delete the chosen rows; each can be brought back."""
    shown = Shown(visit)
    return _do(visit, shown, Step(shown.entity.key, "delete"), _chosen(visit, shown))


# --- doing it, and what came of it -----------------------------------------------------------------------------------------------------------


def _do(visit: Visit, shown: Shown, step: Step, chosen: _Chosen) -> Response:
    """A few at once, more in the background."""
    if len(chosen.ids) > many.AT_ONCE:
        return visit.redirect(f"{visit.base}/l/{shown.definition.key}/batch/{many.start(visit.ctx, step, chosen.ids)}")
    tally = many.at_once(visit.ctx, step, chosen.ids)
    if not tally.refused:
        done = ngettext("%(num)s record done", "%(num)s records done", tally.done) % {"num": tally.done}
        return visit.redirect(shown.address(), toast=f"{_title(visit, shown, step)}：{done}")
    fields = [("ids:", str(number)) for number in tally.soft]
    fields += [(name, str(value)) for name, values in step.raw.items() for value in (values if isinstance(values, list) else [values])]
    data = _told(visit, shown, step, tally) | {"carried": fields, "action": shown.address(tool=f"many/{step.name}")}
    if not visit.wants_part:
        return visit.page("many_done.html", **data)
    response = visit.part("_many_done.html", **data)
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog", "innerHTML"
    return response


@routes.get("/w/{ws}/l/{list}/batch/{id:int}")
def show_work(visit: Visit) -> Response:
    """How far it is, and at last what came of it; the moving part asks again by itself."""
    shown, number = Shown(visit), visit.number("id")
    state, step, tally = many.find(visit.ctx, number)
    if step.entity != shown.entity.key:
        raise NotFound("unknown_job", id=number)
    here = f"{visit.base}/l/{shown.definition.key}/batch/{number}"
    failure = sentence(str(state.error["code"]), dict(state.error.get("params", {})), visit.locale) if state.state == "dead" and state.error else ""
    data = _told(visit, shown, step, tally) | {"carried": [], "action": here, "here": here, "working": state.state in WORKING, "failure": failure}
    return visit.part("_many_done.html", **data) if visit.target == "many-done" else visit.page("many_done.html", **data)


@routes.post("/w/{ws}/l/{list}/batch/{id:int}")
def go_on(visit: Visit) -> Response:
    """Go on with those whose refusal is soft, all the same."""
    shown = Shown(visit)
    state, step, tally = many.find(visit.ctx, visit.number("id"))
    if state.state in WORKING or not tally.soft:
        raise Invalid("nothing_chosen")
    return _do(visit, shown, replace(step, confirmed=tuple(dict.fromkeys([*step.confirmed, *tally.codes]))), _Chosen(tally.soft, False))


def _title(visit: Visit, shown: Shown, step: Step) -> str:
    titles: dict[str, Callable[[], str]] = {
        "act": lambda: next(
            (label_text(r.title, visit.locale, r.key) for r in named(visit.ctx, shown.entity, shown.definition.bulk) if short_name(r) == step.name), step.name
        ),
        "set": lambda: _("Change %(name)s", name=title_of(shown.entity.fields[step.name], visit.locale)),
        "delete": lambda: _("Delete"),
    }
    return titles[step.verb]()


def _told(visit: Visit, shown: Shown, step: Step, tally: Tally) -> dict[str, Any]:
    with visit.ctx.reading() as ctx:
        known = labels(ctx, shown.entity.key, {number for number, _reason in tally.reasons})
    return {
        "title": _title(visit, shown, step),
        "list_title": list_title(visit.ctx.workspace, shown.definition, visit.locale),
        "tally": tally,
        "refused": [(f"{visit.base}/r/{shown.entity.key}/{number}", known.get(number) or f"#{number}", reason) for number, reason in tally.reasons],
        "confirm": ",".join(dict.fromkeys([*step.confirmed, *tally.codes])) if tally.soft else "",
        "back": shown.address(),
        "working": False,
        "failure": "",
        "here": "",
    }
