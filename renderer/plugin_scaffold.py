"""A new plugin to begin with: the example of the product under another name, its tests with it."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

#: The file of a plugin folder that pins its plugins.
LOCK = "plugins.lock"
_WORD = re.compile(r"(?<!x\.)\bexample(?=[_.\"'` ]|$)")
_PACKAGE, _NAME, _TITLE = "plugins.example", "example", ("示例插件", "Example")


def scaffold(name: str, target: Path) -> list[Path]:
    """Write the example's files into ``target`` as a plugin of that name; gives what was written."""
    return list(_copy(files(_PACKAGE), name, target))


def _copy(source: Traversable, name: str, target: Path) -> list[Path]:
    target.mkdir(parents=True)
    made: list[Path] = []
    for item in sorted(source.iterdir(), key=lambda entry: entry.name):
        path = target / item.name.replace(_NAME, name)
        if item.is_dir():
            made += _copy(item, name, path) if item.name != "__pycache__" else []
        else:
            path.write_text(_renamed(item.read_text("utf-8"), name), encoding="utf-8")
            made.append(path)
    return made


def _renamed(text: str, name: str) -> str:
    """Package, names of words, codes and titles."""
    title = name.replace("_", " ").capitalize()
    return _WORD.sub(name, text.replace(_PACKAGE, name).replace(_TITLE[0], title).replace(_TITLE[1], title))
