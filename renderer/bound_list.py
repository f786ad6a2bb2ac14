"""A list ready for its template: which columns this reader has, rows as drawn HTML, filters, order, further pages. Decided here, under the reader's grant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from engine.access import Grant, grant_of, remember
from engine.expressions.language import Expression
from engine.fields.values import Link, Masked, link_id
from engine.records.query import Page, Query, page
from engine.records.record import Record
from engine.scope import evaluator_of
from metadata.definitions import ListView
from metadata.text import label_text
from renderer.cells import Inside, Judge, deadline, inside_of, masked
from renderer.list_state import ListState, period_condition
from renderer.row_buttons import RowButton, buttons_writer, row_buttons
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField
    from renderer.templates import Pages

PAGE_ROWS = 50
SLOTS = ("lead", "title", "state", "sub", "due")
PERIOD_TYPES = ("date", "instant")
TITLE_WIDGETS = ("text", "serial", "long_text", "computed", "address")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one reader. ``field``: the entity's (``link`` set: the target's, over that link). ``tints``: (condition, colour)."""

    name: str
    title: str
    item: CompiledField
    inside: Inside
    link: str = ""
    slot: str = ""
    css: str = ""
    is_title: bool = False
    hidden: bool = False
    sortable: bool = False
    inline: bool = False
    tints: tuple[tuple[Expression, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What a list is for one set of roles and one choice of columns: made once per version, used by every page."""

    definition: ListView
    entity: CompiledEntity
    grant: Grant
    columns: tuple[Column, ...]
    fields: tuple[str, ...]
    over: Mapping[str, tuple[str, ...]]
    update: bool | tuple[Expression, ...]
    actions: tuple[tuple[str, str, str, str], ...]
    slots: Mapping[str, str]
    buttons: tuple[RowButton, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One drawn row."""

    id: int
    version: int
    label: str
    html: Markup


@dataclass(frozen=True, slots=True)
class BoundList:
    """One page of a list."""

    layout: Layout
    state: ListState
    rows: list[Row]
    page: Page
    base: str

    @property
    def shown(self) -> int:
        """Rows shown up to the end of this page."""
        return self.state.seen + len(self.rows)

    @property
    def more(self) -> str:
        """The address of the next page; "" on the last one."""
        return self.state.address(self.base, self.layout.definition, cursor=self.page.next, seen=self.shown) if self.page.next else ""


def layout_of(ctx: Context, pages: Pages, definition: ListView, base: str, columns: tuple[str, ...] = ()) -> Layout:
    """The layout for this actor's roles; ``columns``: those the reader chose instead of the definition's."""
    key = ("layout", definition.key, ctx.actor.roles, ctx.locale, columns)
    return remember(ctx.workspace, key, lambda: _layout(ctx, pages, definition, base, columns))


def _layout(ctx: Context, pages: Pages, definition: ListView, base: str, chosen: tuple[str, ...]) -> Layout:
    entity = ctx.workspace.entities[definition.entity]
    grant = grant_of(ctx.workspace, ctx.actor, entity)
    slots = {name: field for name, field in definition.mobile.items() if name in SLOTS}
    names = [name for name in dict.fromkeys(chosen or definition.columns) if _item(ctx, entity, grant, name) is not None] or list(entity.label_fields())[:1]
    title = _title_column(ctx, entity, grant, names, slots)
    columns = tuple(
        _column(ctx, pages, definition, entity, grant, name, base, slots, title, hidden=name not in names)
        for name in dict.fromkeys((*names, *(field for field in slots.values() if _item(ctx, entity, grant, field) is not None)))
    )
    columns = tuple(sorted(columns, key=lambda column: not column.is_title)) if title not in names else columns
    update = grant.condition("update")
    needed = {column.link or column.name for column in columns} | {field for column in columns for tint, _colour in column.tints for field in tint.fields}
    buttons = row_buttons(ctx, pages, entity, grant, definition, base)
    needed |= set(entity.label_fields()) | {field for condition in (update if isinstance(update, tuple) else ()) for field in condition.fields}
    over: dict[str, tuple[str, ...]] = {}
    for column in columns:
        if column.link:
            over[column.link] = (*over.get(column.link, ()), column.item.key)
    return Layout(
        definition,
        entity,
        grant,
        columns,
        ("id", "version", *sorted(name for name in needed if name in grant.readable)),
        over,
        update,
        _actions(ctx, definition, entity, base),
        slots,
        buttons,
    )


def _item(ctx: Context, entity: CompiledEntity, grant: Grant, name: str) -> CompiledField | None:
    """The field of a column name, if the reader may know of it."""
    link, _dot, field = name.partition(".")
    item = entity.fields.get(link)
    if item is None or link not in grant.readable:
        return None
    if not field:
        return item
    target = ctx.workspace.entities.get(item.target)
    if target is None:
        return None
    found = target.fields.get(field)
    return found if found is not None and field in grant_of(ctx.workspace, ctx.actor, target).readable else None


def _title_column(ctx: Context, entity: CompiledEntity, grant: Grant, names: Sequence[str], slots: Mapping[str, str]) -> str:
    wanted = slots.get("title", "")
    if wanted and _item(ctx, entity, grant, wanted) is not None:
        return wanted
    for name in names:
        item = _item(ctx, entity, grant, name)
        if item is not None and item.type.widget in TITLE_WIDGETS:
            return name
    return names[0] if names else ""


def _column(
    ctx: Context,
    pages: Pages,
    definition: ListView,
    entity: CompiledEntity,
    grant: Grant,
    name: str,
    base: str,
    slots: Mapping[str, str],
    title: str,
    *,
    hidden: bool,
) -> Column:
    link, _dot, field = name.partition(".")
    own = entity.fields[link]
    item = _item(ctx, entity, grant, name) or own
    owner = ctx.workspace.entities[own.target] if field else entity
    caption = label_text(item.definition.title, ctx.locale, item.key)
    if field:
        caption = f"{label_text(own.definition.title, ctx.locale, link)} · {caption}"
    slot = next((slot for slot, wanted in slots.items() if wanted == name), "")
    css = " ".join(filter(None, ("end" if item.type.align == "end" else "", "title" if name == title else "", "only-phone" if hidden else "")))
    return Column(
        name,
        caption,
        item,
        inside_of(ctx, pages, owner, item, base, state=name in (slots.get("state"), definition.kanban)),
        link if field else "",
        "title" if name == title and not slot else slot,
        css,
        is_title=name == title,
        hidden=hidden,
        sortable=not field and item.type.sortable and item.column is not None and name in grant.open and not item.encrypted,
        inline=not field and name in definition.inline and name in grant.writable and not item.derived,
        tints=tuple(_tints(ctx, entity, grant, definition, name)),
    )


def _tints(ctx: Context, entity: CompiledEntity, grant: Grant, definition: ListView, name: str) -> list[tuple[Expression, str]]:
    found = []
    for tint in definition.tints.get(name, ()):
        expression = ctx.workspace.expression(entity.key, tint.condition, wants="boolean")
        if expression.fields <= grant.readable:
            found.append((expression, tint.colour))
    return found


def _actions(ctx: Context, definition: ListView, entity: CompiledEntity, base: str) -> tuple[tuple[str, str, str, str], ...]:
    """(key, title, icon, address up to the id) of the row actions that exist: making a record of another entity that links here."""
    found = []
    for key in definition.actions:
        target_key, _dot, verb = key.rpartition(".")
        target = ctx.workspace.entities.get(target_key)
        if verb != "new" or target is None or not grant_of(ctx.workspace, ctx.actor, target).allowed("create"):
            continue
        link = next((name for name, item in target.fields.items() if item.target == entity.key and name in target.links_to), "")
        if link:
            title = _("Add %(what)s", what=label_text(target.title, ctx.locale, target_key))
            found.append((key, title, target.definition.icon or "plus", f"{base}/r/{target_key}/new?{link}="))
    return tuple(found)


# --- asking ------------------------------------------------------------------------------------------------------------------------------


def query_of(ctx: Context, layout: Layout, state: ListState, **more: Any) -> Query:
    """The query of a state. Raises Invalid for conditions that name what the reader does not know."""
    where, equals = [layout.definition.where, state.where], {}
    for name, values in state.equals.items():
        item = layout.entity.fields.get(name)
        if item is None or name not in layout.grant.readable:
            continue
        if item.value.type in PERIOD_TYPES:
            parts = [part for value in values if (part := period_condition(name, item.value.type, value))]
            where.append(" or ".join(f"({part})" for part in parts))
        else:
            equals[name] = values
    given = {
        "fields": layout.fields,
        "limit": PAGE_ROWS,
        "cursor": state.cursor or None,
        "search": state.q,
        "sort": state.sort or layout.definition.sort or ("-id",),
        "equals": equals,
        **more,
    }
    return Query(layout.entity.key, where=tuple(text for text in where if text), **given)


def bind(ctx: Context, layout: Layout, state: ListState, base: str, *, count: str | None = None) -> BoundList:
    """One page of the list, drawn."""
    with ctx.snapshot() as ctx:
        found = page(ctx, query_of(ctx, layout, state, count=count))
        return BoundList(layout, state, draw(ctx, layout, found.items, base), found, base)


def draw(ctx: Context, layout: Layout, records: Sequence[Record], base: str) -> list[Row]:
    """Rows as HTML. Needs an open connection only where conditions follow links."""
    pen = _Pen(ctx, layout, base)
    writers = [_writer(pen, column, _beyond(ctx, layout, column.link, records)) for column in layout.columns]
    label = next((column.name for column in layout.columns if column.is_title), "id")
    choose, acts, admitted, buttons = escape(_("Choose")), _acts(layout, base), pen.admitted(), buttons_writer(ctx, layout.entity, layout.buttons, records)
    rows = []
    for record in records:
        number = record["id"]
        editable, title = admitted(record), _plain(record.get(label))
        cells = "".join([write(record, editable) for write in writers])
        rows.append(
            Row(
                number,
                record["version"],
                title,
                Markup(
                    f'<tr id="row-{number}"><td class="tick"><label><input class="check" type="checkbox" name="ids" value="{number}" aria-label="{choose} {title}"></label></td>'
                    f"{cells}{acts(number, buttons(record, title))}</tr>"
                ),
            )
        )
    return rows


def column_texts(ctx: Context, layout: Layout, records: Sequence[Record], base: str) -> list[dict[str, str]]:
    """The insides of the cells by column, for boards."""
    pen = _Pen(ctx, layout, base)
    inside = {column.name: (_tinted if column.tints else _text)(pen, column, _beyond(ctx, layout, column.link, records)) for column in layout.columns}
    return [{name: text(record) for name, text in inside.items()} for record in records]


class _Pen:
    """What the closures of one page share."""

    def __init__(self, ctx: Context, layout: Layout, base: str) -> None:
        self.ctx, self.layout, self.base = ctx, layout, base
        self.today = ctx.now.astimezone(ctx.workspace.timezone).date()
        self.evaluator = evaluator_of(ctx)

    def admitted(self) -> Callable[[Record], bool]:
        """Whether the reader may change a row, as far as the row at hand tells; the writer decides."""
        update = self.layout.update
        if not any(column.inline for column in self.layout.columns):
            return lambda record: False
        if isinstance(update, bool):
            return lambda record: update
        judges = [Judge(self.evaluator, [(condition, "yes")]) for condition in update]
        return lambda record: any(judge(record) != "" for judge in judges)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return str(escape(value.label if isinstance(value, Link) else value.text if isinstance(value, Masked) else value))[:120]


def _beyond(ctx: Context, layout: Layout, link: str, records: Sequence[Record]) -> Mapping[int, Record]:
    """The linked records of a page, as far as the reader may see them."""
    if not link:
        return {}
    ids = sorted({number for record in records if (number := link_id(record.get(link))) is not None})
    if not ids:
        return {}
    query = Query(layout.entity.fields[link].target, fields=("id", *layout.over[link]), equals={"id": [str(number) for number in ids]}, limit=len(ids))
    return {record.id: record for record in page(ctx, query).items}


Writer = Callable[[Record, bool], str]


def _writer(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Writer:
    """The closure that draws one column's cells of a page."""
    attributes = (f' class="{column.css}"' if column.css else "") + (f' data-slot="{column.slot}"' if column.slot else "")
    open_tag, base, key = f"<td{attributes}>", pen.base, pen.layout.entity.key
    text = _tinted(pen, column, beyond) if column.tints else _text(pen, column, beyond)
    if column.is_title:
        return lambda record, editable: f'{open_tag}<a href="{base}/r/{key}/{record["id"]}">{text(record) or "—"}</a></td>'
    if not column.inline:
        return lambda record, editable: f"{open_tag}{text(record)}</td>"
    name, list_key, change = column.name, pen.layout.definition.key, str(escape(_("Change %(what)s", what=column.title)))

    def inline(record: Record, editable: bool) -> str:
        if not editable or type(record.get(name)) is Masked:
            return f"{open_tag}{text(record)}</td>"
        return (
            f'{open_tag}<button class="cell-edit" type="button" title="{change}" hx-get="{base}/l/{list_key}/{record["id"]}/{name}" hx-target="closest td" '
            f'hx-swap="outerHTML">{text(record) or "—"}</button></td>'
        )

    return inline


def _text(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Callable[[Record], str]:
    """The inside of a cell; equal values of a page are drawn once."""
    name, inside, today, known = column.name, column.inside, pen.today, {None: ""}

    def draw_value(value: Any) -> str:
        if type(value) is Masked:
            return masked(value)
        try:
            return known[value]
        except KeyError:
            shown = known[value] = inside(value, today)
            return shown
        except TypeError:  # a list
            return inside(value, today)

    if not column.link:
        return lambda record: draw_value(record.get(name))
    link, key = column.link, column.item.key

    def over(record: Record) -> str:
        target = beyond.get(link_id(record.get(link)) or 0)
        return draw_value(target.get(key)) if target is not None else ""

    return over


def _tinted(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Callable[[Record], str]:
    """The inside of a cell whose colour, and words, depend on conditions."""
    plain, judge, item, name, ctx, today = _text(pen, column, beyond), Judge(pen.evaluator, column.tints), column.item, column.name, pen.ctx, pen.today

    def tinted(record: Record) -> str:
        value = record.get(name)
        if value is None or type(value) is Masked:
            return plain(record)
        colour = judge(record)
        shown = deadline(item, value, ctx, today, plain(record))
        return f'<span class="{colour}-text">{shown}</span>' if colour else f'<span class="muted">{shown}</span>'

    return tinted


def _acts(layout: Layout, base: str) -> Callable[[int, str], str]:
    """The row's own actions: its buttons, the first way to add something as a button, the rest behind the dots."""
    more = str(escape(_("More")))
    first = ""
    if layout.actions:
        _key, title, _icon, address = layout.actions[0]
        first = f'<a class="btn small" href="{escape(address)}{{0}}">{escape(title)}</a> '
    html = (
        f'{first}<button class="btn small quiet square" type="button" aria-label="{more}" hx-get="{base}/l/{layout.definition.key}/row/{{0}}" '
        f'hx-target="#dialog">⋯</button></td>'
    )
    opened = '<td class="acts shown">' if layout.buttons else '<td class="acts">'
    return lambda number, buttons: f"{opened}{buttons}{html.format(number)}"
