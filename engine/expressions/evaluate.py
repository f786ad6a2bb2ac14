"""The Python face: simpleeval's walk over the checked tree, for one record at a time. Never raises for values of the types that were checked.

One evaluator per request or job (it holds the moment and the acting person); it is not shared by threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from simpleeval import SimpleEval  # type: ignore[import-untyped]

from engine.errors import Conflict
from engine.expressions import operations
from engine.expressions.language import Expression
from engine.expressions.nodes import (
    Arithmetic,
    Call,
    Choose,
    Compare,
    Convert,
    EnvironmentCall,
    Expect,
    Field,
    Hop,
    Items,
    LinkField,
    Literal,
    Logic,
    MapValue,
    Negative,
    Node,
    Not,
    Space,
)
from engine.expressions.types import DOUBLE, Type

Value = Any
#: Reads the record an entity's id names, as a mapping of typed values; None when it is not there (or not to be seen).
Follow = Callable[[str, int], Mapping[str, Value] | None]

#: The id ``me`` has where nobody acts: no record's, and never equal to an empty link.
NOBODY = 0
_NOTHING: Mapping[str, Value] = {}


class Carried(Mapping[str, Value]):
    """A record that stands under a name, and knows of which entity it is."""

    __slots__ = ("entity",)
    entity: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What is known of the fields of records beyond the row at hand, by (entity, field): ``computed`` when they are read, ``links`` and where they lead."""

    computed: Mapping[tuple[str, str], Expression] = field(default_factory=dict)
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)


NO_FIELDS = Fields()


def no_records(entity: str, record: int) -> None:
    """For expressions without links."""
    return None


def same_value(field_type: str, value: Value) -> Value:
    """For workspaces without encrypted fields."""
    return value


def no_holidays(name: str) -> Collection[date]:
    """For workspaces without holiday calendars."""
    return ()


def nobody(role: str) -> Sequence[int]:
    """For expressions that do not ask for people."""
    return ()


@dataclass(frozen=True, slots=True)
class Environment:
    """What is fixed for a whole run. ``now`` is aware UTC; ``me`` maps the acting person's fields (``id`` included), None for nobody.

    ``normal(field_type, value)`` is the stored form of an encrypted value, ``blind`` its blind index; ``people(role)`` the active ones' ids,
    ``holidays(name)`` the closed days of a named calendar.
    """

    now: datetime
    timezone: ZoneInfo
    me: Mapping[str, Value] | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    normal: Callable[[str, Value], Value] = same_value
    blind: Callable[[str, Value], Value] = same_value
    people: Callable[[str], Sequence[int]] = nobody
    holidays: Callable[[str], Collection[date]] = no_holidays

    @property
    def today(self) -> date:
        """The local date of ``now``."""
        return self.now.astimezone(self.timezone).date()


