"""Forms of one record: make it, change it, what is wrong with it so far. Reads forms, calls the one writer, shows what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from engine.access import grant_of
from engine.context import Context
from engine.errors import Conflict, Invalid, NotFound, Refusal
from engine.expressions.language import Expression
from engine.fields.values import Masked
from engine.records import service
from engine.records.query import get
from metadata.definitions import Form
from metadata.text import label_text
from renderer.bound_action import confirm_codes
from renderer.bound_field import MANY, form_text
from renderer.bound_form import Asked, BoundForm, FormBinder
from renderer.bound_record import record_label
from renderer.conflict import conflict_page
from renderer.form_fresh import fresh
from renderer.form_input import drop_line, one_each, read_form
from renderer.form_layout import form_for
from renderer.moulds import hole
from renderer.pages.records import address, entity_of, list_address
from renderer.requests import Routes, Visit
from renderer.translations import _

routes = Routes()
_OWN_NAMES = frozenset({"csrf", "version", "use", "form", "again", "add_line", "drop_line", "base"})


def _typed(visit: Visit, entity: str, *, going_on: bool = False) -> dict[str, Any]:
    raw = {name: value for name, value in visit.raw().items() if name not in _OWN_NAMES}
    lines = visit.ctx.workspace.entities[entity].lines
    entities = visit.ctx.workspace.entities

    def single(line: str, name: str) -> bool:
        item = entities[line or entity].fields.get(name)
        return item is not None and item.type.widget not in MANY

    found = one_each(read_form(raw, lines, empty_lines=going_on), single)
    added = visit.text("add_line")
    if added in lines:
        found.setdefault(added, []).append({})
    drop_line(found, visit.text("drop_line"))
    return found


def _bound(
    ctx: Context,
    visit: Visit,
    entity: str,
    record: int | None,
    raw: Mapping[str, Any] | None,
    refusal: Invalid | Conflict | None = None,
    version: int | None = None,
) -> BoundForm:
    given = {name: value for name, value in visit.request.query_params.items() if name in ctx.workspace.entities[entity].fields} if record is None else {}
    form = _form_of(ctx, visit, entity, new=record is None)
    action = f"{visit.base}/r/{entity}/new" if record is None else f"{visit.base}/r/{entity}/{record}/edit"
    cancel = _cancel(visit, entity, record, given)
    return FormBinder(ctx, form, visit.base, record=record, raw=raw, given=given, refusal=refusal, asked=_asked(visit, refusal)).bind(action, cancel, version)


def _form_of(ctx: Context, visit: Visit, entity: str, *, new: bool = True) -> Form:
    """The form that a request shows or was sent from: a phone's short one is for what is ``new``, a record is changed with all of its fields."""
    query = visit.request.query_params
    use = visit.text("use") or query.get("use") or ("phone" if new and _on_phone(visit) else "full")
    return form_for(ctx, entity, use, visit.text("form") or query.get("form", ""))


def _asked(visit: Visit, refusal: Refusal | None = None) -> Asked:
    """The tab in front, the fields visited, the mark by which a form sent twice makes one record, when it was begun, the soft refusals to go on against."""
    touched = tuple(dict.fromkeys(word for word in visit.text("touched:").split(",") if word.isidentifier()))
    once, begun = visit.text("once:") or visit.mark(), visit.text("begun:") or _now(visit)
    return Asked(visit.text("tab:"), touched, once, begun, confirm_codes(refusal, visit.text("confirm:")))


def _now(visit: Visit) -> str:
    """The moment in local time, as controls of moments take it, to the millisecond."""
    return visit.ctx.now.astimezone(visit.ctx.workspace.timezone).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _to_the_moment(visit: Visit, entity: str, raw: dict[str, Any]) -> dict[str, Any]:
    """With the very moment the form was begun for the minute of it, which is all a control shows: who writes down what just happened keeps the order."""
    begun, fields = visit.text("begun:")[:23], visit.ctx.workspace.entities[entity].fields
    meant = {name for name, given in raw.items() if given == begun[:16] and name in fields and fields[name].type.widget == "instant"}
    return {name: begun if name in meant else given for name, given in raw.items()}


def _confirmed(visit: Visit) -> list[str]:
    """The codes of soft refusals the person goes on against."""
    return [code for code in visit.text("confirm:").split(",") if code]


def _on_phone(visit: Visit) -> bool:
    """Whether the browser says that it is a phone's."""
    return visit.request.headers.get("sec-ch-ua-mobile") == "?1" or "Mobi" in visit.request.headers.get("user-agent", "")


def _cancel(visit: Visit, entity: str, record: int | None, given: Mapping[str, Any]) -> str:
    if record is not None:
        return address(visit, entity, record)
    fields = visit.ctx.workspace.entities[entity].fields
    for name, value in given.items():
        if fields[name].definition.type == "link" and str(value).isdigit():
            return f"{visit.base}/r/{fields[name].target}/{value}"
    return list_address(visit, entity)


