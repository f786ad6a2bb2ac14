"""Every way to read gives the same rows: compared with a policy written down independently, over plain Python rows."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from engine.context import Context
from engine.errors import NotFound, Refusal
from engine.fields.values import Masked
from engine.records import history, query, service
from engine.records.query import Query
from tests.engine.records.conftest import World

LOGINS = ("s1", "s2", "s3", "l1", "a1")
FIRST_CHARACTERS = "张王李"


class Policy:
    """The oracle: what each person may see, written without a line of the engine's access code."""

    def __init__(self, world: World) -> None:
        ctx = world.ctx()
        self.people = {login: world.person(login) for login in LOGINS}
        teams = {item.id: item["team"].id for item in query.page(ctx, Query("person", limit=200)).items if item["team"]}
        self.team_of = {login: teams[self.people[login]] for login in LOGINS}
        self.customers = [dict(item) for item in query.page(ctx, Query("customer", limit=200)).items]
        self.visits = [dict(item) for item in query.page(ctx, Query("visit", limit=200)).items]
        self.team_of_person = teams

    def owner(self, row: dict[str, Any]) -> int | None:
        return row["owner"].id if row["owner"] else None

    def sees_customer(self, login: str, row: dict[str, Any]) -> bool:
        owner, me = self.owner(row), self.people[login]
        if login == "a1":
            return True
        if login == "l1":
            return owner is not None and self.team_of_person.get(owner) == self.team_of[login]
        return owner is None or owner == me

    def sees_name(self, login: str, row: dict[str, Any]) -> bool:
        return self.sees_customer(login, row) and (login in ("a1", "l1") or self.owner(row) == self.people[login])

    def sees_visit(self, login: str, row: dict[str, Any]) -> bool:
        customer = next((item for item in self.customers if item["id"] == row["customer"].id), None)
        owner = self.owner(customer) if customer else None
        if login == "a1":
            return True
        if login == "l1":
            return owner is not None and self.team_of_person.get(owner) == self.team_of[login]
        return owner == self.people[login] or (row["author"] is not None and row["author"].id == self.people[login])


def fill(world: World, seed: int) -> None:
    chance = random.Random(seed)
    people = [world.person(login) for login in ("s1", "s2", "s3")]
    made = []
    for number in range(25):
        made.append(
            service.create(
                world.ctx(),
                "customer",
                {
                    "name": chance.choice(FIRST_CHARACTERS) + chance.choice(["三", "四丰", "五"]),
                    "phone": f"1390000{number:04}",
                    "grade": chance.choice("ABC"),
                    "owner": chance.choice([None, *people]),
                    "secret": chance.choice(["x", "y"]),
                    "budget": chance.choice([None, 1, 2]),
                },
            ).id
        )
    for _ in range(30):
        service.create(world.ctx(), "visit", {"customer": chance.choice(made), "author": chance.choice([None, *people]), "score": chance.randint(0, 9)})
    for one in chance.sample(made, 3):
        for visit in query.page(world.ctx(), Query("visit", equals={"customer": str(one)})).items:
            service.delete(world.ctx(), "visit", visit.id, service.ANY)
        service.delete(world.ctx(), "customer", one, service.ANY)


def listed(world: World, login: str, **asked: Any) -> set[int]:
    return {item.id for item in query.page(world.ctx(login), Query(**{"entity": "customer", "limit": 200, **asked})).items}


def paged(world: World, login: str, entity: str) -> set[int]:
    found: set[int] = set()
    cursor = None
    while True:
        page = query.page(world.ctx(login), Query(entity, limit=4, cursor=cursor))
        found |= {item.id for item in page.items}
        cursor = page.next
        if cursor is None:
            return found


def gotten(world: World, login: str, entity: str, ids: list[int], read: Callable[..., Any]) -> set[int]:
    found = set()
    for one in ids:
        try:
            read(world.ctx(login), entity, one)
            found.add(one)
        except NotFound:
            pass
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_path_gives_the_same_rows_as_the_written_policy(make_world: Callable[..., World], kind: str, seed: int):
    world = make_world(kind)
    fill(world, seed)
    policy = Policy(world)
    every = list(range(1, 40))
    for login in LOGINS:
        ctx = world.ctx(login)
        expected = {row["id"] for row in policy.customers if policy.sees_customer(login, row)}
        paths = {
            "list": listed(world, login),
            "pages": paged(world, login, "customer"),
            "by budget": listed(world, login, sort=("-budget",)),
            "get": gotten(world, login, "customer", every, query.get),
            "timeline": gotten(world, login, "customer", every, history.timeline),
            "filter": listed(world, login, where="grade == 'A'") | listed(world, login, where="not (grade == 'A')"),
            "exact": listed(world, login, equals={"grade": "A"}) | listed(world, login, equals={"grade": ("B", "C")}),
            "phones": {one for number in range(25) for one in listed(world, login, equals={"phone": f"1390000{number:04}"})},
            "last four": {one for number in range(25) for one in listed(world, login, search=f"{number:04}")},
        }
        assert all(found == expected for found in paths.values()), (login, {name: found ^ expected for name, found in paths.items()})
        assert query.count(ctx, "customer") == len(expected)
        assert query.page(ctx, Query("customer", count="exact")).count == len(expected)
        named = {row["id"] for row in policy.customers if policy.sees_name(login, row)}
        assert {one for character in FIRST_CHARACTERS for one in listed(world, login, search=character)} == named
        assert {one for character in FIRST_CHARACTERS for one, _ in query.lookup(ctx, "customer", character, limit=200)} == named
        assert {one for character in FIRST_CHARACTERS for one in listed(world, login, where=f"startswith(name, '{character}')")} == named
        assert {item.id for item in query.page(ctx, Query("customer", limit=200)).items if not isinstance(item["name"], Masked)} == named
        visits = {row["id"] for row in policy.visits if policy.sees_visit(login, row)}
        assert paged(world, login, "visit") == visits == gotten(world, login, "visit", every, query.get)


def forbidden(ctx: Context, one: int) -> list[Callable[[], Any]]:
    return [
        lambda: service.update(ctx, "customer", one, {"secret": "z"}, service.ANY),
        lambda: service.delete(ctx, "customer", one, 99),
        lambda: service.create(ctx, "visit", {"customer": one, "author": 1, "nonsense": 1}),
    ]


def test_a_forbidden_write_changes_nothing(make_world: Callable[..., World]):
    world = make_world("sqlite")
    fill(world, 3)
    policy = Policy(world)
    before = repr((policy.customers, policy.visits))
    for login in ("s1", "l1"):
        ctx = world.ctx(login)
        for row in policy.customers:
            for attempt in forbidden(ctx, row["id"]):
                with pytest.raises(Refusal):
                    attempt()
    after = Policy(world)
    assert repr((after.customers, after.visits)) == before
