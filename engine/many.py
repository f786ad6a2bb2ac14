"""One thing done to many records: each by itself, with its person's rights; a few at once, more of them as a job that shows how far it is.

A refused record never stops the others. Killed half-way, the job goes on exactly behind the last record it did.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import orjson

from engine import jobs
from engine.actors import actor_behind, enter_as
from engine.clock import read_state
from engine.errors import Conflict, NotFound, Refusal
from engine.jobs import JobKind, JobRun, JobState, LeaseLost
from engine.messages import told_together
from engine.records import service
from engine.records.record import ANY

if TYPE_CHECKING:
    from engine.context import Context

log = logging.getLogger("tangram.jobs")

JOB = "many"
#: Records that one request does while its person waits; more of them become a job.
AT_ONCE = 20
#: Records that may be chosen for one job.
MOST = 10_000
#: Refused records kept by name; beyond that they are counted.
NAMED = 200


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to each record of ``entity``. ``verb``: act (the button ``name``, ``raw`` its parameters), set (``raw`` the values) or delete.

    ``confirmed``: codes of soft refusals the person goes on against.
    """

    entity: str
    verb: Literal["act", "set", "delete"]
    name: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
    confirmed: tuple[str, ...] = ()

    def on(self, ctx: Context, record: int) -> None:
        """Do it to one record. Raises any refusal."""
        if self.verb == "act":
            service.act(ctx, self.entity, record, self.name, self.raw, confirmed=self.confirmed)
        elif self.verb == "set":
            service.update(ctx, self.entity, record, self.raw, ANY, confirmed=self.confirmed)
        else:
            service.delete(ctx, self.entity, record, ANY)


@dataclass(slots=True)
class Tally:
    """How it stands: records done, refused ones counted, the first of them with the reason in its person's language.

    ``soft``: records whose refusal the person may go on against, ``codes`` by which.
    """

    total: int
    done: int = 0
    refused: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    soft: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def note(self, record: int, refusal: Refusal, locale: str) -> None:
        """Count a refused record."""
        self.refused += 1
        if len(self.reasons) < NAMED:
            self.reasons.append((record, told_together(refusal, locale)))
        if refusal.soft_codes:
            self.soft.append(record)
            self.codes = list(dict.fromkeys([*self.codes, *refusal.soft_codes]))

    @property
    def through(self) -> int:
        """How many records have been seen to."""
        return self.done + self.refused


def at_once(ctx: Context, step: Step, records: Sequence[int]) -> Tally:
    """Do it to a few records now, each in a transaction of its own."""
    tally = Tally(len(records))
    for record in records:
        try:
            step.on(ctx, record)
            tally.done += 1
        except Refusal as refusal:
            tally.note(record, refusal, ctx.locale)
        except Exception:
            tally.note(record, _mistake(step, record), ctx.locale)
    return tally


def _mistake(step: Step, record: int) -> Refusal:
    """What a mistake of the program did to one record of many, logged where it is handled: the others are not to pay for it."""
    log.exception("%s %s of %s %s failed", step.verb, step.name, step.entity, record)
    return Conflict("record_failed")


def start(ctx: Context, step: Step, records: Sequence[int]) -> int:
    """Ask for it as a job of this person; gives the job's id. What was typed is kept sealed."""
    sealed = ctx.workspace.cipher.seal(orjson.dumps(asdict(step), default=str).decode(), JOB)
    args = {"step": sealed, "records": list(records), "locale": ctx.locale}
    with ctx.writing() as inner:
        return jobs.put(inner.open, ctx.workspace.name, JOB, args, person=ctx.actor.person_id)


def find(ctx: Context, job: int) -> tuple[JobState, Step, Tally]:
    """A job of this person and how it stands. Raises NotFound for anybody else's."""
    state = jobs.find(ctx.workspace.database, ctx.workspace.name, job)
    if state.name != JOB or state.person is None or state.person != ctx.actor.person_id:
        raise NotFound("unknown_job", id=job)
    return state, _opened(ctx, state.args), _tally(state.args, state.progress)


def _opened(ctx: Context, args: Mapping[str, Any]) -> Step:
    given = orjson.loads(ctx.workspace.cipher.open(args["step"], JOB))
    return Step(**{**given, "confirmed": tuple(given["confirmed"])})


def _tally(args: Mapping[str, Any], progress: Mapping[str, Any]) -> Tally:
    kept = progress.get("tally") or {}
    return Tally(**{**kept, "reasons": [tuple(one) for one in kept.get("reasons", ())], "total": len(args["records"])})


def _progress(tally: Tally) -> dict[str, Any]:
    return {"done": tally.through, "total": tally.total, "tally": asdict(tally)}


def run(job: JobRun) -> Mapping[str, Any]:
    """Go through the records from where the last attempt got to; what a record gets and that it got it stand or fall together."""
    ctx = replace(enter_as(job.home, job.workspace, "clock", locale=job.args["locale"]), background=True)
    step, records, tally = _opened(ctx, job.args), job.args["records"], _tally(job.args, job.progress)

    for record in records[tally.through :]:

        def one(connection: Any, record: int = record) -> None:
            inner = ctx.within(connection)
            step.on(replace(inner, actor=actor_behind(inner, read_state(connection), job.person)), record)
            job.checkpoint(connection, _progress(replace(tally, done=tally.done + 1)))

        try:
            ctx.workspace.database.transact(one, background=True)
            tally.done += 1
        except Refusal as refusal:
            if refusal.passing:
                raise
            tally.note(record, refusal, ctx.locale)
            job.tell(_progress(tally))
        except LeaseLost:
            raise
        except Exception:
            tally.note(record, _mistake(step, record), ctx.locale)
            job.tell(_progress(tally))
    return _progress(tally)


KIND = JobKind(JOB, run)
