"""Built-in values: stars as a field type, full years between two dates, and a reader for the many ways to write yes and no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from random import Random
from typing import Any, ClassVar

from engine.api import (
    AT_LEAST,
    AT_MOST,
    EMPTY,
    EQUALS,
    FILLED,
    BigInteger,
    CellReader,
    ColumnType,
    Field,
    FieldScope,
    FieldType,
    Label,
    Operator,
    Reading,
    ReadingScope,
    Text,
    Value,
    ValueReader,
    Wrong,
    field_type,
    function,
    option,
    reader,
)


@field_type
class Rating(FieldType):
    """One to ten stars, a whole number."""

    name = "rating"
    title: ClassVar[Label] = {"zh": "评分", "en": "Rating"}
    group = "basic"
    icon = "star"
    widget = "number"
    json_types = (int, float)
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, AT_LEAST, AT_MOST, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "stars": option({"type": "integer", "minimum": 2, "maximum": 10, "default": 5}, ("最多几颗星", "Most stars"))
    }

    def most(self, field: Field) -> int:
        """The stars of a perfect rating."""
        return int(field.options.get("stars") or 5)

    def expression_type(self, field: Field) -> str:
        """integer"""
        return "integer"

    def column(self, field: Field) -> ColumnType:
        """A whole number, or its envelope."""
        return Text() if field.encrypted else BigInteger()

    def reader(self, field: Field, scope: FieldScope) -> ValueReader:
        """A number, or that many stars."""
        most = self.most(field)

        def read(raw: object) -> Value:
            if raw is None or raw == "":
                return None
            if isinstance(raw, str):
                text = raw.strip()
                if not text:
                    return None
                stars = text.rstrip("☆")
                raw = len(stars) if stars and not stars.strip("★") else int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
            if isinstance(raw, float) and raw.is_integer():
                raw = int(raw)
            if type(raw) is not int or not 1 <= raw <= most:
                return Wrong("builtin_rating", most=most)
            return raw

        return read

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """★★★☆☆"""
        return "" if value is None else "★" * value + "☆" * (self.most(field) - value)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A whole number from one."""
        return {"type": "integer", "minimum": 1, "maximum": self.most(field)}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Some stars."""
        return random.randint(1, self.most(field))

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "" if value is None else "***"


@function("date, date -> integer", help={"zh": "两个日期之间的整年数（年龄）", "en": "Full years between two dates, such as an age"})
def years_between(start: Value, end: Value) -> Value:
    """Negative when the second comes first; someone born on 29 February is a year older on 1 March."""
    if not isinstance(start, date) or not isinstance(end, date):
        return None
    if start > end:
        return -_years(end, start)
    return _years(start, end)


def _years(start: date, end: date) -> int:
    return end.year - start.year - ((end.month, end.day) < (start.month, start.day))


_YES = frozenset({"是", "有", "对", "已", "yes", "y", "true", "1", "√", "✓", "✔"})
_NO = frozenset({"否", "无", "没有", "不", "未", "no", "n", "false", "0", "×", "✗"})


@reader
class YesNo(CellReader):
    """Yes or no as sheets have it: 是, √, 已成, 未定, no."""

    name = "yes_no"
    parts: ClassVar[tuple[str, ...]] = ("value",)
    help: ClassVar[Label] = {"zh": "是或否：是、√、已…、未…", "en": "Yes or no: y, √, true"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """The whole cell first, then the character it begins with."""
        text = "".join(str(cells[0]).split()).casefold()
        for known, value in ((_YES, True), (_NO, False)):
            if text in known:
                return Reading({"value": value})
        for letters, value in (("不没未否无", False), ("是已有", True)):
            if text[:1] and text[0] in letters:
                return Reading({"value": value}, rest=text[1:], differs=True)
        raise Wrong("builtin_yes_no")
