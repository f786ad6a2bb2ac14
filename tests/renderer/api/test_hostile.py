"""No input brings the API down: whatever is sent, the answer is below 500, and a refusal says where, which code and why, in Chinese and in English."""

import os
import random
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.renderer.api.shop import THING, Caller, Response, Shop

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
EXAMPLES = 3000 if FULL else 120
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=not FULL, suppress_health_check=list(HealthCheck))

HOSTILE = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ufeff",
    "𠮷野家",
    "👨‍👩‍👧‍👦",
    "é" * 500,
    "张" * 3000,
    "'; drop table r_customer; --",
    '" or 1=1 --',
    "') or ('1'='1",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "{{7*7}}",
    "{% raw %}",
    "${7*7}",
    "{name}",
    "%(x)s",
    "%s%n",
    "../../etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "__proto__",
    "constructor",
    "null",
    "None",
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "0x10",
    "9" * 40,
    "-" + "9" * 40,
    "99999999999999999999",
    "-1",
    "1.0",
    "true",
    "٣",
    "１２",
    "\u0600",
    "\r\nSet-Cookie: a=b",
    "a,b,,c",
    "-a,-a",
    "*",
    "me",
    "name",
    "secret",
    "id",
    "created_at",
    "2026-02-30",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "13800138000",
    "1380013",
    "%",
    "_",
    "\\",
    "/",
    "[]",
    "{}",
    "(" * 200,
    "not " * 300 + "true",
    "name == '" + "x" * 3000 + "'",
    "budget > " + "9" * 400,
    "name == '\x00'",
    "phone == '\x00'",
    "budget == 1e999",
    "contains(name, '%')",
    "startswith(name, '\\\\')",
    "born > '0000-01-01'",
    "next_at > '9999-99-99'",
    "budget + " * 150 + "1 > 0",
    "budget * 999999999999999 > 0",
    "budget / 0 > 1",
    "lucky % 0 == 1",
    "add_days(now(), 999999999) > now()",
    "9223372036854775807 == lucky",
    "lucky == -9223372036854775809",
    "[1][0]",
    "name[0] == 'x'",
    "(lambda: 1)()",
    "customer.owner.team.lead.team == 1",
    "owner.name == 'x'",
    "length(name) > 99999999999999999999",
    "'a' in name",
    "tags == ['a']",
    "has(tags, '\x00')",
    "1 if true else 2",
    "f'{name}'",
    "a := 1",
    'name == "\ud7ff"',
)
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from((2**63 - 1, 2**63, -(2**63), 2**53, 10**30, 0, -1, 1)), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
ENTITIES = ("customer", "visit", "order", "share", "thing", "person", "team", "log", "nothing")
FIELDS = (
    "name",
    "phone",
    "grade",
    "budget",
    "next_at",
    "born",
    "lucky",
    "tags",
    "owner",
    "secret",
    "channel",
    "detail",
    "merged",
    "visits",
    "warm",
    "due_at",
    "customer",
    "at",
    "score",
    "title",
    "share",
    "who",
    "bp",
    "text",
    "rich",
    "whole",
    "exact",
    "price",
    "yes",
    "day",
    "until",
    "span",
    "grades",
    "parent",
    "near",
    "all",
    "group",
    "mail",
    "site",
    "card",
    "place",
    "street",
    "paper",
    "papers",
    "photo",
    "data",
    "no",
    "id",
    "version",
    "created_at",
    "deleted_at",
    "login",
    "roles",
    "active",
    "ends_at",
    "lead",
)
NAMES = st.one_of(st.sampled_from(FIELDS), TEXT)
IDS = st.one_of(
    st.integers(1, 6).map(str),
    st.sampled_from(("0", "-1", "abc", "1.5", "99999999999999999999", "9223372036854775808", "%00", "１", "1e3", "+1", " 1", "null")),
)
BODIES = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=6),
    VALUES,
    st.fixed_dictionaries({"version": st.one_of(st.integers(1, 3), VALUES)}, optional=dict.fromkeys(FIELDS[:12], VALUES)),
    st.fixed_dictionaries({"rows": st.one_of(VALUES, st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3))}),
    st.fixed_dictionaries({"document": VALUES, "number": VALUES}),
    st.fixed_dictionaries({"now": VALUES}),
    st.fixed_dictionaries({"digest": VALUES, "note": VALUES}),
    st.fixed_dictionaries({}, optional={"at": VALUES, "who": VALUES, "price": VALUES, "words": VALUES}),
    st.fixed_dictionaries({"approve": st.one_of(st.booleans(), VALUES)}, optional={"opinion": VALUES, "values": VALUES, "person": VALUES}),
)
RAW = st.sampled_from(
    (
        b"",
        b" ",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b"NaN",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "\xff"}',
        b'{"name": 1, "name": 2}',
        b'"x"',
        b"5",
        b"null",
        b"\xef\xbb\xbf{}",
        b'{"budget": 1e400}',
        b'{"budget": ' + b"9" * 5000 + b"}",
        b'{"name": "\\u0000"}',
        b"\x00",
        b'{"text": "' + b"x" * 500_000 + b'"}',
        b"a=1&b=2",
    )
)
QUERY = st.dictionaries(
    st.one_of(st.sampled_from(("where", "sort", "fields", "limit", "cursor", "count", "search", "after", "outcome", "dry")), NAMES), TEXT, max_size=4
)
HEADERS = st.dictionaries(
    st.sampled_from(("If-Match", "Idempotency-Key", "Accept-Language", "Content-Type")),
    st.one_of(
        st.sampled_from(
            (
                '"1"',
                '"2"',
                'W/"1"',
                "1",
                '"99999999999999999999"',
                "*",
                "en",
                "zh;q=x",
                ",,,;;;",
                "application/json",
                "text/html",
                "multipart/form-data; boundary=",
                "x" * 300,
            )
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    ),
    max_size=3,
)
PATHS = st.one_of(
    st.tuples(st.sampled_from(ENTITIES)).map(lambda part: f"/records/{part[0]}"),
    st.tuples(
        st.sampled_from(ENTITIES),
        IDS,
        st.sampled_from(("", "", "", "/timeline", "/restore", "/actions/reopen", "/actions/call", "/actions/offer", "/actions/visit.call")),
    ).map(lambda part: f"/records/{part[0]}/{part[1]}{part[2]}"),
    st.sampled_from(ENTITIES).map(lambda entity: f"/bulk/{entity}"),
    st.sampled_from(ENTITIES).map(lambda entity: f"/schema/{entity}"),
    st.sampled_from(ENTITIES).map(lambda entity: f"/imports/{entity}"),
    st.tuples(IDS, st.sampled_from(("rows", "undo"))).map(lambda part: f"/imports/{part[0]}/{part[1]}"),
    IDS.map(lambda one: f"/jobs/{one}"),
    st.tuples(IDS, st.sampled_from(("", "/decide", "/return", "/again", "/delegate", "/signer", "/withdraw"))).map(lambda part: f"/asks/{part[0]}{part[1]}"),
    st.just("/asks"),
    IDS.map(lambda one: f"/files/{one}"),
    st.sampled_from(("/files", "/definitions", "/plan", "/publish", "/rollback", "/clock", "/openapi.json")),
    st.tuples(st.sampled_from(("definitions", "drafts")), NAMES, NAMES).map(lambda part: f"/{part[0]}/{quote(part[1], safe='')}/{quote(part[2], safe='')}"),
    TEXT.map(lambda text: "/" + quote(text, safe="")),
)
METHODS = st.sampled_from(("GET", "GET", "GET", "POST", "POST", "PATCH", "DELETE", "PUT"))
CALLERS = st.sampled_from(("a1", "a1", "s1", "l1", "g1", ""))
PLACE = re.compile(r"\{[a-z_0-9]+\}")


def check(answer: Response, asked: Any) -> None:
    """Below 500, and a refusal is a whole problem document."""
    assert answer.status_code < 500, (asked, answer.text)
    if answer.status_code < 400:
        return
    assert answer.headers["Content-Type"] == "application/problem+json", (asked, answer.headers, answer.text)
    problem = answer.json()
    assert problem["status"] == answer.status_code and problem["code"] and problem["title"] and problem["errors"], (asked, problem)
    for error in problem["errors"]:
        assert error["pointer"] == "" or error["pointer"].startswith("/"), (asked, error)
        assert error["code"] and error["message"] and error["message"] != error["code"], (asked, error)
        assert "{" in repr(asked) or not PLACE.search(error["message"]), (asked, error)
    assert problem["detail"] and problem["detail"] != problem["code"], (asked, problem)


def send(caller: Caller, method: str, path: str, query: Any, body: Any, headers: Any) -> None:
    asked = (method, path, query, body, headers)
    for locale in ("zh", "en"):
        answer = caller.call(method, path, body, params=query, headers={"Accept-Language": locale, **headers})
        check(answer, asked)
        if answer.status_code < 400:
            break


def everybody(shop: Shop) -> Callable[[str], Caller]:
    return lambda login: shop.caller(login) if login else shop.nobody


@SETTINGS
@given(login=CALLERS, method=METHODS, path=PATHS, query=QUERY, body=st.one_of(BODIES, RAW, st.none()), headers=HEADERS)
def test_whatever_is_sent_is_answered(hostile_shop: Shop, login: str, method: str, path: str, query: Any, body: Any, headers: Any):
    send(everybody(hostile_shop)(login), method, path, query, body, headers)


@SETTINGS
@given(login=CALLERS, entity=st.sampled_from(ENTITIES[:-1]), body=BODIES)
def test_whatever_is_saved_is_answered(hostile_shop: Shop, login: str, entity: str, body: Any):
    send(everybody(hostile_shop)(login), "POST", f"/records/{entity}", {}, body, {})


@SETTINGS
@given(login=CALLERS, entity=st.sampled_from(ENTITIES[:-1]), query=QUERY)
def test_whatever_is_asked_is_answered(hostile_shop: Shop, login: str, entity: str, query: Any):
    send(everybody(hostile_shop)(login), "GET", f"/records/{entity}", query, None, {})


def places() -> list[Callable[[str], tuple[str, str, Any, Any]]]:
    """Every place of a request where a text may stand."""
    asked = ("where", "sort", "fields", "cursor", "search", "limit", "count", "name", "phone", "budget", "born", "next_at", "tags", "owner", "grade", "id")
    found: list[Callable[[str], tuple[str, str, Any, Any]]] = [lambda text, name=name: ("GET", "/records/customer", {name: text}, None) for name in asked]
    found += [lambda text, name=name: ("GET", "/records/thing", {name: text}, None) for name in THING["fields"]]
    found += [lambda text, name=name: ("POST", "/records/thing", {}, {"text": "x", name: text}) for name in THING["fields"]]
    found += [
        lambda text, body=body: ("POST", "/records/thing", {}, {"text": "x", **body(text)})
        for body in (
            lambda text: {"tags": [text]},
            lambda text: {"data": {text: text}},
            lambda text: {"near": [text]},
            lambda text: {"parent": {"id": text}},
            lambda text: {text: text},
        )
    ]
    found.append(lambda text: ("POST", "/bulk/thing", {}, {"rows": [{"text": text}, {text: text}, {"id": text, "version": text}]}))
    found += [
        lambda text, path=path: ("GET", path.format(quote(text, safe="")), {}, None)
        for path in (
            "/records/{}",
            "/records/customer/{}",
            "/schema/{}",
            "/bulk/{}",
            "/imports/{}/rows",
            "/jobs/{}",
            "/asks/{}",
            "/files/{}",
            "/definitions/entity/{}",
            "/{}",
        )
    ]
    found += [
        lambda text, word=word: ("POST", "/records/customer/1/actions/call", {"confirm": text}, {"at": "2026-03-02", word: text})
        for word in ("at", "who", "price", "words")
    ]
    found.append(lambda text: ("POST", f"/records/customer/1/actions/{quote(text, safe='')}", {}, {}))
    found.append(lambda text: ("POST", "/asks/1/decide", {"confirm": text}, {"approve": True, "opinion": text, "values": {"price": text, text: text}}))
    found.append(lambda text: ("PUT", f"/drafts/entity/{quote(text, safe='')}", {}, {"document": {}, "number": 0}))
    return [*found, lambda text: ("PUT", "/drafts/entity/log", {}, {"document": {"title": text, "fields": {text: {"type": text}}}, "number": 0})]


def test_every_hostile_text_in_every_place(hostile_shop: Shop):
    every = [(place, text) for place in places() for text in HOSTILE]
    customer = hostile_shop.a1.post("/records/customer", {"name": "{a", "owner": hostile_shop.people["s1"]}).json()["id"]
    assert hostile_shop.s1.post(f"/records/customer/{customer}/actions/offer").status_code == 200
    for place, text in every if FULL else random.Random(7).sample(every, 400):
        send(hostile_shop.a1, *place(text), {})


@pytest.mark.parametrize("body", [b'{"name": "\\ud800"}', b'{"name": NaN}', b"[" * 100_000, b'{"name": "\xff"}'])
def test_broken_json_is_refused_with_its_place(hostile_shop: Shop, body: bytes):
    answer = hostile_shop.s1.post("/records/customer", body)
    assert answer.status_code == 422 and answer.json()["code"] == "body_not_json"


def test_too_much_is_refused_before_it_is_read(hostile_shop: Shop):
    large = b'{"text": "' + b"x" * (10 << 20) + b'"}'
    for locale in ("zh", "en"):
        for headers in ({}, {"Content-Type": "multipart/form-data; boundary=x"}):
            answer = hostile_shop.a1.call("POST", "/records/thing", large, headers={"Accept-Language": locale, **headers})
            assert answer.status_code == 413
            check(answer, "10 MB")
    stream = hostile_shop.client.post(
        f"/api/{hostile_shop.name}/records/thing", content=iter([b" " * (1 << 20)] * 4), headers={"Authorization": f"Bearer {hostile_shop.a1.token}"}
    )
    assert stream.status_code == 413


def test_a_cursor_is_of_its_own_query(hostile_shop: Shop):
    for number in range(5):
        hostile_shop.s1.post("/records/customer", {"name": f"翻{number}", "budget": number})
    caller = hostile_shop.s1
    cursor = caller.get("/records/customer", sort="-budget", limit="2").json()["next"]
    assert caller.get("/records/customer", sort="-budget", limit="2", cursor=cursor).status_code == 200
    changed = [cursor[:-1], cursor + "x", "x" + cursor, cursor.partition(".")[0], "." + cursor.partition(".")[2], cursor.swapcase(), cursor[::-1], "é" + cursor]
    for query in (
        {"sort": "budget", "cursor": cursor},
        {"cursor": cursor},
        {"sort": "-budget", "where": "budget > 1", "cursor": cursor},
        *({"sort": "-budget", "cursor": one} for one in changed),
    ):
        answer = caller.get("/records/customer", **query)
        assert answer.status_code == 422 and answer.json()["code"] == "cursor_invalid", query
        check(answer, query)
