"""Approvals that wait for somebody who left: their turn goes to whoever leads them, else to those it escalates to, else to the administrators, with a notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.actors import read_teams
from engine.clock import read_state
from engine.records.asks import APPROVED, OPEN, PASSED, REFUSED, WAITING, deciding_last, put_people, those_active
from engine.records.asks_deciding import on_ask
from engine.surroundings import is_there
from engine.system_tables_rules import ask, ask_person

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.saving import Saving

Row = Mapping[str, Any]
_ASKED = (OPEN, WAITING)


def left_waiting(ctx: Context, after: int = 0, limit: int = 50) -> list[int]:
    """Open approvals in which a turn is with somebody who is not there any more, by id."""
    left = sa.select(ctx.workspace.entities["person"].table.c.id).where(sa.not_(is_there(ctx.workspace, ctx.now)))
    turns = ask.join(ask_person, ask_person.c.ask == ask.c.id)
    select = (
        sa.select(ask.c.id)
        .select_from(turns)
        .where(ask.c.id > after, ask.c.state == OPEN, ask_person.c.state.in_(_ASKED), ask_person.c.person.in_(left))
        .distinct()
        .order_by(ask.c.id)
        .limit(limit)
    )
    return list(ctx.open.execute(select, execution_options={"scoped": True}).scalars())


def pass_on(ctx: Context, number: int) -> int:
    """Give the turns of those who left to somebody who is there; gives how many. A turn stays where nobody is there to take it."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> int:
        asked = [one for one in people if one["state"] in _ASKED]
        there = set(those_active(saving.work.ctx, [one["person"] for one in asked]))
        return sum(_hand_on(saving, row, people, one, there) for one in asked if one["person"] not in there)

    return on_ask(ctx, number, work)


def _hand_on(saving: Saving, row: Row, people: Sequence[Row], turn: Row, there: set[int]) -> bool:
    ctx = saving.work.ctx
    to = _instead(saving, row, people, turn)
    if not (to or there):
        return False
    ctx.open.execute(sa.update(ask_person).where(ask_person.c.id == turn["id"]).values(state=PASSED, decided_at=ctx.now))
    put_people(ctx, row["id"], to, first=turn["seq"], delegated_from=turn["person"], state=turn["state"])
    there.update(to)
    return True


def _instead(saving: Saving, row: Row, people: Sequence[Row], turn: Row) -> list[int]:
    """Who takes the turn: never whoever asked, nor anybody who is asked or has decided already."""
    ctx = saving.work.ctx
    taken = {row["person"], *(one["person"] for one in people if one["state"] in (*_ASKED, APPROVED, REFUSED))}
    one_only = row["need"] in ("all", "order")
    groups = ((list(_leads(saving, turn["person"])), True), (row["escalate_to"] or (), one_only), (deciding_last(ctx), one_only))
    for group, only in groups:
        found = [one for one in those_active(ctx, group) if one not in taken]
        if found:
            return found[:1] if only else found
    return []


def _leads(saving: Saving, person: int) -> Iterator[int]:
    """Who leads a person, from the own team upwards."""
    work = saving.work
    teams, row, seen = read_teams(work.connection, work.workspace, read_state(work.connection)), work.row("person", person), set[int]()
    number: int | None = row.get("team") if row is not None else None
    while number is not None and number in teams and number not in seen:
        seen.add(number)
        team = teams[number]
        if team.lead is not None and team.lead != person:
            yield team.lead
        number = team.parent
