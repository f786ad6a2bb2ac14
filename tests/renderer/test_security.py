"""Doors, headers, tokens, limits: what every request and every answer is held to."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from engine.errors import Unavailable
from renderer.security import PUBLIC, PUBLIC_ROUTES, Pace, check_routes, csrf_matches, make_csrf, permission_of


def _token(client, path="/w/clinic/l/my_patients") -> str:
    return re.search(r'name="csrf" content="([^"]+)"', client.get(path).text)[1]


def test_every_route_carries_a_permission_and_open_ones_are_listed(application):
    check_routes(application.router.routes)
    opened = {route.path for route in application.router.routes if permission_of(route) and permission_of(route).door == "public"}
    assert opened <= PUBLIC_ROUTES


def test_a_route_without_permission_stops_the_start():
    async def endpoint(request):
        return None

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.append(Route("/x", endpoint))
    with pytest.raises(RuntimeError, match="/x carries no permission"):
        check_routes(app.router.routes)
    endpoint.permission = PUBLIC
    with pytest.raises(RuntimeError, match="/x is open to everybody"):
        check_routes(app.router.routes)


@pytest.mark.parametrize("path", ["/w/clinic/", "/w/clinic/l/patients", "/w/clinic/search", "/w/clinic/people", "/w/clinic/l/patients/export", "/account"])
def test_nobody_is_led_to_the_login_and_back(client_of, path):
    answer = client_of().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")


def test_a_workspace_one_does_not_belong_to_is_not_there(client_of):
    assert client_of("dora").get("/w/other/").status_code == 404


def test_a_right_is_asked_before_anything_is_done(client_of):
    assert client_of("dora").get("/w/clinic/people").status_code == 403
    assert client_of("anna").get("/w/clinic/people").status_code == 200


def test_every_answer_carries_the_headers_and_no_page_is_stored(client_of):
    client = client_of("dora")
    for path in ("/login", "/w/clinic/", "/w/clinic/l/my_patients", "/nowhere", "/w/clinic/l/unknown"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_style_or_handler(client_of):
    client = client_of("anna")
    for path in (
        "/login",
        "/w/clinic/",
        "/w/clinic/l/patients",
        "/w/clinic/l/board",
        "/w/clinic/l/days",
        "/w/clinic/people",
        "/w/clinic/people/rights",
        "/_kitchen",
    ):
        html = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", html), path
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", html), path
        assert "<style" not in html


def test_assets_are_immutable_compressed_and_named_by_content(client_of):
    client = client_of()
    name = re.search(r"/static/app\.[0-9a-f]{10}\.css", client.get("/login").text)[0]
    answer = client.get(name, headers={"accept-encoding": "gzip"})
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert client.get("/static/app.css").status_code == 404


def test_pages_are_compressed(client_of):
    assert client_of("dora").get("/w/clinic/l/my_patients", headers={"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_a_change_needs_our_token_and_our_origin(client_of):
    client = client_of("dora")
    address = "/w/clinic/l/my_patients/2/grade"
    assert client.post(address, data={"grade": "a", "version": "1"}).status_code == 403
    token = _token(client)
    wrong = {"x-csrf-token": token, "sec-fetch-site": "cross-site"}
    assert client.post(address, data={"grade": "a", "version": "1"}, headers=wrong).status_code == 403
    foreign = {"x-csrf-token": _token(client_of("denis"), "/w/clinic/l/board"), "sec-fetch-site": "same-origin"}
    assert client.post(address, data={"grade": "a", "version": "1"}, headers=foreign).status_code == 403


def test_a_token_belongs_to_its_session_and_differs_each_time():
    one, two = make_csrf("secret"), make_csrf("secret")
    assert one != two
    assert csrf_matches("secret", one) and csrf_matches("secret", two)
    assert not csrf_matches("other", one)
    assert not csrf_matches("", one) and not csrf_matches("secret", "") and not csrf_matches("secret", "x.é")


def test_a_body_over_the_limit_is_refused_before_it_is_read(client_of):
    answer = client_of().post("/login", content=b"x" * (3 * 1024 * 1024), headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 413


def test_pace_lets_so_many_through_and_says_how_long_to_wait():
    pace = Pace(3, 60)
    for _ in range(3):
        pace.take("a")
    with pytest.raises(Unavailable) as caught:
        pace.take("a")
    assert 0 < caught.value.params["retry_after"] <= 60
    pace.take("b")


def test_one_click_people_are_offered_on_this_machine_only(client_of):
    client = client_of()
    assert "多拉" in client.get("/login").text
    assert "多拉" not in client.get("/login", headers={"host": "crm.example.cn"}).text
    assert "多拉" not in client.get("/login", headers={"x-forwarded-for": "127.0.0.1"}).text


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_after_login_nobody_is_sent_elsewhere(client_of, wanted):
    client = client_of()
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)[1]
    answer = client.post("/login/as", data={"csrf": token, "workspace": "clinic", "login": "dora", "next": wanted})
    assert answer.headers["location"] == "/w/clinic/"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "' or 1=1 --", "{{7*7}}", "\x00", "a" * 500, "()", "%", "字" * 70])
def test_hostile_words_in_addresses_are_answers_not_failures(client_of, text):
    client = client_of("dora")
    for params in (
        {"q": text},
        {"where": text},
        {"sort": text},
        {"stage": text},
        {"cursor": text},
        {"view": text},
        {"page": text},
        {"fields": text},
        {"due": text},
    ):
        answer = client.get("/w/clinic/l/my_patients", params=params)
        assert answer.status_code in (200, 404, 422), (params, answer.status_code)
        assert "<script>alert" not in answer.text
    assert client.get("/w/clinic/search", params={"q": text}).status_code in (200, 429)


def test_an_error_page_speaks_the_readers_language_and_a_failure_has_a_number(client_of, application):
    client = client_of("dora")
    assert "没有这个列表" in client.get("/w/clinic/l/nothing").text
    assert "no such list" in client.get("/w/clinic/l/nothing", headers={"cookie": f"tangram={client.cookies['tangram']}; tangram-locale=en"}).text
