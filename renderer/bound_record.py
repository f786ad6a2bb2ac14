"""A record page ready for its template: head, stage steps, profile, related lists, files. Bound under the reader's grant; decides nothing.

What happened stands in record_story.py, what comes next in record_next.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from engine.access import grant_of, remember
from engine.expressions.language import Expression
from engine.fields.values import FileValue, Masked
from engine.frozen import holds_records, kept_count
from engine.records.links import leading_here
from engine.records.looking import looking
from engine.records.new_rows import new_rows
from engine.records.query import Page, Query, page
from engine.records.query_labels import label_writer
from engine.records.record import Record
from engine.records.reveal import ACTION
from metadata.definitions import ListView
from metadata.text import label_text
from renderer import formats
from renderer.bound_field import OptionView, Surroundings, bound_field, shown_text
from renderer.cells import SAYING_NOTHING, captioned, inside_of, masked
from renderer.counted import counted_address
from renderer.form_layout import begin_title, form_for, leads_to
from renderer.shell import first_list, lists_holding, open_lists
from renderer.translations import _, ngettext

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField
    from renderer.templates import Pages

RELATED_ROWS = 8
COLUMNS_AT_MOST = 6
#: Widgets whose detail macro says more than a cell of a list does: links to follow, whole texts, pictures.
_DETAILED = frozenset(
    {"phone", "email", "url", "link", "person", "links", "people", "text", "long_text", "rich_text"}
    | {"files", "file", "image", "choices", "tags", "address", "json"}
)
_FILES = ("file", "image", "files")


@dataclass(frozen=True, slots=True)
class Desk:
    """What binding one record page needs to know: who reads, where it is shown, what day it is there."""

    ctx: Context
    pages: Pages
    base: str

    @property
    def today(self) -> date:
        """The day in the workspace."""
        return self.ctx.now.astimezone(self.ctx.workspace.timezone).date()

    def cell(self, entity: CompiledEntity, item: CompiledField, value: Any, *, state: bool = False) -> Markup:
        """A value as lists show it: short instants, marks, dots; '' for an empty one."""
        if value is None or value == [] or value == "":
            return Markup("")
        if isinstance(value, Masked):
            return Markup(masked(value))
        return Markup(inside_of(self.ctx, self.pages, entity, item, self.base, state=state)(value, self.today))


@dataclass(frozen=True, slots=True)
class Fact:
    """One value of the profile; ``reveal``: the field to ask for when it is masked and may be asked for; ``bare``: beside a name it says nothing without its label."""

    label: str
    shown: Markup
    key: str
    reveal: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class ProfileSection:
    """Fields of one section of the form, for reading."""

    key: str
    title: str
    facts: tuple[Fact, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """Beside the name: marks, and a quiet line of the values people look for first."""

    tags: tuple[Markup, ...]
    lead: str
    line: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class RelatedRow:
    """One record of a related list: its address and its cells (caption, content, whether it may be cut); the first leads there."""

    href: str
    lead: Markup
    cells: tuple[tuple[str, Markup, bool], ...]


@dataclass(frozen=True, slots=True)
class Related:
    """The newest records of another entity that point here."""

    key: str
    title: str
    icon: str
    rows: tuple[RelatedRow, ...]
    more: str
    count: str
    add: str


def around(ctx: Context, entity: str, base: str) -> Surroundings:
    """The surroundings of one entity's fields on a page."""
    return Surroundings(ctx.workspace.scope.of(entity), ctx.locale, base, "v")


def record_label(ctx: Context, entity: CompiledEntity, record: Record) -> str:
    """The record's label for this reader, its number when it has none."""
    return label_writer(ctx, entity)(record) or f"{label_text(entity.title, ctx.locale, entity.key)} {record.id}"


def profile(desk: Desk, entity: CompiledEntity, record: Record, told: frozenset[str]) -> list[ProfileSection]:
    """The sections of the full form with their values, then, folded, what no form shows. ``told``: fields the page shows elsewhere."""
    form = form_for(desk.ctx, entity.key)
    may_reveal = grant_of(desk.ctx.workspace, desk.ctx.actor, entity).action(ACTION) is not False
    placed, found = set(told), []
    for section in form.layout:
        if section.lines:
            continue
        facts = [fact for item in section.items if item.field not in told and (fact := _fact(desk, entity, record, item.field, may_reveal)) is not None]
        placed |= {item.field for item in section.items}
        if facts:
            found.append(ProfileSection(section.key, label_text(section.title, desk.ctx.locale), tuple(facts)))
    rest = [
        fact
        for key, item in entity.fields.items()
        if key not in placed and item.definition.type != "json" and (fact := _fact(desk, entity, record, key, may_reveal)) is not None
    ]
    if rest:
        found.append(ProfileSection("more", _("More"), tuple(rest), bool(found)))
    return found


