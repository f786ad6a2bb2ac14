"""Connections: options as their connector asks for them, a secret that is sealed, never shown, and bound to the host it was given for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.connections import connections, find_connection, forget_connection, keep_connection, secret_of
from engine.errors import Invalid, NotFound
from engine.home import Home
from engine.messages import told_faults
from engine.settings import Settings
from engine.system_tables_rules import connector
from renderer.serving import all_words
from tests.engine.homes import Place, small_place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[str, Home]]:
    """Homes with the plugins' words, one per kind of database."""
    made: dict[str, Home] = {}
    folder: Path = tmp_path_factory.mktemp("connections")
    for kind in ("sqlite", "postgresql"):
        words = {"TANGRAM_HOME": str(folder / kind), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
        if kind == "postgresql":
            words["TANGRAM_DATABASE_URL"] = request.getfixturevalue("new_postgres_database")()
        made[kind] = Home.open(Settings.from_environment(words), all_words(), migrate=True)
    yield made
    for home in made.values():
        home.close()


@pytest.fixture
def place(database_kind: str, homes: dict[str, Home]) -> Place:
    return small_place(homes[database_kind])


HOOK = {"url": "https://hooks.example.org/a"}


def faults(caught: pytest.ExceptionInfo[Invalid]) -> dict[str, str]:
    return {fault.pointer: fault.code for fault in caught.value.faults}


def test_a_connection_is_kept_and_its_secret_is_sealed_and_never_shown(place):
    made = keep_connection(place.ctx, "partner", "webhook", HOOK, secret="whsec_c2VjcmV0", new=True)
    assert (made.has_secret, made.known, made.active, dict(made.options)) == (True, True, True, HOOK)
    assert connections(place.ctx) == [made] and "c2VjcmV0" not in repr(made)
    with place.workspace.database.read() as connection:
        row = connection.execute(sa.select(connector)).one()
    assert "c2VjcmV0" not in str(row) and secret_of(place.ctx, "partner") == "whsec_c2VjcmV0"


def test_saving_without_a_secret_keeps_it_but_another_host_forgets_it(place):
    keep_connection(place.ctx, "partner", "webhook", HOOK, secret="s1")
    assert keep_connection(place.ctx, "partner", "webhook", HOOK, active=False).has_secret
    assert not keep_connection(place.ctx, "partner", "webhook", {"url": "https://evil.example.net/a"}).has_secret
    assert secret_of(place.ctx, "partner") == ""
    keep_connection(place.ctx, "partner", "webhook", HOOK, secret="s2")
    assert not keep_connection(place.ctx, "partner", "webhook", HOOK, secret="").has_secret


def test_every_fault_of_a_connection_is_told_at_once(place):
    keep_connection(place.ctx, "used", "webhook", HOOK)
    with pytest.raises(Invalid) as caught:
        keep_connection(place.ctx, "Bad name", "email", {"port": "many", "security": "maybe", "surplus": 1}, secret="a\nb", reached="no_such_field", new=True)
    assert {"/name", "/options/port", "/options/security", "/options/surplus", "/options/host", "/options/sender", "/reached", "/secret"} == set(faults(caught))
    for locale in ("zh", "en"):
        assert all(text and "{" not in text for _, text in told_faults(caught.value, locale))
    for name, pointer in (("used", "/name"), ("screen", "/name")):
        with pytest.raises(Invalid) as caught:
            keep_connection(place.ctx, name, "webhook", HOOK, new=True)
        assert set(faults(caught)) == {pointer}
    with pytest.raises(Invalid) as caught:
        keep_connection(place.ctx, "used", "email", {"host": "mail.example.org", "sender": "a@b.c"})
    assert faults(caught)["/kind"] == "connection_kind_fixed"


@pytest.mark.parametrize("url", ["ftp://example.org", "javascript:alert(1)", "example.org/x"])
def test_an_address_is_a_web_address(place, url):
    with pytest.raises(Invalid) as caught:
        keep_connection(place.ctx, "partner", "webhook", {"url": url})
    assert "/options/url" in faults(caught)


def test_unknown_kinds_and_names_are_not_there(place):
    for ask in (
        lambda: keep_connection(place.ctx, "partner", "pigeon", {}),
        lambda: find_connection(place.ctx, "partner"),
        lambda: forget_connection(place.ctx, "partner"),
    ):
        with pytest.raises(NotFound):
            ask()
    keep_connection(place.ctx, "partner", "webhook", HOOK)
    forget_connection(place.ctx, "partner")
    assert connections(place.ctx) == []
