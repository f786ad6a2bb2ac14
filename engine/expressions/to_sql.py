"""The SQL face: a checked expression as SQLAlchemy elements for SQLite and PostgreSQL, with the same answer as the Python face.

Conditions are compiled in negation normal form: a term is true exactly where the condition holds, otherwise false or NULL, so plain columns
meet plain indexes. What reads no row is computed in Python and bound (binds.py). Comparisons over a link become ``link IN (SELECT id …)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa

from engine.expressions import sql_rewrites
from engine.expressions.binds import GENERAL, Shape, bind_values, bound, name_of, needed_in, shape_of, zone_bound
from engine.expressions.coercion import is_null
from engine.expressions.faces import without_sql
from engine.expressions.language import Expression
from engine.expressions.nodes import (
    Arithmetic,
    Call,
    Choose,
    Compare,
    Convert,
    Field,
    Hop,
    Items,
    Literal,
    Logic,
    MapValue,
    Negative,
    Node,
    Not,
    Space,
    reads_row,
)
from engine.expressions.operations import CONTRARY, ORDERINGS
from engine.expressions.problems import NoSqlFace
from engine.expressions.sql_types import exact_product, json_holds, null_of, sql_type
from engine.expressions.types import BOOLEAN, DOUBLE, TEXT, Type

__all__ = ["GENERAL", "Shape", "SqlNames", "bind_values", "condition", "needed_in", "shape_of", "value"]

Column = sa.ColumnElement[Any]


class SqlNames(Protocol):
    """Where the names of one entity lie in a statement."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def column(self, name: str) -> Column:
        """The column of a field; its ``nullable`` is believed."""

    def hop(self, link: str) -> tuple[sa.FromClause, SqlNames]:
        """The table a link leads to, an alias of its own, and the names there."""

    def blind(self, name: str) -> Column:
        """The blind-index column of an encrypted field."""


def condition(expression: Expression, names: SqlNames, negate: bool = False, shape: Shape = GENERAL) -> sa.ColumnElement[bool]:
    """A WHERE term true exactly where the condition holds (or, negated, where it does not); raises NoSqlFace.

    ``shape`` (binds.shape_of) makes the term simpler for binds known to be empty, true or false; the statement is then kept under that shape.
    """
    _require_sql(expression)
    return Compiler(names, shape).holds(expression.tree, not negate)


def value(expression: Expression, names: SqlNames, shape: Shape = GENERAL) -> Column:
    """The value as a column, NULL for empty; raises NoSqlFace."""
    _require_sql(expression)
    node = expression.tree
    found = Compiler(names, shape).value(node)
    if node.type.textual and not isinstance(node, Field | Hop | Literal | Space):
        found = sa.func.nullif(found, "", type_=sql_type(node.type))
    return found


def _require_sql(expression: Expression) -> None:
    missing = without_sql(expression.tree)
    if missing is not None:
        raise missing


