"""One row as its giver proposes it, brought to what would be stored: read, what is hidden cleared, own derived values; every fault collected.

Writes nothing. How a new row begins is new_rows.py. Whether the database agrees (links, uniqueness) is asked by links.py and the service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.errors import Fault
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.fields.serial import Serial
from engine.records.derived import own_values
from engine.records.row_statements import differing
from engine.records.values import intake
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField

_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Proposal:
    """``before`` is None for a new row. ``values``: what its giver gave, as read; ``changed``: the fields that (with what followed) differ from before."""

    entity: CompiledEntity
    before: Row | None
    after: Row
    values: Mapping[str, Value] = field(default_factory=dict)
    lines: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    at: str = ""  # pointer of the row in what was given
    computed: Sequence[str] = ()
    trusted: bool = False  # a named principal's: what people may not set by hand, it may
    ruled: dict[str, Value] = field(default_factory=dict)  # what rules before the write have set

    @property
    def given(self) -> Set[str]:
        """The fields its giver named."""
        return self.values.keys()

    @property
    def changed(self) -> list[str]:
        """Stored fields that differ from before, in order; for a new row those with a value."""
        fields = self.entity.fields
        return [name for name in differing(self.before or {}, self.after) if name in fields]

    def fault(self, name: str, code: str, **params: object) -> None:
        """Note one fault at a field, once."""
        pointer = f"{self.at}/{name}" if name else self.at
        if not any(fault.pointer == pointer for fault in self.faults):
            self.faults.append(Fault(pointer, code, params))

    def take(self, work: Work, values: Mapping[str, Value]) -> None:
        """Values a rule sets before the write, typed and checked; what is derived from them follows at once."""
        self.after.update(values)
        self.ruled.update(values)
        self.computed = [*self.computed, *(name for name in own_values(work, self.entity, self.after, list(values)) if name not in self.computed)]

    def refresh(self, work: Work) -> None:
        """After rules have set values: what is hidden now is cleared, required fields they filled are no fault, those they emptied are."""
        if not self.ruled:
            return
        names = list(self.ruled)
        clear_hidden(work, self, names)
        self.faults = [fault for fault in self.faults if fault.code != "required" or self.after.get(fault.pointer.rpartition("/")[2]) in (None, [])]
        _check_required(work, self, names)
        for name, parent in remember(work.workspace, ("cascades", self.entity.key), lambda: cascades(self.entity)):
            check_cascade(work, self, name, parent)

    def faulty(self) -> set[str]:
        """Fields that already have a fault."""
        return {fault.pointer.removeprefix(f"{self.at}/").split("/")[0] for fault in self.faults}


def propose_change(work: Work, entity: CompiledEntity, before: Row, raw: Mapping[str, object], writable: Collection[str], *, at: str = "") -> Proposal:
    """A changed row."""
    grant = work.grant(entity)
    taken = intake(work.workspace, entity, json=work.json).take(raw, writable, grant.readable, at)
    row: Row = {**before, **taken.values}
    proposal = Proposal(entity, before, row, taken.values, taken.lines, taken.faults, at, trusted=work.ctx.actor.kind == "system")
    changed = proposal.changed
    if not changed:
        return proposal
    if clear_hidden(work, proposal, changed):
        changed = proposal.changed
    proposal.computed = own_values(work, entity, row, changed)
    _check_given(work, proposal, before)
    _check_required(work, proposal, proposal.changed if proposal.computed else changed)
    return proposal


def clear_hidden(work: Work, proposal: Proposal, changed: Sequence[str] | None) -> bool:
    """A field whose condition to be shown does not hold keeps no value. Tells whether one lost it."""
    entity, row = proposal.entity, proposal.after
    dirty = set(changed) if changed is not None else None
    cleared = False
    for item in _conditional(work, entity):
        if item.show is None or row.get(item.key) is None or not _touched(item.show, dirty):
            continue
        if not work.truth(entity, row, proposal.before)(item.show):
            row[item.key], cleared = None, True
            if dirty is not None:
                dirty.add(item.key)
    return cleared


def _conditional(work: Work, entity: CompiledEntity) -> tuple[CompiledField, ...]:
    return remember(work.workspace, ("conditional", entity.key), lambda: tuple(item for item in entity.fields.values() if item.show is not None))


def _touched(expression: Expression, dirty: set[str] | None) -> bool:
    return dirty is None or not dirty.isdisjoint(expression.fields)


def _check_given(work: Work, proposal: Proposal, before: Row) -> None:
    """What of a change may be written only once, only by the engine, or only under its parent's value."""
    changed = {name for name in proposal.given if proposal.after.get(name) != before.get(name)}
    for name in changed:
        if proposal.entity.fields[name].definition.once and before.get(name) is not None:
            proposal.fault(name, "written_once")
    check_not_closed(work, proposal, changed)
    for name, parent in remember(work.workspace, ("cascades", proposal.entity.key), lambda: cascades(proposal.entity)):
        check_cascade(work, proposal, name, parent)


def check_not_closed(work: Work, proposal: Proposal, names: Collection[str]) -> None:
    """Serial numbers are drawn (an import may bring old ones), read-only fields are the engine's: a value given to one of ``names`` is a fault."""
    if proposal.trusted:
        return
    before = proposal.before or {}
    for name in names:
        if name not in proposal.given or proposal.after.get(name) == before.get(name):
            continue
        item = proposal.entity.fields[name]
        if isinstance(item.type, Serial) and not (proposal.before is None and work.ctx.cause.kind == "import"):
            proposal.fault(name, "not_writable", field=name)
        elif item.read_only is not False and _is_read_only(work, proposal, item):
            proposal.fault(name, "read_only")


