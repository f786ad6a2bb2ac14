"""Expressions as people say them: the checked tree in words, in one language, with the names people gave. Total: every tree has a phrase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.expressions.language import Expression
from engine.expressions.nodes import Arithmetic, Call, Choose, Compare, Convert, Expect, Field, Hop, Items, Literal, Logic, MapValue, Negative, Node, Not, Space
from engine.expressions.operations import MIRROR
from engine.expressions.types import BOOLEAN, Type
from engine.fields.money import Money
from engine.fields.scaled import grouped_short
from engine.fields.scope import SHANGHAI, FieldScope
from engine.rules.labels import Labels
from metadata.bundle import Bundle
from metadata.definitions import Field as Definition

_CONTRARY = {"eq": "ne", "ne": "eq", "in": "not_in", "not_in": "in"}
_SECONDS = (86_400, 3_600, 60, 1)
_MONEY, _AMOUNT, _ANYWHERE = Money(), Definition("amount", "money"), FieldScope(Bundle({}))
#: What a phrase with places for more arguments than were given puts there.
_NO_PARTS = ("", "", "", "")


@dataclass(frozen=True, slots=True)
class Named:
    """A name a step gave: what it is called, what its columns or outputs are called, of which entity it is a record, and the option sets of its outputs."""

    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    entity: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Around:
    """Where an expression stands. ``entity``: of bare names, the rows looked at when ``rows``; ``own``: of the rule's record."""

    labels: Labels
    entity: str = ""
    own: str = ""
    rows: bool = False
    names: Mapping[str, Named] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timezone: ZoneInfo = SHANGHAI


def phrase(term: Expression | Node, around: Around) -> str:
    """An expression in words: a condition as a condition, a value as a value."""
    node = term.tree if isinstance(term, Expression) else term
    return _Speaker(around).condition(node) if node.type == BOOLEAN else _Speaker(around).value(node)


def value_phrase(term: Expression | Node, around: Around) -> str:
    """The same where the value itself is meant: a condition becomes ``whether …``."""
    node = term.tree if isinstance(term, Expression) else term
    return _Speaker(around).value(node)


def span(seconds: int, labels: Labels) -> str:
    """A length of time: ``7 天``, ``1 天 2 小时``."""
    left, parts = abs(seconds), []
    for size in _SECONDS:
        number, left = divmod(left, size)
        if number:
            parts.append(labels.word(f"one_{size}") if number == 1 else labels.word(f"some_{size}", number=number))
    text = " ".join(parts) or labels.word("some_1", number=0)
    return labels.word("minus", number=text) if seconds < 0 else text


