"""Section 4: a file of 25 columns, each straight into a field, through the import as people use it: look at it, run it, every row reported."""

import argparse
import csv
import random
import resource
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time

from openpyxl import Workbook

from engine.actors import enter_person
from engine.exchange import batches
from engine.fields.base import accepted
from renderer.serving import calm_collector
from tests.bench.data import customer
from tests.bench.report import Section, verdict
from tests.bench.requests import databases
from tests.bench.world import WORKSPACE, World, open_world

ROWS = {"csv": 50_000, "xlsx": 15_000}
GOALS = {"csv": 15_000, "xlsx": 3_000}
LABELS = {"gender": {"m": "男", "f": "女"}, "grade": {code: code.upper() for code in "abcd"}}


def sheet(world: World, rows: int, first: int) -> list[list[str]]:
    """Header and rows as a site keeps them: titles of options, yuan, names of people, local times."""
    entity = world.ctx.workspace.entities["customer"]
    chance, scope, members = (
        random.Random(9),
        world.ctx.workspace.scope,
        dict(zip(world.members, (f"顾问{number}" for number in range(len(world.members))), strict=True)),
    )
    table = [[str(item.definition.title["zh"]) for item in entity.fields.values()]]
    for number in range(first, first + rows):
        record = customer(chance, number, world.members)
        cells = []
        for key, item in entity.fields.items():
            value = record[key]
            if value is None:
                cells.append("")
            elif key in ("owner", "helper"):
                cells.append(members[value])
            elif key == "next_at":
                cells.append(str(value)[:16].replace("T", " "))
            elif item.definition.type == "money":
                cells.append(str(value // 100))
            else:
                cells.append(item.type.show(accepted(item.reader, value), item.value, scope.of("customer"), "zh") if item.reader else "")
        table.append(cells)
    return table


def write(table: Sequence[Sequence[str]], path: Path, kind: str) -> None:
    """The table as a file."""
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows(table)
        return
    book = Workbook(write_only=True)
    page = book.create_sheet()
    for row in table:
        page.append(list(row))
    book.save(path)


@contextmanager
def _spent() -> Iterator[dict[str, float]]:
    """Seconds by the clock, and processor seconds of this process and of its reading child."""
    found: dict[str, float] = {}
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin, used = perf_counter(), process_time()
    yield found
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.update(clock=perf_counter() - begin, own=process_time() - used, child=after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime)


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    section = Section("import", "Import of 25 columns, end to end", ("file", "rows", "rows/s", "processor s here", "in the reading child", "goal", "kept"))
    for kind in given.database:
        with tempfile.TemporaryDirectory() as folder, databases(kind, folder) as (url, _):
            world = open_world(f"{folder}/home", url)
            ctx = enter_person(world.home, WORKSPACE, "a0")
            calm_collector()  # as a server does
            for number, (ending, rows) in enumerate(ROWS.items()):
                rows = min(rows, given.import_rows)
                path = Path(folder) / f"customers.{ending}"
                write(sheet(world, rows, number * 10**6), path, ending)
                with _spent() as spent:
                    batch = batches.begin(ctx, "customer", path, path.name)
                    batch = batches.run(ctx, batch.id)
                assert batch.counts["created"] == rows, (batch.counts, batches.report(ctx, batch.id, outcome="said").rows[:3])
                rate = rows / spent["clock"]
                section.rows.append(
                    (
                        f"{ending}, {kind}",
                        f"{rows:,}",
                        f"{rate:,.0f}",
                        f"{spent['own']:.1f}",
                        f"{spent['child']:.1f}",
                        f"≥ {GOALS[ending]:,}",
                        verdict(rate, GOALS[ending], most=False),
                    )
                )
            world.home.close()
    return section
