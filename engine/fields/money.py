"""Money: exact amounts in minor units, typed and shown in the major unit."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import ClassVar

from engine.fields.base import CURRENCY_OPTION, Value
from engine.fields.number import Number, bounds_options
from engine.fields.scaled import grouped, grouped_short
from engine.fields.scope import FieldScope
from metadata.definitions import Field
from metadata.text import Label

_MINOR = {"JPY": 0, "KRW": 0, "VND": 0}
_SIGNS = {"CNY": "¥", "USD": "$", "HKD": "HK$", "EUR": "€", "GBP": "£", "JPY": "¥"}


class Money(Number):
    """An exact amount in minor units (fen), a whole number everywhere; people type and see the major unit, 万 and 亿 included."""

    name = "money"
    title: ClassVar[Label] = {"zh": "金额", "en": "Money"}
    help: ClassVar[Label] = {"zh": "以分存储，可输入 350万、3,287,654.32", "en": "Stored in minor units; 350万 or 3,287,654.32 may be typed"}
    icon = "currency-yuan"
    widget = "money"
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"currency": CURRENCY_OPTION, **bounds_options("以分为单位", "In minor units (fen)")}

    def expression_type(self, field: Field) -> str:
        """money"""
        return "money"

    def currency(self, field: Field) -> str:
        """ISO 4217 code."""
        return str(field.options.get("currency") or "CNY")

    def places(self, field: Field) -> int:
        """Places of the currency's minor unit."""
        return _MINOR.get(self.currency(field), 2)

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """Never rounded: 万 and 亿 (zh) only where two decimals of them say it all; a currency sign in other languages."""
        if value is None:
            return ""
        places, currency = self.places(field), self.currency(field)
        if not locale.startswith("zh"):
            text = grouped(abs(value), places)
            text = text.removesuffix("." + "0" * places) if places else text
            return f"{'-' if value < 0 else ''}{_SIGNS.get(currency, currency + ' ')}{text}"
        text = _in_wan(value, places)
        return text if currency == "CNY" else f"{currency} {text}"

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A round amount within the bounds."""
        low, high = self.bounds(field)
        start = max(low, 0) if high > 0 else low
        value = random.randint(start, min(high, start + 10 ** (self.places(field) + 6)))
        return min(high, max(low, value // 10_000 * 10_000))


def _in_wan(value: int, places: int) -> str:
    unit = 10**places
    for size, word in ((100_000_000, "亿"), (10_000, "万")):
        if abs(value) >= size * unit and value % (size * unit // 100) == 0:
            return f"{grouped_short(value // (size * unit // 100), 2)} {word}"
    text = grouped(value, places)
    return text.removesuffix("." + "0" * places) if places else text
