"""The JSON Schemas of an entity's records as one caller may see and write them; what GET answers and what POST and PATCH take. Checks nothing."""

from __future__ import annotations

from typing import Any

from engine.access import Grant, grant_of, remember
from engine.context import Context
from engine.fields.schema import property_schema, record_schema
from engine.records.query_labels import roles_of
from engine.records.ruling_press import parameter_fields, parameters_of
from engine.rules.book import CompiledRule
from metadata.text import label_text

Schema = dict[str, Any]
_WHO: Schema = {"type": ["integer", "null"], "readOnly": True, "description": "person"}
_WHEN: Schema = {"type": "string", "format": "date-time", "readOnly": True}
#: What every record has beside its fields.
_SYSTEM: Schema = {"created_at": _WHEN, "created_by": _WHO, "updated_at": _WHEN, "updated_by": _WHO}


def entity_schema(ctx: Context, entity: str) -> Schema:
    """The record of an entity as this caller reads it. Fields they may not enter are ``readOnly``, masked ones may be their masked text."""
    return remember(ctx.workspace, ("read schema", entity, roles_of(ctx), ctx.locale), lambda: _entity_schema(ctx, entity, lines=True))


def _entity_schema(ctx: Context, entity: str, *, lines: bool) -> Schema:
    compiled = ctx.workspace.entities[entity]
    granted = grant_of(ctx.workspace, ctx.actor, compiled)
    schema = record_schema(ctx.workspace.scope.of(entity), compiled.fields.values(), granted.readable, ctx.locale, entity, compiled.title)
    properties = {name: _seen(shape, name, granted) for name, shape in schema["properties"].items()}
    if compiled.parent_field and not lines:
        properties.pop(compiled.parent_field, None)
    properties |= _SYSTEM
    for child in compiled.lines if lines else ():
        if grant_of(ctx.workspace, ctx.actor, ctx.workspace.entities[child]).allowed("read"):
            items = _entity_schema(ctx, child, lines=False)
            properties[child] = {"type": "array", "items": {name: items[name] for name in ("title", "type", "properties", "required", "additionalProperties")}}
    hidden = {name for name, guard in granted.guards.items() if not guard.always_visible}
    required = [name for name in schema["required"] if name in properties and name not in hidden]
    return {
        **schema,
        "title": label_text(compiled.title, ctx.locale, entity),
        "properties": properties,
        "required": ["id", "version", *required],
        "additionalProperties": False,
    }


def _seen(shape: Schema, name: str, granted: Grant) -> Schema:
    if name in ("id", "version"):
        return {**shape, "readOnly": True}
    if name not in granted.writable:
        shape = {**shape, "readOnly": True}
    if name not in granted.guards:
        return shape
    about = {word: shape[word] for word in ("title", "description", "readOnly", "default") if word in shape}
    return {**about, "anyOf": [{word: value for word, value in shape.items() if word not in about}, {"type": "string", "description": "masked"}]}


def input_schema(ctx: Context, entity: str, *, change: bool) -> Schema:
    """What POST (or PATCH: ``change``) takes from this caller."""
    return remember(ctx.workspace, ("input schema", entity, roles_of(ctx), ctx.locale, change), lambda: _input_schema(ctx, entity, change=change, line=False))


def _input_schema(ctx: Context, entity: str, *, change: bool, line: bool) -> Schema:
    compiled = ctx.workspace.entities[entity]
    granted = grant_of(ctx.workspace, ctx.actor, compiled)
    schema = record_schema(ctx.workspace.scope.of(entity), compiled.fields.values(), granted.writable, ctx.locale, entity, compiled.title)
    open_fields = {name for name, item in compiled.fields.items() if name in granted.writable and not item.derived and item.read_only is not True}
    properties = {name: shape for name, shape in schema["properties"].items() if name in open_fields and not (line and name == compiled.parent_field)}
    if change or line:
        properties["version"] = {"type": "integer", "minimum": 1}
    if line:
        properties["id"] = {"type": "integer", "minimum": 1}
    for child in () if line else compiled.lines:
        if grant_of(ctx.workspace, ctx.actor, ctx.workspace.entities[child]).allowed("create"):
            properties[child] = {"type": "array", "items": _input_schema(ctx, child, change=change, line=True)}
    required = [] if change or line else [name for name in schema["required"] if name in properties]
    return {"title": schema["title"], "type": "object", "properties": properties, "required": required, "additionalProperties": False}


def parameters_schema(ctx: Context, rule: CompiledRule) -> Schema:
    """What an action takes."""
    fields = parameter_fields({key: one for key, one in parameters_of(ctx.workspace, rule).items() if not one.for_rules})
    scope = ctx.workspace.scope.of(rule.entity)
    return {
        "title": label_text(rule.title, ctx.locale, rule.key),
        "type": "object",
        "properties": {key: property_schema(item, scope, ctx.locale) for key, item in fields.items()},
        "required": [key for key, item in fields.items() if item.required is True and item.definition.default is None],
        "additionalProperties": False,
    }
