"""Small definitions that are right, as a folder and in memory, and the means to spoil a copy of them."""

import copy
import json
from pathlib import Path
from typing import Any

from metadata.bundle import Bundle
from metadata.canonical import canonical
from metadata.definitions import KINDS, SINGLE_KINDS

HERE = Path(__file__).parent
GOOD = HERE / "good"
BUILTIN = HERE.parents[1] / "engine" / "builtin"
BASE = {("entity", key): json.loads((BUILTIN / f"{key}.json").read_text("utf-8")) for key in ("person", "team")}


def good() -> Bundle:
    """The good definitions."""
    bundle, problems = Bundle.read_folder(GOOD, BASE)
    assert not problems
    return bundle


def kind_of(file: str) -> str:
    """The kind a file of a folder holds."""
    folder = file.split("/")[0]
    return next(kind for kind, place in KINDS.items() if place == (file if kind in SINGLE_KINDS else folder))


def edited(document: Any, sets: dict[str, Any], removes: list[str]) -> Any:
    """A copy of a JSON document with values put at pointers and pointers taken out; a list grows by its length as index."""
    document = copy.deepcopy(document)
    for pointer, value in sets.items():
        owner, token = _owner(document, pointer)
        if isinstance(owner, list):
            owner[int(token) : int(token) + 1] = [value]
        else:
            owner[token] = value
    for pointer in removes:
        owner, token = _owner(document, pointer)
        del owner[int(token) if isinstance(owner, list) else token]
    return document


def _owner(document: Any, pointer: str) -> tuple[Any, str]:
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    for token in tokens[:-1]:
        document = document[int(token)] if isinstance(document, list) else document[token]
    return document, tokens[-1]


def edited_text(file: str, text: str, case: dict[str, Any]) -> str:
    """The text of a definition file after the edits of a case, canonical so that every line says one thing."""
    if "text" in case:
        return str(case["text"])
    if "swap" in case:
        old, new = case["swap"]
        assert old in text, f"{file} no longer holds {old}"
        return text.replace(old, new, 1)
    return canonical(kind_of(file), edited(json.loads(text), case.get("set", {}), case.get("remove", [])))
