"""A masked value in clear: asks for the reason, shows the value once in its place. Granting, counting and noting are the engine's."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from engine.access import grant_of
from engine.errors import Conflict, Invalid, NotFound
from engine.messages import told_together
from engine.records.reveal import reveal
from metadata.text import label_text
from renderer.bound_record import Desk, detail
from renderer.pages.records import address, entity_of
from renderer.requests import Routes, Visit

routes = Routes()


@routes.get("/w/{ws}/r/{entity}/{id}/reveal/{field}")
def ask_reveal(visit: Visit) -> Response:
    """Ask why the person wants to see a masked value."""
    return _reveal_dialog(visit, "")


def _reveal_dialog(visit: Visit, error: str) -> Response:
    entity, key = entity_of(visit), str(visit.path["field"])
    item = visit.ctx.workspace.entities[entity].fields.get(key)
    if item is None or key not in grant_of(visit.ctx.workspace, visit.ctx.actor, visit.ctx.workspace.entities[entity]).readable:
        raise NotFound("unknown_field", field=key)
    data: dict[str, Any] = {
        "label": label_text(item.definition.title, visit.locale, key),
        "action": f"{address(visit, entity, visit.number('id'))}/reveal/{key}",
        "key": key,
        "error": error,
        "reason": visit.text("reason"),
    }
    response = visit.part("_reveal.html", status=422 if error else 200, **data)
    if error:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog", "innerHTML"
    return response


@routes.post("/w/{ws}/r/{entity}/{id}/reveal/{field}")
def show_clear(visit: Visit) -> Response:
    """Show it, once, with the reason in the access log."""
    entity, number, key = entity_of(visit), visit.number("id"), str(visit.path["field"])
    try:
        value = reveal(visit.ctx, entity, number, key, visit.text("reason"))
    except (Invalid, Conflict) as refusal:
        return _reveal_dialog(visit, told_together(refusal, visit.locale))
    compiled = visit.ctx.workspace.entities[entity]
    shown = detail(Desk(visit.ctx, visit.site.pages, visit.base), compiled, compiled.fields[key], value)
    response = visit.part("_revealed.html", shown=shown, key=key)
    response.headers["HX-Trigger"] = "closeDialog"
    return response
