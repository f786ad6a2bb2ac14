"""Lists for a desk: buttons on each record that its reader may press there now, done at once or asking for what they need; other lists above; asked anew."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

from engine.actors import enter_as
from engine.home import Home
from engine.records import service
from engine.records.query import get
from engine.records.record import ANY
from renderer import board
from tests.renderer.counter import NAME, post
from tests.renderer.station import as_person


def page_of(client: Any, path: str) -> str:
    answer = client.get(f"/w/{NAME}{path}")
    assert answer.status_code == 200
    return str(answer.text)


def card(page: str, number: int) -> str:
    """The card of a record on the board."""
    return page.split(f'id="card-{number}"')[1].split("</li>")[0]


def presses(part: str) -> list[str]:
    """The actions whose buttons stand there, in order."""
    return re.findall(r'hx-(?:post|get)="/w/counter/r/guest/\d+/do/(\w+)"', part)


def test_a_record_has_the_buttons_its_reader_may_press_there_now(counter_client):
    rosa, rita = page_of(counter_client("rosa"), "/l/desk"), page_of(counter_client("rita"), "/l/desk")
    assert presses(card(rosa, 1)) == ["leave", "move", "waive"]
    assert presses(card(rosa, 3)) == ["move", "waive"]  # held: may not leave
    assert presses(card(rita, 1)) == ["leave", "move"]  # waive: nurse == me
    assert presses(card(page_of(counter_client("dana"), "/l/desk"), 1)) == ["move"]


def test_a_condition_may_read_what_its_reader_does_not_see(counter_client, counter: Home):
    """The nurses see no debt; a button that asks for one stands only where there is one."""
    page = page_of(counter_client("rosa"), "/l/debts")
    assert presses(card(page, 2)) == ["remit"] and presses(card(page, 1)) == [] and "5,000" not in page


def test_buttons_stand_in_the_rows_of_a_table_too_and_say_whose_they_are(counter_client):
    page = page_of(counter_client("rosa"), "/l/desk?page=table")
    row = page.split('id="row-1"')[1].split("</tr>")[0]
    assert presses(row) == ["leave", "move", "waive"] and 'aria-label="出院 钱一"' in row and '<td class="acts shown">' in row
    assert '<td class="acts">' in page_of(counter_client("rosa"), "/l/guests")
    debts = page_of(counter_client("rosa"), "/l/debts?page=table")
    assert '<td class="acts shown">' in debts.split('id="row-2"')[1].split("</tr>")[0]
    assert '<td class="acts">' in debts.split('id="row-1"')[1].split("</tr>")[0]  # a row without a button keeps no place for one


def test_a_yes_or_no_on_a_phones_card_says_what_it_is_about(counter_client):
    row = page_of(counter_client("rosa"), "/l/debts?page=table").split('id="row-1"')[1].split("</tr>")[0]
    assert 'data-slot="state" data-caption="保留"' in row and 'data-slot="sub" data-caption' not in row


def test_a_number_at_the_end_of_a_card_says_what_it_is_about():
    columns = [
        SimpleNamespace(name=name, title=title, item=SimpleNamespace(type=SimpleNamespace(name=kind)))
        for name, title, kind in (("soon", "即将到期", "integer"), ("at", "时间", "instant"))
    ]
    layout: Any = SimpleNamespace(columns=columns)
    assert board._said(layout, {"soon": "14"}, "soon") == '<span class="muted">即将到期</span> 14'
    assert board._said(layout, {"at": "11-23"}, "at") == "11-23" and board._said(layout, {}, "") == ""


def test_one_without_parameters_is_done_at_once_and_one_with_them_asks(counter_client, counter: Home):
    client, page = counter_client("rosa"), page_of(counter_client("rosa"), "/l/desk")
    assert re.search(r'hx-post="/w/counter/r/guest/2/do/leave"', page) and re.search(r'hx-get="/w/counter/r/guest/2/do/move" hx-target="#dialog"', page)
    done = post(client, "/r/guest/2/do/leave", part="x", at_once__="1")
    told = json.loads(done.headers["HX-Trigger"])
    assert done.status_code == 204 and "freshPage" in told and "出院" in told["toast"]["text"]
    with enter_as(counter, NAME, "operator").snapshot() as ctx:
        assert get(ctx, "guest", 2)["state"] == "out"
    assert 'id="card-2"' not in page_of(client, "/l/desk")


def test_one_to_be_sure_of_asks_first_and_tells_what_follows(counter_client):
    client = counter_client("rosa")
    assert re.search(r'hx-get="/w/counter/r/guest/2/do/remit" hx-target="#dialog"', page_of(client, "/l/debts"))
    asked = client.get(f"/w/{NAME}/r/guest/2/do/remit", headers={"HX-Request": "true"}).text
    assert "护士随即收到通知" in asked and "5,000" not in asked
    assert "freshPage" in json.loads(post(client, "/r/guest/2/do/remit", part="x").headers["HX-Trigger"])


def test_a_button_that_was_out_of_date_says_why_and_the_page_is_made_fresh(counter_client):
    refused = post(counter_client("rosa"), "/r/guest/3/do/leave", part="x", at_once__="1")
    told = json.loads(refused.headers["HX-Trigger"])
    assert refused.status_code in (409, 422) and told["toast"]["kind"] == "error" and "freshPage" in told


def test_a_list_says_what_an_empty_one_means_unless_it_is_searched(counter_client):
    rita = counter_client("rita")
    bare = page_of(rita, "/l/mine")
    assert "没有交给您照看的病人" in bare and "一有属于" not in bare
    sought = page_of(rita, "/l/mine?q=x")
    assert "没有符合条件的记录" in sought and "没有交给您照看的病人" not in sought
    assert "没有交给您照看的病人" not in page_of(counter_client("rosa"), "/l/mine")


def test_other_lists_stand_above_with_their_columns_named_and_their_buttons(counter_client):
    page = page_of(counter_client("rosa"), "/l/desk")
    above = page.split('<div class="above">')[1].split('class="kanban"')[0]
    assert "我的病人" in above and "钱一" in above and "周四" not in above and "<dt>" in above and "leave" in presses(above)
    assert f'<span class="muted">{above.count("<li")}</span>' in above.split("</h2>")[0]  # on a phone the others stand to the right
    assert '<div class="above">' not in page_of(counter_client("rita"), "/l/desk")  # nothing of hers
    assert '<div class="above">' in counter_client("rosa").get(f"/w/{NAME}/l/desk", headers={"HX-Request": "true", "HX-Target": "list"}).text


def test_a_list_says_how_often_it_is_asked_anew_and_what_can_be_begun_from_it(counter_client):
    page = page_of(counter_client("rosa"), "/l/desk?level=a")
    assert 'data-poll hx-get="/w/counter/l/desk?level=a" hx-trigger="every 5s, poll"' in page  # never oftener than five seconds
    assert 'href="/w/counter/r/visit/new"' in page.split("list-head")[1].split("filters")[0]
    assert "data-poll hx-get=" not in page_of(counter_client("rosa"), "/l/guests").split('id="list"')[1]


def test_a_hostile_name_does_not_leave_its_button(counter_client, counter: Home):
    made = service.create(enter_as(counter, NAME, "operator"), "guest", {"name": '"><img src=x>{0}', "level": "c"})
    page = page_of(counter_client("rosa"), "/l/desk")
    assert "<img src=x>" not in page and "&gt;&lt;img src=x&gt;{0}" in card(page, made.id)
    service.delete(enter_as(counter, NAME, "operator"), "guest", made.id, ANY)


def test_a_record_whose_list_is_asked_anew_is_asked_anew_too_and_drawn_only_when_it_has_changed(counter_client, counter):
    ctx, client = as_person(counter, NAME, "dana"), counter_client("dana")
    made = service.create(ctx, "report", {"title": "周报"})
    here = f"/w/{NAME}/r/report/{made.id}"
    assert (
        f'data-poll hx-get="{here}?seen=1" hx-trigger="every 20s, poll"' in client.get(here).text and "/1?seen=" not in client.get(f"/w/{NAME}/r/guest/1").text
    )
    assert client.get(f"{here}?seen=1", headers={"HX-Request": "true", "HX-Target": "main"}).status_code == 204
    service.update(ctx, "report", made.id, {"title": "第二周周报"}, made.version)
    changed = client.get(f"{here}?seen=1", headers={"HX-Request": "true", "HX-Target": "main"})
    assert changed.status_code == 200 and "第二周周报" in changed.text and "?seen=2" in changed.text
