"""How an API call reaches its handler: body first, then context, arguments and handler together in one thread. Knows no record and no right.

FastAPI sends every synchronous dependency through the thread pool by itself, which costs more than most reads; here they follow each other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute

Given = Callable[[Request], Any]


class OneHop(APIRoute):
    """A route whose parameters are the request, texts of the path, and dependencies of the request alone. With others FastAPI's own way is taken.

    ``direct``: what the edge (edge.py) calls; None where FastAPI must solve the rest.
    """

    direct: Callable[[Request], Coroutine[Any, Any, Response]] | None = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler FastAPI calls."""
        plain, awaited = _parameters(self.endpoint)
        if plain is None:
            return super().get_route_handler()
        endpoint = self.endpoint

        def answer(request: Request, given: Mapping[str, Any]) -> Response:
            found: Response = endpoint(**given, **{name: read(request) for name, read in plain.items()})
            return found

        async def handle(request: Request) -> Response:
            given = {name: await read(request) for name, read in awaited.items()} if awaited else {}
            found: Response = await request.app.state.site.in_thread(answer, request, given)
            return found

        self.direct = handle
        return handle


def _parameters(endpoint: Callable[..., Any]) -> tuple[dict[str, Given] | None, dict[str, Given]]:
    """How each parameter is had from the request: at once, or awaited; no mapping where one cannot be had so."""
    plain: dict[str, Given] = {}
    awaited: dict[str, Given] = {}
    hints = get_type_hints(endpoint, include_extras=True)
    for name, parameter in inspect.signature(endpoint).parameters.items():
        read = _dependency(hints[name])
        if hints[name] is Request:
            plain[name] = _itself
        elif hints[name] is str and parameter.default is inspect.Parameter.empty:
            plain[name] = _path_text(name)
        elif read is None or inspect.isasyncgenfunction(read) or inspect.isgeneratorfunction(read):
            return None, {}
        elif inspect.iscoroutinefunction(read):
            awaited[name] = read
        else:
            plain[name] = read
    return (None, {}) if inspect.iscoroutinefunction(endpoint) else (plain, awaited)


def _dependency(hint: Any) -> Given | None:
    """The function of a dependency that asks for nothing but the request."""
    if get_origin(hint) is not Annotated:
        return None
    found = next((item.dependency for item in get_args(hint)[1:] if isinstance(item, Depends)), None)
    return found if found is not None and list(inspect.signature(found).parameters) == ["request"] else None


def _itself(request: Request) -> Request:
    return request


def _path_text(name: str) -> Given:
    return lambda request: str(request.path_params[name])
