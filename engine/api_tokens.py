"""Tokens of programs: made, looked at, revoked; and who acts with one, looked for inside the transaction that acts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from secrets import token_urlsafe
from typing import NamedTuple

import sqlalchemy as sa

from engine import accounts
from engine.actors import enter_person, load_actor, refresh
from engine.clock import State, StateBeside, wall
from engine.context import Actor, Cause, Context
from engine.errors import Invalid, NotFound, NotLoggedIn
from engine.home import HOME_SCHEMA, Home
from engine.system_tables import account, api_token
from engine.workspace import Workspace

TOKEN_PREFIX = "tgm_"
_token_of_digest = StateBeside(
    api_token, sa.and_(api_token.c.digest == sa.bindparam("d"), api_token.c.revoked_at.is_(None)), api_token.c.person, api_token.c.expires_at
)
_disabled_of_login = sa.select(account.c.disabled_at).where(account.c.login == sa.bindparam("l"))
_home_account = account.to_metadata(sa.MetaData(), schema=HOME_SCHEMA)
#: The same and whether the account of a login is disabled, in one statement: where home is a schema of the same database (PostgreSQL).
_token_and_account = StateBeside(
    api_token,
    sa.and_(api_token.c.digest == sa.bindparam("d"), api_token.c.revoked_at.is_(None)),
    api_token.c.person,
    api_token.c.expires_at,
    sa.select(_home_account.c.disabled_at).where(_home_account.c.login == sa.bindparam("l")).scalar_subquery(),
)
#: Bearers a process remembers.
_MOST_BEARERS = 5000


class Bearer(NamedTuple):
    """Who bore a token when it was last asked about: the workspace it opens, the person, and their login then."""

    workspace: str
    person: int
    login: str


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as its owner may see it later: never the token itself."""

    id: int
    name: str
    created_at: datetime
    seen_at: datetime | None
    expires_at: datetime | None


def create_token(home: Home, workspace_name: str, login: str, name: str = "", *, life: timedelta | None = None) -> str:
    """A bearer token for a person of one workspace, shown once. Raises NotFound without such a person."""
    ctx = enter_person(home, workspace_name, login)
    if life is not None and life <= timedelta(0):
        raise Invalid("token_life")
    token = TOKEN_PREFIX + token_urlsafe(32)
    with ctx.workspace.database.write() as connection:
        connection.execute(
            api_token.insert().values(
                digest=accounts.digest_of(token), person=ctx.actor.person_id, name=name or login, created_at=wall(), expires_at=wall() + life if life else None
            )
        )
    return token


def enter_with_token(home: Home, workspace_name: str, token: str, *, locale: str = "zh", ip: str = "", acts: bool = False) -> Context:
    """A context for the bearer of a token. Raises NotFound when it is not one of this workspace, revoked, over, or its account is disabled.

    ``acts``: all that is done with it happens in one transaction. A bearer seen before is then looked for there, and only there: until then the context is
    as this process last saw them, and raises NotLoggedIn when it is no longer so. Strangers never get as far as a connection that writes.
    """
    digest = accounts.digest_of(token)
    bearer, last = home.bearers.get(digest), home.last(workspace_name)
    if bearer is not None and bearer.workspace != workspace_name:
        bearer = None
    if acts and bearer is not None and last is not None:
        workspace, state = last
        with suppress(NotFound):  # not there as far as was seen: it is looked again
            actor = load_actor(None, workspace, state, bearer.person)
            look = partial(_look_for_bearer, home, digest, bearer)
            return Context(home, workspace, actor, state.now, locale, Cause("api"), ip, refresh=refresh, look=look)
    workspace, state, actor = _bearer_of(home, workspace_name, digest, bearer)
    return Context(home, workspace, actor, state.now, locale, Cause("api"), ip, refresh=refresh)


def _look_for_bearer(home: Home, digest: str, bearer: Bearer, connection: sa.Connection) -> tuple[Workspace, State, Actor]:
    """A bearer seen before, as a transaction finds them that begins."""
    try:
        return _bearer_of(home, bearer.workspace, digest, bearer, connection)
    except NotFound as refusal:
        raise NotLoggedIn("not_logged_in") from refusal


def _bearer_of(home: Home, name: str, digest: str, bearer: Bearer | None, connection: sa.Connection | None = None) -> tuple[Workspace, State, Actor]:
    """Who bears a token, and what stands: in one statement with the account of a bearer seen before, where home is in the same database. Raises NotFound."""
    try:
        if bearer is None or home.database.dialect != "postgresql":
            workspace, state, (person, expires_at, *told) = home.look_beside(name, _token_of_digest, connection, d=digest)
        else:
            workspace, state, (person, expires_at, *told) = home.look_beside(name, _token_and_account, connection, d=digest, l=bearer.login)
        if person is None or (expires_at is not None and expires_at <= wall()):
            raise NotFound("unknown_token")
        actor = load_actor(connection, workspace, state, person)
        login = str(actor.fields.get("login") or "")
        disabled = told[0] if told and bearer is not None and login == bearer.login else _disabled_at(home, login)
        if disabled is not None:
            raise NotFound("unknown_token")
    except NotFound:
        home.bearers.pop(digest, None)
        raise
    if bearer is None or (bearer.person, bearer.login) != (person, login):
        if len(home.bearers) > _MOST_BEARERS:
            home.bearers.clear()
        home.bearers[digest] = Bearer(name, person, login)
    return workspace, state, actor


def _disabled_at(home: Home, login: str) -> datetime | None:
    """Since when the account of a login is disabled."""
    found: datetime | None = home.database.kept(
        ("disabled", login), lambda connection: connection.execute(_disabled_of_login, {"l": login}).scalar_one_or_none()
    )
    return found


def tokens_of(ctx: Context, person_ids: Iterable[int]) -> list[Token]:
    """The live tokens of some people."""
    columns = (api_token.c.id, api_token.c.name, api_token.c.created_at, api_token.c.seen_at, api_token.c.expires_at)
    with ctx.reading() as ctx:
        select = sa.select(*columns).where(api_token.c.person.in_(list(person_ids)), api_token.c.revoked_at.is_(None)).order_by(api_token.c.id)
        return [Token(*row) for row in ctx.open.execute(select)]


def revoke_token(ctx: Context, token_id: int, person_id: int) -> None:
    """End a token of a person, from the next request on. Raises NotFound when that person has no such live token."""
    mine = (api_token.c.id == token_id, api_token.c.person == person_id, api_token.c.revoked_at.is_(None))
    with ctx.writing() as ctx:
        if ctx.open.execute(api_token.update().where(*mine).values(revoked_at=wall())).rowcount != 1:
            raise NotFound("unknown_token")
