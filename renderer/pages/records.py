"""Pages of one record: see it, what happened to it, delete it and bring it back. Its forms are record_forms.py's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from engine.errors import NotFound
from engine.explaining import rules_about
from engine.records import service
from engine.records.asks import asked_and_awaited
from engine.records.erasing import erased
from engine.records.preview import granted, may
from engine.records.query import get
from engine.workspace import CompiledEntity
from metadata.text import label_text
from renderer.bound_action import press_leads, presses
from renderer.bound_ask import bound_ask
from renderer.bound_record import Desk, actions, attachments, head, profile, record_label, related
from renderer.page_panels import page_panels
from renderer.record_flags import flags
from renderer.record_next import ahead, upcoming
from renderer.record_stages import steps
from renderer.record_story import Told, changes, story
from renderer.requests import Routes, Visit
from renderer.shell import first_list, pace
from renderer.translations import _

routes = Routes()
PERSONAL = frozenset({"subject_file", "erase"})


def entity_of(visit: Visit) -> str:
    """The entity the address names. Raises NotFound when there is none, or none for this person."""
    key = str(visit.path["entity"])
    if key not in visit.ctx.workspace.entities:
        raise NotFound("unknown_entity", entity=key)
    return key


def address(visit: Visit, entity: str, record: int) -> str:
    """A record's page."""
    return f"{visit.base}/r/{entity}/{record}"


def list_address(visit: Visit, entity: str) -> str:
    """The list that stands for an entity, home where there is none."""
    view = first_list(visit.ctx, entity)
    return f"{visit.base}/l/{view.key}" if view is not None else f"{visit.base}/"


@routes.get("/w/{ws}/r/{entity}/{id}")
def show(visit: Visit) -> Response:
    """Everything about one record: who and where it stands, what comes next, its values, what belongs to it, what happened."""
    entity, number = entity_of(visit), visit.number("id")
    with visit.ctx.snapshot() as ctx:
        desk, compiled = Desk(ctx, visit.site.pages, visit.base), ctx.workspace.entities[entity]
        record = get(ctx, entity, number)
        if visit.request.query_params.get("seen", "") == str(record.version):
            return visit.nothing()
        nobody = compiled.definition.subject and bool(erased(ctx.open, entity, [number]))
        dated = {} if nobody else ahead(desk, compiled, record)
        top = head(desk, compiled, record, frozenset(dated))
        stages = steps(ctx, compiled, record)
        told_above = frozenset(
            {
                *(name for name in compiled.label_fields() if not compiled.fields[name].target),
                *dated,
                *(fact.key for fact in top.line),
                *([top.lead] if top.tags else []),
                *((compiled.stages.field,) if stages and compiled.stages else ()),
            }
        )
        events, following = story(desk, compiled, number)
        asks, awaited = asked_and_awaited(ctx, entity, number)
        pressed = [] if nobody else presses(ctx, compiled, number, visit.base, awaited)
        added = [] if nobody else actions(ctx, compiled, visit.base, number)
        usual = [option for option in added if option.picked]
        data: dict[str, Any] = {
            "entity": entity,
            "record": record,
            "label": record_label(ctx, compiled, record),
            "title": label_text(compiled.title, visit.locale, entity),
            "symbol": compiled.definition.icon or "list",
            "head": top,
            "flags": flags(desk, compiled, number),
            "steps": stages,
            "profile": profile(desk, compiled, record, told_above),
            "upcoming": () if nobody else upcoming(desk, compiled, record, dated),
            "related": related(desk, compiled, record),
            "files": attachments(desk, compiled, record),
            "approvals": [bound_ask(desk, one) for one in asks],
            "presses": pressed,
            "usual": usual,
            "others": [option for option in added if not option.picked],
            "press_leads": press_leads(ctx, compiled, number, pressed, usual[0].value if usual else ""),
            "events": events,
            "following": following,
            "nobody": nobody,
            "of_person": granted(ctx, compiled, number) & PERSONAL if compiled.definition.subject and not nobody else frozenset(),
            "may_edit": not nobody and may(ctx, entity, number, "update"),
            "may_delete": may(ctx, entity, number, "delete"),
            "list_address": list_address(visit, entity),
            "here": address(visit, entity, number),
            "refresh": pace(first_list(ctx, entity)),
            "has_rules": bool(rules_about(ctx, entity)),
        }
    # Outside of the page's own snapshot: what a plugin does wrong there must not end it.
    return visit.page("record.html", **data, panels=page_panels(visit.ctx, visit.site.pages, entity, record))


@routes.get("/w/{ws}/r/{entity}/{id}/timeline")
def more_events(visit: Visit) -> Response:
    """The next page of what happened."""
    return _told(visit, "timeline", story)


@routes.get("/w/{ws}/r/{entity}/{id}/changes")
def more_changes(visit: Visit) -> Response:
    """A page of the record's own changes, the computed ones included."""
    return _told(visit, "changes", changes)


def _told(visit: Visit, way: str, read: Callable[[Desk, CompiledEntity, int, str], tuple[list[Told], str]]) -> Response:
    entity, number = entity_of(visit), visit.number("id")
    with visit.ctx.snapshot() as ctx:
        events, following = read(Desk(ctx, visit.site.pages, visit.base), ctx.workspace.entities[entity], number, visit.request.query_params.get("cursor", ""))
    return visit.part("_timeline.html", events=events, following=following, here=address(visit, entity, number), way=way)


# --- away and back -------------------------------------------------------------------------------------------------------------------------


@routes.post("/w/{ws}/r/{entity}/{id}/delete")
def delete(visit: Visit) -> Response:
    """Delete softly; the toast says how to get it back."""
    entity, number = entity_of(visit), visit.number("id")
    version = int(visit.text("version")) if visit.text("version").isdigit() else 0
    service.delete(visit.ctx, entity, number, version)
    return visit.redirect(list_address(visit, entity), toast=_("Deleted; it can be restored for 30 days"), undo=f"{address(visit, entity, number)}/restore")


@routes.post("/w/{ws}/r/{entity}/{id}/restore")
def restore(visit: Visit) -> Response:
    """Bring a deleted record back."""
    entity, number = entity_of(visit), visit.number("id")
    service.restore(visit.ctx, entity, number)
    return visit.redirect(address(visit, entity, number), toast=_("Restored"))
