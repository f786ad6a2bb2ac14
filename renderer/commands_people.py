"""Commands about who may enter: people, accounts of the installation, and tokens for programs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from engine import accounts, actors, api_tokens
from engine.accounts import Account
from engine.errors import NotFound
from engine.home import Home
from engine.members import add_member
from metadata.text import label_text
from renderer import serving
from renderer.commands import Answer, opened_home


def user_add(given: Namespace) -> Answer:
    """A person who may log in."""
    with opened_home() as home:
        made = add_member(home, given.workspace, given.login, given.role, name=given.name, team=given.team)
        link = serving.link_url(home.settings, made.token) if made.token else ""
    return Answer([link or made.login], {"login": made.login, "person": made.person, "link": link or None})


def user_link(given: Namespace) -> Answer:
    """A new link to set a password, for somebody who lost theirs."""
    with opened_home() as home:
        found = _account(home, given.login)
        link = serving.link_url(home.settings, accounts.issue_link(home, found.id))
    return Answer([link], {"login": found.login, "link": link})


def user_list(given: Namespace) -> Answer:
    """Every account of the installation, and whether it can log in."""
    with opened_home() as home:
        found = accounts.all_accounts(home)
    return Answer([f"{account.login} {account.name}{_state(account, given.locale)}" for account in found], [asdict(account) for account in found])


def _state(account: Account, locale: str) -> str:
    if account.disabled:
        return label_text({"zh": " 已停用", "en": " disabled"}, locale)
    return label_text({"zh": " 未设密码", "en": " invited"}, locale) if account.invited else ""


def user_disable(given: Namespace) -> Answer:
    """End an account's sessions and links, and refuse its tokens, in every workspace, from the next request on."""
    return _disable(given, True)


def user_enable(given: Namespace) -> Answer:
    """Let a disabled account log in again, and its tokens be used."""
    return _disable(given, False)


def _disable(given: Namespace, disabled: bool) -> Answer:
    with opened_home() as home:
        found = _account(home, given.login)
        accounts.set_disabled(home, found.id, disabled)
    return Answer([found.login], {"login": found.login, "disabled": disabled})


def _account(home: Home, login: str) -> Account:
    found = accounts.find_account(home, login)
    if found is None:
        raise NotFound("unknown_account")
    return found


def token_create(given: Namespace) -> Answer:
    """A bearer token."""
    with opened_home() as home:
        token = api_tokens.create_token(home, given.workspace, given.login, given.name)
    return Answer([token], {"token": token})


def token_list(given: Namespace) -> Answer:
    """The live tokens of a person: never the tokens themselves."""
    with opened_home() as home:
        ctx = actors.enter_person(home, given.workspace, given.login)
        found = api_tokens.tokens_of(ctx, [ctx.actor.person_id or 0])
    return Answer([f"{token.id} {token.name} {token.created_at:%Y-%m-%d}" for token in found], [asdict(token) for token in found])


def token_revoke(given: Namespace) -> Answer:
    """End a token of a person."""
    with opened_home() as home:
        ctx = actors.enter_person(home, given.workspace, given.login)
        api_tokens.revoke_token(ctx, given.token, ctx.actor.person_id or 0)
    return Answer([str(given.token)], {"token": given.token})
