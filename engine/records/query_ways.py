"""What a list's own conditions tell about its rows before any is read, so that an index can lead to them: values that are fixed, columns that are not
empty, read alternatives that are certain or impossible, and conditions better asked one alternative after the other.

Leaves out only what cannot change the answer; compiles and runs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Guard, remember
from engine.expressions.language import Expression
from engine.expressions.nodes import Call, Compare, Field, Items, Literal, Logic, Node, Space
from engine.expressions.types import BOOLEAN
from engine.schema.index_spec import IndexSpec
from engine.schema.indexes import needed
from engine.schema.tables import StoredField
from engine.scope import MOST_ALTERNATIVES

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField, Workspace

Rows = bool | tuple[Expression, ...]
#: A value a field can have: (type, literal), or the acting person.
Fact = tuple[str, Any]
_ME: Fact = ("me", None)
_ORDERED = ("lt", "le", "gt", "ge")


@dataclass(frozen=True, slots=True)
class Told:
    """``values``: the only ones a field can have; ``filled``: fields that are not empty."""

    values: Mapping[str, frozenset[Fact]]
    filled: frozenset[str]

    @classmethod
    def by(cls, conditions: Iterable[Expression]) -> Told:
        """What conditions tell that all hold."""
        values: dict[str, frozenset[Fact]] = {}
        filled: set[str] = set()
        for part in (part for one in conditions for part in parts_of(one.tree, "and")):
            fixed = _fixed(part)
            if fixed is not None:
                key, found = fixed
                values[key] = values[key] & found if key in values else found
                filled.add(key)
            filled |= _filled(part)
        return cls(values, frozenset(filled))

    def left_of(self, rows: Rows) -> Rows:
        """What still has to be asked of a row condition: True when it is certain, else its alternatives that are not impossible."""
        if isinstance(rows, bool) or not self.values:
            return rows
        left: list[Expression] = []
        for one in rows:
            parts = list(parts_of(one.tree, "or"))
            verdicts = [self._verdict(part) for part in parts]
            if True in verdicts:
                return True
            open_parts = tuple(part for part, verdict in zip(parts, verdicts, strict=True) if verdict is None)
            if len(open_parts) == len(parts):
                left.append(one)
            elif open_parts:
                tree = open_parts[0] if len(open_parts) == 1 else Logic(one.tree.type, one.tree.column, "or", open_parts)
                left.append(Expression(f"{one.source} [left]", tree, BOOLEAN))
        return tuple(left) or False

    def _verdict(self, node: Node) -> bool | None:
        if isinstance(node, Logic):
            verdicts = {self._verdict(part) for part in node.parts}
            decisive = node.op == "or"
            return decisive if decisive in verdicts else None if None in verdicts else not decisive
        fixed = _fixed(node)
        mine = self.values.get(fixed[0]) if fixed is not None else None
        if fixed is None or mine is None:
            return None
        if mine <= fixed[1]:
            return True
        return False if _ME not in mine | fixed[1] and not mine & fixed[1] else None


def told_where_clear(guard: Guard) -> Told:
    """What is known of the rows in which a guarded field stands in clear: ``owner == me`` where it is masked while ``owner != me``."""
    if len(guard.clear) != 1:
        return Told({}, frozenset())
    rows, mask = guard.clear[0]
    found = [] if isinstance(rows, bool) else [rows]
    if not isinstance(mask, bool) and isinstance(mask.tree, Compare) and mask.tree.op == "ne":
        found.append(Expression(f"{mask.source} [clear]", replace(mask.tree, op="eq"), BOOLEAN))
    return Told.by(found)


def parts_of(node: Node, op: str) -> Iterator[Node]:
    """The parts of nested ``and`` or ``or``."""
    if isinstance(node, Logic) and node.op == op:
        for part in node.parts:
            yield from parts_of(part, op)
    else:
        yield node


def _fixed(node: Node) -> tuple[str, frozenset[Fact]] | None:
    """The field a comparison fixes and the values it leaves: ``stage == 'new'``, ``stage in ('new', 'met')``, ``owner == me``."""
    if not isinstance(node, Compare) or node.op not in ("eq", "in") or node.left.type.sealed:
        return None
    left, right = (node.right, node.left) if isinstance(node.right, Field) and node.op == "eq" else (node.left, node.right)
    if not isinstance(left, Field):
        return None
    if node.op == "eq" and isinstance(right, Space) and right.path == ("me",):
        return left.key, frozenset({_ME})
    items = _literals(right) if node.op == "in" else [right] if isinstance(right, Literal) else []
    if not items or any(item.value is None or isinstance(item.value, list | dict) for item in items):
        return None
    return left.key, frozenset((type(item.value).__name__, item.value) for item in items)


def _literals(node: Node) -> list[Literal]:
    """The literals of a written list; [] when it holds anything else."""
    if not isinstance(node, Items):
        return []
    found = [item for item in node.items if isinstance(item, Literal)]
    return found if len(found) == len(node.items) else []


def _filled(node: Node) -> set[str]:
    """The fields that cannot be empty where a condition holds: an empty side makes every order false."""
    if isinstance(node, Compare) and node.op in _ORDERED:
        return {side.key for side in (node.left, node.right) if isinstance(side, Field)}
    if isinstance(node, Call) and node.function.name == "exists" and isinstance(node.args[0], Field):
        return {node.args[0].key}
    return {node.key} if isinstance(node, Field) else set()


# --- one alternative after the other -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One alternative of a condition. ``by``: the fields whose index leads to its rows, ``filled``: those that are not empty in them.

    ``alone``: a value of several, which is only worth asking by itself where the reader's rows lead nowhere.
    """

    condition: Expression
    by: frozenset[str]
    filled: frozenset[str]
    alone: bool


