"""Why a rule did or did not run for a record, and when it will: its conditions judged now, part by part, as far as the reader may see. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import NotFound
from engine.expressions.language import Expression
from engine.expressions.nodes import Node
from engine.expressions.zones import midnight
from engine.fields.base import Value
from engine.records import query
from engine.records.looking import looking
from engine.records.plain_sight import PlainSight
from engine.records.ruling_eyes import show_value
from engine.records.work import Work
from engine.rules.book import CompiledRule
from engine.rules.compile import rule_book
from engine.rules.conditions import Part, Witness, explain
from engine.rules.sentences import around_of, labels_of
from engine.timed_windows import calendar_of, holidays_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity


@dataclass(frozen=True, slots=True)
class Coming:
    """A due rule and when it falls due for a record. ``holds``: its condition now; None where only the run will know."""

    rule: CompiledRule
    field: str
    shift: int
    at: datetime
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a rule would run now, or not. ``off``: switched off; ``where`` and ``condition`` judged; ``coming``: of a due rule, each field that has a value."""

    rule: CompiledRule
    off: bool
    where: Part | None
    condition: Part | None
    coming: tuple[Coming, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether its conditions hold."""
        found = [part.holds for part in (self.where, self.condition) if part is not None]
        return False if False in found else None if None in found else True

    @property
    def tells(self) -> bool:
        """Whether its reader may see any part of its conditions, where it has any."""
        leaves = [leaf for part in (self.where, self.condition) if part is not None for leaf in part.leaves()]
        return not leaves or any(leaf.text for leaf in leaves)

    @property
    def reason(self) -> Part | None:
        """The first part that does not hold."""
        for part in (self.where, self.condition):
            if part is not None and (found := part.first_false()) is not None:
                return found
        return None


def rules_about(ctx: Context, entity: str) -> list[CompiledRule]:
    """The rules that are about records of an entity, by key."""
    return [rule for _key, rule in sorted(rule_book(ctx.workspace).rules.items()) if rule.entity == entity]


def explain_rule(ctx: Context, rule: CompiledRule, record_id: int, *, old: Mapping[str, Value] | None = None) -> Explained:
    """Why a rule would run for a record or not. ``old``: the record as it was before a change (None: nothing changed). Raises NotFound for records the
    reader may not see."""
    with ctx.snapshot() as ctx:
        return replace(_Desk.at(ctx, rule.entity, record_id), old=old).explained(rule)


def explain_all(ctx: Context, entity: str, record_id: int) -> list[Explained]:
    """The same for every rule about a record."""
    return explain_some(ctx, rules_about(ctx, entity), entity, record_id)


def explain_some(ctx: Context, rules: Iterable[CompiledRule], entity: str, record_id: int) -> list[Explained]:
    """The same for some rules about a record, which is read once."""
    with ctx.snapshot() as ctx:
        desk = _Desk.at(ctx, entity, record_id)
        return [desk.explained(rule) for rule in rules]


def coming(ctx: Context, entity: str, record_id: int) -> list[Coming]:
    """What due rules will do with a record unless it changes, soonest first: those not switched off whose conditions hold now."""
    rules = [rule for rule in rule_book(ctx.workspace).due if rule.entity == entity and rule.key not in ctx.workspace.rules_off]
    if not rules:
        return []
    with ctx.snapshot() as ctx:
        desk = _Desk.at(ctx, entity, record_id)
        found = [item for rule in rules for item in desk.explained(rule).coming]
    return sorted((item for item in found if item.holds is not False and item.at > ctx.now), key=lambda item: (item.at, item.rule.key))


@dataclass(frozen=True, slots=True)
class _Desk:
    """One record looked at by the engine for one reader: values are read whole, and told as far as the reader's grants reach."""

    ctx: Context
    work: Work
    entity: CompiledEntity
    row: Mapping[str, Value]
    sight: PlainSight
    old: Mapping[str, Value] | None = None

    @staticmethod
    def at(ctx: Context, key: str, record_id: int) -> _Desk:
        query.get(ctx, key, record_id, ("id",), lines=False)  # raises NotFound for a record its reader may not see
        entity = ctx.workspace.entities[key]
        work = looking(ctx)
        row = work.row(key, record_id)
        if row is None:
            raise NotFound("no_such_record", entity=key, id=record_id)
        return _Desk(ctx, work, entity, row, PlainSight.of(work, entity, row))

    def explained(self, rule: CompiledRule) -> Explained:
        """One rule."""
        where = self.judged(rule, rule.trigger.where)
        condition = self.judged(rule, rule.condition) if isinstance(rule.condition, Expression) else None
        found = Explained(rule, rule.key in self.ctx.workspace.rules_off, where, condition)
        return replace(found, coming=tuple(self.coming(rule, found.holds)))

    def judged(self, rule: CompiledRule, condition: Expression | None) -> Part | None:
        """A condition part by part."""
        if condition is None:
            return None
        row = self.work.full(self.entity, condition, self.row)
        spaces: dict[str, Any] = {"record": row}
        evaluator = self.work.evaluator

        def value(node: Node) -> Value:
            return evaluator.of_node(node, row, old=row if self.old is None else self.old, spaces=spaces)

        around = replace(around_of(rule, labels_of(self.ctx.workspace, self.ctx.locale)), timezone=self.ctx.workspace.timezone)
        return explain(condition.tree, around, Witness(value, self.sight.may, self._show))

    def _show(self, node: Node, value: Value) -> str:
        text = show_value(self.ctx, node.type.clear(), value, self.ctx.locale)
        return text or "—"

    def coming(self, rule: CompiledRule, holds: bool | None) -> Iterator[Coming]:
        """When a due rule falls due, for each field the reader sees."""
        for field in rule.trigger.due:
            value = self.row.get(field)
            if value is None or field not in self.sight.clear:
                continue
            for shift in rule.trigger.shifts:
                at = self._due_at(rule, value, shift)
                if at is not None:
                    yield Coming(rule, field, shift, at, holds)

    def _due_at(self, rule: CompiledRule, value: Value, shift: int) -> datetime | None:
        moment = value if isinstance(value, datetime) else midnight(value, self.ctx.workspace.timezone) if isinstance(value, date) else None
        if moment is None:
            return None
        calendar = calendar_of(self.ctx, rule)
        if calendar is None:
            return moment + timedelta(seconds=shift)
        return calendar.add(moment, shift, self.ctx.workspace.timezone, holidays_of(self.ctx))