def _is_read_only(work: Work, proposal: Proposal, item: CompiledField) -> bool:
    if isinstance(item.read_only, Expression):
        return work.truth(proposal.entity, proposal.before or proposal.after, proposal.before)(item.read_only)
    return bool(item.read_only)


def cascades(entity: CompiledEntity) -> tuple[tuple[str, str], ...]:
    """Choice fields whose options depend on the value of another, with that other."""
    return tuple(
        (name, str(parent))
        for name, item in entity.fields.items()
        if (parent := item.definition.options.get("parent")) in entity.fields and item.definition.type in ("choice", "choices")
    )


def check_cascade(work: Work, proposal: Proposal, name: str, parent: str) -> None:
    """A choice must be one of those offered under its parent's value."""
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


def _check_required(work: Work, proposal: Proposal, changed: Sequence[str]) -> None:
    dirty = set(changed)
    for item in _wanting(work, proposal.entity):
        if proposal.after.get(item.key) not in (None, []):
            continue
        conditions = [one for one in (item.required, item.show) if isinstance(one, Expression)]
        if (item.key in dirty or any(_touched(one, dirty) for one in conditions)) and is_wanting(work, proposal, item):
            proposal.fault(item.key, "required")


def is_wanting(work: Work, proposal: Proposal, item: CompiledField) -> bool:
    """Whether a field that is empty must not be."""
    truth = work.truth(proposal.entity, proposal.after, proposal.before)
    return (item.required is True or (isinstance(item.required, Expression) and truth(item.required))) and (item.show is None or truth(item.show))


def is_wanting_plainly(item: CompiledField) -> bool:
    """Whether a field is required whatever else a row holds."""
    return item.required is True and item.show is None


def _wanting(work: Work, entity: CompiledEntity) -> tuple[CompiledField, ...]:
    return remember(
        work.workspace, ("wanting", entity.key), lambda: tuple(item for item in entity.fields.values() if item.required is not False and not item.derived)
    )


def moved_by_hand(entity: CompiledEntity, stage: str) -> frozenset[str]:
    """The stages to which one leads without an action of its own."""
    return frozenset(after for (before, after), ways in entity.moves.items() if before == stage and any(not way.actions for way in ways))


def beginnings(entity: CompiledEntity) -> frozenset[str] | None:
    """The stages in which people may begin a record: the one it has of itself, and what this leads to by hand. None: any."""
    start = entity.fields[entity.stages.field].default if entity.stages is not None and entity.stages.field in entity.fields else None
    if not isinstance(start, str):
        return None
    found, new = frozenset({start}), frozenset({start})
    while new:
        new = frozenset().union(*(moved_by_hand(entity, stage) for stage in new)) - found
        found |= new
    return found


def check_beginning(work: Work, proposal: Proposal, begins: Collection[str]) -> None:
    """A new record stands where people could have brought it; what only an action leads to is no beginning. Rules and imports say where theirs stand."""
    stages = proposal.entity.stages
    if stages is None or proposal.trusted or work.ctx.cause.kind == "import":
        return
    stage = proposal.values.get(stages.field)
    if stage is not None and stage not in begins:
        proposal.fault(stages.field, "stage_begins", to=_called(work, proposal.entity, stage, None)["from"])


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
        proposal.fault(stages.field, "stage_move", **_called(work, proposal.entity, old, new))
        return
    truth, acting = work.truth(proposal.entity, proposal.after, before), set(work.ctx.cause.detail.get("actions", ()))
    fitting = [way for way in ways if not way.actions or acting.intersection(way.actions)]
    if not fitting:
        proposal.fault(
            stages.field, "stage_by_action", **_called(work, proposal.entity, old, new), actions=", ".join(name for way in ways for name in way.actions)
        )
    elif not any(way.condition is None or truth(way.condition) for way in fitting):
        proposal.fault(stages.field, "stage_condition", **_called(work, proposal.entity, old, new))


def _called(work: Work, entity: CompiledEntity, old: str, new: str | None) -> dict[str, object]:
    """Two stages as people call them, in every language."""
    assert entity.stages is not None
    field = entity.fields[entity.stages.field].definition
    options = work.workspace.scope.choices(str(field.options.get("choices", ""))).options
    return {name: options[code].title if code is not None and code in options else code or "—" for name, code in (("from", old), ("to", new))}


def check_rules(work: Work, proposal: Proposal, names: Iterable[str] | None = None) -> None:
    """The entity's own checks that a change touches (all of them for a new row); those reading a faulty field wait."""
    if not proposal.entity.checks:
        return
    dirty = None if names is None else set(names)
    faulty = proposal.faulty() if proposal.faults else _NONE
    truth = work.truth(proposal.entity, proposal.after, proposal.before)
    for check in proposal.entity.checks:
        reads = check.condition.fields
        if (faulty and reads & faulty) or not (dirty is None or check.condition.volatile or reads & dirty):
            continue
        if truth(check.condition):
            proposal.fault(check.definition.at, check.definition.code, message=check.definition.message)
