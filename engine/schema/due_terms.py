"""What part of a due rule's condition can narrow the index it is found by: terms that read stored fields of the record and constants, and nothing else.

Such a part holds for a row whatever the moment, the settings or other records, so records that have ended leave the index by themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from engine.expressions.guard import syntax_tree
from engine.schema.tables import StoredField

Stored = Mapping[tuple[str, str], StoredField]

_WORDS = ("true", "false", "null")
_CALLS = ("empty", "exists")
#: Columns whose comparison with a constant would need the time zone.
_TIMES = ("Instant", "Date", "DateTime")
_LISTS = ("JsonList", "JsonValue", "JSON")


def places_of(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(entity, field) pairs a due rule waits for."""
    due = body.get("on", {}).get("due", ())
    return [(str(place).partition(".")[0], str(place).partition(".")[2]) for place in ((due,) if isinstance(due, str) else due)]


def unindexed(body: Mapping[str, Any], stored: Stored) -> list[tuple[str, str]]:
    """Those of them that no index can find: computed when read, or encrypted. The rule never fires for them."""
    return [place for place in places_of(body) if place not in stored or stored[place].blind]


def kept_terms(entity: str, source: object, stored: Stored) -> str:
    """The part of a condition for the index, as an expression; '' when there is none."""
    if not isinstance(source, str):
        return ""
    try:
        tree = syntax_tree(source)
    except (SyntaxError, ValueError):
        return ""
    terms = _terms(tree)
    return " and ".join(f"({ast.unparse(term)})" if isinstance(term, ast.BoolOp) else ast.unparse(term) for term in terms if _is_kept(entity, term, stored))


def _terms(tree: ast.expr) -> list[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [term for value in tree.values for term in _terms(value)]
    return [tree]


def _is_kept(entity: str, term: ast.expr, stored: Stored) -> bool:
    match term:
        case ast.BoolOp(values=values):
            return all(_is_kept(entity, value, stored) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_kept(entity, operand, stored)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=field)]) if name in _CALLS:
            return _column(entity, field, stored) is not None
        case ast.Name(id=field):
            return _kind(entity, field, stored) == "Boolean"
        case ast.Compare(left=left, comparators=sides):
            fields = [node.id for node in (left, *sides) if isinstance(node, ast.Name) and node.id not in _WORDS]
            rest = [node for node in (left, *sides) if not isinstance(node, ast.Name)]
            return bool(fields) and all(_compared(entity, field, stored) for field in fields) and all(_is_constant(node) for node in rest)
    return False


def _compared(entity: str, field: str, stored: Stored) -> bool:
    kind = _kind(entity, field, stored)
    return kind != "" and kind not in _TIMES and kind not in _LISTS


def _column(entity: str, field: str, stored: Stored) -> StoredField | None:
    found = stored.get((entity, field))
    return None if found is None or found.blind else found


def _kind(entity: str, field: str, stored: Stored) -> str:
    found = _column(entity, field, stored)
    return "" if found is None else type(found.type).__name__


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(_is_constant(item) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and not isinstance(node.value, bool)
