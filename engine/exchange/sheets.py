"""Rows of an untrusted spreadsheet, read in a limited child process (SECURITY R12), and the tables found in them: where the header stands, what is no data.

Not responsible for what a column means (mapping) nor for writing anything.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from engine.errors import Invalid

#: Wall seconds after which a reading child is stopped; processor time and memory are limited inside it.
WALL_SECONDS = 120
#: Rows looked at for the header, and how alike a line must be to it to count as a repeated header.
HEADER_DEPTH = 20
SUBTOTALS = ("合计", "小计", "总计", "共计", "total", "subtotal", "sum")

#: How every xlsx file begins.
_PACKED = b"PK\x03\x04"

Cell = Any


class SheetRow(NamedTuple):
    """One row of data as it stands: sheet title, 1-based row number, cells from the left (missing ones are not there)."""

    sheet: str
    number: int
    cells: Sequence[Cell]

    @property
    def place(self) -> str:
        """Where a person finds it: ``2025年8月!12`` or ``12``."""
        return f"{self.sheet}!{self.number}" if self.sheet else str(self.number)


@dataclass(frozen=True, slots=True)
class Table:
    """What stands above the data of one sheet."""

    sheet: str
    headers: tuple[str, ...]
    header_row: int


class Sheets:
    """The tables of one file, found while its rows go by: where each header stands, which rows are no data.

    ``known_headers``: words that columns of the wanted entity go by; they help to tell a header from title rows. ``tables`` and ``passed`` (rows that
    are no data, counted by reason: title, header, subtotal, hidden_sheet, no_header) are whole when ``blocks`` has come to its end.
    """

    def __init__(self, known_headers: Iterable[str] = ()) -> None:
        self.tables: list[Table] = []
        self.passed: dict[str, int] = {}
        self._known = frozenset(header_text(text) for text in known_headers)

    def blocks(self, lines: Iterable[bytes]) -> Iterator[tuple[Table, list[SheetRow]]]:
        """Rows of data with their table, some at a time, in the order of the file. ``lines``: as the reading child wrote them."""
        for (sheet, hidden), some in groupby(_rows(lines), itemgetter(0, 1)):
            blocks = (rows for _, _, rows in some)
            if hidden:
                self._pass("hidden_sheet", sum(map(len, blocks)))
            else:
                yield from self._table(sheet, blocks)

    def _table(self, sheet: str, blocks: Iterator[list[SheetRow]]) -> Iterator[tuple[Table, list[SheetRow]]]:
        first: list[SheetRow] = []
        for block in blocks:
            first += block
            if len(first) >= HEADER_DEPTH:
                break
        at = find_header(first, self._known)
        if at is None:
            self._pass("no_header", len(first) + sum(map(len, blocks)))
            return
        header = first[at]
        self._pass("title", at)
        self._pass("header", 1)
        headers = tuple(str(cell).strip() if cell is not None and not isinstance(cell, dict) else "" for cell in header.cells)
        table = Table(sheet, headers, header.number)
        self.tables.append(table)
        wanted = [header_text(cell) for cell in header.cells]
        suspicious = frozenset(text[0] for text in (*SUBTOTALS, wanted[0], ":", "：") if text)
        for block in chain([first[at + 1 :]], blocks):
            yield table, [row for row in block if _is_plain(row.cells[0], suspicious) or self._is_data(row.cells, wanted)]

    def _is_data(self, cells: Sequence[Cell], wanted: Sequence[str]) -> bool:
        reason = "header" if _is_repeated(cells, wanted) else "subtotal" if _is_subtotal(cells) else ""
        if reason:
            self._pass(reason, 1)
        return not reason

    def _pass(self, reason: str, rows: int) -> None:
        if rows:
            self.passed[reason] = self.passed.get(reason, 0) + rows


def _rows(lines: Iterable[bytes]) -> Iterator[tuple[str, bool, list[SheetRow]]]:
    """(sheet, hidden, rows) for every block of rows."""
    sheet, hidden = "", False
    for line in lines:
        item = orjson.loads(line)
        if isinstance(item, list):
            yield sheet, hidden, [SheetRow(sheet, number, cells) for number, cells in item]
        elif "sheet" in item:
            sheet, hidden = item["sheet"], item["hidden"]


@contextmanager
def _child(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The reading child, stopped after WALL_SECONDS or when the caller is done with it. What a file is tells its content, not its name."""
    with path.open("rb") as source:
        packed = os.pread(source.fileno(), len(_PACKED), 0) == _PACKED
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.exchange.child_xlsx" if packed else "engine.exchange.child"],
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


@contextmanager
def child_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of the reading child, while it reads. Raises Invalid when the file is damaged, too large, encrypted or no sheet."""
    with _child(path) as process:
        yield _checked(process, path)


@contextmanager
def keep_lines(path: Path, target: Path) -> Iterator[Iterator[bytes]]:
    """The same, of a file whose kept copy will be ``target``: what was read is kept beside that, once the block has taken all of it."""
    begun = target.with_name(f"{target.name}.part")
    try:
        with child_lines(path) as lines, begun.open("wb") as file:
            yield _copied(lines, file)
        begun.rename(kept_lines(target))
    finally:
        begun.unlink(missing_ok=True)


def _copied(lines: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    for line in lines:
        file.write(line)
        yield line


def kept_lines(path: Path) -> Path:
    """Where the rows of a kept file stand once it was read, so that it is opened in the child only once."""
    return path.with_name(f"{path.name}.blocks")


@contextmanager
def lines_of(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a kept file."""
    read = kept_lines(path)
    with read.open("rb") if read.exists() else child_lines(path) as lines:
        yield lines


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


def shown_cell(cell: Cell) -> Any:
    """A cell as it is kept for people: dates as their text."""
    return cell.get("at") if isinstance(cell, dict) else cell


def _is_plain(first: Cell, suspicious: frozenset[str]) -> bool:
    """Whether the first letter of a row's first cell tells already that the row is data."""
    return first.__class__ is str and (letter := first.lstrip()[:1].lower()[:1]) != "" and letter not in suspicious


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
