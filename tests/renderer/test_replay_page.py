"""Replays on their pages: asked for in a form, worked on with progress, every number drilling down to its records and why, under the reader's rights."""

from __future__ import annotations

import json
import re

from starlette.testclient import TestClient

from engine.background import worker_of
from engine.home import Home
from engine.rules.compile import rule_book
from tests.renderer.station import DOCUMENTS, words

HERE = "/w/station/rules"


def asked(client: TestClient, station: Home, key: str, **form: str) -> str:
    """The address of a replay, worked on."""
    answer = client.post(f"{HERE}/{key}/replay", data={"days:": "60", "which:": "published", **form})
    assert answer.status_code == 303, words(answer.text)
    waiting = client.get(answer.headers["location"]).text
    assert 'hx-trigger="every 1s"' in waiting and "/stop" in waiting
    worker_of(station).drain("station")
    return str(answer.headers["location"])


def test_every_rule_of_the_page_can_be_replayed(station_client, station):
    ada = station_client("ada")
    text = ada.get(HERE).text
    for key in rule_book(station.workspace("station")).rules:
        assert f'href="{HERE}/{key}/replay"' in text
        place = asked(ada, station, key, **{"owner:": ""})
        assert "已完成" in words(ada.get(place).text), key


def test_an_unchanged_rule_agrees_with_the_log_and_every_number_drills_down(station_client, station):
    ada = station_client("ada")
    place = asked(ada, station, "seen", **{"owner:": ""})
    page = ada.get(place).text
    assert f'href="{place}?verdict=both"' in page and 'class="tag amber"' not in page
    assert ada.get(f"{place}?verdict=would").text.count("/findings/") == 0
    both = ada.get(f"{place}?verdict=both").text
    first = re.findall(rf'href="({place}/findings/\d+)"', both)
    assert first and "本会，也做了" in words(both)
    told = words(ada.get(first[0]).text)
    assert "当时条件看到的值" in told and "实际执行" in told
    assert "data-close" in ada.get(first[0], headers={"hx-request": "true"}).text


def test_another_text_and_other_settings_are_asked_and_named(station_client, station):
    ada = station_client("ada")
    body = {**DOCUMENTS["rule", "release"], "if": "exists(nurse) and state == 'in'"}
    place = asked(
        ada,
        station,
        "release",
        **{"which:": "text", "body:": json.dumps(body), "owner:": "nurse", "idle_days~value.a": "1", "idle_days~value.else": "30", "idle_days~off.b": "1"},
    )
    text = words(ada.get(place).text)
    assert "改过的文本" in text and "特级 1" in text and "责任护士" in text
    assert re.search(rf'href="{place}\?owner=\d+"', ada.get(place).text) and re.search(rf'href="{place}\?day=\d', ada.get(place).text)


def test_hours_and_tables_are_asked_about_like_any_setting_and_count_only_when_changed(station_client, station):
    ada = station_client("ada")
    week = {f"open_hours~value.{day}": "08:30-17:30" for day in ("mon", "tue", "wed", "thu", "fri")}
    same = {**week, "open_hours~value.sat": "09:00-12:00", "open_hours~holidays": "cn", "rates~value.0.least": "0", "rates~value.0.rate": "1"}
    rows = {"rates~value.1.least": "10000", "rates~value.1.rate": "1.5"}
    assert "开放时间" not in words(ada.get(asked(ada, station, "seen", **same, **rows)).text)
    text = words(ada.get(asked(ada, station, "seen", **{**same, "open_hours~value.sat": "", "open_hours~days": "2026-10-01 10:00-11:00"}, **rows)).text)
    assert "开放时间 周一至周五 08:30-17:30" in text and "阶梯费率" not in text
    assert "阶梯费率 1 行" in words(ada.get(asked(ada, station, "seen", **same)).text)


def test_what_is_wrong_with_a_text_is_said_on_the_form(station_client):
    ada = station_client("ada")
    for body, said in (('{"title": "x",', "release"), (json.dumps({**DOCUMENTS["rule", "release"], "if": "nothing > 1"}), "nothing")):
        answer = ada.post(f"{HERE}/release/replay", data={"days:": "60", "which:": "text", "body:": body})
        assert answer.status_code == 422 and 'role="alert"' in answer.text and said in answer.text
    assert ada.post(f"{HERE}/release/replay", data={"days:": "0"}).status_code == 422
    assert "天数应在" in ada.post(f"{HERE}/release/replay", data={"days:": "x"}).text


def test_a_replay_is_stopped_on_its_page(station_client, station):
    ada = station_client("ada")
    place = ada.post(f"{HERE}/release/replay", data={"days:": "60"}).headers["location"]
    assert ada.post(f"{place}/stop").status_code == 303
    assert "已停止" in words(ada.get(place).text) and 'hx-trigger="every 1s"' not in ada.get(f"{place}/progress").text
    worker_of(station).drain("station")
    assert "已停止" in words(ada.get(place).text) and ada.post(f"{place}/stop").status_code == 409


def test_nobody_without_the_right_sees_replays(station_client, station):
    place = asked(station_client("ada"), station, "seen")
    nora = station_client("nora")
    for address in (f"{HERE}/seen/replay", place, f"{place}/progress", f"{place}/findings/1"):
        assert nora.get(address).status_code == 403
    assert nora.post(f"{HERE}/seen/replay", data={"days:": "9"}).status_code == 403 and nora.post(f"{place}/stop").status_code == 403
    assert station_client("ada").get("/w/station/replays/99999").status_code == 404 and station_client("ada").get(f"{HERE}/none/replay").status_code == 404
