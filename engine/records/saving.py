"""One save, step by step: propose, agree, write, settle. Works inside a transaction that service.py opened; writes record tables through work.py only."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.access import Clause, Grant, remember
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.fields.base import Value
from engine.records.attachments import bind_files, check_files, file_fields
from engine.records.derived import Settling, own_values
from engine.records.lines import Line, propose_lines
from engine.records.links import check_links, refuse_linked
from engine.records.merging_undo import refuse_merged
from engine.records.new_rows import propose_new
from engine.records.proposal import Proposal, check_rules, check_stage, propose_change
from engine.records.query import get
from engine.records.query_labels import roles_of
from engine.records.query_plan import Statement
from engine.records.record import ANY, Version
from engine.records.row_statements import whole_columns, whole_row
from engine.records.ruling import Ruling
from engine.records.ruling_log import RunLog
from engine.records.serials import draw, serial_fields
from engine.records.uniques import conflict_of
from engine.records.values import NOT_INPUT
from engine.records.work import Row, Work
from engine.scope import scope_of

if TYPE_CHECKING:
    from engine.context import Context
    from engine.rules.wording import Wording
    from engine.workspace import CompiledEntity, CompiledField

RESTORABLE = timedelta(days=30)


@dataclass(slots=True)
class Held:
    """A row its writer may change: as it stands, and the clauses whose roles admit the change."""

    row: Row
    clauses: tuple[Clause, ...]

    def writable(self, grant: Grant) -> frozenset[str]:
        """The fields these clauses let the actor write."""
        return grant.writable_but([clause.unwritten for clause in self.clauses])


@dataclass(slots=True)
class Saving:
    """The saves of one transaction. ``among``: the log of the runs that share it. ``told``: what rules tell its actor, who waits for it (None: nobody does)."""

    work: Work
    among: InitVar[RunLog | None] = None
    told: list[Wording] | None = None
    log: RunLog = field(init=False)
    settling: Settling = field(init=False)
    ruling: Ruling = field(init=False)

    def __post_init__(self, among: RunLog | None) -> None:
        self.log = among or RunLog(self.work)
        self.settling = Settling(self.work)
        self.ruling = Ruling(self)

    def acting(self, ctx: Context) -> Saving:
        """The same transaction's saves as another actor makes them: a rule on behalf of whoever set it off."""
        found = copy(self)
        found.work = self.work.acting(ctx)
        return found

    def finish(self) -> None:
        """What follows from what changed, then all that was gathered meanwhile."""
        self.follow()
        self.write()

    def follow(self) -> None:
        """Derived values, and the rules that follow from what changed."""
        self.settling.settle()
        self.ruling.drain()

    def write(self) -> None:
        """History, search tokens, what other rows carry and the rules' own log, as far as they were gathered."""
        self.work.finish()
        self.log.finish()

    # --- create -----------------------------------------------------------------------------------------------------------------------------

    def create(self, entity: CompiledEntity, raw: Mapping[str, object], read: Mapping[str, Value] | None = None) -> Row:
        """A new record with its child lines. ``read``: given values that the fields' own readers read before."""
        proposal = self.propose(entity, raw, read=read)
        children = propose_lines(self.work, proposal, self.propose)
        self._rule("create", proposal, children)
        self._agree(proposal, children)
        row = self._insert(proposal)
        self._save_lines(proposal, children, row["id"])
        return self._checked_again(proposal, bool(children))

    def propose(
        self, entity: CompiledEntity, raw: Mapping[str, object], at: str = "", fixed: Mapping[str, Value] | None = None, read: Mapping[str, Value] | None = None
    ) -> Proposal:
        """A proposal for a new row by somebody who may make one. Raises Denied, or NotFound where the entity is unknown to them."""
        grant = self.work.grant(entity)
        if not grant.allowed("create"):
            raise Denied("may_not_create", entity=entity.key) if grant.allowed("read") else NotFound("unknown_entity", entity=entity.key)
        return propose_new(self.work, entity, raw, grant.writable, at=at, fixed=fixed, read=read)

    def _insert(self, proposal: Proposal) -> Row:
        work, entity, row = self.work, proposal.entity, proposal.after
        self._authorise_new(proposal)
        drawn = [(name, template) for name, template in serial_fields(work.workspace, entity) if row.get(name) is None]
        for name, template in drawn:
            row[name] = draw(work.ctx, entity, name, template)[0]
        if drawn:
            own_values(work, entity, row, [name for name, _ in drawn])
        try:
            work.insert(entity, row)
        except sa.exc.IntegrityError as error:
            raise conflict_of(work, entity, error, row, proposal.at) from error
        stored = {name: row[name] for name in entity.fields if row.get(name) is not None}
        work.note(entity, "create", row, None, stored, [name for name in proposal.computed if name in stored])
        if entity.stages is not None and row.get(entity.stages.field) is not None:
            work.stage(entity, row, None, row[entity.stages.field])
        self._bind_files(entity, {}, row)
        self.settling.changed(entity, None, row)
        return row

    def _authorise_new(self, proposal: Proposal) -> None:
        grant, truth = self.work.grant(proposal.entity), self.work.truth(proposal.entity, proposal.after)
        if not grant.admits("create", truth):
            raise Denied("may_not_create_this", entity=proposal.entity.key)
        writes = grant.writes("create", truth)
        if not proposal.given <= writes:
            closed = sorted(proposal.given - writes)
            raise Invalid("invalid", faults=[Fault(f"{proposal.at}/{name}", "not_writable", {"field": name}) for name in closed])

    # --- update -----------------------------------------------------------------------------------------------------------------------------

    def update(self, entity: CompiledEntity, record_id: int, raw: Mapping[str, object], version: Version) -> Row:
        """A changed record with its child lines. Nothing is written when nothing differs."""
        held = self.hold(entity, record_id, "update")
        self._check_version(entity, held.row, version, raw)
        proposal = propose_change(self.work, entity, held.row, raw, held.writable(self.work.grant(entity)))
        children = propose_lines(self.work, proposal, self.propose)
        if proposal.changed or children:
            self._rule("update", proposal, children)
        self._agree(proposal, children)
        lines_changed = self._save_lines(proposal, children, record_id)
        self._write(proposal, lines_changed=lines_changed)
        return self._checked_again(proposal, bool(children))

    def hold(self, entity: CompiledEntity, record_id: int, verb: str) -> Held:
        """The row, locked, when the actor may do this with it. Raises NotFound for a row they may not see, Denied for one they may only read."""
        work = self.work
        grant = work.grant(entity)
        if not grant.allowed("read"):
            raise NotFound("unknown_entity", entity=entity.key)
        if entity.definition.append_only and verb != "read":
            raise Denied("append_only", entity=entity.key)
        if grant.whole and (own := work.own(entity.key, record_id)) is not None and own["deleted_at"] is None:
            return Held(own, grant.clauses)
        statement = remember(work.workspace, ("hold", entity.key, roles_of(work.ctx), verb), lambda: holding(work, entity, verb))
        found = statement.ready.first(work.connection, {**work.bound(statement), "p_id": record_id})
        if found is None:
            raise NotFound("no_such_record", entity=entity.key, id=record_id)
        flags = len(grant.clauses)
        row = whole_row(work.workspace, entity, found[:-flags])
        clauses = tuple(clause for clause, flag in zip(grant.clauses, found[-flags:], strict=True) if flag)
        if not clauses:
            raise Denied(f"may_not_{verb}", entity=entity.key, id=record_id)
        work.keep(entity.key, row, ours=True)
        return Held(row, clauses)

    def _check_version(self, entity: CompiledEntity, row: Row, version: Version, raw: Mapping[str, object]) -> None:
        if version is ANY or version == row["version"]:
            return
        mine = {key: value for key, value in raw.items() if key not in NOT_INPUT}
        raise Conflict("stale", entity=entity.key, id=row["id"], version=row["version"], current=get(self.work.ctx, entity.key, row["id"]), mine=mine)

    def _write(self, proposal: Proposal, *, lines_changed: bool = False) -> None:
        work, entity, before, row = self.work, proposal.entity, proposal.before, proposal.after
        names = proposal.changed
        if before is None or not (names or lines_changed):
            return
        try:
            written = work.update(entity, before, row, names, entered=True)
        except sa.exc.IntegrityError as error:
            raise conflict_of(work, entity, error, row, proposal.at) from error
        if not written:
            raise Conflict("stale", entity=entity.key, id=row["id"])
        work.note(
            entity,
            "update",
            row,
            {name: before.get(name) for name in names},
            {name: row.get(name) for name in names},
            [name for name in proposal.computed if name in names],
        )
        stages = entity.stages
        if stages is not None and stages.field in names:
            work.stage(entity, row, before.get(stages.field), row.get(stages.field))
        self._bind_files(entity, before, row)
        self.settling.changed(entity, before, row)

    # --- both -------------------------------------------------------------------------------------------------------------------------------

    def _rule(self, verb: str, proposal: Proposal, children: list[Line]) -> None:
        """The rules before a write: of each child line, then of the record they belong to. One that cannot go on with what is missing or wrong leaves the word to that."""
        ruling = self.ruling
        if not ruling.book.before:
            return
        try:
            for line in children:
                if line.proposal is not None and (line.before is None or line.proposal.changed):
                    ruling.before("create" if line.before is None else "update", line.proposal)
            ruling.before(verb, proposal, children)
        except Invalid as refusal:
            if refusal.code == "invalid":
                raise
            self._agree(proposal, children)
            raise

    def _agree(self, proposal: Proposal, children: list[Line]) -> None:
        """Everything that can be said against a proposal and its lines, all at once."""
        proposals = [proposal, *(line.proposal for line in children if line.proposal is not None)]
        check_links(self.work, proposals)
        for one in proposals:
            check_stage(self.work, one)
            self._check_files(one)
            if one is not proposal or not children:
                check_rules(self.work, one, None if one.before is None else one.changed)
        faults = [fault for one in proposals for fault in one.faults]
        if faults:
            raise Invalid("invalid", faults=faults)

    def _check_files(self, proposal: Proposal) -> None:
        for item in self._file_fields(proposal.entity):
            if item.key in proposal.given:
                before = proposal.before.get(item.key) if proposal.before is not None else None
                proposal.faults += check_files(self.work.ctx, item, before, proposal.after.get(item.key), proposal.at)

    def _file_fields(self, entity: CompiledEntity) -> tuple[CompiledField, ...]:
        return remember(self.work.workspace, ("files", entity.key), lambda: file_fields(entity))

    def _bind_files(self, entity: CompiledEntity, before: Row, after: Row) -> None:
        if self._file_fields(entity):
            bind_files(self.work.ctx, entity, after["id"], before, after)

    def _checked_again(self, proposal: Proposal, with_lines: bool) -> Row:
        """With lines: once the roll-ups over them are true, the record's own checks run."""
        entity, record_id = proposal.entity, proposal.after["id"]
        if with_lines:
            self.settling.settle()
            proposal.after = self.work.row(entity.key, record_id) or proposal.after
            check_rules(self.work, proposal)
            if proposal.faults:
                raise Invalid("invalid", faults=proposal.faults)
        return self.work.row(entity.key, record_id) or proposal.after

    # --- child lines ------------------------------------------------------------------------------------------------------------------------

    def _save_lines(self, proposal: Proposal, lines: list[Line], parent_id: int) -> bool:
        changed = False
        for line in lines:
            if line.proposal is None and line.before is not None:
                self._authorise_delete(line)
                self._delete(line.entity, line.before)
                changed = True
            elif line.proposal is not None and line.before is None:
                line.proposal.after[line.entity.parent_field] = parent_id
                self._insert(line.proposal)
                changed = True
            elif line.proposal is not None and line.proposal.changed:
                self._write(line.proposal)
                changed = True
        return changed

    def _authorise_delete(self, line: Line) -> None:
        if line.before is None or not self.work.grant(line.entity).admits("delete", self.work.truth(line.entity, line.before)):
            raise Denied("may_not_delete", entity=line.entity.key)

    # --- delete and restore -----------------------------------------------------------------------------------------------------------------

    def delete(self, entity: CompiledEntity, record_id: int, version: Version) -> Row:
        """A record out of every read path, with its child lines. Raises Conflict with the count when others point to it."""
        held = self.hold(entity, record_id, "delete")
        self._check_version(entity, held.row, version, {})
        refuse_linked(self.work, entity, record_id)
        for key in entity.lines:
            child = self.work.entity(key)
            for row in self._all_lines(child, record_id):
                refuse_linked(self.work, child, row["id"])
                self._delete(child, row)
        return self._delete(entity, held.row)

    def _all_lines(self, child: CompiledEntity, parent_id: int, deleted: datetime | None = None) -> list[Row]:
        ids = self.work.pointing(child, child.parent_field, [parent_id], deleted=deleted)
        return list(self.work.fetch(child.key, ids, lock=True).values())

    def _delete(self, entity: CompiledEntity, row: Row) -> Row:
        self.ruling.before_delete(entity, row)
        self.work.set_deleted(entity, row, self.work.ctx.now)
        self.work.forget_tokens(entity, row["id"])
        self.work.note(entity, "delete", row, None, None)
        self.settling.changed(entity, row, None)
        return row

    def restore(self, entity: CompiledEntity, record_id: int) -> Row:
        """A deleted record back, with the lines deleted with it. Raises NotFound after 30 days, Conflict when its key was taken meanwhile."""
        work = self.work
        row = work.fetch(entity.key, [record_id], lock=True).get(record_id)
        if row is None or row["deleted_at"] is None or row["deleted_at"] < work.ctx.now - RESTORABLE:
            raise NotFound("nothing_to_restore", entity=entity.key, id=record_id)
        grant, truth = work.grant(entity), work.truth(entity, row)
        if not grant.admits("read", truth):
            raise NotFound("nothing_to_restore", entity=entity.key, id=record_id)
        if not grant.admits("delete", truth):
            raise Denied("may_not_restore", entity=entity.key, id=record_id)
        refuse_merged(work, entity.key, record_id)
        at = row["deleted_at"]
        back = self.put_back(entity, row)
        for key in entity.lines:
            child = work.entity(key)
            for line in self._all_lines(child, record_id, deleted=at):
                self.put_back(child, line)
        return back

    def put_back(self, entity: CompiledEntity, row: Row) -> Row:
        """One deleted row as it was, its own values reckoned anew. Raises Conflict when its key was taken meanwhile. Whether it may be, the caller has asked."""
        work = self.work
        try:
            work.set_deleted(entity, row, None)
        except sa.exc.IntegrityError as error:
            raise conflict_of(work, entity, error, row) from error
        before = dict(row)
        names = [name for name in own_values(work, entity, row, None) if row[name] != before.get(name)]
        work.update_computed(entity, [(before, row, names)] if names else [])
        work.remember_tokens(entity, row)
        work.note(entity, "restore", row, None, None)
        self.settling.changed(entity, None, row)
        return row


def holding(work: Work, entity: CompiledEntity, verb: str) -> Statement:
    """A visible row with one flag per role: whether that role admits the verb on it. Locked on PostgreSQL."""
    scope = scope_of(work.workspace, work.ctx.actor, entity)
    flags = [scope.holds(clause.rows[verb]).label(f"f_{index}") for index, clause in enumerate(scope.grant.clauses)]
    wanted = sa.bindparam("p_id", type_=sa.BigInteger, required=True)
    select = scope.select(*whole_columns(work.workspace, entity), *flags).where(scope.column("id") == wanted)
    return Statement.of(select.with_for_update(of=entity.table, key_share=True) if work.workspace.database.dialect == "postgresql" else select)
