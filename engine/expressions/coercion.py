"""Which types meet: values brought to a wanted type, several values to a common one. Literals take the type of what they stand beside.

Raises ExpressionRefused with the column of the value that does not fit. Knows no names.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from engine.expressions import operations
from engine.expressions.nodes import Arithmetic, Call, Choose, Convert, Expect, Items, Literal, Negative, Node, reads_row
from engine.expressions.problems import refuse
from engine.expressions.types import ANY, DATE, DOUBLE, DURATION, INSTANT, INTEGER, MAX_SCALE, NULL, TEXT, Type

#: The option codes of a choices key; None when they are not known.
Codes = Callable[[str], Collection[str] | None]

_DURATION = re.compile(r"([+-]?)P(?=.)(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?")
_SECONDS = (604_800, 86_400, 3_600, 60, 1)


def read_duration(text: str) -> int | None:
    """Seconds of an ISO 8601 duration without months and years; None when it is not one."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    total = sum(int(part or 0) * seconds for part, seconds in zip(found.groups()[1:], _SECONDS, strict=True))
    return -total if found.group(1) == "-" else total


def is_null(node: Node) -> bool:
    """Whether a node is the empty literal."""
    return isinstance(node, Literal) and node.value is None


class Coercion:
    """Brings nodes to types, knowing the codes of choices and how a local time becomes an instant."""

    def __init__(self, codes: Codes, local_instant: Callable[[Node], Node], meant: Callable[[str, Collection[str]], str]) -> None:
        self._codes = codes
        self._meant = meant
        self._local_instant = local_instant

    def to(self, node: Node, wanted: Type) -> Node:
        """The node as a value of ``wanted``; raises ``type_mismatch`` (or what explains better)."""
        found = self._fit(node, wanted)
        if found is None:
            raise self._misfit(node, wanted)
        return found

    def fits(self, node: Node, wanted: Type) -> bool:
        """Whether ``to`` would succeed but for unknown codes."""
        return self._fit(node, wanted) is not None

    def _misfit(self, node: Node, wanted: Type) -> Exception:
        if node.type.sealed:
            return refuse(node.column, "sealed", type=str(wanted))
        if node.type.name == "double" and wanted.exact:
            return refuse(node.column, "double_not_storable", type=str(wanted))
        if wanted.name == "boolean":
            return refuse(node.column, "condition_wanted", type=str(node.type))
        if isinstance(node, Literal) and node.type == TEXT and wanted.name in ("date", "instant", "duration"):
            return refuse(node.column, "not_a_time", value=node.value, type=str(wanted))
        return refuse(node.column, "type_mismatch", found=str(node.type), wanted=str(wanted))

    def _fit(self, node: Node, wanted: Type) -> Node | None:
        if wanted.name == "any" or wanted.name == "json":
            return node
        if is_null(node):
            return replace(node, type=wanted)
        if node.type.dynamic:
            return Expect(wanted, node.column, node)
        if node.type.sealed and not wanted.sealed:
            return None
        if isinstance(node, Literal):
            return self._literal(node, wanted)
        if isinstance(node, Items) and wanted.listed:
            return self._items(node, wanted)
        if isinstance(node, Choose) and node.type != wanted:
            return Choose(wanted, node.column, tuple((test, self.to(result, wanted)) for test, result in node.branches), self.to(node.otherwise, wanted))
        if isinstance(node, Call) and node.function.passes and node.type != wanted:
            return replace(node, type=wanted, args=tuple(self.to(argument, wanted) for argument in node.args))
        return self._value(node, wanted)

    def _items(self, node: Items, wanted: Type) -> Items:
        """A list written out, of the wanted items; what nothing is known of is a list of its own, since it may be one when it is evaluated."""
        if node.of_unknown:
            return Items(wanted, node.column, node.items)
        return Items(wanted, node.column, tuple(self.item(part, wanted) for part in node.items))

    def item(self, part: Node, wanted: Type) -> Node:
        """One item of a list written out: a list as such, anything else as an item of the wanted list."""
        if part.type.dynamic and not is_null(part) and not wanted.element.dynamic:
            return Items(wanted, part.column, (part,))
        return self.to(part, wanted if part.type.listed else wanted.element)

    def _value(self, node: Node, wanted: Type) -> Node | None:
        have = node.type.clear()
        want = wanted.clear()
        if wanted.sealed and not node.type.sealed and reads_row(node):
            return None
        if have == want:
            return node
        if have.numeric and want.numeric:
            return self._number(node, want)
        if have.name == want.name and (not have.of or not want.of):
            return node
        if have.textual and want.textual:
            return node if have.name != want.name else None
        if have.linked and want.linked:
            return node if have.entity == want.entity or not have.entity or not want.entity else None
        if (have.listed or have.name == "rows") and want.listed:
            return node if self._same_items(have.element, want.element) else None
        return None

    @staticmethod
    def _same_items(have: Type, want: Type) -> bool:
        if have.dynamic or want.dynamic or have == want:
            return True
        if have.linked and want.linked:
            return have.entity == want.entity
        return (have.textual and want.textual and have.name != want.name) or (have.exact and want.exact and have.scale == want.scale)

    def _number(self, node: Node, want: Type) -> Node | None:
        have = node.type
        if want == DOUBLE:
            return fold(Convert(DOUBLE, node.column, node, 10**have.scale))
        if have == DOUBLE:
            return None
        if want.name == "decimal" and have.name in ("integer", "decimal") and have.scale <= want.scale:
            return fold(Convert(want, node.column, node, 10 ** (want.scale - have.scale)))
        if have == INTEGER and want.name in ("money", "percent", "duration"):
            return node
        return node if want == INTEGER and have == DURATION else None

    def _literal(self, node: Literal, wanted: Type) -> Node | None:
        value, name = node.value, wanted.name
        if node.type == TEXT:
            return self._text_literal(node, wanted)
        if node.type == INTEGER and wanted.linked:
            return replace(node, type=wanted)
        if node.type == INTEGER and name in ("money", "percent", "duration"):
            return replace(node, type=wanted)
        if node.type == INTEGER and wanted.sealed and name == "integer":
            return replace(node, type=wanted)
        if node.type.name == "decimal" and name in ("integer", "money", "percent") and value % 10**node.type.scale == 0:
            return replace(node, type=wanted, value=value // 10**node.type.scale)
        return self._value(node, wanted)

    def _text_literal(self, node: Literal, wanted: Type) -> Node | None:
        value, name = str(node.value), wanted.name
        if name == "choice":
            self.check_code(node, wanted.of)
        if wanted.textual or wanted.sealed:
            return replace(node, type=wanted)
        if name == "date":
            day = _read_date(value)
            return None if day is None else Literal(DATE, node.column, day)
        if name == "instant":
            return self._instant_literal(node, value)
        if name == "duration":
            seconds = read_duration(value)
            return None if seconds is None else Literal(DURATION, node.column, seconds)
        return None

    def _instant_literal(self, node: Literal, value: str) -> Node | None:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return Literal(INSTANT, node.column, moment.astimezone(UTC))
        except (ValueError, OverflowError):
            return None
        return self._local_instant(Literal(TEXT, node.column, moment.isoformat()))

    def check_code(self, node: Literal, choices: str) -> None:
        """Refuse a code its option set does not have."""
        codes = self._codes(choices) if choices else None
        if codes is not None and node.value not in codes:
            raise refuse(node.column, "unknown_choice", value=node.value, choices=choices, meant=self._meant(str(node.value), codes))

    def common(self, nodes: Sequence[Node]) -> tuple[Type, tuple[Node, ...]]:
        """The type several values share, and the values brought to it. Raises ``types_differ`` at the first that does not fit."""
        wanted = NULL
        for node in sorted(nodes, key=lambda node: isinstance(node, Literal)):
            joined = self._join(wanted, node)
            if joined is None:
                raise refuse(node.column, "types_differ", found=str(node.type), wanted=str(wanted))
            wanted = joined
        if wanted == NULL:
            return NULL, tuple(nodes)
        return wanted, tuple(self.to(node, wanted) for node in nodes)

    def _join(self, wanted: Type, node: Node) -> Type | None:
        have = node.type
        if have == NULL or is_null(node) or wanted == have:
            return wanted if wanted != NULL else have
        if wanted == NULL or wanted.dynamic:
            return have
        if have.dynamic:
            return wanted
        if have.sealed or wanted.sealed:
            return self._join_sealed(wanted, have)
        if have.numeric and wanted.numeric:
            return _join_numbers(wanted, have)
        if have.textual and wanted.textual:
            return self._join_texts(wanted, node)
        if have == TEXT and isinstance(node, Literal):
            return wanted if wanted.timely or wanted == DURATION else None
        if have.linked and wanted.linked:
            return wanted if have.entity == wanted.entity else None
        if (have == INTEGER and wanted.linked) or (wanted == INTEGER and have.linked):
            return have if have.linked else wanted
        if have.listed and wanted.listed and self._same_items(have.element, wanted.element):
            return wanted
        return None

    @staticmethod
    def _join_sealed(wanted: Type, have: Type) -> Type | None:
        if have.sealed and wanted.sealed:
            return wanted if have.sealed == wanted.sealed else None
        return have if have.sealed else wanted

    @staticmethod
    def _join_texts(wanted: Type, node: Node) -> Type:
        have = node.type
        if wanted.name == have.name == "choice":
            return wanted if wanted.of == have.of else TEXT
        if have == TEXT and isinstance(node, Literal):
            return wanted
        return TEXT

    def product(self, op: str, left: Node, right: Node, column: int) -> Node:
        """The node of an arithmetic operation on two numbers. Raises for anything else, and where exactness would be lost silently."""
        for node in (left, right):
            if not (node.type.numeric or node.type.dynamic or is_null(node)) or node.type.sealed:
                raise refuse(node.column, _arithmetic_code(node), type=str(node.type), operator=_SIGN[op])
        if op == "div":
            return fold(Arithmetic(DOUBLE, column, "div", self.to(left, DOUBLE), self.to(right, DOUBLE)))
        if op == "mul":
            return self._multiplied(left, right, column)
        kind, (first, second) = self.common((left, right))
        return fold(Arithmetic(INTEGER if kind in (NULL, ANY) else kind, column, op, first, second))

    def _multiplied(self, left: Node, right: Node, column: int) -> Node:
        names = {left.type.name, right.type.name}
        if names == {"money"}:
            raise refuse(column, "money_times_money")
        if names == {"money", "percent"} or names == {"percent"}:
            raise refuse(column, "money_times_percent")
        kind = _product_type(left.type, right.type)
        if kind is None:
            return fold(Arithmetic(DOUBLE, column, "mul", self.to(left, DOUBLE), self.to(right, DOUBLE)))
        if kind.scale > MAX_SCALE:
            raise refuse(column, "too_precise", limit=MAX_SCALE)
        return fold(Arithmetic(kind, column, "mul", left, right))


_SIGN = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def _arithmetic_code(node: Node) -> str:
    if node.type.sealed:
        return "sealed"
    if node.type.textual:
        return "texts_are_joined_by_concat"
    return "times_need_functions" if node.type.timely else "numbers_wanted"


def _product_type(left: Type, right: Type) -> Type | None:
    """The exact type of a product; None when it is a double."""
    left, right = (INTEGER if item.dynamic or item == NULL else item for item in (left, right))
    if DOUBLE in (left, right):
        return None
    if INTEGER in (left, right):
        return right if left == INTEGER else left
    if left.name == right.name == "decimal":
        return Type("decimal", scale=left.scale + right.scale)
    return None


def _join_numbers(left: Type, right: Type) -> Type | None:
    if DOUBLE in (left, right):
        return DOUBLE
    if {left.name, right.name} <= {"integer", "decimal"}:
        return left if left.scale >= right.scale else right
    if INTEGER in (left, right):
        return left if right == INTEGER else right
    return left if left.name == right.name else None


def _read_date(text: str) -> date | None:
    if len(text) != 10:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def fold(node: Node) -> Node:
    """The literal an operation on literals comes to; any other node as it is."""
    match node:
        case Negative(part=Literal(value=value)):
            return Literal(node.type, node.column, operations.negate(value))
        case Convert(part=Literal(value=value), factor=factor):
            return Literal(node.type, node.column, operations.convert(value, factor, node.type == DOUBLE))
        case Convert(part=part, factor=1) if node.type != DOUBLE or part.type == DOUBLE:
            return part
        case Arithmetic(op=op, left=Literal(value=left), right=Literal(value=right)):
            return Literal(node.type, node.column, operations.ARITHMETIC[op](left, right))
    return node
