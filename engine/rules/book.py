"""The rules of a workspace at one version, compiled: triggers, conditions, steps with every expression parsed. Immutable; made once per version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.expressions.language import Expression
from engine.fields.base import Value
from metadata.text import Label

#: An expression, or a JSON value that is itself.
Term = Expression | Value
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule runs. ``kind``: before after later due cron action intake event. ``verb``: create update save delete stage action.

    ``shifts`` and ``repeat`` in seconds; a shift below zero is before the instant. ``name``: of the action, intake source or event.
    """

    kind: str
    verb: str = ""
    entity: str = ""
    fields: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    actions: tuple[str, ...] = ()
    where: Expression | None = None
    due: tuple[str, ...] = ()
    shifts: tuple[int, ...] = (0,)
    repeat: int = 0
    calendar: str = ""
    cron: str = ""
    name: str = ""
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    imports: bool = True  # whether rows of an import set it off


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in braces, by language ('' when it is one text for all): literal pieces and expressions in order."""

    label: Label
    pieces: Mapping[str, tuple[str | Expression, ...]]

    def expressions(self) -> dict[str, Expression]:
        """Every expression in it by its text."""
        return {piece.source: piece for pieces in self.pieces.values() for piece in pieces if isinstance(piece, Expression)}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step. ``terms``: its expressions and constants by their place inside it (``set/owner``, ``where``, ``with/amount``, ``lock/0``)."""

    verb: str
    key: str
    body: Mapping[str, Any]
    condition: Term = True
    terms: Mapping[str, Term] = field(default_factory=dict)
    message: Template | None = None
    branches: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)  # then else done approved refused expired withdrawn finally
    path: str = ""  # keys from the rule's root, '/' between: how traces, asks and jobs name it

    def under(self, word: str) -> dict[str, Term]:
        """The terms of a map or list of this step (``set``, ``with``, ``values``) by their key."""
        prefix = f"{word}/"
        return {place.removeprefix(prefix): term for place, term in self.terms.items() if place.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class Reach:
    """What a rule may do, derived from its steps. ``writes``: (verb, entity) -> fields (``*`` = any); ``reads``: entity -> fields; ``actions`` it calls."""

    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    writes: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    actions: frozenset[str] = frozenset()

    def allows(self, verb: str, entity: str, fields: frozenset[str] = frozenset()) -> bool:
        """Whether a write stays within it."""
        for known in ((verb, entity), (verb, "*")):
            found = self.writes.get(known)
            if found is not None and ("*" in found or fields <= found):
                return True
        return False


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """One rule, ready to run. ``condition`` True where it has none. ``entity``: whose record it is about, '' for none."""

    key: str
    title: Label
    trigger: Trigger
    entity: str
    condition: Term
    steps: tuple[Step, ...]
    as_of: Expression | None = None
    give: Expression | None = None
    reach: Reach = Reach()
    body: Mapping[str, Any] = field(default_factory=dict)

    def step(self, path: str) -> Step:
        """A step by its path; KeyError when there is none."""
        for step in every_step(self.steps):
            if step.path == path:
                return step
        raise KeyError(path)


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps and all below them, in order."""
    for step in steps:
        yield step
        for branch in step.branches.values():
            yield from every_step(branch)


@dataclass(frozen=True, slots=True, eq=False)
class RuleBook:
    """All rules by key, and by what starts them, each list in the order they run."""

    rules: Mapping[str, CompiledRule] = field(default_factory=dict)
    before: Mapping[tuple[str, str], tuple[CompiledRule, ...]] = field(default_factory=dict)  # (entity, verb)
    after: Mapping[tuple[str, str], tuple[CompiledRule, ...]] = field(default_factory=dict)
    later: Mapping[tuple[str, str], tuple[CompiledRule, ...]] = field(default_factory=dict)
    due: tuple[CompiledRule, ...] = ()
    cron: tuple[CompiledRule, ...] = ()
    actions: Mapping[str, CompiledRule] = field(default_factory=dict)
    intake: Mapping[str, tuple[CompiledRule, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[CompiledRule, ...]] = field(default_factory=dict)

    def on_creation(self, entity: str, *, importing: bool = False) -> frozenset[str]:
        """When making a record of an entity sets rules off: before, after, later. ``importing``: as a row of an import."""
        moments = {"before": self.before, "after": self.after, "later": self.later}
        return frozenset(
            kind
            for kind, rules in moments.items()
            for verb in (("create",) if kind == "before" else ("create", "stage"))  # what begins in a stage has not moved into it
            if any(rule.trigger.imports or not importing for rule in rules.get((entity, verb), ()))
        )
