"""The schemas are valid, say what they mean in both languages, fetch nothing, and accept the language's own examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from metadata.bundle import Bundle
from metadata.check import check
from metadata.definitions import COLOURS, KINDS
from metadata.schemas import SHARED, schema_document, schema_of, step_into
from metadata.shape import Kept, numbered, shape_problems, sound
from tests.metadata.samples import HERE
from tests.metadata.vocabulary import WORDS

LANGUAGE = sorted((HERE / "language").glob("*.json"))
NAMES = (*KINDS, SHARED)


def places(raw: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All described properties of a schema."""
    if isinstance(raw, dict):
        for word, below in raw.get("properties", {}).items():
            yield f"{path}/{word}", below
        for key, below in raw.items():
            if key not in ("properties", "x-en", "x-enum", "enum", "required"):
                yield from places(below, f"{path}/{key}")
        for word, below in raw.get("properties", {}).items():
            yield from places(below, f"{path}/{word}")
    elif isinstance(raw, list):
        for number, below in enumerate(raw):
            yield from places(below, f"{path}/{number}")


@pytest.mark.parametrize("path", LANGUAGE, ids=lambda path: path.stem)
def test_the_examples_of_the_language_have_the_right_shape(path: Path) -> None:
    assert shape_problems(path.stem.split("-")[0], json.loads(path.read_text("utf-8"))) == []


def test_the_rules_of_the_language_have_right_steps() -> None:
    documents = {("rule", path.stem.split("-")[1]): json.loads(path.read_text("utf-8")) for path in LANGUAGE if path.stem.startswith("rule")}
    about = ("step_", "trigger_", "steps_", "name_", "key_", "set_")
    assert [item for item in check(Bundle(documents), WORDS) if item.code.startswith(about)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(schema_document(name))
    assert schema_document(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_titled_in_both_languages(name: str) -> None:
    untitled = [path for path, raw in places(schema_document(name)) if not (raw.get("title") and raw.get("x-en", {}).get("title")) and not _plain(path)]
    assert untitled == []
    halves = [path for path, raw in places(schema_document(name)) if ("description" in raw) != ("description" in raw.get("x-en", {}))]
    assert halves == []


def _plain(path: str) -> bool:
    """Parts of a value that no panel draws by themselves: languages, measures of a find, short typings."""
    return path.rpartition("/")[2] in {
        "zh",
        "en",
        "sum",
        "min",
        "max",
        "average",
        "type",
        "choice",
        "choices",
        "link",
        "to",
        "role",
        "roles",
        "team",
        "lead",
        "values",
        "value",
        "bucket",
        "of",
        "required",
        "help",
        "title",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_words_is_titled(name: str) -> None:
    for path, raw in places(schema_document(name)):
        if "enum" in raw and "title" in raw and path.rpartition("/")[2] not in ("scope", "decision"):
            assert set(raw.get("x-enum", {})) == set(raw["enum"]), path


@pytest.mark.parametrize("name", NAMES)
def test_references_stay_in_our_schemas(name: str) -> None:
    text = json.dumps(schema_document(name))
    targets = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert all(target.startswith(("common.schema.json#/$defs/", "#/$defs/")) for target in targets)


def test_closed_kinds_take_no_unknown_word() -> None:
    for kind in KINDS:
        if kind != "settings":
            assert schema_document(kind)["additionalProperties"] is False


def test_colours_are_those_of_the_definitions() -> None:
    assert tuple(schema_document(SHARED)["$defs"]["colour"]["enum"]) == COLOURS


def test_a_schema_walks_beside_a_document() -> None:
    section = step_into(step_into(schema_of("form"), "layout"), 0)
    assert section.words[0] == "key" and step_into(section, "columns").raw["title"] == "列数"
    step = step_into(step_into(schema_of("rule"), "then"), 3)
    assert step_into(step_into(step, "approved"), 0).words == step.words
    assert step_into(schema_of("entity"), "no such word").properties == {}


def test_what_is_sound_of_a_document_keeps_the_places_of_its_items() -> None:
    document = {"entity": "a", "columns": [1, "b", 2, "c"]}
    rest, broken = sound("list", document)
    assert broken and rest is not None and list(numbered(rest["columns"])) == [(1, "b"), (3, "c")]
    assert isinstance(rest["columns"], Kept) and document["columns"] == [1, "b", 2, "c"]
    assert sound("list", {"columns": ["a"]}) == (None, True)
    assert sound("list", {"entity": "a", "columns": ["a"]}) == ({"entity": "a", "columns": ["a"]}, False)
