"""Approvals being asked for: who is to decide, by when, and what the branches will need. Deciding stands in asks_deciding.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from engine.database_ready import Ready
from engine.errors import NotFound
from engine.fields.base import Value
from engine.notices import NEXT_HELD, UNREAD, notify_asked
from engine.records.query_labels import labels
from engine.rules.book import CompiledRule
from engine.rules.carrying import carry, revive
from engine.rules.effects import Ask, Handle
from engine.rules.wording import Wording, told, worded
from engine.surroundings import active_with_right, is_there
from engine.system_tables_rules import ask, ask_person

if TYPE_CHECKING:
    from engine.context import Context

OPEN, WAITING, APPROVED, REFUSED, EXPIRED, WITHDRAWN, RETURNED, PASSED = (
    "open",
    "waiting",
    "approved",
    "refused",
    "expired",
    "withdrawn",
    "returned",
    "passed",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """An approval as its page shows it. ``people``: (person, label, state, opinion, decided at), in their turn."""

    id: int
    name: str
    rule: str
    title: str
    state: str
    person: int | None
    applicant: str
    entity: str | None
    record: int | None
    about_entity: str | None
    about: int | None
    opinion: str
    need: str
    fields: Mapping[str, Any]
    answers: Mapping[str, Any]
    at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    people: tuple[tuple[int, str, str, str | None, datetime | None], ...] = ()


def open_ask(ctx: Context, effect: Ask, *, rule: CompiledRule, record: Handle | None, run: int | None) -> Handle:
    """Write an approval, in the rule's transaction. Nobody to ask: those it escalates to; nobody there either: the administrators."""
    without = set(effect.without)
    people = those_active(ctx, [one for one in effect.who if one not in without])
    if not people:
        people = those_active(ctx, [one for one in effect.escalate_to if one not in without]) or those_active(
            ctx, [one for one in deciding_last(ctx) if one not in without]
        )
    now = ctx.now
    about = effect.about
    title = worded(ctx, effect.message or rule.title, effect.shown, rule, record, effect.sources)
    made = ctx.open.execute(
        sa.insert(ask).returning(ask.c.id),
        {
            "rule": rule.key,
            "version": ctx.workspace.version,
            "step": effect.step,
            "name": effect.name,
            "run": run,
            "entity": record.entity if record is not None else None,
            "record": record.id if record is not None else None,
            "about_entity": about.entity if about is not None else None,
            "about": about.id if about is not None else None,
            "person": ctx.actor.person_id,
            "title": title.text,
            "title_frame": title.frame,
            "need": str(effect.need),
            "opinion": effect.opinion,
            "fields": dict(effect.fields) or None,
            "frame": {name: carry(value) for name, value in effect.frame.items()},
            "answers": None,
            "state": OPEN,
            "at": now,
            "expires_at": now + timedelta(seconds=effect.within) if effect.within is not None else None,
            "escalate_at": now + timedelta(seconds=effect.escalate_after) if effect.escalate_after is not None else None,
            "escalate_to": [one for one in effect.escalate_to if one not in without] or None,
        },
    ).scalar_one()
    put_people(ctx, int(made), people, in_turn=effect.need == "order")
    return Handle("ask", int(made), lambda entity, one: None)


def put_people(
    ctx: Context, number: int, people: Sequence[int], *, in_turn: bool = False, first: int = 0, delegated_from: int | None = None, state: str = OPEN
) -> None:
    """Add those who are asked; in turn: only the first may decide now. ``state``: WAITING for turns that come later."""
    rows = [
        {
            "ask": number,
            "person": person,
            "seq": first + place,
            "state": WAITING if in_turn and place else state,
            "at": ctx.now,
            "delegated_from": delegated_from,
        }
        for place, person in enumerate(people)
    ]
    if rows:
        ctx.open.execute(sa.insert(ask_person), rows)
        tell_waiting(ctx, number)


