"""``me`` as expressions see it: what a person's rights were read with, and what is gathered from other records about them as it now stands.

Many saves change what is gathered (how many records somebody holds); were it part of the rights, everybody's would be read anew after each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.fields.base import Value

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

PERSON = "person"


def gathered_fields(workspace: Workspace) -> frozenset[str]:
    """The fields of people that are gathered from other records, or computed from those."""
    return remember(workspace, ("gathered of people",), lambda: _gathered(workspace))


def _gathered(workspace: Workspace) -> frozenset[str]:
    person, found = workspace.entities[PERSON], set[str]()
    for name in person.derived_order:
        item = person.fields[name]
        if item.column is not None and (item.rollup is not None or (item.formula is not None and not found.isdisjoint(item.formula.fields))):
            found.add(name)
    return frozenset(found)


class Myself(Mapping[str, Value]):
    """The acting person's fields by name; those gathered are asked for when they are read."""

    __slots__ = ("_ctx", "_gathered", "_known")

    def __init__(self, ctx: Context, gathered: frozenset[str]) -> None:
        self._ctx = ctx
        self._known = ctx.actor.me
        self._gathered = gathered

    @classmethod
    def of(cls, ctx: Context) -> Mapping[str, Value]:
        """Of a context's actor; a principal that stands for nobody has nothing gathered."""
        gathered = gathered_fields(ctx.workspace) if ctx.actor.person_id is not None else frozenset()
        return cls(ctx, gathered) if gathered else ctx.actor.me

    def __getitem__(self, key: str) -> Value:
        return self._asked(key) if key in self._gathered else self._known[key]

    def get(self, key: str, default: Value = None) -> Value:
        """A value, or the default where there is none."""
        return self._asked(key) if key in self._gathered else self._known.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **dict.fromkeys(self._gathered)})

    def __len__(self) -> int:
        return len({*self._known, *self._gathered})

    def _asked(self, key: str) -> Value:
        with self._ctx.reading() as ctx:
            found = _asking(ctx.workspace, key).first(ctx.open, {"p_id": ctx.actor.person_id})
        return None if found is None else found[0]


def _asking(workspace: Workspace, key: str) -> Ready:
    def build() -> Ready:
        person = workspace.entities[PERSON]
        column = person.fields[key].column
        assert column is not None  # as gathered_fields says
        select = sa.select(column).where(person.table.c.id == sa.bindparam("p_id", type_=sa.BigInteger))
        return Ready(select.execution_options(scoped=True))

    return remember(workspace, ("gathered", key), build)
