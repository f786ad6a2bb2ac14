"""Lengths of time in whole seconds: ISO 8601 durations, the few words people use for them, and their field type. Months and years have no fixed length and
are refused."""

import re
import unicodedata
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import AT_LEAST, AT_MOST, EMPTY, EQUALS, FILLED, FieldType, Operator, Reader, Value, Wrong, accepted, stored_as
from engine.fields.moment import matching
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label

_ISO = re.compile(r"([+-]?)P(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?", re.ASCII)
#: The JSON form, as a pattern that also stands in the JSON Schema.
ISO_PATTERN = r"^[+-]?P(?=[0-9T])([0-9]{1,5}W)?([0-9]{1,6}D)?(T(?=[0-9])([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}S)?)?$"
_WORDS = re.compile(r"(\d{1,6})\s*(周|星期|天|日|个?小时|时|分钟?|秒钟?|weeks?|days?|hours?|h|minutes?|min|seconds?|s|d)", re.ASCII)
_SECONDS = {
    "周": 604_800,
    "星期": 604_800,
    "天": 86_400,
    "日": 86_400,
    "小时": 3600,
    "个小时": 3600,
    "时": 3600,
    "分": 60,
    "分钟": 60,
    "秒": 1,
    "秒钟": 1,
    "week": 604_800,
    "day": 86_400,
    "d": 86_400,
    "hour": 3600,
    "h": 3600,
    "minute": 60,
    "min": 60,
    "second": 1,
    "s": 1,
}


_INVALID = Wrong("duration_invalid")


def parse_duration(text: str) -> int:
    """The seconds of an ISO 8601 text as definitions have it; raises Wrong for anything else."""
    return int(accepted(_iso_seconds, text))


def _iso_seconds(text: str) -> int | Wrong:
    found = _ISO.fullmatch(text)
    if not found or not any(found.groups()[1:]) or text.endswith("T"):
        return _INVALID
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    total = (weeks * 7 + days) * 86_400 + hours * 3600 + minutes * 60 + seconds
    return -total if found[1] == "-" else total


def _parts(seconds: int) -> tuple[int, int, int, int]:
    days, rest = divmod(abs(seconds), 86_400)
    return days, rest // 3600, rest % 3600 // 60, rest % 60


def iso(seconds: int) -> str:
    """The canonical text: days, hours, minutes, seconds; ``PT0S`` for nothing."""
    days, *rest = _parts(seconds)
    time_part = "".join(f"{number}{letter}" for number, letter in zip(rest, "HMS", strict=True) if number)
    if not days and not time_part:
        return "PT0S"
    return f"{'-' if seconds < 0 else ''}P{f'{days}D' if days else ''}{'T' + time_part if time_part else ''}"


def read_duration(text: str) -> int | Wrong:
    """The seconds of what a person typed: ISO 8601, or words such as ``3天``, ``2小时30分``, ``45 min``; Wrong for anything else."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.lstrip("+-")[:1] in ("P", "p"):
        return _iso_seconds(plain.upper())
    plain = plain.lower().replace("半小时", "30分钟")
    position = total = 0
    for found in _WORDS.finditer(plain):
        if plain[position : found.start()].strip():
            return _INVALID
        position = found.end()
        total += int(found[1]) * _SECONDS[found[2] if found[2] in _SECONDS else found[2].removesuffix("s")]
    return _INVALID if position == 0 or plain[position:].strip() else total


def duration_words(seconds: int, locale: str) -> str:
    """Seconds as people say them: 1 天 2 小时, 1 day 2 hours."""
    chinese = locale.startswith("zh")
    words = ("天", "小时", "分钟", "秒") if chinese else ("day", "hour", "minute", "second")
    parts = [f"{number} {word}{'s' if not chinese and number != 1 else ''}" for number, word in zip(_parts(seconds), words, strict=True) if number]
    if not parts:
        return "0 分钟" if chinese else "0 minutes"
    return ("-" if seconds < 0 else "") + " ".join(parts)


class DurationType(FieldType):
    """A length of time in whole seconds; ISO 8601 in JSON, words for people. Days are 24 hours; months have no fixed length."""

    name = "duration"
    title: ClassVar[Label] = {"zh": "时长", "en": "Duration"}
    icon = "hourglass"
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, AT_LEAST, AT_MOST, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    def expression_type(self, field: Field) -> str:
        """duration"""
        return "duration"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """Seconds."""
        return stored_as(field, sa.BigInteger())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """ISO 8601 or words."""

        def read(raw: object) -> Value:
            if raw is None:
                return None
            if not isinstance(raw, str) or len(raw) > 60:
                return _INVALID
            return read_duration(raw) if raw.strip() else None

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """ISO 8601 only."""
        return matching(self.reader(field, scope), re.compile(ISO_PATTERN), _INVALID)

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """ISO 8601."""
        return None if value is None else iso(value)

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Chinese words, which ``read`` knows."""
        return "" if value is None else iso(value) if value <= 0 else duration_words(value, "zh")

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """As in a form."""
        return self.to_form(value, field, scope) or None

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """3 天 2 小时"""
        return "" if value is None else duration_words(value, locale)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string."""
        return {"type": "string", "pattern": ISO_PATTERN, "maxLength": 60}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Hours or days."""
        return random.choice((f"P{random.randint(1, 30)}D", f"PT{random.randint(1, 23)}H", "P1W", "PT15M"))

    def plain(self, value: Value, field: Field) -> str:
        """Its seconds."""
        return str(value)

    def from_plain(self, text: str, field: Field) -> Value:
        """The seconds again."""
        return int(text)

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "" if value is None else "***"
