"""Replays as they are asked for, worked on and kept: a leased job that can be stopped, its findings in tables of their own, summed up and paged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import jobs
from engine.access import rights
from engine.actors import enter_as
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound, Refusal
from engine.jobs import JobKind, JobRun
from engine.replay import VERDICTS, Finding, Replayed, replay
from engine.replay_looking import Question
from engine.rule_drafts import plain, rule_of
from engine.settings_values import read_value
from engine.system_tables_replay import replay as kept
from engine.system_tables_replay import replay_finding as finding

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

JOB = "replay"
RIGHT = "settings"
PAGE = 50
LONGEST = 366
#: How long a replay is kept.
KEPT_FOR = timedelta(days=90)
WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"
_TOLD_EVERY = 0.5
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know. ``body``: another text of the rule; ``settings``: other values, as JSON, by key."""

    rule: str
    days: int
    owner: str = ""
    body: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    today: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A replay as it stands. ``done`` of ``total`` while it is worked on; ``error``: code and params of what stopped it."""

    id: int
    rule: str
    version: int
    body: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    today: bool
    owner: str
    since: datetime
    until: datetime
    at: datetime
    by: int | None
    state: str
    occasions: int
    error: Mapping[str, Any]
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """Findings of one owner or day by verdict."""

    key: Any
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which findings: everything given must fit. ``owner`` 0: those of nobody."""

    verdict: str = ""
    owner: int | None = None
    day: str = ""
    record: int | None = None
    approximate: bool = False


# --- asking --------------------------------------------------------------------------------------------------------------------------------


def ask(ctx: Context, asked: Asked) -> int:
    """Ask for a replay; gives its number. Raises Denied, NotFound, Invalid with every fault of the days, the owner, the text and the values."""
    if not rights(ctx, RIGHT):
        raise Denied("right_missing", right=RIGHT)
    if not 1 <= asked.days <= LONGEST:
        raise Invalid("invalid", faults=[Fault("/days", "replay_days", {"limit": LONGEST})])
    rule = rule_of(ctx.workspace, asked.rule, asked.body)
    if asked.owner and asked.owner not in owners_of(ctx.workspace.entities.get(rule.entity)):
        raise Invalid("invalid", faults=[Fault("/owner", "unknown_field", {"field": asked.owner})])
    values = {key: read_value(ctx.workspace, key, value) for key, value in asked.settings.items()}
    with ctx.writing() as ctx:
        row = {
            "rule": rule.key,
            "version": ctx.workspace.version,
            "body": None if asked.body is None else plain(asked.body),
            "settings": values or None,
            "today": asked.today,
            "owner": asked.owner,
            "since": ctx.now - timedelta(days=asked.days),
            "until": ctx.now + timedelta(microseconds=1),
            "at": ctx.now,
            "by": ctx.actor.person_id,
            "state": WAITING,
        }
        number = int(ctx.open.execute(kept.insert().values(row).returning(kept.c.id)).scalar_one())
        job = jobs.put(ctx.open, ctx.workspace.name, JOB, {"replay": number}, person=ctx.actor.person_id)
        ctx.open.execute(kept.update().where(kept.c.id == number).values(job=job))
        return number


def owners_of(entity: CompiledEntity | None) -> list[str]:
    """The fields of an entity by which a replay can count: those that hold one person, the one called owner first."""
    if entity is None:
        return []
    found = [key for key, item in entity.fields.items() if item.target == "person" and item.expression_type.linked]
    return sorted(found, key=lambda key: key != "owner")


def cancel(ctx: Context, number: int) -> None:
    """Stop a replay that is not done yet. Raises Denied, NotFound, Conflict."""
    if not rights(ctx, RIGHT):
        raise Denied("right_missing", right=RIGHT)
    with ctx.writing() as inner:
        waiting = kept.update().where(kept.c.id == number, kept.c.state.in_((WAITING, RUNNING)))
        done = inner.open.execute(waiting.values(state=CANCELLED, done_at=inner.now))
    if done.rowcount == 0:
        raise Conflict("replay_ended", state=of(ctx, number).state)


# --- working -------------------------------------------------------------------------------------------------------------------------------


class _Cancelled(Exception):
    """Somebody stopped it."""


