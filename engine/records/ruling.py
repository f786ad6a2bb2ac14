"""Rules at work inside one transaction: what a save, a button or a job starts, its effects applied in order through the one writer, its trace kept.

A rule's steps are generators of effects (engine/rules/steps.py); here each effect is done and its result sent back. Rules after a write are
queued and run when the rule at hand has ended, so that none sees a change half made; chains of causes are bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from engine.context import Actor, Cause, Context
from engine.errors import Conflict, Fault, Invalid, NotFound
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.records.proposal import Proposal
from engine.records.record import Change, told_as_one
from engine.records.ruling_effects import APPLIES, Applier
from engine.records.ruling_eyes import RuleEyes, seen_values
from engine.records.ruling_press import default_of, parameters_of, why_not_now
from engine.records.values import storage
from engine.records.work import Row
from engine.rules.actions import arguments, formats, perform
from engine.rules.book import CompiledRule, RuleBook, Step
from engine.rules.compile import rule_book
from engine.rules.effects import Effect, Handle
from engine.rules.frame import Frame, Start
from engine.rules.steps import run_steps

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.workspace import CompiledEntity

#: How long a chain of rules that set each other off may get, and how many runs one transaction may hold.
LONGEST_CHAIN = 12
MOST_RUNS = 2000
_NO_SPACES: Mapping[str, Value] = {}


class Proposed(Handle):
    """The record of a rule that runs before its write: values set on it go into the proposal."""

    __slots__ = ("proposal",)

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(proposal.entity.key, proposal.before["id"] if proposal.before is not None else 0, lambda entity, record: proposal.after)
        self.proposal = proposal

    @property
    def number(self) -> int:
        """Its id, of a new record once it is made."""
        return int(self.proposal.after.get("id") or self.id)


@dataclass(slots=True)
class Ruling:
    """The rules of one transaction, or of one run among several that share it. ``chain``: the rules whose effects are being applied, outermost first."""

    saving: Saving
    book: RuleBook = field(init=False)
    chain: tuple[str, ...] = ()
    _runs: int = 0
    _chains: dict[int, tuple[str, ...]] = field(default_factory=dict)  # number of a change -> the chain that made it
    _done: int = 0
    _told: set[int] = field(default_factory=set)  # changes that were told together with an earlier one

    def __post_init__(self) -> None:
        self.book = rule_book(self.saving.work.workspace)

    # --- before a write ---------------------------------------------------------------------------------------------------------------------

    def before(self, verb: str, proposal: Proposal, lines: Sequence[Any] = ()) -> None:
        """The rules before a create or update, on a proposal without faults (but for required fields, which a rule may fill)."""
        rules = self._before_rules(proposal, verb)
        if not rules or any(fault.code != "required" for fault in proposal.faults):
            return
        record = Proposed(proposal)
        spaces = {"lines": _lines_of(lines)} if lines else _NO_SPACES
        start = Start(record, proposal.before, spaces)
        for rule in rules:
            self._run(rule, start)

    def _meant(self, rules: Sequence[CompiledRule]) -> Sequence[CompiledRule]:
        """The rules that are meant for what goes on: in an import, not those that say they are not for imports."""
        return rules if self.saving.work.ctx.cause.kind != "import" else [rule for rule in rules if rule.trigger.imports]

    def _before_rules(self, proposal: Proposal, verb: str) -> Sequence[CompiledRule]:
        entity, before = proposal.entity, proposal.before
        rules: list[CompiledRule] = list(self._meant(self.book.before.get((entity.key, verb), ())))
        if before is not None and rules:
            changed = set(proposal.changed)
            rules = [rule for rule in rules if not rule.trigger.fields or rule.trigger.fields & changed]
        if before is not None and (staged := self._meant(self.book.before.get((entity.key, "stage"), ()))):
            stage = entity.stages.field if entity.stages is not None else ""
            old, new = before.get(stage), proposal.after.get(stage)
            rules += [rule for rule in staged if old != new and _moves(rule, old, new)]
        return rules

    def before_delete(self, entity: CompiledEntity, row: Row) -> None:
        """The rules before a record goes."""
        for rule in self._meant(self.book.before.get((entity.key, "delete"), ())):
            self._run(rule, Start(Handle(entity.key, row["id"], self.saving.work.row), row))

    # --- after a write ----------------------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Run what follows from every change made so far, and from what that changes in turn; ask for what is to follow later."""
        changes = self.saving.work.changes
        self.saving.settling.settle()
        while self._done < len(changes):
            number = self._done
            self._done += 1
            if number not in self._told:
                change, more = told_as_one(changes, number)
                self._told.update(more)
                self._follow(change, self._chains.get(number, ()))
                self.saving.settling.settle()

    def _follow(self, change: Change, chain: tuple[str, ...]) -> None:
        after = self._listening(self.book.after, change) if self.book.after else ()
        later = self._listening(self.book.later, change) if self.book.later else ()
        if not (after or later):
            return
        record = Handle(change.entity, change.id, self.saving.work.row)
        old = {**record.row(), **change.before}
        start = Start(record, old if change.kind != "create" else {})
        outer, self.chain = self.chain, chain
        for rule in after:
            self._run(rule, start)
        for rule in later:
            self._later(rule, change, start)
        self.chain = outer

    def _listening(self, rules: Mapping[tuple[str, str], tuple[CompiledRule, ...]], change: Change) -> list[CompiledRule]:
        """The rules that a change concerns, in their order."""
        entity = change.entity
        if change.kind == "computed":
            return [rule for rule in self._meant(rules.get((entity, "update"), ())) if rule.trigger.fields & change.after.keys()]
        found = [rule for rule in self._meant(rules.get((entity, change.kind), ())) if not rule.trigger.fields or rule.trigger.fields & change.after.keys()]
        staged = self._meant(rules.get((entity, "stage"), ()))
        if staged and change.kind in ("create", "update"):
            stages = self.saving.work.entity(entity).stages
            if stages is not None and stages.field in change.after:
                old, new = change.before.get(stages.field), change.after[stages.field]
                found += [rule for rule in staged if old != new and _moves(rule, old, new)]
        return found

    def _later(self, rule: CompiledRule, change: Change, start: Start) -> None:
        """Ask for a run after commit, in the transaction of the change."""
        if not (self._fires(rule, start) if rule.trigger.where is not None else True):
            return
        ctx, work = self.saving.work.ctx, self.saving.work
        args = {
            "rule": rule.key,
            "record": change.id,
            "occurrence": f"later:{change.entity}:{change.id}:{change.version}:{change.kind}:{self._done}:{ctx.now.timestamp()}",
            "old": storage(work.workspace, work.entity(change.entity)).to_history(change.before, work.workspace.cipher),
            "person": ctx.actor.person_id,
            "version": work.workspace.version,
            "chain": list(self.chain),
        }
        self.saving.log.later(args, ctx.actor.person_id)

    # --- actions ----------------------------------------------------------------------------------------------------------------------------

    def call(self, name: str, record: Handle | None, params: Mapping[str, Value], *, within: Frame | None = None) -> Value:
        """Run an action: a rule of that name, or a built-in or plugin's. Its ``if`` must hold. Gives its result.

        Raises NotFound, Conflict "action_not_now", and whatever its steps raise.
        """
        rule = self.book.actions.get(name)
        if rule is None:
            return self._call_word(name, record, params, within)
        if self.saving.work.workspace.is_off(rule.body):
            return None
        known = parameters_of(self.saving.work.workspace, rule)
        given = {**{key: default_of(self.saving.work, item, record) for key, item in known.items() if key not in params}, **params}
        missing = [key for key, item in known.items() if item.required and given.get(key) in (None, "", []) and item.asked(self.saving.work.evaluator, given)]
        if missing:
            raise Invalid("invalid", faults=[Fault(f"/{key}", "required") for key in missing])
        spaces = {"param": given}
        start = Start(record, None if record is None else record.row(), spaces)
        self._around("before", name, start)
        frame = self._run(rule, start)
        if frame is None:
            raise Conflict("action_not_now", action=rule.title or name, **why_not_now(self.saving.work, rule, record))
        told = rule.give is not None and (within is not None or self._may_tell(frame, rule.give))
        result = frame.carry(rule.give) if told and rule.give is not None else None
        self._around("after", name, start)
        return result

    @staticmethod
    def _may_tell(frame: Frame, give: Expression) -> bool:
        assert isinstance(frame.eyes, RuleEyes)
        return frame.eyes.may_give(frame, give)

    def _around(self, kind: str, name: str, start: Start) -> None:
        rules = self.book.before if kind == "before" else self.book.after
        for place in (name, f"{name.rpartition('.')[0]}.*"):
            for rule in rules.get((place, "action"), ()):
                self._run(rule, start)

    def _call_word(self, name: str, record: Handle | None, params: Mapping[str, Value], within: Frame | None) -> Value:
        action = self.saving.work.workspace.registry.actions.get(name)
        if action is None or within is None:
            raise NotFound("unknown_action", name=name)
        eyes = within.eyes
        assert isinstance(eyes, RuleEyes)
        read, subject = self.saving.work.row, name.rpartition(".")[0]
        if record is not None and subject in formats(action.word, "record") and subject not in params:
            params = {**params, subject: record}  # the record it is called on is the parameter of that name
        given = arguments(action, params, {}, read)
        effects = perform(action, self.saving.work.workspace.registry.origin.get(("actions", name), ""), eyes.action_context(within), record, given)
        return self._drive(within, eyes.saving, effects, admitted=True)

    # --- runs from outside ------------------------------------------------------------------------------------------------------------------

    def start(self, rule: CompiledRule, start: Start, chain: tuple[str, ...] = ()) -> Frame | None:
        """One run that a job, a tick or a message asks for: once for its occurrence. None when it ran before or its ``if`` does not hold."""
        if start.occurrence is not None and self.saving.log.known(rule.key, start.occurrence):
            return None
        outer, self.chain = self.chain, chain
        frame = self._run(rule, start)
        self.chain = outer
        return frame

    def branch(self, rule: CompiledRule, steps: Sequence[Step], start: Start, occurrence: str) -> Frame:
        """Steps that were waiting (an approval decided, an item taken apart), as a run of their own; ``me`` is whoever acts now."""
        begun = perf_counter_ns()
        chain = (*self.chain, rule.key)
        frame, saving = self.framed(rule, start, chain)
        self._driven(frame, saving, steps, chain)
        self._note(rule, frame, occurrence, chain, saving.work.ctx, begun, start.job)
        return frame

    def still_holds(self, rule: CompiledRule, start: Start) -> bool:
        """Whether a rule's ``if`` holds for a record as it now stands."""
        return rule.condition is True or (isinstance(rule.condition, Expression) and self._true(rule.condition, start))

    # --- one run ----------------------------------------------------------------------------------------------------------------------------

    def _fires(self, rule: CompiledRule, start: Start) -> bool:
        """Whether a rule's conditions hold, judged with the eyes at hand: nothing is made for a rule that does not run."""
        trigger, condition = rule.trigger, rule.condition
        return (trigger.where is None or self._true(trigger.where, start)) and (
            condition is True or (isinstance(condition, Expression) and self._true(condition, start))
        )

    def _true(self, condition: Expression, start: Start) -> bool:
        work, record = self.saving.work, start.record
        if record is None:
            return work.evaluator.truth(condition, _NO_SPACES, **start.spaces)
        row = record.row()
        full = work.full(work.entity(record.entity), condition, row)
        return work.evaluator.truth(condition, full, old=start.old, record=record, **start.spaces)

    def _run(self, rule: CompiledRule, start: Start) -> Frame | None:
        """Run one rule if its conditions hold; its frame, None when they do not."""
        if rule.key in self.saving.work.workspace.rules_off or not self._fires(rule, start):
            return None
        chain = (*self.chain, rule.key)
        self._bounded(chain)
        begun = perf_counter_ns()
        frame, saving = self.framed(rule, start, chain)
        frame.trace.condition = seen_values(self.saving.work, rule, start.record, start.old, start.spaces)
        self._driven(frame, saving, rule.steps, chain)
        if isinstance(start.record, Proposed):
            start.record.proposal.refresh(saving.work)
        self._note(rule, frame, start.occurrence, chain, saving.work.ctx, begun, start.job)
        return frame

    def _note(self, rule: CompiledRule, frame: Frame, occurrence: str | None, chain: Sequence[str], ctx: Context, begun: int, job: int | None) -> None:
        self._runs += 1
        self.saving.log.note(rule, frame, occurrence, chain, ctx, (perf_counter_ns() - begun) // 1000, job)

    def _driven(self, frame: Frame, saving: Saving, steps: Sequence[Step], chain: tuple[str, ...]) -> None:
        """Do some steps; the changes they make are theirs, so that what follows knows its chain."""
        changes = len(saving.work.changes)
        outer, self.chain = self.chain, chain
        try:
            self._drive(frame, saving, run_steps(frame, steps))
        finally:
            self.chain = outer
        self._chains.update(dict.fromkeys(range(changes, len(saving.work.changes)), chain))

    def framed(self, rule: CompiledRule, start: Start, chain: tuple[str, ...]) -> tuple[Frame, Saving]:
        """A frame for a rule, and the writer that acts as it: every grant within its reach, the person still named."""
        run = self.saving.log.draw()
        saving = self.saving.acting(acting_as(self.saving.work.ctx, rule, run, chain))
        frame = Frame(rule, RuleEyes(self, saving, rule, start.record), start.record, start.old, dict(start.spaces), run=run)
        ctx = saving.work.ctx
        if start.record is not None:
            frame.spaces["record"] = start.record
        frame.spaces["run"] = {
            "at": ctx.now,
            "due": start.due,
            "version": ctx.workspace.version,
            "settings": ctx.workspace.settings_version,
            "title": _plain_title(rule),
            "cause": chain[0],
            "occurrence": start.occurrence,
        }
        return frame, saving

    def _bounded(self, chain: tuple[str, ...]) -> None:
        if len(chain) > LONGEST_CHAIN:
            raise Conflict("rule_chain_too_long", limit=LONGEST_CHAIN, chain=" → ".join(chain))
        if self._runs >= MOST_RUNS:
            raise Conflict("rule_too_many_runs", limit=MOST_RUNS, chain=" → ".join(chain))

    def _drive(self, frame: Frame, saving: Saving, effects: Generator[Effect, Any, Any], *, admitted: bool = False) -> Value:
        """Do each effect and send back what came of it; gives what the generator returns."""
        applier = Applier(self, saving, frame, admitted)
        result: Value = None
        while True:
            try:
                effect = effects.send(result)
            except StopIteration as end:
                return end.value
            result = APPLIES[type(effect)](applier, effect)


def acting_as(ctx: Context, rule: CompiledRule, run: int, chain: Sequence[str]) -> Context:
    """The context a rule's effects are applied in: the principal ``rule:KEY`` with the acting person's name and fields."""
    actor = rule_actor(ctx.actor, rule.key)
    actions = [name for name in ctx.cause.detail.get("actions", ()) if isinstance(name, str)]
    if rule.trigger.kind == "action":
        actions.append(rule.trigger.name)
    detail = {"run": run, "chain": list(chain), **({"actions": actions} if actions else {})}
    return replace(ctx, actor=actor, cause=Cause("rule", rule.key, detail))


def rule_actor(person: Actor, rule: str) -> Actor:
    """The principal of a rule: named ``rule:KEY``; whoever set it off stays its person, so that ``me`` and history name them."""
    return person.acting_as(f"rule:{rule}")


def _moves(rule: CompiledRule, old: Value, new: Value) -> bool:
    trigger = rule.trigger
    return (not trigger.sources or old in trigger.sources) and (not trigger.targets or new in trigger.targets)


def _lines_of(lines: Sequence[Any]) -> dict[str, list[Row]]:
    """The child lines being saved, as rows by their entity."""
    found: dict[str, list[Row]] = {}
    for line in lines:
        if line.proposal is not None:
            found.setdefault(line.entity.key, []).append(line.proposal.after)
    return found


def _plain_title(rule: CompiledRule) -> str:
    title = rule.title
    return str((title.get("zh") or next(iter(title.values()), rule.key)) if isinstance(title, Mapping) else title or rule.key)
