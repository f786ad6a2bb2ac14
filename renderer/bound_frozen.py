"""Frozen records ready for their page: groups under their names, each record with its values as lists show them. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from engine.access import grant_of
from engine.frozen import Frozen, FrozenGroup
from metadata.text import label_text
from renderer.bound_record import Desk, detail, moment_field, record_label

if TYPE_CHECKING:
    from engine.records.record import Record
    from engine.workspace import CompiledEntity

#: Kinds of values that are no reading matter: what a file was called is told by the record itself.
_LEFT_OUT = ("json", "file", "image", "files")


@dataclass(frozen=True, slots=True)
class FrozenRow:
    """One record as it was: when it happened, what it is called, all its values in words."""

    number: int
    label: str
    when: Markup
    facts: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True, slots=True)
class FrozenView:
    """Records of one entity; ``more``: how many of them are not shown."""

    key: str
    title: str
    icon: str
    count: int
    rows: tuple[FrozenRow, ...]
    closed: bool

    @property
    def more(self) -> int:
        """How many are kept beyond those shown."""
        return 0 if self.closed else self.count - len(self.rows)


def frozen_views(desk: Desk, found: Frozen) -> list[FrozenView]:
    """The groups in the order they were kept in."""
    return [_view(desk, group) for group in found.groups]


def _view(desk: Desk, group: FrozenGroup) -> FrozenView:
    entity = desk.ctx.workspace.entities[group.entity]
    title = label_text(entity.definition.plural or entity.title, desk.ctx.locale, entity.key)
    rows = tuple(_row(desk, entity, record) for record in group.records)
    return FrozenView(f"{group.name}-{group.entity}", title, entity.definition.icon or "list", group.count, rows, group.closed)


def _row(desk: Desk, entity: CompiledEntity, record: Record) -> FrozenRow:
    when = moment_field(entity)
    readable = grant_of(desk.ctx.workspace, desk.ctx.actor, entity).readable
    facts = tuple(
        (label_text(item.definition.title, desk.ctx.locale, key), detail(desk, entity, item, record[key]))
        for key, item in entity.fields.items()
        if key in readable and item.definition.type not in _LEFT_OUT and record.get(key) not in (None, "", [])
    )
    at = desk.cell(entity, when, record.get(when.key)) if when is not None else Markup("")
    return FrozenRow(record.id, record_label(desk.ctx, entity, record), at, facts)
