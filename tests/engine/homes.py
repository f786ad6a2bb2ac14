"""Homes on either database and small workspaces for tests of publishing and drafts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.home import Home
from engine.publishing import Published, create_workspace, operator, plan_publish, publish
from engine.records.record import RunResult
from engine.records.runs import Asked, Runs
from engine.registry import engine_registry
from engine.settings import Settings
from engine.workspace import Workspace
from engine.workspace_checking import with_expressions
from engine.workspace_load import load_workspace
from metadata.bundle import Bundle

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)

ADMIN = {
    "title": {"zh": "管理员"},
    "can": ["people", "design", "publish", "settings"],
    "grants": {"*": {"read": True, "create": True, "update": True, "delete": True, "export": True}},
}
SMALL: dict[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "small", "title": {"zh": "小世界"}, "version": "1.0"},
    ("settings", "settings"): {"factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}}},
    ("choices", "stage"): {
        "title": {"zh": "阶段"},
        "options": {"new": {"title": {"zh": "新"}}, "won": {"title": {"zh": "成"}}, "lost": {"title": {"zh": "败"}}},
    },
    ("entity", "plant"): {
        "title": {"zh": "植物", "en": "Plant"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": {"zh": "名称"}, "required": True, "search": "name"},
            "code": {"type": "text", "title": {"zh": "编码"}},
            "height": {"type": "integer", "title": {"zh": "高度"}},
            "stage": {"type": "choice", "choices": "stage", "title": {"zh": "阶段"}},
            "owner": {"type": "person", "title": {"zh": "负责人"}},
        },
    },
    ("entity", "visit"): {
        "title": {"zh": "查看"},
        "label": "{note}",
        "fields": {
            "plant": {"type": "link", "to": "plant", "title": {"zh": "植物"}, "required": True},
            "note": {"type": "text", "title": {"zh": "说明"}},
            "amount": {"type": "integer", "title": {"zh": "数量"}},
        },
    },
    ("form", "plant"): {
        "entity": "plant",
        "title": {"zh": "植物"},
        "layout": [{"key": "main", "section": {"zh": "基本"}, "columns": 2, "items": ["name", "code"]}],
    },
    ("list", "plants"): {"entity": "plant", "title": {"zh": "全部植物"}, "sort": ["-height"], "columns": ["name", "height", "stage"], "quick": ["stage"]},
    ("role", "admin"): ADMIN,
}


@contextmanager
def opened_home(kind: str, folder: Path, postgres: Callable[[], str]) -> Iterator[Home]:
    """An empty installation."""
    words = {"TANGRAM_HOME": str(folder), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
    if kind == "postgresql":
        words["TANGRAM_DATABASE_URL"] = postgres()
    home = Home.open(Settings.from_environment(words), with_expressions(engine_registry()).freeze(), load_workspace, migrate=True)
    yield home
    home.close()


_numbers = count(1)


class Homes:
    """One home per kind of database for a whole file of tests; PostgreSQL starts only when asked for."""

    def __init__(self, folder: Path, postgres: Callable[[], Callable[[], str]]) -> None:
        self._folder, self._postgres = folder, postgres
        self._open = ExitStack()
        self._homes: dict[str, Home] = {}

    def home(self, kind: str) -> Home:
        if kind not in self._homes:
            folder = self._folder / kind
            folder.mkdir()
            self._homes[kind] = self._open.enter_context(opened_home(kind, folder, self._postgres() if kind == "postgresql" else str))
        return self._homes[kind]

    def close(self) -> None:
        self._open.close()


def new_name() -> str:
    """A workspace name not used before."""
    return f"garden{next(_numbers)}"


@dataclass
class Place:
    """One workspace under test."""

    home: Home
    name: str

    @property
    def workspace(self) -> Workspace:
        return self.home.look(self.name)[0]

    @property
    def ctx(self) -> Context:
        return operator(self.home, self.name)

    def changed(self, changes: Mapping[tuple[str, str], Any]) -> Bundle:
        return self.workspace.bundle.replace(changes)

    def publish(self, changes: Mapping[tuple[str, str], Any], **words: Any) -> Published:
        return publish(self.ctx, plan_publish(self.ctx, self.changed(changes)), **words)

    def entity(self, key: str, fields: Mapping[str, Any] | None = None, **words: Any) -> dict[str, Any]:
        """The document of an entity with fields put in place (None: taken out) and words changed."""
        document = dict(self.workspace.bundle.documents["entity", key])
        document["fields"] = {name: value for name, value in {**document["fields"], **(fields or {})}.items() if value is not None}
        return {**document, **words}

    def with_fields(self, key: str, **fields: Any) -> Published:
        """Publish an entity with these fields changed."""
        return self.publish({("entity", key): self.entity(key, fields)})


def small_place(home: Home, name: str = "", changes: Mapping[tuple[str, str], Any] | None = None) -> Place:
    """The small workspace, changed."""
    name = name or new_name()
    documents = {key: value for key, value in {**SMALL, **(changes or {})}.items() if value is not None}
    create_workspace(home, name, Bundle(documents, DOCUMENTS), title="花园", sandbox=True, now=NOW)
    return Place(home, name)


def run_rule(ctx: Context, asked: Asked) -> RunResult:
    """One run that something asks for, in a transaction of its own."""
    with ctx.writing() as inner:
        runs = Runs(inner)
        result = runs.run(inner, asked)
        runs.finish()
    return result


@contextmanager
def sent(word: str = "") -> Iterator[list[str]]:
    """The statements sent meanwhile that hold a word, transactions' begin and end apart."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if word in statement and not statement.startswith(("BEGIN", "COMMIT")):
            found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
