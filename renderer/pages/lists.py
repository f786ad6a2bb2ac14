"""Pages of lists: the table with further pages, counts of tabs, inline change, kanban and calendar. What a cell shows is bound_list.py's; tools are list_tools.py's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from engine.access import grant_of
from engine.errors import Conflict, Denied, Invalid, NotFound, Refusal
from engine.messages import told, told_together
from engine.records import service
from engine.records.query import count as count_records
from engine.records.query import get, page
from engine.records.ruling_press import short_name
from engine.saved_views import SavedView, may_share, views_of
from metadata.text import label_text
from renderer import board, errors, grid
from renderer.above import above
from renderer.bound_action import icon_of, named
from renderer.bound_field import Surroundings, bound_field
from renderer.bound_list import Layout, layout_of, query_of
from renderer.filters_view import QuickFilter, chosen_filters, quick_filters, sort_choices
from renderer.form_layout import begin_title
from renderer.list_rows import BoundList, bind, draw
from renderer.list_state import ListState, kinds_of, split_sort
from renderer.moulds import hole
from renderer.requests import Routes, Visit
from renderer.shell import list_title, may_open, open_lists, pace
from renderer.translations import _

routes = Routes()
COUNT_TABS = 8
#: A list is asked anew no oftener than this.


class Shown:
    """One list as one visit looks at it."""

    def __init__(self, visit: Visit) -> None:
        key = str(visit.path["list"])
        definition = visit.ctx.workspace.bundle.lists.get(key)
        if definition is None or not may_open(visit.ctx, definition):
            raise NotFound("unknown_list")
        self.visit, self.definition = visit, definition
        self.entity = visit.ctx.workspace.entities[definition.entity]
        self.grant = grant_of(visit.ctx.workspace, visit.ctx.actor, self.entity)
        self.views = views_of(visit.ctx, key)
        given = visit.request.query_params
        wanted = given.get("view", "")
        saved = next((view for view in self.views if str(view.id) == wanted), None)
        if wanted and saved is None:
            raise NotFound("unknown_view")
        self.saved: SavedView | None = saved
        self.state = ListState.read(definition, given, self.grant.readable, saved.body if saved else None)

    @property
    def usual(self) -> bool:
        """Whether it is looked at as it is first opened: as a table, with nothing sought, chosen or ordered, and nothing above."""
        return self.state == ListState() and not self.definition.above

    def layout(self, columns: tuple[str, ...] | None = None) -> Layout:
        """The layout of the columns this visit asks for."""
        return layout_of(self.visit.ctx, self.visit.site.pages, self.definition, self.visit.base, self.state.columns if columns is None else columns)

    def address(self, **changes: Any) -> str:
        """This state's address with changes."""
        return self.state.address(self.visit.base, self.definition, **changes)

    def around(self, prefix: str = "q") -> Surroundings:
        """What binding a field here needs."""
        return Surroundings(self.visit.ctx.workspace.scope.of(self.entity.key), self.visit.locale, self.visit.base, prefix)


@routes.get("/w/{ws}/l/{list}")
def show(visit: Visit) -> Response:
    """The whole page, its body for a changed filter, or more rows."""
    shown = Shown(visit)
    if visit.wants_part and visit.target == "more":
        return _more(visit, shown)
    if visit.wants_part:
        return visit.part("_list_changed.html", **_body(visit, shown))
    return (_usual(visit, shown) if shown.usual else None) or visit.page("list.html", **_body(visit, shown), **_head(visit, shown))


def _usual(visit: Visit, shown: Shown) -> Response | None:
    """The page as it is first opened: but for its records it is the same for everybody with these menus, these kept views and these offers."""
    layout = shown.layout()
    try:
        table = _table(visit, shown, layout)
    except Invalid:
        return None
    if not table["rows"]:
        return None
    quick = quick_filters(visit.ctx, layout, shown.state, shown.around())
    views = tuple((view.id, view.title, view.shared, view.own) for view in shown.views)

    def draw() -> dict[str, Any]:
        controls = {**_controls(visit, shown, layout, quick), **_head(visit, shown), "heads": _heads(shown, layout)}
        return {**controls, "rows": hole("rows"), "foot": hole("foot")}

    return visit.kept_page("list.html", (shown.definition.key, views, tuple(quick)), table, draw)


