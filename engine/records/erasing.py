"""Making a person anonymous: whatever is personal in their records, in the history of these and in what rules noted about them is emptied for good.

Ids, links, money, dates and choices stay, so that counts and ledgers stay true. No rule runs and no grant is asked: whoever calls was allowed to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.context import Cause
from engine.errors import Conflict, NotFound
from engine.fields.base import Value
from engine.records.attachments import file_fields, ids_of
from engine.records.derived import own_values
from engine.records.personal import belonging, personal_fields
from engine.records.work import Row
from engine.system_tables import file, history
from engine.system_tables_imports import import_row
from engine.system_tables_replay import replay_finding
from engine.system_tables_rules import ask, ask_person, notice, outgoing, run

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.saving import Saving
    from engine.records.work import Work
    from engine.workspace import CompiledEntity, CompiledField

VERB = "erase"
#: What stands where a text must stand.
BLANK = "***"
_TEXTS = frozenset({"text", "long_text", "rich_text"})
_CHUNK = 500
#: An upload of this age is removed by the next clean-up.
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def erase(saving: Saving, entity: CompiledEntity, record: int, reason: str) -> Mapping[str, int]:
    """Empty all that is personal about the person of a record; gives how many records of each entity were theirs.

    Raises NotFound, Conflict "erase_waits" while an approval about them is open.
    """
    if saving.work.row(entity.key, record) is None:
        raise NotFound("no_such_record", entity=entity.key, id=record)
    saving = saving.acting(replace(saving.work.ctx, cause=Cause(saving.work.ctx.cause.kind, VERB, {"reason": reason} if reason else {})))
    work = saving.work
    found = belonging(work, entity, record)
    _refuse_waiting(work, found)
    for key, ids in found.items():
        _empty(saving, work.entity(key), ids)
    saving.settling.settle()
    touched = {key: set(ids) for key, ids in found.items()}
    for change in work.changes:
        touched.setdefault(change.entity, set()).add(change.id)
    work.finish()
    for key, ids_of_entity in touched.items():
        _empty_history(work, key, sorted(ids_of_entity))
    for key, ids in found.items():
        for part in _parts(ids):
            _empty_notes(work, key, part)
    return {key: len(ids) for key, ids in found.items()}


def erased(connection: sa.Connection, entity: str, ids: Iterable[int]) -> set[int]:
    """Those of the records that were made anonymous before."""
    found: set[int] = set()
    for part in _parts(sorted(ids)):
        found |= set(
            connection.execute(sa.select(history.c.record).where(history.c.entity == entity, history.c.record.in_(part), history.c.verb == VERB)).scalars()
        )
    return found


def nobodies(ctx: Context, entity: CompiledEntity, records: Iterable[Mapping[str, Any]]) -> set[int]:
    """Those of some records, as their reader sees them, that are of persons made anonymous: nothing can be done with them any more.

    Only records that tell nothing of a person are asked about, so that a usual page asks nothing. Needs an open connection.
    """
    if not entity.definition.subject:
        return set()
    telling = personal_fields(ctx.workspace).get(entity.key, frozenset())
    silent = [record["id"] for record in records if all(record.get(name) in (None, BLANK, []) for name in telling)]
    return erased(ctx.open, entity.key, silent) if silent else set()


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def _refuse_waiting(work: Work, found: Mapping[str, Sequence[int]]) -> None:
    for key, ids in found.items():
        for part in _parts(ids):
            about = sa.or_(sa.and_(ask.c.entity == key, ask.c.record.in_(part)), sa.and_(ask.c.about_entity == key, ask.c.about.in_(part)))
            if work.connection.execute(sa.select(ask.c.id).where(ask.c.state == "open", about).limit(1)).first() is not None:
                raise Conflict("erase_waits")


# --- the records -----------------------------------------------------------------------------------------------------------------------------


def _empty(saving: Saving, entity: CompiledEntity, ids: Sequence[int]) -> None:
    work = saving.work
    marked = personal_fields(work.workspace).get(entity.key, frozenset())
    fields = [item for name, item in entity.fields.items() if name in marked and item.column is not None and not item.derived]
    keys = {name for unique in entity.unique.values() for name in unique.definition.fields}
    for part in _parts(ids):
        for one, before in work.fetch(entity.key, part, lock=True).items():
            after: Row = {**before, **{item.key: _blank(item, before[item.key], keys) for item in fields}}
            names = [item.key for item in fields if after[item.key] != before[item.key]]
            names += _follow(work, entity, before, after, names)
            work.update(entity, before, after, names, entered=True)
            if before["deleted_at"] is not None:
                work.forget_tokens(entity, one)
            _let_files_go(work, entity, before, after)
            work.note(entity, VERB, after, None, None)
            saving.settling.changed(entity, before, after)


def _follow(work: Work, entity: CompiledEntity, before: Row, after: Row, names: Sequence[str]) -> list[str]:
    """Derived values of an emptied row; those of a deleted one are never settled with others, and are all computed here."""
    if before["deleted_at"] is None:
        computed = own_values(work, entity, after, names)
    else:
        gathered = [item.key for item in entity.fields.values() if item.rollup is not None and item.column is not None]
        after.update(dict.fromkeys(gathered))
        computed = [*gathered, *own_values(work, entity, after, None)]
    return [name for name in computed if after[name] != before[name]]


def _blank(item: CompiledField, value: Value, keys: set[str]) -> Value:
    """Nothing; where a text must stand (and need not differ from others) something that says as much."""
    wanted = item.required is True and item.definition.type in _TEXTS and item.key not in keys
    return BLANK if wanted and value is not None else None


def _let_files_go(work: Work, entity: CompiledEntity, before: Row, after: Row) -> None:
    gone = [number for item in file_fields(entity) for number in ids_of(before.get(item.key)) if number not in ids_of(after.get(item.key))]
    if gone:
        unbound: dict[str, Any] = {
            "entity": None,
            "record": None,
            "field": None,
            "bound_at": None,
            "uploaded_by": None,
            "uploaded_at": _LONG_AGO,
            "name": BLANK,
        }
        work.connection.execute(sa.update(file).where(file.c.id.in_(gone)).values(unbound))


# --- what was noted about them ---------------------------------------------------------------------------------------------------------------


def _empty_history(work: Work, entity: str, ids: Sequence[int]) -> None:
    marked = personal_fields(work.workspace).get(entity, frozenset())
    retired = {name for name, field in work.entity(entity).definition.fields.items() if name not in work.entity(entity).fields and field.personal != "none"}
    gone = marked | retired
    if not gone:
        return
    change = sa.update(history).where(history.c.id == sa.bindparam("p_id")).values(before=sa.bindparam("p_before"), after=sa.bindparam("p_after"))
    for part in _parts(ids):
        rows = work.connection.execute(
            sa.select(history.c.id, history.c.before, history.c.after).where(history.c.entity == entity, history.c.record.in_(part))
        ).all()
        kept = [
            {"p_id": row.id, "p_before": _without(row.before, gone), "p_after": _without(row.after, gone)}
            for row in rows
            if gone & {*(row.before or ()), *(row.after or ())}
        ]
        if kept:
            work.connection.execute(change, kept)


def _without(values: Mapping[str, Any] | None, gone: frozenset[str] | set[str]) -> Any:
    return None if values is None else {name: value for name, value in values.items() if name not in gone}


def _empty_notes(work: Work, entity: str, ids: Sequence[int]) -> None:
    run_sql = work.connection.execute
    run_sql(sa.delete(notice).where(notice.c.entity == entity, notice.c.record.in_(ids)))
    dead = sa.case((outgoing.c.state.in_(("waiting", "held")), "dead"), else_=outgoing.c.state)
    empty: dict[str, Any] = {"frame": None, "sealed": None, "said": None, "state": dead}
    run_sql(sa.update(outgoing).where(outgoing.c.entity == entity, outgoing.c.record.in_(ids)).values(empty))
    run_sql(sa.update(run).where(run.c.entity == entity, run.c.record.in_(ids)).values(condition=None, steps=None, error=None))
    run_sql(sa.update(replay_finding).where(replay_finding.c.entity == entity, replay_finding.c.record.in_(ids)).values(condition=None, steps=None))
    run_sql(sa.update(import_row).where(import_row.c.entity == entity, import_row.c.record.in_(ids)).values(raw=None, faults=None))
    about = sa.or_(sa.and_(ask.c.entity == entity, ask.c.record.in_(ids)), sa.and_(ask.c.about_entity == entity, ask.c.about.in_(ids)))
    run_sql(sa.update(ask_person).where(ask_person.c.ask.in_(sa.select(ask.c.id).where(about))).values(opinion=None))
    run_sql(sa.update(ask).where(about).values(title=None, frame={}, answers=None))
