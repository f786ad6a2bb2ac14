"""A record page ready for its template: head, stage steps, profile, related lists, timeline. Bound under the reader's grant; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.access import grant_of
from engine.fields.values import Link, Masked
from engine.records.history import FieldChange, Moment, timeline
from engine.records.query import Query, page
from engine.records.query_labels import label_writer
from engine.records.record import Record
from metadata.definitions import ListView
from metadata.text import label_text
from renderer import formats
from renderer.bound_field import BoundField, OptionView, Surroundings, bound_field, shown_text
from renderer.bound_form import form_for
from renderer.shell import first_list, open_lists
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

RELATED_ROWS = 5
STEPS_AT_MOST = 12


@dataclass(frozen=True, slots=True)
class ProfileSection:
    """Fields of one section of the form, for reading."""

    key: str
    title: str
    fields: tuple[BoundField, ...]


@dataclass(frozen=True, slots=True)
class RelatedRow:
    """One record of a related list: its address, its label and a few cells."""

    href: str
    label: str
    cells: tuple[BoundField, ...]


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


@dataclass(frozen=True, slots=True)
class Told:
    """One change as the timeline tells it."""

    id: int
    when: str
    exact: str
    who: str
    what: str
    why: str
    changes: tuple[tuple[str, str, str], ...]
    icon: str


def around(ctx: Context, entity: str, base: str) -> Surroundings:
    """The surroundings of one entity's fields on a page."""
    return Surroundings(ctx.workspace.scope.of(entity), ctx.locale, base, "v")


def record_label(ctx: Context, entity: CompiledEntity, record: Record) -> str:
    """The record's label for this reader, its number when it has none."""
    return label_writer(ctx, entity)(record) or f"{label_text(entity.title, ctx.locale, entity.key)} {record.id}"


def profile(ctx: Context, entity: CompiledEntity, record: Record, base: str) -> list[ProfileSection]:
    """The sections of the full form with their values, then what no form shows."""
    form = form_for(ctx, entity.key)
    placed: set[str] = set()
    found = []
    for section in form.layout:
        fields = [bound for item in section.items if (bound := _detail(ctx, entity, record, item.field, base)) is not None]
        placed |= {item.field for item in section.items}
        if fields:
            found.append(ProfileSection(section.key, label_text(section.title, ctx.locale), tuple(fields)))
    rest = [bound for key, item in entity.fields.items() if key not in placed and item.definition.type != "json"
            and (bound := _detail(ctx, entity, record, key, base)) is not None]
    if rest:
        found.append(ProfileSection("more", _("More"), tuple(rest)))
    return found


def _detail(ctx: Context, entity: CompiledEntity, record: Record, key: str, base: str) -> BoundField | None:
    item = entity.fields.get(key)
    if item is None or key not in record:
        return None
    value = record[key]
    return bound_field(item, value, around(ctx, entity.key, base), widget=item.type.widget) if value not in (None, "", []) else None


def head(ctx: Context, entity: CompiledEntity, record: Record, base: str) -> list[BoundField]:
    """The few values beside the name: the slots of the entity's first list."""
    view = first_list(ctx, entity.key)
    slots = dict(view.mobile) if view is not None else {}
    labelled = entity.label_fields()
    stage = entity.stages.field if entity.stages else ""
    wanted = [slots[name] for name in ("lead", "sub", "due") if name in slots]
    names = [name for name in dict.fromkeys(wanted) if name in record and name not in labelled and name != stage]
    return [bound_field(entity.fields[name], record[name], around(ctx, entity.key, base), widget=entity.fields[name].type.widget)
            for name in names if record[name] not in (None, "", [])]


def steps(ctx: Context, entity: CompiledEntity, record: Record) -> list[OptionView]:
    """The stages in order, the present one picked; () when there are none or too many to show."""
    stages = entity.stages
    if stages is None or stages.field not in record or isinstance(record[stages.field], Masked):
        return []
    item = entity.fields[stages.field]
    options = ctx.workspace.scope.choices(str(item.definition.options.get("choices", ""))).options
    at = record[stages.field]
    shown = [(code, option) for code, option in options.items() if not option.retired or code == at]
    if len(shown) > STEPS_AT_MOST:
        return []
    passed = True
    found = []
    for code, option in shown:
        passed = passed and code != at
        found.append(OptionView(code, label_text(option.title, ctx.locale, code), option.colour, code == at, note="past" if passed else ""))
    return found


# --- related records -----------------------------------------------------------------------------------------------------------------------


def related(ctx: Context, entity: CompiledEntity, record: Record, base: str) -> list[Related]:
    """The records of other entities that point here, newest first; child lines included."""
    found = []
    for name, link in entity.linked_from:
        other = ctx.workspace.entities[name]
        item = other.fields.get(link)
        if item is None or item.definition.type != "link":
            continue
        granted = grant_of(ctx.workspace, ctx.actor, other)
        if granted.allowed("read") and link in granted.readable and link in granted.open:
            found.append(_related(ctx, other, item, record, base, granted.allowed("create")))
    return sorted(found, key=lambda one: not one.rows)


