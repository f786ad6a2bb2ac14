"""Occasions that time brought: values of due fields whose instants passed in the span, ticks of a schedule. Each is judged where it would have run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import cron
from engine.errors import Invalid
from engine.expressions.language import Expression
from engine.expressions.zones import midnight
from engine.records.rewinding import LAST, Position
from engine.replay_log import Did, Key, Log, Moments, due_key, marks_before, tick_key
from engine.replay_looking import Desk, Occasion, Verdict
from engine.replay_saves import records_saved
from engine.rules.reads import expressions_of
from engine.scope import engine_select
from engine.system_tables import setting_value
from engine.timed_windows import Window, as_instant, calendar_of, due_at, holidays_of, windows_of

if TYPE_CHECKING:
    from engine.records.work import Row

Found = tuple[Verdict, Did | None]
#: Most (record, tick) pairs that one replay looks at.
MOST_LOOKS = 500_000


@dataclass(frozen=True, slots=True)
class _Span:
    """A value a due field had. ``since`` None: already before the replay's span; ``until`` exclusive."""

    value: datetime
    since: datetime | None
    until: datetime


class _Timed:
    """What both kinds need of one replay. ``known``: whether the rule was there when the span began (a changed one counts as if it had been)."""

    def __init__(self, desk: Desk, log: Log, known: bool) -> None:
        self.desk, self.log, self.known = desk, log, known
        self.moments = Moments(desk.ctx)
        self.rule, self.question = desk.rule, desk.question
        conditions = [term for term in (self.rule.condition, self.rule.trigger.where) if isinstance(term, Expression)]
        self.volatile = any(term.volatile or _reads_volatile(desk, term) for term in conditions)
        self.links = {path[0] for term in conditions for path in term.reads if len(path) > 1 and desk.entity is not None and path[0] in desk.entity.fields}
        self.settings = sorted(_settings_set(desk)) if not self.question.today else []

    def own(self, did: Did) -> Position:
        """Where a run stood: before everything it wrote."""
        return Position(did.at, 0, self.moments.before_run(did))