def _form_page(
    visit: Visit,
    entity: str,
    record: int | None,
    *,
    raw: Mapping[str, Any] | None = None,
    refusal: Invalid | Conflict | None = None,
    version: int | None = None,
    status: int = 200,
) -> Response:
    with visit.ctx.snapshot() as ctx:
        form = _bound(ctx, visit, entity, record, raw, refusal, version)
        label = record_label(ctx, ctx.workspace.entities[entity], get(ctx, entity, record)) if record is not None else ""
    title = label_text(visit.ctx.workspace.entities[entity].title, visit.locale, entity)
    data: dict[str, Any] = {"form": form, "title": title, "label": label, "query": urlencode(list(visit.request.query_params.multi_items()))}
    if visit.wants_part and visit.target == "dialog":
        return visit.part("_form_dialog.html", **data)
    if visit.wants_part:
        return visit.part("_form.html", status=status, **data)
    return visit.page("form.html", status=status, **data)


@routes.get("/w/{ws}/r/{entity}/new")
def new(visit: Visit) -> Response:
    """An empty form, filled with what the address says."""
    entity = entity_of(visit)
    return _form_page(visit, entity, None) if visit.wants_part or visit.request.query_params else _fresh_page(visit, entity)


def _fresh_page(visit: Visit, entity: str) -> Response:
    """An empty form as a page: what is the same for everybody with these menus is drawn once."""
    pages = visit.site.pages
    with visit.ctx.reading() as ctx:
        form = fresh(ctx, form_for(ctx, entity, "phone" if _on_phone(visit) else "full"), visit.base)
        drawn = {}
        for item, value in form.begun():
            key = (ctx.workspace.version, ctx.actor.roles, visit.locale, form.told, value)
            if found := pages.begun(key, partial(form.bound, item)):
                drawn[item.field] = found

        def draw() -> dict[str, Any]:
            title = label_text(ctx.workspace.entities[entity].title, visit.locale, entity)
            bound = form.binder().bind(f"{visit.base}/r/{entity}/new", _cancel(visit, entity, None, {}))
            return {"form": bound, "title": title, "label": "", "query": "", "filled": {name: hole(f"field_{name}") for name in drawn}}

        values = {"once": token_hex(16), "begun": _now(visit), **{f"field_{name}": text for name, text in drawn.items()}}
        return visit.kept_page("form.html", (form.told, tuple(drawn)), values, draw)


@routes.post("/w/{ws}/r/{entity}/new")
def create(visit: Visit) -> Response:
    """Make the record, or show the form again with every fault."""
    entity = entity_of(visit)
    raw = _own(visit, entity, _typed(visit, entity))
    try:
        _ask_for_missing(visit, entity, None, raw)
        saved = service.create(
            visit.ctx, entity, _to_the_moment(visit, entity, raw), idempotency_key=visit.text("once:")[:64] or None, confirmed=_confirmed(visit)
        )
    except (Invalid, Conflict) as refusal:
        return _form_page(visit, entity, None, raw=raw, refusal=refusal, status=422)
    title = label_text(visit.ctx.workspace.entities[entity].title, visit.locale, entity)
    if visit.text("again"):
        query = urlencode(list(visit.request.query_params.multi_items()))
        return visit.redirect(f"{visit.base}/r/{entity}/new" + (f"?{query}" if query else ""), toast=_("%(name)s saved", name=title))
    return _shown(visit, *_after(visit, entity, saved.id, raw), saved=_("%(name)s saved", name=title))


def _shown(visit: Visit, entity: str, record: int, *, saved: str) -> Response:
    """To a record after a save; to its list where the save, or a rule, has taken it out of its giver's sight."""
    with visit.ctx.snapshot() as ctx:
        try:
            get(ctx, entity, record, fields=("id",), lines=False)
        except NotFound:
            return visit.redirect(list_address(visit, entity), toast=_("%(what)s; it went to somebody else and is not yours to see", what=saved))
    return visit.redirect(address(visit, entity, record), toast=saved)


def _ask_for_missing(visit: Visit, entity: str, record: int | None, raw: Mapping[str, Any]) -> None:
    """Raises Invalid with what the form alone asks for, together with all else that is wrong so far."""
    form = _form_of(visit.ctx, visit, entity)
    if not any(item.required for section in form.layout for item in section.items):
        return
    with visit.ctx.snapshot() as ctx:
        binder = FormBinder(ctx, form, visit.base, record=record, raw=raw)
        missing = binder.missing()
    if missing:
        known = {fault.pointer for fault in binder.look.faults}
        raise Invalid("invalid", faults=(*binder.look.faults, *(fault for fault in missing if fault.pointer not in known)))


def _own(visit: Visit, entity: str, raw: dict[str, Any]) -> dict[str, Any]:
    """Without what the form only showed: fields this person never writes, and those nobody does."""
    compiled = visit.ctx.workspace.entities[entity]
    shown_only = compiled.fields.keys() - grant_of(visit.ctx.workspace, visit.ctx.actor, compiled).writable
    shown_only |= {name for name, item in compiled.fields.items() if item.read_only is True}
    return {name: given for name, given in raw.items() if name not in shown_only}


