"""What a person may not see stands in no answer: every address that can be read, and every form that answers, is walked as that person and searched for it."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from urllib.parse import unquote

import pytest
from httpx import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from renderer.app import create_app
from renderer.security import Pace
from tests.inhabited import Inhabited
from tests.renderer.clinic import open_home
from tests.renderer.station import posting_client
from tests.security.sieve import CANARIES, NAME, WATCHER, make_sieve

ENTITIES = ("guest", "visit", "chore", "person")
LISTS = ("guests", "states", "days", "visits", "chores")
FIELDS = ("name", "phone", "secret", "debt", "keeper", "tag", "guest", "note")
RULES = ("judge", "stop", "fail", "release", "look", "tell", "warn", "beg")
NUMBERS = tuple(str(number) for number in range(1, 5))
#: What stands in an address, by the name of its place: every value that leads somewhere in this workspace.
PLACES: Mapping[str, tuple[str, ...]] = {
    "ws": (NAME,),
    "entity": ENTITIES,
    "list": LISTS,
    "field": FIELDS,
    "action": ("look", "beg", "tell", "warn"),
    "kind": ("entity", "form", "list", "rule", "role"),
    "value": ("in", "out"),
    "id": NUMBERS,
    "number": NUMBERS,
    "finding": NUMBERS,
    "batch": NUMBERS,
    "ask": NUMBERS,
    "job": tuple(str(number) for number in range(1, 30)),
    "name": ("sms", "app.css"),
    "source": ("website",),
    "token": ("x",),
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "/w/{ws}/rules": RULES,
    "/w/{ws}/settings": ("idle_days",),
    "/w/{ws}/design": ("guest", "guests", "judge", "watcher"),
    "/api/{ws}": ("guest", "guests", "judge", "watcher", "idle_days"),
}
#: Questions beside an address that make its answer another one.
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/w/{ws}/runs": ("state=failed", "entity=guest", "entity=guest&record=2", "rule=judge"),
    "/w/{ws}/r/{entity}/{id}/subject-file": ("form=json",),
    "/w/{ws}/l/{list}/many/{action}": ("ids=1&ids=2",),
    "/w/{ws}/l/{list}/bulk": ("ids=1&ids=2", "ids=1&field:=phone"),
    "/w/{ws}/l/{list}/export": ("form=csv", "format=csv", "form=xlsx"),
    "/w/{ws}/search": ("q=1", "q=13955", "q=HIDDEN", "q=QUIET", "q=5501"),
    "/w/{ws}/approvals": ("state=done", "state=asked"),
    "/w/{ws}/outbox": ("state=captured",),
    "/w/{ws}/replays/{id}": ("verdict=both", "approximate=1", "owner=1"),
    "/w/{ws}/rules/{key}/try": ("record=1", "record=2"),
    "/w/{ws}/rules/{key}/values": ("record:=1", "record:=2"),
    "/w/{ws}/imports/{id}": ("outcome=refused", "outcome=created"),
    "/api/{ws}/asks": ("state=done", "state=asked"),
    "/api/{ws}/records/{entity}": ("count=true", "search=HIDDEN", "search=1395550", "sort=-id", "fields=id,tag"),
    "/w/{ws}/pick/{entity}/{field}": ("q=", "q=HIDDEN", "q=1"),
}


@pytest.fixture(scope="module")
def sieve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inhabited]:
    folder = tmp_path_factory.mktemp("sieve")
    home = open_home(folder)
    yield make_sieve(home, folder)
    home.close()


@pytest.fixture(scope="module")
def application(sieve: Inhabited) -> object:
    app = create_app(sieve.home)
    app.state.site = replace(app.state.site, pace=Pace(10**9))
    return app


@pytest.fixture
def watcher(sieve: Inhabited, application: object) -> TestClient:
    return posting_client(sieve.home, application, WATCHER)


def addresses(route: Route) -> Iterator[str]:
    """Every address of a route in this workspace."""
    names = re.findall(r"\{(\w+)(?::\w+)?\}", route.path)
    values = [next((keys for start, keys in KEYS.items() if route.path.startswith(start)), ()) if name == "key" else PLACES[name] for name in names]
    assert all(values), f"say in PLACES or KEYS what stands in {route.path}"
    for chosen in product(*values):
        address = route.path
        for name, value in zip(names, chosen, strict=True):
            address = re.sub(rf"\{{{name}(:\w+)?\}}", value, address)
        yield address
        yield from (f"{address}?{query}" for query in QUERIES.get(re.sub(r":\w+\}", "}", route.path), ()))


def content(answer: Response) -> str:
    """All that an answer says: headers, too, and what lies in a workbook."""
    told = "\n".join(f"{name}: {unquote(value)}" for name, value in answer.headers.items())
    if answer.content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
            return told + "\n".join(book.read(name).decode("utf-8", "replace") for name in book.namelist())
    return told + answer.text


def told(answer: Response, asked: str) -> list[str]:
    """The canaries in an answer, but for what was asked with."""
    text, own = content(answer), unquote(asked)
    return [f"{asked} ({answer.status_code}): {canary}, {where}" for canary, where in CANARIES.items() if canary in text and canary not in own]


def test_no_address_shows_what_its_reader_may_not_see(watcher: TestClient, application: object):
    found, reached = [], set()
    for route in application.router.routes:  # type: ignore[attr-defined]
        if "GET" not in route.methods or route.path.startswith(("/static/", "/welcome/")):
            continue
        for address in addresses(route):
            answer = watcher.get(address)
            if answer.status_code == 200:
                reached.add(route.path)
            assert answer.status_code < 500 and (answer.status_code != 429 or "/export" in address), (address, answer.text[:300])
            found += told(answer, address)
    assert not found, "\n".join(found)
    assert len(reached) > 60, sorted(reached)


def test_no_form_answers_with_what_its_reader_may_not_see(watcher: TestClient, sieve: Inhabited):
    forms: list[tuple[str, dict[str, object]]] = [
        *((f"/w/{NAME}/rules/{rule}/try", {"record:": str(one), "person:": person}) for rule in RULES for one in (1, 2) for person in ("", "1", "2")),
        *((f"/w/{NAME}/r/guest/{one}/{tool}", {"name": "新名"}) for one in (1, 2) for tool in ("refresh", "check", "edit", "do/look", "do/beg")),
        *(
            (f"/w/{NAME}/r/visit/{one}/{tool}", {"said": "stop", "version": "1"})
            for one in (1, 2)
            for tool in ("refresh", "check", "edit", "do/tell", "do/warn")
        ),
        (f"/w/{NAME}/r/visit/new", {"said": "stop", "guest": "1"}),
        (f"/w/{NAME}/r/visit/new", {"said": "stop", "guest": "2"}),
        (f"/w/{NAME}/r/guest/refresh", {"name": "x", "phone": "13955502222"}),
        (f"/w/{NAME}/l/guests/many/look", {"ids": ["1", "2"]}),
        (f"/w/{NAME}/l/guests/bulk", {"ids": ["1", "2"], "field:": "state", "value": "nonsense"}),
        (f"/w/{NAME}/l/guests/delete", {"ids": ["1", "2"]}),
        (f"/w/{NAME}/settings/idle_days/effects", {"value": "1"}),
        (f"/w/{NAME}/r/guest/1/reveal/phone", {"reason": "因为"}),
        (f"/w/{NAME}/r/guest/1/erase", {"reason": "因为"}),
        (f"/w/{NAME}/approvals/2/decide", {"approve": "true", "a2-left": "x"}),
    ]
    found = []
    for address, form in forms:
        answer = watcher.post(address, data=form)
        assert answer.status_code < 500, (address, answer.text[:300])
        found += told(answer, f"{address} {form}")
    assert not found, "\n".join(found)


def test_no_call_answers_with_what_its_caller_may_not_see(watcher: TestClient):
    api = f"/api/{NAME}"
    calls: list[tuple[str, str, object]] = [
        *(("POST", f"{api}/records/visit/{one}/actions/{name}", {}) for one in (1, 2, 3) for name in ("tell", "warn")),
        *(("POST", f"{api}/records/guest/{one}/actions/{name}", {}) for one in (1, 2) for name in ("look", "beg")),
        *(("PATCH", f"{api}/records/guest/{one}", {"version": 1, "note": "新", "name": "新"}) for one in (1, 2)),
        ("PATCH", f"{api}/records/visit/1", {"version": 1, "said": "新"}),
        ("POST", f"{api}/records/visit", {"guest": 2, "said": "stop"}),
        ("POST", f"{api}/records/visit", {"guest": 1, "said": "stop"}),
        ("POST", f"{api}/bulk/guest", {"rows": [{"id": 1, "version": 1, "note": "x"}, {"id": 2, "version": 1, "note": "x"}]}),
        ("POST", f"{api}/asks/1/decide", {"approve": True}),
    ]
    found = []
    for method, address, body in calls:
        answer = watcher.request(method, address, json=body)
        assert answer.status_code < 500, (address, answer.text[:300])
        found += told(answer, f"{method} {address} {body}")
    assert not found, "\n".join(found)
