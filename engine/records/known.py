"""What a transaction knows without asking the database: records it has made, with all that can link to them, and answers it was given before.

Nobody else sees a record before its commit, so whatever links to it was written here and is at hand. An answer holds until this transaction writes
to what was asked or takes a lock, after which it must see what others have committed. Asks nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression
from engine.expressions.nodes import Compare, Field, LinkField, Logic, Node, reads_row
from engine.fields.base import Value
from engine.records.row_statements import Row

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity

Place = tuple[str, int]
#: More rows than these of one entity are the database's to look through.
_MOST_ROWS = 50


@dataclass(slots=True)
class Known:
    """``rows``: every row of the transaction by (entity, id), shared with its work."""

    rows: Mapping[Place, Row | None]
    _made: dict[str, set[int]] = field(default_factory=dict)
    _written: dict[str, set[int]] = field(default_factory=dict)
    _beside: set[str] = field(default_factory=set)  # entities of which rows were written past this work
    _stamps: dict[str, int] = field(default_factory=dict)
    _fresh: set[Place] = field(default_factory=set)  # rows that are as they were when this transaction last had reason to look
    _locks: set[tuple[object, ...]] = field(default_factory=set)
    _answers: dict[object, tuple[object, Any]] = field(default_factory=dict)

    # --- what is noted --------------------------------------------------------------------------------------------------------------------

    def wrote(self, entity: str, record_id: int, *, made: bool = False) -> None:
        """A row was written here."""
        self._written.setdefault(entity, set()).add(record_id)
        self._stamps[entity] = self._stamps.get(entity, 0) + 1
        if made:
            self._made.setdefault(entity, set()).add(record_id)

    def read(self, entity: str, record_id: int) -> None:
        """A row was read, or written, and stands in ``rows``."""
        self._fresh.add((entity, record_id))

    def brought(self, entity: str) -> None:
        """Rows of an entity were written past this work, in its transaction."""
        self._beside.add(entity)
        self._stamps[entity] = self._stamps.get(entity, 0) + 1

    def forget(self) -> None:
        """Something was done to rows that are not told."""
        self._made.clear()
        self._answers.clear()

    def renew(self) -> None:
        """What comes next is to see what others have committed."""
        self._answers.clear()
        self._fresh.clear()

    def lock(self, name: tuple[object, ...]) -> bool:
        """Note that a name is taken until the transaction ends; False when it was already."""
        if name in self._locks:
            return False
        self._locks.add(name)
        self.renew()
        return True

    # --- what is known --------------------------------------------------------------------------------------------------------------------

    def made(self, entity: str, record_id: Value) -> bool:
        """Whether this transaction has made a record."""
        return record_id in self._made.get(entity, ())

    def changed(self, entity: str, record_id: int) -> bool:
        """Whether this transaction has written a record that was there before."""
        return record_id in self._written.get(entity, ()) and not self.made(entity, record_id)

    def linking(self, entity: CompiledEntity, link: str, target: Value) -> list[Row] | None:
        """The standing rows whose link leads to a record, by id; None where the database must be asked."""
        if not self.made(entity.fields[link].target, target) or entity.key in self._beside:
            return None
        ids = self._written.get(entity.key, ())
        if len(ids) > _MOST_ROWS:
            return None
        found = (self.rows.get((entity.key, one)) for one in sorted(ids))
        return [row for row in found if row is not None and row[link] == target and row["deleted_at"] is None]

    def found(self, entity: CompiledEntity, where: Expression, evaluator: Evaluator, spaces: Mapping[str, Value]) -> list[Row] | None:
        """Among which standing rows those must be for which a condition holds; None where the database must be asked."""
        number = _meant(where.tree)
        if number is not None:
            return self._one(entity.key, evaluator.of_node(number, spaces=spaces))
        if entity.key in self._beside or not self._made:
            return None
        for link, node in _led(where.tree):
            target = entity.fields[link].target
            if target not in self._made:
                continue
            value = evaluator.of_node(node, spaces=spaces)
            rows = self.linking(entity, link, value.get("id") if isinstance(value, Mapping) else value)
            if rows is not None:
                return rows
        return None

    def _one(self, entity: str, record_id: Value) -> list[Row] | None:
        """The record of an id, where it was read since the last lock."""
        if not record_id:
            return []
        row = self.rows.get((entity, record_id)) if (entity, record_id) in self._fresh else None
        return None if row is None else [row] if row["deleted_at"] is None else []

    def answer(self, question: object, entities: Collection[str]) -> Any:
        """What was answered to a question about some entities; None when it must be asked (again)."""
        kept = self._answers.get(question)
        return kept[1] if kept is not None and kept[0] == self._stamp(entities) else None

    def answered(self, question: object, entities: Collection[str], answer: object) -> None:
        """Keep an answer."""
        self._answers[question] = self._stamp(entities), answer

    def _stamp(self, entities: Collection[str]) -> tuple[int, ...]:
        return tuple(self._stamps.get(entity, 0) for entity in entities)


def _meant(node: Node) -> Node | None:
    """The id of the one record a condition can hold for; None where it does not say."""
    match node:
        case Logic(op="and", parts=parts):
            return next((found for part in parts if (found := _meant(part)) is not None), None)
        case Compare(op="eq", left=Field(key="id"), right=right) if not reads_row(right):
            return right
    return None


def _led(node: Node) -> Iterator[tuple[str, Node]]:
    """The links a condition demands to lead to one record, each with what that is."""
    match node:
        case Logic(op="and", parts=parts):
            for part in parts:
                yield from _led(part)
        case Compare(op="eq", left=LinkField(key=key), right=right) if not reads_row(right):
            yield key, right
        case Compare(op="eq", left=left, right=LinkField(key=key)) if not reads_row(left):
            yield key, left
