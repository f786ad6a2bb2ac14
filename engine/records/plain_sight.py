"""What of one record somebody sees in clear, and so whether they may be told what an expression makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.access import grant_of
from engine.errors import NotFound
from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, Node, Space, walk
from engine.fields.base import Value
from engine.records import query

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.work import Work
    from engine.workspace import CompiledEntity

#: Spaces of the record itself.
_OWN = ("record", "old")


@dataclass(frozen=True, slots=True)
class PlainSight:
    """A record before its reader. ``clear``: the fields they see in clear in this record. Needs an open connection."""

    ctx: Context
    entity: CompiledEntity
    row: Mapping[str, Value]
    clear: frozenset[str]

    @staticmethod
    def of(work: Work, entity: CompiledEntity, row: Mapping[str, Value]) -> PlainSight:
        """A record whoever works may see, as they see it."""
        grant, truth = work.grant(entity), work.truth(entity, row)
        hidden = {name for name, guard in grant.guards.items() if not (guard.is_visible(truth) and guard.is_clear(truth))}
        return PlainSight(work.ctx, entity, row, (grant.readable - hidden) | {"id", "version"})

    def shows(self, expression: Expression) -> bool:
        """Whether the reader sees everything an expression reads."""
        return all(self.may(node) for node in walk(expression.tree))

    def may(self, node: Node) -> bool:
        """Whether the reader may see what one node reads."""
        match node:
            case Hop(link=link, entity=entity, key=key):
                return link in self.clear and self._open(entity, key) and self._readable(entity, self.row.get(link))
            case Field(key=key):
                return self._own(key)
            case Space(path=(head, key, *rest)) if head in _OWN:
                return self._own(str(key)) and (not rest or (self._open(node.hop, str(rest[0])) and self._readable(node.hop, self.row.get(str(key)))))
        return True

    def _own(self, key: str) -> bool:
        return key in self.clear or key not in self.entity.fields

    def _open(self, entity: str, key: str) -> bool:
        target = self.ctx.workspace.entities.get(entity)
        return target is not None and (key not in target.fields or key in grant_of(self.ctx.workspace, self.ctx.actor, target).open)

    def _readable(self, entity: str, record: Value) -> bool:
        if not isinstance(record, int):
            return True
        try:
            query.get(self.ctx, entity, record, fields=("id",))
        except NotFound:
            return False
        return True
