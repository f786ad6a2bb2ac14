"""A rule tried on one record as somebody: what it would do, told and not done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from engine.context import Context
from engine.errors import Refusal
from engine.records import query
from engine.records.query_labels import labels
from engine.records.ruling_press import Parameter, parameter_fields, parameters_from
from engine.rule_drafts import drafted, rule_of
from engine.rules.book import CompiledRule
from engine.rules.compile import rule_book
from engine.rules.labels import Labels
from engine.rules.sentences import labels_of, lines
from engine.run_log import Run
from engine.trial import Tried, TriedChange, try_rule
from renderer.bound_action import ParameterBinder, typed_of
from renderer.bound_rule import part_views, rule_title
from renderer.bound_run import condition_seen, error_text, field_text, step_views
from renderer.bound_values import bound_values, values_given
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")
#: How many of the newest records are offered.
OFFERED = 50


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A row the rule would write. ``rows``: field, before, after."""

    title: str
    word: str
    rows: tuple[tuple[str, str, str], ...]


@routes.get("/w/{ws}/rules/{key}/try", SETTINGS)
def ask(visit: Visit) -> Response:
    """Which record, as whom, with what."""
    asked, rule = str(visit.request.query_params.get("record", "")), _rule(visit, str(visit.request.query_params.get("which", "")))
    return _page(visit, rule, _number(asked), None if _by_clock(rule) else visit.ctx.actor.person_id)


@routes.get("/w/{ws}/rules/{key}/values", SETTINGS)
def values(visit: Visit) -> Response:
    """What a record holds that might be changed."""
    given = visit.request.query_params
    rule = _rule(visit, str(given.get("which:", "")))
    with visit.ctx.snapshot() as ctx:
        return visit.part("_try_values.html", values=bound_values(ctx, rule, _number(str(given.get("record:", ""))), visit.base))


@routes.post("/w/{ws}/rules/{key}/try", SETTINGS)
def run(visit: Visit) -> Response:
    """Try it, and tell."""
    rule, given = _rule(visit, visit.text("which:")), visit.raw()
    record, person = _number(visit.text("record:")), _number(visit.text("person:"))
    raw = typed_of(parameter_fields(_parameters(visit, rule)), given)
    tried = try_rule(visit.ctx, rule, record, person=person, params=raw, values=values_given(visit.ctx, rule, record, given))
    return _page(visit, rule, record, person, raw, tried, given)


def _rule(visit: Visit, which: str) -> CompiledRule:
    """The published rule, or as it is drafted. Raises NotFound, Invalid for a draft that is wrong."""
    ctx, key = visit.ctx, str(visit.path["key"])
    return rule_of(ctx.workspace, key, drafted(ctx, key) if which == "draft" else None)


def _parameters(visit: Visit, rule: CompiledRule) -> Mapping[str, Parameter]:
    return parameters_from(visit.ctx.workspace, rule.entity, rule.trigger.params)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _by_clock(rule: CompiledRule) -> bool:
    return rule.trigger.kind in ("due", "cron", "intake", "event")


def _page(
    visit: Visit,
    rule: CompiledRule,
    record: int | None,
    person: int | None,
    raw: dict[str, Any] | None = None,
    tried: Tried | None = None,
    given: Mapping[str, Any] | None = None,
) -> Response:
    with visit.ctx.snapshot() as ctx:
        records = _records(ctx, rule.entity, record)
        record = record if record is not None or not records else records[0][0]
        published = rule_book(ctx.workspace).rules.get(rule.key)
        said = lines(rule, labels_of(ctx.workspace, visit.locale))
        binder = ParameterBinder(ctx, _parameters(visit, rule), rule.trigger.name or rule.key, rule.entity, visit.base, record=record, raw=raw)
        return visit.page(
            "trial.html",
            title=rule_title(ctx, rule.key),
            when=said[0].text,
            about=Labels(ctx.workspace.bundle, visit.locale).entity(rule.entity) if rule.entity else "",
            records=records,
            drafted=drafted(ctx, rule.key) is not None,
            which="" if rule is published else "draft",
            values=bound_values(ctx, rule, record, visit.base, given),
            record=record,
            people=_people(ctx),
            person=person,
            by_clock=_by_clock(rule),
            form=binder.bind(),
            here=f"{visit.base}/rules/{rule.key}/try",
            result=_result(ctx, tried, record, person) if tried is not None else None,
        )


def _records(ctx: Context, entity: str, chosen: int | None) -> list[tuple[int, str]]:
    """The newest records of the rule's entity, and the chosen one."""
    if not entity:
        return []
    ids = [item.id for item in query.page(ctx, query.Query(entity, sort=("-id",), fields=("id",), limit=OFFERED)).items]
    ids = ids if chosen is None or chosen in ids else [chosen, *ids]
    known = labels(ctx, entity, ids)
    return [(number, known.get(number) or f"#{number}") for number in ids if number in known]


def _people(ctx: Context) -> list[tuple[int, str]]:
    found = query.page(ctx, query.Query("person", where="active", sort=("name",), fields=("name",), limit=200)).items
    return [(item.id, str(item.get("name") or item.id)) for item in found]


# --- what came of it ---------------------------------------------------------------------------------------------------------------------------


def _result(ctx: Context, tried: Tried, record: int | None, person: int | None) -> dict[str, Any]:
    rule, why = tried.rule, tried.why
    version, settings = ctx.workspace.version, ctx.workspace.settings_version
    run = Run(0, rule.key, version, settings, rule.trigger.kind, rule.entity, record, ctx.now, person, (rule.key,), tried.state, tried.condition, tried.steps)
    names = labels(ctx, "person", {item.person for item in tried.messages if item.person is not None})
    words = {
        "done": (_("It would run"), "green"),
        "skipped": (_("It would not run: its condition does not hold"), "amber"),
        "unheard": (_("It would not run: what changes does not set it off"), "amber"),
        "refused": (_("It would be refused"), "red"),
    }
    return {
        "said": words[tried.state][0],
        "colour": words[tried.state][1],
        "parts": part_views((why.where, why.condition)) if why is not None else [],
        "seen": condition_seen(ctx, run),
        "errors": _errors(ctx, run, tried.refusal),
        "steps": step_views(ctx, run, rule) if tried.steps else [],
        "changes": [_change(ctx, change) for change in tried.changes],
        "messages": [(names.get(item.person) or _("Somebody") if item.person else item.connector, item.text or item.connector) for item in tried.messages],
        "followed": [rule_title(ctx, key) for key in tried.followed],
    }


def _errors(ctx: Context, run: Run, refusal: Refusal | None) -> list[str]:
    """Why it would be refused, as far as whoever looks may know."""
    if refusal is None:
        return []
    found = [(fault.code, fault.params) for fault in refusal.faults] or [(refusal.code, refusal.params)]
    return [error_text(ctx, replace(run, error={"code": code, "params": dict(params)})) for code, params in found]


def _change(ctx: Context, change: TriedChange) -> ChangeView:
    names = Labels(ctx.workspace.bundle, ctx.locale)
    words = {"create": _("would be made"), "delete": _("would be deleted"), "restore": _("would come back")}
    title = f"{names.entity(change.entity)} {change.label}".strip() if change.readable else _("%(entity)s you may not see", entity=names.entity(change.entity))
    rows = tuple(
        (names.field(change.entity, key), field_text(ctx, change.entity, key, change.before.get(key)), field_text(ctx, change.entity, key, value))
        for key, value in change.after.items()
        if change.kind != "create" or value is not None
    )
    return ChangeView(title, words.get(change.kind, _("would change")), rows)
