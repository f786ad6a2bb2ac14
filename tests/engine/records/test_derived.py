"""Derived values stay true: whatever is saved, stored roll-ups, lookups and formulas equal what a computation from scratch gives."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from engine.context import Context
from engine.database_faults import LostRace
from engine.errors import Refusal
from engine.records import history, query, service
from engine.records.query import Query
from engine.records.saving import Saving
from engine.records.work import Work
from tests.engine.records.conftest import NOW, World
from tests.truth import untrue


def recomputed(world: World, customer: dict[str, Any], visits: list[dict[str, Any]]) -> dict[str, Any]:
    """The derived values of a customer from its visits, by hand."""
    mine = [item for item in visits if item["customer"] is not None and item["customer"].id == customer["id"]]
    scores = [item["score"] for item in mine if item["score"] is not None]
    costs = [item["cost"] for item in mine if item["cost"] is not None]
    times = [item["at"] for item in mine if item["at"] is not None]
    late = datetime.max.replace(tzinfo=UTC)
    first = min(mine, key=lambda item: (item["at"] is None, item["at"] or late, item["id"]), default=None)
    last = min(mine, key=lambda item: (item["at"] is None, -(item["at"] or NOW).timestamp(), -item["id"]), default=None)
    local = max(times).astimezone(world.workspace.timezone) if times else None
    due = datetime.combine(local.date() + timedelta(days=4), datetime.min.time(), world.workspace.timezone).astimezone(UTC) if local else None
    half_up = None if not costs else (2 * sum(costs) + len(costs)) // (2 * len(costs))
    return {
        "visits": len(mine),
        "good_visits": sum(score >= 5 for score in scores),
        "score_sum": sum(scores),
        "score_min": min(scores, default=None),
        "score_max": max(scores, default=None),
        "spent": half_up,
        "first_kind": first["kind"] if first else None,
        "last_kind": last["kind"] if last else None,
        "last_at": max(times, default=None),
        "warm": len(mine) >= 2 or customer["grade"] == "A",
        "due_at": due,
    }


def assert_true(world: World) -> None:
    ctx = world.ctx("a1")
    customers = query.page(ctx, Query("customer", limit=200)).items
    visits = query.page(ctx, Query("visit", limit=200)).items
    by_id = {item.id: item for item in customers}
    people = {item.id: item for item in query.page(ctx, Query("person", limit=200)).items}
    for customer in customers:
        expected = recomputed(world, customer, visits)
        assert {name: customer[name] for name in expected} == expected
        owner = customer["owner"]
        assert customer["team"] == (people[owner.id]["team"] if owner else None)
    for visit in visits:
        target = by_id.get(visit["customer"].id)
        assert visit["grade"] == (target["grade"] if target else None)
        assert (visit["hint"] or "") == ((target["name"] if target else "") + (visit["kind"] or ""))
        assert visit["owner_team"] == (target["team"] if target else None)


def step(world: World, chance: random.Random) -> None:
    ctx = world.ctx("a1")
    customers = [item.id for item in query.page(ctx, Query("customer", limit=200, fields=("id",))).items]
    visits = [item.id for item in query.page(ctx, Query("visit", limit=200, fields=("id",))).items]
    people = [world.person(login) for login in ("s1", "s3")]
    raw = {
        "at": chance.choice([None, (NOW + timedelta(hours=chance.randint(-50, 50))).isoformat()]),
        "kind": chance.choice([None, "一", "二"]),
        "score": chance.choice([None, *range(8)]),
        "cost": chance.choice([None, 100, 333]),
    }
    kind = chance.randrange(7)
    if kind == 0 or not customers:
        service.create(ctx, "customer", {"name": chance.choice("张王李"), "grade": chance.choice("ABC"), "owner": chance.choice([None, *people])})
    elif kind in (1, 2) or not visits:
        service.create(ctx, "visit", {**raw, "customer": chance.choice(customers)})
    elif kind == 3:
        service.update(ctx, "visit", chance.choice(visits), {**raw, "customer": chance.choice(customers)}, service.ANY)
    elif kind == 4:
        service.update(ctx, "customer", chance.choice(customers), {"grade": chance.choice("ABC"), "owner": chance.choice([None, *people])}, service.ANY)
    elif kind == 5:
        service.delete(ctx, "visit", chance.choice(visits), service.ANY)
    else:
        service.load(ctx, "visit", [{**raw, "customer": chance.choice(customers)} for _ in range(3)])


@pytest.mark.parametrize("seed", [1, 2])
def test_after_random_saves_every_derived_value_equals_a_computation_from_scratch(world: World, seed: int):
    chance = random.Random(seed)
    for _ in range(25):
        step(world, chance)
    assert_true(world)
    team = service.create(world.ctx(), "team", {"name": "丙组"})
    service.update(world.ctx(), "person", world.person("s1"), {"team": team.id}, service.ANY)
    assert_true(world)


def test_a_computed_change_does_not_raise_the_version_and_is_noted_as_computed(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    made = service.create(ctx, "visit", {"customer": saved.id, "score": 6})
    assert {(change.entity, change.kind) for change in made.changes} == {("visit", "create"), ("customer", "computed")}
    found = query.get(ctx, "customer", saved.id)
    assert found.version == 1 and found["visits"] == 1 and found["good_visits"] == 1
    newest = history.timeline(ctx, "customer", saved.id).items[0]
    assert {change.field for change in newest.changes} >= {"visits", "due_at"} and all(change.computed for change in newest.changes)
    service.update(ctx, "customer", saved.id, {"grade": "A"}, 1)


def test_a_refused_save_leaves_nothing_behind(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    with pytest.raises(Refusal):
        service.create(ctx, "visit", {"customer": saved.id, "score": "x"})
    assert query.get(ctx, "customer", saved.id)["visits"] == 0 and len(history.timeline(ctx, "customer", saved.id).items) == 1


def test_touch_repairs_what_someone_broke(world: World, make_world: Callable[..., World]):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    service.create(ctx, "visit", {"customer": saved.id})
    table = world.workspace.entities["customer"].table
    with world.ctx().writing() as broken:
        broken.open.execute(table.update().values(visits=77, warm=True).execution_options(scoped=True))
    service.touch(world.ctx(), "customer", [saved.id])
    found = query.get(ctx, "customer", saved.id)
    assert found["visits"] == 1 and found["warm"] is False


def test_derived_values_are_true_whoever_changes_what_they_rest_on_at_once(world: World):
    """Each save steps the numbers it moves, and takes over what others did to a record it had read before it held it."""
    one, other = (service.create(world.ctx(), "customer", {"name": name}).id for name in ("张三", "李四"))
    visits = [service.create(world.ctx(), "visit", {"customer": one, "score": 6}).id for _ in range(12)]

    def change(number: int) -> None:
        chance, ctx = random.Random(number), world.ctx("a1")
        for _ in range(4):
            match chance.randrange(4):
                case 0:
                    service.create(ctx, "visit", {"customer": chance.choice([one, other]), "score": chance.choice([1, 6])})
                case 1:
                    service.update(ctx, "visit", visits[number], {"customer": chance.choice([one, other]), "score": chance.choice([1, 6])}, service.ANY)
                case 2:
                    service.load(ctx, "visit", [{"customer": one, "score": 6}, {"customer": other, "score": 1}])
                case _:
                    service.update(ctx, "customer", chance.choice([one, other]), {"grade": chance.choice("ABC")}, service.ANY)

    def try_to(number: int) -> None:
        with suppress(LostRace):  # two records locked the other way round, three times: whoever lost changed nothing
            change(number)

    with ThreadPoolExecutor(len(visits)) as pool:
        list(pool.map(try_to, range(len(visits))))
    assert untrue(world.home, world.name) == []


@pytest.mark.parametrize("first", ["the record", "what it takes from"])
def test_a_value_taken_over_a_link_is_true_whoever_is_faster(world: World, first: str):
    """A record is made while the one it takes a value from is changed, and nothing else makes the two wait for each other."""
    ctx, person = world.ctx(), world.person("s1")
    team = service.create(ctx, "team", {"name": "新队"}).id
    begun, over = Event(), Event()

    def make(ctx: Context) -> None:
        service.create(ctx, "customer", {"name": "张三", "owner": person})

    def move(ctx: Context) -> None:
        service.update(ctx, "person", person, {"team": team}, service.ANY)

    def hold_open(deed: Callable[[Context], None]) -> None:
        with ctx.writing() as inner:
            deed(inner)
            begun.set()
            over.wait(0.5)  # the other one waits for this transaction, or is done with it by then

    one, other = (make, move) if first == "the record" else (move, make)
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(hold_open, one)
        begun.wait(5)
        other(world.ctx())
        over.set()
        held.result()
    (customer,) = query.page(ctx, Query("customer")).items
    assert customer["team"].id == team
    assert untrue(world.home, world.name) == []


def test_what_is_done_to_a_deleted_record_moves_no_number(world: World):
    customer = service.create(world.ctx(), "customer", {"name": "张三"}).id
    visit = service.create(world.ctx(), "visit", {"customer": customer, "score": 6}).id
    service.delete(world.ctx(), "visit", visit, service.ANY)
    with world.ctx().writing() as ctx:
        saving = Saving(Work(ctx))
        row = saving.work.fetch("visit", [visit], lock=True)[visit]
        saving.settling.changed(saving.work.entity("visit"), row, {**row, "score": 1})
        saving.settling.changed(saving.work.entity("visit"), {**row, "score": 1}, row)
        saving.finish()
    found = query.get(world.ctx(), "customer", customer)
    assert (found["visits"], found["good_visits"]) == (0, 0)
    service.restore(world.ctx(), "visit", visit)
    found = query.get(world.ctx(), "customer", customer)
    assert (found["visits"], found["good_visits"]) == (1, 1)


def test_what_the_records_of_a_transaction_count_on_is_locked_at_once(world: World, statements: Callable[[World], Any]):
    """What one run does to its record the next will do to its own: the numbers both move stand on rows that are locked together."""
    customers = [service.create(world.ctx(), "customer", {"name": name}).id for name in ("张三", "李四", "王五")]
    visits = [service.create(world.ctx(), "visit", {"customer": one, "score": 6}).id for one in customers]
    asked = []
    with world.ctx().writing() as ctx, statements(world) as seen:
        work = Work(ctx, json=True)
        work.expect("visit", visits)
        for visit in visits:
            saving = Saving(work.next(ctx))
            saving.update(work.entity("visit"), visit, {"score": 1}, service.ANY)
            saving.settling.settle()
            asked.append(sum(text.startswith("SELECT") and "FROM" in text and "customer.name" in text for text in seen))
            saving.finish()
    assert asked == [asked[0]] * len(visits), seen
    assert [query.get(world.ctx(), "customer", one)["good_visits"] for one in customers] == [0, 0, 0]
