"""The outbox as those who keep settings read it: each message as it was said, as far as its reader may see what it was made of. Sends nothing (delivery.py does)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from engine.access import sees_whole
from engine.actors import enter_as
from engine.delivery import Letter, letter, title_of
from engine.errors import NotFound, Refusal
from engine.fields.values import HIDDEN
from engine.outbox import SAID_PLACE
from engine.rules.book import Step, every_step
from engine.rules.compile import rule_book
from engine.rules.sight import Sight
from engine.rules.wording import Wording, told
from engine.system_tables_rules import outgoing

if TYPE_CHECKING:
    from engine.context import Context


@dataclass(frozen=True, slots=True)
class OutgoingView:
    """A message of the outbox for administrators. ``text`` as it was sent, or (captured, not yet sent) as it would be now; ``problem``: a code and params."""

    id: int
    at: datetime
    connector: str
    person: int | None
    address: str
    title: str
    text: str
    payload: Mapping[str, Any]
    template: str
    state: str
    tries: int
    problem: tuple[str, Mapping[str, Any]] | None
    sent_at: datetime | None
    key: str
    rule: str | None
    run: int | None
    entity: str | None
    record: int | None


def outbox(ctx: Context, *, state: str = "", connector: str = "", cursor: int = 0, limit: int = 50) -> tuple[list[OutgoingView], int]:
    """Newest first; the second part goes on where this page ends (0: the last page)."""
    select = sa.select(outgoing).order_by(outgoing.c.id.desc()).limit(limit + 1)
    if state:
        select = select.where(outgoing.c.state == state)
    if connector:
        select = select.where(outgoing.c.connector == connector)
    if cursor:
        select = select.where(outgoing.c.id < cursor)
    with ctx.reading() as inner:
        rows = inner.open.execute(select).all()
    items = _views(ctx, rows[:limit])
    return items, items[-1].id if len(rows) > limit else 0


def counts(ctx: Context) -> dict[str, int]:
    """How many messages there are in each state."""
    with ctx.reading() as ctx:
        rows = ctx.open.execute(sa.select(outgoing.c.state, sa.func.count()).group_by(outgoing.c.state))
        return {state: int(number) for state, number in rows}


def find_outgoing(ctx: Context, number: int) -> OutgoingView:
    """One message. Raises NotFound."""
    with ctx.reading() as inner:
        rows = inner.open.execute(sa.select(outgoing).where(outgoing.c.id == number)).all()
    if not rows:
        raise NotFound("unknown_outgoing", id=number)
    return _views(ctx, rows)[0]


def _views(ctx: Context, rows: Sequence[Any]) -> list[OutgoingView]:
    engine, sight = enter_as(ctx.home, ctx.workspace.name, "outbox", locale=ctx.locale), Sight(ctx)
    return [_view(sight, row, _said(engine, row)) for row in rows]


def _view(sight: Sight, row: Any, said: Letter) -> OutgoingView:
    shown = _to_a_person(sight, row, said) if row.person is not None else _by_a_rule(sight, row, said)
    params = dict((row.error or {}).get("params") or {})
    if shown != said:  # what a service answered may repeat what it was sent
        params = {name: value if isinstance(value, int | float) else HIDDEN for name, value in params.items()}
    return OutgoingView(
        row.id,
        row.at,
        row.connector,
        row.person,
        shown.address,
        shown.title,
        shown.text,
        shown.payload,
        row.template or "",
        row.state,
        row.tries,
        (str(row.error["code"]), params) if row.error else None,
        row.sent_at,
        row.key,
        row.rule,
        row.run,
        row.entity,
        row.record,
    )


def _said(ctx: Context, row: Any) -> Letter:
    if row.said:
        found = orjson.loads(ctx.workspace.cipher.open(row.said, SAID_PLACE))
        return Letter(found["address"], found["title"], found["text"], found["payload"], ctx.locale)
    try:
        return letter(ctx, row, None)
    except Refusal:
        return Letter("", title_of(ctx, row, ctx.locale), "", {}, ctx.locale)


def _to_a_person(sight: Sight, row: Any, said: Letter) -> Letter:
    """A message to one of the people was worded for their eyes; whoever looks reads it with their own, and addresses where people's fields are open to them."""
    if sees_whole(sight.ctx):
        return said
    address = said.address if sees_whole(sight.ctx, "person") else _closed(said.address)
    return replace(said, address=address, text=told(sight.ctx, [Wording(row.text or "", row.frame)])[0] if said.text else "")


def _by_a_rule(sight: Sight, row: Any, said: Letter) -> Letter:
    """A message that a rule addressed is shown where all may be seen that its parts were made of; one nothing is known of, to who sees everything."""
    if sees_whole(sight.ctx):
        return said
    rule = rule_book(sight.ctx.workspace).rules.get(row.rule) if row.rule else None
    steps = [step for step in every_step(rule.steps) if step.verb == "do"] if rule is not None else []
    to, rest = (_known(sight, rule.entity if rule is not None else "", steps, receiver=receiver) for receiver in (True, False))
    shown = said if to else replace(said, address=_closed(said.address))
    return shown if rest else replace(shown, text=_closed(shown.text), payload={})


def _known(sight: Sight, entity: str, steps: Iterable[Step], *, receiver: bool) -> bool:
    """Whether the reader may see what the receiver, or everything else, of a rule's messages is made of."""
    terms = [term for step in steps for place, term in step.terms.items() if (place == "with/to") is receiver]
    return bool(terms) and all(sight.knows(entity, None, term) for term in terms)


def _closed(text: str) -> str:
    return HIDDEN if text else ""
