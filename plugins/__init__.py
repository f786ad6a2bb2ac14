"""Finding plugins and putting their words on the registry: the built-in packages first, then installed ones by name. A failing one is left out and named."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from engine.api import API_VERSION, Plugin, Registry, include_messages, words_of

#: Packages that come with the product and are always loaded.
BUILTIN = ("plugins.builtin",)
#: Installed packages name themselves under this group: ``mine = "my_package"`` in their pyproject's entry points.
GROUP = "tangram.plugins"

log = logging.getLogger("tangram.plugins")


class PluginRefused(Exception):
    """A package is no plugin this release can load; the text says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A plugin that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of all plugins."""

    plugins: tuple[Plugin, ...]
    failures: tuple[Failure, ...] = ()

    def templates(self) -> Mapping[str, Path]:
        """Plugin name -> its folder of field macros."""
        return {plugin.name: plugin.templates for plugin in self.plugins if plugin.templates is not None}


def load(registry: Registry, installed: Iterable[EntryPoint] | None = None) -> Loaded:
    """Puts the words of every plugin on the registry, each plugin's whole or none of them. Never raises for a plugin's fault."""
    found = sorted(entry_points(group=GROUP) if installed is None else installed, key=lambda item: item.name)
    plugins: list[Plugin] = []
    failures: list[Failure] = []
    for name, package in [*((name.rpartition(".")[2], name) for name in BUILTIN), *((item.name, item.value.partition(":")[0]) for item in found)]:
        try:
            plugins.append(load_package(registry, package))
        except Exception as error:  # foreign code: whatever it does wrong, the others and the product go on
            reason = str(error) if isinstance(error, PluginRefused) else f"{type(error).__name__}: {error}"
            failures.append(Failure(name, reason))
            log.warning("plugin %s was left out: %s", name, reason)
    return Loaded(tuple(plugins), tuple(failures))


def load_package(registry: Registry, package: str) -> Plugin:
    """Imports one plugin's package and registers its words. Raises what the package raises, PluginRefused, or RegistrationRefused."""
    module = import_module(package)
    plugin = _plugin_of(module, package)
    modules = [module, *(import_module(name) for name in plugin.modules)]
    foreign = sorted(code for code in plugin.messages if not code.startswith(f"{plugin.name}_"))
    if foreign:
        raise PluginRefused(f"its codes must begin with {plugin.name}_: {', '.join(foreign)}")
    registry.add([word for item in modules for word in words_of(item)], plugin.name, plugin.version)
    include_messages(plugin.messages)
    return plugin


def _plugin_of(module: ModuleType, package: str) -> Plugin:
    plugin = getattr(module, "PLUGIN", None)
    if not isinstance(plugin, Plugin):
        raise PluginRefused(f"{package} has no PLUGIN")
    if plugin.api != API_VERSION:
        raise PluginRefused(f"it was written for version {plugin.api} of the plugin interface; this is {API_VERSION}")
    if plugin.name in ("", "engine") or not plugin.name.replace("_", "").isalnum():
        raise PluginRefused(f"{plugin.name!r} is no name for a plugin")
    return plugin
