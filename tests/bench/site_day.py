"""Section 7: a day of a sales site at scale: a visitor registered over HTTP, the pages people live on, and the night in which protection ends."""

import argparse
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter

import orjson
import sqlalchemy as sa

from engine import accounts, api_tokens
from engine.actors import enter_as, enter_person
from engine.home import Home
from engine.records import service
from engine.records.query import Query, count, page
from engine.records.record import Record
from engine.system_tables_rules import run
from tests.bench.data import name, phone
from tests.bench.large import LARGE, Large, go_on, large_site, tomorrow
from tests.bench.load import Call, Server, serving
from tests.bench.report import Section, verdict

#: Milliseconds of the 95th percentile, and seconds of the night.
REGISTERING, CUSTOMER, LISTS, NIGHT = 60, 80, 100, 10
DUE = 1_050
DESK, CONSULTANT, MANAGER = "tangning", "lijing", "linxiao"
#: A row of the table: what people call it, the list, and whose.
PAGES = (
    ("my customers", "my_customers", CONSULTANT),
    ("public pool", "customers_pool", CONSULTANT),
    ("kanban board", "customers_board", MANAGER),
    ("protection board", "protection_board", MANAGER),
    ("control board", "units_board", MANAGER),
)
#: Uncounted requests first: each connection to PostgreSQL prepares a statement when it has sent it five times.
WARM, REQUESTS = 50, 100
AT_ONCE = 100


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    title = f"A day of the preset's site at scale {given.scale}"
    section = Section("site", title, ("what", "database", "median", "p95", "CPU of the server", "goal", "kept"))
    for kind in given.database:
        with large_site(kind, given.scale, given.folder) as large:
            _sizes(large, kind, section)
            _over_http(large, kind, section)
            _night(large, kind, section)
    section.remarks.append(
        f"{REQUESTS} requests of a kind after {WARM} uncounted ones, one after another on one connection, each from the client's first byte to the answer's last; a visitor is new each time, and the answer "
        "comes when verdict, turn, spell, protection, visit and SOP tasks are committed. The server has its worker inside."
    )
    return section


def _sizes(large: Large, kind: str, section: Section) -> None:
    """How large the site is; counted where nothing ends a long statement, since a kept site's file is read from the disc for the first time."""
    workspace = large.home.workspace(LARGE)
    sizes = (("customer", "customers"), ("follow_up", "follow-ups"), ("visit", "visits"), ("task", "tasks"), ("unit", "units"))
    with workspace.database.snapshot(long=True) as connection:

        def many(table: sa.Table) -> int:
            standing = sa.select(sa.func.count()).select_from(table).where(table.c.deleted_at.is_(None))
            return connection.execute(standing.execution_options(scoped=True)).scalar_one()

        told = ", ".join(f"{many(workspace.entities[entity].table):,} {words}" for entity, words in sizes)
    section.remarks.append(f"{kind}: {told}; made in {large.seconds:.0f} s.")


# --- over HTTP -----------------------------------------------------------------------------------------------------------------------------------


def _over_http(large: Large, kind: str, section: Section) -> None:
    calls = _calls(large.home)
    with serving(lambda port: ["-m", "renderer.cli", "serve", "--port", str(port)], "/healthz", dict(large.environment), 180) as server:
        for what, (call, goal) in calls.items():
            _row(section, server, what, kind, call, goal)


def _row(section: Section, server: Server, what: str, kind: str, call: Call, goal: float) -> None:
    cost = server.measure(call, range(REQUESTS + WARM), WARM)
    median, slow = cost.median / 1000, cost.p95 / 1000
    section.rows.append((what, kind, f"{median:.1f} ms", f"{slow:.1f} ms", f"{cost.cpu / 1000:.1f} ms", f"p95 < {goal} ms", verdict(slow, goal)))


def _calls(home: Home) -> dict[str, tuple[Call, float]]:
    desk = f"Bearer {api_tokens.create_token(home, LARGE, DESK)}"
    cookies = {login: f"tangram={accounts.start_session(home, accounts.ensure_account(home, login, login).id)}" for login in (CONSULTANT, MANAGER)}
    mine = [
        item.id for item in page(enter_person(home, LARGE, CONSULTANT), Query("customer", "owner == me", sort=("-follow_ups",), fields=(), limit=100)).items
    ]
    calls = {
        "registering a visitor": (
            Call("POST", lambda _: f"/api/{LARGE}/records/touch", lambda _: {"authorization": desk}, _visitor(home), 201, _judged),
            REGISTERING,
        ),
        "a customer's page": (_get(lambda number: f"/w/{LARGE}/r/customer/{mine[number % len(mine)]}", cookies[CONSULTANT]), CUSTOMER),
    }
    for what, view, login in PAGES:
        calls[what] = (_get(lambda _, view=view: f"/w/{LARGE}/l/{view}", cookies[login]), LISTS)
    return calls


