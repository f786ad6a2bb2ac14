"""From a guarded syntax tree to a checked one: every name resolved, every type known, every problem collected with its column."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from engine.expressions.coercion import Coercion, fold, is_null
from engine.expressions.functions import Functions
from engine.expressions.guard import MAX_INTEGER, Guarded
from engine.expressions.names import Names, NameSpace
from engine.expressions.nodes import Arithmetic, Choose, Compare, Field, Hop, Items, LinkField, Literal, Logic, MapValue, Negative, Node, Not, Space, walk
from engine.expressions.problems import ExpressionRefused, meant, refuse
from engine.expressions.types import ANY, BOOLEAN, DOUBLE, INTEGER, MAX_SCALE, NULL, TEXT, Type
from metadata.vocabulary import ExpressionProblem

#: Multiplications and divisions of doubles in one expression: few enough that no database over- or underflows.
MAX_DOUBLE_STEPS = 8

#: Problems of one text beyond which nothing is guessed any more.
MAX_GUESSES = 5

_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
_COMPARES: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.In: "in",
    ast.NotIn: "not_in",
}
_ARITHMETIC: Mapping[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_SYMBOLS: Mapping[str, str] = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Analysis:
    """One pass over one tree. ``problems`` are all that were found; where one was, the node's value is unknown and asks for nothing more."""

    def __init__(self, guarded: Guarded, names: Names, functions: Functions) -> None:
        self.problems: list[ExpressionProblem] = []
        self.coercion = Coercion(names.codes, self._local_instant, self._meant)
        self._column = guarded.column
        self._names = names
        self._functions = functions

    def root(self, tree: ast.expr, wants: Type | None) -> Node:
        """The checked tree, brought to the wanted type."""
        node = self.visit(tree)
        if wants is not None and not self.problems:
            node = self._safely(lambda: self.coercion.to(node, wants), node.column)
        steps = [item for item in walk(node) if isinstance(item, Arithmetic) and item.type == DOUBLE and item.op in ("mul", "div")]
        if len(steps) > MAX_DOUBLE_STEPS:
            self._note(refuse(steps[-1].column, "too_many_divisions", limit=MAX_DOUBLE_STEPS))
        return node

    def visit(self, node: ast.expr) -> Node:
        """The checked node of a syntax node; an unknown value where there was a problem."""
        return self._safely(lambda: self._visit(node), self._column(node))

    def _safely(self, make: Callable[[], Node], column: int) -> Node:
        try:
            return make()
        except ExpressionRefused as refused:
            self._note(refused)
            return Space(ANY, column, ("?",))

    def _note(self, refused: ExpressionRefused) -> None:
        self.problems += [item for item in refused.problems if item not in self.problems]

    def _meant(self, word: str, known: Iterable[str]) -> str:
        """What was probably meant; guessing stops when there is a lot wrong."""
        return meant(word, known) if len(self.problems) < MAX_GUESSES else ""

    def _local_instant(self, node: Node) -> Node:
        return self._functions["local_instant"].call(Type("instant"), node.column, (node,))

    def _visit(self, node: ast.expr) -> Node:
        column = self._column(node)
        match node:
            case ast.Constant(value=value):
                return self._literal(value, column)
            case ast.Name(id=name):
                return self._name(name, column)
            case ast.Attribute():
                return self._dotted(node, column)
            case ast.Subscript(value=ast.Attribute(attr=key), slice=index):
                return self._map_value(key, index, column)
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return self._items(items, column)
            case ast.BoolOp(op=op, values=values):
                parts = tuple(self.condition(self.visit(part)) for part in values)
                return Logic(BOOLEAN, column, "and" if isinstance(op, ast.And) else "or", parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(BOOLEAN, column, self.condition(self.visit(operand)))
            case ast.UnaryOp(operand=operand):
                return self._negative(self.visit(operand), column)
            case ast.BinOp(op=operator, left=left, right=right):
                return self.coercion.product(_ARITHMETIC[type(operator)], self.visit(left), self.visit(right), column)
            case ast.Compare():
                return self._chain(node, column)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.choose(column, (self.visit(test), self.visit(body), self.visit(orelse)))
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(name, args, column)
        raise refuse(column, "syntax_not_offered", what=type(node).__name__)

    def condition(self, node: Node) -> Node:
        """A node that must be a condition."""
        return self.coercion.to(node, BOOLEAN)

    def choose(self, column: int, args: tuple[Node, ...]) -> Node:
        """``case``: conditions and results in turn, the last for all others."""
        tests = [self.condition(test) for test in args[:-1:2]]
        kind, results = self.coercion.common((*args[1::2], args[-1]))
        return Choose(kind, column, tuple(zip(tests, results[:-1], strict=True)), results[-1])

    def _literal(self, value: object, column: int) -> Node:
        if value is None:
            return Literal(NULL, column, None)
        if isinstance(value, bool):
            return Literal(BOOLEAN, column, value)
        if isinstance(value, int):
            return Literal(INTEGER, column, value)
        if isinstance(value, float):
            return self._decimal(value, column)
        return Literal(TEXT, column, value)

    @staticmethod
    def _decimal(value: float, column: int) -> Node:
        exact = Decimal(repr(value)).normalize()
        scale = max(0, -int(exact.as_tuple().exponent))
        if scale > MAX_SCALE or abs(exact.scaleb(scale)) > MAX_INTEGER:
            raise refuse(column, "too_precise", limit=MAX_SCALE)
        return Literal(Type("decimal", scale=scale) if scale else INTEGER, column, int(exact.scaleb(scale)))

    def _name(self, name: str, column: int) -> Node:
        found = self._names.fields.get(name)
        if found is not None:
            return (LinkField if found.linked else Field)(found, column, name)
        if name in _WORDS:
            return self._literal(_WORDS[name], column)
        space = self._names.space(name)
        if space is None:
            known = [*self._names.fields, *self._names.spaces]
            code = "function_not_called" if name in self._functions else "unknown_name"
            raise refuse(column, code, name=name, meant=self._meant(name, known))
        if space.type is None:
            raise refuse(column, "space_alone", name=name)
        return Space(space.type, column, (name,))

    def _dotted(self, node: ast.Attribute, column: int) -> Node:
        path = _path(node)
        if path is None:
            raise refuse(column, "syntax_not_offered", what="Attribute")
        head = self._names.fields.get(path[0])
        if head is not None:
            return self._hop(path, head, column)
        space = self._names.space(path[0])
        if space is None:
            raise refuse(column, "unknown_name", name=path[0], meant=self._meant(path[0], [*self._names.fields, *self._names.spaces]))
        return self._in_space(path, space, column)

    def _hop(self, path: tuple[str, ...], head: Type, column: int) -> Node:
        below = self._names.of_link(head)
        if below is None:
            raise refuse(column, "not_a_link", name=path[0], type=str(head))
        if len(path) > 2:
            raise refuse(column, "too_far", name=".".join(path))
        return Hop(self._attribute(below, path[1], path[0], column), column, path[0], head.entity, path[1])

    def _in_space(self, path: tuple[str, ...], space: NameSpace, column: int) -> Node:
        known = self._names.attributes(space)
        if known is None:
            return Space(space.attributes.get(path[1], ANY) if len(path) == 2 else ANY, column, path)
        kind = self._attribute(known, path[1], path[0], column)
        root = space.type.entity if space.type is not None and space.type.linked else ""
        if len(path) == 2:
            return Space(kind, column, path, root=root)
        if kind.dynamic:
            return Space(ANY, column, path, root=root)
        below = self._names.of_link(kind)
        if kind.name == "rows":
            below = {name: Type("list", item=item.clear()) for name, item in (self._names.hops(kind) or {}).items()}
        if below is None:
            raise refuse(column, "not_a_link", name=".".join(path[:2]), type=str(kind))
        if len(path) > 3:
            raise refuse(column, "too_far", name=".".join(path))
        return Space(self._attribute(below, path[2], path[1], column), column, path, hop=kind.entity, root=root)

    def _attribute(self, known: Mapping[str, Type], name: str, owner: str, column: int) -> Type:
        found = known.get(name)
        if found is None:
            raise refuse(column, "unknown_attribute", name=name, owner=owner, meant=self._meant(name, known))
        return found

    def _map_value(self, key: str, index: ast.expr, column: int) -> Node:
        space = self._names.space("setting")
        kind = self._attribute(space.attributes if space else {}, key, "setting", column)
        if kind.name != "map":
            raise refuse(column, "not_a_map", name=key)
        wanted = Type("choice", of=kind.of) if kind.of else TEXT
        codes = self._names.codes(kind.of) if kind.of else None
        return MapValue(kind.item or ANY, column, key, self.coercion.to(self.visit(index), wanted), tuple(codes or ()))

    def _items(self, items: list[ast.expr], column: int) -> Node:
        nodes = tuple(self.visit(item) for item in items)
        return self.list_of(column, nodes)

    def list_of(self, column: int, nodes: tuple[Node, ...]) -> Node:
        """A list of scalars and lists of one kind of item."""
        singles = [node for node in nodes if not node.type.listed]
        element, _ = self.coercion.common(singles)
        for node in nodes:
            if node.type.listed and element in (NULL, ANY):
                element = node.type.element
        kind = Type("list", item=ANY if element == NULL else element)
        return self.coercion.to(Items(kind, column, nodes), kind)

    def _negative(self, node: Node, column: int) -> Node:
        if not (node.type.numeric or node.type.dynamic):
            raise refuse(column, "numbers_wanted", type=str(node.type), operator="-")
        return fold(Negative(INTEGER if node.type.dynamic else node.type, column, node))

    def _chain(self, node: ast.Compare, column: int) -> Node:
        operands = [self.visit(operand) for operand in (node.left, *node.comparators)]
        pairs = [self._pair(op, left, right, column) for op, left, right in zip(node.ops, operands[:-1], operands[1:], strict=True)]
        return pairs[0] if len(pairs) == 1 else Logic(BOOLEAN, column, "and", tuple(pairs))

    def _pair(self, op: ast.cmpop, left: Node, right: Node, column: int) -> Node:
        if isinstance(op, ast.Is | ast.IsNot):
            if not (is_null(right) or (isinstance(right, Literal) and right.type == BOOLEAN)):
                raise refuse(column, "is_only_null")
            return self._same("eq" if isinstance(op, ast.Is) else "ne", left, right, column)
        name = _COMPARES[type(op)]
        if name in ("in", "not_in"):
            return self.member(name, left, right, column)
        return self._same(name, left, right, column) if name in ("eq", "ne") else self._ordered(name, left, right, column)

    def _same(self, op: str, left: Node, right: Node, column: int) -> Node:
        if is_null(left):
            left, right = right, left
        if is_null(right):
            return Compare(BOOLEAN, column, op, left, right)
        if BOOLEAN in (left.type, right.type):
            return self._is_true(op, left, right, column)
        kind, (first, second) = self.coercion.common((left, right))
        if kind.listed or kind.name in ("rows", "map", "calendar"):
            raise refuse(column, "lists_not_compared", type=str(kind))
        return Compare(BOOLEAN, column, op, first, second)

    def _is_true(self, op: str, left: Node, right: Node, column: int) -> Node:
        if isinstance(left, Literal):
            left, right = right, left
        if not isinstance(right, Literal):
            raise refuse(column, "boolean_with_literal_only")
        literal = self.condition(right)
        wanted = isinstance(literal, Literal) and literal.value is (op == "eq")
        condition = self.condition(left)
        return condition if wanted else Not(BOOLEAN, column, condition)

    def _ordered(self, op: str, left: Node, right: Node, column: int) -> Node:
        kind, (first, second) = self.coercion.common((left, right))
        if kind.sealed:
            raise refuse(column, "sealed", type=_SYMBOLS[op])
        if not (kind.ordered or kind.dynamic or kind == NULL):
            raise refuse(column, "not_ordered", type=str(kind), operator=_SYMBOLS[op])
        return Compare(BOOLEAN, column, op, first, second)

    def member(self, op: str, left: Node, right: Node, column: int) -> Node:
        """``left in right`` or its contrary."""
        if isinstance(right, Items):
            single = [item for item in right.items if not (item.type.listed or (item.type.dynamic and not is_null(item)))]
            kind, found = self.coercion.common((left, *single))
            if kind == BOOLEAN or kind.listed:
                raise refuse(column, "lists_not_compared", type=str(kind))
            of, scalars = Type("list", item=kind), iter(found[1:])
            items = tuple(next(scalars) if item in single else item if item.type.listed else self.coercion.item(item, of) for item in right.items)
            return Compare(BOOLEAN, column, op, found[0], Items(of, right.column, items))
        if right.type.textual and not right.type.sealed:
            raise refuse(column, "in_needs_a_list")
        if not (right.type.listed or right.type.name == "rows" or right.type.dynamic):
            raise refuse(column, "list_wanted", type=str(right.type))
        return Compare(BOOLEAN, column, op, self.coercion.to(left, right.type.element), right)

    def _call(self, name: str, args: list[ast.expr], column: int) -> Node:
        function = self._functions.get(name)
        nodes = tuple(self.visit(argument) for argument in args)
        if function is None or function.hidden:
            known = [item for item in self._functions if not self._functions[item].hidden]
            raise refuse(column, "unknown_function", name=name, meant=self._meant(name, known))
        return function.typing(function, self, column, nodes)


def _path(node: ast.Attribute) -> tuple[str, ...] | None:
    parts: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        parts.append(current.attr)
        current = current.value
    if not isinstance(current, ast.Name):
        return None
    return (current.id, *reversed(parts))
