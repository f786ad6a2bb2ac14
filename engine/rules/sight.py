"""What of a rule's work one reader may be told: fields that stand in clear in records they may see. Shows nothing; where a record is not known, every one must be theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.access import grant_of
from engine.errors import NotFound
from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Node, Space, walk
from engine.fields.values import Link
from engine.records.query import get

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.record import Record

#: Spaces whose values are nobody's secret: parameters of the workspace and of the call, and what the run knows of itself.
_OPEN_SPACES = ("setting", "run", "param")


@dataclass(slots=True)
class Sight:
    """One reader's, for one page: each record is looked at once. A record None is one that is not known, or is no more."""

    ctx: Context
    _seen: dict[tuple[str, int], Record | None] = field(default_factory=dict)

    def sees(self, entity: str, record: int | None) -> bool:
        """Whether the reader may see a record."""
        owner = self.ctx.workspace.entities.get(entity)
        rows = grant_of(self.ctx.workspace, self.ctx.actor, owner).condition("read") if owner is not None else False
        return rows if isinstance(rows, bool) else self._record(entity, record) is not None

    def reads(self, entity: str, record: int | None, key: str) -> bool:
        """Whether the reader may see a field of a record, and never masked."""
        owner = self.ctx.workspace.entities.get(entity)
        if owner is None or not self.sees(entity, record):
            return False
        return key not in owner.fields or key in grant_of(self.ctx.workspace, self.ctx.actor, owner).open

    def beyond(self, entity: str, record: int | None, link: str) -> int | None:
        """The id of the record that a link of a record leads to now; None when the reader does not see it."""
        held = self._record(entity, record)
        value = held.get(link) if held is not None else None
        return value.id if isinstance(value, Link) else None

    def knows(self, entity: str, record: int | None, term: object) -> bool:
        """Whether the reader may see everything that an expression over a record reads; constants are nobody's secret."""
        return not isinstance(term, Expression) or all(self._knows(entity, record, node) for node in walk(term.tree))

    def _knows(self, entity: str, record: int | None, node: Node) -> bool:
        match node:
            case Field(key=key):
                return self.reads(entity, record, key)
            case Hop(link=link, entity=target, key=key):
                return self.reads(entity, record, link) and self.reads(target, self.beyond(entity, record, link), key)
            case Space(path=("me", *rest)):
                return not rest or self.reads("person", None, str(rest[0]))
            case Space(path=(head, *rest), root=root) if head not in _OPEN_SPACES:
                if not rest:
                    return node.type.linked  # a record: what is shown of it is its label, under the reader's own rights
                own = head in ("record", "old")
                owner = root or (entity if own else "")
                return bool(owner) and self._path(owner, record if own and owner == entity else None, node)
        return True

    def _path(self, entity: str, record: int | None, node: Space) -> bool:
        """A field of a record by its name, or one hop further."""
        _head, key, *further = (str(part) for part in node.path)
        if not self.reads(entity, record, key):
            return False
        return not (further and node.hop) or self.reads(node.hop, self.beyond(entity, record, key), further[0])

    def _record(self, entity: str, record: int | None) -> Record | None:
        if record is None or entity not in self.ctx.workspace.entities:
            return None
        if (entity, record) not in self._seen:
            try:
                self._seen[entity, record] = get(self.ctx, entity, record, lines=False)
            except NotFound:
                self._seen[entity, record] = None
        return self._seen[entity, record]
