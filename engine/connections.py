"""Connections: how messages of this workspace reach a service. Options as the connector's JSON Schema says, one secret, sealed and never shown again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.connectors import Connector
from engine.errors import Fault, Invalid, NotFound
from engine.system_tables_rules import connector as table
from metadata.shape import option_problems

if TYPE_CHECKING:
    from engine.context import Context

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PLACE = "connector.secret"
#: Names that mean the application itself.
TAKEN = ("screen",)
#: Formats of options that name a host: a secret belongs to the host it was given for.
_HOSTS = ("uri", "hostname")
LONGEST_SECRET = 4000


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as administrators see it: never its secret. ``known``: whether the connector of its kind is still installed."""

    name: str
    kind: str
    options: Mapping[str, Any]
    reached: str
    has_secret: bool
    active: bool
    at: datetime
    known: bool


def connections(ctx: Context) -> list[Connection]:
    """All of them by name."""
    with ctx.reading() as ctx:
        return [_connection(ctx, row) for row in ctx.open.execute(sa.select(table).order_by(table.c.name))]


def find_connection(ctx: Context, name: str) -> Connection:
    """One by name. Raises NotFound."""
    with ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(table).where(table.c.name == name)).one_or_none()
        if row is None:
            raise NotFound("unknown_connection", name=name)
        return _connection(ctx, row)


def _connection(ctx: Context, row: Any) -> Connection:
    return Connection(
        row.name, row.kind, row.options, row.reached or "", row.secret is not None, row.active, row.at, row.kind in ctx.workspace.registry.connectors
    )


def connector_of(ctx: Context, kind: str) -> Connector:
    """The connector of a kind. Raises NotFound."""
    found = ctx.workspace.registry.connectors.get(kind)
    if found is None:
        raise NotFound("unknown_connector", kind=kind)
    return found


def secret_of(ctx: Context, name: str) -> str:
    """The secret itself, for who sends; '' when there is none."""
    with ctx.reading() as ctx:
        sealed = ctx.open.execute(sa.select(table.c.secret).where(table.c.name == name)).scalar_one_or_none()
    return ctx.workspace.cipher.open(sealed, _PLACE) if sealed is not None else ""


def keep_connection(
    ctx: Context, name: str, kind: str, options: Mapping[str, Any], *, secret: str | None = None, reached: str = "", active: bool = True, new: bool = False
) -> Connection:
    """Set a connection up or change it. ``secret`` None keeps the one there is, unless it was given for another host: then it is forgotten.

    Raises Invalid with every fault, NotFound for an unknown kind.
    """
    connector = connector_of(ctx, kind)
    given = {key: value for key, value in options.items() if value not in ("", None)}
    with ctx.writing() as inner:
        before = inner.open.execute(sa.select(table).where(table.c.name == name)).one_or_none()
        faults = [*_named(ctx, name, taken=new and before is not None), *_faults(connector, given, reached, ctx), *_secret_faults(secret)]
        if before is not None and before.kind != kind:
            faults.append(Fault("/kind", "connection_kind_fixed"))
        if faults:
            raise Invalid("invalid", faults=faults)
        sealed = before.secret if before is not None and _hosts(connector, before.options) == _hosts(connector, given) else None
        if secret is not None:
            sealed = inner.workspace.cipher.seal(secret, _PLACE) if secret else None
        row = {"kind": kind, "options": given, "reached": reached or None, "secret": sealed, "active": active, "at": inner.now, "by": inner.actor.person_id}
        if before is None:
            inner.open.execute(sa.insert(table).values(name=name, **row))
        else:
            inner.open.execute(sa.update(table).where(table.c.name == name).values(row))
        return find_connection(inner, name)


def _named(ctx: Context, name: str, *, taken: bool) -> list[Fault]:
    if not _NAME.fullmatch(name) or name in TAKEN:
        return [Fault("/name", "connection_name", {"name": name[:60]})]
    return [Fault("/name", "connection_taken", {"name": name})] if taken else []


def _faults(connector: Connector, given: Mapping[str, Any], reached: str, ctx: Context) -> list[Fault]:
    faults = [Fault(f"/options{problem.pointer}", problem.code, problem.params) for problem in option_problems(connector.options, given)]
    faults += [Fault(f"/options/{name}", "unknown_field", {"field": name[:60]}) for name in given if name not in connector.options]
    faults += [Fault(f"/options/{name}", "required") for name in connector.required_options if name not in given]
    for name, schema in connector.options.items():
        value = given.get(name)
        if schema.get("format") == "uri" and isinstance(value, str) and not value.startswith(("http://", "https://")):
            faults.append(Fault(f"/options/{name}", "outbound_address"))
    if reached and reached not in ctx.workspace.entities["person"].fields:
        faults.append(Fault("/reached", "unknown_field", {"field": reached}))
    return faults


def _secret_faults(secret: str | None) -> list[Fault]:
    if secret is None or (len(secret) <= LONGEST_SECRET and secret.isprintable()):
        return []
    return [Fault("/secret", "connection_secret")]


def _hosts(connector: Connector, options: Mapping[str, Any]) -> list[Any]:
    return [options.get(name) for name, schema in connector.options.items() if schema.get("format") in _HOSTS]


def forget_connection(ctx: Context, name: str) -> None:
    """Take a connection away; messages that wait for it go dead when their turn comes. Raises NotFound."""
    with ctx.writing() as ctx:
        if ctx.open.execute(sa.delete(table).where(table.c.name == name)).rowcount == 0:
            raise NotFound("unknown_connection", name=name)
