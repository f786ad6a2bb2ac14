"""What a rule may do, derived from what its steps name: read whole entities it finds or hops to, write the fields it sets, call the actions it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Literal, Space, walk
from engine.rules.actions import reach_of as action_reach
from engine.rules.book import CompiledRule, Reach, Step, every_step

if TYPE_CHECKING:
    from engine.workspace import Workspace

_ALL = frozenset({"*"})


def reach_of(workspace: Workspace, rule: CompiledRule) -> CompiledRule:
    """The rule with its reach."""
    reads: dict[str, set[str]] = {}
    writes: dict[tuple[str, str], set[str]] = {}
    actions: set[str] = set()
    for entity, name in _looks(rule):
        reads.setdefault(entity, set()).add(name)
    for step in every_step(rule.steps):
        for verb, entity, names in _writes(rule, step):
            writes.setdefault((verb, entity), set()).update(names)
        if step.verb == "do":
            actions.add(step.body["do"])
            called = _called(workspace, rule, step)
            for entity, names in called.reads.items():
                reads.setdefault(entity, set()).update(names)
            for place, names in called.writes.items():
                writes.setdefault(place, set()).update(names)
    reach = Reach({key: frozenset(found) for key, found in reads.items()}, {key: frozenset(found) for key, found in writes.items()}, frozenset(actions))
    return replace(rule, reach=reach)


def _writes(rule: CompiledRule, step: Step) -> Iterator[tuple[str, str, frozenset[str]]]:
    body = step.body
    match step.verb:
        case "set":
            entity = body.get("in") or (rule.entity if body.get("on", "record") == "record" else "*")
            yield "update", entity, frozenset(step.under("set"))
        case "create":
            yield "create", body["create"], frozenset(step.under("values"))
        case "delete":
            yield "delete", "*", _ALL


def _called(workspace: Workspace, rule: CompiledRule, step: Step) -> Reach:
    """What a built-in or plugin's action called by a step may touch besides; entities that only a run tells stand as ``*``."""
    action = workspace.registry.actions.get(str(step.body["do"]))
    if action is None:
        return Reach()
    entities = {name: entity for name, term in step.under("with").items() if (entity := _entity_of(term))}
    return action_reach(action.word, {"record": rule.entity, **entities})


def _entity_of(term: object) -> str:
    """The entity a parameter leads to, or names as a constant; '' when that is not known before a run."""
    if not isinstance(term, Expression):
        return ""
    if isinstance(term.tree, Literal):
        return term.tree.value if isinstance(term.tree.value, str) else ""
    return term.type.entity if term.type.linked else ""


def _looks(rule: CompiledRule) -> Iterator[tuple[str, str]]:
    """(entity, field) of everything the rule's expressions read and its finds look through."""
    for expression in _expressions(rule):
        for node in walk(expression.tree):
            match node:
                case Field(key=key) if rule.entity:
                    yield rule.entity, key
                case Hop(entity=entity, key=key):
                    yield entity, key
                case Space(path=("record", key, *_)) if rule.entity:
                    yield rule.entity, str(key)
                case Space(root=root, path=(_, key, *_)) if root:
                    yield root, str(key)
    for step in every_step(rule.steps):
        found = step.body.get("find") or (step.body["each"].get("find") if isinstance(step.body.get("each"), dict) else None)
        if found:
            yield str(found), "*"


def _expressions(rule: CompiledRule) -> Iterator[Expression]:
    terms: list[object] = [rule.condition, rule.as_of, rule.give, rule.trigger.where]
    for step in every_step(rule.steps):
        terms += [step.condition, *step.terms.values()]
        terms += step.message.expressions().values() if step.message is not None else ()
    yield from (term for term in terms if isinstance(term, Expression))
