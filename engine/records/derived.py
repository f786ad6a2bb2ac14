"""Stored derived values kept true in the saving transaction: own formulas and lookups, roll-ups, and whatever follows from them in other entities.

A computed change does not raise a row's version and is noted in history as computed. Which value depends on which is derived_graph.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.errors import Conflict
from engine.fields.base import Value
from engine.records.derived_graph import ByRollup, graph
from engine.records.derived_rollups import gather
from engine.records.row_statements import differing
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity

#: How many rounds one save may ripple through, and how many rows it may touch.
ROUNDS = 24
MOST_ROWS = 100_000
_CHUNK = 500


def start_values(entity: CompiledEntity) -> Row:
    """The roll-ups of a row that nothing points to yet."""
    return {
        name: 0 if item.rollup.measure in ("count", "sum") else None
        for name, item in entity.fields.items()
        if item.rollup is not None and item.column is not None
    }


def own_values(work: Work, entity: CompiledEntity, row: Row, changed: Collection[str] | None) -> list[str]:
    """Compute the stored formulas and lookups of a row that the changed fields (None: all) bear on; gives the names computed."""
    if changed is None:
        names: Sequence[str] = [name for name in entity.derived_order if entity.fields[name].rollup is None]
    else:
        names = graph(work.workspace).affected(entity, changed)
    for name in names:
        row[name] = own_value(work, entity, name, row)
    return list(names)


def own_value(work: Work, entity: CompiledEntity, name: str, row: Mapping[str, Value]) -> Value:
    """One stored formula or lookup of a row."""
    item = entity.fields[name]
    if item.lookup is not None:
        target = row.get(item.lookup.link)
        found = work.row(item.lookup.entity, target) if target is not None else None
        return None if found is None else found.get(item.lookup.field)
    return work.value(entity, item.formula, row) if item.formula is not None else None


class Settling:
    """What is still to be computed after rows changed; ``settle`` works until nothing is."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._graph = graph(work.workspace)
        self._rollups: dict[str, dict[int, set[str]]] = {}  # entity -> record -> roll-ups
        self._links: dict[str, dict[str, tuple[set[int], set[str]]]] = {}  # entity -> link -> (targets, fields to compute)
        self._rows = 0

    def changed(self, entity: CompiledEntity, before: Mapping[str, Value] | None, after: Mapping[str, Value] | None) -> None:
        """A row was made (before None), changed, or deleted (after None)."""
        whole = before is None or after is None
        old, new = before or {}, after or {}
        names = [] if whole else [name for name in differing(old, new) if name in entity.fields]
        for place in self._graph.gathered.get(entity.key, ()) if whole else self._graph.by_rollup(entity.key, names):
            if not whole and place.own and self._adds(entity, place, old) == self._adds(entity, place, new):
                continue
            for target in {old.get(place.link), new.get(place.link)}:
                if target is not None:
                    self.rollup(place, target)
        if not whole:
            self._over_links(entity, new["id"], names)

    def _adds(self, entity: CompiledEntity, place: ByRollup, row: Mapping[str, Value]) -> tuple[Value, ...] | None:
        """To whom a row adds, what, and by what it is placed among others; None where it is not meant. The same twice: nothing has to be gathered."""
        if place.where is not None and not self._work.truth(entity, row)(place.where):
            return None
        return row.get(place.link), row.get(place.of), row.get(place.by)

    def rollup(self, place: ByRollup, target: int) -> None:
        """One roll-up of one record is to be gathered anew."""
        self._rollups.setdefault(place.entity, {}).setdefault(target, set()).add(place.field)

    def _over_links(self, entity: CompiledEntity, record_id: int, names: Collection[str]) -> None:
        for place in self._graph.by_link(entity.key, names):
            targets, fields = self._links.setdefault(place.entity, {}).setdefault(place.link, (set(), set()))
            targets.add(record_id)
            fields.update(place.fields)

    def recompute(self, entity: CompiledEntity, ids: Sequence[int]) -> None:
        """Every stored derived value of these rows is to be computed anew (repairs, settings that came into force)."""
        for one in ids:
            self._rollups.setdefault(entity.key, {}).setdefault(one, set()).update(
                name for name, item in entity.fields.items() if item.rollup is not None and item.column is not None
            )
            targets, fields = self._links.setdefault(entity.key, {}).setdefault("id", (set(), set()))
            targets.add(one)
            fields.update(entity.derived_order)

    def settle(self) -> None:
        """Compute until nothing changes. Raises Conflict when a save would ripple without end or touch too many rows."""
        for _ in range(ROUNDS):
            if not self._rollups and not self._links:
                return
            rollups, links = self._rollups, self._links
            self._rollups, self._links = {}, {}
            for key in sorted({*rollups, *links}):
                self._entity(self._work.entity(key), rollups.get(key, {}), links.get(key, {}))
        raise Conflict("derived_without_end")

    def _entity(self, entity: CompiledEntity, rollups: Mapping[int, set[str]], links: Mapping[str, tuple[set[int], set[str]]]) -> None:
        wanted: dict[int, set[str]] = {one: set() for one in rollups}
        for link, (targets, fields) in links.items():
            for one in targets if link == "id" else self._work.pointing(entity, link, targets, limit=MOST_ROWS + 1):
                wanted.setdefault(one, set()).update(fields)
        self._rows += len(wanted)
        if self._rows > MOST_ROWS:
            raise Conflict("derived_too_many", entity=entity.key, rows=self._rows)
        ids = sorted(wanted)
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            self._part(entity, part, {one: rollups[one] for one in part if one in rollups}, wanted)

    def _part(self, entity: CompiledEntity, ids: Sequence[int], rollups: Mapping[int, set[str]], fields: Mapping[int, set[str]]) -> None:
        rows = self._work.fetch(entity.key, ids, lock=True)
        gathered = gather(self._work, entity, rollups)
        changes: list[tuple[Row, Row, list[str]]] = []
        for one, before in rows.items():
            after = {**before, **gathered.get(one, {})}
            names = [name for name in gathered.get(one, {}) if after[name] != before.get(name)]
            named = fields.get(one, set())
            followed = {*named, *self._graph.affected(entity, [*names, *named])}
            for name in entity.derived_order:
                if name not in followed or entity.fields[name].rollup is not None:
                    continue
                after[name] = own_value(self._work, entity, name, after)
                if after[name] != before.get(name):
                    names.append(name)
            if names:
                changes.append((before, after, names))
        self._write(entity, changes)

    def _write(self, entity: CompiledEntity, changes: Sequence[tuple[Row, Row, list[str]]]) -> None:
        self._work.update_computed(entity, changes)
        for before, after, names in changes:
            self._work.note(entity, "update", after, {name: before.get(name) for name in names}, {name: after.get(name) for name in names}, names)
            self.changed(entity, before, after)
