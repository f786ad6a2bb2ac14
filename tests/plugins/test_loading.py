"""Plugins are found, loaded whole or not at all, and a failing one is named without harm to the others."""

import logging
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

import plugins
from engine.api import API_VERSION, FieldType, Plugin, field_type
from engine.errors import Invalid, Unavailable
from engine.fields.scope import FieldScope
from engine.messages import sentence, told
from engine.registry import RegistrationRefused, engine_registry
from metadata.bundle import Bundle
from metadata.definitions import read_fields
from tests.contracts.field_type import CONTRACT, Subject


def installed(name: str, package: str) -> EntryPoint:
    return EntryPoint(name, package, plugins.GROUP)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> str:
    made = ModuleType(name)
    vars(made).update(members)
    for member in members.values():
        if isinstance(member, type):
            member.__module__ = name
    monkeypatch.setitem(sys.modules, name, made)
    return name


class Odd(FieldType):
    name = "odd"
    title = "odd"  # type: ignore[assignment]


def test_the_built_in_packages_and_installed_ones_are_loaded_in_order():
    registry = engine_registry()
    loaded = plugins.load(registry, [installed("example", "plugins.example")])
    assert [plugin.name for plugin in loaded.plugins] == ["builtin", "example"] and not loaded.failures
    vocabulary = registry.freeze().vocabulary()
    assert vocabulary.plugins == {"builtin": "1.0.0", "example": "1.0.0"}
    assert {"rating", "example_colour"} <= vocabulary.field_types.keys() and {"years_between", "example_is_dark"} <= vocabulary.functions.keys()
    assert {"yes_no", "example_colour_word", "people"} <= vocabulary.readers.keys() and not vocabulary.functions["example_is_dark"].sql
    assert registry.origin["field_types", "example_colour"] == "example" and loaded.templates()["example"].joinpath("fields/example_colour.html").exists()
    assert sentence("example_colour", {}, "zh").startswith("颜色不正确")


def test_a_failing_plugin_is_named_and_leaves_nothing_behind(monkeypatch):
    registry = engine_registry()
    clashing = module(
        monkeypatch,
        "clashing",
        PLUGIN=Plugin("clashing", "1"),
        Fine=field_type(type("Fine", (Odd,), {"name": "fine"})),
        Text=field_type(type("Text", (Odd,), {"name": "text"})),
    )
    loaded = plugins.load(
        registry,
        [
            installed("missing", "no_such_package"),
            installed("clashing", clashing),
            installed("empty", module(monkeypatch, "empty")),
            installed("old", module(monkeypatch, "old", PLUGIN=Plugin("old", "1", api=API_VERSION - 1))),
            installed("loud", module(monkeypatch, "loud", PLUGIN=Plugin("loud", "1", messages={"phone_invalid": {"zh": "x", "en": "x"}}))),
            installed("example", "plugins.example"),
        ],
    )
    assert {failure.name for failure in loaded.failures} == {"missing", "clashing", "empty", "old", "loud"}
    assert [plugin.name for plugin in loaded.plugins] == ["builtin", "example"]
    reasons = {failure.name: failure.reason for failure in loaded.failures}
    assert "'text' is already one of the field_types" in reasons["clashing"] and "no PLUGIN" in reasons["empty"] and "loud_" in reasons["loud"]
    assert "fine" not in registry.field_types and "clashing" not in registry.plugins


# --- from a folder ---------------------------------------------------------------------------------------------------------------------------------

