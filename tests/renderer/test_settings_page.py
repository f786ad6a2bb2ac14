"""The page of settings and its API: values in words, controls by type, what a value brings about before it is set, and nobody without the right."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from engine import settings_values
from engine.actors import enter_as
from engine.home import Home
from engine.records import service
from renderer.bound_setting import setting_text, typed_value
from renderer.translations import speaking
from tests.renderer.clinic import open_home
from tests.renderer.station import NOW, make_station, words

HERE = "/w/station/settings"


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = open_home(tmp_path_factory.mktemp("station"))
    make_station(home)
    yield home
    home.close()


def test_the_page_tells_every_value_since_when_and_what_is_to_come(station_client, station):
    text = words(station_client("ada").get(HERE).text)
    assert "特级 7 天、一级 关闭、其余 30 天" in text and "周一至周五 08:30-17:30；周六 09:00-12:00；法定节假日不开放" in text
    assert "2026-03-03 10:00 起" in text and "2 行" in text
    settings_values.set_value(enter_as(station, "station", "operator"), "ask_first", True)
    assert "是 2026-03-02 10:00 起，系统" in words(station_client("ada").get(HERE).text)


def test_a_parameter_is_found_by_its_name_and_help_and_what_is_not_there_is_said(station_client):
    ada = station_client("ada")
    every = re.findall(r'<li id="(\w+)"', ada.get(HERE).text)
    found = re.findall(r'<li id="(\w+)"', ada.get(f"{HERE}?q=押金").text)
    assert "deposit" in found and len(found) < len(every)
    nothing = ada.get(f"{HERE}?q=没有这样的参数").text
    assert not re.findall(r'<li id="(\w+)"', nothing) and "没有找到“没有这样的参数”" in nothing


def test_without_the_right_there_is_no_page(station_client):
    nora = station_client("nora")
    assert [nora.get(address).status_code for address in (HERE, f"{HERE}/deposit", f"{HERE}/deposit/history", "/api/station/settings")] == [403] * 4
    assert nora.post(f"{HERE}/deposit", data={"value": "1"}).status_code == 403
    assert nora.put("/api/station/settings/deposit", json={"value": 1}).status_code == 403
    assert "/settings" not in nora.get("/w/station/l/guests").text


def test_every_type_has_its_controls(station_client):
    ada = station_client("ada")
    maps = ada.get(f"{HERE}/idle_days").text
    assert re.search(r'name="value\.a" value="7"|value="7"[^>]*name="value\.a"', maps) or 'value="7"' in maps
    assert 'name="off.b" value="1"' in maps and re.search(r'name="off\.b"[^>]*checked', maps) and 'name="value.else"' in maps
    assert 'name="value.mon" value="08:30-17:30"' in ada.get(f"{HERE}/open_hours").text
    assert 'name="value.1.rate"' in ada.get(f"{HERE}/rates").text
    assert 'name="value"' in ada.get(f"{HERE}/deposit").text
    assert ada.get(f"{HERE}/nothing").status_code == 404


@pytest.mark.parametrize(
    ("key", "form", "kept"),
    [
        ("deposit", {"value": "3.5万"}, 3500000),
        ("ask_first", {"value": ["false", "true"]}, True),
        ("open_hours", {"value.mon": "09:00-18:00", "value.tue": "09:00-18:00", "value.sun": "10:00-12:00 13:00-15:00", "days": "2026/10/1\n2026-10-02 09:00-12:00", "holidays": "cn"},
         {"mon-tue": ["09:00-18:00"], "sun": ["10:00-12:00", "13:00-15:00"], "2026-10-01": [], "2026-10-02": ["09:00-12:00"], "holidays": "cn"}),
        ("rates", {"value.0.least": "", "value.0.rate": "", "value.1.least": "2万", "value.1.rate": "2"}, [{"least": 2000000, "rate": 200}]),
    ],
)  # fmt: skip
def test_what_is_typed_becomes_the_value(station_client, station, key, form, kept):
    answer = station_client("ada").post(f"{HERE}/{key}", data=form)
    assert answer.status_code == 303 and answer.headers["location"] == HERE
    (change,) = settings_values.history(enter_as(station, "station", "operator"), key)
    assert change.value == kept and change.in_force_from == NOW and change.by is not None


def test_what_it_brings_about_is_told_first_and_asked_again(station_client, station):
    ada, form = station_client("ada"), {"value.a": "3", "value.b": "", "off.b": "1", "value.c": "", "value.else": "30", "since": ""}
    assert "3 条中有 1 条随之改变，其中 1 条立即到期" in ada.post(f"{HERE}/idle_days/effects", data=form).text
    asked = ada.post(f"{HERE}/idle_days", data=form)
    assert asked.status_code == 409 and 'name="confirmed" value="1"' in asked.text and "仍要保存" in asked.text and 'value="3"' in asked.text
    assert not settings_values.history(enter_as(station, "station", "operator"), "idle_days")
    assert ada.post(f"{HERE}/idle_days", data={**form, "confirmed": "1"}).status_code == 303
    assert settings_values.current_of(enter_as(station, "station", "operator"), "idle_days").value == {"a": 3, "b": None, "else": 30}


def test_a_wrong_value_stands_where_it_was_typed_with_its_fault(station_client):
    ada = station_client("ada")
    answer = ada.post(f"{HERE}/idle_days", data={"value.a": "0", "value.else": "30", "since": ""})
    assert answer.status_code == 422 and 'id="s-value-a-error"' in answer.text and 'value="0"' in answer.text
    late = ada.post(f"{HERE}/deposit", data={"value": "1", "since": "2020-01-01T00:00"})
    assert late.status_code == 422 and "生效时间不能早于现在" in late.text
    hours = ada.post(f"{HERE}/open_hours", data={"value.mon": "morgens"})
    assert hours.status_code == 422 and "读不懂" in hours.text


def test_a_value_to_come_is_withdrawn_and_history_tells_all(station_client):
    ada = station_client("ada")
    number = re.search(r"settings/least_words/withdraw/(\d+)", ada.get(HERE).text)
    assert number is not None and "尚未生效" in ada.get(f"{HERE}/least_words/history").text
    assert ada.post(f"{HERE}/least_words/withdraw/{number[1]}").status_code == 303
    assert "尚未生效" not in ada.get(f"{HERE}/least_words/history").text


def test_the_api_reads_sets_and_refuses_as_the_page_does(station_client, station):
    ada = station_client("ada")
    listed = {item["key"]: item for item in ada.get("/api/station/settings").json()["items"]}
    assert listed["deposit"]["value"] == 200000 and listed["deposit"]["in_force_from"] is None and listed["least_words"]["coming"][0]["value"] == 5
    made = ada.put("/api/station/settings/deposit", json={"value": 5, "in_force_from": "2026-03-05T00:00:00"}).json()
    assert (made["value"], made["in_force_from"]) == (5, "2026-03-05T00:00:00+08:00")
    assert ada.get("/api/station/settings/deposit").json()["history"][0]["id"] == made["id"]
    wrong = ada.put("/api/station/settings/idle_days", json={"value": {"a": 0}})
    assert wrong.status_code == 422 and [fault["pointer"] for fault in wrong.json()["errors"]] == ["/value/a"]
    for body, pointer in (
        ({}, "/value"),
        ({"value": 1, "more": 1}, "/more"),
        ({"value": 1, "confirmed": 1}, "/confirmed"),
        ({"value": 1, "in_force_from": 5}, "/in_force_from"),
    ):
        assert [fault["pointer"] for fault in ada.put("/api/station/settings/deposit", json=body).json()["errors"]] == [pointer]
    service.update(enter_as(station, "station", "operator"), "guest", 1, {"hold": False}, service.ANY)
    asked = ada.put("/api/station/settings/idle_days", json={"value": {"a": 3, "else": 30}})
    assert (asked.status_code, asked.json()["type"].rsplit(":", 1)[-1]) == (409, "setting_touches_many")
    assert ada.put("/api/station/settings/idle_days", json={"value": {"a": 3, "else": 30}, "confirmed": True}).status_code == 200
    paths = ada.get("/api/station/openapi.json").json()["paths"]
    assert {"/settings", "/settings/{key}"} <= set(paths)


def test_values_read_the_same_in_english(station):
    workspace = enter_as(station, "station", "operator").workspace
    settings = workspace.bundle.settings.values
    with speaking("en"):
        assert setting_text(workspace, settings["idle_days"], {"a": 7, "b": None, "else": 30}, "en") == "Special 7 days, First off, all others 30 days"
        assert setting_text(workspace, settings["open_hours"], {"mon-fri": ["08:30-17:30"], "2026-10-01": []}, "en") == "Mon–Fri 08:30-17:30; 2026-10-01 closed"


def test_an_empty_line_of_a_map_follows_the_others_and_an_empty_else_is_off(station):
    setting = enter_as(station, "station", "operator").workspace.bundle.settings.values["idle_days"]
    assert typed_value(setting, {"value.a": "3", "value.b": "", "value.c": "9", "off.c": "1", "value.else": ""}) == {"a": "3", "c": None, "else": None}


def test_a_module_is_switched_off_and_on_by_who_keeps_settings(station_client, station):
    ada, address = station_client("ada"), "/w/station/modules/billing/switch"
    assert "收费 押金与结算 已开启" in words(ada.get(HERE).text)
    assert ada.post(address, data={"on": "0"}).status_code == 303
    assert enter_as(station, "station", "operator").workspace.modules_off == {"billing"}
    assert "收费 押金与结算 已关闭：菜单、字段、规则都不出现，数据仍在" in words(ada.get(HERE).text)
    assert ada.post(address, data={"on": "1"}).status_code == 303
    assert not enter_as(station, "station", "operator").workspace.modules_off
    assert ada.post("/w/station/modules/nothing/switch", data={"on": "0"}).status_code == 404
    assert station_client("nora").post(address, data={"on": "0"}).status_code == 403


def test_who_sets_a_value_in_the_dialog_stays_where_the_page_was(station_client):
    ada = station_client("ada")
    told = ada.post(f"{HERE}/deposit", data={"value": "2500"}, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert told.status_code == 204 and "HX-Redirect" not in told.headers and "freshPage" in told.headers["HX-Trigger"]
    assert ada.post(f"{HERE}/deposit", data={"value": "2000"}).headers["Location"].endswith("/settings")


def test_a_form_or_list_to_design_is_found_by_its_name_or_by_what_it_is_of(station_client):
    ada, links = station_client("ada"), r'href="/w/station/design/(form|list)/(\w+)"'
    guests = [("list", "guests")]
    assert all(re.findall(links, ada.get(f"/w/station/design?q={words}").text) == guests for words in ("", "病人", "GUESTS"))
    nothing = ada.get("/w/station/design?q=没有这样的表单").text
    assert not re.findall(links, nothing) and "没有找到“没有这样的表单”" in nothing
