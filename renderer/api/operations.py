"""The words OpenAPI documents are made of: operations, parameters, answers of every call that is the same for all entities. Knows no field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.access import grant_of, rights
from engine.context import Context
from renderer.translations import _

Schema = dict[str, Any]
Operation = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_ANY_OBJECT: Schema = {"type": "object"}


def object_of(**properties: Schema) -> Schema:
    """An object that has exactly these."""
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


_FAULT: Schema = {
    "type": "object",
    "required": ["pointer", "code", "message"],
    "properties": {"pointer": _TEXT, "code": _TEXT, "message": _TEXT, "column": _WHOLE},
    "additionalProperties": False,
}
_FAULTS: Schema = {"type": "array", "items": _FAULT}
PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "detail": _TEXT, "code": _TEXT, "errors": _FAULTS, "soft": {"const": True}},
}
LINK: Schema = or_null({"type": "object", "required": ["id"], "properties": {"id": _WHOLE, "label": {"type": ["string", "null"]}}})
_CHANGE: Schema = object_of(field=_TEXT, before={}, after={}, computed={"type": "boolean"})
TIMELINE: Schema = object_of(
    items={
        "type": "array",
        "items": object_of(
            id=_WHOLE,
            at={"type": "string", "format": "date-time"},
            verb=_TEXT,
            version=_WHOLE,
            person=LINK,
            cause=_ANY_OBJECT,
            changes={"type": "array", "items": _CHANGE},
        ),
    },
    next={"type": ["string", "null"]},
)
BULK: Schema = {
    "type": "object",
    "required": ["rows"],
    "additionalProperties": False,
    "properties": {
        "rows": {
            "type": "array",
            "maxItems": 1000,
            "items": {"type": "object", "properties": {"id": {"type": "integer", "minimum": 1}, "version": {"type": "integer", "minimum": 1}}},
        }
    },
}
_RESULT: Schema = {
    "type": "object",
    "required": ["index", "outcome", "id", "version", "code", "message", "errors"],
    "properties": {
        "index": _WHOLE,
        "outcome": {"enum": ["created", "updated", "unchanged", "refused"]},
        "id": {"type": ["integer", "null"]},
        "version": {"type": ["integer", "null"]},
        "code": {"type": ["string", "null"]},
        "message": {"type": ["string", "null"]},
        "errors": _FAULTS,
        "current": _ANY_OBJECT,
    },
    "additionalProperties": False,
}
BULK_RESULTS: Schema = object_of(results={"type": "array", "items": _RESULT})
_JOB: Schema = object_of(
    id=_WHOLE,
    name=_TEXT,
    state={"enum": ["waiting", "running", "done", "dead"]},
    done=_WHOLE,
    total={"type": ["integer", "null"]},
    result=_ANY_OBJECT,
    error=or_null(_ANY_OBJECT),
    created_at=_TEXT,
    done_at={"type": ["string", "null"]},
)
_FILE: Schema = object_of(id=_WHOLE, name=_TEXT, size=_WHOLE, type=_TEXT, url=_TEXT)
_PUBLISHED: Schema = object_of(version=_WHOLE, state={"enum": ["live", "preparing"]})
_UPLOAD: Schema = {
    "required": True,
    "content": {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}}},
}
IDEMPOTENCY_KEY: Schema = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}
IF_MATCH: Schema = {"name": "If-Match", "in": "header", "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'}, "description": "ETag"}


def confirm() -> Schema:
    """The query parameter by which a caller goes on against soft refusals."""
    text = _("The code of a refusal marked soft, to go on against it; repeatable")
    return {**query_parameter("confirm", text, {"type": "array", "maxItems": 20, "items": _TEXT}), "style": "form", "explode": True}


def refusal_texts() -> dict[str, str]:
    """What each status of a refusal says."""
    return {
        "401": _("Not logged in"),
        "403": _("Not allowed"),
        "404": _("No such thing, or none you may see"),
        "409": _("Someone was faster, or a key is taken"),
        "413": _("Too large"),
        "422": _("Your input, with every fault"),
        "428": _("No version given"),
        "429": _("Too many requests"),
        "503": _("Not now"),
    }


def operation(
    *,
    tag: str,
    summary: str,
    name: str,
    answers: Schema | None = None,
    status: str = "200",
    body: Schema | None = None,
    upload: bool = False,
    parameters: Sequence[Schema] = (),
    refusals: tuple[str, ...] = (),
    etag: bool = False,
    media: str = "application/json",
) -> Operation:
    """One operation: what it takes, what it answers, how it may refuse."""
    texts = refusal_texts()
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    given: Schema = {"description": summary}
    if answers is not None:
        given["content"] = {media: {"schema": answers}}
    if etag:
        given["headers"] = {"ETag": {"schema": _TEXT}}
    responses = {
        status: given,
        **{code: {"description": texts[code], "content": problem} for code in sorted(("401", "403", "404", "413", "422", "429", "503", *refusals))},
    }
    found: Operation = {"tags": [tag], "summary": summary, "operationId": name, "responses": responses}
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return {**found, "requestBody": _UPLOAD} if upload else found


def path_parameter(name: str, schema: Schema | None = None) -> Schema:
    """A parameter of the path; an id unless said otherwise."""
    return {"name": name, "in": "path", "required": True, "schema": schema or {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}}


def query_parameter(name: str, text: str, schema: Schema | None = None) -> Schema:
    """A parameter of the query; a text unless said otherwise."""
    return {"name": name, "in": "query", "description": text, "schema": schema or _TEXT}


def shared(ctx: Context) -> dict[str, Operation]:
    """The calls that are the same for every entity, as far as the caller's rights reach."""
    keys = [key for key, entity in ctx.workspace.entities.items() if grant_of(ctx.workspace, ctx.actor, entity).allowed("read")]
    about = _("The workspace")
    found: dict[str, Operation] = {
        "/openapi.json": {"get": operation(tag=about, summary=_("This document"), name="openapi", answers=_ANY_OBJECT)},
        "/jobs/{job}": {
            "parameters": [path_parameter("job")],
            "get": operation(tag=about, summary=_("State and progress of long work"), name="get_job", answers=_JOB),
        },
        "/files": {"post": operation(tag=about, summary=_("Store a file"), name="upload_file", answers=_FILE, status="201", upload=True)},
        "/files/{number}": {
            "parameters": [path_parameter("number")],
            "get": operation(tag=about, summary=_("A file's content"), name="get_file", answers={}, media="*/*"),
        },
    }
    if keys:
        found["/schema/{entity}"] = {
            "parameters": [path_parameter("entity", {"enum": keys})],
            "get": operation(tag=about, summary=_("The record as JSON Schema"), name="get_schema", answers=_ANY_OBJECT),
        }
    return {
        **found,
        **(_imports(ctx) if rights(ctx, "import") else {}),
        **(_design(ctx) if rights(ctx, "design") else {}),
        **(_publish() if rights(ctx, "publish") else {}),
        **(_settings(ctx) if rights(ctx, "settings") else {}),
        **(_clock() if ctx.workspace.sandbox and rights(ctx, "settings") else {}),
    }


