"""Parts of an application that a workspace can do without, switched on or off for everybody. What being off means stands in Workspace.is_off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import raise_settings_version
from engine.errors import NotFound
from engine.system_tables_rules import module_switch

if TYPE_CHECKING:
    from engine.context import Context


def switch_module(ctx: Context, module: str, *, on: bool) -> None:
    """Switch a module of the workspace, in the open transaction or one of its own; every process sees it with its next request. Raises NotFound."""
    preset = ctx.workspace.bundle.preset
    if preset is None or module not in preset.modules:
        raise NotFound("unknown_module", name=module)
    with ctx.writing() as ctx:
        ctx.open.execute(module_switch.delete().where(module_switch.c.module == module))
        ctx.open.execute(module_switch.insert().values(module=module, off_at=None if on else ctx.now, by=ctx.actor.person_id))
        raise_settings_version(ctx.open)
