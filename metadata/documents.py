"""Text to JSON document and the place of every node in it. Stricter than ``json``: no duplicate keys, no NaN, bounded depth and size; never raises.

It knows nothing of kinds and schemas; what a document must look like is metadata/shape.py's business.
"""

import json.decoder
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metadata.vocabulary import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NUMBER = 1 << 63
#: Problems reported of one text.
MAX_PROBLEMS = 100

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z_$][A-Za-z0-9_$]*")
_LITERALS = {"true": True, "false": False, "null": None}
_FULLWIDTH = "，：；“”‘’「」｛｝［］【】、　"
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_scan_string: Callable[[str, int, bool], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]


def escape(token: str | int) -> str:
    """One token of an RFC 6901 pointer."""
    return str(token).replace("~", "~0").replace("/", "~1")


def pointer(*path: str | int) -> str:
    """The RFC 6901 pointer of a path."""
    return "".join("/" + escape(token) for token in path)


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the nodes of one text stand: of a member its key, of an item its value."""

    offsets: Mapping[str, int] = field(default_factory=dict)
    breaks: tuple[int, ...] = ()

    def place(self, at: str) -> tuple[int, int]:
        """1-based line and column of the node at a pointer, or of its nearest ancestor that exists; (0, 0) when the text is not known."""
        while at and at not in self.offsets:
            at = at.rpartition("/")[0]
        return self.at(self.offsets[at]) if at in self.offsets else (0, 0)

    def at(self, offset: int) -> tuple[int, int]:
        """1-based line and column of an offset."""
        line = bisect_right(self.breaks, offset)
        return line + 1, offset - (self.breaks[line - 1] if line else 0) + 1


class Parsed(NamedTuple):
    """What a text holds: the document (None when it could not be read to the end), the places of its nodes, and what is wrong with it."""

    document: Any
    positions: Positions
    problems: list[Problem]


class _Stop(Exception):
    """Reading cannot go on after this offset."""

    def __init__(self, code: str, offset: int, **params: object) -> None:
        super().__init__(code)
        self.code, self.offset, self.params = code, offset, params


def decode(data: bytes, file: str = "") -> tuple[str | None, list[Problem]]:
    """UTF-8 text of a file's bytes; None when there is none. A byte order mark is reported and taken off."""
    if len(data) > MAX_BYTES:
        return None, [Problem("file_too_large", file, params={"bytes": len(data), "limit": MAX_BYTES})]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None, [Problem("file_utf16", file, line=1, column=1)]
    problems = []
    if data[:3] == b"\xef\xbb\xbf":
        problems.append(Problem("file_bom", file, line=1, column=1))
        data = data[3:]
    try:
        return data.decode("utf-8"), problems
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
    try:
        data.decode("gb18030")
        code = "file_gbk"
    except UnicodeDecodeError:
        code = "file_not_utf8"
    return None, [*problems, Problem(code, file, line=line, column=column)]


def parse_document(text: str, file: str = "") -> Parsed:
    """Read one JSON text. The first error of syntax ends the reading; everything else is reported and read on."""
    if len(text) > MAX_BYTES:
        return Parsed(None, Positions(), [Problem("file_too_large", file, params={"bytes": len(text), "limit": MAX_BYTES})])
    scanner = _Scanner(text)
    positions = Positions(scanner.offsets, tuple(match.end() for match in re.finditer("\n", text)))
    document = None
    try:
        document = scanner.read()
    except _Stop as stop:
        scanner.found[MAX_PROBLEMS - 1 :] = [(stop.code, stop.offset, scanner.place, stop.params)]
    problems = []
    for code, offset, at, params in scanner.found[:MAX_PROBLEMS]:
        line, column = positions.at(offset)
        shown = {name: positions.at(value)[0] if name == "first" and isinstance(value, int) else value for name, value in params.items()}
        problems.append(Problem(code, file, at, shown, line, column))
    return Parsed(document, positions, problems)


