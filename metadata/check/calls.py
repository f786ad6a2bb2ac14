"""Calls of built-in and plugin actions: the parameters a step gives against the JSON Schema its action declares, as far as it can be told before a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.check.findings import Spot
from metadata.shape import numbered, option_problems
from metadata.vocabulary import ActionWord, ExpressionPlace

_LITERAL = re.compile(r"'([^'\\]*)'")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Call:
    """One ``do`` of an action. ``place``: what its expressions may name, given the type they need; ``names``: carried names and what they are.

    ``fields`` checks values of an entity's fields: (spot, values, entity).
    """

    word: ActionWord
    given: Mapping[str, Any]
    place: Callable[[str], ExpressionPlace]
    names: Mapping[str, str]
    fields: Callable[[Spot, Mapping[str, Any], str], None]

    def check(self, spot: Spot) -> None:
        """Everything that can be said of the parameters; ``spot`` is the step's ``with``."""
        properties = self.word.params.get("properties")
        if not isinstance(properties, Mapping):
            for name, value in self.given.items():
                self._argument(spot / name, name, _NONE, value)
            return
        for name in _required(self.word.params):
            if self.given.get(name) is None:
                spot.report("param_missing", name=name, action=self.word.name)
        for name, value in self.given.items():
            if name == "record" or spot.findings.among(spot / name, "param", name, properties):
                self._argument(spot / name, name, properties.get(name, _NONE), value)

    def _argument(self, spot: Spot, name: str, schema: Mapping[str, Any], value: Any) -> None:
        if isinstance(value, Mapping):
            self._map(spot, name, schema, value)
        elif isinstance(value, list):
            if "array" in _types(schema, "array"):
                items = schema.get("items", _NONE)
                for number, item in numbered(value):
                    self._argument(spot / number, name, items if isinstance(items, Mapping) else _NONE, item)
            else:
                self._constant(spot, schema, value)
        elif isinstance(value, str):
            self._expression(spot, name, schema, value)
        elif value is not None:
            if schema.get("format") == "record":
                spot.report("param_record", name=name)
            else:
                self._constant(spot, schema, value)

    def _map(self, spot: Spot, name: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        if "object" not in _types(schema, "object"):
            self._constant(spot, schema, value)
            return
        if schema.get("format") == "values":
            self.fields(spot, value, self._entity(str(schema.get("x-of", ""))))
            return
        properties, others = schema.get("properties", _NONE), schema.get("additionalProperties", _NONE)
        for word in _required(schema):
            if word not in value:
                spot.report("param_missing", name=word, action=self.word.name)
        for word, item in value.items():
            if others is not False or spot.findings.among(spot / word, "param", word, properties):
                self._argument(spot / word, word, properties.get(word, others if isinstance(others, Mapping) else _NONE), item)

    def _expression(self, spot: Spot, name: str, schema: Mapping[str, Any], source: str) -> None:
        literal, wanted = _LITERAL.fullmatch(source.strip()), schema.get("format")
        if wanted in ("entity", "field"):
            self._named(spot, name, schema, literal.group(1) if literal else None)
        elif wanted == "record" and (literal is not None or self.names.get(source.strip(), "").startswith(("rows:", "integer"))):
            spot.report("param_record", name=name)
            return
        elif literal is not None:
            self._constant(spot, schema, literal.group(1))
        spot.findings.expression(spot, source, self.place("boolean" if _types(schema) == ["boolean"] else ""))

    def _named(self, spot: Spot, name: str, schema: Mapping[str, Any], constant: str | None) -> None:
        """An entity or a field: which one must be known before a run, or the rule's reach would not be."""
        if constant is None:
            spot.report("param_constant", name=name)
        elif schema.get("format") == "entity":
            spot.findings.refer(spot, "entity", constant)
        elif entity := self._entity(str(schema.get("x-of", ""))):
            spot.findings.own_field(spot, entity, constant)

    def _constant(self, spot: Spot, schema: Mapping[str, Any], value: Any) -> None:
        """A value written out, by the schema's own words."""
        for problem in option_problems({"value": schema}, {"value": value}):
            spot.relay(problem)

    def _entity(self, parameter: str) -> str:
        """The entity a parameter names as a constant, or whose record a plain name carries; '' when it is not known before."""
        value = self.given.get(parameter)
        if not isinstance(value, str):
            return ""
        literal = _LITERAL.fullmatch(value.strip())
        found = literal.group(1) if literal else self.names.get(value.strip(), "") if _NAME.fullmatch(value.strip()) else ""
        return "" if ":" in found else found


def _types(schema: Mapping[str, Any], default: str = "") -> list[str]:
    """The JSON types a schema takes; ``default`` alone when it says nothing."""
    given = schema.get("type", default)
    return [given] if isinstance(given, str) else list(given)


def _required(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("required", ())
    return [str(name) for name in found]


#: JSON types of results whose values have a type in expressions.
_RESULTS: Mapping[str, str] = {"integer": "integer", "boolean": "boolean", "string": "text"}


def result_type(word: ActionWord) -> str:
    """The type of what an action gives, in the notation of expressions; '' when it is no plain value."""
    kind = word.result.get("type")
    if word.result.get("format") == "money":
        return "money"
    return _RESULTS.get(kind, "") if isinstance(kind, str) else ""
