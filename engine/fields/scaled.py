"""Whole numbers that stand for decimals (minor units, basis points, places of a scale): read exactly from texts and doubles, written as people read them."""

from __future__ import annotations

from decimal import Decimal

from engine.fields.amounts import number_of
from engine.fields.base import Wrong


def grouped(value: int, places: int = 0) -> str:
    """A whole number scaled by 10^places as people read it: 328765432 with 2 places is 3,287,654.32; zeros at the end stay."""
    if not places:
        return f"{value:,}"
    whole, rest = divmod(abs(value), 10**places)
    return f"{'-' if value < 0 else ''}{whole:,}.{rest:0{places}d}"


def unscaled(value: int, places: int) -> int | float:
    """The JSON number of a scaled integer: 1250 with 2 places is 12.5."""
    if not places:
        return value
    factor: int = 10**places
    whole, rest = divmod(value, factor)
    return whole if not rest else value / factor


_INVALID, EXPECTED, _WHOLE = Wrong("number_invalid"), Wrong("number_expected"), Wrong("integer_expected")


def scaled_float(raw: float, places: int) -> int | Wrong:
    """The scaled integer of a double that stands for exactly one decimal at the scale; Wrong for any other, NaN and infinity included."""
    if not -1e16 < raw < 1e16:
        return _INVALID
    factor: int = 10**places
    candidate = round(raw * factor)
    return candidate if candidate / factor == raw else Wrong("number_scale", scale=places)


def scaled_text(raw: str, places: int) -> int | Wrong | None:
    """The scaled integer of what a person typed; None when nothing stands there, Wrong when no such number does."""
    text = raw.strip()
    if not text:
        return None
    if text.isascii():
        if text.isdigit() and len(text) < 17:
            factor: int = 10**places
            return int(text) * factor
        if text.isalpha():
            return _INVALID if places else _WHOLE
    value = number_of(text)
    if value is None:
        return _INVALID if places else _WHOLE
    return scaled_decimal(value, places)


def scaled_decimal(value: Decimal, places: int) -> int | Wrong:
    """The scaled integer of an exact number; Wrong when it has more places."""
    scaled = value.scaleb(places)
    whole = int(scaled)
    if whole != scaled:
        return _WHOLE if places == 0 else Wrong("number_scale", scale=places)
    return whole


def scaled(raw: object, places: int) -> int | Wrong:
    """The scaled integer of a number that is no plain int."""
    if isinstance(raw, float):
        if not places and not (abs(raw) < 1e16 and raw.is_integer()):
            return _WHOLE
        return scaled_float(raw, places)
    if isinstance(raw, Decimal) and raw.is_finite() and raw.adjusted() < 20:
        return scaled_decimal(raw, places)
    return EXPECTED


def grouped_short(value: int, places: int) -> str:
    """``grouped`` without zeros at the end: 89.50 is 89.5 and 89.00 is 89."""
    text = grouped(value, places)
    return text.rstrip("0").rstrip(".") if places else text
