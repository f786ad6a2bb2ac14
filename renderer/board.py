"""Records on a board by a choice, and on a calendar by a date: lanes with cards, days with events. Asks through the same queries as the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from engine.errors import NotFound
from engine.fields.values import Link, Masked
from engine.records.erasing import nobodies
from engine.records.query import Page, Query, page
from engine.records.record import Record
from renderer import formats
from renderer.bound_list import Column, Layout, query_of
from renderer.cells import COLOURS, captioned
from renderer.filters_view import title_of
from renderer.list_rows import column_texts
from renderer.list_state import ListState
from renderer.row_buttons import buttons_writer

if TYPE_CHECKING:
    from engine.context import Context

LANE_CARDS = 20
CARD_LINES = 3
DAY_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Card:
    """One record on a board. Parts are drawn HTML."""

    id: int
    version: int
    value: str
    href: str
    title: str
    lead: Markup
    due: Markup
    sub: Markup
    lines: tuple[Markup, ...]
    buttons: Markup
    state: Markup
    note: Markup


@dataclass(frozen=True, slots=True)
class Lane:
    """One value of the board's field. ``capped``: there are more than ``count``; ``more``: the address of further cards."""

    value: str
    title: str
    colour: str
    count: int = 0
    capped: bool = False
    cards: tuple[Card, ...] = ()
    more: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One record on a day."""

    href: str
    text: str
    time: str
    colour: str


@dataclass(frozen=True, slots=True)
class Day:
    """One square of a calendar."""

    date: date
    label: str
    outside: bool
    today: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """A month or a week of a calendar; ``cut``: there were more records than are shown."""

    title: str
    kind: str
    days: tuple[Day, ...]
    weekdays: tuple[str, ...]
    before: str
    after: str
    now: str
    other: str
    cut: bool


# --- boards --------------------------------------------------------------------------------------------------------------------------------


def targets(ctx: Context, layout: Layout) -> list[Lane]:
    """The lanes of a board without cards, in the options' order; retired options have none."""
    item = layout.entity.fields.get(layout.definition.kanban)
    if item is None or item.key not in layout.grant.open or "choices" not in item.value.options:
        raise NotFound("no_such_view_kind")
    choices = ctx.workspace.scope.choices(str(item.value.options["choices"]))
    scope = ctx.workspace.scope.of(layout.entity.key)
    return [
        Lane(
            code,
            item.type.show(code, item.value, scope, ctx.locale) if item.type.name == "choice" else code,
            option.colour if option.colour in COLOURS else "slate",
        )
        for code, option in choices.options.items()
        if not option.retired
    ]


def lane_counts(ctx: Context, layout: Layout, state: ListState) -> list[Lane]:
    """The lanes with how many records each has in this state, capped."""
    with ctx.snapshot() as ctx:
        return [_counted(lane, page(ctx, _asked(ctx, layout, state, lane, fields=("id",), limit=1, cursor=None))) for lane in targets(ctx, layout)]


def lanes(ctx: Context, layout: Layout, state: ListState, base: str) -> list[Lane]:
    """The whole board: lanes with their first cards."""
    with ctx.snapshot() as ctx:
        return [_filled(ctx, layout, state, base, lane) for lane in targets(ctx, layout)]


def lane(ctx: Context, layout: Layout, state: ListState, base: str, value: str) -> Lane:
    """One lane from the state's cursor on."""
    found = next((lane for lane in targets(ctx, layout) if lane.value == value), None)
    if found is None:
        raise NotFound("no_such_view_kind")
    return _filled(ctx, layout, state, base, found)


def _asked(ctx: Context, layout: Layout, state: ListState, lane: Lane, **words: Any) -> Query:
    """What a lane holds: its own value, where the state does not leave it out anyway."""
    return query_of(ctx, layout, replace(state, equals={**state.equals, layout.definition.kanban: (lane.value,)}), count="capped", **words)


