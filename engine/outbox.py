"""The outbox: messages to the outside, put into the same commit as the change that causes them. What sends them is engine/delivery.py.

In a sandbox they are captured and never leave, in a demo as long as nobody has set up the connection; in a restored workspace they are held until an operator releases them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine import jobs
from engine.errors import NotFound
from engine.expressions import calendars
from engine.fields.values import Link
from engine.rules.effects import Handle, Notify, Send
from engine.rules.wording import Wording
from engine.scope import engine_select
from engine.surroundings import environment, is_there
from engine.system_tables import workspace_state
from engine.system_tables_rules import outgoing

if TYPE_CHECKING:
    from engine.context import Context

JOB = "send"
WAITING, SENT, CAPTURED, HELD, DEAD = "waiting", "sent", "captured", "held", "dead"
STATES = (WAITING, HELD, DEAD, SENT, CAPTURED)
SEALED_PLACE, SAID_PLACE = "outgoing.sealed", "outgoing.said"
_RELEASED_AT_ONCE = 500


def opening(ctx: Context, calendar: str) -> datetime:
    """When a message held by a calendar setting goes: now if it is open, else at the next opening; now too without one or when it never opens."""
    given = ctx.workspace.settings.get(calendar) if calendar else None
    if not isinstance(given, Mapping):
        return ctx.now
    try:
        found = calendars.read(given).open_at(ctx.now, ctx.workspace.timezone, environment(ctx).holidays)
    except calendars.BadCalendar:
        return ctx.now
    return found or ctx.now


# --- putting -----------------------------------------------------------------------------------------------------------------------------------


def send(ctx: Context, effect: Send, *, rule: str, run: int | None) -> int:
    """Put a message addressed by a rule, in the open transaction; gives its row's id. One with the same key is that row already."""
    sealed = {"address": effect.address, "payload": dict(effect.payload)}
    row = {
        **_row(ctx, effect.connector, rule, run),
        "template": effect.template or None,
        "text": effect.text or None,
        "sealed": ctx.workspace.cipher.seal(orjson.dumps(sealed, default=_json).decode(), SEALED_PLACE),
        "key": effect.key,
    }
    insert = sqlite.insert if ctx.open.dialect.name == "sqlite" else postgresql.insert
    made = ctx.open.execute(insert(outgoing).values(row).on_conflict_do_nothing(index_elements=["key"]).returning(outgoing.c.id)).scalar()
    if made is None:
        return int(ctx.open.execute(sa.select(outgoing.c.id).where(outgoing.c.key == effect.key)).scalar_one())
    _ask(ctx, int(made), row)
    return int(made)


def _json(value: object) -> object:
    """What JSON has no word for: a record as its id."""
    return value.id if isinstance(value, Handle | Link) else str(value)


def send_to_people(ctx: Context, effect: Notify, wording: Wording, *, rule: str, run: int | None) -> int:
    """Put a message to each person who is there through a connection; where they are reached and what they may read of it is found when it leaves."""
    person = ctx.workspace.entities["person"]
    chosen = engine_select(person, person.table.c.id).where(person.table.c.id.in_(sorted(set(effect.people))), is_there(ctx.workspace, ctx.now))
    people = ctx.open.execute(chosen.order_by(person.table.c.id)).scalars().all()
    if not people:
        return 0
    about = effect.about
    row = {
        **_row(ctx, effect.channel, rule, run),
        "at": opening(ctx, effect.hours),
        "template": effect.template or None,
        "text": wording.text,
        "frame": wording.frame,
        "entity": about.entity if about is not None else None,
        "record": about.id if about is not None else None,
    }
    rows = [{**row, "person": one, "key": f"msg_{token_hex(16)}"} for one in people]
    made = ctx.open.execute(sa.insert(outgoing).returning(outgoing.c.id, sort_by_parameter_order=True), rows).scalars().all()
    for number in made:
        _ask(ctx, int(number), row)
    return len(made)


def _row(ctx: Context, connection: str, rule: str, run: int | None) -> dict[str, Any]:
    state = CAPTURED if ctx.workspace.sandbox else HELD if _held(ctx) else WAITING
    return {"at": ctx.now, "connector": connection, "rule": rule or None, "run": run, "state": state, "tries": 0}


def _held(ctx: Context) -> bool:
    return bool(ctx.open.execute(sa.select(workspace_state.c.hold_outgoing)).scalar_one())


def _ask(ctx: Context, number: int, row: Mapping[str, Any]) -> None:
    """The job that sends a waiting message, in the same commit."""
    if row["state"] == WAITING:
        later = row["at"] if row["at"] > ctx.now else None
        job = jobs.put(ctx.open, ctx.workspace.name, JOB, {"outgoing": number}, key=f"{JOB}:{ctx.workspace.name}:{number}", run_at=later)
        ctx.open.execute(outgoing.update().where(outgoing.c.id == number).values(job=job))


# --- releasing, sending again ----------------------------------------------------------------------------------------------------------------


def holding(ctx: Context) -> bool:
    """Whether new messages of this workspace are held, or some still are."""
    with ctx.reading() as ctx:
        waits = ctx.open.execute(sa.select(outgoing.c.id).where(outgoing.c.state == HELD).limit(1)).first()
        return waits is not None or (_held(ctx) and not ctx.workspace.sandbox)


def release(ctx: Context) -> int:
    """Let held messages go, and new ones leave at once from now on; gives how many went. Of a sandbox none ever leaves."""
    if ctx.workspace.sandbox:
        return 0
    with ctx.writing() as inner:
        inner.open.execute(workspace_state.update().values(hold_outgoing=False))
    count = 0
    while True:
        with ctx.writing() as inner:
            rows = inner.open.execute(sa.select(outgoing.c.id, outgoing.c.at).where(outgoing.c.state == HELD).order_by(outgoing.c.id).limit(_RELEASED_AT_ONCE))
            found = [(row.id, row.at) for row in rows]
            _go(inner, found, HELD)
        count += len(found)
        if len(found) < _RELEASED_AT_ONCE:
            return count


def send_again(ctx: Context, ids: Iterable[int]) -> int:
    """Try dead messages once more, each with its own key; gives how many. Raises NotFound when there is none among them."""
    with ctx.writing() as ctx:
        chosen = sa.select(outgoing.c.id, outgoing.c.at).where(outgoing.c.id.in_(sorted(set(ids))), outgoing.c.state == DEAD).order_by(outgoing.c.id)
        found = [(row.id, row.at) for row in ctx.open.execute(chosen)]
        if not found:
            raise NotFound("outgoing_none_dead")
        _go(ctx, found, DEAD)
    return len(found)


def _go(ctx: Context, rows: list[tuple[int, datetime]], before: str) -> None:
    ids = [number for number, _ in rows]
    ctx.open.execute(outgoing.update().where(outgoing.c.id.in_(ids), outgoing.c.state == before).values(state=WAITING, error=None))
    for number, at in rows:
        _ask(ctx, number, {"state": WAITING, "at": at})
