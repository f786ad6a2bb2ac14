"""Functions over texts. Letters are folded in ASCII only and white space is one fixed set, so that every database agrees."""

from __future__ import annotations

from functools import reduce
from typing import Any

import sqlalchemy as sa

from engine.expressions.functions import Column, Function, Site, SqlFace, count, declared
from engine.expressions.nodes import Call, Node, reads_row
from engine.expressions.operations import WHITE_SPACE, squeeze
from engine.expressions.problems import refuse
from engine.expressions.types import INTEGER, TEXT

Value = Any

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_FAR = 3


def _length(text: Value) -> Value:
    return None if text is None else len(text)


def _squeeze_sql(face: SqlFace, call: Call) -> Column:
    column = face.value(call.args[0])
    if face.dialect == "postgresql":
        return sa.func.translate(column, WHITE_SPACE, "", type_=sa.String)
    return sa.func.tangram_squeeze(column, type_=sa.String)


def _lower(text: Value) -> Value:
    return None if text is None else text.translate(_LOWER)


def _lower_sql(face: SqlFace, call: Call) -> Column:
    column = face.value(call.args[0])
    if face.dialect == "postgresql":
        return sa.func.lower(sa.collate(sa.cast(column, sa.Text), "C"), type_=sa.String)
    return sa.func.lower(column, type_=sa.String)


def _concat_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 1, None)
    brought = []
    for node in args:
        if node.type.sealed or not (node.type == INTEGER or site.coercion.fits(node, TEXT)):
            raise refuse(node.column, "sealed" if node.type.sealed else "type_mismatch", found=str(node.type), wanted="text", type="concat")
        brought.append(node if node.type == INTEGER else site.coercion.to(node, TEXT))
    return function.call(TEXT, column, brought)


def _concat(*parts: Value) -> str:
    return "".join(str(part) for part in parts if part is not None)


def _concat_sql(face: SqlFace, call: Call) -> Column:
    def text(node: Node) -> Column:
        column = face.value(node)
        column = sa.cast(column, sa.Text) if node.type == INTEGER or face.dialect == "postgresql" else column
        return sa.func.coalesce(column, sa.literal("", sa.String), type_=sa.String) if face.nullable(node) else column

    return reduce(lambda left, right: left.concat(right), map(text, call.args), sa.literal("", sa.String))


def _part_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 2)
    text, number = site.coercion.to(args[0], TEXT), site.coercion.to(args[1], INTEGER)
    if reads_row(number):
        raise refuse(number.column, "constant_wanted", function=function.name)
    return function.call(TEXT, column, (text, COUNT.call(INTEGER, number.column, (number,))))


def _count(number: Value) -> Value:
    return None if number is None else max(0, min(int(number), 2**31 - 1))


def _head(text: Value, number: Value) -> Value:
    return None if text is None or number is None else text[:number]


def _head_sql(face: SqlFace, call: Call) -> Column:
    text, number = face.value(call.args[0]), face.value(call.args[1])
    if face.dialect == "postgresql":
        return sa.func.left(text, sa.cast(number, sa.Integer), type_=sa.String)
    return sa.func.substr(text, 1, number, type_=sa.String)


def _tail(text: Value, number: Value) -> Value:
    return None if text is None or number is None else text[-number:] if number else ""


def _tail_sql(face: SqlFace, call: Call) -> Column:
    text, number = face.value(call.args[0]), face.value(call.args[1])
    if face.dialect == "postgresql":
        return sa.func.right(text, sa.cast(number, sa.Integer), type_=sa.String)
    return sa.func.substr(text, -number, number, type_=sa.String)


def _contains(text: Value, part: Value) -> bool:
    return text is not None and part is not None and part in text


def _contains_holds(face: SqlFace, call: Call, positive: bool) -> Column:
    text, part = face.value(call.args[0]), face.value(call.args[1])
    place = (sa.func.strpos if face.dialect == "postgresql" else sa.func.instr)(text, part, type_=sa.Integer)
    return place > 0 if positive else sa.func.coalesce(place, 0, type_=sa.Integer) == 0