def run(job: JobRun) -> Mapping[str, Any]:
    """Work on a replay: look, then keep what was found. Begun anew when its worker died."""
    ctx, number = enter_as(job.home, job.workspace, "replay"), int(job.args["replay"])
    row = of(ctx, number)
    if row.state not in (WAITING, RUNNING):
        return {"state": row.state}
    _mark(ctx, number, RUNNING)
    try:
        asked = question(ctx, row)
        found = replay(ctx, asked, _Telling(ctx, job, number))
        _keep(ctx, job, number, asked.rule.entity, found)
    except _Cancelled:
        return {"state": CANCELLED}
    except Refusal as refusal:
        _mark(
            ctx, number, FAILED, error={"code": refusal.code, "params": {name: value for name, value in refusal.params.items() if isinstance(value, int | str)}}
        )
        return {"state": FAILED}
    return {"state": DONE, "findings": len(found.findings)}


KIND = JobKind(JOB, run, retries=3, slow=True)


def question(ctx: Context, row: Kept) -> Question:
    """The question of a kept replay. Raises NotFound, Invalid where the rule can no longer be made."""
    return Question(rule_of(ctx.workspace, row.rule, row.body), row.since, row.until, row.settings, row.today, row.owner)


class _Telling:
    """Tells how far a replay is, now and then; stops it when somebody asked for that."""

    def __init__(self, ctx: Context, job: JobRun, number: int) -> None:
        self._ctx, self._job, self._number, self._last = ctx, job, number, 0.0

    def __call__(self, done: int, total: int) -> None:
        if monotonic() - self._last < _TOLD_EVERY and done < total:
            return
        self._last = monotonic()
        self._job.tell({"done": done, "total": total})
        if of(self._ctx, self._number).state == CANCELLED:
            raise _Cancelled


def _mark(ctx: Context, number: int, state: str, error: Mapping[str, Any] | None = None) -> None:
    with ctx.writing() as ctx:
        ended = {"done_at": ctx.now} if state != RUNNING else {}
        ctx.open.execute(kept.update().where(kept.c.id == number, kept.c.state != CANCELLED).values(state=state, error=error, **ended))


def _keep(ctx: Context, job: JobRun, number: int, entity: str, found: Replayed) -> None:
    """Write the findings a part at a time, so that nobody waits long for the writer; what an attempt before left goes first."""
    with job.database.write(background=True) as connection:
        connection.execute(finding.delete().where(finding.c.replay == number))
    rows = [_row(ctx, number, entity, one) for one in found.findings]
    for start in range(0, len(rows), _CHUNK):
        with job.database.write(background=True) as connection:
            job.checkpoint(connection, {"done": start, "total": len(rows), "keeping": True})
            connection.execute(finding.insert(), rows[start : start + _CHUNK])
    with ctx.writing() as ctx:
        ended = kept.update().where(kept.c.id == number, kept.c.state == RUNNING)
        done = ctx.open.execute(ended.values(state=DONE, occasions=found.occasions, done_at=ctx.now))
    if done.rowcount == 0:
        raise _Cancelled


def _row(ctx: Context, number: int, entity: str, one: Finding) -> dict[str, Any]:
    return {
        "replay": number,
        "entity": entity or None,
        "record": one.record,
        "at": one.at,
        "day": one.at.astimezone(ctx.workspace.timezone).date().isoformat(),
        "why": one.why,
        "verdict": one.verdict,
        "owner": one.owner,
        "person": one.person,
        "run": one.run,
        "did_at": one.did_at,
        "condition": dict(one.condition) or None,
        "steps": dict(one.steps) or None,
        "refusal": one.refusal or None,
        "doubts": list(one.doubts) or None,
        "reason": one.reason or None,
    }


def forget(ctx: Context) -> int:
    """Remove replays nobody needs any more; gives how many."""
    with ctx.writing() as ctx:
        old = sa.select(kept.c.id).where(kept.c.at < ctx.now - KEPT_FOR, kept.c.state.not_in((WAITING, RUNNING)))
        numbers = list(ctx.open.execute(old).scalars())
        ctx.open.execute(finding.delete().where(finding.c.replay.in_(numbers)))
        return int(ctx.open.execute(kept.delete().where(kept.c.id.in_(numbers))).rowcount) if numbers else 0


# --- looking -------------------------------------------------------------------------------------------------------------------------------