SOURCE = """
from engine.api import CreateRecord, Plugin, action

PLUGIN = Plugin("{name}", "1.2.0", capabilities={capabilities})

@action("{name}.make", writes=("create task",))
def make(ctx, record, params):
    yield CreateRecord("task", {{}})
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A plugin folder; what it puts on the path and imports is taken back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, name: str, capabilities: object = "{'writes': ('task',)}", source: str = SOURCE) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(source.format(name=name, capabilities=capabilities), encoding="utf-8")
    return folder / name


def test_packages_of_a_folder_are_plugins_and_a_broken_one_harms_nobody(folder):
    write(folder, "fine_plugin")
    write(folder, "broken_plugin", source="raise RuntimeError('at import')")
    write(folder, "_hidden")
    (folder / "notes.txt").write_text("x")
    registry = engine_registry()
    loaded = plugins.load(registry, [], folder)
    assert [plugin.name for plugin in loaded.plugins] == ["builtin", "fine_plugin"]
    assert [(failure.name, failure.reason) for failure in registry.left_out] == [("broken_plugin", "RuntimeError: at import")]
    assert registry.manifests["fine_plugin"].version == "1.2.0" and registry.origin["actions", "fine_plugin.make"] == "fine_plugin"
    assert registry.digests["fine_plugin"] == plugins.digest_of(folder / "fine_plugin")


def test_a_folder_that_is_not_there_holds_no_plugins(tmp_path):
    assert [plugin.name for plugin in plugins.load(engine_registry(), [], tmp_path / "none").plugins] == ["builtin"]


def test_a_plugin_cannot_stand_in_for_another_package(folder):
    write(folder, "json")
    write(folder, "engine")
    loaded = plugins.load(engine_registry(), [], folder)
    assert {failure.name: failure.reason for failure in loaded.failures} == {name: f"there is another package named {name}" for name in ("json", "engine")}


def test_with_a_lock_only_what_is_pinned_and_unchanged_is_loaded(folder):
    for name in ("pinned_plugin", "changed_plugin", "unknown_plugin"):
        write(folder, name)
    pins = {name: plugins.digest_of(folder / name) for name in ("pinned_plugin", "changed_plugin")}
    (folder / plugins.LOCK).write_text("".join(f"{name} {digest}\n" for name, digest in pins.items()))
    (folder / "changed_plugin" / "more.py").write_text("")
    loaded = plugins.load(engine_registry(), [], folder)
    assert [plugin.name for plugin in loaded.plugins] == ["builtin", "pinned_plugin"]
    reasons = {failure.name: failure.reason for failure in loaded.failures}
    assert "not pinned" in reasons["unknown_plugin"] and plugins.digest_of(folder / "changed_plugin") in reasons["changed_plugin"]


@pytest.mark.parametrize("capabilities", ["{}", "{'writes': ('other',)}", "{'does': ('*',)}", "{'writes': ('*',), 'everything': ('*',)}"])
def test_a_plugin_that_touches_more_than_it_says_is_left_out(folder, capabilities):
    write(folder, "greedy_plugin", capabilities)
    registry = engine_registry()
    loaded = plugins.load(registry, [], folder)
    assert [failure.name for failure in loaded.failures] == ["greedy_plugin"] and "does not say" in loaded.failures[0].reason
    assert "greedy_plugin.make" not in registry.actions


BROKEN_FUNCTION = """
from engine.api import Invalid, Plugin, function

PLUGIN = Plugin("{name}", "1")

@function("integer -> integer", help="x")
def {name}_half(number):
    if number == 7:
        raise Invalid("phone_invalid")
    return 10 // number
"""


def test_a_failing_function_is_told_as_its_plugins_failure(folder, caplog):
    write(folder, "halving", source=BROKEN_FUNCTION)
    registry = engine_registry()
    assert not plugins.load(registry, [], folder).failures
    half = registry.functions["halving_half"].python
    assert half(5) == 2
    with caplog.at_level(logging.ERROR, "tangram.plugins"), pytest.raises(Unavailable) as refusal:
        half(0)
    assert "halving" in told(refusal.value) and "halving_half" in caplog.text
    with pytest.raises(Invalid, match="phone_invalid"):
        half(7)


def test_a_frozen_registry_takes_no_more_words():
    with pytest.raises(RegistrationRefused, match="frozen"):
        plugins.load_package(engine_registry().freeze(), "plugins.example")


def test_a_word_needs_a_name_definitions_could_use(monkeypatch):
    package = module(monkeypatch, "badname", PLUGIN=Plugin("badname", "1"), Odd=field_type(type("Bad", (Odd,), {"name": "Bad Name"})))
    with pytest.raises(RegistrationRefused, match="no name"):
        plugins.load_package(engine_registry(), package)


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", ["rating", "example_colour"])
def test_field_types_of_plugins_keep_the_contract(name, clause):
    registry = engine_registry()
    plugins.load(registry, [installed("example", "plugins.example")])
    field = read_fields({"f": {"type": name}})["f"]
    clause(Subject(registry.field_types[name], field, FieldScope(Bundle({}), ZoneInfo("Asia/Shanghai"), "", registry.field_types)))
