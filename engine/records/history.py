"""Who changed what, when and why: one row per change in the saving transaction, the timeline under its reader's fields and masks, the access log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.database_ready import Ready
from engine.errors import Fault, Invalid, NotFound
from engine.fields.base import Value
from engine.fields.values import Link
from engine.records.bulk_insert import insert_rows
from engine.records.query_columns import masker
from engine.records.query_labels import labels, put_labels
from engine.records.record import Record
from engine.records.values import storage
from engine.scope import Scope, scope_of
from engine.surroundings import bound, needed_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity


_INSERT = Ready(sa.insert(tables.history).inline(), ("entity", "record", "version", "verb", "at", "person", "cause", "before", "after", "computed"))
#: From here on rows are inserted at driver speed.
_MANY = 20


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a change, as its reader may see it."""

    field: str
    before: Value
    after: Value
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """One change of a record. ``person`` is None for named principals; ``cause`` says why."""

    id: int
    at: datetime
    verb: str
    version: int
    person: Link | None
    cause: Mapping[str, Any]
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Newest first; ``next`` goes on where this page ends."""

    items: list[Moment]
    next: str | None


def cause_json(ctx: Context) -> dict[str, Any]:
    """The context's cause as history keeps it; a named principal is noted by name."""
    found = ctx.cause.to_json()
    if ctx.actor.kind == "system":
        found["principal"] = ctx.actor.name
    return found


def entry(
    ctx: Context,
    entity: CompiledEntity,
    record_id: int,
    verb: str,
    version: int,
    before: Mapping[str, Value] | None,
    after: Mapping[str, Value] | None,
    computed: Sequence[str] = (),
) -> dict[str, Any]:
    """A row of the history table; encrypted values stay envelopes."""
    kept, cipher = storage(ctx.workspace, entity), ctx.workspace.cipher
    return {
        "entity": entity.key,
        "record": record_id,
        "version": version,
        "verb": verb,
        "at": ctx.now,
        "person": ctx.actor.person_id,
        "cause": cause_json(ctx),
        "before": None if before is None else kept.to_history(before, cipher),
        "after": None if after is None else kept.to_history(after, cipher),
        "computed": list(computed) or None,
    }


def write(connection: sa.Connection, entries: Sequence[Mapping[str, Any]], schema: str | None) -> None:
    """Insert history rows."""
    if len(entries) > _MANY:
        insert_rows(connection, tables.history, entries, schema)
    else:
        _INSERT.run_each(connection, entries)


def note_access(ctx: Context, kind: str, entity: str, *, record: int | None = None, field: str | None = None, detail: Any = None) -> None:
    """One row in the access log: ``kind`` reveal, export, search, file or report."""
    with ctx.writing() as ctx:
        ctx.open.execute(
            sa.insert(tables.access_log).values(
                at=ctx.now, person=ctx.actor.person_id, kind=kind, entity=entity, record=record, field=field, ip=ctx.ip, cause=cause_json(ctx), detail=detail
            )
        )


def timeline(ctx: Context, entity: str, record_id: int, cursor: str | None = None, limit: int = 50) -> Timeline:
    """The changes of a record its reader may see, of the fields they may read, masked as the record now is for them. Raises NotFound."""
    compiled = ctx.workspace.entities.get(entity)
    if compiled is None:
        raise NotFound("unknown_entity", entity=entity)
    scope = scope_of(ctx.workspace, ctx.actor, compiled)
    with ctx.snapshot() as ctx:
        hidden, masked = _closed(ctx, scope, record_id)
        history = tables.history
        select = sa.select(history).where(history.c.entity == entity, history.c.record == record_id).order_by(history.c.id.desc()).limit(limit + 1)
        if cursor:
            select = select.where(history.c.id < _number(cursor))
        rows: list[Mapping[str, Any]] = [dict(row) for row in ctx.open.execute(select).mappings()]
        people = labels(ctx, "person", {row["person"] for row in rows if row["person"] is not None})
        items = [_moment(ctx, scope, row, hidden, masked, people) for row in rows[:limit]]
        _label_links(ctx, compiled, items)
    shown = [item for item in items if item.changes or item.verb != "update"]
    return Timeline(shown, str(items[-1].id) if len(rows) > limit else None)


def _number(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Invalid("cursor_invalid", faults=(Fault("/cursor", "cursor_invalid"),))
    return int(cursor)


def _closed(ctx: Context, scope: Scope, record_id: int) -> tuple[set[str], set[str]]:
    """The guarded fields that are hidden, and those that are masked, on this row for this reader."""
    guards = scope.grant.guards
    columns: list[sa.ColumnElement[Any]] = [scope.column("id")]
    for guard in guards.values():
        columns += [scope.visible(guard), scope.clear(guard)]
    statement = scope.select(*columns).where(scope.column("id") == record_id)
    row = ctx.open.execute(statement, bound(ctx, needed_of(statement))).first() if scope.grant.allowed("read") else None
    if row is None:
        raise NotFound("no_such_record", entity=scope.entity.key, id=record_id)
    flags = dict(zip(guards, zip(row[1::2], row[2::2], strict=True), strict=True))
    return {name for name, (seen, _) in flags.items() if not seen}, {name for name, (_, clear) in flags.items() if not clear}


def _moment(ctx: Context, scope: Scope, row: Mapping[str, Any], hidden: set[str], masked: set[str], people: Mapping[int, str]) -> Moment:
    kept, cipher = storage(ctx.workspace, scope.entity), ctx.workspace.cipher
    before, after, computed = row["before"] or {}, row["after"] or {}, set(row["computed"] or ())
    changes = []
    for name in scope.entity.fields:
        if (name not in before and name not in after) or name not in scope.grant.readable or name in hidden:
            continue
        values = [kept.from_history(name, side.get(name), cipher) for side in (before, after)]
        if name in masked:
            mask = masker(scope.entity.fields[name])
            values = [None if value is None else mask(value) for value in values]
        changes.append(FieldChange(name, values[0], values[1], name in computed))
    person = row["person"]
    return Moment(
        row["id"], row["at"], row["verb"], row["version"], Link(person, people.get(person)) if person is not None else None, row["cause"] or {}, tuple(changes)
    )


def _label_links(ctx: Context, entity: CompiledEntity, items: list[Moment]) -> None:
    links = [(name, item.target) for name, item in entity.fields.items() if item.target]
    sides = [
        {change.field: Record({change.field: getattr(change, side)}) for change in moment.changes if entity.fields[change.field].target}
        for moment in items
        for side in ("before", "after")
    ]
    for name, target in links:
        put_labels(ctx, [side[name] for side in sides if name in side], [(name, target)])
    for number, moment in enumerate(items):
        old, new = sides[2 * number], sides[2 * number + 1]
        items[number] = Moment(
            moment.id,
            moment.at,
            moment.verb,
            moment.version,
            moment.person,
            moment.cause,
            tuple(
                FieldChange(change.field, old[change.field][change.field], new[change.field][change.field], change.computed) if change.field in old else change
                for change in moment.changes
            ),
        )


def changed(before: Mapping[str, Value], after: Mapping[str, Value], names: Iterable[str]) -> list[str]:
    """The fields among ``names`` whose values differ."""
    return [name for name in names if before.get(name) != after.get(name)]
