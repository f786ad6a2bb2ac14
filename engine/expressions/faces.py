"""Which parts of a checked expression have an SQL face. Parts that read no row are computed in Python once per statement, so they always have."""

from collections.abc import Mapping

from engine.expressions.nodes import (
    Arithmetic,
    Call,
    Choose,
    Compare,
    Convert,
    EnvironmentCall,
    Field,
    Hop,
    Items,
    LinkField,
    Logic,
    MapValue,
    Negative,
    Node,
    Not,
    children,
    reads_row,
)
from engine.expressions.problems import NoSqlFace

#: Estimated size of the SQL (in repeated parts) beyond which an expression is refused an SQL face.
MAX_WEIGHT = 5_000
#: Estimated nesting of the SQL as SQLite's parser counts it; it gives up at 100, and the statement around takes its share.
MAX_NESTING = 72

_NESTING: Mapping[type[Node], int] = {
    Field: 2,
    LinkField: 2,
    Hop: 12,
    MapValue: 6,
    Call: 4,
    EnvironmentCall: 4,
    Compare: 5,
    Logic: 3,
    Not: 0,
    Arithmetic: 5,
    Negative: 2,
    Convert: 6,
    Choose: 6,
    Items: 5,
}


def without_sql(node: Node) -> NoSqlFace | None:
    """The first part that can be computed in Python only; None when the whole can be compiled."""
    found = _look(node)
    if found is None and node.type.name in ("list", "rows"):
        found = NoSqlFace(str(node.type), node.column) if reads_row(node) and not isinstance(node, Field | Hop) else None
    if found is None and (weight(node) > MAX_WEIGHT or nesting(node) > MAX_NESTING):
        found = NoSqlFace("size", node.column)
    return found


def _look(node: Node) -> NoSqlFace | None:
    if not reads_row(node):
        return None
    if isinstance(node, Call) and not node.function.has_sql:
        return NoSqlFace(f"{node.function.name}()", node.column)
    if isinstance(node, MapValue) and not node.codes:
        return NoSqlFace(f"setting.{node.key}[]", node.column)
    if node.type.sealed and not isinstance(node, Field | Hop):
        return NoSqlFace("encrypted", node.column)
    if isinstance(node, Field | Hop) and node.type.name in ("rows", "json", "any", "table"):
        return NoSqlFace(str(node.type), node.column)
    if isinstance(node, Call) and node.function.name in ("empty", "exists") and isinstance(node.args[0], Field | Hop):
        return None
    return next((found for child in children(node) if (found := _look(child)) is not None), None)


def nesting(node: Node) -> int:
    """An estimate, on the high side, of how deeply a node's SQL nests for SQLite's parser."""
    if not reads_row(node):
        return 2
    own = node.function.nesting if isinstance(node, Call) else 3 if isinstance(node, Arithmetic) and node.op in ("add", "sub") else _NESTING[type(node)]
    return own + max((nesting(child) for child in children(node)), default=0)


def weight(node: Node) -> int:
    """An estimate of the SQL a node becomes, functions that repeat their argument included."""
    total = sum(weight(child) for child in children(node)) + 1
    if not reads_row(node):
        return 1
    if isinstance(node, Call):
        return total * node.function.repeats
    if isinstance(node, MapValue):
        return total * (len(node.codes) + 1)
    return total * 2 if isinstance(node, Compare | Items) else total
