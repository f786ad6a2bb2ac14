"""Runs of rules as jobs: one run in the transaction that ends its job, failures noted, a rule that fails again and again switched off.

What a run does is the room of rules' business; what falls due timed.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from engine.actors import actor_behind, system_actor
from engine.clock import State, raise_settings_version, read_state
from engine.context import Cause, Context
from engine.database_ready import Ready
from engine.errors import Refusal
from engine.jobs import Ended, JobKind, JobRun
from engine.notices import notify
from engine.records.runs import Asked, Runs
from engine.rules.effects import Notify
from engine.scope import among, ids_value
from engine.storage import EPOCH
from engine.surroundings import active_with_right
from engine.system_tables_rules import due_done, rule_switch
from engine.system_tables_rules import run as run_table

JOB = "rule"
#: Where parameters that came from outside are sealed, so that nobody's telephone lies open among the jobs.
SEALED_PLACE = "job.params"

#: Failures that say something about the rule, besides refusals; the others are the database's state, or another transaction's.
MISTAKES = ("job_failed", "job_killed_worker")
#: The rights of those who can do something about a rule that fails: they are told when it is switched off.
_MENDING = ("design", "settings")


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the runs of one transaction share. ``off``: rules that are switched off, with who did it (None: their failures); ``failing``: those with failures.

    ``runs``: begun for those that stand or fall together.
    """

    ctx: Context
    state: State
    off: Mapping[str, int | None]
    failing: frozenset[str]
    runs: Runs | None = None


@cache
def _switches(dialect: str) -> Ready:
    columns = rule_switch.c
    return Ready(sa.select(columns.rule, columns.off_at, columns.by, columns.failures).where(among(columns.rule, "rules", dialect)))


class RuleOff(Refusal):
    """The rule was switched off for its failures: its jobs wait among those given up on until somebody runs them again."""


@dataclass(frozen=True, slots=True)
class RuleJobs:
    """The kind of job that runs rules. ``runs``: begins some in an open write transaction (``whole``: that goes back as a whole when one of them fails)."""

    runs: Callable[..., Runs] = Runs

    def kind(self) -> JobKind:
        """The kind."""
        return JobKind(JOB, self._run, mode="tx", prepare=self._prepare, together=self._together, ended=self._ended)

    @staticmethod
    def _prepare(connection: sa.Connection, runs: Sequence[JobRun]) -> _Batch:
        state, home, name = read_state(connection), runs[0].home, runs[0].workspace
        workspace = home.standing(name, state) or home.look(name)[0]
        actor = replace(system_actor("clock"), permission_version=state.permission_version)
        ctx = Context(home, workspace, actor, state.now, cause=Cause("system", "clock")).within(connection, state)
        dialect = connection.dialect.name
        switches = _switches(dialect).rows(connection, {"rules": ids_value({run.args["rule"] for run in runs}, dialect)})
        off = {rule: by for rule, off_at, by, _ in switches if off_at is not None}
        return _Batch(replace(ctx, background=True), state, off, frozenset(rule for rule, _, _, failures in switches if failures))

    @contextmanager
    def _together(self, batch: _Batch, jobs: Sequence[JobRun]) -> Iterator[_Batch]:
        runs = self.runs(batch.ctx, whole=len(jobs) > 1)
        runs.expect([_asked(batch.ctx, job) for job in jobs if job.args["rule"] not in batch.off])
        yield replace(batch, runs=runs)
        runs.finish()

    def _run(self, job: JobRun) -> None:
        args, batch = job.args, job.shared
        assert isinstance(batch, _Batch) and batch.runs is not None
        if args["rule"] in batch.off:
            if batch.off[args["rule"]] is None:
                raise RuleOff("rule_off", rule=args["rule"])
            _leave(job)
            return
        ctx = replace(batch.ctx, actor=actor_behind(batch.ctx, batch.state, job.person), cause=Cause("rule", args["rule"]))
        if batch.runs.run(ctx, _asked(ctx, job)).state == "skipped":
            _leave(job)

    def _ended(self, connection: sa.Connection, batch: _Batch, ended: Sequence[Ended]) -> None:
        """Log what failed, count failures in a row, switch off what failed too often."""
        failed = [end for end in ended if end.code and end.code != "rule_off"]
        if failed:
            connection.execute(run_table.insert(), [_failure(batch, end) for end in failed])
        for rule in dict.fromkeys(end.run.args["rule"] for end in ended if end.run.args["rule"] not in batch.off):
            self._count(batch.ctx, rule, [end for end in ended if end.run.args["rule"] == rule], failing=rule in batch.failing)

    def _count(self, ctx: Context, rule: str, ended: Sequence[Ended], *, failing: bool) -> None:
        """``ended`` in order: a run that went well begins the count anew."""
        well = [number for number, end in enumerate(ended) if not end.code]
        since = ended[well[-1] + 1 :] if well else ended
        counted = [end for end in since if end.refused or end.code in MISTAKES]
        if well and failing:
            ctx.open.execute(
                rule_switch.update().where(rule_switch.c.rule == rule, rule_switch.c.failures > 0, rule_switch.c.off_at.is_(None)).values(failures=0)
            )
        if not counted:
            return
        failures = _raised(ctx.open, rule, len(counted))
        if failures >= ctx.home.settings.rule_failures:
            self._switch_off(ctx, rule, failures, counted[-1])

    def _switch_off(self, ctx: Context, rule: str, failures: int, last: Ended) -> None:
        reason = f"rule_failed_often {failures} {last.code}"
        off = rule_switch.update().where(rule_switch.c.rule == rule, rule_switch.c.off_at.is_(None)).values(off_at=ctx.now, by=None, reason=reason)
        done = ctx.open.execute(off)
        if done.rowcount == 0:
            return
        raise_settings_version(ctx.open)
        text = {
            "zh": f"规则 {rule} 连续失败 {failures} 次，已自动停用。最后一次的原因：{last.code}",
            "en": f"The rule {rule} failed {failures} times in a row and was switched off. The last reason: {last.code}",
        }
        notify(ctx, Notify(active_with_right(ctx, *_MENDING), text), rule=rule, run=None, kind="system")


