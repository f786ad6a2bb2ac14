"""The engine's own definitions, which every bundle builds on: people and teams. A preset widens them by a file of the same name."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from metadata.documents import parse_document


def _read(key: str) -> Mapping[str, Any]:
    document, _, problems = parse_document(files(__name__).joinpath(f"{key}.json").read_text(encoding="utf-8"))
    if problems or not isinstance(document, dict):
        raise RuntimeError(f"engine/builtin/{key}.json: {problems}")
    return document


#: (kind, key) -> document; handed to ``Bundle`` as its base.
DOCUMENTS: Mapping[tuple[str, str], Mapping[str, Any]] = {("entity", key): _read(key) for key in ("person", "team")}
