"""What a rule carries from step to step as JSON, for branches and jobs that go on later; and the plainer form its trace keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from engine.fields.base import Value
from engine.fields.values import Link
from engine.rules.effects import Handle

Read = Callable[[str, int], Mapping[str, Value] | None]
_TAG = "$"


def carry(value: Value) -> Any:
    """A typed value, a Handle, or lists and maps of them, as JSON that ``revive`` reads back exactly."""
    if isinstance(value, Handle):
        return {_TAG: "record", "entity": value.entity, "id": value.id}
    if isinstance(value, Link):
        return value.id
    if isinstance(value, datetime):
        return {_TAG: "instant", "at": value.isoformat()}
    if isinstance(value, date):
        return {_TAG: "date", "at": value.isoformat()}
    if isinstance(value, Mapping):
        return {_TAG: "map", "of": {str(name): carry(item) for name, item in value.items()}}
    if isinstance(value, list | tuple):
        return [carry(item) for item in value]
    return value


def revive(kept: Any, read: Read) -> Value:
    """The value ``carry`` kept; records are read anew by ``read``."""
    if isinstance(kept, list):
        return [revive(item, read) for item in kept]
    if not isinstance(kept, Mapping):
        return kept
    match kept.get(_TAG):
        case "record":
            return Handle(kept["entity"], kept["id"], read)
        case "instant":
            return datetime.fromisoformat(kept["at"])
        case "date":
            return date.fromisoformat(kept["at"])
        case "map":
            return {name: revive(item, read) for name, item in kept["of"].items()}
    return dict(kept)


def plain(value: Value) -> Any:
    """As a trace shows it: a record as ENTITY and id, instants and days as texts, long lists cut."""
    if value is None or type(value) in _AS_IS:
        return value
    if isinstance(value, Handle):
        return {"entity": value.entity, "id": value.id}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Link):
        return value.id
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value[:_SHOWN]] + ([f"+{len(value) - _SHOWN}"] if len(value) > _SHOWN else [])
    return value


_SHOWN = 20
_AS_IS = frozenset((str, int, bool))  # most of what a trace shows
