"""Values a record might be changed to, for trying a rule: the fields it listens to or reads, filled with what they are, and what of a posted form differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.context import Context
from engine.errors import NotFound
from engine.expressions.language import Expression
from engine.fields.base import Value, Wrong, accepted
from engine.fields.values import Masked, link_id
from engine.records import query
from engine.rules.book import CompiledRule
from engine.trial import listens_to_values
from engine.workspace import CompiledField
from renderer.bound_action import typed_of
from renderer.bound_field import BoundField, Surroundings, bound_field

#: What the names of these controls begin with, so that none is taken for a parameter's.
MARK = "values~"
#: Fields offered of a rule that names none.
OFFERED = 12


def fields_of(ctx: Context, rule: CompiledRule) -> dict[str, CompiledField]:
    """The entered fields a rule listens to or its condition reads; the first of its record where it names none."""
    entity = ctx.workspace.entities.get(rule.entity)
    if entity is None or not listens_to_values(rule):
        return {}
    entered = {key: item for key, item in entity.fields.items() if item.reader is not None and not item.derived}
    named = set(rule.trigger.fields)
    for term in (rule.condition, rule.trigger.where):
        if isinstance(term, Expression):
            named |= {path[1] if path[0] in ("old", "record") and len(path) > 1 else path[0] for path in term.reads}
    if rule.trigger.verb == "stage" and entity.stages is not None:
        named.add(entity.stages.field)
    return {key: item for key, item in entered.items() if key in named} or dict(list(entered.items())[:OFFERED])


def bound_values(ctx: Context, rule: CompiledRule, record: int | None, base: str, raw: Mapping[str, Any] | None = None) -> list[BoundField]:
    """The controls, filled with what was typed, else with what the record holds, as far as whoever looks may see it in clear. Needs an open connection."""
    fields = fields_of(ctx, rule)
    now = _now(ctx, rule, record) if fields else {}
    around = Surroundings(ctx.workspace.scope.of(rule.entity), ctx.locale, base, "v")
    found = []
    for key, item in fields.items():
        value = now.get(key)
        if key not in now or isinstance(value, Masked):
            continue
        given = None if raw is None else raw.get(f"{MARK}{key}")
        source = f"{base}/pick/{rule.entity}/{key}" if item.target else ""
        found.append(bound_field(item, value, around, raw=given, name=f"{MARK}{key}", source=source, required=False, help=""))
    return found


def values_given(ctx: Context, rule: CompiledRule, record: int | None, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a posted form changes: the values that differ from what the record holds."""
    fields = fields_of(ctx, rule)
    posted = typed_of(fields, {name.removeprefix(MARK): value for name, value in raw.items() if name.startswith(MARK)})
    with ctx.snapshot() as ctx:
        now = _now(ctx, rule, record) if posted else {}
    return {key: value for key, value in posted.items() if _differs(fields[key], value, now.get(key))}


def _differs(item: CompiledField, given: Any, now: Value) -> bool:
    assert item.reader is not None
    try:
        typed = accepted(item.reader, given)
    except Wrong:
        return True  # the save will say what is wrong with it
    held = ([link_id(one) for one in now] if isinstance(now, list) else link_id(now)) if item.target and now is not None else now
    return typed != held and (typed, held) not in ((None, []), ([], None))


def _now(ctx: Context, rule: CompiledRule, record: int | None) -> Mapping[str, Value]:
    if record is None:
        return {}
    try:
        return query.get(ctx, rule.entity, record)
    except NotFound:
        return {}
