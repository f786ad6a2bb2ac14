"""From the families of refusal to answers: status, JSON problem, full page or htmx toast, in the reader's language. Causes nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any

import orjson
from starlette.responses import Response

from engine.context import Context
from engine.drafts import DraftState
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound, NotLoggedIn, Refusal, Unavailable
from engine.messages import sentence, told, told_together
from engine.records.jsonshape import record_json
from engine.records.record import Record
from engine.webhooks import Unsigned
from renderer.security import TooLarge

log = logging.getLogger("tangram.request")

_FAMILIES: tuple[tuple[type[Refusal], int], ...] = (
    (NotLoggedIn, 401),
    (Unsigned, 401),
    (TooLarge, 413),
    (Invalid, 422),
    (Denied, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
)
_CODES = {"too_many_attempts": 429, "version_missing": 428, "database_full": 507, "csrf_failed": 403, "method_not_allowed": 405}
_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    428: "Precondition Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    if refusal.code in _CODES:
        return _CODES[refusal.code]
    if refusal.soft_codes:
        return 409
    return next((status for family, status in _FAMILIES if isinstance(refusal, family)), 500)


def problem(refusal: Refusal, locale: str, ctx: Context | None = None) -> dict[str, Any]:
    """The problem document (RFC 9457) of a refusal. ``ctx``: whose request it was; what stands now is told in the form they read it in."""
    status, soft = status_of(refusal), refusal.soft_codes
    code = soft[0] if soft else refusal.code
    found: dict[str, Any] = {
        "type": f"urn:tangram:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": told_together(refusal, locale) if soft else told(refusal, locale),
        "code": code,
        **({"soft": True} if soft else {}),
        "errors": told_errors(refusal.faults or (Fault("", refusal.code, refusal.params),), locale),
    }
    found.update((name, refusal.params[name]) for name in ("mine", "count", "limit", "version") if name in refusal.params)
    current = refusal.params.get("current")
    compiled = ctx.workspace.entities.get(str(refusal.params.get("entity"))) if ctx is not None else None
    if isinstance(current, Record) and ctx is not None and compiled is not None:
        found["current"] = record_json(ctx.workspace, compiled, current)
    elif isinstance(current, DraftState):
        found["current"] = {"kind": current.kind, "key": current.key, "number": current.number, "document": current.document}
    return found


def told_errors(faults: Iterable[Fault], locale: str) -> list[dict[str, Any]]:
    """Faults as the ``errors`` of a problem: pointer, code, message, and where in a text given there."""
    return [
        {
            "pointer": fault.pointer,
            "code": fault.code,
            "message": sentence(fault.code, fault.params, locale),
            **({"column": fault.params["column"]} if isinstance(fault.params.get("column"), int) else {}),
        }
        for fault in faults
    ]


def problem_response(refusal: Refusal, locale: str, ctx: Context | None = None) -> Response:
    """The JSON answer of a refusal."""
    return Response(orjson.dumps(problem(refusal, locale, ctx)), status_of(refusal), headers(refusal), "application/problem+json")


def headers(refusal: Refusal) -> dict[str, str]:
    """Headers a refusal brings along."""
    found = {"Cache-Control": "no-store"}
    if "retry_after" in refusal.params:
        found["Retry-After"] = str(refusal.params["retry_after"])
    return found


def note_failure(error: BaseException, where: str) -> str:
    """Log a programming mistake with its cause chain; gives the id people can quote."""
    number = token_hex(4)
    log.error("%s failed, id %s", where, number, exc_info=error)
    return number


def failure_problem(number: str, locale: str) -> Mapping[str, Any]:
    """The problem document of a failure that is ours."""
    return {
        "type": "urn:tangram:failure",
        "title": _TITLES[500],
        "status": 500,
        "detail": sentence("failure", {"id": number}, locale),
        "code": "failure",
        "id": number,
        "errors": [],
    }
