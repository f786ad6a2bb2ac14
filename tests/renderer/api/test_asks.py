"""Approvals over JSON on both databases: whose they are, what they show, decided with opinion and values, returned, handed on, taken back."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.renderer.api.shop import Caller, Shop

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(shop: Shop, customer: Make) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Asks for a better price; gives the approval's number and the customer."""

    def ask() -> tuple[int, dict[str, Any]]:
        record = customer(name="王小明")
        assert shop.s1.post(f"/records/customer/{record['id']}/actions/offer").status_code == 200
        return shop.s1.get("/asks", state="asked", limit="1").json()["items"][0]["id"], record

    return ask


def decide(caller: Caller, number: int, **body: Any) -> Any:
    params = {"confirm": body.pop("confirm")} if "confirm" in body else {}
    return caller.post(f"/asks/{number}/decide", body, params=params)


def test_an_approval_is_told_to_those_it_concerns(shop: Shop, asked):
    number, record = asked()
    told = shop.a1.get(f"/asks/{number}").json()
    assert (told["title"], told["state"], told["opinion"], told["fields"]) == ("王小明 申请优惠", "open", "required", ["price"])
    assert told["applicant"] == {"id": shop.people["s1"], "label": "人s1"}
    assert told["about"] == {"entity": "customer", "id": record["id"], "label": "王小明"}
    assert [(one["person"]["label"], one["state"]) for one in told["people"]] == [("人a1", "open")]
    assert number in [one["id"] for one in shop.a1.get("/asks").json()["items"]]
    assert number not in [one["id"] for one in shop.s1.get("/asks").json()["items"]]
    assert shop.s2.get(f"/asks/{number}").status_code == 404 and decide(shop.s2, number, approve=True).status_code == 404


def test_approving_takes_opinion_and_values_and_runs_the_branch(shop: Shop, asked):
    number, record = asked()
    wrong = decide(shop.a1, number, approve=True, values={"price": -1})
    assert wrong.status_code == 422 and [one["pointer"] for one in wrong.json()["errors"]] == ["/price"]
    assert decide(shop.a1, number, approve=True, values={"price": 500}).json()["errors"][0]["pointer"] == "/opinion"
    soft = decide(shop.a1, number, approve=True, opinion="可以", values={"price": 50})
    assert soft.status_code == 409 and soft.json()["soft"] is True and soft.json()["code"] == "CHEAP"
    done = decide(shop.a1, number, approve=True, opinion="可以", values={"price": 50}, confirm="CHEAP").json()
    assert done["state"] == "approved" and done["answers"] == {"price": 50} and done["people"][0]["opinion"] == "可以"
    assert shop.s1.get(f"/records/customer/{record['id']}").json()["budget"] == 50
    assert decide(shop.a1, number, approve=False, opinion="再想").json()["code"] == "ask_over"
    assert number in [one["id"] for one in shop.a1.get("/asks", state="done").json()["items"]]


def test_refusing_needs_no_values(shop: Shop, asked):
    number, record = asked()
    assert decide(shop.a1, number, approve=False, opinion="不行").json()["state"] == "refused"
    assert shop.s1.get(f"/records/customer/{record['id']}").json()["stage"] == "lost"


def test_returned_sent_again_handed_on_joined_and_taken_back(shop: Shop, asked):
    number, _record = asked()
    assert shop.a1.post(f"/asks/{number}/return", {}).status_code == 422
    assert shop.a1.post(f"/asks/{number}/return", {"opinion": "写清理由"}).json()["state"] == "returned"
    assert shop.s2.post(f"/asks/{number}/again").status_code == 404 and shop.s1.post(f"/asks/{number}/again").json()["state"] == "open"
    for person in (10**12, 2**70, 0, -1, "x", None, True):
        assert shop.a1.post(f"/asks/{number}/delegate", {"person": person}).status_code == 422, person
        assert shop.a1.post(f"/asks/{number}/signer", {"person": person}).status_code == 422, person
    joined = shop.a1.post(f"/asks/{number}/signer", {"person": shop.people["l1"]}).json()
    assert joined["need"] == "all" and [one["person"]["label"] for one in joined["people"]] == ["人a1", "人l1"]
    handed = shop.a1.post(f"/asks/{number}/delegate", {"person": shop.people["s2"]}).json()
    assert [one["state"] for one in handed["people"]] == ["passed", "open", "open"]
    assert shop.s2.post(f"/asks/{number}/withdraw").status_code == 403
    assert shop.s1.post(f"/asks/{number}/withdraw").json()["state"] == "withdrawn"


def test_whoever_left_cannot_be_asked(shop: Shop, asked):
    number, _record = asked()
    gone = shop.a1.post("/records/person", {"name": "已离职", "login": f"x{shop.phone()}", "roles": ["seller"], "active": False})
    assert gone.status_code == 201, gone.text
    answer = shop.a1.post(f"/asks/{number}/delegate", {"person": gone.json()["id"]})
    assert answer.status_code == 422 and answer.json()["errors"][0]["code"] == "link_unknown"


def test_what_an_approval_is_about_is_not_named_to_who_may_not_read_it(shop: Shop, asked):
    number, _record = asked()
    assert shop.a1.post(f"/asks/{number}/delegate", {"person": shop.people["s3"]}).status_code == 200
    told = shop.s3.get(f"/asks/{number}").json()
    assert told["state"] == "open" and told["about"] is None


def test_pages_of_approvals_go_on_where_they_ended(shop: Shop, asked):
    numbers = [asked()[0] for _ in range(3)]
    first = shop.s1.get("/asks", state="asked", limit="2").json()
    assert [one["id"] for one in first["items"]] == numbers[:0:-1] and first["next"] == numbers[1]
    assert shop.s1.get("/asks", state="asked", limit="1", before=str(first["next"])).json()["items"][0]["id"] == numbers[0]
    assert shop.s1.get("/asks", state="all").status_code == 422 and shop.s1.get("/asks", limit="0").status_code == 422
