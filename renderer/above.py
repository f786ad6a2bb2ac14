"""The lists that stand above another: their first records as cards with their columns named and their buttons. What a list shows is bound_list.py's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from engine.records.query import page
from metadata.definitions import ListView
from renderer.board import title_text
from renderer.bound_list import layout_of, query_of
from renderer.list_rows import column_texts
from renderer.list_state import ListState
from renderer.row_buttons import buttons_writer
from renderer.shell import list_title, may_open

if TYPE_CHECKING:
    from engine.context import Context
    from renderer.templates import Pages

CARDS = 6
FACTS = 5


@dataclass(frozen=True, slots=True)
class AboveCard:
    """One record: its title, its other columns with what they are called, its buttons."""

    id: int
    href: str
    title: str
    facts: tuple[tuple[str, Markup], ...]
    buttons: Markup


@dataclass(frozen=True, slots=True)
class AbovePart:
    """One list; ``more``: how many records of it are not shown."""

    key: str
    title: str
    href: str
    cards: tuple[AboveCard, ...]
    more: int


def above(ctx: Context, pages: Pages, definition: ListView, base: str) -> list[AbovePart]:
    """The lists above this one that its reader may open and that hold something."""
    views = [view for key in definition.above if (view := ctx.workspace.bundle.lists.get(key)) is not None and may_open(ctx, view)]
    if not views:
        return []
    with ctx.snapshot() as ctx:
        return [part for view in views if (part := _part(ctx, pages, view, base)).cards]


def _part(ctx: Context, pages: Pages, view: ListView, base: str) -> AbovePart:
    layout = layout_of(ctx, pages, view, base)
    found = page(ctx, query_of(ctx, layout, ListState(), limit=CARDS, count="capped"))
    buttons = buttons_writer(ctx, layout.entity, layout.buttons, found.items)
    columns = [column for column in layout.columns if not column.is_title and not column.hidden][:FACTS]
    cards = []
    for record, text in zip(found.items, column_texts(ctx, layout, found.items, base), strict=True):
        title = title_text(layout, record)
        facts = tuple((column.title, Markup(text[column.name])) for column in columns if text.get(column.name))
        cards.append(AboveCard(record["id"], f"{base}/r/{view.entity}/{record['id']}", title, facts, Markup(buttons(record, str(escape(title))))))
    more = max(0, (found.count or 0) - len(cards))
    return AbovePart(view.key, list_title(ctx.workspace, view, ctx.locale), f"{base}/l/{view.key}", tuple(cards), more)
