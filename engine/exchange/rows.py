"""One row of a file as a draft of a record: cells read by their readers, parts put into fields, children made, what was not understood kept as a note.

Reads only; whether the record exists and what is written is importing.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat, zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.errors import Fault
from engine.exchange.direct import Direct, value
from engine.exchange.mapping import Child, Column, ColumnMapping, Plan
from engine.exchange.sheets import Cell, SheetRow, header_text
from engine.fields.base import Value, Wrong
from engine.readers.base import Reading, ReadingScope

if TYPE_CHECKING:
    from engine.records.loading import ReadRow
    from engine.workspace import CompiledEntity, Workspace

#: Parts of a draft nobody has said anything for; it cannot be written to.
_NOTHING: Any = MappingProxyType({})


@dataclass(slots=True)
class ChildDraft:
    """One child of a row. ``later`` values wait for the parent or other columns (``{"field": …}``, ``{"column": …}``, ``{"first": …}``)."""

    plan: Child
    values: dict[str, Any]
    later: dict[str, Any] = field(default_factory=dict)


class RowDraft:
    """What one row says. ``typed`` are values by field as the fields' own readers gave them, ``values`` raw inputs by field (they win over typed ones),
    ``defaults`` only count for a new record, ``people`` are names to be found by field, ``given`` what the cells said, for review items."""

    __slots__ = ("children", "conflicts", "defaults", "faults", "given", "notes", "people", "reader", "ready", "row", "typed", "values", "warnings")

    def __init__(self, row: SheetRow, reader: RowReader, typed: dict[str, Value]) -> None:
        self.row = row
        self.reader = reader
        self.typed = typed
        self.ready: ReadRow | None = None  # the typed values as the writer will put them, when they are all there is
        self.values: dict[str, Any] = _NOTHING
        self.defaults: dict[str, Any] = _NOTHING
        self.conflicts: dict[str, str] = _NOTHING
        self.people: Mapping[str, tuple[str, Column]] = _NOTHING
        self.given: dict[str, str] = _NOTHING
        self.children: Sequence[ChildDraft] = ()
        self.notes: tuple[str, ...] = ()
        self.warnings: tuple[Fault, ...] = ()
        self.faults: tuple[Fault, ...] = ()

    def said(self, key: str) -> str | None:
        """What the cell of a field said, as people wrote it."""
        return self.given[key] if key in self.given else self.reader.said(self.row, key)

    def write_out(self) -> None:
        """Make raw inputs of the typed values, for whoever compares and merges."""
        if self.typed:
            self.values = {**self.reader.to_json(self.typed), **self.values}
            self.typed, self.ready = {}, None


class RowReader:
    """Reads the rows of one table under one mapping; remembers the row before, for cells that say the same again."""

    def __init__(self, workspace: Workspace, entity: CompiledEntity, plan: Plan, headers: Sequence[str], mapping: ColumnMapping, now: datetime) -> None:
        self.workspace = workspace
        self._entity = entity
        self._plan = plan
        self._headers = headers
        self._readers = workspace.registry.readers
        self._scope = ReadingScope(workspace.scope.of(entity.key), now)
        self._before: dict[int, Cell] = {}
        named = [(at, *target.partition(":")[::2]) for at, target in enumerate(mapping.targets)]
        self._direct = [Direct(workspace, entity.key, entity.fields[name], at) for at, kind, name in named if kind == "field"]
        self._by_key = {direct.key: direct for direct in self._direct}
        self._columns = [(at, plan.columns[name]) for at, kind, name in named if kind == "column"]
        self._read_columns = [(column, self._options(column)) for column in plan.columns.values() if not (column.ignore or column.joins)]

    def read(self, rows: Sequence[SheetRow], people: Mapping[str, int]) -> list[RowDraft]:
        """The drafts of some rows, in order; faults say what makes one unusable, warnings what to look at. ``people``: ids of those known by name."""
        cells = [self._settled(row.cells) for row in rows] if self._plan.ditto else [row.cells for row in rows]
        drafts = self._typed(rows, cells, people)
        if self._plan.columns:
            for draft, own in zip(drafts, cells, strict=True):
                self._block(draft, own)
        return drafts

    def pass_over(self, rows: Iterable[SheetRow]) -> None:
        """Rows that were read before, by a run that ended: only what the next row may refer to is remembered."""
        for row in rows:
            self._settled(row.cells)

    def _settled(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells of a row, those that say the same again put in."""
        found = list(cells)
        for at in (*(direct.place for direct in self._direct), *(at for at, _ in self._columns)):
            if at < len(found):
                if isinstance(found[at], str) and found[at].strip() in self._plan.ditto:
                    found[at] = self._before.get(at)
                self._before[at] = found[at]
        return found

    # --- columns that go straight into fields -----------------------------------------------------------------------------------------------

    def _typed(self, rows: Sequence[SheetRow], cells: Sequence[Sequence[Cell]], people: Mapping[str, int]) -> list[RowDraft]:
        by_column = list(zip_longest(*cells))
        columns: list[list[Value]] = []
        faults: list[tuple[int, Fault]] = []
        names: list[tuple[int, str, tuple[str, Column]]] = []
        read = [direct for direct in self._direct if direct.place < len(by_column)]
        for direct in read:
            column = by_column[direct.place]
            if direct.is_person:
                found, wrong, unknown = direct.people(column, people)
                asked = Column(self._headers[direct.place], "person")
                names += [(at, direct.key, (name, asked)) for at, name in unknown]
            else:
                found, wrong = direct.values(column)
            columns.append(found)
            faults += wrong
        keys = [direct.key for direct in read]
        made = zip(*columns, strict=True) if columns else repeat((), len(rows))
        drafts = [
            RowDraft(row, self, {key: value for key, value in zip(keys, values, strict=True) if value is not None})
            for row, values in zip(rows, made, strict=True)
        ]
        for at, fault in faults:
            drafts[at].faults += (fault,)
        for at, key, name in names:
            drafts[at].people = {**drafts[at].people, key: name}
        if self._plan.ditto:
            for draft, own in zip(drafts, cells, strict=True):
                draft.given = {direct.key: str(plain(own[direct.place])) for direct in read if direct.place < len(own) and _filled(own[direct.place])}
        return drafts

    def said(self, row: SheetRow, key: str) -> str | None:
        """What the cell of a field said, where a column goes straight into it."""
        direct = self._by_key.get(key)
        if direct is None or direct.place >= len(row.cells):
            return None
        cell = plain(row.cells[direct.place])
        return None if cell is None else str(cell)

    def to_json(self, typed: Mapping[str, Value]) -> dict[str, Any]:
        """Typed values as raw inputs."""
        return {key: self._by_key[key].to_json(value) if key in self._by_key else value for key, value in typed.items()}

    # --- columns of the import block --------------------------------------------------------------------------------------------------------

    def _block(self, draft: RowDraft, cells: Sequence[Cell]) -> None:
        draft.values, draft.defaults, draft.conflicts = {}, {}, {}
        draft.people, draft.given = dict(draft.people), dict(draft.given)
        own, joined = self._sort(cells)
        readings: dict[str, list[tuple[str, Reading]]] = {}
        for column, options in self._read_columns:
            found, more = own.get(column.key, ()), joined.get(column.key, ())
            if not any(_filled(cell) for _, cell in found) and not any(_filled(cell) for cell in more):
                self._empty(draft, column)
                continue
            readings[column.key] = list(self._column(draft, column, options, found, more))
        self._conditional_defaults(draft, readings)
        if self._plan.children:
            draft.children = [made for child in self._plan.children for made in self._children(draft, child, readings)]

    def _sort(self, cells: Sequence[Cell]) -> tuple[Mapping[str, list[tuple[str, Cell]]], Mapping[str, list[Cell]]]:
        """The cells by column of the import block: (header, cell) in file order, and those whose text is read together with another column's."""
        own: dict[str, list[tuple[str, Cell]]] = {}
        joined: dict[str, list[Cell]] = {}
        for at, column in self._columns:
            if at < len(cells):
                if column.joins:
                    joined.setdefault(column.joins, []).append(cells[at])
                else:
                    own.setdefault(column.key, []).append((self._headers[at], cells[at]))
        return own, joined

    def _column(
        self, draft: RowDraft, column: Column, options: Mapping[str, Any], found: Sequence[tuple[str, Cell]], joined: Sequence[Cell]
    ) -> Iterator[tuple[str, Reading]]:
        reader = self._readers[column.reader]
        pieces = (
            [(header, [cell]) for header, cell in found if _filled(cell)]
            if column.many
            else [(found[0][0] if found else column.key, [*(cell for _, cell in found), *joined])]
        )
        for header, cells in pieces:
            texts = [cell for cell in cells if _filled(cell)]
            try:
                reading = reader.read([value(cell) for cell in texts], options, self._scope)
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
            draft.faults += (Fault(f"/{column.into.get(str(target), target)}", wrong.code, dict(wrong.params)),)
            return
        self._note(draft, header, cells)
        draft.warnings += (Fault(f"/{next(iter(column.into.values()), column.key)}", wrong.code, {**wrong.params, "header": header, "given": shown(cells)}),)
        self._empty(draft, column)

    def _take(self, draft: RowDraft, column: Column, header: str, cells: Sequence[Cell], reading: Reading) -> None:
        for part, key in column.into.items():
            given = reading.parts.get(part)
            if given is None or given == "" or given == []:
                continue
            if part == "person":
                draft.people = {**draft.people, key: (str(given), column)}
            else:
                self._put(draft, key, given)
            draft.conflicts[key] = column.conflict
            draft.given[key] = shown(cells)
        for code in reading.warnings:
            draft.warnings += (Fault(f"/{next(iter(column.into.values()), column.key)}", code, {"header": header, "given": shown(cells)}),)
        if column.keep == "rest" and reading.rest:
            self._note(draft, header, [reading.rest])
        elif column.keep == "differs" and reading.differs:
            self._note(draft, header, cells)
        elif reading.rest and column.keep != "rest" and self._plan.unread:
            self._note(draft, header, [reading.rest])

    def _put(self, draft: RowDraft, key: str, given: Any) -> None:
        """Texts that meet in the unread field stand one under the other; anything else is put."""
        if key == self._plan.unread and isinstance(given, str):
            draft.notes += (given,)
        else:
            draft.values[key] = given

    def _note(self, draft: RowDraft, header: str, cells: Sequence[Cell]) -> None:
        if self._plan.unread:
            draft.notes += (f"{' '.join(header.split())}：{shown(cells)}",)

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
        fields = self.workspace.entities[child.entity].fields
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
