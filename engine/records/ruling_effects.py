"""What each effect does: through the one writer, as the rule's own principal, never beyond its reach."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import notices, outbox
from engine.access import remember
from engine.database import TRY
from engine.database_faults import LostRace
from engine.database_ready import Ready
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.fields.base import Value
from engine.jobs import put
from engine.records.asks import open_ask
from engine.records.asks_ending import withdraw_about
from engine.records.finding import Finder, standing
from engine.records.query_json import json_writers
from engine.records.record import ANY
from engine.records.values import intake
from engine.rules import effects
from engine.rules.carrying import carry
from engine.rules.effects import Given, Handle
from engine.rules.engine_effects import ENGINE_EFFECTS
from engine.rules.frame import Frame
from engine.system_entities import SYSTEM_ENTITIES

#: Takes a name, as a number, until the transaction ends (PostgreSQL).
_LOCKED = Ready(sa.select(sa.func.pg_advisory_xact_lock(sa.bindparam("p_number", type_=sa.BigInteger))))

if TYPE_CHECKING:
    from engine.records.ruling import Ruling
    from engine.records.ruling_eyes import RuleEyes
    from engine.records.saving import Saving
    from engine.workspace import CompiledEntity, Workspace


@dataclass(frozen=True, slots=True)
class Applier:
    """Does the effects of one run. ``saving`` acts as the rule."""

    ruling: Ruling
    saving: Saving
    frame: Frame
    admitted: bool = False  # an action has held its effects to what it declares

    @property
    def eyes(self) -> RuleEyes:
        """The run's eyes."""
        return self.frame.eyes  # type: ignore[return-value]

    def _within(self, verb: str, entity: str, fields: Mapping[str, Value]) -> None:
        if not self.admitted and not self.frame.rule.reach.allows(verb, entity, frozenset(fields)):
            raise Denied("rule_beyond", rule=self.frame.rule.title or self.frame.rule.key, entity=entity, verb=verb)

    # --- records ----------------------------------------------------------------------------------------------------------------------------

    def set(self, effect: effects.SetValues) -> None:
        """Values on a record: into the proposal where the rule runs before its write, else as an update."""
        record = effect.record
        self._within("update", record.entity, effect.values)
        entity = self.saving.work.entity(record.entity)
        proposal = getattr(record, "proposal", None)
        if proposal is not None:
            proposal.take(self.saving.work, _typed(self.saving.work.workspace, entity, effect.values))
            return
        raw = raw_values(self.saving.work.workspace, entity, effect.values)
        if effect.expect is not None:
            held = self.saving.hold(entity, record.id, "update")
            if not self.eyes.evaluator.truth(effect.expect, self.saving.work.full(entity, effect.expect, held.row), **effect.spaces):
                raise Conflict(effect.refuse or "rule_expected", message=effect.message, rule=self.frame.rule.title or self.frame.rule.key)
        seen = self.saving.work.seen_version(entity.key, record.id)
        self._written(entity, lambda: self.saving.update(entity, record.id, raw, ANY if seen is None else seen))

    def create(self, effect: effects.CreateRecord) -> Handle:
        """A new record, or the one that stands with the same unique key."""
        work = self.saving.work
        self._within("create", effect.entity, effect.values)
        entity = work.entity(effect.entity)
        if effect.once:
            found = standing(work, entity, effect.once, _typed(work.workspace, entity, effect.values))
            if found is not None:
                return Handle(entity.key, found, work.row)
        raw = raw_values(work.workspace, entity, effect.values)
        row = self._written(entity, lambda: self.saving.create(entity, raw))
        return Handle(entity.key, row["id"], work.row)

    def delete(self, effect: effects.DeleteRecord) -> None:
        """A record out of every read path."""
        record = effect.record
        self._within("delete", record.entity, {})
        entity = self.saving.work.entity(record.entity)
        self._written(entity, lambda: self.saving.delete(entity, record.id, ANY))

    def _written(self, entity: CompiledEntity, write: Callable[[], Any]) -> Any:
        """Do a write; what is wrong with it is the rule's fault and told as such.

        A lost race (somebody else has the unique key, or changed the row after the rule had read it) runs the whole transaction again.
        """
        try:
            return write()
        except Conflict as conflict:
            if conflict.code == "stale":
                raise LostRace((entity.key, int(str(conflict.params["id"])))) from conflict
            if conflict.code == "duplicate" and may_run_again(self.saving.work.connection):
                raise LostRace from conflict
            raise
        except (Invalid, NotFound) as refusal:
            if refusal.code not in ("invalid", "no_such_record"):
                raise
            faults = [Fault("", fault.code, {**fault.params, "pointer": fault.pointer}) for fault in refusal.faults]
            rule = self.frame.rule
            raise Conflict("rule_write_refused", rule=rule.title or rule.key, entity=entity.title or entity.key, faults=faults) from refusal

    # --- looking ----------------------------------------------------------------------------------------------------------------------------

    def find(self, effect: effects.Find) -> Value:
        """Records, rows or a number, every derived value true before, the engine's own tables written up to here."""
        self.ruling.saving.settling.settle()
        if effect.entity in SYSTEM_ENTITIES:
            self.saving.write()
        if effect.scope:
            self.saving.work.carry()  # a person's rows are told by it
        eyes, frame = self.eyes, self.frame
        finder = Finder(
            self.saving.work, eyes.evaluator, lambda expression, spaces, row: eyes.value(frame, expression, spaces, row), self.ruling.saving.work.ctx.actor
        )
        return finder.find(effect)

    def lock(self, effect: effects.Lock) -> None:
        """Wait for whoever holds the same name; SQLite has one writer, so nobody does."""
        work = self.saving.work
        if work.workspace.database.dialect == "sqlite":
            return
        if not work.known.lock(effect.name):
            return
        name = "\x1f".join([work.workspace.name, *(str(part) for part in effect.name)])
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
        _LOCKED.rows(work.connection, {"p_number": number})

    # --- stopping and calling ---------------------------------------------------------------------------------------------------------------

    def refuse(self, effect: effects.Refuse) -> None:
        """Stop, unless the person has confirmed a soft one."""
        if effect.soft and effect.code in self.saving.work.ctx.confirmed:
            return
        params: dict[str, Any] = {**effect.params, "message": effect.message or self.frame.rule.title or effect.code}
        if effect.soft:
            params["soft"] = True
        if effect.at:
            raise Invalid("invalid", soft=effect.soft, faults=[Fault(f"/{effect.at}", effect.code, params)])
        raise Conflict(effect.code, **params)

    def notify(self, effect: effects.Notify) -> int:
        """A message to people, in the inbox or through a connection; whoever waits for the answer reads theirs on the spot."""
        saving, frame = self.saving, self.frame
        return notices.notify(saving.work.ctx, effect, rule=frame.rule.key, run=frame.run, on_the_spot=saving.told, into=saving.log.notices)

    def send(self, effect: effects.Send) -> int:
        """A message to the outside, after commit."""
        return outbox.send(self.saving.work.ctx, effect, rule=self.frame.rule.key, run=self.frame.run)

    def run(self, effect: effects.RunAction) -> Value:
        """Another action."""
        return self.ruling.call(effect.name, effect.record, effect.params, within=self.frame)

    def engine(self, effect: effects.Engine) -> Value:
        """What only the engine can do: it reads and writes by statements of its own."""
        self.saving.work.stages.write()
        self.saving.log.notices.write(self.saving.work.connection)
        self.saving.work.known.forget()
        return ENGINE_EFFECTS[effect.name](self.saving, effect.params)

    # --- what others go on with -------------------------------------------------------------------------------------------------------------

    def ask(self, effect: effects.Ask) -> Handle:
        """An approval."""
        return open_ask(self.saving.work.ctx, effect, rule=self.frame.rule, record=self.frame.record, run=self.frame.run)

    def withdraw(self, effect: effects.WithdrawAsks) -> int:
        """The open approvals about a record end."""
        return withdraw_about(self.saving, effect.about)

    def emit(self, effect: effects.Emit) -> None:
        """A run, after commit, of every rule that waits for the event."""
        params = {name: carry(value) for name, value in effect.values.items()}
        for rule in self.ruling.book.events.get(effect.event, ()):
            occurrence = f"event:{effect.event}:{effect.key or f'{self.frame.run}:{self.frame.rule.key}'}"
            self._later("rule", {"rule": rule.key, "record": None, "occurrence": occurrence, "params": params}, key=f"{rule.key}:{occurrence}"[:200])

    def apart(self, effect: effects.Apart) -> int:
        """Each item on its own, after commit."""
        frame, record = self.frame, self.frame.record
        args = {
            "rule": frame.rule.key,
            "step": effect.step,
            "entity": record.entity if record is not None else None,
            "record": record.id if record is not None else None,
            "items": [carry(item) for item in effect.items],
            "frame": {name: carry(value) for name, value in effect.frame.items()},
        }
        return self._later("apart", args)

    def _later(self, name: str, args: dict[str, Any], key: str | None = None) -> int:
        work = self.saving.work
        args |= {"version": work.workspace.version, "chain": list(self.ruling.chain), "person": work.ctx.actor.person_id}
        return put(work.connection, work.workspace.name, name, args, key=key, person=work.ctx.actor.person_id)


