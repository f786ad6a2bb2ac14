"""Who is made anonymous, when, and that it stays so: on request, when nothing was heard of somebody for as long as may be kept, and again after a restore.

The ledger of erasures is the installation's, so that a workspace restored from an older archive loses again what it had lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import jobs, system_tables
from engine.actors import enter_as
from engine.database_log import empty_log
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.jobs import JobKind, JobRun
from engine.records.erasing import erase, erased
from engine.records.history import note_access
from engine.records.personal import belonging
from engine.records.preview import granted, may
from engine.records.query import Query, page
from engine.records.saving import Saving
from engine.records.work import Work

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home
    from engine.workspace import CompiledEntity, Workspace

JOB = "erase"
ACTION = "erase"
REASON_LENGTH = 200
#: Persons that one hour's look lets go by their age.
AT_MOST = 200
_ledger = system_tables.erasure
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")


def subject(ctx: Context, entity: str, record: int, action: str) -> CompiledEntity:
    """The entity of a person whom the actor may do this to. Raises NotFound for what they may not see or is no person, Denied."""
    compiled = ctx.workspace.entities.get(entity)
    if compiled is None or not compiled.definition.subject:
        raise NotFound("unknown_entity", entity=entity)
    with ctx.snapshot() as inner:
        if not may(inner, entity, record, "read"):
            raise NotFound("no_such_record", entity=entity, id=record)
        if action not in granted(inner, compiled, record):
            raise Denied(f"may_not_{action}", entity=entity, id=record)
    return compiled


def theirs(ctx: Context, entity: str, record: int) -> Mapping[str, int]:
    """How many records of each entity belong to a person: what an erasure would empty."""
    compiled = subject(ctx, entity, record, ACTION)
    with ctx.snapshot() as inner:
        return {key: len(ids) for key, ids in belonging(Work(inner), compiled, record).items()}


def erase_now(ctx: Context, entity: str, record: int, reason: str) -> Mapping[str, int]:
    """Make a person anonymous on request. Raises Denied, NotFound, Invalid without a reason, Conflict "erase_waits", "erased_before"."""
    compiled = subject(ctx, entity, record, ACTION)
    if not reason.strip() or len(reason) > REASON_LENGTH:
        raise Invalid("invalid", faults=(Fault("/reason", "reason_required", {"maximum": REASON_LENGTH}),))
    with ctx.writing() as inner:
        if erased(inner.open, entity, [record]):
            raise Conflict("erased_before")
        note_access(inner, ACTION, entity, record=record)
        return _erase(inner, compiled, record, reason.strip())


def _erase(ctx: Context, entity: CompiledEntity, record: int, reason: str) -> Mapping[str, int]:
    """In the open transaction, with the job that keeps it in the ledger and clears what the file still holds."""
    counts = erase(Saving(Work(ctx)), entity, record, reason)
    args = {"entity": entity.key, "record": record, "searched": sorted(counts)}
    jobs.put(ctx.open, ctx.workspace.name, JOB, args, person=ctx.actor.person_id)
    return counts


def run(job: JobRun) -> Mapping[str, Any]:
    """Note an erasure in the ledger, once; then clear the search index and the write-ahead log of what was there."""
    entity, record = str(job.args["entity"]), int(job.args["record"])
    ctx = enter_as(job.home, job.workspace, "retention")
    with job.home.database.write() as connection:
        same = sa.and_(_ledger.c.workspace == job.workspace, _ledger.c.entity == entity, _ledger.c.record == record)
        if connection.execute(sa.select(_ledger.c.id).where(same)).first() is None:
            connection.execute(sa.insert(_ledger).values(workspace=job.workspace, entity=entity, record=record, at=ctx.now))
    _clear_file(ctx.workspace, job.args["searched"])
    return {}


def _clear_file(workspace: Workspace, entities: Sequence[str]) -> None:
    """SQLite: deleted tokens stay readable in old segments of the index until these are merged, and changed pages in the log until it is emptied."""
    if workspace.database.dialect != "sqlite":
        return
    for key in entities:
        table = workspace.entities[key].search_table if key in workspace.entities else None
        if table is not None:
            for pages in _merging():
                with workspace.database.write(background=True) as connection:
                    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
                    merge = f"INSERT INTO {table.name}({table.name}, rank) VALUES('merge', {pages})"
                    connection.exec_driver_sql(merge, execution_options={"scoped": True})
                    if connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before < 2:
                        break
    empty_log(workspace.database)


def _merging() -> Iterator[int]:
    """The first step makes all segments one level, the others go on; each is a short transaction."""
    yield -200
    while True:
        yield 200


# --- by age ----------------------------------------------------------------------------------------------------------------------------------


def let_go(ctx: Context) -> int:
    """Make those anonymous of whom nothing was heard for as long as their entity keeps them; gives how many."""
    count = 0
    for entity in ctx.workspace.entities.values():
        if entity.definition.subject and entity.definition.keep:
            for record in _outlived(ctx, entity):
                count += _let_one_go(ctx, entity, record)
                if count >= AT_MOST:
                    return count
    return count


def _let_one_go(ctx: Context, entity: CompiledEntity, record: int) -> int:
    try:
        with ctx.writing() as inner:
            _erase(inner, entity, record, "")
        return 1
    except Conflict:
        return 0


def _outlived(ctx: Context, entity: CompiledEntity) -> Iterator[int]:
    """Ids of the persons whose time is over and who are not anonymous yet."""
    personal = entity.definition.body["personal"]
    latest = f"max(updated_at, {personal['since']})" if personal.get("since") else "updated_at"
    where = [f"{_later(latest, entity.definition.keep)} < now()"] + ([f"not ({personal['while']})"] if personal.get("while") else [])
    cursor = None
    while True:
        answer = page(ctx, Query(entity.key, where=tuple(where), fields=(), sort=("id",), limit=200, cursor=cursor, labels=False))
        ids = [int(record["id"]) for record in answer.items]
        with ctx.reading() as inner:
            before = erased(inner.open, entity.key, ids)
        yield from (one for one in ids if one not in before)
        cursor = answer.next
        if cursor is None:
            return


def _later(moment: str, keep: str) -> str:
    """The expression of the end of a period that begins at a moment."""
    found = _DURATION.fullmatch(keep)
    assert found is not None, keep  # the schema of entities says so
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    return f"add_days(add_months({moment}, {12 * years + months}), {7 * weeks + days})"


# --- after a restore -------------------------------------------------------------------------------------------------------------------------


def repeat(home: Home, name: str, origin: str) -> int:
    """Empty again, in a workspace restored from an archive of ``origin``, whoever was made anonymous since; gives how many."""
    with home.database.read() as connection:
        rows = connection.execute(sa.select(_ledger.c.entity, _ledger.c.record).where(_ledger.c.workspace.in_({name, origin}))).all()
    ctx = replace(enter_as(home, name, "retention"), background=True)
    count = 0
    for key, record in rows:
        entity = ctx.workspace.entities.get(key)
        if entity is None:
            continue
        with ctx.writing() as inner:
            if Work(inner).row(key, record) is not None and not erased(inner.open, key, [record]):
                _erase(inner, entity, record, "")
                count += 1
    return count


KIND = JobKind(JOB, run)
