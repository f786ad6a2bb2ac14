"""The records room in process: microseconds per get, list, search, create and update, and rows per second of loading. Ratios count, not figures.

``python -m tests.bench.bench_records [ROWS] [DATABASE_URL]``; without a URL on SQLite. Run alone: other work on the machine shows at once.
"""

import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from engine.actors import enter_person, system_actor
from engine.builtin import DOCUMENTS
from engine.context import Cause, Context
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import query, service
from engine.records.jsonshape import record_json
from engine.records.query import Query
from engine.registry import default_registry
from engine.settings import Settings
from engine.workspace_load import load_workspace
from metadata.bundle import Bundle

DEFINITIONS = Path(__file__).with_name("definitions")
COLUMNS = ("name", "phone", "grade", "stage", "source", "budget_min", "owner", "expected_on", "next_at", "visits")


def median(work: Callable[[], Any], times: int = 200) -> float:
    """Microseconds of one run."""
    found = []
    for _ in range(times):
        begin = perf_counter()
        work()
        found.append(perf_counter() - begin)
    return statistics.median(found) * 1e6


def row(chance: random.Random, number: int, owners: list[int]) -> dict[str, Any]:
    """The raw input of one of the table's records."""
    return {
        "name": chance.choice("张王李赵陈") + chance.choice("伟芳娜敏静") + chance.choice("伟芳娜敏静丽强"),
        "phone": f"139{number:08}",
        "gender": chance.choice("mf"),
        "grade": chance.choice("abcd"),
        "stage": chance.choice(["new", "contacted", "visited", "reserved"]),
        "source": chance.choice(["natural", "call", "online"]),
        "area": "城东",
        "address": "某路 1 号",
        "remark": "喜欢南向",
        "budget_min": chance.randint(1, 10**8),
        "budget_max": 2 * 10**8,
        "birth": "1990-01-02",
        "expected_on": f"2026-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}",
        "next_at": "2026-03-02T10:00:00+08:00",
        "owner": chance.choice(owners),
        "focus": ["school", "price"],
        "vip": chance.random() < 0.1,
    }


def world(folder: str, url: str) -> tuple[Home, Context, list[int]]:
    """A workspace of the bench's definitions with an administrator, and two hundred owners of whom m0 is one."""
    env = {"TANGRAM_HOME": folder, "TANGRAM_SECRET_KEY": "k" * 40, **({"TANGRAM_DATABASE_URL": url} if url else {})}
    home = Home.open(Settings.from_environment(env), default_registry(), load_workspace, migrate=True)
    bundle, problems = Bundle.read_folder(DEFINITIONS, DOCUMENTS)
    assert not problems, problems
    create_workspace(home, "bench", bundle)
    workspace, state = home.look("bench")
    ctx = Context(home=home, workspace=workspace, actor=system_actor("operator"), now=state.now, cause=Cause("system", "bench"))
    service.create(ctx, "person", {"name": "admin", "login": "admin", "roles": ["admin"]})
    owners = [service.create(ctx, "person", {"name": f"人{number}", "login": f"m{number}", "roles": ["member"]}).id for number in range(200)]
    return home, ctx, owners


def measure(home: Home, owners: list[int], rows: int) -> dict[str, float]:
    """All figures by name."""
    member, admin = enter_person(home, "bench", "m0"), enter_person(home, "bench", "admin")
    chance, numbers = random.Random(2), iter(range(rows, 10**8))
    asked = Query("customer", where="stage == 'visited'", sort=("expected_on", "id"), fields=COLUMNS)
    some = [item.id for item in query.page(admin, Query("customer", limit=200, fields=("id",))).items]
    versions = dict.fromkeys(some, 1)
    entity = member.workspace.entities["customer"]

    def update() -> None:
        one = chance.choice(some)
        versions[one] = service.update(
            admin, "customer", one, {"remark": f"备注 {chance.random()}", "budget_min": chance.randint(1, 10**8)}, versions[one]
        ).version

    def shaped() -> None:
        for item in query.page(member, asked).items:
            record_json(member.workspace, entity, item)

    return {
        "get (us)": median(lambda: query.get(admin, "customer", chance.choice(some))),
        "list 50, administrator (us)": median(lambda: query.page(admin, asked)),
        "list 50, member (us)": median(lambda: query.page(member, asked)),
        "list 50, member, as JSON values (us)": median(shaped),
        "search two characters (us)": median(lambda: query.page(admin, Query("customer", search="张伟", fields=COLUMNS)), 50),
        "create (us)": median(lambda: service.create(admin, "customer", row(chance, next(numbers), owners))),
        "update (us)": median(update),
    }


def main() -> None:
    """Load, measure, print."""
    rows, url = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as folder:
        home, ctx, owners = world(folder, url)
        chance = random.Random(1)
        given = [row(chance, number, owners) for number in range(rows)]
        begin = perf_counter()
        for start in range(0, rows, 5000):
            service.load(ctx, "customer", given[start : start + 5000], trusted=True)
        print(f"{'load (rows/s)':40}{rows / (perf_counter() - begin):10.0f}")
        for name, figure in measure(home, owners, rows).items():
            print(f"{name:40}{figure:10.0f}")
        home.close()


if __name__ == "__main__":
    main()
