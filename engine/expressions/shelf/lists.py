"""Functions over lists: membership, size, lists made of values, and what is reckoned over a column of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from engine.expressions.functions import Column, Function, Site, SqlFace, by_typing, count
from engine.expressions.nodes import Call, Items, Node
from engine.expressions.problems import refuse
from engine.expressions.sql_types import json_size
from engine.expressions.types import ANY, INTEGER, TEXT, Type

Value = Any


def _list_wanted(node: Node) -> None:
    if not (node.type.listed or node.type.dynamic or node.type.name in ("rows", "null")) or node.type.sealed:
        raise refuse(node.column, "list_wanted", type=str(node.type))


def _has(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    """``has(list, x)`` is ``x in list``."""
    count(function, column, args, 2, 2)
    _list_wanted(args[0])
    return site.member("in", args[1], args[0], column)


def _size_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, 1)
    _list_wanted(args[0])
    return function.call(INTEGER, column, args)


def _size(items: Value) -> int:
    return 0 if items is None else len(items)


def _size_sql(face: SqlFace, call: Call) -> Column:
    return _sized(face, call.args[0])


def _sized(face: SqlFace, node: Node) -> Column:
    if isinstance(node, Items) and not node.of_unknown:
        total: Column = sa.literal(0, sa.BigInteger)
        for part in node.items:
            total = total + (_sized(face, part) if part.type.listed else sa.case((face.value(part).is_not(None), 1), else_=0))
        return total
    return json_size(face.dialect, face.value(node))


def _list(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    sealed = next((node for node in args if node.type.sealed), None)
    if sealed is not None:
        raise refuse(sealed.column, "sealed", type=function.name)
    return site.list_of(column, args)


def _total(numbers: Value) -> Value:
    return sum(item for item in numbers or () if item is not None)


def _top(numbers: Value) -> Value:
    there = [item for item in numbers or () if item is not None]
    return max(there) if there else None


def _low(numbers: Value) -> Value:
    there = [item for item in numbers or () if item is not None]
    return min(there) if there else None


def _of_column(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, 1)
    _list_wanted(args[0])
    element = args[0].type.element if args[0].type.listed else ANY
    wanted = element.numeric if function.name == "total" else element.ordered
    if not (wanted or element.dynamic):
        raise refuse(args[0].column, "numbers_wanted", type=str(element), operator=function.name)
    return function.call(INTEGER if element.dynamic and function.name == "total" else element, column, args)


def _pick_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 4, 4)
    _list_wanted(args[0])
    rows, by, value, of = args[0], site.coercion.to(args[1], TEXT), args[2], site.coercion.to(args[3], TEXT)
    return function.call(ANY, column, (rows, by, value, of))


def _pick(rows: Value, by: Value, value: Value, of: Value) -> Value:
    """The value of column ``of`` in the first row whose column ``by`` is ``value``; 0 when the column holds numbers and there is no such row, else empty."""
    found = [row for row in rows or () if isinstance(row, Mapping)]
    for row in found:
        if row.get(by) == value:
            return row.get(of)
    numbers = [row.get(of) for row in found if row.get(of) is not None]
    return 0 if numbers and all(isinstance(item, int) and not isinstance(item, bool) for item in numbers) else None


def _people_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, 1)
    return function.call(Type("people"), column, (site.coercion.to(args[0], Type("choice", of="role")),))


def _people(environment: Any, role: Value) -> list[int]:
    return [] if role is None else list(environment.people(role))


LISTS = (
    Function("has", "(list, T) -> boolean", {"zh": "列表里有这一项", "en": "the list holds the item"}, _has, by_typing),
    Function("size", "(list) -> integer", {"zh": "项数", "en": "number of items"}, _size_typing, _size, _size_sql, nullable=False, nesting=12),
    Function(
        "list", "(T or list...) -> list", {"zh": "组成列表，去掉空值并展开", "en": "a list of the values, empties dropped, lists flattened"}, _list, by_typing
    ),
    Function("total", "(list) -> number", {"zh": "一列之和", "en": "sum of a column"}, _of_column, _total),
    Function("top", "(list) -> T", {"zh": "一列中最大的", "en": "greatest of a column"}, _of_column, _top),
    Function("low", "(list) -> T", {"zh": "一列中最小的", "en": "least of a column"}, _of_column, _low),
    Function("pick", "(rows, column, value, column) -> T", {"zh": "在若干行中查一个值", "en": "looks a value up in rows"}, _pick_typing, _pick),
    Function(
        "people",
        "(role) -> people",
        {"zh": "担任此角色的在职人员", "en": "active people who have the role"},
        _people_typing,
        _people,
        in_environment=True,
        volatile=True,
    ),
)
