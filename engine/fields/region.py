"""Regions and addresses as field types. The table of regions is regions.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields import regions
from engine.fields.base import DIFFERS, EMPTY, EQUALS, FILLED, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.scope import FieldScope
from engine.fields.text import NO_NUL, Text
from engine.fields.tokens import text_tokens
from metadata.definitions import Field
from metadata.text import Label


class Region(FieldType):
    """A province, city or county by its six-digit code; chosen step by step, or written."""

    name = "region"
    title: ClassVar[Label] = {"zh": "省市区", "en": "Region"}
    group = "special"
    icon = "map-2"
    widget = "region"
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, DIFFERS, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "level": option(
            {"enum": list(regions.LEVELS)}, ("精确到", "Down to"), ("可选到哪一级；较粗的总是可以", "How deep the steps go; less is always accepted")
        )
    }

    def expression_type(self, field: Field) -> str:
        """region"""
        return "region"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """The code."""
        return sa.Text()

    def _allowed(self, field: Field) -> frozenset[str]:
        deepest = str(field.options.get("level") or "county")
        return frozenset(regions.LEVELS[: regions.LEVELS.index(deepest) + 1])

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A code, or a place name that means one region."""
        allowed = self._allowed(field)

        def read(raw: object) -> Value:
            if raw is None:
                return None
            if isinstance(raw, int) and not isinstance(raw, bool):
                raw = str(raw)
            if not isinstance(raw, str) or len(raw) > 60:
                return Wrong("region_unknown", value=str(raw)[:60])
            text = raw.strip()
            if not text:
                return None
            codes = (text,) if text in regions.names() else regions.find(text)
            if len(codes) != 1:
                return Wrong("region_ambiguous" if codes else "region_unknown", value=text)
            if regions.level(codes[0]) not in allowed:
                return Wrong("region_too_deep", value=text)
            return codes[0]

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A code."""
        read = super().json_reader(field, scope)

        def strict(raw: object) -> Value:
            if isinstance(raw, str) and raw.strip() and raw.strip() not in regions.names():
                return Wrong("region_unknown", value=raw[:60])
            return read(raw)

        return strict

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """浙江省 杭州市 西湖区"""
        return "" if value is None else regions.full_name(value)

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The full name where it leads back to the code."""
        if value is None:
            return None
        name = regions.full_name(value)
        return name if regions.find(name) == (value,) else value

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """Six digits; which of them exist is format ``cn-region``."""
        pattern = {"province": "^[1-9][0-9]0000$", "city": "^[1-9][0-9]{3}00$"}.get(str(field.options.get("level")), "^[1-9][0-9]{5}$")
        return {"type": "string", "pattern": pattern, "format": "cn-region"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Some county, or as deep as the field goes."""
        code = random.choice([code for code in regions.names() if regions.level(code) == str(field.options.get("level") or "county")])
        return code

    def mask(self, value: Value, field: Field) -> str:
        """The province stays."""
        return "" if value is None else f"{regions.full_name(regions.path(value)[0])}***" if value in regions.names() else "***"

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """Of the full name."""
        if value is None or not field.search or field.encrypted or field.mask:
            return ()
        return text_tokens(field.search, regions.full_name(value))

    def searched(self, value: Value, field: Field) -> Sequence[str]:
        """The full name."""
        return () if value is None else (regions.full_name(value),)


class Address(Text):
    """A postal address as one text; given as a text, or as ``{"region": code, "detail": text}``, which is put together."""

    name = "address"
    title: ClassVar[Label] = {"zh": "地址", "en": "Address"}
    group = "special"
    icon = "map-pin"
    widget = "address"
    longest = 300
    json_types = (str, dict)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"maxLength": Text.options["maxLength"]}

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A text, or its parts."""
        read, place = super().reader(field, scope), Region().reader(Field("region", "region"), scope)

        def address(raw: object) -> Value:
            if not isinstance(raw, dict):
                return read(raw)
            if not set(raw) <= {"region", "detail"}:
                return Wrong("address_parts")
            code, detail = place(raw.get("region")), read(raw.get("detail"))
            if isinstance(code, Wrong) or isinstance(detail, Wrong):
                return code if isinstance(code, Wrong) else detail
            return read(f"{regions.full_name(code, '') if code else ''}{detail or ''}")

        return address

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A text, or an object whose region is a code."""
        read, code = super().json_reader(field, scope), Region().json_reader(Field("region", "region"), scope)

        def strict(raw: object) -> Value:
            if isinstance(raw, dict):
                wrong, detail = code(raw.get("region")), raw.get("detail")
                if isinstance(wrong, Wrong):
                    return wrong
                if detail is not None and not isinstance(detail, str):
                    return Wrong("text_expected")
            return read(raw)

        return strict

    def parts(self, value: Value) -> tuple[str, str]:
        """(region code or '', the rest) of an address."""
        if not value:
            return "", ""
        codes, rest = regions.split(str(value))
        return (codes[0], rest) if len(codes) == 1 else ("", str(value))

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string, or its two parts."""
        text: dict[str, object] = {"type": "string", "maxLength": self.limit(field), "pattern": NO_NUL}
        region = {"anyOf": [Region().json_schema(Field("region", "region"), scope), {"type": "null"}]}
        return {
            "anyOf": [text, {"type": "object", "additionalProperties": False, "properties": {"region": region, "detail": {"anyOf": [text, {"type": "null"}]}}}]
        }

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A street and number that do not exist."""
        return f"浙江省杭州市西湖区晨光路{random.randint(1, 400)}号"[: self.limit(field)]

    def mask(self, value: Value, field: Field) -> str:
        """The region stays unless another mask is named."""
        if field.mask:
            return super().mask(value, field)
        code, _ = self.parts(value)
        return f"{regions.full_name(code, '')}***" if code else "***" if value else ""
