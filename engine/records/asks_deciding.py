"""Approvals decided: approved, refused, returned, delegated, withdrawn, escalated, expired; what follows runs in the same transaction, once.

Time never approves. Whoever asked does not decide where the rule says so; that stands in who was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from engine.database import Database
from engine.database_ready import Ready
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.fields.base import Value
from engine.records.asks import APPROVED, EXPIRED, OPEN, PASSED, REFUSED, RETURNED, WAITING, WITHDRAWN, deciding_last, put_people, tell_waiting, those_active
from engine.records.asks_ending import drop_others, end_ask, put_state
from engine.records.ruling_press import parameters_from, read_given
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules.effects import Handle
from engine.storage import Instant
from engine.system_tables_rules import ask, ask_person

T = TypeVar("T")
Row = Mapping[str, Any]
_OPEN = ask.c.state == OPEN
_NEXT = Ready(
    sa.select(*(sa.select(sa.func.min(at, type_=at.type)).where(_OPEN).scalar_subquery().label(at.name) for at in (ask.c.expires_at, ask.c.escalate_at)))
)
_NOW = sa.bindparam("now", type_=Instant())
_DUE = Ready(
    sa.select(ask.c.id)
    .where(_OPEN, sa.or_(ask.c.expires_at <= _NOW, ask.c.escalate_at <= _NOW))
    .order_by(sa.func.coalesce(ask.c.escalate_at, ask.c.expires_at), ask.c.id)
    .limit(100)
)

if TYPE_CHECKING:
    from engine.context import Context


def decide(ctx: Context, number: int, approve: bool, *, opinion: str = "", values: Mapping[str, object] | None = None, json: bool = False) -> str:
    """Say yes or no to an approval that waits for the actor; gives its state afterwards (``open`` while others still have to decide).

    Raises NotFound for one that does not concern them, Conflict "ask_over" or "ask_not_yet", Invalid for a missing opinion or wrong values.
    """

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> str:
        own = _own(ctx, people)
        answers = _answers(saving, row, values or {}) if approve else {}
        if row["opinion"] == "required" and not opinion.strip():
            raise Invalid("invalid", faults=[Fault("/opinion", "required")])
        _mark(saving, own["id"], APPROVED if approve else REFUSED, opinion)
        state = _outcome(row, people, own, approve)
        if state == OPEN:
            _next_turn(saving, row, people, own)
            return state
        answer = {"by": ctx.actor.person_id, "opinion": opinion or None, "at": saving.work.ctx.now, **answers}
        return end_ask(saving, row, state, answer)

    return on_ask(ctx, number, work, json=json)


def give_back(ctx: Context, number: int, opinion: str) -> None:
    """Return it to whoever asked, who may send it again. Raises as ``decide``."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> None:
        own = _own(ctx, people)
        if not opinion.strip():
            raise Invalid("invalid", faults=[Fault("/opinion", "required")])
        _mark(saving, own["id"], RETURNED, opinion)
        put_state(saving, row["id"], RETURNED)

    on_ask(ctx, number, work)


def send_again(ctx: Context, number: int) -> None:
    """Whoever asked sends a returned one again: everybody decides anew."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> None:
        _of_applicant(ctx, row)
        for place, one in enumerate(people):
            state = WAITING if row["need"] == "order" and place else OPEN
            saving.work.connection.execute(sa.update(ask_person).where(ask_person.c.id == one["id"]).values(state=state, decided_at=None))
        put_state(saving, row["id"], OPEN)
        tell_waiting(saving.work.ctx, row["id"])

    on_ask(ctx, number, work, states=(RETURNED,))


def delegate(ctx: Context, number: int, to: int) -> None:
    """Hand one's own turn to somebody else. Raises as ``decide``; Invalid when they are asked already or asked for it themselves."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> None:
        own = _own(ctx, people)
        _may_join(saving, row, people, to)
        _mark(saving, own["id"], PASSED, "")
        put_people(saving.work.ctx, row["id"], [to], first=own["seq"], delegated_from=ctx.actor.person_id)

    on_ask(ctx, number, work)


def add_signer(ctx: Context, number: int, person: int) -> None:
    """Ask one more person, too. Raises as ``delegate``."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> None:
        _own(ctx, people)
        _may_join(saving, row, people, person)
        last = max(one["seq"] for one in people) + 1
        put_people(saving.work.ctx, row["id"], [person], first=last, delegated_from=ctx.actor.person_id)
        if row["need"] == "any":
            saving.work.connection.execute(sa.update(ask).where(ask.c.id == row["id"]).values(need="all"))
            drop_others(saving, row["id"], {ctx.actor.person_id, person})

    on_ask(ctx, number, work)


def withdraw(ctx: Context, number: int) -> None:
    """Whoever asked takes it back, or an administrator does. Raises as ``decide``, Denied for anybody else."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> None:
        _of_applicant(ctx, row)
        end_ask(saving, row, WITHDRAWN, {"by": ctx.actor.person_id, "opinion": None, "at": saving.work.ctx.now})

    on_ask(ctx, number, work, states=(OPEN, RETURNED))


# --- time ----------------------------------------------------------------------------------------------------------------------------------


def next_due(connection: sa.Connection) -> Any:
    """The instant at which an open approval next expires or escalates; None when none does."""
    return min((one for one in _NEXT.rows(connection)[0] if one is not None), default=None)


def due(connection: sa.Connection, now: Any) -> list[int]:
    """Open approvals whose time to escalate or to expire has come, those due first first; some at a time."""
    return [number for (number,) in _DUE.rows(connection, {"now": now})]


