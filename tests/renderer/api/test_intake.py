"""The door for messages from outside: only what its source signed, in time, once; every fault told; nothing told to strangers; no input is a 500."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from engine import intake, rates
from engine.background import kinds
from engine.clock import wall
from engine.home import Home
from engine.intake import make_key, revoke_key, source_keys
from engine.jobs import table_for
from engine.records.query import Query, page
from engine.rule_jobs import JOB
from engine.webhooks import new_secret, signed_headers
from engine.worker import Worker
from renderer.app import create_app
from renderer.requests import STRANGERS_A_MINUTE
from renderer.security import Pace
from tests.engine.garden import Garden, garden_homes, make_garden

_ids = count(1)
LEAD = {"name": "张三", "phone": "13800138000", "height": 7}


@dataclass
class Door:
    """A client outside, with the key of one source."""

    client: TestClient
    garden: Garden
    source: str
    secret: str

    def send(self, body: object, number: str = "", *, at: datetime | None = None, source: str = "", workspace: str = "", **headers: str) -> Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = signed_headers(self.secret, number or f"msg_{next(_ids)}", at or wall(), content)
        given = {"Content-Type": "application/json", **signed, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post(f"/intake/{workspace or self.garden.name}/{source or self.source}", content=content, headers=given)

    def work(self) -> int:
        return Worker(self.garden.home, {JOB: kinds()[JOB]}).drain(self.garden.name)

    def plants(self) -> list[Mapping[str, Any]]:
        return list(page(self.garden.ctx, Query("plant", sort=("id",))).items)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Home]]:
    with garden_homes(tmp_path_factory.mktemp("intake"), lambda: request.getfixturevalue("new_postgres_database")) as homes:
        yield homes


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def client(request: pytest.FixtureRequest, homes: Callable[[str], Home]) -> Iterator[TestClient]:
    app = create_app(homes(str(request.param)))
    app.state.site = replace(app.state.site, strangers=Pace(10**9))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def door(client: TestClient) -> Door:
    garden = make_garden(client.app.state.site.home)  # type: ignore[attr-defined]
    return Door(client, garden, "lead", make_key(garden.ctx, "lead"))


def test_a_signed_message_is_taken_and_starts_the_rule_that_waits_for_it(door):
    answer = door.send(LEAD)
    assert answer.status_code == 202 and list(answer.json()) == ["id"] and door.plants() == []
    assert door.work() == 1
    assert [(plant["name"], plant["phone"], plant["height"]) for plant in door.plants()] == [("张三", "+8613800138000", 7)]


def test_a_repetition_gets_the_same_answer_and_does_nothing_even_after_it_was_done_and_forgotten(door):
    first = door.send(LEAD, "msg_same")
    again = [door.send(LEAD, "msg_same", at=wall() - timedelta(minutes=number % 4)) for number in range(5)]
    door.work()
    again.append(door.send(LEAD, "msg_same"))
    assert {answer.status_code for answer in again} == {202} and {answer.text for answer in again} == {first.text}
    with door.garden.workspace.database.write() as connection:
        connection.execute(sa.delete(intake.idempotency))
    assert door.send(LEAD, "msg_same").status_code == 202
    door.work()
    assert len(door.plants()) == 1


def test_a_hundred_deliveries_at_once_are_one_record(door, monkeypatch):
    monkeypatch.setattr(intake, "A_MINUTE", 1000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.send(LEAD, "msg_storm"), range(40)))
    assert {answer.status_code for answer in answers} == {202} and len({answer.text for answer in answers}) == 1
    door.work()
    assert len(door.plants()) == 1


def test_the_same_id_with_another_content_is_refused(door):
    door.send(LEAD, "msg_1")
    answer = door.send({**LEAD, "name": "李四"}, "msg_1")
    assert (answer.status_code, answer.json()["code"]) == (422, "intake_id_reused")


def test_every_fault_is_told_at_its_place_and_nothing_is_kept(door):
    answer = door.send({"name": "x" * 30, "phone": "123", "height": "7", "surplus": 1, "a/b": 2}, "msg_2")
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/name", "/phone", "/height", "/surplus", "/a~1b"}
    assert [error["code"] for error in door.send({}).json()["errors"]] == ["required"]
    assert door.send(LEAD, "msg_2").status_code == 202  # mended, the same id may come again
    assert door.work() == 1


def test_strangers_get_one_answer_whatever_there_is(door):
    told = {
        (answer.status_code, answer.text)
        for answer in (
            door.send(LEAD, webhook_signature="v1,AAAA"),
            door.send(LEAD, source="nowhere"),
            door.send(LEAD, workspace="nowhere"),
            door.send(LEAD, workspace="Xx-1"),
            door.client.post(f"/intake/{door.garden.name}/lead", content=b"{}"),
            Door(door.client, door.garden, "lead", new_secret()).send(LEAD),
        )
    }
    assert len(told) == 1 and next(iter(told))[0] == 401
    assert door.work() == 0


def test_an_old_message_is_refused_and_a_replayed_one_within_the_time_is_one(door):
    answer = door.send(LEAD, at=wall() - timedelta(minutes=5, seconds=2))
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_old")
    assert door.send(LEAD, at=wall() + timedelta(minutes=6)).status_code == 401
    assert door.send(LEAD, at=wall() - timedelta(minutes=4, seconds=50)).status_code == 202


def test_a_revoked_or_renewed_key_ends_at_once(door):
    assert door.send(LEAD).status_code == 202
    new = make_key(door.garden.ctx, "lead")
    assert door.send(LEAD).status_code == 401
    renewed = Door(door.client, door.garden, "lead", new)
    assert renewed.send(LEAD).status_code == 202
    revoke_key(door.garden.ctx, "lead")
    assert renewed.send(LEAD).status_code == 401
    assert [(key.source, key.revoked_at is not None, key.rules) for key in source_keys(door.garden.ctx)] == [("lead", True, 1)]


def test_keys_and_values_from_outside_lie_sealed(door):
    door.send(LEAD)
    table = table_for(door.garden.workspace.database.dialect)
    with door.garden.workspace.database.read() as connection:
        kept = str(connection.execute(sa.select(intake.source_key)).all()) + str(connection.execute(sa.select(table.c.args)).all())
    assert "13800138000" not in kept and "张三" not in kept and door.secret.removeprefix("whsec_") not in kept


def test_a_source_whose_name_is_an_event_starts_the_rules_of_the_event(door):
    calls = Door(door.client, door.garden, "call_ended", make_key(door.garden.ctx, "call_ended"))
    assert calls.send({"name": "来电"}).status_code == 202
    assert calls.work() == 1 and [plant["name"] for plant in calls.plants()] == ["来电"]


def test_a_source_no_rule_waits_for_is_asked_to_come_again(door):
    early = Door(door.client, door.garden, "early", make_key(door.garden.ctx, "early"))
    answer = early.send(LEAD)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "intake_not_ready", str(intake.NOT_READY))


def test_a_large_message_is_not_read_to_its_end(door):
    body = json.dumps({"name": "x" * intake.MOST_BYTES}).encode()
    assert door.send(body).status_code == 413
    assert door.send({f"f{number}": 1 for number in range(intake.MOST_FIELDS + 1)}).status_code == 422


def test_a_source_that_sends_too_often_is_slowed_down(door, monkeypatch):
    monkeypatch.setattr(intake, "A_MINUTE", 3)
    door.garden.home.rates = rates.MemoryRates()
    assert [door.send(LEAD).status_code for _ in range(5)] == [202, 202, 202, 429, 429]
    assert int(door.send(LEAD).headers["retry-after"]) > 0


def test_an_address_that_signs_nothing_is_turned_away_before_anything_is_looked_up(door, monkeypatch):
    state = door.client.app.state
    usual, state.site = state.site, replace(state.site, strangers=Pace(STRANGERS_A_MINUTE))
    try:
        answers = [door.send(LEAD, webhook_signature="v1,AAAA").status_code for _ in range(12)]
        assert answers == [401] * 10 + [429] * 2
        monkeypatch.setattr(intake, "enter_as", lambda *_: pytest.fail("looked up"))
        assert door.send(LEAD).status_code == 429
    finally:
        state.site = usual


def test_other_methods_are_not_there(door):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert door.client.request(method, f"/intake/{door.garden.name}/lead").status_code == 405


HOSTILE = [
    b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b"NaN", b'{"name": NaN}', b'{"name": 1e999}', b'{"name":"a","name":"b"}', b"[" * 9000, b'{"name": ' + b"[" * 1010 + b"]" * 1010 + b"}", b'{"a":' * 2000,
    b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b'{"__proto__": {"x": 1}}', b'{"name": {"$": "record"}}', b'{"name": ["x"]}',
    b'{"name": true}', b'{"name": "x", "height": 1e400}', b'{"name": "x", "height": 9007199254740993}', b'{"name": "x", "height": -1.5}', b'{"name": "x", "phone": "=cmd()"}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_are_refused_with_a_sentence(door, body):
    answer = door.send(body)
    assert answer.status_code == 422 and answer.json()["detail"] and door.work() == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.sampled_from(["name", "phone", "height"]) | st.text(max_size=10), values, max_size=6) | values, number=st.text(max_size=20))
def test_no_signed_body_is_an_error_of_ours(door, body, number):
    door.garden.home.rates = rates.MemoryRates()
    content = json.dumps(body).encode()
    headers = signed_headers(door.secret, "id" + "".join(sign for sign in number if sign.isascii() and sign.isalnum()) + str(next(_ids)), wall(), content)
    answer = door.client.post(f"/intake/{door.garden.name}/lead", content=content, headers=headers)
    assert answer.status_code in (202, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
    ),
)
def test_no_unsigned_message_is_anything_but_refused(door, body, headers):
    answer = door.client.post(f"/intake/{door.garden.name}/lead", content=body, headers=headers)
    assert answer.status_code == 401
