"""Chinese identity card numbers: eighteen characters with region, birth date and check character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import DIFFERS, EMPTY, EQUALS, FILLED, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label

_SHAPE = re.compile(r"^[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]$")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_PROVINCES = frozenset(
    {
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    }
)


_INVALID, _BIRTH, _CHECKSUM, _PRECISION = Wrong("id_no_invalid"), Wrong("id_no_birth"), Wrong("id_no_checksum"), Wrong("id_no_precision_lost")


def check_character(first17: str) -> str:
    """The eighteenth character that belongs to the first seventeen (GB 11643)."""
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(first17, _WEIGHTS, strict=True)) % 11]


def read_id_no(text: str) -> str | Wrong:
    """The number with its check character in upper case; Wrong with what is the matter: its form, its date, or a digit."""
    plain = "".join(unicodedata.normalize("NFKC", text).split()).upper().lstrip("'’")
    if not _SHAPE.match(plain) or plain[:2] not in _PROVINCES:
        return _INVALID
    if birth_date(plain) is None:
        return _BIRTH
    return plain if check_character(plain[:17]) == plain[17] else _CHECKSUM


def birth_date(number: str) -> date | None:
    """The date of birth in a number; None when the calendar has none such."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


class IdNumber(FieldType):
    """An identity card number: checked, masked; usually encrypted, found by the full number."""

    name = "id_no"
    title: ClassVar[Label] = {"zh": "身份证号", "en": "ID number"}
    help: ClassVar[Label] = {"zh": "校验 18 位号码，建议加密", "en": "18 characters, checked; better encrypted"}
    group = "special"
    icon = "id"
    sortable = False
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, DIFFERS, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"last4": option({"type": "boolean"}, ("可按后四位查找", "Found by its last four characters"))}
    default_mask = "id"

    def expression_type(self, field: Field) -> str:
        """text"""
        return "text"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The number, or its envelope."""
        return sa.Text()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Form, date of birth and check character."""

        def read(raw: object) -> Value:
            if raw is None:
                return None
            if isinstance(raw, float):
                return _PRECISION
            if isinstance(raw, int) and not isinstance(raw, bool) and 0 < raw < 10**18:
                raw = str(raw)
            if not isinstance(raw, str) or len(raw) > 60:
                return _INVALID
            return read_id_no(raw) if raw.strip() else None

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """The eighteen characters without spaces or full-width digits."""
        read = super().json_reader(field, scope)

        def strict(raw: object) -> Value:
            if isinstance(raw, str) and raw.strip() and not _SHAPE.match(raw.strip()):
                return _INVALID
            return read(raw)

        return strict

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string; the check character and the calendar are beyond a pattern: format ``cn-id``."""
        return {"type": "string", "pattern": _SHAPE.pattern, "format": "cn-id"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A number that fits itself and belongs to nobody's file."""
        born = date(1960, 1, 1) + timedelta(days=random.randrange(16_000))
        first17 = f"{random.choice(('110101', '310101', '330106', '440106'))}{born:%Y%m%d}{random.randint(0, 999):03d}"
        return first17 + check_character(first17)

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Never by a part (SECURITY R2)."""
        return ()
