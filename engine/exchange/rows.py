"""One row of a file as a draft of a record: cells read by their readers, parts put into fields, children made, what was not understood kept as a note.

Reads only; whether the record exists and what is written is importing.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.errors import Fault
from engine.exchange.mapping import Child, Column, ColumnMapping, Plan
from engine.exchange.sheets import Cell, SheetRow, header_text
from engine.fields.base import Wrong, title_of
from engine.readers.base import Reading, ReadingScope

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, Workspace

#: What the same text in the same column gives again is kept when it can be shared, for the first so many texts.
_PLAIN = (str, int, bool, float)
_KNOWN_AT_MOST = 2000


@dataclass(slots=True)
class ChildDraft:
    """One child of a row. ``later`` values wait for the parent or other columns (``{"field": …}``, ``{"column": …}``, ``{"first": …}``)."""

    plan: Child
    values: dict[str, Any]
    later: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RowDraft:
    """What one row says. ``values`` are raw inputs by field, ``defaults`` only count for a new record, ``people`` are names to be found by field."""

    row: SheetRow
    values: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    people: dict[str, tuple[str, Column]] = field(default_factory=dict)
    children: list[ChildDraft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)  # field -> what the cell said, for review items


@dataclass(frozen=True, slots=True)
class _Direct:
    """A column that goes straight into a field: its header, the field, how a cell becomes the field's JSON; ``known`` keeps what the same text gave."""

    header: str
    key: str
    person: Column | None
    read: Callable[[Any], Any]
    known: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Cells:
    """The cells of one row by column of the import block: (header, cell) in file order."""

    own: dict[str, list[tuple[str, Cell]]] = field(default_factory=dict)
    joined: dict[str, list[Cell]] = field(default_factory=dict)
    direct: list[tuple[_Direct, Cell]] = field(default_factory=list)