def tell_waiting(ctx: Context, number: int) -> None:
    """Tell those whose turn it is to decide, each once."""
    turn = sa.select(ask_person.c.person).where(ask_person.c.ask == number, ask_person.c.state == OPEN)
    row = ctx.open.execute(sa.select(ask.c.title, ask.c.title_frame, ask.c.rule, ask.c.run).where(ask.c.id == number)).one()
    notify_asked(ctx, number, turn, Wording(row.title, row.title_frame), rule=row.rule, run=row.run)


def those_active(ctx: Context, people: Sequence[int]) -> list[int]:
    """Those of some people who are still there, in their order."""
    table = ctx.workspace.entities["person"].table
    select = sa.select(table.c.id).where(table.c.id.in_(list(people)), is_there(ctx.workspace, ctx.now))
    found = set(ctx.open.execute(select, execution_options={"scoped": True}).scalars()) if people else set()
    return [one for one in dict.fromkeys(people) if one in found]


def deciding_last(ctx: Context) -> list[int]:
    """Those who decide when nobody else is there: who may look after people."""
    return active_with_right(ctx, "people")


def asked(ctx: Context, number: int) -> Asked:
    """One approval, for those it concerns: who asked, who is asked, and whoever may look after people. Raises NotFound."""
    row = ctx.open.execute(sa.select(ask).where(ask.c.id == number)).mappings().first()
    wanted = sa.select(ask_person).where(ask_person.c.ask == number).order_by(ask_person.c.seq, ask_person.c.id)
    people = [dict(one) for one in ctx.open.execute(wanted).mappings()]
    me = ctx.actor.person_id
    if row is None or not (ctx.actor.kind == "system" or me == row["person"] or "people" in ctx.actor.rights or any(one["person"] == me for one in people)):
        raise NotFound("unknown_ask", id=number)
    return views(ctx, [dict(row)], {number: people})[0]


def views(ctx: Context, rows: Sequence[Mapping[str, Any]], people: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Asked]:
    """Approvals as the actor may read them."""
    titles = told(ctx, [Wording(row["title"] or str(row["name"]), row["title_frame"]) for row in rows])
    return [_view(ctx, row, title, people.get(row["id"], ())) for row, title in zip(rows, titles, strict=True)]


def _view(ctx: Context, row: Mapping[str, Any], title: str, people: Sequence[Mapping[str, Any]]) -> Asked:
    """An approval with the names of its people. A title that was filled in when it was asked has its braces doubled."""
    named = labels(ctx, "person", {one for one in (row["person"], *(item["person"] for item in people)) if one is not None})
    return Asked(
        row["id"],
        row["name"],
        row["rule"],
        title if row["title_frame"] is not None else title.replace("{{", "{").replace("}}", "}"),
        row["state"],
        row["person"],
        named.get(row["person"], ""),
        row["entity"],
        row["record"],
        row["about_entity"],
        row["about"],
        row["opinion"],
        row["need"],
        row["fields"] or {},
        row["answers"] or {},
        row["at"],
        row["expires_at"],
        row["decided_at"],
        tuple((one["person"], named.get(one["person"], f"#{one['person']}"), one["state"], one["opinion"], one["decided_at"]) for one in people),
    )


def answers_of(one: Asked) -> dict[str, Value]:
    """What the approver filled in, as values; records by their handle."""
    found = {name: revive(value, lambda entity, record: None) for name, value in one.answers.items()}
    return {name: value for name, value in found.items() if name in one.fields}


def mine(ctx: Context, *, state: str = OPEN, before: int | None = None, limit: int = 50) -> list[Asked]:
    """Approvals waiting for the actor (``open``), decided by them (``done``) or asked for by them (``asked``), newest first."""
    me = ctx.actor.person_id
    select = sa.select(ask).order_by(ask.c.id.desc()).limit(limit)
    if state == "asked":
        select = select.where(ask.c.person == me)
    else:
        own = sa.select(ask_person.c.ask).where(ask_person.c.person == me)
        own = own.where(ask_person.c.state == OPEN) if state == OPEN else own.where(ask_person.c.state.in_((APPROVED, REFUSED)))
        select = select.where(ask.c.id.in_(own))
        if state == OPEN:
            select = select.where(ask.c.state == OPEN)
    if before is not None:
        select = select.where(ask.c.id < before)
    rows = [dict(row) for row in ctx.open.execute(select).mappings()]
    return views(ctx, rows, _people_of(ctx, rows))


