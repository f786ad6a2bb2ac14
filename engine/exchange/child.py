"""The child process that opens an untrusted csv file and writes its rows as JSON lines, and what it shares with the one for xlsx (child_xlsx.py).

Runs alone, with little memory and no new files. Started by engine.exchange.sheets with a file descriptor as standard input; imports as little as it
can. Each line is one of ``{"sheet": name, "hidden": bool}``, ``[[row number, [cells...]], ...]`` (up to BLOCK rows), ``{"end": rows}`` or
``{"error": code, ...}``. A cell is text, number, boolean or null; a date or time is ``{"at": ISO text}``.
"""

import codecs
import csv
import io
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import orjson

MEMORY = 512 * 2**20
SECONDS = 20
CELL = 32_767
COLUMNS = 400
BLOCK = 500
#: How a book of the old binary format begins, or an encrypted one.
OLD_BOOK = b"\xd0\xcf\x11\xe0"
#: What Python raises while it reads what is not whole.
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, EOFError, SyntaxError, RecursionError)
ENCODINGS = ("utf-8-sig", "gb18030", "utf-16")


class Refused(Exception):
    """The file is not read; ``code`` is a key of engine/messages/exchange.json."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


def warm() -> None:
    """Load what reading needs (codecs) while files can still be opened."""
    for encoding in (*ENCODINGS, "utf-16-le", "utf-16-be"):
        codecs.lookup(encoding)


def limit() -> None:
    """From here on: bounded memory and processor time, and no further file or socket can be opened."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


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


def read_csv(file: BinaryIO) -> Iterator[Any]:
    """The rows of a csv file; the separator is guessed from the first lines among comma, tab, semicolon."""
    content = file.read()
    if content.startswith(OLD_BOOK):
        raise Refused("file_old_or_encrypted")
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


def write(lines: Iterable[Any], out: BinaryIO) -> None:
    """JSON lines; a block without rows is none."""
    for line in lines:
        if line:
            out.write(orjson.dumps(line) + b"\n")
    out.flush()


def run(read: Callable[[BinaryIO], Iterable[Any]], warm: Callable[[], None], damaged: tuple[type[Exception], ...]) -> int:
    """Read standard input, write standard output; a refusal is the last line. ``damaged``: what reading raises for files that are not whole."""
    file, out = io.BytesIO(sys.stdin.buffer.read()), sys.stdout.buffer
    broken: tuple[type[Exception], ...] = (*_BROKEN, *damaged)
    warm()
    limit()
    try:
        write(read(file), out)
    except Refused as refused:
        write([{"error": refused.code, **refused.params}], out)
    except MemoryError:
        write([{"error": "file_too_large", "limit": MEMORY}], out)
    except broken:
        write([{"error": "file_damaged"}], out)
    return 0


if __name__ == "__main__":
    sys.exit(run(read_csv, warm, (csv.Error,)))
