"""Section 3b: the preset's own lists at a million customers, as each role that gets them; and what handing over a customer costs the rows that hang on it."""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, perf_counter

from engine.access import grant
from engine.actors import enter_as, enter_person
from engine.context import Context
from engine.home import Home
from engine.records import query, service
from engine.records.query import Query
from engine.records.query_columns import HEAD, TAIL
from engine.records.record import ANY
from metadata.definitions import ListView
from tests.bench.data import phone
from tests.bench.million import sql_time
from tests.bench.report import Section, verdict
from tests.bench.requests import databases
from tests.bench.site import NOW, PEOPLE, SITE, build, open_site

GOAL = 1.0
#: The pages looked at: the first, the second, and the one after 1,000 rows more (or the last there is).
DEPTHS, STEP = (0, 1, 7), 200
SHOWN = ("consultant", "supervisor", "manager", "admin")
HANDED, AGAIN = (0, 60, 600), 15


def worst_page(ctx: Context, view: ListView) -> float:
    """Milliseconds of SQL of a list's slowest page, as the list asks it: its columns, rights and masks; labels and columns of linked records left out."""
    cursor, found = None, []
    known = {*grant(ctx, view.entity).readable, *HEAD, *TAIL}
    columns = [name for column in view.columns if (name := column.partition(".")[0]) in known]
    for depth in range(max(DEPTHS) + 1):
        looked = depth in DEPTHS
        fields = ("id", *columns) if looked else ("id",)
        asked = Query(view.entity, view.where, view.sort, tuple(dict.fromkeys(fields)), 50 if looked else STEP, cursor, labels=False)
        if looked:
            found.append(sql_time(ctx, lambda asked=asked: query.page(ctx, asked)))
        cursor = query.page(ctx, asked).next
        if cursor is None:
            break
    return max(found)


def lists_on(home: Home, kind: str, section: Section) -> None:
    """A row per list: the slowest page of each role."""
    for view in home.workspace(SITE).bundle.lists.values():
        by_role = {
            role: worst_page(enter_person(home, SITE, "c0" if role == "consultant" else login), view)
            for login, role in PEOPLE.items()
            if not view.audience or role in view.audience
        }
        if not by_role:
            continue  # nobody of those who ask here gets it
        others = [figure for role, figure in by_role.items() if role not in SHOWN]
        cells = [*(by_role.get(role) for role in SHOWN), max(others, default=None)]
        section.rows.append((f"{view.key}, {kind}", *("" if cell is None else f"{cell:.2f}" for cell in cells), verdict(max(by_role.values()), GOAL)))


def handing_over(home: Home, kind: str, section: Section) -> None:
    """What a hand-over costs with nothing hanging on the customer, and with much."""
    ctx = enter_as(home, SITE, "operator")
    people = [item.id for item in query.page(ctx, Query("person", where="has(roles, 'consultant')", limit=2, fields=("id",), labels=False)).items]
    told = []
    for many in HANDED:
        target = service.create(ctx, "customer", {"name": "张三", "phone": phone(4 * 10**8 + many), "owner": people[0]}).id
        row = {"customer": target, "author": people[0], "method": "wechat", "intent_change": "same", "content": "约了周末", "at": NOW.isoformat()}
        service.load(ctx, "follow_up", [row] * many, trusted=True)
        times = []
        for turn in range(AGAIN):
            begin = perf_counter()
            service.update(enter_as(home, SITE, "operator"), "customer", target, {"owner": people[(turn + 1) % 2]}, ANY)
            times.append((perf_counter() - begin) * 1000)
        told.append(f"{statistics.median(times):.1f} ms with {many}")
    section.remarks.append(f"{kind}: handing over a customer takes {', '.join(told)} follow-ups hanging on it (median of {AGAIN}, history and all).")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begin = monotonic()
    work()
    return monotonic() - begin


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    title = f"The preset's lists, {given.million:,} customers, milliseconds of SQL of the slowest page"
    section = Section("lists", title, ("list", *SHOWN, "slowest of other roles", f"≤ {GOAL:g} ms"))
    for kind in given.database:
        with tempfile.TemporaryDirectory() as folder, databases(kind, folder) as (url, _):
            home = open_site(f"{Path(folder)}/home", url)
            seconds = timed(lambda home=home: build(home, given.million))
            section.remarks.append(f"{kind}: {given.million:,} customers and what belongs to them were made in {seconds:.0f} s.")
            lists_on(home, kind, section)
            handing_over(home, kind, section)
            home.close()
    section.remarks.append(
        "Pages of 50: the first, the second and one after 1,050 rows, as consultant one of 200, as supervisor one of 20 teams; the best of 15 runs each."
    )
    return section
