"""Lists: pages that visit every visible row once, filters that know only what their reader knows, search, counts, labels."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import Invalid, NotFound
from engine.expressions.problems import ExpressionRefused
from engine.fields.values import Masked
from engine.records import query, service
from engine.records.query import Query
from engine.records.query_labels import labels
from engine.system_tables import access_log
from tests.engine.records.conftest import SELLER, World

SORTABLE = ("next_at", "born", "lucky", "budget", "grade", "created_at", "name")


def everything(world: World, login: str, asked: Query) -> list[int]:
    """All ids, page by page."""
    found: list[int] = []
    cursor = None
    for _ in range(500):
        page = query.page(world.ctx(login), Query(**{**{name: getattr(asked, name) for name in Query.__slots__}, "cursor": cursor}))
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("pages without end")


def fill(world: World, number: int = 60) -> None:
    chance = random.Random(7)
    owners = [world.person(login) for login in ("s1", "s2", "s3")]
    rows = [
        {
            "name": chance.choice("张王李赵") + chance.choice(["三", "四", "三丰", "无忌"]),
            "next_at": chance.choice([None, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=chance.randint(0, 5))]),
            "born": chance.choice([None, date(1990, 1, chance.randint(1, 3)).isoformat()]),
            "lucky": chance.choice([None, 1, 2, 3]),
            "budget": chance.choice([None, 100, 200]),
            "grade": chance.choice([None, "A", "B"]),
            "owner": chance.choice([None, *owners]),
        }
        for _ in range(number)
    ]
    results = service.load(
        world.ctx(), "customer", [{key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()} for row in rows]
    )
    assert all(item.outcome == "created" for item in results), results


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, make_module_world: Callable[..., World]) -> World:
    world = make_module_world(request.param)
    fill(world)
    return world


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sort=st.lists(st.tuples(st.sampled_from(SORTABLE), st.booleans()), max_size=3, unique_by=lambda item: item[0]),
    limit=st.sampled_from([1, 7, 13]),
    login=st.sampled_from(["s1", "l1", "a1"]),
)
def test_pages_visit_every_visible_row_exactly_once_in_order(full: World, sort: list[tuple[str, bool]], limit: int, login: str):
    texts = tuple(f"-{name}" if down else name for name, down in sort)
    found = everything(full, login, Query("customer", sort=texts, limit=limit, labels=False))
    records = {item.id: item for item in query.page(full.ctx(login), Query("customer", limit=200, labels=False)).items}
    assert sorted(found) == sorted(records), "each visible row once"
    clear = {one: {key: None if isinstance(value, Masked) else value for key, value in record.items()} for one, record in records.items()}
    for before, after in pairwise(found):
        assert_in_order(clear[before], clear[after], sort)


def assert_in_order(before: dict[str, Any], after: dict[str, Any], sort: list[tuple[str, bool]]) -> None:
    for name, down in sort:
        first, second = before[name], after[name]
        if first == second:
            continue
        assert first is not None, f"{name}: an empty value comes last"
        if second is not None and name != "name":
            assert (first > second) is down, (name, first, second)
        return
    last_down = sort[-1][1] if sort else True
    assert (before["id"] > after["id"]) is last_down


def test_a_cursor_is_good_only_for_its_own_question(full: World):
    page = query.page(full.ctx("a1"), Query("customer", sort=("-lucky",), limit=5))
    assert page.next
    for other in (
        Query("customer", sort=("lucky",), cursor=page.next),
        Query("customer", sort=("-lucky",), cursor=page.next[:-2] + "xx"),
        Query("customer", sort=("-lucky",), where="budget > 1", cursor=page.next),
        Query("customer", cursor="nonsense"),
    ):
        with pytest.raises(Invalid) as refusal:
            query.page(full.ctx("a1"), other)
        assert refusal.value.code == "cursor_invalid"


def test_counts_are_capped_or_exact(full: World, monkeypatch: pytest.MonkeyPatch):
    exact = query.page(full.ctx("a1"), Query("customer", count="exact", limit=1)).count
    assert exact == 60 and query.page(full.ctx("a1"), Query("customer", count="capped")).count_capped is False
    assert query.count(full.ctx("a1"), "customer", "lucky == 1") == len(everything(full, "a1", Query("customer", where="lucky == 1")))


def test_a_page_with_no_rows_or_with_all_of_them_needs_no_count(full: World, statements):
    for where, many in (("lucky == 987654", 0), ("lucky == 1", query.count(full.ctx("a1"), "customer", "lucky == 1"))):
        for _ in range(2):
            with statements(full) as seen:
                found = query.page(full.ctx("a1"), Query("customer", where=where, sort=("id",), labels=False, limit=200, count="capped"))
            assert (found.count, len(found.items)) == (many, many)
        assert sum("r_customer" in statement for statement in seen) == 1


@pytest.mark.parametrize("login", ["a1", "s1"])
def test_a_page_tells_the_count_with_its_rows_and_asks_again_only_for_rows_without_a_sort_value(full: World, login: str, statements):
    """One statement needs no transaction; two, about rows with and without a sort value, see one state, and the next time that is known beforehand."""
    visible = len(everything(full, login, Query("customer", sort=("id",), labels=False)))
    asked = Query("customer", sort=("-lucky",), labels=False, count="exact")
    ctx, sent = full.ctx(login), []
    for limit in (1, 1, 200, 200, 1, 1):
        with statements(full) as seen:
            found = query.page(ctx, replace(asked, limit=limit))
        assert (found.count, len(found.items)) == (visible, min(limit, visible))
        sent.append(len(seen))
    assert sent == [1, 1, 3, 2, 1, 1]
    nobody = replace(asked, where="name == 'nobody'", sort=("id",))
    assert query.page(ctx, nobody) == query.Page([], None, 0, False)


def test_what_a_reader_cannot_read_does_not_exist(full: World):
    ctx = full.ctx("s1")
    unreadable, unknown = [], []
    for name, errors in (("secret", unreadable), ("nonsense", unknown)):
        for attempt in (
            lambda name=name: query.page(ctx, Query("customer", where=f"{name} == 'x'")),
            lambda name=name: query.page(ctx, Query("customer", sort=(name,))),
            lambda name=name: query.page(ctx, Query("customer", fields=(name,))),
            lambda name=name: query.page(ctx, Query("customer", equals={name: "x"})),
        ):
            with pytest.raises((Invalid, ExpressionRefused)) as refusal:
                attempt()
            errors.append(str(refusal.value).replace(name, "NAME"))
    assert unreadable == unknown
    with pytest.raises(NotFound):
        query.page(ctx, Query("log"))


def test_a_masked_name_is_searched_filtered_and_sorted_only_where_it_is_seen(full: World):
    mine = {item.id for item in query.page(full.ctx("s1"), Query("customer", limit=200)).items if not isinstance(item["name"], Masked)}
    seen = {item.id for item in query.page(full.ctx("s1"), Query("customer", limit=200)).items}
    assert mine and mine < seen
    for asked in (
        Query("customer", search="张", limit=200),
        Query("customer", where="contains(name, '张')", limit=200),
        Query("customer", search="zsf", limit=200),
    ):
        found = query.page(full.ctx("s1"), asked).items
        assert {item.id for item in found} <= mine
    everyone = query.page(full.ctx("a1"), Query("customer", search="张", limit=200)).items
    assert {item.id for item in query.page(full.ctx("s1"), Query("customer", search="张", limit=200)).items} == {item.id for item in everyone} & mine


def test_a_masked_phone_answers_full_value_and_last_four_and_is_noted(world: World):
    ctx = world.ctx("s1")
    pool = service.create(world.ctx(), "customer", {"name": "公海", "phone": "13911112222"})
    service.create(world.ctx("s3"), "customer", {"name": "别人", "phone": "13933332222"})
    for asked in (
        Query("customer", equals={"phone": "139 1111 2222"}),
        Query("customer", equals={"phone": "2222"}),
        Query("customer", search="2222"),
        Query("customer", search="13911112222"),
    ):
        assert [item.id for item in query.page(ctx, asked).items] == [pool.id]
    assert query.page(ctx, Query("customer", search="1111")).items == [] and query.page(ctx, Query("customer", search="139111")).items == []
    with pytest.raises((Invalid, ExpressionRefused)):
        query.page(ctx, Query("customer", where="startswith(phone, '139')"))
    with pytest.raises(Invalid):
        query.page(ctx, Query("customer", sort=("phone",)))
    with ctx.reading() as reading:
        rows = reading.open.execute(access_log.select().where(access_log.c.kind == "search")).all()
    assert len(rows) == 5 and {row.person for row in rows} == {world.person("s1")}


def test_labels_of_links_obey_the_readers_grant_on_the_target(world: World):
    ctx = world.ctx("s1")
    mine = service.create(ctx, "customer", {"name": "张三丰", "phone": "13911112222"})
    visit = service.create(ctx, "visit", {"customer": mine.id, "kind": "上门"})
    assert query.get(ctx, "visit", visit.id)["customer"] == (mine.id, "张三丰")
    service.update(world.ctx(), "customer", mine.id, {"owner": None}, service.ANY)
    assert query.get(ctx, "visit", visit.id)["customer"] == (mine.id, "张*")
    service.update(world.ctx(), "customer", mine.id, {"owner": world.person("s3")}, service.ANY)
    assert query.get(ctx, "visit", visit.id)["customer"] == (mine.id, None)


def test_what_the_reader_is_called_is_known_and_asks_nothing_unless_it_may_not_be_read(world: World, make_world, statements, database_kind: str):
    """After a change of the name it is the new one at once; a role that may not read people's names sees none, its own included."""

    def label(world: World) -> tuple[dict[int, str], int]:
        with world.ctx("s1").reading() as ctx, statements(world) as seen:
            return labels(ctx, "person", [ctx.actor.person_id]), len([one for one in seen if "r_person" in one])

    me = world.person("s1")
    assert label(world) == ({me: "人s1"}, 0)
    service.update(world.ctx(), "person", me, {"name": "新名"}, service.ANY)
    assert label(world) == ({me: "新名"}, 0)
    with world.ctx("s1").writing() as ctx:
        service.update(replace(ctx, actor=world.ctx().actor), "person", me, {"name": "更新的名"}, service.ANY)
        assert labels(ctx, "person", [me]) == {me: "更新的名"}
    for person in ({"read": False}, {"read": "name == 'x'"}, {"read": True, "fields": {"name": {"mask": True}}}):
        changed = make_world(database_kind, {("role", "seller"): {**SELLER, "grants": {**SELLER["grants"], "person": person}}})
        assert label(changed)[0].get(changed.person("s1")) != "人s1", person


