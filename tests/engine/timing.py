"""A small workspace for what falls due: bookings with an instant, a date and a state, and runs that only leave their row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from engine.actors import enter_as
from engine.context import Context
from engine.jobs import table_for
from engine.records import service
from engine.records.record import ANY, RunResult
from engine.records.runs import Asked, Runs
from engine.rehearsal import Ran, advance
from engine.rule_jobs import RuleJobs
from engine.rules.book import CompiledRule, RuleBook, Trigger
from engine.storage import EPOCH
from engine.surroundings import evaluator_of
from engine.system_tables_rules import due_done, run
from engine.timed import Source, due_source, sweep
from engine.timed_cron import cron_source, run_ticks
from engine.timed_settings import KIND as SETTINGS_KIND
from engine.timed_settings import SOURCE as SETTINGS
from engine.worker import Worker
from tests.engine.homes import Homes, Place, small_place

OPEN = {"mon-fri": ["09:00-12:00", "14:00-18:00"]}
BOOKING: dict[tuple[str, str], Any] = {
    ("settings", "settings"): {
        "factor": {"type": "integer", "default": 2, "title": {"zh": "系数"}},
        "least": {"type": "integer", "default": 0, "title": {"zh": "下限"}},
        "hours": {"type": "calendar", "default": OPEN, "title": {"zh": "时间"}},
    },
    ("entity", "booking"): {
        "title": {"zh": "预约"},
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": {"zh": "名称"}},
            "at": {"type": "instant", "title": {"zh": "时刻"}},
            "day": {"type": "date", "title": {"zh": "日期"}},
            "state": {"type": "text", "title": {"zh": "状态"}},
            "size": {"type": "integer", "title": {"zh": "大小"}},
            "weight": {"type": "formula", "value": "size * setting.factor", "title": {"zh": "重量"}},
        },
    },
}


def local(text: str) -> datetime:
    """An instant by the clock of Shanghai: ``2026-03-02 09:30``."""
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


@dataclass
class Timing:
    """A workspace with rules put together by hand. ``effects``: what a rule does to its record; raising refuses or fails."""

    place: Place
    rules: dict[str, CompiledRule] = field(default_factory=dict)
    effects: dict[str, Callable[[Context, Mapping[str, Any]], None]] = field(default_factory=dict)

    @property
    def ctx(self) -> Context:
        return enter_as(self.place.home, self.place.name, "clock")

    @property
    def book(self) -> RuleBook:
        due = tuple(rule for rule in self.rules.values() if rule.trigger.kind == "due")
        return RuleBook(self.rules, due=due, cron=tuple(rule for rule in self.rules.values() if rule.trigger.kind == "cron"))

    def sources(self) -> tuple[Source, ...]:
        return SETTINGS, cron_source(lambda _: self.book), due_source(lambda _: self.book)

    def due(self, key: str, *fields: str, holds: str = "", shifts: tuple[int, ...] = (0,), repeat: int = 0, calendar: str = "") -> CompiledRule:
        """A due rule of bookings."""
        condition = self.place.workspace.expression("booking", holds, "boolean", ()) if holds else True
        trigger = Trigger("due", entity="booking", due=fields, shifts=shifts, repeat=repeat, calendar=calendar)
        self.rules[key] = CompiledRule(key, key, trigger, "booking", condition, ())
        return self.rules[key]

    def cron(self, key: str, cron: str, *, each: str = "", where: str = "", calendar: str = "") -> CompiledRule:
        """A cron rule."""
        term = self.place.workspace.expression(each, where, "boolean", ()) if where else None
        self.rules[key] = CompiledRule(key, key, Trigger("cron", entity=each, cron=cron, where=term, calendar=calendar), each, True, ())
        return self.rules[key]

    def make(self, **values: Any) -> int:
        """A booking."""
        given = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
        return service.create(self.ctx, "booking", given).id

    def change(self, record: int, **values: Any) -> None:
        service.update(self.ctx, "booking", record, {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}, ANY)

    def worker(self) -> Worker:
        kind = RuleJobs(lambda ctx, whole: HandMade(self)).kind()
        return Worker(self.place.home, {kind.name: kind, SETTINGS_KIND.name: SETTINGS_KIND})

    def drain(self) -> int:
        """Run the jobs of this workspace."""
        return self.worker().drain(self.place.name)

    def sweep(self) -> int:
        return sweep(self.ctx, self.book)

    def tick(self) -> int:
        return run_ticks(self.ctx, self.book)

    def go(self, to: datetime | str) -> list[Ran]:
        """Move the clock, running what falls due."""
        return advance(self.place.home, self.place.name, local(to) if isinstance(to, str) else to, self.worker(), self.sources()).ran

    def run(self, ctx: Context, asked: Asked) -> RunResult:
        """One run: its condition asked again, its effects, its row."""
        key, record, occurrence, job = asked.rule, asked.record, asked.occurrence, asked.job
        rule = self.rules[key]
        row = self.row(ctx, record) if record is not None and rule.entity == "booking" else {}
        if rule.condition is not True:
            select = sa.select(run.c.id).where(run.c.rule == key, run.c.occurrence == occurrence)
            if ctx.open.execute(select).first() is not None or not self.holds(ctx, rule, row):
                return RunResult("skipped", why="if")
        if key in self.effects:
            self.effects[key](ctx, row)
        words = {"version": 1, "settings": 1, "trigger": rule.trigger.kind, "entity": rule.entity or None, "record": record, "at": ctx.now, "state": "done"}
        ctx.open.execute(run.insert().values(rule=key, occurrence=occurrence, job=job, **words))
        return RunResult("done")

    def holds(self, ctx: Context, rule: CompiledRule, row: Mapping[str, Any]) -> bool:
        return evaluator_of(ctx).truth(rule.condition, row)  # type: ignore[arg-type]

    def row(self, ctx: Context, record: int) -> dict[str, Any]:
        table = ctx.workspace.entities["booking"].table
        found = ctx.open.execute(sa.select(table).where(table.c.id == record), execution_options={"scoped": True}).mappings().one()
        return dict(found)

    def runs(self, *columns: Any) -> list[Any]:
        """What ran, in order: (rule, record) or the columns."""
        with self.place.workspace.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*(columns or (run.c.rule, run.c.record))).order_by(run.c.id))]

    def marks(self) -> list[tuple[Any, ...]]:
        """(rule, record, shift, times) of what is settled."""
        columns = (due_done.c.rule, due_done.c.record, due_done.c.shift, due_done.c.times)
        with self.place.workspace.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*columns).where(due_done.c.value != EPOCH).order_by(*columns))]

    def waiting(self) -> list[dict[str, Any]]:
        """Arguments of the jobs that wait, in the order they will run."""
        table = table_for(self.place.workspace.database.dialect)
        select = sa.select(table.c.args).where(table.c.workspace == self.place.name, table.c.queue == "waiting").order_by(table.c.run_at, table.c.id)
        with self.place.workspace.database.read() as connection:
            return list(connection.execute(select).scalars())


class HandMade(Runs):
    """Runs of the rules put together by hand."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing

    def expect(self, asked: Sequence[Asked]) -> None:
        """Nothing is asked ahead."""

    def run(self, ctx: Context, asked: Asked) -> RunResult:
        return self._timing.run(ctx, asked)

    def finish(self) -> None:
        """Rows are written at once."""


def timing(homes: Homes, kind: str, **changes: Any) -> Timing:
    """A workspace at 2026-03-01 11:00 in Shanghai, a Sunday."""
    return Timing(small_place(homes.home(kind), changes=BOOKING | changes))
