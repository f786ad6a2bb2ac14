"""What several roles together allow: rows are added up, a mask holds only where every granting role masks, a field is seen where a role shows it."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest

from engine.access import grant, rights
from engine.errors import NotFound
from engine.fields.values import Masked
from engine.records import query, service
from engine.records.query import Query
from tests.engine.records.conftest import World, make_world  # noqa: F401

OWN = {"title": "自己的", "grants": {"customer": {"read": "owner == me", "update": "owner == me", "fields": {"secret": {"write": False}}}}}
POOL = {"title": "公海", "grants": {"customer": {"read": "empty(owner)", "fields": {"phone": {"mask": True}, "secret": {"read": False}}}}}
GRADE_A = {
    "title": "甲类",
    "can": ["export"],
    "grants": {"customer": {"read": "grade == 'A'", "fields": {"phone": {"mask": "exists(owner)"}, "secret": {"read": False}}}},
}
NOTHING = {"title": "无", "grants": {"order": {"read": True}}}


@pytest.fixture(params=["sqlite", "postgresql"])
def people(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:  # noqa: F811
    world = make_world(request.param, {("role", "own"): OWN, ("role", "pool"): POOL, ("role", "grade_a"): GRADE_A, ("role", "nothing"): NOTHING})
    for login, roles in (("p1", ["own", "pool"]), ("p2", ["own", "pool", "grade_a"]), ("p3", ["nothing"]), ("p4", ["pool"])):
        service.create(world.ctx(), "person", {"name": login, "login": login, "roles": roles})
    return world


def make(world: World, name: str, **values: Any) -> int:
    return service.create(world.ctx(), "customer", {"name": name, "phone": f"139{crc32(name.encode()) % 10**8:08}", "secret": "s", **values}).id


def test_rows_of_all_roles_are_added_up(people: World):
    mine, pool, other = make(people, "我", owner=people.person("p1")), make(people, "池"), make(people, "他", owner=people.person("p2"), grade="A")
    assert {item.id for item in query.page(people.ctx("p1"), Query("customer")).items} == {mine, pool}
    assert {item.id for item in query.page(people.ctx("p2"), Query("customer")).items} == {pool, other}
    make(people, "甲", owner=people.person("p1"), grade="A")
    assert len(query.page(people.ctx("p2"), Query("customer", count="exact")).items) == 3 == query.count(people.ctx("p2"), "customer")


def test_a_mask_holds_only_where_every_granting_role_masks(people: World):
    mine, pool = make(people, "我", owner=people.person("p2")), make(people, "池")
    pool_a, others_a = make(people, "池甲", grade="A"), make(people, "他甲", owner=people.person("p1"), grade="A")
    masked = {one: isinstance(query.get(people.ctx("p2"), "customer", one)["phone"], Masked) for one in (mine, pool, pool_a, others_a)}
    assert masked == {mine: False, pool: True, pool_a: False, others_a: True}
    assert isinstance(query.get(people.ctx("p4"), "customer", pool_a)["phone"], Masked)


def test_a_field_is_there_only_in_rows_where_some_role_shows_it(people: World):
    mine, pool = make(people, "我", owner=people.person("p1")), make(people, "池")
    assert query.get(people.ctx("p1"), "customer", mine)["secret"] == "s" and "secret" not in query.get(people.ctx("p1"), "customer", pool)
    assert [item.id for item in query.page(people.ctx("p1"), Query("customer", where="secret == 's'")).items] == [mine]
    assert [item.id for item in query.page(people.ctx("p1"), Query("customer", equals={"secret": "s"})).items] == [mine]


def test_what_is_written_needs_a_role_that_grants_this_row_and_this_field(people: World):
    mine = make(people, "我", owner=people.person("p1"))
    granted = grant(people.ctx("p1"), "customer")
    assert "secret" not in granted.writable and "grade" in granted.writable and not granted.allowed("create") and not granted.allowed("delete")
    service.update(people.ctx("p1"), "customer", mine, {"grade": "A"}, 1)


def test_what_is_not_granted_does_not_exist(people: World):
    for login, entity in (("p3", "customer"), ("p1", "order"), ("p1", "nonsense")):
        with pytest.raises(NotFound) as refusal:
            query.page(people.ctx(login), Query(entity))
        assert refusal.value.code == "unknown_entity"
    assert rights(people.ctx("p2"), "export") and not rights(people.ctx("p1"), "export") and rights(people.ctx("a1"), "publish")


def test_rights_taken_away_hold_from_the_next_request(people: World):
    mine = make(people, "我", owner=people.person("p1"))
    held = people.ctx("p1")
    service.update(people.ctx(), "person", people.person("p1"), {"roles": ["pool"]}, service.ANY)
    with pytest.raises(NotFound):
        service.update(held, "customer", mine, {"grade": "A"}, 1)
    assert query.page(people.ctx("p1"), Query("customer")).items == []
