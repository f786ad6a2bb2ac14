"""The columns of a question, and what turns a row into a record, or into JSON, under its reader's masks. Asks nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Guard
from engine.fields.base import Value, Writer
from engine.fields.values import Masked
from engine.records.attachments import file_fields
from engine.records.query_json import writers_of
from engine.records.record import Record
from engine.records.values import unseal
from engine.scope import Scope

if TYPE_CHECKING:
    from engine.workspace import CompiledField

#: System fields every record carries for its reader.
HEAD = ("id", "version")
TAIL = ("created_at", "created_by", "updated_at", "updated_by")

Cell = Callable[[Sequence[Any], dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a statement and the work left per row."""

    names: tuple[str, ...]
    elements: tuple[sa.ColumnElement[Any], ...]
    cells: tuple[Cell, ...]
    json_cells: tuple[Cell, ...]  # the same where JSON is wanted: a masked value is its text at once
    links: tuple[tuple[str, str], ...]  # (field, target entity): labels are still to be found
    files: tuple[CompiledField, ...] = ()  # what is known of each file is still to be found
    writers: tuple[tuple[str, Writer, object], ...] = ()  # fields whose JSON is not the value itself, what writes it, what an empty one is

    def record(self, row: Sequence[Any]) -> Record:
        """One row as a record; labels of links are not in yet."""
        record = Record(zip(self.names, row, strict=False))
        for cell in self.cells:
            cell(row, record)
        return record

    def json(self, row: Sequence[Any]) -> dict[str, Any]:
        """One row as orjson takes it; labels of links are not in yet."""
        found = dict(zip(self.names, row, strict=False))
        for cell in self.json_cells:
            cell(row, found)
        for name, write, empty in self.writers:
            value = found.get(name)
            if value is not None:
                found[name] = write(value)
            elif empty is not None and name in found:
                found[name] = empty
        return found


def columns_of(scope: Scope, names: Sequence[str]) -> Columns:
    """Columns for the given readable fields: id and version first, values, then what guards and masks need."""
    heads = [*HEAD, *(name for name in names if name not in HEAD)]
    elements = [_element(scope, name) for name in heads]
    shown = [name for name, element in zip(heads, elements, strict=True) if element is not None]
    found: list[sa.ColumnElement[Any]] = [element.label(f"c_{name}") for name, element in zip(heads, elements, strict=True) if element is not None]
    writers = writers_of(scope, shown)
    written = {name for name, _, _ in writers}
    cells, json_cells = list[Cell](), list[Cell]()
    for index, name in enumerate(shown):
        item = scope.entity.fields.get(name)
        if item is None:
            continue
        if item.encrypted:
            cells.append(_unsealing(scope, item, index))
            json_cells.append(cells[-1])
        guard = scope.grant.guards.get(name)
        if guard is not None:
            seen, clear = _deciding(scope, name, guard, found)
            cells.append(_guarding(name, seen, clear, masker(item)))
            json_cells.append(cells[-1] if name in written else _guarding(name, seen, clear, masking(item)))
    links = tuple((name, item.target) for name in shown if (item := scope.entity.fields.get(name)) is not None and item.target)
    files = tuple(item for item in file_fields(scope.entity) if item.key in shown)
    return Columns(tuple(shown), tuple(found), tuple(cells), tuple(json_cells), links, files, writers)


def _element(scope: Scope, name: str) -> sa.ColumnElement[Any] | None:
    item = scope.entity.fields.get(name)
    if item is not None and item.column is None and not (item.formula is not None and item.formula.has_sql):
        return None
    return scope.column(name)


def _unsealing(scope: Scope, item: CompiledField, index: int) -> Cell:
    cipher, entity, key = scope.workspace.cipher, scope.entity.key, item.key

    def cell(row: Sequence[Any], record: dict[str, Any]) -> None:
        envelope = row[index]
        if envelope is not None:
            record[key] = unseal(cipher, entity, item, envelope)

    return cell


def _deciding(scope: Scope, name: str, guard: Guard, columns: list[sa.ColumnElement[Any]]) -> tuple[int, int]:
    """Adds the columns that decide whether a field is seen, and seen clear; gives their places, -1 where nothing is to be decided."""
    seen = len(columns) if not guard.always_visible else -1
    if seen >= 0:
        columns.append(scope.visible(guard).label(f"v_{name}"))
    clear = len(columns) if guard.clear else -1
    if clear >= 0:
        columns.append(scope.clear(guard).label(f"m_{name}"))
    return seen, clear


def _guarding(key: str, seen: int, clear: int, mask: Callable[[Value], object]) -> Cell:
    """The cell that obeys the deciding columns."""

    def cell(row: Sequence[Any], record: dict[str, Any]) -> None:
        if seen >= 0 and not row[seen]:
            del record[key]
        elif clear < 0 or not row[clear]:
            value = record[key]
            if value is not None:
                record[key] = mask(value)

    return cell


def masking(item: CompiledField) -> Callable[[Value], str]:
    """The text a masked value is shown as."""
    kind, value_field = item.type, item.value
    return lambda value: kind.mask(value, value_field)


def masker(item: CompiledField) -> Callable[[Value], Masked]:
    """What a masked value is shown as."""
    text = masking(item)
    return lambda value: Masked(text(value))


def readable_names(scope: Scope) -> tuple[str, ...]:
    """Every field its reader may see, in the definition's order, and the system fields."""
    return (*(key for key in scope.entity.fields if key in scope.grant.readable), *TAIL)
