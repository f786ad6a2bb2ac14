"""A person presses a button: what they may press, and the parameters they give, read and checked like fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.access import grant_of, remember
from engine.context import Context
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.expressions.checking import names_for
from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression, parse
from engine.expressions.nodes import Literal, walk
from engine.expressions.problems import ExpressionRefused
from engine.expressions.types import BOOLEAN, Type
from engine.fields.base import FieldType, Reader, Value, Wrong, accepted
from engine.fields.computed import target_of
from engine.messages import catalogue
from engine.records.looking import looking
from engine.records.plain_sight import PlainSight
from engine.records.query import get
from engine.records.query_labels import labels
from engine.records.record import ANY, Change, Record, Version
from engine.records.work import Work
from engine.rules.book import CompiledRule, RuleBook, every_step
from engine.rules.compile import rule_book
from engine.rules.effects import Handle
from engine.workspace import CompiledField
from metadata.check.fields import beginning, beside
from metadata.definitions import Field, read_fields

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.rules.wording import Wording
    from engine.workspace import CompiledEntity, Workspace


@dataclass(frozen=True, slots=True)
class Acted:
    """What a pressed button gave: the action's own result, the record as the person now sees it (None: no longer), every row changed, and what the rules
    told the person, where they wait for it."""

    result: Value
    record: Record | None = None
    changes: tuple[Change, ...] = ()
    told: tuple[Wording, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action. ``default``: an expression over the action's record, or a JSON value. ``show``, ``needed``: when it is asked for, and must be given, by the others' values."""

    field: Field
    type: FieldType
    reader: Reader
    json_reader: Reader
    target: str
    default: Expression | Value = None
    show: Expression | None = None
    needed: Expression | None = None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.field.required is True

    @property
    def for_rules(self) -> bool:
        """Whether nobody is ever asked for it (``"show": "false"``): rules that call the action give it."""
        return self.show is not None and isinstance(self.show.tree, Literal) and self.show.tree.value is False

    def asked(self, evaluator: Evaluator, given: Mapping[str, Value]) -> bool:
        """Whether it is asked for beside the others' values."""
        return self.show is None or evaluator.truth(self.show, {}, **given)

    def wanted(self, evaluator: Evaluator, given: Mapping[str, Value]) -> bool:
        """Whether it must be given beside the others' values."""
        return self.required or (self.needed is not None and evaluator.truth(self.needed, {}, **given))


def parameters_of(workspace: Workspace, rule: CompiledRule) -> Mapping[str, Parameter]:
    """The parameters of a rule's action, in written order."""

    return remember(workspace, ("parameters", rule.key), lambda: parameters_from(workspace, rule.entity, rule.trigger.params))


def parameters_from(workspace: Workspace, entity: str, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Parameter]:
    """Parameters declared as field documents."""
    scope, names, found = workspace.scope.of(entity), names_for(workspace.book, beside(documents)), {}

    def condition(key: str, word: str) -> Expression | None:
        text = documents[key].get(word)
        try:
            return parse(text, names, BOOLEAN, workspace.book.functions) if isinstance(text, str) else None
        except ExpressionRefused:  # published before publishing looked at it: asked for always, as it was
            return None

    def default(key: str) -> Expression | Value:
        given = documents[key].get("default")
        if not (isinstance(given, Mapping) and isinstance(given.get("value"), str)):
            return given
        place = beginning(documents[key], entity)
        try:
            return workspace.expression(place.entity, given["value"], place.wants, place.spaces)
        except ExpressionRefused:  # of an approval asked for when the record had other fields: begins empty
            return None

    for key, field in read_fields(documents).items():
        kind = workspace.registry.field_types[field.type]
        readers = kind.reader(field, scope), kind.json_reader(field, scope)
        found[key] = Parameter(field, kind, *readers, target_of(field), default(key), condition(key, "show"), condition(key, "required"))
    return found


def parameter_fields(parameters: Mapping[str, Parameter]) -> dict[str, CompiledField]:
    """Parameters as the fields forms and schemas are drawn from. Nothing of them is stored."""
    return {
        key: CompiledField(
            key,
            item.field,
            item.type,
            item.field,
            Type.read(item.type.expression_type(item.field)),
            None,
            reader=item.reader,
            required=item.required,
            target=item.target,
        )
        for key, item in parameters.items()
    }


def buttons(ctx: Context, entity: CompiledEntity) -> list[CompiledRule]:
    """The actions of an entity its actor was granted on some row, in written order."""
    workspace = ctx.workspace
    grant = grant_of(workspace, ctx.actor, entity)
    found = []
    for name, rule in rule_book(workspace).actions.items():
        owner, _, short = name.rpartition(".")
        if owner == entity.key and rule.key not in workspace.rules_off and not workspace.is_off(rule.body) and grant.action(short) is not False:
            found.append(rule)
    return found


def approves_or_asks(ctx: Context) -> bool:
    """Whether approvals are the business of the actor's roles: one is asked of them by name, or a button granted to them asks for one, itself or by what it does."""
    workspace = ctx.workspace
    asking = remember(workspace, ("asking",), lambda: _asking(rule_book(workspace)))
    if any(rule.trigger.name in asking for entity in workspace.entities.values() for rule in buttons(ctx, entity)):
        return True
    steps = (step for rule in rule_book(workspace).rules.values() for step in every_step(rule.steps) if step.verb == "ask")
    whom = (term for step in steps for place in ("who", "escalate/to") if isinstance(term := step.terms.get(place), Expression))
    return any(isinstance(node, Literal) and node.value in ctx.actor.roles for term in whom for node in walk(term.tree))


