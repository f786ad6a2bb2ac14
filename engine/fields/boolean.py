"""Yes and no, and the words people use for them."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import EMPTY, EQUALS, FILLED, FieldType, Operator, Reader, Value, Wrong, stored_as
from engine.fields.lists import spelling
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label

_TRUE = frozenset({"是", "有", "对", "真", "已", "yes", "y", "true", "t", "1", "on", "√", "✓", "✔", "x"})
_FALSE = frozenset({"否", "无", "没有", "不", "不是", "错", "假", "未", "no", "n", "false", "f", "0", "off", "×", "✗"})


_EXPECTED = Wrong("boolean_expected")


class Boolean(FieldType):
    """Yes or no; empty counts as no in conditions."""

    name = "boolean"
    title: ClassVar[Label] = {"zh": "是否", "en": "Yes or no"}
    group = "choice"
    icon = "checkbox"
    widget = "boolean"
    json_types = (bool,)
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, EMPTY, FILLED)

    def expression_type(self, field: Field) -> str:
        """boolean"""
        return "boolean"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """A boolean."""
        return stored_as(field, sa.Boolean())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """true and false, and the words people use."""

        def read(raw: object) -> Value:
            if raw is True or raw is False or raw is None:
                return raw
            if isinstance(raw, str):
                text = spelling(raw)
                if not text:
                    return None
                if text in _TRUE:
                    return True
                if text in _FALSE:
                    return False
            elif isinstance(raw, int | float) and raw in (0, 1):
                return bool(raw)
            return _EXPECTED

        return read

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """是 or 否"""
        if value is None:
            return ""
        if locale.startswith("zh"):
            return "是" if value else "否"
        return "Yes" if value else "No"

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """是 or 否"""
        return None if value is None else "是" if value else "否"

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """``true`` or ``false``, ``""`` for empty."""
        return "" if value is None else "true" if value else "false"

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A boolean."""
        return {"type": "boolean"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Either."""
        return random.random() < 0.5

    def mask(self, value: Value, field: Field) -> str:
        """Nothing is left."""
        return "" if value is None else "***"
