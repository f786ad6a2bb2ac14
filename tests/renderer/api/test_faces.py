"""A row becomes JSON by a shorter way than a record does; both give the same text, for every type of field, masked or not, on both databases."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import orjson
import pytest

from engine.actors import enter_as, enter_person
from engine.context import Context
from engine.home import Home
from engine.records import service
from engine.records.jsonshape import record_json
from engine.records.query import JSON, Query, get, get_as, page, page_as
from tests.engine.records.conftest import SELLER
from tests.renderer.api.shop import Shop, make_shop

#: Every third field masked, every third in some rows only, links and lists among them.
MASKS: dict[str, Any] = {
    **{key: {"mask": True} for key in ("price", "day", "grades", "parent", "who", "phone", "paper", "yes")},
    **{key: {"mask": "empty(whole) or whole > 0"} for key in ("exact", "at", "tags", "near", "group", "card", "papers", "data")},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def masked_shop(open_home: Callable[[str], Home], request: pytest.FixtureRequest) -> Iterator[Shop]:
    seller = {**SELLER, "grants": {**SELLER["grants"], "thing": {"read": True, "fields": MASKS}}}
    with make_shop(open_home(request.param), {("role", "seller"): seller}) as shop:
        _fill(shop)
        yield shop


def _fill(shop: Shop) -> None:
    """Things with a sample of every field that people may give, some left out; orders with lines; customers of several sellers."""
    ctx, random = enter_as(shop.home, shop.name, "operator"), Random(5)
    entity = ctx.workspace.entities["thing"]
    given = [item for item in entity.fields.values() if not item.derived and item.definition.type not in ("file", "files", "image", "serial")]
    files = [shop.a1.post("/files", files={"file": (f"{number}.txt", b"text", "text/plain")}).json()["id"] for number in range(3)]
    made: list[int] = []
    for _number in range(12):
        raw: dict[str, Any] = {}
        for item in given:
            if item.target:
                ids = made if item.target == "thing" else [shop.people["s1"], shop.people["l1"]] if item.target == "person" else [1]
                if ids and random.random() < 0.7:
                    raw[item.key] = ids[-2:] if item.definition.type in ("links", "people") else ids[-1]
            elif item.key == "text" or random.random() < 0.8:
                raw[item.key] = item.type.sample(random, item.value, ctx.workspace.scope.of("thing"))
        made.append(service.create(ctx, "thing", raw, json=True).id)
    assert shop.a1.post("/records/thing", {"text": "with files", "paper": files[0], "papers": files[1:]}).status_code == 201
    for login in ("s1", "s3"):
        caller = shop.caller(login)
        assert caller.post("/records/customer", {"name": "张三", "phone": shop.phone(), "budget": 12345, "born": "1990-02-03", "tags": []}).status_code == 201


@pytest.mark.parametrize("login", ["a1", "s1", "l1"])
def test_both_faces_of_a_row_give_the_same_json(masked_shop: Shop, login: str):
    ctx = enter_person(masked_shop.home, masked_shop.name, login)
    seen = 0
    for entity in ("thing", "customer", "person", "order", "team"):
        if login == "l1" and entity in ("thing", "order"):
            continue
        shown = page(ctx, Query(entity, limit=200)).items
        expected = [_text(ctx, entity, record) for record in shown]
        assert [_plain(item) for item in page_as(JSON, ctx, Query(entity, limit=200)).items] == expected
        for record in shown:
            assert _plain(get_as(JSON, ctx, entity, record.id)) == _text(ctx, entity, get(ctx, entity, record.id))
        seen += len(shown)
    assert seen > 6


def test_what_is_masked_leaves_the_server_only_as_its_mask(masked_shop: Shop):
    whole = {item["id"]: item for item in masked_shop.a1.get("/records/thing", limit=200).json()["items"]}
    masked = masked_shop.s1.get("/records/thing", limit=200).json()["items"]
    held = 0
    for item in masked:
        hidden = [name for name, rule in MASKS.items() if rule["mask"] is True or item["whole"] is None or item["whole"] > 0]
        for name in hidden:
            clear = whole[item["id"]][name]
            if clear not in (None, []):
                assert isinstance(item[name], str) and item[name] != clear, name
                held += 1
    assert held > 20


def _plain(item: dict[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(item))


def _text(ctx: Context, entity: str, record: Any) -> Any:
    return _plain(record_json(ctx.workspace, ctx.workspace.entities[entity], record))
