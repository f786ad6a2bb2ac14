"""A rule's ``find`` as SQL: live rows of an entity beyond any person's rights (or within them, when the step says so), as handles, rows, or one number.

What a rule finds is its own; what of it goes back to people is filtered where it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.errors import Conflict
from engine.expressions.binds import Shape, shape_of
from engine.expressions.checking import names_for
from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression, ExpressionRefused, parse
from engine.expressions.nodes import Field, Hop, spell, walk
from engine.expressions.to_sql import bind_values, condition, value
from engine.expressions.types import BOOLEAN
from engine.fields.base import Value
from engine.records.finding_system import find_system
from engine.records.row_statements import whole_columns, whole_row
from engine.records.values import blinded
from engine.records.work import Row, Work
from engine.rules.effects import MOST_FOUND, Find, Handle
from engine.scope import TableNames, engine_select, row_clauses, scope_of
from engine.surroundings import Needed, needed_of
from engine.system_entities import SYSTEM_ENTITIES
from metadata.vocabulary import ExpressionPlace

if TYPE_CHECKING:
    from engine.context import Actor
    from engine.workspace import CompiledEntity, Workspace

Evaluate = Callable[[Expression, Mapping[str, Value], Row], Value]
Read = Callable[[str, int], Mapping[str, Value] | None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A kept statement with the binds it wants."""

    ready: Ready
    needed: Needed
    entities: frozenset[str] = frozenset()  # whose rows it looks at
    question: str = ""  # the same for every statement that asks the same


