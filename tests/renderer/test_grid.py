"""Records as a picture of cells: a small hotel. Places, colours, legend, what a reader may not see, and what is offered on a tap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from engine import accounts
from engine.actors import enter_as, enter_person
from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.errors import NotFound
from engine.publishing import create_workspace
from engine.records import query, service
from engine.records.query import Query, page
from metadata.bundle import Bundle
from renderer import grid
from renderer.app import create_app
from renderer.asset_store import AssetStore
from renderer.bound_list import layout_of
from renderer.list_state import ListState, kinds_of
from renderer.templates import Pages
from tests.renderer.clinic import open_home

TEXT = {"type": "text", "title": "x"}
WORDS = {"rows": "floor", "descending": True, "columns": ["wing", "place"], "sections": "house", "colour": "state", "cell": ["name", "state"]}
ROOMS: Mapping[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "hotel", "version": "1.0.0", "title": "旅馆"},
    ("choices", "state"): {
        "title": "状态",
        "options": {"free": {"title": "空房", "colour": "green"}, "taken": {"title": "入住", "colour": "blue"}, "shut": {"title": "停用", "colour": "red"}},
    },
    ("entity", "house"): {"title": "楼", "label": "{name}", "fields": {"name": TEXT}},
    ("entity", "room"): {
        "title": "房间",
        "label": "{name}",
        "fields": {
            "name": TEXT,
            "house": {"type": "link", "to": "house", "title": "楼"},
            "floor": {"type": "integer", "title": "层"},
            "wing": TEXT,
            "place": TEXT,
            "state": {"type": "choice", "choices": "state", "default": "free", "title": "状态"},
            "guest": TEXT,
        },
    },
    ("list", "rooms"): {"entity": "room", "title": "房态", "columns": ["name", "state"], "quick": ["state", "house"], "view": "grid", "grid": WORDS},
    ("list", "plain"): {"entity": "room", "title": "房间", "columns": ["name"]},
    ("form", "room"): {"entity": "room", "title": "房间", "layout": [{"key": "a", "items": ["name", "house", "floor", "wing", "place", "state", "guest"]}]},
    ("role", "desk"): {"title": "前台", "grants": {"house": {"read": True}, "room": {"read": True, "update": True}}},
    ("role", "cleaner"): {"title": "保洁", "grants": {"house": {"read": True}, "room": {"read": "state != 'taken'", "fields": {"floor": {"read": False}}}}},
    ("role", "east"): {"title": "东楼", "grants": {"house": {"read": True}, "room": {"read": "wing == 'E'", "fields": {"name": {"mask": True}}}}},
}


@pytest.fixture(scope="module")
def hotel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = open_home(tmp_path_factory.mktemp("hotel"))
    create_workspace(home, "hotel", Bundle(ROOMS, DOCUMENTS), title="旅馆")
    ctx = enter_as(home, "hotel", "operator")
    for login in ("desk", "cleaner", "east"):
        service.create(ctx, "person", {"name": login, "login": login, "roles": [login]})
    houses = [service.create(ctx, "house", {"name": name}).id for name in ("10号楼", "9号楼")]
    for house, floor, wing, place, state in (
        (houses[0], 9, "E", "1", "free"),
        (houses[0], 10, "E", "2", "taken"),
        (houses[0], 10, "W", "10", "shut"),
        (houses[0], 10, "W", "9", "free"),
        (houses[1], 1, "E", "1", "taken"),
        (houses[1], 1, "E", "1", "free"),
    ):
        service.create(ctx, "room", {"name": f"<{floor}{wing}{place}>", "house": house, "floor": floor, "wing": wing, "place": place, "state": state})
    yield home
    home.close()


@pytest.fixture
def bound(hotel: Any) -> Callable[..., grid.BoundGrid]:
    def make(login: str = "desk", address: str = "") -> grid.BoundGrid:
        ctx: Context = enter_person(hotel, "hotel", login)
        definition = ctx.workspace.bundle.lists["rooms"]
        layout = layout_of(ctx, Pages(AssetStore()), definition, "/w/hotel", ())
        return grid.bind(ctx, layout, ListState.read(definition, QueryParams(address), layout.grant.readable), "/w/hotel")

    return make


def test_only_lists_that_say_how_have_a_grid(hotel: Any) -> None:
    lists = hotel.workspace("hotel").bundle.lists
    assert kinds_of(lists["rooms"]) == ("table", "grid") and kinds_of(lists["plain"]) == ("table",)


def test_sections_rows_and_columns_stand_in_the_order_of_their_numbers(bound: Any) -> None:
    found = bound()
    assert [section.title for section in found.sections] == ["9号楼", "10号楼"] and found.total == 6 and not found.cut
    ten = found.sections[1]
    assert [row for row, _html in ten.rows] == ["10", "9"] and ten.columns == ("E-1", "E-2", "W-9", "W-10") and ten.count == 4
    empty, *full = ten.rows[0][1].split("</td>")[:-1]
    assert empty == "<td>" and ["free" in cell or "green" in cell for cell in full] == [False, True, False]


def test_a_cell_is_a_link_in_its_colour_whose_texts_are_escaped_and_two_at_one_place_both_stand(bound: Any) -> None:
    (html,) = [html for _row, html in bound().sections[0].rows]
    assert html.count("<a ") == 2 and 'class="cell blue"' in html and 'class="cell green"' in html
    assert "&lt;1E1&gt;<small>入住</small>" in html and "<1E1>" not in html and 'href="/w/hotel/r/room/' in html


def test_the_legend_counts_everything_and_turns_colours_on_and_off(bound: Any) -> None:
    assert [(key.title, key.colour, key.count, key.picked) for key in bound().legend] == [
        ("空房", "green", 3, False),
        ("入住", "blue", 2, False),
        ("停用", "red", 1, False),
    ]
    picked = bound(address="state=free")
    assert [(key.count, key.picked) for key in picked.legend] == [(3, True), (2, False), (1, False)]
    assert picked.legend[0].address == "/w/hotel/l/rooms" and picked.legend[1].address == "/w/hotel/l/rooms?state=free&state=taken"
    drawn = "".join(html for section in picked.sections for _row, html in section.rows)
    assert drawn.count(" off") == 3 and drawn.count("<a ") == 6


def test_other_filters_take_cells_out(bound: Any) -> None:
    found = bound(address="where=floor > 9")
    assert [section.title for section in found.sections] == ["10号楼"] and found.total == 3


def test_a_reader_gets_the_own_rows_masks_and_no_grid_without_its_fields(bound: Any) -> None:
    east = bound("east")
    assert east.total == 4 and "1E1" not in "".join(html for section in east.sections for _row, html in section.rows)
    with pytest.raises(NotFound):
        bound("cleaner")


def test_only_a_picture_may_hold_more_than_a_page(hotel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = enter_person(hotel, "hotel", "desk")
    monkeypatch.setattr(query, "PAGE_LIMIT", 2)
    monkeypatch.setattr(query, "WHOLE_LIMIT", 4)
    assert len(page(ctx, Query("room", limit=9)).items) == 2
    whole = page(ctx, Query("room", limit=9, whole=True))
    assert len(whole.items) == 4 and whole.next is not None


def test_the_page_draws_it_and_a_tap_asks_for_what_can_be_done(hotel: Any) -> None:
    client = TestClient(create_app(hotel), base_url="http://127.0.0.1", follow_redirects=False)
    account = accounts.ensure_account(hotel, "desk", "desk")
    client.cookies.set("tangram", accounts.start_session(hotel, account.id))
    text = client.get("/w/hotel/l/rooms").text
    assert 'data-cells="/w/hotel/l/rooms/row/"' in text and text.count('class="cell ') == 6 and 'aria-label="图例"' in text
    assert client.get("/w/hotel/l/rooms?page=table").text.count("data-cells") == 0
    number = page(enter_person(hotel, "hotel", "desk"), Query("room", limit=1)).items[0].id
    assert f"/w/hotel/r/room/{number}/edit" in client.get(f"/w/hotel/l/rooms/row/{number}", headers={"HX-Request": "true"}).text
    part = client.get("/w/hotel/l/rooms?state=shut", headers={"HX-Request": "true", "HX-Target": "list"}).text
    assert part.count(" off") == 5 and 'aria-current="true"' in part