def waiting_for(ctx: Context) -> int:
    """How many approvals wait for the actor: the number on the badge. One indexed statement."""
    with ctx.reading() as ctx:
        found = _waiting.first(ctx.open, {"p_person": ctx.actor.person_id or 0})
        return int(found[0]) if found is not None else 0


class Waits(NamedTuple):
    """What waits for somebody: approvals, unread messages; ``concerned``: whether an approval was ever asked of them, or by them."""

    asks: int
    unread: int
    concerned: bool


def what_waits(ctx: Context) -> Waits:
    """What waits for the actor: what every page shows of it, in one statement.

    Not read again while nobody has committed anything and no message that is held back has come due.
    """
    person, now = ctx.actor.person_id or 0, ctx.now

    def ask(connection: sa.Connection) -> tuple[Any, ...]:
        return _all_that_waits.first(connection, {"p_person": person, "p_now": now}) or (0, 0, False, None)

    found = ask(ctx.open) if ctx.connection is not None else ctx.workspace.database.kept(("waiting", person), ask)
    if found[3] is not None and found[3] <= now:
        with ctx.reading() as ctx:
            found = ask(ctx.open)
    return Waits(int(found[0]), int(found[1]), bool(found[2]))


_whose = sa.bindparam("p_person", type_=sa.BigInteger)
_waits = (
    sa.select(sa.func.count())
    .select_from(ask_person.join(ask, ask.c.id == ask_person.c.ask))
    .where(ask_person.c.person == _whose, ask_person.c.state == OPEN, ask.c.state == OPEN)
)
_waiting = Ready(_waits)
_concerned = sa.or_(sa.exists().where(ask_person.c.person == _whose), sa.exists().where(ask.c.person == _whose))
_all_that_waits = Ready(sa.select(_waits.scalar_subquery(), UNREAD.scalar_subquery(), _concerned, NEXT_HELD.scalar_subquery()))


def asked_about(ctx: Context, entity: str, record: int, limit: int = 20) -> list[Asked]:
    """The newest approvals about a record that concern the actor: asked for by them, asked of them, or whoever may look after people."""
    return asked_and_awaited(ctx, entity, record, limit)[0]


def asked_and_awaited(ctx: Context, entity: str, record: int, limit: int = 20) -> tuple[list[Asked], frozenset[str]]:
    """As ``asked_about``, with the rules whose approval is awaited, whomever it concerns."""
    terms = sa.or_(sa.and_(ask.c.about_entity == entity, ask.c.about == record), sa.and_(ask.c.entity == entity, ask.c.record == record))
    rows = [dict(row) for row in ctx.open.execute(sa.select(ask).where(terms).order_by(ask.c.id.desc()).limit(limit)).mappings()]
    people, me = _people_of(ctx, rows), ctx.actor.person_id
    concern = [row for row in rows if me == row["person"] or "people" in ctx.actor.rights or any(one["person"] == me for one in people.get(row["id"], ()))]
    return views(ctx, concern, people), frozenset(row["rule"] for row in rows if row["state"] == OPEN)


def _people_of(ctx: Context, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Those who are asked, by approval."""
    people: dict[int, list[Mapping[str, Any]]] = {}
    wanted = sa.select(ask_person).where(ask_person.c.ask.in_([row["id"] for row in rows])).order_by(ask_person.c.ask, ask_person.c.seq, ask_person.c.id)
    for one in ctx.open.execute(wanted).mappings() if rows else ():
        people.setdefault(one["ask"], []).append(dict(one))
    return people
