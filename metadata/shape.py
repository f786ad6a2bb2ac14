"""Does a document have the shape its kind's schema asks for: problems with pointers, and the sound rest with which checking goes on.

What the names in it refer to is metadata/check's business.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from metadata.documents import MAX_DEPTH, pointer
from metadata.schemas import registry, schema_document
from metadata.vocabulary import Problem
from metadata.words import closest

Path = tuple[str | int, ...]

_TYPES = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)),
)
_ROUNDS = 20


class Kept(list[Any]):
    """A list from which unsound items were taken; ``numbers`` are the places its items had."""

    def __init__(self, items: Sequence[Any], numbers: Sequence[int]) -> None:
        super().__init__(items)
        self.numbers = tuple(numbers)


def numbered(items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Items with the places they have in their file."""
    return zip(items.numbers, items, strict=True) if isinstance(items, Kept) else enumerate(items)


@cache
def _validator(kind: str) -> Any:
    return _TYPES(schema_document(kind), registry=registry())


def shape_problems(kind: str, document: Any, file: str = "") -> list[Problem]:
    """Everything in which a document differs from its kind's schema."""
    if too_deep(document):
        return [Problem("json_too_deep", file, params={"limit": MAX_DEPTH})]
    found = [problem for error in _validator(kind).iter_errors(document) for problem in _problems(error, file)]
    return sorted(found, key=lambda problem: (problem.pointer, problem.code))


def option_problems(options: Mapping[str, Any], document: Mapping[str, Any]) -> list[Problem]:
    """In what options differ from the JSON Schema properties their word has; pointers start at the options."""
    found = [problem for error in _options_validator(json.dumps(options, sort_keys=True)).iter_errors(document) for problem in _problems(error, "")]
    return sorted(found, key=lambda problem: (problem.pointer, problem.code))


@lru_cache(maxsize=256)
def _options_validator(options: str) -> Any:
    return _TYPES({"type": "object", "properties": json.loads(options)}, registry=registry())


def too_deep(document: Any) -> bool:
    """Whether a document nests deeper than a definition may."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for node in level if isinstance(node, dict | list) for child in (node.values() if isinstance(node, dict) else node)]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def sound(kind: str, document: Any) -> tuple[Mapping[str, Any] | None, bool]:
    """The document without what its schema refuses, and whether anything had to go; None when nothing is left."""
    if too_deep(document) or not isinstance(document, dict):
        return None, True
    broken = False
    for _ in range(_ROUNDS):
        paths = sorted({_filed(document, path) for error in _validator(kind).iter_errors(document) for path in _culprits(error)}, key=len)
        if not paths:
            return document, broken
        broken = True
        if () in paths:
            return None, True
        for path in paths:
            document = _without(document, path)
    return None, True


def _filed(document: Any, path: Path) -> Path:
    """A path through a document whose lists may have lost items, with the places their items had."""
    node, filed = document, []
    for token in path:
        filed.append(node.numbers[token] if isinstance(node, Kept) and isinstance(token, int) else token)
        node = node[token]
    return tuple(filed)


def _without(node: Any, path: Path) -> Any:
    """A copy of ``node`` without what stands at ``path`` (given with the places of the file)."""
    head, rest = path[0], path[1:]
    if isinstance(node, dict) and head in node:
        if rest:
            return {key: _without(value, rest) if key == head else value for key, value in node.items()}
        return {key: value for key, value in node.items() if key != head}
    if isinstance(node, list):
        pairs = [(number, _without(value, rest) if number == head and rest else value) for number, value in numbered(node) if rest or number != head]
        return Kept([value for _, value in pairs], [number for number, _ in pairs])
    return node


def _chosen(error: ValidationError) -> list[ValidationError]:
    """Of an error in alternatives: the errors in the alternative of the right JSON type; none when no alternative has it."""
    by_branch: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(int(inner.schema_path[0]), []).append(inner)
    for branch in by_branch.values():
        if not any(inner.validator == "type" and not inner.relative_path for inner in branch):
            return branch
    return []


def _culprits(error: ValidationError) -> Iterator[Path]:
    """Paths whose removal mends the error."""
    path = tuple(error.absolute_path)
    if error.validator == "anyOf" and (inner := _chosen(error)):
        for one in inner:
            yield from _culprits(one)
    elif error.validator == "additionalProperties":
        yield from ((*path, word) for word in _extras(error))
    elif error.validator == "uniqueItems":
        yield from ((*path, number) for number in _repeated(error.instance))
    else:
        yield path


def _repeated(items: Sequence[Any]) -> list[int]:
    """Places of items that stand there a second time."""
    seen: set[str] = set()
    found = []
    for number, item in enumerate(items):
        text = json.dumps(item, sort_keys=True)
        if text in seen:
            found.append(number)
        seen.add(text)
    return found


def _extras(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    return [word for word in error.instance if word not in known]


_JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_COUNTS = {
    "minLength": "shape_empty",
    "minItems": "shape_empty",
    "minProperties": "shape_empty",
    "maxLength": "shape_too_long",
    "maxItems": "shape_too_many",
    "maxProperties": "shape_too_many",
    "minimum": "shape_too_small",
    "maximum": "shape_too_large",
}


def _problems(error: ValidationError, file: str) -> Iterator[Problem]:
    """One of jsonschema's errors in our words."""
    kind, path = str(error.validator), tuple(error.absolute_path)
    if kind == "anyOf":
        if inner := _chosen(error):
            for one in inner:
                yield from _problems(one, file)
            return
        yield _typed(
            error,
            sorted({name for one in error.context or () if one.validator == "type" and not one.relative_path for name in _names(one.validator_value)}),
            file,
        )
    elif kind == "type":
        yield _typed(error, _names(error.validator_value), file)
    elif kind == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        for word in _extras(error):
            yield Problem("shape_unknown_word", file, pointer(*path, word), {"word": word[:80], "meant": closest(word, known)})
    elif kind == "required":
        word = next((word for word in error.validator_value if repr(word) in error.message), "")
        yield Problem("shape_missing", file, pointer(*path), {"word": word})
    elif kind == "enum":
        yield Problem(
            "shape_not_one_of",
            file,
            pointer(*path),
            {"value": _short(error.instance), "allowed": ", ".join(map(str, error.validator_value)), "meant": closest(error.instance, error.validator_value)},
        )
    elif kind in _COUNTS:
        yield Problem(_COUNTS[kind], file, pointer(*path), {"limit": error.validator_value})
    elif kind == "uniqueItems":
        for number in _repeated(error.instance):
            yield Problem("shape_repeated", file, pointer(*path, number), {"value": _short(error.instance[number])})
    else:
        code = str(error.schema.get("x-code", "shape_pattern")) if kind == "pattern" else "shape_wrong"
        yield Problem(code, file, pointer(*path), {"value": _short(error.instance), "word": str(path[-1]) if path else ""})


def _names(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else list(types)


def _typed(error: ValidationError, names: Sequence[str], file: str) -> Problem:
    found = _JSON_NAMES.get(type(error.instance), "list" if isinstance(error.instance, list) else "object")
    return Problem("shape_type", file, pointer(*error.absolute_path), {"expected": " / ".join(names), "found": found, "value": _short(error.instance)})


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
