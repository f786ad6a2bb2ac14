"""What falls due: fields of records whose instant (and shift) has passed by the workspace's clock, found by SQL, each marked and made a job once.

The rule's condition is part of the search, so that what waits costs nothing; it is asked again when the job runs, and a run that finds it false takes
its mark back. Of several missed shifts only the nearest runs. What a run does is the room of rules' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import visitors

from engine.access import remember
from engine.expressions.binds import Bound, ZoneBound
from engine.expressions.calendars import BadCalendar, Calendar, Holidays, read
from engine.expressions.language import Expression
from engine.expressions.nodes import Space, walk
from engine.expressions.sql_time import SqlTime
from engine.expressions.to_sql import Compiler, condition
from engine.expressions.zones import midnight
from engine.jobs import put_many
from engine.rule_jobs import JOB
from engine.rules.book import CompiledRule, RuleBook
from engine.scope import TableNames, engine_select
from engine.storage import EPOCH, Instant, to_micros
from engine.surroundings import bound, environment, needed_of
from engine.system_tables_rules import due_done, rule_switch

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: The rules of a workspace's version.
Book = Callable[["Workspace"], RuleBook]

#: Records marked in one transaction, and read at a time.
BATCH = 500
#: Records looked for before the first of them is marked.
AHEAD = 20_000
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_FIRST_DAY, _LAST_DAY = _FIRST.date(), _LAST.date()
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Source:
    """Something that happens by the clock. ``run`` asks for what is due at ``ctx.now``; ``next``: when something falls due after it, None for never."""

    name: str
    next: Callable[[Context], datetime | None]
    run: Callable[[Context], int]


@dataclass(frozen=True, slots=True)
class Window:
    """One field and shift of a due rule: due from the shift on, until the rule's next shift (None: without end). Shifts in seconds."""

    rule: CompiledRule
    entity: CompiledEntity
    field: CompiledField
    shift: int
    following: int | None

    @property
    def by_day(self) -> bool:
        """Whether the field is a date: due at its local midnight."""
        return self.field.value.type == "date"


@dataclass(frozen=True, slots=True)
class Found:
    """A record that fell due at an instant. ``value``: of the field, a date as its local midnight."""

    at: datetime
    window: Window
    record: int
    value: datetime


# --- looking -----------------------------------------------------------------------------------------------------------------------------------


def sweep(ctx: Context, book: RuleBook) -> int:
    """Mark what is due now and ask for its runs, in the order it fell due across all rules; gives how many. Each batch is a transaction of its own."""
    windows = due_windows(ctx, book)
    found = merge(*(found_in(ctx, window) for window in windows), key=lambda item: (item.at, item.window.rule.key, item.record))
    count = 0
    while ahead := list(islice(found, AHEAD)):  # looked for before any is marked: the planner knows nothing yet of marks just made
        for start in range(0, len(ahead), BATCH):
            marked = _mark(ctx, ahead[start : start + BATCH])
            if marked is None:
                return count
            count += marked
    return count


def due_windows(ctx: Context, book: RuleBook) -> list[Window]:
    """Every field and shift that due rules wait for; without the rules that are switched off, and fields that are not stored."""
    if not book.due:
        return []
    with ctx.reading() as ctx:
        off = set(ctx.open.execute(sa.select(rule_switch.c.rule).where(rule_switch.c.off_at.is_not(None))).scalars())
    return [window for rule in book.due if rule.key not in off for window in windows_of(ctx.workspace, rule)]


def windows_of(workspace: Workspace, rule: CompiledRule) -> Iterator[Window]:
    """The fields and shifts a due rule waits for."""
    entity, shifts = workspace.entities.get(rule.entity), rule.trigger.shifts
    for key in rule.trigger.due if entity is not None else ():
        field = entity.fields.get(key) if entity is not None else None
        if entity is not None and field is not None and field.column is not None and not field.encrypted:
            yield from (Window(rule, entity, field, shift, following) for shift, following in zip(shifts, (*shifts[1:], None), strict=True))


def found_in(ctx: Context, window: Window) -> Iterator[Found]:
    """What is due in a window and not settled, in order, a page at a time."""
    last = _before(ctx, window, window.shift)
    first = _before(ctx, window, window.following) if window.following is not None else None
    if last is None:
        return
    statement, needed = remember(ctx.workspace, ("due", window.rule, window.field.key, window.shift), lambda: _statement(ctx.workspace, window))
    after: tuple[Any, int] = (first, _LARGEST) if first is not None else (_FIRST_DAY if window.by_day else _FIRST, 0)
    surroundings = bound(ctx, needed)
    while True:
        binds = {"d_last": last, "d_after": after[0], "d_id": after[1], "d_again": ctx.now - timedelta(seconds=window.rule.trigger.repeat), **surroundings}
        with ctx.workspace.database.snapshot(long=True) as connection:
            rows = connection.execute(statement, binds).all()
        for record, stored in rows:
            at = due_at(ctx, window, as_instant(ctx, stored))
            if at is not None:
                yield Found(at, window, record, as_instant(ctx, stored))
        if len(rows) < BATCH:
            return
        after = (rows[-1][1], rows[-1][0])


