"""Records over JSON: list, get, create, change, delete, timeline, bulk. Every answer obeys the caller's rows, fields and masks."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from engine.access import grant
from engine.context import Context
from engine.errors import Fault, Invalid
from engine.messages import sentence
from engine.records import service
from engine.records.history import timeline
from engine.records.jsonshape import moment_json, record_json
from engine.records.query import JSON, Query, get_as, page_as
from engine.records.record import Record, RowResult, Saved
from renderer.api.route import OneHop
from renderer.api.shapes import OWN_PARAMETERS, Body, RecordId, answer, confirmed, idempotency_key, json_object, json_value, texts, truth, version_of, whole
from renderer.errors import told_errors
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)
BULK_LIMIT = 1000
#: Query strings longer than this are read each time.
MOST_KEPT = 2000


def _query(request: Request, entity: str) -> Query:
    text: bytes = request.scope["query_string"]
    return _asked(entity, text) if len(text) <= MOST_KEPT else _asked.__wrapped__(entity, text)


@lru_cache(maxsize=256)
def _asked(entity: str, text: bytes) -> Query:
    """What a query string asks; kept, since programs ask the same again and again."""
    given = QueryParams(text)
    equals: dict[str, Any] = {name: given.getlist(name) for name in given if name not in OWN_PARAMETERS}
    count = given.get("count", "").lower()
    return Query(
        entity,
        where=given.get("where", ""),
        sort=texts(given, "sort"),
        fields=texts(given, "fields") or None,
        limit=whole(given, "limit", 50, 1, 200),
        cursor=given.get("cursor") or None,
        count="exact" if count == "exact" else "capped" if truth(given, "count") else None,
        search=given.get("search", ""),
        equals=equals,
    )


@router.get("/records/{entity}", **guarded("read"))
def list_records(ctx: ApiContext, request: Request, entity: str) -> Response:
    """A page of records."""
    found = page_as(JSON, ctx, _query(request, entity))
    return answer({"items": found.items, "next": found.next, "count": found.count, "count_capped": found.count_capped})


@router.post("/records/{entity}", **guarded("create", acts=True))
def create_record(ctx: ApiContext, request: Request, entity: str, body: Body) -> Response:
    """A new record; the same Idempotency-Key gives the same answer once."""
    saved = service.create(ctx, entity, json_object(body), idempotency_key=idempotency_key(request), confirmed=confirmed(request), json=True, whole=True)
    return _saved(ctx, entity, saved, 201)


@router.get("/records/{entity}/{id}", **guarded("read"))
def get_record(ctx: ApiContext, request: Request, entity: str, id: RecordId) -> Response:
    """One record."""
    record = get_as(JSON, ctx, entity, id, texts(request.query_params, "fields") or None)
    return answer(record, ETag=f'"{record["version"]}"')


@router.patch("/records/{entity}/{id}", **guarded("update", acts=True))
def change_record(ctx: ApiContext, request: Request, entity: str, id: RecordId, body: Body) -> Response:
    """Changed fields of one record, on the version they were read at."""
    raw = json_object(body)
    version = version_of(request, raw)
    return _saved(ctx, entity, service.update(ctx, entity, id, raw, version, confirmed=confirmed(request), json=True, whole=True), 200)


@router.delete("/records/{entity}/{id}", **guarded("delete", acts=True))
def delete_record(ctx: ApiContext, request: Request, entity: str, id: RecordId, body: Body) -> Response:
    """Delete softly, on the version it was read at."""
    service.delete(ctx, entity, id, version_of(request, json_object(body)))
    return Response(status_code=204)


@router.post("/records/{entity}/{id}/restore", **guarded("delete", acts=True))
def restore_record(ctx: ApiContext, entity: str, id: RecordId) -> Response:
    """Bring a deleted record back."""
    return _saved(ctx, entity, service.restore(ctx, entity, id, whole=True), 200)


@router.get("/records/{entity}/{id}/timeline", **guarded("read"))
def record_timeline(ctx: ApiContext, request: Request, entity: str, id: RecordId) -> Response:
    """Who changed what, when, why; newest first."""
    found = timeline(ctx, entity, id, request.query_params.get("cursor") or None)
    return answer({"items": [moment_json(ctx.workspace, ctx.workspace.entities[entity], moment) for moment in found.items], "next": found.next})


@router.post("/bulk/{entity}", **guarded("update"))
def bulk(ctx: ApiContext, entity: str, body: Body) -> Response:
    """Many creates and updates in one call; one result per row, each row whole or not at all."""
    grant(ctx, entity)
    given = json_value(body)
    rows = given.get("rows") if isinstance(given, dict) else given
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Invalid("bulk_rows_expected", faults=[Fault("/rows", "bulk_rows_expected")])
    if len(rows) > BULK_LIMIT:
        raise Invalid("bulk_too_many", faults=[Fault("/rows", "bulk_too_many", {"limit": BULK_LIMIT})])
    return answer({"results": [_result(ctx, entity, item) for item in service.bulk(ctx, entity, rows, json=True)]})


def _result(ctx: Context, entity: str, result: RowResult) -> dict[str, object]:
    found = {
        "index": result.index,
        "outcome": result.outcome,
        "id": result.id,
        "version": result.version,
        "code": result.code or None,
        "message": sentence(result.code, result.params, ctx.locale) if result.code else None,
        "errors": told_errors(result.faults, ctx.locale),
    }
    current = result.params.get("current")
    return {**found, "current": _json(ctx, entity, current)} if isinstance(current, Record) else found


def _json(ctx: Context, entity: str, record: Record) -> dict[str, object]:
    return record_json(ctx.workspace, ctx.workspace.entities[entity], record)


def _saved(ctx: Context, entity: str, saved: Saved, status: int) -> Response:
    workspace = saved.workspace or ctx.workspace
    return answer(
        record_json(workspace, workspace.entities[entity], saved.record),
        status,
        ETag=f'"{saved.version}"',
        **({"Location": f"/api/{ctx.workspace.name}/records/{entity}/{saved.id}"} if status == 201 else {}),
    )
