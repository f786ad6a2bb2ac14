"""What a form or a button asks for only beside other values: shown and wanted when its condition holds, asked for anew as one types, refused when it is missing."""

from __future__ import annotations

import re
from typing import Any

from engine.actors import enter_as
from engine.home import Home
from engine.records import service
from engine.records.query import Query, page
from tests.renderer.counter import NAME, post
from tests.renderer.station import as_person

MOVE = "/r/guest/1/do/move"
PART = {"HX-Request": "true", "HX-Target": "dialog"}


def test_a_parameter_is_asked_for_only_where_its_condition_holds(counter_client):
    client = counter_client("rosa")
    fresh = client.get(f"/w/{NAME}{MOVE}", headers=PART).text
    assert 'name="level"' in fresh and 'name="guard"' not in fresh
    assert f'hx-post="/w/{NAME}{MOVE}/refresh"' in fresh and fresh.count("data-refresh ") + fresh.count("data-refresh>") >= 1
    asked = post(client, f"{MOVE}/refresh", part="action-form", level="a", why="夜里要人陪").text
    assert 'name="guard"' in asked and 'aria-required="true"' in asked.split('name="guard"')[1].split(">")[0] and "夜里要人陪" in asked
    assert 'role="alert"' not in asked


def test_a_parameter_that_is_wanted_beside_another_is_refused_when_it_is_missing_and_left_out_when_it_is_not_asked_for(counter_client):
    client = counter_client("rosa")
    missing = post(client, MOVE, part="action-form", level="a", to="2", why="夜里要人陪")
    assert missing.status_code == 422 and 'id="p-guard-error"' in missing.text
    other = post(client, MOVE, part="action-form", level="b", to="", why="夜里要人陪")
    assert other.status_code == 422 and 'id="p-to-error"' in other.text and 'name="guard"' not in other.text


def test_what_a_form_alone_asks_for_is_refused_when_it_is_missing_with_all_else_that_is_wrong(counter_client, counter: Home):
    client = counter_client("rosa")
    form: dict[str, Any] = {"use": "quick", "form": "guest_entry"}
    missing = post(client, "/r/guest/new?use=quick", part="record-form", name="", level="a", phone="", **form)
    assert missing.status_code == 422 and 'id="f-phone-error"' in missing.text and 'id="f-name-error"' in missing.text
    assert post(client, "/r/guest/new?use=quick", part="record-form", name="吴五", level="b", phone="", **form).status_code in (204, 303)
    with enter_as(counter, NAME, "operator").snapshot() as ctx:
        assert [row["name"] for row in page(ctx, Query("guest", where="name == '吴五'", fields=("name",))).items] == ["吴五"]


def test_a_record_added_from_another_leads_back_unless_its_form_says_that_it_has_a_next_step(counter_client):
    client = counter_client("rosa")
    back = post(client, "/r/visit/new?guest=1&use=quick", use="quick", guest="1", said="精神好")
    assert back.status_code == 303 and back.headers["Location"] == f"/w/{NAME}/r/guest/1"
    opened = post(client, "/r/visit/new?guest=1&use=quick&form=visit_report", use="quick", form="visit_report", guest="1", said="请会诊")
    assert opened.status_code == 303 and re.fullmatch(rf"/w/{NAME}/r/visit/\d+", opened.headers["Location"])


def test_a_value_nobody_types_is_no_empty_box_and_stands_there_once_what_tells_it_is_chosen(counter_client):
    client = counter_client("rosa")
    form = {"use": "quick", "form": "visit_report"}
    fresh = client.get(f"/w/{NAME}/r/visit/new?use=quick&form=visit_report").text
    assert 'name="guest"' in fresh and 'name="ward"' not in fresh
    chosen = post(client, "/r/visit/refresh", part="record-form", guest="1", said="", **form).text
    assert 'value="东二"' in chosen and "readonly" in chosen.split('name="ward"')[1].split(">")[0]
    cleared = post(client, "/r/visit/refresh", part="record-form", guest="", ward="东二", said="", **form).text
    assert 'name="ward"' not in cleared  # what the form only showed is not taken for what was typed


def test_a_constant_that_others_set_is_no_dead_box_on_a_new_form(counter_client):
    page = f"/w/{NAME}/r/guest/new?use=quick"
    assert 'name="bill"' in counter_client("dana").get(page).text and 'id="f-bill"' not in counter_client("rosa").get(page).text


def test_a_value_that_a_new_form_only_shows_is_no_input(counter_client, counter: Home):
    client = counter_client("rosa")
    form = {"use": "quick", "form": "guest_entry"}
    shown = client.get(f"/w/{NAME}/r/guest/new?use=quick&form=guest_entry").text
    assert 'value="东二"' in shown and "readonly" in shown.split('name="ward"')[1].split(">")[0]
    assert post(client, "/r/guest/new?use=quick", part="record-form", name="郑六", level="b", ward="东二", **form).status_code in (204, 303)
    with enter_as(counter, NAME, "operator").snapshot() as ctx:
        assert [row["ward"] for row in page(ctx, Query("guest", where="name == '郑六'", fields=("ward",))).items] == ["东二"]


