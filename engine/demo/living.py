"""What the description's people do, done: through the one writer, under their own rights, at the moment said; then everything that has fallen due since."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import cron
from engine.actors import enter_as, enter_id
from engine.background import SOURCES, kinds, worker_of
from engine.clock import read_state
from engine.demo.deeds import APPROVE, CREATE, DUE, REJECT, RETURN, SETTLE, UPDATE, WITHDRAW, Deed
from engine.errors import NotFound, Refusal
from engine.fields.values import link_id
from engine.jobs import JobKind, JobRun
from engine.records import asks_deciding, query, service
from engine.records.filters import literal
from engine.records.record import ANY
from engine.rule_jobs import JOB as RULE_JOB
from engine.rules.compile import rule_book
from engine.rules.effects import Handle
from engine.system_tables_rules import ask, ask_person, schedule
from engine.timed_cron import run_ticks
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.context import Context
    from engine.home import Home

#: How often what falls due may make more due: what is left then is the server's.
_TURNS = 20


class Stored:
    """Reads what stands in the workspace, for recipes."""

    def __init__(self, home: Home, workspace: str) -> None:
        self._home, self._workspace = home, workspace

    def value(self, entity: str, record: int, name: str) -> Any:
        """A stored value, links as ids."""
        try:
            found = query.get(self._ctx(), entity, record, (name,), lines=False).get(name)
        except NotFound:
            return None
        number = link_id(found)
        return found if number is None or isinstance(found, bool | int | float | str) else number

    def find(self, entity: str, where: Mapping[str, Any], sort: str) -> int | None:
        """The first record with these values; a list means any of them, nothing means empty."""
        terms = tuple(_term(name, value) for name, value in where.items())
        found = query.page(self._ctx(), query.Query(entity, where=terms, sort=(sort,) if sort != "id" else (), fields=(), limit=1)).items
        return found[0]["id"] if found else None

    def _ctx(self) -> Context:
        return enter_as(self._home, self._workspace, "demo")


def _term(name: str, value: Any) -> str:
    if value is None:
        return f"empty({name})"
    if isinstance(value, list):
        return f"{name} in ({', '.join(literal(item) for item in value)},)"
    return f"{name} == {literal(value)}"


class Doing:
    """Does deeds. ``told_refused(entity.verb, refusal)`` hears of what the definitions refuse; such a deed gives None."""

    def __init__(self, home: Home, workspace: str, told_refused: Callable[[str, Refusal], None]) -> None:
        self._home, self._workspace, self._told_refused = home, workspace, told_refused

    def __call__(self, deed: Deed) -> int | None:
        """The id of the record made or acted on; None when it was refused, or when there is no record to do it with."""
        if deed.verb == SETTLE:
            worker_of(self._home).settle(self._workspace)
        elif deed.verb == DUE:
            _catch_up(self._home, self._workspace)
        elif deed.verb == CREATE or deed.record is not None:
            return self._tried(deed)
        return None

    def _tried(self, deed: Deed) -> int | None:
        try:
            return self._do(deed)
        except Refusal as refusal:
            self._told_refused(f"{deed.entity}.{deed.verb}", refusal)
            return None

    def _do(self, deed: Deed) -> int:
        record = deed.record or 0
        number = self._asked(deed.entity, record) if deed.verb in _ANSWERS else None
        ctx = self._ctx(deed.person if number is None or deed.person is not None else self._whom(number, deed.verb))
        values = {name: value for name, value in deed.values.items() if value is not None}

        def work(ctx: Context) -> int:
            if number is not None:
                _ANSWERS[deed.verb](ctx, number, deed.opinion or "", values)
                return record
            if deed.verb == CREATE:
                return service.create(ctx, deed.entity, values, confirmed=deed.confirm).id
            if deed.verb == UPDATE:
                return service.update(ctx, deed.entity, record, values, ANY, confirmed=deed.confirm).id
            acted = service.act(ctx, deed.entity, record, deed.verb, values, confirmed=deed.confirm)
            return acted.result.id if isinstance(acted.result, Handle) else record

        return ctx.workspace.database.transact(lambda connection: work(_at(ctx, connection, deed.at)))

    def _ctx(self, person: int | None) -> Context:
        return enter_id(self._home, self._workspace, person) if person is not None else enter_as(self._home, self._workspace, "demo")

    def _asked(self, entity: str, record: int) -> int:
        """The newest approval that waits about a record."""
        about = sa.or_(sa.and_(ask.c.about_entity == entity, ask.c.about == record), sa.and_(ask.c.entity == entity, ask.c.record == record))
        return self._first(sa.select(ask.c.id).where(about, ask.c.state == "open").order_by(ask.c.id.desc()), entity)

    def _whom(self, number: int, verb: str) -> int:
        """Whoever is asked first; for taking it back whoever asked."""
        if verb == WITHDRAW:
            return self._first(sa.select(ask.c.person).where(ask.c.id == number), "ask")
        return self._first(sa.select(ask_person.c.person).where(ask_person.c.ask == number, ask_person.c.state == "open").order_by(ask_person.c.seq), "ask")

    def _first(self, select: sa.Select[Any], entity: str) -> int:
        with self._home.database_of(self._workspace).read() as connection:
            found = connection.execute(select.limit(1)).scalar()
        if found is None:
            raise NotFound("unknown_ask", id=entity)
        return int(found)


_ANSWERS: Mapping[str, Callable[[Context, int, str, Mapping[str, object]], object]] = {
    APPROVE: lambda ctx, number, opinion, values: asks_deciding.decide(ctx, number, True, opinion=opinion, values=values),
    REJECT: lambda ctx, number, opinion, values: asks_deciding.decide(ctx, number, False, opinion=opinion, values=values),
    RETURN: lambda ctx, number, opinion, values: asks_deciding.give_back(ctx, number, opinion),
    WITHDRAW: lambda ctx, number, opinion, values: asks_deciding.withdraw(ctx, number),
}


def _at(ctx: Context, connection: sa.Connection, moment: datetime | None) -> Context:
    """The context in a transaction that takes the moment for the workspace's now; never a moment to come."""
    state = read_state(connection)
    return ctx.within(connection, state if moment is None or moment > state.now else replace(state, now=moment))


