"""What falls due: fields of records whose instant (and shift) has passed by the workspace's clock, found by SQL, each marked and made a job once.

The rule's condition is part of the search, so that what waits costs nothing; it is asked again when the job runs, and a run that finds it false takes
its mark back. Of several missed shifts only the nearest runs. What a run does is the room of rules' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine.actors import enter_as
from engine.expressions.language import Expression
from engine.jobs import Asked, put_all
from engine.rule_jobs import JOB
from engine.rules.book import RuleBook
from engine.storage import to_micros
from engine.system_tables_rules import due_done
from engine.timed_windows import Found, as_instant, coming_in, due_windows, found_in, open_windows

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home
    from engine.workspace import Workspace

#: The rules of a workspace's version.
Book = Callable[["Workspace"], RuleBook]

#: Records marked in one transaction.
BATCH = 500
#: Records looked for before the first of them is marked.
AHEAD = 20_000


@dataclass(frozen=True, slots=True)
class Source:
    """Something that happens by the clock. ``run`` asks for what is due at ``ctx.now``; ``next``: when something falls due after it, None for never."""

    name: str
    next: Callable[[Context], datetime | None]
    run: Callable[[Context], int]


def run_sources(home: Home, workspace: str, sources: Iterable[Source]) -> int:
    """Ask for all that is due in a workspace by its clock; gives how much there was. What one source did counts for the next."""
    count, ctx = 0, enter_as(home, workspace, "clock")
    for source in sources:
        asked = source.run(ctx)
        if asked:
            count, ctx = count + asked, enter_as(home, workspace, "clock")
    return count


def sweep(ctx: Context, book: RuleBook) -> int:
    """Mark what is due now and ask for its runs, in the order it fell due across all rules; gives how many. Each batch is a transaction of its own."""
    windows = open_windows(ctx, due_windows(ctx, book))
    found = merge(*(found_in(ctx, window) for window in windows), key=lambda item: (item.at, item.window.rule.key, item.record))
    count = 0
    while ahead := list(islice(found, AHEAD)):  # looked for before any is marked: the planner knows nothing yet of marks just made
        for start in range(0, len(ahead), BATCH):
            marked = _mark(ctx, ahead[start : start + BATCH])
            if marked is None:
                return count
            count += marked
    return count


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
        put_all(connection, ctx.workspace.name, JOB, asked)
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


def _asked(ctx: Context, item: Found, times: int) -> Asked:
    """A run to be asked for."""
    rule, record, field, shift = _place(item)
    occurrence = f"due:{rule}:{field}:{shift}:{record}:{to_micros(item.value)}:{times}"
    args = {"rule": rule, "record": record, "occurrence": occurrence, "due": field, "at": item.at.isoformat(), "version": ctx.workspace.version}
    return Asked({**args, "mark": {"field": field, "shift": shift, "times": times}}, occurrence)


# --- looking ahead -----------------------------------------------------------------------------------------------------------------------------


def next_due(ctx: Context, book: RuleBook) -> datetime | None:
    """When something may fall due after now, as things stand: the earliest value still ahead, the earliest repetition, or the next day where time itself decides."""
    found = list(coming_in(ctx, due_windows(ctx, book)))
    if any(isinstance(rule.condition, Expression) and rule.condition.volatile for rule in book.due):
        tomorrow = ctx.now.astimezone(ctx.workspace.timezone).date() + timedelta(days=1)
        found.append(as_instant(ctx, tomorrow))
    return min((instant for instant in found if instant > ctx.now), default=None)


def due_source(book: Book) -> Source:
    """Due rules as a source of timed work."""
    return Source("due", lambda ctx: next_due(ctx, book(ctx.workspace)), lambda ctx: sweep(ctx, book(ctx.workspace)))
