"""The child process that opens an untrusted xlsx file (see child.py). A formula arrives as its last computed value, or its text."""

import codecs
import datetime as dt
import io
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers.expat import ExpatError

from openpyxl import Workbook
from openpyxl.xml import DEFUSEDXML

from engine.exchange import child
from engine.exchange.child import BLOCK, CELL, Refused
from engine.exchange.xlsx import Book

UNPACKED = 50 * 2**20
RATIO = 100
MEMBERS = 200


def warm() -> None:
    """Load what reading needs (codecs, lazily imported modules) while files can still be opened."""
    child.warm()
    codecs.lookup("cp437")  # of names in archives
    book, file = Workbook(), io.BytesIO()
    book.create_sheet().append([1, "a", dt.datetime(2000, 1, 1)])
    book.save(file)
    file.seek(0)
    list(read_xlsx(file))


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
    check_archive(file)
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


if __name__ == "__main__":
    sys.exit(child.run(read_xlsx, warm, (ExpatError, zipfile.BadZipFile)))
