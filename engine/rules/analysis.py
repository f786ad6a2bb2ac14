"""Rules judged before they are published: what surely goes wrong is an error, what probably does a warning. Reads definitions only, no record.

Chains of rules that set each other off stand in analysis_chains.py, decision tables in analysis_decisions.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from engine.access import Grant, grant_of
from engine.context import Actor
from engine.expressions.language import Expression
from engine.expressions.nodes import Call, Compare, Field, Hop, Literal, Logic, Node, Not, Space, spell, walk
from engine.expressions.types import BOOLEAN
from engine.records.query_ways import indexes_of
from engine.rules.analysis_chains import chains
from engine.rules.analysis_decisions import decisions
from engine.rules.analysis_places import ARROW, Places, Spot, together
from engine.rules.book import CompiledRule, RuleBook, Step, every_step
from engine.rules.compile import rule_book
from engine.rules.contradictions import never_holds
from engine.rules.order import RuleCycle, of_one_trigger, order, own_reads, own_writes
from engine.schema.indexes import uniques_of
from metadata.vocabulary import Problem, Severity

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, Workspace

#: Columns by which every row is found at once.
_KEYS = frozenset({"id"})


def analyse(workspace: Workspace) -> list[Problem]:
    """Everything that can be said of the rules and decision tables of a compiled version. ``workspace``: the candidate."""
    try:
        book = rule_book(workspace)
    except RuleCycle as cycle:
        return [_cycle(workspace, cycle)]
    places = Places(workspace.bundle)
    found = [*_of_order(workspace, book, places), *chains(workspace, book, places), *decisions(workspace, places), *_nobody_may(workspace, book, places)]
    for rule in book.rules.values():
        found += _Rule(workspace, rule, places).problems()
    return found


def _cycle(workspace: Workspace, cycle: RuleCycle) -> Problem:
    first = Places(workspace.bundle).of("rule", cycle.keys[0])
    rule = workspace.bundle.rules[cycle.keys[0]].body["on"]
    owner = workspace.entities.get(str(rule.get("entity", "")))
    titles = [owner.fields[name].definition.title or name if owner is not None and name in owner.fields else name for name in cycle.fields]
    chain = together([workspace.bundle.rules[key].title or key for key in cycle.keys], ARROW)
    return (first / "on").problem("rule_order_cycle", chain=chain, fields=together(titles))


# --- rules of one trigger ------------------------------------------------------------------------------------------------------------------


def _of_order(workspace: Workspace, book: RuleBook, places: Places) -> Iterator[Problem]:
    """A cycle of what rules of one trigger write and read; two that set one field with nothing to say which comes last."""
    for moments in (book.before, book.after):
        told = set[tuple[str, str]]()
        for rules in moments.values():
            try:
                order(rules)
            except RuleCycle as cycle:
                if (pair := (min(cycle.keys), max(cycle.keys))) not in told:
                    told.add(pair)
                    yield _cycle(workspace, cycle)
                continue
            for first, second in combinations(rules, 2):
                pair = (min(first.key, second.key), max(first.key, second.key))
                both = own_writes(first) & own_writes(second)
                if both and pair not in told and of_one_trigger(first, second) and not _bound(first, second) and not _exclude(first, second):
                    told.add(pair)
                    owner = workspace.entities[first.entity]
                    fields = [owner.fields[name].definition.title or name if name in owner.fields else name for name in sorted(both)]
                    yield (places.of("rule", second.key) / "on").problem("rules_write_same", "warning", other=first.title or first.key, fields=together(fields))


def _bound(first: CompiledRule, second: CompiledRule) -> bool:
    """Whether one of them reads what the other writes, so that their order is decided."""
    return bool(own_reads(first) & own_writes(second) or own_reads(second) & own_writes(first))


def _exclude(first: CompiledRule, second: CompiledRule) -> bool:
    conditions = [part.tree for rule in (first, second) for part in (rule.condition, rule.trigger.where) if isinstance(part, Expression)]
    return never_holds(*conditions)


# --- one rule ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    workspace: Workspace
    rule: CompiledRule
    places: Places

    def problems(self) -> Iterator[Problem]:
        """All that one rule by itself tells."""
        spot = self.places.of("rule", self.rule.key)
        conditions = [part.tree for part in (self.rule.condition, self.rule.trigger.where) if isinstance(part, Expression)]
        if self.rule.condition is False or never_holds(*conditions, *self._stages()):
            yield (spot / ("if" if "if" in self.rule.body else "on")).problem("condition_never", "warning")
        yield from self._due(spot)
        places = self.places.steps(self.rule)
        for step in every_step(self.rule.steps):
            yield from self._step(places[step.path], step)

    def _stages(self) -> list[Node]:
        """What a stage trigger says of the stage after the move."""
        trigger = self.rule.trigger
        owner = self.workspace.entities.get(trigger.entity)
        if trigger.verb != "stage" or not trigger.targets or owner is None or owner.stages is None:
            return []
        kind = owner.fields[owner.stages.field].expression_type
        field = Field(kind, 1, owner.stages.field)
        return [Logic(BOOLEAN, 1, "or", tuple(Compare(BOOLEAN, 1, "eq", field, Literal(kind, 1, code)) for code in sorted(trigger.targets)))]

    def _due(self, spot: Spot) -> Iterator[Problem]:
        entity = self.workspace.entities.get(self.rule.entity)
        for name in self.rule.trigger.due if entity is not None else ():
            item = entity.fields.get(name) if entity is not None else None
            if item is not None and item.column is None:
                yield (spot / "on" / "due").problem("due_not_stored", field=item.definition.title or name)

    def _step(self, spot: Spot, step: Step) -> Iterator[Problem]:
        if step.condition is False or (isinstance(step.condition, Expression) and never_holds(step.condition.tree)):
            yield (spot / "if").problem("condition_never", "warning")
        for prefix, entity, where in self._lookups(step):
            at = spot / prefix if prefix else spot
            yield from self._lookup(at, step, entity, where)
        if step.verb == "create":
            yield from self._create(spot, step)
        if step.message is not None:
            yield from self._message(spot / "message", step)

    def _lookups(self, step: Step) -> Iterator[tuple[str, CompiledEntity, Expression | None]]:
        """(word before the condition, entity, condition) of everything a step looks through."""
        for prefix, source, place in (("", step.body.get("find"), "where"), ("", step.body.get("in"), "where"), ("each", _inline(step), "each/where")):
            entity = self.workspace.entities.get(str(source)) if source else None
            if entity is not None and (prefix == "each") == (step.verb == "each"):
                where = step.terms.get(place)
                yield prefix, entity, where if isinstance(where, Expression) else None

    def _lookup(self, spot: Spot, step: Step, entity: CompiledEntity, where: Expression | None) -> Iterator[Problem]:
        if where is None:
            return
        if never_holds(where.tree):
            yield (spot / "where").problem("condition_never", "warning")
        equal = set(_led(where.tree))
        if not (equal & (indexes_of(self.workspace, entity).first | _KEYS)):
            fields = [entity.fields[name].definition.title or name for name in sorted(where.fields) if name in entity.fields]
            yield (spot / "where").problem("find_without_index", "warning", entity=entity.title or entity.key, fields=together(fields))
        for compare in _pairs(where.tree):
            if self._both_empty(entity, compare, step, where.tree):
                yield (spot / "where").problem("find_matches_empty", "warning", column=compare.column, entity=entity.title or entity.key)

    def _both_empty(self, entity: CompiledEntity, compare: Compare, step: Step, where: Node) -> bool:
        left, right = (compare.left, compare.right) if isinstance(compare.left, Field) else (compare.right, compare.left)
        if not isinstance(left, Field) or not _nullable(entity, left.key) or isinstance(right, Literal) or not self._may_be_empty(right):
            return False
        guards = [part.tree for part in (self.rule.condition, step.condition) if isinstance(part, Expression)]
        return not any(spell(right) in guarded or spell(left) in guarded for guarded in map(_there, [*guards, where]))

    def _may_be_empty(self, node: Node) -> bool:
        """Whether a value may be empty as far as definitions tell."""
        match node:
            case Space(path=("me",)) | Space(path=("record",)) | Space(path=("run", *_)):
                return False
            case Space(path=("record", key)):
                owner = self.workspace.entities.get(self.rule.entity)
                return owner is None or _nullable(owner, str(key))
            case Space(path=("param", key)):
                return self.rule.trigger.params.get(str(key), {}).get("required") is not True
            case Space(path=("setting", key)):
                setting = self.workspace.bundle.settings.values.get(str(key))
                return setting is None or setting.default is None
            case Space(path=(name,)):
                return not any(step.body.get("as") == name and step.verb == "create" and step.condition is True for step in every_step(self.rule.steps))
            case Call(function=function):
                return function.nullable and function.name not in ("now", "today", "period_of", "start_of", "end_of")
        return True

    def _create(self, spot: Spot, step: Step) -> Iterator[Problem]:
        owner = self.workspace.bundle.entities.get(str(step.body["create"]))
        if owner is None or "once" in step.body:
            return
        given = {name for name, term in step.under("values").items() if term is not None} | {
            field.key for field in owner.fields.values() if field.default is not None
        }
        for unique in uniques_of(owner):
            if set(unique.fields) <= given:
                yield spot.problem("create_meets_unique", "warning", entity=owner.title or owner.key, unique=unique.key)
                return

    # -- messages

    def _message(self, spot: Spot, step: Step) -> Iterator[Problem]:
        """Placeholders that whoever reads the message may not see."""
        roles, certain = self._readers(step)
        for text, expression in step.message.expressions().items() if step.message is not None else ():
            for role in roles:
                hidden = next((place for place in self._fields_in(expression) if not self._shown_to(role, *place)), None)
                if hidden is not None:
                    owner = self.workspace.bundle.entities[hidden[0]]
                    title = owner.fields[hidden[1]].title if hidden[1] in owner.fields else hidden[1]
                    severity: Severity = "error" if certain else "warning"
                    role_title = self.workspace.roles[role].title or role
                    yield spot.problem("message_unreadable", severity, placeholder=text, field=title or hidden[1], role=role_title)
                    break

    def _readers(self, step: Step) -> tuple[list[str], bool]:
        """The roles whose people read a step's message, and whether it is sure that they do."""
        if step.verb == "notify":
            term = step.terms.get("notify")
            asked = [node for node in walk(term.tree) if isinstance(node, Call) and node.function.name == "people"] if isinstance(term, Expression) else []
            roles = [str(node.args[0].value) for node in asked if isinstance(node.args[0], Literal)]
            if roles:
                return [role for role in roles if role in self.workspace.roles], True
        entity = self.workspace.entities.get(self.rule.entity)
        if entity is None:
            return [], False
        if step.verb in ("refuse", "set"):
            return [role for role in self.workspace.roles if self._may_trigger(role, entity)], True
        return [role for role in self.workspace.roles if self._grant(role, entity).allowed("read")], False

    def _may_trigger(self, role: str, entity: CompiledEntity) -> bool:
        trigger, granted = self.rule.trigger, self._grant(role, entity)
        if trigger.kind == "action":
            return trigger.name.removeprefix(f"{entity.key}.") in granted.actions
        if trigger.kind not in ("before", "after"):
            return False
        verbs = {"create": ("create",), "delete": ("delete",), "save": ("create", "update")}.get(trigger.verb, ("update",))
        return any(granted.allowed(verb) for verb in verbs)

    def _grant(self, role: str, entity: CompiledEntity) -> Grant:
        return grant_of(self.workspace, Actor(None, role, roles=(role,)), entity)

    def _fields_in(self, expression: Expression) -> Iterator[tuple[str, str]]:
        for node in walk(expression.tree):
            match node:
                case Field(key=key) if self.rule.entity:
                    yield self.rule.entity, key
                case Hop(entity=entity, key=key):
                    yield entity, key
                case Space(path=("record", key, *_)) if self.rule.entity:
                    yield self.rule.entity, str(key)
                case Space(root=root, path=(head, key, *_)) if root and head != "me":
                    yield root, str(key)

    def _shown_to(self, role: str, entity: str, key: str) -> bool:
        owner = self.workspace.entities.get(entity)
        return owner is None or key not in owner.fields or self._grant(role, owner).shows(key)


