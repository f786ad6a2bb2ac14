"""One run of a rule while it lasts: its record, the names its steps have given, what it has seen and done. Reads nothing by itself: it is given eyes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.fields.values import link_id
from engine.rules.book import CompiledRule, Step, Template, Term
from engine.rules.carrying import plain
from engine.rules.decisions import Decision
from engine.rules.effects import Handle
from metadata.text import Label

_OWN = ("old", "lines", "run", "answer", "tally", "record")


class Eyes(Protocol):
    """How a run sees: evaluating expressions, decision tables by key, texts for people. Given by whoever applies the effects."""

    def value(self, frame: Frame, expression: Expression, spaces: Mapping[str, Value], row: Mapping[str, Value] | None = None) -> Value:
        """The value of an expression over the run's record, or over another row."""

    def handle(self, entity: str, record_id: int) -> Handle:
        """A record by its id."""

    def linked(self, record: Handle, field: str) -> Handle | None:
        """The record a link field of a record leads to; None when it is no link, or empty."""

    def encrypted(self, entity: str) -> frozenset[str]:
        """The fields of an entity that are kept encrypted."""

    def decision(self, key: str) -> Decision:
        """A decision table."""

    def text(self, frame: Frame, template: Template) -> Label:
        """A template filled in for the acting person, in every language it has."""


@dataclass(frozen=True, slots=True)
class Start:
    """What set a rule off: its record (None for rules without one), what was before, parameters, and the occurrence that makes a run unique."""

    record: Handle | None = None
    old: Mapping[str, Value] | None = None
    spaces: Mapping[str, Value] = field(default_factory=dict)
    occurrence: str | None = None
    due: str = ""
    job: int | None = None


@dataclass(slots=True)
class Trace:
    """What a run saw and did. ``steps``: facts by the step's path, in order."""

    condition: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, step: Step, **facts: Any) -> None:
        """Facts of one step; a step run again (in ``each``) counts its times."""
        kept = self.steps.setdefault(step.path, {})
        if "did" in kept:
            kept["times"] = kept.get("times", 1) + 1
        kept.update({name: plain(value) for name, value in facts.items()})


@dataclass(slots=True)
class Frame:
    """``record``: the run's own record, None for rules without one. ``spaces``: param, old, lines, run, answer, tally and every name a step gave."""

    rule: CompiledRule
    eyes: Eyes
    record: Handle | None = None
    old: Mapping[str, Value] | None = None
    spaces: dict[str, Value] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    run: int | None = None
    sealed: set[str] = field(default_factory=set)

    def value(self, term: Term) -> Value:
        """The value of a term: an expression's now, a constant's itself."""
        return self.eyes.value(self, term, self.spaces) if isinstance(term, Expression) else term

    def carry(self, term: Term) -> Value:
        """As ``value``, one record as its Handle: for names and parameters, whose fields later steps ask for."""
        value = self.value(term)
        if isinstance(term, Expression) and term.type.linked and type(value) is int:
            return self.eyes.handle(term.type.entity, value)
        return value

    def holds(self, term: Term) -> bool:
        """Whether a condition is true; empty is false."""
        return bool(self.value(term))

    def of(self, name: str) -> Handle | None:
        """The record a step names: the run's own, one carried under a name, what a link field of the own record leads to, or one of those (``line.deal``)."""
        head, _, link = name.partition(".")
        found = self.record if head == "record" else self.spaces.get(head)
        if found is None and self.record is not None and not link:
            found = self.eyes.linked(self.record, head)
        if isinstance(found, Handle):
            return self.eyes.linked(found, link) if link else found
        return self._within(head, link, found[link]) if link and isinstance(found, Mapping) and found.get(link) is not None else None

    def _within(self, head: str, name: str, value: Value) -> Handle | None:
        """A record that stands as a parameter (given by its id, too) or in a row that an action gave."""
        if isinstance(value, Handle) or head != "param":
            return value if isinstance(value, Handle) else None
        wanted = self.rule.trigger.params.get(name, {})
        entity = str(wanted.get("type", "")) if wanted.get("type") in ("person", "team") else str(wanted.get("to", ""))
        number = link_id(value)
        return self.eyes.handle(entity, number) if entity and number is not None else None

    def carried(self) -> dict[str, Value]:
        """The names a branch or job that goes on later needs; what came out of an encrypted field is not among them: it would lie there in clear."""
        return {name: value for name, value in self.spaces.items() if name not in _OWN and name not in self.sealed}
