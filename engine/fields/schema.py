"""A record as plain JSON Schema (2020-12), emitted from its field types. Describes; checking records is records/values.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from engine.fields.base import title_of
from engine.fields.scope import FieldScope
from metadata.text import Label, label_text

if TYPE_CHECKING:
    from engine.workspace import CompiledField

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def record_schema(scope: FieldScope, fields: Iterable[CompiledField], readable: Collection[str], locale: str, key: str, title: Label) -> dict[str, Any]:
    """The schema of one entity's record as somebody who reads ``readable`` may see it. Fields nobody enters are ``readOnly``; empty is null."""
    properties: dict[str, Any] = {"id": {"type": "integer", "readOnly": True}, "version": {"type": "integer", "minimum": 1}}
    required = []
    for item in fields:
        if item.key not in readable:
            continue
        properties[item.key] = property_schema(item, scope, locale)
        if item.required is True and not item.derived and item.default is None:
            required.append(item.key)
    return {"$schema": DIALECT, "title": label_text(title, locale, key), "type": "object", "properties": properties, "required": required}


def property_schema(item: CompiledField, scope: FieldScope, locale: str) -> dict[str, Any]:
    """The schema of one field's value."""
    shape = dict(item.type.json_schema(item.value, scope))
    kind = shape.get("type")
    if item.required is not True or item.derived:
        if isinstance(kind, str) and "enum" not in shape:
            shape["type"] = [kind, "null"]
        elif isinstance(kind, list) and "enum" not in shape:
            shape["type"] = [*kind, "null"] if "null" not in kind else kind
        else:
            shape = {"anyOf": [shape, {"type": "null"}]}
    found = {"title": title_of(item.definition, locale), **shape}
    text = label_text(item.definition.help, locale)
    if text:
        found["description"] = text
    if item.derived:
        found["readOnly"] = True
    if item.definition.default is not None and not isinstance(item.definition.default, dict):
        found["default"] = item.definition.default
    return found
