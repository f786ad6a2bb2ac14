"""Many records of a list at once: a few while the person waits, more of them in the background with progress, all that a list's conditions find, and who may look."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine import many
from engine.actors import enter_as
from engine.background import worker_of
from engine.clock import wall
from engine.errors import Conflict, Unavailable
from engine.home import Home
from engine.jobs import table_for
from engine.records import service
from engine.records.query import Query, get, page
from tests.renderer.counter import NAME, post

LEVEL = {"to": "2", "level": "c", "why": "床位调整"}


def guests(counter: Home, where: str = "") -> list[Any]:
    return page(enter_as(counter, NAME, "operator"), Query("guest", where=where, limit=200)).items


def moved(counter: Home) -> list[Any]:
    """Those who went where the form of these tests sends them."""
    return guests(counter, "level == 'c' and nurse == 2")


def soon(counter: Home) -> None:
    """Do not wait for the pause before the next attempt."""
    with counter.workspace(NAME).database.write() as connection:
        connection.execute(sa.update(table_for("sqlite")).values(run_at=wall() - timedelta(days=1)))


@pytest.fixture
def crowd(counter: Home) -> list[int]:
    """Thirty guests more, three of them held: more than one request does."""
    ctx = enter_as(counter, NAME, "operator")
    return [
        service.create(ctx, "guest", {"name": f"病人{n}", "level": "b", "state": "in", "nurse": 1, "hold": n % 10 == 0}, confirmed=["NO_PHONE"]).id
        for n in range(30)
    ]


def begun(answer: Any) -> str:
    """The address of the work that a form began."""
    assert answer.status_code == 303, answer.text
    assert re.fullmatch(rf"/w/{NAME}/l/guests/batch/\d+", answer.headers["Location"])
    return str(answer.headers["Location"])


def test_more_than_a_few_are_done_in_the_background_with_progress(counter_client, counter, crowd):
    client = counter_client("rosa")
    work = begun(post(client, "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    waiting = client.get(work).text
    assert "正在处理：第 0 / 30 条" in waiting and f'hx-get="{work}"' in waiting and "every 1s" in waiting
    assert not moved(counter)
    worker_of(counter).drain()
    told = client.get(work).text
    assert "已完成 27 条" in told and "被拒绝 3 条" in told and "病人10 正在保留，不能转床" in told and "every 1s" not in told
    assert len(moved(counter)) == 27


def test_what_may_be_gone_on_against_is_gone_on_against_together(counter_client, counter, crowd):
    ctx, client = enter_as(counter, NAME, "operator"), counter_client("rosa")
    for number in crowd:
        service.update(ctx, "guest", number, {"level": "a", "hold": False}, service.ANY, confirmed=["NO_PHONE"])
    work = begun(post(client, "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    worker_of(counter).drain()
    assert "仍然继续这 30 条" in client.get(work).text
    again = begun(post(client, work.removeprefix(f"/w/{NAME}"), confirm__="SPECIAL"))
    worker_of(counter).drain()
    assert "已完成 30 条" in client.get(again).text
    assert post(client, again.removeprefix(f"/w/{NAME}")).status_code == 422  # nothing is left to go on with


def test_all_that_the_conditions_find_can_be_chosen_without_being_shown(counter_client, counter, crowd):
    client = counter_client("rosa")
    form = client.get(f"/w/{NAME}/l/guests/many/move?level=b&every:=1", headers={"HX-Request": "true", "HX-Target": "dialog"}).text
    number = len(guests(counter, "level == 'b'"))
    assert f"全部 {number} 条" in form and 'name="every:"' in form and 'name="ids:"' not in form
    address = re.search(r'action="([^"]+)"', form)
    assert address is not None and "level=b" in address[1]
    work = begun(post(client, address[1].replace("&amp;", "&").removeprefix(f"/w/{NAME}"), every__="1", **{**LEVEL, "to": "1"}))
    worker_of(counter).drain()
    assert f"被拒绝 {len(guests(counter, 'hold'))} 条" in client.get(work).text
    assert {guest["hold"] for guest in guests(counter, "level == 'b'")} == {True}


def test_a_field_of_many_and_their_deletion_are_work_like_any_other(counter_client, counter, crowd):
    client, ctx = counter_client("rosa"), enter_as(counter, NAME, "operator")
    ids = [str(number) for number in crowd]
    work = begun(post(client, "/l/guests/bulk", ids__=ids, field__="level", value="c"))
    worker_of(counter).drain()
    assert "修改护理" in client.get(work).text and "已完成 30 条" in client.get(work).text
    assert {get(ctx, "guest", number)["level"] for number in crowd} == {"c"}
    gone = begun(post(counter_client("dana"), "/l/guests/delete", ids__=ids))
    worker_of(counter).drain()
    assert "已完成 30 条" in counter_client("dana").get(gone).text and not {guest["id"] for guest in guests(counter)} & set(crowd)


def test_work_that_broke_off_goes_on_behind_the_last_record_it_did(counter_client, counter, crowd, monkeypatch):
    client, once, seen = counter_client("rosa"), many.Step.on, []

    def breaks(step: many.Step, ctx: Any, record: int) -> None:
        once(step, ctx, record)
        seen.append(record)
        if len(seen) in (5, 12):  # written, but the transaction goes back
            raise Unavailable("database_lost")

    monkeypatch.setattr(many.Step, "on", breaks)
    work = begun(post(client, "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    for through in (5, 12, 30):
        worker_of(counter).drain()
        assert f"第 {through} / 30 条" in client.get(work).text or through == 30
        soon(counter)
    assert "已完成 27 条" in client.get(work).text
    for guest in moved(counter):
        assert guest.version == 2


def test_the_work_of_one_person_is_nobody_elses(counter_client, counter, crowd):
    work = begun(post(counter_client("rosa"), "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    assert counter_client("rita").get(work).status_code == 404 and counter_client("dana").get(work).status_code == 404
    assert counter_client("rosa").get(work.replace("/l/guests/", "/l/visits/")).status_code == 404
    worker_of(counter).drain()


def test_somebody_who_may_no_longer_do_it_has_it_refused_record_by_record(counter_client, counter, crowd):
    ctx = enter_as(counter, NAME, "operator")
    work = begun(post(counter_client("rosa"), "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    service.update(ctx, "person", 1, {"roles": []}, service.ANY)
    worker_of(counter).drain()
    service.update(ctx, "person", 1, {"roles": ["nurse"]}, service.ANY)
    assert "已完成 0 条" in counter_client("rosa").get(work).text and not moved(counter)


def test_too_many_are_refused_and_nothing_chosen_is_told(counter_client, counter, monkeypatch, crowd):
    client = counter_client("rosa")
    monkeypatch.setattr("renderer.pages.many.MOST", 20)
    assert client.get(f"/w/{NAME}/l/guests/many/move?every:=1").status_code == 422
    assert "20" in client.get(f"/w/{NAME}/l/guests/many/move?every:=1").text
    assert client.get(f"/w/{NAME}/l/guests/bulk?q=nobody-of-this-name&every:=1").status_code == 422
    assert many.MOST == 10_000


def test_going_on_needs_every_code_that_came_up() -> None:
    tally = many.Tally(2)
    tally.note(1, Conflict("SPECIAL", soft=True), "zh")
    tally.note(2, Conflict("LATE", soft=True), "zh")
    tally.note(3, Conflict("HELD"), "zh")
    assert (tally.codes, tally.soft, tally.refused) == (["SPECIAL", "LATE"], [1, 2], 3)


def test_a_mistake_of_the_program_on_one_record_leaves_the_others_to_be_done(counter_client, counter, crowd, monkeypatch):
    work = begun(post(counter_client("rosa"), "/l/guests/many/move", ids__=[str(number) for number in crowd], **LEVEL))
    real = many.Step.on

    def on(step: many.Step, ctx: Any, record: int) -> None:
        if record == crowd[4]:
            raise KeyError("a mistake of ours")
        real(step, ctx, record)

    monkeypatch.setattr(many.Step, "on", on)
    worker_of(counter).drain()
    text = counter_client("rosa").get(work).text
    assert "已完成 26 条" in text and "程序出错，这条没有处理" in text and {guest["id"] for guest in moved(counter)} == {*crowd} - {*crowd[::10], crowd[4]}