def _catch_up(home: Home, workspace: str) -> None:
    """Leave the workspace as a server that had been running would: each round of a clock made once, at its latest time and as of it, and all that is due done."""
    worker = worker_of(home)
    for rule, tick in _ticks(home, workspace):
        with enter_as(home, workspace, "clock").writing() as inner:
            inner.open.execute(sa.update(schedule).where(schedule.c.rule == rule).values(next_at=tick))
        run_ticks(enter_as(home, workspace, "clock"), rule_book(enter_as(home, workspace, "clock").workspace))
        Worker(home, _kinds_at(tick)).settle(workspace)
    for _ in range(_TURNS):
        asked = sum(source.run(enter_as(home, workspace, "clock")) for source in SOURCES)
        if not worker.settle(workspace) and not asked:
            return


def _ticks(home: Home, workspace: str) -> list[tuple[str, datetime]]:
    """The latest time of each round of a clock, the earliest first; all of them stand in the schedule afterwards."""
    ctx = enter_as(home, workspace, "clock")
    book = rule_book(ctx.workspace)
    run_ticks(ctx, book)
    found = [(rule.key, tick) for rule in book.cron if (tick := cron.read(rule.trigger.cron).until(ctx.now, ctx.workspace.timezone)) is not None]
    return sorted(found, key=lambda item: (item[1], item[0]))


def _kinds_at(moment: datetime) -> dict[str, JobKind]:
    """The kinds of jobs with rules run as of a moment."""
    found = kinds()
    rules = found[RULE_JOB]
    prepare = rules.prepare
    assert prepare is not None

    def begin(connection: sa.Connection, runs: Sequence[JobRun]) -> object:
        batch: Any = prepare(connection, runs)
        return replace(batch, ctx=replace(batch.ctx, now=moment), state=replace(batch.state, now=moment))

    return {**found, RULE_JOB: replace(rules, prepare=begin)}