def _imports(ctx: Context) -> dict[str, Operation]:
    keys = [key for key, entity in ctx.workspace.entities.items() if grant_of(ctx.workspace, ctx.actor, entity).allowed("create")]
    tag = _("Imports")
    row = object_of(sheet={"type": ["string", "null"]}, row=_WHOLE, outcome=_TEXT, record={"type": ["integer", "null"]}, errors=_FAULTS, warnings=_FAULTS)
    skipped = object_of(entity=_TEXT, record=_WHOLE, why=_TEXT)
    begun = object_of(batch=_WHOLE, job=_WHOLE, headers={"type": "array", "items": _TEXT}, targets={"type": "array", "items": _TEXT})
    found: dict[str, Operation] = {
        "/imports/{batch}/rows": {
            "parameters": [path_parameter("batch")],
            "get": operation(
                tag=tag,
                summary=_("What became of each row"),
                name="import_rows",
                answers=object_of(items={"type": "array", "items": row}, next={"type": ["integer", "null"]}),
                parameters=[
                    query_parameter("outcome", _("Only rows with this outcome")),
                    query_parameter("after", _("Where the page before ended"), {"type": "integer", "minimum": 0}),
                ],
            ),
        },
        "/imports/{batch}/undo": {
            "parameters": [path_parameter("batch")],
            "post": operation(
                tag=tag,
                summary=_("Undo a whole import"),
                name="undo_import",
                refusals=("409",),
                answers=object_of(state=_TEXT, undone=_WHOLE, skipped={"type": "array", "items": skipped}),
            ),
        },
    }
    if keys:
        found["/imports/{entity}"] = {
            "parameters": [path_parameter("entity", {"enum": keys})],
            "post": operation(
                tag=tag,
                summary=_("Import a spreadsheet"),
                name="import",
                answers=begun,
                status="202",
                upload=True,
                refusals=("409",),
                parameters=[query_parameter("dry", _("Only rehearse"), {"type": "boolean"})],
            ),
        }
    return found


