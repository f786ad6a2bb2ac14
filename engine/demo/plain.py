"""A demo description for a preset that carries none: somebody for each role, some records of every entity, each field as its own type would show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metadata.bundle import Bundle
from metadata.definitions import ENGINE_ENTITIES, Entity, Field
from metadata.text import label_text

_ROWS = 20_000
_LINES = 2


def plain_description(bundle: Bundle) -> Mapping[str, Any]:
    """Teams, people and blocks made up from the definitions alone."""
    entities = {key: entity for key, entity in bundle.entities.items() if key not in ENGINE_ENTITIES}
    people = [{"login": role, "name": label_text(item.title, "zh", role), "roles": [role], "team": "all"} for role, item in bundle.roles.items()]
    blocks = [_block(bundle, entities, key) for key in _in_order(entities) if not entities[key].lines_of]
    return {"seed": 1, "teams": [{"key": "all", "name": "全体"}], "people": people, "blocks": blocks}


def _block(bundle: Bundle, entities: Mapping[str, Entity], key: str) -> dict[str, Any]:
    lines = [_lines(bundle, entities, name) for name, entity in entities.items() if entity.lines_of == key]
    return {"entity": key, "rows": _ROWS, "least": 20, "fields": _fields(bundle, entities[key]), "children": lines}


def _lines(bundle: Bundle, entities: Mapping[str, Entity], key: str) -> dict[str, Any]:
    entity = entities[key]
    fields = _fields(bundle, entity)
    fields.pop(entity.parent_field, None)
    return {"entity": key, "link": entity.parent_field, "rows": {"uniform": [0, _LINES]}, "fields": fields}


def _fields(bundle: Bundle, entity: Entity) -> dict[str, Any]:
    return {field.key: recipe for field in entity.live_fields() if (recipe := _recipe(bundle, field)) is not None}


def _recipe(bundle: Bundle, field: Field) -> Any:
    if field.type == "link":
        return {"link": str(field.options.get("to", ""))}
    if field.type == "person":
        return {"person": next(iter(bundle.roles), "")}
    if field.type in ("lookup", "formula", "rollup", "serial", "links", "people", "team", "file", "files", "image") or field.read_only is True:
        return None
    return {"sample": field.key} if field.required is True else {"sample": field.key, "chance": 0.7}


def _in_order(entities: Mapping[str, Entity]) -> list[str]:
    """Entities with those they link to before them; a circle is entered where it is met first."""
    found: dict[str, None] = {}

    def visit(key: str, path: frozenset[str]) -> None:
        for field in entities[key].live_fields():
            target = str(field.options.get("to", "")) if field.type == "link" else ""
            if target in entities and target not in path and target not in found:
                visit(target, path | {target})
        found.setdefault(key)

    for key in entities:
        visit(key, frozenset({key}))
    return list(found)