class RowReader:
    """Reads the rows of one table under one mapping; remembers the row before, for cells that say the same again."""

    def __init__(self, workspace: Workspace, entity: CompiledEntity, plan: Plan, headers: Sequence[str], mapping: ColumnMapping, now: datetime) -> None:
        self._workspace = workspace
        self._entity = entity
        self._plan = plan
        self._headers = headers
        self._readers = workspace.registry.readers
        self._scope = ReadingScope(workspace.scope.of(entity.key), now)
        self._before: dict[int, Cell] = {}
        self._places = [self._place(at, target) for at, target in enumerate(mapping.targets)]
        self._reused = any(plan.ditto)

    def read(self, row: SheetRow) -> RowDraft:
        """The draft of one row; its faults say what makes it unusable, its warnings what to look at."""
        draft = RowDraft(row)
        cells = self._sort(row)
        for direct, cell in cells.direct:
            self._direct(draft, direct, cell)
        readings: dict[str, list[tuple[str, Reading]]] = {}
        for key, column in self._plan.columns.items():
            if column.ignore or column.joins:
                continue
            found = cells.own.get(key, [])
            joined = cells.joined.get(key, [])
            if not any(_filled(cell) for _, cell in found) and not any(_filled(cell) for cell in joined):
                self._empty(draft, column)
                continue
            readings[key] = list(self._column(draft, column, found, joined))
        self._conditional_defaults(draft, readings)
        for child in self._plan.children:
            draft.children += self._children(draft, child, readings)
        return draft

    def _sort(self, row: SheetRow) -> _Cells:
        cells = _Cells()
        for at, (cell, place) in enumerate(zip(row.cells, self._places, strict=False)):
            if place is None:
                continue
            if self._reused:
                if isinstance(cell, str) and cell.strip() in self._plan.ditto:
                    cell = self._before.get(at)
                self._before[at] = cell
            if isinstance(place, _Direct):
                if cell is not None:
                    cells.direct.append((place, cell))
                continue
            column = self._plan.columns[place]
            if column.joins:
                cells.joined.setdefault(column.joins, []).append(cell)
            else:
                cells.own.setdefault(place, []).append((self._headers[at], cell))
        return cells

    def _place(self, at: int, target: str) -> _Direct | str | None:
        """Where the cells of a column go: straight into a field, to a column of the import block (its key), or nowhere."""
        kind, _, name = target.partition(":")
        if kind == "column":
            return name
        if kind != "field":
            return None
        item, scope = self._entity.fields[name], self._scope.fields
        read, to_json = item.type.cell_reader(item.value, scope), item.type.to_json
        person = Column(self._headers[at], "person") if item.target == "person" else None
        return _Direct(self._headers[at], name, person, lambda cell: to_json(read(cell), item.value, scope))

    def _direct(self, draft: RowDraft, place: _Direct, cell: Cell) -> None:
        key = place.key
        if cell.__class__ is not str:
            draft.given[key] = str(plain(cell))
            self._read(draft, place, value(cell))
            return
        known = place.known.get(cell)
        if known is not None:
            draft.values[key] = known
        elif not cell.strip():
            return
        elif place.person is not None:
            draft.people[key] = (cell.strip(), place.person)
            return
        else:
            found = self._read(draft, place, cell)
            if found.__class__ in _PLAIN and len(place.known) < _KNOWN_AT_MOST:
                place.known[cell] = found
        draft.given[key] = cell

    @staticmethod
    def _read(draft: RowDraft, place: _Direct, cell: Any) -> Any:
        try:
            found = draft.values[place.key] = place.read(cell)
        except Wrong as wrong:
            draft.faults.append(Fault(f"/{place.key}", wrong.code, wrong.params))
            return None
        return found

    def _column(self, draft: RowDraft, column: Column, found: list[tuple[str, Cell]], joined: list[Cell]) -> Iterator[tuple[str, Reading]]:
        reader = self._readers[column.reader]
        pieces = (
            [(header, [cell]) for header, cell in found if _filled(cell)]
            if column.many
            else [(found[0][0] if found else column.key, [cell for _, cell in found] + joined)]
        )
        for header, cells in pieces:
            texts = [cell for cell in cells if _filled(cell)]
            try:
                reading = reader.read([value(cell) for cell in texts], self._options(column), self._scope)
            except Wrong as wrong:
                self._unread(draft, column, header, texts, wrong)
                continue
            self._take(draft, column, header, texts, reading)
            yield header, reading

    def _options(self, column: Column) -> Mapping[str, Any]:
        """The column's options plus the fields its parts go to, so that a reader of choices knows their option sets."""
        return {**column.options, "fields": {part: self._entity.fields[key].definition for part, key in column.into.items() if key in self._entity.fields}}

    def _unread(self, draft: RowDraft, column: Column, header: str, cells: Sequence[Cell], wrong: Wrong) -> None:
        if column.required or wrong.code in ("phone_invalid", "phone_precision_lost", "name_required"):
            target = wrong.params.get("part") or next(iter(column.into.values()), "")
            draft.faults.append(Fault(f"/{column.into.get(str(target), target)}", wrong.code, dict(wrong.params)))
            return
        self._note(draft, header, cells)
        draft.warnings.append(Fault(f"/{next(iter(column.into.values()), column.key)}", wrong.code, {**wrong.params, "header": header, "given": shown(cells)}))
        self._empty(draft, column)

    def _take(self, draft: RowDraft, column: Column, header: str, cells: Sequence[Cell], reading: Reading) -> None:
        for part, key in column.into.items():
            given = reading.parts.get(part)
            if given is None or given == "" or given == []:
                continue
            if part == "person":
                draft.people[key] = (str(given), column)
            else:
                self._put(draft, key, given)
            draft.conflicts[key] = column.conflict
            draft.given[key] = shown(cells)
        for code in reading.warnings:
            draft.warnings.append(Fault(f"/{next(iter(column.into.values()), column.key)}", code, {"header": header, "given": shown(cells)}))
        if column.keep == "rest" and reading.rest:
            self._note(draft, header, [reading.rest])
        elif column.keep == "differs" and reading.differs:
            self._note(draft, header, cells)
        elif reading.rest and column.keep != "rest" and self._plan.unread:
            self._note(draft, header, [reading.rest])

    def _put(self, draft: RowDraft, key: str, given: Any) -> None:
        """Texts that meet in the unread field stand one under the other; anything else is put."""
        if key == self._plan.unread and isinstance(given, str):
            draft.notes.append(given)
        else:
            draft.values[key] = given

    def _note(self, draft: RowDraft, header: str, cells: Sequence[Cell]) -> None:
        if self._plan.unread:
            draft.notes.append(f"{' '.join(header.split())}：{shown(cells)}")

    def _empty(self, draft: RowDraft, column: Column) -> None:
        for key, given in column.default.items():
            if not isinstance(given, Mapping):
                draft.defaults.setdefault(key, given)

    def _conditional_defaults(self, draft: RowDraft, readings: Mapping[str, object]) -> None:
        """``{"first_visit": "came", "else": "new"}``: the first value whose column was read."""
        for column in self._plan.columns.values():
            for key, given in column.default.items():
                if isinstance(given, Mapping) and key not in draft.values:
                    chosen = next((code for code, name in given.items() if code != "else" and readings.get(name)), given.get("else"))
                    draft.defaults.setdefault(key, chosen)

    def _children(self, draft: RowDraft, child: Child, readings: Mapping[str, list[tuple[str, Reading]]]) -> Iterator[ChildDraft]:
        for header, reading in readings.get(child.of, ()):
            for parts in reading.parts.get(child.each) or () if child.each else (reading.parts,):
                parts = parts if isinstance(parts, Mapping) else {next(iter(child.into), ""): parts}
                values = {key: parts[part] for part, key in child.into.items() if parts.get(part) not in (None, "")}
                if not values:
                    continue
                if child.prefix:
                    key = next(iter(child.into.values()))
                    values[key] = child.prefix.replace("{header}", " ".join(header.split())) + str(values[key])
                made = ChildDraft(child, values)
                self._child_values(made, child, readings, str(next(iter(parts.values()), "")))
                yield made

    def _child_values(self, made: ChildDraft, child: Child, readings: Mapping[str, list[tuple[str, Reading]]], text: str) -> None:
        fields = self._workspace.entities[child.entity].fields
        for key, given in child.values.items():
            if key in made.values:
                continue
            if not isinstance(given, Mapping):
                made.values[key] = given
            elif "column" in given:
                found = readings.get(given["column"])
                column = self._plan.columns[given["column"]]
                if found:
                    made.values[key] = next(iter(part for part in found[0][1].parts.values() if part is not None), None)
                elif column is not None:
                    made.later[key] = given
            elif "choice" in given:
                code = self._choice_in(fields[key].definition, text)
                if code is not None or given.get("else") is not None:
                    made.values[key] = code if code is not None else given["else"]
            else:
                made.later[key] = given

    def _choice_in(self, definition: Any, text: str) -> str | None:
        """The option one of whose spellings stands in the text; the longest spelling wins."""
        options = self._scope.fields.choices(str(definition.options.get("choices", ""))).options
        found = [
            (len(word), code)
            for code, option in options.items()
            for word in (*option.also, *((option.title,) if isinstance(option.title, str) else tuple(option.title.values())))
            if word and word in text
        ]
        return max(found)[1] if found else None


def _filled(cell: Cell) -> bool:
    return cell is not None and not (isinstance(cell, str) and not cell.strip())


def value(cell: Cell) -> Any:
    """A cell as readers take it: text, number, boolean or datetime."""
    if isinstance(cell, dict):
        text = str(cell.get("at", ""))
        return datetime.fromisoformat(text) if "T" in text else text
    return cell


def plain(cell: Cell) -> Any:
    """A cell as a field's own reader takes it."""
    return str(cell.get("at", "")) if isinstance(cell, dict) else cell


def shown(cells: Sequence[Any]) -> str:
    """Cells as people wrote them."""
    return " ".join(str(plain(cell)).strip() for cell in cells if _filled(cell))


def is_passed(row: SheetRow, plan: Plan) -> bool:
    """Whether the entity says that such a row is no record: its first text begins with one of ``not_rows``."""
    if not plan.not_rows:
        return False
    first = next((text for cell in row.cells if isinstance(cell, str) and (text := header_text(cell))), "")
    return bool(first) and first.startswith(plan.not_rows)


def label_of(entity: CompiledEntity, key: str, locale: str) -> str:
    """A field's title for messages."""
    item = entity.fields.get(key)
    return title_of(item.definition, locale) if item is not None else key
