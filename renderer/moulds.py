"""Pages drawn once and filled for each request: a drawn text is cut where what changes belongs, and what changes is put in. Knows no page."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from secrets import token_hex
from threading import Lock
from typing import Generic, TypeVar

from markupsafe import Markup

#: Begins a hole; nobody can write it into a text, since it is drawn anew by every process.
_MARK = f"hole-{token_hex(16)}-"
_HOLE = re.compile(_MARK + r"(\w+);")
_MOST = 400
T = TypeVar("T")


def hole(name: str) -> Markup:
    """What is drawn where something will be put in. It is neither escaped nor looked at by a template."""
    return Markup(f"{_MARK}{name};")


class Mould:
    """A drawn text with holes."""

    __slots__ = ("_texts",)

    def __init__(self, drawn: str) -> None:
        self._texts = _HOLE.split(drawn)  # text, name of a hole, text, …

    def fill(self, values: Mapping[str, str]) -> str:
        """The text; ``values`` is HTML by name of hole. KeyError for one that is missing."""
        parts = self._texts[:]
        for place in range(1, len(parts), 2):
            parts[place] = values[parts[place]]
        return "".join(parts)


class Kept(Generic[T]):
    """What was made for a key, once per process, the oldest given up when there are too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._made: dict[Hashable, T] = {}
        self._mutex = Lock()

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What belongs to a key, made if it is new."""
        found = self._made.get(key)
        if found is None:
            found = make()
            with self._mutex:
                self._made[key] = found
                while len(self._made) > self._most:
                    del self._made[next(iter(self._made))]
        return found


class Moulds:
    """The moulds of a process. What a mould shows besides its holes must be told by its key."""

    def __init__(self, most: int = _MOST) -> None:
        self._kept: Kept[Mapping[str, Mould]] = Kept(most)

    def of(self, key: Hashable, draw: Callable[[], Mapping[str, str]]) -> Mapping[str, Mould]:
        """The moulds of a key by name, drawn with holes if it is new."""
        return self._kept.of(key, lambda: {name: Mould(text) for name, text in draw().items()})