def _after(visit: Visit, entity: str, record: int, raw: Mapping[str, Any]) -> tuple[str, int]:
    """After a quick form: back to the record it was opened from, unless something is to be done with the new one; else the new record."""
    if visit.text("use") == "quick" and not _form_of(visit.ctx, visit, entity).opens:
        fields = visit.ctx.workspace.entities[entity].fields
        for name in visit.request.query_params:
            if name in fields and fields[name].definition.type == "link" and str(raw.get(name, "")).isdigit():
                return fields[name].target, int(raw[name])
    return entity, record


@routes.get("/w/{ws}/r/{entity}/{id}/edit")
def edit(visit: Visit) -> Response:
    """The form of a standing record."""
    return _form_page(visit, entity_of(visit), visit.number("id"))


@routes.post("/w/{ws}/r/{entity}/{id}/edit")
def save(visit: Visit) -> Response:
    """Save on the version the person saw; a stale one shows both values."""
    entity, record = entity_of(visit), visit.number("id")
    raw = _unchanged_out(visit, entity, record, _chosen(visit, _typed(visit, entity)))
    version = int(visit.text("version")) if visit.text("version").isdigit() else 0
    try:
        _ask_for_missing(visit, entity, record, raw)
        service.update(visit.ctx, entity, record, raw, version, confirmed=_confirmed(visit))
    except Conflict as conflict:
        if conflict.code != "stale" or "current" not in conflict.params:
            return _form_page(visit, entity, record, raw=raw, refusal=conflict, version=version, status=422)
        return conflict_page(visit, entity, raw, conflict, address(visit, entity, record))
    except Invalid as refusal:
        return _form_page(visit, entity, record, raw=raw, refusal=refusal, version=version, status=422)
    return _shown(visit, entity, record, saved=_("Saved"))


def _unchanged_out(visit: Visit, entity: str, record: int, raw: dict[str, Any]) -> dict[str, Any]:
    """Without what still says what the form was filled with: a control may show less than the value (milliseconds), and masked texts are no input."""
    ctx = visit.ctx
    compiled, seen = ctx.workspace.entities[entity], get(ctx, entity, record, lines=False)
    scope = ctx.workspace.scope.of(entity)

    def same(name: str, given: Any) -> bool:
        item = compiled.fields.get(name)
        if item is None or name not in seen or name in compiled.lines:
            return False
        if isinstance(seen[name], Masked):
            return bool(given == seen[name].text)
        return bool(form_text(item, seen[name], scope) == given)

    return {name: given for name, given in raw.items() if not same(name, given)}


def _chosen(visit: Visit, raw: dict[str, Any]) -> dict[str, Any]:
    """After a conflict: the fields for which the other person's value was kept are left alone."""
    return {name: value for name, value in raw.items() if visit.text(f"keep:{name}") != "theirs"}


@routes.post("/w/{ws}/r/{entity}/refresh")
def refresh_new(visit: Visit) -> Response:
    """The form of a new record with what is typed, its conditions decided anew; what nobody has visited begins as what is chosen by now says."""
    entity = entity_of(visit)
    raw, visited = _own(visit, entity, _typed(visit, entity, going_on=True)), visit.text("touched:").split(",")
    defaults = {name: item.default for name, item in visit.ctx.workspace.entities[entity].fields.items() if name not in visited}
    begins = {name for name, default in defaults.items() if isinstance(default, Expression) and default.fields}
    return _form_page(visit, entity, None, raw={name: given for name, given in raw.items() if name not in begins})


@routes.post("/w/{ws}/r/{entity}/{id}/refresh")
def refresh(visit: Visit) -> Response:
    """The form of a standing record with what is typed, its conditions decided anew."""
    entity = entity_of(visit)
    version = int(visit.text("version")) if visit.text("version").isdigit() else None
    return _form_page(visit, entity, visit.number("id"), raw=_typed(visit, entity, going_on=True), version=version)


@routes.post("/w/{ws}/r/{entity}/check")
def check_new(visit: Visit) -> Response:
    """What is wrong, so far, with the fields of a new record that were visited."""
    entity = entity_of(visit)
    return _checked(visit, entity, None, _own(visit, entity, _typed(visit, entity, going_on=True)))


@routes.post("/w/{ws}/r/{entity}/{id}/check")
def check(visit: Visit) -> Response:
    """What is wrong, so far, with the fields of a standing record that were visited."""
    entity = entity_of(visit)
    return _checked(visit, entity, visit.number("id"), _typed(visit, entity, going_on=True))


def _checked(visit: Visit, entity: str, record: int | None, raw: Mapping[str, Any]) -> Response:
    with visit.ctx.snapshot() as ctx:
        form = _bound(ctx, visit, entity, record, raw)
    return visit.part("_checked.html", fields=form.touched())
