"""Ranges of amounts and numbers (``300-400万``, ``三百万以内``, ``140+``, ``总价400万，首付120万``). Exact; knows no trade: labels come from the options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from engine.fields.amounts import CHINESE_NUMERAL, UNITS, number_of
from engine.fields.base import INTEGER_LIMIT, Wrong
from engine.readers.base import CellReader, Reading, ReadingScope
from engine.readers.cells import cell_text, folded, is_nothing
from metadata.text import Label

_NUMERAL = rf"(?:[0-9]+(?:,[0-9]{{3}})*(?:\.[0-9]+)?|[{CHINESE_NUMERAL}]+)"
_UNIT = r"(?:百万|千万|[十百千]?万|[kKwW千百万亿])?亿?"
_ONE = re.compile(rf"(?P<number>{_NUMERAL})\s*(?P<unit>{_UNIT})")
_RANGE = re.compile(
    rf"(?P<low>{_NUMERAL})\s*(?P<low_unit>{_UNIT})\s*[^0-9{CHINESE_NUMERAL}a-zA-Z]{{0,3}}?\s*(?:-+|~+|–|—+|至|到|\.\.+)\s*[¥$]?\s*"
    rf"(?P<high>{_NUMERAL})\s*(?P<high_unit>{_UNIT})"
)
_NEIGHBOURS = re.compile(r"(?P<first>[一二两三四五六七八])(?P<second>[二两三四五六七八九])(?P<place>[十百千]?)(?P<unit>[万亿])")
_ORDER = "一二三四五六七八九"
_CLAUSE = re.compile(r"[;。\n、]|,(?![0-9]{3}(?:[^0-9]|$))")
_AFTER_MIN = re.compile(r"^\s*(?:[^\s0-9]{0,3}?)(?:以上|之上|起步?|\+|往上|多)")
_AFTER_MAX = re.compile(r"^\s*(?:[^\s0-9]{0,3}?)(?:以内|以下|之内|之下|内|封顶|为限|到顶)")
_AFTER_ABOUT = re.compile(r"^\s*(?:[^\s0-9]{0,3}?)(?:左右|上下|出头|前后)")
_BEFORE_MIN = re.compile(r"(?:>=?|≥|至少|不低于|不少于|最少|最低|大于|超过|高于)\s*$")
_BEFORE_MAX = re.compile(r"(?:<=?|≤|不超过?|最多|最高|至多|上限|低于|小于|少于|控制在)\s*$")
_BEFORE_ABOUT = re.compile(r"(?:约|大约|大概|差不多|近|将近|≈|±)\s*$")
#: A bare number at least this large is an amount written out, whatever unit is usual.
_WRITTEN_OUT = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """What one clause says: bounds (None = open), whether it is vague or its unit was guessed, and the text around it."""

    low: Decimal | None
    high: Decimal | None
    about: bool = False
    inferred: bool = False
    before: str = ""
    after: str = ""


def read_span(clause: str, unit: str = "") -> Span | None:
    """The bounds a clause gives; None when no number is in it. ``unit`` (万, 千 …) is taken for a number without one."""
    near = _neighbours(clause)
    if near is not None:
        return near
    found = _RANGE.search(clause)
    if found:
        high_unit = found["high_unit"]
        low, high = _value(found["low"], found["low_unit"] or high_unit), _value(found["high"], high_unit)
        if low is None or high is None:
            return None
        bare = not high_unit and not found["low_unit"]
    else:
        found = _ONE.search(clause)
        if not found:
            return None
        low = high = _value(found["number"], found["unit"])
        if low is None or high is None:
            return None
        bare = not found["unit"] and not (set(found["number"]) & set("万亿萬億"))
    before, after = clause[: found.start()], clause[found.end() :]
    inferred = bool(unit) and bare and max(low, high) < _WRITTEN_OUT
    if inferred:
        low, high = low * UNITS[unit], high * UNITS[unit]
    return _bounded(low, high, before, after, inferred, single=found.re is _ONE)


def _value(number: str, unit: str) -> Decimal | None:
    value = number_of(f"{number}{unit}")
    return value if value is None or value < Decimal(10) ** 18 else None


def _neighbours(clause: str) -> Span | None:
    """``三四百万``: between two neighbouring figures."""
    found = _NEIGHBOURS.search(clause)
    if not found:
        return None
    first, second = (_ORDER.find(found[name].replace("两", "二")) for name in ("first", "second"))
    if second != first + 1:
        return None
    low, high = (number_of(f"{found[name]}{found['place']}{found['unit']}") for name in ("first", "second"))
    return Span(low, high, about=True, before=clause[: found.start()], after=clause[found.end() :])


def _bounded(low: Decimal, high: Decimal, before: str, after: str, inferred: bool, single: bool) -> Span:
    """Words around the number open one side or make it vague."""
    if low > high:
        low, high = high, low
    least: Decimal | None = low
    most: Decimal | None = high
    about = False
    for pattern, at_end, meaning in (
        (_AFTER_ABOUT, True, "about"),
        (_AFTER_MIN, True, "min"),
        (_AFTER_MAX, True, "max"),
        (_BEFORE_ABOUT, False, "about"),
        (_BEFORE_MAX, False, "max"),
        (_BEFORE_MIN, False, "min"),
    ):
        found = pattern.search(after if at_end else before)
        if not found:
            continue
        if at_end:
            after = after[found.end() :]
        else:
            before = before[: found.start()]
        about = about or meaning == "about"
        if single and meaning == "min":
            most = None
        elif single and meaning == "max":
            least = None
    return Span(least, most, about, inferred, before, after)


def _clauses(cells: Sequence[Any]) -> list[str]:
    return [clause for cell in cells for clause in _CLAUSE.split(folded(cell_text(cell))[:300]) if clause.strip()]


class AmountRangeReader(CellReader):
    """A span of money: least and most, in minor units; amounts after the words in ``labels`` become parts of that name."""

    name = "amount_range"
    parts: ClassVar[tuple[str, ...]] = ("min", "max")
    help: ClassVar[Label] = {
        "zh": "金额区间：300-400万、三百万以内、350W、总价400万，首付120万（参数 unit、labels）",
        "en": "A span of money (options unit, labels); one number gives both ends",
    }

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Warnings: ``approx``, ``unit_inferred``. What was not understood is the rest; nothing understood: Wrong ``amount_unread``."""
        unit = str(options.get("unit") or "")
        labels = [str(label) for label in options.get("labels") or ()]
        digits = int(options.get("digits", 2))
        parts: dict[str, Any] = {}
        warnings: dict[str, None] = {}
        rest: list[str] = []
        for clause in _clauses(cells):
            span = None if is_nothing(clause) else read_span(clause, unit if unit in UNITS else "")
            if span is None:
                rest.append(clause.strip())
                continue
            label = next((label for label in labels if label in span.before), "")
            if label:
                parts[label] = _minor(span.high if span.high is not None else span.low, digits)
            elif "min" not in parts and "max" not in parts:
                parts |= {word: _minor(value, digits) for word, value in (("min", span.low), ("max", span.high)) if value is not None}
            else:
                rest.append(clause.strip())
                continue
            warnings |= dict.fromkeys(code for code, holds in (("approx", span.about), ("unit_inferred", span.inferred)) if holds)
            left = span.after.strip(" 元块钱圆¥rmbRMB()[]的吧")
            if left:
                rest.append(left)
        if not parts:
            raise Wrong("amount_unread")
        return Reading(parts, tuple(warnings), "，".join(rest))