class _Speaker:
    """One walk over one tree."""

    def __init__(self, around: Around) -> None:
        self.around = around
        self.labels = around.labels
        self.word = around.labels.word

    # -- conditions

    def condition(self, node: Node) -> str:
        """A node of type boolean as a condition."""
        match node:
            case Literal(value=value):
                return self.word("always" if value else "never")
            case Logic():
                return self._logic(node)
            case Not(part=part):
                return self._not(part)
            case Compare():
                return self._compare(node, node.op)
            case Choose():
                return self._choose(node, self.condition)
            case Call(function=function, args=(left,)) if function.name in ("empty", "exists"):
                return self.word(function.name, left=self.value(left))
            case Call():
                return self._call(node)
        return self.word("holds", value=self._inner(node))

    def _logic(self, node: Logic) -> str:
        within = _within(node)
        if within is not None:
            item, low, high = within
            return self.word("within", item=self.value(item), low=self.value(low), high=self.value(high))
        return self.word(node.op).join(self._grouped(part) for part in node.parts)

    def _grouped(self, node: Node) -> str:
        """A condition inside another: in brackets when it is made of several."""
        text = self.condition(node)
        several = (isinstance(node, Logic) and len(node.parts) > 1 and _within(node) is None) or isinstance(node, Choose)
        return self.word("grouped", text=text) if several else text

    def _not(self, part: Node) -> str:
        match part:
            case Compare(op=op) if op in _CONTRARY:
                return self._compare(part, _CONTRARY[op])
            case Call(function=function, args=(left,)) if function.name in ("empty", "exists"):
                return self.word("exists" if function.name == "empty" else "empty", left=self.value(left))
            case Field() | Hop() | Space() | MapValue() | Expect():
                return self.word("holds_not", value=self._inner(part))
            case Literal(value=value):
                return self.word("never" if value else "always")
        return self.word("not", part=self.word("grouped", text=self.condition(part)))

    def _compare(self, node: Compare, op: str) -> str:
        left, right = self._codes(node.left, node.right), self._codes(node.right, node.left)
        if op in ("in", "not_in"):
            code = f"{op}_one" if isinstance(right, Items) else f"{op}_list"
            return self.word(code, left=self.value(left), right=self._list(right) if isinstance(right, Items) else self.value(right))
        if op in ("eq", "ne") and isinstance(right, Literal) and right.value is None:
            return self.word("empty" if op == "eq" else "exists", left=self.value(left))
        if _elapsed(right) and not _elapsed(left):
            left, right, op = right, left, MIRROR[op]
        if isinstance(left, Call) and _elapsed(left):
            return self._elapsed(left, op, right)
        kind = left.type if left.type.name != "null" else right.type
        family = "time" if kind.timely else "number" if kind.numeric else "is"
        family = "is" if op in ("eq", "ne") and family == "time" else "number" if family == "is" and op not in ("eq", "ne") else family
        return self.word(f"{family}_{op}", left=self._inner(left), right=self._inner(right))

    def _codes(self, node: Node, beside: Node) -> Node:
        """A text beside an output of a decision table that is an option: that option."""
        if isinstance(node, Items):
            return replace(node, items=tuple(self._codes(part, beside) for part in node.items))
        beside = beside.part if isinstance(beside, Expect) else beside
        if not (isinstance(node, Literal) and isinstance(beside, Space) and len(beside.path) == 2):
            return node
        named = self.around.names.get(beside.path[0])
        choices = named.choices.get(beside.path[1], "") if named is not None else ""
        return replace(node, type=Type("choice", of=choices)) if choices and isinstance(node.value, str) else node

    def _elapsed(self, node: Call, op: str, bound: Node | None) -> str:
        """``elapsed(since, until, unit)`` compared with a number, or (``bound`` None) as a number."""
        since, until, unit = node.args
        size = unit.value if isinstance(unit, Literal) else 86_400
        family = "until" if _is_now(since) else "since" if _is_now(until) else "span"
        code = f"{family}_{op}" if bound is not None else family
        number = self._inner(bound) if bound is not None else ""
        unit_word = self.word(f"one_unit_{size}" if number == "1" else f"unit_{size}")
        return self.word(code, since=self._inner(since), until=self._inner(until), number=number, unit=unit_word)

    # -- values

    def value(self, node: Node) -> str:
        """Any node as a value."""
        if node.type == BOOLEAN and not isinstance(node, Field | Hop | Space | MapValue | Expect | Literal | Choose):
            return self.word("whether", part=self.condition(node))
        maker = _VALUES.get(node.__class__) or next((found for kind, found in _VALUES.items() if isinstance(node, kind)), None)
        return maker(self, node) if maker else self.labels.quoted("?")

    def _inner(self, node: Node) -> str:
        """A value inside a phrase: in brackets when it is made of several."""
        text = self.value(node)
        return self.word("grouped", text=text) if isinstance(node, Arithmetic | Choose) or (isinstance(node, Call) and node.type == BOOLEAN) else text

    def _literal(self, node: Literal) -> str:
        return literal(node.value, node.type, self.around)

    def _field(self, node: Field) -> str:
        return self.labels.field(self.around.entity, node.key)

    def _hop(self, node: Hop) -> str:
        return self.word("of", owner=self.labels.field(self.around.entity, node.link), field=self.labels.field(node.entity, node.key))

    def _space(self, node: Space) -> str:
        head, rest = node.path[0], node.path[1:]
        match head:
            case "record":
                return self._of_record(rest, node)
            case "old":
                return self.word("old", field=self._path(node.root, rest, node.hop)) if rest else self.word("old_alone")
            case "me":
                return self._of(self.word("me"), [self.labels.of_me(rest[0]), *self._further(node, rest)] if rest else [])
            case "setting":
                return self._of(self.labels.setting(rest[0]), self._further(node, rest))
            case "param":
                return self._of(self._parameter(rest[0]), self._further(node, rest))
            case "lines":
                return self.word("lines", title=self.labels.entity(rest[0])) if rest else self.labels.quoted(head)
        return self._carried(head, rest, node)

    def _of_record(self, rest: tuple[str, ...], node: Space) -> str:
        around = self.around
        this = self.word("this", entity=self.labels.entity(around.own)) if around.own else self.word("this_record")
        if not rest:
            return this
        path = self._path(node.root or around.own, rest, node.hop)
        return self._of(this, [path]) if around.rows else path

    def _path(self, entity: str, rest: tuple[str, ...], hop: str) -> str:
        first = self.labels.field(entity, rest[0])
        return self._of(first, [self.labels.field(hop, rest[1])]) if len(rest) > 1 else first

    def _further(self, node: Space, rest: tuple[str, ...]) -> list[str]:
        return [self.labels.field(node.hop, rest[1])] if len(rest) > 1 else []

    def _of(self, owner: str, fields: list[str]) -> str:
        for name in fields:
            owner = self.word("of", owner=owner, field=name)
        return owner

    def _parameter(self, key: str) -> str:
        return self.labels.parameter(key, self.around.params.get(key, {}))

    def _carried(self, head: str, rest: tuple[str, ...], node: Space) -> str:
        named = self.around.names.get(head)
        if named is None and rest and self.labels.knows(f"{head}_{rest[0]}"):
            return self.word(f"{head}_{rest[0]}")
        text = named.text if named is not None else self.word(head) if self.labels.knows(head) and head == "answer" else self.labels.quoted(head)
        if not rest:
            return text
        columns = named.columns if named is not None else {}
        first = columns.get(rest[0]) or (self.labels.field(node.root, rest[0]) if node.root else self._unknown(rest[0]))
        return self._of(text, [first, *self._further(node, rest)])

    def _unknown(self, key: str) -> str:
        return self.word(f"answer_{key}") if self.labels.knows(f"answer_{key}") else self.labels.quoted(key)

    def _map_value(self, node: MapValue) -> str:
        return self.word("map_value", setting=self.labels.setting(node.key), index=self._inner(node.index))

    def _call(self, node: Call) -> str:
        name = node.function.name
        if name == "elapsed":
            return self._elapsed(node, "", None)
        parts = [self._inner(part) for part in node.args]
        unit = node.args[1].value if name in ("start_of", "end_of", "period_of") and isinstance(node.args[1], Literal) else ""
        if unit and self.labels.knows(f"period_{unit}"):
            code = f"now_{name}" if _is_now(node.args[0]) else f"call_{name}"
            return self.word(code, parts[0], unit=self.word(f"period_{unit}"))
        if not self.labels.knows(f"call_{name}"):
            return self.word("call", name=self.labels.text(node.function.help, name), all=self.labels.listed(parts))
        return self.word(f"call_{name}", *parts, *_NO_PARTS, all=self.labels.listed(parts), plus=" + ".join(parts))

    def _arithmetic(self, node: Arithmetic) -> str:
        return self.word(node.op, left=self._inner(node.left), right=self._inner(node.right))

    def _negative(self, node: Negative) -> str:
        return self.word("negative", part=self._inner(node.part))

    def _part(self, node: Convert | Expect) -> str:
        return self.value(node.part)

    def _choose_value(self, node: Choose) -> str:
        return self._choose(node, self.value)

    def _choose(self, node: Choose, say: Callable[[Node], str]) -> str:
        parts = [self.word("choose_part", test=self._grouped(test), result=say(result)) for test, result in node.branches]
        return self.word("comma").join([*parts, self.word("choose_else", result=say(node.otherwise))])

    def _list(self, node: Items) -> str:
        return self.labels.listed([self._inner(part) for part in node.items]) or self.word("nothing")


