"""Tools of a list: conditions row by row, columns, saved views, actions of one row, export. Showing rows is lists.py's; what is done to chosen rows many.py's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.responses import Response

from engine import rates, saved_views
from engine.clock import wall
from engine.errors import Invalid
from engine.exchange.exporting import export
from engine.messages import told_together
from engine.records.erasing import nobodies
from engine.records.filters import FilterGroup, FilterRow
from engine.records.preview import may
from engine.records.query import get
from renderer.bound_action import presses
from renderer.bound_field import Surroundings, shown_text
from renderer.bound_list import query_of
from renderer.bound_record import may_add
from renderer.filters_view import condition_views, filter_fields, filter_types, group_of, read_conditions, title_of, where_of
from renderer.list_state import ListState
from renderer.pages.lists import Shown
from renderer.requests import Routes, Visit
from renderer.translations import _

routes = Routes()
MOST_CONDITIONS = 12
EXPORTS_A_DAY = 5


# --- conditions row by row -----------------------------------------------------------------------------------------------------------------


def _given(visit: Visit) -> list[tuple[str, str, list[str]]]:
    """The lines of the builder's form, in order."""
    found = []
    for index in range(MOST_CONDITIONS):
        name = visit.text(f"c{index}.field")
        if name and visit.text("drop") != str(index):
            found.append((name, visit.text(f"c{index}.operator"), visit.texts(f"c{index}.value")))
    return found


@routes.get("/w/{ws}/l/{list}/filter")
def filter_dialog(visit: Visit) -> Response:
    """The builder, filled with the conditions in force."""
    shown = Shown(visit)
    layout = shown.layout()
    group = group_of(layout, shown.state.where)
    fields = filter_fields(layout, visit.locale)
    if group is None or not group.items:
        start = (FilterRow(fields[0][0], filter_types(layout)[fields[0][0]].operators[0].key, ()),) if fields and not shown.state.where else ()
        return _filter_page(visit, shown, FilterGroup("and", start), expression=shown.state.where if group is None else "")
    return _filter_page(visit, shown, group)


def _filter_page(visit: Visit, shown: Shown, group: FilterGroup, *, expression: str = "", problem: str = "", status: int = 200) -> Response:
    layout = shown.layout()
    with visit.ctx.snapshot() as ctx:
        views = condition_views(ctx, layout, group, shown.around("c"))
    return visit.part(
        "_filter.html",
        status=status,
        conditions=views,
        fields=filter_fields(layout, visit.locale),
        join=group.join,
        expression=expression,
        problem=problem,
        address=shown.address(tool="filter"),
        full=len(views) >= MOST_CONDITIONS,
    )


@routes.post("/w/{ws}/l/{list}/filter")
def change_filter(visit: Visit) -> Response:
    """A line added, dropped or about another field (the builder again), or all lines applied (the list's new address)."""
    shown = Shown(visit)
    layout, given = shown.layout(), _given(visit)
    types = filter_types(layout)
    if visit.text("do") != "apply":
        group = FilterGroup(
            visit.text("join", "and"),
            tuple(
                FilterRow(name, key if any(one.key == key for one in types[name].operators) else types[name].operators[0].key, tuple(values))
                for name, key, values in given
                if name in types
            ),
        )
        if visit.text("do") == "add" and types:
            first = next(iter(types))
            group = replace(group, items=(*group.items, FilterRow(first, types[first].operators[0].key, ())))
        return _filter_page(visit, shown, group)
    try:
        where = where_of(layout, read_conditions(visit.ctx, layout, visit.text("join"), given))
    except Invalid as refusal:
        rows = tuple(FilterRow(name, key, tuple(values)) for name, key, values in given)
        return _filter_page(visit, shown, FilterGroup(visit.text("join", "and"), rows), problem=told_together(refusal, visit.locale), status=422)
    return visit.nothing(events={"closeDialog": {}, "goto": shown.address(where=where)})


# --- columns -------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/l/{list}/columns")
def columns_dialog(visit: Visit) -> Response:
    """Which columns to show, in which order."""
    shown = Shown(visit)
    chosen = [column.name for column in shown.layout().columns if not column.hidden]
    rest = [name for name, item in shown.entity.fields.items() if name in shown.grant.readable and name not in chosen and item.type.widget not in ("json",)]
    titles = {column.name: column.title for column in shown.layout().columns}
    rows = [(name, titles.get(name) or title_of(shown.entity.fields[name], visit.locale), name in chosen) for name in (*chosen, *rest)]
    return visit.part("_columns.html", rows=rows, address=shown.address(tool="columns"), usual=shown.address(columns=()))


