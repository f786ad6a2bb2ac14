"""An import undone as one step: what it made is deleted, what it changed gets its former values; records somebody changed since are skipped and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import rights
from engine.actors import system_actor
from engine.context import Cause
from engine.errors import Conflict, Denied, Invalid, NotFound, Refusal
from engine.exchange.batches import Batch, find
from engine.records import service
from engine.records.query import get
from engine.records.values import storage
from engine.system_tables import history
from engine.system_tables_imports import import_batch, import_row

if TYPE_CHECKING:
    from engine.context import Context

CHUNK = 200


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record left as it is, and why: changed, linked, gone, refused."""

    entity: str
    record: int
    why: str


@dataclass(slots=True)
class _Touched:
    entity: str
    record: int
    made: bool
    before: int
    after: int


def undo(ctx: Context, batch: int) -> tuple[Batch, list[Skipped]]:
    """Undo a whole import. Raises Denied without the right, Invalid when it has not run or is undone already."""
    found = find(ctx, batch)
    if not rights(ctx, "import"):
        raise Denied("import_denied", entity=found.entity)
    if found.state != "done":
        raise Invalid("import_not_undoable", state=found.state)
    acting = replace(ctx, actor=system_actor("import"), cause=Cause("import", found.file_name, {"batch": batch, "undo": True, "person": ctx.actor.person_id}))
    touched = _touched(ctx, batch)
    skipped: list[Skipped] = []
    done = 0
    for start in range(0, len(touched), CHUNK):
        with acting.writing() as inner:
            for made, items in groupby(touched[start : start + CHUNK], lambda item: item.made):
                for item, why in _delete(inner, list(items)) if made else [(item, _undo_one(inner, item)) for item in items]:
                    if why:
                        skipped.append(Skipped(item.entity, item.record, why))
                    else:
                        done += 1
    with ctx.writing() as inner:
        inner.open.execute(
            import_batch.update()
            .where(import_batch.c.id == batch)
            .values(
                state="undone",
                undone_at=inner.now,
                counts={**found.counts, "undone": done, "skipped": [[item.entity, item.record, item.why] for item in skipped]},
            )
        )
    return find(ctx, batch), skipped


def _touched(ctx: Context, batch: int) -> list[_Touched]:
    """Every record the batch wrote, the last written first."""
    table = import_row
    select = (
        sa.select(table.c.entity, table.c.record, table.c.versions)
        .where(table.c.batch == batch, table.c.entity.is_not(None), table.c.record.is_not(None))
        .order_by(table.c.id)
    )
    found: dict[tuple[str, int], _Touched] = {}
    with ctx.snapshot(long=True) as inner:
        for entity, record, versions in inner.open.execute(select):
            before, after = versions or (None, 0)
            known = found.get((entity, record))
            if known is None:
                found[entity, record] = _Touched(entity, record, before is None, before or 0, after)
            else:
                known.after = max(known.after, after)
    return list(reversed(found.values()))


def _delete(ctx: Context, items: list[_Touched]) -> list[tuple[_Touched, str]]:
    """Delete what the import made, all at once, in halves where one of them cannot be; each with why not, empty when it is."""
    if len(items) == 1:
        return [(items[0], _undo_one(ctx, items[0]))]
    try:
        with ctx.open.begin_nested():
            service.delete_all(ctx, [(item.entity, item.record, item.after) for item in items])
    except Refusal:
        middle = len(items) // 2
        return _delete(ctx, items[:middle]) + _delete(ctx, items[middle:])
    return [(item, "") for item in items]


def _undo_one(ctx: Context, item: _Touched) -> str:
    """Empty when undone, else why not."""
    try:
        record = get(ctx, item.entity, item.record, ("id", "version"), lines=False)
    except NotFound:
        return "gone"
    if record.version != item.after:
        return "changed"
    try:
        with ctx.open.begin_nested():
            if item.made:
                service.delete(ctx, item.entity, item.record, item.after)
            else:
                service.update(ctx, item.entity, item.record, _former(ctx, item), item.after)
    except Conflict:
        return "linked" if item.made else "refused"
    except Refusal:
        return "refused"
    return ""


def _former(ctx: Context, item: _Touched) -> Mapping[str, Any]:
    """The entered values before the batch, as raw inputs."""
    entity = ctx.workspace.entities[item.entity]
    select = (
        sa.select(history.c.before, history.c.computed)
        .where(
            history.c.entity == item.entity,
            history.c.record == item.record,
            history.c.version > item.before,
            history.c.version <= item.after,
            history.c.verb == "update",
        )
        .order_by(history.c.id)
    )
    kept = storage(ctx.workspace, entity)
    former: dict[str, Any] = {}
    for before, computed in ctx.open.execute(select):
        for key, value in (before or {}).items():
            field = entity.fields.get(key)
            if field is None or field.derived or key in former or key in _names(computed):
                continue
            typed = kept.from_history(key, value, ctx.workspace.cipher)
            former[key] = None if typed is None else field.type.to_json(typed, field.value, ctx.workspace.scope)
    return former


def _names(computed: Sequence[str] | None) -> Sequence[str]:
    return computed or ()
