"""The order of a list and where a page begins: keyset pages over nullable columns in any mix of directions, empty values last in both.

Phase 0 walks the rows that have a value in the first sort column, phase 1 those that have none; each can use a plain index.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from engine.errors import Fault, Invalid
from engine.records.query_cursor import Position
from engine.scope import Scope, unindexed

NEVER_EMPTY = frozenset({"id", "version", "created_at", "updated_at"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of the order."""

    name: str
    column: sa.ColumnElement[Any]
    descending: bool
    nullable: bool

    def ordering(self, nulls: bool) -> list[sa.ColumnElement[Any]]:
        """ORDER BY terms; ``nulls``: empty values may be met and stand last."""
        direction = self.column.desc() if self.descending else self.column.asc()
        return [self.column.is_(None).asc(), direction] if nulls and self.nullable else [direction]

    def beyond(self, value: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return self.column < value if self.descending else self.column > value


@dataclass(frozen=True, slots=True)
class Order:
    """The whole order: the sort keys, then ``id`` in the direction of the last one, so that no two rows are equal."""

    keys: tuple[SortKey, ...]
    id: sa.ColumnElement[int]
    id_descending: bool

    @property
    def phases(self) -> int:
        """2 when rows without a first sort value may exist."""
        return 2 if self.keys and self.keys[0].nullable else 1

    def over(self, rows: sa.FromClause) -> Order:
        """The same order of rows that have their sort values as ``s_0 ..``, beside ``id``."""
        keys = tuple(replace(key, column=rows.c[f"s_{index}"]) for index, key in enumerate(self.keys))
        return Order(keys, rows.c.id, self.id_descending)

    def made(self) -> Order:
        """The same order, which SQLite will not look for in an index: it sorts what it finds."""
        return replace(self, keys=tuple(replace(key, column=unindexed(key.column)) for key in self.keys))

    def terms(self, phase: int) -> list[sa.ColumnElement[bool]]:
        """What keeps a statement inside its phase."""
        if self.phases == 1:
            return []
        return [self.keys[0].column.is_(None) if phase else self.keys[0].column.is_not(None)]

    def ordering(self, phase: int) -> list[sa.ColumnElement[Any]]:
        """ORDER BY of a phase."""
        found: list[sa.ColumnElement[Any]] = []
        for index, key in enumerate(self.keys):
            if index == 0 and phase == 1:
                continue
            found += key.ordering(nulls=index > 0)
        return [*found, self.id.desc() if self.id_descending else self.id.asc()]

    def after(self, phase: int, empties: Sequence[bool]) -> sa.ColumnElement[bool]:
        """Rows after the position bound as ``k_0 .. k_n`` and ``k_id``; ``empties`` says which of its values are empty."""
        keys = [(index, key) for index, key in enumerate(self.keys) if not (index == 0 and phase == 1)]
        same = all(key.descending == self.id_descending for _, key in keys)
        if same and not any(key.nullable and index > 0 for index, key in keys):
            return self._row_value(keys)
        last = self.id < _bind("id", self.id) if self.id_descending else self.id > _bind("id", self.id)
        for index, key in reversed(keys):
            value = _bind(index, key.column)
            if empties[index]:
                last = sa.and_(key.column.is_(None), last)
                continue
            beyond = key.beyond(value)
            if key.nullable and index > 0:
                beyond = sa.or_(beyond, key.column.is_(None))
            last = sa.or_(beyond, sa.and_(key.column == value, last))
        if keys and not (keys[0][1].nullable and keys[0][0] > 0):
            index, key = keys[0]
            value = _bind(index, key.column)
            last = sa.and_(key.column <= value if key.descending else key.column >= value, last)
        return last

    def _row_value(self, keys: Sequence[tuple[int, SortKey]]) -> sa.ColumnElement[bool]:
        columns = [*(key.column for _, key in keys), self.id]
        values = [*(_bind(index, key.column) for index, key in keys), _bind("id", self.id)]
        if len(columns) == 1:
            return columns[0] < values[0] if self.id_descending else columns[0] > values[0]
        left, right = sa.tuple_(*columns), sa.tuple_(*values)
        return left < right if self.id_descending else left > right

    def binds(self, position: Position) -> dict[str, Any]:
        """The values ``after`` asks for."""
        found: dict[str, Any] = {f"k_{index}": value for index, value in enumerate(position.values) if value is not None}
        found["k_id"] = position.id
        return found


def _bind(name: object, column: sa.ColumnElement[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"k_{name}", type_=column.type, required=True)


def order_of(scope: Scope, sort: Sequence[str], filled: Collection[str] = ()) -> Order:
    """The order a reader asks for; ``filled``: fields that cannot be empty in the rows asked for. Raises Invalid for a field that does not exist for them, is masked, or cannot be sorted."""
    keys: list[SortKey] = []
    faults: list[Fault] = []
    descending = True
    for text in sort or ("-id",):
        descending, name = text.startswith("-"), text.lstrip("-+")
        if name == "id":
            break
        code = unsortable(scope, name)
        if code:
            faults.append(Fault("/sort", code, {"field": name}))
        else:
            keys.append(SortKey(name, scope.shown(name), descending, name not in NEVER_EMPTY and name not in filled))
    if faults:
        raise Invalid("sort_invalid", faults=faults)
    return Order(tuple(keys), scope.column("id"), descending)


def unsortable(scope: Scope, name: str) -> str:
    """Why a reader cannot sort by a field; "" when they can. What they may not read is as unknown as what is not there."""
    if name in ("created_at", "updated_at", "version", "created_by", "updated_by"):
        return ""
    field = scope.entity.fields.get(name)
    if field is None or name not in scope.grant.readable:
        return "unknown_field"
    if not scope.grant.shows(name) or field.encrypted or field.volatile or field.column is None or not field.type.sortable:
        return "not_sortable"
    return ""
