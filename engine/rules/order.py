"""In which order the rules of one trigger run: who writes a field of the record before who reads it, then by key. Knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Node, Space, walk
from engine.rules.book import CompiledRule, Step, every_step

#: Terms of a find, or of a ``set`` on other records, whose bare names are the rows looked at.
_ROWS = ("where", "sort", "show", "take", "expect", "each")


class RuleCycle(ValueError):
    """Rules of one trigger that each wait for what the next one writes. ``keys`` in that order, ``fields`` what each waits for."""

    def __init__(self, keys: tuple[str, ...], fields: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(keys))
        self.keys = keys
        self.fields = fields


def order(rules: Sequence[CompiledRule]) -> tuple[CompiledRule, ...]:
    """The rules of one trigger in the order they run: a rule that reads a field of the record comes after those that set it. Raises RuleCycle."""
    by_key = {rule.key: rule for rule in sorted(rules, key=lambda rule: rule.key)}
    writes = {key: own_writes(rule) for key, rule in by_key.items()}
    reads = {key: own_reads(rule) for key, rule in by_key.items()}
    waits = {key: [other for other in by_key if other != key and reads[key] & writes[other] and of_one_trigger(by_key[key], by_key[other])] for key in by_key}
    sorter = TopologicalSorter(waits)
    try:
        sorter.prepare()
    except CycleError as error:
        found = tuple(reversed(error.args[1]))
        raise RuleCycle(found, tuple(min(reads[late] & writes[early]) for late, early in pairwise(found))) from error
    ordered: list[CompiledRule] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        first = ready.pop(0)
        ordered.append(by_key[first])
        sorter.done(first)
    return tuple(ordered)


def of_one_trigger(first: CompiledRule, second: CompiledRule) -> bool:
    """Whether two rules are of one trigger: not when they wait for other fields or other moves of the stage, each for its own."""
    return all(
        not (one and other) or bool(one & other)
        for one, other in (
            (first.trigger.fields, second.trigger.fields),
            (first.trigger.sources, second.trigger.sources),
            (first.trigger.targets, second.trigger.targets),
        )
    )


def own_writes(rule: CompiledRule) -> frozenset[str]:
    """Fields its steps set on the record it is about."""
    return frozenset(field for step in every_step(rule.steps) if sets_own(step) for field in step.under("set"))


def own_reads(rule: CompiledRule) -> frozenset[str]:
    """Fields of the record it is about that its condition and steps read as they are at that moment (``old`` is fixed, so it is not among them)."""
    found = set[str]()
    for part in (rule.condition, rule.as_of, rule.give, rule.trigger.where):
        found |= _fields(part, bare=True)
    for step in every_step(rule.steps):
        found |= _fields(step.condition, bare=True)
        for place, term in step.terms.items():
            found |= _fields(term, bare=sets_own(step) or not _of_rows(step, place))
        for piece in step.message.expressions().values() if step.message else ():
            found |= _fields(piece, bare=True)
    return frozenset(found)


def sets_own(step: Step) -> bool:
    """Whether a step sets values on the rule's own record."""
    return step.verb == "set" and "in" not in step.body and step.body.get("on", "record") == "record"


def _of_rows(step: Step, place: str) -> bool:
    return step.verb in ("find", "set", "each") and place.partition("/")[0] in _ROWS and not (step.verb == "each" and place == "each")


def _fields(term: object, *, bare: bool) -> set[str]:
    if not isinstance(term, Expression):
        return set()
    return {name for node in walk(term.tree) if (name := _own(node, bare)) is not None}


def _own(node: Node, bare: bool) -> str | None:
    match node:
        case Hop(link=link) if bare:
            return link
        case Field(key=key) if bare:
            return key
        case Space(path=("record", key, *_)):
            return str(key)
    return None
