"""The outermost layer: counts, limits bodies, puts the security headers on every answer, and leads a request to our own route without a detour.

FastAPI's layers stand behind it for what no route of ours answers by itself: unknown addresses, wrong methods, dependencies that need its solver.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.middleware.gzip import GZipResponder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from renderer.metrics import COUNTS
from renderer.security import SAFE_METHODS, TooLarge, security_headers

#: Answers smaller than this are not worth compressing; the level is where time and size meet for pages of some 30 kB.
PACKED_FROM, PACKED_LEVEL = 700, 4
Answer = Callable[[Request], Awaitable[Response]]
Told = Callable[[Request, Exception], Response]


class Edge:
    """``told`` gives the answer of anything raised. ``max_upload`` is for forms with files, ``max_body`` for all other bodies, in bytes."""

    def __init__(self, inner: ASGIApp, routes: Iterable[BaseRoute], told: Told, *, max_body: int, max_upload: int, secure: bool) -> None:
        self._inner, self._told, self._max_body, self._max_upload = inner, told, max_body, max_upload
        self._raw = [(name.lower().encode(), value.encode()) for name, value in security_headers(secure).items()]
        self._names = {name for name, _ in self._raw}
        self._directory = Directory(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                own = self._raw if self._names.isdisjoint(there) else [header for header in self._raw if header[0] not in there]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        try:
            await self._lead(scope, receive, headed)
        finally:
            COUNTS.note(scope["method"], status, time.perf_counter() - began)

    async def _lead(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To our own route, else to FastAPI; nobody reads more of a body than is allowed."""
        headers = dict(reversed(scope["headers"]))  # of a header sent twice the first counts, as for those who read it later
        limit = self._max_upload if headers.get(b"content-type", b"").startswith(b"multipart/form-data") else self._max_body
        length = headers.get(b"content-length", b"0")
        request = Request(scope, receive if scope["method"] in SAFE_METHODS else _counted(receive, limit))
        if not length.isdigit() or int(length) > limit:
            response = self._told(request, TooLarge("body_too_large", limit=limit))
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        answer = self._directory.find(scope)
        if answer is None:
            await self._inner(scope, request.receive, send)
            return
        try:
            response = await answer(request)
        except Exception as error:  # the edge: a refusal or a mistake of ours becomes an answer
            response = self._told(request, error)
        await (_packed(response) if b"gzip" in headers.get(b"accept-encoding", b"") else _plain(response))(scope, request.receive, send)


def _counted(receive: Receive, limit: int) -> Receive:
    """A body that ends with TooLarge when it is longer than it may be, whatever was said of its length."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLarge("body_too_large", limit=limit)
        return message

    return counted


def _packed(response: Response) -> ASGIApp:
    return GZipResponder(response, PACKED_FROM, compresslevel=PACKED_LEVEL)


def _plain(response: Response) -> ASGIApp:
    """An answer that would be another one for who takes it packed says so."""
    if len(getattr(response, "body", b"")) >= PACKED_FROM:
        response.headers.add_vary_header("Accept-Encoding")
    return response


class Directory:
    """Our own routes by method and the shape of their addresses, so that a request is compared with the few that can be meant.

    A route is our own when it makes its answer from the request alone: a page's, or an API route that needs no solver (``direct``).
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._found: dict[tuple[str, int, str, str], list[tuple[Route, Answer]]] = {}
        for route in routes:
            answer = getattr(route, "direct", None) or (route.endpoint if type(route) is Route else None)
            if isinstance(route, Route) and answer is not None and ":path}" not in route.path:
                for method in route.methods or ():
                    self._found.setdefault((method, *_shape(route.path)), []).append((route, answer))

    def find(self, scope: Scope) -> Answer | None:
        """The answer of the first route that fits, which is noted in the scope; None when none does."""
        method, (count, first, third) = scope["method"], _shape(scope["path"])
        for key in ((method, count, first, third), (method, count, first, "{")):
            for route, answer in self._found.get(key, ()):
                match, more = route.matches(scope)
                if match is Match.FULL:
                    scope.update(more)
                    return answer
        return None


def _shape(path: str) -> tuple[int, str, str]:
    """How many words, the first and the third; a place for any word counts as ``{``."""
    words = path.split("/")
    third = words[3] if len(words) > 3 else ""
    return len(words), words[1] if len(words) > 1 else "", "{" if third.startswith("{") else third
