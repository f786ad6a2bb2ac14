"""Section 1: the generated product against the hand-written twin, two real server processes on the same data, taking turns."""

import argparse
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import orjson
import psycopg

from tests.bench import twin
from tests.bench.data import customer, customers
from tests.bench.load import Call, Cost, Server, serving
from tests.bench.report import Section, verdict
from tests.bench.world import ADMINS, MEMBERS, WORKSPACE, World, fill, open_world
from tests.postgres import postgres_server

FIELDS = ",".join(("id", "version", *twin.FIELDS))
GOAL, MEMBER_GOAL = 1.0, 1.3


@dataclass(slots=True)
class Side:
    """One of the two servers and what each kind of request is to it."""

    server: Server
    calls: dict[str, Call]
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    def cpu(self, kind: str) -> float:
        return middle([cost.cpu for cost in self.costs[kind]])

    def time(self, kind: str) -> float:
        return middle([cost.median for cost in self.costs[kind]])


@dataclass(frozen=True, slots=True)
class People:
    """Tokens and sessions of the callers, who take turns, and which records each member owns."""

    admins: list[str]
    members: list[str]
    sessions: list[str]
    ids: tuple[int, ...]
    owned: dict[int, list[int]]

    def record(self, number: int) -> int:
        """A record of the member whose turn it is; another one each time round."""
        own = self.owned[self.ids[number % MEMBERS]]
        return own[number // MEMBERS % len(own)]


def middle(figures: list[float]) -> float:
    """The mean of the middle half of a side's turns. The sides take turns, so the machine's own speed, which changes all the while, meets both alike."""
    cut = len(figures) // 4
    return statistics.mean(sorted(figures)[cut : len(figures) - cut])


def product_calls(people: People, owners: tuple[int, ...]) -> dict[str, Call]:
    """What the product is asked."""
    api, pages = f"/api/{WORKSPACE}/records/customer", f"/w/{WORKSPACE}"
    listed = f"{api}?stage=visited&sort=expected_on,id&limit=50&fields={FIELDS}"
    member = _bearer(people.members)

    def session(number: int) -> dict[str, str]:
        return {"cookie": f"tangram={people.sessions[number % MEMBERS]}", "accept-language": "zh-CN"}

    return {
        "read one": Call("GET", lambda number: f"{api}/{people.record(number)}?fields={FIELDS}", member),
        "list of 50, administrator": Call("GET", lambda _: listed, _bearer(people.admins)),
        "list of 50, member": Call("GET", lambda _: listed, member),
        "create": Call("POST", lambda _: api, member, _create(owners), 201),
        "update": Call("PATCH", lambda number: f"{api}/{people.record(number)}", member, *_update()),
        "HTML list": Call("GET", lambda _: f"{pages}/l/visited", session),
        "HTML form": Call("GET", lambda _: f"{pages}/r/customer/new", session),
    }


def twin_calls(people: People, owners: tuple[int, ...]) -> dict[str, Call]:
    """What the twin is asked for the same."""
    member, listed = _bearer(people.members), "/api/customers?stage=visited&limit=50"

    def session(number: int) -> dict[str, str]:
        return {"cookie": f"session={people.members[number % MEMBERS]}"}

    return {
        "read one": Call("GET", lambda number: f"/api/customers/{people.record(number)}", member),
        "list of 50, administrator": Call("GET", lambda _: listed, _bearer(people.admins)),
        "list of 50, member": Call("GET", lambda _: listed, member),
        "create": Call("POST", lambda _: "/api/customers", member, _create(owners), 201),
        "update": Call("PATCH", lambda number: f"/api/customers/{people.record(number)}", member, *_update()),
        "HTML list": Call("GET", lambda _: "/customers", session),
        "HTML form": Call("GET", lambda _: "/customers/new", session),
    }


def _bearer(tokens: list[str]) -> Callable[[int], dict[str, str]]:
    return lambda number: {"authorization": f"Bearer {tokens[number % len(tokens)]}"}


def _create(owners: tuple[int, ...]) -> Callable[[int], bytes]:
    """A full record with a number nobody has; its owner is its maker by default."""
    chance, fresh = random.Random(3), count(10**7)

    def body(_: int) -> bytes:
        record = customer(chance, next(fresh), owners)
        del record["owner"]
        return orjson.dumps({key: value for key, value in record.items() if value is not None})

    return body


def _update() -> tuple[Callable[[int], bytes], int, Callable[[int, bytes], None]]:
    """Three fields of a record, on the version it has by now."""
    versions: dict[int, int] = {}

    def body(number: int) -> bytes:
        return orjson.dumps({"remark": f"第 {number} 次联系", "budget_min": 10**8 + number, "grade": "abcd"[number % 4], "version": versions.get(number, 1)})

    def then(number: int, answer: bytes) -> None:
        versions[number] = orjson.loads(answer)["version"]

    return body, 200, then


@contextmanager
def databases(kind: str, folder: str) -> Iterator[tuple[str, str]]:
    """URLs for the product ('' = embedded) and for the twin."""
    if kind == "sqlite":
        path = Path(folder) / "twin.db"
        sqlite3.connect(path).close()
        yield "", f"sqlite:///{path}"
        return
    with postgres_server() as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            for name in ("product", "twin"):
                connection.execute(f"DROP DATABASE IF EXISTS {name}_bench")
                connection.execute(f"CREATE DATABASE {name}_bench")
        yield tuple(url.replace("@/postgres", f"@/{name}_bench") for name in ("product", "twin"))


def prepare(world: World, twin_url: str, rows: int) -> People:
    """The same rows in both databases; the twin knows the same people by the same tokens."""
    owned: dict[int, list[int]] = {}
    for number, record in enumerate(customers(rows, world.members)):
        owned.setdefault(record["owner"], []).append(number + 1)
    fill(world, customers(rows, world.members))
    admins, members = world.tokens("a", ADMINS), world.tokens("m", MEMBERS)
    people = [
        {"id": key, "name": f"{role}{key}", "role": role, "team": None} for role, keys in (("admin", world.admins), ("member", world.members)) for key in keys
    ]
    bearers = dict(zip((*admins, *members), (*world.admins, *world.members), strict=True))
    twin.prepare(twin_url, list(customers(rows, world.members)), people, bearers)
    return People(admins, members, world.sessions("m", MEMBERS), world.members, owned)


def compare(sides: tuple[Side, Side], rounds: int, requests: int, only: str) -> list[str]:
    """Both sides answer the same requests in turns; gives the kinds measured."""
    kinds = [kind for kind in sides[0].calls if only in kind]
    for kind in kinds:
        for side in sides:
            side.server.measure(side.calls[kind], range(MEMBERS))
    for turn in range(rounds):
        numbers = range(MEMBERS + turn * requests, MEMBERS + (turn + 1) * requests)
        for kind in kinds:
            for side in sides if turn % 2 else sides[::-1]:
                side.costs.setdefault(kind, []).append(side.server.measure(side.calls[kind], numbers))
    return kinds


def measure_on(kind: str, given: argparse.Namespace, section: Section) -> None:
    """All requests on one database."""
    with tempfile.TemporaryDirectory() as folder, databases(kind, folder) as (url, twin_url):
        world = open_world(f"{folder}/home", url)
        people = prepare(world, twin_url, given.rows)
        world.home.close()
        with ExitStack() as stack:
            product = Side(
                stack.enter_context(serving(lambda port: ["-m", "renderer.cli", "serve", "--port", str(port)], "/healthz", dict(world.environment))),
                product_calls(people, world.members),
            )
            other = Side(
                stack.enter_context(serving(lambda port: ["-m", "tests.bench.twin", twin_url, str(port)], "/api/customers/0")),
                twin_calls(people, world.members),
            )
            kinds = compare((product, other), given.rounds, given.requests, given.only)
            for name in kinds:
                found = product.cpu(name) / other.cpu(name)
                section.rows.append(
                    (
                        f"{name}, {kind}",
                        f"{product.cpu(name):.0f}",
                        f"{other.cpu(name):.0f}",
                        f"{found:.2f}",
                        f"{product.time(name) / 1000:.2f}",
                        f"{other.time(name) / 1000:.2f}",
                        f"≤ {GOAL:.1f}",
                        verdict(found, GOAL),
                    )
                )
            if not given.only:
                _extremes(kind, product, other, section)


def _extremes(kind: str, product: Side, other: Side, section: Section) -> None:
    """What the list costs a member compared with an administrator, and how much memory the server holds in the end."""
    member, admin = "list of 50, member", "list of 50, administrator"
    found = product.cpu(member) / product.cpu(admin)
    section.rows.append(
        (
            f"member's list / administrator's, {kind}",
            f"{product.cpu(member):.0f}",
            f"{product.cpu(admin):.0f}",
            f"{found:.2f}",
            f"{product.time(member) / 1000:.2f}",
            f"{product.time(admin) / 1000:.2f}",
            f"≤ {MEMBER_GOAL}",
            verdict(found, MEMBER_GOAL),
        )
    )
    memory, twins = product.server.memory() / 2**20, other.server.memory() / 2**20
    section.rows.append(
        (f"resident memory afterwards (MB), {kind}", f"{memory:.0f}", f"{twins:.0f}", f"{memory / twins:.2f}", "", "", "< 150 MB", verdict(memory, 150))
    )


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    section = Section(
        "requests",
        f"Generated against hand-written, {given.rows:,} rows, 25 fields",
        ("request", "product, CPU µs", "twin, CPU µs", "ratio", "product, ms", "twin, ms", "goal", "kept"),
    )
    for kind in given.database:
        measure_on(kind, given, section)
    return section
