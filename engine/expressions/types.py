"""The types expressions have, and their notation (``decimal:2``, ``choice:grade``, ``list:text``). Knows no field type; fields name theirs in this notation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

#: Largest magnitude a computed integer may have (2^53 - 1, what JSON and doubles carry exactly); beyond it a value is empty.
LIMIT = 2**53 - 1
#: Most fraction digits a decimal may have.
MAX_SCALE = 9

_PLAIN = frozenset(
    {
        "boolean",
        "integer",
        "double",
        "money",
        "percent",
        "text",
        "date",
        "instant",
        "duration",
        "tags",
        "person",
        "people",
        "team",
        "region",
        "json",
        "null",
        "any",
        "calendar",
        "table",
    }
)
_WITH_KEY = frozenset({"choice", "choices", "link", "links", "rows"})
_EXACT = frozenset({"integer", "decimal", "money", "percent", "duration"})
_TEXTS = frozenset({"text", "choice", "region"})
_LISTS = frozenset({"choices", "tags", "links", "people", "list"})
_ENTITY_OF = {"person": "person", "people": "person", "team": "team"}


class UnknownType(ValueError):
    """The notation names no type."""


@dataclass(frozen=True, slots=True)
class Type:
    """One static type.

    ``of``: the choices key of choice and choices, the entity of link, links and rows, the choices key a map is kept by.
    ``scale``: fraction digits of a decimal (its values are integers scaled by it). ``item``: of a list, or of a map's values.
    ``sealed``: name of the encrypted field type, '' when not encrypted. Money is integer minor units, percent basis points, a duration seconds.
    """

    name: str
    of: str = ""
    scale: int = 0
    item: Type | None = None
    sealed: str = ""

    @staticmethod
    def read(notation: str) -> Type:
        """The type of a notation. Raises UnknownType."""
        return _read(notation)

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal:{self.scale}"
        if self.name == "list":
            return f"list:{self.item}"
        if self.name == "map":
            return f"map:{self.of}:{self.item}"
        return f"{self.name}:{self.of}" if self.of else self.name

    @property
    def exact(self) -> bool:
        """Whether values are exact integers (scaled ones included)."""
        return self.name in _EXACT

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return self.name in _EXACT or self.name == "double"

    @property
    def textual(self) -> bool:
        """Whether values are texts (codes included)."""
        return self.name in _TEXTS

    @property
    def timely(self) -> bool:
        """Whether values are dates or instants."""
        return self.name in ("date", "instant")

    @property
    def ordered(self) -> bool:
        """Whether ``<`` is offered."""
        return self.numeric or self.timely

    @property
    def listed(self) -> bool:
        """Whether values are lists of scalars."""
        return self.name in _LISTS

    @property
    def dynamic(self) -> bool:
        """Whether nothing is known of the value before it is there."""
        return self.name in ("any", "json", "table")

    @property
    def entity(self) -> str:
        """The entity a link, a list of links or rows are of; '' for anything else."""
        if self.name in ("link", "links", "rows"):
            return self.of
        return _ENTITY_OF.get(self.name, "")

    @property
    def linked(self) -> bool:
        """Whether a value is one record."""
        return self.name in ("link", "person", "team")

    @property
    def element(self) -> Type:
        """The type of a list's items."""
        if self.name == "choices":
            return Type("choice", of=self.of)
        if self.name == "tags":
            return TEXT
        if self.name in ("links", "people", "rows"):
            return link_to(self.entity)
        return self.item or ANY

    def seal(self, field_type: str) -> Type:
        """This type as an encrypted field of the given field type has it."""
        return replace(self, sealed=field_type)

    def clear(self) -> Type:
        """This type without encryption."""
        return replace(self, sealed="") if self.sealed else self


def _choose_plain(name: str, rest: str) -> Type:
    if name == "decimal":
        scale = int(rest or "0") if (rest or "0").isdecimal() else -1
        if not 0 <= scale <= MAX_SCALE:
            raise UnknownType(f"decimal:{rest}")
        return Type("decimal", scale=scale) if scale else INTEGER
    if name == "list":
        return Type("list", item=_read(rest or "any"))
    if name == "map":
        by, _, of = rest.partition(":")
        return Type("map", of=by, item=_read(of or "any"))
    raise UnknownType(f"{name}:{rest}" if rest else name)


@lru_cache(maxsize=4096)
def _read(notation: str) -> Type:
    name, _, rest = notation.partition(":")
    if name in _PLAIN and not rest:
        return Type(name)
    if name in _WITH_KEY:
        return link_to(rest) if name == "link" else Type(name, of=rest)
    return _choose_plain(name, rest)


def link_to(entity: str) -> Type:
    """The type of a link to an entity; persons and teams have their own names."""
    return Type(entity) if entity in ("person", "team") else Type("link", of=entity)


BOOLEAN, INTEGER, DOUBLE, MONEY, PERCENT = Type("boolean"), Type("integer"), Type("double"), Type("money"), Type("percent")
TEXT, DATE, INSTANT, DURATION, NULL, ANY = Type("text"), Type("date"), Type("instant"), Type("duration"), Type("null"), Type("any")
PERSON, TEAM = Type("person"), Type("team")
