"""The product's side of the benchmark: an installation in a temporary folder with the bench's definitions, its people, and the records."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import accounts, api_tokens
from engine.actors import system_actor
from engine.builtin import DOCUMENTS
from engine.context import Cause, Context
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.settings import Settings
from metadata.bundle import Bundle
from renderer.serving import all_words

DEFINITIONS = Path(__file__).with_name("definitions")
WORKSPACE = "bench"
ADMINS, MEMBERS = 40, 200


@dataclass(frozen=True, slots=True)
class World:
    """An opened installation and who is in it: person ids by role, in order of their logins."""

    home: Home
    ctx: Context
    environment: Mapping[str, str]
    admins: tuple[int, ...]
    members: tuple[int, ...]

    def tokens(self, prefix: str, many: int) -> list[str]:
        """A bearer token for each of the first people of that login prefix."""
        return [api_tokens.create_token(self.home, WORKSPACE, f"{prefix}{number}") for number in range(many)]

    def sessions(self, prefix: str, many: int) -> list[str]:
        """A page session for each of them."""
        return [accounts.start_session(self.home, accounts.ensure_account(self.home, f"{prefix}{number}", f"{prefix}{number}").id) for number in range(many)]


def open_world(folder: str, url: str = "", change: Mapping[tuple[str, str], Any] | None = None) -> World:
    """A new installation on SQLite, or in the PostgreSQL database of ``url``; ``change`` replaces documents of the bench's definitions."""
    environment = {"TANGRAM_HOME": folder, "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_LOG_LEVEL": "warning", **({"TANGRAM_DATABASE_URL": url} if url else {})}
    home = Home.open(Settings.from_environment(environment), all_words(), migrate=True)
    bundle, problems = Bundle.read_folder(DEFINITIONS, DOCUMENTS)
    if problems:
        raise RuntimeError(f"the bench's definitions are wrong: {problems}")
    create_workspace(home, WORKSPACE, bundle.replace(dict(change)) if change else bundle)
    workspace, state = home.look(WORKSPACE)
    ctx = Context(home=home, workspace=workspace, actor=system_actor("operator"), now=state.now, cause=Cause("system", "bench"))
    people = [
        {"name": f"{word}{number}", "login": f"{login}{number}", "roles": [role]}
        for word, login, role, many in (("管理", "a", "admin", ADMINS), ("顾问", "m", "member", MEMBERS))
        for number in range(many)
    ]
    ids = [int(result.id or 0) for result in service.load(ctx, "person", people)]
    workspace, state = home.look(WORKSPACE)
    ctx = Context(home=home, workspace=workspace, actor=system_actor("operator"), now=state.now, cause=Cause("system", "bench"))
    return World(home, ctx, environment, tuple(ids[:ADMINS]), tuple(ids[ADMINS:]))


def fill(world: World, records: Iterable[Mapping[str, Any]], size: int = 5000) -> None:
    """Load records through the product's own writer, and let the database look at them."""
    records = iter(records)
    while some := list(itertools.islice(records, size)):
        refused = [result for result in service.load(world.ctx, "customer", some, trusted=True) if result.refused]
        if refused:
            raise RuntimeError(f"{len(refused)} rows refused: {refused[0]}")
    with world.ctx.workspace.database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
