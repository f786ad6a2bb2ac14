"""Recipes of a demo description, compiled to functions that draw one value. What a recipe can say stands here; who is drawn, elsewhere.

A recipe is a plain JSON value (itself), or an object with one verb and its options, for example
``{"weights": {"a": 3, "b": 1}, "chance": 0.8}``. ``docs/demo.md`` lists the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from engine.demo.times import Profile, Window
from engine.demo.words import Names, Numbers, Weighted, pattern, sentences, zipf
from engine.errors import Fault, Invalid

Row = dict[str, Any]
Draw = Callable[[Row], Any]
Test = Callable[[Row], bool]
Sample = Callable[[str, str, Random], Any]

_MODIFIERS = frozenset({"chance", "if", "min", "max", "step", "profile", "gender", "among", "zipf", "where", "rows", "future", "skew", "note"})


@dataclass(slots=True)
class Pool:
    """Records made so far of one entity: ids, and the values later recipes may ask for."""

    ids: list[int] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    groups: dict[tuple[str, ...], dict[tuple[Any, ...], list[int]]] = field(default_factory=dict)

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
    kept: dict[str, set[str]] = field(default_factory=dict)      # entity -> fields its pool keeps

    def pool(self, entity: str) -> Pool:
        return self.pools.setdefault(entity, Pool())


class Kitchen:
    """Compiles recipes for one block: ``random`` is the block's own, so that blocks do not disturb each other's draws."""

    def __init__(self, world: World, random: Random, entity: str) -> None:
        self.world, self.random, self.entity = world, random, entity

    def recipe(self, doc: Any, pointer: str) -> Draw:
        """The function of one recipe. Raises Invalid at ``pointer`` for a word nobody knows."""
        if not isinstance(doc, Mapping):
            return lambda row: doc
        verbs = [key for key in doc if key not in _MODIFIERS]
        if len(verbs) != 1 or verbs[0] not in _VERBS:
            raise _refused(pointer, "demo_verb", found=", ".join(verbs) or "-", known=", ".join(sorted(_VERBS)))
        draw = _VERBS[verbs[0]](self, doc[verbs[0]], doc, f"{pointer}/{verbs[0]}")
        return self._modified(draw, doc, pointer)

    def test(self, doc: Any, pointer: str) -> Test:
        """A condition: {path: value, [values], {"from", "below"}, true (is there), null (is not)}; all must hold."""
        if not isinstance(doc, Mapping):
            raise _refused(pointer, "demo_condition")
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
            raise _refused(f"{pointer}/profile", "demo_profile", found=name, known=", ".join(self.world.profiles))
        return self.world.profiles[name]


def look(row: Row, path: str) -> Any:
    """A value by path: a name of the row, or ``parent.name``."""
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _reader(path: str, world: World) -> Draw:
    if path == "now":
        return lambda row: world.window.now
    if "." not in path:
        return lambda row: row.get(path)
    return lambda row: look(row, path)


def _comparison(path: str, wanted: Any) -> Test:
    if wanted is None or wanted is True:
        there = wanted is True
        return lambda row: (look(row, path) not in (None, False)) is there
    if isinstance(wanted, Mapping):
        low, high = wanted.get("from", -math.inf), wanted.get("below", math.inf)
        return lambda row: (value := look(row, path)) is not None and low <= value < high
    values = frozenset(wanted) if isinstance(wanted, list) else frozenset((wanted,))
    return lambda row: look(row, path) in values


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


def _weights(kitchen: Kitchen, value: Mapping[str, float], doc: Mapping[str, Any], pointer: str) -> Draw:
    weighted, random = Weighted([key or None for key in value], list(value.values())), kitchen.random
    return lambda row: weighted.draw(random)


def _several(kitchen: Kitchen, value: Mapping[str, float], doc: Mapping[str, Any], pointer: str) -> Draw:
    weighted, random = Weighted(list(value), list(value.values())), kitchen.random
    count = kitchen.recipe(doc.get("rows", {"uniform": [1, 2]}), f"{pointer}/rows")
    return lambda row: list(dict.fromkeys(weighted.draw(random) for _ in range(count(row) or 0)))


def _choose(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    return lambda row: kitchen.random.choice(value)


def _normal(kitchen: Kitchen, value: Sequence[float], doc: Mapping[str, Any], pointer: str) -> Draw:
    mean, deviation = value
    return lambda row: kitchen.random.gauss(mean, deviation)


def _lognormal(kitchen: Kitchen, value: Sequence[float], doc: Mapping[str, Any], pointer: str) -> Draw:
    median, mean = value
    mu, sigma = math.log(median), math.sqrt(max(0.0, 2 * math.log(mean / median)))
    return lambda row: round(kitchen.random.lognormvariate(mu, sigma))


def _uniform(kitchen: Kitchen, value: Sequence[float], doc: Mapping[str, Any], pointer: str) -> Draw:
    low, high = value
    if isinstance(low, float) or isinstance(high, float):
        return lambda row: kitchen.random.uniform(low, high)
    return lambda row: kitchen.random.randint(int(low), int(high))


def _funnel(kitchen: Kitchen, value: Mapping[str, float], doc: Mapping[str, Any], pointer: str) -> Draw:
    """Each step with the share that reaches it: draws the furthest step reached."""
    steps = list(value.items())
    if any(later[1] > earlier[1] for earlier, later in zip(steps, steps[1:], strict=False)):
        raise _refused(pointer, "demo_funnel")

    def draw(row: Row) -> str:
        level = kitchen.random.random()
        return next((key for key, share in reversed(steps) if level < share), steps[0][0])

    return draw


def _cases(kitchen: Kitchen, value: Sequence[Mapping[str, Any]], doc: Mapping[str, Any], pointer: str) -> Draw:
    cases = [(kitchen.test(item["if"], f"{pointer}/{number}/if") if "if" in item else None, kitchen.recipe(item.get("then"), f"{pointer}/{number}/then"))
             for number, item in enumerate(value)]

    def draw(row: Row) -> Any:
        return next((recipe(row) for test, recipe in cases if test is None or test(row)), None)

    return draw


def _same(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    return _reader(value, kitchen.world)


def _add(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    parts = [_reader(item, kitchen.world) if isinstance(item, str) else kitchen.recipe(item, f"{pointer}/{number}") for number, item in enumerate(value)]

    def draw(row: Row) -> Any:
        found = [part(row) for part in parts]
        return None if None in found else sum(found)

    return draw


def _multiply(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    parts = [_reader(item, kitchen.world) if isinstance(item, str) else kitchen.recipe(item, f"{pointer}/{number}") for number, item in enumerate(value)]

    def draw(row: Row) -> Any:
        found = [part(row) for part in parts]
        return None if None in found else math.prod(found)

    return draw


def _link(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """One record made before; ``where``: {its field: a value, or {"same": path}}; ``zipf``: earlier ones more often; ``rows``: a list of several."""
    where = doc.get("where", {})
    fields = tuple(where)
    values = [kitchen.recipe(item, f"{pointer}/where/{name}") for name, item in where.items()]
    kitchen.world.kept.setdefault(value, set()).update(fields)
    pool, random, skew = kitchen.world.pool(value), kitchen.random, float(doc.get("zipf", 0))

    def one(row: Row) -> int | None:
        found = pool.among(fields, tuple(draw(row) for draw in values))
        if not found:
            return None
        return found[int(len(found) * random.random() ** (1 + skew))]

    if "rows" not in doc:
        return one
    count = kitchen.recipe(doc["rows"], f"{pointer}/rows")
    return lambda row: [record for record in dict.fromkeys(one(row) for _ in range(count(row) or 0)) if record is not None]


def _person(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """Somebody with that role; ``zipf``: the first ones more often."""
    people = kitchen.world.people.get(value, ())
    if not people:
        return lambda row: None
    weighted, random = Weighted(people, zipf(len(people), float(doc.get("zipf", 0)))), kitchen.random
    return lambda row: weighted.draw(random)


def _moment(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    """``anywhere`` in the window; {"after": path, "days": recipe}; {"between": [path, path]}: the n-th of m children in the n-th slice."""
    profile, random = kitchen.profile(doc, pointer), kitchen.random
    if value == "anywhere":
        return lambda row: profile.anywhere(random)
    if "between" in value:
        return _between(kitchen, profile, value["between"], float(doc.get("skew", 1)))
    start, days = _reader(value["after"], kitchen.world), kitchen.recipe(value.get("days", 0), f"{pointer}/days")
    place = profile.ahead if doc.get("future") else profile.near

    def draw(row: Row) -> datetime | None:
        began, count = start(row), days(row)
        if began is None or count is None:
            return None
        found = place(began + timedelta(days=count), random) if count else began + timedelta(minutes=random.randrange(5, 180))
        return found if doc.get("future") or found <= kitchen.world.window.now else kitchen.world.window.now - timedelta(minutes=random.randrange(5, 300))

    return draw


def _between(kitchen: Kitchen, profile: Profile, ends: Sequence[str], skew: float) -> Draw:
    first, last = (_reader(end, kitchen.world) for end in ends)
    random = kitchen.random

    def draw(row: Row) -> datetime | None:
        since, until = first(row), last(row)
        if since is None or until is None:
            return None
        share = (row.get("nth", 0) + random.random()) / max(1, row.get("of", 1))
        found = profile.near(since + (until - since) * share ** skew, random)
        return min(max(found, since), max(until, since))

    return draw


def _day_end(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    days = kitchen.recipe(value, pointer)
    return lambda row: None if (count := days(row)) is None else kitchen.world.window.day_end(count)


def _days_since(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    read, now = _reader(value, kitchen.world), kitchen.world.window.now
    return lambda row: None if (moment := read(row)) is None else (now - moment).days


def _date(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    """The local date so many days after today (negative: before)."""
    days = kitchen.recipe(value, pointer)
    return lambda row: None if (count := days(row)) is None else (kitchen.world.window.last_day + timedelta(days=round(count))).isoformat()


def _name(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    gender = _reader(doc["gender"], kitchen.world) if "gender" in doc else None
    return lambda row: kitchen.world.names.draw(kitchen.random, (gender(row) or "") if gender else "")


def _number(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    return lambda row: kitchen.world.numbers.draw()


def _text(kitchen: Kitchen, value: Sequence[str], doc: Mapping[str, Any], pointer: str) -> Draw:
    draw = sentences(value, kitchen.world.phrases)
    return lambda row: draw(kitchen.random)


def _pattern(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    return lambda row: pattern(value, lambda path: look(row, path))


def _sample(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """What the field's own type offers as an example."""
    return lambda row: kitchen.world.sample(kitchen.entity, value, kitchen.random)


def _refused(pointer: str, code: str, **params: object) -> Invalid:
    return Invalid("demo_description", faults=[Fault(pointer, code, params)])


_VERBS: Mapping[str, Callable[[Kitchen, Any, Mapping[str, Any], str], Draw]] = {
    "weights": _weights, "several": _several, "choose": _choose, "normal": _normal, "lognormal": _lognormal, "uniform": _uniform, "funnel": _funnel,
    "cases": _cases, "same": _same, "add": _add, "multiply": _multiply, "link": _link, "person": _person, "moment": _moment, "day_end": _day_end, "days_since": _days_since,
    "date": _date, "name": _name, "number": _number, "text": _text, "pattern": _pattern, "sample": _sample,
}
