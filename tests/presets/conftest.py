"""A sales site of the preset on each database: a sandbox on a Sunday morning with a few people, no customers yet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.records.query import Query, page
from engine.records.record import Saved
from metadata.bundle import Bundle
from renderer.serving import all_words
from tests.inhabited import Inhabited

from .stages import WORKSPACE, Theatre

FOLDER = Path(__file__).parents[2] / "presets" / "real_estate"
MORNING = datetime.fromisoformat("2026-03-15T11:00:00+08:00")
PEOPLE = (
    ("jing", "consultant", "one"),
    ("qiang", "consultant", "one"),
    ("di", "consultant", "two"),
    ("ting", "supervisor", "one"),
    ("feng", "supervisor", "two"),
    ("xiao", "manager", "site"),
    ("zhe", "director", "site"),
    ("ning", "receptionist", "site"),
    ("fei", "sales_admin", "site"),
    ("chao", "channel_manager", "site"),
    ("yun", "finance", "site"),
    ("yue", "marketing", "site"),
    ("kai", "auditor", "site"),
    ("root", "admin", "site"),
)
TITLE = "云溪府"
_PEOPLED = "peopled"
_numbers = count(1)
_phones = count(13_900_000_001)


class Site(Inhabited):
    """A workspace and short ways to act in it."""

    def create(self, login: str, entity: str, **values: Any) -> Saved:
        return service.create(self.ctx(login), entity, values)

    def customer(self, login: str, **values: Any) -> Saved:
        """A customer of that person with a telephone nobody else has."""
        return self.create(login, "customer", **{"name": "张三丰", "phone": self.phone(), "source": "natural", **values})

    def phone(self) -> str:
        return str(next(_phones))

    def ids(self, login: str, entity: str, where: str = "") -> set[int]:
        """Ids of all records the person sees."""
        ctx, found, cursor = self.ctx(login), set(), None
        while True:
            answer = page(ctx, Query(entity, where=where, fields=(), limit=200, cursor=cursor))
            found |= {record["id"] for record in answer.items}
            cursor = answer.next
            if cursor is None:
                return found


@pytest.fixture(scope="session")
def preset() -> Bundle:
    """The preset as it stands in its folder."""
    return Bundle.read_folder(FOLDER, DOCUMENTS)[0]


def _peopled(site: Site) -> Site:
    """Teams and people for a site."""
    ctx = site.ctx()
    teams = {"site": service.create(ctx, "team", {"name": "案场"}).id}
    teams |= {key: service.create(ctx, "team", {"name": key, "parent": teams["site"]}).id for key in ("one", "two")}
    for login, role, team in PEOPLE:
        service.create(ctx, "person", {"name": login, "login": login, "roles": [role], "team": teams[team]})
    return site


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(open_home: Callable[[str], Home], preset: Bundle, request: pytest.FixtureRequest) -> Site:
    """A site that the tests of a module share; each makes its own customers."""
    name = f"site{next(_numbers)}"
    create_workspace(open_home(request.param), name, preset, title=TITLE, sandbox=True, now=MORNING)
    return _peopled(Site(open_home(request.param), name))


@pytest.fixture(scope="session")
def theatre_on(tmp_path_factory: pytest.TempPathFactory, preset: Bundle, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Theatre]]:
    """A site with its people, published once per kind of database and laid anew for each test; PostgreSQL is only started when asked for."""
    theatres: dict[str, Theatre] = {}

    def make(kind: str) -> Theatre:
        if kind not in theatres:
            server = (lambda: str(request.getfixturevalue("postgres_url"))) if kind == "postgresql" else None
            theatre = theatres[kind] = Theatre(tmp_path_factory.mktemp("sites"), all_words(), preset, server, now=MORNING, title=TITLE)
            _peopled(Site(theatre.stage.fresh(), WORKSPACE))
            theatre.stage.keep(_PEOPLED)
        return theatres[kind]

    yield make
    for theatre in theatres.values():
        theatre.close()


@pytest.fixture
def fresh_site(theatre_on: Callable[[str], Theatre], database_kind: str) -> Site:
    """A site of a test's own, for those that move its clock."""
    return Site(theatre_on(database_kind).stage.fresh(_PEOPLED), WORKSPACE)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def demo_site(open_home: Callable[[str], Home], preset: Bundle, request: pytest.FixtureRequest) -> Site:
    """An empty demo workspace."""
    name = f"demo{next(_numbers)}"
    create_workspace(open_home(request.param), name, preset, title=TITLE, sandbox=True, demo=True, now=MORNING)
    return Site(open_home(request.param), name)
