"""What field controls ask for while a form is open: records to pick, the next list of a region, a place for a file. Also hands files out."""

from __future__ import annotations

from starlette.responses import Response

from engine import files
from engine.access import grant_of
from engine.errors import NotFound
from engine.fields.base import Wrong
from engine.records.attachments import file_url
from engine.records.filters import literal
from engine.records.query import lookup
from engine.workspace import CompiledEntity
from renderer import formats
from renderer.api.work import file_response
from renderer.bound_field import BoundField, OptionView, region_levels
from renderer.form_layout import limit_of, named_by
from renderer.requests import Routes, Visit
from renderer.security import Permission

routes = Routes()
PICK_LIMIT = 12
UPLOAD = Permission("member", upload=True)


@routes.get("/w/{ws}/pick/{entity}/{field}")
def pick(visit: Visit) -> Response:
    """Records a link field may point to, that the person may see, by what they typed."""
    ctx = visit.ctx
    entity = ctx.workspace.entities.get(str(visit.path["entity"]))
    item = entity.fields.get(str(visit.path["field"])) if entity is not None else None
    if entity is None or item is None or not item.target or item.key not in grant_of(ctx.workspace, ctx.actor, entity).readable:
        raise NotFound("unknown_field", field=str(visit.path["field"]))
    text = visit.request.query_params.get("q", "")
    values = {name: _value(entity, name, visit.request.query_params.get(f"record.{name}", "")) for name in named_by(item)}
    found = lookup(ctx, item.target, text, PICK_LIMIT, limit_of(item, values))
    return visit.part(
        "_options.html", options=[OptionView(str(number), label or f"#{number}") for number, label in found], id=f"{entity.key}-{item.key}", text=text
    )


def _value(entity: CompiledEntity, name: str, text: str) -> str:
    """A value of the form being filled in, as the expression language writes it; null for what is empty or cannot be read."""
    item = entity.fields.get(name)
    if item is None or item.reader is None or not text:
        return "null"
    try:
        return literal(item.reader(text))
    except Wrong:
        return "null"


@routes.get("/w/{ws}/regions")
def regions(visit: Visit) -> Response:
    """The region control anew after a level was chosen."""
    words = visit.request.query_params
    owner, _dot, key = words.get("field", "").partition(".")
    entity = visit.ctx.workspace.entities.get(owner)
    item = entity.fields.get(key) if entity is not None else None
    if entity is None or item is None or item.type.widget != "region":
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