def _counted(lane: Lane, found: Page[Record]) -> Lane:
    return replace(lane, count=found.count or 0, capped=found.count_capped)


def _filled(ctx: Context, layout: Layout, state: ListState, base: str, lane: Lane) -> Lane:
    narrowed = state.equals.get(layout.definition.kanban)
    if narrowed and lane.value not in narrowed:
        return lane
    found = page(ctx, _asked(ctx, layout, state, lane, limit=LANE_CARDS))
    more = ""
    if found.next:
        address = state.address(base, layout.definition, cursor=found.next, seen=state.seen + len(found.items))
        path, _mark, parameters = address.partition("?")
        more = f"{path}/lane/{lane.value}?{parameters}"
    return replace(_counted(lane, found), cards=tuple(cards(ctx, layout, found.items, base)), more=more)


def cards(ctx: Context, layout: Layout, records: Sequence[Record], base: str) -> list[Card]:
    """Records as cards: the phone slots in their places, the other columns as lines."""
    board = layout.definition.kanban
    with ctx.snapshot() as ctx:
        texts = column_texts(ctx, layout, records, base)
        gone = nobodies(ctx, layout.entity, records)
        buttons = buttons_writer(ctx, layout.entity, layout.buttons, [record for record in records if record["id"] not in gone])
        pressed = [Markup(buttons(record, str(escape(title_text(layout, record))))) for record in records]
    lead, due = layout.slots.get("lead", ""), layout.slots.get("due", "")
    lines = [column for column in layout.columns if not column.is_title and not column.hidden and column.name not in (board, lead, due)][:CARD_LINES]
    found = []
    for record, text, offered in zip(records, texts, pressed, strict=True):
        value = record.get(board)
        found.append(
            Card(
                record["id"],
                record["version"],
                value if isinstance(value, str) else "",
                f"{base}/r/{layout.entity.key}/{record['id']}",
                title_text(layout, record),
                Markup(text.get(lead, "")),
                _said(layout, text, due),
                Markup(text.get(layout.slots.get("sub", ""), "")),
                tuple(Markup(text[column.name]) for column in lines if text.get(column.name)),
                offered,
                _said(layout, text, layout.slots.get("state", "")),
                Markup(text.get(layout.slots.get("note", ""), "")),
            )
        )
    return found


def _said(layout: Layout, text: Mapping[str, str], name: str) -> Markup:
    """A value at the end of a card, with its title where it says nothing alone."""
    shown, column = Markup(text.get(name, "")), next((column for column in layout.columns if column.name == name), None)
    return captioned(column.item, column.title, shown) if shown and column is not None else shown


def title_text(layout: Layout, record: Record) -> str:
    """What a record is called in its list, as text."""
    column: Column | None = next((column for column in layout.columns if column.is_title), None)
    value: Any = record.get(column.name) if column is not None else None
    if value is None:
        return f"#{record['id']}"
    return str(value.label or formats.UNSEEN if isinstance(value, Link) else value.text if isinstance(value, Masked) else value)


# --- calendars -----------------------------------------------------------------------------------------------------------------------------