def test_a_condition_over_a_link_sees_only_what_its_asker_sees(world: World):
    other = service.create(world.ctx("s3"), "customer", {"name": "王五", "budget": 500})
    visit = service.create(world.ctx(), "visit", {"customer": other.id, "author": world.person("s1")})
    ctx = world.ctx("s1")
    assert [item.id for item in query.page(ctx, Query("visit")).items] == [visit.id]
    assert query.page(ctx, Query("visit", where="customer.budget == 500")).items == []
    assert [item.id for item in query.page(ctx, Query("visit", where="empty(customer.budget)")).items] == [visit.id]
    with pytest.raises((Invalid, ExpressionRefused)):
        query.page(ctx, Query("visit", where="customer.secret == 'x'"))


def test_a_volatile_formula_is_shown_and_filtered_but_not_sorted(world: World):
    ctx = world.ctx("s1")
    late = service.create(ctx, "customer", {"name": "迟"})
    service.create(ctx, "visit", {"customer": late.id, "at": "2026-02-01T10:00:00+08:00"})
    fresh = service.create(ctx, "customer", {"name": "新"})
    service.create(ctx, "visit", {"customer": fresh.id})
    assert query.get(ctx, "customer", late.id)["overdue"] is True and query.get(ctx, "customer", fresh.id)["overdue"] is False
    assert [item.id for item in query.page(ctx, Query("customer", where="overdue")).items] == [late.id]
    with pytest.raises(Invalid):
        query.page(ctx, Query("customer", sort=("overdue",)))


