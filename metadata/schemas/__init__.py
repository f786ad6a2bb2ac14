"""The JSON Schemas of the twelve kinds: loading them, and walking them beside a document. Nothing here fetches anything."""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from metadata.definitions import KINDS

SHARED = "common"


@cache
def schema_document(name: str) -> Mapping[str, Any]:
    """The JSON Schema of a kind, or of the shared words (``common``)."""
    document: Mapping[str, Any] = json.loads(files("metadata.schemas").joinpath(f"{name}.schema.json").read_text("utf-8"))
    return document


@cache
def registry() -> Registry[Any]:
    """All our schemas by file name, and no way to retrieve another."""
    return Registry().with_resources(
        [(f"{name}.schema.json", Resource.from_contents(schema_document(name), default_specification=DRAFT202012)) for name in (SHARED, *KINDS)]
    )


class Schema:
    """One place of a schema, with its references and alternatives resolved; walks beside a document."""

    def __init__(self, raw: Mapping[str, Any], name: str) -> None:
        self.raw, self.name = raw, name

    @cached_property
    def branches(self) -> tuple["Schema", ...]:
        """What may stand here: this place itself, or what its reference and alternatives lead to."""
        if "$ref" in self.raw:
            name, _, path = str(self.raw["$ref"]).partition("#/")
            owner = name.removesuffix(".schema.json") or self.name
            node: Any = schema_document(owner)
            for token in path.split("/") if path else ():
                node = node[token]
            return Schema(node, owner).branches
        if "anyOf" in self.raw:
            return tuple(branch for raw in self.raw["anyOf"] for branch in Schema(raw, self.name).branches)
        return (self,)

    def of_type(self, name: str) -> "Schema | None":
        """The alternative for a JSON type, if there is one."""
        return next((branch for branch in self.branches if branch.raw.get("type") == name), None)

    @cached_property
    def properties(self) -> Mapping[str, "Schema"]:
        """The known words of an object here, in their order."""
        branch = self.of_type("object")
        if branch is None:
            return {}
        return {word: Schema(raw, branch.name) for word, raw in branch.raw.get("properties", {}).items()}

    @cached_property
    def others(self) -> "Schema | None":
        """What stands under a key that is not a known word."""
        branch = self.of_type("object")
        raw = branch.raw.get("additionalProperties") if branch else None
        return Schema(raw, branch.name) if branch and isinstance(raw, dict) else None

    @cached_property
    def items(self) -> "Schema | None":
        """What stands in a list here."""
        branch = self.of_type("array")
        raw = branch.raw.get("items") if branch else None
        return Schema(raw, branch.name) if branch and isinstance(raw, dict) else None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The known words of this object in canonical order."""
        return tuple(self.properties)

    @cached_property
    def options_after(self) -> str:
        """The known word after which a type's own options are written; '' = after all."""
        branch = self.of_type("object")
        return str(branch.raw.get("x-options-after", "")) if branch else ""


_ANYTHING = Schema({}, SHARED)


@cache
def schema_of(kind: str) -> Schema:
    """The schema of a kind."""
    return Schema(schema_document(kind), kind)


def step_into(schema: Schema, token: str | int) -> Schema:
    """The schema of a member or item; anything goes where nothing is said."""
    if isinstance(token, int):
        return schema.items or _ANYTHING
    return schema.properties.get(token) or schema.others or _ANYTHING
