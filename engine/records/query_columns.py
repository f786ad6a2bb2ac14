"""The columns of a question, and what turns rows into records, or into JSON, under their reader's masks, a column of a page at a time. Asks nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from engine.access import Guard
from engine.fields.base import Value
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

Rows = Sequence[Sequence[Any]]
#: What becomes of the values of a column; all columns are given beside it, since some of them decide.
Change = Callable[[Sequence[Any], Rows], Sequence[Any]]
Item = TypeVar("Item", bound=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a statement and the work left on what they answer."""

    names: tuple[str, ...]
    elements: tuple[sa.ColumnElement[Any], ...]
    typed: tuple[tuple[int, Change], ...]  # by place: what is decrypted and masked
    written: tuple[tuple[int, Change], ...]  # the same as JSON; a masked value is its text at once
    hidden: tuple[tuple[str, int], ...]  # a field not everybody sees, and the place that tells whether it is seen
    links: tuple[tuple[str, str], ...]  # (field, target entity): labels are still to be found
    files: tuple[CompiledField, ...] = ()  # what is known of each file is still to be found

    def records(self, rows: Rows) -> list[Record]:
        """Rows as records; labels of links are not in yet."""
        return self._made(Record, rows, self.typed)

    def json(self, rows: Rows) -> list[dict[str, Any]]:
        """Rows as orjson takes them; labels of links are not in yet."""
        return self._made(dict, rows, self.written)

    def _made(self, make: Callable[..., Item], rows: Rows, changes: Sequence[tuple[int, Change]]) -> list[Item]:
        names = self.names
        if not rows or not (changes or self.hidden):
            return [make(zip(names, row, strict=False)) for row in rows]
        columns = list[Sequence[Any]](zip(*rows, strict=False))  # the first row may tell a count behind its columns
        for place, change in changes:
            columns[place] = change(columns[place], columns)
        found = [make(zip(names, row, strict=False)) for row in zip(*columns, strict=True)]
        for name, place in self.hidden:
            for item, seen in zip(found, columns[place], strict=True):
                if not seen:
                    del item[name]
        return found


def columns_of(scope: Scope, names: Sequence[str]) -> Columns:
    """Columns for the given readable fields: id and version first, values, then what guards and masks need."""
    heads = [*HEAD, *(name for name in names if name not in HEAD)]
    elements = [_element(scope, name) for name in heads]
    shown = [name for name, element in zip(heads, elements, strict=True) if element is not None]
    found: list[sa.ColumnElement[Any]] = [element.label(f"c_{name}") for name, element in zip(heads, elements, strict=True) if element is not None]
    typed, written, hidden = list[tuple[int, Change]](), list[tuple[int, Change]](), list[tuple[str, int]]()
    writers = writers_of(scope, shown)
    for index, name in enumerate(shown):
        item, (write, empty) = scope.entity.fields.get(name), writers.get(name, (None, None))
        read = partial(unseal, scope.workspace.cipher, scope.entity.key, item) if item is not None and item.encrypted else None
        guard = scope.grant.guards.get(name) if item is not None else None
        written_as = _after(read, write) if write is not None else read
        if item is None or guard is None:
            changes = [_changing(read), _changing(written_as, empty)]
        else:
            seen, clear = _deciding(scope, name, guard, found)
            hidden += [(name, seen)] if seen >= 0 else []
            changes = [_masking(clear, read, _after(read, masker(item))), _masking(clear, written_as, _after(read, masking(item)), empty)]
        for into, change in zip((typed, written), changes, strict=True):
            into += [(index, change)] if change is not None else []
    links = tuple((name, item.target) for name in shown if (item := scope.entity.fields.get(name)) is not None and item.target)
    files = tuple(item for item in file_fields(scope.entity) if item.key in shown)
    return Columns(tuple(shown), tuple(found), tuple(typed), tuple(written), tuple(hidden), links, files)


def _after(read: Callable[[Any], Any] | None, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A writer of what ``read`` makes of a value."""
    return write if read is None else lambda value: write(read(value))


def _changing(write: Callable[[Any], Any] | None, empty: object = None) -> Change | None:
    """Every value written, ``empty`` where there is none; None where all stays as it is."""
    if write is None:
        return None if empty is None else lambda column, _: [empty if value is None else value for value in column]
    return lambda column, _: [empty if value is None else write(value) for value in column]


def _masking(clear: int, write: Callable[[Any], Any] | None, mask: Callable[[Any], Any], empty: object = None) -> Change:
    """The same under a mask, but where the column at ``clear`` (-1: nowhere) says that the value is seen as it is."""
    if clear < 0:
        return lambda column, _: [empty if value is None else mask(value) for value in column]
    shown = write or _as_it_is
    return lambda column, columns: [
        empty if value is None else shown(value) if open_ else mask(value) for value, open_ in zip(column, columns[clear], strict=True)
    ]


def _as_it_is(value: Value) -> object:
    return value


def _element(scope: Scope, name: str) -> sa.ColumnElement[Any] | None:
    item = scope.entity.fields.get(name)
    if item is not None and item.column is None and not (item.formula is not None and item.formula.has_sql):
        return None
    return scope.column(name)


def _deciding(scope: Scope, name: str, guard: Guard, columns: list[sa.ColumnElement[Any]]) -> tuple[int, int]:
    """Adds the columns that decide whether a field is seen, and seen clear; gives their places, -1 where nothing is to be decided."""
    seen = len(columns) if not guard.always_visible else -1
    if seen >= 0:
        columns.append(scope.visible(guard).label(f"v_{name}"))
    clear = len(columns) if guard.clear else -1
    if clear >= 0:
        columns.append(scope.clear(guard).label(f"m_{name}"))
    return seen, clear


def masking(item: CompiledField) -> Callable[[Value], str]:
    """The text a masked value is shown as."""
    return partial(item.type.mask, field=item.value)


def masker(item: CompiledField) -> Callable[[Value], Masked]:
    """What a masked value is shown as."""
    text = masking(item)
    return lambda value: Masked(text(value))


def readable_names(scope: Scope) -> tuple[str, ...]:
    """Every field its reader may see, in the definition's order, and the system fields."""
    return (*(key for key in scope.entity.fields if key in scope.grant.readable), *TAIL)
