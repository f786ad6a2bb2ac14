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
    """Put these sections into the document; its own text and the sections of earlier runs stay, in a fixed order, each with its own date."""
    head, _, kept = DOCUMENT.read_text().partition("<!-- ")
    found = dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", "<!-- " + kept, re.S))
    found.update({section.name: section.text() for section in sections})
    order = ("requests", "costs", "million", "lists", "site", "rules", "import", "start")
    DOCUMENT.write_text(head + "\n".join(f"<!-- {name} -->\n{found[name]}\n<!-- end -->" for name in order if name in found) + "\n")