def _get(path: Callable[[int], str], cookie: str) -> Call:
    return Call("GET", path, lambda _: {"cookie": cookie})


def _visitor(home: Home) -> Callable[[int], bytes]:
    """Visitors with numbers nobody has yet: a kept site has those of earlier runs."""
    first = 5 * 10**8 + count(enter_as(home, LARGE, "operator"), "touch")
    chance = random.Random(first)
    return lambda number: orjson.dumps({"kind": "visit", "name": name(chance), "phone": phone(first + number), "source": "natural"})


def _judged(number: int, answer: bytes) -> None:
    touch = orjson.loads(answer)
    if touch["row"] != 14 or touch["owner"] is None:
        raise AssertionError(f"visitor {number} was not judged as new, or has nobody: {touch}")


# --- the night -----------------------------------------------------------------------------------------------------------------------------------


def _night(large: Large, kind: str, section: Section) -> None:
    """Protection of DUE customers ends at the next midnight: all of them are in the pool when what falls due then has run."""
    home = large.home
    midnight = tomorrow(enter_as(home, LARGE, "operator").now)
    go_on(home, midnight - timedelta(minutes=1))
    _let_expire(home, midnight)
    due, last = _due(home), _last_run(home)
    begin = perf_counter()
    go_on(home, midnight)
    seconds = perf_counter() - begin
    pooled = {item.id for item in _all(home, "pool_state == 'pool' and pool_since == now()")}
    missed = len(due - pooled)
    section.rows.append(
        (
            "nightly release",
            kind,
            f"{len(due) - missed:,} of {len(due):,} in {seconds:.1f} s",
            "",
            "",
            f"all of {DUE:,} in {NIGHT} s",
            verdict(float("inf") if missed else seconds, NIGHT),
        )
    )
    section.remarks.append(f"{kind}: what ran at that midnight, all of it within the time told: {_ran_since(home, last)}.")


def _let_expire(home: Home, midnight: datetime) -> None:
    """As many more customers as DUE wants, of those who would be released if their protection ended."""
    due = _due(home)
    some = [item for item in _all(home, _releasable(home)) if item.id not in due][: max(0, DUE - len(due))]
    for start in range(0, len(some), AT_ONCE):
        rows = [{"id": item.id, "version": item.version, "protect_until": midnight.isoformat()} for item in some[start : start + AT_ONCE]]
        refused = [result for result in service.bulk(enter_as(home, LARGE, "operator"), "customer", rows) if result.refused]
        if refused:
            raise RuntimeError(f"{len(refused)} customers keep their protection: {refused[0]}")


def _due(home: Home) -> set[int]:
    """The customers who will be released at the end of this day."""
    end = "end_of_day_after(now(), 0)"
    return {item.id for item in _all(home, f"{_releasable(home)} and (protect_until <= {end} or idle_release_at <= {end})")}


def _releasable(home: Home) -> str:
    """The condition of the preset's own release."""
    return f"({home.workspace(LARGE).bundle.documents['rule', 'release_expired']['if']})"


def _all(home: Home, where: str) -> list[Record]:
    return page(enter_as(home, LARGE, "operator"), Query("customer", where, sort=("id",), fields=(), whole=True, limit=5_000, labels=False)).items


def _last_run(home: Home) -> int:
    with home.database_of(LARGE).read() as connection:
        return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(run.c.id), 0))).scalar_one())


def _ran_since(home: Home, last: int) -> str:
    """How often which rule was set off by the clock."""
    number = sa.func.count().label("number")
    asked = sa.select(run.c.rule, number).where(run.c.id > last, run.c.trigger.in_(("due", "cron"))).group_by(run.c.rule).order_by(number.desc())
    with home.database_of(LARGE).read() as connection:
        return ", ".join(f"{rule} {times:,}" for rule, times in connection.execute(asked))