def _statement(workspace: Workspace, window: Window) -> tuple[sa.Select[Any], Mapping[str, Bound | ZoneBound]]:
    """(id, value) of the records due in a window whose value is not settled and whose condition holds, by value."""
    entity, rule, column = window.entity, window.rule, window.field.column
    assert column is not None
    kind = sa.Date() if window.by_day else Instant()
    names = TableNames(workspace, entity, entity.table.c)
    at = SqlTime(Compiler(names)).midnight(column) if window.by_day else column
    settled = sa.select(due_done.c.record).where(
        due_done.c.rule == rule.key,
        due_done.c.record == entity.table.c.id,
        due_done.c.field == window.field.key,
        due_done.c.shift == window.shift,
        due_done.c.value == at,
        *([due_done.c.at > sa.bindparam("d_again", type_=Instant())] if rule.trigger.repeat else []),
    )
    select = (
        engine_select(entity, entity.table.c.id, column)
        .where(
            column.is_not(None),
            column <= sa.bindparam("d_last", type_=kind),
            sa.tuple_(column, entity.table.c.id) > sa.tuple_(sa.bindparam("d_after", type_=kind), sa.bindparam("d_id", type_=sa.BigInteger())),
            *_condition(workspace, window),
            ~settled.exists(),
        )
        .order_by(column, entity.table.c.id)
        .limit(BATCH)
    )
    return select, needed_of(select)


def _condition(workspace: Workspace, window: Window) -> list[sa.ColumnElement[bool]]:
    """The rule's ``if`` as WHERE terms; nothing when it can only be asked of one record at a time.

    Constants stand in the text, as they do in the index that was made for them: SQLite uses a partial index only then.
    """
    rule = window.rule
    if not isinstance(rule.condition, Expression):
        return [] if rule.condition else [sa.false()]
    if not in_sql(rule):
        return []
    term = condition(rule.condition, TableNames(workspace, window.entity, window.entity.table.c))
    return [visitors.cloned_traverse(term, {}, {"bindparam": _in_text})]


def _in_text(bind: sa.BindParameter[Any]) -> None:
    if not isinstance(bind, Bound | ZoneBound) and not bind.required:
        bind.literal_execute = True


def in_sql(rule: CompiledRule) -> bool:
    """Whether a rule's ``if`` can be asked of many records at once: it reads the record and settings of this moment only."""
    found = rule.condition
    if not isinstance(found, Expression):
        return True
    spaces = {node.path[0] for node in walk(found.tree) if isinstance(node, Space)}
    return found.has_sql and spaces <= ({"setting"} if rule.as_of is None else set())


# --- instants ----------------------------------------------------------------------------------------------------------------------------------


def _before(ctx: Context, window: Window, shift: int) -> datetime | date | None:
    """The latest value of the field that is due now with a shift; None when the calendar does not reach so far."""
    calendar = calendar_of(ctx, window.rule)
    if calendar is None:
        limit = _within(ctx.now, -shift)
    else:
        found = calendar.add(ctx.now, -shift, ctx.workspace.timezone, holidays_of(ctx))
        if found is None:
            return None
        limit = found
    return limit.astimezone(ctx.workspace.timezone).date() if window.by_day else limit


def due_at(ctx: Context, window: Window, instant: datetime) -> datetime | None:
    """When a value falls due."""
    calendar = calendar_of(ctx, window.rule)
    if calendar is None:
        return _within(instant, window.shift)
    return calendar.add(instant, window.shift, ctx.workspace.timezone, holidays_of(ctx))


def _within(moment: datetime, seconds: int) -> datetime:
    try:
        return min(max(moment + timedelta(seconds=seconds), _FIRST), _LAST)
    except OverflowError:
        return _LAST if seconds > 0 else _FIRST


def as_instant(ctx: Context, stored: datetime | date) -> datetime:
    """A stored value as an instant: a date as its local midnight."""
    if isinstance(stored, datetime):
        return stored
    return midnight(stored, ctx.workspace.timezone) or _LAST


def calendar_of(ctx: Context, rule: CompiledRule) -> Calendar | None:
    """The calendar a rule's shifts are counted in; None for plain time, and for a setting that is no calendar (any more)."""
    if not rule.trigger.calendar:
        return None
    given = ctx.workspace.settings.get(rule.trigger.calendar.removeprefix("setting."))
    try:
        return read(given) if isinstance(given, Mapping) else None
    except BadCalendar:
        return None


def holidays_of(ctx: Context) -> Holidays:
    """The closed days of named calendars."""
    return environment(ctx).holidays


# --- marking -----------------------------------------------------------------------------------------------------------------------------------


