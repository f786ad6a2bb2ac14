"""What a person may ask of those who keep their data: a file of all of it, and to be made anonymous. Shows and asks; what is theirs the engine knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from engine import erasures
from engine.errors import Conflict, Invalid
from engine.messages import told_together
from engine.records.jsonshape import record_json
from engine.records.query_labels import labels
from engine.records.record import Record
from engine.subject_file import Look, SubjectFile, subject_file
from engine.workspace import CompiledEntity
from metadata.text import label_text
from renderer.bound_field import shown_text
from renderer.bound_record import around
from renderer.pages.records import address, entity_of
from renderer.requests import Routes, Visit
from renderer.translations import _

routes = Routes()


# --- the file --------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/r/{entity}/{id}/subject-file")
def show_file(visit: Visit) -> Response:
    """The file to be read or printed; ``?form=json``: to be taken along."""
    found = subject_file(visit.ctx, entity_of(visit), visit.number("id"))
    if visit.request.query_params.get("form") == "json":
        content = orjson.dumps(_as_json(visit, found), option=orjson.OPT_INDENT_2, default=str)
        name = f"{found.entity}-{found.record}.json"
        return Response(content, media_type="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})
    here = address(visit, found.entity, found.record)
    zone = visit.ctx.workspace.timezone
    response = visit.page(
        "subject_file.html",
        label=found.label,
        title=_title(visit, found.entity),
        made_at=found.made_at.astimezone(zone),
        groups=[(_title(visit, key), [_facts(visit, visit.ctx.workspace.entities[key], row) for row in rows]) for key, rows in found.records.items()],
        changes=[(change.at.astimezone(zone), _change(visit, found, change)) for change in found.changes],
        looks=[(look.at.astimezone(zone), look.person, _look(visit, look), look.reason) for look in found.looks],
        here=here,
        download=f"{here}/subject-file?form=json",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _title(visit: Visit, entity: str) -> str:
    return label_text(visit.ctx.workspace.entities[entity].title, visit.locale, entity)


def _facts(visit: Visit, entity: CompiledEntity, row: Record) -> list[tuple[str, str]]:
    surroundings = around(visit.ctx, entity.key, visit.base)
    found = []
    for name, item in entity.fields.items():
        value = row.get(name)
        if value is not None and value != []:
            found.append((label_text(item.definition.title, visit.locale, name), shown_text(item, value, surroundings)))
    return found


def _change(visit: Visit, found: SubjectFile, change: Any) -> str:
    fields = visit.ctx.workspace.entities[found.entity].fields
    words = {"create": _("Created"), "update": _("Changed"), "delete": _("Deleted"), "restore": _("Restored"), "erase": _("Made anonymous")}
    names = [label_text(fields[one.field].definition.title, visit.locale, one.field) for one in change.changes if one.field in fields]
    who = change.person.label if change.person is not None else ""
    return " · ".join(part for part in (words.get(change.verb, change.verb), who, "、".join(names) if change.verb == "update" else "") if part)


def _look(visit: Visit, look: Look) -> str:
    fields = visit.ctx.workspace.entities[look.entity].fields
    words = {
        "reveal": _("Saw in clear"),
        "subject_file": _("Took this file"),
        "erase": _("Made anonymous"),
        "file": _("Opened a file"),
        "export": _("Exported"),
    }
    name = label_text(fields[look.field].definition.title, visit.locale, look.field) if look.field in fields else ""
    return " · ".join(part for part in (words.get(look.kind, look.kind), name) if part)


def _as_json(visit: Visit, found: SubjectFile) -> Mapping[str, Any]:
    workspace = visit.ctx.workspace
    return {
        "entity": found.entity,
        "id": found.record,
        "made_at": found.made_at,
        "records": {key: [record_json(workspace, workspace.entities[key], row) for row in rows] for key, rows in found.records.items()},
        "changes": [{"at": change.at, "verb": change.verb, "fields": [one.field for one in change.changes]} for change in found.changes],
        "looks": [
            {"at": look.at, "kind": look.kind, "person": look.person, "entity": look.entity, "field": look.field, "reason": look.reason} for look in found.looks
        ],
    }


# --- being made anonymous --------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/r/{entity}/{id}/erase")
def ask_erase(visit: Visit) -> Response:
    """What would be emptied, and why it is wanted."""
    return _ask(visit, "")


def _ask(visit: Visit, problem: str) -> Response:
    entity, number = entity_of(visit), visit.number("id")
    counts = erasures.theirs(visit.ctx, entity, number)
    with visit.ctx.reading() as ctx:
        label = labels(ctx, entity, [number]).get(number) or f"#{number}"
    data: dict[str, Any] = {
        "label": label,
        "title": _title(visit, entity),
        "counts": [(_title(visit, key), many) for key, many in counts.items()],
        "action": f"{address(visit, entity, number)}/erase",
        "here": address(visit, entity, number),
        "problem": problem,
        "reason": visit.text("reason"),
        "sure": visit.text("sure") == "yes",
    }
    status = 422 if problem else 200
    if not visit.wants_part:
        return visit.page("erase.html", status=status, **data)
    response = visit.part("_erase.html", status=status, **data)
    if problem:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog", "innerHTML"
    return response


@routes.post("/w/{ws}/r/{entity}/{id}/erase")
def erase(visit: Visit) -> Response:
    """Make the person anonymous; there is no way back."""
    entity, number = entity_of(visit), visit.number("id")
    if visit.text("sure") != "yes":
        return _ask(visit, _("Please confirm that you know it cannot be undone."))
    try:
        erasures.erase_now(visit.ctx, entity, number, visit.text("reason"))
    except (Invalid, Conflict) as refusal:
        return _ask(visit, told_together(refusal, visit.locale))
    return visit.redirect(address(visit, entity, number), toast=_("Made anonymous"))
