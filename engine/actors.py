"""Who acts in a workspace: the person behind an account, with team and roles as they are now, or a named system principal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from engine import accounts
from engine.clock import State
from engine.context import Actor, Cause, Context
from engine.errors import NotFound
from engine.home import Home
from engine.workspace import Workspace

__all__ = ["Actor", "actor_behind", "enter", "enter_as", "load_actor", "system_actor"]

#: Principals that act without a person, each with every grant. A rule acts as ``rule:KEY`` with its own reach instead.
SYSTEM_ACTORS: Mapping[str, str] = {
    "operator": "the command line",
    "publishing": "back-fills of a publish",
    "import": "undo and clean-up of imports",
    "demo": "made-up demo data",
    "backup": "archive and restore",
    "clock": "what falls due",
    "retention": "what may no longer be kept",
    "subject_file": "all that is kept about one person, for that person",
    "outbox": "messages to the outside",
    "intake": "messages from the outside",
    "merging": "links made while two records became one",
    "replay": "what rules would have done",
}
_MAX_ACTORS = 2000


@dataclass(frozen=True, slots=True)
class Team:
    """One team in the tree."""

    id: int
    name: str
    parent: int | None
    lead: int | None


def system_actor(name: str) -> Actor:
    """A named principal with every grant; KeyError for one that is not listed."""
    SYSTEM_ACTORS[name]
    return Actor(None, name, kind="system")


# --- people ------------------------------------------------------------------------------------------------------------------------------------


def load_actor(connection: sa.Connection | None, workspace: Workspace, state: State, person_id: int, account_id: int | None = None) -> Actor:
    """The person with team and rights at this state; kept until the permission version rises. Raises NotFound for one who may not enter.

    Rights are never older than ``state``: whatever changes people, teams or roles raises its ``permission_version`` in the same commit.
    ``connection`` None: one is opened when the person must be read.
    """
    cached: dict[tuple[int, int | None], Actor] = workspace.read_at("actors", state.permission_version, _MAX_ACTORS)
    actor = cached.get((person_id, account_id))
    if actor is None:
        with nullcontext(connection) if connection is not None else workspace.database.read() as connection:
            actor = cached[person_id, account_id] = replace(_read_actor(connection, workspace, state, person_id), account_id=account_id)
    ends = actor.fields.get("ends_at")
    if isinstance(ends, datetime) and ends <= state.now:
        raise NotFound("unknown_workspace", name=workspace.name)
    return actor


def actor_behind(ctx: Context, state: State, person_id: int | None) -> Actor:
    """Who asked for a job, as ``me`` and history name them in its open transaction; the context's own actor for nobody, the name alone for one who left."""
    if person_id is None:
        return ctx.actor
    try:
        return load_actor(ctx.open, ctx.workspace, state, person_id)
    except NotFound:
        return Actor(person_id, "", fields={"id": person_id})


def refresh(connection: sa.Connection, workspace: Workspace, state: State, actor: Actor) -> Actor:
    """The person's rights as they are at this state. Raises NotFound for one who may not enter any more."""
    assert actor.person_id is not None
    return load_actor(connection, workspace, state, actor.person_id, actor.account_id)


def _read_actor(connection: sa.Connection, workspace: Workspace, state: State, person_id: int) -> Actor:
    person = workspace.entities["person"]
    stored = [field for field in person.fields.values() if field.column is not None and not field.encrypted]
    select = sa.select(*(field.column.label(field.key) for field in stored if field.column is not None)).where(
        person.table.c.id == person_id, person.table.c.deleted_at.is_(None)
    )
    row = connection.execute(select, execution_options={"scoped": True}).mappings().first()
    if row is None or not row.get("active", True):
        raise NotFound("unknown_workspace", name=workspace.name)
    values = dict(row)
    teams = read_teams(connection, workspace, state)
    own = teams.get(values.get("team") or 0)
    values["lead"] = own.lead if own is not None else None
    roles = tuple(role for role in values.get("roles") or () if role in workspace.roles)
    rights = frozenset(right for role in roles for right in workspace.roles[role].can)
    return Actor(
        person_id,
        str(values.get("name") or ""),
        roles,
        own.id if own else None,
        below(teams, own.id) if own else (),
        values["lead"],
        values,
        None,
        "person",
        state.permission_version,
        rights,
    )


def read_teams(connection: sa.Connection, workspace: Workspace, state: State) -> Mapping[int, Team]:
    """All teams by id, at this state."""
    known: dict[str, Mapping[int, Team]] = workspace.read_at("teams", state.permission_version)
    if "all" not in known:
        columns = workspace.entities["team"].table.c
        select = sa.select(columns.id, columns.name, columns.parent, columns.lead).where(columns.deleted_at.is_(None))
        known["all"] = {row.id: Team(*row) for row in connection.execute(select, execution_options={"scoped": True})}
    return known["all"]


