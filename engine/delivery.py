"""Delivering the outbox: one job per message, tried again with pauses that grow, always with the same key, given up on in the open.

A message to a person is worded for that person when it leaves, in their language and under their rights, and what it said is kept with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from engine import accounts
from engine.actors import enter_as, enter_id
from engine.clock import wall
from engine.connections import Connection, connector_of, find_connection, secret_of
from engine.connectors import Connector, OutgoingMessage, SendFailed
from engine.errors import Invalid, NotFound, Refusal, Unavailable
from engine.jobs import JobKind, JobRun, table_for
from engine.outbox import CAPTURED, DEAD, HELD, JOB, SAID_PLACE, SEALED_PLACE, SENT, WAITING
from engine.records.query import among
from engine.rules.compile import rule_book
from engine.rules.wording import Wording, told
from engine.system_tables import workspace_state
from engine.system_tables_rules import outgoing
from metadata.text import label_text

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home

log = logging.getLogger("tangram.outbox")

#: Tries after the first; with the pauses of jobs (2 s, doubled each time, at most an hour) the last comes about ten hours later.
RETRIES = 20
_LONGEST_REASON = 300
#: Telephones are kept with their country; services here want those of this one without.
_HOME_COUNTRY = "+86"


class NotSent(Unavailable):
    """This try failed: the job tries again, after the seconds the receiver asked for where it did."""


@dataclass(frozen=True, slots=True)
class Letter:
    """Where a message goes and what it says, filled in. ``address`` '' for services that have only one."""

    address: str
    title: str
    text: str
    payload: Mapping[str, Any]
    locale: str


# --- filling in --------------------------------------------------------------------------------------------------------------------------------


def letter(ctx: Context, row: Any, connector: Connector | None, reached: str = "") -> Letter:
    """What a row of the outbox says. Raises NotFound "recipient_left", Invalid "recipient_unreachable" when the person has no such address."""
    if row.person is None:
        sealed = orjson.loads(ctx.workspace.cipher.open(row.sealed, SEALED_PLACE)) if row.sealed else {}
        text = label_text(row.text, ctx.locale)
        return Letter(str(sealed.get("address") or ""), title_of(ctx, row, ctx.locale), text, sealed.get("payload") or {}, ctx.locale)
    reader = _reader(ctx.home, ctx.workspace.name, row.person)
    address = _address(ctx, row.person, connector, reached) if connector is not None else ""
    return Letter(address, title_of(ctx, row, reader.locale), told(reader, [Wording(row.text or "", row.frame)])[0], {}, reader.locale)


def _reader(home: Home, workspace: str, person: int) -> Context:
    try:
        found = enter_id(home, workspace, person)
    except NotFound as gone:
        raise NotFound("recipient_left") from gone
    account = accounts.find_account(home, str(found.actor.fields.get("login") or ""))
    return replace(found, locale=account.locale) if account is not None else found


def title_of(ctx: Context, row: Any, locale: str) -> str:
    """What a message is called: its rule's title, else the workspace's."""
    rule = rule_book(ctx.workspace).rules.get(row.rule) if row.rule else None
    return label_text(rule.title if rule is not None else "", locale) or label_text(ctx.workspace.title, locale)


def _address(ctx: Context, person: int, connector: Connector, reached: str) -> str:
    """Where a person is reached by a service: the field its administrator named, else the first of the fitting type, else (for accounts) the login."""
    if connector.reached == "fixed":
        return ""
    fields = ctx.workspace.entities["person"].fields
    key = reached or next((name for name, item in fields.items() if item.type.name == connector.reached and not item.definition.retired), "")
    key = key or ("login" if connector.reached == "account" else "")
    with ctx.reading() as inner:
        found = among(inner, "person", "id", [person], [key]) if key in fields else []
    value = found[0].get(key) if found else None
    if not value:
        raise Invalid("recipient_unreachable", field=key or connector.reached)
    return str(value).removeprefix(_HOME_COUNTRY) if connector.reached == "phone" else str(value)


# --- one try -----------------------------------------------------------------------------------------------------------------------------------


def run(job: JobRun) -> Mapping[str, Any] | None:
    """Try to send one message. What became of the try stands in its row, whatever becomes of the job."""
    ctx = enter_as(job.home, job.workspace, "outbox")
    with ctx.reading() as inner:
        row = inner.open.execute(sa.select(outgoing).where(outgoing.c.id == job.args["outgoing"])).one_or_none()
        hold, demo = inner.open.execute(sa.select(workspace_state.c.hold_outgoing, workspace_state.c.demo)).one()
    if row is None or row.state != WAITING:
        return {"state": row.state if row is not None else "gone"}
    if ctx.workspace.sandbox or hold:
        return _put_aside(job, row, CAPTURED if ctx.workspace.sandbox else HELD)
    said: Letter | None = None
    try:
        connection = find_connection(ctx, row.connector)
        if not connection.active:
            raise Invalid("connection_off", name=row.connector)
        connector = connector_of(ctx, connection.kind)
        said = letter(ctx, row, connector, connection.reached)
        given = _send(ctx, connector, connection, row, said, job.attempt)
    except SendFailed as failed:
        _note(ctx, job, row, said, failed.reason, failed.params, final=not failed.again or job.attempt > RETRIES)
        if failed.again and job.attempt <= RETRIES:
            raise NotSent("outgoing_not_sent", retry_after=failed.wait) from failed
    except Refusal as refusal:
        if refusal.code in ("database_busy", "database_lost"):
            raise
        if demo and refusal.code == "unknown_connection":
            return _put_aside(job, row, CAPTURED)  # nobody sets up connections to look at a demo: what would leave is there to be read
        _note(ctx, job, row, said, refusal.code, refusal.params, final=True)
    except Exception as error:
        log.exception("connector of %s failed", row.connector)
        _note(ctx, job, row, said, "connector_failed", {"name": row.connector, "kind": type(error).__name__}, final=job.attempt > RETRIES)
        if job.attempt <= RETRIES:
            raise NotSent("outgoing_not_sent") from error
    else:
        return _sent(ctx, job, row, said, given)
    return {"state": DEAD}


def _send(ctx: Context, connector: Connector, connection: Connection, row: Any, said: Letter, attempt: int) -> Mapping[str, Any]:
    message = OutgoingMessage(
        row.key, said.address, said.text, said.title, row.template or "", said.payload, said.locale, ctx.workspace.name, row.at, wall(), attempt
    )
    return connector.send(message, connection.options, secret_of(ctx, connection.name), ctx.home.outbound) or {}


def _put_aside(job: JobRun, row: Any, state: str) -> Mapping[str, Any]:
    with job.database.write(background=True) as connection:
        job.checkpoint(connection, {"state": state})
        connection.execute(outgoing.update().where(outgoing.c.id == row.id, outgoing.c.state == WAITING).values(state=state, job=None))
    return {"state": state}


def _sent(ctx: Context, job: JobRun, row: Any, said: Letter, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Note that it left. Fenced: a worker whose lease is over notes nothing."""
    with job.database.write(background=True) as connection:
        job.checkpoint(connection, {"state": SENT})
        connection.execute(
            outgoing.update().where(outgoing.c.id == row.id).values(state=SENT, tries=row.tries + 1, error=None, sent_at=wall(), said=_kept(ctx, said, given))
        )
    return {"state": SENT}


