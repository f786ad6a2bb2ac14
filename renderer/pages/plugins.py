"""Plugins of this installation, for administrators: versions, what each touches and brings, which were left out and why. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from engine.plugin import CAPABILITIES, Plugin
from engine.registry import Registry
from metadata.text import Label, label_text
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
SETTINGS = Permission("member", right="settings")


@dataclass(frozen=True, slots=True)
class PluginCard:
    """One plugin: what its manifest says, and its words by shelf with the titles people know them by."""

    name: str
    title: str
    version: str
    description: str
    touches: tuple[tuple[str, tuple[str, ...]], ...]
    words: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    digest: str


@routes.get("/w/{ws}/plugins", SETTINGS)
def plugins(visit: Visit) -> Response:
    """Every plugin at work, and those that are not."""
    registry = visit.ctx.workspace.registry
    cards = [_card(registry, plugin, visit.locale) for plugin in registry.manifests.values()]
    return visit.page("plugins.html", cards=cards, left_out=registry.left_out, folder=str(visit.home.settings.plugin_folder))


def _card(registry: Registry, plugin: Plugin, locale: str) -> PluginCard:
    shelves = _shelves()
    words: dict[str, list[tuple[str, str]]] = {}
    for (shelf, name), owner in registry.origin.items():
        if owner == plugin.name and shelf in shelves:
            words.setdefault(shelf, []).append((name, label_text(_title(registry, shelf, name), locale, name)))
    return PluginCard(
        plugin.name,
        label_text(plugin.title, locale, plugin.name),
        plugin.version,
        label_text(plugin.description, locale),
        tuple((label_text(CAPABILITIES[kind], locale), tuple(_any(item) for item in what)) for kind, what in plugin.capabilities.items() if what),
        tuple((shelves[shelf], tuple(sorted(found))) for shelf, found in words.items()),
        registry.digests.get(plugin.name, ""),
    )


def _title(registry: Registry, shelf: str, name: str) -> Label:
    vocabulary = registry.vocabulary()
    word = getattr(vocabulary, shelf).get(name)
    return getattr(word, "title", "") or getattr(word, "help", "") or name


def _any(item: str) -> str:
    """What stands for many, in words."""
    return {"*": _("any"), "given": _("what its callers hand over")}.get(item, item)


def _shelves() -> dict[str, str]:
    return {
        "field_types": _("Field types"),
        "functions": _("Functions"),
        "actions": _("Actions of rules"),
        "readers": _("Readers of cells"),
        "connectors": _("Ways for messages to leave"),
        "panels": _("Panels of pages"),
    }
