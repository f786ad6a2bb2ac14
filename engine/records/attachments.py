"""Files on records: a save binds what its giver uploaded, a read shows what is bound. Storing and serving is engine/files.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import Fault
from engine.fields.values import FileValue
from engine.system_tables import file as table

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

FILE_TYPES = frozenset({"file", "image", "files"})


def file_fields(entity: CompiledEntity) -> tuple[CompiledField, ...]:
    """The fields of an entity that hold files."""
    return tuple(item for item in entity.fields.values() if not item.derived and item.definition.type in FILE_TYPES)


def ids_of(value: Any) -> list[int]:
    """The file ids of a value, whether one or several."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [item.id if isinstance(item, FileValue) else int(item) for item in values]


def file_url(workspace: str, number: int) -> str:
    """Where a file is fetched, relative to the installation."""
    return f"/w/{workspace}/files/{number}"


def check_files(ctx: Context, item: CompiledField, before: Any, after: Any, at: str = "") -> list[Fault]:
    """Faults of new file ids: each must be an unbound upload of the saving person (or stand there already), of an accepted type and size."""
    fresh = [number for number in ids_of(after) if number not in ids_of(before)]
    if not fresh:
        return []
    select = sa.select(table.c.id, table.c.type, table.c.size, table.c.uploaded_by, table.c.bound_at).where(table.c.id.in_(fresh))
    known = {row.id: row for row in ctx.open.execute(select)}
    faults = []
    accepted = getattr(item.type, "accepts", lambda field: ())(item.definition)
    largest = item.definition.options.get("max_size")
    for number in fresh:
        row = known.get(number)
        foreign = row is None or row.bound_at is not None or (ctx.actor.kind == "person" and row.uploaded_by != ctx.actor.person_id)
        if row is None or foreign:
            faults.append(Fault(f"{at}/{item.key}", "file_unknown", {"id": number}))
        elif accepted and not _accepted(row.type, accepted):
            faults.append(Fault(f"{at}/{item.key}", "file_type_refused", {"type": row.type, "accepted": ", ".join(accepted)}))
        elif isinstance(largest, int) and row.size > largest:
            faults.append(Fault(f"{at}/{item.key}", "file_too_big", {"limit": largest}))
    return faults


def _accepted(media: str, accepted: Sequence[str]) -> bool:
    return any(media == kind or (kind.endswith("/*") and media.startswith(kind[:-1])) for kind in accepted)


def bind_files(ctx: Context, entity: CompiledEntity, record: int, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Bind what the save put on the record; what it took off is unbound and removed by the clean-up."""
    for item in file_fields(entity):
        old, new = ids_of(before.get(item.key)), ids_of(after.get(item.key))
        fresh, gone = [number for number in new if number not in old], [number for number in old if number not in new]
        if fresh:
            ctx.open.execute(table.update().where(table.c.id.in_(fresh)).values(entity=entity.key, record=record, field=item.key, bound_at=ctx.now))
        if gone:
            ctx.open.execute(
                table.update()
                .where(table.c.id.in_(gone), table.c.record == record)
                .values(entity=None, record=None, field=None, bound_at=None, uploaded_by=None, uploaded_at=ctx.now)
            )


def put_files(ctx: Context, records: Iterable[dict[str, Any]], fields: Sequence[CompiledField], show: Callable[[Any], object] | None = None) -> None:
    """Put what is known of each file in place of its id, for all records in one statement. ``show``: in another form than FileValue."""
    if not fields:
        return
    wanted = {number for record in records for item in fields for number in _plain_ids(record.get(item.key))}
    if not wanted:
        return
    select = sa.select(table.c.id, table.c.name, table.c.size, table.c.type).where(table.c.id.in_(sorted(wanted)))
    found = {row.id: FileValue(row.id, row.name, row.size, row.type, file_url(ctx.workspace.name, row.id)) for row in ctx.open.execute(select)}
    for record in records:
        for item in fields:
            value = record.get(item.key)
            if isinstance(value, list):
                told = [found.get(number, number) for number in value]
                record[item.key] = told if show is None else [show(one) for one in told]
            elif isinstance(value, int):
                known = found.get(value, value)
                record[item.key] = known if show is None else show(known)


def _plain_ids(value: Any) -> list[int]:
    if isinstance(value, list):
        return [item for item in value if isinstance(item, int)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
