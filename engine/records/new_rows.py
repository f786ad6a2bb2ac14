"""New rows of one entity, compiled: what can be known before a row is seen (readers, defaults, what must be checked) is looked up once per version.

Gives proposals; writes nothing. Changes of standing rows are proposal.py's business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.access import Grant, remember
from engine.errors import Fault
from engine.expressions.language import Expression
from engine.fields.base import Value, accepted
from engine.fields.serial import Serial
from engine.records.derived import own_value, start_values
from engine.records.proposal import (
    Proposal,
    beginnings,
    cascades,
    check_beginning,
    check_cascade,
    check_not_closed,
    clear_hidden,
    is_wanting,
    is_wanting_plainly,
)
from engine.records.values import Intake, intake
from engine.records.work import Row, Work

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity, CompiledField, Workspace


@dataclass(frozen=True, slots=True)
class NewRows:
    """How new rows of one entity begin and what is asked of them. Holds nothing of any row and is shared by all transactions of a version."""

    entity: CompiledEntity
    intake: Intake
    template: Row  # every stored field: empty, its constant default, or a roll-up's beginning
    lists: tuple[tuple[str, tuple[Value, ...]], ...]  # constant defaults that each row needs a copy of
    defaults: tuple[tuple[str, Expression], ...]  # in an order in which each finds what it reads
    conditional: bool  # some field is only shown under a condition
    derived: tuple[str, ...]
    closed: frozenset[str]  # fields that not everybody may set
    cascades: tuple[tuple[str, str], ...]
    required: tuple[str, ...]  # always
    wanting: tuple[CompiledField, ...]  # under a condition
    begins: frozenset[str] | None  # the stages people may begin one in; None: any
    followed: frozenset[str]  # links whose targets are read to make or to judge a row

    def start(self, work: Work) -> Row:
        """A row nobody has said anything about yet."""
        return {**self.template, **work.new_head()}

    def read(
        self,
        work: Work,
        grant: Grant,
        start: Row,
        raw: Mapping[str, object],
        writable: Collection[str],
        *,
        at: str = "",
        fixed: Mapping[str, Value] | None = None,
        read: Mapping[str, Value] | None = None,
    ) -> Proposal:
        """What is given, put over a row's start (from ``start``, which may serve many). ``fixed``: values the engine sets itself (a line's parent).

        ``read``: given values that the fields' own readers read before; raw inputs win over them.
        """
        taken = self.intake.take(raw, writable, grant.readable, at)
        if read:
            closed = read.keys() - writable
            taken.faults += [Fault(f"{at}/{name}", "not_writable" if name in grant.readable else "unknown_field", {"field": name}) for name in sorted(closed)]
            taken.values = {**read, **taken.values}
        row: Row = {**start, **taken.values, **fixed} if fixed else {**start, **taken.values}
        return Proposal(self.entity, None, row, taken.values, taken.lines, taken.faults, at, trusted=work.ctx.actor.kind == "system")

    def complete(self, work: Work, proposal: Proposal, fixed: Collection[str] = ()) -> None:
        """Defaults, what is hidden cleared, derived values, and what can be said against the row by itself."""
        row, given = proposal.after, proposal.values
        for name, items in self.lists:
            if name not in given and name not in fixed:
                row[name] = list(items)
        if proposal.faults:
            self._begin_faulty(proposal)
        for name, default in self.defaults:
            if name not in given and name not in fixed and not (proposal.faults and name in proposal.faulty()):
                row[name] = work.value(self.entity, default, row)
        if self.conditional:
            clear_hidden(work, proposal, None)
        for name in self.derived:
            row[name] = own_value(work, self.entity, name, row)
        proposal.computed = self.derived
        if self.closed and not self.closed.isdisjoint(given):
            check_not_closed(work, proposal, self.closed)
        if self.begins is not None:
            check_beginning(work, proposal, self.begins)
        for name, parent in self.cascades:
            check_cascade(work, proposal, name, parent)
        for name in self.required:
            value = row[name]
            if value is None or value == []:
                proposal.fault(name, "required")
        for item in self.wanting:
            if row.get(item.key) in (None, []) and is_wanting(work, proposal, item):
                proposal.fault(item.key, "required")

    def _begin_faulty(self, proposal: Proposal) -> None:
        """A field that could not be read is not filled by its default."""
        for name in proposal.faulty():
            if name in self.template:
                proposal.after[name] = None


def propose_new(
    work: Work,
    entity: CompiledEntity,
    raw: Mapping[str, object],
    writable: Collection[str],
    *,
    at: str = "",
    fixed: Mapping[str, Value] | None = None,
    read: Mapping[str, Value] | None = None,
) -> Proposal:
    """A new row. ``fixed``: values the engine sets itself (the parent of a child line); ``read``: given values already read."""
    rows = new_rows(work.workspace, entity, json=work.json)
    proposal = rows.read(work, work.grant(entity), rows.start(work), raw, writable, at=at, fixed=fixed, read=read)
    rows.complete(work, proposal, fixed.keys() if fixed else ())
    return proposal


def new_rows(workspace: Workspace, entity: CompiledEntity, *, json: bool = False) -> NewRows:
    """The new rows of an entity at this version. ``json``: what is given is read as JSON alone."""
    return remember(workspace, ("new rows", entity.key, json), lambda: _build(workspace, entity, json))


def _build(workspace: Workspace, entity: CompiledEntity, json: bool) -> NewRows:
    fields = entity.fields
    constants = {
        name: found for name in _default_order(entity) if not isinstance(fields[name].default, Expression) and (found := _constant(fields[name])) is not None
    }
    template: Row = {**{key: None for key, item in fields.items() if item.column is not None}, **start_values(entity), **constants}
    wanting = [item for item in fields.values() if item.required is not False and not item.derived]
    return NewRows(
        entity,
        intake(workspace, entity, json=json),
        template,
        tuple((name, tuple(found)) for name, found in constants.items() if isinstance(found, list)),
        tuple((name, default) for name in _default_order(entity) if isinstance(default := fields[name].default, Expression)),
        any(item.show is not None for item in fields.values()),
        tuple(name for name in entity.derived_order if fields[name].rollup is None),
        frozenset(name for name, item in fields.items() if isinstance(item.type, Serial) or item.read_only is not False),
        cascades(entity),
        tuple(item.key for item in wanting if is_wanting_plainly(item) and item.column is not None),
        tuple(item for item in wanting if not (is_wanting_plainly(item) and item.column is not None)),
        beginnings(entity),
        _followed(entity),
    )


def _constant(item: CompiledField) -> Value:
    """The typed value of a default written as in JSON."""
    return accepted(item.reader, item.default) if item.reader is not None else None


def _default_order(entity: CompiledEntity) -> tuple[str, ...]:
    """Fields with a default, each after the defaults it reads (cycles are refused at publish; what is left stands in written order)."""
    left = {
        name: set(item.default.fields) if isinstance(item.default, Expression) else set()
        for name, item in entity.fields.items()
        if item.default is not None and item.column is not None
    }
    found: list[str] = []
    while left:
        ready = [name for name, reads in left.items() if not (reads - {name}) & left.keys()] or [next(iter(left))]
        found += ready
        for name in ready:
            del left[name]
    return tuple(found)


def _followed(entity: CompiledEntity) -> frozenset[str]:
    """Links that a default, a derived value, a condition or a check looks over."""
    said: list[object] = [check.condition for check in entity.checks]
    found = set()
    for item in entity.fields.values():
        said += [item.default, item.formula, item.required, item.show, item.read_only]
        if item.lookup is not None and item.column is not None:
            found.add(item.lookup.link)
    found |= hops(said)
    return frozenset(name for name in found if name in entity.fields and entity.fields[name].target)


def hops(said: Collection[object]) -> set[str]:
    """The links that expressions look over."""
    return {path[0] for one in said if isinstance(one, Expression) for path in one.reads if len(path) > 1}
