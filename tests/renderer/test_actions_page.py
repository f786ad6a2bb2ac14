"""Buttons on pages without a browser: forms of parameters, faults in place, soft refusals gone on against, why something cannot be pressed, saves confirmed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from engine.actors import enter_as
from engine.errors import Invalid
from engine.fields.values import Link, link_id
from engine.home import Home
from engine.notices import inbox, unread
from engine.records import service
from engine.records.asks import mine
from engine.records.history import timeline
from engine.records.query import Query, get, page
from engine.rules.compile import rule_book
from renderer.api.schemas import parameters_schema
from renderer.asset_store import AssetStore
from renderer.board import cards
from renderer.bound_action import press_leads, presses
from renderer.bound_list import layout_of, query_of
from renderer.bound_record import Desk
from renderer.list_state import ListState
from renderer.record_story import changes, story, who
from renderer.shell import lists_holding
from renderer.templates import Pages
from tests.renderer.counter import NAME, post
from tests.renderer.station import as_person, words


def guest(counter: Home, number: int) -> Any:
    with enter_as(counter, NAME, "operator").snapshot() as ctx:
        return get(ctx, "guest", number)


def test_a_record_shows_the_buttons_its_reader_was_granted_there(counter_client):
    page = counter_client("rosa").get(f"/w/{NAME}/r/guest/1").text
    assert all(f'href="/w/{NAME}/r/guest/1/do/{name}"' in page for name in ("take", "move", "waive", "leave"))
    other = counter_client("rita").get(f"/w/{NAME}/r/guest/1").text
    assert "/do/move" in other and "/do/waive" not in other  # waive: nurse == me
    assert "/do/waive" not in counter_client("dana").get(f"/w/{NAME}/r/guest/1").text


def test_what_the_lists_name_first_is_the_first_button_and_a_deed_goes_before_a_record_no_list_names(counter):
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        guest = ctx.workspace.entities["guest"]
        pressed = presses(ctx, guest, 1, f"/w/{NAME}")
        assert not pressed[0].off
        assert not press_leads(ctx, guest, 1, pressed, "visit")  # the first list begins with visit.new
        assert press_leads(ctx, guest, 1, pressed, "debt") and press_leads(ctx, guest, 1, pressed, "")
        assert not press_leads(ctx, guest, 1, [replace(pressed[0], off=True)], "debt") and not press_leads(ctx, guest, 1, [], "")
        assert not press_leads(ctx, guest, 1, [replace(pressed[0], name="rare")], "")  # no list names it, while they name others


def test_only_the_lists_that_hold_a_record_say_what_comes_next_for_it(counter):
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        entity = ctx.workspace.entities["guest"]
        own, free = ({view.key for view in lists_holding(ctx, entity, number)} for number in (1, 4))
        assert "mine" in own and "mine" not in free and "guests" in free
    service.update(enter_as(counter, NAME, "operator"), "guest", 4, {"state": "out"}, service.ANY)
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        assert "desk" not in {view.key for view in lists_holding(ctx, entity, 4)}


def test_the_head_names_what_points_here_while_its_condition_holds_and_what_waits_for_approval(counter_client, counter):
    made = [service.create(as_person(counter, NAME, "dana"), "remark", {"guest": 1, "said": said}).id for said in ("少盐", "防跌倒")]
    head = counter_client("rosa").get(f"/w/{NAME}/r/guest/1").text.split('class="record-name"')[1].split("acts-top")[0]
    assert f'<a class="tag amber" href="/w/{NAME}/r/remark/{made[1]}" title="防跌倒">叮嘱</a>' in head and f"/r/remark/{made[0]}" not in head
    assert re.search(r'<a class="tag blue" href="#ask-\d+">借用轮椅 · 待审批</a>', head)
    assert "#ask-" not in counter_client("rita").get(f"/w/{NAME}/r/guest/1").text  # neither asked nor asking


def test_a_record_no_list_names_is_added_from_the_menu_not_by_the_blue_button(counter_client, counter):
    report = service.create(as_person(counter, NAME, "dana"), "report", {"title": "月报"}).id
    page = counter_client("dana").get(f"/w/{NAME}/r/report/{report}").text
    menu = page.split('acts-top">')[1]
    top = menu.split("<details")[0]
    assert "/r/visit/new?report=" not in top and "/r/visit/new?report=" in menu


def test_the_form_of_a_button_tells_the_amounts_it_is_about_to_those_who_may_read_them(counter_client):
    told = re.compile(r'<div class="about"><span><span class="faint">欠费</span> <span class="nowrap">.*5,000', re.DOTALL)
    assert told.search(counter_client("dana").get(f"/w/{NAME}/r/guest/2/do/move").text)
    assert "5,000" not in counter_client("rosa").get(f"/w/{NAME}/r/guest/2/do/move").text  # nurses read no debt


def test_people_whom_nobody_may_read_are_no_numbers_in_the_story_and_oneself_has_a_name(counter):
    ctx = as_person(counter, NAME, "rosa")
    first = timeline(ctx, "guest", 1).items[-1]
    own, other = (replace(first, person=Link(number, None)) for number in (ctx.actor.person_id, 999))
    assert (who(ctx, own), who(ctx, other)) == ("罗莎", "***")
    assert who(ctx, replace(first, person=Link(999, "丽塔"))) == "丽塔"


def test_a_value_for_programs_is_told_with_all_changes_only(counter):
    ctx = as_person(counter, NAME, "dana")
    made = service.create(ctx, "guest", {"name": "吴六", "level": "b"})
    service.update(ctx, "guest", made.id, {"chart": {"a": 1}, "level": "c"}, made.version)
    with as_person(counter, NAME, "dana").snapshot() as reading:
        desk = Desk(reading, Pages(AssetStore()), f"/w/{NAME}")
        told, every = (read(desk, reading.workspace.entities["guest"], made.id)[0] for read in (story, changes))
    assert [name for name, _before, _after in told[0].changes] == ["护理"]
    assert {name for one in every for name, _before, _after in one.changes} >= {"护理", "图表数据"}


def test_a_button_that_cannot_be_pressed_now_says_why(counter_client):
    client = counter_client("rosa")
    page = client.get(f"/w/{NAME}/r/guest/3").text
    assert 'class=" off" href="/w/counter/r/guest/3/do/leave"' in page and 'class=" off" href="/w/counter/r/guest/3/do/move"' not in page
    why = client.get(f"/w/{NAME}/r/guest/3/do/leave").text
    assert "现在不能执行" in why and "保留" in why and '<form class="form"' not in why
    refused = post(client, "/r/guest/3/do/leave")
    assert refused.status_code == 422 and "保留" in refused.text


def test_a_button_whose_approval_is_awaited_is_not_offered_again(counter_client):
    client = counter_client("rosa")
    assert 'class=" off" href="/w/counter/r/guest/2/do/lend"' not in client.get(f"/w/{NAME}/r/guest/2").text
    post(client, "/r/guest/2/do/lend")
    for login in ("rosa", "rita"):  # whoever asked
        assert 'class=" off" href="/w/counter/r/guest/2/do/lend"' in counter_client(login).get(f"/w/{NAME}/r/guest/2").text


def test_what_a_button_tells_whoever_presses_it_is_read_on_the_spot_and_does_not_wait_in_the_inbox(counter_client, counter):
    before = unread(as_person(counter, NAME, "rosa"))
    done = post(counter_client("rosa"), "/r/guest/2/do/remit", part="action-form")
    assert json.loads(done.headers["HX-Trigger"])["toast"]["text"] == "请催缴"
    assert unread(as_person(counter, NAME, "rosa")) == before
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        assert inbox(ctx, show="read").items[0].text == "请催缴"


def test_a_form_is_drawn_from_the_parameters_with_their_defaults(counter_client):
    page = counter_client("rosa").get(f"/w/{NAME}/r/guest/2/do/move").text
    assert "接收护士" in page and f'hx-get="/w/{NAME}/pick/guest.move/to"' in page and "换一个责任护士和护理级别" in page
    assert re.search(r'value="b" (checked|selected)|value="b"[^>]*(checked|selected)', page)
    assert "丽塔" in counter_client("rosa").get(f"/w/{NAME}/pick/guest.move/to?q=").text
    assert counter_client("dana").get(f"/w/{NAME}/pick/guest.waive/reason").status_code == 404


def test_a_parameter_begins_with_what_the_record_knows_as_far_as_whoever_presses_sees_it(counter_client, counter):
    service.update(enter_as(counter, NAME, "operator"), "guest", 2, {"level": "b"}, service.ANY)
    knows, hides = (counter_client(login).get(f"/w/{NAME}/r/guest/2/do/settle").text for login in ("dana", "rosa"))
    assert 'value="5000' in knows and 'value="5000' not in hides  # nurses read no debt
    for shown in (knows, hides):
        assert 'value="罗莎"' in shown and re.search(r'value="b" (checked|selected)', shown)
    with pytest.raises(Invalid) as refused:
        service.act(as_person(counter, NAME, "rosa"), "guest", 2, "settle", {}, json=True)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/paid", "required")]
    service.act(as_person(counter, NAME, "dana"), "guest", 2, "settle", {}, json=True)
    assert (guest(counter, 2)["debt"], guest(counter, 2)["level"]) == (0, "b")


def test_what_only_rules_give_an_action_is_asked_of_nobody_and_taken_from_nobody(counter_client, counter):
    assert "不通知" not in counter_client("dana").get(f"/w/{NAME}/r/guest/2/do/settle").text
    ctx = as_person(counter, NAME, "dana")
    assert "quiet" not in parameters_schema(ctx, rule_book(ctx.workspace).actions["guest.settle"])["properties"]
    with pytest.raises(Invalid) as refused:
        service.act(ctx, "guest", 2, "settle", {"quiet": True}, json=True)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/quiet", "param_not_asked")]


def test_a_picker_shows_the_field_its_link_names_beside_each_name(counter_client):
    offered = counter_client("rosa").get(f"/w/{NAME}/pick/remark/guest?q=").text
    assert re.search(r'data-label="钱一">钱一<span class="(dot \w+|faint) push nowrap">特级</span>', offered)


def test_a_card_on_a_phone_has_a_line_for_what_is_to_be_noted(counter_client, counter):
    service.create(as_person(counter, NAME, "rosa"), "visit", {"guest": 1, "said": "睡得安稳"})
    assert re.search(r'<td[^>]*data-slot="note"[^>]*>睡得安稳', counter_client("rosa").get(f"/w/{NAME}/l/consults").text)
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        layout = layout_of(ctx, Pages(AssetStore()), ctx.workspace.bundle.lists["consults"], f"/w/{NAME}")
        rows = page(ctx, query_of(ctx, layout, ListState())).items
        assert [card.note for card in cards(ctx, layout, rows, f"/w/{NAME}")] == ["睡得安稳"]


def test_faults_stand_at_their_parameters_and_nothing_typed_is_lost(counter_client, counter):
    client = counter_client("rosa")
    wrong = post(client, "/r/guest/2/do/move", part="action-form", why="嗯", level="c")
    assert wrong.status_code == 422 and 'id="p-to-error"' in wrong.text and "嗯</textarea>" in wrong.text
    ruled = post(client, "/r/guest/2/do/move", part="action-form", why="换床", level="c", to="2")
    assert ruled.status_code == 422 and "请写清原因" in ruled.text.split('id="p-why-error"')[1] and "丽塔" in ruled.text
    held = post(client, "/r/guest/3/do/move", part="action-form", why="病情变化", level="c", to="2")
    assert "李三 正在保留，不能转床" in held.text.split('id="form-errors"')[1]
    assert guest(counter, 2)["nurse"].id == 1


def test_a_soft_refusal_is_gone_on_against_with_everything_typed(counter_client, counter):
    client = counter_client("rosa")
    form = {"why": "病情好转", "level": "c", "to": "2"}
    soft = post(client, "/r/guest/1/do/move", part="action-form", **form)
    assert soft.status_code == 422 and "钱一 是特级护理，确定降级？" in soft.text and 'name="confirm:" value="SPECIAL"' in soft.text
    assert guest(counter, 1)["level"] == "a"
    done = post(client, "/r/guest/1/do/move", part="action-form", **form, confirm__="SPECIAL")
    assert done.status_code == 204 and "freshPage" in done.headers["HX-Trigger"] and "closeDialog" in done.headers["HX-Trigger"]
    assert (guest(counter, 1)["level"], guest(counter, 1)["nurse"].id) == ("c", 2)


def test_a_button_works_without_scripts_and_twice_sent_does_its_work_once(counter_client, counter):
    client = counter_client("rosa")
    page = client.get(f"/w/{NAME}/r/guest/2/do/waive").text
    once = page.split('name="once:" value="')[1].split('"')[0]
    for _turn in range(2):
        done = post(client, "/r/guest/2/do/waive", reason="再次申请", once__=once)
        assert done.status_code == 303 and done.headers["Location"] == f"/w/{NAME}/r/guest/2"
    with as_person(counter, NAME, "rosa").snapshot() as ctx:
        assert len([one for one in mine(ctx, state="asked") if "再次申请" in one.title]) == 1


@pytest.mark.parametrize("path", ["/r/guest/1/do/nothing", "/r/guest/999/do/move", "/r/guest/1/do/visit.new", "/r/nothing/1/do/move", "/r/visit/1/do/move"])
def test_what_is_not_there_or_not_granted_is_refused(counter_client, path):
    assert counter_client("rosa").get(f"/w/{NAME}{path}").status_code in (403, 404)


def test_a_soft_refusal_of_a_save_is_confirmed_on_its_form(counter_client, counter):
    client = counter_client("rosa")
    form = {"name": "吴五", "level": "a", "state": "in"}
    soft = post(client, "/r/guest/new", part="record-form", **form)
    assert soft.status_code == 422 and "特级护理没有电话，仍然保存？" in soft.text and 'value="NO_PHONE"' in soft.text and 'value="吴五"' in soft.text
    made = post(client, "/r/guest/new", **form, confirm__="NO_PHONE")
    assert made.status_code == 303 and guest(counter, int(made.headers["Location"].rsplit("/", 1)[1]))["name"] == "吴五"
    change = {"name": "孙二", "level": "a", "state": "in", "version": str(guest(counter, 2).version)}
    assert 'value="NO_PHONE"' in post(client, "/r/guest/2/edit", part="record-form", **change).text
    assert post(client, "/r/guest/2/edit", **change, confirm__="NO_PHONE").status_code == 303 and guest(counter, 2)["level"] == "a"


def test_a_list_offers_its_actions_for_one_row_and_for_many(counter_client):
    client = counter_client("rosa")
    menu = client.get(f"/w/{NAME}/l/guests/row/1", headers={"HX-Request": "true", "HX-Target": "dialog"}).text
    assert "/r/guest/1/do/move" in menu and "/do/leave" not in menu
    assert f"/w/{NAME}/l/guests/many/move" in client.get(f"/w/{NAME}/l/guests").text
    form = client.get(f"/w/{NAME}/l/guests/many/move?ids=2&ids=4", headers={"HX-Request": "true", "HX-Target": "dialog"}).text
    assert form.count('name="ids:"') == 2 and "已选 2 条" in form
    assert client.get(f"/w/{NAME}/l/guests/many/leave?ids=2").status_code == 404 and client.get(f"/w/{NAME}/l/guests/many/move").status_code == 422


def test_an_action_on_a_page_of_its_own_leads_back_to_its_record_and_one_in_a_dialog_stays(counter_client):
    client, form = counter_client("rosa"), {"to": "2", "level": "b", "why": "床位调整"}
    client.headers["HX-Current-URL"] = f"http://127.0.0.1/w/{NAME}/r/guest/2"
    assert "HX-Redirect" not in post(client, "/r/guest/2/do/move", part="action-form", **form).headers
    client.headers["HX-Current-URL"] = f"http://127.0.0.1/w/{NAME}/r/guest/4/do/move"
    assert post(client, "/r/guest/4/do/move", part="action-form", **form).headers["HX-Redirect"] == f"/w/{NAME}/r/guest/4"


def test_the_menu_of_a_row_is_named_by_words_and_offers_only_what_is_granted(counter_client, counter: Home):
    ctx, headers = enter_as(counter, NAME, "operator"), {"HX-Request": "true", "HX-Target": "dialog"}
    visit, report = service.create(ctx, "visit", {"guest": 2, "said": "会诊"}), service.create(ctx, "report", {"title": "查房报告"})
    menu = counter_client("rosa").get(f"/w/{NAME}/l/consults/row/{visit.id}", headers=headers).text
    assert '<h2 class="ellipsis">孙二</h2>' in menu and f"/r/visit/{visit.id}/edit" in menu
    assert "/edit" not in counter_client("rosa").get(f"/w/{NAME}/l/reports/row/{report.id}", headers=headers).text


def test_what_a_persons_figure_counts_is_read_on_their_page(counter_client, counter: Home):
    with enter_as(counter, NAME, "operator").snapshot() as ctx:
        nurse = next(row["nurse"] for row in page(ctx, Query("guest", where="exists(nurse)", fields=("nurse",))).items)
    shown = counter_client("rosa").get(f"/w/{NAME}/r/person/{link_id(nurse)}").text
    assert 'id="panel-guest-nurse"' in shown and 'id="panel-visit-' not in shown


def test_many_rows_are_done_one_by_one_with_a_result_for_each(counter_client, counter):
    client, form = counter_client("rosa"), {"to": "2", "level": "c", "why": "床位调整"}
    wrong = post(client, "/l/guests/many/move", part="action-form", ids__=["1", "2"], level="c", why="床位调整")
    assert wrong.status_code == 422 and 'id="p-to-error"' in wrong.text and wrong.text.count('name="ids:"') == 2
    told = post(client, "/l/guests/many/move", part="action-form", ids__=["1", "2", "3", "4", "99"], **form)
    assert told.status_code == 200 and told.headers["HX-Retarget"] == "#dialog"
    assert "已完成 2 条" in told.text and "被拒绝 3 条" in told.text and "李三 正在保留，不能转床" in told.text and "仍然继续这 1 条" in told.text
    assert [guest(counter, number)["nurse"].id for number in (1, 2, 3, 4)] == [1, 2, 1, 2]
    done = post(client, "/l/guests/many/move", ids__=["1"], confirm__="SPECIAL", **form)
    assert done.status_code == 303 and guest(counter, 1)["level"] == "c"


def test_the_story_of_a_record_tells_what_sum_each_thing_was_about(counter_client, counter: Home):
    service.create(enter_as(counter, NAME, "operator"), "bill", {"guest": 2, "least": 100, "amount": 234500})
    told = words(counter_client("dana").get(f"/w/{NAME}/r/guest/2").text)
    assert "账单 应付 2,345" in told and "最低" not in told.split("账单 应付")[1][:40]
