"""What a list is for its reader: columns, filters, order, row actions. Decided here, under the reader's grant; rows are drawn by list_rows.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.access import Grant, grant_of, remember
from engine.expressions.language import Expression
from engine.records.query import Query
from metadata.definitions import ListView
from metadata.text import label_text
from renderer.cells import Inside, inside_of
from renderer.counted import counted_address
from renderer.form_layout import begin_title, form_for, leads_to
from renderer.list_state import ListState, period_condition
from renderer.row_buttons import RowButton, row_buttons
from renderer.words_search import can_search, condition, has_own_search

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField
    from renderer.templates import Pages

PAGE_ROWS = 50
SLOTS = ("lead", "title", "state", "sub", "due", "note")
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
    counts: str = ""  # the address of the records it counts, up to the row's id


@dataclass(frozen=True, slots=True)
class Adding:
    """A record of another entity that can be begun from a row. ``address``: up to the row's id; ``limits``: what the row must satisfy to be offered there."""

    entity: str
    link: str
    title: str
    icon: str
    address: str
    limits: tuple[Expression, ...]


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
    actions: tuple[Adding, ...]
    slots: Mapping[str, str]
    buttons: tuple[RowButton, ...]
    words: tuple[str, ...]  # fields a search goes by where the records have no searchable text of their own
    searchable: bool


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
    shown = tuple(column.name for column in columns if not column.link)
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
        shown,
        can_search(ctx, entity, shown),
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
        counts="" if field or name == title else counted_address(ctx, entity, item, base),
    )


def _tints(ctx: Context, entity: CompiledEntity, grant: Grant, definition: ListView, name: str) -> list[tuple[Expression, str]]:
    found = []
    for tint in definition.tints.get(name, ()):
        expression = ctx.workspace.expression(entity.key, tint.condition, wants="boolean")
        if expression.fields <= grant.readable:
            found.append((expression, tint.colour))
    return found


def _actions(ctx: Context, definition: ListView, entity: CompiledEntity, base: str) -> tuple[Adding, ...]:
    """The row actions that make a record of another entity that links here."""
    found = []
    for key in definition.actions:
        target_key, _dot, verb = key.rpartition(".")
        target = ctx.workspace.entities.get(target_key)
        if verb != "new" or target is None or not grant_of(ctx.workspace, ctx.actor, target).allowed("create"):
            continue
        link = next((name for name, item in target.fields.items() if item.target == entity.key and name in target.links_to), "")
        if link:
            limits = leads_to(ctx.workspace, form_for(ctx, target_key), target.fields[link])
            found.append(Adding(target_key, link, begin_title(ctx, target_key), target.definition.icon or "plus", f"{base}/r/{target_key}/new?{link}=", limits))
    return tuple(found)


# --- asking ------------------------------------------------------------------------------------------------------------------------------


def query_of(ctx: Context, layout: Layout, state: ListState, **more: Any) -> Query:
    """The query of a state. Raises Invalid for conditions that name what the reader does not know."""
    where, equals = [layout.definition.where, state.where], {}
    by_words = bool(state.q) and not has_own_search(layout.entity, layout.grant)
    if by_words:
        where.append(condition(ctx, layout.entity, layout.words, state.q))
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
        "search": "" if by_words else state.q,
        "sort": state.sort or layout.definition.sort or ("-id",),
        "equals": equals,
        **more,
    }
    return Query(layout.entity.key, where=tuple(text for text in where if text), **given)
