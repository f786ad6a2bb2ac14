"""A demo description walked in order: each block makes rows of one entity in chunks, hands them to a sink for their ids, then makes their children.

A block with ``act`` has its rows done one by one instead, each by a person and at a moment, so that rules, approvals and messages follow as in life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from random import Random
from typing import Any

from engine.demo.deeds import DUE, SETTLE, Act, Deed, Doer, read_act
from engine.demo.kitchen import Draw, Kitchen, Row, Test, World
from engine.demo.recipes import VERBS
from engine.errors import Fault, Invalid

#: When a row was made (None: now) and by whom.
Made = tuple[datetime | None, int | None]
#: Takes rows of one entity (field key -> raw value; None = stays empty whatever its default) and when and by whom each was made; gives their ids in the same
#: order, None for a row that was refused.
Sink = Callable[[str, Sequence[Row], Sequence[Made]], Sequence[int | None]]

CHUNK = 1000  # parents made before their children are
_WORDS = frozenset(
    {"entity", "rows", "least", "grid", "let", "fields", "children", "link", "only", "note", "act", "on", "by", "at", "opinion", "confirm", "if"}
)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one entity. ``rows``: how many, a number at full size or for children a recipe per parent; ``grid``: one row per combination.

    ``at``, ``by``: when (None: now) and by whom; ``act``: what they do with each row's values, instead of its being loaded as made by them then; ``test``: rows for which it fails, their ``let`` drawn, are left out.
    """

    entity: str
    link: str
    rows: Draw
    let: Mapping[str, Draw]
    fields: Mapping[str, Draw]
    grid: Mapping[str, Sequence[Any]]
    children: tuple[Block, ...]
    at: Draw
    by: Draw
    act: Act | None = None
    test: Test = lambda row: True


def read_block(doc: Mapping[str, Any], world: World, seed: str, pointer: str, *, factor: float, scale: str, parent: str = "") -> Block | None:
    """A block compiled; None when it is not for this scale. Raises Invalid with a pointer for what cannot be read."""
    unknown = set(doc) - _WORDS
    if unknown or ("entity" not in doc and doc.get("act") != DUE):
        raise Invalid("demo_description", faults=[Fault(pointer, "demo_block", {"found": ", ".join(sorted(unknown)) or "-"})])
    if scale not in doc.get("only", (scale,)):
        return None
    entity = str(doc.get("entity", ""))
    kitchen = Kitchen(world, Random(f"{seed}:{pointer}"), entity, VERBS)
    let = {name: kitchen.recipe(item, f"{pointer}/let/{name}") for name, item in doc.get("let", {}).items()}
    fields = {name: kitchen.recipe(item, f"{pointer}/fields/{name}") for name, item in doc.get("fields", {}).items()}
    children = tuple(
        block
        for number, item in enumerate(doc.get("children", ()))
        if (block := read_block(item, world, seed, f"{pointer}/children/{number}", factor=factor, scale=scale, parent=entity)) is not None
    )
    act = read_act(doc, kitchen, pointer) if "act" in doc else None
    test = kitchen.test(doc.get("if", {}), f"{pointer}/if")
    at, by = (kitchen.recipe(doc.get(name), f"{pointer}/{name}") for name in ("at", "by"))
    rows, grid = doc.get("rows", 1), {name: _axis(item, scale) for name, item in doc.get("grid", {}).items()}
    if not parent:
        count = max(int(doc.get("least", 0)), round(rows * factor)) if isinstance(rows, int) else kitchen.recipe(rows, f"{pointer}/rows")
        return Block(entity, "", count if callable(count) else lambda row: count, let, fields, grid, children, at, by, act, test)
    return Block(entity, _link_name(doc, parent), kitchen.recipe(rows, f"{pointer}/rows"), let, fields, grid, children, at, by, act, test)


def _link_name(doc: Mapping[str, Any], parent: str) -> str:
    """The field of a child that leads to its parent; what is done with a record is linked to nothing unless the block says so."""
    return str(doc.get("link", parent if doc.get("act", "create") == "create" and doc.get("entity") != parent else ""))


