"""What every test may use: both databases, a home on either, workspaces from documents or folders, contexts of people."""

import os
from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.postgres import postgres_server

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TANGRAM_TEST_SIZE", "small")


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
