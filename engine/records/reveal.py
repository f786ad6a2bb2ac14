"""Showing one masked value in clear: granted by the action ``reveal``, with a reason, within a daily quota, and always in the access log."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine import system_tables as tables
from engine.access import remember
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.fields.base import Value
from engine.records.history import note_access
from engine.records.query_labels import roles_of
from engine.records.query_plan import Statement
from engine.records.values import unseal
from engine.scope import row_clauses, scope_of
from engine.surroundings import bound

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

ACTION = "reveal"
#: Reveals a person has per local day, unless the setting of this name says otherwise.
QUOTA_SETTING = "reveal_quota"
QUOTA = 50
REASON_LENGTH = 200


def reveal(ctx: Context, entity: str, record_id: int, field: str, reason: str) -> Value:
    """The clear value of a field its reader may see masked. Raises NotFound, Denied, Invalid (no reason), Conflict "reveal_quota"."""
    compiled = ctx.workspace.entities.get(entity)
    item = compiled.fields.get(field) if compiled is not None else None
    if compiled is None:
        raise NotFound("unknown_entity", entity=entity)
    if not reason.strip() or len(reason) > REASON_LENGTH:
        raise Invalid("invalid", faults=(Fault("/reason", "reason_required", {"maximum": REASON_LENGTH}),))
    scope = scope_of(ctx.workspace, ctx.actor, compiled)
    if item is None or item.column is None or field not in scope.grant.readable:
        raise NotFound("unknown_field", entity=entity, field=field)
    with ctx.writing() as ctx:
        statement = remember(ctx.workspace, ("reveal", entity, roles_of(ctx), field), lambda: _statement(ctx, compiled, field))
        row = statement.ready.first(ctx.open, {**bound(ctx, statement.needed), "p_id": record_id})
        if row is None:
            raise NotFound("no_such_record", entity=entity, id=record_id)
        value, granted = row
        if not granted:
            raise Denied("may_not_reveal", entity=entity, field=field)
        _check_quota(ctx)
        note_access(ctx, "reveal", entity, record=record_id, field=field, detail={"reason": reason.strip()})
    return unseal(ctx.workspace.cipher, entity, item, value) if item.encrypted and value is not None else value


def _statement(ctx: Context, entity: CompiledEntity, field: str) -> Statement:
    """The stored value, and whether the action is granted on its row or the value is clear there anyway."""
    scope = scope_of(ctx.workspace, ctx.actor, entity)
    guard = scope.grant.guards.get(field)
    granted = sa.and_(sa.true(), *row_clauses(scope.grant.action(ACTION), scope.names))
    seen = sa.and_(scope.visible(guard), sa.or_(granted, scope.clear(guard).is_(sa.true()))) if guard is not None else sa.true()
    wanted = sa.bindparam("p_id", type_=sa.BigInteger, required=True)
    return Statement.of(scope.select(scope.column(field), sa.case((seen, sa.true()), else_=sa.false())).where(scope.column("id") == wanted))


def _check_quota(ctx: Context) -> None:
    quota = ctx.workspace.settings.get(QUOTA_SETTING, QUOTA)
    if ctx.actor.kind == "system" or not isinstance(quota, int):
        return
    local = ctx.now.astimezone(ctx.workspace.timezone).date()
    since = datetime.combine(local, time(), ctx.workspace.timezone)
    log = tables.access_log
    used = ctx.open.execute(
        sa.select(sa.func.count())
        .select_from(log)
        .where(log.c.person == ctx.actor.person_id, log.c.kind == "reveal", log.c.at >= since, log.c.at < since + timedelta(days=1))
    ).scalar_one()
    if used >= quota:
        raise Conflict("reveal_quota", quota=quota)
