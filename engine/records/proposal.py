"""One row as its giver proposes it, brought to what would be stored: read, defaults, what is hidden cleared, own derived values; every fault collected.

Writes nothing. Whether the database agrees (links, uniqueness) is asked by links.py and the service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.errors import Fault
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.fields.serial import Serial
from engine.records.derived import own_values, start_values
from engine.records.values import intake
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField


@dataclass(slots=True)
class Proposal:
    """``before`` is None for a new row. ``given``: the fields its giver named; ``changed``: those (and what followed) that differ from before."""

    entity: CompiledEntity
    before: Row | None
    after: Row
    given: frozenset[str] = frozenset()
    lines: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    at: str = ""                                          # pointer of the row in what was given
    computed: list[str] = field(default_factory=list)
    trusted: bool = False                                 # a named principal's: what people may not set by hand, it may

    @property
    def changed(self) -> list[str]:
        """Stored fields that differ from before, in order; for a new row those with a value."""
        before = self.before or {}
        return [name for name in self.entity.fields if name in self.after and self.after[name] != before.get(name)]

    def fault(self, name: str, code: str, **params: object) -> None:
        """Note one fault at a field, once."""
        pointer = f"{self.at}/{name}" if name else self.at
        if not any(fault.pointer == pointer for fault in self.faults):
            self.faults.append(Fault(pointer, code, params))

    def faulty(self) -> set[str]:
        """Fields that already have a fault."""
        return {fault.pointer.removeprefix(f"{self.at}/").split("/")[0] for fault in self.faults}


def propose_new(work: Work, entity: CompiledEntity, raw: Mapping[str, object], writable: Collection[str], *, at: str = "",
                fixed: Mapping[str, Value] | None = None) -> Proposal:
    """A new row. ``fixed``: values the engine sets itself (the parent of a child line)."""
    grant = work.grant(entity)
    taken = intake(work.workspace, entity, json=work.json).take(raw, writable, grant.readable, at)
    row: Row = {**_blank(work, entity), **work.new_head(), **taken.values, **(fixed or {})}
    proposal = Proposal(entity, None, row, frozenset(taken.values), taken.lines, taken.faults, at, trusted=work.ctx.actor.kind == "system")
    named = proposal.given | (fixed or {}).keys() | proposal.faulty()
    _defaults(work, proposal, named)
    _clear_hidden(work, proposal, None)
    proposal.computed = own_values(work, entity, row, None)
    _check_given(work, proposal)
    _check_required(work, proposal, None)
    return proposal


def propose_change(work: Work, entity: CompiledEntity, before: Row, raw: Mapping[str, object], writable: Collection[str], *, at: str = "") -> Proposal:
    """A changed row."""
    grant = work.grant(entity)
    taken = intake(work.workspace, entity, json=work.json).take(raw, writable, grant.readable, at)
    row: Row = {**before, **taken.values}
    proposal = Proposal(entity, before, row, frozenset(taken.values), taken.lines, taken.faults, at, trusted=work.ctx.actor.kind == "system")
    changed = proposal.changed
    if not changed:
        return proposal
    _clear_hidden(work, proposal, changed)
    proposal.computed = own_values(work, entity, row, proposal.changed)
    _check_given(work, proposal)
    _check_required(work, proposal, proposal.changed)
    return proposal


def _blank(work: Work, entity: CompiledEntity) -> Row:
    """Every stored field of a new row, empty; roll-ups as they begin."""
    return remember(work.workspace, ("blank", entity.key), lambda: {
        **{key: None for key, item in entity.fields.items() if item.column is not None}, **start_values(entity)})


def _defaults(work: Work, proposal: Proposal, named: Collection[str]) -> None:
    entity, row = proposal.entity, proposal.after
    for name in _default_order(work, entity):
        if name in named:
            continue
        default = entity.fields[name].default
        row[name] = work.value(entity, default, row) if isinstance(default, Expression) else _constant(work, entity, name)


def _constant(work: Work, entity: CompiledEntity, name: str) -> Value:
    """The typed value of a default written as in JSON."""
    item = entity.fields[name]
    found = remember(work.workspace, ("default", entity.key, name), lambda: (item.reader(item.default) if item.reader is not None else None,))
    return list(found[0]) if isinstance(found[0], list) else found[0]


def _default_order(work: Work, entity: CompiledEntity) -> tuple[str, ...]:
    """Fields with a default, each after the defaults it reads (cycles are refused at publish; what is left stands in written order)."""
    def build() -> tuple[str, ...]:
        left = {name: set(item.default.fields) if isinstance(item.default, Expression) else set()
                for name, item in entity.fields.items() if item.default is not None and item.column is not None}
        found: list[str] = []
        while left:
            ready = [name for name, reads in left.items() if not (reads - {name}) & left.keys()] or [next(iter(left))]
            found += ready
            for name in ready:
                del left[name]
        return tuple(found)
    return remember(work.workspace, ("defaults", entity.key), build)


def _clear_hidden(work: Work, proposal: Proposal, changed: Sequence[str] | None) -> None:
    """A field whose condition to be shown does not hold keeps no value."""
    entity, row = proposal.entity, proposal.after
    dirty = set(changed) if changed is not None else None
    for item in _conditional(work, entity):
        if item.show is None or row.get(item.key) is None or not _touched(item.show, dirty):
            continue
        if not work.truth(entity, row, proposal.before)(item.show):
            row[item.key] = None
            if dirty is not None:
                dirty.add(item.key)


def _conditional(work: Work, entity: CompiledEntity) -> tuple[CompiledField, ...]:
    return remember(work.workspace, ("conditional", entity.key), lambda: tuple(item for item in entity.fields.values() if item.show is not None))


def _touched(expression: Expression, dirty: set[str] | None) -> bool:
    return dirty is None or not dirty.isdisjoint(expression.fields)


def _check_given(work: Work, proposal: Proposal) -> None:
    """What may be written only once, only by the engine, or only under its parent's value."""
    entity, before = proposal.entity, proposal.before
    for name in proposal.given:
        item = entity.fields[name]
        old = before.get(name) if before is not None else None
        if proposal.after.get(name) == old:
            continue
        if before is not None and item.definition.once and old is not None:
            proposal.fault(name, "written_once")
        elif not proposal.trusted and isinstance(item.type, Serial) and not (before is None and work.ctx.cause.kind == "import"):
            proposal.fault(name, "not_writable", field=name)
        elif not proposal.trusted and item.read_only is not False and _is_read_only(work, proposal, item):
            proposal.fault(name, "read_only")
    for name, parent in _cascades(work, entity):
        _check_cascade(work, proposal, name, parent)


