"""Three versions of definitions become one, property by property, lists by key. A place both sides changed differently is a conflict and keeps ours.

Pure: whether the result makes sense is for metadata/check to say.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metadata.documents import pointer
from metadata.keyed import by_key, identical, joined_order
from metadata.shape import Path

Key = tuple[str, str]
Documents = Mapping[Key, Mapping[str, Any]]


class _Nothing:
    """Stands where a side has no value."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a definition where the sides differ. ``base``, ``ours``, ``theirs``: the values there, NOTHING where a side has none."""

    kind: str
    key: str
    pointer: str
    base: Any = NOTHING
    ours: Any = NOTHING
    theirs: Any = NOTHING


@dataclass(frozen=True, slots=True)
class MergeResult:
    """``documents``: all definitions after the merge. ``conflicts``: changed on both sides, differently; ours stands there.

    ``taken``: changes that came from theirs. ``kept``: changes of ours that theirs did not have. ``orphans``: those of the conflicts
    where ours changed what theirs took away.
    """

    documents: Mapping[Key, Mapping[str, Any]]
    conflicts: tuple[Place, ...] = ()
    taken: tuple[Place, ...] = ()
    kept: tuple[Place, ...] = ()
    orphans: tuple[Place, ...] = ()


def merge(base: Documents, ours: Documents, theirs: Documents) -> MergeResult:
    """Merge what ``theirs`` changed since ``base`` into ``ours``. A definition missing from a side was removed there (or never made)."""
    merging = _Merging()
    documents = {}
    for kind, key in [*ours, *(place for place in theirs if place not in ours), *(place for place in base if place not in ours and place not in theirs)]:
        merging.kind, merging.key = kind, key
        place = (kind, key)
        found = merging.node(base.get(place, NOTHING), ours.get(place, NOTHING), theirs.get(place, NOTHING), ())
        if found is not NOTHING:
            documents[place] = found
    return MergeResult(documents, tuple(merging.conflicts), tuple(merging.taken), tuple(merging.kept), tuple(merging.orphans))


class _Merging:
    """One merge under way: collects places."""

    def __init__(self) -> None:
        self.kind = self.key = ""
        self.conflicts: list[Place] = []
        self.taken: list[Place] = []
        self.kept: list[Place] = []
        self.orphans: list[Place] = []

    def node(self, base: Any, ours: Any, theirs: Any, path: Path) -> Any:
        """The merged value at one place; NOTHING when it is gone."""
        if _alike(ours, theirs):
            return ours
        place = Place(self.kind, self.key, pointer(*path), base, ours, theirs)
        if _alike(base, ours):
            self.taken.append(place)
            return theirs
        if _alike(base, theirs):
            self.kept.append(place)
            return ours
        if isinstance(ours, dict) and isinstance(theirs, dict):
            below = base if isinstance(base, dict) else {}
            return self.members(below, ours, theirs, path)
        if isinstance(ours, list) and isinstance(theirs, list):
            parts = [by_key(side) for side in (base if isinstance(base, list) else [], ours, theirs)]
            if parts[0] is not None and parts[1] is not None and parts[2] is not None:
                return list(self.items(parts[0], parts[1], parts[2], path))
        self.conflicts.append(place)
        if theirs is NOTHING:
            self.orphans.append(place)
        return ours

    def members(self, base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """An object, member by member; ``$schema`` is nobody's business."""
        found: dict[Hashable, Any] = {}
        for key in dict.fromkeys([*ours, *theirs, *base]):
            if key == "$schema":
                found[key] = ours.get(key, theirs.get(key, NOTHING))
            else:
                found[key] = self.node(base.get(key, NOTHING), ours.get(key, NOTHING), theirs.get(key, NOTHING), (*path, key))
        kept = [key for key, value in found.items() if value is not NOTHING]
        order, _ = joined_order(list(base), list(ours), list(theirs), kept)
        return {str(key): found[key] for key in order}

    def items(self, base: Mapping[Hashable, Any], ours: Mapping[Hashable, Any], theirs: Mapping[Hashable, Any], path: Path) -> list[Any]:
        """A list of keyed items; a place in it is written with the item's number in ours, else in theirs, else in base."""
        numbers: dict[Hashable, int] = {}
        for side in (base, theirs, ours):
            numbers.update({key: number for number, key in enumerate(side)})
        found = {
            key: self.node(base.get(key, NOTHING), ours.get(key, NOTHING), theirs.get(key, NOTHING), (*path, numbers[key]))
            for key in dict.fromkeys([*ours, *theirs, *base])
        }
        kept = [key for key, value in found.items() if value is not NOTHING]
        order, clash = joined_order(list(base), list(ours), list(theirs), kept)
        if clash:
            self.conflicts.append(Place(self.kind, self.key, pointer(*path), list(base), list(ours), list(theirs)))
        return [found[key] for key in order]


def _alike(one: Any, other: Any) -> bool:
    if one is NOTHING or other is NOTHING:
        return one is other
    return identical(one, other)
