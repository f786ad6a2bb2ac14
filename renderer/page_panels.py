"""Panels of plugins on a record's page, under the reader's rights. One that fails becomes a box that names its plugin; the page lives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from engine.errors import Denied, NotFound
from engine.panels import FindRecords, PagePanel, PanelContext, Row
from engine.records.query import Query, page
from engine.records.record import Record
from engine.time_limit import TooSlow, time_limit
from metadata.definitions import COLOURS
from metadata.text import label_text

if TYPE_CHECKING:
    from engine.context import Context
    from renderer.templates import Pages

log = logging.getLogger("tangram.plugins")

ROWS_AT_MOST = 50
#: How long one panel may take.
SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One line of a panel: caption, text, colour name, address within the application."""

    label: str
    text: str
    colour: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class PanelView:
    """A panel ready to draw: rows, or what its template gave; ``failed``: the name of its plugin when it could not."""

    name: str
    title: str
    icon: str
    rows: tuple[PanelRow, ...] = ()
    html: Markup | None = None
    failed: str = ""


def page_panels(ctx: Context, pages: Pages, entity: str, record: Record) -> list[PanelView]:
    """The panels for a record, in their order; those that have nothing to show are left out."""
    registry = ctx.workspace.registry
    found = []
    for panel in sorted(registry.panels.values(), key=lambda item: (item.order, item.name)):
        if panel.entity in ("*", entity):
            plugin = registry.origin.get(("panels", panel.name), "")
            view = _drawn(ctx, pages, panel, plugin, entity, record)
            found += [view] if view is not None else []
    return found


def _drawn(ctx: Context, pages: Pages, panel: PagePanel, plugin: str, entity: str, record: Record) -> PanelView | None:
    title = label_text(panel.title, ctx.locale, panel.name)
    try:
        with time_limit(SECONDS):
            given = panel.show(PanelContext(entity, ctx.now, ctx.workspace.timezone, ctx.locale, _finder(ctx)), Record(record))
            if given is None:
                return None
            if isinstance(given, Mapping):
                return PanelView(panel.name, title, panel.icon, html=Markup(pages.render(f"plugin-{plugin}/{panel.template}", **given)))
            return PanelView(panel.name, title, panel.icon, tuple(_row(item, ctx.locale) for item in given[:ROWS_AT_MOST]))
    except (Exception, TooSlow):  # foreign code: the page is more than this box
        log.exception("plugin %s: the panel %s failed", plugin, panel.name)
        return PanelView(panel.name, title, panel.icon, failed=plugin)


def _row(row: Row, locale: str) -> PanelRow:
    if not isinstance(row, Row):
        raise TypeError(f"a panel gave {type(row).__name__} where it gives rows")
    inside = row.href.startswith("/") and not row.href.startswith(("//", "/\\"))
    return PanelRow(label_text(row.label, locale), str(row.text), row.colour if row.colour in COLOURS else "", row.href if inside else "")


def _finder(ctx: Context) -> FindRecords:
    """Reads records as the reader may see them, at most a page of them; none where they may see none."""

    def find(entity: str, where: str = "", *, sort: Sequence[str] = (), limit: int = 20) -> Sequence[Mapping[str, Any]]:
        try:
            return page(ctx, Query(entity, where=where, sort=tuple(sort), limit=limit)).items
        except (NotFound, Denied):
            return []

    return find