def ways_of(expression: Expression, indexes: Indexes) -> tuple[Way, ...]:
    """The condition as alternatives of which one must hold, each led by an index of its own; () when it is better asked as a whole."""
    parts = list(parts_of(expression.tree, "and"))
    led = indexes.led(frozenset(Told.by([expression]).values))
    for place, part in enumerate(parts):
        alternatives = _alternatives(part, led)
        if 1 < len(alternatives) <= MOST_ALTERNATIVES:
            made = [_put(expression, parts, place, one, number) for number, one in enumerate(alternatives)]
            return tuple(
                Way(one, frozenset(led_by(alternative)), Told.by([one]).filled, isinstance(part, Compare))
                for one, alternative in zip(made, alternatives, strict=True)
            )
    return ()


def _put(expression: Expression, parts: list[Node], place: int, one: Node, number: int) -> Expression:
    kept = (*parts[:place], one, *parts[place + 1 :])
    tree = kept[0] if len(kept) == 1 else Logic(expression.tree.type, expression.tree.column, "and", kept)
    return Expression(f"{expression.source} [way {number}]", tree, BOOLEAN)


def _alternatives(part: Node, led: Collection[str]) -> list[Node]:
    if isinstance(part, Logic):
        found = list(parts_of(part, "or"))
        return found if all(not led_by(one).isdisjoint(led) for one in found) else []
    fixed = _fixed(part)
    if isinstance(part, Compare) and part.op == "in" and fixed is not None and fixed[0] in led:
        return [replace(part, op="eq", right=item) for item in {item.value: item for item in _literals(part.right)}.values()]
    return []


def led_by(node: Node) -> set[str]:
    """The fields whose index could lead to the rows of a condition."""
    found: set[str] = set()
    for part in parts_of(node, "and"):
        fixed = _fixed(part)
        found |= {fixed[0]} if fixed is not None else _filled(part) if isinstance(part, Compare) else set()
    return found


def spread(rows: Rows, indexes: Indexes) -> Rows:
    """A row condition with ``field in ('a', 'b')`` as an alternative for each value, where an index leads to each in the order of a list."""
    if isinstance(rows, bool):
        return rows
    found: list[Expression] = []
    for one in rows:
        parts = [each for part in parts_of(one.tree, "or") for each in (_alternatives(part, indexes.before) if isinstance(part, Compare) else ()) or (part,)]
        found += [one] if len(parts) == 1 else [Expression(f"{one.source} [{number}]", part, BOOLEAN) for number, part in enumerate(parts)]
    return tuple(found) if len(found) <= MOST_ALTERNATIVES else rows


@dataclass(frozen=True, slots=True)
class Indexes:
    """The fields of one entity that its indexes begin with, and those that stand second, after a field."""

    first: frozenset[str]
    second: frozenset[tuple[str, str]]

    @property
    def before(self) -> frozenset[str]:
        """The fields that stand before others in an index: where they are fixed, the index runs in the order of these."""
        return frozenset(first for first, _ in self.second)

    def led(self, fixed: Collection[str]) -> frozenset[str]:
        """The fields an index leads to where ``fixed`` ones have known values."""
        return self.first | {name for before, name in self.second if before in fixed}


def indexes_of(workspace: Workspace, entity: CompiledEntity) -> Indexes:
    """The indexes of an entity at this version."""
    return remember(workspace, ("indexes", entity.key), lambda: _indexes(workspace, entity))


def _indexes(workspace: Workspace, entity: CompiledEntity) -> Indexes:
    names = {str(item.column.key): name for name, item in entity.fields.items() if item.column is not None}
    names |= {str(item.column.key): str(item.column.key) for item in entity.carried}  # as row permissions name them
    specs = [spec for spec in remember(workspace, ("needed indexes",), lambda: _needed(workspace)) if spec.entity == entity.key]
    led = [tuple(names.get(column, "") for column in spec.columns[:2]) for spec in specs]
    return Indexes(frozenset(one[0] for one in led if one[0]), frozenset((one[0], one[1]) for one in led if len(one) > 1 and all(one)))


def _needed(workspace: Workspace) -> tuple[IndexSpec, ...]:
    stored = {
        (entity.key, name): StoredField(entity.key, name, str(item.column.key), item.column.type, _target(item), item.bi_column is not None)
        for entity in workspace.entities.values()
        for name, item in entity.fields.items()
        if item.column is not None
    }
    stored |= {
        (entity.key, item.key): StoredField(
            entity.key, item.key, str(item.column.key), item.column.type, _target(workspace.entities[item.entity].fields[item.field]), carried=True
        )
        for entity in workspace.entities.values()
        for item in entity.carried
    }
    return tuple(needed(workspace.bundle, stored, workspace.database.dialect).values())


def _target(item: CompiledField) -> str:
    return item.target if item.type.family == "link" and isinstance(item.column, sa.Column) and isinstance(item.column.type, sa.BigInteger) else ""
