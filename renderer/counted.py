"""The records a figure counts: a list of all of them that its reader may open, kept to the one they count for and to what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from engine.access import grant_of, remember
from renderer.shell import holds_all, open_lists

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField


def counted_address(ctx: Context, entity: CompiledEntity, item: CompiledField, base: str) -> str:
    """Where they stand, up to the id of the record they count for; "" for what is no count, and where its reader may not look behind it."""
    if item.rollup is None or item.rollup.measure != "count":
        return ""
    return remember(ctx.workspace, ("counted", entity.key, item.key, ctx.actor.roles, base), lambda: _address(ctx, item, base))


def _address(ctx: Context, item: CompiledField, base: str) -> str:
    rollup = item.rollup
    assert rollup is not None
    other = ctx.workspace.entities.get(rollup.entity)
    view = next((one for one in open_lists(ctx, other.key) if holds_all(ctx, one)), None) if other is not None else None
    if other is None or view is None:
        return ""
    granted = grant_of(ctx.workspace, ctx.actor, other)
    if not {rollup.link, *(rollup.where.fields if rollup.where is not None else ())} <= granted.open:
        return ""
    where = str(item.definition.options.get("where") or "")
    asked = [("page", "table")] * (view.view != "table") + [("where", where)] * bool(where)
    return f"{base}/l/{view.key}?{urlencode([*asked, (rollup.link, '')])}"
