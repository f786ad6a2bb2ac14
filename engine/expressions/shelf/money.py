"""Exact parts of money: integers throughout, whatever their size, a negative amount the mirror of its positive. Python only."""

from __future__ import annotations

from typing import Any

from engine.expressions.functions import Function, Site, count, declared
from engine.expressions.nodes import Node
from engine.expressions.types import INTEGER, MONEY, PERCENT

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


def _portion_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    """A share of whole numbers is a whole number, of basis points basis points, of anything else money."""
    count(function, column, args, 3, 3)
    kept = args[0].type if args[0].type in (INTEGER, PERCENT) else MONEY
    shares = [node if node.type in (INTEGER, MONEY, PERCENT) else site.coercion.to(node, INTEGER) for node in args[1:]]
    return function.call(kept, column, (site.coercion.to(args[0], kept), *shares))


AMOUNTS = (
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
        "(T, share, whole) -> T",
        {"zh": "金额、整数或比例按份额取整（舍去）", "en": "an amount, a whole number or basis points x share / whole, rounded towards zero"},
        _portion_typing,
        _portion,
    ),
)