class Evaluator(SimpleEval):  # type: ignore[misc]
    """Evaluates expressions in one environment."""

    def __init__(self, environment: Environment, hops: Follow = no_records, fields: Fields = NO_FIELDS) -> None:
        # The base constructor builds tables this subclass does not use and touches the process-wide warning filters.
        self.environment = environment
        self.hops = hops
        self.fields = fields
        self._row: Mapping[str, Value] = _NOTHING
        self._spaces: Mapping[str, Value] = _NOTHING

    def value(self, expression: Expression, row: Mapping[str, Value], /, *, old: Mapping[str, Value] | None = None, **spaces: Value) -> Value:
        """The value for a row, of the expression's type; a text of no length is empty. ``spaces`` are carried names (any) and spaces by name."""
        found = self.of_node(expression.tree, row, old=old, spaces=spaces)
        return None if found == "" else found

    def truth(self, expression: Expression, row: Mapping[str, Value], /, *, old: Mapping[str, Value] | None = None, **spaces: Value) -> bool:
        """Whether a condition holds for a row; empty is false."""
        return bool(self.of_node(expression.tree, row, old=old, spaces=spaces))

    def of_node(
        self,
        node: Node,
        row: Mapping[str, Value] = _NOTHING,
        *,
        old: Mapping[str, Value] | None = None,
        hops: Follow | None = None,
        spaces: Mapping[str, Value] = _NOTHING,
    ) -> Value:
        """The value of a part of an expression."""
        kept = self._row, self._spaces, self.hops
        self._row = row
        self._spaces = spaces if old is None else {**spaces, "old": old}
        if hops is not None:
            self.hops = hops
        try:
            return _NODES[node.__class__](self, node)
        finally:
            self._row, self._spaces, self.hops = kept

    def _eval(self, node: Node) -> Value:
        return _NODES[node.__class__](self, node)

    def _literal(self, node: Literal) -> Value:
        return node.value

    def _field(self, node: Field) -> Value:
        return self._row.get(node.key)

    def _link_field(self, node: LinkField) -> Value:
        found = self._row.get(node.key)
        return found if found.__class__ is int or found is None else _record_id(found)

    def _hop(self, node: Hop) -> Value:
        link = self._row.get(node.link)
        if link is None:
            return None
        return self._of_record(node.entity, link, node.key, node.type.linked)

    def _of_record(self, entity: str, record: Value, key: str, linked: bool) -> Value:
        """A field of a record given as id, as link or as the mapping itself; a column of a list of records."""
        if record is None:
            return None
        if isinstance(record, Mapping):
            found = record.get(key)
            if found is None and isinstance(record, Carried):
                found = self._computed(record.entity, key, record)
        elif isinstance(record, Sequence) and not isinstance(record, tuple | str):
            return [item for item in (self._of_record(entity, one, key, False) for one in record) if item is not None]
        else:
            target = self.hops(entity, _record_id(record))
            found = None if target is None else target.get(key)
            if found is None and target is not None:
                found = self._computed(entity, key, target)
        return _record_id(found) if linked or found.__class__ is tuple else found

    def _computed(self, entity: str, key: str, row: Mapping[str, Value]) -> Value:
        """The value of a field that is computed when it is read; None for every other."""
        formula = self.fields.computed.get((entity, key))
        if formula is None:
            return None
        below = {name: self._computed(entity, name, row) for name in formula.fields if (entity, name) in self.fields.computed}
        return self.value(formula, {**row, **below} if below else row)

    def field_of(self, entity: str, record: Value, key: str) -> Value:
        """A field of a record given by its id, one that is computed when it is read, too."""
        return self._of_record(entity, record, key, False)

    def _space(self, node: Space) -> Value:
        path = node.path
        head = path[0]
        if head == "me":
            found: Value = self.environment.me
        elif head == "setting":
            found = self.environment.settings
        else:
            found = self._spaces.get(head)
        if len(path) == 1:
            if head == "me" and found is None:
                return NOBODY
            return _record_id(found) if node.type.linked else found
        linked, root = node.type.linked, _known(node.root, found, path[:1])
        if len(path) == 2:
            return self._of_record(root, found, path[1], linked)
        between = self._of_record(root, found, path[1], False)
        hop = node.hop or (self.fields.links.get((found.entity, path[1]), "") if isinstance(found, Carried) else "")
        return self._of_record(_known(hop, between, path[:2]), between, path[2], linked)

    def _map_value(self, node: MapValue) -> Value:
        kept = self.environment.settings.get(node.key)
        if not isinstance(kept, Mapping):
            return None
        code = self._eval(node.index)
        return kept[code] if code in kept else kept.get("else")

    def _call(self, node: Call) -> Value:
        return node.function.python(*[_NODES[part.__class__](self, part) for part in node.args])

    def _environment_call(self, node: EnvironmentCall) -> Value:
        return node.function.python(self.environment, *[_NODES[part.__class__](self, part) for part in node.args])

    def _compare(self, node: Compare) -> bool:
        left, right = node.left, node.right
        first, second = _NODES[left.__class__](self, left), _NODES[right.__class__](self, right)
        if left.type.sealed:
            return self._compare_sealed(node, first, second)
        if left.type.dynamic:
            return _compare_unknown(node.op, first, second)
        return operations.COMPARISONS[node.op](first, second)

    def _compare_sealed(self, node: Compare, left: Value, right: Value) -> bool:
        normal, kind = self.environment.normal, node.left.type.sealed
        others = [normal(kind, item) for item in right] if isinstance(right, list) else None if right is None else normal(kind, right)
        return operations.COMPARISONS[node.op](None if left is None else normal(kind, left), others)

    def _logic(self, node: Logic) -> bool:
        # Plain loops: all() and any() over a generator take half as long again.
        if node.op == "and":
            for part in node.parts:  # noqa: SIM110
                if not _NODES[part.__class__](self, part):
                    return False
            return True
        for part in node.parts:  # noqa: SIM110
            if _NODES[part.__class__](self, part):
                return True
        return False

    def _not(self, node: Not) -> bool:
        return not self._eval(node.part)

    def _arithmetic(self, node: Arithmetic) -> Value:
        return operations.ARITHMETIC[node.op](self._eval(node.left), self._eval(node.right))

    def _negative(self, node: Negative) -> Value:
        return operations.negate(self._eval(node.part))

    def _convert(self, node: Convert) -> Value:
        return operations.convert(self._eval(node.part), node.factor, node.type == DOUBLE)

    def _expect(self, node: Expect) -> Value:
        found = self._eval(node.part)
        if node.type.linked:
            found = _record_id(found)
        return found if operations.is_of(found, node.type) else None

    def _choose(self, node: Choose) -> Value:
        for test, result in node.branches:
            if _NODES[test.__class__](self, test):
                return self._eval(result)
        return self._eval(node.otherwise)

    def _items(self, node: Items) -> list[Value]:
        found: list[Value] = []
        for part in node.items:
            value = self._eval(part)
            if part.type.dynamic:
                found += self._of_unknown(value, node.type.element)
            elif isinstance(value, list):
                found += [item for item in value if item is not None]
            elif value is not None:
                found.append(value)
        return found

    def _of_unknown(self, value: Value, wanted: Type) -> list[Value]:
        """The items of a wanted type in a value of which nothing was known before."""
        found = value if isinstance(value, list) else [value]
        if wanted.linked:
            found = [_record_id(item) for item in found]
        return [item for item in found if item is not None and operations.is_of(item, wanted)]


