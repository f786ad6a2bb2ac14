"""What operators do to values in Python: two-valued, never raising; empty in, empty (or false) out. Types have been checked before."""

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from engine.expressions.types import LIMIT, Type

Value = Any

#: What ``squeeze`` drops: Unicode white space, the zero-width space and the byte order mark.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200C))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
_DROP = dict.fromkeys(map(ord, WHITE_SPACE))


def equal(left: Value, right: Value) -> bool:
    """Empty equals empty only."""
    return bool(left == right)


def different(left: Value, right: Value) -> bool:
    """The contrary of ``equal``: true when one side is empty and the other is not."""
    return bool(left != right)


def less(left: Value, right: Value) -> bool:
    """False when a side is empty, as all orderings."""
    return left is not None and right is not None and bool(left < right)


def at_most(left: Value, right: Value) -> bool:
    """``<=``"""
    return left is not None and right is not None and bool(left <= right)


def greater(left: Value, right: Value) -> bool:
    """``>``"""
    return left is not None and right is not None and bool(left > right)


def at_least(left: Value, right: Value) -> bool:
    """``>=``"""
    return left is not None and right is not None and bool(left >= right)


def within(item: Value, items: Value) -> bool:
    """Whether a value is one of a list's; false when either is empty."""
    return item is not None and items is not None and item in items


def not_within(item: Value, items: Value) -> bool:
    """The contrary of ``within``."""
    return not within(item, items)


def add(left: Value, right: Value) -> Value:
    """Sum, empty if a side is."""
    return None if left is None or right is None else left + right


def subtract(left: Value, right: Value) -> Value:
    """Difference, empty if a side is."""
    return None if left is None or right is None else left - right


def multiply(left: Value, right: Value) -> Value:
    """Product; an integer beyond LIMIT is empty, since the databases could not hold it."""
    if left is None or right is None:
        return None
    product = left * right
    return None if product.__class__ is int and not -LIMIT <= product <= LIMIT else product


def divide(left: Value, right: Value) -> Value:
    """Quotient of doubles; empty when divided by zero."""
    return None if left is None or not right else left / right


def negate(value: Value) -> Value:
    """The negative."""
    return None if value is None else -value


def convert(value: Value, factor: int, double: bool) -> Value:
    """A number scaled up by ``factor``, or as a double divided by it."""
    if value is None:
        return None
    if double:
        return float(value) / factor if factor != 1 else float(value)
    return multiply(value, factor)


def squeeze(text: Value) -> Value:
    """A text without any white space."""
    return None if text is None else text.translate(_DROP)


def is_of(value: Value, kind: Type) -> bool:
    """Whether a value has the Python form of a type."""
    if kind.exact or kind.linked:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind.name == "double":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.listed or kind.name == "rows":
        return isinstance(value, list)
    if kind.name == "date":
        return isinstance(value, date) and not isinstance(value, datetime)
    known = {"boolean": bool, "instant": datetime, "text": str, "choice": str, "region": str, "calendar": Mapping}.get(kind.name)
    return known is None or isinstance(value, known)


COMPARISONS: Mapping[str, Callable[[Value, Value], bool]] = {
    "eq": equal,
    "ne": different,
    "lt": less,
    "le": at_most,
    "gt": greater,
    "ge": at_least,
    "in": within,
    "not_in": not_within,
}
ARITHMETIC: Mapping[str, Callable[[Value, Value], Value]] = {"add": add, "sub": subtract, "mul": multiply, "div": divide}

#: ``not (a op b)`` as another operator, where a side cannot be empty; and ``a op b`` read from the right.
CONTRARY: Mapping[str, str] = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "in": "not_in", "not_in": "in"}
MIRROR: Mapping[str, str] = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
ORDERINGS: Mapping[str, Callable[[Any, Any], Any]] = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
