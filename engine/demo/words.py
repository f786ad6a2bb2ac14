"""Invented names, numbers and sentences out of tables that a preset carries. Never a real list of people."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Any

_MODULUS = 100_000_000
_FACTOR = 37_199_171  # odd and no multiple of 5: multiplication permutes the numbers below the modulus
_PLACE = re.compile(r"\{([a-z_.]+)(?::0(\d+))?\}")


class Weighted:
    """Values drawn by weight."""

    def __init__(self, values: Sequence[Any], weights: Sequence[float]) -> None:
        self.values = tuple(values)
        self._sums = tuple(accumulate(weights))

    def draw(self, random: Random) -> Any:
        return self.values[bisect_right(self._sums, random.random() * self._sums[-1])]


def zipf(count: int, exponent: float) -> list[float]:
    """Weights 1/rank^exponent for ``count`` ranks."""
    return [1 / (rank**exponent) for rank in range(1, count + 1)]


class Names:
    """People's names. Words: ``surnames`` by frequency, ``given`` {gender: characters}, ``double`` surnames, ``long`` names with a dot,
    ``rare`` characters, ``titles`` {gender: [...]}, and the shares ``title_share``, ``double_share``, ``long_share``, ``rare_share``."""

    def __init__(self, words: Mapping[str, Any]) -> None:
        surnames = tuple(words.get("surnames", "王李张刘陈"))
        self._surnames = Weighted(surnames, zipf(len(surnames), 0.85))
        self._given = {gender: tuple(text) for gender, text in words.get("given", {"": "伟芳敏静杰"}).items()}
        self._titles = {gender: tuple(items) for gender, items in words.get("titles", {}).items()}
        self._double, self._long, self._rare = (tuple(words.get(key, ())) for key in ("double", "long", "rare"))
        self._shares = {key: float(words.get(f"{key}_share", 0)) for key in ("title", "double", "long", "rare")}

    def draw(self, random: Random, gender: str = "") -> str:
        """A name fitting a gender's code, any when the tables do not know it."""
        kind = random.random()
        titles, long, double, rare = (self._shares[key] for key in ("title", "long", "double", "rare"))
        if kind < titles and gender in self._titles:
            return str(self._surnames.draw(random) + random.choice(self._titles[gender]))
        if self._long and titles <= kind < titles + long:
            return str(random.choice(self._long))
        surname = random.choice(self._double) if self._double and titles + long <= kind < titles + long + double else self._surnames.draw(random)
        letters = self._given.get(gender) or next(iter(self._given.values()))
        given = random.choice(letters) + (random.choice(letters) if random.random() < 0.62 else "")
        if self._rare and kind > 1 - rare:
            given = random.choice(self._rare)
        return f"{surname}{given}"


class Numbers:
    """Distinct telephone-like numbers: a fixed permutation of a running count, so no list of real ones is ever near."""

    def __init__(self, prefixes: Sequence[str], salt: int) -> None:
        self._prefixes = tuple(prefixes)
        self._next = (salt * 1_000_003) % _MODULUS
        self._count = 0

    def draw(self) -> str:
        """The next number; none comes twice."""
        number = (self._next + self._count) * _FACTOR % _MODULUS
        self._count += 1
        return f"{self._prefixes[number // 7 % len(self._prefixes)]}{number:08}"


def sentences(templates: Sequence[str], phrases: Mapping[str, Sequence[str]]) -> Callable[[Random], str]:
    """Draws a template and fills its {places} from the phrases; a place nobody knows stays as written."""
    parts = [_PLACE.split(template) for template in templates]

    def draw(random: Random) -> str:
        pieces = random.choice(parts)
        found = [pieces[0]]
        for at in range(1, len(pieces), 3):
            known = phrases.get(pieces[at])
            found.append(random.choice(known) if known else "{" + pieces[at] + "}")
            found.append(pieces[at + 2])
        return "".join(found)

    return draw


def pattern(text: str, value: Callable[[str], Any]) -> str:
    """A text with {names} replaced by values; ``{name:03}`` pads a number with zeros."""

    def place(match: re.Match[str]) -> str:
        found = value(match.group(1))
        return str(found).zfill(int(match.group(2))) if match.group(2) else str(found if found is not None else "")

    return _PLACE.sub(place, text)
