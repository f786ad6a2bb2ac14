"""Which stored derived values depend on which fields, of one version: read once from its definitions. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.access import remember
from engine.expressions.language import Expression

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField, Workspace


@dataclass(frozen=True, slots=True)
class ByRollup:
    """A roll-up of ``entity`` gathered from records whose ``link`` points to it: of those for which ``where`` holds, what their ``of`` gives in the order of ``by``.

    ``own``: the condition reads stored fields of the record alone. ``counts``: it is the number of records.
    """

    entity: str
    field: str
    link: str
    of: str
    by: str
    where: Expression | None
    own: bool
    counts: bool

    @property
    def reads(self) -> set[str]:
        """The fields of the records gathered from on which the roll-up rests."""
        return ({self.link, self.of, self.by} - {""}) | (set() if self.where is None else self.where.fields)


@dataclass(frozen=True, slots=True)
class ByLink:
    """Records of ``entity`` whose ``link`` points to the changed one compute ``fields`` from it."""

    entity: str
    link: str
    fields: frozenset[str]


@dataclass(slots=True)
class Graph:
    """All dependencies of a version. Keys are (entity, field)."""

    rollups: dict[tuple[str, str], set[ByRollup]] = field(default_factory=dict)
    gathered: dict[str, set[ByRollup]] = field(default_factory=dict)  # by the entity gathered from, whatever the field
    links: dict[tuple[str, str], dict[tuple[str, str], set[str]]] = field(default_factory=dict)
    reads: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # the own fields a derived field reads
    over: dict[tuple[str, str], tuple[tuple[str, str], ...]] = field(default_factory=dict)  # the links over which it reads, with their targets
    followed: frozenset[str] = frozenset()  # the entities on whose records values of others rest

    def by_link(self, entity: str, names: Iterable[str]) -> list[ByLink]:
        """Who must be computed anew over a link when these fields of a record change."""
        found: dict[tuple[str, str], set[str]] = {}
        for name in names:
            for place, fields in self.links.get((entity, name), {}).items():
                found.setdefault(place, set()).update(fields)
        return [ByLink(place[0], place[1], frozenset(fields)) for place, fields in sorted(found.items())]

    def by_rollup(self, entity: str, names: Iterable[str]) -> set[ByRollup]:
        """The roll-ups that read one of these fields of the records they gather."""
        return {item for name in names for item in self.rollups.get((entity, name), ())}

    def affected(self, entity: CompiledEntity, names: Iterable[str]) -> list[str]:
        """The own stored formulas and lookups to compute when these fields change, in order."""
        dirty = set(names)
        found = []
        for name in entity.derived_order:
            item = entity.fields[name]
            if item.rollup is None and self.reads.get((entity.key, name), frozenset()) & dirty:
                found.append(name)
                dirty.add(name)
        return found


def graph(workspace: Workspace) -> Graph:
    """The dependencies of a workspace's version."""
    return remember(workspace, ("derived", "graph"), lambda: _build(workspace))


def _build(workspace: Workspace) -> Graph:
    found = Graph()
    for entity in workspace.entities.values():
        for name, item in entity.fields.items():
            if item.column is None:
                continue
            if item.rollup is not None:
                _rollup(found, entity, name, item, workspace.entities[item.rollup.entity])
            elif item.lookup is not None:
                _reads(found, entity, name, {(item.lookup.link, item.lookup.field)})
            elif item.formula is not None:
                _reads(found, entity, name, _paths(entity, item.formula))
    found.followed = frozenset(found.gathered) | {entity for entity, _ in found.links}
    return found


def _paths(entity: CompiledEntity, formula: Expression) -> set[tuple[str, ...]]:
    return {tuple(path) for path in formula.reads if path[0] in entity.fields}


def _rollup(found: Graph, entity: CompiledEntity, name: str, item: CompiledField, source: CompiledEntity) -> None:
    rollup = item.rollup
    assert rollup is not None
    place = ByRollup(entity.key, name, rollup.link, rollup.of, rollup.by, rollup.where, _own(source, rollup.where), rollup.measure == "count")
    for one in place.reads:
        found.rollups.setdefault((rollup.entity, one), set()).add(place)
    found.gathered.setdefault(rollup.entity, set()).add(place)


def _own(source: CompiledEntity, where: Expression | None) -> bool:
    """Whether a condition reads stored fields of the record alone."""
    if where is None:
        return True
    return not where.volatile and all(len(path) == 1 and path[0] in source.fields and source.fields[path[0]].column is not None for path in where.reads)


def _reads(found: Graph, entity: CompiledEntity, name: str, paths: Iterable[tuple[str, ...]]) -> None:
    own, over = set(), set()
    for path in paths:
        own.add(path[0])
        target = entity.fields[path[0]].target
        if len(path) > 1 and target:
            over.add((path[0], target))
            found.links.setdefault((target, path[1]), {}).setdefault((entity.key, path[0]), set()).add(name)
    found.reads[entity.key, name] = frozenset(own)
    found.over[entity.key, name] = tuple(sorted(over))
