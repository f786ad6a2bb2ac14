"""All that is kept about one person, in clear, for that person: their records, everything that happened to these, and who looked at what is hidden otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.actors import enter_as
from engine.erasures import subject
from engine.records.history import Moment, note_access, timeline
from engine.records.personal import belonging
from engine.records.query import Query, page
from engine.records.query_labels import labels
from engine.records.work import Work
from engine.system_tables import access_log

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.record import Record

ACTION = "subject_file"
#: Looks and changes told at most; of a person with more the oldest are left out.
MOST = 500


@dataclass(frozen=True, slots=True)
class Look:
    """One time somebody saw a hidden value, or took this file. ``person``: their name; ``field`` "" for the whole."""

    at: datetime
    kind: str
    person: str
    entity: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class SubjectFile:
    """``records``: by entity, in clear; ``changes``: of the person's own record, newest first; ``looks``: newest first."""

    entity: str
    record: int
    label: str
    made_at: datetime
    records: Mapping[str, list[Record]]
    changes: tuple[Moment, ...]
    looks: tuple[Look, ...]


def subject_file(ctx: Context, entity: str, record: int) -> SubjectFile:
    """The file of a person. The access log says who took it. Raises NotFound, Denied."""
    compiled = subject(ctx, entity, record, ACTION)
    engine = enter_as(ctx.home, ctx.workspace.name, "subject_file", locale=ctx.locale)
    with engine.snapshot() as inner:
        found = belonging(Work(inner), compiled, record)
        records = {key: _whole(inner, key, ids) for key, ids in found.items()}
        label = labels(inner, entity, [record]).get(record, f"#{record}")
        changes: list[Moment] = []
        cursor = None
        while len(changes) < MOST:
            part = timeline(inner, entity, record, cursor, 200)
            changes += part.items
            cursor = part.next
            if cursor is None:
                break
        looks = _looks(inner, found)
    note_access(ctx, ACTION, entity, record=record)
    kept = {key: rows for key, rows in records.items() if rows}
    return SubjectFile(entity, record, label, ctx.now, kept, tuple(changes[:MOST]), looks)


def _whole(ctx: Context, entity: str, ids: list[int]) -> list[Record]:
    found: list[Record] = []
    for start in range(0, len(ids), 200):
        asked = Query(entity, equals={"id": tuple(str(one) for one in ids[start : start + 200])}, sort=("id",), limit=200)
        found += page(ctx, asked).items
    return found


def _looks(ctx: Context, found: Mapping[str, list[int]]) -> tuple[Look, ...]:
    log, rows = access_log, list[Any]()
    for key, ids in found.items():
        for start in range(0, len(ids), 500):
            wanted = sa.select(log).where(log.c.entity == key, log.c.record.in_(ids[start : start + 500])).order_by(log.c.id.desc()).limit(MOST)
            rows += ctx.open.execute(wanted).all()
    rows.sort(key=lambda row: row.id, reverse=True)
    names = labels(ctx, "person", {row.person for row in rows if row.person is not None})
    return tuple(
        Look(row.at, row.kind, names.get(row.person, ""), row.entity, row.field or "", str((row.detail or {}).get("reason", ""))) for row in rows[:MOST]
    )
