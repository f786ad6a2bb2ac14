"""The cells of an xlsx file, row by row, for the reading child: openpyxl reads the workbook and its formats, an expat parser of our own walks the cells.

openpyxl makes a tree of every cell and takes five times as long. Document type and entity declarations are refused, as no spreadsheet program writes any.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils.datetime import from_excel, from_ISO8601
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from engine.exchange.child import COLUMNS

_BLOCK = 2**16
_ROW, _CELL, _VALUE, _FORMULA, _TEXT, _PHONETIC, _STRING = (f"{SHEET_MAIN_NS} {name}" for name in ("row", "c", "v", "f", "t", "rPh", "si"))
_REFERENCE = re.compile("[A-Za-z]{1,3}")

Cells = list[Any]


class Forbidden(ValueError):
    """The document declares a type or an entity."""


def _forbid(*_: object) -> int:
    raise Forbidden


def _parser(start: Callable[[str, Mapping[str, str]], None], end: Callable[[str], None], text: Callable[[str], None]) -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = _forbid
    return parser


def _fed(parser: expat.XMLParserType, source: IO[bytes]) -> Iterator[None]:
    """Parse block by block; what the handlers gathered can be taken after each."""
    while block := source.read(_BLOCK):
        parser.Parse(block, False)
        yield
    parser.Parse(b"", True)
    yield


class _Texts:
    """The table of shared texts: runs joined, readings of East Asian words (phonetic runs) left out."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._taking = self._aside = False

    def read(self, source: IO[bytes]) -> list[str]:
        for _ in _fed(_parser(self._start, self._end, self._text), source):
            pass
        return self.found

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == _TEXT:
            self._taking = not self._aside
        elif name == _STRING:
            self._parts = []
        elif name == _PHONETIC:
            self._aside = True

    def _end(self, name: str) -> None:
        if name == _TEXT:
            self._taking = False
        elif name == _STRING:
            self.found.append("".join(self._parts).replace("x005F_", ""))
        elif name == _PHONETIC:
            self._aside = False

    def _text(self, text: str) -> None:
        if self._taking:
            self._parts.append(text)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a workbook: its title, whether people see it, where its cells stand."""

    title: str
    hidden: bool
    path: str


class Book(ExcelReader):
    """A workbook opened for reading: its sheets in order, its formats of dates. Shared texts and cells are read by parsers of our own."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, read_only=True, keep_links=False)
        self.sheets: list[Sheet] = []
        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)
        self.read_worksheets()

    def read_strings(self) -> None:
        """As openpyxl reads them."""
        part: Any = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is not None:
            with self.archive.open(part.PartName[1:]) as source:
                self.shared_strings = _Texts().read(source)

    def read_worksheets(self) -> None:
        """Only where they are: openpyxl would walk through a whole sheet that does not tell its size."""
        for sheet, relation in self.parser.find_sheets():
            if relation.target in self.valid_files and "chartsheet" not in relation.Type:
                self.sheets.append(Sheet(sheet.name, sheet.state != "visible", relation.target))

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, Cells]]:
        """(1-based number, cells from the left) of every row that holds a cell."""
        with self.archive.open(sheet.path) as source:
            yield from _Rows(self.shared_strings, _Dates(self.wb)).read(source)


class _Dates:
    """Which number formats mean dates, and what a number under them means in the workbook's calendar (1900 or 1904)."""

    def __init__(self, book: Any) -> None:
        self.formats: frozenset[int] = frozenset(book._date_formats)
        self._spans: frozenset[int] = frozenset(book._timedelta_formats)
        self._epoch = book.epoch

    def read(self, number: float, style: int) -> Any:
        """A datetime, a time or a span; what no calendar holds is an error to see, not a date."""
        try:
            return from_excel(number, self._epoch, timedelta=style in self._spans)
        except (OverflowError, ValueError):
            return "#VALUE!"


class _Rows:
    """Walks one sheet. Holds the row and the cell it is in; ``done`` are rows nobody has taken yet."""

    def __init__(self, texts: Sequence[str], dates: _Dates) -> None:
        self._texts = texts
        self._dates = dates
        self._columns: dict[str, int] = {}
        self.done: list[tuple[int, Cells]] = []
        self._number = 0
        self._cells: Cells = []
        self._column = 0
        self._kind = "n"
        self._style = 0
        self._parts: list[str] | None = None  # the value's text while one is read
        self._value: str | None = None
        self._formula: str | None = None
        self._aside = False

    def read(self, source: IO[bytes]) -> Iterator[tuple[int, Cells]]:
        for _ in _fed(_parser(self._start, self._end, self._text), source):
            yield from self.done
            self.done.clear()

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == _CELL:
            reference = attributes.get("r")
            self._column = self._column + 1 if reference is None else self._column_of(reference)
            self._kind = attributes.get("t", "n")
            self._style = int(attributes.get("s", 0))
            self._value = self._formula = None
        elif name in (_VALUE, _FORMULA) or (name == _TEXT and not self._aside):
            self._parts = []
        elif name == _ROW:
            number = attributes.get("r")
            self._number = self._number + 1 if number is None else int(float(number))
            self._cells, self._column = [], 0
        elif name == _PHONETIC:
            self._aside = True

    def _end(self, name: str) -> None:
        if name == _CELL:
            if self._column <= COLUMNS and (value := self._read()) is not None:
                missing = self._column - len(self._cells) - 1
                if missing:
                    self._cells += [None] * missing
                self._cells.append(value)
        elif name == _VALUE:
            self._value = "".join(self._parts or ()) or None
            self._parts = None
        elif name == _TEXT and not self._aside:
            self._value = (self._value or "") + "".join(self._parts or ())
            self._parts = None
        elif name == _ROW:
            if self._cells:
                self.done.append((self._number, self._cells))
        elif name == _FORMULA:
            self._formula = "=" + "".join(self._parts or ())
            self._parts = None
        elif name == _PHONETIC:
            self._aside = False

    def _text(self, text: str) -> None:
        if self._parts is not None:
            self._parts.append(text)

    def _column_of(self, reference: str) -> int:
        letters = reference.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            if not _REFERENCE.fullmatch(letters):
                raise ValueError(f"{reference} is no cell")
            column = 0
            for letter in letters.upper():
                column = column * 26 + ord(letter) - 64
            self._columns[letters] = column
        return column

    def _read(self) -> Any:
        """The value of the cell that ends: what was computed last for a formula, its text where nothing was."""
        text, kind = self._value, self._kind
        if text is None:
            return self._formula
        if kind == "s":
            return self._texts[int(text)]
        if kind == "n":
            number = float(text) if "." in text or "E" in text or "e" in text else int(text)
            return self._dates.read(number, self._style) if self._style in self._dates.formats else number
        if kind == "b":
            return bool(int(text))
        if kind == "d":
            return from_ISO8601(text)  # type: ignore[no-untyped-call]
        return text
