"""Plugins are found, loaded whole or not at all, and a failing one is named without harm to the others."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

import plugins
from engine.api import API_VERSION, FieldType, Plugin, field_type
from engine.fields.scope import FieldScope
from engine.messages import sentence
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
    assert {"rating", "colour"} <= vocabulary.field_types.keys() and {"years_between", "is_dark"} <= vocabulary.functions.keys()
    assert {"yes_no", "colour_word", "people"} <= vocabulary.readers.keys() and not vocabulary.functions["is_dark"].sql
    assert registry.origin["field_types", "colour"] == "example" and loaded.templates()["example"].joinpath("fields/colour.html").exists()
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


def test_a_frozen_registry_takes_no_more_words():
    with pytest.raises(RegistrationRefused, match="frozen"):
        plugins.load_package(engine_registry().freeze(), "plugins.example")


def test_a_word_needs_a_name_definitions_could_use(monkeypatch):
    package = module(monkeypatch, "badname", PLUGIN=Plugin("badname", "1"), Odd=field_type(type("Bad", (Odd,), {"name": "Bad Name"})))
    with pytest.raises(RegistrationRefused, match="no name"):
        plugins.load_package(engine_registry(), package)


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", ["rating", "colour"])
def test_field_types_of_plugins_keep_the_contract(name, clause):
    registry = engine_registry()
    plugins.load(registry, [installed("example", "plugins.example")])
    field = read_fields({"f": {"type": name}})["f"]
    clause(Subject(registry.field_types[name], field, FieldScope(Bundle({}), ZoneInfo("Asia/Shanghai"), "", registry.field_types)))
