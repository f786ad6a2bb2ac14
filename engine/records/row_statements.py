"""The statements that read and write rows of record tables whole, built once per version. Runs none of them and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress
from operator import ne
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.fields.base import Value
from engine.records.values import storage
from engine.scope import among, engine_select

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity

Row = dict[str, Value]
#: How rows are locked on PostgreSQL. ``own``: to be changed, yet a foreign key may still take hold of them, without a deadlock. ``lean``: others may change
#: them, but for what is taken over links to them: who does that has them ``alone``.
Lock = Literal["", "own", "lean", "alone"]
#: System columns of every row, in order.
HEAD = ("id", "version", "created_at", "created_by", "updated_at", "updated_by", "deleted_at")


def inserting(entity: CompiledEntity, names: Iterable[str], copied: Mapping[str, Any], dialect: str) -> Ready:
    """The INSERT of one row; ``made`` gives its id. ``copied``: what the statement reads itself (carried.copies)."""
    statement = sa.insert(entity.table).values(dict(copied)) if copied else sa.insert(entity.table)
    told = statement.inline() if dialect == "sqlite" else statement.returning(entity.table.c.id)
    return Ready(told.execution_options(scoped=True), tuple(names))


def updating(entity: CompiledEntity, names: Iterable[str], *, versioned: bool, copied: Mapping[str, Any] = MappingProxyType({})) -> Ready:
    """The UPDATE of some columns of one row (``p_id``; ``w_NAME``); ``versioned``: only if it still has the version ``p_version``.

    ``copied``: what the statement reads itself (carried.copies).
    """
    table = entity.table
    statement = sa.update(table).where(table.c.id == sa.bindparam("p_id", type_=sa.BigInteger)).execution_options(scoped=True)
    if versioned:
        statement = statement.where(table.c.version == sa.bindparam("p_version", type_=sa.BigInteger))
    return Ready(statement.values({**{name: sa.bindparam(f"w_{name}", type_=table.c[name].type) for name in names}, **copied}))


def whole_select(workspace: Any, entity: CompiledEntity, *, lock: Lock = "") -> Ready:
    """Every stored field of the rows ``ids``, deleted ones included."""

    def build() -> Ready:
        table = entity.table
        select = engine_select(entity, *whole_columns(workspace, entity), deleted=True).where(among(table.c.id, "ids", workspace.database.dialect))
        select = select.order_by(table.c.id)
        return Ready(select.with_for_update(read=lock == "lean", key_share=lock != "alone") if lock else select)

    return remember(workspace, ("whole", entity.key, lock), build)


def whole_columns(workspace: Any, entity: CompiledEntity) -> list[sa.ColumnElement[Any]]:
    """The columns ``whole_row`` reads."""
    return [*(entity.table.c[name] for name in HEAD), *(entity.table.c[column] for column in storage(workspace, entity).stored.values())]


def differing(before: Mapping[str, Value], after: Mapping[str, Value]) -> list[str]:
    """The names of the values that are not as before, in order. A row made from the one before has its names in its order, and is compared place by place."""
    if list(before) == list(after):
        return list(compress(after, map(ne, after.values(), before.values())))
    return [name for name, value in after.items() if value != before.get(name)]


def whole_row(workspace: Any, entity: CompiledEntity, found: Iterable[Any]) -> Row:
    """A row of ``whole_select`` with its envelopes opened."""
    kept = storage(workspace, entity)
    names = remember(workspace, ("whole names", entity.key), lambda: (*HEAD, *kept.stored))
    row = dict(zip(names, found, strict=True))
    return kept.open(row, workspace.cipher) if kept.sealed else row
