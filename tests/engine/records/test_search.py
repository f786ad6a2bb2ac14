"""Search: exactly the rows that hold the text, whatever the token index finds beside them, page after page and counted."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.fields.tokens import found_in, query_tokens, tokens
from engine.records import query, query_walk, service
from engine.records.query import Query
from tests.engine.records.conftest import World

NAMES = "三丰山abZ1 "


def holds(text: str, name: str) -> bool:
    """A text in one piece, found by its pieces: what stands on both sides of a gap is not one text."""
    return found_in("name", text, name) and set(query_tokens(text, "n")) <= set(tokens("name", name, "n"))


def ids(world: World, login: str, asked: Query) -> list[int]:
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = query.page(world.ctx(login), replace(asked, cursor=cursor))
        found += [item.id for item in page.items]
        assert len(page.items) == asked.limit or page.next is None, "a page that is not the last one is full"
        cursor = page.next
        if cursor is None:
            return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def named(request: pytest.FixtureRequest, make_module_world: Callable[..., World]) -> tuple[World, dict[int, str]]:
    """Many names of few characters: the index finds more than is meant."""
    world, chance = make_module_world(request.param), random.Random(3)
    owners = [world.person(login) for login in ("s1", "s2")]
    rows: list[dict[str, Any]] = [
        {
            "name": "x" + "".join(chance.choice(NAMES) for _ in range(chance.randint(3, 9))) + "x",
            "lucky": chance.choice([None, 1, 2]),
            "owner": chance.choice(owners),
        }
        for _ in range(300)
    ]
    rows += [{"name": f"客{number}", "phone": f"1390000{number:04}"} for number in range(20)]
    results = service.load(world.ctx(), "customer", rows)
    return world, {item.id: row["name"] for item, row in zip(results, rows, strict=True) if item.id is not None}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(alphabet=NAMES.strip(), min_size=1, max_size=6), sort=st.sampled_from([(), ("-lucky",), ("lucky", "-id")]), limit=st.sampled_from([1, 3, 50])
)
def test_pages_of_a_search_hold_every_row_with_the_text_and_no_other(named: tuple[World, dict[int, str]], text: str, sort: tuple[str, ...], limit: int):
    world, names = named
    asked = Query("customer", search=text, sort=sort, limit=limit, fields=("id",))
    found = ids(world, "a1", asked)
    assert sorted(found) == sorted(one for one, name in names.items() if holds(text, name))
    assert query.page(world.ctx("a1"), replace(asked, count="exact")).count == len(found) == query.page(world.ctx("a1"), replace(asked, count="capped")).count


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(alphabet=NAMES.strip(), min_size=3, max_size=5))
def test_a_masked_name_is_no_evidence_for_a_long_text(named: tuple[World, dict[int, str]], text: str):
    world, names = named
    mine = {item.id for item in query.page(world.ctx("s1"), Query("customer", equals={"owner": "me"}, limit=200)).items}
    assert set(ids(world, "s1", Query("customer", search=text, limit=7))) == {one for one, name in names.items() if one in mine and holds(text, name)}


def test_a_full_number_is_found_by_its_blind_index_beside_names(named: tuple[World, dict[int, str]]):
    world, names = named
    found = query.page(world.ctx("a1"), Query("customer", search="139 0000 0007")).items
    assert [names[item.id] for item in found] == ["客7"]


def test_a_search_that_finds_mostly_others_ends_early_without_losing_a_row(named: tuple[World, dict[int, str]], monkeypatch: pytest.MonkeyPatch):
    world, names = named
    monkeypatch.setattr(query_walk, "AT_ONCE", 2)
    monkeypatch.setattr(query_walk.walk, "__kwdefaults__", {**query_walk.walk.__kwdefaults__, "most": 4})
    text = "三丰三丰"
    found: list[int] = []
    cursor: str | None = None
    for _ in range(400):
        page = query.page(world.ctx("a1"), Query("customer", search=text, limit=5, cursor=cursor))
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert cursor is None and sorted(found) == sorted(one for one, name in names.items() if holds(text, name))


def test_new_tokens_do_not_pile_up_beside_their_index_on_postgresql(make_world: Callable[..., World]):
    """What PostgreSQL keeps aside is read by every search; left to itself it keeps four megabytes, a hundred pages of these rows among them."""
    world = make_world("postgresql")
    names = [
        f"{first}{second}{third}" for first in "张王李赵刘陈杨黄周吴徐孙马朱胡" for second in "伟芳娜秀英敏静丽强磊军洋" for third in "一二三四五六七八九十"
    ]
    results = service.load(world.ctx(), "customer", [{"name": name} for name in names], trusted=True)
    assert not any(item.refused for item in results)
    ctx = world.ctx("a1")
    with ctx.workspace.database.read() as connection:
        table = ctx.workspace.entities["customer"].table
        found = sa.select(sa.func.count()).where(table.c.search__tokens.contains(["a王芳"])).execution_options(scoped=True)
        assert connection.execute(found).scalar_one() == 10
        connection.exec_driver_sql("SET enable_seqscan = off")
        driver: Any = connection.connection.driver_connection
        text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT id FROM \"{ctx.workspace.database.schema}\".r_customer WHERE search__tokens @> ARRAY['a王芳']"
        plan = driver.execute(text).fetchone()[0][0]["Plan"]
        connection.exec_driver_sql("RESET enable_seqscan")
    index = plan["Plans"][0]
    assert index["Node Type"] == "Bitmap Index Scan"
    assert index["Shared Hit Blocks"] + index["Shared Read Blocks"] <= 20, index