class Dues(_Timed):
    """The occasions of a due rule."""

    def __init__(self, desk: Desk, log: Log, known: bool) -> None:
        super().__init__(desk, log, known)
        self.windows = list(windows_of(desk.workspace, self.rule))
        self.marks = marks_before(desk.ctx, self.rule.key, self.question.since)

    def records(self) -> list[int]:
        """Records that may have fallen due in the span: written in it, or with a value that was due in it or before."""
        entity, found = self.desk.entity, set(records_saved(self.desk))
        if entity is None:
            return []
        still = not (self.volatile or self.links or self.settings or self.rule.trigger.repeat or self.rule.trigger.calendar)
        for window in self.windows:
            column = window.field.column
            assert column is not None
            select = engine_select(entity, entity.table.c.id)
            if window.field.key not in self.desk.anew.get(entity.key, ()):
                select = select.where(column.is_not(None))
                if not self.rule.trigger.calendar:
                    select = select.where(column < self._bound(window, self.question.until))
                if still:
                    select = select.where(column >= self._bound(window, self.question.since))
            found.update(self.desk.ctx.open.execute(select).scalars())
        return sorted(found)

    def _bound(self, window: Window, moment: datetime) -> Any:
        """The value that is due at a moment; of a date the day after, so that none is missed."""
        value = moment - timedelta(seconds=window.shift)
        return value.astimezone(self.desk.workspace.timezone).date() + timedelta(days=1 if moment == self.question.until else -1) if window.by_day else value

    def of(self, records: Sequence[int]) -> Iterator[Found]:
        """What would have fallen due for these records, with the run it was."""
        self.desk.library.load(self.rule.entity, records)
        for record in records:
            for window in self.windows:
                for span in self._spans(record, window):
                    yield from self._fired(record, window, span)
            yield from self._passing(record)

    def _passing(self, record: int) -> Iterator[Found]:
        """Runs for values that came and went at one instant, as they may in a sandbox whose clock stands still."""
        for did in self.log.of_record(record):
            position = self.own(did)
            row = self.desk.work(did.at, None, position).row(self.rule.entity, record) or {}
            for window in self.windows:
                kept = row.get(window.field.key)
                value = None if kept is None else as_instant(self.desk.context(did.at, None), kept)
                if value is not None and due_key(record, window.field.key, window.shift, value) == did.key:
                    verdict = self._at_run(record, window, did.key, did)
                    if verdict.judged.holds:
                        yield verdict, did

    # --- values and when they held ----------------------------------------------------------------------------------------------------------

    def _instants(self, entity: str, record: int) -> list[datetime]:
        found = {entry.at for entry in self.desk.library.past(entity, record).entries}
        return sorted(at for at in found if self.question.since < at < self.question.until)

    def _row(self, record: int, at: datetime) -> Row | None:
        if self.desk.anew:
            return self.desk.work(at, None, Position(at)).row(self.rule.entity, record)
        return self.desk.library.past(self.rule.entity, record).as_of(Position(at))

    def _spans(self, record: int, window: Window) -> Iterator[_Span]:
        """The values of a field one after the other."""
        starts = [self.question.since, *self._instants(self.rule.entity, record)]
        begun: datetime | None = None
        value: datetime | None = None
        for number, at in enumerate(starts):
            row = self._row(record, at)
            kept = row.get(window.field.key) if row is not None and row["deleted_at"] is None else None
            now = None if kept is None else as_instant(self.desk.context(at, None), kept)
            if number and now == value:
                continue
            if value is not None:
                yield _Span(value, begun, at)
            begun, value = at if number else None, now
        if value is not None:
            yield _Span(value, begun, self.question.until)

    def _fired(self, record: int, window: Window, span: _Span) -> Iterator[Found]:
        """The runs of one value and shift: the first moment from its instant on at which the condition holds; again and again where the rule repeats."""
        ctx = self.desk.context(span.until, None)
        due, end = due_at(ctx, window, span.value), span.until
        if window.following is not None and (following := due_at(ctx, replace(window, shift=window.following, following=None), span.value)) is not None:
            end = min(end, following)
        key = due_key(record, window.field.key, window.shift, span.value)
        dids = [did for did in self.log.standing(key) if (span.since is None or did.at >= span.since) and did.at <= span.until]
        if due is None:
            return
        begin = self._begin(record, window, span, due, key, dids)
        repeat = timedelta(seconds=self.rule.trigger.repeat)
        while begin is not None:
            verdict = self._first(record, window, key, begin, end)
            did = dids.pop(0) if dids else None
            if verdict is None and did is not None:
                verdict = self._at_run(record, window, key, did)
            if verdict is None:
                return
            ran = did.at if did is not None else verdict.occasion.at
            self.marks[key[:-1]] = (span.value, ran)
            yield verdict, did
            begin = ran + repeat if repeat else None

    def _begin(self, record: int, window: Window, span: _Span, due: datetime, key: Key, dids: Sequence[Did]) -> datetime | None:
        """From when on a value is looked at; None when it was settled before the span."""
        since, repeat = self.question.since, timedelta(seconds=self.rule.trigger.repeat)
        value, ran = self.marks.get(key[:-1], (None, since))
        if value == span.value:
            return max(ran + repeat, span.since or since) if repeat else None
        if span.since is not None or due >= since:
            return max(due, span.since or since)
        if dids or not self.known or not self._judged(record, window, key, since).judged.holds:
            return since
        self.marks[key[:-1]] = (span.value, due)
        return since + (due - since) % repeat if repeat else None

    def _first(self, record: int, window: Window, key: Key, begin: datetime, end: datetime) -> Verdict | None:
        """The first moment from ``begin`` on, before ``end``, at which the rule would have run."""
        for at in self._candidates(record, begin, min(end, self.question.until)):
            verdict = self._judged(record, window, key, at)
            if verdict.judged.holds:
                return replace(verdict, doubts=(*verdict.doubts, "time")) if self.volatile and at > begin else verdict
        return None

    def _candidates(self, record: int, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The moments at which the condition may begin to hold."""
        if begin >= end:
            return
        yield begin
        found = set(self._instants(self.rule.entity, record)) | set(self.settings)
        row = self._row(record, begin) or {}
        for link in self.links:
            target = self.desk.entity.fields[link].target if self.desk.entity is not None else ""
            if target and isinstance(row.get(link), int):
                found.update(self._instants(target, row[link]))
        if self.volatile:
            found.update(self._midnights(begin, end))
        yield from sorted(at for at in found if begin < at < end)

    def _midnights(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        zone = self.desk.workspace.timezone
        day = begin.astimezone(zone).date() + timedelta(days=1)
        while (at := midnight(day, zone)) is not None and at < end:
            yield at
            day += timedelta(days=1)

    def _judged(self, record: int, window: Window, key: Key, at: datetime) -> Verdict:
        return self.desk.verdict(Occasion(record, at, "due", Position(at), key, due=window.field.key))

    def _at_run(self, record: int, window: Window, key: Key, did: Did) -> Verdict:
        return self.desk.verdict(Occasion(record, did.at, "due", self.own(did), key, did.person, due=window.field.key))


class Ticks(_Timed):
    """The occasions of a cron rule."""

    def __init__(self, desk: Desk, log: Log, known: bool) -> None:
        super().__init__(desk, log, known)
        self.ticks = list(self._all())

    def _all(self) -> Iterator[datetime]:
        """The ticks of the span, those inside the rule's calendar where it has one."""
        zone = self.desk.workspace.timezone
        for tick in cron.read(self.rule.trigger.cron).between(self.question.since, self.question.until, zone):
            ctx = self.desk.context(tick, None) if self.rule.trigger.calendar else self.desk.ctx
            calendar = calendar_of(ctx, self.rule)
            if calendar is None or calendar.open_at(tick, zone, holidays_of(ctx)) == tick:
                yield tick

    def records(self) -> list[int]:
        """Every record there was in the span; 0 for a rule without one. Raises Invalid when there is too much to look at."""
        entity = self.desk.entity
        if entity is None:
            self._bounded(1)
            return [0]
        there = sa.or_(entity.table.c.deleted_at.is_(None), entity.table.c.deleted_at >= self.question.since)
        select = engine_select(entity, entity.table.c.id, deleted=True).where(entity.table.c.created_at < self.question.until, there)
        found = list(self.desk.ctx.open.execute(select.order_by(entity.table.c.id)).scalars())
        self._bounded(len(found))
        return found

    def _bounded(self, records: int) -> None:
        if records * len(self.ticks) > MOST_LOOKS:
            raise Invalid("replay_too_much", records=records, ticks=len(self.ticks), limit=MOST_LOOKS)

    def of(self, records: Sequence[int]) -> Iterator[Found]:
        """What the ticks would have run for, with the run it was."""
        still = self.desk.entity is not None and not self.links and not any(term.volatile for term in expressions_of(self.rule)) and not self.volatile
        if self.desk.entity is not None:
            self.desk.library.load(self.rule.entity, records)
        for record in records:
            last: tuple[object, Verdict] | None = None
            for tick in self.ticks:
                place = self._place(record, tick)
                dids = self.log.standing(tick_key(tick, record))
                if last is not None and still and last[0] == place and not dids:
                    verdict = replace(last[1], occasion=replace(last[1].occasion, at=tick, key=tick_key(tick, record)))
                else:
                    verdict = self._at(record, tick, dids)
                    last = None if dids else (place, verdict)
                yield verdict, dids[0] if dids else None

    def _place(self, record: int, tick: datetime) -> object:
        """Between two of these nothing changes that a rule reads which reads its own record and settings only."""
        past = self.desk.library.past(self.rule.entity, record) if record else None
        return (past.count(Position(tick)) if past is not None else 0), bisect_right(self.settings, tick)

    def _at(self, record: int, tick: datetime, dids: Sequence[Did]) -> Verdict:
        position = self.own(dids[0]) if dids else Position(tick, 0, self._before_dues(tick))
        at = dids[0].at if dids else tick
        found = self.desk.verdict(Occasion(record or None, at, "tick", position, tick_key(tick, record)))
        return replace(found, occasion=replace(found.occasion, at=tick))

    def _before_dues(self, tick: datetime) -> int:
        """Ticks run before what falls due at the same instant."""
        due = {key for key, rule in self.desk.book.rules.items() if rule.trigger.kind == "due"}
        return next((entry.id for entry in self.moments.at(tick) if entry.chain and entry.chain[0] in due), LAST)


def _reads_volatile(desk: Desk, term: Expression) -> bool:
    return desk.entity is not None and any((item := desk.entity.fields.get(name)) is not None and item.volatile for name in term.fields)


def _settings_set(desk: Desk) -> Iterator[datetime]:
    """When values of settings came into force in the span."""
    column = setting_value.c.in_force_from
    select = sa.select(column).where(column >= desk.question.since, column < desk.question.until)
    yield from desk.ctx.open.execute(select).scalars()
