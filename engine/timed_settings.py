"""Values of settings that come into force: every process reads them anew, and a job computes the stored values of records that read them.

A value set to hold at once is met by the next look, too: whoever sets one need not do more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.actors import enter_as
from engine.clock import raise_settings_version
from engine.database_ready import Ready
from engine.jobs import JobKind, JobRun, put
from engine.records import service
from engine.scope import engine_select
from engine.settings_effects import formulas_reading
from engine.storage import Instant
from engine.system_tables import setting_value
from engine.system_tables_rules import due_done
from engine.timed import Source

if TYPE_CHECKING:
    from engine.context import Context

JOB = "settings"
#: Rows of ``due_done`` that note which values have been met; no rule can have this key.
_MARK = "setting value"
BATCH = 200


def _unmet(*terms: sa.ColumnElement[bool]) -> sa.Select[Any]:
    met = sa.select(due_done.c.record).where(due_done.c.rule == _MARK, due_done.c.record == setting_value.c.id)
    columns = (setting_value.c.id, setting_value.c.key, setting_value.c.in_force_from)
    return sa.select(*columns).where(~met.exists(), *terms).order_by(setting_value.c.in_force_from)


_NOW = sa.bindparam("now", type_=Instant())
_DUE, _COMING = _unmet(setting_value.c.in_force_from <= _NOW), Ready(_unmet(setting_value.c.in_force_from > _NOW).limit(1))
_FIRST, _LOCKED = Ready(_DUE.limit(1)), Ready(_DUE.with_for_update(of=setting_value, skip_locked=True))


def meet(ctx: Context) -> int:
    """Note the values whose time has come and ask for what follows; gives how many there were."""
    with ctx.reading() as inner:
        if _FIRST.first(inner.open, {"now": ctx.now}) is None:
            return 0
    with ctx.writing() as inner:
        rows = _LOCKED.rows(inner.open, {"now": ctx.now})
        if not rows:
            return 0
        marks = [{"rule": _MARK, "record": number, "field": key, "shift": 0, "value": at, "times": 1, "at": inner.now} for number, key, at in rows]
        inner.open.execute(due_done.insert(), marks)
        raise_settings_version(inner.open)
        keys = sorted({key for _, key, _ in rows})
        if formulas_reading(inner.workspace, keys):
            put(inner.open, inner.workspace.name, JOB, {"keys": keys})
        return len(rows)


def next_in_force(ctx: Context) -> datetime | None:
    """When the next value comes into force."""
    with ctx.reading() as inner:
        found = _COMING.first(inner.open, {"now": inner.now})
    return None if found is None else found[2]


def recompute(job: JobRun) -> Mapping[str, Any]:
    """Compute the records of every entity that reads the settings, in keyset batches, each with the progress in its own transaction."""
    ctx = enter_as(job.home, job.workspace, "clock")
    progress = dict(job.progress)
    done, finished = int(progress.get("done", 0)), list(progress.get("finished", ()))
    for entity in sorted(formulas_reading(ctx.workspace, list(job.args["keys"]))):
        last = int(progress.get("last", 0)) if progress.get("entity") == entity else 0
        while entity not in finished:
            with ctx.workspace.database.write(background=True) as connection:
                inner = ctx.within(connection)
                table = inner.workspace.entities[entity].table
                ids = list(
                    connection.execute(
                        engine_select(inner.workspace.entities[entity], table.c.id).where(table.c.id > last).order_by(table.c.id).limit(BATCH)
                    ).scalars()
                )
                if ids:
                    service.touch(inner, entity, ids)
                    last, done = ids[-1], done + len(ids)
                else:
                    finished.append(entity)
                job.checkpoint(connection, {"done": done, "entity": entity, "last": last, "finished": finished})
    return {"done": done}


KIND = JobKind(JOB, recompute)
SOURCE = Source("settings", next_in_force, meet)