def _fact(desk: Desk, entity: CompiledEntity, record: Record, key: str, may_reveal: bool) -> Fact | None:
    item = entity.fields.get(key)
    if item is None or item.definition.type in _FILES or record.get(key) in (None, "", []):
        return None
    title, value = label_text(item.definition.title, desk.ctx.locale, key), record[key]
    if holds_records(item) and not isinstance(value, Masked):
        return Fact(title, _frozen(desk, entity, record.id, key, value), key)
    shown, behind = detail(desk, entity, item, value), counted_address(desk.ctx, entity, item, desk.base)
    if behind and value and not isinstance(value, Masked):
        shown = Markup('<a class="link" href="{}{}">{}</a>').format(behind, record.id, shown)
    return Fact(title, shown, key, may_reveal and isinstance(value, Masked), item.type.name in SAYING_NOTHING)


def _frozen(desk: Desk, entity: CompiledEntity, record: int, key: str, value: Any) -> Markup:
    """The way to the page on which frozen records are read."""
    href, count = f"{desk.base}/r/{entity.key}/{record}/frozen/{key}", kept_count(value)
    return Markup('<a class="link" href="{}">{}</a>').format(href, ngettext("Read %(num)s record", "Read %(num)s records", count) % {"num": count})


def detail(desk: Desk, entity: CompiledEntity, item: CompiledField, value: Any) -> Markup:
    """A value in full, for reading."""
    whole = item.type.widget in _DETAILED or (item.type.widget == "computed" and isinstance(value, str))
    if isinstance(value, Masked) or not whole:
        return desk.cell(entity, item, value)
    draw: Callable[..., Markup] = desk.pages.face(item.type.widget, "detail")
    return draw(bound_field(item, value, around(desk.ctx, entity.key, desk.base), widget=item.type.widget))


def head(desk: Desk, entity: CompiledEntity, record: Record, dated: frozenset[str]) -> Head:
    """The slots of the entity's first list beside the name, then who it belongs to and its tags. ``dated``: what the next-step card tells."""
    view = first_list(desk.ctx, entity.key)
    slots = dict(view.mobile) if view is not None else {}
    skip = {*entity.label_fields(), *dated, entity.stages.field if entity.stages else ""}
    lead = slots.get("lead", "")
    tags = [_mark(desk, entity, entity.fields[lead], record[lead])] if lead not in skip and record.get(lead) not in (None, "", []) else []
    belongs = next((key for key, item in entity.fields.items() if item.definition.type == "person"), "")
    words = [key for key, item in entity.fields.items() if item.type.widget == "tags"]
    quick = list(view.quick) if view is not None else []
    choice = next((key for key in quick if key in entity.fields and key not in skip and key != lead and entity.fields[key].type.widget == "choice"), "")
    line = [key for key in dict.fromkeys((slots.get("sub", ""), choice, belongs, *words)) if key and key not in skip and record.get(key) not in (None, "", [])]
    may_reveal = grant_of(desk.ctx.workspace, desk.ctx.actor, entity).action(ACTION) is not False
    return Head(tuple(tags), lead, tuple(fact for key in line if (fact := _fact(desk, entity, record, key, may_reveal)) is not None))


def _mark(desk: Desk, entity: CompiledEntity, item: CompiledField, value: Any) -> Markup:
    """A value beside the name, with its label where it says nothing alone."""
    title, shown = label_text(item.definition.title, desk.ctx.locale, item.key), desk.cell(entity, item, value)
    return Markup("<span>{}</span>").format(captioned(item, title, shown)) if item.type.name in SAYING_NOTHING else shown


def actions(ctx: Context, entity: CompiledEntity, base: str, record: int) -> list[OptionView]:
    """The usual next steps, those of the lists that hold the record, as people open them (picked), then every other record that they may make pointing here;
    each with its address."""
    lists = lists_holding(ctx, entity, record)
    place = "record-actions", entity.key, ctx.actor.roles, ctx.locale, *(view.key for view in lists)
    listed = remember(ctx.workspace, place, lambda: _actions(ctx, entity, lists))
    return [replace(option, href=_new_address(base, option.value, option.href, record)) for option in listed if may_add(ctx, option.value, option.href, record)]


def _new_address(base: str, entity: str, link: str, record: int) -> str:
    return f"{base}/r/{entity}/new?{link}={record}&use=quick"


