"""Moving a sandbox's clock: it stops at every instant at which something falls due, runs what is due there, and goes on, so that a rehearsal of forty days
is what forty days would have been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.actors import enter_as
from engine.clock import read_state
from engine.errors import Conflict, Denied, Invalid
from engine.system_tables_rules import run
from engine.timed import Source, run_sources
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.home import Home

#: How often what runs at one instant may make more due at that instant.
MOST_TURNS = 1000


@dataclass(frozen=True, slots=True)
class Ran:
    """One run on the way: of which rule, on which record (None: on none), when by the workspace's clock, and how it ended."""

    id: int
    rule: str
    trigger: str
    entity: str | None
    record: int | None
    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """Where the clock stands, and what ran on the way."""

    now: datetime
    ran: list[Ran]


def advance(home: Home, workspace: str, to: datetime, worker: Worker, sources: Sequence[Source], *, seconds: float = float("inf")) -> Advanced:
    """Move a sandbox's clock forward, running everything that falls due in the order of its instants.

    ``seconds``: how long it may take; the clock then stands where it got to, everything due until there done. Raises Denied on a live workspace, Invalid
    for an earlier instant, Conflict when what runs at one instant makes more due at it without end.
    """
    until = monotonic() + seconds
    with home.database_of(workspace).read() as connection:
        state = read_state(connection)
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(run.c.id), 0))).scalar_one()
    if not state.sandbox:
        raise Denied("clock_of_live_workspace", workspace=workspace)
    if to < state.now:
        raise Invalid("clock_backwards", now=state.now.isoformat(), to=to.isoformat())
    _run_due(home, workspace, worker, sources)
    while to > state.now:
        coming = _next(home, workspace, sources)
        now = home.move_clock(workspace, to if coming is None or coming > to else coming)
        _run_due(home, workspace, worker, sources)
        if now >= to or monotonic() > until:
            return Advanced(now, ran_since(home, workspace, last))
    return Advanced(state.now, ran_since(home, workspace, last))


def _next(home: Home, workspace: str, sources: Sequence[Source]) -> datetime | None:
    ctx = enter_as(home, workspace, "clock")
    return min((instant for source in sources if (instant := source.next(ctx)) is not None and instant > ctx.now), default=None)


def _run_due(home: Home, workspace: str, worker: Worker, sources: Sequence[Source]) -> None:
    """What is due now, and what that makes due at the same instant."""
    worker.settle(workspace)
    for _ in range(MOST_TURNS):
        asked = run_sources(home, workspace, sources)
        if not worker.settle(workspace) and not asked:
            return
    raise Conflict("clock_without_end", limit=MOST_TURNS)


def ran_since(home: Home, workspace: str, last: int) -> list[Ran]:
    """The runs after one of an id, in the order they ended."""
    columns = (run.c.id, run.c.rule, run.c.trigger, run.c.entity, run.c.record, run.c.at, run.c.state)
    with home.database_of(workspace).read() as connection:
        return [Ran(*row) for row in connection.execute(sa.select(*columns).where(run.c.id > last).order_by(run.c.id))]
