"""A scenario that begins where another's given ends: its chain of bases, and the two of them as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.shape import numbered

Documents = Mapping[str, Mapping[str, Any]]
#: What of a base holds for a scenario too, unless it says otherwise by the same name.
_SHARED = ("people", "teams")


class BaseLoop(Exception):
    """A scenario whose bases lead back to one of them; ``keys`` in their order."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(" → ".join(keys))
        self.keys = keys


@dataclass(frozen=True, slots=True)
class Step:
    """One step with where it stands: the scenario it is written in, the part, its number there."""

    scenario: str
    part: str
    number: int
    body: Mapping[str, Any]

    @property
    def pointer(self) -> str:
        """Its place in its scenario's file."""
        return f"/{self.part}/{self.number}"


def chain(documents: Documents, key: str) -> tuple[str, ...]:
    """A scenario's bases, the first of all first, and itself. Ends at one that does not exist. Raises BaseLoop."""
    found = [key]
    while (base := documents.get(found[-1], {}).get("base")) is not None and base in documents:
        found.append(base)
        if base in found[:-1]:
            raise BaseLoop(tuple(found))
    return tuple(reversed(found))


def shared(documents: Documents, key: str) -> dict[str, Any]:
    """People, teams and the clock of a scenario with those of its bases. Raises BaseLoop."""
    keys = chain(documents, key)
    found: dict[str, Any] = {word: {name: one for of in keys for name, one in documents[of].get(word, {}).items()} for word in _SHARED}
    now = next((documents[of]["now"] for of in reversed(keys) if "now" in documents[of]), None)
    return found if now is None else {**found, "now": now}


def steps(documents: Documents, key: str) -> Iterator[Step]:
    """Every step to be played, in order: what the bases give, then what it gives and does itself, then what it expects. Raises BaseLoop."""
    for of in chain(documents, key):
        for number, body in numbered(documents[of].get("given", ())):
            yield Step(of, "given", number, body)
    for part in ("when", "then"):
        for number, body in numbered(documents[key].get(part, ())):
            yield Step(key, part, number, body)
