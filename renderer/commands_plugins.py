"""Commands of plugins: which there are and what they touch, their pins, a new one to begin with. Loading them is serving.py's and plugins/__init__.py's."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.errors import Conflict, Invalid
from engine.plugin import CAPABILITIES, Plugin
from engine.registry import Registry
from metadata.text import label_text
from renderer.commands import Answer
from renderer.plugin_scaffold import LOCK, scaffold
from renderer.serving import all_words, read_settings

_NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")


def plugin_list(given: Namespace) -> Answer:
    """Every plugin with its version, what it touches and its words; those left out with the reason. ``--pin`` writes the lock of the folder."""
    folder = read_settings().plugin_folder
    registry = all_words(folder)
    rows = [row(registry, plugin, given.locale) for plugin in registry.manifests.values()]
    lines: list[str] = []
    for found in rows:
        lines += [f"{found['name']} {found['version']}  {found['title']}", *(f"    {text}" for text in found["touches"])]
        lines += [f"    {kind}: {', '.join(names)}" for kind, names in found["words"].items()]
        lines += [f"    sha256 {found['digest']}"] if found["digest"] else []
    lines += [f"! {item.name}: {item.reason}" for item in registry.left_out]
    if given.pin:
        lines.append(str(_pin(folder, registry)))
    data = {"plugins": rows, "left_out": [{"name": item.name, "reason": item.reason} for item in registry.left_out], "folder": str(folder)}
    return Answer(lines, data, not registry.left_out)


def row(registry: Registry, plugin: Plugin, locale: str) -> dict[str, Any]:
    """One plugin in words: what its manifest says, the words it brings by shelf, the digest of one from the folder."""
    words: dict[str, list[str]] = {}
    for (shelf, name), owner in registry.origin.items():
        if owner == plugin.name:
            words.setdefault(shelf, []).append(name)
    return {
        "name": plugin.name,
        "version": plugin.version,
        "api": plugin.api,
        "title": label_text(plugin.title, locale, plugin.name),
        "touches": touches(plugin, locale),
        "words": words,
        "digest": registry.digests.get(plugin.name, ""),
    }


def touches(plugin: Plugin, locale: str) -> list[str]:
    """What a plugin says it touches, a line for each kind."""
    joint = "、" if locale == "zh" else ", "
    return [
        f"{label_text(CAPABILITIES[kind], locale)}{'：' if locale == 'zh' else ': '}{joint.join(what)}" for kind, what in plugin.capabilities.items() if what
    ]


def _pin(folder: Path, registry: Registry) -> Path:
    path = folder / LOCK
    path.write_text("".join(f"{name} {digest}\n" for name, digest in sorted(registry.digests.items())), encoding="utf-8")
    return path


def plugin_new(given: Namespace) -> Answer:
    """A plugin of the given name in the plugin folder, with tests that pass. Raises Invalid for no name, Conflict when there is one already."""
    if not _NAME.fullmatch(given.name):
        raise Invalid("plugin_name", name=given.name)
    folder = Path(given.folder) if given.folder else read_settings().plugin_folder
    target = folder / given.name
    if target.exists():
        raise Conflict("plugin_there", path=str(target))
    try:
        made = scaffold(given.name, target)
    except OSError as error:
        raise Invalid("file_unwritable", path=str(target), reason=error.strerror or type(error).__name__) from error
    return Answer([str(path) for path in made], {"name": given.name, "files": [str(path) for path in made]})
