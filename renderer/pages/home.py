"""The home page of a workspace: the person's lists with their counts, the first rows of two of them, ways to begin. Asks through the same lists as everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from engine.records.query import count, page
from metadata.definitions import ListView
from renderer import board, formats, shell
from renderer.bound_list import layout_of, query_of
from renderer.list_state import ListState
from renderer.requests import Routes, Visit
from renderer.shell import MenuItem, list_title, may_open

routes = Routes()
METRICS = 4
CARDS = 2
ROWS = 7
COUNT_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Metric:
    """How many records one list has."""

    title: str
    href: str
    number: int
    capped: bool
    icon: str


@dataclass(frozen=True, slots=True)
class HomeCard:
    """The first rows of a list."""

    title: str
    icon: str
    href: str
    cards: tuple[board.Card, ...]
    more: int
    create: str


@routes.get("/w/{ws}/")
def home(visit: Visit) -> Response:
    """What awaits this person."""
    ctx = visit.ctx
    menus = _menus(visit)
    with ctx.snapshot() as ctx:
        metrics = []
        for item, view in menus[:METRICS]:
            number = count(ctx, view.entity, view.where, exact=False)
            metrics.append(Metric(item.title, item.href, min(number, COUNT_AT_MOST), number > COUNT_AT_MOST, item.icon))
        cards = [card for item, view in _worth_showing(menus) if (card := _card(visit, item, view)) is not None]
    hour = ctx.now.astimezone(ctx.workspace.timezone).hour
    return visit.page(
        "home.html",
        metrics=metrics,
        cards=cards,
        greeting=formats.greeting(hour),
        name=ctx.actor.name,
        rest=_by_group([item for item, _view in menus[METRICS:]]),
    )


def _by_group(items: list[MenuItem]) -> list[tuple[str, list[MenuItem]]]:
    """Menus under their captions, as the side bar has them."""
    return [(caption, [item for item in items if item.group == caption]) for caption in dict.fromkeys(item.group for item in items)]


def _menus(visit: Visit) -> list[tuple[MenuItem, ListView]]:
    lists = visit.ctx.workspace.bundle.lists
    preset = visit.ctx.workspace.bundle.preset
    by_key = {str(menu["key"]): lists.get(str(menu.get("list", ""))) for menu in (preset.menus if preset else ())}
    frame = shell.frame(visit.ctx, visit.base)
    ordered = sorted(frame.menus, key=lambda item: item.href != frame.home)
    found = [(item, by_key.get(item.key) or lists.get(item.key)) for item in ordered]
    return [(item, view) for item, view in found if view is not None and may_open(visit.ctx, view)]


def _worth_showing(menus: list[tuple[MenuItem, ListView]]) -> list[tuple[MenuItem, ListView]]:
    """The home list, then those whose dates mean something (they are coloured), of different entities; then any others."""
    found: dict[str, tuple[MenuItem, ListView]] = {}
    for item, view in (*menus[:1], *(pair for pair in menus if pair[1].mobile.get("due") in pair[1].tints), *menus):
        found.setdefault(view.entity, (item, view))
    return list(found.values())[:CARDS]


def _card(visit: Visit, item: MenuItem, view: ListView) -> HomeCard | None:
    ctx = visit.ctx
    layout = layout_of(ctx, visit.site.pages, view, visit.base)
    found = page(ctx, board.coming(ctx, layout, query_of(ctx, layout, ListState(), limit=ROWS, count="capped")))
    cards = tuple(board.cards(ctx, layout, found.items, visit.base))
    create = f"{visit.base}/r/{view.entity}/new" if layout.grant.allowed("create") else ""
    return HomeCard(list_title(ctx.workspace, view, visit.locale), item.icon, item.href, cards, max(0, (found.count or 0) - len(cards)), create)
