"""What rows carry of the records they link to is always true: through saves, hand-overs, moves, deletions, loads, publishing and races; and lists read by it."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from engine import publishing
from engine.context import Context
from engine.errors import Refusal
from engine.publishing import finish_preparing, plan_publish, publish, rollback
from engine.publishing_plan import Plan
from engine.records import history, query, service
from engine.records.query import Query
from engine.records.record import ANY
from engine.system_tables import physical_column
from engine.workspace_load import load_workspace
from tests.engine.records.conftest import DOCUMENTS_OF_WORLD, World

VISITS = {("list", "visits"): {"entity": "visit", "title": {"zh": "来访"}, "sort": ["-at", "-id"], "columns": ["at", "kind"]}}
CARRIED = {"customer__owner", "customer__team"}


@pytest.fixture
def world(make_world: Callable[..., World], database_kind: str) -> World:
    """A world with a list of visits, which sellers and leads see by their customers."""
    return make_world(database_kind, VISITS)


def assert_carried(world: World) -> None:
    """Every row, deleted ones too, carries what its customer has."""
    visit, customer = world.workspace.entities["visit"].table, world.workspace.entities["customer"].table
    columns = {item.key: item for item in world.workspace.entities["visit"].carried}
    assert columns.keys() == CARRIED
    kept = [visit.c[str(columns[key].column.key)] for key in sorted(CARRIED)]
    select = sa.select(visit.c.id, *kept, customer.c.owner, customer.c.team).outerjoin_from(visit, customer, visit.c.customer == customer.c.id)
    with world.workspace.database.read() as connection:
        for record_id, owner, team, real_owner, real_team in connection.execute(select.execution_options(scoped=True)):
            assert (owner, team) == (real_owner, real_team), record_id


def assert_seen(world: World) -> None:
    """Each person finds the visits their role means, looked at one by one, in the list's order."""
    everything = query.page(world.ctx("a1"), Query("visit", limit=200, sort=("-at", "-id"))).items
    customers = {item.id: item for item in query.page(world.ctx("a1"), Query("customer", limit=200)).items}
    for login in ("s1", "s2", "s3", "l1"):
        ctx = world.ctx(login)
        me, teams = ctx.actor.person_id, ctx.actor.teams

        def means(item: Any, me: int | None = me, teams: Any = teams, login: str = login) -> bool:
            customer = customers[item["customer"].id]
            owner = customer["owner"].id if customer["owner"] else None
            if login == "l1":
                return customer["team"] is not None and customer["team"].id in teams
            return owner == me or (item["author"] is not None and item["author"].id == me)

        found, cursor = [], None
        while True:
            page = query.page(ctx, Query("visit", limit=3, sort=("-at", "-id"), fields=("id",), cursor=cursor))
            found += [item.id for item in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert found == [item.id for item in everything if means(item)], login


def customer_of(world: World, login: str | None, name: str = "客") -> int:
    return service.create(world.ctx(), "customer", {"name": name, "owner": world.person(login) if login else None}).id


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_saved_rows_carry_what_their_link_leads_to(world: World, seed: int):
    chance, ctx = random.Random(seed), world.ctx()
    people = [world.person(login) for login in ("s1", "s2", "s3")]
    teams = [item.id for item in query.page(ctx, Query("team")).items]
    customers = [customer_of(world, chance.choice(("s1", "s2", "s3", None)), f"客{number}") for number in range(6)]
    visits = [service.create(ctx, "visit", {"customer": chance.choice(customers), "author": chance.choice(people)}).id for _ in range(8)]
    gone: list[int] = []

    def move() -> None:
        service.update(ctx, "visit", chance.choice(visits), {"customer": chance.choice(customers)}, ANY)

    def hand_over() -> None:
        service.update(ctx, "customer", chance.choice(customers), {"owner": chance.choice([*people, None])}, ANY)

    def change_team() -> None:
        service.update(ctx, "person", chance.choice(people), {"team": chance.choice(teams)}, ANY)

    def delete_or_restore() -> None:
        if gone and chance.random() < 0.5:
            visits.append(gone.pop())
            service.restore(ctx, "visit", visits[-1])
        elif len(visits) > 3:
            gone.append(visits.pop())
            service.delete(ctx, "visit", gone[-1], ANY)

    def load() -> None:
        rows = [{"customer": chance.choice(customers), "author": chance.choice(people)} for _ in range(4)]
        visits.extend(item.id for item in service.load(ctx, "visit", rows) if item.id is not None)

    def refused() -> None:
        with pytest.raises(Refusal):
            service.update(ctx, "visit", chance.choice(visits), {"customer": 10**9}, ANY)

    for _ in range(25):
        chance.choice((move, hand_over, hand_over, change_team, delete_or_restore, load, refused))()
        assert_carried(world)
    assert_seen(world)


def test_a_hand_over_writes_all_rows_in_one_statement_and_their_history_notes_nothing(world: World, statements: Callable[[World], Any]):
    target = customer_of(world, "s1")
    ids = [item.id for item in service.load(world.ctx(), "visit", [{"customer": target} for _ in range(40)])]
    with statements(world) as seen:
        service.update(world.ctx(), "customer", target, {"owner": world.person("s3")}, ANY)
    written = [text for text in seen if text.startswith("UPDATE") and "customer__owner" in text]
    assert len(written) == 1 and "customer__team" in written[0]
    assert_carried(world)
    assert query.get(world.ctx(), "visit", ids[0]).version == 1
    moments = history.timeline(world.ctx("a1"), "visit", ids[0]).items
    assert not [change for moment in moments[:-1] for change in moment.changes if change.field.startswith("customer__")]


def test_what_changes_hands_is_carried_to_every_entity_in_as_few_statements_as_the_database_takes(
    make_world: Callable[..., World], database_kind: str, statements: Callable[[World], Any]
):
    """A gift carries over two links to customers; PostgreSQL writes all entities in one statement, and the second link of a gift in another."""
    gift = {
        "title": {"zh": "礼品"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": {"zh": "名称"}},
            "giver": {"type": "link", "to": "customer", "title": {"zh": "送礼人"}},
            "taker": {"type": "link", "to": "customer", "title": {"zh": "收礼人"}},
        },
    }
    seller = DOCUMENTS_OF_WORLD["role", "seller"]
    role = {**seller, "grants": {**seller["grants"], "gift": {"read": "giver.owner == me or taker.owner == me"}}}
    lists = {("list", "gifts"): {"entity": "gift", "title": {"zh": "礼品"}, "columns": ["name"]}}
    world = make_world(database_kind, {**VISITS, **lists, ("entity", "gift"): gift, ("role", "seller"): role})
    one, other, s3 = customer_of(world, "s1"), customer_of(world, "s2"), world.person("s3")
    visit = service.create(world.ctx(), "visit", {"customer": one}).id
    gifts = [
        service.create(world.ctx(), "gift", {"name": "茶", "giver": giver, "taker": taker}).id for giver, taker in ((one, other), (other, one), (one, one))
    ]
    with statements(world) as seen:
        service.update(world.ctx(), "customer", one, {"owner": s3}, ANY)
    assert len([text for text in seen if "__owner" in text and "UPDATE" in text and "r_customer SET" not in text]) == (
        2 if database_kind == "postgresql" else 3
    )
    assert_carried(world)
    table = world.workspace.entities["gift"].table
    columns = [table.c[str(item.column.key)] for item in sorted(world.workspace.entities["gift"].carried, key=lambda item: item.key)]
    s2 = world.person("s2")
    with world.workspace.database.read() as connection:
        kept = connection.execute(sa.select(*columns).order_by(table.c.id).execution_options(scoped=True)).all()
    assert [tuple(row) for row in kept] == [(s3, s2), (s2, s3), (s3, s3)]
    assert [item.id for item in query.page(world.ctx("s3"), Query("gift", sort=("id",))).items] == gifts
    assert [item.id for item in query.page(world.ctx("s3"), Query("visit")).items] == [visit]


def test_hand_overs_of_one_transaction_are_carried_together_and_whoever_looks_meanwhile_sees_them(
    make_world: Callable[..., World], database_kind: str, statements: Callable[[World], Any]
):
    """Rules hand five customers over while a file is loaded; a rule after them counts what the person may still see."""
    count = {"find": "visit", "take": "count", "as": "seen", "scope": "me", "where": "customer == record.customer"}
    rules = {
        ("rule", "hand"): {
            "title": "移交",
            "on": {"after": "create", "entity": "visit"},
            "if": "kind == 'hand'",
            "then": [{"set": {"owner": "author"}, "on": "customer"}],
        },
        ("rule", "tell"): {"title": "数", "on": {"after": "create", "entity": "visit"}, "if": "kind == 'tell'", "then": [count, {"set": {"score": "seen"}}]},
    }
    world = make_world(database_kind, {**VISITS, **rules})
    targets, s3 = [customer_of(world, "s1") for _ in range(5)], world.person("s3")
    rows = [{"customer": one, "kind": "hand", "author": s3} for one in targets]
    told = [{"customer": one, "kind": "tell", "author": s3} for one in targets]
    with statements(world) as seen:
        made = service.load(world.ctx("s1"), "visit", [*rows, *told])
    carried = [text for text in seen if "UPDATE" in text and "customer__owner" in text]
    assert len(carried) <= 2, "once before somebody looks, once at the end"
    assert [query.get(world.ctx("a1"), "visit", int(item.id or 0))["score"] for item in made[5:]] == [0] * 5
    assert_carried(world)


def test_who_loses_a_customer_loses_its_rows_at_once_and_who_gets_it_gets_them(world: World):
    target = customer_of(world, "s1")
    visit = service.create(world.ctx(), "visit", {"customer": target}).id

    def sees(login: str) -> bool:
        return visit in [item.id for item in query.page(world.ctx(login), Query("visit")).items]

    assert sees("s1") and not sees("s3") and sees("l1")
    service.update(world.ctx(), "customer", target, {"owner": world.person("s3")}, ANY)
    assert not sees("s1") and sees("s3") and not sees("l1")


def test_nobody_is_shown_what_rows_carry_nor_can_ask_for_it(world: World):
    visit = service.create(world.ctx(), "visit", {"customer": customer_of(world, "s1")}).id
    record = query.get(world.ctx("a1"), "visit", visit)
    assert not CARRIED & record.keys()
    for asked in (Query("visit", fields=("customer__owner",)), Query("visit", where="customer__owner == me"), Query("visit", sort=("customer__owner",))):
        with pytest.raises(Refusal):
            query.page(world.ctx("a1"), asked)
    with pytest.raises(Refusal):
        service.update(world.ctx("a1"), "visit", visit, {"customer__owner": world.person("s3")}, ANY)


def test_a_row_made_while_its_customer_is_handed_over_carries_the_new_owner(make_world: Callable[..., World]):
    world = make_world("postgresql", VISITS)
    target = customer_of(world, "s1")
    waiting = threading.Thread(target=lambda: service.create(world.ctx(), "visit", {"customer": target}))
    ctx = world.ctx()
    with ctx.writing() as writing:
        service.update(writing, "customer", target, {"owner": world.person("s3")}, ANY)
        waiting.start()
        waiting.join(0.7)
        assert waiting.is_alive(), "it must wait until it can know the owner"
    waiting.join(20)
    assert_carried(world)


def test_a_customer_handed_over_while_rows_are_made_takes_them_along(make_world: Callable[..., World]):
    world = make_world("postgresql", VISITS)
    target = customer_of(world, "s1")
    ctx = world.ctx()
    give = threading.Thread(target=lambda: service.update(world.ctx(), "customer", target, {"owner": world.person("s3")}, ANY))
    with ctx.writing() as writing:
        service.load(writing, "visit", [{"customer": target} for _ in range(3)])
        give.start()
        give.join(0.7)
        assert give.is_alive()
    give.join(20)
    assert query.get(world.ctx(), "customer", target)["owner"].id == world.person("s3")
    assert_carried(world)


# --- publishing ----------------------------------------------------------------------------------------------------------------------------------


def changed(ctx: Context, documents: dict[tuple[str, str], Any]) -> Plan:
    return plan_publish(ctx, ctx.workspace.bundle.replace(documents))


def some_visits(world: World) -> None:
    for login in ("s1", "s2", "s3", None):
        target = customer_of(world, login)
        service.create(world.ctx(), "visit", {"customer": target, "author": world.person("s1")})


def test_publishing_a_list_fills_what_its_rows_carry_and_says_so(make_world: Callable[..., World], database_kind: str):
    world = make_world(database_kind)
    some_visits(world)
    assert not world.workspace.entities["visit"].carried
    first = world.workspace.version
    plan = changed(world.ctx(), VISITS)
    assert {step.field for step in plan.schema.of("carry")} == CARRIED
    assert "「来访」随行保存「客户 · 归属」" in "".join(plan.sentences("zh"))
    publish(world.ctx(), plan)
    world.home.look(world.name)
    assert_carried(world)
    assert_seen(world)
    rollback(world.ctx(), first)
    world.home.look(world.name)
    assert not world.workspace.entities["visit"].carried
    for item in query.page(world.ctx(), Query("customer")).items:
        service.update(world.ctx(), "customer", item.id, {"owner": world.person("s2")}, ANY)
    publish(world.ctx(), changed(world.ctx(), VISITS))
    world.home.look(world.name)
    assert_carried(world)
    assert_seen(world)


def test_what_changes_while_a_version_is_prepared_is_carried_when_it_goes_live(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch):
    world = make_world("postgresql")
    some_visits(world)
    monkeypatch.setattr("engine.schema.plan.SLOW_ROWS", 1)
    done = publish(world.ctx(), changed(world.ctx(), VISITS), wait=False)
    assert done.state == "preparing"
    fresh = load_fresh(world)
    assert not fresh.entities["visit"].carried, "the running version must not read what nobody keeps yet"
    build = publishing._build_beside

    def meanwhile() -> None:
        service.update(world.ctx(), "customer", 1, {"owner": world.person("s3")}, ANY)
        service.create(world.ctx(), "visit", {"customer": 2})
        service.update(world.ctx(), "visit", 3, {"customer": 1}, ANY)

    monkeypatch.setattr(publishing, "_build_beside", lambda *words: (build(*words), meanwhile()))
    finish_preparing(world.home, world.name, done.number)
    world.home.look(world.name)
    assert_carried(world)
    assert_seen(world)


def load_fresh(world: World) -> Any:
    """The workspace as a process that starts now reads it."""
    database = world.workspace.database
    with database.read() as connection:
        return load_workspace(connection, world.home, database, world.home.look(world.name)[1], None)


def test_a_workspace_of_an_older_release_reads_over_the_link_until_it_is_published_again(world: World):
    some_visits(world)
    database = world.workspace.database
    with database.write() as connection:
        connection.execution_options(scoped=True)
        prefix = f'"{database.schema}".' if database.schema else ""
        for index in sa.inspect(connection).get_indexes("r_visit", schema=database.schema):
            if CARRIED & set(index["column_names"]):
                connection.exec_driver_sql(f'DROP INDEX {prefix}"{index["name"]}"')
        for key in CARRIED:
            connection.exec_driver_sql(f'ALTER TABLE {prefix}"r_visit" DROP COLUMN "{key}"')
        connection.execute(physical_column.delete().where(physical_column.c.field.in_(CARRIED)))
    fresh = load_fresh(world)
    assert not fresh.entities["visit"].carried
    for login in ("s1", "s2", "s3", "l1"):
        before = replace(world.ctx(login), workspace=fresh)
        assert len(query.page(before, Query("visit")).items) == {"s1": 4, "s2": 1, "s3": 1, "l1": 2}[login]
    service.create(replace(world.ctx(), workspace=fresh), "visit", {"customer": 1})
    ctx = replace(world.ctx(), workspace=fresh)
    publish(ctx, plan_publish(ctx, fresh.bundle))
    world.home.look(world.name)
    assert_carried(world)
    assert_seen(world)
