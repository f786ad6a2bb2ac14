"""A question compiled once: statement, columns, and what turns a row into a record under its reader's masks. Kept per version, roles and shape of question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Guard
from engine.expressions.binds import Bound
from engine.fields.base import Value
from engine.fields.values import Masked
from engine.records.query_order import Order
from engine.records.record import Record
from engine.records.values import unseal
from engine.scope import Scope, needed_of, row_clauses, split_alternatives

if TYPE_CHECKING:
    from engine.workspace import CompiledField

#: System fields every record carries for its reader.
HEAD = ("id", "version")
TAIL = ("created_at", "created_by", "updated_at", "updated_by")
#: A capped count stops here: "1000+".
COUNT_CAP = 1000

Cell = Callable[[Sequence[Any], Record], None]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a statement and the work left per row."""

    names: tuple[str, ...]
    elements: tuple[sa.ColumnElement[Any], ...]
    cells: tuple[Cell, ...]
    links: tuple[tuple[str, str], ...]                       # (field, target entity): labels are still to be found

    def record(self, row: Sequence[Any]) -> Record:
        """One row as a record; labels of links are not in yet."""
        record = Record(zip(self.names, row, strict=False))
        for cell in self.cells:
            cell(row, record)
        return record


def columns_of(scope: Scope, names: Sequence[str]) -> Columns:
    """Columns for the given readable fields: id and version first, values, then what guards and masks need."""
    heads = [*HEAD, *(name for name in names if name not in HEAD)]
    elements = [_element(scope, name) for name in heads]
    shown = [name for name, element in zip(heads, elements, strict=True) if element is not None]
    found: list[sa.ColumnElement[Any]] = [element.label(f"c_{name}") for name, element in zip(heads, elements, strict=True) if element is not None]
    cells: list[Cell] = []
    for index, name in enumerate(shown):
        item = scope.entity.fields.get(name)
        if item is None:
            continue
        if item.encrypted:
            cells.append(_unsealing(scope, item, index))
        guard = scope.grant.guards.get(name)
        if guard is not None:
            cells.append(_guarding(scope, item, guard, found))
    links = tuple((name, item.target) for name in shown if (item := scope.entity.fields.get(name)) is not None and item.target)
    return Columns(tuple(shown), tuple(found), tuple(cells), links)


def _element(scope: Scope, name: str) -> sa.ColumnElement[Any] | None:
    item = scope.entity.fields.get(name)
    if item is not None and item.column is None and not (item.formula is not None and item.formula.has_sql):
        return None
    return scope.column(name)


def _unsealing(scope: Scope, item: CompiledField, index: int) -> Cell:
    cipher, entity, key = scope.workspace.cipher, scope.entity.key, item.key

    def cell(row: Sequence[Any], record: Record) -> None:
        envelope = row[index]
        if envelope is not None:
            record[key] = unseal(cipher, entity, item, envelope)

    return cell


def _guarding(scope: Scope, item: CompiledField, guard: Guard, columns: list[sa.ColumnElement[Any]]) -> Cell:
    """Adds the deciding columns and gives the cell that obeys them."""
    key = item.key
    seen = len(columns) if not guard.always_visible else -1
    if seen >= 0:
        columns.append(scope.visible(guard).label(f"v_{key}"))
    clear = len(columns) if guard.clear else -1
    if clear >= 0:
        columns.append(scope.clear(guard).label(f"m_{key}"))
    mask = masker(item)

    def cell(row: Sequence[Any], record: Record) -> None:
        if seen >= 0 and not row[seen]:
            del record[key]
        elif clear < 0 or not row[clear]:
            value = record[key]
            if value is not None:
                record[key] = mask(value)

    return cell


def masker(item: CompiledField) -> Callable[[Value], Masked]:
    """What a masked value is shown as."""
    kind, value_field = item.type, item.value

    def mask(value: Value) -> Masked:
        return Masked(kind.mask(value, value_field))

    return mask


@dataclass(slots=True)
class Plan:
    """One question's statements, built when first asked. ``terms`` are all conditions beside the reader's rows."""

    scope: Scope
    columns: Columns
    order: Order
    terms: tuple[sa.ColumnElement[bool], ...]
    name: str                                                 # what cursors are bound to
    statements: dict[tuple[object, ...], Statement] = field(default_factory=dict)

    def page(self, phase: int, empties: tuple[bool, ...] | None) -> Statement:
        """The statement of a page: the first of its phase, or the one after a position whose values are empty as ``empties`` says."""
        key = ("page", phase, empties)
        found = self.statements.get(key)
        if found is None:
            terms = [*self.terms, *self.order.terms(phase)]
            if empties is not None:
                terms.append(self.order.after(phase, empties))
            found = self.statements[key] = Statement.of(self._limited(terms, self.order.ordering(phase)))
        return found

    def count(self, *, capped: bool) -> Statement:
        """How many rows there are; capped at one more than COUNT_CAP."""
        key = ("count", capped)
        found = self.statements.get(key)
        if found is None:
            rows = self.scope.select(self.scope.column("id")).where(*self.terms)
            if capped:
                rows = rows.limit(COUNT_CAP + 1)
            found = self.statements[key] = Statement.of(sa.select(sa.func.count()).select_from(rows.subquery()).execution_options(scoped=True))
        return found

    def _elements(self) -> list[sa.ColumnElement[Any]]:
        """The columns, and after them the sort values that a cursor is made of."""
        return [*self.columns.elements, *(key.column.label(f"s_{index}") for index, key in enumerate(self.order.keys))]

    def _limited(self, terms: Sequence[sa.ColumnElement[bool]], ordering: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
        limit = sa.bindparam("p_limit", type_=sa.Integer, required=True)
        alternatives = split_alternatives(self.scope.grant.condition("read"))
        if not alternatives or self.scope.names.dialect != "sqlite":
            return self.scope.select(*self._elements()).where(*terms).order_by(*ordering).limit(limit)
        source, record_id = self.scope.source, self.scope.column("id")
        branches = [sa.select(record_id.label("id")).where(source.c.deleted_at.is_(None), *row_clauses((one,), self.scope.names), *terms)
                    .order_by(*ordering).limit(limit).subquery() for one in alternatives]
        together = sa.union(*(sa.select(branch.c.id) for branch in branches)).subquery()
        return sa.select(*self._elements()).where(record_id.in_(sa.select(together.c.id))).order_by(*ordering).limit(limit) \
            .execution_options(scoped=True)


@dataclass(frozen=True, slots=True)
class Statement:
    """A prebuilt statement and the values of its surroundings it wants bound."""

    select: sa.Select[Any]
    needed: Mapping[str, Bound]

    @classmethod
    def of(cls, select: sa.Select[Any]) -> Statement:
        """Read off the statement what it wants."""
        return cls(select, needed_of(select))


def readable_names(scope: Scope) -> tuple[str, ...]:
    """Every field its reader may see, in the definition's order, and the system fields."""
    return (*(key for key in scope.entity.fields if key in scope.grant.readable), *TAIL)
