"""Two records become one: every link that led to the dropped one leads to the kept one. Taking it back is merging_undo.py's.

Links of deleted records move with them. Nobody's grants are asked here and no rule runs before: whoever calls was allowed to merge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.clock import database_now
from engine.errors import Conflict, Invalid, NotFound
from engine.expressions.checking import names_for
from engine.expressions.language import Expression, parse
from engine.expressions.sql_types import json_holds
from engine.expressions.types import BOOLEAN
from engine.fields.base import Value
from engine.jobs import put
from engine.records.attachments import FILE_TYPES, ids_of
from engine.records.derived import own_values
from engine.records.uniques import conflict_of
from engine.records.work import Row, Work
from engine.rules.effects import Handle
from engine.scope import engine_select
from engine.system_tables import file
from engine.system_tables_rules import ask, merging, notice
from metadata.vocabulary import ExpressionPlace

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.workspace import CompiledEntity, CompiledField

#: The job that looks once more for links made by transactions that were open during the merge, and when: none of them lasts so long.
JOB, LATE = "merge", timedelta(seconds=10)
#: Most records whose links one merge may move.
MOST_MOVED = 20_000
_LISTS = frozenset({"links", "people", "tags", "choices", "files"})
_CHUNK = 500
#: What of the engine's own tables leads to a record and follows it: (table, its columns for entity and record, which rows).
_ENGINE_LINKS = (
    ("ask.about", ask, ask.c.about_entity, ask.c.about, ask.c.state == "open"),
    ("ask.record", ask, ask.c.entity, ask.c.record, ask.c.state == "open"),
    ("notice.record", notice, notice.c.entity, notice.c.record, sa.true()),
)


@dataclass(slots=True)
class _Moves:
    """What a merge moved, as the merging row keeps it: ids only, no value of anybody."""

    single: list[list[Any]] = field(default_factory=list)  # [entity, field, ids]
    lists: list[list[Any]] = field(default_factory=list)  # [entity, field, id, before, after]
    engine: list[list[Any]] = field(default_factory=list)  # [name, ids]

    def to_json(self) -> dict[str, Any]:
        return {"single": self.single, "lists": self.lists, "engine": self.engine}

    def counts(self) -> dict[str, int]:
        """Entity -> how many links."""
        found: dict[str, int] = {}
        for entity, _, ids in self.single:
            found[entity] = found.get(entity, 0) + len(ids)
        for entity, *_ in self.lists:
            found[entity] = found.get(entity, 0) + 1
        return found


# --- merging -----------------------------------------------------------------------------------------------------------------------------------------


def merge(saving: Saving, params: Mapping[str, Value]) -> dict[str, Value]:
    """``drop`` becomes part of ``keep``. Gives the numbers of links moved by entity, and the fields of ``keep`` that changed.

    Raises Invalid for two records that cannot be one, Conflict where the entity's own words or a unique key refuse it.
    """
    work, keep, drop = saving.work, params["keep"], params["drop"]
    entity, kept, dropped = _both(work, keep, drop)
    refuse_by_definition(work, entity, kept, dropped)
    saving.settling.settle()
    moves = _Moves()
    into = str(entity.definition.body.get("merge", {}).get("into", ""))
    _drop(saving, entity, dropped, {into: keep.id} if into else {})
    _move_links(saving, entity, drop.id, keep.id, moves)
    _move_engine_links(work, entity.key, drop.id, keep.id, moves)
    taken = _taken(entity, work.fetch(entity.key, [keep.id])[keep.id], dropped)
    names = write_values(saving, entity, keep.id, taken)
    _bind_brought(work, entity, keep.id, kept, {name: taken[name] for name in names})
    saving.settling.settle()
    version = work.fetch(entity.key, [keep.id])[keep.id]["version"] if names else None
    row = {"entity": entity.key, "keep": keep.id, "drop": drop.id, "at": work.ctx.now, "by": work.ctx.actor.person_id, "version": version}
    row |= {"into_field": into or None, "into_before": dropped.get(into) if into else None, "moved": moves.to_json()}
    number = work.connection.execute(sa.insert(merging).values(row).returning(merging.c.id)).scalar_one()
    put(work.connection, work.workspace.name, JOB, {"merging": number}, run_at=database_now(work.connection) + LATE)
    return {"moved": moves.counts(), "fields": names}


def move_late(saving: Saving, number: int) -> int:
    """Links that were on their way while the merge was made lead to the kept record, too; gives how many. A merge taken back moves none."""
    work = saving.work
    done = work.connection.execute(sa.select(merging).where(merging.c.id == number, merging.c.undone_at.is_(None))).mappings().first()
    if done is None or done["entity"] not in work.workspace.entities:
        return 0
    moves = _Moves(*(list(done["moved"][name]) for name in ("single", "lists", "engine")))
    before = sum(moves.counts().values())
    _move_links(saving, work.entity(done["entity"]), done["drop"], done["keep"], moves)
    work.connection.execute(sa.update(merging).where(merging.c.id == number).values(moved=moves.to_json()))
    saving.settling.settle()
    return sum(moves.counts().values()) - before


def _both(work: Work, keep: Value, drop: Value) -> tuple[CompiledEntity, Row, Row]:
    if not isinstance(keep, Handle) or not isinstance(drop, Handle) or keep.entity != drop.entity or keep.id == drop.id:
        raise Invalid("merge_pair")
    entity = work.entity(keep.entity)
    rows = work.fetch(entity.key, [keep.id, drop.id], lock=True)
    for record in (keep, drop):
        if record.id not in rows or rows[record.id]["deleted_at"] is not None:
            raise NotFound("no_such_record", entity=entity.key, id=record.id)
    return entity, dict(rows[keep.id]), dict(rows[drop.id])


def refuse_by_definition(work: Work, entity: CompiledEntity, keep: Row, drop: Row) -> None:
    """Raises Conflict "merge_refused" where the ``if`` of the entity's ``merge`` holds."""
    words = entity.definition.body.get("merge", {})
    if not words.get("if"):
        return
    condition = remember(work.workspace, ("merge if", entity.key), lambda: _condition(work, entity, str(words["if"])))
    kept, dropped = _whole(work, entity, keep), _whole(work, entity, drop)
    if work.evaluator.truth(condition, kept, record=kept, keep=kept, drop=dropped):
        raise Conflict("merge_refused", entity=entity.title or entity.key, message=words.get("message", ""))


