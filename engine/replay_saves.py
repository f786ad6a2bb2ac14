"""Occasions that saves were, for rules after a write: each row of history they listen to, at the position they would have seen. Those before it: replay_before.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from engine.records.record import Change, told_as_one
from engine.records.rewinding import Entry, Past, Position
from engine.replay_log import Log, Moments, at_key, later_key
from engine.replay_looking import Desk, Occasion
from engine.replay_order import Order, change_of
from engine.system_tables import history

CHUNK = 300
#: Principals whose writes set no rules off.
SILENT = frozenset({"demo", "publishing"})


def records_saved(desk: Desk) -> list[int]:
    """The records of the rule's entity that were written in the span."""
    question = desk.question
    select = sa.select(history.c.record).where(history.c.entity == desk.rule.entity, history.c.at >= question.since, history.c.at < question.until)
    return list(desk.ctx.open.execute(select.distinct().order_by(history.c.record)).scalars())


class Saves:
    """The occasions of one rule after or later than a write."""

    def __init__(self, desk: Desk, log: Log) -> None:
        self._desk, self._log = desk, log
        self._moments = Moments(desk.ctx)
        self._order = Order(desk, self._moments)

    @property
    def moments(self) -> Moments:
        """What was written at single moments."""
        return self._moments

    def records(self) -> list[int]:
        """The records that were written in the span, or that the rule ran for."""
        return sorted({*records_saved(self._desk), *self._log.records()})

    def of(self, records: Sequence[int]) -> Iterator[Occasion]:
        """The occasions of some records, by record and in order."""
        desk, entity = self._desk, self._desk.rule.entity
        desk.library.load(entity, records)
        pasts = {one: desk.library.past(entity, one) for one in records}
        self._moments.load(entry.at for past in pasts.values() for entry in past.entries if self._asked(entry))
        self._fetch_linked(pasts)
        for record, past in pasts.items():
            yield from self._of_one(record, past)

    def _asked(self, entry: Entry) -> bool:
        return self._desk.question.since <= entry.at < self._desk.question.until and entry.principal not in SILENT

    def _fetch_linked(self, pasts: Mapping[int, Past]) -> None:
        """What the condition reads over links, read at once instead of one by one."""
        desk = self._desk
        condition = desk.rule.condition
        reads = {path[0] for path in getattr(condition, "reads", ()) if len(path) > 1}
        for name in reads & (desk.entity.fields.keys() if desk.entity is not None else set()):
            target = desk.entity.fields[name].target if desk.entity is not None else ""
            if target:
                states = (past.after(number) for past in pasts.values() for number in range(len(past.entries) + 1))
                desk.library.load(target, {row[name] for row in states if row is not None and isinstance(row.get(name), int)})

    def _of_one(self, record: int, past: Past) -> Iterator[Occasion]:
        told: set[int] = set()
        changes = [change_of(entry) for entry in past.entries]
        for number, entry in enumerate(past.entries):
            if self._asked(entry) and number not in told:
                yield from self._after(past, changes, number, told)

    def _after(self, past: Past, changes: Sequence[Change], number: int, told: set[int]) -> Iterator[Occasion]:
        entry, trigger, listener = past.entries[number], self._desk.rule.trigger, self._desk.listener
        later = trigger.kind == "later"
        bound = self._order.end(entry) if later else self._order.bound(entry)
        position = Position(entry.at, entry.id, bound)
        within = [at for at in range(number, len(changes)) if past.entries[at].at == entry.at and past.entries[at].id < bound]
        change, more = told_as_one([changes[at] for at in within], 0)
        told.update(within[at] for at in more)
        rules = self._desk.book.later if later else self._desk.book.after
        if self._desk.rule not in listener._listening(rules, change):
            return
        kind = change.kind
        key = later_key(entry.record, entry.version, kind, entry.at) if later else at_key(entry.record, entry.at)
        why = "stage" if trigger.verb == "stage" else "later" if later else "update" if kind == "computed" else kind
        yield Occasion(entry.record, entry.at, why, position, key, entry.person, old=change.before)