class Walk:
    """One run over blocks. ``made`` counts rows by entity; ``told`` hears of each chunk; ``doer`` does what people do."""

    def __init__(self, world: World, sink: Sink, told: Callable[[Mapping[str, int]], None] = lambda made: None, doer: Doer | None = None) -> None:
        self.world, self.sink, self.told, self.doer = world, sink, told, doer
        self.made: dict[str, int] = {}

    def root(self, block: Block) -> None:
        """Makes the rows of a top block and all below it, chunk by chunk, so that memory stays small; runs what its deeds have left."""
        if block.act is not None and block.act.verb == DUE:
            self._run(DUE)
            return
        chunk: list[Row] = []
        for row in self._rows(block, None):
            chunk.append(row)
            if len(chunk) == (CHUNK if block.act is None else 1):
                self._put(block, chunk)
                chunk = []
        self._put(block, chunk)
        if block.act is not None:
            self._run(SETTLE)

    def _run(self, verb: str) -> None:
        if self.doer is not None:
            self.doer(Deed(verb, "", None, None, None, {}))

    def _put(self, block: Block, rows: list[Row]) -> None:
        if not rows:
            return
        values = [{name: row[name] for name in block.fields} | _link_of(block, row) for row in rows]
        times = [(block.at(row), block.by(row)) for row in rows] if block.act is None else []
        given = (
            self.sink(block.entity, values, times)
            if block.act is None
            else [self._do(block, block.act, row, own) for row, own in zip(rows, values, strict=True)]
        )
        rows, ids = [row for row, record in zip(rows, given, strict=True) if record is not None], [record for record in given if record is not None]
        if block.act is None or block.act.verb == "create":
            self._keep(block, rows, ids)
        for row, record in zip(rows, ids, strict=True):
            row["id"] = record
        for child in block.children:
            if child.act is None:
                self._put(child, [made for row in rows for made in self._rows(child, row)])
            else:
                for made in (made for row in rows for made in self._rows(child, row)):
                    self._put(child, [made])
        self.told(self.made)

    def _keep(self, block: Block, rows: Sequence[Row], ids: Sequence[int]) -> None:
        """Count what was made, and keep of it what later recipes ask for."""
        self.made[block.entity] = self.made.get(block.entity, 0) + len(ids)
        kept = self.world.kept.get(block.entity)
        if kept is not None:
            pool = self.world.pool(block.entity)
            pool.ids.extend(ids)
            if kept:
                pool.rows.extend({name: row.get(name) for name in kept} for row in rows)

    def _do(self, block: Block, act: Act, row: Row, values: Row) -> int | None:
        if self.doer is None:
            return None
        return self.doer(Deed(act.verb, block.entity, act.on(row), block.by(row), block.at(row), values, act.opinion(row), act.confirm))

    def _rows(self, block: Block, parent: Row | None) -> Iterator[Row]:
        if block.grid:
            combined: list[Row] = [dict(zip(block.grid, values, strict=True)) for values in product(*(_items(item) for item in block.grid.values()))]
            drawn = (self._row(block, parent, number, len(combined), base) for number, base in enumerate(combined))
            yield from (row for row in drawn if row is not None)
            return
        count = int(block.rows(parent if parent is not None else {}) or 0)
        for number in range(count):
            row = self._row(block, parent, number, count, {})
            if row is not None:
                yield row

    def _row(self, block: Block, parent: Row | None, number: int, count: int, base: Row) -> Row | None:
        row: Row = {"nth": number, "of": count, **base}
        if parent is not None:
            row["parent"] = parent
            if block.link:
                row[block.link] = parent["id"]
        for name, draw in block.let.items():
            row[name] = draw(row)
        if not block.test(row):
            return None
        for name, draw in block.fields.items():
            row[name] = draw(row)
        return row


def _link_of(block: Block, row: Row) -> Row:
    return {block.link: row[block.link]} if block.link else {}


def _axis(item: Any, scale: str) -> Any:
    """A grid axis, which may be another for each scale."""
    return item[scale] if isinstance(item, Mapping) and scale in item else item


def _items(item: Any) -> Sequence[Any]:
    """The values of one grid axis: a list, or {"from": a, "to": b} inclusive."""
    return range(int(item["from"]), int(item["to"]) + 1) if isinstance(item, Mapping) else list(item)
