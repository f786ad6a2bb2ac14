"""The clinic behind the application, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from engine import accounts
from engine.actors import enter_person
from engine.context import Context
from engine.home import Home
from renderer.app import create_app
from tests.renderer.clinic import make_clinic, open_home
from tests.renderer.counter import make_counter
from tests.renderer.station import make_station, posting_client


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation with the clinic; tests leave its patients as they are."""
    home = open_home(tmp_path_factory.mktemp("clinic"))
    make_clinic(home, patients=60)
    yield home
    home.close()


@pytest.fixture(scope="session")
def application(clinic: Home) -> object:
    return create_app(clinic)


@pytest.fixture
def client_of(clinic: Home, application: object) -> Callable[..., TestClient]:
    """A client with the session of a login ("" = nobody)."""

    def make(login: str = "") -> TestClient:
        client = TestClient(application, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False, client=("127.0.0.1", 50000))  # type: ignore[arg-type]
        if login:
            account = accounts.find_account(clinic, login)
            assert account is not None
            client.cookies.set("tangram", accounts.start_session(clinic, account.id))
        return client

    return make


@pytest.fixture
def ctx_of_login(clinic: Home) -> Callable[[str], Context]:
    """The context of a person of the clinic."""
    return lambda login: enter_person(clinic, "clinic", login)


@pytest.fixture
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The counter, new for each test."""
    home = open_home(tmp_path_factory.mktemp("counter"))
    make_counter(home)
    yield home
    home.close()


@pytest.fixture
def counter_client(counter: Home) -> Callable[[str], TestClient]:
    """A client of a person of the counter."""
    application = create_app(counter)

    def make(login: str) -> TestClient:
        client = TestClient(application, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False)  # type: ignore[arg-type]
        account = accounts.find_account(counter, login)
        assert account is not None
        client.cookies.set("tangram", accounts.start_session(counter, account.id))
        return client

    return make


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The station, new for each file of tests."""
    home = open_home(tmp_path_factory.mktemp("station"))
    make_station(home)
    yield home
    home.close()


@pytest.fixture
def station_client(station: Home) -> Callable[[str], TestClient]:
    """A client of the station with the session of a login, which may post."""
    application = create_app(station)
    return lambda login: posting_client(station, application, login)
