"""The rows of a list as HTML, a column of a page at a time, and what leads further. What columns there are is bound_list.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from engine.fields.values import Link, Masked, link_id
from engine.records.erasing import nobodies
from engine.records.looking import looking
from engine.records.query import Page, Query, page
from engine.records.record import Record
from engine.surroundings import evaluator_of
from renderer.bound_list import Column, Layout, query_of
from renderer.cells import SAYING_NOTHING, Judge, deadline, masked
from renderer.list_state import ListState
from renderer.row_buttons import buttons_writer
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context


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


def bind(ctx: Context, layout: Layout, state: ListState, base: str, *, count: str | None = None) -> BoundList:
    """One page of the list, drawn."""
    with ctx.snapshot() as ctx:
        found = page(ctx, query_of(ctx, layout, state, count=count))
        return BoundList(layout, state, draw(ctx, layout, found.items, base), found, base)


def draw(ctx: Context, layout: Layout, records: Sequence[Record], base: str) -> list[Row]:
    """Rows as HTML; of a person made anonymous only what is left to read. Needs an open connection."""
    pen = _Pen(ctx, layout, base)
    label = next((column.name for column in layout.columns if column.is_title), "id")
    choose, acts, admitted, gone = escape(_("Choose")), _acts(layout, base), pen.admitted(), nobodies(ctx, layout.entity, records)
    living = [record for record in records if record["id"] not in gone] if gone else records
    buttons, adds = buttons_writer(ctx, layout.entity, layout.buttons, living), _adds(ctx, layout, living)
    editable = [record["id"] not in gone and admitted(record) for record in records]
    columns = [_writer(pen, column, _beyond(ctx, layout, column.link, records))(records, editable) for column in layout.columns]
    rows = []
    for record, cells in zip(records, zip(*columns, strict=True) if columns else [()] * len(records), strict=True):
        number, title = record["id"], _plain(record.get(label))
        rows.append(
            Row(
                number,
                record["version"],
                title,
                Markup(
                    f'<tr id="row-{number}"><td class="tick"><label><input class="check" type="checkbox" name="ids" value="{number}" aria-label="{choose} {title}"></label></td>'
                    f"{''.join(cells)}{acts(number, buttons(record, title), adds(record))}</tr>"
                ),
            )
        )
    return rows


def column_texts(ctx: Context, layout: Layout, records: Sequence[Record], base: str) -> list[dict[str, str]]:
    """The insides of the cells by column, for boards."""
    pen = _Pen(ctx, layout, base)
    names = [column.name for column in layout.columns]
    inside = [_inside_texts(pen, column, _beyond(ctx, layout, column.link, records))(records) for column in layout.columns]
    return [dict(zip(names, texts, strict=True)) for texts in zip(*inside, strict=True)] if names else [{} for _ in records]


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


#: Draws the insides of one column's cells of a page; with whether each row may be changed, the cells themselves.
Texts = Callable[[Sequence[Record]], list[str]]
Cells = Callable[[Sequence[Record], Sequence[bool]], list[str]]


def _writer(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Cells:
    """The closure that draws one column's cells of a page."""
    attributes = (f' class="{column.css}"' if column.css else "") + (f' data-slot="{column.slot}"' if column.slot else "")
    if column.slot and column.item.type.name in SAYING_NOTHING:
        attributes += f' data-caption="{escape(column.title)}"'
    open_tag, base, key = f"<td{attributes}>", pen.base, pen.layout.entity.key
    texts = _inside_texts(pen, column, beyond)
    if column.is_title:
        link = f'{open_tag}<a href="{base}/r/{key}/'
        return lambda records, editable: [f'{link}{record["id"]}">{text or "—"}</a></td>' for record, text in zip(records, texts(records), strict=True)]
    if column.counts:
        behind, field = f'{open_tag}<a class="counts" href="{escape(column.counts)}', column.name
        return lambda records, editable: [
            f'{behind}{record["id"]}">{text}</a></td>' if record.get(field) else f"{open_tag}{text}</td>"
            for record, text in zip(records, texts(records), strict=True)
        ]
    if not column.inline:
        return lambda records, editable: [f"{open_tag}{text}</td>" for text in texts(records)]
    name, list_key, change = column.name, pen.layout.definition.key, str(escape(_("Change %(what)s", what=column.title)))

    def inline(record: Record, text: str, editable: bool) -> str:
        if not editable or type(record.get(name)) is Masked:
            return f"{open_tag}{text}</td>"
        return (
            f'{open_tag}<button class="cell-edit" type="button" title="{change}" hx-get="{base}/l/{list_key}/{record["id"]}/{name}" hx-target="closest td" '
            f'hx-swap="outerHTML">{text or "—"}</button></td>'
        )

    return lambda records, editable: [inline(*one) for one in zip(records, texts(records), editable, strict=True)]