def _minor(value: Decimal | None, digits: int) -> int:
    amount = (value or Decimal(0)).scaleb(digits)
    whole = int(amount)
    if whole != amount or abs(whole) > INTEGER_LIMIT:
        raise Wrong("amount_unread")
    return whole


_MEASURES = re.compile(
    r"平方米|平米|平方|平|m\^?2|sqm|㎡|公里|千米|厘米|km|cm|m|米|公斤|千克|kg|斤|吨|岁|人|个月|个|间|套|年|月|天|小时|分钟|%|℃", re.IGNORECASE
)


class NumberRangeReader(CellReader):
    """A span of plain numbers: least and most; units of measure after them are passed over."""

    name = "number_range"
    parts: ClassVar[tuple[str, ...]] = ("min", "max", "unit")
    help: ClassVar[Label] = {"zh": "数值区间：100-120㎡、140+、120 左右", "en": "A span of numbers; one number gives both ends"}

    def read(self, cells: Sequence[Any], options: Mapping[str, Any], scope: ReadingScope) -> Reading:
        """Warnings: ``approx``. Nothing understood: Wrong ``number_unread``."""
        parts: dict[str, Any] = {}
        rest: list[str] = []
        about = False
        for clause in _clauses(cells):
            measure = _MEASURES.search(clause)
            span = None if is_nothing(clause) else read_span(_MEASURES.sub(" ", clause))
            if span is None or parts:
                rest.append(clause.strip())
                continue
            parts = {word: _number(value) for word, value in (("min", span.low), ("max", span.high)) if value is not None}
            if measure:
                parts["unit"] = measure[0]
            about = span.about
            rest += [left for left in (span.before.strip(" :()约"), span.after.strip(" ()")) if left]
        if not parts:
            raise Wrong("number_unread")
        return Reading(parts, ("approx",) if about else (), "，".join(rest))


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
