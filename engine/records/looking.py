"""The work of those who only read: what one of them has read of a snapshot, the next does not read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine.records.work import Work

if TYPE_CHECKING:
    from engine.context import Context


def looking(ctx: Context) -> Work:
    """A work in which nothing is changed; in a snapshot the same for everybody who looks through it."""
    found = cast("Work | None", ctx.looked.get("work"))
    if found is None or found.ctx.actor is not ctx.actor:
        found = Work(ctx)
        if ctx.transaction == "snapshot":
            ctx.looked["work"] = found
    return found
