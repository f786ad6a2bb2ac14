"""Phone numbers: one normal form for all the ways they are written (mobile, landline, Hong Kong, Macau, Taiwan), with the extension apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa

from engine.fields.base import DIFFERS, EMPTY, EQUALS, FILLED, WRONG_KIND, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.masks import area_length
from engine.fields.scope import FieldScope
from engine.fields.tokens import text_tokens
from metadata.definitions import Field
from metadata.text import Label

_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_NORMAL_MOBILE = re.compile(r"\+861[3-9][0-9]{9}")
_AREA_NUMBER = r"(?:(?:10|2[0-9])[2-9][0-9]{7}|[3-9][0-9]{2}[2-9][0-9]{6,7})"
_LANDLINE = re.compile(_AREA_NUMBER)
_ABROAD = re.compile(r"\+(?:852[2-9][0-9]{7}|853[268][0-9]{7}|886[2-9][0-9]{7,8})")
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?e\+?[0-9]{1,2}", re.IGNORECASE)
_EXTENSION = re.compile(r"[\s,;(-]*(?:转接?|分机号?|;?ext[.=:]?|x(?=[0-9])|#)\s*[:.]?\s*([0-9]{1,6})\s*[)#]*$", re.IGNORECASE)
_DASHED = re.compile(r"\(?(0[0-9]{2,3})[)\s-]*([0-9]{7,8})\s*-\s*([0-9]{1,6})")
_ZEROS, _DIGIT = re.compile(r"\.0+$"), re.compile(r"[0-9]")
_NOISE = re.compile("[\\s().\\[\\]{}_/'’‘`\"“”+,:-]|[\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
#: The JSON form: the normal form, or a bare mobile number, or a landline with its area code.
JSON_PATTERN = r"^(?:(?:\+86)?1[3-9][0-9]{9}|(?:\+86|0)" + _AREA_NUMBER + r"|\+852[2-9][0-9]{7}|\+853[268][0-9]{7}|\+886[2-9][0-9]{7,8})(?:;ext=[0-9]{1,6})?$"
_JSON = re.compile(JSON_PATTERN)


_INVALID, _PRECISION = Wrong("phone_invalid"), Wrong("phone_precision_lost")


class PhoneNumber(NamedTuple):
    """A number in its normal form (+8613800138000) and its extension ('' when there is none)."""

    number: str
    extension: str = ""

    @property
    def value(self) -> str:
        """The typed value: the number, with ``;ext=N`` when there is an extension (RFC 3966)."""
        return f"{self.number};ext={self.extension}" if self.extension else self.number


def read_phone(text: str) -> PhoneNumber | Wrong:
    """The number in a text; Wrong ``phone_precision_lost`` for 1.38E+10, ``phone_invalid`` for anything that is no number of a person."""
    if len(text) > 80:
        return _INVALID
    plain = unicodedata.normalize("NFKC", text).strip().lstrip("'’‘`").strip()
    if _SCIENTIFIC.fullmatch(plain):
        return _PRECISION
    extension = ""
    found, dashed = _EXTENSION.search(plain), _DASHED.fullmatch(plain)
    if found:
        extension, plain = found[1], plain[: found.start()]
    elif dashed:
        plain, extension = dashed[1] + dashed[2], dashed[3]
    plain = _ZEROS.sub("", plain.strip())
    international = plain.lstrip("( ").startswith("+")
    digits = _NOISE.sub("", plain)
    if not digits.isdigit() and _DIGIT.search(digits):
        digits = digits.replace("o", "0").replace("O", "0")
    number = _normal(digits, international) if digits.isascii() and digits.isdigit() else None
    return PhoneNumber(number, extension) if number else _INVALID


def _normal(digits: str, international: bool) -> str | None:
    if digits.startswith("00"):
        international, digits = True, digits[2:]
    if international and (abroad := f"+{digits}") and _ABROAD.fullmatch(abroad):
        return abroad
    national = digits.removeprefix("86") if digits.startswith("86") and len(digits) > 11 else digits
    bare = national.removeprefix("0")
    if _MOBILE.fullmatch(bare) and (not international or national != digits):
        return f"+86{bare}"
    if (national.startswith("0") or national != digits) and _LANDLINE.fullmatch(bare):
        return f"+86{bare}"
    return None


def _value(text: str) -> str | Wrong:
    found = read_phone(text)
    return found if isinstance(found, Wrong) else found.value


def phone_text(value: str, locale: str = "zh") -> str:
    """The number as people write it: 13800138000, 0571-88881234 转 801, +852 61234567."""
    number, _, extension = value.partition(";ext=")
    if number.startswith("+86"):
        national = number[3:]
        area = area_length(national)
        text = national if _MOBILE.fullmatch(national) else f"0{national[:area]}-{national[area:]}"
    else:
        text = f"{number[:4]} {number[4:]}"
    if not extension:
        return text
    return f"{text} 转 {extension}" if locale.startswith("zh") else f"{text} ext {extension}"


class Phone(FieldType):
    """A phone number in its normal form; people type it as they like, see it plainly, and find it by the full number or its last four digits."""

    name = "phone"
    title: ClassVar[Label] = {"zh": "电话", "en": "Phone"}
    help: ClassVar[Label] = {"zh": "自动去空格、补区号，可脱敏和加密", "en": "Normalised; may be masked and encrypted"}
    group = "special"
    icon = "phone"
    widget = "phone"
    sortable = False
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, DIFFERS, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "last4": option(
            {"type": "boolean"},
            ("可按后四位查找", "Found by its last four digits"),
            ("加密字段另存后四位的盲索引，会暴露各后四位出现的次数", "An encrypted field keeps a blind index of them, which shows how often each occurs"),
        )
    }
    default_mask = "phone"

    def expression_type(self, field: Field) -> str:
        """text"""
        return "text"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The normal form, or its envelope."""
        return sa.Text()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Mobile numbers fast, everything else through the whole normalisation."""
        fast, normal = _MOBILE.fullmatch, _NORMAL_MOBILE.fullmatch

        def read(raw: object) -> Value:
            if type(raw) is str:
                if fast(raw):
                    return "+86" + raw
                if normal(raw):
                    return raw
                if raw.isdigit() and len(raw) < 7:
                    return _INVALID
                return _value(raw) if raw.strip() else None
            if raw is None:
                return None
            if isinstance(raw, int | float) and not isinstance(raw, bool) and abs(raw) < 1e15:
                return _value(str(int(raw)) if raw == int(raw) else str(raw))
            return _INVALID

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """The normal form, a bare mobile number, or a landline with area code."""
        read, fits, fast = self.reader(field, scope), _JSON.match, _MOBILE.fullmatch

        def strict(raw: object) -> Value:
            if type(raw) is str:
                if fast(raw):
                    return "+86" + raw
                if not fits(raw) and (text := raw.strip()) and (text is raw or not fits(text)):
                    return _INVALID
            elif raw is not None:
                return WRONG_KIND
            return read(raw)

        return strict

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """As people write it."""
        return "" if value is None else phone_text(value, locale)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Text, so that no digit is lost."""
        return None if value is None else phone_text(value)

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """As people write it."""
        return "" if value is None else phone_text(value)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string."""
        return {"type": "string", "pattern": JSON_PATTERN, "maxLength": 40}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A mobile number."""
        return f"1{random.choice('3456789')}{random.randint(0, 999_999_999):09d}"

    def blind(self, value: Value, field: Field) -> str:
        """The number without its extension."""
        return str(value).partition(";ext=")[0]

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Pieces of the digits, only of a number that is neither masked nor encrypted."""
        if value is None or not field.search or field.encrypted or field.mask:
            return ()
        return text_tokens("phone", str(value).partition(";ext=")[0])
