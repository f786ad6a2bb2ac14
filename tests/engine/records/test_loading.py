"""Many rows at once: what one save refuses is refused row by row, the loser of a race alone, and what is written is what one save would write."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from engine import system_tables as tables
from engine.context import Cause
from engine.records import loading, query, service
from engine.records.query import Query
from tests.engine.records.conftest import SELLER, World

FULL = {
    "name": "张三丰",
    "phone": "13911112222",
    "grade": "A",
    "budget": 300,
    "next_at": "2026-03-02T10:00:00+08:00",
    "born": "1990-01-02",
    "tags": ["热", "急"],
    "secret": "低价",
    "channel": "online",
    "detail": "site",
}


def history_of(world: World, record: int) -> dict[str, Any]:
    with world.ctx().reading() as ctx:
        row = ctx.open.execute(sa.select(tables.history).where(tables.history.c.entity == "customer", tables.history.c.record == record)).mappings().one()
    return {key: value for key, value in row.items() if key not in ("id", "record")}


def test_a_loaded_row_is_as_one_that_was_saved_history_and_tokens_included(world: World):
    ctx = world.ctx()
    one = service.create(ctx, "customer", FULL).id
    [loaded] = service.load(ctx, "customer", [{**FULL, "phone": "13911113333"}])
    assert loaded.id is not None
    first, second = (dict(query.get(world.ctx("a1"), "customer", number)) for number in (one, loaded.id))
    for own in ("id", "no", "phone"):
        assert first.pop(own) != second.pop(own)
    assert first == second
    told = [history_of(world, number) for number in (one, loaded.id)]
    for item in told:
        assert item["after"].pop("phone").startswith("k1:") and item["after"].pop("no")
    assert told[0] == told[1]
    for text in ("三丰", "zsf", "3333"):
        assert loaded.id in [item.id for item in query.page(world.ctx("a1"), Query("customer", search=text)).items]
    with world.ctx().reading() as ctx:
        assert len(ctx.open.execute(sa.select(tables.stage_log).where(tables.stage_log.c.entity == "customer")).all()) == 2


def test_the_loser_of_a_race_is_refused_alone(world: World, monkeypatch: pytest.MonkeyPatch):
    """Somebody takes a key between the look and the write: as if the look had not seen it."""
    service.create(world.ctx(), "customer", {"name": "先来", "phone": "13911110000"})
    monkeypatch.setattr(loading, "taken", lambda *_: set())
    rows = [{"name": f"客{number}", "phone": f"1391111{number:04}"} for number in range(5)]
    results = service.load(world.ctx(), "customer", rows)
    assert [item.outcome for item in results] == ["refused", *["created"] * 4]
    assert results[0].code == "duplicate" and results[0].faults[0].pointer == "/phone" and results[0].params["unique"] == "phone_active"
    assert len(query.page(world.ctx("a1"), Query("customer")).items) == 5
    with world.ctx().reading() as ctx:
        assert len(ctx.open.execute(sa.select(tables.history.c.id).where(tables.history.c.entity == "customer")).all()) == 5


def test_keys_are_asked_about_only_when_the_database_has_refused_some(world: World, monkeypatch: pytest.MonkeyPatch):
    """The unique index is the guarantee; what is asked beforehand would be asked twice."""
    asked = []
    monkeypatch.setattr(loading, "taken", lambda *given, ask=loading.taken: asked.append(given) or ask(*given))
    first = service.load(world.ctx(), "customer", [{"name": f"客{number}", "phone": f"1391111{number:04}"} for number in range(5)])
    assert [item.outcome for item in first] == ["created"] * 5 and not asked
    again = service.load(world.ctx(), "customer", [{"name": f"客{number}", "phone": f"1391111{number:04}"} for number in range(3, 9)])
    assert [item.outcome for item in again] == ["refused", "refused", *["created"] * 4] and asked
    assert [(item.code, item.params["unique"]) for item in again[:2]] == [("duplicate", "phone_active")] * 2
    assert len({item.id for item in (*first, *again) if item.id is not None}) == 9


def test_a_link_that_leads_nowhere_refuses_its_row_even_when_trusted(world: World):
    customer = service.create(world.ctx(), "customer", {"name": "张三"}).id
    results = service.load(
        world.ctx(), "visit", [{"customer": customer, "score": 5}, {"customer": customer + 100}, {"customer": customer, "score": 1}], trusted=True
    )
    assert [item.outcome for item in results] == ["created", "refused", "created"] and results[1].code == "link_gone"
    assert query.get(world.ctx("a1"), "customer", customer)["score_sum"] == 6


def test_keys_that_come_twice_in_what_is_given_keep_the_first(world: World):
    results = service.load(world.ctx(), "customer", [{"name": "一", "phone": "13922220000"}, {"name": "二", "phone": "139 2222 0000"}, {"name": "三"}])
    assert [item.outcome for item in results] == ["created", "refused", "created"]


def test_what_a_role_may_not_write_on_a_row_it_may_make_is_refused(make_world: Callable[..., World], database_kind: str):
    """One role makes customers but may not set the budget, the other sets budgets of customers but makes none."""
    maker = {**SELLER, "grants": {**SELLER["grants"], "customer": {"read": True, "create": True, "fields": {"budget": {"write": False}}}}}
    setter = {"title": {"zh": "定价"}, "grants": {"customer": {"read": True, "update": True}}}
    world = make_world(database_kind, {("role", "seller"): maker, ("role", "setter"): setter})
    service.update(world.ctx(), "person", world.person("s1"), {"roles": ["seller", "setter"]}, service.ANY)
    results = service.load(world.ctx("s1"), "customer", [{"name": "一", "budget": 5}, {"name": "二"}])
    assert [item.outcome for item in results] == ["refused", "created"] and results[0].faults[0].pointer == "/budget"
    assert results[0].faults[0].code == "not_writable"


def test_a_file_that_is_not_the_givers_is_refused(make_world: Callable[..., World], database_kind: str):
    world = make_world(
        database_kind, {("entity", "paper"): {"title": "文件", "label": "{name}", "fields": {"name": {"type": "text"}, "scan": {"type": "file"}}}}
    )
    results = service.load(world.ctx("a1"), "paper", [{"name": "一", "scan": 77}, {"name": "二"}])
    assert [item.outcome for item in results] == ["refused", "created"] and results[0].faults[0].code == "file_unknown"


def test_every_fault_of_every_row_is_told_and_the_others_are_kept(world: World):
    ctx = world.ctx("s1").because(Cause("import", "list.csv"))
    results = service.load(
        ctx,
        "customer",
        [
            {"name": "", "budget": "x", "born": "2026-13-40"},
            {"name": "好"},
            {"name": "差", "budget": 5, "budget_max": 1},
            {"name": "无", "owner": world.person("s1")},
        ],
    )
    assert [item.outcome for item in results] == ["refused", "created", "refused", "refused"]
    assert {fault.pointer for fault in results[0].faults} == {"/name", "/budget", "/born"}
    assert [fault.code for fault in results[2].faults] == ["budget_order"] and [fault.pointer for fault in results[3].faults] == ["/owner"]