def _head(visit: Visit, shown: Shown) -> dict[str, Any]:
    """What stands above the filters: tabs, kinds of view, buttons."""
    ctx, definition = visit.ctx, shown.definition
    tabs = [(view, list_title(ctx.workspace, view, visit.locale)) for view in open_lists(ctx, definition.entity)]
    kinds = {"table": (_("List"), "list"), "kanban": (_("Board"), "layout-kanban"), "calendar": (_("Calendar"), "calendar"), "grid": (_("Grid"), "layout-grid")}
    title = label_text(shown.entity.title, visit.locale, definition.entity)
    return {
        "tabs": tabs,
        "views": shown.views,
        "kinds": [(kind, *kinds[kind], shown.address(kind=kind)) for kind in kinds_of(definition)],
        "entity_title": title,
        "export": shown.address(tool="export"),
        "save": shown.address(tool="save"),
        "imports": f"{visit.base}/import/{definition.entity}" if "import" in ctx.actor.rights and shown.grant.allowed("create") else "",
        "title": list_title(ctx.workspace, definition, visit.locale),
    }


def _body(visit: Visit, shown: Shown) -> dict[str, Any]:
    """Filters, what is chosen, and the records in the wanted kind of view."""
    layout = shown.layout()
    data = _controls(visit, shown, layout, quick_filters(visit.ctx, layout, shown.state, shown.around()))
    try:
        data |= _records(visit, shown, layout)
    except Invalid as refusal:
        data |= {"problem": told_together(refusal, visit.locale)}
    return data


def _controls(visit: Visit, shown: Shown, layout: Layout, quick: list[QuickFilter]) -> dict[str, Any]:
    """Everything around the records."""
    ctx, grant = visit.ctx, shown.grant
    return {
        "shown": shown,
        "layout": layout,
        "state": shown.state,
        "list_key": shown.definition.key,
        "quick": quick,
        "chosen": chosen_filters(ctx, layout, shown.state, visit.base),
        "clear": replace(ListState(kind=shown.state.kind, columns=shown.state.columns, sort=shown.state.sort)).address(visit.base, shown.definition),
        "sorts": sort_choices(ctx, layout, shown.state),
        "can_share": may_share(ctx),
        "saved": shown.saved,
        "here": shown.address(),
        "tool": lambda name: shown.address(tool=name),
        "can": {"change": grant.allowed("update") and bool(grant.writable), "delete": grant.allowed("delete"), "export": grant.allowed("export")},
        "presses": [
            (short_name(rule), label_text(rule.title, visit.locale, rule.key), icon_of(rule)) for rule in named(visit.ctx, shown.entity, shown.definition.bulk)
        ],
        "create": f"{visit.base}/r/{shown.definition.entity}/new" if grant.allowed("create") and not shown.definition.create else "",
        "creates": _creates(visit, shown),
        "begin": begin_title(ctx, shown.definition.entity),
        "empty": label_text(shown.definition.body.get("empty"), visit.locale),
        "about": label_text(shown.entity.definition.body.get("description"), visit.locale),
        "above": above(ctx, visit.site.pages, shown.definition, visit.base),
        "refresh": pace(shown.definition),
        "problem": "",
        "rows": None,
        "lanes": (),
        "month": None,
        "grid": None,
    }


def _creates(visit: Visit, shown: Shown) -> list[tuple[str, str]]:
    """(address, title) of what a list lets people begin besides records of its own."""
    found = []
    for key in shown.definition.create:
        entity = visit.ctx.workspace.entities.get(key)
        if entity is not None and grant_of(visit.ctx.workspace, visit.ctx.actor, entity).allowed("create"):
            found.append((f"{visit.base}/r/{key}/new", begin_title(visit.ctx, key)))
    return found