def may_run_again(connection: sa.Connection) -> bool:
    """Whether the whole transaction will be run again when it loses a race here (PostgreSQL, and tries are left)."""
    return connection.dialect.name == "postgresql" and bool((now := connection.info.get(TRY)) and now.left)


def raw_values(workspace: Workspace, entity: CompiledEntity, values: Mapping[str, Value]) -> dict[str, object]:
    """Typed values as the record's JSON, so that everything a field checks is checked of what rules write, too."""
    shapes = json_writers(workspace, entity)
    return {name: _raw(shapes.get(name), value) for name, value in values.items()}


def _raw(shape: Callable[[Any], object] | None, value: Value) -> object:
    if isinstance(value, Given):
        return value.value
    if isinstance(value, Handle):
        return value.id
    if isinstance(value, list):
        value = [item.id if isinstance(item, Handle) else item for item in value]
    try:
        made = value if value is None or shape is None else shape(value)
    except (AttributeError, TypeError, ValueError, KeyError):
        return value  # not a value of the field's type; its reader will say so
    return made.isoformat() if isinstance(made, date) else made


def _typed(workspace: Workspace, entity: CompiledEntity, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values read and checked by their fields. Raises Invalid with every fault."""
    raw = raw_values(workspace, entity, values)
    everything = remember(workspace, ("every field", entity.key), lambda: frozenset(entity.fields))
    taken = intake(workspace, entity, json=True).take(raw, everything, everything)
    if taken.faults:
        raise Invalid("invalid", faults=taken.faults)
    return taken.values


#: Each kind of effect and who does it.
APPLIES: Mapping[type[effects.Effect], Callable[[Applier, Any], Value]] = {
    effects.SetValues: Applier.set,
    effects.CreateRecord: Applier.create,
    effects.DeleteRecord: Applier.delete,
    effects.Find: Applier.find,
    effects.Lock: Applier.lock,
    effects.Notify: Applier.notify,
    effects.Send: Applier.send,
    effects.Refuse: Applier.refuse,
    effects.RunAction: Applier.run,
    effects.Engine: Applier.engine,
    effects.Ask: Applier.ask,
    effects.WithdrawAsks: Applier.withdraw,
    effects.Emit: Applier.emit,
    effects.Apart: Applier.apart,
}