def _is_read_only(work: Work, proposal: Proposal, item: CompiledField) -> bool:
    if isinstance(item.read_only, Expression):
        return work.truth(proposal.entity, proposal.before or proposal.after, proposal.before)(item.read_only)
    return bool(item.read_only)


def _cascades(work: Work, entity: CompiledEntity) -> tuple[tuple[str, str], ...]:
    """Choice fields whose options depend on the value of another."""
    return remember(work.workspace, ("cascades", entity.key), lambda: tuple(
        (name, str(parent)) for name, item in entity.fields.items()
        if (parent := item.definition.options.get("parent")) in entity.fields and item.definition.type in ("choice", "choices")))


def _check_cascade(work: Work, proposal: Proposal, name: str, parent: str) -> None:
    before, after = proposal.before or {}, proposal.after
    value, above = after.get(name), after.get(parent)
    if value is None or (proposal.before is not None and value == before.get(name) and above == before.get(parent)):
        return
    options = work.workspace.scope.choices(str(proposal.entity.fields[name].definition.options.get("choices", ""))).options
    allowed = set(above) if isinstance(above, list) else {above}
    for code in value if isinstance(value, list) else [value]:
        option = options.get(code)
        if option is not None and option.parents and not allowed & set(option.parents):
            proposal.fault(name, "choice_not_under_parent", parent=parent)


def _check_required(work: Work, proposal: Proposal, changed: Sequence[str] | None) -> None:
    entity, row = proposal.entity, proposal.after
    dirty = set(changed) if changed is not None else None
    for item in _wanting(work, entity):
        if row.get(item.key) not in (None, []):
            continue
        conditions = [one for one in (item.required, item.show) if isinstance(one, Expression)]
        if dirty is not None and item.key not in dirty and not any(_touched(one, dirty) for one in conditions):
            continue
        truth = work.truth(entity, row, proposal.before)
        if (item.required is True or (isinstance(item.required, Expression) and truth(item.required))) and (item.show is None or truth(item.show)):
            proposal.fault(item.key, "required")


def _wanting(work: Work, entity: CompiledEntity) -> tuple[CompiledField, ...]:
    return remember(work.workspace, ("wanting", entity.key), lambda: tuple(
        item for item in entity.fields.values() if item.required is not False and not item.derived))


def check_stage(work: Work, proposal: Proposal) -> None:
    """A stage moves only along a declared move, and only the way it names."""
    stages, before = proposal.entity.stages, proposal.before
    if stages is None or before is None:
        return
    old, new = before.get(stages.field), proposal.after.get(stages.field)
    if old == new or old is None:
        return
    ways = proposal.entity.moves.get((old, new or ""), ())
    if not ways:
        proposal.fault(stages.field, "stage_move", **{"from": old, "to": new})
        return
    cause, truth = work.ctx.cause, work.truth(proposal.entity, proposal.after, before)
    fitting = [way for way in ways if not way.actions or (cause.kind == "action" and cause.name in way.actions)]
    if not fitting:
        proposal.fault(stages.field, "stage_by_action", **{"from": old, "to": new, "actions": [name for way in ways for name in way.actions]})
    elif not any(way.condition is None or truth(way.condition) for way in fitting):
        proposal.fault(stages.field, "stage_condition", **{"from": old, "to": new})


def check_rules(work: Work, proposal: Proposal, names: Iterable[str] | None = None) -> None:
    """The entity's own checks that a change touches (all of them for a new row); those reading a faulty field wait."""
    dirty = None if names is None else set(names)
    faulty = proposal.faulty()
    truth = work.truth(proposal.entity, proposal.after, proposal.before)
    for check in proposal.entity.checks:
        reads = check.condition.fields
        if reads & faulty or not (dirty is None or check.condition.volatile or reads & dirty):
            continue
        if truth(check.condition):
            proposal.fault(check.definition.at, check.definition.code, message=check.definition.message)

