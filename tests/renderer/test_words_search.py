"""Records without searchable text: found in lists and pickers by their numbers and by what those they link to are called, as far as their reader may know."""

from __future__ import annotations

import re

from engine.actors import enter_as
from engine.home import Home
from engine.records import service
from engine.records.query import page
from metadata.definitions import ListView
from renderer.asset_store import AssetStore
from renderer.bound_list import layout_of, query_of
from renderer.list_state import ListState
from renderer.templates import Pages
from tests.renderer.counter import NAME
from tests.renderer.station import as_person


def found(counter: Home, login: str, words: str, *columns: str) -> list[str]:
    """What was said in the visits that a list with these columns finds."""
    view = ListView(key=f"visits by {columns}", title="", body={}, entity="visit", columns=columns, sort=("id",))
    with as_person(counter, NAME, login).snapshot() as ctx:
        layout = layout_of(ctx, Pages(AssetStore()), view, f"/w/{NAME}")
        assert layout.searchable is bool(set(columns) - {"at", "said"})
        asked = query_of(ctx, layout, ListState(q=words), fields=("said",))
        return [str(row["said"]) for row in page(ctx, asked).items]


def test_visits_are_found_by_their_guest_and_their_ward_and_by_nothing_else(counter: Home):
    ctx = enter_as(counter, NAME, "operator")
    for guest, said in ((2, "孙二的查看"), (4, "周四的查看")):
        service.create(ctx, "visit", {"guest": guest, "said": said})
    assert ctx.workspace.entities["visit"].search_fields == ()
    assert found(counter, "rosa", "孙二", "guest", "at") == ["孙二的查看"]
    assert found(counter, "rosa", "se", "guest") == ["孙二的查看"]  # the initials of the name, as the guest's own search has them
    assert {"孙二的查看", "周四的查看"} <= set(found(counter, "rosa", "东二", "ward"))
    assert found(counter, "rosa", "周四", "ward") == [] and found(counter, "rosa", "没有这样的", "guest", "ward") == []
    assert found(counter, "rosa", "孙二", "at", "said") == []  # nothing on that list can be searched: it has no box, and an address with words finds nothing


def test_a_picker_finds_them_by_what_they_are_called(counter: Home, counter_client):
    ctx = enter_as(counter, NAME, "operator")
    made = service.create(ctx, "report", {"title": "月度查房汇总"}).id
    service.create(ctx, "report", {"title": "年度总结"})
    client = counter_client("rosa")

    def offered(words: str) -> list[str]:
        return re.findall(r'data-value="(\d+)"', client.get(f"/w/{NAME}/pick/visit/report?q={words}").text)

    assert offered("查房") == [str(made)] and len(offered("")) == 2 and offered("天气") == []


def test_a_picker_keeps_to_its_limit_by_a_field_its_reader_may_not_see(counter: Home, counter_client):
    """The limit is the definition's, not the reader's: the form could not be filled in otherwise."""
    ctx = enter_as(counter, NAME, "operator")
    kept = service.create(ctx, "report", {"title": "会诊意见"}).id
    service.create(ctx, "report", {"title": "会诊旧稿", "closed": True})
    for words in ("会诊", ""):
        answer = counter_client("rosa").get(f"/w/{NAME}/pick/visit/report?q={words}")
        assert answer.status_code == 200 and re.findall(r'data-value="(\d+)"', answer.text)[:1] == [str(kept)] and "旧稿" not in answer.text


def test_what_a_picker_offers_is_told_apart_by_what_the_list_shows_below_the_name(counter: Home, counter_client):
    ctx = enter_as(counter, NAME, "operator")
    for ward in ("内科", "外科"):
        service.create(ctx, "report", {"title": "周报", "of": ward})
    text = counter_client("rosa").get(f"/w/{NAME}/pick/visit/report?q=周报").text
    assert re.findall(r'data-label="([^"]*)">周报<span[^>]*>([^<]*)', text) == [("周报", "外科"), ("周报", "内科")]
    sought = counter_client("rosa").get(f"/w/{NAME}/pick/visit/report?q=外科").text
    assert re.findall(r'data-label="([^"]*)">周报<span[^>]*>([^<]*)', sought) == [("周报", "外科")], "what is shown is found"
