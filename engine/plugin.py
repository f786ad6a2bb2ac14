"""A plugin's manifest: its name, versions, where its words are, and what it says it touches. Words that touch more are refused when it is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

from engine.connectors import Connector
from engine.errors import Refusal, Unavailable
from engine.expressions.functions import Function
from engine.panels import PagePanel
from metadata.text import Label

log = logging.getLogger("tangram.plugins")

#: The surface's own version: a plugin names the one it was written for; it changes only when something in engine.api goes away.
API_VERSION = 1
#: What a manifest may say it touches, and how people are told. ``given`` among entities: those its callers name or hand over.
CAPABILITIES: Mapping[str, Label] = {
    "reads": {"zh": "读取", "en": "reads"},
    "writes": {"zh": "写入", "en": "writes"},
    "does": {"zh": "发起", "en": "asks for"},
    "network": {"zh": "连接外部", "en": "connects to"},
    "pages": {"zh": "显示在页面", "en": "shows on pages of"},
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a plugin says of itself: one of these stands in its package as ``PLUGIN``.

    ``modules``: where its words are (dotted names; the package itself when empty). ``api``: the API_VERSION it was written for.
    ``templates``: a folder with ``fields/<widget>.html`` for its field types' widgets and the templates of its panels.
    ``messages``: its error codes with their sentences (code -> {"zh", "en"}); each begins with the plugin's name and ``_``.
    ``capabilities``: what it touches, by CAPABILITIES: entities it reads and writes ('*' any, 'given' those its callers hand over), what it has
    done ("send", "engine merge"), hosts it connects to, entities on whose pages it shows.
    """

    name: str
    version: str
    title: Label = ""
    api: int = API_VERSION
    modules: tuple[str, ...] = ()
    templates: Path | None = None
    messages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    capabilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    description: Label = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A plugin that is not at work, and why."""

    name: str
    reason: str


def undeclared(plugin: Plugin, words: Iterable[object]) -> list[str]:
    """What a plugin's words touch beyond its manifest, each as "KIND WHAT"; and kinds there are not."""
    found = [kind for kind in plugin.capabilities if kind not in CAPABILITIES]
    for word in words:
        for kind, what in _touches(word):
            allowed = plugin.capabilities.get(kind, ())
            if what not in allowed and ("*" not in allowed or kind == "does"):
                found.append(f"{kind} {what}")
    return list(dict.fromkeys(found))


def named_when_failing(word: Any, plugin: str) -> Any:
    """An expression function whose failure is told as its plugin's; any other word as it is (its own room does that)."""
    if not isinstance(word, Function):
        return word

    @wraps(word.python)
    def named(*values: Any) -> Any:
        try:
            return word.python(*values)
        except Refusal:
            raise
        except Exception as error:
            log.exception("plugin %s: the function %s failed", plugin, word.name)
            raise Unavailable("plugin_function_failed", plugin=plugin, name=word.name) from error

    return replace(word, python=named)


def _touches(word: object) -> Iterator[tuple[str, str]]:
    if isinstance(word, PagePanel):
        yield "pages", word.entity
    elif isinstance(word, Connector):
        yield "network", "*"
    elif (action := getattr(word, "word", None)) is not None and hasattr(action, "writes"):
        for entity in action.reads:
            yield "reads", _entity(entity)
        for item in action.writes:
            yield "writes", _entity(item.partition(" ")[2])
        for item in action.does:
            yield "does", item


def _entity(place: str) -> str:
    return "given" if place.startswith("{") else place
