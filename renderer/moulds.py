"""Pages drawn once and filled for each request: a drawn text is cut where what changes belongs, and what changes is put in. Knows no page."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from secrets import token_hex
from threading import Lock

from markupsafe import Markup

#: Begins a hole; nobody can write it into a text, since it is drawn anew by every process.
_MARK = f"hole-{token_hex(16)}-"
_HOLE = re.compile(_MARK + r"(\w+);")
_MOST = 400


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


class Moulds:
    """The moulds of a process, the oldest given up when there are too many. What a mould shows besides its holes must be told by its key."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._kept: dict[Hashable, Mapping[str, Mould]] = {}
        self._mutex = Lock()

    def of(self, key: Hashable, draw: Callable[[], Mapping[str, str]]) -> Mapping[str, Mould]:
        """The moulds of a key by name, drawn with holes if it is new."""
        found = self._kept.get(key)
        if found is None:
            found = {name: Mould(text) for name, text in draw().items()}
            with self._mutex:
                self._kept[key] = found
                while len(self._kept) > self._most:
                    del self._kept[next(iter(self._kept))]
        return found