def test_a_link_of_a_form_offers_only_what_fits_and_no_other_record_leads_to_the_form(counter_client, counter: Home):
    client, ctx = counter_client("rosa"), enter_as(counter, NAME, "operator")
    begun, offered = f"/w/{NAME}/r/visit/new?guest=4", lambda: client.get(source).text
    form = client.get(f"/w/{NAME}/r/visit/new").text
    source = re.search(r'hx-get="(/w/counter/pick/visit/guest[^"]*)"', form)[1]  # type: ignore[index]
    assert "周四" in offered() and begun in client.get(f"/w/{NAME}/r/guest/4").text and begun in client.get(f"/w/{NAME}/l/guests").text
    service.update(ctx, "guest", 4, {"state": "out"}, service.ANY)
    assert "周四" not in offered() and "孙二" in offered()
    row = client.get(f"/w/{NAME}/l/guests/row/4", headers={"HX-Request": "true", "HX-Target": "dialog"}).text
    assert all(begun not in page for page in (client.get(f"/w/{NAME}/r/guest/4").text, client.get(f"/w/{NAME}/l/guests").text, row))
    made = service.create(as_person(counter, NAME, "rosa"), "visit", {"guest": 4, "said": "补记一次查看"})  # what is offered is a hint, no rule
    assert made.version == 1 and "周四" in client.get(f"/w/{NAME}/r/visit/{made.id}/edit").text


def test_a_choice_of_a_form_offers_only_what_fits_the_rest_of_it(counter_client):
    client, form = counter_client("rosa"), {"use": "quick", "form": "guest_entry"}
    assert 'value="c"' not in client.get(f"/w/{NAME}/r/guest/new?use=quick&form=guest_entry").text
    told = post(client, "/r/guest/refresh", part="record-form", name="吴五", level="b", phone="13900000009", **form).text
    assert 'value="c"' in told and "data-refresh" in told.split('name="phone"')[1].split(">")[0]


def test_a_stage_offers_only_where_people_may_bring_it(counter_client, counter: Home):
    service.update(enter_as(counter, NAME, "operator"), "guest", 4, {"state": "out"}, service.ANY)
    choice = re.compile(r'name="state".*?</(?:select|fieldset|div)>', re.DOTALL)

    def shown(number: int) -> set[str]:
        page = counter_client("rosa").get(f"/w/{NAME}/r/guest/{number}/edit").text
        return set(re.findall(r'name="state"[^>]*value="(\w+)"', page)) or set(re.findall(r'value="(\w+)"', choice.search(page)[0]))  # type: ignore[index]

    assert {"in", "out"} <= shown(2) and "in" not in shown(4)


def test_a_proposed_moment_is_told_to_the_minute_and_saved_as_it_was_unless_another_is_given(counter_client, counter: Home):
    client = counter_client("rosa")
    drawn = client.get(f"/w/{NAME}/r/visit/new?guest=2").text
    begun = drawn.split('name="begun:" value="')[1].split('"')[0]
    assert len(begun) == len("2026-03-01T11:00:00.000") and re.search(rf'name="at"[^>]* value="{begun[:16]}"', drawn)
    for given, kept in ((begun[:16], begun), ("2026-03-01T11:00:07", "2026-03-01T11:00:07.000")):
        post(client, "/r/visit/new", guest="2", at=given, said="到分钟", begun__=begun)
        with enter_as(counter, NAME, "operator").snapshot() as ctx:
            found = max(page(ctx, Query("visit", where="said == '到分钟'", fields=("at",))).items, key=lambda one: one["id"])
        assert found["at"].astimezone(ctx.workspace.timezone).replace(tzinfo=None).isoformat(timespec="milliseconds") == kept


def test_a_field_begins_as_what_is_chosen_elsewhere_says_until_somebody_has_visited_it(counter_client):
    client = counter_client("rosa")
    room = re.compile(r'name="room"[^>]* value="([^"]*)"')
    for touched, given, shown in (("guest", "", "东二"), ("guest", "西一", "东二"), ("guest,room", "西一", "西一"), ("guest,room", "", "")):
        drawn = post(client, "/r/visit/refresh", part="record-form", guest="1", room=given, said="", touched__=touched).text
        assert room.search(drawn)[1] == shown


def test_a_record_is_not_begun_by_a_link_that_has_no_place_on_a_new_one(counter_client, counter: Home):
    visit = service.create(enter_as(counter, NAME, "operator"), "visit", {"guest": 2, "said": "会诊"}).id
    assert "/r/visit/new?follows=" not in counter_client("dana").get(f"/w/{NAME}/r/visit/{visit}").text
    assert "/r/visit/new?guest=2" in counter_client("dana").get(f"/w/{NAME}/r/guest/2").text


def test_a_picker_of_a_new_record_offers_only_what_its_giver_may_make_one_for(counter_client):
    for login, offered in (("rosa", {"钱一", "孙二", "李三"}), ("rita", set[str]())):
        client = counter_client(login)
        source = re.search(r'hx-get="(/w/counter/pick/remark/guest[^"]*)"', client.get(f"/w/{NAME}/r/remark/new").text)
        assert source is not None and set(re.findall(r'data-label="([^"]*)"', client.get(source[1].replace("&amp;", "&")).text)) == offered
