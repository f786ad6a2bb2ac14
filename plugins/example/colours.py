"""Colours as values: the field type ``example_colour``, the function ``example_is_dark``, the reader ``example_colour_word``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from engine.api import (
    CellReader,
    ColumnType,
    Field,
    FieldScope,
    FieldType,
    Label,
    Reading,
    ReadingScope,
    Text,
    Value,
    ValueReader,
    Wrong,
    field_type,
    function,
    reader,
)

_HEX = re.compile(r"^#[0-9a-f]{6}$")
_WORDS = {"红": "#c62828", "绿": "#17733f", "蓝": "#1766b5", "黑": "#000000", "白": "#ffffff"}


@field_type
class Colour(FieldType):
    """A colour as #rrggbb, in lower case."""

    name = "example_colour"
    title: ClassVar[Label] = {"zh": "颜色", "en": "Colour"}
    group = "special"
    icon = "palette"
    widget = "example_colour"

    def expression_type(self, field: Field) -> str:
        """text"""
        return "text"

    def column(self, field: Field) -> ColumnType:
        """Text."""
        return Text()

    def reader(self, field: Field, scope: FieldScope) -> ValueReader:
        """Built once per field at publish; the closure runs for every value."""

        def read(raw: object) -> Value:
            if raw is None:
                return None
            if not isinstance(raw, str):
                return Wrong("example_colour")
            value = raw.strip().lower()
            if not value:
                return None
            if not _HEX.match(value):
                return Wrong("example_colour")
            return value

        return read

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """What the reader accepts, in words every JSON Schema validator knows."""
        return {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Feeds the contract tests and demo data."""
        return f"#{random.randrange(1 << 24):06x}"


@function("text -> boolean", help={"zh": "颜色是否偏暗", "en": "Whether a colour is dark"})
def example_is_dark(colour: Value) -> Value:
    """Python only: without an SQL face it may be used in rules and formulas, not in lists and permissions."""
    if not isinstance(colour, str) or not _HEX.match(colour):
        return False
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red * 299 + green * 587 + blue * 114 < 128_000


@reader
class ColourWord(CellReader):
    """A colour by its Chinese word or its code."""

    name = "example_colour_word"
    parts: ClassVar[tuple[str, ...]] = ("colour",)
    help: ClassVar[Label] = {"zh": "颜色的中文名或代码", "en": "A colour by word or code"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """``differs``: a word stood there, not the code that is kept."""
        text = str(cells[0]).strip().removesuffix("色").lower()
        found = _WORDS.get(text, text)
        if not _HEX.match(found):
            raise Wrong("example_colour")
        return Reading({"colour": found}, differs=found != text)
