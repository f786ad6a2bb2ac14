"""Cron rules: when each comes next by the workspace's clock, and the runs of a tick, asked for in the transaction that moves the clock hand on.

Once across processes; of missed ticks only the latest runs. With ``for_each`` a run per record the trigger's ``where`` finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine import cron
from engine.access import remember
from engine.database_ready import Ready
from engine.expressions.to_sql import condition
from engine.jobs import Asked, put_all
from engine.rule_jobs import JOB
from engine.rules.book import CompiledRule, RuleBook
from engine.scope import TableNames, engine_select
from engine.storage import Instant, to_micros
from engine.surroundings import Needed, bound, needed_of
from engine.system_tables_rules import schedule
from engine.timed import Book, Source
from engine.timed_windows import OFF, calendar_of, holidays_of

if TYPE_CHECKING:
    from engine.context import Context

BATCH = 1000
_ROW = sa.select(schedule.c.rule, schedule.c.cron, schedule.c.next_at)
_ALL = Ready(_ROW)
_DUE = Ready(
    _ROW.where(schedule.c.next_at <= sa.bindparam("now", type_=Instant())).order_by(schedule.c.next_at, schedule.c.rule).with_for_update(skip_locked=True)
)
_MOVE = Ready(schedule.update().where(schedule.c.rule == sa.bindparam("of", type_=sa.Text())).values(next_at=sa.bindparam("coming", type_=Instant())))
#: Ticks looked at for one inside open hours.
_MOST_TICKS = 2000


def run_ticks(ctx: Context, book: RuleBook) -> int:
    """Ask for the runs of every cron rule whose time has come; gives how many."""
    if all(tick > ctx.now for tick in _stand(ctx, book)):
        return 0
    count = 0
    with ctx.writing() as inner:
        off = {rule for (rule,) in OFF.rows(inner.open)}
        for key, words, next_at in _DUE.rows(inner.open, {"now": inner.now}):
            rule = book.rules.get(key)
            if rule is None or rule.trigger.cron != words:
                continue
            tick, coming = _latest(inner, rule), _next(inner, rule)
            if coming is None:
                inner.open.execute(schedule.delete().where(schedule.c.rule == rule.key))
            else:
                _MOVE.run(inner.open, {"of": rule.key, "coming": coming})
            if tick is not None and tick >= next_at and rule.key not in off:
                count += _ask(inner, rule, tick)
    return count


def _stand(ctx: Context, book: RuleBook) -> list[datetime]:
    """Bring the table of next ticks to the rules of this version; gives the ticks."""
    with ctx.reading() as inner:
        rows = {row[0]: row for row in _ALL.rows(inner.open)}
    wanted = {rule.key: rule for rule in book.cron}
    stale = [key for key, (_, words, _) in rows.items() if key not in wanted or wanted[key].trigger.cron != words]
    fresh = [key for key in wanted if key not in rows or key in stale]
    ticks = [tick for key, (_, _, tick) in rows.items() if key not in stale]
    if stale or fresh:
        with ctx.writing() as inner:
            insert: Any = (sqlite if inner.open.dialect.name == "sqlite" else postgresql).insert(schedule)
            for key in stale:
                inner.open.execute(schedule.delete().where(schedule.c.rule == key, schedule.c.cron == rows[key][1]))
            for key in fresh:
                coming = _next(inner, wanted[key])
                if coming is not None:
                    inner.open.execute(insert.values(rule=key, cron=wanted[key].trigger.cron, next_at=coming).on_conflict_do_nothing())
                    ticks.append(coming)
    return ticks


def _next(ctx: Context, rule: CompiledRule) -> datetime | None:
    """The first tick after now; inside the rule's calendar, where it has one."""
    return _inside(ctx, rule, forwards=True)


def _latest(ctx: Context, rule: CompiledRule) -> datetime | None:
    """The last tick that has gone by."""
    return _inside(ctx, rule, forwards=False)


def _inside(ctx: Context, rule: CompiledRule, *, forwards: bool) -> datetime | None:
    times, zone, moment = cron.read(rule.trigger.cron), ctx.workspace.timezone, ctx.now
    calendar, holidays = calendar_of(ctx, rule), holidays_of(ctx)
    for number in range(_MOST_TICKS if calendar is not None else 1):
        tick = times.after(moment, zone) if forwards else times.until(moment if not number else moment - cron.MINUTE, zone)
        if tick is None or calendar is None or calendar.open_at(tick, zone, holidays) == tick:
            return tick
        moment = tick
    return None


def _ask(ctx: Context, rule: CompiledRule, tick: datetime) -> int:
    """Jobs for one tick: one, or one per record."""
    occurrence = f"cron:{rule.key}:{to_micros(tick)}"
    args = {"rule": rule.key, "record": None, "occurrence": occurrence, "at": tick.isoformat(), "version": ctx.workspace.version}
    if not rule.entity:
        put_all(ctx.open, ctx.workspace.name, JOB, [Asked(args, occurrence)])
        return 1
    count = 0
    for ids in _records(ctx, rule):
        each = {record: f"{occurrence}:{record}" for record in ids}
        put_all(ctx.open, ctx.workspace.name, JOB, [Asked({**args, "record": record, "occurrence": own}, own) for record, own in each.items()])
        count += len(each)
    return count


def _records(ctx: Context, rule: CompiledRule) -> Iterator[list[int]]:
    """The ids the tick is for, in keyset batches."""

    def build() -> tuple[Ready, Needed]:
        entity, where = ctx.workspace.entities[rule.entity], rule.trigger.where
        table = entity.table
        terms = [condition(where, TableNames(ctx.workspace, entity, table.c))] if where is not None else []
        select = engine_select(entity, table.c.id).where(table.c.id > sa.bindparam("c_after", type_=sa.BigInteger()), *terms).order_by(table.c.id)
        return Ready(select.limit(BATCH)), needed_of(select)

    ready, needed = remember(ctx.workspace, ("cron", rule, BATCH), build)
    binds = {**bound(ctx, needed), "c_after": 0}
    while ids := [record for (record,) in ready.rows(ctx.open, binds)]:
        yield ids
        binds["c_after"] = ids[-1]


def next_tick(ctx: Context, book: RuleBook) -> datetime | None:
    """When the next cron rule comes."""
    return min((tick for tick in _stand(ctx, book) if tick > ctx.now), default=None)


def cron_source(book: Book) -> Source:
    """Cron rules as a source of timed work."""
    return Source("cron", lambda ctx: next_tick(ctx, book(ctx.workspace)), lambda ctx: run_ticks(ctx, book(ctx.workspace)))