def _actions(ctx: Context, entity: CompiledEntity, lists: Sequence[ListView]) -> list[OptionView]:
    """As ``actions``, with the linking field in place of the address."""
    order = list(dict.fromkeys(word.partition(".")[0] for view in lists for word in view.actions if word.endswith(".new")))
    found = []
    for name, link in entity.linked_from:
        other = ctx.workspace.entities[name]
        item = other.fields.get(link)
        if item is None or item.definition.type != "link" or item.read_only is True or other.lines_of:
            continue
        granted = grant_of(ctx.workspace, ctx.actor, other)
        if granted.allowed("create") and link in granted.writable:
            found.append(OptionView(name, begin_title(ctx, other.key, "quick"), href=link, note=other.definition.icon or "plus", picked=name in order))
    ways = Counter(option.value for option in found)
    found = [replace(option, label=_by_link(ctx, option)) if ways[option.value] > 1 else option for option in found]
    return sorted(found, key=lambda option: order.index(option.value) if option.value in order else len(order))


def _by_link(ctx: Context, option: OptionView) -> str:
    """Where an entity points here in several ways, which of them a button is for."""
    return f"{option.label} · {label_text(ctx.workspace.entities[option.value].fields[option.href].definition.title, ctx.locale, option.href)}"


def may_add(ctx: Context, entity: str, link: str, record: int) -> bool:
    """Whether a record that points here can be made at all: the link has a place on a new one, a grant that asks only for what it points to holds, and limits
    that this record tells by itself; what else is filled in nobody knows yet. Needs an open connection."""
    work, other = looking(ctx), ctx.workspace.entities[entity]
    truth = work.truth(other, {**new_rows(ctx.workspace, other).template, link: record})
    rows = [clause.rows["create"] for clause in grant_of(ctx.workspace, ctx.actor, other).clauses]
    if not any(truth(one) if isinstance(one, Expression) and one.fields <= {link} else bool(one) for one in rows):
        return False
    item = other.fields[link]
    if item.show is not None and not truth(item.show):
        return False
    limits = leads_to(ctx.workspace, form_for(ctx, entity, "quick"), item)
    if not limits:
        return True
    row = work.row(item.target, record)
    return row is not None and all(map(work.truth(work.entity(item.target), row), limits))


# --- related records -----------------------------------------------------------------------------------------------------------------------


def pointing(ctx: Context, entity: CompiledEntity) -> list[tuple[CompiledEntity, CompiledField]]:
    """The entities that point here by a single link this reader may know of: of those that name a person, the ones their figures are counted from."""
    counted = {str(item.definition.options.get("from", "")) for item in entity.fields.values()}
    found = []
    for name, link in entity.linked_from:
        other = ctx.workspace.entities[name]
        item = other.fields.get(link)
        granted = grant_of(ctx.workspace, ctx.actor, other)
        if (
            item is not None
            and (item.definition.type == "link" or f"{name}.{link}" in counted)
            and granted.allowed("read")
            and link in granted.readable
            and link in granted.open
        ):
            found.append((other, item))
    return found


def related(desk: Desk, entity: CompiledEntity, record: Record) -> list[Related]:
    """The records of other entities that point here, newest first; child lines included. Those with none come last."""
    added = actions(desk.ctx, entity, desk.base, record.id)
    order, addresses = [option.value for option in added], {option.href for option in added}
    places = [(other.key, item.key) for other, item in pointing(desk.ctx, entity)]
    there = leading_here(desk.ctx, record.id, places)
    found = [_related(desk, *place, record, addresses, empty=place not in there) for place in places]
    rank = {name: number for number, name in enumerate(order)}
    return sorted(found, key=lambda one: (not one.rows, rank.get(one.key.partition("-")[0], len(rank))))


def _related(desk: Desk, entity: str, link_key: str, record: Record, addresses: Container[str], *, empty: bool) -> Related:
    """``addresses``: where records that point here can be begun; ``empty``: nothing leads here, so nobody need be asked what they see of it."""
    ctx, other = desk.ctx, desk.ctx.workspace.entities[entity]
    link = other.fields[link_key]
    views = open_lists(ctx, other.key)
    view = next((one for one in views if not one.where), views[0] if views else None)
    columns = _columns(ctx, other, view, link.key)
    granted = grant_of(ctx.workspace, ctx.actor, other)
    when = moment_field(other)
    sort = (f"-{when.key}",) if when is not None and when.key in granted.open else ("-id",)
    wanted = tuple(dict.fromkeys([*columns, *(name for name in other.label_fields() if name in granted.readable)]))
    asked = Query(other.key, sort=sort, fields=("id", "version", *wanted), limit=RELATED_ROWS, count="capped")
    result: Page[Record] = Page([], None, 0) if empty else page(ctx, leading_to(ctx, asked, link.key, record.id))
    rows = tuple(_row(desk, other, item, columns) for item in result.items)
    table = "&page=table" if view is not None and view.view != "table" else ""
    more = f"{desk.base}/l/{view.key}?{link.key}={record.id}{table}" if view is not None and (result.count or 0) > RELATED_ROWS else ""
    begin = _new_address(desk.base, other.key, link.key, record.id)
    return Related(
        f"{other.key}-{link.key}",
        label_text(other.definition.plural or other.title, ctx.locale, other.key),
        other.definition.icon or "list",
        rows,
        more,
        formats.count(result.count, result.count_capped),
        begin if begin in addresses else "",
    )


