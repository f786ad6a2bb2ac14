"""The rows a transaction has read, locked or written: what it may take for true, and until when. Decides nothing about values and writes nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from engine.database import TRY
from engine.records import row_statements
from engine.records.known import Known
from engine.records.row_statements import Lock, whole_row, whole_select
from engine.scope import engine_select, ids_value

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

Row = row_statements.Row
_CHUNK = 500


class Rows:
    """Lives as long as its transaction. On SQLite, whose writer has no rival, whatever was read stays true; on PostgreSQL what was locked or written does."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.workspace = ctx.workspace
        self.connection = ctx.open
        self._rows: dict[tuple[str, int], Row | None] = {}
        self._ours: set[tuple[str, int]] = set()  # rows that nobody else can change until the transaction ends
        self._alone = ctx.workspace.database.dialect == "sqlite"  # one writer: what is read, nobody else changes
        self._others: set[tuple[str, int]] = set()  # the other rows that were read
        self._leant: dict[str, dict[int, Row]] = {}  # records from which others took values, as they were then: somebody may be changing them
        self._held: set[tuple[str, int]] = set()  # those that nobody can change so any more
        self._expected: dict[str, set[int]] = {}  # records the transaction is about, locked at its beginning
        self.known = Known(self._rows)
        if (again := self.connection.info.get(TRY)) is not None and again.fought:
            for entity in sorted({entity for entity, _ in again.fought if entity in self.workspace.entities}):
                self.fetch(entity, [one for of, one in again.fought if of == entity], lock=True)

    def entity(self, key: str) -> CompiledEntity:
        return self.workspace.entities[key]

    def row(self, entity: str, record_id: int) -> Row | None:
        """A whole row, deleted ones included, as it stands in this transaction; None when there is none."""
        if (entity, record_id) not in self._rows:
            self.fetch(entity, [record_id])
        return self._rows.get((entity, record_id))

    def at_hand(self, entity: str, record_id: int) -> Row | None:
        """A standing row that this transaction has read, or the acting person's own; None when the database would have to be asked."""
        row = self._rows.get((entity, record_id))
        if row is not None:
            return row if row["deleted_at"] is None else None
        actor = self.ctx.actor
        return dict(actor.fields) if entity == "person" and record_id == actor.person_id and actor.kind == "person" else None

    def seen_version(self, entity: str, record_id: int) -> int | None:
        """The version of a row as this transaction last read it; None when it has not."""
        row = self._rows.get((entity, record_id))
        return None if row is None else row.get("version")

    def fetch(self, entity: str, ids: Collection[int], *, lock: bool = False) -> dict[int, Row]:
        """Whole rows by id, locked until the transaction ends when asked (SQLite's writer has no rival). Those that are ours are not read again."""
        wanted = [one for one in ids if (entity, one) not in (self._ours if lock else self._rows)]
        self._read(entity, wanted, "own" if lock and not self._alone else "")
        return {one: row for one in ids if (row := self._rows.get((entity, one))) is not None}

    def _read(self, entity: str, ids: Collection[int], lock: Lock) -> None:
        compiled, ordered = self.entity(entity), sorted(ids)
        select = whole_select(self.workspace, compiled, lock=lock)
        for start in range(0, len(ordered), _CHUNK):
            part = ordered[start : start + _CHUNK]
            self._rows.update(dict.fromkeys(((entity, one) for one in part), None))
            self._others.update((entity, one) for one in part if (entity, one) not in self._ours)
            for found in select.rows(self.connection, {"ids": ids_value(part, self.workspace.database.dialect)}):
                self.keep(entity, whole_row(self.workspace, compiled, found), ours=lock == "own")

    def lean(self, entity: str, record_id: int) -> None:
        """A stored value of another record was just taken from this one, over a link."""
        if (row := self.unlocked(entity, record_id)) is not None and (entity, record_id) not in self._held:
            self._leant.setdefault(entity, {}).setdefault(record_id, row)

    def hold_leant(self) -> list[tuple[str, Row, Row]]:
        """See to it that nobody changes, until this transaction ends, what was taken over links; waits for who is at it. Gives the records that were changed
        since they were read: entity, as read, as they stand."""
        leant = sorted(self._leant.items())
        self._leant.clear()
        changed = []
        for entity, rows in leant:
            self._read(entity, [one for one in rows if (entity, one) not in self._ours], "lean")
            self._held.update((entity, one) for one in rows)
            changed += [(entity, row, now) for one, row in rows.items() if (now := self._rows[entity, one]) is not None and now != row]
        return changed

    def claim(self, entity: str, ids: Collection[int]) -> None:
        """Changed records from which others take values: wait for those who lean on them as they were, whose records are then there to be seen."""
        ours = sorted(one for one in ids if self.known.changed(entity, one))
        if ours and self.locks:
            whole_select(self.workspace, self.entity(entity), lock="alone").rows(self.connection, {"ids": ids_value(ours, self.workspace.database.dialect)})

    def expect(self, entity: str, ids: Collection[int]) -> None:
        """Lock the records this transaction will be about, all at once."""
        self.fetch(entity, ids, lock=True)
        self._expected.setdefault(entity, set()).update(ids)

    def expected(self, entity: str, link: str) -> set[int]:
        """What the expected records of an entity lead to by a link, as they stand now."""
        rows = (self._rows.get((entity, one)) for one in self._expected.get(entity, ()))
        return {row[link] for row in rows if row is not None and row[link] is not None}

    def pointing(self, entity: CompiledEntity, link: str, targets: Collection[int], *, deleted: datetime | None = None, limit: int | None = None) -> list[int]:
        """Ids of the rows whose link leads to one of the targets; those deleted at that instant where one is given."""
        column = entity.fields[link].column
        assert column is not None
        found: list[int] = []
        ordered = sorted(targets)
        for start in range(0, len(ordered), _CHUNK):
            select = engine_select(entity, entity.table.c.id, deleted=deleted is not None).where(column.in_(ordered[start : start + _CHUNK])).limit(limit)
            if deleted is not None:
                select = select.where(entity.table.c.deleted_at == deleted)
            found += self.connection.execute(select).scalars()
        return found

    def own(self, entity: str, record_id: int) -> Row | None:
        """A row that nobody else can change until this transaction ends, as it stands; None for every other."""
        return self._rows.get((entity, record_id)) if (entity, record_id) in self._ours else None

    def unlocked(self, entity: str, record_id: int) -> Row | None:
        """A row that was read and that others may have changed since; None for every other."""
        return self._rows.get((entity, record_id)) if (entity, record_id) in self._others else None

    def keep(self, entity: str, row: Row, *, ours: bool = False) -> None:
        """Note a row as it now stands. ``ours``: this transaction has locked or written it."""
        place = entity, row["id"]
        self._rows[place] = row
        self.known.read(*place)
        if ours or self._alone:
            self._ours.add(place)
            self._others.discard(place)
        elif place not in self._ours:
            self._others.add(place)

    @property
    def locks(self) -> bool:
        """Whether what is read in order to be changed is locked by that reading: SQLite's writer has no rival, and who only looks locks nothing."""
        return self.ctx.transaction == "write" and not self._alone

    def renew(self) -> None:
        """What comes next is to see what others have committed."""
        self.known.renew()
        for place in self._others:
            del self._rows[place]
        self._others.clear()
