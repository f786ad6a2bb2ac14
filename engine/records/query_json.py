"""The JSON of a field's values as the HTTP API gives it (CONTRACT section 4), a closure for each field whose typed value orjson would write otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.fields.base import Writer
from engine.fields.moment import instant_writer
from engine.records.attachments import FILE_TYPES
from engine.scope import Scope
from engine.storage import JsonList

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, Workspace

_INSTANTS = ("created_at", "updated_at")


def json_writers(workspace: Workspace, entity: CompiledEntity) -> Mapping[str, Writer]:
    """What writes the values of the fields that need it; kept per version."""

    def build() -> Mapping[str, Writer]:
        scope = workspace.scope.of(entity.key)
        made = {key: item.type.json_writer(item.value, scope) for key, item in entity.fields.items()}
        instants: dict[str, Writer] = dict.fromkeys(_INSTANTS, instant_writer(workspace.timezone))
        return {**{key: write for key, write in made.items() if write is not None}, **instants}

    return remember(workspace, ("json writers", entity.key), build)


def json_lists(workspace: Workspace, entity: CompiledEntity) -> frozenset[str]:
    """Fields holding several values: without one they are an empty list."""
    return remember(
        workspace,
        ("json lists", entity.key),
        lambda: frozenset(key for key, item in entity.fields.items() if item.column is not None and isinstance(item.column.type, JsonList)),
    )


def writers_of(scope: Scope, names: Sequence[str]) -> Mapping[str, tuple[Writer | None, object]]:
    """For the columns of a statement that need it: what writes the values, what an empty one is. Links and files are written when what they point to is known."""
    written, lists = json_writers(scope.workspace, scope.entity), json_lists(scope.workspace, scope.entity)
    found: dict[str, tuple[Writer | None, object]] = {}
    for name in names:
        item = scope.entity.fields.get(name)
        later = item is not None and (bool(item.target) or item.definition.type in FILE_TYPES)
        write = None if later else written.get(name)
        if name in lists or write is not None:
            found[name] = write, () if name in lists else None
    return found


def json_link(number: int, label: str | None = None) -> dict[str, Any]:
    """A link with what its reader may know of it; made in place of ``Link``."""
    return {"id": number, "label": label}
