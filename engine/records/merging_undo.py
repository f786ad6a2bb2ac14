"""A merge taken back, for 30 days exactly: both records as they were, each value and link that nobody has changed since. Merging is merging.py's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import Conflict, Invalid, NotFound
from engine.fields.base import Value
from engine.records.attachments import FILE_TYPES, bind_files
from engine.records.merging import locked_rows, point_engine_links, write_values
from engine.records.values import storage
from engine.records.work import Work
from engine.rules.effects import Handle
from engine.system_tables import history
from engine.system_tables_rules import merging

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.workspace import CompiledEntity

UNDOABLE = timedelta(days=30)


def refuse_merged(work: Work, entity: str, record_id: int) -> None:
    """Raises Conflict for a deleted record that was merged into another: only taking the merge back brings it back."""
    select = sa.select(merging.c.keep).where(merging.c.entity == entity, merging.c.drop == record_id, merging.c.undone_at.is_(None))
    keep = work.connection.execute(select).scalar()
    if keep is not None:
        raise Conflict("merged_away", entity=entity, id=record_id, keep=keep)


def undo(saving: Saving, params: Mapping[str, Value]) -> dict[str, Value]:
    """Both records as they were, each link back where nobody has changed it since. Gives the numbers of links, and what was left as people made it.

    Raises NotFound where no such merge stands, Conflict after 30 days, when the kept record is gone, or when a key was taken meanwhile.
    """
    work, keep, drop = saving.work, params["keep"], params["drop"]
    if not isinstance(keep, Handle) or not isinstance(drop, Handle) or keep.entity != drop.entity:
        raise Invalid("merge_pair")
    entity = work.entity(keep.entity)
    rows = work.fetch(entity.key, [keep.id, drop.id], lock=True)
    standing = (merging.c.entity == entity.key, merging.c.keep == keep.id, merging.c.drop == drop.id, merging.c.undone_at.is_(None))
    done = work.connection.execute(sa.select(merging).where(*standing).order_by(merging.c.id.desc()).limit(1)).mappings().first()
    if done is None or drop.id not in rows:
        raise NotFound("no_such_merge", entity=entity.key)
    if done["at"] < work.ctx.now - UNDOABLE:
        raise Conflict("merge_too_old", days=UNDOABLE.days)
    if keep.id not in rows or rows[keep.id]["deleted_at"] is not None:
        raise Conflict("merge_kept_gone", entity=entity.key, id=keep.id)
    left = _values_back(saving, entity, keep.id, done["version"])
    _restore(saving, entity, drop.id, {done["into_field"]: done["into_before"]} if done["into_field"] else {})
    moved, stayed = _links_back(saving, done["moved"], keep, drop)
    for name, ids in done["moved"]["engine"]:
        point_engine_links(work, name, ids, drop.id)
    saving.settling.settle()
    work.connection.execute(sa.update(merging).where(merging.c.id == done["id"]).values(undone_at=work.ctx.now))
    return {"moved": moved, "left": [*left, *stayed]}


def _values_back(saving: Saving, entity: CompiledEntity, keep: int, version: int | None) -> list[str]:
    """The kept record's values as they were before; the fields somebody has changed since are left, and named."""
    if version is None:
        return []
    work = saving.work
    select = sa.select(history.c.before, history.c.after, history.c.computed).where(
        history.c.entity == entity.key, history.c.record == keep, history.c.version == version, history.c.verb == "update"
    )
    found = work.connection.execute(select.order_by(history.c.id).limit(1)).first()
    if found is None:
        return []
    kept, cipher, row = storage(work.workspace, entity), work.workspace.cipher, dict(work.fetch(entity.key, [keep])[keep])
    names = [name for name in found.after or {} if name in entity.fields and name not in (found.computed or ())]
    before, after = ({name: kept.from_history(name, (side or {}).get(name), cipher) for name in names} for side in (found.before, found.after))
    back = {name: before[name] for name in names if row.get(name) == after[name]}
    write_values(saving, entity, keep, back)
    bind_files(work.ctx, entity, keep, row, {**row, **back})
    return [name for name in names if name not in back]


def _restore(saving: Saving, entity: CompiledEntity, drop: int, values: Mapping[str, Value]) -> None:
    work = saving.work
    row = saving.put_back(entity, dict(work.fetch(entity.key, [drop])[drop]))
    if values:
        write_values(saving, entity, drop, values)
    if any(item.definition.type in FILE_TYPES for item in entity.fields.values()):
        bind_files(work.ctx, entity, drop, {}, row)


def _links_back(saving: Saving, moved: Mapping[str, Any], keep: Handle, drop: Handle) -> tuple[dict[str, int], list[str]]:
    """Each link back to the restored record, but those that lead elsewhere by now."""
    work, counts, stayed = saving.work, dict[str, int](), list[str]()
    changes: dict[tuple[str, int], dict[str, Value]] = {}
    wanted = [(entity, name, one, drop.id, None) for entity, name, ids in moved["single"] for one in ids]
    wanted += [(entity, name, one, before, after) for entity, name, one, before, after in moved["lists"]]
    for key in {entity for entity, *_ in wanted} & work.workspace.entities.keys():
        locked_rows(work, key, sorted({one for entity, _, one, _, _ in wanted if entity == key}))
    for key, name, one, before, after in wanted:
        entity = work.workspace.entities.get(key)
        row = work.row(key, one) if entity is not None and name in entity.fields else None
        if row is None:
            continue
        expected = after if isinstance(before, list) else None if (key, one) == (keep.entity, keep.id) else keep.id
        if row[name] != expected:
            stayed.append(f"{key}.{name}")
            continue
        changes.setdefault((key, one), {})[name] = before
        counts[key] = counts.get(key, 0) + 1
    for (key, one), values in changes.items():
        write_values(saving, work.entity(key), one, values)
    return counts, sorted(set(stayed))