def literal(value: Any, type_: Type, around: Around) -> str:
    """A constant as people write it: an option by its title, money in its major unit, a moment in the workspace's zone."""
    labels = around.labels
    if value is None:
        return labels.word("nothing")
    if isinstance(value, bool):
        return labels.word("yes" if value else "no")
    if isinstance(value, str):
        return labels.option(type_.of, value) if type_.name == "choice" and type_.of else labels.quoted(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(around.timezone):%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return _number(value, type_, labels)
    return labels.quoted(value) if not isinstance(value, float) else f"{value:g}"


def _number(value: int, type_: Type, labels: Labels) -> str:
    match type_.name:
        case "duration":
            return span(value, labels)
        case "money":
            return _MONEY.show(value, _AMOUNT, _ANYWHERE, labels.locale)
        case "percent":
            return f"{grouped_short(value, 2)}%"
        case "decimal":
            return grouped_short(value, type_.scale)
    return labels.word("record_number", number=value) if type_.linked else f"{value:,}"


def _is_now(node: Node) -> bool:
    return isinstance(node, Call) and node.function.name in ("now", "today")


def _elapsed(node: Node) -> bool:
    return isinstance(node, Call) and node.function.name == "elapsed"


def _within(node: Logic) -> tuple[Node, Node, Node] | None:
    """What ``between(item, low, high)`` became: ``item >= low and (item < high or high is empty)``."""
    match node:
        case Logic(
            op="and",
            parts=(Compare(op="ge", left=item, right=low), Logic(op="or", parts=(Compare(op="lt", left=same, right=high), Compare(op="eq", left=end)))),
        ) if item is same and high is end:
            return item, low, high
    return None


_VALUES: Mapping[type[Node], Callable[[_Speaker, Any], str]] = {
    Literal: _Speaker._literal,
    Field: _Speaker._field,
    Hop: _Speaker._hop,
    Space: _Speaker._space,
    MapValue: _Speaker._map_value,
    Call: _Speaker._call,
    Arithmetic: _Speaker._arithmetic,
    Negative: _Speaker._negative,
    Convert: _Speaker._part,
    Expect: _Speaker._part,
    Choose: _Speaker._choose_value,
    Items: _Speaker._list,
}
