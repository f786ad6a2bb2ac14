"""What happened to a record, in words: its own changes and the dated records that point to it, one stream, newest first. Reads; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from engine.access import grant_of
from engine.errors import Fault, Invalid
from engine.fields.values import Link, Masked
from engine.frozen import holds_records, kept_count
from engine.records.filters import literal
from engine.records.history import FieldChange, Moment, timeline
from engine.records.query import Query, page
from engine.records.record import Record
from metadata.text import label_text
from renderer import formats
from renderer.bound_field import Surroundings
from renderer.bound_record import Desk, around, leading_to, moment_field, pointing, text_of
from renderer.bound_rule import rule_title
from renderer.cells import captioned
from renderer.translations import _, ngettext

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField

PAGE = 20
TAGS_AT_MOST = 3
QUOTE = 400
_VERBS = {"create": "plus", "update": "pencil", "delete": "trash", "restore": "arrow-back-up", "erase": "user-off"}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened. ``changes``: (field, before, after); ``tags`` and ``quote``: what a related record says of itself."""

    key: str
    at: datetime
    when: str
    exact: str
    who: str
    what: str
    icon: str
    why: str = ""
    why_href: str = ""
    href: str = ""
    quote: str = ""
    tags: tuple[Markup, ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()


def story(desk: Desk, entity: CompiledEntity, record_id: int, cursor: str = "") -> tuple[list[Told], str]:
    """A page of everything that happened, and the cursor of the next ('' at the end). Raises Invalid for a cursor that is none of ours."""
    history_cursor, before = _read(cursor)
    found: list[tuple[datetime, int, Told]] = []
    if history_cursor != "0":
        for moment in timeline(desk.ctx, entity.key, record_id, history_cursor or None, PAGE + 1).items:
            told = _change(desk, entity, moment, computed=False)
            if told.changes or moment.verb != "update":
                found.append((moment.at, moment.id, told))
    for other, link in pointing(desk.ctx, entity):
        found += [(told.at, 0, told) for told in _events(desk, other, link, record_id, before)]
    found.sort(key=lambda row: (row[0], row[1]), reverse=True)
    shown = found[:PAGE]
    while shown and len(shown) < len(found) and found[len(shown)][0] == shown[-1][0]:
        shown.append(found[len(shown)])
    if len(shown) == len(found):
        return [told for _at, _id, told in shown], ""
    last = min((number for _at, number, _told in shown if number), default=None)
    return [told for _at, _id, told in shown], f"{history_cursor if last is None else last}~{shown[-1][0].isoformat()}"


def _read(cursor: str) -> tuple[str, datetime | None]:
    number, _tilde, text = cursor.partition("~")
    try:
        return number, datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("cursor_invalid", faults=(Fault("/cursor", "cursor_invalid"),)) from None


def changes(desk: Desk, entity: CompiledEntity, record_id: int, cursor: str = "") -> tuple[list[Told], str]:
    """A page of the record's own changes, computed ones included, and the cursor of the next."""
    found = timeline(desk.ctx, entity.key, record_id, cursor or None)
    return [_change(desk, entity, moment, computed=True) for moment in found.items], found.next or ""


# --- related records that have a moment -----------------------------------------------------------------------------------------------------


def _events(desk: Desk, other: CompiledEntity, link: CompiledField, record_id: int, before: datetime | None) -> list[Told]:
    ctx, when = desk.ctx, moment_field(other)
    granted = grant_of(ctx.workspace, ctx.actor, other)
    if when is None or when.key not in granted.open:
        return []
    person, text, marks = _parts(other, granted.readable)
    names = tuple(item.key for item in (when, person, text, *marks) if item is not None)
    where = f"{when.key} < {literal(before)}" if before is not None else ""
    asked = Query(other.key, where, sort=(f"-{when.key}",), fields=("id", *names), limit=PAGE + 1)
    rows = page(ctx, leading_to(ctx, asked, link.key, record_id)).items
    return [_event(desk, other, row, when, person, text, marks) for row in rows if isinstance(row[when.key], datetime)]


def _parts(other: CompiledEntity, readable: frozenset[str]) -> tuple[CompiledField | None, CompiledField | None, list[CompiledField]]:
    """Who did it, what was said, the choices that say how it went and the sum of money it is about."""
    usable = [item for key, item in other.fields.items() if key in readable and item.column is not None]
    person = next((item for item in usable if item.definition.type == "person"), None)
    text = next((item for item in usable if item.definition.type == "long_text"), None)
    sums = [item for item in usable if item.definition.type == "money" and item.required is True]
    return person, text, [*[item for item in usable if item.type.widget == "choice"][:TAGS_AT_MOST], *sums[:1]]


def _event(
    desk: Desk, other: CompiledEntity, row: Record, when: CompiledField, person: CompiledField | None, text: CompiledField | None, marks: list[CompiledField]
) -> Told:
    ctx, at = desk.ctx, row[when.key]
    who = row.get(person.key) if person is not None else None
    said = row.get(text.key) if text is not None else None
    quote = said.text if isinstance(said, Masked) else str(said or "")
    return Told(
        f"{other.key}-{row.id}",
        at,
        _short(ctx, at),
        _exact(ctx, at),
        who.label or "" if isinstance(who, Link) else "",
        label_text(other.title, ctx.locale, other.key),
        other.definition.icon or "point",
        href=f"{desk.base}/r/{other.key}/{row.id}",
        quote=quote if len(quote) <= QUOTE else f"{quote[:QUOTE]}…",
        tags=tuple(
            _tag(captioned(item, label_text(item.definition.title, ctx.locale, item.key), mark))
            for item in marks
            if (mark := desk.cell(other, item, row.get(item.key)))
        ),
    )


def _tag(shown: Markup) -> Markup:
    """A choice as a small tag; one that lists already draw as a tag stays as it is."""
    return shown if shown.startswith('<span class="tag') else Markup('<span class="tag plain">{}</span>').format(shown)


def _short(ctx: Context, at: datetime) -> str:
    return formats.short_instant(at, ctx.workspace.timezone, ctx.now.astimezone(ctx.workspace.timezone).date())


def _exact(ctx: Context, at: datetime) -> str:
    return f"{at.astimezone(ctx.workspace.timezone):%Y-%m-%d %H:%M:%S}"


# --- own changes ---------------------------------------------------------------------------------------------------------------------------


def _change(desk: Desk, entity: CompiledEntity, moment: Moment, *, computed: bool) -> Told:
    ctx = desk.ctx
    surroundings = around(ctx, entity.key, desk.base)
    words = {
        "create": _("Created"),
        "update": _("Changed"),
        "delete": _("Deleted"),
        "restore": _("Restored"),
        "erase": _("Made anonymous"),
        "computed": _("Computed"),
    }
    told = tuple(
        _field(entity, change, surroundings) for change in moment.changes if _is_told(entity, change, computed) and (computed or moment.verb != "create")
    )
    return Told(
        f"change-{moment.id}",
        moment.at,
        _short(ctx, moment.at),
        _exact(ctx, moment.at),
        who(ctx, moment),
        words.get(moment.verb, moment.verb),
        _VERBS.get(moment.verb, "point"),
        _why(ctx, moment.cause),
        _why_href(desk, moment.cause),
        changes=told,
    )


def _is_told(entity: CompiledEntity, change: FieldChange, computed: bool) -> bool:
    """A value for programs (JSON that holds no records) is told with all changes only."""
    item = entity.fields.get(change.field)
    return item is not None and (computed or (not change.computed and (item.definition.type != "json" or holds_records(item))))


def _field(entity: CompiledEntity, change: FieldChange, surroundings: Surroundings) -> tuple[str, str, str]:
    item = entity.fields[change.field]
    return (
        label_text(item.definition.title, surroundings.locale, change.field),
        _text(item, change.before, surroundings),
        _text(item, change.after, surroundings),
    )


def _text(item: CompiledField, value: Any, surroundings: Surroundings) -> str:
    if isinstance(value, Link):
        return value.label or formats.UNSEEN
    if isinstance(value, list) and any(isinstance(one, Link) for one in value):
        return "、".join(one.label or formats.UNSEEN for one in value)
    if holds_records(item) and isinstance(value, Mapping):
        count = kept_count(value)
        return ngettext("%(num)s record", "%(num)s records", count) % {"num": count}
    return text_of(item, value, surroundings)


def who(ctx: Context, moment: Moment) -> str:
    """Who did it: oneself by one's own name, whether one may read people or not; others as far as they may be read."""
    if moment.person is None:
        return _principal(moment.cause)
    return ctx.actor.name if moment.person.id == ctx.actor.person_id else moment.person.label or formats.UNSEEN


def _principal(cause: Mapping[str, Any]) -> str:
    return {"operator": _("Command line"), "import": _("Import"), "demo": _("Demo data"), "publishing": _("Publishing")}.get(
        str(cause.get("principal", "")), _("System")
    )


def _why_href(desk: Desk, cause: Mapping[str, Any]) -> str:
    """The run of the rule that did it."""
    run = (cause.get("detail") or {}).get("run") if cause.get("kind") == "rule" else None
    return f"{desk.base}/runs/{run}" if isinstance(run, int) else ""


def _why(ctx: Context, cause: Mapping[str, Any]) -> str:
    kind, name = str(cause.get("kind", "")), str(cause.get("name", ""))
    if kind == "rule":
        return _("by the rule %(name)s", name=rule_title(ctx, name))
    if kind == "import":
        return _("by the import of %(name)s", name=name) if name else _("by an import")
    return _("through the API") if kind == "api" else ""
