"""Runs of rules that jobs, ticks and messages ask for: several share a transaction, and with it rows that are locked, histories and the log of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.database_ready import catch_up
from engine.errors import NotFound
from engine.fields.base import Value
from engine.records.asks_ending import book_of
from engine.records.record import RunResult
from engine.records.ruling_log import RunLog
from engine.records.saving import Saving
from engine.records.values import storage
from engine.records.work import Work
from engine.rules.carrying import revive
from engine.rules.compile import rule_book
from engine.rules.effects import Handle
from engine.rules.frame import Start

if TYPE_CHECKING:
    from engine.context import Context


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that was asked for. ``old``: what the fields that changed were before, as history keeps it; ``version``: the one it was asked for at and finishes on."""

    rule: str
    record: int | None
    occurrence: str
    params: Mapping[str, Any] | None = None
    due: str = ""
    old: Mapping[str, Any] | None = None
    chain: Sequence[str] = ()
    job: int | None = None
    version: int | None = None


class Runs:
    """The runs of one open write transaction, or of one savepoint in it: each sees what the ones before did; ``finish`` writes what they gathered."""

    def __init__(self, ctx: Context, *, whole: bool = False) -> None:
        """``whole``: whatever fails, all of the transaction goes back."""
        self._work = Work(ctx, json=True, whole=whole)
        self._log = RunLog(self._work)

    def expect(self, asked: Sequence[Asked]) -> None:
        """Learn what these runs will need, all at once: which of them ran before, and their records, locked."""
        work, rules = self._work, rule_book(self._work.workspace).rules
        self._log.expect([(one.rule, one.occurrence) for one in asked])
        records: dict[str, set[int]] = {}
        for one in asked:
            if one.record is not None and one.rule in rules and rules[one.rule].entity:
                records.setdefault(rules[one.rule].entity, set()).add(one.record)
        for entity, ids in sorted(records.items()):
            work.expect(entity, ids)

    def run(self, ctx: Context, asked: Asked) -> RunResult:
        """One run, once for its occurrence, by who acts in ``ctx``. Skipped when it ran before or its ``if`` does not hold now.

        Raises NotFound for a rule that is gone, and whatever its steps raise.
        """
        saving = Saving(self._work.next(ctx), self._log)
        book = saving.ruling.book if asked.version is None else book_of(ctx.workspace, ctx.open, asked.version)
        rule = book.rules.get(asked.rule)
        if rule is None:
            raise NotFound("unknown_rule", rule=asked.rule)
        read = saving.work.row
        record = Handle(rule.entity, asked.record, read) if asked.record is not None and rule.entity else None
        if record is not None and (not record.row() or record.row().get("deleted_at") is not None):
            return RunResult("skipped", why="record_gone")
        given = {name: revive(value, read) for name, value in (asked.params or {}).items()}
        before = None if asked.old is None or record is None else {**record.row(), **_as_it_was(ctx, rule.entity, asked.old)}
        spaces = {"param": {**dict.fromkeys(rule.trigger.params), **given}} if rule.trigger.params or given else {}
        frame = saving.ruling.start(rule, Start(record, before, spaces, asked.occurrence, asked.due, asked.job), tuple(asked.chain))
        if frame is None:
            return RunResult("skipped", why="if")
        saving.follow()
        return RunResult("done", frame.run, changes=tuple(saving.work.changes))

    def finish(self) -> None:
        """Write histories, search tokens and the log of the runs that ended well."""
        catch_up(self._work.connection)
        self._work.finish()
        self._log.finish()


def _as_it_was(ctx: Context, entity: str, old: Mapping[str, Any]) -> dict[str, Value]:
    compiled, cipher = ctx.workspace.entities[entity], ctx.workspace.cipher
    kept = storage(ctx.workspace, compiled)
    return {name: kept.from_history(name, value, cipher) for name, value in old.items() if name in compiled.fields}
