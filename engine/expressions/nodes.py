"""The checked tree both faces walk: each node knows its type and its column in the source. Data only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.expressions.types import Type

if TYPE_CHECKING:
    from engine.expressions.functions import Function

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """What every node has. ``column`` is 1-based."""

    type: Type
    column: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant, already of its type's Python form (a decimal scaled, a choice its code)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Field(Node):
    """A field of the row looked at."""

    key: str


@dataclass(frozen=True, slots=True)
class LinkField(Field):
    """A single link of the row looked at; its value may come with a label."""


@dataclass(frozen=True, slots=True)
class Hop(Node):
    """A field of the record a link of the row leads to."""

    link: str
    entity: str
    key: str


@dataclass(frozen=True, slots=True)
class Space(Node):
    """A value from a name space or a carried name: ``me``, ``me.team``, ``old.stage``, ``param.x``, ``setting.x``, ``seen.deal``.

    ``hop`` is the entity of the link before the last name when that is one hop further (``param.to.name``), '' otherwise.
    ``root`` is the entity of the space's own record when it is one.
    """

    path: Path
    hop: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True)
class MapValue(Node):
    """``setting.MAP[index]``: the value kept for a code, else that for ``else``, else empty. ``codes`` are the possible ones."""

    key: str
    index: Node
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with arguments already brought to the types it takes."""

    function: Function
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class EnvironmentCall(Call):
    """A function that also reads the clock, the zone or another part of the environment."""


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``eq ne lt le gt ge in not_in`` between two values of one kind."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """``and`` or ``or`` over conditions."""

    op: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The contrary of a condition."""

    part: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """``add sub mul div`` on numbers brought to one scale; ``div`` and anything of doubles is done in doubles."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """The negative of a number."""

    part: Node


@dataclass(frozen=True, slots=True)
class Convert(Node):
    """A number as another numeric type: scaled up by ``factor`` when exact, else a double (divided by ``factor``)."""

    part: Node
    factor: int


@dataclass(frozen=True, slots=True)
class Expect(Node):
    """A value of which nothing was known before, as a value of a type: empty when it is of another."""

    part: Node


@dataclass(frozen=True, slots=True)
class Choose(Node):
    """The first result whose condition is true, else the last: ``case`` and ``a if c else b``."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Items(Node):
    """A tuple or list written out, or the function ``list``: empties are dropped, lists among the items flattened."""

    items: tuple[Node, ...]

    @property
    def of_unknown(self) -> bool:
        """Whether it stands for one value of which nothing is known: one item or a list of them."""
        return len(self.items) == 1 and self.items[0].type.dynamic


def children(node: Node) -> Iterator[Node]:
    """The nodes directly under one."""
    match node:
        case Call(args=parts) | Logic(parts=parts) | Items(items=parts):
            yield from parts
        case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
            yield left
            yield right
        case Not(part=part) | Negative(part=part) | Convert(part=part) | Expect(part=part):
            yield part
        case MapValue(index=index):
            yield index
        case Choose(branches=branches, otherwise=otherwise):
            for test, result in branches:
                yield test
                yield result
            yield otherwise
        case _:
            return


def mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with each node directly under it changed."""
    match node:
        case Call(args=args):
            return replace(node, args=tuple(map(change, args)))
        case Logic(parts=parts):
            return replace(node, parts=tuple(map(change, parts)))
        case Items(items=items):
            return replace(node, items=tuple(map(change, items)))
        case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
            return replace(node, left=change(left), right=change(right))
        case Not(part=part) | Negative(part=part) | Convert(part=part) | Expect(part=part):
            return replace(node, part=change(part))
        case MapValue(index=index):
            return replace(node, index=change(index))
        case Choose(branches=branches, otherwise=otherwise):
            return replace(node, branches=tuple((change(test), change(result)) for test, result in branches), otherwise=change(otherwise))
    return node


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def reads_row(node: Node) -> bool:
    """Whether the value depends on the row looked at; what does not is one value per statement."""
    return any(isinstance(item, Field | Hop) for item in walk(node))


def spell(node: Node) -> str:
    """A canonical text of a node, equal for equal meaning; names binds and keys caches."""
    match node:
        case Literal(value=value):
            return f"{node.type}{value!r}"
        case Field(key=key):
            return f"{node.type}.{key}"
        case Hop(link=link, key=key):
            return f"{node.type}.{link}.{key}"
        case Space(path=path):
            return f"{node.type}@{'.'.join(path)}"
        case MapValue(key=key, index=index):
            return f"@setting.{key}[{spell(index)}]"
        case Call(function=function, args=args):
            return f"{function.name}({','.join(map(spell, args))})"
        case Compare(op=op, left=left, right=right) | Arithmetic(op=op, left=left, right=right):
            return f"{op}[{spell(left)},{spell(right)}]"
        case Logic(op=op, parts=parts):
            return f"{op}[{','.join(map(spell, parts))}]"
        case Items(items=parts):
            return f"[{','.join(map(spell, parts))}]"
        case Convert(part=part, factor=factor):
            return f"{node.type}*{factor}[{spell(part)}]"
        case Choose(branches=branches, otherwise=otherwise):
            return f"case[{','.join(f'{spell(test)}:{spell(result)}' for test, result in branches)},{spell(otherwise)}]"
        case Expect(part=part):
            return f"{node.type}?[{spell(part)}]"
        case Not(part=part):
            return f"not[{spell(part)}]"
        case Negative(part=part):
            return f"neg[{spell(part)}]"
    raise AssertionError(node)
