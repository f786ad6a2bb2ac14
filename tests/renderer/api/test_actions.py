"""Buttons over JSON on both databases: parameters like fields, soft refusals confirmed, results and records as their caller may see them, each key once."""

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.renderer.api.shop import Shop

Make = Callable[..., dict[str, Any]]
SOON = "2026-03-02T10:00:00+08:00"


def calls(record: dict[str, Any]) -> str:
    return f"/records/customer/{record['id']}/actions/call"


def test_a_button_answers_the_record_and_what_it_gives(shop: Shop, customer: Make):
    record = customer(phone=shop.phone())
    answer = shop.s1.post(calls(record), {"at": SOON, "who": {"id": shop.people["s2"]}, "price": 500})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["record"] == shop.s1.get(f"/records/customer/{record['id']}").json() and told["record"]["next_at"] == SOON and told["record"]["budget"] == 500
    assert told["result"] == {"entity": "visit", "id": told["result"]["id"], "label": "你好"}
    assert answer.headers["ETag"] == f'"{told["record"]["version"]}"'


def test_parameters_are_read_like_fields_and_every_fault_is_told(shop: Shop, customer: Make):
    record = customer()
    answer = shop.s1.post(calls(record), {"at": "soon", "price": -1, "words": "x" * 21, "nothing": 1, "who": 10**9})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/at", "/price", "/words", "/nothing", "/who"}
    missing = shop.s1.post(calls(record), {}).json()
    assert [(error["pointer"], error["code"]) for error in missing["errors"]] == [("/at", "required")]


def test_a_rule_refuses_at_a_parameter(shop: Shop, customer: Make):
    answer = shop.s1.post(calls(customer(grade="A")), {"at": SOON})
    assert answer.status_code == 422 and "soft" not in answer.json()
    assert answer.json()["errors"] == [{"pointer": "/price", "code": "NO_PRICE", "message": "A 级须报价"}]


def test_a_soft_refusal_is_gone_on_against_by_its_code(shop: Shop, customer: Make):
    record = customer(name="赵{六")
    past = {"at": "2020-01-01T00:00:00+08:00"}
    refused = shop.s1.post(calls(record), past)
    problem = refused.json()
    assert (refused.status_code, problem["soft"], problem["code"], problem["detail"]) == (409, True, "TOO_LATE", "赵{六：时间已过")
    assert shop.s1.post(calls(record), past, params={"confirm": ["OTHER", "MORE"]}).status_code == 409
    assert shop.s1.get(f"/records/customer/{record['id']}").json()["next_at"] is None
    assert shop.s1.post(calls(record), past, params={"confirm": ["OTHER", "TOO_LATE"]}).status_code == 200


def test_saving_goes_on_against_a_soft_refusal_too(shop: Shop, customer: Make):
    visit = {"customer": customer()["id"], "score": 13}
    refused = shop.s1.post("/records/visit", visit)
    assert refused.status_code == 409 and refused.json()["soft"] is True and refused.json()["code"] == "UNLUCKY"
    assert refused.json()["errors"][0]["pointer"] == "/score" and refused.json()["detail"] == "评 13 分？"
    assert shop.s1.post("/records/visit", visit, params={"confirm": "UNLUCKY"}).status_code == 201
    made = shop.s1.post("/records/visit", {**visit, "score": 1}).json()
    change = {"score": 13, "version": made["version"]}
    assert shop.s1.patch(f"/records/visit/{made['id']}", change).status_code == 409
    assert shop.s1.patch(f"/records/visit/{made['id']}", change, params={"confirm": "UNLUCKY"}).json()["score"] == 13


def test_only_who_was_granted_it_presses_and_only_where(shop: Shop, customer: Make):
    record, body = customer(), {"at": SOON}
    assert shop.s2.post(calls(record), body).status_code == 404  # sees no customer of others
    assert shop.l1.post(calls(record), body).status_code == 403
    free = shop.a1.post("/records/customer", {"name": "公海"}).json()
    assert shop.s1.get(f"/records/customer/{free['id']}").status_code == 200 and shop.s1.post(calls(free), body).status_code == 403
    for action in ("nothing", "visit.call", "customer", "person.disable"):
        assert shop.s1.post(f"/records/customer/{record['id']}/actions/{action}", body).json()["code"] == "unknown_action", action
    assert shop.s1.post("/records/visit/1/actions/customer.call", body).status_code == 404


def test_a_condition_that_does_not_hold_is_a_conflict(shop: Shop, customer: Make):
    record = customer()
    shop.s1.patch(f"/records/customer/{record['id']}", {"stage": "lost", "version": record["version"]})
    answer = shop.s1.post(calls(record), {"at": SOON})
    assert answer.status_code == 409 and answer.json()["code"] == "action_not_now" and answer.json()["detail"] == "现在不能执行“约电话”：阶段为“lost”"


def test_a_version_given_is_honoured(shop: Shop, customer: Make):
    record = customer()
    stale = shop.s1.post(calls(record), {"at": SOON}, headers={"If-Match": '"9"'})
    assert stale.status_code == 409 and stale.json()["code"] == "stale" and stale.json()["current"]["id"] == record["id"]
    assert shop.s1.post(calls(record), {"at": SOON}, headers={"If-Match": f'"{record["version"]}"'}).status_code == 200


def test_the_same_key_presses_once(shop: Shop, customer: Make):
    record, headers = customer(), {"Idempotency-Key": f"press-{shop.phone()}"}
    first = shop.s1.post(calls(record), {"at": SOON}, headers=headers)
    again = shop.s1.post(calls(record), {"at": SOON}, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200) and first.json() == again.json()
    assert len(shop.s1.ids("visit", where=f"customer == {record['id']}")) == 1
    assert shop.s1.post(calls(record), {"at": SOON, "price": 5}, headers=headers).json()["code"] == "idempotency_key_reused"


def test_a_result_made_of_what_its_caller_may_not_read_is_not_told(fresh_shop: Shop):
    record = fresh_shop.a1.post("/records/customer", {"name": "李秘密", "owner": fresh_shop.people["s1"], "secret": "九折"}).json()
    answer = fresh_shop.s1.post(f"/records/customer/{record['id']}/actions/tell")
    assert answer.status_code == 200 and answer.json()["result"] is None and "九折" not in answer.text


def test_the_document_describes_exactly_the_granted_actions(shop: Shop, customer: Make):
    document = shop.s1.get("/openapi.json").json()
    path = "/records/customer/{id}/actions/"
    assert {one.removeprefix(path) for one in document["paths"] if one.startswith(path)} == {"call", "offer", "tell"}
    schema = document["components"]["schemas"]["customer.call.parameters"]
    assert schema["required"] == ["at"] and schema["properties"]["words"]["default"] == "你好" and schema["properties"]["price"]["title"] == "报价"
    jsonschema.validate({"at": SOON, "price": 5}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"price": 5}, schema)
    assert not [one for one in shop.l1.get("/openapi.json").json()["paths"] if "/actions/" in one]
