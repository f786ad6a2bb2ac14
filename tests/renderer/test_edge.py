"""The outermost layer: what every answer carries, however it was made, and which route a request is led to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from renderer.api.route import OneHop
from renderer.edge import Directory
from renderer.metrics import COUNTS
from renderer.security import HEADERS

Client = Callable[..., TestClient]


def _scope(path: str, method: str = "GET") -> dict[str, object]:
    return {"type": "http", "path": path, "method": method, "root_path": ""}


def _route(path: str, *methods: str) -> Route:
    async def endpoint(request: Request) -> Response:
        return Response(path)

    return Route(path, endpoint, methods=list(methods) or ["GET"])


def test_a_request_goes_to_the_first_route_that_fits_its_address_and_method():
    made = [
        _route("/w/{ws}/r/{entity}/new"),
        _route("/w/{ws}/r/{entity}/{id:int}"),
        _route("/w/{ws}/r/{entity}/{id:int}", "POST"),
        _route("/{name}"),
        _route("/"),
    ]
    directory = Directory(made)
    found = {}
    for path, method in (("/w/a/r/b/new", "GET"), ("/w/a/r/b/7", "GET"), ("/w/a/r/b/7", "POST"), ("/", "GET"), ("/w/a/r/b/7", "DELETE"), ("/w/a/r/b/x", "GET")):
        scope = _scope(path, method)
        answer = directory.find(scope)
        found[path, method] = (
            next((route.path for route in made if route.endpoint is answer and method in (route.methods or ())), None),
            scope.get("path_params"),
        )
    assert found == {
        ("/w/a/r/b/new", "GET"): ("/w/{ws}/r/{entity}/new", {"ws": "a", "entity": "b"}),
        ("/w/a/r/b/7", "GET"): ("/w/{ws}/r/{entity}/{id:int}", {"ws": "a", "entity": "b", "id": 7}),
        ("/w/a/r/b/7", "POST"): ("/w/{ws}/r/{entity}/{id:int}", {"ws": "a", "entity": "b", "id": 7}),
        ("/", "GET"): ("/", {}),
        ("/w/a/r/b/7", "DELETE"): (None, None),
        ("/w/a/r/b/x", "GET"): (None, None),
    }


def test_every_route_but_those_that_take_a_file_is_led_to_directly(application: FastAPI):
    detours = {route.path for route in application.router.routes if isinstance(route, OneHop) and route.direct is None}  # type: ignore[attr-defined]
    assert detours == {"/api/{ws}/imports/{entity}", "/api/{ws}/files"}


def test_security_headers_stand_on_answers_of_pages_api_refusals_and_unknown_addresses(client_of: Client):
    client = client_of()
    for path, status in (("/login", 200), ("/api/clinic/records/patient", 401), ("/api/nowhere", 404), ("/nowhere/at/all", 404), ("/healthz", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert client.put("/login").status_code == 405 and client.put("/login").headers["allow"]


def test_a_body_longer_than_allowed_is_refused_whatever_it_says_of_its_length(client_of: Client):
    def long() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 65536

    told = client_of().post("/api/clinic/records/patient", content=b"x" * (3 << 20))
    grown = client_of().post("/api/clinic/records/patient", content=long())
    assert (told.status_code, told.json()["code"], told.headers["connection"]) == (413, "body_too_large", "close")
    assert (grown.status_code, grown.json()["code"]) == (413, "body_too_large")
    assert client_of().post("/login", content=long(), headers={"content-type": "application/x-www-form-urlencoded"}).status_code == 413


def test_large_answers_are_packed_for_who_takes_them_packed(client_of: Client):
    client = client_of()
    packed, plain = client.get("/login", headers={"accept-encoding": "gzip"}), client.get("/login", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and int(packed.headers["content-length"]) < len(plain.content)
    assert "content-encoding" not in plain.headers and "Accept-Encoding" in plain.headers["vary"] and "Accept-Encoding" in packed.headers["vary"]
    small = client.get("/healthz", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers and "Accept-Encoding" not in small.headers.get("vary", "")


def test_each_answer_is_counted_once(client_of: Client):
    client = client_of()

    def counted() -> dict[str, int]:
        return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in COUNTS.text().splitlines() if line.startswith("tangram_requests_total{")}

    before = counted()
    for path in ("/healthz", "/api/nowhere", "/nowhere/at/all"):
        client.get(path)
    after = counted()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        'tangram_requests_total{method="GET",status="2xx"}': 1,
        'tangram_requests_total{method="GET",status="4xx"}': 2,
    }