def _condition(work: Work, entity: CompiledEntity, source: str) -> Expression:
    names = dict.fromkeys(("record", "keep", "drop"), entity.key)
    place = ExpressionPlace(entity.key, "boolean", frozenset({"me", "record"}), names=names)
    return parse(source, names_for(work.workspace.book, place), BOOLEAN, work.workspace.book.functions)


def _whole(work: Work, entity: CompiledEntity, row: Row) -> Row:
    """A row with the values that are computed on reading."""
    volatile = {name: item.formula for name, item in entity.fields.items() if item.volatile and item.formula is not None}
    return {**row, **{name: work.value(entity, formula, row) for name, formula in volatile.items()}}


def _drop(saving: Saving, entity: CompiledEntity, row: Row, values: Mapping[str, Value]) -> None:
    """Out of every read path, so that its unique keys are free for the kept one."""
    work = saving.work
    if values:
        write_values(saving, entity, row["id"], values)
    current = dict(work.fetch(entity.key, [row["id"]])[row["id"]])
    work.set_deleted(entity, current, work.ctx.now)
    work.forget_tokens(entity, row["id"])
    work.note(entity, "delete", current, None, None)
    saving.settling.changed(entity, current, None)


def write_values(saving: Saving, entity: CompiledEntity, record_id: int, values: Mapping[str, Value]) -> list[str]:
    """Values on a row, with what follows from them; the names of those that differ. Raises Conflict where a unique key is taken."""
    work = saving.work
    before = work.fetch(entity.key, [record_id])[record_id]
    names = [name for name, value in values.items() if before.get(name) != value]
    if not names:
        return []
    after = {**before, **{name: values[name] for name in names}}
    computed = [name for name in own_values(work, entity, after, names) if after[name] != before.get(name) and name not in names]
    every = [*names, *computed]
    try:
        written = work.update(entity, before, after, every, entered=True)
    except sa.exc.IntegrityError as error:
        raise conflict_of(work, entity, error, after) from error
    if not written:
        raise Conflict("stale", entity=entity.key, id=record_id)
    work.note(entity, "update", after, {name: before.get(name) for name in every}, {name: after.get(name) for name in every}, computed)
    if before["deleted_at"] is None:
        saving.settling.changed(entity, before, after)
    return names


# --- links -------------------------------------------------------------------------------------------------------------------------------------------


def _link_fields(work: Work, target: str) -> Iterator[tuple[CompiledEntity, CompiledField]]:
    for entity in work.workspace.entities.values():
        for item in entity.fields.values():
            if item.target == target and not item.derived and item.column is not None and not item.encrypted:
                yield entity, item


def _move_links(saving: Saving, entity: CompiledEntity, old: int, new: int, moves: _Moves) -> None:
    work, total = saving.work, 0
    changes: dict[tuple[str, int], dict[str, Value]] = {}
    for owner, item in _link_fields(work, entity.key):
        ids = [one for one in _pointing(work, owner, item, old) if (owner.key, one) != (entity.key, old)]
        total += len(ids)
        if total > MOST_MOVED:
            raise Conflict("merge_too_many", limit=MOST_MOVED)
        listed = item.definition.type in _LISTS
        for one, row in locked_rows(work, owner.key, ids).items():
            itself = (owner.key, one) == (entity.key, new)
            after = _replaced(row[item.key], old, None if itself else new) if listed else None if itself else new
            changes.setdefault((owner.key, one), {})[item.key] = after
            if listed:
                moves.lists.append([owner.key, item.key, one, row[item.key], after])
        if ids and not listed:
            moves.single.append([owner.key, item.key, ids])
    for (key, one), values in changes.items():
        write_values(saving, work.entity(key), one, values)