class Finder:
    """Answers finds in one transaction. ``evaluate`` gives values of ``show``; ``person``: whose rows a find within ``scope: me`` keeps to."""

    def __init__(self, work: Work, evaluator: Evaluator, evaluate: Evaluate, person: Actor) -> None:
        self._work = work
        self._evaluator = evaluator
        self._evaluate = evaluate
        self._person = person

    def find(self, effect: Find) -> Value:
        """The result as ``Find`` says."""
        if effect.entity in SYSTEM_ENTITIES:
            work = self._work
            return find_system(work.workspace, work.connection, SYSTEM_ENTITIES[effect.entity], effect, self._evaluator, self._evaluate)
        entity = self._work.entity(effect.entity)
        spaces = dict(effect.spaces)
        where = self._expression(entity, effect.where, spaces)
        if effect.take == "count" or isinstance(effect.take, tuple):
            return self._number(entity, effect, where, spaces)
        rows = self._rows(entity, effect, where, spaces)
        if effect.show:
            self._look_over(rows, effect.show.values())
            shown = [{name: self._evaluate(expression, spaces, row) for name, expression in effect.show.items()} for row in rows]
            return (shown[0] if shown else None) if effect.take in ("one", 1) else shown
        handles = [Handle(entity.key, row["id"], self._work.row) for row in rows]
        return (handles[0] if handles else None) if effect.take in ("one", 1) else handles

    def _look_over(self, rows: Sequence[Row], shown: Iterable[Expression]) -> None:
        """Read what the links of the rows lead to, where what is shown looks over them: all of it at once."""
        links = {node.link: node.entity for one in shown for node in walk(one.tree) if isinstance(node, Hop)}
        for link, target in links.items():
            self._work.fetch(target, {number for row in rows if isinstance(number := row.get(link), int)})

    def _expression(self, entity: CompiledEntity, given: Expression | str | None, spaces: Mapping[str, Value]) -> Expression | None:
        """A condition; one that a plugin wrote as text is parsed with the names it gives. Raises Conflict for a text that is no condition here."""
        if given is None or isinstance(given, Expression):
            return given
        names = {name: value.entity if isinstance(value, Handle) else "" for name, value in spaces.items()}
        try:
            return remember(self._work.workspace, ("find text", entity.key, given, *sorted(names.items())), lambda: self._parsed(entity, given, names))
        except ExpressionRefused as refused:
            raise Conflict("find_text", where=given, entity=entity.title or entity.key, column=refused.problems[0].column) from refused

    def _parsed(self, entity: CompiledEntity, text: str, names: Mapping[str, str]) -> Expression:
        book = self._work.workspace.book
        return parse(text, names_for(book, ExpressionPlace(entity.key, "boolean", frozenset({"me"}), names=names)), BOOLEAN, book.functions)

    def _rows(self, entity: CompiledEntity, effect: Find, where: Expression | None, spaces: Mapping[str, Value]) -> list[Row]:
        limit = 1 if effect.take == "one" else int(effect.take) if isinstance(effect.take, int) else MOST_FOUND
        here = self._at_hand(entity, effect, where, spaces)
        if here is not None and (len(here) <= 1 or not effect.sort):
            return here[:limit]
        shape, values = self._binds(entity, where, spaces)
        order = tuple((self._sorted(entity, what), down) for what, down in effect.sort)
        work = self._work
        hold = effect.hold and work.locks

        def build() -> _Asked:
            names = TableNames(work.workspace, entity, entity.table.c)
            select = self._scoped(entity, effect, engine_select(entity, *whole_columns(work.workspace, entity)))
            if where is not None:
                select = select.where(condition(where, names, shape=shape))
            terms = [self._order(value(what, names), down) for what, down in order]
            last = entity.table.c.id.desc() if order and order[-1][1] else entity.table.c.id
            select = select.order_by(*terms, last).limit(sa.bindparam("p_limit", type_=sa.Integer))
            if hold:
                select = select.with_for_update(of=entity.table, key_share=True)
            spelled = [spell(where.tree) if where is not None else "", *(f"{spell(what.tree)}{'-' if down else '+'}" for what, down in order)]
            looked_at = looked_through(work.workspace, entity, *(one for one in (where, *(what for what, _ in order)) if one is not None))
            return _Asked(Ready(select), needed_of(select), frozenset(looked_at), "\x1f".join([entity.key, *spelled]))

        key = ("find", entity.key, where, shape, order, effect.scope and self._person.roles, hold)
        asked = remember(work.workspace, key, build)
        binds = {**self._filled(asked, values, spaces), "p_limit": limit}
        question = (asked.question, repr(binds))
        found = None if effect.scope or hold else self._answered(entity, asked, question)
        rows = [whole_row(work.workspace, entity, row) for row in asked.ready.rows(work.connection, binds)] if found is None else found
        if found is None:
            for row in rows:
                work.keep(entity.key, row, ours=hold)
            work.known.answered(question, asked.entities, [row["id"] for row in rows])
        if effect.take == "all" and len(rows) == MOST_FOUND:
            raise Conflict("rule_found_too_many", entity=entity.title or entity.key, limit=MOST_FOUND)
        return rows

    def _answered(self, entity: CompiledEntity, asked: _Asked, question: object) -> list[Row] | None:
        """The rows as they were found before, when nothing can have changed what is found; None when they are to be looked for."""
        ids = self._work.known.answer(question, asked.entities)
        rows = [self._work.at_hand(entity.key, one) for one in ids] if ids is not None else [None]
        return None if None in rows else [row for row in rows if row is not None]

    def _at_hand(self, entity: CompiledEntity, effect: Find, where: Expression | None, spaces: Mapping[str, Value]) -> list[Row] | None:
        """The rows found where only rows at hand can be meant: one by its id, or written here; None where the database must be asked."""
        work = self._work
        rows = None if where is None or effect.scope else work.known.found(entity, where, self._evaluator, spaces)
        if rows is None or where is None:
            return None
        return [row for row in rows if self._evaluator.truth(where, work.full(entity, where, row), **spaces)]

    def _number(self, entity: CompiledEntity, effect: Find, where: Expression | None, spaces: Mapping[str, Value]) -> Value:
        measure, of = effect.take if isinstance(effect.take, tuple) else ("count", "")
        here = self._at_hand(entity, effect, where, spaces)
        if here is not None and (measure == "count" or not here):
            return len(here) if measure == "count" else 0 if measure == "sum" else None
        shape, values = self._binds(entity, where, spaces)
        what = self._sorted(entity, of) if of else None

        def build() -> _Asked:
            names = TableNames(self._work.workspace, entity, entity.table.c)
            column = sa.func.count() if what is None else getattr(sa.func, measure)(value(what, names))
            select = self._scoped(entity, effect, engine_select(entity, column).select_from(entity.table))
            return _asked(select if where is None else select.where(condition(where, names, shape=shape)))

        asked = remember(self._work.workspace, ("find number", entity.key, where, shape, measure, what, effect.scope and self._person.roles), build)
        answer = asked.ready.first(self._work.connection, self._filled(asked, values, spaces))
        found = None if answer is None else answer[0]
        if measure == "sum":
            return 0 if found is None else int(found) if what is not None and what.type.exact else found
        return found

    def _sorted(self, entity: CompiledEntity, what: Expression | str) -> Expression:
        if isinstance(what, Expression):
            return what
        return self._work.workspace.expression(entity.key, what, "", ("me",))

    def _order(self, column: sa.ColumnElement[Any], down: bool) -> sa.ColumnElement[Any]:
        return (column.desc() if down else column.asc()).nulls_last()

    def _scoped(self, entity: CompiledEntity, effect: Find, select: sa.Select[Any]) -> sa.Select[Any]:
        if not effect.scope:
            return select
        scope = scope_of(self._work.workspace, self._person, entity)
        return select.where(*row_clauses(scope.grant.condition("read"), scope.names))

    def _binds(self, entity: CompiledEntity, where: Expression | None, spaces: Mapping[str, Value]) -> tuple[Shape, dict[str, Value]]:
        """What the condition's binds are filled with, and the shape that makes its SQL simpler and open to indexes."""
        if where is None:
            return frozenset(), {}
        names = TableNames(self._work.workspace, entity, entity.table.c)
        needed = remember(self._work.workspace, ("find needs", entity.key, where), lambda: needed_of(condition(where, names)))
        values = bind_values(self._evaluator, needed, **spaces)
        return shape_of(values), values

    def _filled(self, asked: _Asked, values: Mapping[str, Value], spaces: Mapping[str, Value]) -> dict[str, Any]:
        missing = {name: item for name, item in asked.needed.items() if name not in values}
        return {**{name: values[name] for name in asked.needed if name in values}, **bind_values(self._evaluator, missing, **spaces)}