def _inside_texts(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Texts:
    return _tinted(pen, column, beyond) if column.tints else _texts(pen, column, beyond)


def _texts(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Texts:
    """The insides of a column's cells; equal values of a page are drawn once."""
    name, link, key, inside, today = column.name, column.link, column.item.key, column.inside, pen.today

    def draw(values: Iterable[Any]) -> list[str]:
        known: dict[Any, str] = {None: ""}
        found = []
        for value in values:
            if value.__class__ is Masked:
                text: str | None = masked(value)
            else:
                try:
                    text = known.get(value)
                    if text is None:
                        text = known[value] = inside(value, today)
                except TypeError:  # a list
                    text = inside(value, today)
            found.append(text)
        return found

    def over(record: Record) -> Any:
        target = beyond.get(link_id(record.get(link)) or 0)
        return target.get(key) if target is not None else None

    return (lambda records: draw([over(record) for record in records])) if link else (lambda records: draw([record.get(name) for record in records]))


def _tinted(pen: _Pen, column: Column, beyond: Mapping[int, Record]) -> Texts:
    """The insides of cells whose colour, and words, depend on conditions."""
    plain, judge, item, name, ctx, today = _texts(pen, column, beyond), Judge(pen.evaluator, column.tints), column.item, column.name, pen.ctx, pen.today
    dated = item.type.expression_type(item.value) in ("date", "instant")  # a day that is far is quiet; an amount that is not alarming is one still

    def tinted(record: Record, text: str) -> str:
        value = record.get(name)
        if value is None or type(value) is Masked:
            return text
        colour = judge(record)
        shown = deadline(item, value, ctx, today, text, quiet=not colour)
        return f'<span class="{colour}-text">{shown}</span>' if colour else f'<span class="muted">{shown}</span>' if dated else shown

    return lambda records: [tinted(*one) for one in zip(records, plain(records), strict=True)]


def _adds(ctx: Context, layout: Layout, records: Sequence[Record]) -> Callable[[Record], bool]:
    """Whether the first way to add something is offered on one of the rows. Needs an open connection where it is limited."""
    limits = layout.actions[0].limits if layout.actions else ()
    ids = {record["id"] for record in records}
    if not limits:
        return lambda record: record["id"] in ids
    work, entity = looking(ctx), layout.entity
    rows = work.fetch(entity.key, ids)
    return lambda record: (row := rows.get(record["id"])) is not None and all(map(work.truth(entity, row), limits))


def _acts(layout: Layout, base: str) -> Callable[[int, str, bool], str]:
    """The row's own actions: its buttons (always to be seen where it has any), the first way to add something as a button, the rest behind the dots."""
    more = str(escape(_("More")))
    first = ""
    if layout.actions:
        first = f'<a class="btn small" href="{escape(layout.actions[0].address)}{{0}}">{escape(layout.actions[0].title)}</a> '
    html = (
        f'<button class="btn small quiet square" type="button" aria-label="{more}" hx-get="{base}/l/{layout.definition.key}/row/{{0}}" '
        f'hx-target="#dialog">⋯</button></td>'
    )
    return lambda number, buttons, adds: f'<td class="acts{" shown" if buttons else ""}">{buttons}{first.format(number) if adds else ""}{html.format(number)}'
