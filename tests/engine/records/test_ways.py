"""What a list's own condition tells never changes its answer: the same rows in the same order as when nothing can be told from it."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.database_ready import Ready
from engine.expressions.language import Expression
from engine.records import query, service
from engine.records.query import Query
from engine.records.query_ways import Told, indexes_of, parts_of, ways_of
from engine.records.stage_log import SINCE
from tests.engine.records.conftest import MASKED, SELLER, World

ROWS = "owner == me or stage in ('new', 'lost') or grade == 'A'"
DOCUMENTS = {
    ("role", "seller"): {**SELLER, "grants": {**SELLER["grants"], "customer": {"read": ROWS, "create": True, "update": "owner == me", "fields": MASKED}}},
    ("list", "stages"): {"entity": "customer", "title": "某", "columns": ["name"], "where": "stage in ('new', 'met')", "sort": ["next_at", "-id"]},
    ("list", "grades"): {"entity": "customer", "title": "某", "columns": ["name"], "where": "grade == 'B'", "sort": ["-id"]},
    ("list", "due"): {
        "entity": "customer",
        "title": "某",
        "columns": ["name"],
        "where": "stage == 'met' and (lucky < 2 or budget < 150)",
        "sort": ["lucky", "-id"],
    },
}
PARTS = (
    "stage == 'new'",
    "stage in ('new', 'met')",
    "stage in ('met', 'won')",
    "grade in ('A', 'B')",
    "grade == 'B'",
    "owner == me",
    "empty(owner)",
    "lucky < 2",
    "(lucky < 2 or budget < 150)",
    "(stage == 'lost' or lucky > 1)",
    "(owner == me or grade == 'A')",
    "exists(budget)",
    "'met' == stage",
    "stage != 'met'",
    "contains(name, '张')",
    "empty(lucky)",
    "lucky == 1",
    "(lucky == 1 or budget == 100 and stage == 'won')",
)
SORTS: tuple[tuple[str, ...], ...] = ((), ("-id",), ("lucky", "-id"), ("-lucky",), ("next_at", "-id"), ("-budget", "lucky"), ("name",))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, make_module_world: Callable[..., World]) -> World:
    world, chance = make_module_world(request.param, DOCUMENTS), random.Random(11)
    owners = [world.person(login) for login in ("s1", "s2", "s3")]
    rows = [
        {
            "name": chance.choice("张王李") + "三",
            "stage": chance.choice(["new", "met", "won", "lost"]),
            "grade": chance.choice([None, "A", "B", "C"]),
            "owner": chance.choice([None, *owners]),
            "lucky": chance.choice([None, 1, 2, 3]),
            "budget": chance.choice([None, 100, 200]),
            "next_at": chance.choice([None, "2026-03-01T10:00:00+08:00", "2026-03-02T10:00:00+08:00"]),
        }
        for _ in range(150)
    ]
    assert not any(item.refused for item in service.load(world.ctx(), "customer", rows))
    return world


def ids(world: World, login: str, asked: Query) -> list[int]:
    found, cursor = [], None
    while True:
        page = query.page(world.ctx(login), replace(asked, cursor=cursor))
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
    sort=st.sampled_from(SORTS),
    login=st.sampled_from(["s1", "l1", "a1"]),
    limit=st.sampled_from([3, 50]),
)
def test_what_is_told_changes_no_answer(many: World, parts: list[str], sort: tuple[str, ...], login: str, limit: int):
    told = " and ".join(parts)
    asked = Query("customer", where=told, sort=sort, limit=limit, fields=("id",), labels=False)
    untold = replace(asked, where=f"not (not ({told}))")
    assert ids(many, login, asked) == ids(many, login, untold)
    counts = [query.page(many.ctx(login), replace(one, count="exact")).count for one in (asked, untold)]
    assert counts[0] == counts[1] == query.count(many.ctx(login), "customer", told)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    part=st.sampled_from(("", "score > 1", "author == me or empty(cost)", "exists(cost)", "empty(score)")),
    sort=st.sampled_from(((), ("id",), ("-at", "-id"), ("score", "-id"), ("-cost", "score"), ("kind",))),
    login=st.sampled_from(["s1", "l1", "a1"]),
    limit=st.sampled_from([3, 50]),
)
def test_what_a_link_leads_to_is_the_same_as_what_a_condition_finds(many: World, part: str, sort: tuple[str, ...], login: str, limit: int):
    target = busiest(many)
    led = Query("visit", part, equals={"customer": str(target)}, sort=sort, limit=limit, fields=("id",), labels=False, count="exact")
    found = replace(led, where=(part, f"customer == {target}"), equals={})
    assert ids(many, login, led) == ids(many, login, found)
    assert query.page(many.ctx(login), led).count == query.page(many.ctx(login), found).count


def test_rows_that_a_way_makes_impossible_are_not_walked_for_it_on_sqlite(many: World, statements: Callable[[World], Any]):
    """Whoever sees all of grade A is led to nothing by those of grade B."""
    where = "grade == 'B' and lucky < 2 or grade == 'A' and budget < 150"
    asked = Query("customer", where=where, limit=200, labels=False)
    with statements(many) as seen:
        found = ids(many, "s1", asked)
    assert found == ids(many, "s1", replace(asked, where=f"not (not ({where}))")) != []
    if many.workspace.database.dialect == "sqlite":
        text = next(text for text in seen if "FROM r_customer" in text)
        assert text.count(" UNION ") == 6, "own, new and lost ones by two ways, those of grade A by one"


def busiest(world: World) -> int:
    """A customer with visits of several people, made when first asked for."""
    (first,) = query.page(world.ctx(), Query("customer", where=f"owner == {world.person('s1')}", sort=("id",), limit=1, fields=("visits",))).items
    if not first["visits"]:
        chance, people = random.Random(5), [world.person(login) for login in ("s1", "s2", "s3")]
        visits = [
            {
                "customer": first.id,
                "author": chance.choice(people),
                "at": f"2026-02-{chance.randint(1, 9):02}T10:00:00+08:00",
                "score": chance.choice([None, 1, 2, 3]),
                "cost": chance.choice([None, 100, 200]),
                "kind": chance.choice([None, "a", "b"]),
            }
            for _ in range(25)
        ]
        assert not any(item.refused for item in service.load(world.ctx(), "visit", visits))
    return first.id


def parsed(world: World, source: str) -> Expression:
    return world.workspace.expression("customer", source, wants="boolean", spaces=frozenset({"me"}))


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("stage == 'new'", True),
        ("stage in ('new', 'lost')", True),
        ("owner == me", True),
        ("grade == 'A' and lucky > 1", True),
        ("'lost' == stage", True),
        ("stage == 'met'", "owner == me or grade == 'A'"),
        ("stage == 'met' and grade == 'B'", "owner == me"),
        ("stage in ('met', 'new')", ROWS),
        ("stage == 'met' or grade == 'A'", ROWS),
        ("lucky > 1", ROWS),
        ("not (stage == 'new')", ROWS),
    ],
)
def test_read_alternatives_that_are_certain_or_impossible_are_not_asked(many: World, where: str, left: object):
    found = Told.by([parsed(many, where)]).left_of((parsed(many, ROWS),))
    if isinstance(left, bool):
        assert found is left
    else:
        assert isinstance(found, tuple) and len(found) == 1
        assert len(list(parts_of(found[0].tree, "or"))) == len(list(parts_of(parsed(many, str(left)).tree, "or")))


def test_values_are_asked_one_by_one_only_where_an_index_leads_to_each(many: World):
    indexes = indexes_of(many.workspace, many.workspace.entities["customer"])
    assert len(ways_of(parsed(many, "stage in ('new', 'met', 'met')"), indexes)) == 2
    assert [sorted(way.by) for way in ways_of(parsed(many, "stage == 'met' and (lucky < 2 or budget < 150)"), indexes)] == [["lucky"], ["budget"]]
    for whole in ("first_kind in ('a', 'b')", "budget < 150 or born < today()", "stage != 'new'", "stage == 'new'"):
        assert ways_of(parsed(many, whole), indexes) == (), whole


def test_when_a_record_came_into_its_stage_is_found_by_the_record(many: World, statements: Callable[[World], Any]):
    with many.workspace.database.read() as connection, statements(many) as seen:
        Ready(SINCE).first(connection, {"p_entity": "customer", "p_record": 1})
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            assert "ix_stage_log_record" in str(driver.execute(f"EXPLAIN QUERY PLAN {seen[0]}", ("customer", 1)).fetchall())
