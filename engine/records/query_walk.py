"""The rows of a page: phase after phase, statement after statement, until there are enough; those a search's index found by mistake are left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.records.query_cursor import Position
from engine.records.query_plan import Plan
from engine.surroundings import bound

if TYPE_CHECKING:
    from engine.context import Context

#: Rows asked for at once where some may have to be left out, and how many are looked at before a page is given as it is.
AT_ONCE = 100
MOST_LOOKED = 5_000
COUNTED_AT_ONCE = 500
Row = Sequence[Any]


@dataclass(slots=True)
class Walk:
    """The rows found with the phase of each, and how many statements it took; ``stopped``: where looking ended early, so that the next page goes on there.

    ``count``: how many there are in all, where it is known; not ``ended``: one statement was not enough.
    """

    rows: list[Row] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    statements: int = 0
    stopped: Position | None = None
    count: int | None = None
    ended: bool = True


def walk(
    ctx: Context,
    plan: Plan,
    binds: Mapping[str, Any],
    start: Position | None,
    wanted: int,
    *,
    keeps: Callable[[Row], bool] | None = None,
    most: int = MOST_LOOKED,
    count: str | None = None,
    once: bool = False,
) -> Walk:
    """Up to ``wanted`` rows after ``start``. ``keeps``: which of the rows that the index found are hits; fewer are only given at the end, or
    when ``most`` rows were looked at. ``count`` is asked with the first rows; ``once``: no more than one statement is sent."""
    found, looked = Walk(), 0
    for phase in range(start.phase if start is not None else 0, plan.order.phases):
        position = start if start is not None and phase == start.phase else None
        while True:
            if once and found.statements:
                found.ended = False
                return found
            limit = wanted - len(found.rows) if keeps is None else max(wanted - len(found.rows), AT_ONCE)
            rows = _fetch(ctx, plan, binds, phase, position, limit, count if not found.statements else None)
            if count and rows and not found.statements:
                found.count = int(rows[0][-1])
            found.statements += 1
            hits = rows if keeps is None else [row for row in rows if keeps(row)]
            found.rows += hits[: wanted - len(found.rows)]
            found.phases += [phase] * (len(found.rows) - len(found.phases))
            if len(found.rows) >= wanted:
                return found
            if len(rows) < limit:
                break
            looked += len(rows)
            position = place(plan, rows[-1], phase)
            if looked >= most:
                found.stopped = position
                return found
    if start is None:
        found.count = len(found.rows)  # they are all there are
    return found


def counted(ctx: Context, plan: Plan, binds: Mapping[str, Any], keeps: Callable[[Row], bool], most: int) -> int:
    """How many rows there are that ``keeps`` means; looking ends at ``most``."""
    number, position = 0, None
    while True:
        part = walk(ctx, plan, binds, position, COUNTED_AT_ONCE, keeps=keeps, most=sys.maxsize)
        number += len(part.rows)
        if number >= most or len(part.rows) < COUNTED_AT_ONCE:
            return min(number, most)
        position = place(plan, part.rows[-1], part.phases[-1])


def place(plan: Plan, row: Row, phase: int) -> Position:
    """Where a row stands in the order."""
    first = len(plan.columns.elements)
    return Position(phase, tuple(row[first : first + len(plan.order.keys)]), int(row[0]))


def _fetch(ctx: Context, plan: Plan, binds: Mapping[str, Any], phase: int, position: Position | None, limit: int, count: str | None) -> Sequence[Row]:
    statement = plan.page(phase, tuple(value is None for value in position.values) if position is not None else None, count)
    values = {**binds, **bound(ctx, statement.needed), "p_limit": limit}
    if position is not None:
        values.update(plan.order.binds(position))
    return statement.ready.rows(ctx.open, values)
