"""A plugin's action inside a rule: what it finds by text, what it may not touch, and what its failures leave behind: nothing."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from engine.actors import enter_as
from engine.api import CreateRecord, Find, Lock, SetValues, action, option
from engine.builtin import DOCUMENTS as BUILT_IN
from engine.context import Context
from engine.errors import Conflict, Denied, Unavailable
from engine.home import Home
from engine.messages import told
from engine.publishing import create_workspace
from engine.records import service
from engine.records.query import Query, get, page
from engine.registry import engine_registry
from engine.settings import Settings
from engine.workspace_checking import with_expressions
from metadata.bundle import Bundle
from plugins import load

RECORD = {"what": option({"type": "integer", "format": "record"}, ("记录", "Record"))}
WORDS: dict[str, Any] = {"title": {"zh": "试", "en": "Try"}, "help": {"zh": "试", "en": "Try"}, "params": RECORD, "required": ("what",)}


@action("odd.count", **WORDS, reads=("task",), writes=("update {what}",))
def counting(ctx, record, params):
    what = params["what"]
    yield Lock(("odd", what.id))
    open_ = yield Find("task", "about == which and status == wanted", take="count", spaces={"which": what, "wanted": "open"})
    newest = yield Find("task", "about == which", sort=(("id", True),), spaces={"which": what})
    yield SetValues(what, {"tasks": open_, "note": newest["name"] if newest else None})
    return open_


@action("odd.wrong_text", **WORDS, reads=("task",))
def wrong_text(ctx, record, params):
    yield Find("task", "nobody_knows == 1")


@action("odd.failing", **WORDS, writes=("create task",))
def failing(ctx, record, params):
    yield CreateRecord("task", {"name": "half", "about": params["what"].id})
    raise ZeroDivisionError("of its own")


@action("odd.endless", **WORDS, writes=("create task",))
def endless(ctx, record, params):
    yield CreateRecord("task", {"name": "half", "about": params["what"].id})
    while True:
        pass


@action("odd.greedy", **WORDS, writes=("create task",))
def greedy(ctx, record, params):
    yield CreateRecord("task", {"name": "half", "about": params["what"].id})
    yield SetValues(params["what"], {"note": "taken"})


ACTIONS = (counting, wrong_text, failing, endless, greedy)
DOCUMENTS: dict[tuple[str, str], Any] = {
    ("entity", "case"): {
        "title": "案",
        "label": "{name}",
        "fields": {"name": {"type": "text"}, "tasks": {"type": "integer"}, "note": {"type": "text"}, "way": {"type": "text"}},
    },
    ("entity", "task"): {
        "title": "任务",
        "label": "{name}",
        "fields": {"name": {"type": "text"}, "about": {"type": "link", "to": "case"}, "status": {"type": "text", "default": "open"}},
    },
    **{
        ("rule", one.word.name.partition(".")[2]): {
            "title": {"zh": one.word.name},
            "on": {"after": "update", "entity": "case", "fields": ["way"]},
            "if": f"way == '{one.word.name.partition('.')[2]}'",
            "then": [{"do": one.word.name, "with": {"what": "record"}}],
        }
        for one in ACTIONS
    },
}
_numbers = count(1)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    made: dict[str, Home] = {}

    def home(kind: str) -> Home:
        if kind not in made:
            words = {"TANGRAM_HOME": str(tmp_path_factory.mktemp("odd")), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL"}
            if kind == "postgresql":
                words["TANGRAM_DATABASE_URL"] = request.getfixturevalue("new_postgres_database")().replace("postgresql://", "postgresql+psycopg://")
            registry = engine_registry()
            load(registry, ())
            registry.add(ACTIONS, "odd", "1.0.0")
            made[kind] = Home.open(Settings.from_environment(words), with_expressions(registry).freeze(), migrate=True)
        return made[kind]

    yield home
    for one in made.values():
        one.close()


@pytest.fixture
def ctx(homes, database_kind) -> Context:
    home = homes(database_kind)
    name = f"odd{next(_numbers)}"
    create_workspace(home, name, Bundle(DOCUMENTS, BUILT_IN), title="试")
    return enter_as(home, name, "operator")


def save(ctx: Context, way: str) -> int:
    record = service.create(ctx, "case", {"name": "一"}).id
    for name in ("a", "b"):
        service.create(ctx, "task", {"name": name, "about": record})
    service.create(ctx, "task", {"name": "c", "about": record, "status": "done"})
    service.update(ctx, "case", record, {"way": way}, 1)
    return record


def untouched(ctx: Context) -> None:
    """Nothing of the refused save stands, and the workspace goes on working."""
    assert [record["name"] for record in page(ctx, Query("task", sort=("id",))).items] == ["a", "b", "c"]
    only = page(ctx, Query("case")).items[0]
    assert only["way"] is None and only["note"] is None
    service.create(ctx, "task", {"name": "after"})


def test_a_find_by_text_uses_the_names_it_gives(ctx):
    record = save(ctx, "count")
    found = get(ctx, "case", record)
    assert (found["tasks"], found["note"]) == (2, "c")


@pytest.mark.parametrize("way", ["failing", "endless"])
def test_a_failing_or_endless_action_is_named_and_nothing_of_the_save_stands(ctx, way):
    with pytest.raises(Unavailable) as refusal:
        save(ctx, way)
    assert refusal.value.code == "plugin_failed" and "插件“odd”" in told(refusal.value)
    untouched(ctx)


def test_an_action_that_touches_more_than_it_declares_is_refused_as_a_whole(ctx):
    with pytest.raises(Denied, match="action_beyond"):
        save(ctx, "greedy")
    untouched(ctx)


def test_a_wrong_condition_of_a_find_is_told_with_its_text(ctx):
    with pytest.raises(Conflict, match="find_text") as refusal:
        save(ctx, "wrong_text")
    assert "nobody_knows == 1" in told(refusal.value)
    untouched(ctx)
