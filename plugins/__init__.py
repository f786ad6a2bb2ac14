"""Finding plugins and putting their words on the registry: the built-in packages first, then installed ones, then those of a folder. A failing one is named.

``TANGRAM_PLUGINS`` names the folder; each package in it is a plugin. A file ``plugins.lock`` there pins them: lines of name and SHA-256.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from engine.api import API_VERSION, LeftOut, Plugin, Registry, include_messages, named_when_failing, undeclared, words_of

#: Packages that come with the product and are always loaded.
BUILTIN = ("plugins.builtin",)
#: Installed packages name themselves under this group: ``mine = "my_package"`` in their pyproject's entry points.
GROUP = "tangram.plugins"
LOCK = "plugins.lock"

log = logging.getLogger("tangram.plugins")


class PluginRefused(Exception):
    """A package is no plugin this release can load; the text says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of all plugins."""

    plugins: tuple[Plugin, ...]
    failures: tuple[LeftOut, ...] = ()

    def templates(self) -> Mapping[str, Path]:
        """Plugin name -> its folder of field macros and panels."""
        return {plugin.name: plugin.templates for plugin in self.plugins if plugin.templates is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """A package that may be a plugin. ``folder``: where it lies when it is one of the folder's; ``digest``: what it must be when it is pinned."""

    name: str
    package: str
    folder: Path | None = None
    pinned: str | None = None


def load(registry: Registry, installed: Iterable[EntryPoint] | None = None, folder: Path | None = None) -> Loaded:
    """Puts the words of every plugin on the registry, each plugin's whole or none of them. Never raises for a plugin's fault."""
    points = sorted(entry_points(group=GROUP) if installed is None else installed, key=lambda item: item.name)
    found = [Found(name.rpartition(".")[2], name) for name in BUILTIN]
    found += [Found(item.name, item.value.partition(":")[0]) for item in points]
    found += in_folder(folder) if folder is not None else ()
    plugins: list[Plugin] = []
    for item in found:
        try:
            plugins.append(_load(registry, item))
        except Exception as error:  # foreign code: whatever it does wrong, the others and the product go on
            reason = str(error) if isinstance(error, PluginRefused) else f"{type(error).__name__}: {error}"
            registry.left_out.append(LeftOut(item.name, reason))
            log.warning("plugin %s was left out: %s", item.name, reason)
    return Loaded(tuple(plugins), tuple(registry.left_out))


def in_folder(folder: Path) -> Iterator[Found]:
    """The packages of a plugin folder by name; with a lock file each has its pin, '' where it is not named there."""
    if not folder.is_dir():
        return
    lock = folder / LOCK
    pins = dict(line.split() for line in lock.read_text("utf-8").splitlines() if len(line.split()) == 2) if lock.is_file() else None
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").is_file() and path.name.isidentifier() and not path.name.startswith("_"):
            yield Found(path.name, path.name, path, None if pins is None else pins.get(path.name, ""))


def digest_of(folder: Path) -> str:
    """The SHA-256 of everything in a plugin's folder: names and contents, compiled files left out."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            body = path.read_bytes()
            found.update(f"{path.relative_to(folder).as_posix()}\n{len(body)}\n".encode() + body)
    return found.hexdigest()


def _load(registry: Registry, item: Found) -> Plugin:
    if item.folder is None:
        return load_package(registry, item.package)
    digest = digest_of(item.folder)
    if item.pinned is not None and item.pinned != digest:
        raise PluginRefused(f"it is not pinned in {LOCK}" if not item.pinned else f"it is not what {LOCK} pins: its SHA-256 is {digest}")
    _make_importable(item.folder)
    plugin = load_package(registry, item.package)
    registry.digests[plugin.name] = digest
    return plugin


def _make_importable(folder: Path) -> None:
    """The folder's packages can be imported. Raises PluginRefused for one whose name another package has, so that it cannot stand in for it."""
    parent = str(folder.parent)
    if parent not in sys.path:
        sys.path.append(parent)
        invalidate_caches()
    module = import_module(folder.name)
    if Path(str(getattr(module, "__file__", "") or "")).parent.resolve() != folder.resolve():
        raise PluginRefused(f"there is another package named {folder.name}")


def load_package(registry: Registry, package: str) -> Plugin:
    """Imports one plugin's package and registers its words. Raises what the package raises, PluginRefused, or RegistrationRefused."""
    module = import_module(package)
    plugin = _plugin_of(module, package)
    modules = [module, *(import_module(name) for name in plugin.modules)]
    foreign = sorted(code for code in plugin.messages if not code.startswith(f"{plugin.name}_"))
    if foreign:
        raise PluginRefused(f"its codes must begin with {plugin.name}_: {', '.join(foreign)}")
    if plugin.name in registry.manifests:
        raise PluginRefused(f"there is a plugin named {plugin.name} already")
    words = [named_when_failing(word, plugin.name) for item in modules for word in words_of(item)]
    beyond = undeclared(plugin, words)
    if beyond:
        raise PluginRefused(f"its manifest does not say that it touches: {', '.join(beyond)}")
    registry.add(words, plugin.name, plugin.version)
    registry.manifests[plugin.name] = plugin
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