def _records(visit: Visit, shown: Shown, layout: Layout) -> dict[str, Any]:
    if shown.state.kind == "kanban":
        lanes = board.lanes(visit.ctx, layout, shown.state, visit.base)
        return {"lanes": lanes, "vacant": not any(lane.count for lane in lanes)}
    if shown.state.kind == "grid":
        return {"grid": grid.bind(visit.ctx, layout, shown.state, visit.base)}
    if shown.state.kind == "calendar":
        month = board.month(visit.ctx, layout, shown.state, visit.base, visit.request.query_params.get("cursor", ""))
        return {"month": month, "vacant": not any(day.events for day in month.days)}
    return {**_table(visit, shown, layout), "heads": _heads(shown, layout)}


def _table(visit: Visit, shown: Shown, layout: Layout) -> dict[str, Markup]:
    """The rows of the first page and what stands below them, drawn; no rows are an empty text. Raises Invalid."""
    exact = visit.request.query_params.get("limit") == "exact"
    bound = bind(visit.ctx, layout, shown.state, visit.base, count="exact" if exact else "capped")
    foot = visit.site.pages.list_foot(bound.page.count, bound.page.count_capped, bool(bound.page.next), shown.address())
    return {"rows": _rows(visit, bound), "foot": foot}


def _rows(visit: Visit, bound: BoundList) -> Markup:
    """The drawn rows, then the way further."""
    more = visit.site.pages.list_more(bound.more, bound.shown, len(bound.layout.columns)) if bound.more else ""
    return Markup("".join([*(row.html for row in bound.rows), more]))


def _heads(shown: Shown, layout: Layout) -> list[tuple[Any, str, str]]:
    """(column, its direction now, the address that orders by it) of the table's head."""
    order = split_sort(shown.state.sort or shown.definition.sort)
    first = next(iter(order), "")
    found = []
    for column in layout.columns:
        direction = ("descending" if order[column.name] else "ascending") if column.name == first else ""
        wanted = f"-{column.name}" if direction == "ascending" else column.name
        found.append((column, direction, shown.address(sort=(wanted,)) if column.sortable else ""))
    return found


def _more(visit: Visit, shown: Shown) -> Response:
    return visit.part("_html.html", html=_rows(visit, bind(visit.ctx, shown.layout(), shown.state, visit.base)))


@routes.get("/w/{ws}/l/{list}/counts")
def counts(visit: Visit) -> Response:
    """Capped counts of the tabs, asked for after the page stands."""
    shown, ctx = Shown(visit), visit.ctx
    found = []
    with ctx.snapshot() as ctx:
        for view in open_lists(ctx, shown.definition.entity)[:COUNT_TABS]:
            number = count_records(ctx, view.entity, view.where, exact=False)
            found.append((f"tab-{view.key}", number))
        for saved in shown.views[:COUNT_TABS]:
            number = _saved_count(visit, shown, saved)
            if number is not None:
                found.append((f"tab-view-{saved.id}", number))
    return visit.part("_tab_counts.html", counts=[(name, min(number, 1000), number > 1000) for name, number in found])


def _saved_count(visit: Visit, shown: Shown, saved: SavedView) -> int | None:
    state = ListState.of_saved(shown.definition, saved.body, shown.grant.readable)
    try:
        return page(visit.ctx, query_of(visit.ctx, shown.layout(()), state, fields=("id",), limit=1, count="capped", cursor=None)).count
    except Invalid:
        return None


# --- changing in place ---------------------------------------------------------------------------------------------------------------------


def _cell(visit: Visit, shown: Shown, record_id: int, name: str) -> Markup:
    """One cell as the list shows it now."""
    layout = replace(shown.layout(), columns=tuple(column for column in shown.layout().columns if column.name == name))
    with visit.ctx.snapshot() as ctx:
        html = draw(ctx, layout, [get(ctx, shown.entity.key, record_id, layout.fields, lines=False)], visit.base)[0].html
    start = html.index("</td>") + len("</td>")
    return Markup(html[start : html.rindex('<td class="acts">')])


def _inline(shown: Shown, name: str) -> Any:
    column = next((column for column in shown.layout().columns if column.name == name and column.inline), None)
    if column is None:
        raise Denied("not_inline", field=name)
    return column


