"""What expressions may ask of their surroundings: the people of a role, open time that leaves out holidays; numbers kept as JSON come back as they were."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from engine import holidays
from engine.records import service
from engine.surroundings import active_people, evaluator_of
from engine.system_tables import setting_value
from tests.engine.homes import NOW, Homes, Place, small_place

HOURS = {
    ("settings", "settings"): {
        "factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}},
        "hours": {"type": "calendar", "default": {"mon-fri": ["08:30-17:30"], "holidays": "cn"}, "title": {"zh": "营业时间"}},
    }
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    found = Homes(tmp_path_factory.mktemp("surroundings"), lambda: request.getfixturevalue("new_postgres_database"))
    yield found
    found.close()


@pytest.fixture
def place(homes: Homes, database_kind: str) -> Place:
    return small_place(homes.home(database_kind), changes=HOURS)


@pytest.mark.parametrize("value", [3, 2.5, True, None, "3", "x", [1], {"a": 1}])
def test_any_json_value_comes_back_as_it_was_kept(place, value):
    with place.ctx.writing() as ctx:
        ctx.open.execute(setting_value.insert().values(key="factor", value=value, in_force_from=NOW, at=NOW, by=None))
        found = ctx.open.execute(sa.select(setting_value.c.value)).scalar_one()
    assert found == value and type(found) is type(value)


def test_people_of_a_role_are_those_who_may_enter_now(place):
    ctx = place.ctx
    ids = {}
    for name, words in {
        "甲": {"roles": ["admin"]},
        "乙": {"roles": ["admin"], "active": False},
        "丙": {"roles": []},
        "丁": {"roles": ["admin"], "ends_at": (NOW - timedelta(days=1)).isoformat()},
        "戊": {"roles": ["admin"], "ends_at": (NOW + timedelta(days=1)).isoformat()},
    }.items():
        ids[name] = service.create(ctx, "person", {"name": name, **words}).id
    with ctx.reading() as ctx:
        assert active_people(ctx, "admin") == [ids["甲"], ids["戊"]]
        assert active_people(ctx, "king") == []
        found = evaluator_of(ctx).value(ctx.workspace.expression("plant", "people('admin')"), {})
        assert found == [ids["甲"], ids["戊"]]
        later = replace(ctx, now=NOW + timedelta(days=2))
        assert active_people(later, "admin") == [ids["甲"]]


def test_open_time_leaves_out_holidays(place):
    with place.ctx.reading() as ctx:
        friday = NOW.replace(month=4, day=3, hour=0, minute=30)  # 2026-04-03 08:30 in Shanghai; the weekend is Qingming, Monday too
        found = evaluator_of(ctx).value(ctx.workspace.expression("visit", "add_time(created_at, 'PT10H', setting.hours)"), {"created_at": friday})
        assert found.date() == date(2026, 4, 7)


def test_holidays_are_the_days_the_state_council_named():
    days = holidays.closed_days("cn")
    assert holidays.years("cn") == (2023, 2024, 2025, 2026) and holidays.names() == ("cn",)
    assert date(2026, 2, 15) in days and date(2026, 2, 23) in days and date(2026, 2, 24) not in days
    assert [len([day for day in days if day.year == year]) for year in holidays.years("cn")] == [28, 28, 28, 33]
    assert holidays.closed_days("atlantis") == frozenset()