def _inline(step: Step) -> str:
    each = step.body.get("each")
    return str(each.get("find", "")) if isinstance(each, Mapping) else ""


def _led(node: Node) -> Iterator[str]:
    """Fields that a condition demands to be equal to something, or one of some."""
    match node:
        case Logic(op="and", parts=parts):
            for part in parts:
                yield from _led(part)
        case Logic(op="or", parts=parts):
            sides = [set(_led(part)) for part in parts]
            yield from set.intersection(*sides) if sides else ()
        case Compare(op="eq" | "in", left=Field(key=key)) | Compare(op="eq", right=Field(key=key)):
            yield key


def _pairs(node: Node) -> Iterator[Compare]:
    """The equalities a condition demands."""
    match node:
        case Logic(op="and", parts=parts):
            for part in parts:
                yield from _pairs(part)
        case Compare(op="eq"):
            yield node


def _there(node: Node) -> set[str]:
    """What a condition demands to have a value."""
    match node:
        case Logic(op="and", parts=parts):
            return set().union(*map(_there, parts))
        case Call(function=function, args=(part,)) if function.name == "exists":
            return {spell(part)}
        case Not(part=Call(function=function, args=(part,))) if function.name == "empty":
            return {spell(part)}
        case Compare(op="ne", left=left, right=Literal(value=None)):
            return {spell(left)}
    return set()


def _nullable(entity: CompiledEntity, key: str) -> bool:
    item = entity.fields.get(key)
    return item is not None and item.required is not True and not (item.rollup is not None and item.rollup.measure in ("count", "sum"))


def _nobody_may(workspace: Workspace, book: RuleBook, places: Places) -> Iterator[Problem]:
    """Actions that no role may press, no rule does and no stage move asks for."""
    called = {str(step.body["do"]) for rule in book.rules.values() for step in every_step(rule.steps) if step.verb == "do"}
    for name, rule in book.actions.items():
        entity, _, action = name.rpartition(".")
        granted = any(
            grant.actions.get(action) not in (None, False) for role in workspace.roles.values() for key, grant in role.grants.items() if key in (entity, "*")
        )
        if not granted and name not in called:
            yield (places.of("rule", rule.key) / "on").problem("action_nobody", "warning", action=rule.title or name)
