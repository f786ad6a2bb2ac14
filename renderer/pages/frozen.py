"""Frozen records as a page to be read: what a field of a record keeps of others, as they were. Reads; what may be seen the engine knows."""

from __future__ import annotations

from starlette.responses import Response

from engine.frozen import frozen
from engine.records.query import get
from metadata.text import label_text
from renderer.bound_frozen import frozen_views
from renderer.bound_record import Desk, record_label
from renderer.pages.records import address, entity_of
from renderer.requests import Routes, Visit

routes = Routes()
#: Records shown of each kind at first, and when all are asked for.
SHOWN, MOST = 20, 1_000


@routes.get("/w/{ws}/r/{entity}/{id}/frozen/{field}")
def show(visit: Visit) -> Response:
    """The frozen records by kind, and whether their digest still fits."""
    entity, number, key = entity_of(visit), visit.number("id"), str(visit.path["field"])
    whole = visit.request.query_params.get("all") == "1"
    with visit.ctx.snapshot() as ctx:
        found = frozen(ctx, entity, number, key, limit=MOST if whole else SHOWN)
        compiled = ctx.workspace.entities[entity]
        views = frozen_views(Desk(ctx, visit.site.pages, visit.base), found)
        label = record_label(ctx, compiled, get(ctx, entity, number, lines=False))
    here = address(visit, entity, number)
    return visit.page(
        "frozen.html",
        title=label_text(compiled.fields[key].definition.title, visit.locale, key),
        label=label,
        here=here,
        views=views,
        at=f"{found.at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M:%S}" if found.at else "",
        intact=found.intact,
        all_href="" if whole or not any(view.more for view in views) else f"{here}/frozen/{key}?all=1",
    )
