"""Why a condition holds or not: the tree judged part by part, each with the values it saw, as far as its reader may see them. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.expressions.nodes import Call, Field, Hop, Literal, Logic, MapValue, Node, Not, Space, walk
from engine.expressions.nodes import children as below
from engine.fields.base import Value
from engine.rules.phrases import Around, phrase, value_phrase

#: Spaces whose values are known only while the rule runs.
ONLY_RUNNING = frozenset({"param", "lines", "run", "answer", "tally"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A value a part saw: what it is called and the value as its reader may read it."""

    label: str
    shown: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a condition. ``holds`` is None where it depends on what is only known while the rule runs.

    ``op``: ``and``, ``or`` for what is made of ``parts``, else ''. ``hidden``: it reads what its reader may not; then it has no text and no values.
    """

    text: str
    holds: bool | None
    op: str = ""
    seen: tuple[Seen, ...] = ()
    parts: tuple[Part, ...] = ()
    hidden: bool = False

    def first_false(self) -> Part | None:
        """The first part because of which the whole does not hold; None when it holds, or when nobody can tell yet."""
        if self.holds is not False:
            return None
        if self.op == "and":
            return next((found for part in self.parts if (found := part.first_false()) is not None), self)
        return self

    def leaves(self) -> Iterator[Part]:
        """The parts that are not made of parts, in order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True, slots=True)
class Witness:
    """How a condition was seen. ``value``: of any node, for the record at hand; ``may``: whether the reader may see a node's value; ``show``: it in words."""

    value: Callable[[Node], Value]
    may: Callable[[Node], bool]
    show: Callable[[Node, Value], str]


def explain(node: Node, around: Around, witness: Witness) -> Part:
    """A condition part by part."""
    if isinstance(node, Logic) and len(node.parts) > 1:
        parts = tuple(explain(part, around, witness) for part in node.parts)
        text = "" if any(part.hidden or not part.text for part in parts) else phrase(node, around)
        return Part(text, _joined(node.op, [part.holds for part in parts]), node.op, parts=parts)
    if any(not witness.may(item) for item in walk(node) if isinstance(item, Field | Hop | Space)):
        return Part("", _holds(node, witness), hidden=True)
    seen = tuple(Seen(value_phrase(item, around), witness.show(item, witness.value(item))) for item in _values(node) if not _unknown(item))
    return Part(phrase(node, around), _holds(node, witness), seen=tuple(dict.fromkeys(seen)))


def _holds(node: Node, witness: Witness) -> bool | None:
    return None if any(_unknown(item) for item in walk(node)) else bool(witness.value(node))


def _unknown(node: Node) -> bool:
    return isinstance(node, Space) and node.path[0] in ONLY_RUNNING


def _joined(op: str, found: list[bool | None]) -> bool | None:
    decides = op == "or"
    if decides in found:
        return decides
    return None if None in found else not decides


def _values(node: Node) -> Iterator[Node]:
    """What is worth showing of a part: fields, settings, what was reckoned over time; constants say themselves."""
    match node:
        case Literal():
            return
        case Call(function=function) if function.name == "elapsed":
            yield node
        case Field() | Hop() | Space() | MapValue():
            yield node
            return
        case Not(part=part):
            yield from _values(part)
            return
    for child in below(node):
        yield from _values(child)
