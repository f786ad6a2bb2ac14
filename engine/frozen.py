"""Records as they were when they were frozen, read under their reader's fields and masks, and whether they still are what their digest says.

Freezing is the action ``evidence.freeze``; this only reads what it kept, in a JSON field that says ``holds: records``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.access import Grant, grant_of
from engine.errors import NotFound
from engine.fields.values import HIDDEN, Masked
from engine.records import query
from engine.records.query_columns import masker
from engine.records.query_labels import put_labels
from engine.records.record import Record
from engine.records.values import storage

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

HOLDS = "holds"
RECORDS = "records"


@dataclass(frozen=True, slots=True)
class FrozenGroup:
    """Records of one name and entity, in the order they were kept in; ``count`` of all, ``records`` those asked for. ``closed``: its reader may read none."""

    name: str
    entity: str
    count: int
    records: tuple[Record, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a field kept. ``intact``: whether its digest still fits; None where the record keeps no digest."""

    at: datetime | None
    groups: tuple[FrozenGroup, ...]
    intact: bool | None


def digest(contents: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical JSON: keys in order, no blanks, as it is."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def holds_records(item: CompiledField) -> bool:
    """Whether a field keeps frozen records."""
    return item.definition.type == "json" and item.definition.options.get(HOLDS) == RECORDS


def kept_count(value: object) -> int:
    """How many records and rows a value of such a field keeps."""
    return sum(len(items) for items in _names(value).values())


def frozen(ctx: Context, entity: str, record: int, field: str, *, limit: int) -> Frozen:
    """What the field keeps, at most ``limit`` records of each name. Raises NotFound where it is not there for this reader, or empty."""
    compiled = ctx.workspace.entities.get(entity)
    item = compiled.fields.get(field) if compiled is not None else None
    if compiled is None or item is None or not holds_records(item):
        raise NotFound("unknown_field", field=field)
    mark = str(item.definition.options.get("digest", ""))
    with ctx.snapshot() as ctx:
        wanted = [name for name in ("id", field, mark) if name and (name == "id" or name in grant_of(ctx.workspace, ctx.actor, compiled).readable)]
        kept = query.get(ctx, entity, record, fields=tuple(wanted), lines=False)
        value = kept.get(field)
        if not isinstance(value, Mapping):
            raise NotFound("unknown_field", field=field)
        groups = tuple(group for name, rows in _names(value).items() for group in _groups(ctx, name, rows, limit))
    said = kept.get(mark) if mark else None
    at = value.get("at")
    return Frozen(datetime.fromisoformat(at) if isinstance(at, str) else None, groups, digest(value) == said if isinstance(said, str) else None)


def _names(value: object) -> Mapping[str, Sequence[Any]]:
    names = value.get("of") if isinstance(value, Mapping) else None
    return {str(name): rows for name, rows in names.items() if isinstance(rows, list)} if isinstance(names, Mapping) else {}


def _groups(ctx: Context, name: str, rows: Sequence[Any], limit: int) -> list[FrozenGroup]:
    """The records of one name, by entity; rows that are no records are left out."""
    by_entity: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if isinstance(row, Mapping) and isinstance(row.get("values"), Mapping) and str(row.get("entity")) in ctx.workspace.entities:
            by_entity.setdefault(str(row["entity"]), []).append(row)
    return [_group(ctx, name, ctx.workspace.entities[key], kept, limit) for key, kept in by_entity.items()]


def _group(ctx: Context, name: str, entity: CompiledEntity, rows: Sequence[Mapping[str, Any]], limit: int) -> FrozenGroup:
    granted = grant_of(ctx.workspace, ctx.actor, entity)
    if not granted.allowed("read"):
        return FrozenGroup(name, entity.key, len(rows), (), closed=True)
    records = tuple(_record(ctx, entity, granted, row) for row in rows[:limit])
    put_labels(ctx, records, [(key, item.target) for key, item in entity.fields.items() if item.target])
    return FrozenGroup(name, entity.key, len(rows), records)


def _record(ctx: Context, entity: CompiledEntity, granted: Grant, row: Mapping[str, Any]) -> Record:
    """One record as it was. What its reader sees masked or not at all in some row is masked here: whose row it was then nobody can ask today."""
    kept, found = storage(ctx.workspace, entity), Record({"id": row.get("id"), "version": row.get("version")})
    for name, raw in row["values"].items():
        item = entity.fields.get(name)
        if item is None or name not in granted.readable:
            continue
        value = kept.from_history(name, raw, ctx.workspace.cipher)
        if value is not None and name not in granted.open:
            value = masker(item)(value) if item.definition.mask else Masked(HIDDEN)
        found[name] = value
    return found