class _Scanner:
    """Reads one text with an explicit stack: linear in its length, never deeper than MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets: dict[str, int] = {}
        self.found: list[tuple[str, int, str, Mapping[str, object]]] = []
        self.where = ""  # of the open container
        self.place = ""  # of what is being read

    def read(self) -> Any:
        """The whole document; raises _Stop at the first error of syntax."""
        at = self.skip(0)
        if at == len(self.text):
            raise _Stop("json_empty", at)
        self.offsets[""] = at
        root, at = self.node(at)
        stack: list[tuple[Any, str]] = [(root, "")] if isinstance(root, dict | list) else []
        fresh = True
        while stack:
            container, self.where = stack[-1]
            self.place = self.where
            at = self.skip(at)
            if self.text[at : at + 1] == ("}" if isinstance(container, dict) else "]"):
                stack.pop()
                at, fresh = at + 1, False
                continue
            value, place, at = self.next(container, at if fresh else self.comma(container, at))
            fresh = isinstance(value, dict | list)
            if fresh:
                stack.append((value, place))
                if len(stack) > MAX_DEPTH:
                    raise _Stop("json_too_deep", at - 1, limit=MAX_DEPTH)
        self.place = ""
        if (at := self.skip(at)) != len(self.text):
            raise self.unexpected(at, "json_trailing")
        return root

    def skip(self, at: int) -> int:
        """The offset after white space."""
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def comma(self, container: Any, at: int) -> int:
        """The offset of what follows the comma that must stand here."""
        if self.text[at : at + 1] != ",":
            raise self.unexpected(at, "json_comma")
        after = self.skip(at + 1)
        if self.text[after : after + 1] == ("}" if isinstance(container, dict) else "]"):
            raise _Stop("json_trailing_comma", at)
        return after

    def next(self, container: Any, at: int) -> tuple[Any, str, int]:
        """Reads one member or item into an open container: its value, its pointer, the offset after it."""
        if isinstance(container, list):
            place = f"{self.where}/{len(container)}"
            self.offsets[place], self.place = at, place
            value, at = self.node(at)
            container.append(value)
            return value, place, at
        start = at
        if self.text[at : at + 1] != '"':
            raise self.unexpected(at, "json_key")
        key, at = self.string(at)
        at = self.skip(at)
        if self.text[at : at + 1] != ":":
            raise self.unexpected(at, "json_colon")
        self.place = place = f"{self.where}/{escape(key)}"
        value, at = self.node(self.skip(at + 1))
        if key in container:
            self.found.append(("json_duplicate_key", start, place, {"key": key[:80], "first": self.offsets[place]}))
            return value, place, at
        self.offsets[place] = start
        container[key] = value
        return value, place, at

    def node(self, at: int) -> tuple[Any, int]:
        """A scalar and the offset after it, or an empty container and the offset after its bracket."""
        sign = self.text[at : at + 1]
        if sign == "{":
            return {}, at + 1
        if sign == "[":
            return [], at + 1
        if sign == '"':
            return self.string(at)
        if match := _WORD.match(self.text, at):
            word = match.group()
            if word in _LITERALS:
                return _LITERALS[word], match.end()
            if word.lstrip("-") in ("NaN", "Infinity"):
                self.found.append(("json_not_a_number", at, self.place, {"text": word}))
                return 0, match.end()
            raise _Stop("json_word", at, text=word[:40])
        if match := _NUMBER.match(self.text, at):
            return self.number(match), match.end()
        raise self.unexpected(at, "json_value")

    def number(self, match: re.Match[str]) -> int | float:
        """An integer of at most 64 bits or a finite double."""
        text = match.group()
        if len(text) <= 400:
            value: int | float = float(text) if match.group(1) or match.group(2) else int(text)
            if math.isfinite(value) if isinstance(value, float) else -MAX_NUMBER <= value < MAX_NUMBER:
                return value
        self.found.append(("json_number_range", match.start(), self.place, {"text": text[:40]}))
        return 0

    def string(self, at: int) -> tuple[str, int]:
        """A text and the offset after it; characters that deceive readers or no database can hold are reported."""
        try:
            value, end = _scan_string(self.text, at + 1, True)
        except json.decoder.JSONDecodeError as error:
            line_end = self.text.find("\n", at)
            if error.pos == line_end or "Unterminated" in error.msg:
                raise _Stop("json_unterminated", at) from None
            raise _Stop("json_string", min(error.pos, len(self.text)), reason=error.msg.lower()) from None
        for pattern, code in ((_BIDI, "text_bidi"), (_CONTROL, "text_control"), (_SURROGATE, "text_surrogate")):
            if match := pattern.search(value):
                self.found.append((code, at, self.place, {"char": f"U+{ord(match.group()):04X}"}))
                value = pattern.sub("", value)
        return value, end

    def unexpected(self, at: int, code: str) -> _Stop:
        """What stands at ``at`` instead of what was expected; the usual slips have codes of their own."""
        sign = self.text[at : at + 1]
        if not sign:
            return _Stop("json_end", at)
        if sign in _FULLWIDTH:
            return _Stop("json_fullwidth", at, char=sign)
        if sign == "'":
            return _Stop("json_single_quote", at)
        if self.text.startswith(("//", "/*", "#"), at):
            return _Stop("json_comment", at)
        return _Stop(code, at, char=sign)
