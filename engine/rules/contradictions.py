"""Whether a condition can hold at all, as far as its tree alone tells: equal to two things, empty and compared, above and below. Never wrong in saying no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from engine.expressions.nodes import Call, Compare, Expect, Items, Literal, Logic, Node, Not, spell
from engine.expressions.operations import COMPARISONS, CONTRARY, MIRROR, ORDERINGS

#: Alternatives of a condition beyond which nothing is said.
MOST_WAYS = 64
_OPEN = object()


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing an alternative says of a subject. ``op``: empty, there, eq, ne, lt, le, gt, ge, in, not_in, true, untrue."""

    subject: str
    op: str
    value: Any = None
    exact: bool = False


@dataclass(slots=True)
class _Knowledge:
    """What is known of one subject."""

    empty: bool | None = None
    truth: bool | None = None
    among: set[Any] | None = None
    without: set[Any] = field(default_factory=set)
    low: tuple[Any, bool] | None = None  # (bound, whether it is itself allowed)
    high: tuple[Any, bool] | None = None
    exact: bool = False


def never_holds(*conditions: Node) -> bool:
    """Whether these conditions can never hold together; False also when that cannot be told."""
    ways = alternatives(conditions)
    return ways is not None and not any(_possible(way) for way in ways)


def alternatives(conditions: Iterable[Node]) -> list[tuple[Claim, ...]] | None:
    """The ways in which all conditions hold, each as claims; None when there are too many. Parts nothing is known of are left out."""
    ways: list[tuple[Claim, ...]] = [()]
    for condition in conditions:
        below = _ways(condition, True)
        if below is None or len(ways) * len(below) > MOST_WAYS:
            return None
        ways = [(*first, *second) for first, second in product(ways, below)]
    return ways


def _ways(node: Node, positive: bool) -> list[tuple[Claim, ...]] | None:
    match node:
        case Not(part=part):
            return _ways(part, not positive)
        case Literal(value=value):
            return [()] if bool(value) is positive else []
        case Logic(op=op, parts=parts):
            return _all(parts, positive) if (op == "and") is positive else _any(parts, positive)
    return [tuple(_claims(node, positive))]


def _all(parts: Iterable[Node], positive: bool) -> list[tuple[Claim, ...]] | None:
    ways: list[tuple[Claim, ...]] = [()]
    for part in parts:
        below = _ways(part, positive)
        if below is None or len(ways) * len(below) > MOST_WAYS:
            return None
        ways = [(*first, *second) for first, second in product(ways, below)]
    return ways


def _any(parts: Iterable[Node], positive: bool) -> list[tuple[Claim, ...]] | None:
    ways: list[tuple[Claim, ...]] = []
    for part in parts:
        below = _ways(part, positive)
        if below is None or len(ways) + len(below) > MOST_WAYS:
            return None
        ways += below
    return ways


def _claims(node: Node, positive: bool) -> Iterator[Claim]:
    match node:
        case Call(function=function, args=(part,)) if function.name in ("empty", "exists"):
            yield Claim(_subject(part), "empty" if (function.name == "empty") is positive else "there")
        case Compare():
            yield from _compared(node, positive)
        case _:
            yield Claim(_subject(node), "true" if positive else "untrue")


def _compared(node: Compare, positive: bool) -> Iterator[Claim]:
    left, right, op = node.left, node.right, node.op
    if left.type.sealed or right.type.sealed:
        return
    if isinstance(left, Literal) and op in MIRROR:
        left, right, op = right, left, MIRROR[op]
    value = _constant(right)
    if not positive:
        if op in ORDERINGS:  # the contrary of an ordering holds for an empty value too
            return
        op = CONTRARY[op]
    exact = left.type.exact
    if value == "" or (isinstance(value, frozenset) and "" in value):  # a reckoned text of no length is empty and equal to ''
        return
    if value is not _OPEN:
        if value is None and op in ("eq", "ne"):
            yield Claim(_subject(left), "empty" if op == "eq" else "there")
        elif value is None and op in ORDERINGS:
            yield Claim("", "untrue")
        else:
            yield Claim(_subject(left), op, value, exact)
    elif op in ORDERINGS:
        yield Claim(_subject(left), "there")
        yield Claim(_subject(right), "there")


def _constant(node: Node) -> Any:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Items) and all(isinstance(item, Literal) for item in node.items):
        return frozenset(item.value for item in node.items if isinstance(item, Literal) and item.value is not None)
    return _OPEN


def _subject(node: Node) -> str:
    """The same text for the same value within one evaluation."""
    return spell(node.part if isinstance(node, Expect) else node)


def _possible(way: Iterable[Claim]) -> bool:
    known: dict[str, _Knowledge] = {}
    for claim in way:
        if claim.subject == "":
            return False
        if not _learn(known.setdefault(claim.subject, _Knowledge()), claim):
            return False
    return all(_consistent(item) for item in known.values())


def _learn(known: _Knowledge, claim: Claim) -> bool:
    """Whether a claim goes with what is known; it is then known too."""
    op, value = claim.op, claim.value
    known.exact |= claim.exact
    if op in ("true", "untrue"):
        if known.truth is not None and known.truth is not (op == "true"):
            return False
        known.truth = op == "true"
        return True
    if op in ("empty", "there"):
        return _emptiness(known, op == "empty")
    if op == "ne":
        known.without.add(value)
        return True
    if op == "not_in":
        known.without |= value if isinstance(value, frozenset) else set()
        return True
    if not _emptiness(known, False):
        return False
    if op in ("eq", "in"):
        wanted = set(value) if op == "in" else {value}
        known.among = wanted if known.among is None else known.among & wanted
    elif op in ("gt", "ge"):
        bound = (value, op == "ge")
        known.low = bound if known.low is None or _tighter(bound, known.low, above=True) else known.low
    elif op in ("lt", "le"):
        bound = (value, op == "le")
        known.high = bound if known.high is None or _tighter(bound, known.high, above=False) else known.high
    return True


def _tighter(new: tuple[Any, bool], old: tuple[Any, bool], *, above: bool) -> bool:
    try:
        return bool(new[0] > old[0] if above else new[0] < old[0]) or (new[0] == old[0] and not new[1])
    except TypeError:
        return False


def _emptiness(known: _Knowledge, empty: bool) -> bool:
    if known.empty is not None and known.empty is not empty:
        return False
    known.empty = empty
    return True


def _consistent(known: _Knowledge) -> bool:
    try:
        if known.among is not None:
            return any(item not in known.without and _inside(item, known) for item in known.among)
        if known.low is None or known.high is None:
            return True
        (low, with_low), (high, with_high) = known.low, known.high
        if known.exact and isinstance(low, int) and isinstance(high, int):
            first, last = low if with_low else low + 1, high if with_high else high - 1
            return first <= last and not all(number in known.without for number in range(first, min(last, first + len(known.without)) + 1))
        return bool(low < high) or (low == high and with_low and with_high)
    except TypeError:
        return True


def _inside(item: Any, known: _Knowledge) -> bool:
    if known.low is not None and not COMPARISONS["ge" if known.low[1] else "gt"](item, known.low[0]):
        return False
    return known.high is None or COMPARISONS["le" if known.high[1] else "lt"](item, known.high[0])
