"""How a run sees: expressions over records as they now stand, decision tables, texts filled in for the person who reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Node, Space, walk
from engine.expressions.types import Type
from engine.fields.base import Value
from engine.fields.values import HIDDEN
from engine.myself import PERSON
from engine.records.query_labels import labels
from engine.records.values import storage
from engine.rules.actions import ActionContext
from engine.rules.book import CompiledRule, Template
from engine.rules.compile import decision_of
from engine.rules.decisions import Decision
from engine.rules.effects import Handle
from engine.rules.frame import Frame
from engine.rules.origins import Origin, Origins, sources_of
from engine.surroundings import environment, fields_of
from engine.workspace_load import settings_at
from metadata.definitions import Field as Definition
from metadata.text import Label

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.ruling import Ruling
    from engine.records.saving import Saving
    from engine.records.work import Work
    from engine.workspace import Workspace

_NO_ROW: Mapping[str, Value] = {}


class RuleEyes:
    """The eyes of one run. ``saving`` acts as the rule; ``person`` is whoever set it off, for whom texts are made."""

    def __init__(self, ruling: Ruling, saving: Saving, rule: CompiledRule, record: Handle | None) -> None:
        self.ruling = ruling
        self.saving = saving
        self._evaluator = saving.work.evaluator
        if rule.as_of is not None:
            self._evaluator = self._as_of(rule.as_of, record)

    @property
    def person(self) -> Context:
        """The context of whoever set the rule off."""
        return self.ruling.saving.work.ctx

    @property
    def evaluator(self) -> Evaluator:
        """What evaluates the run's expressions."""
        return self._evaluator

    def _as_of(self, instant: Expression, record: Handle | None) -> Evaluator:
        """An evaluator whose settings are those in force at an instant of the record (nothing there: now)."""
        work = self.saving.work
        at = self._evaluator.value(instant, record.row() if record is not None else _NO_ROW, record=record)
        settings = settings_at(work.connection, work.workspace, at or work.ctx.now)
        return Evaluator(replace(environment(work.ctx), settings=settings), work.row, fields_of(work.workspace))

    def value(self, frame: Frame, expression: Expression, spaces: Mapping[str, Value], row: Mapping[str, Value] | None = None) -> Value:
        """The value of an expression, every derived value true before it is read."""
        if self._reads_derived(frame.rule, expression):
            self.ruling.saving.settling.settle()
        if row is None:
            record = frame.record
            row = _NO_ROW if record is None else self._full(record, expression)
        return self._evaluator.value(expression, row, old=frame.old, **{name: item for name, item in spaces.items() if name != "old"})

    def _full(self, record: Handle, expression: Expression) -> Mapping[str, Value]:
        work = self.saving.work
        return work.full(work.entity(record.entity), expression, record.row())

    def _reads_derived(self, rule: CompiledRule, expression: Expression) -> bool:
        """Whether an expression may read a value that is derived from what steps before have written."""
        workspace = self.saving.work.workspace
        return remember(
            workspace, ("reads derived", rule.entity, expression), lambda: any(_derived(workspace, rule.entity, node) for node in walk(expression.tree))
        )

    def handle(self, entity: str, record_id: int) -> Handle:
        """A record by its id."""
        return Handle(entity, record_id, self.saving.work.row)

    def linked(self, record: Handle, field: str) -> Handle | None:
        """The record a link field of a record leads to."""
        item = self.saving.work.workspace.entities[record.entity].fields.get(field)
        value = record.get(field)
        return self.handle(item.target, value) if item is not None and item.target and isinstance(value, int) else None

    def encrypted(self, entity: str) -> frozenset[str]:
        """The fields of an entity that are kept encrypted."""
        found = self.saving.work.workspace.entities.get(entity)
        return frozenset(storage(self.saving.work.workspace, found).sealed) if found is not None else frozenset()

    def decision(self, key: str) -> Decision:
        """A decision table of the published version."""
        return decision_of(self.saving.work.workspace, key)

    def action_context(self, frame: Frame) -> ActionContext:
        """What an action may know besides its parameters."""
        ctx = self.saving.work.ctx
        workspace = ctx.workspace
        return ActionContext(
            ctx.now, workspace.timezone, ctx.actor.person_id, ctx.locale, frame.rule.key, self._evaluator.environment.settings, workspace.bundle.entities
        )

    # --- texts ------------------------------------------------------------------------------------------------------------------------------

    def text(self, frame: Frame, template: Template) -> Label:
        """A template filled in, braces in values doubled so that nothing in them is taken for a name."""
        found = {language: self._filled(frame, pieces, language or "zh") for language, pieces in template.pieces.items()}
        return found.get("", found)

    def _filled(self, frame: Frame, pieces: tuple[str | Expression, ...], language: str) -> str:
        return "".join(piece if isinstance(piece, str) else self._shown(frame, piece, language) for piece in pieces)

    def _shown(self, frame: Frame, expression: Expression, language: str) -> str:
        if not self.may_give(frame, expression):
            return HIDDEN
        self.saving.work.carry()  # whether they may see what a link leads to may be told by what rows carry
        text = show_value(self.person, expression.type, self.value(frame, expression, frame.spaces), language)
        return text.replace("{", "{{").replace("}", "}}")

    def may_give(self, frame: Frame, expression: Expression) -> bool:
        """Whether the person may read, in clear, every field the value of an expression was made of."""
        origins = Origins(frame.rule, frame.record, self.person.actor.person_id, sources_of([expression], frame.spaces))
        return all(self._may_know(frame, origin) for origin in origins.of(expression))

    def _may_know(self, frame: Frame, origin: Origin) -> bool:
        """What somebody is about to make they know, as far as they may read its fields; of themselves they know everything."""
        work = self.ruling.saving.work
        entity = work.workspace.entities.get(origin.entity)
        if entity is None or origin.field not in entity.fields or (origin.entity, origin.record) == ("person", work.ctx.actor.person_id):
            return True
        grant, own = work.grant(entity), frame.record
        new = own is not None and not own.id and origin.record is None and origin.entity == own.entity
        row = own.row() if new and own is not None else work.row(origin.entity, origin.record) if origin.record is not None else None
        if row is None:
            return grant.condition("read") is True and origin.field in grant.open
        truth, guard = work.truth(entity, row), grant.guards.get(origin.field)
        return (new or grant.admits("read", truth)) and (origin.field in grant.open or (guard is not None and guard.is_clear(truth)))


