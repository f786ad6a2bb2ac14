"""Search over everything the person may read: names, initials, digits; whole numbers and last four where a field answers them. Counted per minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from starlette.responses import Response

from engine.access import grant_of
from engine.clock import wall
from engine.context import Context
from engine.errors import Invalid
from engine.rates import take
from engine.records.query import page
from metadata.definitions import ListView
from metadata.text import label_text
from renderer import board
from renderer.bound_list import layout_of, query_of
from renderer.list_state import ListState
from renderer.requests import Routes, Visit
from renderer.shell import first_list, open_lists

routes = Routes()
EACH = 8
SEARCHES_A_MINUTE = 60
LONGEST = 60


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found of one entity."""

    title: str
    icon: str
    cards: tuple[board.Card, ...]
    all: str


@routes.get("/w/{ws}/search")
def search(visit: Visit) -> Response:
    """The search page: one box, results by entity."""
    text = visit.request.query_params.get("q", "").strip()[:LONGEST]
    found: list[Hits] = []
    if text:
        take(visit.home.rates, f"search:{visit.ctx.workspace.name}:{visit.ctx.actor.person_id}", SEARCHES_A_MINUTE, timedelta(minutes=1), wall())
        found = [hits for key in searched(visit.ctx) if (hits := _hits(visit, key, text)) is not None]
    if visit.wants_part:
        return visit.part("_search.html", q=text, found=found)
    return visit.page("search.html", q=text, found=found)


def searched(ctx: Context) -> list[str]:
    """Entities with fields that take part in search, in the order of the reader's own menus."""
    workspace, actor = ctx.workspace, ctx.actor
    order = {entity: number for number, entity in enumerate(dict.fromkeys(view.entity for view in open_lists(ctx)))}
    keys = [
        key
        for key, entity in workspace.entities.items()
        if (entity.search_fields or any(item.bi_column is not None for item in entity.fields.values()))
        and not entity.lines_of
        and grant_of(workspace, actor, entity).allowed("read")
    ]
    return sorted(keys, key=lambda key: order.get(key, len(order)))


def _hits(visit: Visit, key: str, text: str) -> Hits | None:
    """The first records of one entity, drawn by the list that stands for it, over all the person may read."""
    ctx, entity = visit.ctx, visit.ctx.workspace.entities[key]
    view = first_list(ctx, key)
    shown = ListView(
        key=f"search of {key}",
        title="",
        body={},
        entity=key,
        columns=view.columns if view else entity.label_fields(),
        mobile=view.mobile if view else {},
        tints=view.tints if view else {},
    )
    layout = layout_of(ctx, visit.site.pages, shown, visit.base)
    try:
        rows = page(ctx, query_of(ctx, layout, ListState(q=text), limit=EACH))
    except Invalid:
        return None
    if not rows.items:
        return None
    cards = tuple(board.cards(ctx, layout, rows.items, visit.base))
    all_of = ListState(q=text).address(visit.base, view) if view is not None and rows.next else ""
    return Hits(label_text(entity.title, visit.locale, key), entity.definition.icon or "file-text", cards, all_of)