def test_exact_matches_take_several_values_lists_and_me(world: World):
    ctx = world.ctx("s1")
    first = service.create(ctx, "customer", {"name": "一", "grade": "A", "tags": ["热", "急"]})
    second = service.create(ctx, "customer", {"name": "二", "grade": "B"})
    service.create(ctx, "customer", {"name": "三", "grade": "C"})
    assert [item.id for item in query.page(ctx, Query("customer", equals={"grade": ("A", "B")}, sort=("id",))).items] == [first.id, second.id]
    assert [item.id for item in query.page(ctx, Query("customer", equals={"tags": "急"})).items] == [first.id]
    assert len(query.page(ctx, Query("customer", equals={"owner": "me"})).items) == 3
    assert len(query.page(ctx, Query("customer", equals={"born": ""})).items) == 3
    with pytest.raises(Invalid) as refusal:
        query.page(ctx, Query("customer", equals={"grade": "Z"}))
    assert refusal.value.faults[0].pointer == "/grade"


def test_a_picker_finds_labels(world: World):
    ctx = world.ctx("s1")
    mine = service.create(ctx, "customer", {"name": "欧阳娜娜"})
    assert query.lookup(ctx, "customer", "娜娜") == [(mine.id, "欧阳娜娜")] == query.lookup(ctx, "customer", "oynn")
    assert [label for _, label in query.lookup(ctx, "person", "人s")] == ["人s3", "人s2", "人s1"]
