"""OpenAPI 3.1 of exactly this workspace, as the caller may see it; made from the same field types that read and check."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from engine.access import Grant, grant_of, remember
from engine.context import Context
from engine.records.query_labels import roles_of
from engine.records.ruling_press import buttons, short_name
from metadata.text import label_text
from renderer.api import operations
from renderer.api.operations import Operation, Schema, object_of, operation, or_null, path_parameter, query_parameter
from renderer.api.operations_asks import ask_operations
from renderer.api.route import OneHop
from renderer.api.schemas import entity_schema, input_schema, parameters_schema
from renderer.api.shapes import OWN_PARAMETERS, answer
from renderer.requests import ApiContext, guarded
from renderer.translations import _, speaking

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)
Paths = dict[str, dict[str, Any]]


@router.get("/openapi.json", **guarded("read"))
def openapi(ctx: ApiContext) -> Response:
    """The document."""
    return answer(document(ctx))


def document(ctx: Context) -> dict[str, Any]:
    """The OpenAPI document for the caller's roles; made once per version, set of roles and language."""

    def build() -> dict[str, Any]:
        with speaking(ctx.locale):
            return _document(ctx)

    return remember(ctx.workspace, ("openapi", roles_of(ctx), ctx.locale), build)


def _document(ctx: Context) -> dict[str, Any]:
    paths: Paths = {}
    schemas: dict[str, Schema] = {"Problem": operations.PROBLEM}
    for key, entity in ctx.workspace.entities.items():
        granted = grant_of(ctx.workspace, ctx.actor, entity)
        if granted.allowed("read"):
            schemas |= _schemas(ctx, key, granted)
            paths |= _entity_paths(ctx, key, label_text(entity.title, ctx.locale, key), granted)
    paths |= operations.shared(ctx) | ask_operations()
    return {
        "openapi": "3.1.0",
        "info": {"title": label_text(ctx.workspace.title, ctx.locale, ctx.workspace.name), "version": str(ctx.workspace.version)},
        "servers": [{"url": f"/api/{ctx.workspace.name}"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _schemas(ctx: Context, key: str, granted: Grant) -> dict[str, Schema]:
    """The record as read, as part of a list, as made and as changed."""
    whole = {name: value for name, value in entity_schema(ctx, key).items() if name != "$schema"}
    found = {key: whole, f"{key}.row": {**whole, "required": ["id", "version"]}}
    # What somebody saves may be out of their sight afterwards: then only its id and version are told.
    found[f"{key}.saved"] = {**whole, "required": ["id", "version"]}
    if granted.allowed("create"):
        found[f"{key}.new"] = input_schema(ctx, key, change=False)
    if granted.allowed("update"):
        found[f"{key}.change"] = input_schema(ctx, key, change=True)
    for rule in buttons(ctx, ctx.workspace.entities[key]):
        found[f"{key}.{short_name(rule)}.parameters"] = parameters_schema(ctx, rule)
    return found


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _entity_paths(ctx: Context, key: str, title: str, granted: Grant) -> Paths:
    def about(verb: str) -> dict[str, Any]:
        return {"tag": title, "summary": f"{title}: {verb}"}

    one: Operation = {
        "parameters": [path_parameter("id")],
        "get": operation(
            **about(_("Read one")),
            name=f"get_{key}",
            answers=_ref(key),
            parameters=[query_parameter("fields", _("Only these fields, separated by commas"))],
            etag=True,
        ),
    }
    if not granted.readable:
        one["get"]["parameters"] = []
    many: Operation = {"get": operation(**about(_("List")), name=f"list_{key}", answers=_page(f"{key}.row"), parameters=_list_parameters(ctx, key, granted))}
    found: Paths = {f"/records/{key}": many, f"/records/{key}/{{id}}": one}
    if granted.allowed("create"):
        many["post"] = operation(
            **about(_("Create")),
            name=f"create_{key}",
            body=_ref(f"{key}.new"),
            answers=_ref(f"{key}.saved"),
            status="201",
            parameters=[operations.IDEMPOTENCY_KEY, operations.confirm()],
            refusals=("409",),
            etag=True,
        )
    if granted.allowed("update"):
        one["patch"] = operation(
            **about(_("Change")),
            name=f"change_{key}",
            body=_ref(f"{key}.change"),
            answers=_ref(f"{key}.saved"),
            parameters=[operations.IF_MATCH, operations.confirm()],
            refusals=("409", "428"),
            etag=True,
        )
        found[f"/bulk/{key}"] = {
            "post": operation(**about(_("Create and change many")), name=f"bulk_{key}", body=operations.BULK, answers=operations.BULK_RESULTS)
        }
    if granted.allowed("delete"):
        one["delete"] = operation(**about(_("Delete")), name=f"delete_{key}", status="204", parameters=[operations.IF_MATCH], refusals=("409", "428"))
        found[f"/records/{key}/{{id}}/restore"] = {
            "parameters": [path_parameter("id")],
            "post": operation(**about(_("Restore")), name=f"restore_{key}", answers=_ref(f"{key}.saved"), refusals=("409",), etag=True),
        }
    found[f"/records/{key}/{{id}}/timeline"] = {
        "parameters": [path_parameter("id")],
        "get": operation(
            **about(_("Who changed what, when, why")),
            name=f"timeline_{key}",
            answers=operations.TIMELINE,
            parameters=[query_parameter("cursor", _("Where the page before ended"))],
        ),
    }
    return found | _action_paths(ctx, key, title)


def _action_paths(ctx: Context, key: str, title: str) -> Paths:
    return {
        f"/records/{key}/{{id}}/actions/{short_name(rule)}": {
            "parameters": [path_parameter("id")],
            "post": operation(
                tag=title,
                summary=f"{title}: {label_text(rule.title, ctx.locale, rule.key)}",
                name=f"act_{key}_{short_name(rule)}",
                body=_ref(f"{key}.{short_name(rule)}.parameters"),
                answers=object_of(record=or_null(_ref(f"{key}.saved")), result={}),
                parameters=[operations.IDEMPOTENCY_KEY, operations.IF_MATCH, operations.confirm()],
                refusals=("409",),
                etag=True,
            ),
        }
        for rule in buttons(ctx, ctx.workspace.entities[key])
    }


def _page(row: str) -> Schema:
    return object_of(
        items={"type": "array", "items": _ref(row), "maxItems": 200},
        next={"type": ["string", "null"]},
        count={"type": ["integer", "null"]},
        count_capped={"type": "boolean"},
    )


def _list_parameters(ctx: Context, key: str, granted: Grant) -> list[Schema]:
    own = [
        query_parameter("where", _("A condition in the expression language")),
        query_parameter("sort", _("Fields, - for descending, separated by commas")),
        query_parameter("fields", _("Only these fields, separated by commas")),
        query_parameter("limit", _("Rows of a page"), {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        query_parameter("cursor", _("Where the page before ended")),
        query_parameter("count", _("true: count up to 1,000; exact: count all"), {"enum": ["true", "false", "exact"]}),
        query_parameter("search", _("Search text")),
    ]
    entity = ctx.workspace.entities[key]
    return own + [
        query_parameter(name, f"{label_text(item.definition.title, ctx.locale, name)} = …")
        for name, item in entity.fields.items()
        if name in granted.readable and name not in OWN_PARAMETERS and item.column is not None
    ]
