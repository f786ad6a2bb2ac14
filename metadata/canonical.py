"""The one way a definition is written: words in the order of their schema, people's own keys as written, what fits 160 columns on one line.

Reading a canonical text and writing it again gives the same bytes, and one changed step is one changed line.
"""

import json
from collections.abc import Mapping
from typing import Any

from metadata.schemas import Schema, schema_of, step_into

WIDTH = 160


def canonical(kind: str, document: Mapping[str, Any]) -> str:
    """The canonical text of a document of this kind, with a final line feed."""
    return _written(ordered(document, schema_of(kind)), 0, 0, top=True) + "\n"


def ordered(node: Any, schema: Schema) -> Any:
    """The same JSON with known words in the schema's order, others as written, after them or where the schema says."""
    if isinstance(node, dict):
        known = schema.words
        after = known.index(schema.options_after) + 1 if schema.options_after else len(known)
        options = [key for key in node if key not in known]
        keys = [*(key for key in known[:after] if key in node), *options, *(key for key in known[after:] if key in node)]
        return {key: ordered(node[key], step_into(schema, key)) for key in keys}
    if isinstance(node, list):
        return [ordered(item, step_into(schema, index)) for index, item in enumerate(node)]
    return node


def _columns(text: str) -> int:
    return len(text) + sum(1 for sign in text if sign > "\u2e7f")


def _written(node: Any, indent: int, used: int, top: bool = False) -> str:
    """One node from column ``indent + used`` on; broken over lines only when it must be."""
    short = json.dumps(node, ensure_ascii=False, separators=(", ", ": "))
    if not node or not isinstance(node, dict | list) or (not top and indent + used + _columns(short) < WIDTH):
        return short
    inner, pad = indent + 2, " " * (indent + 2)
    if isinstance(node, list):
        lines = [pad + _written(item, inner, 0) for item in node]
        return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"
    lines = []
    for key, value in node.items():
        name = json.dumps(key, ensure_ascii=False) + ": "
        lines.append(pad + name + _written(value, inner, _columns(name)))
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
