"""What a form's input would become, without writing it: defaults, derived values, conditions and faults as the writer would find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Denied, Fault, NotFound
from engine.expressions.language import Expression
from engine.records.looking import looking
from engine.records.new_rows import propose_new
from engine.records.proposal import Proposal, propose_change
from engine.records.query import get
from engine.records.record import Record
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity


@dataclass(frozen=True, slots=True)
class Preview:
    """A record as it would stand. ``row``: typed values, unmasked, for conditions only; ``writable``: fields its giver may write;
    ``seen``: the record as its reader may see it now (None for a new one)."""

    entity: CompiledEntity
    row: Row
    writable: frozenset[str]
    readable: frozenset[str]
    faults: tuple[Fault, ...]
    truth: Callable[[Expression], bool]
    seen: Record | None = None


def preview(ctx: Context, entity: str, raw: Mapping[str, object], record_id: int | None = None) -> Preview:
    """The preview of a new record, or of a change. Needs an open connection; raises NotFound and Denied as the writer would."""
    work = Work(ctx)
    compiled = ctx.workspace.entities.get(entity)
    if compiled is None:
        raise NotFound("unknown_entity", entity=entity)
    grant = work.grant(compiled)
    if record_id is None:
        if not grant.allowed("create"):
            raise Denied("may_not_create", entity=entity) if grant.allowed("read") else NotFound("unknown_entity", entity=entity)
        given = {key: value for key, value in raw.items() if key in grant.writable}
        proposal = propose_new(work, compiled, given, grant.writable)
        proposal.after["id"] = 0
        return _preview(work, compiled, proposal, grant.writable, None)
    seen = get(ctx, entity, record_id)
    before = work.fetch(entity, [record_id])[record_id]
    truth = work.truth(compiled, before)
    if not grant.admits("update", truth):
        raise Denied("may_not_update", entity=entity, id=record_id)
    writable = grant.writes("update", truth)
    given = {key: value for key, value in raw.items() if key in writable}
    return _preview(work, compiled, propose_change(work, compiled, before, given, writable), writable, seen)


def _preview(work: Work, entity: CompiledEntity, proposal: Proposal, writable: frozenset[str], seen: Record | None) -> Preview:
    granted = work.grant(entity)
    return Preview(entity, proposal.after, writable, granted.readable, tuple(proposal.faults), work.truth(entity, proposal.after, proposal.before), seen)


def may(ctx: Context, entity: str, record_id: int, verb: str) -> bool:
    """Whether the actor may do a verb with this very record (needs an open connection)."""
    work = looking(ctx)
    compiled = ctx.workspace.entities.get(entity)
    row = work.row(entity, record_id) if compiled is not None else None
    if compiled is None or row is None or row["deleted_at"] is not None or (verb != "read" and compiled.definition.append_only):
        return False
    grant = work.grant(compiled)
    truth = work.truth(compiled, row)
    return grant.admits("read", truth) and grant.admits(verb, truth)


def granted(ctx: Context, entity: CompiledEntity, record_id: int) -> frozenset[str]:
    """Names of the actions the actor was granted on this very record, which they may see (needs an open connection)."""
    work = looking(ctx)
    row = work.row(entity.key, record_id)
    if row is None or row["deleted_at"] is not None:
        return frozenset()
    grant, truth = work.grant(entity), work.truth(entity, row)
    if not grant.admits("read", truth):
        return frozenset()
    return frozenset(name for name in grant.actions if grant.presses(name, truth))