def _related(ctx: Context, other: CompiledEntity, link: CompiledField, record: Record, base: str, may_add: bool) -> Related:
    where = f"{link.key} == {record.id}"
    view = next((one for one in open_lists(ctx, other.key)), None)
    columns = _columns(ctx, other, view, link.key)
    sort = ("-at",) if "at" in other.fields and other.fields["at"].column is not None else ("-id",)
    granted = grant_of(ctx.workspace, ctx.actor, other)
    wanted = tuple(dict.fromkeys([*columns, *(name for name in other.label_fields() if name in granted.readable)]))
    result = page(ctx, Query(other.key, where, sort=sort, fields=("id", "version", *wanted), limit=RELATED_ROWS, count="capped"))
    surroundings = around(ctx, other.key, base)
    rows = tuple(RelatedRow(f"{base}/r/{other.key}/{item.id}", record_label(ctx, other, item), tuple(
        bound_field(other.fields[name], item.get(name), surroundings, widget=other.fields[name].type.widget) for name in columns if name in item)) for item in result.items)
    title = label_text(other.definition.plural or other.title, ctx.locale, other.key)
    more = f"{base}/l/{view.key}?{link.key}={record.id}" if view is not None and (result.count or 0) > RELATED_ROWS else ""
    add = f"{base}/r/{other.key}/new?{link.key}={record.id}&use=quick" if may_add and not other.lines_of else ""
    return Related(f"{other.key}-{link.key}", title, other.definition.icon or "list", rows, more, formats.count(result.count, result.count_capped), add)


def _columns(ctx: Context, other: CompiledEntity, view: ListView | None, link: str) -> tuple[str, ...]:
    granted = grant_of(ctx.workspace, ctx.actor, other)
    names: Sequence[str] = view.columns if view is not None else [key for key, item in other.fields.items() if item.column is not None]
    usable = [name for name in names if name != link and name in other.fields and name in granted.readable and other.fields[name].definition.type not in ("json", "files", "file")]
    return tuple(usable[:4])


# --- what happened ---------------------------------------------------------------------------------------------------------------------------


def told(ctx: Context, entity: CompiledEntity, record_id: int, base: str, cursor: str | None = None) -> tuple[list[Told], str | None]:
    """A page of the timeline in words, and the cursor of the next."""
    found = timeline(ctx, entity.key, record_id, cursor)
    return [_told(ctx, entity, moment, base) for moment in found.items], found.next


_VERBS = {"create": "plus", "update": "pencil", "delete": "trash", "restore": "arrow-back-up"}


def _told(ctx: Context, entity: CompiledEntity, moment: Moment, base: str) -> Told:
    zone = ctx.workspace.timezone
    surroundings = around(ctx, entity.key, base)
    words = {"create": _("Created"), "update": _("Changed"), "delete": _("Deleted"), "restore": _("Restored"), "computed": _("Computed")}
    changes = tuple(_change(entity, change, surroundings) for change in moment.changes if change.field in entity.fields)
    who = moment.person.label or f"#{moment.person.id}" if moment.person is not None else _principal(moment.cause)
    return Told(moment.id, formats.short_instant(moment.at, zone, ctx.now.astimezone(zone).date()), f"{moment.at.astimezone(zone):%Y-%m-%d %H:%M:%S}", who,
                words.get(moment.verb, moment.verb), _why(moment.cause), changes, _VERBS.get(moment.verb, "point"))


def _change(entity: CompiledEntity, change: FieldChange, surroundings: Surroundings) -> tuple[str, str, str]:
    item = entity.fields[change.field]
    return (label_text(item.definition.title, surroundings.locale, change.field), _shown(item, change.before, surroundings), _shown(item, change.after, surroundings))


def _shown(item: CompiledField, value: Any, surroundings: Surroundings) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, Link):
        return value.label or f"#{value.id}"
    if isinstance(value, list) and any(isinstance(one, Link) for one in value):
        return "、".join(one.label or f"#{one.id}" for one in value)
    return shown_text(item, value, surroundings)


def _principal(cause: Mapping[str, Any]) -> str:
    return {"operator": _("Command line"), "import": _("Import"), "demo": _("Demo data"), "publishing": _("Publishing")}.get(str(cause.get("principal", "")), _("System"))


def _why(cause: Mapping[str, Any]) -> str:
    kind, name = str(cause.get("kind", "")), str(cause.get("name", ""))
    if kind == "import":
        return _("by the import of %(name)s", name=name) if name else _("by an import")
    return _("through the API") if kind == "api" else ""
