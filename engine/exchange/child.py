"""The child process that opens an untrusted xlsx or csv file and writes its rows as JSON lines. Runs alone, with little memory and no new files.

Started by engine.exchange.sheets with a file descriptor as standard input; imports as little as it can. Each line is one of
``{"sheet": name, "hidden": bool}``, ``[[row number, [cells...]], ...]`` (up to BLOCK rows), ``{"end": rows}`` or ``{"error": code, ...}``.
A cell is text, number, boolean or null; a date or time is ``{"at": ISO text}``; a formula arrives as its last computed value, or its text.
"""

import codecs
import csv
import datetime as dt
import io
import resource
import sys
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from xml.parsers.expat import ExpatError

import orjson
from openpyxl import Workbook
from openpyxl.xml import DEFUSEDXML

from engine.exchange.xlsx import COLUMNS, Book

MEMORY = 512 * 2**20
SECONDS = 20
UNPACKED = 50 * 2**20
RATIO = 100
MEMBERS = 200
CELL = 32_767
BLOCK = 500
ENCODINGS = ("utf-8-sig", "gb18030", "utf-16")


class Refused(Exception):
    """The file is not read; ``code`` is a key of engine/messages/exchange.json."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


def warm() -> None:
    """Load what reading needs (codecs, lazily imported modules) while files can still be opened."""
    for encoding in (*ENCODINGS, "cp437", "utf-16-le", "utf-16-be"):
        codecs.lookup(encoding)
    book, file = Workbook(), io.BytesIO()
    book.create_sheet().append([1, "a", dt.datetime(2000, 1, 1)])
    book.save(file)
    file.seek(0)
    list(read_xlsx(file))


def limit() -> None:
    """From here on: bounded memory and processor time, and no further file or socket can be opened."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def cell_of(value: Any) -> Any:
    """A spreadsheet value as JSON."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= CELL else value[:CELL]
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else str(value)
    if kind is float:
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return {"at": value.isoformat()}
    return str(value)[:CELL]


def check_archive(file: BinaryIO) -> None:
    """Refuse bombs and strangers before anything is unpacked (SECURITY R12)."""
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as wrong:
        raise Refused("file_damaged") from wrong
    members = archive.infolist()
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    names = {member.filename for member in members}
    if "EncryptedPackage" in names:
        raise Refused("file_encrypted")
    if "xl/workbook.xml" not in names:
        raise Refused("file_not_a_sheet")
    if len(members) > MEMBERS or unpacked > UNPACKED or unpacked > RATIO * max(packed, 1) + 2**20:
        raise Refused("file_too_large", unpacked=unpacked, limit=UNPACKED)
    file.seek(0)


def read_xlsx(file: BinaryIO) -> Iterator[Any]:
    """Every sheet's rows, in blocks; what openpyxl reads as a tree is read by defusedxml."""
    if not DEFUSEDXML:
        raise Refused("file_reader_missing")
    book = Book(file)
    total = 0
    for sheet in book.sheets:
        yield {"sheet": sheet.title, "hidden": sheet.hidden}
        block: list[Any] = []
        for number, cells in book.rows(sheet):
            block.append([number, [cell_of(value) for value in cells]])
            if len(block) == BLOCK:
                total += BLOCK
                yield block
                block = []
        total += len(block)
        yield block
    yield {"end": total}


def decode(content: bytes) -> str:
    """Text of a csv file: UTF-8 with or without a mark, UTF-16 with one, else GB18030 (what Chinese Excel writes)."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    for encoding in ENCODINGS[:2]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("file_encoding")


def read_csv(content: bytes) -> Iterator[Any]:
    """The rows of a csv file; the separator is guessed from the first lines among comma, tab, semicolon."""
    text = decode(content)
    if "\0" in text:
        raise Refused("file_damaged")
    head = text[:8192].split("\n", 5)[:5]
    delimiter = max(",\t;", key=lambda sign: min((line.count(sign) for line in head if line.strip()), default=0))
    csv.field_size_limit(CELL * 8)
    yield {"sheet": "", "hidden": False}
    total = 0
    block: list[Any] = []
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
        if any(row):
            block.append([number, [value or None for value in row[:COLUMNS]]])
            if len(block) == BLOCK:
                total += BLOCK
                yield block
                block = []
    yield block
    yield {"end": total + len(block)}


def rows_of(file: BinaryIO) -> Iterator[Any]:
    """Decide by content, not by name, what the file is."""
    head = file.read(8)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        check_archive(file)
        return read_xlsx(file)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise Refused("file_old_or_encrypted")
    return read_csv(file.read())


def write(lines: Iterable[Any], out: BinaryIO) -> None:
    """JSON lines; a block without rows is none."""
    for line in lines:
        if line:
            out.write(orjson.dumps(line) + b"\n")
    out.flush()


def main() -> int:
    """Read standard input, write standard output; a refusal is the last line."""
    file, out = io.BytesIO(sys.stdin.buffer.read()), sys.stdout.buffer
    warm()
    limit()
    try:
        write(rows_of(file), out)
    except Refused as refused:
        write([{"error": refused.code, **refused.params}], out)
    except MemoryError:
        write([{"error": "file_too_large", "limit": MEMORY}], out)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        EOFError,
        SyntaxError,
        ExpatError,
        csv.Error,
        zipfile.BadZipFile,
        RecursionError,
    ):
        write([{"error": "file_damaged"}], out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
