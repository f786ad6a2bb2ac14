"""What a rule really did in a span of time, by what set each run off; and what else was written at the same moments. Reads only."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.records.rewinding import LAST, Entry, read_entry
from engine.storage import EPOCH, to_micros
from engine.system_tables import history
from engine.system_tables_rules import run

if TYPE_CHECKING:
    from engine.context import Context

Key = tuple[object, ...]
_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Did:
    """A run that ended well. ``record``: 0 for none."""

    id: int
    record: int
    at: datetime
    person: int | None
    key: Key


def at_key(record: int | None, at: datetime) -> Key:
    """A run inside a save, or a pressed button: nothing but its record and moment tells which it was."""
    return "at", record or 0, to_micros(at)


def before_key(record: int | None, at: datetime, chain: Sequence[str]) -> Key:
    """A run before a write. ``chain``: the rules that led to the write."""
    return "before", record or 0, to_micros(at), *chain


def later_key(record: int, version: int, kind: str, at: datetime) -> Key:
    """A run that followed a change after its commit."""
    return "later", record, version, kind, to_micros(at)


def due_key(record: int, field: str, shift: int, value: datetime) -> Key:
    """A run for a value of a due field."""
    return "due", record, field, shift, to_micros(value)


def tick_key(tick: datetime, record: int | None) -> Key:
    """A run of a tick."""
    return "tick", record or 0, to_micros(tick)


def key_of(row: Any) -> Key:
    """What a run in the log is known by, from its occurrence (engine/timed.py, timed_cron.py and records/ruling.py write them)."""
    rule, record, at = row.rule, row.record or 0, row.at
    match (row.occurrence or "").split(":"):
        case ["due", key, field, shift, number, value, _times] if key == rule:
            return "due", int(number), field, int(shift), int(value)
        case ["cron", key, tick, *_] if key == rule:
            return "tick", record, int(tick)
        case ["later", _entity, number, version, kind, _place, stamp]:
            return "later", int(number), int(version), kind, round(float(stamp) * 1_000_000)
    return before_key(record, at, row.cause[:-1]) if row.trigger == "before" and row.cause else at_key(record, at)


class Log:
    """The runs of one rule in a span, each taken once; ``failed``: by record, when it was refused or failed."""

    def __init__(self, ctx: Context, rule: str, since: datetime, until: datetime) -> None:
        columns = (run.c.id, run.c.rule, run.c.record, run.c.at, run.c.person, run.c.occurrence, run.c.state, run.c.trigger, run.c.cause)
        select = sa.select(*columns).where(run.c.rule == rule, run.c.at >= since, run.c.at < until).order_by(run.c.id)
        self.failed: dict[int, list[tuple[datetime, str]]] = {}
        self.runs: dict[int, Did] = {}
        self._by_key: dict[Key, deque[Did]] = {}
        self._of: dict[int, list[Did]] = {}
        for row in ctx.open.execute(select):
            record = row.record or 0
            if row.state != "done":
                self.failed.setdefault(record, []).append((row.at, row.state))
                continue
            found = Did(row.id, record, row.at, row.person, key_of(row))
            self.runs[found.id] = found
            self._by_key.setdefault(found.key, deque()).append(found)
            self._of.setdefault(record, []).append(found)

    def standing(self, key: Key) -> Sequence[Did]:
        """The runs of a key that nobody has taken yet, in order."""
        return tuple(self._by_key.get(key, ()))

    def records(self) -> set[int]:
        """The records the rule ran for."""
        return {did.record for did in self.runs.values() if did.record}

    def of_record(self, record: int) -> list[Did]:
        """The runs for a record that nobody has taken yet, in order."""
        return sorted((did for did in self._of.get(record, ()) if did.id in self.runs), key=lambda did: did.id)

    def take(self, did: Did) -> None:
        """This run is accounted for."""
        self._by_key[did.key].remove(did)
        del self.runs[did.id]

    def why_not(self, record: int | None, at: datetime) -> str:
        """Refused or failed, when the log has such a row of the record not before a moment."""
        return next((state for moment, state in self.failed.get(record or 0, ()) if moment >= at), "")


def marks_before(ctx: Context, rule: str, since: datetime) -> dict[Key, tuple[datetime, datetime]]:
    """For which value a due rule ran last before a moment, and when, by its key without the value."""
    columns = (run.c.rule, run.c.record, run.c.at, run.c.occurrence, run.c.trigger, run.c.cause)
    terms = (run.c.rule == rule, run.c.at < since, run.c.state == "done", run.c.trigger == "due")
    found: dict[Key, tuple[datetime, datetime]] = {}
    for row in ctx.open.execute(sa.select(*columns).where(*terms).order_by(run.c.id)):
        *place, value = key_of(row)
        if place[0] == "due" and isinstance(value, int):
            found[tuple(place)] = EPOCH + timedelta(microseconds=value), row.at
    return found


class Moments:
    """All that was written to records at single moments, in order; a live workspace's transactions have moments of their own."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._keys = sorted(ctx.workspace.entities)
        self._known: dict[datetime, list[Entry]] = {}

    def load(self, moments: Iterable[datetime]) -> None:
        """Read many at once; what was read before is forgotten."""
        self._known = {}
        wanted = sorted(set(moments))
        for start in range(0, len(wanted), _CHUNK):
            self._read(wanted[start : start + _CHUNK])

    def at(self, moment: datetime) -> Sequence[Entry]:
        """One moment."""
        if moment not in self._known:
            self._read([moment])
        return self._known[moment]

    def _read(self, moments: Collection[datetime]) -> None:
        self._known.update({moment: [] for moment in moments})
        select = sa.select(history).where(history.c.entity.in_(self._keys), history.c.at.in_(moments)).order_by(history.c.id)
        for row in self._ctx.open.execute(select).mappings():
            self._known[row["at"]].append(read_entry(self._ctx.workspace, dict(row), plain=True))

    def before_run(self, did: Did) -> int:
        """The first row of history that a run, or what it set off, wrote at its moment."""
        return next((entry.id for entry in self.at(did.at) if entry.run is not None and entry.run >= did.id), LAST)
