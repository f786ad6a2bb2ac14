"""New rows of one entity as tuples for the driver: the row itself, its history, its search tokens. One writer per transaction and entity.

Knows no rights and checks nothing; what the database refuses is raised as the driver tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.access import remember
from engine.fields.base import Value
from engine.records.bulk_insert import Converter, Inserter, inserter
from engine.records.carried import copied, link_column
from engine.records.history import cause_json
from engine.records.row_statements import HEAD
from engine.records.search import is_searched, row_tokens
from engine.records.stage_log import STAGE_COLUMNS
from engine.records.values import seal_row, storage
from engine.records.work import Row, Work
from engine.schema.tables import SEARCH_COLUMN
from engine.storage import to_json

if TYPE_CHECKING:
    from engine.workspace import Carried, CompiledEntity, CompiledField

_HISTORY = ("entity", "record", "version", "verb", "at", "person", "cause", "before", "after", "computed")
#: Cells of a row for the driver, and the row as history keeps it.
Shape = tuple[list[Any], str]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything of a row goes in its tuple. ``cells`` takes the columns after the head from a row in one go; the rest is put over it."""

    inserter: Inserter
    head: tuple[str, ...]
    cells: Callable[[Row], tuple[Value, ...]]
    converted: tuple[tuple[int, Callable[[Any], Any]], ...]
    sealed: tuple[tuple[CompiledField, tuple[tuple[int, str], ...]], ...]  # field, then (place, column key) of envelope and blind indexes
    tokens: int  # place of the token column, -1 where there is none
    source: Mapping[str, str]  # column key -> field, encrypted ones apart
    places: Mapping[str, int]  # column key -> place among the cells
    noted: tuple[str, ...]  # for history: the field at each place, any text where what stands there is put over it
    carried: tuple[tuple[int, tuple[Carried, ...], tuple[tuple[int, Converter], ...]], ...]  # by link: its place, what is carried over it, where that goes


def _layout(entity: CompiledEntity, dialect: sa.Dialect, work: Work) -> _Layout:
    kept = storage(work.workspace, entity)
    found = inserter(entity.table, tuple(str(column.key) for column in entity.table.c), dialect)
    head, rest = found.names[: len(HEAD)], found.names[len(HEAD) :]
    if set(head) != set(HEAD):
        raise AssertionError("the system columns of a record table come first")
    source = {column: key for key, column in kept.stored.items() if key not in kept.sealed}
    places = {column: place for place, column in enumerate(rest)}
    convert: dict[str, Converter] = dict(zip(found.names, found.converters, strict=True))
    converted = tuple((places[column], made) for column in source if (made := convert[column]) is not None)
    sealed = tuple(
        (item, tuple((places[str(column.key)], str(column.key)) for column in (item.column, item.bi_column, item.bi4_column) if column is not None))
        for item in kept.sealed.values()
    )
    taken = tuple(source.get(column, "deleted_at") for column in rest)
    carried = tuple(
        (places[link_column(entity, link)], items, tuple((places[str(item.column.key)], convert[str(item.column.key)]) for item in items))
        for link, items in _by_link(entity).items()
    )
    return _Layout(found, head, _taking(taken), converted, sealed, places.get(SEARCH_COLUMN, -1), source, places, taken, carried)


def _by_link(entity: CompiledEntity) -> dict[str, tuple[Carried, ...]]:
    found: dict[str, tuple[Carried, ...]] = {}
    for item in entity.carried:
        found[item.link] = (*found.get(item.link, ()), item)
    return found


def _taking(keys: Sequence[str]) -> Callable[[Row], tuple[Value, ...]]:
    """Several values of a row as a tuple; a new row's ``deleted_at`` stands in for what is put there later."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda row: tuple(row[key] for key in keys)


def shaping(work: Work, entity: CompiledEntity) -> Callable[[Row], Shape]:
    """Gives of a row everything but its head as the driver takes it, and the row as history keeps it: what is there, encrypted values as envelopes.

    Holds nothing of the transaction and may be used in other threads, before and after it.
    """
    layout, cipher = layout_of(work, entity), work.workspace.cipher
    tokens_here = layout.tokens >= 0

    def shape(row: Row) -> Shape:
        taken = layout.cells(row)
        after = {name: value for name, value in zip(layout.noted, taken, strict=True) if value is not None}
        cells = list(taken)
        for place, convert in layout.converted:
            value = cells[place]
            if value is not None:
                cells[place] = convert(value)
        for item, places in layout.sealed:
            value = row[item.key]
            if value is not None:
                made = seal_row(entity.key, item, value, cipher)
                for place, column in places:
                    cells[place] = made[column]
                after[item.key] = cells[places[0][0]]
        if tokens_here:
            cells[layout.tokens] = _array(row_tokens(entity, row))
        return cells, to_json(after)

    return shape


def layout_of(work: Work, entity: CompiledEntity) -> _Layout:
    """The layout of an entity's rows at this version."""
    dialect = work.connection.dialect
    return remember(work.workspace, ("row layout", entity.key), lambda: _layout(entity, dialect, work))


