"""Rules judged at a moment that has passed: conditions over records as they were, steps looked at in memory up to the first that reaches beyond. Writes nothing."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import Refusal
from engine.fields.base import Value
from engine.records.finding import Finder
from engine.records.ruling import Ruling
from engine.records.ruling_effects import APPLIES, Applier
from engine.records.ruling_eyes import seen_values
from engine.records.ruling_log import RunLog
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules import effects
from engine.rules.book import CompiledRule
from engine.rules.frame import Frame, Start


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule would have seen and done. ``holds``: its conditions; ``condition`` and ``steps`` as in the log of runs; ``searched``: it looked for
    records, which are today's; ``refusal``: it would have stopped what set it off."""

    holds: bool
    condition: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    searched: bool = False
    refusal: Refusal | None = None

    @property
    def touches(self) -> bool:
        """Whether the rule would have run to its end."""
        return self.holds and self.refusal is None


class _Beyond(Exception):
    """The next effect reaches beyond the record being saved: nobody can tell what would have come of it."""


class _NoLog(RunLog):
    """Runs that leave no trace."""

    def draw(self) -> int:
        """No id: nothing is written."""
        return 0

    def note(self, *told: object, **more: object) -> None:
        """Nothing is kept."""


def looking(work: Work, today: Work | None = None) -> Judging:
    """Rules to be looked at over records as some work reads them; ``today``: where other records are looked for."""
    saving = Saving(work, _NoLog(work))
    judging = Judging(saving, today=today)
    saving.ruling = judging
    return judging


@dataclass(slots=True)
class Judging(Ruling):
    """Rules looked at instead of run. ``today``: where other records are looked for."""

    today: Work | None = None
    searched: bool = False

    def look(self, rule: CompiledRule, start: Start, *, steps: bool = True) -> Judged:
        """Whether a rule's conditions hold, with the values they see, and how far its steps can be told."""
        seen = seen_values(self.saving.work, rule, start.record, start.old, start.spaces)
        if not self._fires(rule, start):
            return Judged(False, seen)
        frame, saving = self.framed(rule, start, (rule.key,))
        refusal: Refusal | None = None
        try:
            if steps:
                self._driven(frame, saving, rule.steps, (rule.key,))
        except _Beyond:
            pass
        except Refusal as stopped:
            refusal = stopped
        return Judged(True, seen, frame.trace.steps, self.searched, refusal)

    def _drive(self, frame: Frame, saving: Saving, effects: Generator[effects.Effect, Any, Any], *, admitted: bool = False) -> Value:
        """Each effect looked at: what only reads, refuses, calls or changes the record being saved is done in memory."""
        applier, result = Applier(self, saving, frame, admitted), None
        while True:
            try:
                effect = effects.send(result)
            except StopIteration as end:
                return end.value
            result = self._looked_at(applier, frame, effect)

    def _looked_at(self, applier: Applier, frame: Frame, effect: effects.Effect) -> Value:
        match effect:
            case effects.Find():
                return self._find(applier, frame, effect)
            case effects.Lock() | effects.Refuse(soft=True):  # nobody else is there; whoever was warned may have gone on
                return None
            case effects.SetValues(record=record) if hasattr(record, "proposal"):
                return APPLIES[type(effect)](applier, effect)
            case effects.Refuse() | effects.RunAction():
                return APPLIES[type(effect)](applier, effect)
        raise _Beyond

    def _find(self, applier: Applier, frame: Frame, effect: effects.Find) -> Value:
        self.searched = True
        eyes, today = applier.eyes, self.today or self.saving.work
        finder = Finder(today, eyes.evaluator, lambda expression, spaces, row: eyes.value(frame, expression, spaces, row), self.saving.work.ctx.actor)
        return finder.find(effect)
