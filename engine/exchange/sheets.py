"""Rows of an untrusted spreadsheet, read in a limited child process (SECURITY R12), and the tables found in them: where the header stands, what is no data.

Not responsible for what a column means (mapping) nor for writing anything.
"""

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from engine.errors import Invalid

#: Wall seconds after which a reading child is stopped; processor time and memory are limited inside it.
WALL_SECONDS = 120
#: Rows looked at for the header, and how alike a line must be to it to count as a repeated header.
HEADER_DEPTH = 20
SUBTOTALS = ("合计", "小计", "总计", "共计", "total", "subtotal", "sum")

Cell = Any


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of data as it stands: sheet title, 1-based row number, cells from the left (missing ones are not there)."""

    sheet: str
    number: int
    cells: Sequence[Cell]

    @property
    def place(self) -> str:
        """Where a person finds it: ``2025年8月!12`` or ``12``."""
        return f"{self.sheet}!{self.number}" if self.sheet else str(self.number)


@dataclass(frozen=True, slots=True)
class Passed:
    """A row that is no data, and why: title, header, subtotal, hidden_sheet, no_header."""

    row: SheetRow
    reason: str


@dataclass(slots=True)
class Table:
    """The data of one sheet below its header."""

    sheet: str
    headers: tuple[str, ...]
    header_row: int
    rows: list[SheetRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sheets:
    """All tables of a file, in order, and every row that was passed over."""

    tables: tuple[Table, ...]
    passed: tuple[Passed, ...]

    def counts(self) -> dict[str, int]:
        """How many rows are data and how many were passed over, by reason."""
        found = {"data": sum(len(table.rows) for table in self.tables)}
        for item in self.passed:
            found[item.reason] = found.get(item.reason, 0) + 1
        return found


@contextmanager
def _child(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The reading child, stopped after WALL_SECONDS or when the caller is done with it."""
    with path.open("rb") as source:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.exchange.child"],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
        )
    timer = threading.Timer(WALL_SECONDS, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def raw_rows(path: Path) -> Iterator[tuple[str, bool, SheetRow]]:
    """(sheet, hidden, row) for every row that has a cell; raises Invalid when the file is damaged, too large, encrypted or no sheet."""
    sheet, hidden = "", False
    read = kept_lines(path)
    with read.open("rb") if read.exists() else _child_lines(path) as lines:
        for line in lines:
            item = orjson.loads(line)
            if isinstance(item, list):
                for number, cells in item:
                    yield sheet, hidden, SheetRow(sheet, number, cells)
            elif "sheet" in item:
                sheet, hidden = item["sheet"], item["hidden"]


def kept_lines(path: Path) -> Path:
    """Where the rows of a kept file stand once it was read, so that it is opened in the child only once."""
    return path.with_name(f"{path.name}.rows")


def keep_lines(path: Path, target: Path) -> None:
    """Read a file whose kept copy will be ``target``, and keep its rows beside that. Raises Invalid as ``raw_rows``."""
    begun = target.with_name(f"{target.name}.part")
    try:
        with _child_lines(path) as lines, begun.open("wb") as file:
            file.writelines(lines)
        begun.rename(kept_lines(target))
    finally:
        begun.unlink(missing_ok=True)


@contextmanager
def _child_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of the reading child. Raises Invalid when it refused the file or did not come to its end."""
    with _child(path) as process:
        yield _checked(process, path)


def _checked(process: subprocess.Popen[bytes], path: Path) -> Iterator[bytes]:
    assert process.stdout is not None
    ended = False
    for line in process.stdout:
        if line.startswith(b'{"error"'):
            item = orjson.loads(line)
            raise Invalid(item.pop("error"), file=path.name, **item)
        ended = line.startswith(b'{"end"')
        yield line
    if not ended:
        raise Invalid("file_too_large" if process.wait() < 0 else "file_damaged", file=path.name, limit=0)


def header_text(cell: Cell) -> str:
    """A header as it is compared: without white space and case."""
    return "".join(str(cell).split()).lower() if cell is not None and not isinstance(cell, dict) else ""


def _is_subtotal(cells: Sequence[Cell]) -> bool:
    first = next((text for cell in cells if (text := header_text(cell))), "")
    return first.strip("：:") in SUBTOTALS


def _is_repeated(cells: Sequence[Cell], wanted: Sequence[str]) -> bool:
    """Whether a row says what the header says; most rows differ in their first cell already."""
    return len(cells) == len(wanted) and all(header_text(cell) == text for cell, text in zip(cells, wanted, strict=True))


def _score(cells: Sequence[Cell], known: frozenset[str]) -> tuple[int, int]:
    """How much a row looks like a header: known words first, then distinct short texts."""
    texts = [header_text(cell) for cell in cells if isinstance(cell, str)]
    words = {text for text in texts if text}
    return len(words & known), len({text for text in words if len(text) <= 20})


def find_header(rows: Sequence[SheetRow], known: frozenset[str]) -> int | None:
    """The index of the header among the first rows: the one with most known headers (two at least, or all of its cells); without any known word the
    first row whose cells are all distinct short texts and that is as wide as what follows."""
    best: tuple[tuple[int, int], int] | None = None
    for index, row in enumerate(rows[:HEADER_DEPTH]):
        score = _score(row.cells, known)
        if score[0] >= min(2, len(row.cells)) and (best is None or score > best[0]):
            best = (score, index)
    if best is not None:
        return best[1]
    width = max((len(row.cells) for row in rows[:HEADER_DEPTH]), default=0)
    for index, row in enumerate(rows[:HEADER_DEPTH]):
        texts = [cell for cell in row.cells if cell is not None]
        if len(texts) >= max(1, width - 1) and len(_distinct(row.cells)) == len(texts) and all(isinstance(cell, str) for cell in texts):
            return index
    return None


def _distinct(cells: Iterable[Cell]) -> set[str]:
    return {header_text(cell) for cell in cells if header_text(cell)}


def _table_of(sheet: str, rows: list[SheetRow], known: frozenset[str], passed: list[Passed]) -> Table | None:
    at = find_header(rows, known)
    if at is None:
        passed += [Passed(row, "no_header") for row in rows]
        return None
    header = rows[at]
    passed += [Passed(row, "title") for row in rows[:at]]
    passed.append(Passed(header, "header"))
    headers = tuple(str(cell).strip() if cell is not None and not isinstance(cell, dict) else "" for cell in header.cells)
    wanted = [header_text(cell) for cell in header.cells]
    table = Table(sheet, headers, header.number)
    for row in rows[at + 1 :]:
        if _is_repeated(row.cells, wanted):
            passed.append(Passed(row, "header"))
        elif _is_subtotal(row.cells):
            passed.append(Passed(row, "subtotal"))
        else:
            table.rows.append(row)
    return table


def read_sheets(path: Path, known_headers: Iterable[str] = ()) -> Sheets:
    """All tables of a file. ``known_headers``: words that columns of the wanted entity go by; they help to tell a header from title rows."""
    known = frozenset(header_text(text) for text in known_headers)
    sheets: dict[str, list[SheetRow]] = {}
    passed: list[Passed] = []
    for sheet, hidden, row in raw_rows(path):
        if hidden:
            passed.append(Passed(row, "hidden_sheet"))
        else:
            sheets.setdefault(sheet, []).append(row)
    tables = [table for sheet, rows in sheets.items() if (table := _table_of(sheet, rows, known, passed)) is not None]
    return Sheets(tuple(tables), tuple(passed))
