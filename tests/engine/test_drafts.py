"""Designers at their shared desk: gestures, undo and redo, stale hands, and from the palette to a changed table."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine import drafts
from engine.actors import enter_person
from engine.context import Context
from engine.drafts import DraftState
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.home import Home
from engine.publishing import plan_drafts, publish
from engine.records import service
from engine.records.query import get
from tests.engine.homes import Homes, Place, small_place

FORM = ("form", "plant")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("homes"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(homes: Homes) -> Place:
    return small_place(homes.home("sqlite"))


@pytest.fixture
def home(homes: Homes, database_kind: str) -> Home:
    return homes.home(database_kind)


def deep(levels: int) -> Any:
    """A list in a list in a list …"""
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def act(place: Place, operation: dict[str, Any], definition: tuple[str, str] = FORM, ctx: Context | None = None) -> DraftState:
    ctx = ctx or place.ctx
    return drafts.act(ctx, *definition, operation, drafts.state(ctx, *definition).number)


def layout(state: DraftState) -> dict[str, list[Any]]:
    assert state.document is not None
    return {section["key"]: section.get("items", []) for section in state.document["layout"]}


def test_a_field_from_the_palette_becomes_a_column_that_keeps_values(home: Home) -> None:
    place = small_place(home)
    state = act(place, {"op": "add", "type": "integer", "section": "main", "at": 1})
    assert layout(state) == {"main": ["name", "integer_1", "code"]}
    act(place, {"op": "set", "item": "integer_1", "name": "title", "value": "株数", "locale": "zh"})
    act(place, {"op": "set", "item": "integer_1", "name": "required", "value": True})
    assert "integer_1" not in place.workspace.entities["plant"].fields
    plan = plan_drafts(place.ctx)
    assert {(change.kind, change.key) for change in plan.drafts} == {FORM, ("entity", "plant")}
    assert any("新增字段「株数」" in sentence for sentence in plan.sentences())
    publish(place.ctx, plan, expect_digest=plan.digest)
    made = service.create(place.ctx, "plant", {"name": "竹", "integer_1": 7}).id
    assert get(place.ctx, "plant", made)["integer_1"] == 7
    assert drafts.changes(place.ctx) == [] and drafts.state(place.ctx, *FORM).number == 0


def test_a_choice_from_the_palette_brings_its_option_set(place: Place) -> None:
    act(place, {"op": "add", "type": "choice", "title": {"zh": "土质"}})
    plan = plan_drafts(place.ctx)
    assert not plan.errors and ("choices", "plant_choice_1") in plan.bundle.documents


def test_items_move_together_and_across_sections(place: Place) -> None:
    act(place, {"op": "section_add", "title": {"zh": "更多"}})
    act(place, {"op": "add", "field": "height"})
    state = act(place, {"op": "move", "items": ["code", "name"], "section": "section_1", "at": 0})
    assert layout(state) == {"main": [], "section_1": ["code", "name", "height"]}
    state = act(place, {"op": "section_move", "section": "section_1", "at": 0})
    assert list(layout(state)) == ["section_1", "main"]
    state = act(place, {"op": "section_remove", "section": "section_1", "keep": True})
    assert layout(state) == {"main": ["code", "name", "height"]}


def test_sections_have_columns_names_and_tabs(place: Place) -> None:
    act(place, {"op": "columns", "section": "main", "columns": 3})
    act(place, {"op": "section_rename", "section": "main", "title": "基本资料", "locale": "zh"})
    act(place, {"op": "tab_add", "title": {"zh": "一"}})
    act(place, {"op": "tab_add", "title": {"zh": "二"}})
    act(place, {"op": "section_add", "tab": "tab_2"})
    state = act(place, {"op": "tab_move", "tab": "tab_2", "at": 0})
    assert state.document is not None and list(state.document["tabs"]) == ["tab_2", "tab_1"]
    assert [(section["key"], section["tab"]) for section in state.document["layout"]] == [("main", "tab_1"), ("section_1", "tab_2")]
    assert state.document["layout"][0]["columns"] == 3 and state.document["layout"][0]["section"] == {"zh": "基本资料"}
    act(place, {"op": "tab_remove", "tab": "tab_1"})
    state = act(place, {"op": "tab_remove", "tab": "tab_2"})
    assert state.document is not None and "tabs" not in state.document and all("tab" not in section for section in state.document["layout"])
    assert not plan_drafts(place.ctx).errors


def test_a_new_field_goes_with_its_item_a_published_one_stays(place: Place) -> None:
    act(place, {"op": "add", "type": "text"})
    act(place, {"op": "remove", "item": "text_1"})
    act(place, {"op": "remove", "item": "code"})
    fields = plan_drafts(place.ctx).bundle.entities["plant"].fields
    assert "text_1" not in fields and "code" in fields


def test_a_duplicate_is_a_new_field_like_the_first(place: Place) -> None:
    state = act(place, {"op": "duplicate", "item": "code"})
    assert layout(state) == {"main": ["name", "code", "code_1"]}
    field = plan_drafts(place.ctx).bundle.entities["plant"].fields["code_1"]
    assert (field.type, field.title) == ("text", {"zh": "编码（副本）"})


def test_what_a_form_says_differently_stays_on_the_form(place: Place) -> None:
    state = act(place, {"op": "set", "item": "code", "on": "item", "name": "span", "value": 2})
    assert layout(state)["main"][1] == {"field": "code", "span": 2}
    state = act(place, {"op": "set", "item": "code", "on": "item", "name": "span", "value": None})
    assert layout(state)["main"][1] == "code"


def test_columns_of_a_list_are_designed_the_same_way(place: Place) -> None:
    view = ("list", "plants")
    act(place, {"op": "add", "field": "code", "at": 0}, view)
    act(place, {"op": "move", "item": "stage", "at": 0}, view)
    act(place, {"op": "remove", "item": "height"}, view)
    act(place, {"op": "add", "type": "date"}, view)
    state = act(place, {"op": "set", "name": "title", "value": "植物表", "locale": "zh"}, view)
    assert state.document is not None and state.document["columns"] == ["stage", "code", "name", "date_1"]
    assert state.document["title"] == {"zh": "植物表"} and not plan_drafts(place.ctx).errors


def test_undo_and_redo_go_back_and_forth_in_every_document_touched(place: Place) -> None:
    published = drafts.state(place.ctx, *FORM).document
    act(place, {"op": "add", "type": "text"})
    state = act(place, {"op": "columns", "section": "main", "columns": 1})
    done = state.document
    for _ in range(2):
        state = drafts.undo(place.ctx, *FORM, state.number)
    assert state.document == published and (state.undo, state.redo) == (0, 2)
    assert "text_1" not in plan_drafts(place.ctx).bundle.entities["plant"].fields
    for _ in range(2):
        state = drafts.redo(place.ctx, *FORM, state.number)
    assert state.document == done and "text_1" in plan_drafts(place.ctx).bundle.entities["plant"].fields
    state = drafts.undo(place.ctx, *FORM, state.number)
    state = act(place, {"op": "remove", "item": "code"})
    assert state.redo == 0
    with pytest.raises(Invalid, match="draft_nothing_to_redo"):
        drafts.redo(place.ctx, *FORM, state.number)


def test_typing_is_one_step_of_undo(place: Place) -> None:
    for text in ("株", "株数", "株数量"):
        state = act(place, {"op": "set", "item": "code", "name": "title", "value": text, "locale": "zh"})
    assert state.undo == 1
    act(place, {"op": "set", "item": "code", "name": "help", "value": "说明", "locale": "zh"})
    state = drafts.undo(place.ctx, *FORM, drafts.state(place.ctx, *FORM).number)
    drafts.undo(place.ctx, *FORM, state.number)
    assert plan_drafts(place.ctx).bundle.entities["plant"].fields["code"].title == {"zh": "编码"}


def test_undo_leaves_what_others_changed_elsewhere(place: Place) -> None:
    act(place, {"op": "add", "type": "text"})
    act(place, {"op": "set", "item": "code", "name": "title", "value": "代码", "locale": "zh"}, ("entity", "plant"))
    drafts.undo(place.ctx, *FORM, drafts.state(place.ctx, *FORM).number)
    fields = plan_drafts(place.ctx).bundle.entities["plant"].fields
    assert "text_1" not in fields and fields["code"].title == {"zh": "代码"}


def test_history_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "HISTORY_LIMIT", 5)
    for number in range(9):
        state = act(place, {"op": "columns", "section": "main", "columns": 1 + number % 2})
    assert state.undo == 5


def test_a_stale_hand_is_refused_and_shown_the_current_state(place: Place) -> None:
    first = drafts.state(place.ctx, *FORM)
    act(place, {"op": "columns", "section": "main", "columns": 1})
    with pytest.raises(Conflict, match="draft_stale") as refused:
        drafts.act(place.ctx, *FORM, {"op": "remove", "item": "code"}, first.number)
    current = refused.value.params["current"]
    assert isinstance(current, DraftState) and current.number == 1 and layout(current) == {"main": ["name", "code"]}


def test_it_is_known_who_changed_what(place: Place) -> None:
    people = [service.create(place.ctx, "person", {"name": login, "login": login, "roles": ["admin"]}).id for login in ("ann", "bob")]
    act(place, {"op": "add", "type": "text"}, ctx=enter_person(place.home, place.name, "ann"))
    act(place, {"op": "columns", "section": "main", "columns": 1}, ctx=enter_person(place.home, place.name, "bob"))
    changed = {(change.kind, change.key): change.people for change in drafts.changes(place.ctx)}
    assert changed == {FORM: (people[0], people[1]), ("entity", "plant"): (people[0],)}
    assert [(entry.operation["op"], entry.by) for entry in drafts.entries(place.ctx, *FORM)] == [("columns", people[1]), ("add", people[0])]


def test_designing_is_a_right(place: Place) -> None:
    service.create(place.ctx, "person", {"name": "eve", "login": "eve", "roles": []})
    with pytest.raises(Denied, match="draft_denied"):
        drafts.state(enter_person(place.home, place.name, "eve"), *FORM)


@pytest.mark.parametrize(("kind", "key"), [("entity", "Bad Key"), ("entity", "a" * 60), ("nothing", "x"), ("settings", "other"), ("form", "../x")])
def test_only_keys_that_can_be_published_can_be_drafted(place: Place, kind: str, key: str) -> None:
    with pytest.raises(NotFound, match="draft_no_definition"):
        drafts.act(place.ctx, kind, key, {"op": "put", "document": {}}, 0)


def test_dropping_a_draft_brings_the_published_definition_back(place: Place) -> None:
    act(place, {"op": "columns", "section": "main", "columns": 1})
    drafts.drop(place.ctx, *FORM)
    state = drafts.state(place.ctx, *FORM)
    assert not state.changed and state.document == place.workspace.bundle.documents[FORM] and plan_drafts(place.ctx).differences == ()


def test_a_draft_begun_on_an_older_version_is_merged_with_the_newer(place: Place) -> None:
    act(place, {"op": "columns", "section": "main", "columns": 1})
    form = dict(place.workspace.bundle.documents[FORM])
    place.publish({FORM: {**form, "title": {"zh": "新名"}}})
    plan = plan_drafts(place.ctx)
    assert plan.bundle.forms["plant"].title == {"zh": "新名"} and plan.bundle.forms["plant"].layout[0].columns == 1
    place.publish({FORM: {**form, "title": {"zh": "新名"}, "layout": [{**form["layout"][0], "columns": 3}]}})
    with pytest.raises(Conflict) as refused:
        publish(place.ctx, plan_drafts(place.ctx))
    assert [fault.pointer for fault in refused.value.faults] == ["/form/plant/layout/0/columns"]


def test_a_draft_changed_after_the_plan_is_not_published_unseen(place: Place) -> None:
    act(place, {"op": "columns", "section": "main", "columns": 1})
    plan = plan_drafts(place.ctx)
    act(place, {"op": "columns", "section": "main", "columns": 3})
    with pytest.raises(Conflict, match="publish_other_digest"):
        publish(place.ctx, plan)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "add", "type": "nothing"}, "draft_unknown_type"),
        ({"op": "fly"}, "draft_unknown_operation"),
        ({}, "draft_unknown_operation"),
        ({"op": "add", "field": "ghost"}, "draft_no_field"),
        ({"op": "add", "field": "name"}, "draft_on_form_already"),
        ({"op": "move", "item": "ghost", "section": "main"}, "draft_no_item"),
        ({"op": "move", "item": "name", "section": "ghost"}, "draft_no_section"),
        ({"op": "columns", "section": "main", "columns": 9}, "draft_bad_value"),
        ({"op": "add", "type": "text", "at": "x"}, "draft_bad_value"),
        ({"op": "add", "type": "text", "key": "class"}, "draft_key_python"),
        ({"op": "add", "type": "text", "key": "name"}, "draft_key_taken"),
        ({"op": "set", "item": "ghost", "name": "title", "value": "x"}, "draft_no_field"),
        ({"op": "set", "item": "name", "name": "", "value": 1}, "draft_bad_value"),
        ({"op": "tab_rename", "tab": "ghost", "title": "x"}, "draft_no_tab"),
        ({"op": "put", "document": 3}, "draft_bad_value"),
        ({"op": "set", "item": "name", "name": "title", "value": "a\x00b"}, "draft_bad_value"),
        ({"op": "set", "item": "name", "name": "title", "value": "\ud800"}, "draft_bad_value"),
        ({"op": "put", "document": {"a": "x" * (1 << 20)}}, "draft_bad_value"),
        ({"op": "put", "document": {"a": deep(60)}}, "draft_bad_value"),
    ],
)
def test_a_gesture_that_makes_no_sense_is_refused_and_changes_nothing(place: Place, operation: dict[str, Any], code: str) -> None:
    with pytest.raises((Invalid, NotFound)) as refused:
        act(place, operation)
    assert refused.value.code == code and drafts.changes(place.ctx) == []


def test_a_new_definition_can_be_drafted_and_published(place: Place) -> None:
    drafts.act(
        place.ctx, "list", "tall", {"op": "put", "document": {"entity": "plant", "title": {"zh": "高的"}, "where": "height > 9", "columns": ["name"]}}, 0
    )
    publish(place.ctx, plan_drafts(place.ctx))
    assert place.workspace.bundle.lists["tall"].where == "height > 9"


def test_people_get_own_fields_by_the_same_gestures(place: Place) -> None:
    place.publish({("form", "person"): {"entity": "person", "title": {"zh": "人员"}, "layout": [{"key": "main", "items": ["name"]}]}})
    act(place, {"op": "add", "type": "text", "key": "badge"}, ("form", "person"))
    publish(place.ctx, plan_drafts(place.ctx))
    made = service.create(place.ctx, "person", {"name": "ann", "badge": "7"}).id
    assert get(place.ctx, "person", made)["badge"] == "7"
