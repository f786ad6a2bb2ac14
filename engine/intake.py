"""Messages from outside: a key of its own per source, a signature, each message once, its values checked, a run asked for of every rule that waits for it.

Nothing is told to who has no key: an unknown workspace, an unknown source and a wrong signature get one answer, found in the same time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine.actors import enter_as
from engine.clock import wall
from engine.errors import Fault, Invalid, NotFound, Unavailable
from engine.expressions.language import Expression
from engine.fields.base import Value, Wrong, accepted
from engine.jobs import put
from engine.rates import take
from engine.records.query_labels import labels
from engine.records.ruling_press import Parameter, parameters_of
from engine.rule_jobs import JOB, SEALED_PLACE
from engine.rules.book import CompiledRule
from engine.rules.carrying import carry
from engine.rules.compile import rule_book
from engine.surroundings import evaluator_of
from engine.system_tables import idempotency, source_key
from engine.webhooks import Unsigned, new_secret, verified

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home
    from engine.workspace import Workspace

#: Bytes and fields a message may have, and messages a source may send in a minute.
MOST_BYTES, MOST_FIELDS, A_MINUTE = 16 * 1024, 20, 60
#: Seconds after which a source that came before its rules is to come again.
NOT_READY = 300
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PLACE = "source_key.secret"
#: What is verified against where there is no key, so that it takes as long.
_NOBODYS = new_secret()


@dataclass(frozen=True, slots=True)
class SourceKey:
    """A source that has or had a key. ``rules``: how many rules of this version wait for it."""

    source: str
    created_at: datetime
    revoked_at: datetime | None
    rules: int


# --- keys --------------------------------------------------------------------------------------------------------------------------------------


def make_key(ctx: Context, source: str) -> str:
    """A new key for a source, shown once; an earlier one ends at once. Raises Invalid for a name that is none."""
    if not _SOURCE.fullmatch(source):
        raise Invalid("invalid", faults=[Fault("/source", "source_name", {"name": source[:60]})])
    secret = new_secret()
    with ctx.writing() as ctx:
        words = {"secret": ctx.workspace.cipher.seal(secret, _PLACE), "created_at": ctx.now, "revoked_at": None}
        insert = sqlite.insert if ctx.open.dialect.name == "sqlite" else postgresql.insert
        ctx.open.execute(insert(source_key).values(source=source, **words).on_conflict_do_update(index_elements=["source"], set_=words))
    return secret


def revoke_key(ctx: Context, source: str) -> None:
    """End the key of a source, from the next message on. Raises NotFound."""
    with ctx.writing() as ctx:
        live = source_key.update().where(source_key.c.source == source, source_key.c.revoked_at.is_(None))
        if ctx.open.execute(live.values(revoked_at=ctx.now)).rowcount == 0:
            raise NotFound("unknown_source", name=source[:60])


def source_keys(ctx: Context) -> list[SourceKey]:
    """All sources by name."""
    with ctx.reading() as ctx:
        rows = ctx.open.execute(sa.select(source_key).order_by(source_key.c.source)).all()
    return [SourceKey(row.source, row.created_at, row.revoked_at, len(waiting_rules(ctx.workspace, row.source))) for row in rows]


def awaited(workspace: Workspace) -> list[str]:
    """The sources and events the rules of this version wait for."""
    book = rule_book(workspace)
    return sorted({*book.intake, *book.events})


def waiting_rules(workspace: Workspace, source: str) -> tuple[CompiledRule, ...]:
    """The rules a message of a source starts."""
    book = rule_book(workspace)
    return (*book.intake.get(source, ()), *book.events.get(source, ()))


# --- one message -------------------------------------------------------------------------------------------------------------------------------


def admitted(home: Home, workspace: str, source: str, headers: Mapping[str, str], body: bytes) -> tuple[Context, str]:
    """A context for a message that was signed with its source's key, and its id. Raises Unsigned, Unavailable "too_many_attempts"."""
    ctx, sealed = None, None
    try:
        ctx = enter_as(home, workspace, "intake")
        with ctx.reading() as inner:
            known = sa.select(source_key.c.secret).where(source_key.c.source == source, source_key.c.revoked_at.is_(None))
            sealed = inner.open.execute(known).scalar_one_or_none()
    except NotFound:
        pass
    secret = ctx.workspace.cipher.open(sealed, _PLACE) if ctx is not None and sealed is not None else _NOBODYS
    number = verified(secret, headers, body, wall())
    if ctx is None or sealed is None:
        raise Unsigned("signature_wrong")
    take(home.rates, f"intake:{workspace}:{source}", A_MINUTE, timedelta(minutes=1), wall())
    return ctx, number