@routes.get("/w/{ws}/l/{list}/{id:int}/{field}")
def edit_cell(visit: Visit) -> Response:
    """The control of one cell; ``?keep``: the cell as it was."""
    shown, number, name = Shown(visit), visit.number("id"), str(visit.path["field"])
    column = _inline(shown, name)
    if "keep" in visit.request.query_params:
        return visit.part("_html.html", html=_cell(visit, shown, number, name))
    return _editor(visit, shown, number, column)


def _editor(visit: Visit, shown: Shown, number: int, column: Any, raw: str | None = None, problem: str = "", status: int = 200) -> Response:
    with visit.ctx.snapshot() as ctx:
        record = get(ctx, shown.entity.key, number, shown.layout().fields, lines=False)
    field = bound_field(column.item, record.get(column.name), shown.around(f"e{number}"), raw=raw, errors=(problem,) if problem else (), few=False)
    return visit.part(
        "_cell_edit.html",
        status=status,
        f=field,
        column=column,
        version=record.version,
        address=f"{visit.base}/l/{shown.definition.key}/{number}/{column.name}",
    )


@routes.post("/w/{ws}/l/{list}/{id:int}/{field}")
def save_cell(visit: Visit) -> Response:
    """Save one cell on the version it was read at; a stale one gets the fresh row and says so."""
    shown, number, name = Shown(visit), visit.number("id"), str(visit.path["field"])
    column = _inline(shown, name)
    raw = visit.raw().get(name, "")
    try:
        service.update(visit.ctx, shown.entity.key, number, {name: raw}, int(visit.text("version", "0") or 0))
    except Conflict as refusal:
        if refusal.code != "stale":
            raise
        return _fresh_row(visit, shown, number, told(refusal, visit.locale))
    except Invalid as refusal:
        return _editor(visit, shown, number, column, raw if isinstance(raw, str) else None, told_together(refusal, visit.locale), 422)
    return visit.part("_html.html", html=_cell(visit, shown, number, name), toast=_("Saved"))


def _fresh_row(visit: Visit, shown: Shown, number: int, text: str) -> Response:
    layout = shown.layout()
    with visit.ctx.snapshot() as ctx:
        row = draw(ctx, layout, [get(ctx, shown.entity.key, number, layout.fields, lines=False)], visit.base)[0]
    response = visit.part("_html.html", status=409, html=row.html, toast=text, kind="error")
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = f"#row-{number}", "outerHTML"
    return response


# --- kanban --------------------------------------------------------------------------------------------------------------------------------


@routes.post("/w/{ws}/l/{list}/move")
def move_card(visit: Visit) -> Response:
    """A card dropped on another lane: the field gets the lane's value, or the move is refused and the page takes it back."""
    shown = Shown(visit)
    field = shown.definition.kanban
    if not field:
        raise NotFound("no_such_view_kind")
    number = visit.text("id")
    if not number.isascii() or not number.isdigit():
        raise NotFound("no_such_record", entity=shown.entity.key, id=number[:20])
    version = visit.text("version")
    try:
        service.update(visit.ctx, shown.entity.key, int(number), {field: visit.text("value") or None}, int(version) if version.isdigit() else 0)
    except Refusal as refusal:
        return visit.nothing(toast=told_together(refusal, visit.locale), kind="error", status=errors.status_of(refusal))
    layout = shown.layout()
    cards = board.cards(visit.ctx, layout, [get(visit.ctx, shown.entity.key, int(number), layout.fields, lines=False)], visit.base)
    lanes = board.lane_counts(visit.ctx, layout, shown.state)
    return visit.part("_kanban_card.html", card=cards[0], lanes=lanes, layout=layout, list_key=shown.definition.key, moved=True)


@routes.get("/w/{ws}/l/{list}/lane/{value}")
def more_cards(visit: Visit) -> Response:
    """Further cards of one lane."""
    shown = Shown(visit)
    lane = board.lane(visit.ctx, shown.layout(), shown.state, visit.base, str(visit.path["value"]))
    return visit.part("_kanban_cards.html", lane=lane, lanes=board.targets(visit.ctx, shown.layout()))
