"""Section 3: a million rows: pages at any depth, searches as a consultant, publishing a field, six writers at once. The rows are made once per run, set by set."""

import argparse
import json
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import sqlalchemy as sa
from pypinyin import Style, lazy_pinyin

from engine.actors import enter_as, enter_person
from engine.context import Context
from engine.errors import Refusal
from engine.fields.values import Masked
from engine.publishing import plan_publish, publish
from engine.records import query, service
from engine.records.query import Query
from engine.records.values import seal_row
from metadata.bundle import Bundle
from tests.bench.data import customer, customers, phone
from tests.bench.report import Section, verdict
from tests.bench.requests import databases
from tests.bench.world import DEFINITIONS, WORKSPACE, World, fill, open_world

BASE, SPARE = 10_000, 10**8
VISITED = Query("customer", where="stage == 'visited'", sort=("expected_on", "id"), labels=False)
WRITERS, WRITING_SECONDS = 6, 5.0


def definitions() -> dict[tuple[str, str], Any]:
    """The bench's customer, searched by name and by an encrypted number as a preset would have it."""
    document = json.loads((DEFINITIONS / "entities" / "customer.json").read_text())
    document["fields"]["name"]["search"] = "name"
    document["fields"]["phone"].update({"search": "phone", "last4": True, "encrypted": True})
    return {("entity", "customer"): document}


def multiply(world: World, rows: int) -> None:
    """Copies of the first rows up to ``rows``, each with a number of its own; inside the database."""
    workspace = world.home.workspace(WORKSPACE)
    entity, dialect = workspace.entities["customer"], workspace.database.dialect
    item, table = entity.fields["phone"], entity.table
    sealed = [str(column.key) for column in (item.column, item.bi_column, item.bi4_column) if column is not None]
    other = [str(column.key) for column in table.c if column.key != "id" and column.key not in sealed]
    numbers = sa.table("bench_numbers", sa.column("n"), *(sa.column(name) for name in sealed))
    with workspace.database.write() as connection:
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE bench_numbers (n BIGINT PRIMARY KEY, {', '.join(f'{name} TEXT' for name in sealed)})")
        insert = sa.insert(numbers)
        for start in range(BASE, rows, BASE):
            given = []
            for number in range(start, start + BASE):
                cells = seal_row("customer", item, f"+86{phone(number)}", workspace.cipher)
                given.append({"n": number + 1, **{name: cells[name] for name in sealed}})
            connection.execute(insert, given)
            columns = [table.c[name] for name in other]
            source = (
                sa.select(table.c.id + start, *columns, *(numbers.c[name] for name in sealed))
                .join(numbers, numbers.c.n == table.c.id + start)
                .where(table.c.id <= BASE)
            )
            connection.execute(sa.insert(table).from_select(["id", *other, *sealed], source), execution_options={"scoped": True})
            if entity.search_table is not None:
                name = entity.search_table.name
                connection.exec_driver_sql(
                    f"INSERT INTO {name} (rowid, tokens) SELECT rowid + {start}, tokens FROM {name} WHERE rowid <= {BASE}", execution_options={"scoped": True}
                )
            connection.exec_driver_sql("DELETE FROM bench_numbers")
        if dialect == "postgresql":
            owner = f'"{workspace.database.schema}"."{table.name}"'
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{owner}', 'id'), {rows})", execution_options={"scoped": True})
    with workspace.database.write() as connection:
        connection.exec_driver_sql("ANALYZE")


