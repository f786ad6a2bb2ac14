"""Definitions over JSON: what a designer's program reads, drafts, plans, publishes and rolls back; schemas; the clock of a sandbox."""

import copy
from typing import Any

import jsonschema

from tests.renderer.api.shop import Caller, Shop, make_shop


def with_field(shop: Shop, key: str, field: dict[str, Any]) -> dict[str, Any]:
    document = shop.a1.get("/definitions/entity/visit").json()["document"]
    return {**document, "fields": {**document["fields"], key: field}}


def test_definitions_are_listed_and_read(shop: Shop):
    found = shop.a1.get("/definitions").json()
    assert {"kind": "entity", "key": "customer", "title": {"zh": "客户"}} in found["items"] and found["version"] == 1
    one = shop.a1.get("/definitions/entity/log").json()
    assert one["document"]["append_only"] is True and one["draft"] is None
    missing = shop.a1.get("/definitions/entity/nothing")
    assert missing.status_code == 404 and missing.json()["code"] == "unknown_definition"


def test_a_designer_needs_the_right(shop: Shop):
    for answer in (
        shop.s1.get("/definitions"),
        shop.s1.get("/plan"),
        shop.s1.post("/publish", {"digest": "x"}),
        shop.s1.post("/rollback", {"version": 1}),
        shop.s1.call("PUT", "/drafts/entity/log", {"document": {}, "number": 0}),
        shop.s1.call("PUT", "/clock", {"now": "2030-01-01T00:00:00Z"}),
    ):
        assert answer.status_code == 403 and answer.json()["code"] == "right_missing"


def test_a_draft_is_planned_published_and_rolled_back(fresh_shop: Shop):
    shop = fresh_shop
    document = with_field(shop, "mood", {"type": "text", "title": {"zh": "心情"}})
    put = shop.a1.call("PUT", "/drafts/entity/visit", {"document": document, "number": 0})
    assert put.status_code == 200, put.text
    assert shop.a1.get("/definitions/entity/visit").json()["draft"]["number"] == put.json()["number"]
    late = shop.a1.call("PUT", "/drafts/entity/visit", {"document": document, "number": 0})
    assert late.status_code == 409 and late.json()["current"]["document"]["fields"]["mood"] == document["fields"]["mood"]
    plan = shop.a1.get("/plan").json()
    assert plan["ready"] and plan["base_version"] == 1 and any("mood" in (step["field"] or "") for step in plan["steps"])
    assert all(step["sentence"] for step in plan["steps"]) and plan["sentences"]
    other = shop.a1.post("/publish", {"digest": "0" * 64})
    assert other.status_code == 409 and other.json()["code"] == "publish_other_digest"
    done = shop.a1.post("/publish", {"digest": plan["digest"], "note": "心情"})
    assert done.status_code == 200 and done.json() == {"version": 2, "state": "live"}
    customer = shop.a1.post("/records/customer", {"name": "甲"}).json()
    visit = shop.a1.post("/records/visit", {"customer": customer["id"], "mood": "好"})
    assert visit.status_code == 201 and visit.json()["mood"] == "好" and visit.json()["customer"] == {"id": customer["id"], "label": "甲"}
    back = shop.a1.post("/rollback", {"version": 1})
    assert back.json() == {"version": 3, "state": "live"}
    assert "mood" not in shop.a1.get(f"/records/visit/{visit.json()['id']}").json()
    assert shop.a1.post("/rollback", {"version": 2}).status_code == 200
    assert shop.a1.get(f"/records/visit/{visit.json()['id']}").json()["mood"] == "好"
    assert shop.a1.post("/rollback", {"version": 99}).status_code == 404


def test_wrong_drafts_are_refused_with_places(fresh_shop: Shop):
    shop = fresh_shop
    for body in ({}, {"document": 5, "number": 0}, {"document": {}, "number": "0"}, {"document": {}, "number": True}):
        answer = shop.a1.call("PUT", "/drafts/entity/visit", body)
        assert answer.status_code == 422 and answer.json()["errors"][0]["code"] == "draft_wrong", (body, answer.text)
    assert shop.a1.call("PUT", "/drafts/poem/visit", {"document": {}, "number": 0}).status_code == 404
    assert shop.a1.call("PUT", "/drafts/entity/__proto__", {"document": {}, "number": 0}).status_code == 404
    twice = b'{"number": 0, "document": {"title": "x", "fields": {"a": {"type": "text", "type": "json"}}}}'
    assert shop.a1.call("PUT", "/drafts/entity/visit", twice).json()["code"] == "body_repeats"
    document = with_field(shop, "wrong", {"type": "money", "default": {"value": "nonsense + 1"}})
    assert shop.a1.call("PUT", "/drafts/entity/visit", {"document": document, "number": 0}).status_code == 200
    plan = shop.a1.get("/plan").json()
    assert (
        not plan["ready"] and [item["pointer"] for item in plan["problems"]] == ["/fields/wrong/default/value"] and "nonsense" in plan["problems"][0]["message"]
    )
    refused = shop.a1.post("/publish", {"digest": plan["digest"]})
    assert refused.status_code == 422 and refused.json()["errors"] and all(error["message"] != error["code"] for error in refused.json()["errors"])


