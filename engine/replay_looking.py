"""What a replay asks and how it looks: one rule, judged on occasions of the past with the records, the settings and the person of that moment. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.actors import actor_behind
from engine.clock import State, read_state
from engine.context import Actor, Cause, Context
from engine.expressions.language import Expression
from engine.expressions.nodes import EnvironmentCall, Space, walk
from engine.fields.base import Value
from engine.records import ruling
from engine.records.derived_graph import graph
from engine.records.judging import Judged, looking
from engine.records.personal import personal_fields
from engine.records.proposal import Proposal
from engine.records.rewinding import Library, PastWork, Position
from engine.records.row_statements import HEAD, Row
from engine.records.saving import Saving
from engine.records.values import storage
from engine.rules.book import CompiledRule
from engine.rules.compile import book_with, rule_book
from engine.rules.effects import Handle
from engine.rules.frame import Start
from engine.settings_effects import formulas_reading
from engine.settings_values import typed
from engine.workspace_load import settings_at

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, Workspace


@dataclass(frozen=True, slots=True)
class Question:
    """What would a rule have touched between two moments (the later one exclusive)? ``settings``: values (JSON) that differ from what was in force;
    ``today``: settings as they are now instead of as they stood; ``owner``: the field of the record by which is counted."""

    rule: CompiledRule
    since: datetime
    until: datetime
    settings: Mapping[str, Any] = field(default_factory=dict)
    today: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A write before it was made: the row ``before`` (None: a new one), as it was ``saved``, what was ``unset`` before rules set it, and derived values a run saw.

    ``whole`` False: too little is known for its steps to be looked at.
    """

    before: Row | None
    saved: Row
    unset: Mapping[str, Value] = field(default_factory=dict)
    derived: Mapping[str, Value] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that set the rule off, or would have if its condition held. ``why``: create, update, delete, stage, due, tick, press, message.

    ``old``: what the fields that changed were before, None where nothing changed; ``proposed``: of a rule that runs before its write; ``doubts``: why it
    can only be told approximately. ``key``: what a run of it is known by in the log.
    """

    record: int | None
    at: datetime
    why: str
    position: Position
    key: tuple[object, ...]
    person: int | None = None
    old: Mapping[str, Value] | None = None
    proposed: Proposed | None = None
    due: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An occasion judged. ``owner``: whose the record was; ``doubts``: those of the occasion, and what came up while judging."""

    occasion: Occasion
    judged: Judged
    owner: int | None
    doubts: tuple[str, ...]


