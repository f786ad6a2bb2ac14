"""Days on which places are closed, by the name of a holiday calendar: ``cn`` as the State Council's yearly notices arrange them. Data, one file per calendar.

A year that no notice is known for has none; a workspace adds days in the calendar itself (``"2027-01-01": []``).
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

import orjson


def names() -> tuple[str, ...]:
    """The calendars there are."""
    return tuple(sorted(item.name.removesuffix(".json") for item in files(__name__).iterdir() if item.name.endswith(".json")))


@cache
def closed_days(name: str) -> frozenset[date]:
    """The closed days of a calendar; none for a name nobody knows."""
    return frozenset(day for spans in _years(name).values() for span in spans for day in _days(span))


def years(name: str) -> tuple[int, ...]:
    """The years a calendar is known for."""
    return tuple(sorted(int(year) for year in _years(name)))


@cache
def _years(name: str) -> dict[str, list[str]]:
    if name not in names():
        return {}
    found: dict[str, list[str]] = orjson.loads(files(__name__).joinpath(f"{name}.json").read_bytes())
    return found


def _days(span: str) -> Iterator[date]:
    first, _, last = span.partition("/")
    day, end = date.fromisoformat(first), date.fromisoformat(last or first)
    while day <= end:
        yield day
        day += timedelta(days=1)
