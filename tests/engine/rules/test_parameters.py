"""Parameters are accepted and refused exactly as JSON Schema says, whatever is given."""

import os
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

import plugins
from engine.api import action
from engine.errors import Fault
from engine.registry import engine_registry
from engine.rules.parameters import reader

MANY = 3_000 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 150
REGISTRY = engine_registry()
plugins.load(REGISTRY, [])
#: A whole number is an int: 1.0 is none, as everywhere in the house.
Oracle = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 12_000),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "on", "percent", "x y", "a_1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["who", "amount", "weight", "mode", "value", "state", "odd"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def examples() -> list[tuple[str, dict[str, Any]]]:
    return [(name, example) for name, one in REGISTRY.actions.items() for example in one.word.params["examples"]]  # type: ignore[attr-defined]


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, item in below for place in places(item, (*at, key)))]


@settings(max_examples=MANY, deadline=None)
@given(st.sampled_from(examples()), st.data())
def test_accepted_and_refused_as_json_schema_says(example, data):
    """An example with something else at one place, with a place taken out, or with a word more."""
    name, params = example[0], deepcopy(example[1])
    place = data.draw(st.sampled_from(places(params)))
    if place:
        node: Any = params
        for key in place[:-1]:
            node = node[key]
        if data.draw(st.booleans()):
            node[place[-1]] = data.draw(values)
        else:
            del node[place[-1]]
    elif data.draw(st.booleans()):
        params["odd"] = data.draw(values)
    faults: list[Fault] = []
    taken = reader(REGISTRY.actions[name].word.params)(params, "", faults)
    assert (not faults) == Oracle(dict(REGISTRY.actions[name].word.params)).is_valid(params), (name, params, faults)
    assert faults or taken == params


def test_the_plain_examples_are_taken_as_they_are():
    for name, params in examples():
        faults: list[Fault] = []
        assert reader(REGISTRY.actions[name].word.params)(params, "", faults) == params and not faults


@pytest.mark.parametrize(
    ("schema", "value", "word"),
    [
        ({"type": "string", "minLength": 2, "maxLength": 3}, "a", "minLength"),
        ({"type": "string", "maxLength": 3}, "abcd", "maxLength"),
        ({"type": "string", "pattern": "^a+$"}, "ab", "pattern"),
        ({"type": "array", "minItems": 1}, [], "minItems"),
        ({"type": "array", "maxItems": 1}, [1, 2], "maxItems"),
        ({"type": "integer", "maximum": 3}, 4, "maximum"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, "unknown"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"b": "x"}, "type"),
    ],
)
def test_every_word_is_checked_and_named(schema, value, word):
    faults: list[Fault] = []
    reader(schema)(value, "", faults)
    assert [fault.params["word"] for fault in faults] == [word]


@pytest.mark.parametrize("schema", [{"oneOf": []}, {"type": "object", "properties": {"a": {"$ref": "x"}}}, {"type": "array", "items": {"multipleOf": 2}}])
def test_words_that_would_not_be_checked_are_refused_when_the_action_is_declared(schema):
    with pytest.raises(ValueError, match="words of JSON Schema"):
        action("odd.action", params={"it": schema})(lambda ctx, record, params: None)
