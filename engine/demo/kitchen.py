"""Where recipes of a demo description are compiled: a recipe is a plain JSON value (itself), or an object with one verb and its options, for example
``{"weights": {"a": 3, "b": 1}, "chance": 0.8}``. What each verb does stands in recipes.py; here is what they all share and draw from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from engine.demo.times import Profile, Window
from engine.demo.words import Names, Numbers
from engine.errors import Fault, Invalid

Row = dict[str, Any]
Draw = Callable[[Row], Any]
Test = Callable[[Row], bool]
Sample = Callable[[str, str, Random], Any]

_MODIFIERS = frozenset(
    {
        "chance",
        "if",
        "min",
        "max",
        "step",
        "profile",
        "gender",
        "among",
        "zipf",
        "where",
        "rows",
        "future",
        "skew",
        "once",
        "of",
        "note",
        "sort",
        "place",
        "but",
    }
)


class Store(Protocol):
    """What stands in the workspace now, beside what a description made: what rules wrote, records of the preset."""

    def value(self, entity: str, record: int, name: str) -> Any:
        """A stored value of a record, links as ids; None where there is none."""
        ...

    def find(self, entity: str, where: Mapping[str, Any], sort: str) -> int | None:
        """The id of the first record with these values, by a field (``-`` before it: descending)."""
        ...


@dataclass(slots=True)
class Pool:
    """Records made so far of one entity: ids, and the values later recipes may ask for."""

    ids: list[int] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    groups: dict[tuple[str, ...], dict[tuple[Any, ...], list[int]]] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    left: dict[tuple[tuple[str, ...], tuple[Any, ...]], list[int]] = field(default_factory=dict)

    def among(self, fields: tuple[str, ...], values: tuple[Any, ...]) -> Sequence[int]:
        """Ids of the records whose fields have these values."""
        if not fields:
            return self.ids
        group = self.groups.get(fields)
        if group is None or sum(map(len, group.values())) != len(self.ids):
            group = {}
            for record, row in zip(self.ids, self.rows, strict=True):
                group.setdefault(tuple(row.get(name) for name in fields), []).append(record)
            self.groups[fields] = group
        return group.get(values, ())

    def value(self, record: int, name: str) -> Any:
        """A kept value of a record; None where nothing is known of it."""
        if len(self.places) != len(self.ids):
            self.places = {number: place for place, number in enumerate(self.ids)}
        place = self.places.get(record)
        return None if place is None else self.rows[place].get(name)

    def take(self, fields: tuple[str, ...], values: tuple[Any, ...], random: Random) -> int | None:
        """One of those with these values that nobody has taken yet, out of those there were at the first time."""
        key = (fields, values)
        if key not in self.left:
            self.left[key] = list(self.among(fields, values))
            random.shuffle(self.left[key])
        return self.left[key].pop() if self.left[key] else None


@dataclass(slots=True)
class World:
    """What recipes draw from: the window, tables of words, rhythms, people by role, records made so far."""

    window: Window
    profiles: Mapping[str, Profile]
    names: Names
    numbers: Numbers
    phrases: Mapping[str, Sequence[str]]
    people: Mapping[str, Sequence[int]]
    sample: Sample
    pools: dict[str, Pool] = field(default_factory=dict)
    kept: dict[str, set[str]] = field(default_factory=dict)  # entity -> fields its pool keeps
    counters: dict[str, int] = field(default_factory=dict)
    logins: Mapping[str, int] = field(default_factory=dict)
    store: Store | None = None

    def pool(self, entity: str) -> Pool:
        return self.pools.setdefault(entity, Pool())


class Kitchen:
    """Compiles recipes for one block: ``random`` is the block's own, so that blocks do not disturb each other's draws."""

    def __init__(self, world: World, random: Random, entity: str, verbs: Mapping[str, Verb]) -> None:
        self.world, self.random, self.entity, self._verbs = world, random, entity, verbs

    def recipe(self, doc: Any, pointer: str) -> Draw:
        """The function of one recipe. Raises Invalid at ``pointer`` for a word nobody knows."""
        if not isinstance(doc, Mapping):
            return lambda row: doc
        verbs = [key for key in doc if key not in _MODIFIERS]
        if len(verbs) != 1 or verbs[0] not in self._verbs:
            raise refused(pointer, "demo_verb", found=", ".join(verbs) or "-", known=", ".join(sorted(self._verbs)))
        draw = self._verbs[verbs[0]](self, doc[verbs[0]], doc, f"{pointer}/{verbs[0]}")
        return self._modified(draw, doc, pointer)

    def test(self, doc: Any, pointer: str) -> Test:
        """A condition: {path: value, [values], {"from", "below"}, true (is there), null (is not)}; all must hold."""
        if not isinstance(doc, Mapping):
            raise refused(pointer, "demo_condition")
        tests = [_comparison(path, wanted) for path, wanted in doc.items()]
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _modified(self, draw: Draw, doc: Mapping[str, Any], pointer: str) -> Draw:
        low, high, step = doc.get("min"), doc.get("max"), doc.get("step")
        if low is not None or high is not None or step is not None:
            draw = _bounded(draw, low, high, step)
        if "if" in doc:
            draw = _only_if(draw, self.test(doc["if"], f"{pointer}/if"))
        if "chance" in doc:
            draw = _perhaps(draw, float(doc["chance"]), self.random)
        return draw

    def profile(self, doc: Mapping[str, Any], pointer: str) -> Profile:
        """The rhythm a recipe names, else the first."""
        name = doc.get("profile") or next(iter(self.world.profiles))
        if name not in self.world.profiles:
            raise refused(f"{pointer}/profile", "demo_profile", found=name, known=", ".join(self.world.profiles))
        return self.world.profiles[name]


def look(row: Row, path: str) -> Any:
    """A value by path: a name of the row, or ``parent.name``."""
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def reader(path: str, world: World) -> Draw:
    """Reads a path of the row; ``now`` is the end of the window."""
    if path == "now":
        return lambda row: world.window.now
    return _path(path)


def _path(path: str) -> Draw:
    """``look`` with the path taken apart beforehand."""
    first, _, rest = path.partition(".")
    if not rest:
        return lambda row: row.get(first)
    if "." in rest:
        return lambda row: look(row, path)
    return lambda row: None if (below := row.get(first)) is None else below.get(rest)


def _comparison(path: str, wanted: Any) -> Test:
    read = _path(path)
    if wanted is None or wanted is True:
        there = wanted is True
        return lambda row: (read(row) not in (None, False)) is there
    if isinstance(wanted, Mapping):
        low, high = wanted.get("from", -math.inf), wanted.get("below", math.inf)
        return lambda row: (value := read(row)) is not None and low <= value < high
    values = frozenset(wanted) if isinstance(wanted, list) else frozenset((wanted,))
    return lambda row: read(row) in values


def _bounded(draw: Draw, low: Any, high: Any, step: Any) -> Draw:
    def bounded(row: Row) -> Any:
        value = draw(row)
        if value is None:
            return None
        if low is not None:
            value = max(value, low)
        if high is not None:
            value = min(value, high)
        return int(round(value / step) * step) if step else value

    return bounded


def _only_if(draw: Draw, test: Test) -> Draw:
    return lambda row: draw(row) if test(row) else None


def _perhaps(draw: Draw, share: float, random: Random) -> Draw:
    return lambda row: draw(row) if random.random() < share else None


def refused(pointer: str, code: str, **params: object) -> Invalid:
    """A description that cannot be read, with the place."""
    return Invalid("demo_description", faults=[Fault(pointer, code, params)])


#: Makes the function of one verb out of its value, the whole recipe and its place.
Verb = Callable[[Kitchen, Any, Mapping[str, Any], str], Draw]
