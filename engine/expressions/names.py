"""The names an expression may use: fields, what links lead to, and the name spaces open where it stands. Built by whoever knows the definitions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.expressions.types import Type

#: The fields of the entity a type leads to; None when it leads nowhere.
Hops = Callable[[Type], Mapping[str, Type] | None]


def no_hops(type: Type) -> Mapping[str, Type] | None:
    """For expressions without links."""
    return None


def no_codes(choices: str) -> Collection[str] | None:
    """For expressions whose option sets are not known."""
    return None


class _Opened(Mapping[str, Type]):
    """Fields without their encryption; looked at one by one, since a type may have to be found out."""

    def __init__(self, fields: Mapping[str, Type]) -> None:
        self._fields = fields

    def __getitem__(self, key: str) -> Type:
        return self._fields[key].clear()

    def __contains__(self, key: object) -> bool:
        return key in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


@dataclass(frozen=True, slots=True)
class NameSpace:
    """A space or a carried name: its own type when it is a value by itself (``me``, a carried record), and its attributes.

    A space of type link offers the fields of its entity, one of type rows gives the list of a column, one of type any has any attribute.
    """

    type: Type | None = None
    attributes: Mapping[str, Type] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Names:
    """All names. ``fields``: bare names. ``spaces``: by name, as NameSpace, as a mapping of attributes or as the type of a plain carried value.

    ``entity``: whose fields the bare names are. ``codes``: the option codes of a choices key, None when unknown.
    """

    fields: Mapping[str, Type] = field(default_factory=dict)
    hops: Hops = no_hops
    spaces: Mapping[str, NameSpace | Mapping[str, Type] | Type] = field(default_factory=dict)
    entity: str | None = None
    codes: Callable[[str], Collection[str] | None] = no_codes

    def opened(self) -> Names:
        """The same names with encrypted fields readable like any other: for a formula that is kept encrypted itself."""
        return replace(self, fields=_Opened(self.fields), hops=lambda type: None if (below := self.hops(type)) is None else _Opened(below))

    def space(self, name: str) -> NameSpace | None:
        """The space of a name; None when there is none."""
        found = self.spaces.get(name)
        if found is None or isinstance(found, NameSpace):
            return found
        return NameSpace(found) if isinstance(found, Type) else NameSpace(None, found)

    def attributes(self, space: NameSpace) -> Mapping[str, Type] | None:
        """Everything that may follow a space's dot; None: anything."""
        if space.type is None or not (space.type.linked or space.type.name == "rows" or space.type.dynamic):
            return space.attributes
        if space.type.dynamic:
            return None
        below = self.hops(space.type) or {}
        if space.type.name == "rows":
            below = {name: Type("list", item=item.clear()) for name, item in below.items()}
        return {**below, **space.attributes}

    def of_link(self, type: Type) -> Mapping[str, Type] | None:
        """The fields one hop further; None when the type is no single link. An empty mapping: anything (a dynamic value)."""
        if not type.linked:
            return None
        return self.hops(type) or {}