def _note(ctx: Context, job: JobRun, row: Any, said: Letter | None, code: str, params: Mapping[str, object], *, final: bool) -> None:
    """Note a try that failed, and that there will be no other when it was the last."""
    values: dict[str, Any] = {"tries": row.tries + 1, "error": {"code": code[:_LONGEST_REASON], "params": _bounded(params)}}
    if said is not None:
        values["said"] = _kept(ctx, said, {})
    if final:
        values |= {"state": DEAD, "job": None}
    with job.database.write(background=True) as connection:
        job.checkpoint(connection, {"state": DEAD if final else WAITING})
        connection.execute(outgoing.update().where(outgoing.c.id == row.id).values(values))


def _bounded(params: Mapping[str, object]) -> dict[str, Any]:
    return {str(name): value if isinstance(value, int | float) else str(value)[:_LONGEST_REASON] for name, value in params.items()}


def _kept(ctx: Context, said: Letter, given: Mapping[str, Any]) -> str:
    found = {"address": said.address, "title": said.title, "text": said.text, "payload": said.payload, "given": given}
    return ctx.workspace.cipher.seal(orjson.dumps(found, default=str).decode(), SAID_PLACE)


KIND = JobKind(JOB, run, retries=RETRIES)


def mend(ctx: Context) -> int:
    """Messages that wait though their job was given up on (its worker died of it too often) go dead, to be sent again by hand; gives how many."""
    jobs = table_for(ctx.workspace.database.dialect)
    alive = sa.select(jobs.c.id).where(jobs.c.id == outgoing.c.job, jobs.c.queue == "waiting").exists()
    lost = outgoing.update().where(outgoing.c.state == WAITING, ~alive)
    with ctx.writing() as ctx:
        done = ctx.open.execute(lost.values(state=DEAD, job=None, error={"code": "job_killed_worker", "params": {"name": JOB}}))
        return int(done.rowcount)


# --- trying a connection out -----------------------------------------------------------------------------------------------------------------


def try_out(ctx: Context, name: str, address: str, text: str) -> None:
    """Send a test message at once, past the outbox. Raises Invalid "try_out_failed" with the reason; in a sandbox nothing is sent and it says so."""
    if ctx.workspace.sandbox:
        raise Invalid("try_out_sandbox")
    connection = find_connection(ctx, name)
    connector, engine = connector_of(ctx, connection.kind), enter_as(ctx.home, ctx.workspace.name, "outbox", locale=ctx.locale)
    row = _Trial(f"test_{int(wall().timestamp() * 1000)}", ctx.now)
    said = Letter(address, label_text(ctx.workspace.title, ctx.locale, ctx.workspace.name), text, {}, ctx.locale)
    try:
        _send(engine, connector, connection, row, said, 1)
    except SendFailed as failed:
        raise Invalid("try_out_failed", reason=(failed.reason, dict(failed.params))) from failed
    except Exception as error:
        log.exception("connector of %s failed", name)
        raise Invalid("try_out_failed", reason=("connector_failed", {"name": name, "kind": type(error).__name__})) from error


@dataclass(frozen=True, slots=True)
class _Trial:
    key: str
    at: datetime
    template: str = ""
