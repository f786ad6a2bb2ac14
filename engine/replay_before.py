"""Occasions that saves were, for rules before a write: what was proposed is rebuilt from what was saved, by taking out what rules set meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.fields.base import Value
from engine.records.proposal import Proposal
from engine.records.rewinding import Entry, Past, Position
from engine.replay_log import Log, before_key
from engine.replay_looking import Desk, Occasion, Proposed
from engine.replay_saves import Saves
from engine.rules.book import CompiledRule
from engine.rules.compile import rule_book
from engine.system_tables_rules import run

if TYPE_CHECKING:
    from engine.records.work import Row

_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class _Ran:
    """A run of a rule before a write. ``seen``: own fields its condition saw, ``derived`` those that are computed; ``set``: the fields it set."""

    id: int
    rule: str
    chain: tuple[str, ...]
    seen: Mapping[str, Value]
    derived: Mapping[str, Value]
    set: frozenset[str]


class Befores(Saves):
    """The occasions of one rule before a write."""

    def __init__(self, desk: Desk, log: Log) -> None:
        super().__init__(desk, log)
        self._book = rule_book(desk.workspace)
        self._ran: dict[tuple[int, datetime], list[_Ran]] = {}
        self._given: set[int] = set()

    def of(self, records: Sequence[int]) -> Iterator[Occasion]:
        """The occasions of some records, by record and in order."""
        self._ran = self._read(records)
        yield from super().of(records)

    def _of_one(self, record: int, past: Past) -> Iterator[Occasion]:
        for number, entry in enumerate(past.entries):
            if self._asked(entry):
                yield from self._one(past, number)
        yield from self._without_trace(past, record)

    def _one(self, past: Past, number: int) -> Iterator[Occasion]:
        entry, rule = past.entries[number], self._desk.rule
        position, key = Position(entry.at, entry.id - 1, entry.id), before_key(entry.record, entry.at, entry.chain)
        if entry.verb == "delete" and rule.trigger.verb == "delete":
            yield Occasion(entry.record, entry.at, "delete", position, key, entry.person)
        saved = past.after(number + 1)
        if entry.verb not in ("create", "update") or entry.derived or saved is None:
            return
        before = past.after(number) if entry.verb == "update" else None
        runs = self._runs_of(entry, before, saved)
        unset, unknown = _unset(self._not_before(runs, entry.verb), before)
        if rule in self._listening(self._desk.book, entry.verb, before, {**saved, **_unset(runs, before)[0]}) or any(one.rule == rule.key for one in runs):
            why = "stage" if rule.trigger.verb == "stage" else entry.verb
            doubts = ("set_before",) if unknown & self._read_by() else ()
            derived = next((one.derived for one in runs if one.rule == rule.key), {}) if unknown else {}
            proposed = Proposed(before, saved, unset, derived, whole=not unknown)
            yield Occasion(entry.record, entry.at, why, position, key, entry.person, proposed=proposed, doubts=doubts)

    def _listening(self, book: Any, verb: str, before: Row | None, saved: Row) -> Sequence[CompiledRule]:
        """The rules that a write sets off: what rules set before it does not count."""
        desk = self._desk
        assert desk.entity is not None
        desk.listener.book = book
        return desk.listener._before_rules(Proposal(desk.entity, before, saved), verb)

    def _read_by(self) -> set[str]:
        """The own fields the rule's trigger and condition read."""
        rule = self._desk.rule
        return {*rule.trigger.fields, *(path[0] for path in getattr(rule.condition, "reads", ()))}

    # --- what rules did ---------------------------------------------------------------------------------------------------------------------

    def _runs_of(self, entry: Entry, before: Row | None, saved: Row) -> list[_Ran]:
        """The runs that this write set off, of those of its record and moment that no write before it took: one of each rule that listens and whose
        condition saw what was saved."""
        known = [*self._ran.get((entry.record, entry.at), ()), *(self._ran.get((0, entry.at), ()) if entry.verb == "create" else ())]
        free: dict[str, _Ran] = {}
        for one in known:
            if one.id not in self._given and one.chain == entry.chain:
                free.setdefault(one.rule, one)
        written = frozenset(name for one in free.values() for name in one.set)
        entered = {**saved, **_unset(list(free.values()), before)[0]}
        listening = {rule.key for row in (entered, saved) for rule in self._listening(self._book, entry.verb, before, row)}
        found = [
            one for one in free.values() if one.rule in listening and all(saved.get(name) == value for name, value in one.seen.items() if name not in written)
        ]
        self._given.update(one.id for one in found)
        return found

    def _not_before(self, runs: Sequence[_Ran], verb: str) -> list[_Ran]:
        """This rule's own runs, and those of rules that stand after it."""
        order = self._order.before(verb)
        own = order.get(self._desk.rule.key, -1)
        return [one for one in runs if one.rule == self._desk.rule.key or order.get(one.rule, -1) > own]

    def _without_trace(self, past: Past, record: int) -> Iterator[Occasion]:
        """Runs before a write of which history says nothing, or not what set them off: what was entered was set back by rules."""
        for did in self._log.of_record(record):
            own = next((one for one in self._ran.get((record, did.at), ()) if one.id == did.id), None)
            if did.id in self._given or own is None:
                continue
            number = next((at for at, entry in enumerate(past.entries) if entry.at == did.at and entry.chain == own.chain and _is_entered(entry)), None)
            if number is not None:
                position, before, saved = Position(did.at, past.entries[number].id - 1, past.entries[number].id), past.after(number), past.after(number + 1)
            else:
                position = Position(did.at, 0, self._moments.before_run(did))
                before = saved = past.as_of(position)
            if saved is not None:
                seen = {**_unset([own], before)[0], **own.seen}
                proposed = Proposed(before, saved, seen, own.derived, whole=False)
                yield Occasion(record, did.at, "update", position, did.key, did.person, proposed=proposed, doubts=("set_before",))

    def _read(self, records: Sequence[int]) -> dict[tuple[int, datetime], list[_Ran]]:
        """What rules before a write did to these records, by record (0: of one being made, where the log does not say) and moment."""
        question, found = self._desk.question, dict[tuple[int, datetime], list[_Ran]]()
        columns = (run.c.id, run.c.rule, run.c.record, run.c.at, run.c.cause, run.c.condition, run.c.steps)
        terms = (run.c.entity == self._desk.rule.entity, run.c.trigger == "before", run.c.at >= question.since, run.c.at < question.until)
        for row in self._desk.ctx.open.execute(sa.select(*columns).where(*terms, run.c.record.in_([0, *records])).order_by(run.c.id)):
            seen, derived = self._seen(row.condition or {}, derived=False), self._seen(row.condition or {}, derived=True)
            ran = _Ran(row.id, row.rule, tuple(row.cause or ())[:-1], seen, derived, frozenset(_fields_set(row.steps or {})))
            found.setdefault((row.record, row.at), []).append(ran)
        return found

    def _seen(self, condition: Mapping[str, Any], *, derived: bool) -> dict[str, Value]:
        desk = self._desk
        if desk.entity is None or desk.stored is None:
            return {}
        fields, cipher = desk.entity.fields, desk.workspace.cipher
        return {name: desk.stored.from_history(name, value, cipher) for name, value in condition.items() if name in fields and fields[name].derived is derived}


def _unset(runs: Sequence[_Ran], before: Row | None) -> tuple[dict[str, Value], set[str]]:
    """What the fields were that these runs set, as the first of their conditions saw them, else as they had been before; the latter ones' names."""
    found: dict[str, Value] = {}
    unknown: set[str] = set()
    for name in sorted({name for one in runs for name in one.set}):
        seen = next((one.seen[name] for one in runs if name in one.seen), _UNKNOWN)
        if seen is _UNKNOWN:
            unknown.add(name)
        found[name] = (before or {}).get(name) if seen is _UNKNOWN else seen
    return found, unknown


def _is_entered(entry: Entry) -> bool:
    """Whether a row of history is a save, not what followed from others."""
    return entry.verb in ("create", "update") and not entry.derived


def _fields_set(steps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The fields that the steps of a run wrote into the record being saved."""
    for facts in steps.values():
        if facts.get("did") == "set":
            yield from facts.get("values") or {}
