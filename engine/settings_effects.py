"""What another value of a setting would bring about: whose stored formulas change and which records fall due at once. Counts only, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression
from engine.expressions.nodes import Space, walk
from engine.expressions.to_sql import bind_values, condition, value
from engine.fields.base import Value
from engine.rules.compile import rule_book
from engine.scope import TableNames, engine_select
from engine.surroundings import environment, needed_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.rules.book import CompiledRule
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: From this share of an entity's records on people are asked again.
MANY = 0.1


@dataclass(frozen=True, slots=True)
class Touched:
    """Records of one entity: how many there are, in how many one of ``fields`` changes, how many of these fall due at once.

    ``exact`` is false where a formula can only be computed one record at a time: then every record counts as changed.
    """

    entity: str
    fields: tuple[str, ...]
    records: int
    changed: int
    due: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Consequences:
    """All entities touched; what follows from them in other entities (roll-ups, lookups) comes on top."""

    touched: Sequence[Touched] = ()

    @property
    def large(self) -> bool:
        """Whether more than a tenth of an entity's records change."""
        return any(item.changed > MANY * item.records for item in self.touched)


def formulas_reading(workspace: Workspace, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Entity -> its stored formulas that read one of these settings."""
    wanted = set(keys)
    found: dict[str, tuple[str, ...]] = {}
    for entity in workspace.entities.values():
        names = tuple(key for key, item in entity.fields.items() if item.formula is not None and item.column is not None and settings_in(item.formula) & wanted)
        if names:
            found[entity.key] = names
    return found


def settings_in(expression: Expression) -> set[str]:
    """The settings an expression reads."""
    return {path[1] for path in expression.reads if path[0] == "setting" and len(path) > 1}


def consequences(ctx: Context, key: str, new: Value, at: datetime) -> Consequences:
    """What a typed value brings about when it comes into force at an instant, counted over the records as they are now."""
    evaluator = Evaluator(replace(environment(ctx), settings={**ctx.workspace.settings, key: new}))
    with ctx.reading() as ctx:
        touched = [
            _touched(ctx, evaluator, ctx.workspace.entities[entity], fields, max(at, ctx.now))
            for entity, fields in formulas_reading(ctx.workspace, [key]).items()
        ]
    return Consequences(tuple(touched))


def _touched(ctx: Context, evaluator: Evaluator, entity: CompiledEntity, fields: tuple[str, ...], at: datetime) -> Touched:
    names = TableNames(ctx.workspace, entity, entity.table.c)
    terms = {field: _changes(ctx.workspace, entity, entity.fields[field], names) for field in fields}
    countable = {field: term for field, term in terms.items() if term is not None}
    changed = sa.or_(sa.false(), *countable.values())
    due = sa.or_(sa.false(), *(sa.and_(countable[field], term) for field, term in _due(ctx.workspace, entity, countable, names, at)))
    select = engine_select(entity, sa.func.count(), sa.func.count(sa.case((changed, 1))), sa.func.count(sa.case((due, 1))))
    records, number, falling = ctx.open.execute(select, bind_values(evaluator, needed_of(select))).one()
    exact = len(countable) == len(fields)
    return Touched(entity.key, fields, records, number if exact else records, falling, exact)


def _changes(workspace: Workspace, entity: CompiledEntity, item: CompiledField, names: TableNames) -> sa.ColumnElement[bool] | None:
    """True where the formula now says something else than what is kept; None when a database cannot tell."""
    if item.formula is None or item.column is None or not item.formula.has_sql or item.encrypted or _sealed(workspace, entity, item.formula):
        return None
    return item.column.is_distinct_from(value(item.formula, names))


def _sealed(workspace: Workspace, entity: CompiledEntity, formula: Expression) -> bool:
    for path in formula.reads:
        own = entity.fields.get(path[0])
        far = workspace.entities[own.target].fields.get(path[1]) if own is not None and own.target and len(path) > 1 else None
        if (own is not None and own.encrypted) or (far is not None and far.encrypted):
            return True
    return False


def _due(
    workspace: Workspace, entity: CompiledEntity, countable: Iterable[str], names: TableNames, at: datetime
) -> Iterator[tuple[str, sa.ColumnElement[bool]]]:
    """Per formula that a due rule waits for: true where it has come by then and had not before, and the rule's condition holds."""
    for rule in rule_book(workspace).due:
        if rule.entity != entity.key or rule.key in workspace.rules_off:
            continue
        for field in rule.trigger.due:
            item = entity.fields.get(field)
            if field not in countable or item is None or item.formula is None or item.column is None:
                continue
            moment = at if item.expression_type.name == "instant" else at.astimezone(workspace.timezone).date()
            comes = sa.and_(value(item.formula, names) <= moment, sa.or_(item.column.is_(None), item.column > moment))
            yield field, sa.and_(comes, *_holds(rule, names))


def _holds(rule: CompiledRule, names: TableNames) -> list[sa.ColumnElement[bool]]:
    """The rule's condition where rows alone decide it."""
    parts = [part for part in (rule.condition, rule.trigger.where) if isinstance(part, Expression)]
    alone = [part for part in parts if part.has_sql and not any(isinstance(node, Space) and node.path[0] not in ("setting", "me") for node in walk(part.tree))]
    return [condition(part, names) for part in alone]
