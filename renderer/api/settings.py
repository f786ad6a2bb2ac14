"""Settings of a workspace over JSON: their values in force and to come, one with its history, and setting a value from an instant on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from engine import settings_values
from engine.context import Context
from engine.errors import Fault, Invalid
from engine.records.jsonshape import instant_json
from engine.settings_values import Change, Current
from metadata.text import label_text
from renderer.api.definitions import EARLIEST, LATEST
from renderer.api.route import OneHop
from renderer.api.shapes import Body, answer, json_object, refuse_repeats
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)


@router.get("/settings", **guarded(right="settings"))
def list_settings(ctx: ApiContext) -> Response:
    """All settings with their values in force."""
    return answer({"items": [_setting(ctx, item) for item in settings_values.current(ctx)]})


@router.get("/settings/{key}", **guarded(right="settings"))
def get_setting(ctx: ApiContext, key: str) -> Response:
    """One setting with every value it was given, the newest in force first."""
    item = settings_values.current_of(ctx, key)
    return answer({**_setting(ctx, item), "history": [_change(ctx, change) for change in settings_values.history(ctx, key)]})


@router.put("/settings/{key}", **guarded(right="settings"))
def set_setting(ctx: ApiContext, key: str, body: Body) -> Response:
    """Set a value from ``in_force_from`` on (at once when it is not given); ``confirmed`` when more than a tenth of the records change."""
    given = json_object(body)
    refuse_repeats(body)
    faults = [Fault("/value", "required")] if "value" not in given else []
    faults += [Fault(f"/{name}", "wrong_kind") for name in given if name not in ("value", "in_force_from", "confirmed")]
    confirmed = given.get("confirmed", False)
    if not isinstance(confirmed, bool):
        faults.append(Fault("/confirmed", "wrong_kind"))
    if faults:
        raise Invalid("invalid", faults=faults)
    change = settings_values.set_value(ctx, key, given["value"], _instant(ctx, given.get("in_force_from")), confirmed=confirmed)
    return answer(_change(ctx, change))


def _instant(ctx: Context, given: object) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given if isinstance(given, str) else "")
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=ctx.workspace.timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("invalid", faults=[Fault("/in_force_from", "instant_invalid")]) from None
    if not EARLIEST <= moment <= LATEST:
        raise Invalid("invalid", faults=[Fault("/in_force_from", "instant_invalid")])
    return moment


def _setting(ctx: Context, item: Current) -> dict[str, Any]:
    setting = item.setting
    return {
        "key": setting.key,
        "title": label_text(setting.title, ctx.locale, setting.key),
        "type": setting.type,
        "value": item.value,
        "default": setting.default,
        "in_force_from": instant_json(ctx.workspace, item.change.in_force_from) if item.change else None,
        "coming": [_change(ctx, change) for change in item.coming],
    }


def _change(ctx: Context, change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "value": change.value,
        "in_force_from": instant_json(ctx.workspace, change.in_force_from),
        "at": instant_json(ctx.workspace, change.at),
        "by": change.by,
    }
