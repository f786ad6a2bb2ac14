"""Which record a row of a file is: known again by its key values (through blind indexes where encrypted), people found by name.

Reads under the importer's own grant; a record they may not see is not found here and shows itself as a duplicate when written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.exchange.mapping import Plan
from engine.exchange.rows import RowDraft
from engine.fields.base import Wrong, accepted
from engine.records.values import blinded
from engine.scope import among, ids_value, scope_of
from engine.surroundings import bound, needed_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

#: (field type, normalised value): a telephone is the same in every field that holds one.
Key = tuple[str, Any]
_MANY = 400


class Matcher:
    """Finds existing records for the drafts of one chunk; remembers nothing between chunks."""

    def __init__(self, ctx: Context, entity: CompiledEntity, plan: Plan) -> None:
        self._ctx = ctx
        self._entity = entity
        self._places = [(owner, self._field(owner, name)) for owner, name in plan.key]
        self._own = {name for owner, name in plan.key if owner == entity.key}
        self._children = {(owner, name) for owner, name in plan.key if owner != entity.key}

    def _field(self, entity: str, name: str) -> CompiledField:
        return self._ctx.workspace.entities[entity].fields[name]

    def keys(self, draft: RowDraft) -> list[Key]:
        """The key values of a row, its children's included, in the order of the entity's import block."""
        found: list[Key] = []
        for owner, item in self._places:
            if owner == self._entity.key:
                typed = draft.typed.get(item.key)
                key = (item.type.name, typed) if typed is not None and item.key not in draft.values else self._key(item, draft.values.get(item.key))
                if key is not None and key not in found:
                    found.append(key)
            else:
                for child in draft.children:
                    key = self._key(item, child.values.get(item.key)) if child.plan.entity == owner else None
                    if key is not None and key not in found:
                        found.append(key)
        return found

    def _key(self, item: CompiledField, value: Any) -> Key | None:
        if value is None or value == "" or item.reader is None:
            return None
        try:
            typed = accepted(item.reader, value)
        except Wrong:
            return None
        return None if typed is None else (item.type.name, typed)

    def find(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Ids of existing records by key; the oldest where several carry one."""
        wanted: dict[str, set[Any]] = {}
        for kind, value in keys:
            wanted.setdefault(kind, set()).add(value)
        found: dict[Key, int] = {}
        for owner, item in self._places:
            for key, record in self._find(owner, item, list(wanted.get(item.type.name, ()))):
                if key not in found or record < found[key]:
                    found[key] = record
        return found

    def _find(self, owner: str, item: CompiledField, values: list[Any]) -> Iterable[tuple[Key, int]]:
        entity = self._ctx.workspace.entities[owner]
        scope = scope_of(self._ctx.workspace, self._ctx.actor, entity)
        if not values or item.key not in scope.grant.readable:
            return
        column = item.bi_column if item.encrypted else item.column
        assert column is not None
        stored = {self._stored(item, value): value for value in values}
        record = scope.column("id") if owner == self._entity.key else scope.column(entity.parent_field)
        if not isinstance(column.type, sa.String | sa.Integer):
            select = scope.select(record, column).where(column.in_(sa.bindparam("wanted", expanding=True, type_=column.type)))
            yield from self._asked(item, select, stored, [list(stored)[start : start + _MANY] for start in range(0, len(stored), _MANY)])
            return
        dialect = self._ctx.workspace.database.dialect
        select = scope.select(record, column).where(among(column, "wanted", dialect))
        yield from self._asked(item, select, stored, [ids_value(stored, dialect)])

    def _asked(self, item: CompiledField, select: sa.Select[Any], stored: Mapping[Any, Any], parts: Iterable[Any]) -> Iterator[tuple[Key, int]]:
        values = scope_values(self._ctx, select)
        for part in parts:
            for number, text in self._ctx.open.execute(select, {**values, "wanted": part}):
                yield (item.type.name, stored[text]), int(number)

    def _stored(self, item: CompiledField, value: Any) -> Any:
        return blinded(self._ctx.workspace.cipher, item, value) if item.encrypted else value


def scope_values(ctx: Context, select: sa.Select[Any]) -> dict[str, Any]:
    """The values a scoped statement needs: who asks, and when."""
    return bound(ctx, needed_of(select))


def people_by_name(ctx: Context, names: Iterable[str]) -> Mapping[str, int]:
    """Active people of these names; a name that two people share finds nobody."""
    wanted = sorted({name for name in names if name})
    if not wanted:
        return {}
    scope = scope_of(ctx.workspace, ctx.actor, ctx.workspace.entities["person"])
    name = scope.column("name")
    select = scope.select(scope.column("id"), name).where(name.in_(sa.bindparam("wanted", expanding=True, type_=sa.Text())))
    found: dict[str, list[int]] = {}
    for number, text in ctx.open.execute(select, {**scope_values(ctx, select), "wanted": wanted}):
        found.setdefault(text, []).append(int(number))
    return {text: ids[0] for text, ids in found.items() if len(ids) == 1}
