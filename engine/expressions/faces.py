"""Which parts of a checked expression have an SQL face. Parts that read no row are computed in Python once per statement, so they always have."""

from engine.expressions.nodes import Call, Compare, Field, Hop, Items, MapValue, Node, children, reads_row
from engine.expressions.problems import NoSqlFace

#: Estimated SQL size (in repeated parts) beyond which an expression is refused an SQL face.
MAX_WEIGHT = 20_000


def without_sql(node: Node) -> NoSqlFace | None:
    """The first part that can be computed in Python only; None when the whole can be compiled."""
    found = _look(node)
    if found is None and node.type.name in ("list", "rows"):
        found = NoSqlFace(str(node.type), node.column) if reads_row(node) and not isinstance(node, Field | Hop) else None
    if found is None and weight(node) > MAX_WEIGHT:
        found = NoSqlFace("size", node.column)
    return found


def _look(node: Node) -> NoSqlFace | None:
    if not reads_row(node):
        return None
    if isinstance(node, Call) and not node.function.has_sql:
        return NoSqlFace(f"{node.function.name}()", node.column)
    if isinstance(node, MapValue) and not node.codes:
        return NoSqlFace(f"setting.{node.key}[]", node.column)
    if isinstance(node, Field | Hop) and node.type.name in ("rows", "json", "any", "table"):
        return NoSqlFace(str(node.type), node.column)
    return next((found for child in children(node) if (found := _look(child)) is not None), None)


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
