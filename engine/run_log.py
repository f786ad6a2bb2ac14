"""What rules did, read from the table of runs: pages by rule, record, person, state and time, one run whole, sums by rule. Changes nothing.

Who may see which of it is decided where it is shown: a run's values belong to the record and fields they came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import NotFound
from engine.system_tables_rules import run

if TYPE_CHECKING:
    from engine.context import Context

STATES = ("done", "refused", "failed", "skipped")
PAGE = 50


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a rule. ``cause``: the rules that led to it, itself last; ``micros``: how long it took; ``job``: what asked for it, if a job did."""

    id: int
    rule: str
    version: int
    settings: int
    trigger: str
    entity: str
    record: int | None
    at: datetime
    person: int | None
    cause: tuple[str, ...]
    state: str
    condition: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)
    micros: int = 0
    job: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs: everything given must fit. ``until`` is exclusive."""

    rule: str = ""
    state: str = ""
    entity: str = ""
    record: int | None = None
    person: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Runs of one rule by how they ended, when it ran last, and how long a run that went well takes on average."""

    by_state: Mapping[str, int] = field(default_factory=dict)
    last: datetime | None = None
    micros: int = 0


def runs(ctx: Context, wanted: Wanted, before: int = 0, limit: int = PAGE) -> tuple[list[Run], int]:
    """A page of runs, newest first, and the id to go on before (0 at the end)."""
    terms = _terms(wanted)
    if before:
        terms.append(run.c.id < before)
    with ctx.reading() as ctx:
        rows = ctx.open.execute(sa.select(run).where(*terms).order_by(run.c.id.desc()).limit(limit + 1)).mappings().all()
    found = [_run(row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else 0


def _terms(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    columns = run.c
    terms = [columns[name] == value for name, value in (("rule", wanted.rule), ("state", wanted.state), ("entity", wanted.entity)) if value]
    terms += [columns[name] == value for name, value in (("record", wanted.record), ("person", wanted.person)) if value is not None]
    if wanted.since is not None:
        terms.append(columns.at >= wanted.since)
    if wanted.until is not None:
        terms.append(columns.at < wanted.until)
    return terms


def run_of(ctx: Context, number: int) -> Run:
    """One run. Raises NotFound."""
    with ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(run).where(run.c.id == number)).mappings().one_or_none()
    if row is None:
        raise NotFound("unknown_run", id=number)
    return _run(row)


def sums(ctx: Context, since: datetime) -> dict[str, Sums]:
    """What every rule did since an instant."""
    well = sa.func.avg(sa.case((run.c.state == "done", run.c.micros)))
    select = sa.select(run.c.rule, run.c.state, sa.func.count(), sa.func.max(run.c.at), well).where(run.c.at >= since).group_by(run.c.rule, run.c.state)
    found: dict[str, Sums] = {}
    with ctx.reading() as ctx:
        for rule, state, number, last, micros in ctx.open.execute(select):
            known = found.get(rule, Sums())
            newest = last if known.last is None else max(known.last, last)
            found[rule] = Sums({**known.by_state, state: number}, newest, int(micros) if micros is not None else known.micros)
    return found


def last_runs(ctx: Context, entity: str, record: int, rules: Sequence[str]) -> dict[str, Run]:
    """The newest run of each of some rules on one record."""
    newest = sa.select(sa.func.max(run.c.id)).where(run.c.entity == entity, run.c.record == record, run.c.rule.in_(rules)).group_by(run.c.rule)
    with ctx.reading() as ctx:
        return {row["rule"]: _run(row) for row in ctx.open.execute(sa.select(run).where(run.c.id.in_(newest))).mappings()}


def _run(row: sa.RowMapping) -> Run:
    return Run(
        row["id"],
        row["rule"],
        row["version"],
        row["settings"],
        row["trigger"],
        row["entity"] or "",
        row["record"] or None,
        row["at"],
        row["person"],
        tuple(row["cause"] or ()),
        row["state"],
        row["condition"] or {},
        row["steps"] or {},
        row["error"] or {},
        row["micros"] or 0,
        row["job"],
    )
