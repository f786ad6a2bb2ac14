"""The preset's own demo site at the scale asked: made once per database through the product's generator and writer, kept in a folder for later runs."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import psycopg

from engine import background
from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.demo.fill import fill
from engine.home import Home
from engine.publishing import create_workspace, plan_publish, publish
from engine.records import service
from engine.records.query import Query, page
from engine.schema.apply import analyze
from engine.settings import Settings
from metadata.bundle import Bundle
from renderer.serving import all_words
from tests.bench.site import NOW, PRESET
from tests.postgres import postgres_server

LARGE = "site"
#: The site is opened on this morning; what the invented past left to do is done before anything is measured.
OPENED = NOW


@dataclass(frozen=True, slots=True)
class Large:
    """An opened installation, how a server on it is started, and how many seconds making it took when it was made."""

    home: Home
    environment: Mapping[str, str]
    seconds: float


@contextmanager
def large_site(kind: str, scale: str, folder: str) -> Iterator[Large]:
    """The site on a kind of database. ``folder``: where it is kept and found again; '' for a passing one."""
    with tempfile.TemporaryDirectory() as passing:
        place = Path(folder or passing) / f"{kind}-{scale}"
        place.mkdir(parents=True, exist_ok=True)
        if kind == "sqlite":
            yield from _opened(place, scale, "")
        else:
            with postgres_server(keep=place / "postgresql") as url:
                yield from _opened(place, scale, url)


def _opened(place: Path, scale: str, url: str) -> Iterator[Large]:
    told = place / "made.json"
    environment = {"TANGRAM_HOME": str(place / "home"), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_LOG_LEVEL": "warning"}
    if url:
        _database(url)
        environment["TANGRAM_DATABASE_URL"] = url.replace("@/postgres", f"@/{LARGE}")
    home = Home.open(Settings.from_environment(environment), all_words(), migrate=True)
    try:
        if not told.exists():
            begin = monotonic()
            _make(home, scale)
            told.write_text(json.dumps({"seconds": monotonic() - begin}))
        else:
            _bring_up(home)
        yield Large(home, environment, json.loads(told.read_text())["seconds"])
    finally:
        home.close()


def _database(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [LARGE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {LARGE}")


def _preset() -> Bundle:
    bundle, problems = Bundle.read_folder(PRESET, DOCUMENTS)
    if problems:
        raise RuntimeError(f"the preset's definitions are wrong: {problems}")
    return bundle


def _make(home: Home, scale: str) -> None:
    """The site with its demo data, all consultants on duty, and nothing overdue left to do."""
    create_workspace(home, LARGE, _preset(), title="云溪府", sandbox=True, now=OPENED)
    filled = fill(home, LARGE, scale)
    rows = {what: number for what, number in filled.refused.items() if "." not in what}  # a deed may be: at scale L who claims holds as many as they may
    if rows:
        raise RuntimeError(f"rows refused: {rows} {filled.reasons}")
    workspace = home.workspace(LARGE)
    with workspace.database.write(direct=True) as connection:
        analyze(connection, workspace.entities, workspace.database.schema)
    ctx = enter_as(home, LARGE, "operator")
    board = service.create(ctx, "duty_board", {"name": "主轮", "auto_busy": False}).id
    consultants = page(ctx, Query("person", where="active and has(roles, 'consultant')", sort=("id",), fields=(), limit=200)).items
    for number, person in enumerate(consultants):
        service.create(enter_as(home, LARGE, "operator"), "duty_member", {"board": board, "person": person.id, "sort": number, "status": "on"})
    go_on(home, OPENED)


def _bring_up(home: Home) -> None:
    """Publish the preset as it stands now on a kept site."""
    ctx = enter_as(home, LARGE, "operator")
    plan = plan_publish(ctx, _preset())
    if plan.differences:
        publish(ctx, plan)
        background.worker_of(home).drain()


def go_on(home: Home, to: datetime) -> None:
    """Move the site's clock forward, all that falls due until then done."""
    background.advance(home, LARGE, to)


def tomorrow(now: datetime) -> datetime:
    """The next local midnight of the site."""
    local = now + timedelta(hours=8)
    return now - timedelta(hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond) + timedelta(days=1)
