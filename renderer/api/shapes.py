"""Bodies in and out of the JSON API: strict reading, orjson answers, versions from headers. Knows no entity."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from engine.errors import Fault, Invalid, NotFound, Unavailable
from engine.records.record import LARGEST_ID, is_id
from renderer.security import TooLarge

_ETAG = re.compile(r'^(?:W/)?"([0-9]{1,18})"$')
#: Soft refusals one call may go on against.
CONFIRMED_AT_MOST = 20
#: Query parameters of a list that are not fields.
OWN_PARAMETERS = frozenset({"where", "sort", "fields", "limit", "cursor", "count", "search"})


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """A JSON answer; personal data is never stored by anybody between."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers={"Cache-Control": "no-store", **headers})


async def read_body(request: Request) -> bytes:
    """The request's body, as large as JSON may be: the limit for files is for routes that take one. Raises TooLarge."""
    body, limit = await request.body(), request.app.state.site.home.settings.max_body
    if len(body) > limit:
        raise TooLarge("body_too_large", limit=limit)
    return body


Body = Annotated[bytes, Depends(read_body)]


async def read_upload(request: Request) -> AsyncIterator[UploadFile]:
    """The file sent in the part ``file``; read only once the caller is known, gone when the request ends. Raises Invalid without one."""
    try:
        form = await request.form(max_files=1, max_fields=20)
    except HTTPException as wrong:
        raise Invalid("upload_missing") from wrong
    found = form.get("file")
    if not isinstance(found, UploadFile):
        raise Invalid("upload_missing", faults=[Fault("/file", "upload_missing")])
    yield found
    await form.close()


Upload = Annotated[UploadFile, Depends(read_upload)]


def _number(name: str, code: str) -> Callable[[Request], int]:
    def read(request: Request) -> int:
        given = str(request.path_params[name])
        if not (given.isascii() and given.isdigit() and len(given) < 20 and 0 < int(given) <= LARGEST_ID):
            raise NotFound(code, id=given[:20])
        return int(given)

    return read


#: Numbers in paths. What cannot be an id is as little there as an id nobody has.
RecordId = Annotated[int, Depends(_number("id", "no_such_record"))]
BatchId = Annotated[int, Depends(_number("batch", "unknown_import"))]
AskId = Annotated[int, Depends(_number("ask", "unknown_ask"))]
JobId = Annotated[int, Depends(_number("job", "unknown_job"))]
FileId = Annotated[int, Depends(_number("number", "unknown_file"))]


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises Invalid when it is none, is not UTF-8, or holds numbers JSON does not know."""
    found = json_value(body)
    if not isinstance(found, dict):
        raise Invalid("body_not_object")
    return found


def json_value(body: bytes) -> Any:
    """The body as JSON; empty counts as an empty object."""
    if not body.strip():
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        raise Invalid("body_not_json", line=wrong.lineno, column=wrong.colno) from wrong


def refuse_repeats(body: bytes) -> None:
    """Raises Invalid when an object names a key twice: in definitions the last one must not quietly win."""

    def pairs(found: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in found]
        for name in names:
            if names.count(name) > 1:
                raise Invalid("body_repeats", name=name[:60])

    json.loads(body, object_pairs_hook=pairs)


def version_of(request: Request, body: dict[str, Any]) -> int:
    """The version a change is based on, from ``If-Match`` or the body's ``version``. Raises Invalid (428 at the edge) without one."""
    header = request.headers.get("if-match")
    given = body.pop("version", None)
    if header is not None:
        match = _ETAG.match(header.strip())
        if match is None:
            raise Invalid("version_wrong", faults=[Fault("/version", "version_wrong", {"given": header[:40]})])
        return int(match[1])
    if given is None:
        raise VersionMissing("version_missing")
    if not is_id(given):
        raise Invalid("version_wrong", faults=[Fault("/version", "version_wrong", {"given": str(given)[:40]})])
    return given


def version_if_given(request: Request) -> int | None:
    """The version in ``If-Match``, where a call may also do without."""
    return version_of(request, {}) if "if-match" in request.headers else None


def idempotency_key(request: Request) -> str | None:
    """The header by which a repeated call is known. Raises Invalid for one that is empty or too long."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= 200:
        raise Invalid("idempotency_key_wrong")
    return key


def confirmed(request: Request) -> tuple[str, ...]:
    """The codes of soft refusals this call goes on against."""
    if not request.scope["query_string"]:
        return ()
    return tuple(code for code in request.query_params.getlist("confirm")[:CONFIRMED_AT_MOST] if code)


class VersionMissing(Unavailable):
    """A change without the version it is based on (428)."""


def texts(parameters: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A comma-separated query parameter as a tuple of its parts."""
    return _parts(parameters.get(name, ""))


@lru_cache(maxsize=256)
def _parts(text: str) -> tuple[str, ...]:
    """Kept, since programs ask for the same fields again and again; and a key made of the same tuple is found by identity."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A query parameter as an integer within bounds. Raises Invalid."""
    given = parameters.get(name)
    if given is None or given == "":
        return default
    try:
        value = int(given)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise Invalid("parameter_wrong", faults=[Fault(f"/{name}", "parameter_range", {"name": name, "least": least, "most": most})])
    return value


def truth(parameters: Mapping[str, str], name: str) -> bool:
    """A query parameter as yes or no."""
    return parameters.get(name, "").lower() in ("1", "true", "yes", "exact")