def of(ctx: Context, number: int) -> Kept:
    """One replay. Raises NotFound."""
    with ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(kept).where(kept.c.id == number)).mappings().one_or_none()
    if row is None:
        raise NotFound("unknown_replay", id=number)
    found = _kept(row)
    if found.state not in (WAITING, RUNNING) or row["job"] is None:
        return found
    job = jobs.find(ctx.workspace.database, ctx.workspace.name, row["job"])
    error = job.error if job.state == jobs.DEAD and job.error else {}
    state = FAILED if error else found.state
    return _kept(row, state, error, int(job.progress.get("done") or 0), int(job.progress.get("total") or 0))


def newest(ctx: Context, rule: str, limit: int = 10) -> list[Kept]:
    """The newest replays of a rule."""
    with ctx.reading() as ctx:
        rows = ctx.open.execute(sa.select(kept).where(kept.c.rule == rule).order_by(kept.c.id.desc()).limit(limit)).mappings().all()
    return [_kept(row) for row in rows]


def _kept(row: Any, state: str = "", error: Mapping[str, Any] | None = None, done: int = 0, total: int = 0) -> Kept:
    plain_ones = {name: row[name] for name in ("id", "rule", "version", "body", "today", "owner", "since", "until", "at", "by")}
    return Kept(
        **plain_ones,
        settings=row["settings"] or {},
        state=state or row["state"],
        occasions=row["occasions"] or 0,
        error=error or row["error"] or {},
        done=done,
        total=total,
    )


def counts(ctx: Context, number: int, by: str = "") -> list[Counted]:
    """Findings by verdict: all together, or by ``owner`` or ``day``."""
    columns = [finding.c[by]] if by else []
    select = sa.select(*columns, finding.c.verdict, sa.func.count()).where(finding.c.replay == number).group_by(*columns, finding.c.verdict)
    found: dict[Any, dict[str, int]] = {} if by else {None: {}}
    with ctx.reading() as ctx:
        for *key, verdict, many in ctx.open.execute(select):
            found.setdefault(key[0] if key else None, dict.fromkeys(VERDICTS, 0))[verdict] = many
    return [Counted(key, {**dict.fromkeys(VERDICTS, 0), **numbers}) for key, numbers in found.items()]


def approximate(ctx: Context, number: int) -> int:
    """How many findings are approximate."""
    with ctx.reading() as ctx:
        return int(ctx.open.execute(sa.select(sa.func.count()).where(finding.c.replay == number, finding.c.doubts.is_not(None))).scalar_one())


def findings(ctx: Context, number: int, wanted: Wanted, after: int = 0, limit: int = PAGE) -> tuple[list[tuple[int, Finding]], int]:
    """A page of findings with their numbers, in time, and the number to go on after (0 at the end)."""
    select = sa.select(finding).where(finding.c.replay == number, finding.c.id > after, *_terms(wanted)).order_by(finding.c.id).limit(limit + 1)
    with ctx.reading() as ctx:
        rows = ctx.open.execute(select).mappings().all()
    found = [(row["id"], _finding(row)) for row in rows[:limit]]
    return found, found[-1][0] if len(rows) > limit else 0


def finding_of(ctx: Context, number: int, place: int) -> Finding:
    """One finding. Raises NotFound."""
    with ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(finding).where(finding.c.replay == number, finding.c.id == place)).mappings().one_or_none()
    if row is None:
        raise NotFound("unknown_replay", id=number)
    return _finding(row)


def _terms(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.verdict:
        yield finding.c.verdict == wanted.verdict
    if wanted.owner is not None:
        yield finding.c.owner == wanted.owner if wanted.owner else finding.c.owner.is_(None)
    if wanted.day:
        yield finding.c.day == wanted.day
    if wanted.record is not None:
        yield finding.c.record == wanted.record
    if wanted.approximate:
        yield finding.c.doubts.is_not(None)


def _finding(row: Any) -> Finding:
    told: dict[str, Any] = {name: row[name] for name in ("record", "at", "why", "verdict", "owner", "person", "run", "did_at")}
    more: dict[str, Any] = {name: row[name] or "" for name in ("refusal", "reason")}
    return Finding(**told, **more, condition=row["condition"] or {}, steps=row["steps"] or {}, doubts=tuple(row["doubts"] or ()))
