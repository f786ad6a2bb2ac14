"""Trying a rule on its page: what it would do is told in words under the reader's rights, and nothing of it is there afterwards."""

from __future__ import annotations

from engine.actors import enter_as
from engine.records.query import Query, page
from engine.rules.compile import rule_book
from engine.system_tables import draft
from metadata.canonical import canonical
from tests.renderer.station import person, words

HERE = "/w/station/rules"


def test_every_rule_of_the_page_can_be_tried(station_client, station):
    ada = station_client("ada")
    text = ada.get(HERE).text
    for key in rule_book(station.workspace("station")).rules:
        assert f'href="{HERE}/{key}/try"' in text
        assert ada.get(f"{HERE}/{key}/try").status_code == 200


def test_a_due_rule_tells_what_it_would_write_and_whom_it_would_tell(station_client, station):
    answer = station_client("ada").post(f"{HERE}/release/try", data={"record:": "1", "person:": ""})
    text = words(answer.text)
    assert answer.status_code == 200 and "会执行" in text and "没有保留任何改动" in text
    assert "诺拉 → —" in text and "诺拉 钱一 已释放，共查看 2 次" in text
    ctx = enter_as(station, "station", "operator")
    assert page(ctx, Query("guest", where="id == 1", fields=("nurse",))).items[0]["nurse"].id == person(ctx, "nora")


def test_why_it_would_not_run_and_why_it_would_be_refused_is_told(station_client, station):
    ada, nina = station_client("ada"), person(enter_as(station, "station", "operator"), "nina")
    assert "不会执行：条件不成立" in words(ada.post(f"{HERE}/release/try", data={"record:": "2", "person:": ""}).text)
    text = words(ada.post(f"{HERE}/take/try", data={"record:": "2", "person:": str(nina), "why": "转科"}).text)
    assert "会被拒绝" in text and "欠费超过押金" in text
    assert "会被拒绝" in words(ada.post(f"{HERE}/take/try", data={"record:": "1", "person:": str(nina)}).text)


def test_nobody_without_the_right_tries_rules(station_client):
    assert station_client("nora").get(f"{HERE}/release/try").status_code == 403
    assert station_client("nora").post(f"{HERE}/release/try", data={"record:": "1"}).status_code == 403
    assert station_client("ada").get(f"{HERE}/none/try").status_code == 404
    assert station_client("ada").post(f"{HERE}/release/try", data={"record:": "999", "person:": ""}).status_code == 404


def test_the_record_page_leads_to_a_try_on_that_record(station_client):
    text = station_client("ada").get("/w/station/r/guest/1/rules").text
    assert f'href="{HERE}/release/try?record=1"' in text
    assert '<option value="1" selected>' in station_client("ada").get(f"{HERE}/release/try?record=1").text
    assert "/try" not in station_client("nora").get("/w/station/r/guest/1/rules").text


def test_a_rule_around_a_write_is_tried_with_values_typed_into_the_page(station_client, station):
    ada = station_client("ada")
    ctx = enter_as(station, "station", "operator")
    visit = page(ctx, Query("visit", sort=("-id",), limit=1)).items[0].id
    form = ada.get(f"{HERE}/judge/try?record={visit}").text
    assert 'name="values~said"' in form and "改成" in form
    assert 'name="values~said"' in ada.get(f"{HERE}/judge/values?record:={visit}").text
    text = words(ada.post(f"{HERE}/judge/try", data={"record:": str(visit), "person:": "", "values~said": "精神很好，饮食也正常"}).text)
    assert "会执行" in text and "没有保留任何改动" in text


def test_a_drafted_rule_is_offered_beside_the_published_one(station_client, station):
    ada, ctx = station_client("ada"), enter_as(station, "station", "operator")
    assert 'id="which"' not in ada.get(f"{HERE}/release/try").text
    body = {**ctx.workspace.bundle.documents["rule", "release"], "if": "empty(nurse)"}
    with ctx.writing() as inner:
        inner.open.execute(
            draft.insert().values(
                kind="rule",
                key="release",
                number=1,
                text=canonical("rule", body),
                base_version=inner.workspace.version,
                base_text=canonical("rule", ctx.workspace.bundle.documents["rule", "release"]),
                at=inner.now,
                by=None,
            )
        )
    assert 'id="which"' in ada.get(f"{HERE}/release/try").text
    published = words(ada.post(f"{HERE}/release/try", data={"record:": "2", "person:": ""}).text)
    drafted = words(ada.post(f"{HERE}/release/try", data={"record:": "2", "person:": "", "which:": "draft"}).text)
    assert "不会执行" in published and "会执行" in drafted and "不会执行" not in drafted
    assert "草稿" in ada.get(f"{HERE}/release/replay").text
