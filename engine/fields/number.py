"""Numbers: integer, decimal, money, percent. All are whole numbers inside (scaled, minor units, basis points), so that sums are exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any, ClassVar

import sqlalchemy as sa

from engine.fields.amounts import number_of
from engine.fields.base import (
    AT_LEAST,
    AT_MOST,
    BETWEEN,
    DIFFERS,
    EMPTY,
    EQUALS,
    FILLED,
    INTEGER_LIMIT,
    UNIT_OPTION,
    FieldType,
    Operator,
    Option,
    Reader,
    Value,
    Writer,
    Wrong,
    option,
    stored_as,
)
from engine.fields.scaled import EXPECTED, grouped_short, scaled, scaled_text, unscaled
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label, label_text

NUMBER_OPERATORS = (EQUALS, DIFFERS, AT_LEAST, AT_MOST, BETWEEN, EMPTY, FILLED)
#: Fifteen digits: as many as a JSON number (a double) always carries unchanged.
SCALED_LIMIT = 999_999_999_999_999


def bounds_options(zh: str = "", en: str = "") -> dict[str, Option]:
    """Smallest and largest value as options, said to be in a unit."""
    return {"minimum": option({"type": "number"}, ("最小值", "Smallest"), (zh, en)), "maximum": option({"type": "number"}, ("最大值", "Largest"), (zh, en))}


_UNIT: Mapping[str, Option] = {"unit": UNIT_OPTION}
#: Signs that stand at the number itself.
_TIGHT = ("%", "‰", "°")


class Number(FieldType):
    """What the number types share: a whole number scaled by ``places``, its bounds, how it is typed and shown. Not a type by itself."""

    json_types: ClassVar[tuple[type, ...]] = (int, float)
    operators: ClassVar[tuple[Operator, ...]] = NUMBER_OPERATORS
    align = "end"
    widget = "number"
    limit: ClassVar[int] = INTEGER_LIMIT

    def places(self, field: Field) -> int:
        """Decimal places of what people see."""
        return 0

    def json_places(self, field: Field) -> int:
        """Decimal places of the JSON number."""
        return 0

    def bounds(self, field: Field) -> tuple[int, int]:
        """Smallest and largest typed value; the definition's bounds are in units of the JSON form."""
        factor = 10 ** self.json_places(field)
        low, high = field.options.get("minimum"), field.options.get("maximum")
        return (
            -self.limit if low is None else max(-self.limit, -int(-Decimal(str(low)) * factor // 1)),
            self.limit if high is None else min(self.limit, int(Decimal(str(high)) * factor // 1)),
        )

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """A 64-bit integer."""
        return stored_as(field, sa.BigInteger())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """JSON numbers in the unit of the JSON form; texts in the unit people see."""
        return self._reader(field, self.json_places(field), self.typed)

    def typed(self, text: str, places: int) -> int | Wrong | None:
        """What a person typed, as a scaled integer."""
        return scaled_text(text, places)

    def _reader(self, field: Field, number_places: int, typed: Callable[[str, int], int | Wrong | None]) -> Reader:
        lowest, highest = self.bounds(field)
        places, factor = self.places(field), 10**number_places
        shown = self.json_places(field)

        def read(raw: object) -> Value:
            if type(raw) is int:
                value: int = raw * factor
            elif raw is None:
                return None
            else:
                found = typed(raw, places) if isinstance(raw, str) else scaled(raw, number_places)
                if found is None or isinstance(found, Wrong):
                    return found
                value = found
            if value < lowest:
                return Wrong("number_too_small", minimum=grouped_short(lowest, places or shown))
            if value > highest:
                return Wrong("number_too_large", maximum=grouped_short(highest, places or shown))
            return value

        return read

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A number in a cell is what people see: yuan, not fen."""
        return self._reader(field, self.places(field), self.typed)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """With thousands separators and the unit."""
        if value is None:
            return ""
        text = grouped_short(value, self.places(field))
        unit = label_text(field.options.get("unit"), locale)
        return f"{text}{'' if unit[:1] in _TIGHT else ' '}{unit}" if unit else text

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The number people see."""
        return None if value is None else unscaled(value, self.places(field))

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The number people see, without separators."""
        return "" if value is None else grouped_short(value, self.places(field)).replace(",", "")

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """A JSON number."""
        return None if value is None else unscaled(value, self.json_places(field))

    def json_writer(self, field: Field, scope: FieldScope) -> Writer | None:
        """None where the number is stored as it is written."""
        places = self.json_places(field)
        return (lambda value: unscaled(value, places)) if places else None

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A number with its bounds and step."""
        places = self.json_places(field)
        low, high = self.bounds(field)
        schema: dict[str, object] = {"type": "number" if places else "integer", "minimum": unscaled(low, places), "maximum": unscaled(high, places)}
        if places:
            schema["multipleOf"] = 10**-places
        return schema

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A number of everyday size within the bounds."""
        low, high = self.bounds(field)
        factor = 10 ** self.places(field)
        start = max(low, 0) if high > 0 else low
        return unscaled(min(high, random.randint(start, min(high, start + 200 * factor))), self.json_places(field))

    def mask(self, value: Value, field: Field) -> str:
        """Nothing of a number is shown."""
        return "" if value is None else "***"


class Integer(Number):
    """A whole number; with a ``scale`` people type and see it divided by ten to that power: 8000 with scale 4 and the unit % is 0.8%."""

    name = "integer"
    title: ClassVar[Label] = {"zh": "整数", "en": "Whole number"}
    icon = "123"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "scale": option(
            {"type": "integer", "minimum": 0, "maximum": 6, "default": 0},
            ("显示的小数位", "Places shown"),
            (
                "填写和显示时除以 10 的几次方；保存、接口和表达式里仍是整数",
                "Typed and shown divided by ten to this power; kept, in JSON and in expressions the whole number",
            ),
        ),
        **bounds_options(),
        **_UNIT,
    }

    def expression_type(self, field: Field) -> str:
        """integer"""
        return "integer"

    def places(self, field: Field) -> int:
        """The ``scale``, none unless said."""
        return int(field.options.get("scale") or 0)


class DecimalNumber(Number):
    """A number with a fixed count of decimal places, held as a whole number scaled by them."""

    name = "decimal"
    title: ClassVar[Label] = {"zh": "小数", "en": "Decimal"}
    icon = "decimal"
    limit = SCALED_LIMIT
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "scale": option({"type": "integer", "minimum": 0, "maximum": 6, "default": 2}, ("小数位", "Decimal places")),
        **bounds_options(),
        **_UNIT,
    }

    def expression_type(self, field: Field) -> str:
        """decimal:SCALE"""
        return f"decimal:{self.places(field)}"

    def places(self, field: Field) -> int:
        """The ``scale``, 2 unless said."""
        scale = field.options.get("scale")
        return 2 if scale is None else int(scale)

    def json_places(self, field: Field) -> int:
        """JSON has the number people see."""
        return self.places(field)


class Percent(Number):
    """A share in basis points (1250 is 12.5 %); people type and see per cent."""

    name = "percent"
    title: ClassVar[Label] = {"zh": "百分比", "en": "Percent"}
    icon = "percentage"
    widget = "percent"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = bounds_options("以万分之一为单位", "In basis points (1/100 of a per cent)")

    def expression_type(self, field: Field) -> str:
        """percent"""
        return "percent"

    def places(self, field: Field) -> int:
        """Two places of a per cent."""
        return 2

    def typed(self, text: str, places: int) -> int | Wrong | None:
        """``12.5``, ``12.5%`` and ``12.5％`` are the same."""
        return scaled_text(text.strip().rstrip("%％").rstrip() or ("x" if text.strip() else ""), places)

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """A spreadsheet holds 12.5 % as 0.125; numbers beyond 1 are per cent already."""
        by_share, by_percent = self._reader(field, 4, self.typed), self._reader(field, 2, self.typed)

        def cell(raw: object) -> Value:
            if isinstance(raw, int | float) and not isinstance(raw, bool) and -1 <= raw <= 1:
                return by_share(round(raw, 6) if isinstance(raw, float) else raw)
            return by_percent(raw)

        return cell

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Text with its sign, so that it cannot be taken for a share."""
        return None if value is None else f"{grouped_short(value, 2)}%"

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """12.5%"""
        return "" if value is None else f"{grouped_short(value, 2)}%"

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """Up to a hundred per cent within the bounds."""
        low, high = self.bounds(field)
        return random.randint(max(low, 0) if high > 0 else low, min(high, max(low, 0) + 10_000))


class Double(Number):
    """The shape of a computed ratio: an inexact number that can be compared and shown, never entered. Not offered to definitions."""

    name = "double"
    title: ClassVar[Label] = {"zh": "比值", "en": "Ratio"}
    group = "derived"
    family = "derived"
    hidden = True

    def expression_type(self, field: Field) -> str:
        """double"""
        return "double"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """Double precision."""
        return sa.Double()

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """Any finite number, for filters."""

        def read(raw: object) -> Value:
            if raw is None or raw == "":
                return None
            value = number_of(raw) if isinstance(raw, str) else raw
            if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not abs(float(value)) < 1e300:
                return EXPECTED
            return float(value)

        return read

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """The same."""
        return self.reader(field, scope)

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The number itself."""
        return value

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """The number itself."""
        return value

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Its digits."""
        return "" if value is None else repr(value)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Two decimals at most."""
        return "" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A number."""
        return {"type": "number"}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A ratio."""
        return round(random.random(), 3)
