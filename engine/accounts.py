"""Accounts of the installation: login, password, one-time links, sessions. What an account may do in a workspace is its person's business (actors)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import passwords
from engine.clock import State, StateBeside, wall
from engine.database_ready import Ready
from engine.errors import Conflict, Fault, Invalid, NotFound, Unavailable
from engine.home import HOME_SCHEMA, Home
from engine.system_tables import account, one_time, session

if TYPE_CHECKING:
    from engine.workspace import Workspace

LINK_LIFE = timedelta(minutes=20)
INVITATION_LIFE = timedelta(hours=72)
_SEEN_EVERY = timedelta(seconds=60)
_FREE_TRIES = 5
_TRIES_WINDOW = timedelta(minutes=15)
_LONGEST_WAIT = 60
_IP_LIMIT, _IP_WINDOW = 20, timedelta(minutes=1)
_LOGIN = re.compile(r"[^\s\x00-\x1f/\\<>\"']{2,120}")


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in. ``invited``: no password set yet."""

    id: int
    login: str
    name: str
    locale: str
    disabled: bool = False
    invited: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A login in use: its account and how long it lasts. ``digest`` names it without being the token."""

    digest: str
    account: Account
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str
    agent: str


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return sha256(token.encode()).hexdigest()


def normal_login(login: str) -> str:
    """Logins are compared in lower case without surrounding space. Raises Invalid when it cannot be one."""
    text = login.strip().casefold()
    if not _LOGIN.fullmatch(text):
        raise Invalid("login_refused", faults=[Fault("/login", "login_form", {"login": text[:40]})])
    return text


# --- accounts ----------------------------------------------------------------------------------------------------------------------------


def _columns_of(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    found = table.c
    return found.id, found.login, found.name, found.locale, found.disabled_at.is_not(None), found.password_hash.is_(None)


_columns = _columns_of(account)


def find_account(home: Home, login: str) -> Account | None:
    """The account of a login, or None."""
    with home.database.read() as connection:
        row = connection.execute(sa.select(*_columns).where(account.c.login == login.strip().casefold())).first()
    return Account(*row) if row else None


def all_accounts(home: Home) -> list[Account]:
    """Every account by login."""
    with home.database.read() as connection:
        return [Account(*row) for row in connection.execute(sa.select(*_columns).order_by(account.c.login))]


def ensure_account(home: Home, login: str, name: str, locale: str = "zh") -> Account:
    """The account of a login, made without a password if there is none. Its password is set through a link."""
    login = normal_login(login)
    found = find_account(home, login)
    if found is not None:
        return found
    try:
        with home.database.write() as connection:
            connection.execute(account.insert().values(login=login, name=name or login, locale=locale, created_at=wall()))
    except sa.exc.IntegrityError:
        pass  # made by another process in this instant: theirs serves as well
    found = find_account(home, login)
    assert found is not None
    return found


def get_account(home: Home, account_id: int) -> Account:
    """The account of an id. Raises NotFound."""
    with home.database.read() as connection:
        row = connection.execute(sa.select(*_columns).where(account.c.id == account_id)).first()
    if row is None:
        raise NotFound("unknown_account")
    return Account(*row)


def set_locale(home: Home, account_id: int, locale: str) -> None:
    """The language an account prefers."""
    with home.database.write() as connection:
        connection.execute(account.update().where(account.c.id == account_id).values(locale=locale))


def set_disabled(home: Home, account_id: int, disabled: bool) -> None:
    """Disable or enable an account; disabling ends all its sessions and links in the same transaction."""
    with home.database.write() as connection:
        connection.execute(account.update().where(account.c.id == account_id).values(disabled_at=wall() if disabled else None))
        if disabled:
            _end_all(connection, account_id)


def set_password(home: Home, account_id: int, password: str, *, about: tuple[str, ...] = ()) -> None:
    """Give an account a password and end its sessions. Raises Invalid when it is too easy; ``about``: further words it may not contain."""
    found = get_account(home, account_id)
    passwords.check_password(password, (found.login, found.name, *about))
    stored = passwords.make_hash(password)
    with home.database.write() as connection:
        connection.execute(account.update().where(account.c.id == account_id).values(password_hash=stored, password_at=wall()))
        _end_all(connection, account_id)


def change_password(home: Home, account_id: int, old: str, new: str, *, about: tuple[str, ...] = ()) -> None:
    """As ``set_password``, by its owner, who knows the old one."""
    with home.database.read() as connection:
        stored = connection.execute(sa.select(account.c.password_hash).where(account.c.id == account_id)).scalar_one_or_none()
    if not passwords.matches(old, stored):
        raise Invalid("password_wrong", faults=[Fault("/old", "password_wrong")])
    set_password(home, account_id, new, about=about)


# --- one-time links ------------------------------------------------------------------------------------------------------------------------


def issue_link(home: Home, account_id: int, *, life: timedelta = LINK_LIFE) -> str:
    """A token to set a password with, once; earlier ones of the account end."""
    token = token_urlsafe(32)
    with home.database.write() as connection:
        connection.execute(one_time.delete().where(one_time.c.account == account_id))
        connection.execute(
            one_time.insert().values(digest=digest_of(token), account=account_id, purpose="password", created_at=wall(), expires_at=wall() + life)
        )
    return token


def link_account(home: Home, token: str) -> Account:
    """Whose link this is. Raises NotFound for one that is unknown, used or over."""
    with home.database.read() as connection:
        row = connection.execute(
            sa.select(*_columns)
            .join(one_time, one_time.c.account == account.c.id)
            .where(one_time.c.digest == digest_of(token), one_time.c.used_at.is_(None), one_time.c.expires_at > wall(), account.c.disabled_at.is_(None))
        ).first()
    if row is None:
        raise NotFound("link_over")
    return Account(*row)


def redeem_link(home: Home, token: str, password: str, *, about: tuple[str, ...] = ()) -> Account:
    """Set the password a link allows to set. The link is used up only by success; of two at once one wins."""
    found = link_account(home, token)
    passwords.check_password(password, (found.login, found.name, *about))
    stored = passwords.make_hash(password)
    with home.database.write() as connection:
        used = connection.execute(one_time.update().where(one_time.c.digest == digest_of(token), one_time.c.used_at.is_(None)).values(used_at=wall()))
        if used.rowcount != 1:
            raise NotFound("link_over")
        connection.execute(account.update().where(account.c.id == found.id).values(password_hash=stored, password_at=wall()))
        _end_all(connection, found.id)
    return found


# --- logging in ------------------------------------------------------------------------------------------------------------------------------


def log_in(home: Home, login: str, password: str, *, ip: str = "", agent: str = "") -> str:
    """A new session's token. Same answer, same time for a wrong password, an unknown, disabled or invited login.

    Raises Invalid("login_wrong"), or Unavailable("too_many_attempts", retry_after=seconds): after five failures each further one costs a
    longer wait, never a lock-out; an address gets twenty a minute.
    """
    name, now = login.strip().casefold()[:120], wall()
    by_login, by_ip = f"login:{digest_of(name)[:32]}", f"login-ip:{ip}"
    _check_pace(home, by_login, by_ip if ip else "", now)
    with home.database.read() as connection:
        row = connection.execute(sa.select(account.c.id, account.c.password_hash, account.c.disabled_at).where(account.c.login == name)).first()
    if not passwords.matches(password, row.password_hash if row and row.disabled_at is None else None) or row is None:
        home.rates.note(by_login, now)
        if ip:
            home.rates.note(by_ip, now)
        raise Invalid("login_wrong")
    home.rates.clear(by_login)
    if passwords.outdated(row.password_hash):
        with home.database.write() as connection:
            connection.execute(account.update().where(account.c.id == row.id).values(password_hash=passwords.make_hash(password)))
    return start_session(home, row.id, ip=ip, agent=agent)


def _check_pace(home: Home, by_login: str, by_ip: str, now: datetime) -> None:
    failures = home.rates.times(by_login, now - _TRIES_WINDOW)
    wait = 0.0
    if len(failures) >= _FREE_TRIES:
        delay = min(2 ** (len(failures) - _FREE_TRIES + 1), _LONGEST_WAIT)
        wait = delay - (now - failures[-1]).total_seconds()
    if by_ip:
        tries = home.rates.times(by_ip, now - _IP_WINDOW)
        if len(tries) >= _IP_LIMIT:
            wait = max(wait, (tries[-_IP_LIMIT] + _IP_WINDOW - now).total_seconds())
    if wait > 0:
        raise Unavailable("too_many_attempts", retry_after=max(1, round(wait)))


# --- sessions ----------------------------------------------------------------------------------------------------------------------------------


def start_session(home: Home, account_id: int, *, ip: str = "", agent: str = "") -> str:
    """A session for an account whose identity is settled (log_in; one click in a demo). The token is shown once and stored nowhere."""
    token, now = token_urlsafe(32), wall()
    with home.database.write() as connection:
        if connection.execute(sa.select(account.c.id).where(account.c.id == account_id, account.c.disabled_at.is_(None))).first() is None:
            raise Conflict("account_disabled")
        connection.execute(session.delete().where(session.c.account == account_id, session.c.expires_at < now))
        connection.execute(
            session.insert().values(
                digest=digest_of(token),
                account=account_id,
                created_at=now,
                seen_at=now,
                expires_at=now + timedelta(days=home.settings.session_days),
                ip=ip[:64],
                agent=agent[:300],
            )
        )
    return token


_SESSION = ("digest", "created_at", "seen_at", "expires_at", "ip", "agent")
_session_select = sa.select(*(session.c[name] for name in _SESSION), *_columns).join(account, account.c.id == session.c.account)
_session_select = _session_select.where(account.c.disabled_at.is_(None))
_session_of_digest = Ready(_session_select.where(session.c.digest == sa.bindparam("d", required=True)))


def _beside() -> StateBeside:
    """A workspace's state and a session of home, where home is a schema of the same database (PostgreSQL)."""
    metadata = sa.MetaData()
    mine, whose = (table.to_metadata(metadata, schema=HOME_SCHEMA) for table in (session, account))
    here = sa.and_(mine.c.digest == sa.bindparam("d"), whose.c.disabled_at.is_(None))
    return StateBeside(mine.join(whose, whose.c.id == mine.c.account), here, *(mine.c[name] for name in _SESSION), *_columns_of(whose))


