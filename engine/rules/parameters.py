"""Parameters of actions read by closures built once from their JSON Schema: checked, records given by id where a number is wanted. Knows no action.

The words of JSON Schema that parameters use; a schema with another word is refused when the action is registered, not when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from engine.errors import Fault
from engine.fields.base import Value
from engine.rules.effects import Handle

#: Reads one value at a place; notes what is wrong with it; gives it back.
Read = Callable[[Value, str, list[Fault]], Value]
_NONE: Mapping[str, Any] = {}
_CHECKED = {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "items", "properties", "required"}
_TOLD = {"title", "description", "x-en", "x-enum", "x-of", "format", "default", "examples", "additionalProperties"}
_KINDS: Mapping[str, Callable[[Value], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str | date),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}


def unknown_words(schema: Mapping[str, Any]) -> set[str]:
    """The words of a schema, and of all below it, that no parameter may use."""
    found = set(schema) - _CHECKED - _TOLD
    below = [*schema.get("properties", _NONE).values(), schema.get("items"), schema.get("additionalProperties")]
    return found.union(*(unknown_words(item) for item in below if isinstance(item, Mapping)))


def reader(schema: Mapping[str, Any]) -> Read:
    """The closure of a schema."""
    types = schema.get("type", ())
    kinds = (types,) if isinstance(types, str) else tuple(types)
    by_id = schema.get("format") != "record" and "integer" in kinds and "object" not in kinds
    record = schema.get("format") == "record"
    fits = [_KINDS[kind] for kind in kinds]
    checks = [*_bounds(schema), *_texts(schema), *_lists(schema)]
    rows = _rows(schema)

    def read(value: Value, at: str, faults: list[Fault]) -> Value:
        if value.__class__ is Handle or isinstance(value, Handle):
            if record:
                return value
            value = value.id if by_id else value
        elif record and "integer" not in kinds:  # its number alone will not do
            faults.append(_wrong(at, "type", "record"))
            return value
        if fits and not any(fit(value) for fit in fits):
            faults.append(_wrong(at, "type", " / ".join(kinds)))
            return value
        for word, wants, holds in checks:
            if not holds(value):
                faults.append(_wrong(at, word, wants))
        return rows(value, at, faults) if rows is not None and value is not None else value

    return read


def _wrong(at: str, word: str, wants: object) -> Fault:
    return Fault(at, "param_wrong", {"name": at.split("/")[1] if at else "", "word": word, "wants": str(wants)[:80]})


Check = tuple[str, object, Callable[[Value], bool]]


def _bounds(schema: Mapping[str, Any]) -> list[Check]:
    found: list[Check] = []
    if "enum" in schema:
        options = list(schema["enum"])
        found.append(("enum", ", ".join(map(str, options)), lambda value: value in options))
    if "minimum" in schema:
        low = schema["minimum"]
        found.append(("minimum", low, lambda value: not isinstance(value, int | float) or value >= low))
    if "maximum" in schema:
        high = schema["maximum"]
        found.append(("maximum", high, lambda value: not isinstance(value, int | float) or value <= high))
    return found


def _texts(schema: Mapping[str, Any]) -> list[Check]:
    found: list[Check] = []
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if shortest:
        found.append(("minLength", shortest, lambda value: not isinstance(value, str) or len(value) >= shortest))
    if longest is not None:
        found.append(("maxLength", longest, lambda value: not isinstance(value, str) or len(value) <= longest))
    if "pattern" in schema:
        pattern = re.compile(schema["pattern"])
        found.append(("pattern", schema["pattern"], lambda value: not isinstance(value, str) or pattern.search(value) is not None))
    return found


def _lists(schema: Mapping[str, Any]) -> list[Check]:
    found: list[Check] = []
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least:
        found.append(("minItems", least, lambda value: not isinstance(value, list | tuple) or len(value) >= least))
    if most is not None:
        found.append(("maxItems", most, lambda value: not isinstance(value, list | tuple) or len(value) <= most))
    return found


def _rows(schema: Mapping[str, Any]) -> Read | None:
    """What reads the items of a list and the words of an object; None where there is nothing to look at."""
    item = reader(schema["items"]) if "items" in schema else None
    properties = {name: reader(below) for name, below in schema.get("properties", _NONE).items()}
    required: Sequence[str] = schema.get("required", ())
    others = schema.get("additionalProperties", True)
    rest = reader(others) if isinstance(others, Mapping) else None
    if item is None and not properties and not required and others is True:
        return None

    def read(value: Value, at: str, faults: list[Fault]) -> Value:
        if isinstance(value, list | tuple):
            return value if item is None else [item(one, f"{at}/{number}", faults) for number, one in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        faults += [Fault(f"{at}/{name}", "param_required", {"name": name}) for name in required if name not in value]
        found = {}
        for name, one in value.items():
            below = properties.get(name) or rest
            if below is not None:
                found[name] = below(one, f"{at}/{name}", faults)
            elif others is False:
                faults.append(_wrong(f"{at}/{name}", "unknown", ", ".join(properties)))
            else:
                found[name] = one
        return value if isinstance(value, Handle) else found

    return read
