"""The outbox: in the commit of its cause or not at all, captured in a rehearsal, held after a restore, tried again with one key, given up on in the open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa

from engine import clock, outbox
from engine.backup import backup
from engine.clock import wall
from engine.connections import keep_connection
from engine.delivery import KIND, RETRIES, mend, try_out
from engine.errors import Invalid, NotFound
from engine.home import Home
from engine.jobs import table_for
from engine.notices import notify
from engine.outbox_reading import OutgoingView, counts, find_outgoing
from engine.outbox_reading import outbox as listed
from engine.publishing_restore import restore
from engine.records import service
from engine.rules.effects import Notify, Send
from engine.system_tables import workspace_state
from engine.system_tables_rules import connector as connector_table
from engine.system_tables_rules import outgoing
from engine.webhooks import new_secret, verified
from engine.worker import Worker
from tests.engine.garden import NOW, Garden, garden_homes, handle, make_garden
from tests.engine.homes import new_name
from tests.receivers import HttpReceiver, http_receiver


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Home]]:
    folder, make = tmp_path_factory.mktemp("outbox"), lambda: request.getfixturevalue("new_postgres_database")
    with garden_homes(folder, make, TANGRAM_OUTBOUND_NETWORKS="127.0.0.0/8") as homes:
        yield homes


@pytest.fixture
def home(database_kind: str, homes: Callable[[str], Home]) -> Home:
    return homes(database_kind)


@pytest.fixture
def garden(home: Home) -> Garden:
    return make_garden(home)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def put(garden: Garden, connector: str = "hook", key: str = "k1", **words: object) -> int:
    with garden.acting() as ctx:
        given = {"address": "13800138000", "text": {"zh": "客户牡丹到访", "en": "Peony came"}, "payload": {"name": "牡丹"}, **words}
        return outbox.send(ctx, Send(connector, key=key, **given), rule="tell_owner", run=5)  # type: ignore[arg-type]


def drain(garden: Garden) -> int:
    return Worker(garden.home, {KIND.name: KIND}).drain(garden.name)


def one(garden: Garden, number: int) -> OutgoingView:
    return find_outgoing(garden.ctx, number)


def jobs_of(garden: Garden) -> list[Mapping[str, object]]:
    table = table_for(garden.workspace.database.dialect)
    with garden.workspace.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).where(table.c.workspace == garden.name).order_by(table.c.id)).mappings()]


def hurry(garden: Garden) -> None:
    """The pause before the next try is over."""
    table = table_for(garden.workspace.database.dialect)
    with garden.workspace.database.write() as connection:
        connection.execute(table.update().where(table.c.workspace == garden.name, table.c.queue == "waiting").values(run_at=wall() - timedelta(seconds=1)))


# --- sent ------------------------------------------------------------------------------------------------------------------------------------------


def test_a_message_leaves_after_the_commit_once_and_what_it_said_is_kept(garden, receiver):
    secret = new_secret()
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url}, secret=secret)
    number = put(garden)
    assert receiver.requests == [] and one(garden, number).state == "waiting"
    assert drain(garden) == 1 and drain(garden) == 0
    request = receiver.requests[0]
    assert verified(secret, request.headers, request.body, wall()) == "k1"
    assert json.loads(request.body)["data"] == {"name": "牡丹", "to": "13800138000", "title": "告诉负责人", "text": "客户牡丹到访"}
    found = one(garden, number)
    assert (found.state, found.tries, found.text, found.address, found.rule, found.run) == ("sent", 1, "客户牡丹到访", "13800138000", "tell_owner", 5)
    assert found.sent_at is not None and found.problem is None


def test_a_message_of_a_transaction_that_goes_back_never_leaves(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    with pytest.raises(RuntimeError), garden.acting() as ctx:
        outbox.send(ctx, Send("hook", "x", "k"), rule="", run=None)
        raise RuntimeError
    assert drain(garden) == 0 and receiver.requests == [] and counts(garden.ctx) == {}


def test_a_second_message_with_the_same_key_is_that_row_already(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    assert put(garden) == put(garden, text="another") == put(garden, address="y")
    drain(garden)
    assert put(garden) == one(garden, 1).id and drain(garden) == 0
    assert receiver.keys() == {"k1": 1}


def test_one_key_put_by_many_at_once_is_one_message(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    found: list[int] = []
    threads = [Thread(target=lambda: found.append(put(garden, key="same"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    drain(garden)
    assert receiver.keys() == {"same": 1}


def test_what_lies_in_the_outbox_is_sealed(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    put(garden, text="")
    drain(garden)
    with garden.workspace.database.read() as connection:
        row = str(tuple(connection.execute(sa.select(outgoing)).one()))
    assert "13800138000" not in row and "牡丹" not in row


# --- to people -------------------------------------------------------------------------------------------------------------------------------------


def to_people(garden: Garden, channel: str, *people: str, **words: object) -> int:
    plant = garden.plant(owner=garden.people["gil"])
    with garden.acting() as ctx:
        about = handle(ctx, "plant", plant)
        values = {"name": "牡丹", "phone": "+8613800138000", "code": "X-1"}
        effect = Notify([garden.people[one] for one in people], "{name} {phone} {code}", values, channel, about=about, **words)  # type: ignore[arg-type]
        return notify(ctx, effect, rule="tell_owner", run=None)


def test_each_person_gets_what_they_may_read_where_they_are_reached(garden, receiver):
    keep_connection(garden.ctx, "sms", "sms", {"url": receiver.url, "fields": {"to": "{phone}", "text": "{text}"}})
    keep_connection(garden.ctx, "post", "sms", {"url": receiver.url, "fields": {"to": "{phone}", "text": "{text}"}}, reached="mail")
    assert to_people(garden, "sms", "gil", "old") == 1 and to_people(garden, "post", "ada", "gil") == 2
    drain(garden)
    assert sorted((json.loads(request.body)["to"], json.loads(request.body)["text"]) for request in receiver.requests) == [
        ("13900001111", "牡丹 138****8000 ***"),
        ("ada@example.org", "牡丹 13800138000 X-1"),
        ("gil@example.org", "牡丹 138****8000 ***"),
    ]


def test_who_has_no_address_or_left_meanwhile_is_named_and_others_are_served(garden, receiver):
    keep_connection(garden.ctx, "sms", "sms", {"url": receiver.url, "fields": {"to": "{phone}"}})
    assert to_people(garden, "sms", "gus", "gil", "ada") == 3
    service.update(garden.ctx, "person", garden.people["gus"], {"active": False}, service.ANY)
    drain(garden)
    found = {item.person: (item.state, item.problem[0] if item.problem else "") for item in listed(garden.ctx)[0]}
    assert found == {
        garden.people["gil"]: ("sent", ""),
        garden.people["gus"]: ("dead", "recipient_left"),
        garden.people["ada"]: ("dead", "recipient_unreachable"),
    }


def test_hours_hold_a_message_to_people_back_until_the_opening(garden, receiver, monkeypatch):
    keep_connection(garden.ctx, "sms", "sms", {"url": receiver.url, "fields": {"to": "{phone}"}})
    closed = make_garden(garden.home, changes={("settings", "settings"): {"hours": {"type": "calendar", "default": {}, "title": "从不"}}})
    keep_connection(closed.ctx, "sms", "sms", {"url": receiver.url, "fields": {"to": "{phone}"}})
    monkeypatch.setattr(outbox, "opening", lambda ctx, hours: ctx.now + timedelta(hours=9) if hours else ctx.now)
    to_people(garden, "sms", "gil", hours="hours")
    assert drain(garden) == 0
    job = jobs_of(garden)[0]
    assert isinstance(job["run_at"], datetime) and timedelta(hours=8.9) < job["run_at"] - wall() < timedelta(hours=9.1)
    hurry(garden)
    assert drain(garden) == 1 and len(receiver.requests) == 1


def test_a_calendar_that_never_opens_holds_nothing_back(garden):
    with garden.acting() as ctx:
        assert outbox.opening(ctx, "no_such_calendar") == ctx.now


# --- failing --------------------------------------------------------------------------------------------------------------------------------------


def test_a_failed_try_is_repeated_later_with_the_same_key(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    receiver.answers = [500, 503]
    number = put(garden)
    for tries in (1, 2):
        assert drain(garden) == 1 and drain(garden) == 0
        found = one(garden, number)
        assert (found.state, found.tries) == ("waiting", tries) and found.problem is not None and found.problem[0] == "builtin_status"
        hurry(garden)
    drain(garden)
    assert (one(garden, number).state, one(garden, number).tries, one(garden, number).problem) == ("sent", 3, None)
    assert receiver.keys() == {"k1": 3}


def test_a_receiver_that_says_when_is_asked_then(garden, receiver, monkeypatch):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    receiver.answers, receiver.retry_after = [429], "120"
    put(garden)
    drain(garden)
    job = jobs_of(garden)[0]
    assert isinstance(job["run_at"], datetime) and timedelta(seconds=100) < job["run_at"] - wall() < timedelta(seconds=125)


def test_after_the_last_try_a_message_is_dead_and_can_be_sent_again_with_its_key(garden, receiver, monkeypatch):
    monkeypatch.setattr("engine.delivery.RETRIES", 1)
    kind = type(KIND)(KIND.name, KIND.run, retries=1)
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    receiver.answers = [500, 500]
    number = put(garden)
    for _ in range(2):
        Worker(garden.home, {kind.name: kind}).drain(garden.name)
        hurry(garden)
    assert (one(garden, number).state, one(garden, number).tries) == ("dead", 2) and drain(garden) == 0
    assert outbox.send_again(garden.ctx, [number]) == 1 and one(garden, number).state == "waiting"
    with pytest.raises(NotFound):
        outbox.send_again(garden.ctx, [number])
    drain(garden)
    assert (one(garden, number).state, receiver.keys()) == ("sent", {"k1": 3})


def test_a_final_refusal_is_not_repeated(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    receiver.answers = [410]
    number = put(garden)
    drain(garden)
    assert one(garden, number).state == "dead" and drain(garden) == 0 and jobs_of(garden)[0]["queue"] == "done"


@pytest.mark.parametrize("how", ["none", "off", "unknown"])
def test_a_message_without_a_working_connection_is_dead_with_the_reason_until_there_is_one(garden, receiver, how):
    if how != "none":
        keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url}, active=how != "off")
    if how == "unknown":
        with garden.workspace.database.write() as connection:
            connection.execute(connector_table.update().values(kind="pigeon"))
    number = put(garden)
    drain(garden)
    found = one(garden, number)
    assert found.state == "dead" and found.problem is not None
    assert found.problem[0] == {"none": "unknown_connection", "off": "connection_off", "unknown": "unknown_connector"}[how]
    if how == "none":
        keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
        outbox.send_again(garden.ctx, [number])
        drain(garden)
        assert one(garden, number).state == "sent"


def test_a_connector_that_breaks_is_named_and_tried_again(garden, monkeypatch, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    monkeypatch.setattr(type(garden.workspace.registry.connectors["webhook"]), "send", lambda *_: 1 / 0)
    number = put(garden)
    drain(garden)
    found = one(garden, number)
    assert (found.state, found.problem) == ("waiting", ("connector_failed", {"name": "hook", "kind": "ZeroDivisionError"}))
    assert RETRIES > 10


def test_a_message_whose_job_was_given_up_on_is_not_left_waiting_for_ever(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    number, other = put(garden), put(garden, key="k2")
    table = table_for(garden.workspace.database.dialect)
    with garden.workspace.database.write() as connection:
        connection.execute(table.update().where(table.c.id == jobs_of(garden)[0]["id"]).values(queue="dead", error="job_killed_worker"))
    assert mend(garden.ctx) == 1 and mend(garden.ctx) == 0
    assert (one(garden, number).state, one(garden, other).state) == ("dead", "waiting")
    assert one(garden, number).problem == ("job_killed_worker", {"name": "send"})


def test_a_worker_whose_lease_is_over_notes_nothing(garden, receiver, monkeypatch):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    number = put(garden)
    table = table_for(garden.workspace.database.dialect)
    connector = type(garden.workspace.registry.connectors["webhook"])
    send = connector.send

    def slow(*args: object) -> object:
        with garden.workspace.database.write() as connection:
            connection.execute(table.update().where(table.c.workspace == garden.name).values(worker="another"))
        return send(*args)

    monkeypatch.setattr(connector, "send", slow)
    drain(garden)
    assert one(garden, number).state == "waiting" and receiver.keys() == {"k1": 1}


# --- rehearsals and restored workspaces -------------------------------------------------------------------------------------------------------


def test_in_a_demo_a_message_for_a_connection_nobody_set_up_is_captured_and_the_others_leave(garden, receiver):
    with garden.acting() as ctx:
        ctx.open.execute(sa.update(workspace_state).values(demo=True))
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    captured, sent = put(garden, "none", key="k1"), put(garden, key="k2")
    assert drain(garden) == 2
    assert (one(garden, captured).state, one(garden, captured).text, one(garden, sent).state) == ("captured", "客户牡丹到访", "sent")


def test_in_a_rehearsal_messages_are_captured_readable_and_never_leave(home, receiver):
    garden = make_garden(home, sandbox=True)
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    number = put(garden)
    to_people(garden, "hook", "gil")
    assert drain(garden) == 0 and jobs_of(garden) == [] and receiver.requests == []
    texts = {item.text for item in listed(garden.ctx, state="captured")[0]}
    assert texts == {"客户牡丹到访", "牡丹 138****8000 ***"} and one(garden, number).at == NOW
    assert outbox.release(garden.ctx) == 0 and drain(garden) == 0
    with pytest.raises(Invalid, match="try_out_sandbox"):
        try_out(garden.ctx, "hook", "", "x")


def test_a_job_that_finds_itself_in_a_rehearsal_sends_nothing(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    number = put(garden)
    with garden.workspace.database.write() as connection:
        connection.execute(clock._state.update().values(sandbox=True, now=NOW, version=clock._state.c.version))
    garden.home.look_again(garden.name)
    assert drain(garden) == 1 and one(garden, number).state == "captured" and receiver.requests == []


def test_a_restored_workspace_holds_what_waited_and_what_comes_until_it_is_released(home, receiver, tmp_path: Path):
    garden = make_garden(home)
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url}, secret="whsec_c2VjcmV0")
    waited = put(garden, key="before")
    backup(home, garden.name, tmp_path / "garden.zip")
    copy = Garden(home, new_name(), garden.people)
    restore(home, tmp_path / "garden.zip", copy.name)
    assert one(copy, waited).state == "held" and outbox.holding(copy.ctx)
    new = put(copy, key="after")
    assert one(copy, new).state == "held" and drain(copy) == 0 and receiver.requests == []
    assert outbox.release(copy.ctx) == 2 and not outbox.holding(copy.ctx)
    drain(copy)
    assert receiver.keys() == {"before": 1, "after": 1} and counts(copy.ctx) == {"sent": 2}
    assert "webhook-signature" not in receiver.requests[0].headers  # secrets do not travel in archives


def test_a_message_that_waits_when_a_hold_begins_is_held_too(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    number = put(garden)
    with garden.workspace.database.write() as connection:
        connection.execute(clock._state.update().values(hold_outgoing=True))
    drain(garden)
    assert one(garden, number).state == "held" and receiver.requests == []
    outbox.release(garden.ctx)
    drain(garden)
    assert one(garden, number).state == "sent"


def test_pages_and_filters_of_the_outbox(garden):
    for number in range(5):
        put(garden, connector="hook" if number % 2 else "sms", key=f"k{number}")
    first, following = listed(garden.ctx, limit=2)
    second, last = listed(garden.ctx, cursor=following, limit=3)
    assert [item.key for item in first + second] == ["k4", "k3", "k2", "k1", "k0"] and last == 0
    assert [item.key for item in listed(garden.ctx, connector="hook")[0]] == ["k3", "k1"]
    assert listed(garden.ctx, state="sent")[0] == [] and counts(garden.ctx) == {"waiting": 5}
    with pytest.raises(NotFound):
        find_outgoing(garden.ctx, 999)


def test_a_connection_can_be_tried_out_and_says_what_is_wrong(garden, receiver):
    keep_connection(garden.ctx, "hook", "webhook", {"url": receiver.url})
    try_out(garden.ctx, "hook", "", "测试")
    assert json.loads(receiver.requests[0].body)["data"]["text"] == "测试"
    receiver.answers = [500]
    with pytest.raises(Invalid, match="try_out_failed") as caught:
        try_out(garden.ctx, "hook", "", "测试")
    assert caught.value.params["reason"][0] == "builtin_status"
    assert counts(garden.ctx) == {}