def _known(entity: str, record: Value, path: Sequence[str]) -> str:
    """The entity of what stands under a name. Raises Conflict for a number (of an action's result) of which nobody knows whose record it is."""
    one = record[0] if isinstance(record, list) and record else record
    if not entity and type(one) is int:
        raise Conflict("rule_bare_number", name=".".join(path))
    return entity


def _record_id(value: Value) -> Value:
    """The id of a record given as id, as (id, label) or as a mapping."""
    if isinstance(value, Mapping):
        return value.get("id")
    return value[0] if isinstance(value, tuple) and value else value


def _compare_unknown(op: str, left: Value, right: Value) -> bool:
    try:
        return operations.COMPARISONS[op](left, right)
    except TypeError:
        return False


_NODES: Mapping[type, Callable[[Evaluator, Any], Value]] = {
    Literal: Evaluator._literal,
    Field: Evaluator._field,
    LinkField: Evaluator._link_field,
    Hop: Evaluator._hop,
    Space: Evaluator._space,
    MapValue: Evaluator._map_value,
    Call: Evaluator._call,
    EnvironmentCall: Evaluator._environment_call,
    Compare: Evaluator._compare,
    Logic: Evaluator._logic,
    Not: Evaluator._not,
    Arithmetic: Evaluator._arithmetic,
    Negative: Evaluator._negative,
    Convert: Evaluator._convert,
    Expect: Evaluator._expect,
    Choose: Evaluator._choose,
    Items: Evaluator._items,
}
