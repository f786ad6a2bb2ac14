"""Stored derived values kept true in the saving transaction: own formulas and lookups, roll-ups, and whatever follows from them in other entities.

A computed change does not raise a row's version and is noted in history as computed. Which value depends on which is derived_graph.py.
"""

from __future__ import annotations

from collections import Counter
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
    value: Value = None
    if item.lookup is not None:
        target = row.get(item.lookup.link)
        found = work.row(item.lookup.entity, target) if target is not None else None
        value = None if found is None else found.get(item.lookup.field)
    elif item.formula is not None:
        value = work.value(entity, item.formula, row)
    if work.locks:
        for link, of in graph(work.workspace).over.get((entity.key, name), ()):
            if (one := row.get(link)) is not None:
                work.lean(of, one)
    return value


class Settling:
    """What is still to be computed after rows changed; ``settle`` works until nothing is."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._graph = graph(work.workspace)
        self._rollups: dict[str, dict[int, set[str]]] = {}  # entity -> record -> roll-ups to gather
        self._steps: dict[str, dict[int, Counter[str]]] = {}  # entity -> record -> numbers, and by how much they go up or down
        self._links: dict[str, dict[str, tuple[set[int], set[str]]]] = {}  # entity -> link -> (targets, fields to compute)
        self._rows = 0

    def changed(self, entity: CompiledEntity, before: Mapping[str, Value] | None, after: Mapping[str, Value] | None) -> None:
        """A row was made (before None), changed, or deleted (after None)."""
        if entity.key not in self._graph.followed:
            return
        if before is None or after is None:
            names, places = list[str](), self._graph.gathered.get(entity.key, set())
        else:
            names = [name for name in differing(before, after) if name in entity.fields]
            places = self._graph.by_rollup(entity.key, names) if after["deleted_at"] is None else set()
        for place in places:
            was, now = (None if row is None else self._adds(entity, place, row) for row in (before, after))
            if place.own and was == now:
                continue
            for added, by in ((was, -1), (now, 1)):
                if added is not None and place.own and place.counts:
                    self._steps.setdefault(place.entity, {}).setdefault(added[0], Counter())[place.field] += by
                elif added is not None:
                    self._gather(place, added[0])
        if before is not None and after is not None:
            self._over_links(entity, after["id"], names)

    def made(self, entity: CompiledEntity, row: Mapping[str, Value]) -> None:
        """A row of many was made: what is gathered from them is gathered when all of them stand."""
        for place in self._graph.gathered.get(entity.key, ()):
            if (target := row.get(place.link)) is not None:
                self._gather(place, target)

    def _adds(self, entity: CompiledEntity, place: ByRollup, row: Mapping[str, Value]) -> tuple[int, Value, Value] | None:
        """To whom a row adds, what, and by what it is placed among others; None where it adds nothing. The same twice: the roll-up does not notice."""
        target = row.get(place.link)
        if target is None or (place.own and place.where is not None and not self._work.truth(entity, row)(place.where)):
            return None
        if place.counts:
            return None if place.of and row.get(place.of) is None else (target, None, None)
        return target, row.get(place.of), row.get(place.by)

    def _gather(self, place: ByRollup, target: int) -> None:
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
            if not (self._rollups or self._steps or self._links or self._moved()):
                return
            rollups, steps, links = self._rollups, self._steps, self._links
            self._rollups, self._steps, self._links = {}, {}, {}
            for key in sorted({*rollups, *steps, *links}):
                self._entity(self._work.entity(key), rollups.get(key, {}), steps.get(key, {}), links.get(key, {}))
        raise Conflict("derived_without_end")

    def _moved(self) -> bool:
        """Whether something must be computed anew because others had changed what our values were taken from, which nobody can do any more."""
        for entity, read, now in self._work.hold_leant():
            self._follow(self._work.entity(entity), read, now)
        return bool(self._links)

    def _follow(self, entity: CompiledEntity, read: Row, now: Row) -> None:
        """What somebody has changed in a record since it was read here follows over the links to it."""
        self._over_links(entity, now["id"], [name for name in differing(read, now) if name in entity.fields])

    def _entity(
        self, entity: CompiledEntity, rollups: dict[int, set[str]], steps: Mapping[int, Counter[str]], links: Mapping[str, tuple[set[int], set[str]]]
    ) -> None:
        stepping = {one: found for one, found in steps.items() if any(found.values())}
        wanted: dict[int, set[str]] = {one: set() for one in (*rollups, *stepping)}
        for link, (targets, fields) in links.items():
            if link != "id":
                self._work.claim(entity.fields[link].target, targets)
            for one in targets if link == "id" else self._work.pointing(entity, link, targets, limit=MOST_ROWS + 1):
                wanted.setdefault(one, set()).update(fields)
        self._rows += len(wanted)
        if self._rows > MOST_ROWS:
            raise Conflict("derived_too_many", entity=entity.key, rows=self._rows)
        if stepping:
            self._lock_along(entity, {name for found in stepping.values() for name in found})
        ids = sorted(wanted)
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            rows = self._locked(entity, part)
            known = self._stepped(rows, stepping, rollups)
            for one, found in self._gathered(entity, {one: rollups[one] for one in part if one in rollups}).items():
                known.setdefault(one, {}).update(found)
            self._part(entity, rows, known, wanted)

    def _lock_along(self, entity: CompiledEntity, counted: Collection[str]) -> None:
        """Lock what the records this transaction is about lead to by the links that are counted: what is done to one of them is about to be done to the others."""
        for source, link in sorted({(rollup.entity, rollup.link) for name in counted if (rollup := entity.fields[name].rollup) is not None}):
            self._locked(entity, sorted(self._work.expected(source, link)))

    def _locked(self, entity: CompiledEntity, ids: Sequence[int]) -> dict[int, Row]:
        """Rows nobody else can change any more. What somebody changed in one since it was read follows over the links to it, from what was just written, too."""
        read = {one: row for one in ids if (row := self._work.unlocked(entity.key, one)) is not None}
        rows = self._work.fetch(entity.key, ids, lock=True)
        for one in read.keys() & rows.keys():
            self._follow(entity, read[one], rows[one])
        return rows

    def _stepped(self, rows: Mapping[int, Row], steps: Mapping[int, Counter[str]], rollups: dict[int, set[str]]) -> dict[int, Row]:
        """Numbers of locked rows after their steps; one that is empty is put down to be gathered."""
        found: dict[int, Row] = {}
        for one in rows.keys() & steps.keys():
            for name, by in steps[one].items():
                if rows[one][name] is None:
                    rollups.setdefault(one, set()).add(name)
                elif by:
                    found.setdefault(one, {})[name] = rows[one][name] + by
        return found

    def _gathered(self, entity: CompiledEntity, rollups: Mapping[int, set[str]]) -> dict[int, Row]:
        """Roll-ups as the records tell them now; what was stepped meanwhile is among it and not stepped again."""
        found = gather(self._work, entity, rollups)
        pending = self._steps.get(entity.key, {})
        for one in rollups.keys() & pending.keys():
            for name in rollups[one]:
                del pending[one][name]
        return found

    def _part(self, entity: CompiledEntity, rows: Mapping[int, Row], known: Mapping[int, Row], fields: Mapping[int, set[str]]) -> None:
        """``known``: roll-ups of locked rows as they are now; ``fields``: what else is to be computed of each."""
        changes: list[tuple[Row, Row, list[str]]] = []
        for one, before in rows.items():
            after = {**before, **known.get(one, {})}
            names = [name for name in known.get(one, {}) if after[name] != before.get(name)]
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