def _mark(ctx: Context, batch: Iterable[Found]) -> int | None:
    """Mark records as settled for their value and ask for their runs, in one transaction; those another process marked first are left out.

    None when another process is sweeping this workspace.
    """
    database = ctx.workspace.database
    with database.write(background=True, lasting=False) as connection:
        if database.dialect == "postgresql":
            key = sa.func.hashtext(f"due {ctx.workspace.name}")
            if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar_one():
                return None
        by_repeat: dict[int, list[Found]] = {}
        for item in batch:
            by_repeat.setdefault(item.window.rule.trigger.repeat, []).append(item)
        times: dict[tuple[str, int, str, int], int] = {}
        for repeat, items in by_repeat.items():
            times.update(_settle(ctx, connection, items, repeat))
        asked = [_asked(ctx, item, times[_place(item)]) for item in batch if _place(item) in times]
        put_many(connection, ctx.workspace.name, JOB, asked)
        return len(asked)


def _place(item: Found) -> tuple[str, int, str, int]:
    return item.window.rule.key, item.record, item.window.field.key, item.window.shift


def _settle(ctx: Context, connection: sa.Connection, items: list[Found], repeat: int) -> dict[tuple[str, int, str, int], int]:
    """Write the marks; for each that is ours how often its rule has been asked for that record, field and shift."""
    insert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(due_done)
    rows = [dict(zip(("rule", "record", "field", "shift"), _place(item), strict=True), value=item.value, times=1, at=ctx.now) for item in items]
    other = due_done.c.value != insert.excluded.value
    statement = insert.on_conflict_do_update(
        index_elements=["rule", "record", "field", "shift"],
        set_={"value": insert.excluded.value, "times": due_done.c.times + 1, "at": insert.excluded.at},
        where=sa.or_(other, due_done.c.at <= ctx.now - timedelta(seconds=repeat)) if repeat else other,
    )
    columns = (due_done.c.rule, due_done.c.record, due_done.c.field, due_done.c.shift, due_done.c.times)
    return {(rule, record, field, shift): times for rule, record, field, shift, times in connection.execute(statement.returning(*columns), rows)}


def _asked(ctx: Context, item: Found, times: int) -> tuple[str, dict[str, Any]]:
    """Key and arguments of a run."""
    rule, record, field, shift = _place(item)
    occurrence = f"due:{rule}:{field}:{shift}:{record}:{to_micros(item.value)}:{times}"
    args = {"rule": rule, "record": record, "occurrence": occurrence, "due": field, "at": item.at.isoformat(), "version": ctx.workspace.version}
    return occurrence, {**args, "mark": {"field": field, "shift": shift, "times": times}}


# --- looking ahead -----------------------------------------------------------------------------------------------------------------------------


def next_due(ctx: Context, book: RuleBook) -> datetime | None:
    """When something may fall due after now, as things stand: the earliest value still ahead, the earliest repetition, or the next day where time itself decides."""
    found = [instant for window in due_windows(ctx, book) for instant in (_next_value(ctx, window), _next_time(ctx, window)) if instant is not None]
    if any(isinstance(rule.condition, Expression) and rule.condition.volatile for rule in book.due):
        tomorrow = ctx.now.astimezone(ctx.workspace.timezone).date() + timedelta(days=1)
        found.append(as_instant(ctx, tomorrow))
    return min((instant for instant in found if instant > ctx.now), default=None)


def _next_value(ctx: Context, window: Window) -> datetime | None:
    passed = _before(ctx, window, window.shift)
    if passed is None:
        return None
    statement, needed = remember(ctx.workspace, ("due next", window.rule, window.field.key), lambda: _ahead(ctx.workspace, window))
    with ctx.workspace.database.snapshot(long=True) as connection:
        found = connection.execute(statement, {"d_passed": passed, **bound(ctx, needed)}).scalar_one_or_none()
    return None if found is None else due_at(ctx, window, as_instant(ctx, found))


def _ahead(workspace: Workspace, window: Window) -> tuple[sa.Select[Any], Mapping[str, Bound | ZoneBound]]:
    """The earliest value of a window's field that is not due yet and whose condition holds, where time cannot change that."""
    rule, column = window.rule, window.field.column
    assert column is not None
    holds = _condition(workspace, window) if not isinstance(rule.condition, Expression) or not rule.condition.volatile else []
    kind = sa.Date() if window.by_day else Instant()
    later = column > sa.bindparam("d_passed", type_=kind)
    select = engine_select(window.entity, sa.func.min(column, type_=column.type)).where(later, *holds)
    return select, needed_of(select)


def _next_time(ctx: Context, window: Window) -> datetime | None:
    repeat = timedelta(seconds=window.rule.trigger.repeat)
    if not repeat:
        return None
    same = (due_done.c.rule == window.rule.key, due_done.c.field == window.field.key, due_done.c.shift == window.shift)
    select = sa.select(sa.func.min(due_done.c.at, type_=Instant())).where(*same, due_done.c.value != EPOCH, due_done.c.at > ctx.now - repeat)
    with ctx.workspace.database.snapshot(long=True) as connection:
        found = connection.execute(select).scalar_one_or_none()
    return None if found is None else found + repeat


def due_source(book: Book) -> Source:
    """Due rules as a source of timed work."""
    return Source("due", lambda ctx: next_due(ctx, book(ctx.workspace)), lambda ctx: sweep(ctx, book(ctx.workspace)))