def _asked(select: sa.Select[Any]) -> _Asked:
    return _Asked(Ready(select), needed_of(select))


def looked_through(workspace: Workspace, entity: CompiledEntity, *expressions: Expression) -> set[str]:
    """The entities whose records decide the values of expressions over an entity's, formulas that are not stored included."""
    found = {entity.key}
    for one in expressions:
        for node in walk(one.tree):
            if isinstance(node, Hop):
                found.add(node.entity)
            item = entity.fields.get(node.link if isinstance(node, Hop) else node.key) if isinstance(node, Hop | Field) else None
            over = workspace.entities[node.entity].fields.get(node.key) if isinstance(node, Hop) else None
            if item is not None and item.column is None and item.formula is not None:
                found |= looked_through(workspace, entity, item.formula)
            if over is not None and isinstance(node, Hop) and over.column is None and over.formula is not None:
                found |= looked_through(workspace, workspace.entities[node.entity], over.formula)
    return found


def standing(work: Work, entity: CompiledEntity, unique: str, values: Mapping[str, Value]) -> int | None:
    """The id of the live record that has these values of a declared uniqueness; None when there is none, or when a field of it is empty.

    It is read whole: what follows links to it.
    """
    found = entity.unique[unique]
    wanted: Sequence[Value] = [values.get(name) for name in found.definition.fields]
    if any(one is None for one in wanted):
        return None
    for name, one in zip(found.definition.fields, wanted, strict=True):
        here = work.known.linking(entity, name, one) if entity.fields[name].target else None
        if here is not None:
            own = [row for row in here if all(row[key] == value for key, value in zip(found.definition.fields, wanted, strict=True))]
            meant = [row["id"] for row in own if found.where is None or work.truth(entity, row)(found.where)]
            return meant[0] if meant else None

    def build() -> _Asked:
        select = engine_select(entity, *whole_columns(work.workspace, entity))
        for number, column in enumerate(found.columns):
            select = select.where(column == sa.bindparam(f"k_{number}", type_=column.type))
        if found.where is not None:
            select = select.where(condition(found.where, TableNames(work.workspace, entity, entity.table.c)))
        return _asked(select.limit(1))

    asked = remember(work.workspace, ("standing", entity.key, unique), build)
    binds: dict[str, Any] = dict(bind_values(work.evaluator, asked.needed))
    for number, (name, one) in enumerate(zip(found.definition.fields, wanted, strict=True)):
        item = entity.fields[name]
        binds[f"k_{number}"] = blinded(work.workspace.cipher, item, one) if item.encrypted else one
    answer = asked.ready.first(work.connection, binds)
    if answer is None:
        return None
    row = whole_row(work.workspace, entity, answer)
    work.keep(entity.key, row)
    return int(row["id"])
