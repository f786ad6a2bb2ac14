"""Plugins: found beside this file and among installed packages, checked against the engine's API version, their words put into the registry.

A plugin is a package with a ``PLUGIN`` (engine.api.Plugin); it imports engine.api and nothing else of ours. Loaded by the start-up code only.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from engine.api import API_VERSION, Plugin, RegistrationRefused, Registry, words_of

#: Installed packages offer theirs under this group of entry points.
GROUP = "tangram.plugins"


class PluginRefused(RegistrationRefused):
    """A plugin cannot be loaded: it says nothing of itself, was written for another API, or its words clash."""


def _packages() -> Iterator[str]:
    yield from sorted(f"{__name__}.{module.name}" for module in iter_modules(__path__) if module.ispkg)
    yield from sorted(point.value for point in entry_points(group=GROUP))


def load(registry: Registry) -> list[Plugin]:
    """Put the words of every plugin into the registry, in a stable order. Raises PluginRefused naming the plugin and the reason."""
    found = []
    for package in _packages():
        module = import_module(package)
        plugin = getattr(module, "PLUGIN", None)
        if plugin is None and package.startswith(__name__):
            continue
        if not isinstance(plugin, Plugin):
            raise PluginRefused(f"{package}: has no PLUGIN")
        if plugin.api != API_VERSION:
            raise PluginRefused(f"{plugin.name}: written for API {plugin.api}, this is {API_VERSION}")
        try:
            registry.add([word for name in plugin.modules or (package,) for word in words_of(import_module(name))], plugin.name, plugin.version)
        except RegistrationRefused as refusal:
            raise PluginRefused(f"{plugin.name}: {refusal}") from refusal
        found.append(plugin)
    return found
