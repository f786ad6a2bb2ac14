"""Exact parts of money: integers throughout, whatever their size, a negative amount the mirror of its positive. Python only."""

from __future__ import annotations

from typing import Any

from engine.expressions.functions import Function, declared

Value = Any


def _half_up(amount: int, share: int, whole: int) -> int:
    """amount x share / whole, rounded half away from zero."""
    negative = (amount < 0) != (share < 0)
    found = (2 * abs(amount) * abs(share) + whole) // (2 * whole)
    return -found if negative else found


def _part(amount: Value, points: Value) -> Value:
    return None if amount is None or points is None else _half_up(amount, points, 10_000)


def _rate(amount: Value, ppm: Value) -> Value:
    return None if amount is None or ppm is None else _half_up(amount, ppm, 1_000_000)


def _portion(amount: Value, share: Value, whole: Value) -> Value:
    """floor(amount x share / whole), mirrored; empty when the whole is nothing."""
    if amount is None or share is None or not whole:
        return None
    negative = ((amount < 0) != (share < 0)) != (whole < 0)
    found = abs(amount) * abs(share) // abs(whole)
    return -found if negative else found


MONEY = (
    Function(
        "part",
        "(money, basis points) -> money",
        {"zh": "金额的万分之几，四舍五入", "en": "basis points of an amount, half up"},
        declared("money, percent|integer -> money"),
        _part,
    ),
    Function(
        "rate",
        "(money, ppm) -> money",
        {"zh": "金额的百万分之几，四舍五入", "en": "millionths of an amount, half up"},
        declared("money, integer -> money"),
        _rate,
    ),
    Function(
        "portion",
        "(money, share, whole) -> money",
        {"zh": "按份额取整（舍去）", "en": "amount x share / whole, rounded towards zero"},
        declared("money, integer|money|percent, integer|money|percent -> money"),
        _portion,
    ),
)