def accept(ctx: Context, source: str, number: str, body: bytes, given: Mapping[str, object]) -> Mapping[str, Any]:
    """Take a message once: asks for a run of each rule that waits for it. Gives the same receipt for a repetition.

    Raises Invalid with every fault, or for an id that came with other content; Unavailable when no rule waits for the source (yet).
    """
    digest = hashlib.sha256(body).hexdigest()
    with ctx.writing() as ctx:
        earlier = _earlier(ctx, source, number, digest)
        if earlier is not None:
            return earlier
        rules = waiting_rules(ctx.workspace, source)
        if not rules:
            raise Unavailable("intake_not_ready", retry_after=NOT_READY)
        params = read_params(ctx, rules, given)
        receipt = {"id": f"in_{token_hex(12)}"}
        row = {"caller": f"intake:{source}", "key": number, "digest": digest, "status": 202, "answer": receipt, "at": ctx.now}
        insert = sqlite.insert if ctx.open.dialect.name == "sqlite" else postgresql.insert
        if ctx.open.execute(insert(idempotency).values(row).on_conflict_do_nothing().returning(idempotency.c.key)).first() is None:
            return _earlier(ctx, source, number, digest) or receipt
        occurrence = f"intake:{source}:{number}"
        for rule in rules:
            carried = orjson.dumps({name: carry(value) for name, value in params[rule.key].items()}).decode()
            args = {"rule": rule.key, "record": None, "occurrence": occurrence, "sealed": ctx.workspace.cipher.seal(carried, SEALED_PLACE)}
            put(ctx.open, ctx.workspace.name, JOB, args, key=_job_key(ctx, rule, occurrence))
        return receipt


def _job_key(ctx: Context, rule: CompiledRule, occurrence: str) -> str:
    return hashlib.sha256(f"{ctx.workspace.name} {rule.key} {occurrence}".encode()).hexdigest()


def _earlier(ctx: Context, source: str, number: str, digest: str) -> Mapping[str, Any] | None:
    """The receipt of a message that came before. Raises Invalid when it came with other content."""
    known = sa.select(idempotency.c.digest, idempotency.c.answer).where(idempotency.c.caller == f"intake:{source}", idempotency.c.key == number)
    row = ctx.open.execute(known).first()
    if row is None:
        return None
    if row.digest != digest:
        raise Invalid("intake_id_reused")
    return dict(row.answer)


def read_params(ctx: Context, rules: Iterable[CompiledRule], given: Mapping[str, object]) -> dict[str, dict[str, Value]]:
    """The parameters of each rule, read and checked as JSON. Raises Invalid with every fault, also of what no rule takes."""
    if len(given) > MOST_FIELDS:
        raise Invalid("invalid", faults=[Fault("", "intake_too_many", {"limit": MOST_FIELDS})])
    known = {rule.key: parameters_of(ctx.workspace, rule) for rule in rules}
    every = {name for parameters in known.values() for name in parameters}
    faults = [Fault(f"/{_pointer(name)}", "unknown_param", {"name": name[:60]}) for name in given if name not in every]
    found: dict[str, dict[str, Value]] = {}
    for key, parameters in known.items():
        found[key] = {}
        for name, parameter in parameters.items():
            try:
                value = found[key][name] = accepted(parameter.json_reader, given[name]) if name in given else _default(ctx, parameter)
            except Wrong as wrong:
                faults.append(Fault(f"/{name}", wrong.code, wrong.params))
                continue
            faults += _missing(ctx, name, parameter, value)
    if faults:
        raise Invalid("invalid", faults=_once(faults))
    return found


def _once(faults: list[Fault]) -> Iterator[Fault]:
    """Faults without those that several rules have in common."""
    seen: set[tuple[str, str]] = set()
    for fault in faults:
        if (fault.pointer, fault.code) not in seen:
            seen.add((fault.pointer, fault.code))
            yield fault


def _missing(ctx: Context, name: str, parameter: Parameter, value: Value) -> list[Fault]:
    if parameter.required and value in (None, "", []):
        return [Fault(f"/{name}", "required")]
    ids = {value} if isinstance(value, int) else {one for one in value if isinstance(one, int)} if isinstance(value, list) else set()
    if parameter.target and ids and not labels(ctx, parameter.target, ids).keys() >= ids:
        return [Fault(f"/{name}", "link_unknown")]
    return []


def _default(ctx: Context, parameter: Parameter) -> Value:
    default = parameter.default
    if isinstance(default, Expression):
        return evaluator_of(ctx).value(default, {})
    return accepted(parameter.json_reader, default) if default is not None else None


def _pointer(name: str) -> str:
    return name[:60].replace("~", "~0").replace("/", "~1")
