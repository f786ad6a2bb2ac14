"""A small shop over HTTP: the records room's trade world, an entity with every field type, a role with hardly a right, and callers with tokens."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from engine import accounts
from engine.actors import enter_as
from engine.api_tokens import create_token
from engine.home import Home
from engine.records import service
from renderer.app import create_app
from renderer.security import Pace
from tests.conftest import new_workspace
from tests.engine.records.conftest import ADMIN, DOCUMENTS_OF_WORLD, SELLER

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from httpx import Response

PASSWORD = "correct-horse-battery"
_phones = count(13_800_000_001)

THING: dict[str, Any] = {
    "title": {"zh": "物件", "en": "Thing"},
    "label": "{text}",
    "fields": {
        "text": {"type": "text", "required": True, "maxLength": 80, "search": "name"},
        "note": {"type": "long_text"},
        "rich": {"type": "rich_text"},
        "whole": {"type": "integer", "minimum": -1000, "maximum": 1000},
        "exact": {"type": "decimal", "scale": 2},
        "price": {"type": "money"},
        "share": {"type": "percent"},
        "yes": {"type": "boolean"},
        "day": {"type": "date"},
        "at": {"type": "instant"},
        "until": {"type": "instant", "ends": "day"},
        "span": {"type": "duration"},
        "grade": {"type": "choice", "choices": "grade"},
        "grades": {"type": "choices", "choices": "grade"},
        "tags": {"type": "tags"},
        "parent": {"type": "link", "to": "thing"},
        "near": {"type": "links", "to": "thing"},
        "who": {"type": "person"},
        "all": {"type": "people"},
        "group": {"type": "team"},
        "phone": {"type": "phone"},
        "mail": {"type": "email"},
        "site": {"type": "url"},
        "card": {"type": "id_no", "encrypted": True},
        "place": {"type": "region"},
        "street": {"type": "address"},
        "paper": {"type": "file"},
        "papers": {"type": "files"},
        "photo": {"type": "image"},
        "data": {"type": "json"},
        "no": {"type": "serial", "template": "T{yyyy}-{0000}"},
        "double": {"type": "formula", "value": "price * 2"},
        "grown": {"type": "formula", "value": "at < now()"},
        "above": {"type": "lookup", "from": "parent.text"},
        "below": {"type": "rollup", "from": "thing.parent", "measure": "count"},
    },
}
RULES: dict[str, Any] = {
    "call": {
        "title": {"zh": "约电话", "en": "Agree on a call"},
        "icon": "phone",
        "on": {
            "action": "customer.call",
            "with": {
                "at": {"type": "instant", "required": True, "title": {"zh": "时间", "en": "Time"}},
                "who": {"type": "person", "title": {"zh": "谁打", "en": "Who"}},
                "price": {"type": "money", "minimum": 0, "title": {"zh": "报价", "en": "Price"}},
                "words": {"type": "text", "maxLength": 20, "default": "你好", "title": {"zh": "说什么", "en": "Words"}},
            },
        },
        "if": "stage != 'lost'",
        "then": [
            {"refuse": "NO_PRICE", "if": "grade == 'A' and empty(param.price)", "at": "price", "message": {"zh": "A 级须报价", "en": "Grade A needs a price"}},
            {"refuse": "TOO_LATE", "if": "param.at < now()", "soft": True, "message": {"zh": "{name}：时间已过", "en": "The time of {name} has passed"}},
            {"set": {"next_at": "param.at", "budget": "coalesce(param.price, budget)"}},
            {"create": "visit", "as": "made", "values": {"customer": "record", "kind": "param.words", "author": "me"}},
        ],
        "give": "made",
    },
    "tell": {"title": {"zh": "查问", "en": "Tell"}, "on": {"action": "customer.tell"}, "then": [{"let": {"kept": "secret"}}], "give": "kept"},
    "offer": {
        "title": {"zh": "申请优惠", "en": "Ask for a better price"},
        "on": {"action": "customer.offer"},
        "then": [
            {
                "ask": "offer",
                "as": "said",
                "who": "people('admin')",
                "not": "me",
                "opinion": "required",
                "message": {"zh": "{name} 申请优惠", "en": "{name} asks for a better price"},
                "fields": {"price": {"type": "money", "required": True, "minimum": 1, "title": {"zh": "成交价", "en": "Price"}}},
                "approved": [
                    {"refuse": "CHEAP", "if": "said.price < 100", "soft": True, "message": {"zh": "低于一元", "en": "Below one"}},
                    {"set": {"budget": "said.price"}},
                ],
                "refused": [{"set": {"stage": "'lost'"}}],
            }
        ],
    },
    "unlucky": {
        "title": {"zh": "评分提醒", "en": "Score"},
        "on": {"before": "save", "entity": "visit"},
        "then": [{"refuse": "UNLUCKY", "if": "score == 13", "at": "score", "soft": True, "message": {"zh": "评 13 分？", "en": "Thirteen?"}}],
    },
}
SHOP: dict[tuple[str, str], Any] = {
    **DOCUMENTS_OF_WORLD,
    ("entity", "thing"): THING,
    **{("rule", key): body for key, body in RULES.items()},
    ("role", "admin"): {
        **ADMIN,
        "can": ["people", "design", "publish", "import", "export", "settings"],
        "grants": {**ADMIN["grants"], "customer": {**ADMIN["grants"]["*"], "actions": {"call": True, "offer": True, "tell": True}}},
    },
    ("role", "seller"): {
        **SELLER,
        "grants": {
            **SELLER["grants"],
            "thing": {"read": True},
            "customer": {**SELLER["grants"]["customer"], "actions": {"reveal": "empty(owner)", "call": "owner == me", "offer": "owner == me", "tell": True}},
        },
    },
    ("role", "guest"): {"title": {"zh": "来宾"}, "grants": {"log": {"read": True}}},
}
PEOPLE = (("s1", "seller", 0), ("s2", "seller", 0), ("s3", "seller", 1), ("l1", "lead", 0), ("a1", "admin", 1), ("g1", "guest", 1))


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API of one workspace, with a bearer token unless it is empty."""

    client: TestClient
    workspace: str
    token: str

    def call(self, method: str, path: str, body: Any = None, **words: Any) -> Response:
        """One call below ``/api/WORKSPACE``; ``body`` is sent as JSON unless it is bytes."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.token}"} if self.token else {}), **words.pop("headers", {})}
        if "files" in words:
            del headers["Content-Type"]
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.request(method, f"/api/{self.workspace}{path}", content=content, headers=headers, **words)

    def get(self, path: str, /, **params: Any) -> Response:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, **words: Any) -> Response:
        return self.call("POST", path, body, **words)

    def patch(self, path: str, body: Any = None, **words: Any) -> Response:
        return self.call("PATCH", path, body, **words)

    def ids(self, entity: str, **params: Any) -> list[int]:
        """Ids of the first page."""
        answer = self.get(f"/records/{entity}", **{"limit": "200", **params})
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]


class Shop:
    """A workspace over HTTP: s1, s2 (sellers of one team), s3 (another team), l1 (lead of the first), a1 (admin), g1 (who may only read the log), nobody."""

    def __init__(self, home: Home, name: str, client: TestClient, tokens: dict[str, str], people: dict[str, int]) -> None:
        self.home, self.name, self.client, self.people = home, name, client, people
        self.s1, self.s2, self.s3, self.l1, self.a1, self.g1 = (Caller(client, name, tokens[login]) for login, _, _ in PEOPLE)
        self.nobody = Caller(client, name, "")

    def caller(self, login: str) -> Caller:
        return {"s1": self.s1, "s2": self.s2, "s3": self.s3, "l1": self.l1, "a1": self.a1, "g1": self.g1}[login]

    @staticmethod
    def phone() -> str:
        """A number nobody has yet."""
        return str(next(_phones))


@contextmanager
def served(home: Home) -> Iterator[TestClient]:
    """A client of the application; failures become 500s, and nobody is told to slow down."""
    app = create_app(home)
    app.state.site = replace(app.state.site, pace=Pace(10**9))
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@contextmanager
def make_shop(home: Home, documents: dict[tuple[str, str], Any] | None = None, *, sandbox: bool = True) -> Iterator[Shop]:
    """A new shop with its people, each with an account and a token."""
    workspace = new_workspace(home, {**SHOP, **(documents or {})}, sandbox=sandbox)
    ctx = enter_as(home, workspace.name, "operator")
    teams = [service.create(ctx, "team", {"name": title}).id for title in ("甲组", "乙组")]
    tokens, people = {}, {}
    for login, role, team in PEOPLE:
        people[login] = service.create(ctx, "person", {"name": f"人{login}", "login": login, "roles": [role], "team": teams[team]}).id
        accounts.ensure_account(home, login, login)
        tokens[login] = create_token(home, workspace.name, login)
    with served(home) as client:
        yield Shop(home, workspace.name, client, tokens, people)