_GIVEN_SPACES = ("param", "setting", "me", "run", "old", "answer", "tally", "lines")


def _derived(workspace: Workspace, own: str, node: Node) -> bool:
    match node:
        case Space(path=("me", key)):
            place = PERSON, key
        case Field(key=key):
            place = own, key
        case Hop(entity=entity, key=key):
            place = entity, key
        case Space(path=(head, *_), root="") if head not in _GIVEN_SPACES and len(node.path) > 1:
            return True  # a carried record of an entity that is not known here
        case Space(path=(head, key, *_), root=root) if root and head not in _GIVEN_SPACES:
            place = root, str(key)
        case _:
            return False
    item = workspace.entities[place[0]].fields.get(place[1]) if place[0] in workspace.entities else None
    return item is not None and item.derived


def show_value(ctx: Context, type_: Type, value: Value, language: str) -> str:
    """A value of an expression as people of a language read it; links by the label their reader may see."""
    if value is None:
        return ""
    if isinstance(value, list | tuple) and not isinstance(value, str):
        return "、".join(show_value(ctx, type_.element, item, language) for item in value)
    if type_.linked or isinstance(value, Handle):
        entity = value.entity if isinstance(value, Handle) else type_.entity
        found = value.id if isinstance(value, Handle) else value
        return labels(replace(ctx, locale=language), entity, [found]).get(found, f"#{found}") if isinstance(found, int) else str(found)
    kind = ctx.workspace.registry.field_types.get(type_.name)
    if kind is None:
        return str(value)
    options: dict[str, Any] = {"choices": type_.of} if type_.name == "choice" else {"scale": type_.scale} if type_.name == "decimal" else {}
    return kind.show(value, Definition("value", type_.name, options=options), ctx.workspace.scope, language)


def seen_values(work: Work, rule: CompiledRule, record: Handle | None, old: Mapping[str, Value] | None, spaces: Mapping[str, Value]) -> dict[str, Any]:
    """The values a rule's condition saw, by their dotted names; encrypted fields as the envelopes history keeps, what cannot be told left out."""
    condition = rule.condition
    if not isinstance(condition, Expression) or record is None:
        return {}
    entity = work.entity(record.entity)
    row, kept = work.full(entity, condition, record.row()), storage(work.workspace, entity)
    found: dict[str, Any] = {}
    for path in sorted(condition.reads):
        if len(path) == 1 and path[0] in entity.fields:
            found[path[0]] = kept.to_history({path[0]: row.get(path[0])}, work.workspace.cipher)[path[0]]
        elif len(path) == 2 and path[0] == "old" and old is not None and path[1] in entity.fields:
            found["old." + path[1]] = kept.to_history({path[1]: old.get(path[1])}, work.workspace.cipher)[path[1]]
        elif path[0] == "setting" and len(path) == 2:
            found[".".join(path)] = work.workspace.settings.get(path[1])
        elif len(path) == 2 and (item := entity.fields.get(path[0])) is not None and item.target:
            value = work.evaluator.field_of(item.target, row[path[0]], path[1]) if isinstance(row.get(path[0]), int) else None
            below = work.workspace.entities[item.target]
            if path[1] in below.fields:
                found[".".join(path)] = storage(work.workspace, below).to_history({path[1]: value}, work.workspace.cipher)[path[1]]
    return found
