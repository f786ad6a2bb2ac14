"""The JSON API over the small trade world on each database: people with tokens, and the way a program would call."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.home import Home
from tests.renderer.api.shop import Shop, make_shop


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(open_home: Callable[[str], Home], request: pytest.FixtureRequest) -> Iterator[Shop]:
    """One shop on each database for the tests of a module; each test makes its own records."""
    with make_shop(open_home(request.param)) as found:
        yield found


@pytest.fixture
def fresh_shop(open_home: Callable[[str], Home], database_kind: str) -> Iterator[Shop]:
    """A shop of a test's own, for those that publish or move the clock."""
    with make_shop(open_home(database_kind)) as found:
        yield found


@pytest.fixture
def customer(shop: Shop) -> Callable[..., dict[str, Any]]:
    """Makes a customer of s1 over the API."""
    return lambda **values: shop.s1.post("/records/customer", {"name": "王小明", **values}).json()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hostile_shop(open_home: Callable[[str], Home], request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop that may be left in any state."""
    with make_shop(open_home(request.param)) as found:
        yield found
