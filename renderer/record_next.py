"""What comes next for a record: its own dated fields that some list colours, and the open records pointing to it whose day nears. Reads; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup

from engine.access import grant_of
from engine.explaining import coming
from engine.records.query import Query, page
from engine.records.record import Record
from engine.surroundings import evaluator_of
from metadata.text import label_text
from renderer.bound_record import Desk, leading_to, pointing, record_label
from renderer.bound_rule import coming_text, moment
from renderer.cells import Judge, deadline
from renderer.record_stages import is_over
from renderer.shell import open_lists

if TYPE_CHECKING:
    from engine.context import Context
    from engine.expressions.language import Expression
    from engine.workspace import CompiledEntity, CompiledField

OPEN_ROWS = 3
#: How many of the things rules will do are told.
RULES_AT_MOST = 3
_DATED = ("date", "instant")


@dataclass(frozen=True, slots=True)
class Next:
    """One thing to keep in view: what, until when (words and a colour), where it leads. ``day``: it holds to the end of that day."""

    label: str
    shown: Markup
    colour: str
    icon: str
    href: str = ""
    day: bool = False


def dated_fields(ctx: Context, entity: CompiledEntity) -> dict[str, list[tuple[Expression, str]]]:
    """The dated fields that lists of the entity colour, with the conditions of their colours; by field, in the lists' order."""
    readable = grant_of(ctx.workspace, ctx.actor, entity).readable
    found: dict[str, list[tuple[Expression, str]]] = {}
    for view in open_lists(ctx, entity.key):
        for name, tints in view.tints.items():
            item = entity.fields.get(name)
            if item is None or name in found or name not in readable or item.type.expression_type(item.value) not in _DATED:
                continue
            pairs = [(ctx.workspace.expression(entity.key, tint.condition, wants="boolean"), tint.colour) for tint in tints]
            found[name] = [pair for pair in pairs if pair[0].fields <= readable]
    return found


def ahead(desk: Desk, entity: CompiledEntity, record: Record) -> dict[str, list[tuple[Expression, str]]]:
    """The dated fields that tell what comes next for this record: those to come while it is not over, and those that a colour warns of."""
    evaluator, found, over = evaluator_of(desk.ctx), dated_fields(desk.ctx, entity), is_over(desk.ctx, entity, record)
    return {
        name: pairs
        for name, pairs in found.items()
        if isinstance(record.get(name), date) and ((not over and _to_come(desk, record[name])) or Judge(evaluator, pairs)(record))
    }


def _to_come(desk: Desk, value: date) -> bool:
    return value >= (desk.ctx.now if isinstance(value, datetime) else desk.today)


def upcoming(desk: Desk, entity: CompiledEntity, record: Record, dated: dict[str, list[tuple[Expression, str]]]) -> list[Next]:
    """The dates of the record itself (``dated``, as ``ahead`` finds them), the nearest first, then the open records that point to it."""
    own = sorted(((record[name], name) for name in dated), key=lambda row: str(row[0]))
    found = [
        _of(desk, entity, record, name, dated[name], label_text(entity.fields[name].definition.title, desk.ctx.locale, name), "clock", "") for _at, name in own
    ]
    found += by_rules(desk, entity, record)
    for other, link in pointing(desk.ctx, entity):
        found += _open(desk, other, link, record)
    return found


def by_rules(desk: Desk, entity: CompiledEntity, record: Record) -> list[Next]:
    """What due rules will do with the record unless something changes."""
    ctx, found = desk.ctx, []
    for item in coming(ctx, entity.key, record.id)[:RULES_AT_MOST]:
        days = (item.at.astimezone(ctx.workspace.timezone).date() - desk.today).days
        colour = "red" if days <= 0 else "amber" if days <= 3 else ""
        found.append(Next(coming_text(ctx, item, entity), Markup("{}").format(moment(ctx, item.at)), colour, "bolt"))
    return found


def _of(desk: Desk, entity: CompiledEntity, record: Record, name: str, pairs: list[tuple[Expression, str]], label: str, icon: str, href: str) -> Next:
    item, value = entity.fields[name], record[name]
    colour = Judge(evaluator_of(desk.ctx), pairs)(record) or ""
    return Next(
        label,
        Markup(deadline(item, value, desk.ctx, desk.today, str(desk.cell(entity, item, value)))),
        colour,
        icon,
        href,
        item.definition.type == "date" or item.value.options.get("ends") == "day",
    )


def _open(desk: Desk, other: CompiledEntity, link: CompiledField, record: Record) -> list[Next]:
    """The nearest of what a list of open things (one with a condition and a coloured date) holds for this record."""
    ctx, dated = desk.ctx, dated_fields(desk.ctx, other)
    view = next((one for one in open_lists(ctx, other.key) if one.where and set(one.tints) & set(dated)), None)
    if view is None:
        return []
    name = next(key for key in view.tints if key in dated)
    granted = grant_of(ctx.workspace, ctx.actor, other)
    if name not in granted.open:
        return []
    wanted = {name, *other.label_fields(), *(field for condition, _colour in dated[name] for field in condition.fields)} & granted.readable
    asked = Query(other.key, view.where, sort=(name,), fields=("id", *sorted(wanted)), limit=OPEN_ROWS)
    rows = page(ctx, leading_to(ctx, asked, link.key, record.id)).items
    return [
        _of(desk, other, row, name, dated[name], _title(desk, other, row, name), other.definition.icon or "point", f"{desk.base}/r/{other.key}/{row.id}")
        for row in rows
        if isinstance(row.get(name), date | datetime)
    ]


def _title(desk: Desk, other: CompiledEntity, row: Record, name: str) -> str:
    """What an open record is called; one whose label is its date by the entity's name."""
    return label_text(other.title, desk.ctx.locale, other.key) if name in other.label_fields() else record_label(desk.ctx, other, row)
