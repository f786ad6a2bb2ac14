"""Logging in: same answer for every failure, a growing wait, sessions that end when they must, links that work once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from engine import accounts, passwords
from engine.clock import wall
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound, Unavailable
from engine.migrations import upgrade
from engine.rates import DatabaseRates, MemoryRates, take
from engine.settings import Settings
from engine.system_tables import account, one_time, session
from tests.engine.databases import opened

PASSWORD = "correct horse battery"


@pytest.fixture
def home(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[SimpleNamespace]:
    """As much of a home as accounts need."""
    with opened(database_kind, tmp_path, new_postgres_database) as database:
        upgrade(database, "home")
        rates = MemoryRates() if database_kind == "sqlite" else DatabaseRates(database)
        yield SimpleNamespace(database=database, settings=Settings(home=tmp_path), rates=rates)


@pytest.fixture
def li(home) -> accounts.Account:
    made = accounts.ensure_account(home, "Li.Na", "李娜")
    accounts.set_password(home, made.id, PASSWORD)
    return accounts.get_account(home, made.id)


def _age(database: Database, **values: object) -> None:
    with database.write() as connection:
        connection.execute(session.update().values(**values))


def test_an_account_is_made_once_whatever_the_spelling(home):
    first = accounts.ensure_account(home, " Li.Na ", "李娜")
    assert accounts.ensure_account(home, "li.na", "another") == first
    assert first.login == "li.na" and first.invited and not first.disabled
    assert [item.login for item in accounts.all_accounts(home)] == ["li.na"]
    for wrong in ("", "a", "a b", "a/b", "x" * 121, "a\x00b"):
        with pytest.raises(Invalid, match="login_refused"):
            accounts.ensure_account(home, wrong, "")


def test_a_session_is_given_for_the_right_password_and_its_token_is_stored_nowhere(home, li):
    token = accounts.log_in(home, "LI.NA", PASSWORD, ip="10.0.0.1", agent="browser")
    found = accounts.read_session(home, token)
    assert found.account == li and (found.ip, found.agent) == ("10.0.0.1", "browser")
    assert len(token) >= 43 and token != accounts.log_in(home, "li.na", PASSWORD)
    with home.database.read() as connection:
        for table in (session, account, one_time):
            assert token not in repr(connection.execute(sa.select(table)).all())
    assert accounts.read_session(home, token + "x") is None and accounts.read_session(home, "") is None


def test_every_failure_looks_the_same_and_costs_one_hash(home, li, monkeypatch):
    accounts.ensure_account(home, "invited", "")
    gone = accounts.ensure_account(home, "gone", "")
    accounts.set_password(home, gone.id, PASSWORD)
    accounts.set_disabled(home, gone.id, True)
    assert not passwords.outdated(passwords._NOBODY)
    hashed = []
    verify = passwords.PasswordHasher.verify
    monkeypatch.setattr(passwords.PasswordHasher, "verify", lambda self, *words: hashed.append(1) or verify(self, *words))
    for number, (login, password) in enumerate((("li.na", "wrong"), ("nobody", PASSWORD), ("invited", PASSWORD), ("invited", ""), ("gone", PASSWORD)), 1):
        with pytest.raises(Invalid) as refusal:
            accounts.log_in(home, login, password)
        assert (str(refusal.value), len(hashed)) == ("login_wrong", number)


def test_guessing_gets_slower_but_never_locks_the_owner_out(home, li):
    for _ in range(5):
        with pytest.raises(Invalid):
            accounts.log_in(home, "li.na", "wrong")
    with pytest.raises(Unavailable, match="too_many_attempts") as first:
        accounts.log_in(home, "li.na", PASSWORD)
    assert 1 <= first.value.params["retry_after"] <= 2
    name = f"login:{accounts.digest_of('li.na')[:32]}"
    past = wall() - timedelta(seconds=30)
    home.rates.clear(name)
    for number in range(8):
        home.rates.note(name, past + timedelta(seconds=number / 10))
    assert accounts.log_in(home, "li.na", PASSWORD)
    assert home.rates.times(name, past - timedelta(hours=1)) == []


def test_an_address_gets_twenty_failures_a_minute(home):
    for number in range(20):
        home.rates.note("login-ip:10.0.0.9", wall() - timedelta(seconds=number))
    with pytest.raises(Unavailable, match="too_many_attempts"):
        accounts.log_in(home, "anybody", "x", ip="10.0.0.9")
    with pytest.raises(Invalid):
        accounts.log_in(home, "anybody", "x", ip="10.0.0.8")


def test_a_session_ends_when_unused_when_old_and_when_its_account_is_disabled(home, li):
    token = accounts.log_in(home, "li.na", PASSWORD)
    now = wall()
    _age(home.database, seen_at=now - timedelta(hours=7, minutes=59))
    assert accounts.read_session(home, token) is not None
    _age(home.database, seen_at=now - timedelta(hours=8, seconds=1))
    assert accounts.read_session(home, token) is None
    _age(home.database, seen_at=now, expires_at=now - timedelta(seconds=1))
    assert accounts.read_session(home, token) is None

    token = accounts.log_in(home, "li.na", PASSWORD)
    accounts.set_disabled(home, li.id, True)
    assert accounts.read_session(home, token) is None and accounts.sessions_of(home, li.id) == []
    with pytest.raises(Conflict, match="account_disabled"):
        accounts.start_session(home, li.id)
    accounts.set_disabled(home, li.id, False)
    assert accounts.read_session(home, token) is None


def test_use_of_a_session_is_noted_about_once_a_minute(home, li):
    token = accounts.log_in(home, "li.na", PASSWORD)
    old = wall() - timedelta(minutes=5)
    _age(home.database, seen_at=old)
    accounts.read_session(home, token)
    assert accounts.read_session(home, token).seen_at > old + timedelta(minutes=4)


def test_people_list_and_end_their_own_sessions_only(home, li):
    other = accounts.ensure_account(home, "other", "")
    mine, theirs = accounts.start_session(home, li.id), accounts.start_session(home, other.id)
    digest = accounts.sessions_of(home, other.id)[0].digest
    accounts.end_session(home, digest, li.id)
    assert accounts.read_session(home, theirs) is not None
    accounts.end_session(home, accounts.digest_of(mine))
    assert accounts.read_session(home, mine) is None


def test_a_new_password_ends_every_session_and_needs_the_old_one(home, li):
    token = accounts.log_in(home, "li.na", PASSWORD)
    with pytest.raises(Invalid, match="password_wrong"):
        accounts.change_password(home, li.id, "not it", "another good phrase")
    accounts.change_password(home, li.id, PASSWORD, "another good phrase")
    assert accounts.read_session(home, token) is None
    with pytest.raises(Invalid):
        accounts.log_in(home, "li.na", PASSWORD)
    assert accounts.log_in(home, "li.na", "another good phrase")


def test_a_link_sets_one_password_once(home):
    who = accounts.ensure_account(home, "new", "新人")
    first, token = accounts.issue_link(home, who.id), accounts.issue_link(home, who.id)
    with pytest.raises(NotFound, match="link_over"):
        accounts.link_account(home, first)
    assert accounts.link_account(home, token).login == "new"
    with pytest.raises(Invalid, match="password_refused"):
        accounts.redeem_link(home, token, "short")
    assert accounts.redeem_link(home, token, PASSWORD).login == "new"
    with pytest.raises(NotFound, match="link_over"):
        accounts.redeem_link(home, token, PASSWORD + "2")
    assert accounts.log_in(home, "new", PASSWORD)


def test_a_link_ends_with_its_time_and_its_account(home):
    who = accounts.ensure_account(home, "new", "")
    with pytest.raises(NotFound):
        accounts.redeem_link(home, accounts.issue_link(home, who.id, life=timedelta(seconds=-1)), PASSWORD)
    token = accounts.issue_link(home, who.id)
    accounts.set_disabled(home, who.id, True)
    with pytest.raises(NotFound):
        accounts.link_account(home, token)


def test_a_hash_of_weaker_parameters_is_renewed_at_login(home, li, monkeypatch):
    weak = passwords.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with home.database.write() as connection:
        connection.execute(account.update().values(password_hash=weak))
    accounts.log_in(home, "li.na", PASSWORD)
    with home.database.read() as connection:
        assert "m=19456,t=2,p=1" in connection.execute(sa.select(account.c.password_hash)).scalar_one()


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * 129,
        "1234567890",
        "0987654321",
        "qwertyuiop",
        "password123",
        "P@ssw0rd2024",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "13800138000",
        "19900101888",
        "woaini1314520",
        "Admin@123456",
        "1q2w3e4r5t",
        "2024201520",
        "zhangsan2024!",
    ],
)
def test_what_is_tried_first_is_refused(password):
    with pytest.raises(Invalid):
        passwords.check_password(password)


@pytest.mark.parametrize("password", ["correct horse battery", "今天天气很好我们去看海吧", "xK9#mQ2vLp", "seven blue kettles", "tianmimi-42-haibian"])
def test_good_passwords_are_taken(password):
    passwords.check_password(password, ("li.na", "李娜"))


def test_a_password_may_not_contain_its_owner_or_project():
    with pytest.raises(Invalid) as caught:
        passwords.check_password("my-Li.Na-secret-phrase", ("li.na",))
    assert caught.value.faults[0].code == "password_about_you"


def test_a_rate_lets_through_as_many_as_its_limit_in_any_window(home):
    now = wall()
    for second in range(3):
        take(home.rates, "search:1", 3, timedelta(seconds=60), now + timedelta(seconds=second))
    with pytest.raises(Unavailable) as caught:
        take(home.rates, "search:1", 3, timedelta(seconds=60), now + timedelta(seconds=10))
    assert caught.value.params["retry_after"] == 50
    take(home.rates, "search:2", 3, timedelta(seconds=60), now)
    take(home.rates, "search:1", 3, timedelta(seconds=60), now + timedelta(seconds=61))


def test_settings_shorten_sessions(home, li):
    token = accounts.log_in(home, "li.na", PASSWORD)
    _age(home.database, seen_at=wall() - timedelta(hours=2))
    home.settings = replace(home.settings, session_idle_hours=1)
    assert accounts.read_session(home, token) is None
