"""OpenAPI 3.1 of exactly this workspace, as the caller may see it; made from the same field types that read and check."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from engine.access import grant_of, remember
from engine.context import Context
from metadata.text import label_text
from renderer.api.definitions import entity_schema
from renderer.api.shapes import answer
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}")
ERRORS = {"401": "Not logged in", "403": "Not allowed", "404": "No such thing, or none you may see", "422": "Your input, every fault", "429": "Too many requests"}
PAGE_PARAMETERS = (
    ("where", "An expression of the workspace's language", "string"), ("sort", "Fields, - for descending, separated by commas", "string"),
    ("fields", "Only these fields", "string"), ("limit", "Rows, at most 200", "integer"), ("cursor", "Where the page before ended", "string"),
    ("count", "true: count up to 1,000; exact: count all", "string"), ("search", "Search text", "string"))


@router.get("/openapi.json", **guarded("read"))
def openapi(ctx: ApiContext) -> Response:
    """The document."""
    return answer(document(ctx))


def document(ctx: Context) -> dict[str, Any]:
    """The OpenAPI document for the caller's roles; made once per version, set of roles and language."""
    return remember(ctx.workspace, ("openapi", ctx.actor.roles, ctx.actor.kind, ctx.locale), lambda: _document(ctx))


def _document(ctx: Context) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": _problem()}
    for key, entity in ctx.workspace.entities.items():
        granted = grant_of(ctx.workspace, ctx.actor, entity)
        if granted.allowed("read"):
            schemas[key] = {name: value for name, value in entity_schema(ctx, key).items() if name != "$schema"}
            schemas[key]["properties"] = {**schemas[key]["properties"]}
            paths.update(_entity_paths(ctx, key, label_text(entity.title, ctx.locale, key), granted))
    paths.update(_shared_paths(ctx))
    return {"openapi": "3.1.0", "info": {"title": label_text(ctx.workspace.title, ctx.locale, ctx.workspace.name), "version": str(ctx.workspace.version)},
            "servers": [{"url": f"/api/{ctx.workspace.name}"}], "security": [{"bearer": []}], "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}}


def _problem() -> dict[str, Any]:
    fault = {"type": "object", "properties": {"pointer": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}}}
    return {"type": "object", "required": ["type", "title", "status"], "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}, "code": {"type": "string"},
        "errors": {"type": "array", "items": fault}}}


def _refusals(*more: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    texts = {**ERRORS, "409": "Someone was faster, or the key is taken", "428": "No version given", "413": "Too large", "503": "Not now"}
    return {code: {"description": texts[code], "content": content} for code in (*ERRORS, "503", "413", *more)}


def _answer(schema: dict[str, Any], text: str, *more: str, status: str = "200") -> dict[str, Any]:
    return {status: {"description": text, "content": {"application/json": {"schema": schema}}}, **_refusals(*more)}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _entity_paths(ctx: Context, key: str, title: str, granted: Any) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{key}"}
    page = {"type": "object", "required": ["items", "next"], "properties": {
        "items": {"type": "array", "items": {"type": "object"}}, "next": {"type": ["string", "null"]}, "count": {"type": ["integer", "null"]}, "count_capped": {"type": "boolean"}}}
    parameters = [{"name": name, "in": "query", "description": text, "schema": {"type": kind}} for name, text, kind in PAGE_PARAMETERS]
    one: dict[str, Any] = {"parameters": [_id()], "get": {"summary": title, "operationId": f"get_{key}", "responses": _answer({"type": "object"}, title)}}
    many: dict[str, Any] = {"get": {"summary": title, "operationId": f"list_{key}", "parameters": parameters, "responses": _answer(page, title)}}
    if granted.allowed("create"):
        header = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
        many["post"] = {"summary": title, "operationId": f"create_{key}", "parameters": [header], "requestBody": _body({"type": "object", "allOf": [record]}),
                        "responses": _answer({"type": "object"}, title, "409", status="201")}
    if granted.allowed("update"):
        one["patch"] = {"summary": title, "operationId": f"change_{key}", "parameters": [_if_match()], "requestBody": _body({"type": "object"}),
                        "responses": _answer({"type": "object"}, title, "409", "428")}
    if granted.allowed("delete"):
        one["delete"] = {"summary": title, "operationId": f"delete_{key}", "parameters": [_if_match()],
                         "responses": {"204": {"description": "Deleted"}, **_refusals("409", "428")}}
    timeline = {"parameters": [_id()], "get": {"summary": title, "operationId": f"timeline_{key}", "responses": _answer({"type": "object"}, title)}}
    return {f"/records/{key}": many, f"/records/{key}/{{id}}": one, f"/records/{key}/{{id}}/timeline": timeline}


def _id() -> dict[str, Any]:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}


def _if_match() -> dict[str, Any]:
    return {"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": "The ETag the record was read with"}


def _shared_paths(ctx: Context) -> dict[str, Any]:
    job = {"/jobs/{job}": {"parameters": [{"name": "job", "in": "path", "required": True, "schema": {"type": "integer"}}],
                           "get": {"summary": "A piece of long work", "operationId": "get_job", "responses": _answer({"type": "object"}, "State and progress")}}}
    if "import" not in ctx.actor.rights:
        return job
    file = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    return {**job, "/imports/{entity}": {
        "parameters": [{"name": "entity", "in": "path", "required": True, "schema": {"type": "string"}}, {"name": "dry", "in": "query", "schema": {"type": "boolean"}}],
        "post": {"summary": "Import a spreadsheet", "operationId": "import", "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": file}}},
                 "responses": _answer({"type": "object"}, "The job to follow", status="202")}}}