def _design(ctx: Context) -> dict[str, Operation]:
    tag, place = _("Definitions"), [path_parameter("kind", _TEXT), path_parameter("key", _TEXT)]
    document = object_of(kind=_TEXT, key=_TEXT, version=_WHOLE, document=_ANY_OBJECT, draft=or_null(_ANY_OBJECT))
    item = object_of(kind=_TEXT, key=_TEXT, title={})
    plan = object_of(
        base_version=_WHOLE,
        digest=_TEXT,
        ready={"type": "boolean"},
        sentences={"type": "array", "items": _TEXT},
        steps={"type": "array"},
        problems={"type": "array"},
        conflicts={"type": "array"},
    )
    draft = {"type": "object", "required": ["document", "number"], "properties": {"document": _ANY_OBJECT, "number": {"type": "integer", "minimum": 0}}}
    return {
        "/definitions": {
            "get": operation(
                tag=tag,
                summary=_("All definitions"),
                name="list_definitions",
                answers=object_of(version=_WHOLE, digest=_TEXT, items={"type": "array", "items": item}),
            )
        },
        "/definitions/{kind}/{key}": {
            "parameters": place,
            "get": operation(tag=tag, summary=_("One definition and its draft"), name="get_definition", answers=document),
        },
        "/drafts/{kind}/{key}": {
            "parameters": place,
            "put": operation(
                tag=tag, summary=_("Put a draft"), name="put_draft", body=draft, answers=object_of(kind=_TEXT, key=_TEXT, number=_WHOLE), refusals=("409",)
            ),
        },
        "/plan": {"get": operation(tag=tag, summary=_("What publishing the drafts would do"), name="get_plan", answers=plan)},
    }


def _publish() -> dict[str, Operation]:
    tag = _("Definitions")
    digest = {
        "type": "object",
        "required": ["digest"],
        "properties": {"digest": _TEXT, "note": {"type": "string", "maxLength": 500}, "skip_scenarios": {"type": "string", "minLength": 1, "maxLength": 200}},
    }
    number = {"type": "object", "required": ["version"], "properties": {"version": {"type": "integer", "minimum": 1}}}
    post = operation(tag=tag, summary=_("Publish all drafts"), name="publish", body=digest, answers=_PUBLISHED, refusals=("409",))
    text = _("Scenarios are played first: the job to follow, which then publishes")
    begun = {"description": text, "content": {"application/json": {"schema": object_of(job=_WHOLE)}}}
    return {
        "/publish": {"post": {**post, "responses": {**post["responses"], "202": begun}}},
        "/rollback": {
            "post": operation(tag=tag, summary=_("Publish an earlier version again"), name="rollback", body=number, answers=_PUBLISHED, refusals=("409",))
        },
    }


def _settings(ctx: Context) -> dict[str, Operation]:
    tag, moment = _("Settings"), {"type": "string", "format": "date-time"}
    change = object_of(id=_WHOLE, value={}, in_force_from=moment, at=moment, by=or_null(_WHOLE))
    setting: dict[str, Schema] = {"key": _TEXT, "title": _TEXT, "type": _TEXT, "value": {}, "default": {}, "in_force_from": or_null(moment)}
    many: Schema = {"type": "array", "items": change}
    keys = list(ctx.workspace.bundle.settings.values)
    given = {"type": "object", "required": ["value"], "properties": {"value": {}, "in_force_from": or_null(moment), "confirmed": {"type": "boolean"}}}
    found: dict[str, Operation] = {
        "/settings": {
            "get": operation(
                tag=tag,
                summary=_("All settings with their values in force"),
                name="list_settings",
                answers=object_of(items={"type": "array", "items": object_of(**setting, coming=many)}),
            )
        }
    }
    found["/settings/{key}"] = {
        "parameters": [path_parameter("key", {"enum": keys} if keys else _TEXT)],
        "get": operation(tag=tag, summary=_("One setting and its history"), name="get_setting", answers=object_of(**setting, coming=many, history=many)),
        "put": operation(
            tag=tag,
            summary=_("Set a value from an instant on"),
            name="set_setting",
            body={**given, "additionalProperties": False},
            answers=change,
            refusals=("409",),
        ),
    }
    return found


def _clock() -> dict[str, Operation]:
    moment: Schema = {"type": "string", "format": "date-time"}
    ran = object_of(id=_WHOLE, rule=_TEXT, trigger=_TEXT, entity=or_null(_TEXT), record=or_null(_WHOLE), at=moment, state=_TEXT)
    moved = object_of(now=moment, ran={"type": "array", "items": ran})
    summary = _("Move the sandbox's clock forward, running what falls due")
    return {"/clock": {"put": operation(tag=_("The workspace"), summary=summary, name="set_clock", body=object_of(now=moment), answers=moved)}}