def _pointing(work: Work, owner: CompiledEntity, item: CompiledField, target: int) -> list[int]:
    """Ids of the rows, deleted ones included, whose field leads to a record."""
    column = item.column
    assert column is not None
    listed = item.definition.type in _LISTS
    found = json_holds(work.workspace.database.dialect, column, sa.literal(target, sa.BigInteger)) if listed else column == target
    table = owner.table
    return list(work.connection.execute(engine_select(owner, table.c.id, deleted=True).where(found).order_by(table.c.id).limit(MOST_MOVED + 1)).scalars())


def locked_rows(work: Work, entity: str, ids: list[int]) -> dict[int, Row]:
    """Copies of rows that nobody else can change until the transaction ends."""
    found: dict[int, Row] = {}
    for start in range(0, len(ids), _CHUNK):
        found |= {one: dict(row) for one, row in work.fetch(entity, ids[start : start + _CHUNK], lock=True).items()}
    return found


def _replaced(items: list[int], old: int, new: int | None) -> list[int]:
    """A list with another record in a record's place; one that stands there already stays the only one."""
    return list(dict.fromkeys(one for item in items if (one := new if item == old else item) is not None))


def _move_engine_links(work: Work, entity: str, old: int, new: int, moves: _Moves) -> None:
    for name, table, kind, record, which in _ENGINE_LINKS:
        ids = list(work.connection.execute(sa.select(table.c.id).where(kind == entity, record == old, which).order_by(table.c.id)).scalars())
        if ids:
            moves.engine.append([name, ids])
            point_engine_links(work, name, ids, new)


def point_engine_links(work: Work, name: str, ids: list[int], target: int) -> None:
    """Rows of the engine's own tables lead to another record."""
    table, record = next((table, record) for known, table, _, record, _ in _ENGINE_LINKS if known == name)
    for start in range(0, len(ids), _CHUNK):
        work.connection.execute(sa.update(table).where(table.c.id.in_(ids[start : start + _CHUNK])).values({record.name: target}))


# --- values ------------------------------------------------------------------------------------------------------------------------------------------


def _taken(entity: CompiledEntity, keep: Row, drop: Row) -> dict[str, Value]:
    """The values the kept record has afterwards, by the entity's words: lists are joined and gaps filled where nothing is said."""
    said, found = entity.definition.body.get("merge", {}).get("fields", {}), dict[str, Value]()
    stage = entity.stages.field if entity.stages is not None else ""
    for name, item in entity.fields.items():
        fixed = (
            item.derived or item.column is None or item.definition.type == "serial" or name == stage or (item.definition.once and keep.get(name) is not None)
        )
        if fixed:
            continue
        listed = item.definition.type in _LISTS
        way = said.get(name, "both" if listed else "filled")
        found[name] = _one(way, keep, drop, name, listed, item.definition.type)
        if item.target == entity.key:
            found[name] = _without_itself(found[name], (keep["id"], drop["id"]))
    return found


def _without_itself(value: Value, ids: tuple[int, int]) -> Value:
    """A link of a record to itself says nothing."""
    if isinstance(value, list):
        return [one for one in value if one not in ids] or None
    return None if value in ids else value


def _one(way: str, keep: Row, drop: Row, name: str, listed: bool, kind: str) -> Value:
    mine, other = keep.get(name), drop.get(name)
    if way == "keep":
        return mine
    if way == "drop":
        return other
    if way == "both" and listed:
        return list(dict.fromkeys([*(mine or ()), *(other or ())])) or None
    if way == "both" and isinstance(mine, str) and isinstance(other, str) and mine != other:
        return f"{mine}\n{other}" if kind in ("long_text", "rich_text") else f"{mine} {other}"
    if way in ("newest", "oldest"):
        first = (drop["updated_at"] > keep["updated_at"]) if way == "newest" else (drop["created_at"] < keep["created_at"])
        mine, other = (other, mine) if first else (mine, other)
    return mine if mine is not None else other


def _bind_brought(work: Work, entity: CompiledEntity, keep: int, before: Row, values: Mapping[str, Value]) -> None:
    """Files that came from the dropped record are the kept one's. What they replaced stays bound: taking the merge back needs it."""
    for name in values:
        if entity.fields[name].definition.type in FILE_TYPES:
            fresh = [one for one in ids_of(values[name]) if one not in ids_of(before.get(name))]
            work.connection.execute(sa.update(file).where(file.c.id.in_(fresh)).values(entity=entity.key, record=keep, field=name))
