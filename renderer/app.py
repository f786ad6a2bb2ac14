"""create_app: the one place where pages, API, plugins, assets and errors are wired together. Holds no rule of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from engine.errors import Denied, NotFound, Refusal
from engine.home import Home
from renderer import errors
from renderer.api import actions as actions_api
from renderer.api import asks as asks_api
from renderer.api import definitions as definitions_api
from renderer.api import intake as intake_api
from renderer.api import openapi as openapi_api
from renderer.api import records as records_api
from renderer.api import settings as settings_api
from renderer.api import work as work_api
from renderer.asset_store import AssetStore
from renderer.edge import PACKED_FROM, PACKED_LEVEL, Edge
from renderer.pages import (
    actions,
    apidocs,
    approvals,
    connectors,
    design,
    fields,
    frozen,
    health,
    imports,
    inbox,
    kitchen,
    list_tools,
    lists,
    many,
    outbox,
    people,
    plugins,
    privacy,
    record_forms,
    records,
    releases,
    replay,
    reveals,
    rules,
    search,
    session,
    settings,
    trial,
)
from renderer.pages import home as home_pages
from renderer.requests import Site, Visit, failed, refused
from renderer.security import PUBLIC, Pace, check_routes
from renderer.templates import Pages
from renderer.translations import preferred

API_PREFIXES = ("/api/", "/intake/")


class Application(FastAPI):
    """FastAPI looks at each request whether a telemetry of its own is set up; ours go to the edge at once, which counts them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)


def create_app(home: Home) -> FastAPI:
    """The application of an opened installation. Raises RuntimeError when a route carries no permission or assets are missing."""
    assets = AssetStore()
    if assets.missing:
        raise RuntimeError(f"static files are missing ({', '.join(assets.missing)}): run 'make setup' or 'python -m renderer.assets'")
    secure = home.settings.public_url.startswith("https://")
    app = Application(
        title="Tangram",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[Middleware(GZipMiddleware, minimum_size=PACKED_FROM, compresslevel=PACKED_LEVEL)],
        exception_handlers=dict.fromkeys((Refusal, HTTPException, Exception), _raised),
    )
    app.state.site = Site(home, Pages(assets, _plugin_templates(home)), Pace(), secure)
    _add_static(app, assets)
    for api in (records_api, actions_api, asks_api, definitions_api, settings_api, work_api, intake_api, openapi_api):
        app.router.routes.extend(api.router.routes)
    for module in page_modules():
        app.router.routes.extend(module.routes.found)
    check_routes(app.router.routes)
    limits = {"max_body": home.settings.max_body, "max_upload": home.settings.max_upload}
    app.middleware_stack = Edge(app.build_middleware_stack(), app.router.routes, told, secure=secure, **limits)
    return app


def _plugin_templates(home: Home) -> dict[str, Path]:
    """Plugin name -> its folder of field macros and panels."""
    return {name: plugin.templates for name, plugin in home.registry.manifests.items() if plugin.templates is not None}


def page_modules() -> Iterable[object]:
    """The modules of pages, each with its ``routes``; those asked most often first, since routes are tried in order; of two that fit one address the
    more exact stands first (``/new`` before a record's number)."""
    return (
        lists,
        record_forms,
        records,
        actions,
        session,
        health,
        home_pages,
        list_tools,
        many,
        search,
        inbox,
        approvals,
        people,
        fields,
        imports,
        design,
        releases,
        settings,
        rules,
        trial,
        replay,
        reveals,
        frozen,
        privacy,
        plugins,
        outbox,
        connectors,
        apidocs,
        kitchen,
    )


def _add_static(app: FastAPI, assets: AssetStore) -> None:
    async def static(request: Request) -> Response:
        return assets.respond(request, request.path_params["name"]) or PlainTextResponse("not found", 404)

    async def favicon(request: Request) -> Response:
        return assets.respond(request, assets.url("favicon.svg").removeprefix("/static/")) or PlainTextResponse("not found", 404)

    for path, endpoint in (("/static/{name}", static), ("/favicon.ico", favicon)):
        endpoint.permission = PUBLIC  # type: ignore[attr-defined]
        app.router.add_route(path, endpoint, methods=["GET"])


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(API_PREFIXES)


def told(request: Request, error: Exception) -> Response:
    """The answer of whatever was raised outside a page's own handler: unknown addresses, wrong methods, refusals and failures of the API."""
    if isinstance(error, Refusal):
        if _is_api(request):
            return errors.problem_response(error, preferred(request.headers.get("accept-language", "")), getattr(request.state, "context", None))
        return refused(_visit(request), error)
    if isinstance(error, HTTPException):
        return _told_http(request, error)
    if not _is_api(request):
        return failed(_visit(request), error)
    number = errors.note_failure(error, f"{request.method} {request.url.path}")
    body = errors.failure_problem(number, preferred(request.headers.get("accept-language", "")))
    return JSONResponse(body, 500, media_type="application/problem+json")


def _told_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        return told(request, NotFound("no_such_page"))
    if error.status_code == 405:
        response = told(request, Denied("method_not_allowed"))
        response.headers.update(error.headers or {})
        return response
    return PlainTextResponse(str(error.detail), error.status_code)


async def _raised(request: Request, error: Exception) -> Response:
    return told(request, error)


def _visit(request: Request) -> Visit:
    return Visit(request, request.app.state.site, preferred(request.headers.get("accept-language", "")), PUBLIC)
