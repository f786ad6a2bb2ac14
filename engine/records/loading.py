"""Many new records at once, for imports and demo data: the same proposals and checks as one save, written set by set."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from engine.access import Grant
from engine.errors import Conflict, Denied, Fault, NotFound
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.records.attachments import bind_files, check_files, file_fields
from engine.records.derived import Settling, own_values
from engine.records.derived_graph import graph
from engine.records.ids import draw_ids
from engine.records.links import check_links
from engine.records.new_rows import NewRows, hops, new_rows
from engine.records.proposal import Proposal, check_rules
from engine.records.record import RowResult
from engine.records.row_writer import RowWriter, Shape, shaping
from engine.records.serials import draw, serial_fields
from engine.records.uniques import conflict_of, duplicate, taken
from engine.records.work import Row, Work
from metadata.definitions import WIDENED_ENTITIES

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledUnique

#: Rows that are read, checked and written together.
CHUNK = 4000

_NO_LINES: Mapping[str, list[Mapping[str, Any]]] = {}


class ReadRow(NamedTuple):
    """Values of a new row that the fields' own readers gave; ``shape``: the whole row as it is written, when these values are all there is to it."""

    values: Mapping[str, Value]
    shape: Shape | None = None


@dataclass(slots=True)
class _Row:
    """One row on its way: its number in what was given, its proposal, its columns as the driver takes them, the row as history keeps it."""

    index: int
    proposal: Proposal
    cells: list[Any] = field(default_factory=list)
    noted: str = ""
    shape: Shape | None = None
    result: RowResult | None = None

    def refuse(self, code: str, faults: Sequence[Fault], params: Mapping[str, object]) -> None:
        self.result = RowResult(self.index, "refused", code=code, faults=tuple(faults), params=params)


class Made(NamedTuple):
    """When a row was made and by whom (None: nobody in particular), where that is not now by the actor."""

    at: datetime
    by: int | None


def load(
    work: Work,
    entity: CompiledEntity,
    rows: Sequence[Mapping[str, object]],
    *,
    trusted: bool = False,
    read: Sequence[ReadRow] = (),
    made: Sequence[Made | None] = (),
) -> list[RowResult]:
    """Insert rows in chunks; gives one result per row, in order. ``read``: for each row, values already read by the fields' own readers; ``made``: when and by whom."""
    grant = work.grant(entity)
    if not grant.allowed("create"):
        raise Denied("may_not_create", entity=entity.key) if grant.allowed("read") else NotFound("unknown_entity", entity=entity.key)
    loading = _Loading(work, entity, trusted=trusted)
    results: list[RowResult] = []
    for start in range(0, len(rows), CHUNK):
        with uncollected():
            results += loading.chunk(rows[start : start + CHUNK], start, read[start : start + CHUNK], made[start : start + CHUNK])
    loading.finish()
    return results