def switch(ctx: Context, rule: str, *, on: bool, reason: str = "") -> None:
    """Switch a rule on (its failures forgotten) or off, in the open transaction or one of its own. What it would have done meanwhile is not made up for."""
    with ctx.writing() as ctx:
        state = {"off_at": None if on else ctx.now, "by": ctx.actor.person_id or 0, "reason": reason or None, "failures": 0}
        done = ctx.open.execute(rule_switch.update().where(rule_switch.c.rule == rule).values(state))
        if done.rowcount == 0:
            ctx.open.execute(rule_switch.insert().values(rule=rule, **state))
        raise_settings_version(ctx.open)


def unsettle(connection: sa.Connection, rule: str, record: int, mark: Mapping[str, Any]) -> None:
    """A due rule did not fire for this value after all: it will when its condition holds again."""
    same = (due_done.c.rule == rule, due_done.c.record == record, due_done.c.field == mark["field"], due_done.c.shift == mark["shift"])
    connection.execute(due_done.update().where(*same, due_done.c.times == mark["times"]).values(value=EPOCH))


def _asked(ctx: Context, job: JobRun) -> Asked:
    args = job.args
    words = {name: args[name] for name in ("params", "due", "old", "chain", "version") if name in args}
    if "sealed" in args:
        words["params"] = orjson.loads(ctx.workspace.cipher.open(args["sealed"], SEALED_PLACE))
    return Asked(args["rule"], args.get("record"), args["occurrence"], job=job.id, **words)


def _leave(job: JobRun) -> None:
    """A run that did nothing: what was due stays so."""
    if "mark" in job.args:
        unsettle(job.open, job.args["rule"], job.args["record"], job.args["mark"])


def _raised(connection: sa.Connection, rule: str, by: int) -> int:
    """Add to the failures in a row; gives how many there are now."""
    raised = rule_switch.update().where(rule_switch.c.rule == rule).values(failures=rule_switch.c.failures + by).returning(rule_switch.c.failures)
    found = connection.execute(raised).scalar_one_or_none()
    if found is None:
        connection.execute(rule_switch.insert().values(rule=rule, failures=by))
        return by
    return int(found)


def _failure(batch: _Batch, end: Ended) -> dict[str, Any]:
    """The row of a failed attempt: no occurrence, so that the next may take it."""
    ctx, args = batch.ctx, end.run.args
    words = _trigger(ctx, args["rule"])
    return {
        "rule": args["rule"],
        "version": ctx.workspace.version,
        "settings": batch.state.settings_version,
        "trigger": next((word for word in ("due", "cron", "intake", "event") if word in words), "later"),
        "entity": _entity_of(words) if args.get("record") is not None else None,
        "record": args.get("record"),
        "at": ctx.now,
        "person": end.run.person,
        "cause": list(args.get("chain", ())) or [args["rule"]],
        "state": "refused" if end.refused else "failed",
        "error": {"code": end.code, "params": _plain(end.params), "attempt": end.run.attempt, "final": end.final},
        "micros": end.micros,
        "job": end.run.id,
    }


def _trigger(ctx: Context, rule: str) -> Mapping[str, Any]:
    definition = ctx.workspace.bundle.rules.get(rule)
    found: Mapping[str, Any] = definition.body["on"] if definition is not None else {}
    return found


def _entity_of(words: Mapping[str, Any]) -> str | None:
    due = words.get("due", "")
    return words.get("entity") or words.get("for_each") or (due if isinstance(due, str) else due[0]).partition(".")[0] or None


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a refusal as JSON can hold them; texts in several languages stay so."""
    return {name: value if isinstance(value, str | int | float | bool | None) or _is_label(value) else str(value) for name, value in params.items()}


def _is_label(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)
