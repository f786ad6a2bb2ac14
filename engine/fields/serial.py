"""Serial numbers: the template ``KH{yyyy}{mm}-{0000}`` says how one is written and when counting starts anew. Drawing one is the writer's business."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.base import EMPTY, EQUALS, FILLED, STARTS, FieldType, Operator, Reader, Value, Wrong, option
from engine.fields.scope import FieldScope
from engine.fields.text import NO_NUL, checked_text
from engine.fields.tokens import text_tokens
from metadata.definitions import Field
from metadata.text import Label

_PART = re.compile(r"\{([^{}]*)\}")
_DATES = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d"}
#: What a template must look like, for the definition's schema.
TEMPLATE_PATTERN = r"^[^{}]*(?:\{(?:yyyy|yy|mm|dd)\}[^{}]*)*\{0{1,12}\}[^{}]*(?:\{(?:yyyy|yy|mm|dd)\}[^{}]*)*$"


@dataclass(frozen=True, slots=True)
class SerialTemplate:
    """A parsed template. ``text`` is a format string over ``year`` parts and ``number``; ``period_format`` names the counter's period ('' = one for all time)."""

    pieces: tuple[tuple[str, str], ...]  # ("text" | "date" | "number", content)
    digits: int

    def period(self, day: date) -> str:
        """The counter's period on a day of the workspace: ``202603`` for a template with year and month, '' for one without dates."""
        return "".join(f"{day:{content}}" for kind, content in self.pieces if kind == "date")

    def write(self, day: date, number: int) -> str:
        """The serial number of a drawn number; more digits than the template has are written out."""
        counted = f"{number:0{self.digits}d}"
        return "".join(content if kind == "text" else counted if kind == "number" else f"{day:{content}}" for kind, content in self.pieces)


def parse_template(template: str) -> SerialTemplate:
    """The template; raises Wrong ``serial_template`` when it has no counter, two, or an unknown part."""
    if not re.match(TEMPLATE_PATTERN, template):
        raise Wrong("serial_template", template=template)
    pieces: list[tuple[str, str]] = []
    digits = position = 0
    for found in _PART.finditer(template):
        if found.start() > position:
            pieces.append(("text", template[position : found.start()]))
        if found[1] in _DATES:
            pieces.append(("date", _DATES[found[1]]))
        else:
            digits = len(found[1])
            pieces.append(("number", ""))
        position = found.end()
    if position < len(template):
        pieces.append(("text", template[position:]))
    return SerialTemplate(tuple(pieces), digits)


class Serial(FieldType):
    """A running number drawn when a record is made: gaps are possible, the order is certain. People do not type it; an import may bring old ones."""

    name = "serial"
    title: ClassVar[Label] = {"zh": "流水号", "en": "Serial number"}
    group = "special"
    icon = "list-numbers"
    widget = "serial"
    required_options = ("template",)
    operators: ClassVar[tuple[Operator, ...]] = (EQUALS, STARTS, EMPTY, FILLED)
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "template": option(
            {"type": "string", "maxLength": 60, "pattern": TEMPLATE_PATTERN},
            ("编号规则", "Template"),
            (
                "文字加 {yyyy} {yy} {mm} {dd} 与一个计数 {0000}；每个周期重新计数",
                "Text with {yyyy} {yy} {mm} {dd} and one counter {0000}; counting starts anew with each period",
            ),
        )
    }

    def template(self, field: Field) -> SerialTemplate:
        """The parsed template of a field."""
        return parse_template(str(field.options["template"]))

    def expression_type(self, field: Field) -> str:
        """text"""
        return "text"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """Text."""
        return sa.Text()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """A short text."""

        def read(raw: object) -> Value:
            if raw is None:
                return None
            text = checked_text(raw)
            if isinstance(text, Wrong):
                return text
            value = text.strip()
            if len(value) > 60:
                return Wrong("text_too_long", maximum=60, length=len(value))
            return value or None

        return read

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string."""
        return {"type": "string", "maxLength": 60, "pattern": NO_NUL}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A number of the template."""
        return self.template(field).write(date(2025, random.randint(1, 12), 1), random.randint(1, 9999))

    def search_tokens(self, value: Value, field: Field) -> Sequence[str]:
        """As a text."""
        if value is None or not field.search or field.encrypted or field.mask:
            return ()
        return text_tokens("text", str(value))


__all__ = ["Serial", "SerialTemplate", "parse_template"]
