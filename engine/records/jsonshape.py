"""A record as the JSON of the HTTP API, ready for orjson: by field type, masked values as their text, links with labels. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.fields.values import Link, Masked
from engine.records.query_json import json_lists, json_writers

if TYPE_CHECKING:
    from engine.records.history import Moment
    from engine.workspace import CompiledEntity, Workspace


def record_json(workspace: Workspace, entity: CompiledEntity, record: Mapping[str, Any]) -> dict[str, object]:
    """CONTRACT section 4: id, version, fields by key, child lines as arrays."""
    found: dict[str, object] = {key: value.text if value.__class__ is Masked else value for key, value in record.items()}
    for key, write in json_writers(workspace, entity).items():
        value = record.get(key)
        if value is not None and value.__class__ is not Masked:
            found[key] = write(value)
    for key in json_lists(workspace, entity):
        if key in found and found[key] is None:
            found[key] = []
    for key in entity.lines:
        if (lines := record.get(key)) is not None:
            found[key] = [record_json(workspace, workspace.entities[key], line) for line in lines]
    return found


def instant_json(workspace: Workspace, value: datetime) -> str:
    """RFC 3339 with the workspace's offset."""
    return value.astimezone(workspace.timezone).isoformat()


def moment_json(workspace: Workspace, entity: CompiledEntity, moment: Moment) -> dict[str, object]:
    """One entry of a timeline."""
    writers = json_writers(workspace, entity)

    def side(name: str, value: Any) -> object:
        if value is None or value.__class__ is Masked:
            return None if value is None else value.text
        write = writers.get(name)
        return value if write is None else write(value)

    return {
        "id": moment.id,
        "at": instant_json(workspace, moment.at),
        "verb": moment.verb,
        "version": moment.version,
        "person": _link(moment.person),
        "cause": dict(moment.cause),
        "changes": [
            {"field": item.field, "before": side(item.field, item.before), "after": side(item.field, item.after), "computed": item.computed}
            for item in moment.changes
        ],
    }


def _link(value: Link | None) -> object:
    return None if value is None else {"id": value.id, "label": value.label}
