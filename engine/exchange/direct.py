"""Columns that go straight into fields: the cells of many rows read column by column, each text of a column once.

What a cell gives is the field's typed value, as its own reader of cells makes it; names of people wait until somebody looks them up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import Fault
from engine.exchange.sheets import Cell
from engine.fields.base import Value, Wrong

if TYPE_CHECKING:
    from engine.workspace import CompiledField, Workspace

#: Texts a column remembers at most, and after how many it is judged whether they come again: those of names and telephones hardly do.
KNOWN_AT_MOST, JUDGED_AT = 20_000, 2000
_SHARED = (str, int, bool, float, date, datetime)


def value(cell: Cell) -> Any:
    """A cell as readers take it: text, number, boolean or datetime."""
    if isinstance(cell, dict):
        text = str(cell.get("at", ""))
        return datetime.fromisoformat(text) if "T" in text else text
    return cell


class _Known(dict[Any, Value]):
    """What the texts of a column gave. Lists are kept as tuples, for every row needs one of its own."""

    __slots__ = ("_read", "lists")

    def __init__(self, read: Callable[[Any], Value]) -> None:
        super().__init__({None: None})
        self._read = read
        self.lists = False

    def __missing__(self, cell: Cell) -> Value:
        found = self._read(cell)
        if found.__class__ is list:
            self.lists = True
            found = tuple(found)
        if cell.__class__ is str and len(self) < KNOWN_AT_MOST and (found is None or isinstance(found, (*_SHARED, tuple))):
            self[cell] = found
        return found


class Direct:
    """One column and its field. ``place`` is the column's number, from 0."""

    def __init__(self, workspace: Workspace, entity: str, item: CompiledField, place: int) -> None:
        self.key = item.key
        self.place = place
        self.is_person = item.target == "person"
        scope = workspace.scope.of(entity)
        self._field, self._scope, self._type = item.value, scope, item.type
        read = item.type.cell_reader(item.value, scope)

        def of_cell(cell: Cell) -> Value:
            if cell.__class__ is str:
                return read(cell) if cell.strip() else None
            return None if cell is None else read(value(cell))

        self._read = of_cell
        self._known: _Known | None = _Known(of_cell)
        self._seen = 0

    def values(self, cells: Sequence[Cell]) -> tuple[list[Value], list[tuple[int, Fault]]]:
        """The typed value of each cell, None for an empty one and for one at fault; the faults with the cell's number."""
        known = self._known
        try:
            found: list[Value] = list(map(self._read if known is None else known.__getitem__, cells))
        except (Wrong, TypeError):  # raised from deep in a value, or a date, which no dictionary takes
            return self._one_by_one(cells)
        if known is not None:
            self._seen += len(cells)
            if len(known) > JUDGED_AT and self._seen < 2 * len(known):
                self._known = None
            if known.lists:
                found = [list(item) if item.__class__ is tuple else item for item in found]
        return found, self._faults(found) if Wrong in set(map(type, found)) else []

    def _one_by_one(self, cells: Sequence[Cell]) -> tuple[list[Value], list[tuple[int, Fault]]]:
        found: list[Value] = []
        for cell in cells:
            try:
                found.append(self._read(cell))
            except Wrong as wrong:
                found.append(wrong)
        return found, self._faults(found)

    def _faults(self, found: list[Value]) -> list[tuple[int, Fault]]:
        """The faults among values that were read, which leave an empty place each."""
        faults: list[tuple[int, Fault]] = []
        for number, item in enumerate(found):
            if isinstance(item, Wrong):
                found[number] = None
                faults.append((number, Fault(f"/{self.key}", item.code, item.params)))
        return faults

    def people(self, cells: Sequence[Cell], known: Mapping[str, int]) -> tuple[list[Value], list[tuple[int, Fault]], list[tuple[int, str]]]:
        """As ``values`` for names of people: the ids of those already known, and the other names with the cell's number."""
        found: list[Value]
        faults: list[tuple[int, Fault]] = []
        try:
            found = list(map(known.get, cells))
        except TypeError:  # a date
            found = [None] * len(cells)
        if not all(cell is None or cell.__class__ is str for cell in cells):
            found, faults = self._one_by_one([None if cell.__class__ is str else cell for cell in cells])
        unknown: list[tuple[int, str]] = []
        for number, (cell, person) in enumerate(zip(cells, found, strict=True)):
            if person is None and cell.__class__ is str and (name := cell.strip()):
                found[number] = known.get(name)
                if found[number] is None:
                    unknown.append((number, name))
        return found, faults, unknown

    def to_json(self, typed: Value) -> Any:
        """A value as the writer's JSON."""
        return typed if self.is_person else self._type.to_json(typed, self._field, self._scope)