_session_beside = _beside()


def read_session(home: Home, token: str, *, used: bool = True) -> Session | None:
    """The session of a token while it lasts (idle and absolute limits); one indexed read. Use is noted about once a minute, unless it is not ``used``."""
    digest = digest_of(token)

    def ask(connection: sa.Connection) -> Session | None:
        row = _session_of_digest.first(connection, {"d": digest})
        return None if row is None else _session(row)

    return _lasting(home, home.database.kept(("session", digest), ask), used=used)


def read_session_in(home: Home, workspace: str, token: str, *, used: bool = True) -> tuple[Session | None, tuple[Workspace, State] | None]:
    """As ``read_session``, with the workspace as it is now where one statement tells both: on PostgreSQL, once this process has it open."""
    if home.database.dialect != "postgresql" or not home.has_open(workspace):
        return read_session(home, token, used=used), None
    found, state, row = home.look_beside(workspace, _session_beside, d=digest_of(token))
    return _lasting(home, _session(row) if row[0] is not None else None, used=used), (found, state)


def _lasting(home: Home, found: Session | None, *, used: bool) -> Session | None:
    now = wall()
    if found is None or found.expires_at <= now or found.seen_at + timedelta(hours=home.settings.session_idle_hours) <= now:
        return None
    if used and now - found.seen_at > _SEEN_EVERY:
        with home.database.write(background=True, lasting=False) as connection:
            connection.execute(session.update().where(session.c.digest == found.digest).values(seen_at=now))
    return found


def _session(row: Sequence[Any]) -> Session:
    digest, created_at, seen_at, expires_at, ip, agent, *words = row
    return Session(digest, Account(*words), created_at, seen_at, expires_at, ip, agent)


def sessions_of(home: Home, account_id: int) -> list[Session]:
    """The sessions of an account, the last used first."""
    with home.database.read() as connection:
        rows = connection.execute(_session_select.where(session.c.account == account_id, session.c.expires_at > wall()).order_by(session.c.seen_at.desc()))
        return [_session(row) for row in rows]


def end_session(home: Home, digest: str, account_id: int | None = None) -> None:
    """End one session; with ``account_id`` only if it is that account's."""
    with home.database.write() as connection:
        statement = session.delete().where(session.c.digest == digest)
        connection.execute(statement if account_id is None else statement.where(session.c.account == account_id))


def _end_all(connection: sa.Connection, account_id: int) -> None:
    connection.execute(session.delete().where(session.c.account == account_id))
    connection.execute(one_time.delete().where(one_time.c.account == account_id, one_time.c.used_at.is_(None)))
