"""Twelve mistakes a compiler of expressions could have, each planted while its context is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from engine.expressions import binds, sql_rewrites
from engine.expressions.nodes import Arithmetic, Compare, Literal, Logic
from engine.expressions.operations import CONTRARY
from engine.expressions.shelf import FUNCTIONS
from engine.expressions.to_sql import Compiler
from engine.expressions.types import DOUBLE

Mutant = Callable[[], Any]

_arithmetic, _convert, _holds = Compiler._arithmetic, Compiler._convert, Compiler.holds
_equal, _bounds = Compiler._equal, sql_rewrites._bounds


def integer_division() -> Any:
    """``7 / 2`` is 3."""

    def arithmetic(self: Compiler, node: Arithmetic) -> Any:
        if node.op != "div":
            return _arithmetic(self, node)
        whole = [sa.cast(self.value(side), sa.BigInteger) for side in (node.left, node.right)]
        return sa.cast(whole[0] // sa.func.nullif(whole[1], 0, type_=sa.BigInteger), sa.Double)

    return patch.object(Compiler, "_arithmetic", arithmetic)


def different_forgets_empties() -> Any:
    """``x != 'a'`` leaves out the rows where x is empty."""

    def equal(self: Compiler, column: Any, left: Any, right: Any, other: Any, positive: bool) -> Any:
        return _equal(self, column, left, right, other, positive) if positive else column != other

    return patch.object(Compiler, "_equal", equal)


def negated_order_forgets_empties() -> Any:
    """``not (x < 3)`` leaves out the rows where x is empty."""
    return patch.object(Compiler, "absent", lambda self, node: [])


def negation_keeps_and() -> Any:
    """``not (a and b)`` becomes ``not a and not b``."""

    def holds(self: Compiler, node: Any, positive: bool = True) -> Any:
        if isinstance(node, Logic):
            return (sa.and_ if node.op == "and" else sa.or_)(*(self.holds(part, positive) for part in node.parts))
        return _holds(self, node, positive)

    return patch.object(Compiler, "holds", holds)


def bound_is_one_off() -> Any:
    """``days_since(x) > n`` is compiled as ``>= n``."""

    def bounds(compiler: Any, node: Compare, bound: Any) -> Any:
        return bound("ge", 0) if node.op == "gt" else _bounds(compiler, node, bound)

    return patch.object(sql_rewrites, "_bounds", bounds)


@contextmanager
def contains_is_like() -> Iterator[None]:
    """``contains`` by LIKE: % and _ stand for anything, case does not matter on SQLite."""
    function = FUNCTIONS["contains"]
    kept = function.holds

    def like(face: Any, call: Any, positive: bool) -> Any:
        term = face.value(call.args[0]).like(sa.literal("%", sa.String).concat(face.value(call.args[1])).concat("%"))
        return term if positive else term.is_not(sa.true())

    object.__setattr__(function, "holds", like)
    try:
        yield
    finally:
        object.__setattr__(function, "holds", kept)


def not_in_forgets_empties() -> Any:
    """``x not in (…)`` leaves out the rows where x is empty."""
    among = Compiler._among

    def wrong(self: Compiler, item: Any, items: Any, positive: bool) -> Any:
        return among(self, item, items, True) if positive else sa.not_(among(self, item, items, True))

    return patch.object(Compiler, "_among", wrong)


def link_that_leads_nowhere() -> Any:
    """Conditions over a link never hold where there is no link."""
    return patch.object(sql_rewrites, "_holds_when_absent", lambda compiler, node: False)


def scale_is_forgotten() -> Any:
    """A whole number is compared with a decimal without being scaled."""

    def convert(self: Compiler, node: Any, part: Any, factor: int) -> Any:
        return _convert(self, node, part, factor) if node.type == DOUBLE else self.value(part)

    return patch.object(Compiler, "_convert", convert)


def parentheses_are_lost() -> Any:
    """``a - (b - c)`` becomes ``a - b - c``."""

    def arithmetic(self: Compiler, node: Arithmetic) -> Any:
        if node.op != "sub" or isinstance(node.right, Literal):
            return _arithmetic(self, node)
        return sa.type_coerce(self.value(node.left).op("-")(self.value(node.right)), sa.BigInteger())

    return patch.object(Compiler, "_arithmetic", arithmetic)


def days_are_those_of_utc() -> Any:
    """Local days begin at midnight UTC."""
    known = binds._zone_value
    return patch.object(binds, "_zone_value", lambda part, zone: "UTC" if part == "name" else known(part, zone))


def order_is_not_turned() -> Any:
    """``not (x < y)`` becomes ``x > y``."""
    return patch.dict(CONTRARY, {"lt": "gt", "le": "gt", "gt": "lt", "ge": "lt"})  # type: ignore[arg-type]


MUTANTS: tuple[Mutant, ...] = (
    integer_division,
    different_forgets_empties,
    negated_order_forgets_empties,
    negation_keeps_and,
    bound_is_one_off,
    contains_is_like,
    not_in_forgets_empties,
    link_that_leads_nowhere,
    scale_is_forgotten,
    parentheses_are_lost,
    days_are_those_of_utc,
    order_is_not_turned,
)
