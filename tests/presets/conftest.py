"""A sales site of the preset on each database: a sandbox on a Sunday morning with a few people, no customers yet."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
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


@pytest.fixture(scope="session")
def on_postgresql(postgres_url: str) -> Iterator[tuple[str, ExitStack]]:
    """The server, and what is closed before it is stopped."""
    with ExitStack() as theatres:
        yield postgres_url, theatres


@pytest.fixture(scope="session")
def theatre_on(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[..., Theatre]]:
    """A preset published once per kind of database and use, the sales site kept with its people, too; PostgreSQL is only started when asked for.

    The uses: ``each``, laid anew for each test or scenario; ``module``, for each module, whose tests share it beside those.
    """
    theatres: dict[tuple[str, str, Path], Theatre] = {}

    def make(kind: str, use: str, folder: Path = FOLDER) -> Theatre:
        if (kind, use, folder) not in theatres:
            url, closing = request.getfixturevalue("on_postgresql") if kind == "postgresql" else ("", on_sqlite)
            bundle = Bundle.read_folder(folder, DOCUMENTS)[0]
            theatre = theatres[kind, use, folder] = Theatre(tmp_path_factory.mktemp("sites"), all_words(), bundle, url, title=TITLE)
            closing.callback(theatre.close)
            if folder == FOLDER:
                site = Site(theatre.stage.fresh(), WORKSPACE)
                site.home.move_clock(WORKSPACE, MORNING)
                _peopled(site)
                theatre.stage.keep(_PEOPLED)
        return theatres[kind, use, folder]

    with ExitStack() as on_sqlite:
        yield make


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(theatre_on: Callable[..., Theatre], request: pytest.FixtureRequest) -> Site:
    """A site that the tests of a module share; each makes its own customers."""
    return Site(theatre_on(request.param, "module").stage.fresh(_PEOPLED), WORKSPACE)


@pytest.fixture
def fresh_site(theatre_on: Callable[..., Theatre], database_kind: str) -> Site:
    """A site of a test's own, for those that move its clock."""
    return Site(theatre_on(database_kind, "each").stage.fresh(_PEOPLED), WORKSPACE)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def demo_site(open_home: Callable[[str], Home], preset: Bundle, request: pytest.FixtureRequest) -> Site:
    """An empty demo workspace."""
    name = f"demo{next(_numbers)}"
    create_workspace(open_home(request.param), name, preset, title=TITLE, sandbox=True, demo=True, now=MORNING)
    return Site(open_home(request.param), name)
