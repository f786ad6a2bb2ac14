"""Functions over any value: emptiness, the first that is there, the least and the greatest."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from engine.expressions.functions import Column, Function, Site, SqlFace, by_typing, count
from engine.expressions.nodes import Call, Field, Items, Node
from engine.expressions.problems import refuse
from engine.expressions.sql_types import HIGHEST, LOWEST, json_size, null_of, sql_type
from engine.expressions.types import BOOLEAN, NULL

Value = Any


def _is_empty(value: Value) -> bool:
    return value is None or value == "" or value == []


def _is_there(value: Value) -> bool:
    return not (value is None or value == "" or value == [])


def _any_value(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, 1)
    return function.call(BOOLEAN, column, args)


def _empty_holds(face: SqlFace, call: Call, positive: bool) -> Column:
    """Stored texts are never of no length, so a field is empty exactly when it is NULL, and an index can say so."""
    node = call.args[0]
    if isinstance(node, Items):
        parts = [_empty_holds(face, Call(BOOLEAN, call.column, EMPTY, (part,)), positive) for part in node.items]
        return sa.and_(sa.true(), *parts) if positive else sa.or_(sa.false(), *parts)
    column = face.value(node)
    if node.type.listed:
        size = json_size(face.dialect, column)
        return size == 0 if positive else size > 0
    if node.type.textual and not isinstance(node, Field):
        return sa.func.coalesce(column, sa.literal("", sa.String)) == "" if positive else column != ""
    return column.is_(None) if positive else column.is_not(None)


def _exists_holds(face: SqlFace, call: Call, positive: bool) -> Column:
    return _empty_holds(face, call, not positive)


def _same_kind(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, None)
    kind, brought = site.coercion.common(args)
    if kind.sealed:
        raise refuse(column, "sealed", type=function.name)
    if kind.listed:
        return function.call(kind, column, args)
    return function.call(kind, column, brought)


def _coalesce(*values: Value) -> Value:
    for value in values:
        if not _is_empty(value):
            return value
    return None


def _coalesce_sql(face: SqlFace, call: Call) -> Column:
    columns = [face.value(node) for node in call.args]
    if call.type.textual:
        columns = [
            sa.func.nullif(column, "", type_=sa.String) if not isinstance(node, Field) else column for node, column in zip(call.args, columns, strict=True)
        ]
    if len(columns) == 1:
        return columns[0]
    return sa.func.coalesce(*columns, type_=sql_type(call.type))


def _case(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 3, None)
    if len(args) % 2 == 0:
        raise refuse(column, "argument_count", function=function.name, signature=function.signature, given=len(args))
    return site.choose(column, args)


def _extreme(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, None)
    kind, brought = site.coercion.common(args)
    if not (kind.ordered or kind.dynamic or kind == NULL) or kind.sealed:
        raise refuse(column, "not_ordered", type=str(kind), operator=function.name)
    return function.call(kind, column, brought)


def _least(*values: Value) -> Value:
    there = [value for value in values if value is not None]
    return min(there) if there else None


def _greatest(*values: Value) -> Value:
    there = [value for value in values if value is not None]
    return max(there) if there else None


def _extreme_sql(face: SqlFace, call: Call, name: str) -> Column:
    """PostgreSQL's own functions leave out NULL; on SQLite a value beyond all others stands for it."""
    columns = [face.value(node) for node in call.args]
    kind = sql_type(call.type)
    if len(columns) == 1:
        return columns[0]
    if call.type == NULL:
        return null_of(call.type)
    if face.dialect == "postgresql":
        return (sa.func.least if name == "min" else sa.func.greatest)(*columns, type_=kind)
    beyond = (HIGHEST if name == "min" else LOWEST)[call.type.name if call.type.name in ("date", "double") else "integer"]
    filled = [sa.func.coalesce(column, beyond, type_=kind) for column in columns]
    extreme = (sa.func.min if name == "min" else sa.func.max)(*filled, type_=kind)
    return sa.func.nullif(extreme, beyond, type_=kind)


EMPTY = Function(
    "empty",
    "(any) -> boolean",
    {"zh": "没有值（空文本、空列表也算）", "en": "has no value (empty text and empty list included)"},
    _any_value,
    _is_empty,
    holds=_empty_holds,
    nesting=8,
)
VALUES = (
    EMPTY,
    Function("exists", "(any) -> boolean", {"zh": "有值", "en": "has a value"}, _any_value, _is_there, holds=_exists_holds, nesting=8),
    Function(
        "coalesce", "(T...) -> T", {"zh": "第一个有值的", "en": "the first that has a value"}, _same_kind, _coalesce, _coalesce_sql, passes=True, nesting=7
    ),
    Function(
        "case",
        "(boolean, T, ..., T) -> T",
        {"zh": "第一个条件成立者的结果，否则取最后一个", "en": "the result of the first true condition, else the last"},
        _case,
        by_typing,
    ),
    Function(
        "min",
        "(T...) -> T",
        {"zh": "最小的值（忽略空值）", "en": "the least value, empties ignored"},
        _extreme,
        _least,
        lambda face, call: _extreme_sql(face, call, "min"),
        passes=True,
        nesting=10,
    ),
    Function(
        "max",
        "(T...) -> T",
        {"zh": "最大的值（忽略空值）", "en": "the greatest value, empties ignored"},
        _extreme,
        _greatest,
        lambda face, call: _extreme_sql(face, call, "max"),
        passes=True,
        nesting=10,
    ),
)
