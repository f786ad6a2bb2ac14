"""The verbs of recipes: how one value is drawn. Each takes its value, the whole recipe and its place, and gives a function of the row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from engine.demo.kitchen import Draw, Kitchen, Row, Verb, look, reader, refused
from engine.demo.times import Profile
from engine.demo.words import Weighted, pattern, sentences, zipf
from engine.expressions.zones import period_name


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
    if any(later[1] > earlier[1] for earlier, later in pairwise(steps)):
        raise refused(pointer, "demo_funnel")

    def draw(row: Row) -> str:
        level = kitchen.random.random()
        return next((key for key, share in reversed(steps) if level < share), steps[0][0])

    return draw


def _cases(kitchen: Kitchen, value: Sequence[Mapping[str, Any]], doc: Mapping[str, Any], pointer: str) -> Draw:
    cases = [
        (kitchen.test(item["if"], f"{pointer}/{number}/if") if "if" in item else None, kitchen.recipe(item.get("then"), f"{pointer}/{number}/then"))
        for number, item in enumerate(value)
    ]

    def draw(row: Row) -> Any:
        return next((recipe(row) for test, recipe in cases if test is None or test(row)), None)

    return draw


def _same(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    return reader(value, kitchen.world)


def _add(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    parts = [reader(item, kitchen.world) if isinstance(item, str) else kitchen.recipe(item, f"{pointer}/{number}") for number, item in enumerate(value)]

    def draw(row: Row) -> Any:
        found = [part(row) for part in parts]
        return None if None in found else sum(found)

    return draw


def _multiply(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    parts = [reader(item, kitchen.world) if isinstance(item, str) else kitchen.recipe(item, f"{pointer}/{number}") for number, item in enumerate(value)]

    def draw(row: Row) -> Any:
        found = [part(row) for part in parts]
        return None if None in found else math.prod(found)

    return draw


def _link(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """One record made before; ``where``: {its field: a value, or {"same": path}}; ``zipf``: earlier ones more often; ``rows``: a list of several;
    ``once``: each record at most once, whichever recipe asks."""
    where = doc.get("where", {})
    fields = tuple(where)
    values = [kitchen.recipe(item, f"{pointer}/where/{name}") for name, item in where.items()]
    kitchen.world.kept.setdefault(value, set()).update(fields)
    pool, random, skew = kitchen.world.pool(value), kitchen.random, float(doc.get("zipf", 0))

    def one(row: Row) -> int | None:
        if doc.get("once"):
            return pool.take(fields, tuple(draw(row) for draw in values), random)
        found = pool.among(fields, tuple(draw(row) for draw in values))
        if not found:
            return None
        return found[int(len(found) * random.random() ** (1 + skew))]

    if "rows" not in doc:
        return one
    count = kitchen.recipe(doc["rows"], f"{pointer}/rows")
    return lambda row: [record for record in dict.fromkeys(one(row) for _ in range(count(row) or 0)) if record is not None]


def _look(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """A value of a record made before: ``ENTITY.NAME``, ``of`` a path with its id; NAME is a field or a ``let`` of its block."""
    entity, _, name = value.partition(".")
    kitchen.world.kept.setdefault(entity, set()).add(name)
    pool, read = kitchen.world.pool(entity), reader(str(doc["of"]), kitchen.world)
    return lambda row: None if (record := read(row)) is None else pool.value(record, name)


def _next(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """1, 2, 3, … over the whole run, by name."""
    counters = kitchen.world.counters

    def draw(row: Row) -> int:
        counters[value] = counters.get(value, 0) + 1
        return counters[value]

    return draw


def _person(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """Somebody with that role; ``zipf``: the first ones more often; ``place``: a path with their number, counted from 0 and round again;
    ``but``: paths with the ids of those it is not."""
    people = kitchen.world.people.get(value, ())
    if not people:
        return lambda row: None
    if "place" in doc:
        place = reader(str(doc["place"]), kitchen.world)
        return lambda row: people[int(place(row)) % len(people)]
    weighted, random = Weighted(people, zipf(len(people), float(doc.get("zipf", 0)))), kitchen.random
    if "but" not in doc:
        return lambda row: weighted.draw(random)
    others = [reader(path, kitchen.world) for path in doc["but"]]

    def draw(row: Row) -> int | None:
        found = {other(row) for other in others}
        rest = [person for person in people if person not in found]
        return random.choice(rest) if rest else None

    return draw


def _list(kitchen: Kitchen, value: Sequence[Any], doc: Mapping[str, Any], pointer: str) -> Draw:
    """What each recipe draws, without the empty ones."""
    draws = [kitchen.recipe(item, f"{pointer}/{number}") for number, item in enumerate(value)]
    return lambda row: [found for draw in draws if (found := draw(row)) is not None]


def _people(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """How many have that role."""
    count = len(kitchen.world.people.get(value, ()))
    return lambda row: count


def _login(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """The person with that login."""
    person = kitchen.world.logins.get(value)
    return lambda row: person


def _read(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """A value as it is stored now, whoever wrote it: ``ENTITY.NAME``, ``of`` a path with the record's id."""
    entity, _, name = value.partition(".")
    store, record = kitchen.world.store, reader(str(doc["of"]), kitchen.world)
    return lambda row: None if store is None or (number := record(row)) is None else store.value(entity, number, name)


