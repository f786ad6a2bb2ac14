"""Rewrites that let indexes work: time since a column becomes a bound on the column, a condition over a link becomes a subselect of ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.expressions.coercion import is_null
from engine.expressions.nodes import Arithmetic, Call, Compare, Convert, Field, Hop, LinkField, Literal, Logic, Negative, Node, Not, mapped, reads_row, walk
from engine.expressions.operations import MIRROR
from engine.expressions.shelf.spans import DAY_START, SHIFTED
from engine.expressions.types import BOOLEAN, INSTANT, INTEGER

if TYPE_CHECKING:
    from engine.expressions.to_sql import Compiler

Column = sa.ColumnElement[Any]


def rewrite(compiler: Compiler, node: Compare, positive: bool) -> Column | None:
    """The better form of a comparison; None when there is none."""
    turned = _turned(node)
    if turned is not None:
        better = _elapsed_bound(compiler, turned) or _day_bound(compiler, turned)
        if better is not None:
            return compiler.holds(better, positive)
    return over_link(compiler, node, positive)


def _turned(node: Compare) -> Compare | None:
    """The comparison with what reads the row on the left; None when both sides do."""
    if not reads_row(node.right):
        return node
    if reads_row(node.left) or node.op not in MIRROR:
        return None
    return Compare(node.type, node.column, MIRROR[node.op], node.right, node.left)


def _elapsed_bound(compiler: Compiler, node: Compare) -> Node | None:
    """``days_since(column) > n`` as ``column <= now - (n + 1) days``, and so on for every difference with one side in the row."""
    call = node.left
    if not (isinstance(call, Call) and call.function.name == "elapsed") or node.op not in MIRROR:
        return None
    since, until, unit = call.args
    if reads_row(since) == reads_row(until) or not isinstance(unit, Literal):
        return None
    ago = reads_row(since)
    item, fixed, seconds = (since, until, -unit.value) if ago else (until, since, unit.value)

    def bound(op: str, more: int) -> Node:
        limit = SHIFTED.call(item.type, node.column, (fixed, node.right, Literal(INTEGER, 0, seconds), Literal(INTEGER, 0, more)))
        return Compare(BOOLEAN, node.column, MIRROR[op] if ago else op, item, limit)

    return _bounds(compiler, node, bound)


def _day_bound(compiler: Compiler, node: Compare) -> Node | None:
    """``date_of(column) == day`` as a span of the column between two midnights."""
    call = node.left
    if not (isinstance(call, Call) and call.function.name == "date_of") or node.op not in MIRROR:
        return None
    item = call.args[0]

    def bound(op: str, more: int) -> Node:
        limit = DAY_START.call(INSTANT, node.column, (node.right, Literal(INTEGER, 0, more)))
        return Compare(BOOLEAN, node.column, op, item, limit)

    return _bounds(compiler, node, bound)


def _bounds(compiler: Compiler, node: Compare, bound: Callable[[str, int], Node]) -> Node | None:
    """A comparison of whole units as bounds on what they are counted from; equality only with a value known to be there."""
    match node.op:
        case "ge" | "lt":
            return bound(node.op, 0)
        case "gt":
            return bound("ge", 1)
        case "le":
            return bound("lt", 1)
    if not compiler.never_empty(node.right):
        return None
    both = Logic(BOOLEAN, node.column, "and", (bound("ge", 0), bound("lt", 1)))
    return both if node.op == "eq" else Not(BOOLEAN, node.column, both)


def over_link(compiler: Compiler, node: Node, positive: bool) -> Column | None:
    """``link.field OP value`` as ``link IN (SELECT id … WHERE field OP value)``: for conditions that read one link's record and nothing else of the row.

    Where the condition holds for a record that is not there, the contrary is looked for and the whole turned round.
    """
    links = {item.link for item in walk(node) if isinstance(item, Hop)}
    if len(links) != 1 or any(isinstance(item, Field) for item in walk(node)):
        return None
    absent = _holds_when_absent(compiler, node)
    if absent is None:
        return None
    link = links.pop()
    target, names = compiler.names.hop(link)
    inner = type(compiler)(names, compiler.shape).holds(_inside(node), not absent)
    ids = sa.select(target.c.id).where(inner)
    column = compiler.names.column(link)
    if absent != positive:
        return column.in_(ids)
    return sa.or_(column.is_(None), column.not_in(ids)) if getattr(column, "nullable", True) else column.not_in(ids)


def _holds_when_absent(compiler: Compiler, node: Node) -> bool | None:
    """Whether the condition holds for a link that leads nowhere; None when that is not known before the binds are."""
    match node:
        case Compare(op="lt" | "le" | "gt" | "ge", left=left, right=right):
            return False if _empty_when_absent(left) or _empty_when_absent(right) else None
        case Compare(op="in" | "not_in" as op, left=left, right=right):
            simple = isinstance(left, Hop) or isinstance(right, Hop)
            return (op == "not_in") if simple else None
        case Compare(op="eq" | "ne" as op, left=left, right=right):
            first, second = (left, right) if reads_row(left) else (right, left)
            if not isinstance(first, Hop) or reads_row(second):
                return None
            if is_null(second):
                return op == "eq"
            return (op == "ne") if compiler.never_empty(second) else None
        case Call(function=function, args=(Hop(), *rest)) if function.name in ("empty", "exists", "contains", "startswith") and not any(map(reads_row, rest)):
            return function.name == "empty"
    return None


def _empty_when_absent(node: Node) -> bool:
    """Whether a value is surely empty for a link that leads nowhere."""
    match node:
        case Hop():
            return True
        case Arithmetic(left=left, right=right):
            return _empty_when_absent(left) or _empty_when_absent(right)
        case Convert(part=part) | Negative(part=part):
            return _empty_when_absent(part)
        case Call(function=function, args=args):
            return function.hollow and any(map(_empty_when_absent, args))
    return False


def _inside(node: Node) -> Node:
    """The condition seen from the linked record: its fields bare."""
    if isinstance(node, Hop):
        return (LinkField if node.type.linked else Field)(node.type, node.column, node.key)
    return mapped(node, _inside)
