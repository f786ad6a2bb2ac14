"""Bringing people into a workspace: the person's record there, the account to log in with, and the link to set a password. One call for all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import accounts
from engine.actors import enter_as, find_person, find_team
from engine.context import Context
from engine.errors import Conflict, Fault, Invalid
from engine.home import Home
from engine.records import service


@dataclass(frozen=True, slots=True)
class Invitation:
    """A person who may now enter. ``token``: for the link to set a password, "" when the account has one already."""

    login: str
    person: int
    account: int
    token: str


def add_member(home: Home, workspace_name: str, login: str, roles: Sequence[str], *, name: str = "", team: str = "", ctx: Context | None = None) -> Invitation:
    """Make a person with these roles in a workspace, and an account of the same login if there is none.

    ``ctx``: on whose authority (the command line's when left out). Raises Invalid for an unknown role or team, Conflict when the login is there.
    """
    ctx = ctx or enter_as(home, workspace_name, "operator")
    login = accounts.normal_login(login)
    raw = {"name": name or login, "login": login, "roles": list(roles), "active": True}
    unknown = [role for role in roles if role not in ctx.workspace.roles]
    if unknown:
        raise Invalid("invalid", faults=[Fault("/roles", "unknown_role", {"role": role, "roles": ", ".join(sorted(ctx.workspace.roles))}) for role in unknown])
    with ctx.reading() as reading:
        if find_person(reading.open, ctx.workspace, login) is not None:
            raise Conflict("person_exists", login=login)
        if team:
            raw["team"] = find_team(reading.open, ctx.workspace, team)
            if raw["team"] is None:
                raise Invalid("invalid", faults=[Fault("/team", "unknown_team", {"team": team})])
    person = service.create(ctx, "person", raw).record.id
    return _invite(home, login, name or login, person)


def _invite(home: Home, login: str, name: str, person: int) -> Invitation:
    account = accounts.ensure_account(home, login, name)
    token = accounts.issue_link(home, account.id, life=accounts.INVITATION_LIFE) if account.invited else ""
    return Invitation(login, person, account.id, token)