class Compiler:
    """Compiles nodes over one FROM element."""

    def __init__(self, names: SqlNames, shape: Shape = GENERAL) -> None:
        self.names = names
        self.dialect = names.dialect
        self.shape = shape

    # conditions

    def holds(self, node: Node, positive: bool = True) -> Column:
        """A term true exactly where the condition's truth is ``positive``."""
        if not reads_row(node):
            return self._constant(node, positive)
        match node:
            case Logic(op=op, parts=parts):
                terms = [self.holds(part, positive) for part in parts]
                return sa.and_(*terms) if (op == "and") == positive else sa.or_(*terms)
            case Not(part=part):
                return self.holds(part, not positive)
            case Compare():
                return self._compare(node, positive)
            case Call(function=function) if function.holds is not None:
                rewritten = sql_rewrites.over_link(self, node, positive)
                return function.holds(self, node, positive) if rewritten is None else rewritten
        found = self.value(node)
        return found.is_(sa.true()) if positive else found.is_not(sa.true())

    def _constant(self, node: Node, positive: bool) -> Column:
        if isinstance(node, Literal):
            return sa.true() if bool(node.value) == positive else sa.false()
        known = self._known(node)
        if known is not None:
            return sa.true() if (known == "true") == positive else sa.false()
        found = bound(node)
        return found.is_(sa.true()) if positive else found.is_not(sa.true())

    def _known(self, node: Node, **kind: Any) -> str | None:
        """What the shape says of a bind: empty, true, false, set; None when it says nothing."""
        if not self.shape:
            return None
        name = name_of(node, **kind)
        return next((what for key, what in self.shape if key == name), None)

    def _compare(self, node: Compare, positive: bool) -> Column:
        rewritten = sql_rewrites.rewrite(self, node, positive)
        if rewritten is not None:
            return rewritten
        op = node.op if positive else CONTRARY[node.op]
        if node.op in ("in", "not_in"):
            return self._member(node.left, node.right, op == "in")
        if node.op in ("eq", "ne"):
            return self.same(node.left, node.right, op == "eq")
        first, second = self.value(node.left), self.value(node.right)
        if positive:
            return _typed(ORDERINGS[op](first, second))
        return sa.or_(_typed(ORDERINGS[op](first, second)), *self.absent(node.left), *self.absent(node.right))

    def absent(self, node: Node) -> list[Column]:
        """``IS NULL`` of a value, nothing when it is never empty."""
        if not self.nullable(node):
            return []
        if not reads_row(node):
            known = self._known(node)
            return [] if known == "set" else [sa.true()] if known == "empty" else [bound(node).is_(None)]
        return [self.value(node).is_(None)]

    def never_empty(self, node: Node) -> bool:
        """Whether a value that reads no row is there in every run this statement is for."""
        return not self.nullable(node) or self._known(node) in ("set", "true", "false")

    def same(self, left: Node, right: Node, positive: bool) -> Column:
        """Equality with empty equal to empty only."""
        if not reads_row(left):
            left, right = right, left
        if left.type.sealed and not is_null(right):
            return self._equal(self.blind(left), left, right, self._blind_value(right), positive)
        column = self.value(left)
        if is_null(right):
            return column.is_(None) if positive else column.is_not(None)
        return self._equal(column, left, right, self.value(right), positive)

    def _equal(self, column: Column, left: Node, right: Node, other: Column, positive: bool) -> Column:
        sealed = left.type.sealed
        constant = not reads_row(right)
        known = self._known(right, sealed=sealed) if constant and not isinstance(right, Literal) else None
        if known == "empty":
            return column.is_(None) if positive else column.is_not(None)
        if isinstance(right, Literal) or known == "set" or not self.nullable(right):
            if positive:
                return _typed(column == other)
            return sa.or_(column != other, column.is_(None)) if self.nullable(left) else _typed(column != other)
        if not self.nullable(left):
            return _typed(column == other) if positive else sa.or_(column != other, other.is_(None))
        if positive and constant and self.dialect == "postgresql":
            return sa.or_(column == other, sa.and_(other.is_(None), column.is_(None)))
        return column.is_not_distinct_from(other) if positive else column.is_distinct_from(other)

    def blind(self, node: Node) -> Column:
        """The blind index of an encrypted field."""
        match node:
            case Field(key=key):
                return self.names.blind(key)
            case Hop(link=link, key=key):
                return self._over(link, lambda names: names.blind(key))
        raise NoSqlFace("encrypted", node.column)

    def _blind_value(self, node: Node) -> Column:
        return self.blind(node) if reads_row(node) else bound(node, sealed=node.type.sealed)

    def _member(self, item: Node, items: Node, positive: bool) -> Column:
        if not reads_row(items):
            return self._among(item, items, positive)
        if isinstance(items, Items):
            terms = [self._one_of(item, part, positive) for part in items.items if not is_null(part)]
            return sa.or_(sa.false(), *terms) if positive else sa.and_(sa.true(), *terms)
        held = json_holds(self.dialect, self.value(items), self.value(item))
        return held if positive else held.is_not(sa.true())

    def _one_of(self, item: Node, part: Node, positive: bool) -> Column:
        if part.type.listed:
            return self._member(item, part, positive)
        if item.type.sealed:
            first, second = self._blind_value(item), self._blind_value(part)
        else:
            first, second = self.value(item), self.value(part)
        return _typed(first == second) if positive else sa.or_(first != second, *self.absent(item), *self.absent(part))

    def _among(self, item: Node, items: Node, positive: bool) -> Column:
        """Membership in a list that is the same for all rows."""
        sealed = item.type.sealed
        column = self._blind_value(item) if sealed else self.value(item)
        if isinstance(items, Items) and not sealed and all(isinstance(part, Literal) for part in items.items):
            kind = sql_type(item.type)
            values = [part.value for part in items.items if isinstance(part, Literal) and part.value is not None]
            wanted: Any = [sa.bindparam(None, one, type_=kind) for one in values]  # one by one, so that the statement's text never varies
        else:
            if items.type.dynamic or items.type.element.dynamic or sealed:
                items = _with_items(items, item.type)
            if self._known(items, sealed=sealed, expanding=True) == "empty":
                return sa.false() if positive else sa.true()
            wanted = bound(items, sealed=sealed, expanding=True)
        if positive:
            return column.in_(wanted)
        return sa.or_(column.not_in(wanted), column.is_(None)) if self.nullable(item) else column.not_in(wanted)

    # values

    def bound(self, node: Node) -> Column:
        """A value that reads no row."""
        if isinstance(node, Literal):
            found: Column = null_of(node.type) if node.value is None else sa.literal(node.value, sql_type(node.type))
        else:
            found = bound(node)
        return sa.cast(found, sa.Double) if node.type == DOUBLE else found

    def zone(self, part: str) -> Column:
        """The workspace's time zone as a bind."""
        return zone_bound(part)

    def value(self, node: Node) -> Column:
        """The SQL of a value, NULL for empty."""
        if not reads_row(node):
            return self.bound(node)
        match node:
            case Field(key=key):
                return self.names.column(key)
            case Hop(link=link, key=key):
                return self._over(link, lambda names: names.column(key))
            case Arithmetic():
                return self._arithmetic(node)
            case Negative(part=part):
                return -self.value(part)
            case Convert(part=part, factor=factor):
                return self._convert(node, part, factor)
            case Choose(branches=branches, otherwise=otherwise):
                kind = node.type
                return sa.case(*((self.holds(test), self._result(result, kind)) for test, result in branches), else_=self._result(otherwise, kind))
            case MapValue(index=index, codes=codes):
                kept = {code: bound(_replace_index(node, code)) for code in codes}
                return sa.case(kept, value=self.value(index), else_=bound(_replace_index(node, None)))
            case Call(function=function) if function.sql is not None:
                return function.sql(self, node)
        if node.type == BOOLEAN:
            return sa.case((self.holds(node), sa.true()), else_=sa.false())
        raise NoSqlFace(type(node).__name__, node.column)

    def _result(self, node: Node, kind: Type) -> Column:
        return null_of(kind) if is_null(node) else self.value(node)

    def _over(self, link: str, column: Callable[[SqlNames], Column]) -> Column:
        target, names = self.names.hop(link)
        return sa.select(column(names)).where(target.c.id == self.names.column(link)).correlate_except(target).scalar_subquery()

    def _arithmetic(self, node: Arithmetic) -> Column:
        left, right = self.value(node.left), self.value(node.right)
        if node.op == "add":
            return sa.type_coerce(left + right, sql_type(node.type))
        if node.op == "sub":
            return sa.type_coerce(left - right, sql_type(node.type))
        if node.op == "mul":
            return left * right if node.type == DOUBLE else exact_product(self.dialect, left, right)
        return left / sa.func.nullif(right, 0.0, type_=sa.Double)

    def _convert(self, node: Convert, part: Node, factor: int) -> Column:
        if node.type != DOUBLE:
            return exact_product(self.dialect, self.value(part), sa.literal(factor, sa.BigInteger))
        double = sa.cast(self.value(part), sa.Double)
        return double if factor == 1 else double / sa.literal(float(factor), sa.Double)

    def nullable(self, node: Node) -> bool:
        """Whether a value may be empty."""
        match node:
            case Literal(value=found):
                return found is None
            case Field(key=key):
                return bool(getattr(self.names.column(key), "nullable", True))
            case Space(path=("me",)) | Compare() | Logic() | Not():
                return False
            case Call(function=function, args=args):
                return function.nullable and any(map(self.nullable, args)) if function.strict else function.nullable
            case Negative(part=part):
                return self.nullable(part)
            case Convert(part=part) if node.type == DOUBLE:
                return self.nullable(part)
            case Arithmetic(op="add" | "sub", left=left, right=right):
                return self.nullable(left) or self.nullable(right)
        return True


def _typed(term: Any) -> Column:
    return term  # type: ignore[no-any-return]


def _with_items(items: Node, element: Type) -> Node:
    """The same list, its items known to be of a type."""
    kind = Type("list", item=element)
    return Items(kind, items.column, items.items) if isinstance(items, Items) else Items(kind, items.column, (items,))


def _replace_index(node: MapValue, code: str | None) -> MapValue:
    return MapValue(node.type, node.column, node.key, Literal(TEXT, node.column, code))
