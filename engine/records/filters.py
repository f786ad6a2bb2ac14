"""Filter rows people build on a screen, as expression text and back; reading them from the query string. What they mean is query.py's business."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from engine.errors import Fault, Invalid
from engine.expressions.guard import syntax_tree
from engine.fields.base import FieldType, Operator

Literal = str | int | float | bool | None

_VALUE = "value__"
_VALUE2 = "value2__"
_FIELD = "field__"


@dataclass(frozen=True, slots=True)
class FilterRow:
    """One line of a filter: a field, an operator's key and its values (as the expression language writes them: codes, ISO dates, numbers)."""

    field: str
    operator: str
    values: tuple[Literal, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterGroup:
    """Rows joined by ``and`` or ``or``; a group may hold groups, one level deep."""

    join: str = "and"
    items: tuple["FilterRow | FilterGroup", ...] = ()


def literal(value: object) -> str:
    """A value as the expression language writes it; instants and dates as ISO text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date):
        return repr(value.isoformat())
    return repr(str(value))


def to_text(group: FilterGroup, types: Mapping[str, FieldType]) -> str:
    """The expression text of a filter. Raises Invalid naming each unknown field or operator; an empty filter is ``""``."""
    faults: list[Fault] = []
    text = _group_text(group, types, faults, "")
    if faults:
        raise Invalid("filter_invalid", faults=faults)
    return text


def _group_text(group: FilterGroup, types: Mapping[str, FieldType], faults: list[Fault], pointer: str) -> str:
    parts = []
    for index, item in enumerate(group.items):
        place = f"{pointer}/{index}"
        part = _row_text(item, types, faults, place) if isinstance(item, FilterRow) else _group_text(item, types, faults, place)
        if part:
            parts.append(part)
    if len(parts) < 2:
        return "".join(parts)
    return f" {'or' if group.join == 'or' else 'and'} ".join(f"({part})" if " and " in part or " or " in part else part for part in parts)


def _row_text(row: FilterRow, types: Mapping[str, FieldType], faults: list[Fault], pointer: str) -> str:
    field_type = types.get(row.field)
    if field_type is None:
        faults.append(Fault(pointer, "unknown_field", {"field": row.field}))
        return ""
    operator = next((item for item in field_type.operators if item.key == row.operator), None)
    if operator is None:
        faults.append(Fault(pointer, "unknown_operator", {"field": row.field, "operator": row.operator}))
        return ""
    if (operator.values >= 0 and len(row.values) != operator.values) or (operator.values < 0 and not row.values):
        faults.append(Fault(pointer, "filter_values", {"field": row.field, "operator": row.operator}))
        return ""
    return operator.expression.format(field=row.field, **_placed(operator, row.values))


def _placed(operator: Operator, values: Sequence[Literal]) -> dict[str, str]:
    if operator.values < 0:
        listed = ", ".join(literal(value) for value in values)
        return {"value": listed + ("," if len(values) == 1 else "")}
    return {name: literal(value) for name, value in zip(("value", "value2"), values, strict=False)}


def from_text(source: str, types: Mapping[str, FieldType]) -> FilterGroup | None:
    """The filter an expression text was made from; None when it is not one people could have built row by row."""
    if not source.strip():
        return FilterGroup()
    try:
        tree = syntax_tree(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    item = _item(tree, types, depth=0)
    if isinstance(item, FilterRow):
        return FilterGroup("and", (item,))
    return item


def _item(node: ast.expr, types: Mapping[str, FieldType], depth: int) -> FilterRow | FilterGroup | None:
    row = _row(node, types)
    if row is not None:
        return row
    if not isinstance(node, ast.BoolOp) or depth > 1:
        return None
    items = [_item(child, types, depth + 1) for child in node.values]
    if any(item is None for item in items):
        return None
    return FilterGroup("and" if isinstance(node.op, ast.And) else "or", tuple(item for item in items if item is not None))


def _row(node: ast.expr, types: Mapping[str, FieldType]) -> FilterRow | None:
    for name in sorted({child.id for child in ast.walk(node) if isinstance(child, ast.Name)} & set(types)):
        for operator in types[name].operators:
            found: dict[str, Any] = {_FIELD: name}
            if _matches(_pattern(operator.expression, operator.values), node, found):
                values = found.get(_VALUE, ())
                listed = tuple(values) if operator.values < 0 else tuple(found[key] for key in (_VALUE, _VALUE2) if key in found)
                return FilterRow(name, operator.key, listed)
    return None


@lru_cache(maxsize=256)
def _pattern(template: str, values: int) -> ast.expr:
    shown = f"{_VALUE}," if values < 0 else _VALUE
    return syntax_tree(template.format(field=_FIELD, value=shown, value2=_VALUE2))


def _matches(pattern: ast.expr, node: ast.AST, found: dict[str, Any]) -> bool:
    """Whether ``node`` is the pattern with its placeholders filled; fills ``found``."""
    if isinstance(pattern, ast.Name) and pattern.id == _FIELD:
        return isinstance(node, ast.Name) and node.id == found[_FIELD]
    if isinstance(pattern, ast.Name) and pattern.id in (_VALUE, _VALUE2):
        return _take(node, pattern.id, found)
    if isinstance(pattern, ast.Tuple) and isinstance(node, ast.Tuple | ast.List):
        taken: list[Literal] = []
        for item in node.elts:
            part: dict[str, Any] = {}
            if not _take(item, _VALUE, part):
                return False
            taken.append(part[_VALUE])
        found[_VALUE] = taken
        return True
    if type(pattern) is not type(node):
        return False
    return all(_same(getattr(pattern, name), getattr(node, name), found) for name in pattern._fields if name not in ("ctx", "kind"))


def _same(pattern: Any, node: Any, found: dict[str, Any]) -> bool:
    if isinstance(pattern, ast.AST):
        return isinstance(node, ast.AST) and _matches(pattern, node, found) if isinstance(pattern, ast.expr) else type(pattern) is type(node)
    if isinstance(pattern, list):
        return isinstance(node, list) and len(pattern) == len(node) and all(_same(a, b, found) for a, b in zip(pattern, node, strict=True))
    return bool(pattern == node)


_WORDS: Mapping[str, Literal] = {"true": True, "false": False, "null": None}


def _take(node: ast.AST, name: str, found: dict[str, Any]) -> bool:
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float | bool)):
        found[name] = node.value
        return True
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
        and isinstance(node.operand.value, int | float)
    ):
        found[name] = -node.operand.value
        return True
    if isinstance(node, ast.Name) and node.id in _WORDS:
        found[name] = _WORDS[node.id]
        return True
    return False
