"""What the head of a record page warns of: records that point here, while the condition holds under which their link says they do. Read under the reader's grant."""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import grant_of
from engine.records.query import Query, page
from engine.records.record import Record
from engine.workspace import CompiledEntity, CompiledField
from metadata.text import label_text
from renderer.bound_field import Surroundings, colour_of, shown_text
from renderer.bound_record import Desk, leading_to, pointing, record_label

#: How many of one entity are named.
AT_MOST = 2


@dataclass(frozen=True, slots=True)
class Flag:
    """One mark beside the name: what it is and in which state, which record it leads to (``about``: what that is called)."""

    label: str
    colour: str
    href: str
    about: str


def flags(desk: Desk, entity: CompiledEntity, record: int) -> list[Flag]:
    """The flags of a record, the newest of each entity first. Needs an open connection."""
    return [
        _flag(desk, other, row)
        for other, link in pointing(desk.ctx, entity)
        if (condition := str(link.definition.options.get("flags") or ""))
        for row in _rows(desk, other, link, condition, record)
    ]


def _rows(desk: Desk, other: CompiledEntity, link: CompiledField, condition: str, record: int) -> list[Record]:
    wanted = {*other.label_fields(), other.stages.field if other.stages else "id"} & grant_of(desk.ctx.workspace, desk.ctx.actor, other).readable
    asked = Query(other.key, condition, sort=("-id",), fields=("id", *sorted(wanted)), limit=AT_MOST)
    return list(page(desk.ctx, leading_to(desk.ctx, asked, link.key, record)).items)


def _flag(desk: Desk, other: CompiledEntity, row: Record) -> Flag:
    title, href = label_text(other.title, desk.ctx.locale, other.key), f"{desk.base}/r/{other.key}/{row.id}"
    item = other.fields.get(other.stages.field) if other.stages else None
    state = row.get(item.key) if item is not None else None
    about = record_label(desk.ctx, other, row)
    if item is None or not isinstance(state, str):
        return Flag(title, "amber", href, about)
    around = Surroundings(desk.ctx.workspace.scope.of(other.key), desk.ctx.locale, desk.base)
    return Flag(f"{title} · {shown_text(item, state, around)}", colour_of(item, state, around) or "amber", href, about)
