"""Child lines saved with their record: an array stands for all of them. Proposes which are to be made, changed and deleted; writes none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from engine.access import remember
from engine.errors import Conflict, Fault
from engine.fields.base import Value
from engine.records.proposal import Proposal, propose_change
from engine.records.query import get
from engine.records.query_labels import roles_of
from engine.records.query_plan import Statement
from engine.records.row_statements import whole_columns, whole_row
from engine.records.work import Row, Work
from engine.scope import scope_of

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity


class ProposeNew(Protocol):
    """Proposes a new row by somebody who may make one: ``at`` is the pointer to it, ``fixed`` what is not theirs to choose."""

    def __call__(self, entity: CompiledEntity, raw: Mapping[str, object], at: str, fixed: Mapping[str, Value], /) -> Proposal: ...


@dataclass(slots=True)
class Line:
    """A child line: to be made (no ``before``), changed, or deleted (no ``proposal``)."""

    entity: CompiledEntity
    proposal: Proposal | None
    before: Row | None


def propose_lines(work: Work, proposal: Proposal, propose_new: ProposeNew) -> list[Line]:
    """Lines of a proposal to make, change and delete: one that stands and is not in its array goes. Raises Conflict for one somebody changed meanwhile."""
    if not proposal.lines:
        return []
    found: list[Line] = []
    parent_id = proposal.before["id"] if proposal.before is not None else 0
    work.keep(proposal.entity.key, {**proposal.after, "id": parent_id})
    for key, items in proposal.lines.items():
        child = work.entity(key)
        held = _held(work, child, parent_id) if proposal.before is not None else {}
        for index, raw in enumerate(items):
            at = f"{proposal.at}/{key}/{index}"
            if raw.get("id") is None:
                found.append(Line(child, propose_new(child, _given(child, raw), at, {child.parent_field: parent_id}), None))
            else:
                found.append(_change(work, proposal, child, held, raw, at))
        found += [Line(child, None, one) for one in held.values() if one["id"] not in {item.get("id") for item in items}]
    if proposal.before is not None:
        work.keep(proposal.entity.key, proposal.before)
    return found


def _given(child: CompiledEntity, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != child.parent_field}


def _change(work: Work, proposal: Proposal, child: CompiledEntity, held: Mapping[int, Row], raw: Mapping[str, Any], at: str) -> Line:
    line_id, given = raw["id"], _given(child, raw)
    before = held.get(line_id) if isinstance(line_id, int) else None
    if before is None:
        proposal.faults.append(Fault(f"{at}/id", "line_unknown", {"id": line_id}))
        return Line(child, None, None)
    if "version" in raw and raw["version"] != before["version"]:
        raise Conflict("stale", entity=child.key, id=line_id, version=before["version"], current=get(work.ctx, child.key, line_id), mine=given)
    grant, truth = work.grant(child), work.truth(child, before)
    one = propose_change(work, child, before, given, grant.writes("update", truth), at=at)
    if one.changed and not grant.admits("update", truth):
        one.fault("", "may_not_update")
    return Line(child, one, before)


def _held(work: Work, child: CompiledEntity, parent_id: int) -> dict[int, Row]:
    """The standing lines of a record that the actor may see, by id."""
    scope = scope_of(work.workspace, work.ctx.actor, child)
    if not scope.grant.allowed("read"):
        return {}

    def build() -> Statement:
        own = scope.column(child.parent_field) == sa.bindparam("p_id", type_=sa.BigInteger)
        return Statement.of(scope.select(*whole_columns(work.workspace, child)).where(own))

    statement = remember(work.workspace, ("held lines", child.key, roles_of(work.ctx)), build)
    rows = [whole_row(work.workspace, child, found) for found in statement.ready.rows(work.connection, {**work.bound(statement), "p_id": parent_id})]
    for row in rows:
        work.keep(child.key, row)
    return {row["id"]: row for row in rows}
