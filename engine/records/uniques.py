"""What the database's own guarantees refuse, told with the field and the message the definition declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.database_faults import Violation, violation_of
from engine.errors import Conflict, Fault
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledUnique


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