@routes.post("/w/{ws}/l/{list}/columns")
def choose_columns(visit: Visit) -> Response:
    """The list's address with these columns."""
    shown = Shown(visit)
    names = tuple(name for name in visit.texts("columns") if name.split(".")[0] in shown.grant.readable)
    return visit.nothing(events={"closeDialog": {}, "goto": shown.address(columns=names)})


# --- saved views ---------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/l/{list}/save")
def view_dialog(visit: Visit) -> Response:
    """Give the present filters, order and columns a name."""
    shown = Shown(visit)
    return visit.part("_save_view.html", address=shown.address(tool="save"), can_share=saved_views.may_share(visit.ctx), problem="", title="")


@routes.post("/w/{ws}/l/{list}/save")
def save_view(visit: Visit) -> Response:
    """Keep it and go there."""
    shown = Shown(visit)
    try:
        number = saved_views.save_view(
            visit.ctx, shown.definition.key, shown.entity.key, visit.text("title"), shown.state.body(), shared=visit.text("shared") == "true"
        )
    except Invalid as refusal:
        return visit.part(
            "_save_view.html",
            status=422,
            address=shown.address(tool="save"),
            can_share=saved_views.may_share(visit.ctx),
            problem=told_together(refusal, visit.locale),
            title=visit.text("title"),
        )
    return visit.redirect(f"{visit.base}/l/{shown.definition.key}?view={number}", toast=_("The view is saved"))


@routes.post("/w/{ws}/l/{list}/views/{id:int}/remove")
def remove_view(visit: Visit) -> Response:
    """Remove a view."""
    shown = Shown(visit)
    saved_views.remove_view(visit.ctx, shown.definition.key, visit.number("id"))
    return visit.redirect(f"{visit.base}/l/{shown.definition.key}", toast=_("The view is removed"))


# --- one row -------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/l/{list}/row/{id:int}")
def row_actions(visit: Visit) -> Response:
    """What can be done with one record."""
    shown, number = Shown(visit), visit.number("id")
    layout = shown.layout()
    record = get(visit.ctx, shown.entity.key, number, layout.fields, lines=False)
    around = Surroundings(visit.ctx.workspace.scope.of(shown.entity.key), visit.ctx.locale, visit.base)
    title = next((shown_text(column.item, record.get(column.name), around) for column in layout.columns if column.is_title), "") or f"#{number}"
    with visit.ctx.snapshot() as ctx:
        gone = bool(nobodies(ctx, shown.entity, [record]))
        may_edit, may_delete = not gone and may(ctx, shown.entity.key, number, "update"), may(ctx, shown.entity.key, number, "delete")
        wanted = {word.removeprefix(f"{shown.entity.key}.") for word in shown.definition.actions} if not gone else set()
        offered = [one for one in presses(ctx, shown.entity, number, visit.base) if one.name in wanted] if wanted else []
        adding = [one for one in layout.actions if not gone and may_add(ctx, one.entity, one.link, number)]
    return visit.part(
        "_row_actions.html",
        presses=offered,
        title=title,
        actions=adding,
        number=number,
        version=record.version,
        may_edit=may_edit,
        may_delete=may_delete,
        record=f"{visit.base}/r/{shown.entity.key}/{number}",
        list_key=shown.definition.key,
    )


# --- export ------------------------------------------------------------------------------------------------------------------------------


@routes.get("/w/{ws}/l/{list}/export")
def export_list(visit: Visit) -> Response:
    """The list as a spreadsheet, as this person may see it; ``ids``: only these rows. Counted per day and logged."""
    shown = Shown(visit)
    given = visit.request.query_params
    rates.take(visit.home.rates, f"export:{visit.ctx.workspace.name}:{visit.ctx.actor.person_id}", EXPORTS_A_DAY, timedelta(days=1), wall())
    columns = tuple(column.name for column in shown.layout().columns if not column.link and not column.hidden)
    ids = [text for text in given.getlist("ids") if text.isdigit()]
    query = query_of(visit.ctx, shown.layout(), shown.state if not ids else ListState(), fields=columns)
    if ids:
        query = replace(query, equals={**query.equals, "id": ids})
    form = "csv" if given.get("form") == "csv" else "xlsx"
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"export.{form}"
        export(visit.ctx, query, path, form)
        content = path.read_bytes()
    name = f"{shown.definition.key}-{visit.ctx.now.astimezone(visit.ctx.workspace.timezone):%Y%m%d-%H%M}.{form}"
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})