def below(teams: Mapping[int, Team], team: int) -> tuple[int, ...]:
    """A team and all below it; a loop in the tree ends where it closes."""
    children: dict[int, list[int]] = {}
    for item in teams.values():
        if item.parent is not None:
            children.setdefault(item.parent, []).append(item.id)
    found: dict[int, None] = {}
    pending = [team]
    while pending:
        current = pending.pop()
        if current not in found:
            found[current] = None
            pending += children.get(current, ())
    return tuple(sorted(found))


def find_person(connection: sa.Connection, workspace: Workspace, login: str) -> int | None:
    """The id of the person with that login in this workspace, or None."""
    table = workspace.entities["person"].table
    column = _column(workspace, "person", "login")
    select = sa.select(table.c.id).where(column == login, table.c.deleted_at.is_(None))
    found = connection.execute(select, execution_options={"scoped": True}).scalar_one_or_none()
    return None if found is None else int(found)


def find_team(connection: sa.Connection, workspace: Workspace, name: str) -> int | None:
    """The id of the first team with that name, or None."""
    table = workspace.entities["team"].table
    select = sa.select(table.c.id).where(_column(workspace, "team", "name") == name, table.c.deleted_at.is_(None)).order_by(table.c.id).limit(1)
    found = connection.execute(select, execution_options={"scoped": True}).scalar_one_or_none()
    return None if found is None else int(found)


def people_of(connection: sa.Connection, workspace: Workspace) -> list[tuple[int, str, str, tuple[str, ...]]]:
    """Active people who can log in: id, login, name, roles; what a demo's login page offers."""
    table = workspace.entities["person"].table
    login, name, roles, active = (_column(workspace, "person", key) for key in ("login", "name", "roles", "active"))
    select = sa.select(table.c.id, login, name, roles).where(table.c.deleted_at.is_(None), login.is_not(None), active.is_(True)).order_by(table.c.id)
    return [(row[0], row[1], row[2], tuple(row[3] or ())) for row in connection.execute(select, execution_options={"scoped": True})]


def _column(workspace: Workspace, entity: str, field: str) -> sa.Column[Any]:
    column = workspace.entities[entity].fields[field].column
    assert column is not None
    return column


# --- ways in -------------------------------------------------------------------------------------------------------------------------------------


def enter(
    home: Home,
    workspace_name: str,
    who: accounts.Account,
    *,
    locale: str = "",
    cause: Cause | None = None,
    ip: str = "",
    looked: tuple[Workspace, State] | None = None,
) -> Context:
    """A context for a logged-in account; ``looked``: the workspace as this request has just found it.

    Raises NotFound when there is no such workspace, or no person of that login in it.
    """
    workspace, state = looked or home.look(workspace_name)
    person_id = _person_of_login(workspace, state, who.login)
    if person_id is None:
        raise NotFound("unknown_workspace", name=workspace_name)
    actor = load_actor(None, workspace, state, person_id, who.id)
    return Context(home, workspace, actor, state.now, locale or who.locale, cause or Cause(), ip, refresh=refresh)


def _person_of_login(workspace: Workspace, state: State, login: str) -> int | None:
    known: dict[str, int] = workspace.read_at("logins", state.permission_version)
    if login not in known:
        with workspace.database.read() as connection:
            found = find_person(connection, workspace, login)
        if found is None:
            return None
        known[login] = found
    return known[login]


def enter_as(home: Home, workspace_name: str, name: str, *, locale: str = "zh", cause: Cause | None = None) -> Context:
    """A context for a named system principal (command line, jobs)."""
    workspace, state = home.look(workspace_name)
    return Context(home, workspace, system_actor(name), state.now, locale, cause or Cause("system", name))


def enter_person(home: Home, workspace_name: str, login: str, *, locale: str = "zh", cause: Cause | None = None) -> Context:
    """A context for the person of a login, on an operator's word. Raises NotFound."""
    workspace, state = home.look(workspace_name)
    with workspace.database.read() as connection:
        person_id = find_person(connection, workspace, accounts.normal_login(login))
        if person_id is None:
            raise NotFound("unknown_person", login=login)
        actor = load_actor(connection, workspace, state, person_id)
    return Context(home, workspace, actor, state.now, locale, cause or Cause(), refresh=refresh)


def enter_id(home: Home, workspace_name: str, person_id: int, *, locale: str = "zh", cause: Cause | None = None) -> Context:
    """A context for a person by id: background work on somebody's behalf. Raises NotFound when the person may no longer enter."""
    workspace, state = home.look(workspace_name)
    with workspace.database.read() as connection:
        actor = load_actor(connection, workspace, state, person_id)
    return Context(home, workspace, actor, state.now, locale, cause or Cause(), refresh=refresh)


def memberships(home: Home, login: str) -> list[str]:
    """The names of the workspaces that have an active person of this login."""
    found = []
    for entry in home.workspaces():
        workspace, state = home.look(entry.name)
        with workspace.database.read() as connection:
            person_id = find_person(connection, workspace, login)
            if person_id is None:
                continue
            try:
                load_actor(connection, workspace, state, person_id)
            except NotFound:
                continue
            found.append(entry.name)
    return found