def tick(ctx: Context, number: int) -> str:
    """Escalate or expire one approval when its time has come by the workspace's clock; gives its state. Nothing happens twice."""

    def work(saving: Saving, row: Row, people: Sequence[Row]) -> str:
        now = saving.work.ctx.now
        if row["expires_at"] is not None and row["expires_at"] <= now:
            return end_ask(saving, row, EXPIRED, {"by": None, "opinion": None, "at": now})
        if row["escalate_at"] is not None and row["escalate_at"] <= now:
            known = {one["person"] for one in people}
            to = [one for one in row["escalate_to"] or deciding_last(saving.work.ctx) if one not in known]
            put_people(saving.work.ctx, row["id"], to, first=max((one["seq"] for one in people), default=0) + 1)
            saving.work.connection.execute(sa.update(ask).where(ask.c.id == row["id"]).values(escalate_at=None))
        return OPEN

    try:
        return on_ask(ctx, number, work)
    except Conflict as over:
        if over.code != "ask_over":
            raise
        return str(over.params["state"])


# --- inside --------------------------------------------------------------------------------------------------------------------------------


def on_ask(ctx: Context, number: int, work: Callable[[Saving, Row, Sequence[Row]], T], *, states: Sequence[str] = (OPEN,), json: bool = False) -> T:
    """Do something with a standing approval, locked, and everything that follows from it, in one transaction."""

    def inside(ctx: Context) -> T:
        saving = Saving(Work(ctx, json=json))
        connection = saving.work.connection
        select = sa.select(ask).where(ask.c.id == number)
        found = connection.execute(select.with_for_update() if connection.dialect.name == "postgresql" else select).mappings().first()
        if found is None:
            raise NotFound("unknown_ask", id=number)
        wanted = sa.select(ask_person).where(ask_person.c.ask == number).order_by(ask_person.c.seq, ask_person.c.id)
        row, people = dict(found), [dict(one) for one in connection.execute(wanted).mappings()]
        me = ctx.actor.person_id
        if ctx.actor.kind == "person" and me != row["person"] and "people" not in ctx.actor.rights and all(one["person"] != me for one in people):
            raise NotFound("unknown_ask", id=number)
        if row["state"] not in states:
            raise Conflict("ask_over", state=row["state"])
        result = work(saving, row, people)
        saving.finish()
        return result

    if ctx.transaction == "write":
        return inside(ctx)
    database: Database = ctx.workspace.database
    return database.transact(lambda connection: inside(ctx.within(connection)), background=ctx.background)


def _own(ctx: Context, people: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The actor's own open place. Raises Denied when they are not asked, Conflict when it is not their turn or they have decided."""
    mine = [one for one in people if one["person"] == ctx.actor.person_id]
    if not mine:
        raise Denied("ask_not_yours")
    for one in mine:
        if one["state"] == OPEN:
            return one
    if any(one["state"] == WAITING for one in mine):
        raise Conflict("ask_not_yet")
    raise Conflict("ask_over", state=mine[-1]["state"])


def _of_applicant(ctx: Context, row: Mapping[str, Any]) -> None:
    if ctx.actor.kind == "person" and ctx.actor.person_id != row["person"] and "people" not in ctx.actor.rights:
        raise Denied("ask_not_yours")


def _may_join(saving: Saving, row: Row, people: Sequence[Row], person: int) -> None:
    if not those_active(saving.work.ctx, [person]):
        raise Invalid("invalid", faults=[Fault("/person", "link_unknown")])
    if person == row["person"]:
        raise Invalid("invalid", faults=[Fault("/person", "ask_of_applicant")])
    if any(one["person"] == person and one["state"] in (OPEN, WAITING) for one in people):
        raise Invalid("invalid", faults=[Fault("/person", "ask_twice")])


def _mark(saving: Saving, place: int, state: str, opinion: str) -> None:
    values = {"state": state, "decided_at": saving.work.ctx.now, "opinion": opinion or None}
    saving.work.connection.execute(sa.update(ask_person).where(ask_person.c.id == place).values(values))


def _outcome(row: Row, people: Sequence[Row], own: Mapping[str, Any], approve: bool) -> str:
    """What one decision makes of an approval. A number needs so many yeses; it is refused once they can no longer be reached."""
    need = row["need"]
    if need == "any":
        return APPROVED if approve else REFUSED
    states = [("approved" if approve else "refused") if one["id"] == own["id"] else one["state"] for one in people if one["state"] != PASSED]
    yes, left = states.count(APPROVED), states.count(OPEN) + states.count(WAITING)
    wanted = int(need) if need.isdigit() else len(states)
    if yes >= min(wanted, len(states)):
        return APPROVED
    return OPEN if yes + left >= min(wanted, len(states)) else REFUSED


def _next_turn(saving: Saving, row: Row, people: Sequence[Row], own: Mapping[str, Any]) -> None:
    """In turn: the next one may decide now."""
    waiting = [one for one in people if one["state"] == WAITING]
    if row["need"] == "order" and waiting and not any(one["state"] == OPEN and one["id"] != own["id"] for one in people):
        saving.work.connection.execute(sa.update(ask_person).where(ask_person.c.id == waiting[0]["id"]).values(state=OPEN))
        tell_waiting(saving.work.ctx, row["id"])


def _answers(saving: Saving, row: Mapping[str, Any], values: Mapping[str, object]) -> dict[str, Value]:
    """What the approver fills in, read and checked like fields."""
    fields = row["fields"] or {}
    if not fields:
        return {}
    entity, record = row["entity"] or "", row["record"]
    about = Handle(entity, record, saving.work.row) if entity and record is not None else None
    return read_given(saving.work, parameters_from(saving.work.workspace, entity, fields), values, about)