@contextmanager
def noted() -> Iterator[list[tuple[str, Any]]]:
    """The statements that are run in the block."""
    found: list[tuple[str, Any]] = []

    def note(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            found.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def sql_time(ctx: Context, work: Callable[[], Any], times: int = 15) -> float:
    """Milliseconds the database takes for the statements of ``work``, answers fetched: the best of some runs of the same statements."""
    with noted() as statements:
        work()
    found = []
    with ctx.workspace.database.read() as connection:
        driver: Any = connection.connection.driver_connection
        for _ in range(times):
            begin = perf_counter()
            for statement, parameters in statements:
                cursor = driver.execute(statement, parameters)
                cursor.fetchall()
                cursor.close()
            found.append(perf_counter() - begin)
    return min(found) * 1000


def deep(ctx: Context, pages: int) -> str | None:
    """The cursor after so many pages of 200, or after the last but one."""
    cursor = None
    for _ in range(pages):
        found = query.page(ctx, Query("customer", where=VISITED.where, sort=VISITED.sort, limit=200, cursor=cursor, fields=("id",), labels=False))
        if found.next is None:
            break
        cursor = found.next
    return cursor


def searches(world: World) -> dict[str, str]:
    """What a consultant looks for, taken from a record that is theirs."""
    mine = next(
        (number, record) for number, record in enumerate(customers(BASE, world.members)) if record["owner"] == world.members[0] and len(record["name"]) == 3
    )
    name, number = mine[1]["name"], str(mine[1]["phone"])
    return {
        "two characters": name[:2],
        "pinyin initials": "".join(lazy_pinyin(name, style=Style.FIRST_LETTER)),
        "last four": number[-4:],
        "full number": number,
    }


def publishing(world: World) -> float:
    """Milliseconds of publishing one more field without an index: plan, tables, version, and the workspace as it is used next; the better of two."""
    found = []
    for name in ("extra_one", "extra_two"):
        ctx = enter_as(world.home, WORKSPACE, "operator")
        document = json.loads(json.dumps(ctx.workspace.bundle.documents["entity", "customer"]))
        document["fields"][name] = {"type": "text", "title": {"zh": "附加", "en": "Extra"}}
        begin = perf_counter()
        bundle: Bundle = ctx.workspace.bundle.replace({("entity", "customer"): document})
        publish(ctx, plan_publish(ctx, bundle))
        world.home.look(WORKSPACE)
        found.append(perf_counter() - begin)
    return min(found) * 1000


def writers(world: World) -> tuple[int, list[str]]:
    """How many records six threads made in some seconds, and what was refused them."""
    made, refused = [0] * WRITERS, []
    until = monotonic() + WRITING_SECONDS

    def write(at: int) -> None:
        ctx, chance, number = enter_person(world.home, WORKSPACE, f"m{at}"), random.Random(at), SPARE + at * 10**6
        while monotonic() < until:
            number += 1
            record = customer(chance, number, world.members)
            try:
                service.create(ctx, "customer", {**record, "owner": world.members[at]})
                made[at] += 1
            except Refusal as refusal:
                refused.append(str(refusal))

    threads = [threading.Thread(target=write, args=(at,)) for at in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made), refused


def measure_on(kind: str, rows: int, section: Section) -> None:
    """All figures of one database."""
    with tempfile.TemporaryDirectory() as folder, databases(kind, folder) as (url, _):
        world = open_world(f"{Path(folder)}/home", url, definitions())
        begin = perf_counter()
        fill(world, customers(BASE, world.members))
        multiply(world, rows)
        section.remarks.append(f"{kind}: {rows:,} rows were made in {perf_counter() - begin:.0f} s.")

        def row(what: str, figure: float, goal: float, unit: str = "ms of SQL") -> None:
            section.rows.append((f"{what}, {kind}", f"{figure:.2f} {unit}", f"≤ {goal:g} {unit}", verdict(figure, goal)))

        for who, login, pages in (("administrator", "a0", rows // 4000), ("consultant", "m0", 3)):
            ctx = enter_person(world.home, WORKSPACE, login)
            row(f"first page of 50, {who}", sql_time(ctx, lambda ctx=ctx: query.page(ctx, VISITED)), 1)
            cursor = deep(ctx, pages)
            asked = Query("customer", where=VISITED.where, sort=VISITED.sort, labels=False, cursor=cursor)
            row(f"page of 50 after {pages * 200:,} rows, {who}", sql_time(ctx, lambda ctx=ctx, asked=asked: query.page(ctx, asked)), 1)
        for what, text in searches(world).items():
            asked = Query("customer", search=text, fields=("id", "name", "phone", "owner"), labels=False, limit=20)
            found = query.page(ctx, asked).items
            if not found or any(record["owner"] != world.members[0] or not isinstance(record["phone"], Masked) for record in found):
                raise AssertionError(f"search by {what} ({text}): {len(found)} rows, or one that is hidden")
            row(f"search by {what}, consultant, masked phones", sql_time(ctx, lambda asked=asked: query.page(ctx, asked)), 2)
        if kind == "sqlite":
            made, refused = writers(world)
            locked = [text for text in refused if "lock" in text or "busy" in text]
            section.rows.append(
                (
                    f"six writers for {WRITING_SECONDS:.0f} s, {kind}",
                    f"{made:,} records, {len(locked)} locked, {len(refused)} refused",
                    "0 locked",
                    verdict(len(locked), 0),
                )
            )
        row("publishing a field without index", publishing(world), 100, "ms")
        world.home.close()


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    section = Section("million", f"{given.million:,} rows", ("what", "figure", "goal", "kept"))
    for kind in given.database:
        measure_on(kind, given.million, section)
    section.remarks.append("ms of SQL: the statements of the request run once more on a connection by themselves, rows fetched; the best of 15.")
    return section
