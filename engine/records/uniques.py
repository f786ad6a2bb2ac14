"""What the database's own guarantees refuse, told with the field and the message the definition declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from engine.access import remember
from engine.database_faults import Violation, violation_of
from engine.errors import Conflict, Fault
from engine.expressions.to_sql import condition
from engine.records.work import Row, Work
from engine.scope import TableNames, among, engine_select, ids_value

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledUnique

Key = tuple[Any, ...]
_AT_ONCE = 500


def conflict_of(work: Work, entity: CompiledEntity, error: sa.exc.IntegrityError, row: Row, at: str = "") -> Conflict:
    """The refusal of a broken guarantee; the error itself is raised again when it is none of the entity's."""
    violation = violation_of(error)
    if violation.kind == "foreign_key":
        return Conflict("link_gone", entity=entity.key)
    unique = _broken(work, entity, violation, row) if violation.kind == "unique" else None
    if unique is None:
        raise error
    return duplicate(unique, at)


def duplicate(unique: CompiledUnique, at: str = "") -> Conflict:
    """The conflict of one declared uniqueness."""
    definition = unique.definition
    params = {"unique": definition.key, "fields": list(definition.fields), "message": definition.message}
    return Conflict("duplicate", faults=(Fault(f"{at}/{definition.fields[-1]}", "duplicate", params),), **params)


def _broken(work: Work, entity: CompiledEntity, violation: Violation, row: Row) -> CompiledUnique | None:
    if violation.index:
        return next((item for item in entity.unique.values() if item.index == violation.index), None)
    found = [item for item in entity.unique.values() if {str(column.name) for column in item.columns} == set(violation.columns)]
    if len(found) < 2:
        return found[0] if found else None
    truth = work.truth(entity, row)
    return next((item for item in found if item.where is None or truth(item.where)), found[0])


def taken(work: Work, entity: CompiledEntity, unique: CompiledUnique, keys: Sequence[Key]) -> set[Key]:
    """Those of the keys (values of the unique's columns) that a standing record already has."""
    found: set[Key] = set()
    statement = remember(work.workspace, ("taken", entity.key, unique.definition.key), lambda: _asking(work, entity, unique))
    first, *rest = unique.columns
    if _in_one_list(first, rest):
        found.update(tuple(row) for row in work.connection.execute(statement, {"keys": ids_value([key[0] for key in keys], work.workspace.database.dialect)}))
        return found.intersection(keys)
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        wanted = part if len(unique.columns) > 1 else [key[0] for key in part]
        found.update(tuple(row) for row in work.connection.execute(statement, {"keys": wanted}))
    return found.intersection(keys)


def _in_one_list(first: sa.Column[Any], rest: Sequence[sa.Column[Any]]) -> bool:
    return not rest and isinstance(first.type, sa.String | sa.Integer)


def _asking(work: Work, entity: CompiledEntity, unique: CompiledUnique) -> sa.Select[Any]:
    """The condition of the unique's own index stands in the statement word for word, so that the index serves it."""
    first, *rest = unique.columns
    wanted = sa.bindparam("keys", expanding=True, required=True, type_=None if rest else first.type)
    listing = (
        among(first, "keys", work.workspace.database.dialect) if _in_one_list(first, rest) else (sa.tuple_(*unique.columns) if rest else first).in_(wanted)
    )
    terms: list[sa.ColumnElement[bool]] = [listing, *(column.is_not(None) for column in unique.columns)]
    if unique.where is not None:
        holds = condition(unique.where, TableNames(work.workspace, entity, entity.table.c))
        terms.append(visitors.replacement_traverse(holds, {}, _spelled_out))
    return engine_select(entity, *unique.columns).where(*terms)


def _spelled_out(element: Any, **_: Any) -> Any:
    return element.render_literal_execute() if isinstance(element, sa.BindParameter) else None
