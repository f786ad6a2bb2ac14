"""A row just written as its giver may see it: fields, masks and labels decided in Python over the rows at hand, without asking the database again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from engine.access import Guard, remember
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.fields.values import Link, Masked
from engine.records.query import complete
from engine.records.query_columns import TAIL, masker
from engine.records.query_labels import roles_of
from engine.records.record import Record
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one set of roles sees of an entity's rows. ``take`` gives the fields ``names``, with a stand-in where a formula is not stored."""

    names: tuple[str, ...]
    take: Callable[[Row], tuple[Value, ...]]
    formulas: tuple[tuple[str, Expression], ...]
    guarded: tuple[tuple[str, Guard, Callable[[Value], Masked]], ...]
    links: tuple[tuple[str, str], ...]  # (field, target entity)


def seen_record(work: Work, entity: CompiledEntity, row: Row) -> Record:
    """The record under its giver's grant. Links carry no labels; a row its giver may no longer see has no fields."""
    grant, truth = work.grant(entity), work.truth(entity, row)
    if row["deleted_at"] is not None or not grant.admits("read", truth):
        return Record(id=row["id"], version=row["version"])
    sight = _sight(work, entity)
    record = Record(zip(sight.names, sight.take(row), strict=True))
    for name, formula in sight.formulas:
        record[name] = work.value(entity, formula, row)
    for name, guard, mask in sight.guarded:
        if not guard.is_visible(truth):
            del record[name]
        elif record[name] is not None and not guard.is_clear(truth):
            record[name] = mask(record[name])
    for name, _ in sight.links:
        value = record.get(name)
        if value.__class__ is int:
            record[name] = Link(value)
        elif value.__class__ is list:
            record[name] = [Link(one) for one in value]
    return record


def whole_record(work: Work, entity: CompiledEntity, row: Row) -> Record:
    """As ``seen_record``, with what ``query.get`` adds: labels of links, files, child lines."""
    record = seen_record(work, entity, row)
    for name, target in _sight(work, entity).links:
        link = record.get(name)
        if link.__class__ is Link and (label := _label_at_hand(work, work.entity(target), link.id)):
            record[name] = Link(link.id, label)
    return complete(work.ctx, entity.key, record)


def _sight(work: Work, entity: CompiledEntity) -> _Sight:
    return remember(work.workspace, ("sight", entity.key, roles_of(work.ctx)), lambda: _build(work, entity))


def _build(work: Work, entity: CompiledEntity) -> _Sight:
    grant = work.grant(entity)
    shown = {name: item for name, item in entity.fields.items() if name in grant.readable and (item.column is not None or item.formula is not None)}
    formulas = tuple((name, item.formula) for name, item in shown.items() if item.column is None and item.formula is not None)
    stand_ins = {name: "id" for name, _ in formulas}
    names = ("id", "version", *shown, *TAIL)
    return _Sight(
        names,
        itemgetter(*(stand_ins.get(name, name) for name in names)),
        formulas,
        tuple((name, guard, masker(shown[name])) for name, guard in grant.guards.items() if name in shown),
        tuple((name, item.target) for name, item in shown.items() if item.target),
    )


def _label_at_hand(work: Work, target: CompiledEntity, record_id: int) -> str:
    """The label of a row this save has read anyway, where everybody of these roles sees it and it is one text as it stands; '' when it must be asked for."""
    field = remember(work.workspace, ("plain label", target.key, roles_of(work.ctx)), lambda: _plain_label(work, target))
    row = work.at_hand(target.key, record_id) if field else None
    return "" if row is None else row[field] or f"#{record_id}"


def _plain_label(work: Work, target: CompiledEntity) -> str:
    grant, names = work.grant(target), target.label_fields()
    item = target.fields.get(names[0]) if len(names) == 1 and target.label == (("", *names),) else None
    plain = item is not None and item.type.name == "text" and item.column is not None and not item.encrypted
    return names[0] if plain and grant.condition("read") is True and names[0] in grant.open else ""
