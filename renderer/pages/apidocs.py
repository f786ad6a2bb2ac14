"""/api/WORKSPACE/docs: the calls of this workspace's API as its reader may make them, drawn from the OpenAPI document without any script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from renderer.api.openapi import document
from renderer.requests import Routes, Visit

routes = Routes()
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Word:
    """A parameter or a field of a body: its name, its type, whether it must be given, what it says."""

    name: str
    type: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One operation."""

    method: str
    path: str
    summary: str
    parameters: tuple[Word, ...]
    body: tuple[Word, ...]
    statuses: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """The calls about one kind of record, or about the workspace."""

    key: str
    title: str
    calls: tuple[Call, ...]


@routes.get("/api/{ws}/docs")
def docs(visit: Visit) -> Response:
    """The page."""
    found = document(visit.ctx)
    return visit.page("apidocs.html", chapters=chapters(found), address=f"/api/{visit.ctx.workspace.name}", version=found["info"]["version"])


def chapters(found: Mapping[str, Any]) -> tuple[Chapter, ...]:
    """The document's operations by tag, in its order."""
    calls: dict[str, list[Call]] = {}
    for path, item in found["paths"].items():
        for method in METHODS:
            if method in item:
                calls.setdefault(item[method]["tags"][0], []).append(_call(found, path, method, item))
    return tuple(Chapter(f"c{number}", title, tuple(items)) for number, (title, items) in enumerate(calls.items()))


def _call(found: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]) -> Call:
    operation = item[method]
    parameters = [
        _word(given["name"], given["schema"], given.get("required", False), given.get("description", ""))
        for given in (*item.get("parameters", ()), *operation.get("parameters", ()))
    ]
    contents = operation.get("requestBody", {}).get("content", {})
    body = [word for content in contents.values() for word in _fields(found, content["schema"])]
    return Call(
        method.upper(),
        path,
        operation["summary"],
        tuple(parameters),
        tuple(body),
        tuple((status, answer["description"]) for status, answer in sorted(operation["responses"].items())),
    )


def _fields(found: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Word]:
    if "$ref" in schema:
        schema = found["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return [_word(name, shape, name in schema.get("required", ()), str(shape.get("title", ""))) for name, shape in schema.get("properties", {}).items()]


def _word(name: str, schema: Mapping[str, Any], required: bool, text: str) -> Word:
    return Word(name, _type(schema), required, text)


def _type(schema: Mapping[str, Any]) -> str:
    """A short word for what a value is: integer, string, [string], A | B."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"][:8] if value is not None)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(word for one in schema["anyOf"] if (word := _type(one)) not in ("null", "")))
    kinds = schema.get("type", "")
    names = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"]
    shown = [f"[{_type(schema['items'])}]" if kind == "array" and "items" in schema else kind for kind in names]
    return " | ".join(shown) + (f" ({schema['format']})" if "format" in schema else "")