def _find(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """A record as it stands now, whoever made it: the first with these values, by ``sort``."""
    store, sort = kitchen.world.store, str(doc.get("sort", "id"))
    wanted = {name: kitchen.recipe(item, f"{pointer}/where/{name}") for name, item in doc.get("where", {}).items()}
    return lambda row: None if store is None else store.find(value, {name: draw(row) for name, draw in wanted.items()}, sort)


def _moment(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    """``anywhere`` in the window; {"after": path, "days": recipe}; {"between": [path, path]}: the n-th of m children in the n-th slice;
    {"ago": recipe}: so many minutes before now, counting only hours of the profile in which something happens."""
    profile, random = kitchen.profile(doc, pointer), kitchen.random
    if value == "anywhere":
        return lambda row: profile.anywhere(random)
    if "ago" in value:
        minutes = kitchen.recipe(value["ago"], f"{pointer}/ago")
        return lambda row: None if (count := minutes(row)) is None else profile.before(float(count))
    if "between" in value:
        return _between(kitchen, profile, value["between"], float(doc.get("skew", 1)))
    start, days = reader(value["after"], kitchen.world), kitchen.recipe(value.get("days", 0), f"{pointer}/days")
    place = profile.ahead if doc.get("future") else profile.near

    def draw(row: Row) -> datetime | None:
        began, count = start(row), days(row)
        if began is None or count is None:
            return None
        found: datetime = place(began + timedelta(days=count), random) if count else began + timedelta(minutes=random.randrange(5, 180))
        return found if doc.get("future") or found <= kitchen.world.window.now else kitchen.world.window.now - timedelta(minutes=random.randrange(5, 300))

    return draw


def _between(kitchen: Kitchen, profile: Profile, ends: Sequence[str], skew: float) -> Draw:
    first, last = (reader(end, kitchen.world) for end in ends)
    random = kitchen.random

    def draw(row: Row) -> datetime | None:
        since, until = first(row), last(row)
        if since is None or until is None:
            return None
        share = (row.get("nth", 0) + random.random()) / max(1, row.get("of", 1))
        found: datetime = max(profile.near(since + (until - since) * share**skew, random), since)
        latest: datetime = max(until, since)
        return min(found, latest)

    return draw


def _day_end(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    days = kitchen.recipe(value, pointer)
    return lambda row: None if (count := days(row)) is None else kitchen.world.window.day_end(count)


def _days_since(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    read, now = reader(value, kitchen.world), kitchen.world.window.now
    return lambda row: None if (moment := read(row)) is None else (now - moment).days


def _date(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    """The local date so many days after today (negative: before)."""
    days = kitchen.recipe(value, pointer)
    return lambda row: None if (count := days(row)) is None else (kitchen.world.window.last_day + timedelta(days=round(count))).isoformat()


def _period(kitchen: Kitchen, value: str, doc: Mapping[str, Any], pointer: str) -> Draw:
    """The period (day, week, month, quarter, year) of a moment as text, as expressions tell it; ``of``: a path."""
    read, window = reader(str(doc["of"]), kitchen.world), kitchen.world.window
    return lambda row: None if (moment := read(row)) is None else period_name(moment.astimezone(window.zone).date(), value)


def _name(kitchen: Kitchen, value: Any, doc: Mapping[str, Any], pointer: str) -> Draw:
    gender = reader(doc["gender"], kitchen.world) if "gender" in doc else None
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


VERBS: Mapping[str, Verb] = {
    "weights": _weights,
    "several": _several,
    "choose": _choose,
    "normal": _normal,
    "lognormal": _lognormal,
    "uniform": _uniform,
    "funnel": _funnel,
    "cases": _cases,
    "same": _same,
    "add": _add,
    "multiply": _multiply,
    "link": _link,
    "look": _look,
    "next": _next,
    "person": _person,
    "people": _people,
    "login": _login,
    "list": _list,
    "read": _read,
    "find": _find,
    "moment": _moment,
    "day_end": _day_end,
    "days_since": _days_since,
    "date": _date,
    "period": _period,
    "name": _name,
    "number": _number,
    "text": _text,
    "pattern": _pattern,
    "sample": _sample,
}