class Desk:
    """One replay at work, in one open snapshot."""

    def __init__(self, ctx: Context, question: Question) -> None:
        self.ctx, self.question, self.rule = ctx, question, question.rule
        self.workspace: Workspace = ctx.workspace
        self.entity: CompiledEntity | None = self.workspace.entities.get(self.rule.entity)
        self.library = Library(ctx, question.since)
        self.book = book_with(rule_book(self.workspace), self.rule)
        self.held = {key: typed(self.workspace, key, value) for key, value in question.settings.items()}
        self.anew = _computed_anew(self.workspace, self.held)
        self.listener = looking(PastWork(ctx, self.library, Position(ctx.now), {}))
        self.stored = storage(self.workspace, self.entity) if self.entity is not None else None
        self._personal = bool(personal_fields(self.workspace).get(self.rule.entity, frozenset()) & _own_reads(self.rule))
        self._doubts = tuple(_standing_doubts(self.rule, self.workspace, self.anew))
        self._state: State = read_state(ctx.open)
        self._actors: dict[int, Actor] = {}
        self._workspaces: dict[int, Workspace] = {}

    # --- the surroundings of a moment -------------------------------------------------------------------------------------------------------

    def context(self, at: datetime, person: int | None) -> Context:
        """The context of a moment, as somebody (None: by itself)."""
        return replace(self.ctx, now=at, actor=self._actor(person), workspace=self.workspace_at(at), cause=Cause("rule", self.rule.key))

    def workspace_at(self, at: datetime) -> Workspace:
        """The workspace with the settings of a moment."""
        found = self.workspace.settings if self.question.today else settings_at(self.ctx.open, self.workspace, at)
        if id(found) not in self._workspaces:
            held = replace(self.workspace, settings={**found, **self.held}, settings_held=self.held, rules_off=self.workspace.rules_off - {self.rule.key})
            self._workspaces[id(found)] = held
        return self._workspaces[id(found)]

    def _actor(self, person: int | None) -> Actor:
        if person is None:
            return self.ctx.actor
        if person not in self._actors:
            self._actors[person] = actor_behind(self.ctx, self._state, person)
        return self._actors[person]

    def work(self, at: datetime, person: int | None, position: Position) -> PastWork:
        """Records as they were at a position."""
        return PastWork(self.context(at, person), self.library, position, self.anew)

    # --- judging ----------------------------------------------------------------------------------------------------------------------------

    def verdict(self, occasion: Occasion, position: Position | None = None) -> Verdict:
        """An occasion judged; at another position where the log tells better."""
        position = position or occasion.position
        judging = looking(self.work(occasion.at, occasion.person, position), self.library.today)
        start = self._start(judging.saving, occasion)
        gone = start is None or (occasion.proposed is None and start.record is not None and not start.record.row())
        judged = Judged(False) if gone or start is None else judging.look(self.rule, start, steps=occasion.proposed is None or occasion.proposed.whole)
        doubts = [*occasion.doubts, *self._doubts, *(["searched"] if judged.searched else [])]
        if self._personal and self.entity is not None and occasion.record and self.library.past(self.entity.key, occasion.record).is_erased(position):
            doubts.append("erased")
        return Verdict(occasion, judged, self._owner(start), tuple(dict.fromkeys(doubts)))

    def _start(self, saving: Saving, occasion: Occasion) -> Start | None:
        """What sets the rule off; None for a record that is gone where that matters."""
        work, spaces = saving.work, {"param": dict.fromkeys(self.rule.trigger.params)} if self.rule.trigger.params else {}
        if self.entity is None or occasion.record is None:
            return Start(spaces=spaces, due=occasion.due)
        if occasion.proposed is not None:
            return Start(self._proposal(saving, occasion.proposed), occasion.proposed.before)
        record = Handle(self.entity.key, occasion.record, work.row)
        row = record.row()
        if occasion.why in ("later", "due", "tick") and row.get("deleted_at") is not None:
            return None
        old = row if occasion.old is None else {**row, **occasion.old} if occasion.why != "create" else {}
        return Start(record, old, spaces, due=occasion.due)

    def _proposal(self, saving: Saving, proposed: Proposed) -> ruling.Proposed:
        """A row as it was proposed: what rules set before the write is taken out of it, what follows from that computed again."""
        assert self.entity is not None
        before = proposed.before
        head = {} if before is None else {name: before[name] for name in HEAD}
        row = {**{name: value for name, value in proposed.saved.items() if name not in HEAD}, **head}
        proposal = Proposal(self.entity, before, row)
        if proposed.unset:
            proposal.take(saving.work, proposed.unset)
        proposal.after.update(proposed.derived)
        return ruling.Proposed(proposal)

    def _owner(self, start: Start | None) -> int | None:
        if start is None or start.record is None or not self.question.owner:
            return None
        found = start.record.get(self.question.owner)
        return found if isinstance(found, int) else None


def _computed_anew(workspace: Workspace, settings: Mapping[str, Value]) -> dict[str, Sequence[str]]:
    """The stored formulas and lookups of each entity that follow from some settings, in the order they are computed. Roll-ups stay as they were."""
    found: dict[str, Sequence[str]] = {}
    for key, names in formulas_reading(workspace, settings).items():
        entity = workspace.entities[key]
        every = {*names, *graph(workspace).affected(entity, names)}
        found[key] = tuple(name for name in entity.derived_order if name in every and entity.fields[name].rollup is None)
    return found


def _own_reads(rule: CompiledRule) -> set[str]:
    """The fields of its record that a rule's conditions read."""
    return {path[0] for term in (rule.condition, rule.trigger.where) if isinstance(term, Expression) for path in term.reads}


def _standing_doubts(rule: CompiledRule, workspace: Workspace, anew: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What a rule's conditions read that is not known of the past: today's rights of who acted, parameters, child lines, people of a role; roll-ups over
    formulas that other settings would have changed."""
    for term in (rule.condition, rule.trigger.where):
        for node in walk(term.tree) if isinstance(term, Expression) else ():
            match node:
                case Space(path=("me", name, *_)) if name != "id":
                    yield "me"
                case Space(path=("param" | "lines" as head, *_)):
                    yield head
                case EnvironmentCall(function=function) if function.name == "people":
                    yield "people"
    gathered = graph(workspace).rollups
    if any((entity, name) in gathered for entity, names in anew.items() for name in names):
        yield "rollups"
