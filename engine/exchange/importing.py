"""One chunk of rows into records: read, matched, merged, written through the one writer, children and review items made, every row accounted for.

A chunk is one transaction. What a file is, where its progress is kept and how it is undone is batches.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.access import grant_of, rights
from engine.errors import Fault, Refusal
from engine.exchange.mapping import Column, Plan
from engine.exchange.matching import Key, Matcher, people_by_name
from engine.exchange.merging import Disagreement, Merger
from engine.exchange.outcomes import CREATED, MERGED, REFUSED, Outcome
from engine.exchange.related import ChildWriter
from engine.exchange.rows import RowDraft
from engine.exchange.sheets import SheetRow
from engine.fields.base import Wrong, accepted
from engine.records import service
from engine.records.loading import ReadRow, reading_ahead
from engine.records.query import among
from engine.records.query_labels import labels
from engine.records.record import ANY, Record, RowResult
from engine.records.work import Work

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, Workspace


@dataclass(slots=True)
class _Target:
    """A record that rows of the chunk are about: standing (``id``) or to be made from the first of its drafts. ``keys`` are those of that draft."""

    id: int | None
    keys: Sequence[Key] = ()
    drafts: list[tuple[int, RowDraft]] = field(default_factory=list)
    reviews: list[tuple[SheetRow, Disagreement]] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)


class Importer:
    """Imports the rows of one file, chunk by chunk, in order. ``dry``: everything but the commit; rows that would be made are remembered by key.

    ``people``: who is known by name so far, for whoever reads the rows.
    """

    def __init__(self, entity: str, plan: Plan, file_name: str, *, dry: bool = False) -> None:
        self.people: dict[str, int] = {}
        self._made: set[str] = set()  # people there were not before, each told of in their first row
        self._entity = entity
        self._plan = plan
        self._file = file_name
        self._dry = dry
        self._ahead: tuple[Callable[[Mapping[str, Any]], ReadRow] | None, Workspace | None] = (None, None)
        self._would: dict[Key, int] = {}  # dry runs: keys of rows earlier chunks would have made

    def make_ready(self, drafts: Sequence[RowDraft]) -> None:
        """What can be done for rows before their chunk's turn: those that are nothing but read values are shaped as they will be written."""
        row, workspace = self._ahead
        for draft in drafts:
            if row is not None and draft.reader.workspace is workspace and draft.typed and not (draft.faults or draft.people or draft.values or draft.notes):
                draft.ready = row(draft.typed)

    def chunk(self, ctx: Context, drafts: Sequence[RowDraft]) -> list[Outcome]:
        """Write one chunk in the caller's open transaction; one outcome per row, in order."""
        entity = ctx.workspace.entities[self._entity]
        self._ahead = (reading_ahead(Work(ctx), entity), ctx.workspace)
        for draft in drafts:
            if draft.reader.workspace is not ctx.workspace:  # published meanwhile: what was read by the old definitions is read again
                draft.write_out()
        self._find_people(ctx, drafts)
        outcomes = [Outcome(draft.row, REFUSED, faults=draft.faults, warnings=draft.warnings) for draft in drafts]
        targets = self._targets(ctx, entity, drafts)
        merger = Merger(ctx.workspace, entity, self._plan, ctx.locale, lambda target, number: labels(ctx, target, [number]).get(number) or f"#{number}")
        self._create(ctx, entity, merger, [target for target in targets if target.id is None], outcomes)
        standing = [target for target in targets if target.id is not None and target.drafts and outcomes[target.drafts[0][0]].outcome != CREATED]
        self._fill(ctx, entity, merger, standing, outcomes)
        written = [target for target in targets if target.id is not None]
        if self._plan.children:
            ChildWriter(ctx, entity, self._plan).write([(int(target.id or 0), target.drafts) for target in written], outcomes)
        self._review(ctx, [target for target in written if target.reviews], outcomes)
        return outcomes

    # --- who and what ---------------------------------------------------------------------------------------------------------------------

    def _find_people(self, ctx: Context, drafts: Iterable[RowDraft]) -> None:
        asking = [draft for draft in drafts if draft.people]
        asked = {name: column for draft in asking for name, column in draft.people.values() if name not in self.people}
        known = {**self.people, **people_by_name(ctx, asked)}
        if not self._dry:  # a person a rehearsal makes is gone with its chunk
            self.people = known
        new: set[str] = set()
        for name, column in asked.items():
            if name not in known:
                made = self._make_person(ctx, name, column)
                if made is not None:
                    known[name] = made
                    new.add(name)
        for draft in asking:
            for key, (name, column) in draft.people.items():
                if name in known:
                    draft.typed[key] = known[name]
                    if name in new - self._made:
                        self._made.add(name)
                        draft.warnings += (Fault(f"/{key}", "person_made", {"name": name}),)
                else:
                    draft.notes += (f"{(column.headers or (column.key,))[0]}：{name}",)
                    draft.warnings += (Fault(f"/{key}", "person_unknown", {"name": name}),)

    def _make_person(self, ctx: Context, name: str, column: Column) -> int | None:
        """A person without a login, where the block says so and the importer may make people."""
        if column.options.get("unknown") != "create" or not rights(ctx, "people"):
            return None
        role = column.options.get("role")
        try:
            return service.create(ctx, "person", {"name": name, **({"roles": [role]} if role else {})}).id
        except Refusal:
            return None

    def _targets(self, ctx: Context, entity: CompiledEntity, drafts: Sequence[RowDraft]) -> list[_Target]:
        """The records the rows are about, in the order of their first rows. A row is about the record that carries the first of its keys that is known."""
        matcher = Matcher(ctx, entity, self._plan)
        keys = [matcher.keys(draft) for draft in drafts]
        found = {**self._would, **matcher.find({key for some in keys for key in some})}
        known: dict[Key, _Target] = {}
        by_id: dict[int, _Target] = {}
        targets: list[_Target] = []
        for at, (draft, some) in enumerate(zip(drafts, keys, strict=True)):
            if draft.faults:
                continue
            target = next((known[key] for key in some if key in known), None)
            if target is None:
                number = next((found[key] for key in some if key in found), None) if found else None
                target = by_id.get(number) if number is not None else None
                if target is None:
                    target = _Target(number, some)
                    targets.append(target)
                    if number is not None:
                        by_id[number] = target
            target.drafts.append((at, draft))
            for key in some:
                known.setdefault(key, target)
        return targets

    # --- new records ------------------------------------------------------------------------------------------------------------------------

    def _create(self, ctx: Context, entity: CompiledEntity, merger: Merger, targets: Sequence[_Target], outcomes: list[Outcome]) -> None:
        if not targets:
            return
        read: list[ReadRow] = []
        for target in targets:
            (_, first), *later = target.drafts
            if later:
                first.write_out()
            read.append(first.ready or ReadRow(first.typed))
            if first.defaults or first.values:
                target.raw = {**{key: value for key, value in first.defaults.items() if key not in first.typed}, **first.values}
            text = merger.noted(str(target.raw.get(self._plan.unread) or first.typed.get(self._plan.unread) or ""), first.notes) if first.notes else None
            if text is not None:
                target.raw[self._plan.unread] = text
            for _, draft in later:
                self._merge_into(target, merger, self._typed(entity, target.raw), draft)
        results = service.load(ctx, self._entity, [target.raw for target in targets], read=read)
        for target, result in zip(targets, results, strict=True):
            self._note_created(target, result, outcomes)

    @staticmethod
    def _typed(entity: CompiledEntity, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Raw inputs as the values they stand for, for comparison; what cannot be read counts as empty and is told by the writer."""
        found: dict[str, Any] = {}
        for key, given in raw.items():
            item = entity.fields.get(key)
            if item is not None and item.reader is not None:
                try:
                    found[key] = accepted(item.reader, given)
                except Wrong:
                    continue
        return found

    def _merge_into(self, target: _Target, merger: Merger, standing: Mapping[str, Any], draft: RowDraft) -> None:
        merged = merger.merge(standing, draft)
        target.raw.update(merged.changes)
        target.reviews += [(draft.row, item) for item in merged.reviews]

    def _note_created(self, target: _Target, result: RowResult, outcomes: list[Outcome]) -> None:
        if result.refused:
            faults = result.faults or (Fault("", result.code, dict(result.params)),)
            for at, draft in target.drafts:
                outcomes[at] = Outcome(draft.row, REFUSED, faults=faults, warnings=draft.warnings)
            return
        target.id = result.id
        for number, (at, _) in enumerate(target.drafts):
            outcomes[at].outcome = CREATED if number == 0 else MERGED
            outcomes[at].record = result.id
        if result.id is not None:
            made = [(self._entity, result.id, result.version or 1), *result.more]
            outcomes[target.drafts[0][0]].touched += [(entity, one, None, version) for entity, one, version in made]
            if self._dry:
                self._would.update(dict.fromkeys(target.keys, result.id))

    # --- standing records -------------------------------------------------------------------------------------------------------------------

    def _fill(self, ctx: Context, entity: CompiledEntity, merger: Merger, targets: Sequence[_Target], outcomes: list[Outcome]) -> None:
        standing = self._standing(ctx, entity, [int(target.id or 0) for target in targets])
        for target in targets:
            record = standing.get(int(target.id or 0))
            if record is None:  # a dry run's own row, or one that vanished meanwhile: nothing to compare with
                for at, _ in target.drafts:
                    outcomes[at].outcome, outcomes[at].record = MERGED, target.id
                target.id = None if self._dry else target.id
                continue
            values: dict[str, Any] = dict(record)
            for _, draft in target.drafts:
                self._merge_into(target, merger, {**values, **self._typed(entity, target.raw)}, draft)
            self._update(ctx, target, record, outcomes)

    def _standing(self, ctx: Context, entity: CompiledEntity, ids: Sequence[int]) -> dict[int, Record]:
        readable = grant_of(ctx.workspace, ctx.actor, entity).readable
        fields = [name for name, item in entity.fields.items() if not item.derived and name in readable]
        return {record.id: record for record in among(ctx, entity.key, "id", ids, ("id", "version", *fields))}

    def _update(self, ctx: Context, target: _Target, record: Record, outcomes: list[Outcome]) -> None:
        refused: tuple[Fault, ...] = ()
        version = record.version
        if target.raw:
            try:
                saved = service.update(ctx, self._entity, record.id, target.raw, ANY)
                version = saved.version
            except Refusal as refusal:
                refused = refusal.faults or (Fault("", refusal.code, dict(refusal.params)),)
        for number, (at, draft) in enumerate(target.drafts):
            if refused:
                outcomes[at] = Outcome(draft.row, REFUSED, record.id, faults=refused, warnings=draft.warnings)
                continue
            outcomes[at].outcome, outcomes[at].record = MERGED, record.id
            if number == 0 and version != record.version:
                outcomes[at].touched.append((self._entity, record.id, record.version, version))
        if refused:
            target.drafts, target.reviews = [], []

    # --- what a person must look at ---------------------------------------------------------------------------------------------------------

    def _review(self, ctx: Context, targets: Sequence[_Target], outcomes: list[Outcome]) -> None:
        if not self._plan.review:
            return
        entity = ctx.workspace.entities[self._plan.review]
        link = next((key for key in entity.links_to if entity.fields[key].target == self._entity), "")
        rows, places = [], []
        for target in targets:
            for row, item in target.reviews:
                given = {
                    **self._plan.review_values,
                    link: target.id,
                    "field": item.title,
                    "kept": item.kept,
                    "given": item.given[:500],
                    "source_file": self._file[:200],
                    "source_sheet": row.sheet,
                    "source_row": row.number,
                }
                rows.append({key: value for key, value in given.items() if key in entity.fields})
                places.append(next(at for at, draft in target.drafts if draft.row is row))
        for at, result in zip(places, service.load(ctx, self._plan.review, rows) if rows else [], strict=True):
            if not result.refused and result.id is not None:
                outcomes[at].reviews += 1
                outcomes[at].touched.append((self._plan.review, result.id, None, result.version or 1))
