"""The windows that due rules wait for: which records stand in one, whether any does, when the next will. Found by SQL over stored fields; marks nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from engine.access import remember
from engine.database_ready import Ready
from engine.expressions.binds import Bound, ZoneBound
from engine.expressions.calendars import BadCalendar, Calendar, Holidays, read
from engine.expressions.language import Expression
from engine.expressions.nodes import Space, walk
from engine.expressions.sql_time import SqlTime
from engine.expressions.to_sql import Compiler, condition
from engine.expressions.zones import midnight
from engine.rules.book import CompiledRule, RuleBook
from engine.scope import TableNames, engine_select
from engine.storage import EPOCH, Instant
from engine.surroundings import Needed, bound, environment, needed_of
from engine.system_tables_rules import due_done, rule_switch

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: Records read at a time.
PAGE = 500
#: Windows asked about in one statement, at most.
TOGETHER = 100
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_FIRST_DAY = _FIRST.date()
_LARGEST = 2**63 - 1
#: The rules that are switched off.
OFF = Ready(sa.select(rule_switch.c.rule).where(rule_switch.c.off_at.is_not(None)))
Select = sa.Select[Any]


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


def due_windows(ctx: Context, book: RuleBook) -> list[Window]:
    """Every field and shift that due rules wait for; without the rules that are switched off, and fields that are not stored."""
    if not book.due:
        return []
    with ctx.reading() as ctx:
        off = {rule for (rule,) in OFF.rows(ctx.open)}
    return [window for rule in book.due if rule.key not in off for window in windows_of(ctx.workspace, rule)]


def windows_of(workspace: Workspace, rule: CompiledRule) -> Iterator[Window]:
    """The fields and shifts a due rule waits for."""
    entity, shifts = workspace.entities.get(rule.entity), rule.trigger.shifts
    for key in rule.trigger.due if entity is not None else ():
        field = entity.fields.get(key) if entity is not None else None
        if entity is not None and field is not None and field.column is not None and not field.encrypted:
            yield from (Window(rule, entity, field, shift, following) for shift, following in zip(shifts, (*shifts[1:], None), strict=True))


def open_windows(ctx: Context, windows: Sequence[Window]) -> list[Window]:
    """Those of the windows in which something is due and not settled. Asked of all at once: nearly always there is nothing."""
    answers = _of_each(ctx, "due any", windows, _any_in, _limits)
    return [window for window, record in zip(windows, answers, strict=True) if record is not None]


def found_in(ctx: Context, window: Window) -> Iterator[Found]:
    """What is due in a window and not settled, in order, a page at a time."""

    def build() -> tuple[Ready, Needed]:
        select = _due_in(ctx.workspace, window).limit(PAGE)
        return Ready(select), needed_of(select)

    limits = _limits(ctx, window)
    if limits["d_last"] is None:
        return
    ready, needed = remember(ctx.workspace, ("due", *_key(window), PAGE), build)
    binds = {**limits, **bound(ctx, needed)}
    while True:
        with ctx.workspace.database.snapshot(long=True) as connection:
            rows = ready.rows(connection, binds)
        for record, stored in rows:
            at = due_at(ctx, window, as_instant(ctx, stored))
            if at is not None:
                yield Found(at, window, record, as_instant(ctx, stored))
        if len(rows) < PAGE:
            return
        binds |= {"d_after": rows[-1][1], "d_id": rows[-1][0]}


def _limits(ctx: Context, window: Window, tail: str = "") -> dict[str, Any]:
    """The binds of ``_due_in``: the values of the field that are due now; ``d_last`` empty when the calendar does not reach so far."""
    first = _before(ctx, window, window.following) if window.following is not None else None
    after: tuple[Any, int] = (first, _LARGEST) if first is not None else (_FIRST_DAY if window.by_day else _FIRST, 0)
    again = ctx.now - timedelta(seconds=window.rule.trigger.repeat)
    found = {"d_last": _before(ctx, window, window.shift), "d_after": after[0], "d_id": after[1], "d_again": again}
    return {name + tail: value for name, value in found.items()}


def _due_in(workspace: Workspace, window: Window, tail: str = "") -> Select:
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
        *([due_done.c.at > sa.bindparam(f"d_again{tail}", type_=Instant())] if rule.trigger.repeat else []),
    )
    after = sa.tuple_(sa.bindparam(f"d_after{tail}", type_=kind), sa.bindparam(f"d_id{tail}", type_=sa.BigInteger()))
    return (
        engine_select(entity, entity.table.c.id, column)
        .where(
            column.is_not(None),
            column <= sa.bindparam(f"d_last{tail}", type_=kind),
            sa.tuple_(column, entity.table.c.id) > after,
            *_condition(workspace, window),
            ~settled.exists(),
        )
        .order_by(column, entity.table.c.id)
    )


def _any_in(workspace: Workspace, window: Window, tail: str) -> Select:
    """The first record due in a window: by the same order, so that it is found by the same index."""
    return _due_in(workspace, window, tail).with_only_columns(window.entity.table.c.id).limit(1)


def _of_each(
    ctx: Context,
    what: str,
    windows: Sequence[Window],
    build: Callable[[Workspace, Window, str], Select],
    binds: Callable[[Context, Window, str], dict[str, Any]],
) -> list[Any]:
    """One value for each window (None: there is none), asked in one statement that is kept under ``what``."""

    def ask(some: Sequence[Window]) -> Sequence[Any]:
        def make() -> tuple[Ready, Needed]:
            parts = [build(ctx.workspace, window, f"_{number}").scalar_subquery() for number, window in enumerate(some)]
            select = sa.select(*(part.label(f"w{number}") for number, part in enumerate(parts))).execution_options(scoped=True)
            return Ready(select), needed_of(select)

        ready, needed = remember(ctx.workspace, (what, *map(_key, some)), make)
        given = {name: value for number, window in enumerate(some) for name, value in binds(ctx, window, f"_{number}").items()}
        with ctx.workspace.database.snapshot(long=True) as connection:
            return ready.first(connection, {**given, **bound(ctx, needed)}) or ()

    return [value for start in range(0, len(windows), TOGETHER) for value in ask(windows[start : start + TOGETHER])]


def _key(window: Window) -> tuple[CompiledRule, str, int]:
    return window.rule, window.field.key, window.shift


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


# --- looking ahead -----------------------------------------------------------------------------------------------------------------------------


def coming_in(ctx: Context, windows: Sequence[Window]) -> Iterator[datetime]:
    """When values that are ahead fall due, and when rules that run again do: the earliest of each window."""
    for window, stored in zip(windows, _of_each(ctx, "due next", windows, _ahead, _passed), strict=True):
        at = due_at(ctx, window, as_instant(ctx, stored)) if stored is not None else None
        if at is not None:
            yield at
    again = [window for window in windows if window.rule.trigger.repeat]
    for window, ran in zip(again, _of_each(ctx, "due again", again, _ran, _limits), strict=True):
        if ran is not None:
            yield ran + timedelta(seconds=window.rule.trigger.repeat)


def _passed(ctx: Context, window: Window, tail: str) -> dict[str, Any]:
    return {f"d_passed{tail}": _before(ctx, window, window.shift)}


def _ahead(workspace: Workspace, window: Window, tail: str) -> Select:
    """The earliest value of a window's field that is not due yet and whose condition holds, where time cannot change that."""
    rule, column = window.rule, window.field.column
    assert column is not None
    holds = _condition(workspace, window) if not isinstance(rule.condition, Expression) or not rule.condition.volatile else []
    later = column > sa.bindparam(f"d_passed{tail}", type_=sa.Date() if window.by_day else Instant())
    return engine_select(window.entity, sa.func.min(column, type_=column.type)).where(later, *holds)


def _ran(workspace: Workspace, window: Window, tail: str) -> Select:
    """When the first of the runs that will be repeated was asked for."""
    same = (due_done.c.rule == window.rule.key, due_done.c.field == window.field.key, due_done.c.shift == window.shift)
    recent = due_done.c.at > sa.bindparam(f"d_again{tail}", type_=Instant())
    return sa.select(sa.func.min(due_done.c.at, type_=Instant())).where(*same, due_done.c.value != EPOCH, recent)


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
