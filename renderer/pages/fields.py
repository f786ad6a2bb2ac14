"""What field controls ask for while a form is open: records to pick, the next list of a region, a place for a file. Also hands files out."""

from __future__ import annotations

from starlette.responses import Response

from engine import files
from engine.access import grant_of
from engine.context import Context
from engine.errors import NotFound
from engine.fields.base import Wrong, accepted
from engine.records.asks import asked
from engine.records.attachments import file_url
from engine.records.filters import literal
from engine.records.query import looked_up
from engine.records.ruling_press import buttons, parameter_fields, parameters_from, parameters_of
from engine.workspace import CompiledEntity, CompiledField
from renderer import formats
from renderer.api.work import file_response
from renderer.bound_field import BoundField, OptionView, Surroundings, colour_of, region_levels, shown_text
from renderer.form_layout import all_of, form_for, granted_limit, item_of, limit_with, limits_of, named_by
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.shell import first_list
from renderer.words_search import condition, has_own_search

routes = Routes()
PICK_LIMIT = 12
#: Widgets whose values fit beside the name of an option.
_SHORT = ("text", "phone", "link", "person", "choice")
#: How the picker of who is to decide an approval names itself.
ASK_PERSON = "ask.person"
UPLOAD = Permission("member", upload=True)


@routes.get("/w/{ws}/pick/{entity}/{field}")
def pick(visit: Visit) -> Response:
    """Records a link field may point to, that the person may see, by what they typed."""
    ctx, owner, key = visit.ctx, str(visit.path["entity"]), str(visit.path["field"])
    item = _field(ctx, owner, key)
    if item is None or not item.target:
        raise NotFound("unknown_field", field=key)
    text, entity = visit.request.query_params.get("q", ""), ctx.workspace.entities.get(owner)
    form = visit.request.query_params.get("form", "")
    limits = limits_of(item, item_of(form_for(ctx, owner, key=form), key) if form and entity is not None else None)
    values = {name: _value(entity, name, visit.request.query_params.get(f"record.{name}", "")) for name in named_by(*limits)}
    target = ctx.workspace.entities[item.target]
    within = all_of(*(limit for limit in limits if not named_by(limit)))
    if entity is not None and visit.request.query_params.get("new"):
        within = all_of(within, granted_limit(ctx, entity, item))
    where = all_of(*(limit_with(limit, values) for limit in limits if named_by(limit)))  # with what somebody typed in it, it is a search for values
    beside = _beside(ctx, item, target)
    told = [one.key for one in beside]
    if text.strip() and not has_own_search(target, grant_of(ctx.workspace, ctx.actor, target)):
        text, where = "", all_of(where, condition(ctx, target, told, text))
    found = looked_up(ctx, item.target, text, PICK_LIMIT, where, within, told)
    around = Surroundings(ctx.workspace.scope.of(item.target), visit.locale, visit.base)
    options = [
        OptionView(
            str(record.id),
            label or f"#{record.id}",
            next((colour_of(one, record.get(one.key), around) for one in beside), ""),
            note=next((shown_text(one, record.get(one.key), around) for one in beside), ""),
        )
        for record, label in found
    ]
    return visit.part("_options.html", options=options, id=f"{owner}-{key}".replace(".", "-"), text=visit.request.query_params.get("q", ""))


def _beside(ctx: Context, link: CompiledField, target: CompiledEntity) -> list[CompiledField]:
    """What helps to choose: the field the link names, else what tells records of the same or a masked name apart, which the entity's list shows below the title;
    where its reader may see it and it is short."""
    view = first_list(ctx, target.key)
    item = target.fields.get(str(link.definition.options.get("beside") or (view.mobile.get("sub", "") if view is not None else "")))
    known = item is not None and item.key not in target.label_fields() and item.key in grant_of(ctx.workspace, ctx.actor, target).readable
    return [item] if item is not None and known and item.type.widget in _SHORT else []


def _field(ctx: Context, owner: str, key: str) -> CompiledField | None:
    """A field of an entity, a parameter of an action (``ENTITY.ACTION``), what an approver fills in (``ask.12``); None where the person knows of none."""
    entity = ctx.workspace.entities.get(owner)
    if entity is not None:
        return entity.fields.get(key) if key in grant_of(ctx.workspace, ctx.actor, entity).readable else None
    head, _dot, rest = owner.rpartition(".")
    if head == "ask" and rest.isascii() and rest.isdigit() and len(rest) < 18:
        with ctx.snapshot() as reading:
            found = asked(reading, int(rest))
        return parameter_fields(parameters_from(ctx.workspace, found.entity or "", found.fields)).get(key)
    if owner == ASK_PERSON:
        return parameter_fields(parameters_from(ctx.workspace, "", {"person": {"type": "person"}})).get(key)
    entity = ctx.workspace.entities.get(head)
    rule = next((rule for rule in buttons(ctx, entity) if rule.trigger.name == owner), None) if entity is not None else None
    return parameter_fields(parameters_of(ctx.workspace, rule)).get(key) if rule is not None else None


def _value(entity: CompiledEntity | None, name: str, text: str) -> str:
    """A value of the form being filled in, as the expression language writes it; null for what is empty or cannot be read."""
    item = entity.fields.get(name) if entity is not None else None
    if item is None or item.reader is None or not text:
        return "null"
    try:
        return literal(accepted(item.reader, text))
    except Wrong:
        return "null"


@routes.get("/w/{ws}/regions")
def regions(visit: Visit) -> Response:
    """The region control anew after a level was chosen."""
    words = visit.request.query_params
    owner, _dot, key = words.get("field", "").rpartition(".")
    item = _field(visit.ctx, owner, key)
    if item is None or item.type.widget != "region":
        raise NotFound("unknown_field", field=key)
    code = words.get("code", "")
    prefix = words.get("id", "f")
    levels = region_levels(code if code.isdigit() else "", str(item.value.options.get("level") or "county"), visit.locale)
    source = f"{visit.base}/regions?field={owner}.{key}&id={prefix}"
    bound = BoundField(key=key, id=f"{prefix}-{key}", name=key, label=key, widget="region", value=code, levels=levels, source=source)
    return visit.part("_control.html", f=bound)


@routes.post("/w/{ws}/files", UPLOAD)
def upload(visit: Visit) -> Response:
    """Store a file and answer the chip that stands for it in the form."""
    given = visit.upload("file")
    stored = files.upload(visit.ctx, given.filename or "file", given.file, limit=visit.home.settings.max_upload)
    option = OptionView(str(stored.id), stored.name, href=file_url(visit.ctx.workspace.name, stored.id), note=formats.size(stored.size))
    return visit.part("_file_chip.html", option=option, name=visit.text("name"), status=201)


@routes.get("/w/{ws}/files/{number}")
def fetch(visit: Visit) -> Response:
    """A file the person may read; pictures are shown in place."""
    return file_response(files.open_file(visit.ctx, visit.number("number")), inline=True)