def _asking(book: RuleBook) -> frozenset[str]:
    """The actions that ask for approvals, themselves or by those they call."""
    found = {name for name, rule in book.actions.items() if any(step.verb == "ask" for step in every_step(rule.steps))}
    while more := {name for name, rule in book.actions.items() if name not in found and rule.reach.actions & found}:
        found |= more
    return frozenset(found)


def admitted(ctx: Context, entity: CompiledEntity, record_id: int) -> list[CompiledRule]:
    """Those of its buttons whose row condition admits a record its actor may see; whether their ``if`` holds is another matter. Raises NotFound."""
    found = buttons(ctx, entity)
    if not found:
        return []
    work = looking(ctx)
    row = work.row(entity.key, record_id)
    if row is None or row["deleted_at"] is not None:
        raise NotFound("no_such_record", entity=entity.key, id=record_id)
    granted, truth = work.grant(entity), work.truth(entity, row)
    if not granted.admits("read", truth):
        raise NotFound("no_such_record", entity=entity.key, id=record_id)
    return [rule for rule in found if granted.presses(short_name(rule), truth)]


def short_name(rule: CompiledRule) -> str:
    """The name of a rule's action within its entity."""
    return rule.trigger.name.rpartition(".")[2]


def press(saving: Saving, entity: CompiledEntity, record_id: int, action: str, raw: Mapping[str, object], version: Version = ANY) -> Value:
    """Run an action on a record, as ``service.act`` says; gives its result."""
    work = saving.work
    rule = saving.ruling.book.actions.get(f"{entity.key}.{action.removeprefix(f'{entity.key}.')}")
    if rule is None or rule.key in work.workspace.rules_off or work.workspace.is_off(rule.body):
        raise NotFound("unknown_action", name=action)
    held = saving.hold(entity, record_id, "read")
    if not work.grant(entity).presses(short_name(rule), work.truth(entity, held.row)):
        raise Denied("may_not_act", action=rule.title or action)
    if version is not ANY and version != held.row["version"]:
        raise Conflict("stale", entity=entity.key, id=record_id, version=held.row["version"], current=get(work.ctx, entity.key, record_id), mine=raw)
    record = Handle(entity.key, record_id, work.row)
    return saving.ruling.call(rule.trigger.name, record, read_given(work, parameters_of(work.workspace, rule), raw, record))


def why_not_now(work: Work, rule: CompiledRule, record: Handle | None) -> dict[str, Any]:
    """What a refused button says: the rule's own message, else the stage its record is in, where its ``if`` asks for that and its reader sees it."""
    if "message" in rule.body:
        return {"message": rule.body["message"]}
    entity = work.entity(record.entity) if record is not None and record.entity == rule.entity else None
    asked = rule.condition.fields if isinstance(rule.condition, Expression) else ()
    if entity is None or record is None or entity.stages is None or entity.stages.field not in asked or entity.stages.field not in work.grant(entity).open:
        return {}
    field = entity.fields[entity.stages.field].definition
    code = record.row().get(field.key)
    option = work.workspace.scope.choices(str(field.options.get("choices", ""))).options.get(str(code))
    if code is None:
        return {}
    state = code if option is None or not option.title else option.title
    return {"message": catalogue()["action_not_now_in"], "field": field.title or field.key, "state": state}


def read_given(work: Work, known: Mapping[str, Parameter], raw: Mapping[str, object], about: Handle | None = None) -> dict[str, Value]:
    """Typed parameters, those not given as they begin for the record (``about``); one that is not asked for is as if nobody had given it (programs are told). Raises Invalid with every fault: unknown, unreadable,
    missing, a record the person may not see."""
    faults = [Fault(f"/{name}", "unknown_param", {"name": name}) for name in raw if name not in known]
    found: dict[str, Value] = {}
    unreadable: dict[str, Fault] = {}
    for name, parameter in known.items():
        try:
            read = parameter.json_reader if work.json else parameter.reader
            found[name] = accepted(read, raw[name]) if name in raw else default_of(work, parameter, about)
        except Wrong as wrong:
            found[name], unreadable[name] = None, Fault(f"/{name}", wrong.code, wrong.params)
    given = dict(found)
    for name, parameter in known.items():
        empty = found[name] in (None, "", [])
        if not parameter.asked(work.evaluator, given):
            if work.json and name in raw and not empty:
                faults.append(Fault(f"/{name}", "param_not_asked", {"name": name}))
            found[name] = default_of(work, parameter, about)
        elif name in unreadable:
            faults.append(unreadable[name])
        elif empty and parameter.wanted(work.evaluator, given):
            faults.append(Fault(f"/{name}", "required"))
        elif parameter.target and found[name] is not None and not _visible(work.ctx, parameter.target, found[name]):
            faults.append(Fault(f"/{name}", "link_unknown"))
    if faults:
        raise Invalid("invalid", faults=faults)
    return found


def default_of(work: Work, parameter: Parameter, about: Handle | None = None) -> Value:
    """What a parameter is when nobody gives it. ``about``: the action's record; nothing is made of what whoever works may not see of it in clear."""
    default = parameter.default
    if not isinstance(default, Expression):
        return accepted(parameter.json_reader, default) if default is not None else None
    if not default.fields and not any(path[0] == "record" for path in default.reads):
        return work.constant(default)
    row = about.row() if about is not None else {}
    if about is None or not row:
        return None
    entity = work.entity(about.entity)
    return work.evaluator.value(default, work.full(entity, default, row), record=row) if PlainSight.of(work, entity, row).shows(default) else None


def _visible(ctx: Context, entity: str, value: Value) -> bool:
    ids = {value} if isinstance(value, int) else {item for item in value if isinstance(item, int)} if isinstance(value, list) else set()
    return not ids or labels(ctx, entity, ids).keys() >= ids
