"""Many new records at once, for imports and demo data: the same proposals and checks as one save, written set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.errors import Denied, Fault, NotFound
from engine.records.derived import Settling, own_values
from engine.records.links import check_links
from engine.records.proposal import Proposal, check_rules, propose_new
from engine.records.record import RowResult
from engine.records.serials import draw, serial_fields
from engine.records.uniques import duplicate
from engine.records.values import storage
from engine.records.work import Work
from engine.scope import engine_select

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledUnique

CHUNK = 1000


@dataclass(slots=True)
class _Row:
    """One row on its way: its number in what was given, its proposal, its column values."""

    index: int
    proposal: Proposal
    columns: dict[str, Any]
    refused: bool = False


def load(work: Work, entity: CompiledEntity, rows: Sequence[Mapping[str, object]], *, trusted: bool = False) -> list[RowResult]:
    """Insert rows in chunks; gives one result per row, in order."""
    grant = work.grant(entity)
    if not grant.allowed("create"):
        raise Denied("may_not_create", entity=entity.key) if grant.allowed("read") else NotFound("unknown_entity", entity=entity.key)
    results: list[RowResult] = []
    settling = Settling(work)
    for start in range(0, len(rows), CHUNK):
        results += _chunk(work, settling, entity, rows[start:start + CHUNK], start, trusted)
    settling.settle()
    work.finish()
    return results


def _chunk(work: Work, settling: Settling, entity: CompiledEntity, rows: Sequence[Mapping[str, object]], start: int, trusted: bool) -> list[RowResult]:
    grant = work.grant(entity)
    kept = [_Row(start + index, propose_new(work, entity, raw, grant.writable), {}) for index, raw in enumerate(rows)]
    if not trusted:
        check_links(work, [row.proposal for row in kept])
    results: dict[int, RowResult] = {}
    for row in kept:
        _check(work, row)
        if row.proposal.faults:
            _refuse(results, row, "invalid", row.proposal.faults)
    good = [row for row in kept if not row.refused]
    _serials(work, entity, good)
    stored, cipher = storage(work.workspace, entity), work.workspace.cipher
    for row in good:
        row.columns = stored.columns(row.proposal.after, cipher)
    for unique in entity.unique.values():
        _uniques(work, entity, unique, [row for row in good if not row.refused], results)
    good = [row for row in good if not row.refused]
    work.insert_many(entity, [(row.proposal.after, row.columns) for row in good])
    _follow(work, settling, entity, good)
    for row in good:
        results[row.index] = RowResult(row.index, "created", row.proposal.after["id"], 1)
    return [results[index] for index in sorted(results)]


def _refuse(results: dict[int, RowResult], row: _Row, code: str, faults: Sequence[Fault], **params: object) -> None:
    row.refused = True
    results[row.index] = RowResult(row.index, "refused", code=code, faults=tuple(faults), params=params)


def _check(work: Work, row: _Row) -> None:
    proposal = row.proposal
    check_rules(work, proposal)
    if proposal.lines:
        proposal.fault(next(iter(proposal.lines)), "lines_not_here")
    grant = work.grant(proposal.entity)
    if grant.condition("create") is not True and not grant.admits("create", work.truth(proposal.entity, proposal.after)):
        proposal.fault("", "may_not_create_this", entity=proposal.entity.key)


def _serials(work: Work, entity: CompiledEntity, rows: Sequence[_Row]) -> None:
    for name, template in serial_fields(work.workspace, entity):
        wanting = [row for row in rows if row.proposal.after.get(name) is None]
        if wanting:
            for row, number in zip(wanting, draw(work.ctx, entity, name, template, len(wanting)), strict=True):
                row.proposal.after[name] = number
                own_values(work, entity, row.proposal.after, [name])


def _uniques(work: Work, entity: CompiledEntity, unique: CompiledUnique, rows: Sequence[_Row], results: dict[int, RowResult]) -> None:
    """Refuse rows whose key exists already, here or in the table, before the database would refuse the whole chunk."""
    columns = [str(column.key) for column in unique.columns]
    keyed: dict[tuple[Any, ...], _Row] = {}
    for row in rows:
        key = tuple(row.columns.get(column) for column in columns)
        if None in key or (unique.where is not None and not work.truth(entity, row.proposal.after)(unique.where)):
            continue
        if key in keyed:
            conflict = duplicate(unique)
            _refuse(results, row, conflict.code, conflict.faults, **conflict.params)
        else:
            keyed[key] = row
    for key in _taken(work, entity, unique, list(keyed)):
        conflict = duplicate(unique)
        _refuse(results, keyed[key], conflict.code, conflict.faults, **conflict.params)


def _taken(work: Work, entity: CompiledEntity, unique: CompiledUnique, keys: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    if not keys:
        return set()
    first, *rest = unique.columns
    found: set[tuple[Any, ...]] = set()
    for start in range(0, len(keys), 500):
        part = keys[start:start + 500]
        condition = first.in_([key[0] for key in part]) if not rest else sa.tuple_(*unique.columns).in_(part)
        select = engine_select(entity, *unique.columns, *([entity.table.c.id] if unique.where is not None else [])).where(condition)
        for row in work.connection.execute(select):
            if unique.where is not None:
                whole = work.row(entity.key, row[-1])
                if whole is None or not work.truth(entity, whole)(unique.where):
                    continue
            found.add(tuple(row[:len(unique.columns)]))
    return found & set(keys)


def _follow(work: Work, settling: Settling, entity: CompiledEntity, rows: Sequence[_Row]) -> None:
    stages, log = entity.stages, []
    for row in rows:
        after = row.proposal.after
        stored = {name: after[name] for name in entity.fields if after.get(name) is not None}
        work.note(entity, "create", after, None, stored, [name for name in row.proposal.computed if name in stored], row.columns)
        settling.changed(entity, None, after)
        if stages is not None and after.get(stages.field) is not None:
            log.append({"entity": entity.key, "record": after["id"], "from_stage": None, "to_stage": after[stages.field], "at": work.ctx.now,
                        "by": work.ctx.actor.person_id, "seconds": None})
    if log:
        work.connection.execute(sa.insert(tables.stage_log), log)