def test_a_sandbox_clock_moves_forward_only(fresh_shop: Shop):
    shop = fresh_shop
    assert shop.a1.call("PUT", "/clock", {"now": "2026-04-01T08:00:00+08:00"}).json() == {"now": "2026-04-01T08:00:00+08:00", "ran": []}
    assert shop.a1.post("/records/log", {"text": "x"}).json()["created_at"] == "2026-04-01T08:00:00+08:00"
    assert shop.a1.call("PUT", "/clock", {"now": "2026-01-01T00:00:00Z"}).json()["code"] == "clock_backwards"
    for wrong in ("soon", 5, None, "9999-99-99", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert shop.a1.call("PUT", "/clock", {"now": wrong}).status_code == 422, wrong


def test_a_live_workspace_has_no_clock_to_move(shop: Shop):
    with make_shop(shop.home, sandbox=False) as other:
        assert other.a1.call("PUT", "/clock", {"now": "2030-01-01T00:00:00Z"}).status_code == 403


# --- the schema of a record --------------------------------------------------------------------------------------------------------------------


def check_answers(caller: Caller, entity: str, ids: list[int]) -> None:
    schema = caller.get(f"/schema/{entity}").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for one in ids:
        record = caller.get(f"/records/{entity}/{one}").json()
        wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(record)]
        assert not wrong, (entity, wrong, record)


def test_what_is_read_is_what_the_schema_says(shop: Shop):
    full = {
        "text": "全",
        "note": "多\n行",
        "rich": "<p>字</p>",
        "whole": 5,
        "exact": 1.25,
        "price": 1234,
        "share": 250,
        "yes": True,
        "day": "2026-03-01",
        "at": "2026-03-01T10:00:00+08:00",
        "until": "2026-03-05T16:00:00Z",
        "span": "PT90M",
        "grade": "A",
        "grades": ["A", "B"],
        "tags": ["x"],
        "who": shop.people["s1"],
        "all": [shop.people["s1"], shop.people["s2"]],
        "phone": shop.phone(),
        "mail": "a@example.cn",
        "site": "https://example.cn",
        "data": {"a": [1, None]},
        "place": "330106",
        "street": "文三路 1 号",
    }
    made = [shop.a1.post("/records/thing", body) for body in ({"text": "空"}, full)]
    assert [item.status_code for item in made] == [201, 201], [item.text for item in made]
    ids = [item.json()["id"] for item in made]
    last = shop.a1.post("/records/thing", {"text": "连", "parent": ids[1], "near": ids})
    assert last.json()["parent"] == {"id": ids[1], "label": "全"} and last.json()["above"] == "全" and len(last.json()["near"]) == 2
    for caller in (shop.a1, shop.s1):
        check_answers(caller, "thing", [*ids, last.json()["id"]])


def test_masks_and_hidden_fields_are_in_the_schema_as_their_reader_sees_them(shop: Shop):
    mine = shop.s1.post("/records/customer", {"name": "张我", "phone": shop.phone(), "tags": ["a"]}).json()["id"]
    pool = shop.a1.post("/records/customer", {"name": "李公", "phone": shop.phone()}).json()["id"]
    order = shop.s1.post("/records/order", {"title": "单", "share": [{"who": "甲", "bp": 10000}]}).json()["id"]
    assert shop.s1.get(f"/records/customer/{pool}").json()["phone"].count("*") == 4
    check_answers(shop.s1, "customer", [mine, pool])
    check_answers(shop.a1, "customer", [mine, pool])
    check_answers(shop.s1, "order", [order])
    schema = shop.s1.get("/schema/customer").json()
    assert "secret" not in schema["properties"] and schema["properties"]["owner"]["readOnly"] and schema["properties"]["visits"]["readOnly"]
    assert "secret" in shop.a1.get("/schema/customer").json()["properties"]
    assert shop.g1.get("/schema/customer").status_code == 404 and shop.s1.get("/schema/nothing").status_code == 404


def test_json_input_is_exactly_what_the_schema_says(shop: Shop):
    schema = copy.deepcopy(shop.a1.get("/schema/thing").json())
    cases: dict[str, list[Any]] = {
        "whole": [5, "5", 5.0, 5.5, True, [], {}, 10**18],
        "price": [100, "1.00", "3万", 1.5],
        "yes": [True, 1, "true", "是"],
        "day": ["2026-03-01", 5, "3月1日"],
        "grade": ["A", "a", 1, ["A"]],
        "grades": [["A"], "A", "A,B", ["Z"]],
        "tags": [["x"], "x"],
        "who": [1, "1", {"id": 1}, {"label": "x"}],
        "text": ["x", 5, ["x"]],
        "exact": [1.25, "1.25", 2],
        "at": ["2026-03-01T10:00:00+08:00", "明天", 5],
        "phone": [13900000001, "13900000001", ["1"]],
    }
    for field, values in cases.items():
        validator = jsonschema.Draft202012Validator(schema["properties"][field], format_checker=jsonschema.FormatChecker())
        for value in values:
            answer = shop.a1.post("/records/thing", {"text": "x", field: value})
            assert (answer.status_code == 201) == validator.is_valid(value), (field, value, answer.text)
            assert answer.status_code in (201, 422)
