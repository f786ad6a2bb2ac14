"""Buttons over JSON: an action of an entity on one of its records, with its parameters as the body; what it gives as its caller may see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from engine.context import Context
from engine.fields.base import Value
from engine.fields.values import Link
from engine.records import service
from engine.records.jsonshape import instant_json, record_json
from engine.records.query_labels import labels
from engine.records.record import ANY
from engine.rules.effects import Handle
from renderer.api.route import OneHop
from renderer.api.shapes import Body, RecordId, answer, confirmed, idempotency_key, json_object, version_if_given
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)


@router.post("/records/{entity}/{id}/actions/{action}", **guarded("read"))
def press(ctx: ApiContext, request: Request, entity: str, id: RecordId, action: str, body: Body) -> Response:
    """Run an action; ``confirm`` names the soft refusals to go on against, ``If-Match`` the version it was decided on."""
    version = version_if_given(request)
    acted = service.act(
        ctx,
        entity,
        id,
        action,
        json_object(body),
        confirmed=confirmed(request),
        version=ANY if version is None else version,
        idempotency_key=idempotency_key(request),
        json=True,
        whole=True,
    )
    record = acted.record
    shown = None if record is None else record_json(ctx.workspace, ctx.workspace.entities[entity], record)
    with ctx.reading() as reading:
        told = {"record": shown, "result": result_json(reading, acted.result)}
    return answer(told, **({} if record is None else {"ETag": f'"{record.version}"'}))


def result_json(ctx: Context, value: Value) -> Any:
    """What an action gave as JSON: a record as its entity, id and label, null where the caller may not see it. Needs an open connection."""
    if isinstance(value, Handle):
        label = labels(ctx, value.entity, {value.id}).get(value.id)
        return None if label is None else {"entity": value.entity, "id": value.id, "label": label}
    if isinstance(value, datetime):
        return instant_json(ctx.workspace, value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Link):
        return value.id
    if isinstance(value, Mapping):
        return {str(name): result_json(ctx, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [result_json(ctx, item) for item in value]
    return value
