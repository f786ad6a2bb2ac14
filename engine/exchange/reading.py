"""The rows of a kept file as drafts of records, read piece by piece while others are written."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from engine.exchange.importing import Importer
from engine.exchange.mapping import ColumnMapping, plan_of
from engine.exchange.rows import RowDraft, RowReader, is_passed
from engine.exchange.sheets import SheetRow, Sheets, Table, lines_of
from engine.fields.base import title_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

T = TypeVar("T")

#: Rows that are read together.
PIECE = 500
#: Rows after which the reading thread lets go of the interpreter for so many seconds: a writer whose statement has ended would wait five milliseconds for it.
STRIDE, PAUSE = 100, 0.0001
#: How many pieces are written in one transaction at most.
MOST_PIECES = 8
#: Seconds of a write transaction: above the one the next takes fewer rows, below the other more.
LONG_WRITE, SHORT_WRITE = 0.25, 0.125


def known_words(ctx: Context, entity: CompiledEntity) -> Iterator[str]:
    """What columns of an entity go by: the headers of its import block, keys and titles of its fields."""
    yield from plan_of(ctx.workspace, entity).headers()
    for key, item in entity.fields.items():
        yield key
        yield title_of(item.definition, "zh")
        yield title_of(item.definition, "en")


def passed(sheets: Sheets, said: int) -> dict[str, int]:
    """Rows that are no data by reason; ``said``: how many the entity's import block calls so."""
    return {**sheets.passed, "not_rows": said} if said else dict(sheets.passed)


class Reading:
    """Reads one kept file under a mapping (``targets`` by header), in pieces of at most PIECE rows."""

    def __init__(self, ctx: Context, entity: CompiledEntity, path: Path, targets: Mapping[str, str], importer: Importer) -> None:
        self._ctx = ctx
        self._entity = entity
        self._plan = plan_of(ctx.workspace, entity)
        self._path = path
        self._targets = targets
        self._importer = importer
        self._sheets = Sheets(known_words(ctx, entity))
        self._rows = self._said = 0

    def pieces(self, start: int) -> Iterator[list[RowDraft]]:
        """The drafts of all rows from number ``start`` on."""
        reader, under = None, None
        waiting: list[RowDraft] = []
        with lines_of(self._path) as lines:
            for table, block in self._sheets.blocks(lines):
                if reader is None or table is not under:
                    reader, under = self._reader(table), table
                rows = self._data(block)
                over = min(max(start - self._rows, 0), len(rows))
                self._rows += len(rows)
                if over:
                    reader.pass_over(rows[:over])
                for at in range(over, len(rows), STRIDE):
                    drafts = reader.read(rows[at : at + STRIDE], self._importer.people)
                    self._importer.make_ready(drafts)
                    waiting += drafts
                    sleep(PAUSE)
                while len(waiting) >= PIECE:
                    yield waiting[:PIECE]
                    del waiting[:PIECE]
        if waiting:
            yield waiting

    def _reader(self, table: Table) -> RowReader:
        mapping = ColumnMapping(tuple(self._targets.get(header, "") for header in table.headers))
        return RowReader(self._ctx.workspace, self._entity, self._plan, table.headers, mapping, self._ctx.now)

    def _data(self, rows: list[SheetRow]) -> list[SheetRow]:
        if not self._plan.not_rows:
            return rows
        kept = [row for row in rows if not is_passed(row, self._plan)]
        self._said += len(rows) - len(kept)
        return kept

    def counts(self) -> dict[str, Any]:
        """How many rows were data and how many were passed over, by reason; whole at the end of the pieces."""
        return {"rows": self._rows, "passed": passed(self._sheets, self._said)}


@dataclass(slots=True)
class Pace:
    """How many pieces are written in one transaction: it is to be short for those who wait behind it, and long enough to be worth its commit."""

    pieces: int = 1

    def took(self, seconds: float) -> None:
        """A transaction took so long."""
        if seconds > LONG_WRITE:
            self.pieces = max(1, self.pieces // 2)
        elif seconds < SHORT_WRITE:
            self.pieces = min(MOST_PIECES, self.pieces * 2)


def ahead(pieces: Iterator[T], pace: Pace) -> Generator[list[T]]:
    """Some pieces at a time; the next ones are read while these are written, as far as the database leaves the processor alone."""
    with ThreadPoolExecutor(1, "import") as reader:
        upcoming = reader.submit(list, islice(pieces, pace.pieces))
        while found := upcoming.result():
            upcoming = reader.submit(list, islice(pieces, pace.pieces))
            yield found
