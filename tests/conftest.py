"""What every test may use: both databases, a home on either, workspaces from documents or folders, contexts of people."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from engine.actors import enter_as, enter_person
from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.settings import Settings
from engine.workspace import Workspace
from metadata.bundle import Bundle
from renderer.serving import all_words
from tests.postgres import postgres_server

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TANGRAM_TEST_SIZE", "small")
    gc.set_threshold(10_000, 20, 20)  # as a serving process does: what is compiled lives long, and walking it again and again took a sixth of the run


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A running PostgreSQL server's administrative URL."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def new_postgres_database(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database and gives its URL."""
    admin = make_url(postgres_url)

    def make() -> str:
        name = f"t_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(admin.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return admin.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Runs the test once on each database."""
    return str(request.param)


@pytest.fixture(scope="session")
def open_home(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Home]]:
    """Gives one installation per kind of database for the whole run; PostgreSQL starts only when asked for."""
    homes: dict[str, Home] = {}

    def make(kind: str) -> Home:
        if kind not in homes:
            words = {"TANGRAM_HOME": str(tmp_path_factory.mktemp("home")), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
            if kind == "postgresql":
                words["TANGRAM_DATABASE_URL"] = request.getfixturevalue("new_postgres_database")().replace("postgresql://", "postgresql+psycopg://")
            homes[kind] = Home.open(Settings.from_environment(words), all_words(), migrate=True)
        return homes[kind]

    yield make
    for home in homes.values():
        home.close()


@pytest.fixture
def home(open_home: Callable[[str], Home], database_kind: str) -> Home:
    """An installation on each database."""
    return open_home(database_kind)


def new_workspace(home: Home, documents: Mapping[tuple[str, str], Any] | Path, *, sandbox: bool = True, now: datetime = NOW) -> Workspace:
    """A workspace of documents, or of a folder of them, under a name not used before."""
    bundle = Bundle.read_folder(documents, DOCUMENTS)[0] if isinstance(documents, Path) else Bundle(dict(documents), DOCUMENTS)
    return create_workspace(home, f"test{next(_numbers)}", bundle, title="测试", sandbox=sandbox, now=now if sandbox else None)


@pytest.fixture
def make_workspace(home: Home) -> Callable[..., Workspace]:
    """Makes a workspace on each database."""
    return lambda documents, **words: new_workspace(home, documents, **words)


def enter_with_roles(home: Home, workspace: str, *roles: str, login: str = "", team: int | None = None) -> Context:
    """A context of a person with these roles, made when there is none of that login; without roles, the operator's."""
    operator = enter_as(home, workspace, "operator")
    if not roles:
        return operator
    login = login or f"{roles[0]}{next(_numbers)}"
    service.create(operator, "person", {"name": login, "login": login, "roles": list(roles), "team": team})
    return enter_person(home, workspace, login)


@pytest.fixture
def enter(home: Home) -> Callable[..., Context]:
    """Enters a workspace of ``home`` as somebody with given roles."""
    return lambda workspace, *roles, **words: enter_with_roles(home, workspace.name, *roles, **words)
