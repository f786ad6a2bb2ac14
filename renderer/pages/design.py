"""The first designer: forms and list columns by gestures on a shared draft, the plan in words, publish, roll back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response

from engine import drafts, provenance, publishing
from engine.drafts_desk import key_of
from engine.errors import Conflict, Fault, Invalid, NotFound, Refusal
from engine.messages import catalogue, told_together
from engine.records.query_labels import labels
from engine.releases import running
from engine.releasing import release, to_play
from metadata.definitions import Form, ListView
from metadata.messages import describe
from metadata.text import label_text
from metadata.vocabulary import Problem
from renderer import errors
from renderer.bound_design import Designer
from renderer.pages.releases import begin
from renderer.requests import Routes, Visit, toast_header
from renderer.security import Permission
from renderer.seeking import has_words, sought
from renderer.translations import _

routes = Routes()
DESIGN = Permission("member", right="design")
PUBLISH = Permission("member", right="publish")
DESIGNED = ("form", "list")
_WORDS = frozenset({"op", "type", "field", "section", "item", "name", "on", "tab", "title"})


def _place(visit: Visit) -> tuple[str, str]:
    kind, key = str(visit.path["kind"]), str(visit.path["key"])
    if kind not in DESIGNED:
        raise NotFound("unknown_definition", kind=kind[:40], key=key[:60])
    return kind, key


@routes.get("/w/{ws}/design", DESIGN)
def index(visit: Visit) -> Response:
    """What can be designed: the forms and lists of each entity, and what is drafted; those that have the words sought."""
    bundle, locale, q = visit.ctx.workspace.bundle, visit.locale, sought(visit.request)
    designed: tuple[Iterable[Form | ListView], ...] = (bundle.forms.values(), bundle.lists.values())
    rows = []
    for key, entity in bundle.entities.items():
        title = label_text(entity.title, locale, key)
        named = [[(item.key, label_text(item.title, locale, item.key)) for item in items if item.entity == key] for items in designed]
        forms, lists = ([pair for pair in pairs if has_words(q, key, title, *pair)] for pairs in named)
        if forms or lists:
            rows.append({"key": key, "title": title, "icon": entity.icon or "file-text", "forms": forms, "lists": lists})
    return visit.page("design.html", q=q, rows=rows, changes=_changes(visit))


def _changes(visit: Visit) -> list[dict[str, Any]]:
    found = drafts.changes(visit.ctx)
    with visit.ctx.reading() as ctx:
        people = labels(ctx, "person", {number for change in found for number in change.people})
    bundle, locale = visit.ctx.workspace.bundle, visit.locale
    return [
        {
            "kind": change.kind,
            "key": change.key,
            "number": change.number,
            "people": "、".join(people.get(number, f"#{number}") for number in change.people),
            "title": label_text((bundle.documents.get((change.kind, change.key)) or {}).get("title"), locale, change.key),
            "at": change.at.astimezone(visit.ctx.workspace.timezone),
        }
        for change in found
    ]


@routes.get("/w/{ws}/design/{kind}/{key}", DESIGN)
def design(visit: Visit) -> Response:
    """The designer of one form or list."""
    return _designer(visit, drafts.state(visit.ctx, *_place(visit)))


def _designer(visit: Visit, state: drafts.DraftState, *, status: int = 200, toast: str = "", kind: str = "ok", told: str = "", select: str = "") -> Response:
    select = select or visit.text("select") or visit.request.query_params.get("select", "")
    with visit.ctx.snapshot() as ctx:
        view = Designer(ctx, visit.site.pages, state, select).bind(told)
    data: dict[str, Any] = {"design": view, "here": f"{visit.base}/design/{state.kind}/{state.key}"}
    if not visit.wants_part:
        return visit.page("designer.html", status=status, **data)
    response = visit.part("_designer.html", status=status, **data)
    if toast:
        response.headers["HX-Trigger"] = toast_header(toast, kind)
    return response


@routes.post("/w/{ws}/design/{kind}/{key}/op", DESIGN)
def gesture(visit: Visit) -> Response:
    """Do one gesture; a stale one, or one that makes no sense, shows the draft as it stands and says why."""
    place = _place(visit)
    operation = _operation(visit)
    try:
        state = drafts.act(visit.ctx, *place, operation, _number(visit))
    except (Conflict, Invalid, NotFound) as refusal:
        return _as_it_stands(visit, place, refusal)
    return _designer(visit, state, told=_told(operation), select=_made(operation, state))


def _told(operation: Mapping[str, Any]) -> str:
    """What a gesture did, for those who hear the page."""
    words = {
        "add": _("Added"),
        "move": _("Moved"),
        "remove": _("Taken off"),
        "duplicate": _("Duplicated"),
        "section_move": _("Moved"),
        "section_add": _("Section added"),
    }
    return words.get(str(operation.get("op")), _("Changed"))


def _made(operation: Mapping[str, Any], state: drafts.DraftState) -> str:
    """What a gesture put on the canvas is selected at once, so that its properties can be given."""
    document, op = state.document or {}, operation.get("op")
    if op in ("section_add", "tab_add"):
        keys = [str(section["key"]) for section in document.get("layout", ())] if op == "section_add" else list(document.get("tabs", {}))
        return f"{'section' if op == 'section_add' else 'tab'}:{keys[-1]}" if keys else ""
    if op not in ("add", "duplicate"):
        return ""
    zones = (
        [document.get("columns", [])]
        if state.kind == "list"
        else [section.get("items", []) for section in document.get("layout", ()) if not operation.get("section") or section["key"] == operation["section"]]
    )
    items = [key_of(item) for zone in zones for item in zone]
    if op == "duplicate":
        at = items.index(str(operation["item"])) + 1 if operation.get("item") in items else len(items)
    else:
        at = int(operation.get("at", len(items) - 1))
    return f"field:{items[min(max(at, 0), len(items) - 1)]}" if items else ""


def _number(visit: Visit) -> int:
    text = visit.text("number")
    return int(text) if text.isdigit() else 0


def _operation(visit: Visit) -> dict[str, Any]:
    """The posted gesture; values are typed by what they belong to."""
    found: dict[str, Any] = {name: visit.text(name) for name in _WORDS if visit.text(name)}
    if visit.text("at").lstrip("-").isdigit():
        found["at"] = int(visit.text("at"))
    if visit.text("name") == "span":
        found["value"] = int(visit.text("span")) if visit.text("span") in ("2", "3") else None
    if visit.text("columns").isdigit():
        found["columns"] = int(visit.text("columns"))
    if visit.text("keep") == "true":
        found["keep"] = True
    if "value" in visit.form:
        found["value"] = _value(visit)
    if visit.text("localised") or found.get("op") in ("section_rename", "tab_rename"):
        found["locale"] = visit.locale
    return found


def _value(visit: Visit) -> Any:
    text, kind = visit.texts("value")[-1] if visit.texts("value") else "", visit.text("kind")
    if kind == "switch":
        return text == "true"
    if kind == "number":
        if text == "":
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise Invalid("draft_bad_value", faults=[Fault("/value", "draft_bad_value", {"name": visit.text("name")})], name=visit.text("name")) from None
    if kind == "switch_or_expression":
        return {"no": False, "always": True}.get(visit.text("mode"), text.strip())
    return text


def _as_it_stands(visit: Visit, place: tuple[str, str], refusal: Refusal) -> Response:
    return _designer(visit, drafts.state(visit.ctx, *place), status=409, toast=told_together(refusal, visit.locale), kind="error")


@routes.post("/w/{ws}/design/{kind}/{key}/undo", DESIGN)
def undo(visit: Visit) -> Response:
    """Take the last gesture back."""
    return _step(visit, back=True)


@routes.post("/w/{ws}/design/{kind}/{key}/redo", DESIGN)
def redo(visit: Visit) -> Response:
    """Do it again."""
    return _step(visit, back=False)


def _step(visit: Visit, *, back: bool) -> Response:
    place = _place(visit)
    try:
        state = (drafts.undo if back else drafts.redo)(visit.ctx, *place, _number(visit))
    except (Conflict, Invalid, NotFound) as refusal:
        return _as_it_stands(visit, place, refusal)
    return _designer(visit, state, told=_("Undone") if back else _("Done again"))


# --- publish -------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/publish", DESIGN)
def plan(visit: Visit) -> Response:
    """What publishing all drafts would do, in words, and the versions so far."""
    return _publish_page(visit)


def _publish_page(visit: Visit, refusal: Refusal | None = None) -> Response:
    """The page; refused: with what was typed and why. Without drafts there is nothing to be checked, which takes a while."""
    changes, missing = _changes(visit), refusal is not None and refusal.code == "scenario_skip_reason"
    states = {"preparing": _("Being prepared"), "refused": _("Refused")}
    told = told_together(refusal, visit.locale) if refusal is not None else ""
    with visit.ctx.reading() as ctx:
        past = provenance.versions(ctx.open)
    zone = visit.ctx.workspace.timezone
    return visit.page(
        "publish.html",
        status=200 if refusal is None else errors.status_of(refusal),
        refused="" if missing else told,
        reasonless=told if missing else "",
        given_note=visit.text("note") if refusal is not None else "",
        **(_plan_in_words(visit) if changes else {"errors": (), "conflicts": ()}),
        changes=changes,
        version=visit.ctx.workspace.version,
        past=[
            {
                "number": item.number,
                "at": item.at.astimezone(zone),
                "by": _("Command line") if item.by is None and item.by_name == "operator" else item.by_name,
                "note": item.note,
                "unproven": item.unproven,
                "live": item.state == "live",
                "state": states.get(item.state, item.state),
                "restores": item.restores,
            }
            for item in past
        ],
        may_publish="publish" in visit.ctx.actor.rights,
        running=running(visit.ctx),
    )


def _plan_in_words(visit: Visit) -> dict[str, Any]:
    """What the drafts would change, what must be mended first (errors), what else was noticed about them (noticed) and about what stands anyway (notes)."""
    found, locale = publishing.plan_drafts(visit.ctx), visit.locale

    def told(problems: Iterable[Problem]) -> list[tuple[str, str, str]]:
        return [(item.file, item.pointer, describe(item, locale, catalogue())) for item in problems]

    return {
        "plan": found,
        "differences": [item.sentence(locale) for item in found.differences],
        "steps": [(str(step.risk), step.sentence(locale), step.rows, step.slow) for step in found.steps],
        "rights": [item.sentence(locale) for item in found.rights],
        "errors": told(found.errors),
        "noticed": told(item for item in found.problems if item.severity != "error"),
        "notes": told(found.standing),
        "conflicts": [(kind, key, list(pointers)) for (kind, key), pointers in found.conflicts.items()],
        "scenarios": len(to_play(visit.ctx.workspace, found)),
    }


@routes.post("/w/{ws}/publish", PUBLISH)
def publish(visit: Visit) -> Response:
    """Publish what was shown, in the background where scenarios are to be played first; another digest means that something changed since."""
    skip, note, digest = visit.text("skip_scenarios")[:200] if visit.text("skip") else None, visit.text("note")[:500], visit.text("digest")
    plan = publishing.plan_drafts(visit.ctx)
    try:
        if skip is None and to_play(visit.ctx.workspace, plan):
            return begin(visit, plan, note=note, digest=digest)
        done = release(visit.ctx, plan, note=note, expect_digest=digest, skip_scenarios=skip)
    except (Invalid, Conflict) as refusal:
        return _publish_page(visit, refusal)
    return visit.redirect(f"{visit.base}/publish", toast=_("Version %(number)s is live", number=done.number))


@routes.post("/w/{ws}/publish/rollback", PUBLISH)
def rollback(visit: Visit) -> Response:
    """Publish an earlier version again; data entered since stays."""
    if not visit.text("version").isdigit():
        raise Invalid("version_wrong")
    done = publishing.rollback(visit.ctx, int(visit.text("version")))
    return visit.redirect(f"{visit.base}/publish", toast=_("Version %(number)s is live", number=done.number))


@routes.post("/w/{ws}/publish/drop", DESIGN)
def drop(visit: Visit) -> Response:
    """Forget the draft of one definition."""
    drafts.drop(visit.ctx, visit.text("kind"), visit.text("key"))
    return visit.redirect(f"{visit.base}/publish", toast=_("The draft is gone"))
