"""Records as they were: today's rows with every change since taken back through history, at a position between two of its rows. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.records.derived import own_value
from engine.records.erasing import VERB as ERASED
from engine.records.values import storage
from engine.records.work import Row, Work
from engine.system_tables import history

if TYPE_CHECKING:
    from engine.context import Context
    from engine.fields.base import Value
    from engine.workspace import CompiledEntity, Workspace

LAST = 2**63 - 1
_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of history with typed values. ``run``: the run of a rule that wrote it, and ``chain`` the rules that led there; None and () for saves of
    people and for what was derived from other changes. ``erased``: personal values were emptied
    with it, for all the time before."""

    id: int
    entity: str
    record: int
    at: datetime
    verb: str
    version: int
    person: int | None
    run: int | None = None
    chain: tuple[str, ...] = ()
    principal: str = ""
    derived: bool = False
    erased: bool = False
    before: Mapping[str, Value] = field(default_factory=dict)
    after: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in history. Without ``entry``: everything up to ``at``. With it: everything up to that row, and what else was written at its moment.
    Either way nothing from the row ``bound`` on."""

    at: datetime
    entry: int = 0
    bound: int = LAST

    def includes(self, entry: Entry) -> bool:
        """Whether a row of history was written before."""
        if entry.id >= self.bound:
            return False
        return entry.id <= self.entry or (entry.at == self.at if self.entry else entry.at <= self.at)


class Past:
    """One record through time: as it stands, and the rows of history that can be taken back."""

    __slots__ = ("_states", "entries")

    def __init__(self, row: Row | None, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._states: dict[int, Row | None] = {len(entries): row}

    def as_of(self, position: Position) -> Row | None:
        """The whole row at a position; None where it was not there yet. Not to be changed."""
        return self.after(self.count(position))

    def count(self, position: Position) -> int:
        """How many of the entries stand before a position."""
        for number, entry in enumerate(self.entries):
            if not position.includes(entry):
                return number
        return len(self.entries)

    def after(self, number: int) -> Row | None:
        """The row after the first so many entries."""
        known = number
        while known not in self._states:
            known += 1
        while known > number:
            row = self._states[known]
            known -= 1
            self._states[known] = None if row is None else self._undone(known, row)
        return self._states[number]

    def _undone(self, number: int, row: Row) -> Row | None:
        """The row before an entry."""
        entry = self.entries[number]
        match entry.verb:
            case "create":
                return None
            case "delete":
                return {**row, "deleted_at": None, "version": entry.version - 1}
            case "restore":
                return {**row, "deleted_at": entry.at}
        head = {} if entry.derived else {"version": entry.version - 1, **self._touched_before(number, row)}
        return {**row, **entry.before, **head}

    def _touched_before(self, number: int, row: Row) -> dict[str, Value]:
        """When and by whom the row had been changed before an entry; as far as known, since its creation."""
        for earlier in reversed(self.entries[:number]):
            if not earlier.derived:
                return {"updated_at": earlier.at, "updated_by": earlier.person}
        return {"updated_at": row["created_at"], "updated_by": row["created_by"]}

    def is_erased(self, position: Position) -> bool:
        """Whether personal values at a position are not known any more: they were emptied since."""
        return any(entry.erased for entry in self.entries[self.count(position) :])


class Library:
    """Records through time, read from one snapshot. ``since``: the earliest moment anybody asks for."""

    #: Records kept at hand.
    KEPT = 20_000

    def __init__(self, ctx: Context, since: datetime) -> None:
        self.ctx = ctx
        self.today = Work(ctx)
        self._since = since
        self._pasts: dict[tuple[str, int], Past] = {}

    def past(self, entity: str, record: int) -> Past:
        """One record through time."""
        if (entity, record) not in self._pasts:
            self.load(entity, [record])
        return self._pasts[entity, record]

    def load(self, entity: str, records: Iterable[int]) -> None:
        """Read many at once."""
        wanted = sorted({one for one in records if (entity, one) not in self._pasts})
        if len(self._pasts) + len(wanted) > self.KEPT:
            self._pasts.clear()
            self.today = Work(self.ctx)
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            rows = self.today.fetch(entity, part)
            found: dict[int, list[Entry]] = {one: [] for one in part}
            terms = (history.c.entity == entity, history.c.record.in_(part), history.c.at >= self._since)
            for row in self.ctx.open.execute(sa.select(history).where(*terms).order_by(history.c.id)).mappings():
                found[row["record"]].append(read_entry(self.ctx.workspace, dict(row)))
            self._pasts.update({(entity, one): Past(rows.get(one), found[one]) for one in part})


def read_entry(workspace: Workspace, row: Mapping[str, Any], *, plain: bool = False) -> Entry:
    """A row of history with its values typed; a ``plain`` one keeps none."""
    cause = row["cause"] or {}
    detail = cause.get("detail") or {}
    entity = None if plain else workspace.entities.get(row["entity"])
    before, after, computed = row["before"], row["after"], set(row["computed"] or ())
    return Entry(
        row["id"],
        row["entity"],
        row["record"],
        row["at"],
        row["verb"],
        row["version"],
        row["person"],
        detail.get("run"),
        tuple(detail.get("chain", ())),
        str(cause.get("principal", "")),
        row["verb"] == "update" and bool(computed) and computed == set(after or ()),
        row["verb"] == ERASED,
        _typed(workspace, entity, before),
        _typed(workspace, entity, after),
    )


def _typed(workspace: Workspace, entity: CompiledEntity | None, kept: Mapping[str, Any] | None) -> dict[str, Value]:
    if entity is None or not kept:
        return {}
    stored, cipher = storage(workspace, entity), workspace.cipher
    return {name: stored.from_history(name, value, cipher) for name, value in kept.items() if name in entity.fields}


class PastWork(Work):
    """The rows of records as they were at a position. ``anew``: formulas by entity that are computed from them instead of read (other settings hold)."""

    def __init__(self, ctx: Context, library: Library, position: Position, anew: Mapping[str, Sequence[str]]) -> None:
        super().__init__(ctx)
        self.library = library
        self.position = position
        self.anew = anew

    def fetch(self, entity: str, ids: Collection[int], *, lock: bool = False) -> dict[int, Row]:
        """Whole rows as they were; nothing is locked."""
        for one in ids:
            if (entity, one) not in self._rows:
                self._rows[entity, one] = self._as_it_was(entity, one)
        return {one: row for one in ids if (row := self._rows.get((entity, one))) is not None}

    def _as_it_was(self, key: str, record: int) -> Row | None:
        row = self.library.past(key, record).as_of(self.position)
        names = self.anew.get(key, ())
        if row is not None and names:
            row = dict(row)
            for name in names:
                row[name] = own_value(self, self.entity(key), name, row)
        return row
