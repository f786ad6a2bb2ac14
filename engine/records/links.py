"""What a row points to must be there for its giver: visible, not deleted, and among those the field's ``where`` allows. One statement per target entity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.errors import Conflict
from engine.fields.base import Value
from engine.records.derived_graph import graph
from engine.records.proposal import Proposal
from engine.records.query_labels import roles_of
from engine.records.query_plan import Statement
from engine.records.record import is_id
from engine.records.row_statements import whole_columns, whole_row
from engine.records.work import Row, Work
from engine.scope import TableNames, among, engine_select, ids_value, link_condition, scope_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField, Workspace

_CHUNK = 500
_NO_LINKS: tuple[tuple[str, CompiledField], ...] = ()


def check_links(work: Work, proposals: Iterable[Proposal]) -> None:
    """Note a fault at every given link whose target its giver may not choose. Links the engine set itself (defaults) are trusted."""
    given: list[tuple[Proposal, CompiledField, Sequence[int]]] = []
    entity, links = None, _NO_LINKS
    for proposal in proposals:
        values = proposal.values
        if proposal.entity is not entity:
            entity, links = proposal.entity, _links(work, proposal.entity)
        for name, item in links:
            if name in values and (value := proposal.after.get(name)) is not None:
                ids = (value,) if proposal.before is None and value.__class__ is int else _new_ids(value, proposal.before or {}, name)
                if ids:
                    given.append((proposal, item, ids))
    if not given:
        return
    wanted: dict[str, set[int]] = {}
    for _, item, ids in given:
        wanted.setdefault(item.target, set()).update(ids)
    seen = {target: _visible(work, target, ids) for target, ids in wanted.items()}
    for proposal, item, ids in given:
        rows = seen[item.target]
        for one in ids:
            if one not in rows:
                proposal.fault(item.key, "link_unknown", id=one)
            elif item.definition.options.get("where") and not _allowed(work, work.entity(item.target), item, rows[one], proposal):
                proposal.fault(item.key, "link_not_allowed", id=one)


def read_ahead(work: Work, entity: CompiledEntity, rows: Sequence[Mapping[str, object]]) -> None:
    """Read what rows to be saved one after the other lead to, all at once; what is gathered from them is locked, as their saves will want it."""
    gathering = {(place.entity, place.link) for place in graph(work.workspace).gathered.get(entity.key, ())}
    wanted: dict[tuple[str, bool], set[int]] = {}
    for name, item in _links(work, entity):
        ids = {value for row in rows if is_id(value := row.get(name))}
        if ids:
            wanted.setdefault((item.target, (item.target, name) in gathering), set()).update(ids)
    for (target, locked), ids in sorted(wanted.items()):
        work.fetch(target, ids, lock=locked)


def _links(work: Work, entity: CompiledEntity) -> tuple[tuple[str, CompiledField], ...]:
    return remember(work.workspace, ("links", entity.key), lambda: tuple((name, item) for name, item in entity.fields.items() if item.target))


def _new_ids(value: Value, before: Mapping[str, Value], name: str) -> Sequence[int]:
    """The targets a link of a row leads to now and did not before."""
    old = before.get(name)
    if isinstance(value, list):
        return [one for one in value if one not in (old or ())]
    return (value,) if value != old else ()


def _visible(work: Work, target: str, ids: Iterable[int]) -> Mapping[int, Row]:
    """The rows among ``ids`` that the actor may see; kept as read, so that conditions over the link cost nothing more."""
    entity, at_hand = work.entity(target), {}
    if work.grant(entity).whole:  # what a rule links to it has read
        at_hand = {one: row for one in ids if (row := work.at_hand(target, one)) is not None}
        ids = [one for one in ids if one not in at_hand]
    statement = remember(work.workspace, ("visible", target, roles_of(work.ctx)), lambda: _statement(work, entity))
    found: dict[int, Row] = at_hand
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _CHUNK):
        part = ids_value(ordered[start : start + _CHUNK], work.workspace.database.dialect)
        for read in statement.ready.rows(work.connection, {**work.bound(statement), "ids": part}):
            row = whole_row(work.workspace, entity, read)
            found[row["id"]] = row
            work.keep(target, row)
    return found


def _statement(work: Work, entity: CompiledEntity) -> Statement:
    scope = scope_of(work.workspace, work.ctx.actor, entity)
    return Statement.of(scope.select(*whole_columns(work.workspace, entity)).where(among(entity.table.c.id, "ids", work.workspace.database.dialect)))


def _allowed(work: Work, target: CompiledEntity, item: CompiledField, row: Row, proposal: Proposal) -> bool:
    where = link_condition(work.workspace, proposal.entity, item)
    return work.truth(target, row, record=proposal.after)(where)


def leading_here(ctx: Context, record_id: int, places: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of some (entity, link) by which any record leads to this one, whoever may see it: one statement for all of them, before any is asked as its reader."""
    with ctx.reading() as ctx:
        return _leading(ctx.workspace, ctx.open, record_id, tuple(places))


def _leading(workspace: Workspace, connection: sa.Connection, record_id: int, places: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    def build() -> Ready:
        target, there = sa.bindparam("p_id", type_=sa.BigInteger, required=True), []
        for key, link in places:
            entity = workspace.entities[key]
            there.append(engine_select(entity, entity.table.c.id).where(TableNames(workspace, entity, entity.table.c).column(link) == target).exists())
        return Ready(sa.select(*there).execution_options(scoped=True))

    if not places:
        return frozenset()
    found = remember(workspace, ("leading here", *places), build).first(connection, {"p_id": record_id})
    assert found is not None
    return frozenset(place for place, any_there in zip(places, found, strict=True) if any_there)


def count_linked(work: Work, entity: CompiledEntity, record_id: int) -> dict[str, int]:
    """How many records of each entity point to a record (its own child lines apart): counted only where any does."""
    places = remember(work.workspace, ("pointing", entity.key), lambda: tuple(_pointing(work, entity)))
    leading = _leading(work.workspace, work.connection, record_id, places)
    found: dict[str, int] = {}
    for source, link in (place for place in places if place in leading):
        child = work.entity(source)
        select = engine_select(child, sa.func.count()).where(TableNames(work.workspace, child, child.table.c).column(link) == record_id)
        found[source] = found.get(source, 0) + int(work.connection.execute(select).scalar_one())
    return found


def _pointing(work: Work, entity: CompiledEntity) -> Iterator[tuple[str, str]]:
    for source, link in entity.linked_from:
        child = work.entity(source)
        if child.fields[link].column is not None and not (child.lines_of == entity.key and child.parent_field == link):
            yield source, link


def refuse_linked(work: Work, entity: CompiledEntity, record_id: int) -> None:
    """Raises Conflict with the counts when other records point here."""
    found = count_linked(work, entity, record_id)
    if found:
        raise Conflict("still_linked", count=sum(found.values()), by=found, entity=entity.key)
