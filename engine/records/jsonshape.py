"""A record as the JSON of the HTTP API: by field type, masked values as their text, links with labels. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.fields.values import Link, Masked
from engine.storage import JsonList

if TYPE_CHECKING:
    from engine.records.history import Moment
    from engine.workspace import CompiledEntity, Workspace

Shape = Callable[[Any], object]
_INSTANTS = ("created_at", "updated_at")


def record_json(workspace: Workspace, entity: CompiledEntity, record: Mapping[str, Any]) -> dict[str, object]:
    """CONTRACT section 4: id, version, fields by key, child lines as arrays."""
    shapes = field_shapes(workspace, entity)
    empty = _empty(workspace, entity)
    found: dict[str, object] = {}
    for key, value in record.items():
        if value is None:
            found[key] = [] if key in empty else None
            continue
        shape = shapes.get(key)
        if shape is not None:
            found[key] = value.text if value.__class__ is Masked else shape(value)
        elif key in entity.lines:
            child = workspace.entities[key]
            found[key] = [record_json(workspace, child, line) for line in value]
        else:
            found[key] = value
    return found


def field_shapes(workspace: Workspace, entity: CompiledEntity) -> Mapping[str, Shape]:
    """The JSON form of each field's values, and of the system fields that are not plain."""

    def build() -> Mapping[str, Shape]:
        scope = workspace.scope.of(entity.key)
        shapes: dict[str, Shape] = {key: _shape(item.type.to_json, item.value, scope) for key, item in entity.fields.items()}
        shapes.update(dict.fromkeys(_INSTANTS, lambda value: instant_json(workspace, value)))
        return shapes

    return remember(workspace, ("json shapes", entity.key), build)


def _empty(workspace: Workspace, entity: CompiledEntity) -> frozenset[str]:
    """Fields holding several values: without one they are an empty list."""
    return remember(
        workspace,
        ("json lists", entity.key),
        lambda: frozenset(key for key, item in entity.fields.items() if item.column is not None and isinstance(item.column.type, JsonList)),
    )


def _shape(to_json: Callable[[Any, Any, Any], object], field: Any, scope: Any) -> Shape:
    return lambda value: to_json(value, field, scope)


def instant_json(workspace: Workspace, value: datetime) -> str:
    """RFC 3339 with the workspace's offset."""
    return value.astimezone(workspace.timezone).isoformat()


def moment_json(workspace: Workspace, entity: CompiledEntity, moment: Moment) -> dict[str, object]:
    """One entry of a timeline."""
    shapes = field_shapes(workspace, entity)

    def side(name: str, value: Any) -> object:
        if value is None or value.__class__ is Masked:
            return None if value is None else value.text
        return shapes[name](value)

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