def summary(desk: Desk, entity: CompiledEntity, record: Record) -> list[Fact]:
    """The values of a record that its first list shows, as far as its reader may see them, without the label's own."""
    return _facts(desk, entity, record, _summed_up(desk, entity))


def told_by_people(desk: Desk, entity: CompiledEntity, record: Record) -> list[Fact]:
    """What people filled in of a record besides what its first list shows: what somebody who decides about it must read, too."""
    known = {*_summed_up(desk, entity), *entity.label_fields(), entity.stages.field if entity.stages is not None else ""}
    when = moment_field(entity)
    placed = [item.field for section in form_for(desk.ctx, entity.key).layout if not section.lines for item in section.items]
    asked = [name for name in placed if (item := entity.fields.get(name)) is not None and not item.derived and item.read_only is not True and item is not when]
    return _facts(desk, entity, record, [name for name in asked if name not in known])


def amounts(desk: Desk, entity: CompiledEntity, record: Record) -> list[Fact]:
    """The sums of money among them: what a button that is pressed is about, to be read before it is confirmed."""
    return _facts(desk, entity, record, [name for name in _summed_up(desk, entity) if entity.fields[name].expression_type.name == "money"])


def _summed_up(desk: Desk, entity: CompiledEntity) -> list[str]:
    return [name for name in _columns(desk.ctx, entity, first_list(desk.ctx, entity.key), "") if name not in entity.label_fields()]


def _facts(desk: Desk, entity: CompiledEntity, record: Record, names: Iterable[str]) -> list[Fact]:
    return [fact for name in names if (fact := _fact(desk, entity, record, name, False)) is not None]


def leading_to(ctx: Context, query: Query, link: str, record_id: int) -> Query:
    """A question kept to the records whose link leads to one: as a value, so that the same statement serves every record.

    A link that is masked in some rows is compared as a condition, which is no search for a hidden value.
    """
    if link in grant_of(ctx.workspace, ctx.actor, ctx.workspace.entities[query.entity]).open:
        return replace(query, equals={**query.equals, link: str(record_id)})
    texts = (query.where,) if isinstance(query.where, str) else query.where
    return replace(query, where=(*texts, f"{link} == {record_id}"))


def _row(desk: Desk, other: CompiledEntity, item: Record, columns: Sequence[str]) -> RelatedRow:
    cells = [
        (
            label_text(other.fields[name].definition.title, desk.ctx.locale, name),
            desk.cell(other, other.fields[name], item.get(name)),
            other.fields[name].type.widget in ("text", "long_text", "tags", "choices"),
        )
        for name in columns
    ]
    lead = cells[0][1] if cells and cells[0][1] else Markup("{}").format(record_label(desk.ctx, other, item))
    return RelatedRow(f"{desk.base}/r/{other.key}/{item.id}", lead, tuple(cell for cell in cells[1:] if cell[1]))


def _columns(ctx: Context, other: CompiledEntity, view: ListView | None, link: str) -> tuple[str, ...]:
    granted = grant_of(ctx.workspace, ctx.actor, other)
    names: Sequence[str] = view.columns if view is not None else [key for key, item in other.fields.items() if item.column is not None]
    usable = [
        name
        for name in names
        if name != link and name in other.fields and name in granted.readable and other.fields[name].definition.type not in ("json", *_FILES)
    ]
    return tuple(usable[:COLUMNS_AT_MOST])


def moment_field(entity: CompiledEntity) -> CompiledField | None:
    """The instant at which a record of an entity happens: required, and now unless somebody says otherwise."""
    return next(
        (
            item
            for item in entity.fields.values()
            if item.definition.type == "instant" and item.column is not None and item.required is True and item.default is not None
        ),
        None,
    )


# --- files ---------------------------------------------------------------------------------------------------------------------------------


def attachments(desk: Desk, entity: CompiledEntity, record: Record) -> list[tuple[str, OptionView]]:
    """(field's title, file) of every file of the record, to open."""
    found = []
    for key, item in entity.fields.items():
        value = record.get(key)
        if item.definition.type not in _FILES or not value:
            continue
        title = label_text(item.definition.title, desk.ctx.locale, key)
        bound = bound_field(item, value, around(desk.ctx, entity.key, desk.base))
        found += [(title, option) for option in bound.picked]
    return found


def text_of(item: CompiledField, value: Any, surroundings: Surroundings) -> str:
    """A value in plain words; '' for an empty one."""
    if value is None or value == [] or isinstance(value, FileValue):
        return value.name if isinstance(value, FileValue) else ""
    return shown_text(item, value, surroundings)