class RowWriter:
    """Writes new rows of an entity: ``cells`` shapes them, ``insert`` inserts them, ``follow`` writes history, stages and tokens."""

    def __init__(self, work: Work, entity: CompiledEntity) -> None:
        self._work = work
        self._entity = entity
        self._connection = work.connection
        self._schema = work.workspace.database.schema
        dialect = work.connection.dialect
        self._layout = layout_of(work, entity)
        self.cells = shaping(work, entity)
        self._instant = inserter(tables.history, _HISTORY, dialect)
        self._convert = dict(zip(self._instant.names, self._instant.converters, strict=True))["at"]
        self._now, self._person = work.ctx.now, work.ctx.actor.person_id
        self._at = self._stored(self._now)
        self._cause = to_json(cause_json(work.ctx))
        self._head = self._head_of(work.new_head())
        self._tokens_beside = entity.search_table is not None and is_searched(entity)

    def key(self, columns: Sequence[sa.Column[Any]]) -> Callable[[Row, list[Any]], tuple[Any, ...]]:
        """Takes the typed values of some columns out of a row, those of blind indexes out of its ``cells``."""
        names = [str(column.key) for column in columns]
        ways = [(self._layout.source.get(name), self._layout.places.get(name, -1)) for name in names]
        return lambda row, cells: tuple([cells[place] if field is None else row[field] for field, place in ways])

    def insert(self, rows: Sequence[tuple[Row, list[Any]]]) -> None:
        """Insert rows with their cells; what they carry of the records they link to is put into the cells."""
        self._carry([cells for _, cells in rows])
        self._work.brought(self._entity)
        at, head = self._layout.head.index("id"), self._head
        before, after = head[:at], head[at:]
        written = [(*before, row["id"], *after, *cells) if self._is_of_now(row) else self._with_head(row, at, cells) for row, cells in rows]
        self._layout.inserter.insert(self._connection, written, self._schema)

    def _stored(self, moment: datetime) -> Any:
        return moment if self._convert is None else self._convert(moment)

    def _head_of(self, row: Row) -> tuple[Any, ...]:
        return tuple(self._stored(row[name]) if name.endswith("_at") and row[name] is not None else row[name] for name in self._layout.head if name != "id")

    def _is_of_now(self, row: Row) -> bool:
        return bool(row["created_at"] == self._now and row["created_by"] == self._person)

    def _with_head(self, row: Row, at: int, cells: Sequence[Any]) -> tuple[Any, ...]:
        head = self._head_of(row)
        return (*head[:at], row["id"], *head[at:], *cells)

    def _made(self, row: Row) -> tuple[Any, int | None]:
        """When a row was made, as it is stored, and by whom."""
        return (self._at, self._person) if self._is_of_now(row) else (self._stored(row["created_at"]), row["created_by"])

    def _carry(self, rows: Sequence[list[Any]]) -> None:
        for place, items, goals in self._layout.carried:
            targets = {cells[place] for cells in rows} - {None}
            found = copied(self._work.workspace, self._connection, self._entity, items, targets) if targets else {}
            for cells in rows:
                for value, (goal, convert) in zip(found.get(cells[place], ()), goals, strict=False):
                    cells[goal] = value if value is None or convert is None else convert(value)

    def follow(self, rows: Sequence[tuple[Row, str, Sequence[str]]]) -> None:
        """What belongs to rows that stand in the table: their histories, the stages they begin in, their tokens. (row, as history keeps it, computed fields)."""
        self._histories(rows)
        self._stages([row for row, _, _ in rows])
        if self._tokens_beside and self._entity.search_table is not None:
            tokens = inserter(self._entity.search_table, ("rowid", "tokens"), self._connection.dialect)
            order = itemgetter(*(0 if name == "rowid" else 1 for name in tokens.names))
            tokens.insert(self._connection, [order((row["id"], " ".join(row_tokens(self._entity, row)))) for row, _, _ in rows], None)

    def _histories(self, rows: Sequence[tuple[Row, str, Sequence[str]]]) -> None:
        order = itemgetter(*(_HISTORY.index(name) for name in self._instant.names))
        key, cause = self._entity.key, self._cause
        written = []
        for row, after, computed in rows:
            at, person = self._made(row)
            noted = [name for name in computed if row[name] is not None] if computed else None
            written.append(order((key, row["id"], 1, "create", at, person, cause, None, after, to_json(noted) if noted else None)))
        self._instant.insert(self._connection, written, self._schema)

    def _stages(self, rows: Sequence[Row]) -> None:
        stages = self._entity.stages
        if stages is None:
            return
        log = inserter(tables.stage_log, STAGE_COLUMNS, self._connection.dialect)
        order = itemgetter(*(STAGE_COLUMNS.index(name) for name in log.names))
        key, begun = self._entity.key, [row for row in rows if row[stages.field] is not None]
        log.insert(self._connection, [order((key, row["id"], None, row[stages.field], *self._made(row), None)) for row in begun], self._schema)


def _array(tokens: Sequence[str]) -> str:
    """A PostgreSQL array of tokens, which are letters and digits only."""
    return '{"' + '","'.join(tokens) + '"}' if tokens else "{}"