def _startswith(text: Value, part: Value) -> bool:
    return text is not None and part is not None and text.startswith(part)


def _startswith_holds(face: SqlFace, call: Call, positive: bool) -> Column:
    text, part = face.value(call.args[0]), face.value(call.args[1])
    if face.dialect == "postgresql":
        found: Column = sa.func.starts_with(text, part, type_=sa.Boolean)
    else:
        found = sa.func.substr(text, 1, sa.func.length(part), type_=sa.String) == part
    return found if positive else found.is_not(sa.true())


def _edit_distance(left: Value, right: Value) -> Value:
    """Insertions, deletions and replacements from one text to the other; 3 stands for three or more."""
    if left is None or right is None:
        return None
    if abs(len(left) - len(right)) >= _FAR:
        return _FAR
    row = list(range(len(right) + 1))
    for place, character in enumerate(left, 1):
        above, row[0] = row[0], place
        for index, other in enumerate(right, 1):
            above, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, above + (character != other))
        if min(row) >= _FAR:
            return _FAR
    return min(row[-1], _FAR)


def _edit_distance_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    """Of two texts, or of two values encrypted alike: how far apart they are says neither."""
    count(function, column, args, 2, 2)
    kinds = {node.type.sealed for node in args}
    if len(kinds) == 1 and kinds != {""}:
        return function.call(INTEGER, column, args)
    return function.call(INTEGER, column, [site.coercion.to(node, TEXT) for node in args])


def _length_sql(face: SqlFace, call: Call) -> Column:
    return sa.func.length(face.value(call.args[0]), type_=sa.BigInteger)


COUNT = Function("characters", "(integer) -> integer", "", declared("integer -> integer"), _count, hidden=True)
TEXTS = (
    COUNT,
    Function(
        "length",
        "(text) -> integer",
        {"zh": "字符数", "en": "number of characters"},
        declared("text -> integer"),
        _length,
        _length_sql,
        strict=True,
        hollow=True,
    ),
    Function(
        "squeeze",
        "(text) -> text",
        {"zh": "去掉所有空白", "en": "without any white space"},
        declared("text -> text"),
        squeeze,
        _squeeze_sql,
        strict=True,
        hollow=True,
    ),
    Function(
        "lower",
        "(text) -> text",
        {"zh": "英文字母转小写", "en": "ASCII letters in lower case"},
        declared("text -> text"),
        _lower,
        _lower_sql,
        strict=True,
        hollow=True,
    ),
    Function(
        "concat",
        "(text...) -> text",
        {"zh": "连接文本，空值当作空文本", "en": "texts joined, empties left out"},
        _concat_typing,
        _concat,
        _concat_sql,
        nullable=False,
        nesting=7,
    ),
    Function("head", "(text, n) -> text", {"zh": "前 n 个字符", "en": "the first n characters"}, _part_typing, _head, _head_sql),
    Function("tail", "(text, n) -> text", {"zh": "后 n 个字符", "en": "the last n characters"}, _part_typing, _tail, _tail_sql),
    Function(
        "contains",
        "(text, text) -> boolean",
        {"zh": "包含（区分大小写）", "en": "contains, exact case"},
        declared("text, text -> boolean"),
        _contains,
        holds=_contains_holds,
        nesting=9,
    ),
    Function(
        "startswith",
        "(text, text) -> boolean",
        {"zh": "以此开头（区分大小写）", "en": "starts with, exact case"},
        declared("text, text -> boolean"),
        _startswith,
        holds=_startswith_holds,
        nesting=9,
    ),
    Function(
        "edit_distance",
        "(text, text) -> integer",
        {"zh": "编辑距离，3 表示三次或更多；两个同样加密的值也能比", "en": "edit distance, 3 meaning three or more; of two values encrypted alike, too"},
        _edit_distance_typing,
        _edit_distance,
    ),
)
