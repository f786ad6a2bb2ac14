"""The door for messages from outside: small signed bodies, each taken once. Open to everybody; who has no key learns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from engine import intake
from engine.errors import Invalid
from engine.webhooks import Unsigned
from renderer.api.route import OneHop
from renderer.api.shapes import answer, json_object, refuse_repeats
from renderer.requests import Site, client_ip, guarded
from renderer.security import TooLarge

#: How deep JSON may be nested before its reader gives up; what is told, not what is counted.
_DEEPEST = 900
router = APIRouter(route_class=OneHop)


async def read_small_body(request: Request) -> bytes:
    """The body, read no further than a message may be. Raises TooLarge."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > intake.MOST_BYTES:
            raise TooLarge("body_too_large", limit=intake.MOST_BYTES)
    return bytes(found)


SmallBody = Annotated[bytes, Depends(read_small_body)]


@router.post("/intake/{ws}/{source}", **guarded(public=True))
def take_in(request: Request, ws: str, source: str, body: SmallBody) -> Response:
    """A message of a source, signed as the Standard Webhooks have it. 202 and a receipt, the same for a repetition of the same ``webhook-id``."""
    site: Site = request.app.state.site
    address = client_ip(site, request)
    site.strangers.take(address, count=False)
    try:
        ctx, number = intake.admitted(site.home, ws, source, request.headers, body)
    except Unsigned:
        site.strangers.take(address)
        raise
    return answer(intake.accept(ctx, source, number, body, _given(body)), 202)


def _given(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object that names nothing twice. Raises Invalid."""
    found = json_object(body)
    if found:
        try:
            refuse_repeats(body)
        except RecursionError:
            raise Invalid("body_too_deep", limit=_DEEPEST) from None
    return found