def reading_ahead(work: Work, entity: CompiledEntity) -> Callable[[Mapping[str, Value]], ReadRow]:
    """Makes rows of read values for ``load``, those shaped to which nothing will be added. Holds nothing of the transaction: other threads may use it."""
    new = new_rows(work.workspace, entity, json=work.json)
    if new.conditional or new.derived:
        return ReadRow
    needed = frozenset(name for name, _ in (*new.lists, *new.defaults, *serial_fields(work.workspace, entity)))
    shape, start = shaping(work, entity), {**new.template, "deleted_at": None}

    def row(values: Mapping[str, Value]) -> ReadRow:
        return ReadRow(values, shape({**start, **values}) if needed <= values.keys() else None)

    return row


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of reference cycles: a chunk makes many thousand objects and no cycle, and looking for one takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Loading:
    """One call's work on one entity: what all of its rows share is looked up once."""

    def __init__(self, work: Work, entity: CompiledEntity, *, trusted: bool) -> None:
        self._work = work
        self._entity = entity
        self._trusted = trusted
        self._grant = work.grant(entity)
        self._new: NewRows = new_rows(work.workspace, entity, json=work.json)
        self._start: Row = self._new.start(work)
        self._writer = RowWriter(work, entity)
        self._settling = Settling(work)
        self._gathered = bool(graph(work.workspace).gathered.get(entity.key))
        self._files = file_fields(entity)
        self._by_system = work.ctx.actor.kind == "system"
        self._followed = _followed(entity, self._new, self._grant)
        creating = [clause for clause in self._grant.clauses if clause.rows["create"] is not False]
        self._by_row = not all(clause.rows["create"] is True for clause in creating)
        self._writes = self._grant.writes("create", lambda _: True)
        self._writes_all = self._grant.writable <= self._writes  # nothing else was taken in

    def chunk(self, given: Sequence[Mapping[str, object]], first: int, read: Sequence[ReadRow] = (), made: Sequence[Made | None] = ()) -> list[RowResult]:
        """Insert some rows; one result per row."""
        rows = self._proposed(given, first, read)
        for row, own in zip(rows, made, strict=False):
            if own is not None:
                row.proposal.after.update(created_at=own.at, created_by=own.by, updated_at=own.at, updated_by=own.by)
        for row in rows:
            self._check(row)
            if row.proposal.faults:
                row.refuse("invalid", row.proposal.faults, {})
        kept = [row for row in rows if row.result is None]
        self._serials(kept)
        for row in kept:
            row.cells, row.noted = row.shape or self._writer.cells(row.proposal.after)
        for unique in self._entity.unique.values():
            self._keyed(unique, [row for row in kept if row.result is None])
        self._write([row for row in kept if row.result is None])
        return [row.result for row in rows if row.result is not None]

    def finish(self) -> None:
        """What follows from all rows together: roll-ups and whatever reads them, rights."""
        self._settling.settle()
        self._work.finish()

    # --- before -----------------------------------------------------------------------------------------------------------------------------

    def _proposed(self, given: Sequence[Mapping[str, object]], first: int, read: Sequence[ReadRow]) -> list[_Row]:
        work, new, grant = self._work, self._new, self._grant
        if read:
            open_fields = not frozenset().union(*(values for values, _ in read)) - grant.writable
            rows = [
                _Row(first + index, self._put(raw, values, open_fields), shape=None if raw else shape)
                for index, (raw, (values, shape)) in enumerate(zip(given, read, strict=True))
            ]
        else:
            rows = [_Row(first + index, new.read(work, grant, self._start, raw, grant.writable)) for index, raw in enumerate(given)]
        if not self._trusted:
            check_links(work, [row.proposal for row in rows])
        for link in self._followed:
            work.fetch(self._entity.fields[link].target, {target for row in rows if (target := row.proposal.after[link]) is not None})
        for row in rows:
            new.complete(work, row.proposal)
        return rows

    def _put(self, raw: Mapping[str, object], read: Mapping[str, Value], open_fields: bool) -> Proposal:
        """A proposal of values that were read before, and of raw inputs. ``open_fields``: the reader of them may write all the fields that were read."""
        if not open_fields or raw:
            return self._new.read(self._work, self._grant, self._start, raw, self._grant.writable, read=read)
        return Proposal(self._entity, None, {**self._start, **read}, read, _NO_LINES, [], "", (), self._by_system)

    def _check(self, row: _Row) -> None:
        work, entity, proposal = self._work, self._entity, row.proposal
        check_rules(work, proposal)
        if proposal.lines:
            proposal.fault(next(iter(proposal.lines)), "lines_not_here")
        for item in self._files:
            if proposal.after.get(item.key) is not None:
                proposal.faults += check_files(work.ctx, item, None, proposal.after[item.key])
        if self._by_row:
            truth = work.truth(entity, proposal.after)
            if not self._grant.admits("create", truth):
                proposal.fault("", "may_not_create_this", entity=entity.key)
                return
            self._check_written(proposal, self._grant.writes("create", truth))
        elif not self._writes_all:
            self._check_written(proposal, self._writes)

    @staticmethod
    def _check_written(proposal: Proposal, writes: frozenset[str]) -> None:
        if not proposal.given <= writes:
            for name in sorted(proposal.given - writes):
                proposal.fault(name, "not_writable", field=name)

    def _serials(self, rows: Sequence[_Row]) -> None:
        for name, template in serial_fields(self._work.workspace, self._entity):
            wanting = [row for row in rows if row.proposal.after.get(name) is None]
            if wanting:
                for row, number in zip(wanting, draw(self._work.ctx, self._entity, name, template, len(wanting)), strict=True):
                    row.proposal.after[name] = number
                    own_values(self._work, self._entity, row.proposal.after, [name])

    def _keyed(self, unique: CompiledUnique, rows: Iterable[_Row]) -> Mapping[tuple[Any, ...], _Row]:
        """The rows by their keys, each key once: a row whose key another one here has already is refused."""
        key_of = self._writer.key(unique.columns)
        keyed: dict[tuple[Any, ...], _Row] = {}
        for row in rows:
            key = key_of(row.proposal.after, row.cells)
            if None in key or (unique.where is not None and not self._work.truth(self._entity, row.proposal.after)(unique.where)):
                continue
            if key in keyed:
                _refuse(row, duplicate(unique))
            else:
                keyed[key] = row
        return keyed

    def _refuse_taken(self, rows: Sequence[_Row]) -> None:
        """Refuse the rows whose key a standing record has."""
        for unique in self._entity.unique.values():
            keyed = self._keyed(unique, [row for row in rows if row.result is None])
            for key in taken(self._work, self._entity, unique, list(keyed)):
                _refuse(keyed[key], duplicate(unique))

    # --- writing ----------------------------------------------------------------------------------------------------------------------------

    def _write(self, rows: Sequence[_Row]) -> None:
        if not rows:
            return
        work = self._work
        for row, record_id in zip(rows, draw_ids(work.workspace, work.connection, self._entity.table, len(rows)), strict=True):
            row.proposal.after["id"] = record_id
        if not self._inserted(rows):  # the database knows whether keys are free; which are not is asked when it has refused some
            self._refuse_taken(rows)
            rows = [row for row in rows if row.result is None]
            if not self._inserted(rows):  # somebody was faster, or a target is gone: only that row is refused
                for row in rows:
                    self._insert_alone(row)
        self._follow([row for row in rows if row.result is None])

    def _inserted(self, rows: Sequence[_Row]) -> bool:
        """Insert all rows or none; whether they are in."""
        try:
            with self._work.connection.begin_nested():
                self._insert(rows)
        except sa.exc.IntegrityError:
            return False
        return True

    def _insert(self, rows: Sequence[_Row]) -> None:
        self._writer.insert([(row.proposal.after, row.cells) for row in rows])

    def _insert_alone(self, row: _Row) -> None:
        try:
            with self._work.connection.begin_nested():
                self._insert([row])
        except sa.exc.IntegrityError as error:
            _refuse(row, conflict_of(self._work, self._entity, error, row.proposal.after))

    def _follow(self, rows: Sequence[_Row]) -> None:
        self._writer.follow([(row.proposal.after, row.noted, row.proposal.computed) for row in rows])
        for row in rows:
            after = row.proposal.after
            if self._gathered:
                self._settling.made(self._entity, after)
            if self._files and any(after.get(item.key) is not None for item in self._files):
                bind_files(self._work.ctx, self._entity, after["id"], {}, after)
            row.result = RowResult(row.index, "created", after["id"], 1)
        if rows and self._entity.key in WIDENED_ENTITIES:
            self._work.rights_changed()


def _refuse(row: _Row, conflict: Conflict) -> None:
    row.refuse(conflict.code, conflict.faults, conflict.params)


def _followed(entity: CompiledEntity, new: NewRows, grant: Grant) -> tuple[str, ...]:
    """The links whose targets are read for each row: fetched together, not one by one."""
    creating = grant.condition("create")
    said: tuple[Expression, ...] = creating if isinstance(creating, tuple) else ()
    wanted = new.followed | hops([*said, *(unique.where for unique in entity.unique.values())])
    return tuple(name for name in entity.fields if name in wanted and entity.fields[name].target and entity.fields[name].column is not None)
