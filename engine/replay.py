"""Replay: over a span of history, which records a rule would have touched, compared with what it really did. Writes nothing, on a connection that cannot.

The record and what its conditions read over links are as they were at each instant, settings as they stood; what a step searches for is today's, and the
finding says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import Conflict
from engine.records.rewinding import Position
from engine.replay_before import Befores
from engine.replay_log import Did, Log, Moments
from engine.replay_looking import Desk, Occasion, Question, Verdict
from engine.replay_order import at_other
from engine.replay_runs import around_actions, own_runs
from engine.replay_saves import CHUNK, Saves
from engine.replay_times import Dues, Found, Ticks
from engine.rules.compile import rule_book
from engine.system_tables import version, version_document
from engine.system_tables_rules import rule_switch, run

if TYPE_CHECKING:
    from engine.context import Context

BOTH, WOULD, DID = "both", "would", "did"
VERDICTS = (BOTH, WOULD, DID)
#: More than so many findings are told nobody.
MOST_FINDINGS = 100_000
#: Is told how much is done of how much; may raise to stop.
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """A record the rule would have touched, or did. ``at``: when it would have, else when it did; ``run`` and ``did_at``: the run it was.

    ``condition`` and ``steps`` as the log keeps them; ``refusal``: it would have stopped the save with this code; ``doubts``: why it is approximate;
    ``reason``: why it did not: absent, off, refused, failed, or ''.
    """

    record: int | None
    at: datetime
    why: str
    verdict: str
    owner: int | None = None
    person: int | None = None
    run: int | None = None
    did_at: datetime | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)
    refusal: str = ""
    doubts: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """All findings, and how many occasions were looked at."""

    findings: tuple[Finding, ...]
    occasions: int


def replay(ctx: Context, question: Question, told: Told = lambda done, total: None) -> Replayed:
    """Ask a question of the past. Raises Invalid "replay_too_much", Conflict "replay_too_many", and whatever ``told`` raises."""
    with ctx.snapshot(long=True) as ctx:
        return _Replay(ctx, question, told).played()


class _Replay:
    def __init__(self, ctx: Context, question: Question, told: Told) -> None:
        self.ctx, self.question, self.told = ctx, question, told
        self.desk = Desk(ctx, question)
        self.log = Log(ctx, question.rule.key, question.since, question.until)
        self.moments = Moments(ctx)
        self.published = _published(ctx, question.rule.key)
        self.off = _off_since(ctx, question.rule.key)
        self.findings: list[Finding] = []
        self.occasions = 0

    def played(self) -> Replayed:
        """Every occasion judged and compared; then the runs nobody expected."""
        for verdict, did in self._found():
            self.occasions += 1
            if did is not None:
                self.log.take(did)
            if verdict.judged.holds or did is not None:
                self._note(self._finding(verdict, did))
        for did in self._moved(sorted(self.log.runs.values(), key=lambda did: did.id)):
            self._note(self._unexpected(did))
        return Replayed(tuple(sorted(self.findings, key=lambda one: (one.at, one.record or 0))), self.occasions)

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)
        if len(self.findings) > MOST_FINDINGS:
            raise Conflict("replay_too_many", limit=MOST_FINDINGS)

    # --- occasions --------------------------------------------------------------------------------------------------------------------------

    def _found(self) -> Iterator[Found]:
        trigger = self.question.rule.trigger
        unchanged = rule_book(self.ctx.workspace).rules.get(self.question.rule.key) is self.question.rule
        known = not unchanged or (self.published is not None and self.published <= self.question.since)
        if trigger.kind in ("due", "cron"):
            timed = (Dues if trigger.kind == "due" else Ticks)(self.desk, self.log, known)
            for part in self._parts(timed.records()):
                yield from timed.of(part)
        elif trigger.kind in ("before", "after", "later") and trigger.verb != "action":
            saves = (Befores if trigger.kind == "before" else Saves)(self.desk, self.log)
            for part in self._parts(saves.records()):
                yield from self._matched(saves.of(part), saves.moments)
        else:
            around = trigger.kind in ("before", "after")
            found = list(around_actions(self.desk, self.moments) if around else own_runs(self.desk, self.log, self.moments))
            yield from self._matched(sorted(found, key=lambda one: one.record or 0), self.moments)

    def _parts(self, records: Sequence[int]) -> Iterator[Sequence[int]]:
        for start in range(0, len(records), CHUNK):
            self.told(start, len(records))
            yield records[start : start + CHUNK]
        self.told(len(records), len(records))

    # --- comparing --------------------------------------------------------------------------------------------------------------------------

    def _matched(self, occasions: Iterable[Occasion], moments: Moments) -> Iterator[Found]:
        """Occasions with the runs they were: those of one record and moment together, in their order."""
        for _record, own in groupby(occasions, key=lambda one: one.record):
            groups: dict[tuple[object, ...], list[Occasion]] = {}
            for one in own:
                groups.setdefault(one.key, []).append(one)
            for key, group in groups.items():
                yield from self._paired(group, list(self.log.standing(key)), moments)

    def _paired(self, group: Sequence[Occasion], dids: list[Did], moments: Moments) -> Iterator[Found]:
        if self.question.rule.trigger.kind == "later":
            for occasion in group:
                did = dids.pop(0) if dids else None
                yield self._later(occasion, did, moments), did
            return
        verdicts = [self.desk.verdict(occasion) for occasion in group]
        if sum(verdict.judged.holds for verdict in verdicts) != len(dids):
            verdicts = self._doubted(verdicts, dids, moments)
        found = [(verdict, dids.pop(0) if dids and verdict.judged.holds else None) for verdict in verdicts]
        for verdict, did in found:  # a run that would not have been belongs to an occasion whose condition did not hold
            yield verdict, did or (dids.pop(0) if dids and not verdict.judged.holds else None)

    def _doubted(self, verdicts: Sequence[Verdict], dids: Sequence[Did], moments: Moments) -> list[Verdict]:
        """More or fewer than really ran: where other rules wrote at the same moment, the log tells better where this one stood."""
        missing = len(dids) - sum(verdict.judged.holds for verdict in verdicts)
        found: list[Verdict] = []
        for verdict in verdicts:
            occasion = verdict.occasion
            several = occasion.proposed is None and self._others(occasion, moments)
            if missing > 0 and not verdict.judged.holds and several:
                again = self.desk.verdict(occasion, at_other(occasion, moments.before_run(dids[min(len(found), len(dids) - 1)])))
                missing -= again.judged.holds
                verdict = again if again.judged.holds else verdict
            found.append(replace(verdict, doubts=(*verdict.doubts, "same_moment")) if several else verdict)
        return found

    def _others(self, occasion: Occasion, moments: Moments) -> bool:
        """Whether other rules wrote at the same moment, later."""
        rule = self.question.rule.key
        return any(entry.run is not None and entry.id > occasion.position.entry and rule not in entry.chain for entry in moments.at(occasion.at))

    def _later(self, occasion: Occasion, did: Did | None, moments: Moments) -> Verdict:
        """A run after commit sees what was there when it ran."""
        if did is None:
            return self.desk.verdict(occasion)
        verdict = self.desk.verdict(replace(occasion, at=did.at), Position(did.at, 0, moments.before_run(did)))
        return replace(verdict, occasion=occasion)

    def _moved(self, left: Sequence[Did]) -> Iterator[Did]:
        """Runs nobody expected. Of a due rule that would have run for the record at another time, the two are one finding."""
        alone: dict[int, list[int]] = {}
        for number, finding in enumerate(self.findings) if self.question.rule.trigger.kind == "due" else ():
            if finding.verdict == WOULD and not finding.refusal:
                alone.setdefault(finding.record or 0, []).append(number)
        for did in left:
            places = alone.get(did.record)
            if not places:
                yield did
                continue
            number = places.pop(0)
            self.findings[number] = replace(self.findings[number], verdict=BOTH, run=did.id, did_at=did.at, reason="")

    # --- findings ---------------------------------------------------------------------------------------------------------------------------

    def _finding(self, verdict: Verdict, did: Did | None) -> Finding:
        occasion, judged = verdict.occasion, verdict.judged
        kind = BOTH if judged.touches and did is not None else DID if did is not None else WOULD
        refusal = "" if judged.refusal is None else next((fault.code for fault in judged.refusal.faults), judged.refusal.code)
        return Finding(
            occasion.record or (did.record if did is not None else 0) or None,
            occasion.at,
            occasion.why,
            kind,
            verdict.owner,
            occasion.person,
            did.id if did is not None else None,
            did.at if did is not None else None,
            judged.condition,
            judged.steps,
            refusal,
            verdict.doubts,
            self._why_not(occasion) if kind == WOULD and not refusal else "",
        )

    def _why_not(self, occasion: Occasion) -> str:
        if self.published is None or occasion.at < self.published:
            return "absent"
        if self.off is not None and occasion.at >= self.off:
            return "off"
        return self.log.why_not(occasion.record, occasion.at)

    def _unexpected(self, did: Did) -> Finding:
        """A run that would not have been: what the log says of it, and whose the record was."""
        select = sa.select(run.c.condition, run.c.steps).where(run.c.id == did.id)
        told = self.ctx.open.execute(select).one()
        owner = None
        if self.desk.entity is not None and did.record and self.question.owner:
            position = Position(did.at, 0, self.moments.before_run(did))
            row = self.desk.work(did.at, did.person, position).row(self.desk.entity.key, did.record) or {}
            owner = row.get(self.question.owner)
        why = self.question.rule.trigger.kind
        return Finding(did.record or None, did.at, why, DID, owner, did.person, did.id, did.at, told.condition or {}, told.steps or {})


def _published(ctx: Context, rule: str) -> datetime | None:
    """When a rule of this key was first published; None for never."""
    terms = (version_document.c.kind == "rule", version_document.c.key == rule)
    found: datetime | None = ctx.open.execute(
        sa.select(sa.func.min(version.c.at, type_=version.c.at.type)).join(version_document, version_document.c.version == version.c.number).where(*terms)
    ).scalar_one()
    return found


def _off_since(ctx: Context, rule: str) -> datetime | None:
    found: datetime | None = ctx.open.execute(sa.select(rule_switch.c.off_at).where(rule_switch.c.rule == rule)).scalar_one_or_none()
    return found
