"""The shelves of words an engine offers: field types, functions, actions, readers, connectors, panels, masks.

Filled once at start, then frozen; holds nothing of a workspace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from engine.connectors import Connector
from engine.expressions.functions import Function
from engine.expressions.shelf import BUILTIN
from engine.fields.base import FieldType
from engine.fields.masks import MASKS, Mask
from engine.fields.shelf import FIELD_TYPES
from engine.panels import PagePanel
from engine.plugin import LeftOut, Plugin
from engine.readers.base import CellReader
from engine.readers.shelf import READERS
from metadata.vocabulary import ActionWord, ExpressionCheck, KindOf, PanelWord, Vocabulary

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}(\.[a-z][a-z0-9_]{0,39})?")
_MARK = "__tangram_word__"
_Class = TypeVar("_Class", bound=type)


class RegistrationRefused(Exception):
    """A word cannot be registered: its name is taken or no name, or the registry is frozen."""


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """An action rules may ``do``: its word, and what runs it with (ctx, record, params): a plain function, or a generator of effects receiving results.

    How it is called and held to what it declares is engine/rules/actions.py's business.
    """

    word: ActionWord
    run: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class NamedMask:
    """A mask under its name."""

    name: str
    mask: Mask


Word = FieldType | Function | Action | CellReader | Connector | PagePanel | NamedMask


def mark(item: _Class) -> _Class:
    """Marks a class as a word of its module; an object of it is registered when the module is."""
    setattr(item, _MARK, True)
    return item


def words_of(module: ModuleType) -> list[Word]:
    """The words a module declares, in the order it declares them: marked classes, functions, actions and panels."""
    found: list[Word] = []
    for item in vars(module).values():
        if isinstance(item, type) and item.__dict__.get(_MARK) and item.__module__ == module.__name__:
            found.append(item())
        elif isinstance(item, Function | Action | PagePanel):
            found.append(item)
    return found


def word_name(word: Word) -> str:
    """The name a word is used by."""
    return word.word.name if isinstance(word, Action) else word.name


@dataclass(slots=True)
class Registry:
    """All words, by shelf and name. ``plugins``: name -> version of those loaded; ``origin``: (shelf, word) -> plugin, '' for the engine's own.

    ``manifests``: what the loaded ones say of themselves; ``digests``: the SHA-256 of those from a folder; ``left_out``: those not at work, and why.
    """

    _shelves: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: {} for name in _SHELVES})
    plugins: dict[str, str] = field(default_factory=dict)
    origin: dict[tuple[str, str], str] = field(default_factory=dict)
    manifests: dict[str, Plugin] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    _check: tuple[ExpressionCheck, KindOf] | None = None
    _frozen: bool = False
    _vocabulary: Vocabulary | None = None

    @property
    def field_types(self) -> Mapping[str, FieldType]:
        """Field types by name; hidden ones, which only computed values have, included."""
        return MappingProxyType(self._shelves["field_types"])

    @property
    def functions(self) -> Mapping[str, Function]:
        """Expression functions by name."""
        return MappingProxyType(self._shelves["functions"])

    @property
    def actions(self) -> Mapping[str, Action]:
        """Actions by name."""
        return MappingProxyType(self._shelves["actions"])

    @property
    def readers(self) -> Mapping[str, CellReader]:
        """Readers of messy cells by name."""
        return MappingProxyType(self._shelves["readers"])

    @property
    def connectors(self) -> Mapping[str, Connector]:
        """Ways for messages to leave, by name."""
        return MappingProxyType(self._shelves["connectors"])

    @property
    def panels(self) -> Mapping[str, PagePanel]:
        """Panels on records' pages by name."""
        return MappingProxyType(self._shelves["panels"])

    @property
    def masks(self) -> Mapping[str, Mask]:
        """Masks by name."""
        return MappingProxyType({name: item.mask for name, item in self._shelves["masks"].items()})

    def add(self, words: Iterable[Word], plugin: str = "", version: str = "") -> None:
        """Puts words on their shelves: all of them, or none and RegistrationRefused."""
        if self._frozen:
            raise RegistrationRefused("the registry is frozen")
        new: dict[tuple[str, str], Word] = {}
        for word in words:
            place = (_shelf_of(word), word_name(word))
            if not _NAME.fullmatch(place[1]):
                raise RegistrationRefused(f"{place[1]!r} is no name for one of the {place[0]}")
            if place in new or place[1] in self._shelves[place[0]]:
                raise RegistrationRefused(f"{place[1]!r} is already one of the {place[0]}" + (f" (of {by})" if (by := self.origin.get(place)) else ""))
            new[place] = word
        for (shelf, name), word in new.items():
            self._shelves[shelf][name] = word
            self.origin[shelf, name] = plugin
        if plugin:
            self.plugins[plugin] = version

    def check_with(self, check: ExpressionCheck, kind_of: KindOf) -> None:
        """How the vocabulary checks expressions and tells what record they give; given by whoever knows how names of a bundle are typed."""
        self._check = (check, kind_of)
        self._vocabulary = None

    def freeze(self) -> Registry:
        """No more words from now on; gives the registry back."""
        self._frozen = True
        return self

    def vocabulary(self) -> Vocabulary:
        """The words as metadata's checker takes them."""
        if self._vocabulary is None or not self._frozen:
            words: dict[str, Any] = {
                "field_types": {name: item.word() for name, item in self.field_types.items() if not item.hidden},
                "functions": {name: item.word() for name, item in self.functions.items() if not item.hidden},
                "actions": {name: item.word for name, item in self.actions.items()},
                "readers": {name: item.word() for name, item in self.readers.items()},
                "connectors": {name: item.word() for name, item in self.connectors.items()},
                "panels": {name: PanelWord(name, item.entity, item.title) for name, item in self.panels.items()},
                "plugins": dict(self.plugins),
            }
            if self._check is not None:
                words["check_expression"], words["kind_of"] = self._check
            self._vocabulary = Vocabulary(**words)
        return self._vocabulary


_SHELVES: Mapping[str, type] = {
    "field_types": FieldType,
    "functions": Function,
    "actions": Action,
    "readers": CellReader,
    "connectors": Connector,
    "panels": PagePanel,
    "masks": NamedMask,
}


def _shelf_of(word: Word) -> str:
    return next(name for name, kind in _SHELVES.items() if isinstance(word, kind))


def engine_registry() -> Registry:
    """The engine's own words, not yet frozen: plugins may still be added."""
    registry = Registry()
    registry.add(FIELD_TYPES)
    registry.add(BUILTIN)
    registry.add(READERS)
    registry.add(NamedMask(name, mask) for name, mask in MASKS.items())
    return registry


def default_registry() -> Registry:
    """The engine's own words, frozen: for tests and tools without plugins."""
    return engine_registry().freeze()
