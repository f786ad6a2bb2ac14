"""Settings of a workspace: checked by their definitions, in force from an instant, with a history, and with what they bring about told beforehand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from engine import settings_values
from engine.context import Actor
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.modules import switch_module
from engine.records import service
from engine.rules.compile import rule_book
from engine.settings_effects import consequences, formulas_reading
from engine.workspace_load import settings_at
from tests.engine.homes import NOW, SMALL, Homes, Place, small_place

RULES = {
    ("settings", "settings"): {
        "factor": {"type": "integer", "default": 2, "minimum": 1, "maximum": 99, "title": {"zh": "系数"}},
        "note": {"type": "text", "default": None, "title": {"zh": "备注"}},
        "cap": {"type": "money", "default": 500000, "title": {"zh": "上限"}},
        "days": {"type": "map", "by": "stage", "of": "integer", "minimum": 1, "default": {"new": 5, "lost": None, "else": 9}, "title": {"zh": "天数"}},
        "hours": {"type": "calendar", "default": {"mon-fri": ["08:30-17:30"], "holidays": "cn"}, "title": {"zh": "营业时间"}},
        "rates": {"type": "table", "default": [], "columns": {"least": {"type": "money", "minimum": 0}, "rate": {"type": "percent"}}, "title": {"zh": "费率"}},
        "former": {"type": "integer", "default": 1, "retired": True},
    },
    ("entity", "plant"): {
        "title": {"zh": "植物"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": {"zh": "名称"}, "required": True},
            "code": {"type": "text", "title": {"zh": "编码"}},
            "height": {"type": "integer", "title": {"zh": "高度"}},
            "stage": {"type": "choice", "choices": "stage", "title": {"zh": "阶段"}},
            "since": {"type": "instant", "title": {"zh": "开始"}},
            "owner": {"type": "person", "title": {"zh": "负责人"}},
            "scaled": {"type": "formula", "value": "height * setting.factor", "title": {"zh": "折算"}},
            "release_at": {"type": "formula", "value": "add_days(since, setting.days[stage])", "title": {"zh": "释放"}},
        },
    },
    ("rule", "release"): {"title": {"zh": "释放"}, "on": {"due": "plant.release_at"}, "if": "exists(owner)", "then": [{"set": {"owner": None}}]},
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    found = Homes(tmp_path_factory.mktemp("settings"), lambda: request.getfixturevalue("new_postgres_database"))
    yield found
    found.close()


@pytest.fixture
def place(homes: Homes, database_kind: str) -> Place:
    return small_place(homes.home(database_kind), changes=RULES)


def test_a_value_counts_at_once_and_says_who_set_it(place):
    made = settings_values.set_value(place.ctx, "factor", 3)
    assert place.workspace.settings["factor"] == 3
    (change,) = settings_values.history(place.ctx, "factor")
    assert (change.value, change.in_force_from, change.at, change.id) == (3, NOW, NOW, made.id)
    assert settings_values.current_of(place.ctx, "factor").value == 3
    assert settings_values.current_of(place.ctx, "cap").change is None and settings_values.current_of(place.ctx, "cap").value == 500000


def test_a_new_value_leaves_entities_and_rules_as_they_were_made(place):
    before = place.workspace
    book = rule_book(before)
    settings_values.set_value(place.ctx, "factor", 4)
    assert place.workspace is not before and place.workspace.settings["factor"] == 4
    assert place.workspace.entities is before.entities and rule_book(place.workspace) is book


def test_rules_are_compiled_again_when_a_module_is_switched(homes):
    module = {**SMALL["preset", "preset"], "modules": {"care": {"title": {"zh": "养护"}}}}
    place = small_place(
        homes.home("sqlite"), changes={**RULES, ("preset", "preset"): module, ("rule", "release"): {**RULES["rule", "release"], "module": "care"}}
    )
    assert [rule.key for rule in rule_book(place.workspace).due] == ["release"]
    for on in (False, True):
        switch_module(place.ctx, "care", on=on)
        place.home.look_again(place.name)
        assert [rule.key for rule in rule_book(place.workspace).due] == (["release"] if on else [])


def test_a_value_from_a_later_instant_waits_and_may_be_taken_back_until_then(place):
    later = NOW + timedelta(days=2)
    settings_values.set_value(place.ctx, "factor", 3)
    coming = settings_values.set_value(place.ctx, "factor", 7, later)
    found = settings_values.current_of(place.ctx, "factor")
    assert (found.value, [change.value for change in found.coming]) == (3, [7])
    assert place.workspace.settings["factor"] == 3
    settings_values.withdraw(place.ctx, "factor", coming.id)
    assert not settings_values.current_of(place.ctx, "factor").coming
    with pytest.raises(Conflict, match="setting_in_force"):
        settings_values.withdraw(place.ctx, "factor", settings_values.history(place.ctx, "factor")[0].id)
    with pytest.raises(NotFound):
        settings_values.withdraw(place.ctx, "factor", coming.id)


def test_settings_are_known_as_of_any_instant(place):
    later = NOW + timedelta(days=2)
    settings_values.set_value(place.ctx, "factor", 3)
    settings_values.set_value(place.ctx, "factor", 7, later)
    settings_values.set_value(place.ctx, "cap", 900, later)
    with place.ctx.reading() as ctx:
        seen = {at: settings_at(ctx.open, ctx.workspace, at) for at in (NOW - timedelta(seconds=1), NOW, later - timedelta(seconds=1), later)}
        assert [(item["factor"], item["cap"]) for item in seen.values()] == [(2, 500000), (3, 500000), (3, 500000), (7, 900)]
        assert settings_at(ctx.open, ctx.workspace, NOW) is seen[NOW]
    settings_values.set_value(place.ctx, "factor", 5, NOW + timedelta(days=1))
    with place.ctx.reading() as ctx:
        assert settings_at(ctx.open, ctx.workspace, later - timedelta(seconds=1))["factor"] == 5


def test_a_value_cannot_be_set_before_now(place):
    with pytest.raises(Invalid) as refused:
        settings_values.set_value(place.ctx, "factor", 3, NOW - timedelta(seconds=1))
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/in_force_from", "setting_in_the_past")]


def test_only_whoever_has_the_right_sets_values(place):
    guest = replace(place.ctx, actor=Actor(5, "客", roles=("guest",)))
    with pytest.raises(Denied):
        settings_values.set_value(guest, "factor", 3)
    with pytest.raises(Denied):
        settings_values.withdraw(guest, "factor", 1)
    settings_values.set_value(replace(place.ctx, actor=replace(guest.actor, roles=("admin",))), "factor", 3)
    assert settings_values.history(place.ctx, "factor")[0].by == 5


@pytest.mark.parametrize(
    ("key", "raw", "pointer"),
    [
        ("factor", 0, "/value"),
        ("factor", "3", "/value"),
        ("factor", None, "/value"),
        ("cap", 1.5, "/value"),
        ("days", {"new": 0}, "/value/new"),
        ("days", {"gone": 3}, "/value/gone"),
        ("days", 3, "/value"),
        ("hours", {"mon-fri": ["8-12"]}, "/value"),
        ("hours", {"noday": ["08:00-12:00"]}, "/value"),
        ("hours", {"mon": ["08:00-12:00"], "holidays": "atlantis"}, "/value/holidays"),
        ("rates", [{"least": -1}], "/value/0/least"),
        ("rates", [{"least": 1}, {"other": 1}], "/value/1/other"),
        ("rates", {"least": 1}, "/value"),
        ("rates", [{}] * 501, "/value"),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_wrong(homes, key, raw, pointer):
    place = _shared(homes)
    with pytest.raises(Invalid) as refused:
        settings_values.set_value(place.ctx, key, raw)
    assert [fault.pointer for fault in refused.value.faults] == [pointer]


_made: dict[int, Place] = {}


def _shared(homes: Homes) -> Place:
    if id(homes) not in _made:
        _made[id(homes)] = small_place(homes.home("sqlite"), changes=RULES)
    return _made[id(homes)]


@pytest.mark.parametrize(
    ("key", "raw", "kept"),
    [
        ("factor", " 12 ", 12),
        ("cap", "3.5万", 3500000),
        ("note", "", None),
        ("days", {"new": "7", "won": "", "else": "30"}, {"new": 7, "won": None, "else": 30}),
        ("rates", [{"least": "1万", "rate": "1.5"}], [{"least": 1000000, "rate": 150}]),
    ],
)
def test_what_people_type_is_kept_as_json(homes, key, raw, kept):
    assert settings_values.read_value(_shared(homes).workspace, key, raw, form=True) == kept


def test_an_unknown_setting_is_not_found_and_a_retired_one_not_shown(place):
    with pytest.raises(NotFound):
        settings_values.set_value(place.ctx, "nothing", 1)
    assert "former" not in [item.setting.key for item in settings_values.current(place.ctx)]


def _plants(place: Place, number: int) -> None:
    person = service.create(place.ctx, "person", {"name": "甲"}).id
    for index in range(number):
        stage = "new" if index % 4 else "won"
        raw = {"name": f"p{index}", "height": index, "stage": stage, "since": (NOW - timedelta(days=4)).isoformat(), "owner": person if index % 2 else None}
        service.create(place.ctx, "plant", raw)


def test_what_a_new_value_brings_about_is_counted_before_it_is_set(place):
    _plants(place, 12)
    with place.ctx.reading() as ctx:
        (found,) = consequences(ctx, "days", {"new": 3, "lost": None, "else": 9}, ctx.now).touched
        assert (found.entity, found.fields, found.records, found.changed, found.exact) == ("plant", ("release_at",), 12, 9, True)
        # nine of stage new are released after three days instead of five: all have come by now, six of them have an owner
        assert found.due == 6
        same = consequences(ctx, "days", ctx.workspace.settings["days"], ctx.now)
        assert [item.changed for item in same.touched] == [0] and not same.large
        assert [item.due for item in consequences(ctx, "days", {"new": 4, "else": 9}, ctx.now - timedelta(hours=1)).touched] == [6]
        # what would have been due by then anyway does not fall due because of the new value
        assert [item.due for item in consequences(ctx, "days", {"new": 6, "else": 9}, ctx.now + timedelta(days=3)).touched] == [0]
        (scaled,) = consequences(ctx, "factor", 3, ctx.now).touched
        assert (scaled.changed, scaled.due) == (11, 0)


def test_more_than_a_tenth_asks_again(place):
    _plants(place, 12)
    with pytest.raises(Conflict, match="setting_touches_many") as asked:
        settings_values.set_value(place.ctx, "factor", 3)
    assert (asked.value.params["changed"], asked.value.params["records"]) == (11, 12)
    assert not settings_values.history(place.ctx, "factor")
    settings_values.set_value(place.ctx, "factor", 3, confirmed=True)
    assert place.workspace.settings["factor"] == 3


def test_formulas_that_read_a_setting_are_known(place):
    assert formulas_reading(place.workspace, ["factor"]) == {"plant": ("scaled",)}
    assert formulas_reading(place.workspace, ["days", "factor"]) == {"plant": ("scaled", "release_at")}
    assert formulas_reading(place.workspace, ["cap"]) == {}