def month(ctx: Context, layout: Layout, state: ListState, base: str, wanted: str) -> Month:
    """The month ``2026-11`` or the week of the day ``2026-11-23``; the present month without one."""
    zone = ctx.workspace.timezone
    today = ctx.now.astimezone(zone).date()
    weekly, first = _start(wanted, today)
    monday = first - timedelta(days=first.weekday())
    last = first + timedelta(days=7) if weekly else _next_month(first)
    days = 7 if weekly else -(-((last - monday).days) // 7) * 7
    name = layout.definition.calendar
    item = layout.entity.fields.get(name)
    if item is None or name not in layout.grant.open:
        raise NotFound("no_such_view_kind")
    start, end = monday, monday + timedelta(days=days)
    where = (
        f"{name} >= '{start.isoformat()}' and {name} < '{end.isoformat()}'"
        if item.value.type == "date"
        else (f"{name} >= '{_instant(start, zone)}' and {name} < '{_instant(end, zone)}'")
    )
    query = query_of(ctx, layout, state, sort=(name,), limit=DAY_EVENTS, cursor=None, fields=tuple(dict.fromkeys((*layout.fields, name))))
    texts = (query.where,) if isinstance(query.where, str) else query.where
    with ctx.snapshot() as ctx:
        found = page(ctx, replace(query, where=(*texts, where)))
    events: dict[date, list[Event]] = {}
    for record in found.items:
        value = record[name]
        day = value if item.value.type == "date" else formats.day_of(value, zone, item.value.options.get("ends") == "day")
        clock = "" if item.value.type == "date" else f"{value.astimezone(zone):%H:%M}"
        events.setdefault(day, []).append(
            Event(f"{base}/r/{layout.entity.key}/{record['id']}", title_text(layout, record), clock, _event_colour(ctx, layout, record))
        )
    squares = tuple(
        Day(day, f"{day.month}-{day.day:02d}", not weekly and day.month != first.month, day == today, tuple(events.get(day, ())))
        for day in (monday + timedelta(days=number) for number in range(days))
    )
    return _month(ctx, layout, state, base, first, weekly, squares, found.next is not None, title_of(item, ctx.locale))


def coming(ctx: Context, layout: Layout, query: Query) -> Query:
    """Where a list is a calendar: what comes from today on, nearest first, instead of the order of its table."""
    name = layout.definition.calendar if layout.definition.view == "calendar" else ""
    item = layout.entity.fields.get(name)
    if item is None or name not in layout.grant.open:
        return query
    since = f"{name} >= today()" if item.value.type == "date" else f"{name} >= start_of(now(), 'day')"
    texts = (query.where,) if isinstance(query.where, str) else query.where
    return replace(query, where=(*texts, since), sort=(name, "id"))


def _month(ctx: Context, layout: Layout, state: ListState, base: str, first: date, weekly: bool, squares: tuple[Day, ...], cut: bool, field: str) -> Month:
    def address(day: date, week: bool = weekly) -> str:
        return state.address(base, layout.definition, cursor=day.isoformat() if week else f"{day:%Y-%m}")

    monday = squares[0].date
    before = monday - timedelta(days=7) if weekly else (first - timedelta(days=1)).replace(day=1)
    after = monday + timedelta(days=7) if weekly else _next_month(first)
    today = next((day.date for day in squares if day.today), first)
    title = f"{monday:%Y-%m-%d} – {squares[-1].date:%m-%d}" if weekly else f"{first:%Y-%m}"
    return Month(
        f"{title} · {field}",
        "week" if weekly else "month",
        squares,
        tuple(formats.weekday(day.date) for day in squares[:7]),
        address(before),
        address(after),
        state.address(base, layout.definition),
        address(today, not weekly),
        cut,
    )


def _start(wanted: str, today: date) -> tuple[bool, date]:
    try:
        if len(wanted) == 7:
            return False, date.fromisoformat(f"{wanted}-01")
        if len(wanted) == 10:
            found = date.fromisoformat(wanted)
            return True, found - timedelta(days=found.weekday())
    except ValueError:
        pass
    return False, today.replace(day=1)


def _next_month(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def _instant(day: date, zone: Any) -> str:
    return datetime.combine(day, time(), zone).isoformat()


def _event_colour(ctx: Context, layout: Layout, record: Record) -> str:
    """The colour of the first coloured choice among the columns."""
    for column in layout.columns:
        value = record.get(column.name) if not column.link else None
        if isinstance(value, str) and "choices" in column.item.value.options:
            option = ctx.workspace.scope.choices(str(column.item.value.options["choices"])).options.get(value)
            if option is not None and option.colour in COLOURS:
                return option.colour
    return ""


__all__ = ["Card", "Day", "Event", "Lane", "Month", "cards", "lane", "lane_counts", "lanes", "month", "targets", "title_text"]
