"""From text to a syntax tree that is small, shallow and holds only the syntax this language has. Knows no names and no types.

The limits stand before anything else looks at the text: length, nodes, depth, an allow-list of syntax, sizes of numbers.
"""

import ast
import re
from collections.abc import Mapping
from threading import RLock

from engine.expressions.problems import refuse

MAX_LENGTH = 2_000
MAX_NODES = 200
MAX_DEPTH = 20
MAX_INTEGER = 10**15
#: Nesting of brackets beyond which a text is not even parsed (the parser's own limits raise MemoryError).
_MAX_BRACKETS = 60

#: CPython 3.11 counts the depth of the tree it builds once for the whole process: when the collector lets another thread in, parsing ends in a SystemError.
_PARSING = RLock()
_BAD_CHARACTERS = re.compile(r"[\x00\ud800-\udfff]")
_SYNTAX: tuple[type[ast.AST], ...] = (
    ast.BoolOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BinOp,
    ast.Name,
    ast.Constant,
    ast.Call,
    ast.Attribute,
    ast.Tuple,
    ast.List,
    ast.IfExp,
    ast.Subscript,
)
_OPERATORS: tuple[type[ast.AST], ...] = (
    ast.And,
    ast.Or,
    ast.Not,
    ast.USub,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.In,
    ast.NotIn,
    ast.Is,
    ast.IsNot,
)
_SIGNS: Mapping[type[ast.AST], str] = {
    ast.Pow: "**",
    ast.Mod: "%",
    ast.FloorDiv: "//",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.MatMult: "@",
    ast.Invert: "~",
    ast.UAdd: "+",
}


class Guarded:
    """A tree that passed, with its text: columns of nodes are counted in characters, 1-based."""

    __slots__ = ("_indent", "_lines", "tree")

    def __init__(self, text: str, indent: int, tree: ast.expr) -> None:
        self.tree = tree
        self._indent = indent
        self._lines = text.split("\n")

    def column(self, node: ast.AST) -> int:
        """The 1-based column of a node in the whole text."""
        line: int = getattr(node, "lineno", 1)
        offset: int = getattr(node, "col_offset", 0)
        before = sum(len(text) + 1 for text in self._lines[: line - 1])
        return self._indent + before + len(self._lines[line - 1].encode()[:offset].decode(errors="ignore")) + 1


def read(source: str) -> Guarded:
    """The guarded tree of a text. Raises ExpressionRefused for whatever is not of this language; nothing else comes out."""
    _check_text(source)
    text = source.replace("\r", " ").lstrip()
    indent = len(source) - len(text)
    guarded = Guarded(text, indent, _parse(text, indent))
    _check_node(guarded, guarded.tree, MAX_DEPTH, [MAX_NODES])
    return guarded


def syntax_tree(text: str) -> ast.expr:
    """The plain tree of one expression; every text is parsed here, by one thread at a time. Raises whatever ``ast.parse`` does."""
    with _PARSING:
        return ast.parse(text.strip(), mode="eval").body


def _check_text(source: str) -> None:
    if not isinstance(source, str) or not source.strip():
        raise refuse(1, "empty")
    if len(source) > MAX_LENGTH:
        raise refuse(MAX_LENGTH + 1, "too_long", limit=MAX_LENGTH)
    bad = _BAD_CHARACTERS.search(source)
    if bad:
        raise refuse(bad.start() + 1, "bad_character", character=f"U+{ord(bad.group()):04X}")
    depth = 0
    for place, character in enumerate(source, 1):
        if character in "([{":
            depth += 1
            if depth > _MAX_BRACKETS:
                raise refuse(place, "too_deep", limit=MAX_DEPTH)
        elif character in ")]}":
            depth -= 1


def _parse(text: str, indent: int) -> ast.expr:
    try:
        return syntax_tree(text)
    except SyntaxError as error:
        lines = text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: (error.lineno or 1) - 1]) + (error.offset or 1)
        raise refuse(indent + offset, "syntax", near=text[max(0, offset - 1) :][:20].split("\n")[0]) from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise refuse(indent + 1, "syntax", near=text[:20]) from None


def _check_node(guarded: Guarded, node: ast.expr, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if budget[0] < 0:
        raise refuse(guarded.column(node), "too_many_nodes", limit=MAX_NODES)
    if depth <= 0:
        raise refuse(guarded.column(node), "too_deep", limit=MAX_DEPTH)
    if not isinstance(node, _SYNTAX):
        raise refuse(guarded.column(node), "syntax_not_offered", what=type(node).__name__)
    _check_shape(guarded, node)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check_node(guarded, child, depth - 1, budget)
        elif not isinstance(child, ast.expr_context | ast.keyword | ast.boolop) and not isinstance(child, _OPERATORS):
            raise refuse(guarded.column(node), "operator_not_offered", operator=_SIGNS.get(type(child), type(child).__name__))


def _check_shape(guarded: Guarded, node: ast.expr) -> None:
    match node:
        case ast.Constant():
            _check_constant(guarded, node)
        case ast.Call(func=function, keywords=keywords):
            if not isinstance(function, ast.Name):
                raise refuse(guarded.column(function), "methods_not_offered")
            if keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
                raise refuse(guarded.column(node), "keywords_not_offered", function=function.id)
        case ast.Attribute(value=owner):
            if not isinstance(owner, ast.Name | ast.Attribute):
                raise refuse(guarded.column(node), "syntax_not_offered", what="Attribute")
        case ast.Subscript(value=owner):
            if not (isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name) and owner.value.id == "setting"):
                raise refuse(guarded.column(node), "subscript_not_offered")
        case ast.Name(id=name) if name.startswith("_") or "__" in name:
            raise refuse(guarded.column(node), "unknown_name", name=name, meant="")


def _check_constant(guarded: Guarded, node: ast.Constant) -> None:
    value = node.value
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if "\x00" in value or _BAD_CHARACTERS.search(value):
            raise refuse(guarded.column(node), "bad_character", character="U+0000")
        return
    if not isinstance(value, int | float):
        raise refuse(guarded.column(node), "syntax_not_offered", what=type(value).__name__)
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise refuse(guarded.column(node), "number_too_large", limit=MAX_INTEGER)
