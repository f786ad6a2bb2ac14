"""The records a new workspace begins with, as its preset says: made once through the one writer, anybody's to change afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.records import service

if TYPE_CHECKING:
    from engine.context import Context

Made = Mapping[tuple[str, str], int]


def begin_with(ctx: Context) -> int:
    """Make them in written order and give how many; a link takes the key of a record made before it. Raises Invalid for what a field does not take."""
    preset = ctx.workspace.bundle.preset
    made: dict[tuple[str, str], int] = {}
    for entity, records in preset.start.items() if preset is not None else ():
        for key, values in records.items():
            made[entity, key] = service.create(ctx, entity, _linked(ctx, entity, values, made), json=True).id
    return len(made)


def _linked(ctx: Context, entity: str, values: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """Values with ids in place of keys in links; child lines likewise."""
    compiled, found = ctx.workspace.entities[entity], dict[str, Any]()
    for name, value in values.items():
        if name in compiled.lines and isinstance(value, list):
            found[name] = [_linked(ctx, name, row, made) for row in value]
        else:
            target = compiled.fields[name].target if name in compiled.fields else ""
            found[name] = made.get((target, value), value) if target and isinstance(value, str) else value
    return found
