"""A row just written as its giver may see it: fields and masks decided in Python over the row at hand, without asking the database again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.fields.values import Link
from engine.records.query_plan import TAIL, masker
from engine.records.record import Record
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity


def seen_record(work: Work, entity: CompiledEntity, row: Row) -> Record:
    """The record under its giver's grant. Links carry no labels (query.get finds them); a row its giver may no longer see has no fields."""
    grant, truth = work.grant(entity), work.truth(entity, row)
    record = Record(id=row["id"], version=row["version"])
    if row["deleted_at"] is not None or not grant.admits("read", truth):
        return record
    for name, item in entity.fields.items():
        if name not in grant.readable:
            continue
        guard = grant.guards.get(name)
        if guard is not None and not guard.is_visible(truth):
            continue
        if item.column is not None:
            value = row.get(name)
        elif item.formula is not None:
            value = work.value(entity, item.formula, row)
        else:
            continue
        if guard is not None and value is not None and not guard.is_clear(truth):
            record[name] = masker(item)(value)
        elif item.target and value is not None:
            record[name] = [Link(one) for one in value] if isinstance(value, list) else Link(value)
        else:
            record[name] = value
    record.update((name, row[name]) for name in TAIL)
    return record
