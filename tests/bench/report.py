"""The figures of a run: printed as tables, and kept in docs/benchmarks.md, where each section says when and on what it was measured."""

import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `python -m tests.bench`; every number was measured in the run its section names, none is carried over or estimated.

```
make bench                                   # every section; about half an hour, most of it making a million customers
.venv/bin/python -m tests.bench requests     # one section: requests costs import start million lists rules site
.venv/bin/python -m tests.bench requests --rows 20000 --rounds 2 --keep    # a quick look; --keep leaves this page alone
.venv/bin/python -m tests.bench site --folder /var/tmp/site                # the preset's site at scale L, made once and kept; --scale S for a quick look
```

CPU is the server process's own processor time as the operating system accounts it, so other work on the machine disturbs it less than the clock (a
busy second core still made it up to twice as much); ratios come from rounds in which the two servers take turns. Times, and rates made from them, grow with whatever else the machine does: the load stands beside each section.

Where a goal is not kept, this is why, as far as profiles tell:

- **Requests.** The twin opens one connection per request and asks it three things, on its prebuilt statements through SQLAlchemy and FastAPI. The product asks who is there
  (state of the workspace, token, account), reads under rights compiled from definitions, and on a save reads the state once more inside the transaction, so that a right taken
  away meanwhile counts. Its statements go to the driver as they were compiled once, its routes are found at the edge, its rows become JSON directly. What is left above the
  twin is the second connection taken for who asks, and on PostgreSQL one more round trip for it.
- **Writes.** Product and twin send the same few statements. The product asks twice who is there: once before it takes a connection to write (a stranger must
  not hold SQLite's only writer), once inside the transaction; on SQLite the first look follows every commit, since a commit may have taken a right away. What
  is left beside that is reading, judging and showing a row under definitions and grants, step by step where the twin has it written out.
- **HTML.** The twin's pages show what the product's show: menus, search, tabs, kept views, order, bulk bar, capped count, bell, person's menu, a token per page, under the same headers
  and pace; in one language, without conditions, and without the filters behind its controls. Both draw rows by closures. The product draws shell, controls and fresh forms once and
  fills them; what is left above the twin is binding: who asks, kept views, the bell, defaults and conditions of the form, each a look-up the twin has written into its template.
- **Import.** Cells become typed values once, column by column, in a thread ahead of the writer; rows are matched by key, checked under the importer's rights and
  written with history and a report row each, up to 2,000 to a transaction. On SQLite more than a quarter of the processor time is the database's own; on PostgreSQL its
  server works two thirds as long as we do (foreign keys, indexes, history as jsonb), and only part of that overlaps. xlsx cells are walked in the limited child.
- **Faults.** Each fault raises an exception inside its field and becomes a tuple of place, code and parameters. A value of another kind than the record's JSON Schema says is told without one.
- **Start.** Most of the processor time is importing modules (SQLAlchemy, FastAPI, Alembic, Jinja2, the spreadsheet library), the rest compiling definitions.

What the twin promises on a write is what the product promises (`tests/bench/test_twin.py` holds it to that): who asks and what they may do is read inside the
transaction; every error of a body at once, a change judged over the record as it stands; links that lead somewhere, by look-up and by foreign key; history in the same
transaction; a stale version, a taken number and a missing version told apart (409, 409, 428); nothing written when nothing differs; one record per
idempotency key, where one is sent; masks and rows in what a save answers. It needs no search tokens (no field of the table is searched), no definitions that
may change under it, and no second run after a lost race, since it locks one row.
"""


@dataclass(slots=True)
class Section:
    """One part of the benchmark: a table, and what is to be known to read it."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[Sequence[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The section in Markdown, with when and on what it was measured."""
        lines = [
            f"## {self.title}",
            "",
            f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {machine()}",
            "",
            _line(self.columns),
            _line(["---", *("---:" for _ in self.columns[1:])]),
            *(_line(row) for row in self.rows),
            "",
        ]
        lines += [f"- {remark}" for remark in self.remarks] + ([""] if self.remarks else [])
        return "\n".join(lines)

    def show(self) -> None:
        """Print the table."""
        table = [self.columns, *self.rows]
        widths = [max(_width(row[at]) for row in table) for at in range(len(self.columns))]
        print(f"\n{self.title}")
        for row in table:
            print(
                "  ".join(
                    cell + " " * (width - _width(cell)) if at == 0 else " " * (width - _width(cell)) + cell
                    for at, (cell, width) in enumerate(zip(row, widths, strict=True))
                ),
                flush=True,
            )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _width(text: str) -> int:
    return sum(2 if ord(sign) > 0x2E7F else 1 for sign in text)


def verdict(value: float, goal: float, *, most: bool = True) -> str:
    """Whether a figure keeps its goal: at most (or at least) that much."""
    return "yes" if (value <= goal if most else value >= goal) else "**no**"


def machine() -> str:
    """The machine, the versions and the load of this moment, in one line."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ("SQLAlchemy", "FastAPI", "Jinja2", "psycopg", "uvicorn"))
    return f"{cores} cores of {model}, load {load}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}."


def keep(sections: Iterable[Section]) -> None:
    """Put these sections into the document; those of earlier runs stay, in a fixed order, each with its own date."""
    found = dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", DOCUMENT.read_text() if DOCUMENT.exists() else "", re.S))
    found.update({section.name: section.text() for section in sections})
    order = ("requests", "costs", "million", "lists", "site", "rules", "import", "start")
    DOCUMENT.write_text(HEAD + "\n" + "\n".join(f"<!-- {name} -->\n{found[name]}\n<!-- end -->" for name in order if name in found) + "\n")
