"""A demo description walked in order: each block makes rows of one entity in chunks, hands them to a sink for their ids, then makes their children."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from engine.demo.kitchen import Draw, Kitchen, Row, World
from engine.demo.recipes import VERBS
from engine.errors import Fault, Invalid

#: Takes rows of one entity (field key -> raw value; None = stays empty whatever its default), gives their ids in the same order, None for a row that was refused.
Sink = Callable[[str, Sequence[Row]], Sequence[int | None]]

CHUNK = 1000  # parents made before their children are
_WORDS = frozenset({"entity", "rows", "least", "grid", "let", "fields", "children", "link", "only", "note"})


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one entity. ``rows``: how many, a number at full size or for children a recipe per parent; ``grid``: one row per combination."""

    entity: str
    link: str
    rows: Draw
    let: Mapping[str, Draw]
    fields: Mapping[str, Draw]
    grid: Mapping[str, Sequence[Any]]
    children: tuple[Block, ...]


def read_block(doc: Mapping[str, Any], world: World, seed: str, pointer: str, *, factor: float, scale: str, parent: str = "") -> Block | None:
    """A block compiled; None when it is not for this scale. Raises Invalid with a pointer for what cannot be read."""
    unknown = set(doc) - _WORDS
    if unknown or "entity" not in doc:
        raise Invalid("demo_description", faults=[Fault(pointer, "demo_block", {"found": ", ".join(sorted(unknown)) or "-"})])
    if scale not in doc.get("only", (scale,)):
        return None
    entity = str(doc["entity"])
    kitchen = Kitchen(world, Random(f"{seed}:{pointer}"), entity, VERBS)
    let = {name: kitchen.recipe(item, f"{pointer}/let/{name}") for name, item in doc.get("let", {}).items()}
    fields = {name: kitchen.recipe(item, f"{pointer}/fields/{name}") for name, item in doc.get("fields", {}).items()}
    children = tuple(
        block
        for number, item in enumerate(doc.get("children", ()))
        if (block := read_block(item, world, seed, f"{pointer}/children/{number}", factor=factor, scale=scale, parent=entity)) is not None
    )
    rows, grid = doc.get("rows", 1), {name: _axis(item, scale) for name, item in doc.get("grid", {}).items()}
    if not parent:
        count = max(int(doc.get("least", 0)), round(rows * factor)) if isinstance(rows, int) else 0
        return Block(entity, "", lambda row: count, let, fields, grid, children)
    return Block(entity, str(doc.get("link", parent)), kitchen.recipe(rows, f"{pointer}/rows"), let, fields, grid, children)


class Walk:
    """One run over blocks. ``made`` counts rows by entity; ``told`` hears of each chunk."""

    def __init__(self, world: World, sink: Sink, told: Callable[[Mapping[str, int]], None] = lambda made: None) -> None:
        self.world, self.sink, self.told = world, sink, told
        self.made: dict[str, int] = {}

    def root(self, block: Block) -> None:
        """Makes the rows of a top block and all below it, chunk by chunk, so that memory stays small."""
        chunk: list[Row] = []
        for row in self._rows(block, None):
            chunk.append(row)
            if len(chunk) == CHUNK:
                self._put(block, chunk)
                chunk = []
        self._put(block, chunk)

    def _put(self, block: Block, rows: list[Row]) -> None:
        if not rows:
            return
        given = self.sink(block.entity, [{name: row[name] for name in block.fields} | _link_of(block, row) for row in rows])
        rows, ids = [row for row, record in zip(rows, given, strict=True) if record is not None], [record for record in given if record is not None]
        self.made[block.entity] = self.made.get(block.entity, 0) + len(ids)
        kept = self.world.kept.get(block.entity)
        if kept is not None:
            pool = self.world.pool(block.entity)
            pool.ids.extend(ids)
            if kept:
                pool.rows.extend({name: row.get(name) for name in kept} for row in rows)
        for row, record in zip(rows, ids, strict=True):
            row["id"] = record
        for child in block.children:
            self._put(child, [made for row in rows for made in self._rows(child, row)])
        self.told(self.made)

    def _rows(self, block: Block, parent: Row | None) -> Iterator[Row]:
        if block.grid:
            combined: list[Row] = [dict(zip(block.grid, values, strict=True)) for values in product(*(_items(item) for item in block.grid.values()))]
            yield from (self._row(block, parent, number, len(combined), base) for number, base in enumerate(combined))
            return
        count = int(block.rows(parent if parent is not None else {}) or 0)
        for number in range(count):
            yield self._row(block, parent, number, count, {})

    def _row(self, block: Block, parent: Row | None, number: int, count: int, base: Row) -> Row:
        row: Row = {"nth": number, "of": count, **base}
        if parent is not None:
            row["parent"] = parent
            if block.link:
                row[block.link] = parent["id"]
        for name, draw in block.let.items():
            row[name] = draw(row)
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
