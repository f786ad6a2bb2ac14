"""Filters as people see them: quick filters with their options, what is chosen in words, conditions row by row, orders to choose from. Bound, not drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, Invalid, NotFound
from engine.expressions.problems import ExpressionRefused
from engine.fields.base import FieldType, Wrong, accepted
from engine.records.filters import FilterGroup, FilterRow, from_text, to_text
from engine.records.query import lookup
from engine.rules.phrases import Around, phrase
from engine.rules.sentences import labels_of
from metadata.text import label_text
from renderer.bound_field import BoundField, OptionView, Surroundings, bound_field, region_levels
from renderer.bound_list import PERIOD_TYPES, Layout
from renderer.list_state import PERIODS, ListState
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from engine.fields.scope import FieldScope
    from engine.workspace import CompiledField

LINKS_OFFERED = 30


@dataclass(frozen=True, slots=True)
class QuickFilter:
    """One drop-down of the filter line."""

    name: str
    label: str
    options: tuple[OptionView, ...]
    chosen: str


@dataclass(frozen=True, slots=True)
class ChosenFilter:
    """One thing that narrows the list, in words, and the address without it."""

    label: str
    text: str
    without: str


def period_words() -> dict[str, str]:
    """The words of quick filters over dates."""
    return dict(zip(PERIODS, (_("Overdue"), _("Today"), _("Tomorrow"), _("Next 7 days"), _("Next 30 days"), _("None set")), strict=True))


def title_of(item: CompiledField, locale: str) -> str:
    """What people call a field."""
    return label_text(item.definition.title, locale, item.key)


def quick_filters(ctx: Context, layout: Layout, state: ListState, around: Surroundings) -> list[QuickFilter]:
    """The list's quick filters this reader may use, with the present choice."""
    found = []
    for name in layout.definition.quick:
        item = layout.entity.fields.get(name)
        if item is None or name not in layout.grant.open or item.encrypted:
            continue
        chosen = state.equals.get(name, ())
        options = _options(ctx, layout, item, chosen, around)
        if options:
            names = [option.label for option in options if option.picked]
            found.append(QuickFilter(name, title_of(item, ctx.locale), options, "、".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")))
    return found


def _options(ctx: Context, layout: Layout, item: CompiledField, chosen: tuple[str, ...], around: Surroundings) -> tuple[OptionView, ...]:
    if item.value.type in PERIOD_TYPES:
        return tuple(OptionView(key, text, picked=key in chosen) for key, text in period_words().items())
    if item.type.widget == "boolean":
        return (OptionView("true", _("Yes"), picked="true" in chosen), OptionView("false", _("No"), picked="false" in chosen))
    if "choices" in item.value.options:
        return tuple(
            OptionView(option.value, option.label, option.colour, option.value in chosen)
            for option in bound_field(item, None, around, raw=list(chosen)).options
        )
    if item.target:
        try:
            rows = lookup(ctx, item.target, "", LINKS_OFFERED)
        except NotFound:
            return ()
        me = (OptionView("me", _("Me"), picked="me" in chosen),) if item.target == "person" else ()
        return me + tuple(OptionView(str(number), text, picked=str(number) in chosen) for number, text in rows)
    return ()


def chosen_filters(ctx: Context, layout: Layout, state: ListState, base: str) -> list[ChosenFilter]:
    """The conditions row by row as chips; quick filters and the search say themselves what is chosen."""
    if not state.where:
        return []
    return [ChosenFilter(_("Conditions"), where_words(ctx, layout, state.where), state.without("where").address(base, layout.definition))]


# --- conditions row by row -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One line of the builder. ``control`` is drawn by the field's filter macro with ``count`` values."""

    index: int
    field: str
    operator: str
    operators: tuple[tuple[str, str], ...]
    control: BoundField
    count: int


def filter_types(layout: Layout) -> dict[str, FieldType]:
    """The fields of the builder: those never masked for this reader, by their type."""
    return {
        name: item.type
        for name, item in layout.entity.fields.items()
        if name in layout.grant.open and not item.encrypted and item.type.operators and item.type.widget not in ("file", "files", "image", "json")
    }


def filter_fields(layout: Layout, locale: str) -> list[tuple[str, str]]:
    """(key, title) of the fields conditions may be about."""
    types = filter_types(layout)
    return [(name, title_of(item, locale)) for name, item in layout.entity.fields.items() if name in types]


def condition_views(ctx: Context, layout: Layout, group: FilterGroup, around: Surroundings) -> list[ConditionView]:
    """The lines of a filter; unknown fields and groups in groups are left out (they stay in the expression text)."""
    types = filter_types(layout)
    rows = [row for row in group.items if isinstance(row, FilterRow) and row.field in types]
    return [_view(ctx, layout, index, row, types[row.field], around) for index, row in enumerate(rows)]


def _view(ctx: Context, layout: Layout, index: int, row: FilterRow, kind: FieldType, around: Surroundings) -> ConditionView:
    item = layout.entity.fields[row.field]
    operator = next((one for one in kind.operators if one.key == row.operator), kind.operators[0])
    values = [str(value).lower() if isinstance(value, bool) else "" if value is None else str(value) for value in row.values]
    if item.type.widget == "instant":
        values = [value[:16] for value in values]
    more: dict[str, Any] = {"id": f"c{index}-value", "value": values, "widget": kind.widget, "errors": (), "help": "", "read_only": False, "required": False}
    if item.target:
        more |= _link_control(ctx, item, values)
    if kind.widget == "region":
        more |= {"value": values[0] if values else "", "levels": region_levels(values[0] if values else "", "county", ctx.locale)}
    control = replace(bound_field(item, None, around, raw=values, name=f"c{index}.value"), **more)
    operators = tuple((one.key, label_text(one.title, ctx.locale, one.key)) for one in kind.operators)
    return ConditionView(index, row.field, operator.key, operators, control, operator.values)


def _link_control(ctx: Context, item: CompiledField, values: list[str]) -> dict[str, Any]:
    try:
        rows = lookup(ctx, item.target, "", LINKS_OFFERED)
    except NotFound:
        rows = []
    return {"options": tuple(OptionView(str(number), text, picked=str(number) in values) for number, text in rows)}


def read_conditions(ctx: Context, layout: Layout, join: str, given: list[tuple[str, str, list[str]]]) -> FilterGroup:
    """(field, operator, raw values) of the builder's form as a filter; values become what expressions write, empty lines go.

    Raises Invalid with every line whose value its field does not read.
    """
    types, scope = filter_types(layout), ctx.workspace.scope.of(layout.entity.key)
    rows, faults = [], []
    for number, (name, key, raw) in enumerate(given):
        kind = types.get(name)
        if kind is None:
            continue
        operator = next((one for one in kind.operators if one.key == key), kind.operators[0])
        try:
            values = tuple(_literal(layout.entity.fields[name], text, scope) for text in raw if text.strip())
        except Wrong as wrong:
            faults.append(Fault(f"/{number}", wrong.code, wrong.params))
            continue
        if operator.values == 0 or values:
            rows.append(FilterRow(name, operator.key, values if operator.values else ()))
    if faults:
        raise Invalid("filter_invalid", faults=faults)
    return FilterGroup("or" if join == "or" else "and", tuple(rows))


def _literal(item: CompiledField, text: str, scope: FieldScope) -> Any:
    if item.type.widget == "boolean":
        return text == "true"
    if item.target:
        return int(text) if text.isascii() and text.isdigit() else 0
    if item.type.align == "end":
        return accepted(item.type.reader(item.value, scope), text)
    return text.strip()


def where_of(layout: Layout, group: FilterGroup) -> str:
    """The expression text. Raises Invalid with every line that is wrong."""
    return to_text(group, filter_types(layout))


def group_of(layout: Layout, where: str) -> FilterGroup | None:
    """The lines an expression was made of; None when it is not one of lines."""
    found = from_text(where, filter_types(layout))
    return found if found is not None and all(isinstance(row, FilterRow) for row in found.items) else None


def where_words(ctx: Context, layout: Layout, where: str) -> str:
    """Conditions in the reader's words: line by line, or read aloud as rules are where they are not ones of lines."""
    group = group_of(layout, where)
    if group is None:
        key = layout.entity.key
        try:
            return phrase(ctx.workspace.expression(key, where, wants="boolean"), Around(labels_of(ctx.workspace, ctx.locale), key, key))
        except ExpressionRefused:
            return where
    words = [_row_words(ctx, layout, row) for row in group.items if isinstance(row, FilterRow)]
    return (_(" or ") if group.join == "or" else _(" and ")).join(words)


def _row_words(ctx: Context, layout: Layout, row: FilterRow) -> str:
    item = layout.entity.fields[row.field]
    operator = next(one for one in item.type.operators if one.key == row.operator)
    scope = ctx.workspace.scope.of(layout.entity.key)
    texts = []
    for value in row.values:
        if item.target:
            texts.append(_link_text(ctx, item.target, value))
        elif "choices" in item.value.options:
            option = scope.choices(str(item.value.options["choices"])).options.get(str(value))
            texts.append(label_text(option.title, ctx.locale, str(value)) if option else str(value))
        elif isinstance(value, bool) or item.type.align == "end":
            texts.append(item.type.show(value, item.value, scope, ctx.locale))
        else:
            texts.append(str(value).replace("T", " "))
    between = _(" to ") if operator.values == 2 else "、"
    return f"{title_of(item, ctx.locale)} {label_text(operator.title, ctx.locale, operator.key)} {between.join(texts)}".strip()


def _link_text(ctx: Context, entity: str, value: Any) -> str:
    try:
        rows = dict(lookup(ctx, entity, "", LINKS_OFFERED))
    except NotFound:
        rows = {}
    return rows.get(int(value), f"#{value}") if str(value).isdigit() else str(value)


# --- order ---------------------------------------------------------------------------------------------------------------------------------


def sort_choices(ctx: Context, layout: Layout, state: ListState) -> list[tuple[str, str, bool]]:
    """(word, text, chosen) of the orders offered: the list's own, newest, and the sortable columns."""
    own = ",".join(layout.definition.sort) or "-id"
    present = ",".join(state.sort) or own
    found = [(own, _("Usual order")), ("-id", _("Newest first"))]
    for column in layout.columns:
        if column.sortable and not column.hidden:
            found += [(column.name, _("%(field)s ascending", field=column.title)), (f"-{column.name}", _("%(field)s descending", field=column.title))]
    unique = dict(reversed([(word, text) for word, text in found]))
    ordered = [(word, unique[word]) for word, _text in found if word in unique]
    return [(word, text, word == present) for word, text in dict.fromkeys(ordered)]
