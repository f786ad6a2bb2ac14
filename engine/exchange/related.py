"""Children of imported rows (lines and linked records): known again by their keys, made where they are new, ordered kinds put right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.access import grant_of
from engine.errors import Fault
from engine.exchange.mapping import Child, Plan
from engine.exchange.merging import comparable, raw_of
from engine.exchange.rows import ChildDraft, RowDraft
from engine.expressions.evaluate import Evaluator
from engine.fields.base import Wrong, accepted
from engine.records import service
from engine.records.query import among
from engine.records.record import ANY, Record
from engine.surroundings import environment

if TYPE_CHECKING:
    from engine.context import Context
    from engine.exchange.outcomes import Outcome
    from engine.workspace import CompiledEntity


@dataclass(slots=True)
class _Wanted:
    """A child to be made: for which parent, for which row."""

    parent: int
    at: int
    draft: ChildDraft


class ChildWriter:
    """Writes the children of one chunk, one kind after the other."""

    def __init__(self, ctx: Context, entity: CompiledEntity, plan: Plan) -> None:
        self._ctx = ctx
        self._entity = entity
        self._plan = plan
        self._evaluator = Evaluator(environment(ctx))

    def write(self, parents: Sequence[tuple[int, Sequence[tuple[int, RowDraft]]]], outcomes: list[Outcome]) -> None:
        """Make what is new among the children of (parent id, its drafts with their place among the outcomes)."""
        for child in self._plan.children:
            wanted = [_Wanted(parent, at, item) for parent, drafts in parents for at, draft in drafts for item in draft.children if item.plan is child]
            if wanted:
                self._kind(child, wanted, outcomes)

    def _kind(self, child: Child, wanted: Sequence[_Wanted], outcomes: list[Outcome]) -> None:
        entity = self._ctx.workspace.entities[child.entity]
        parents = sorted({item.parent for item in wanted})
        standing = self._standing(entity, child, parents)
        values = self._parent_values(child, parents)
        seen = {key for parent, records in standing.items() for record in records for key in self._keys_of_record(child, parent, record)}
        rows: list[dict[str, Any]] = []
        places: list[_Wanted] = []
        for item in wanted:
            raw = self._raw(entity, child, item, values.get(item.parent, {}), bool(standing.get(item.parent)))
            keys = self._keys(entity, child, item.parent, raw)
            if keys and not seen.isdisjoint(keys):
                continue
            seen.update(keys)
            rows.append(raw)
            places.append(item)
        for item, result in zip(places, service.load(self._ctx, child.entity, rows) if rows else [], strict=True):
            outcome = outcomes[item.at]
            if result.refused:
                faults = result.faults or (Fault("", result.code, dict(result.params)),)
                outcome.warnings += tuple(Fault(f"/{child.entity}{fault.pointer}", fault.code, fault.params) for fault in faults)
            elif result.id is not None:
                outcome.touched += [(entity, one, None, version) for entity, one, version in ((child.entity, result.id, result.version or 1), *result.more)]
        self._put_in_order(entity, child, places, outcomes)

    def _raw(self, entity: CompiledEntity, child: Child, item: _Wanted, parent: Mapping[str, Any], before: bool) -> dict[str, Any]:
        raw: dict[str, Any] = {child.link: item.parent, **item.draft.values}
        for key, given in item.draft.later.items():
            if "field" in given:
                found = raw_of(parent.get(given["field"]))
                if found is not None:
                    raw[key] = found
            elif "later" in given:
                raw[key] = given["later"] if before else given["first"]
        for key, value in list(raw.items()):
            reader = entity.fields[key].reader if key in entity.fields else None
            if reader is None:
                continue
            try:
                accepted(reader, value)
            except Wrong:
                limit = entity.fields[key].definition.body.get("maxLength")
                if isinstance(value, str) and isinstance(limit, int) and len(value) > limit:
                    raw[key] = value[:limit]
        return raw

    # --- known again ------------------------------------------------------------------------------------------------------------------------

    def _readable(self, entity: str) -> frozenset[str]:
        return grant_of(self._ctx.workspace, self._ctx.actor, self._ctx.workspace.entities[entity]).readable

    def _key_fields(self, child: Child) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for alternative in child.key for name in alternative))

    def _standing(self, entity: CompiledEntity, child: Child, parents: Sequence[int]) -> dict[int, list[Record]]:
        granted = self._readable(child.entity)
        ordered = self._order_field(child)
        fields = tuple(name for name in dict.fromkeys((child.link, *self._key_fields(child), *ordered)) if name in granted)
        found: dict[int, list[Record]] = {}
        for record in among(self._ctx, child.entity, child.link, parents, ("id", "version", *fields)):
            found.setdefault(int(comparable(record[child.link])), []).append(record)
        return found

    def _keys_of_record(self, child: Child, parent: int, record: Record) -> Iterable[tuple[Any, ...]]:
        for alternative in child.key:
            values = [comparable(record.get(name)) for name in alternative]
            if all(value is not None for value in values):
                yield (parent, alternative, *map(repr, values))

    def _keys(self, entity: CompiledEntity, child: Child, parent: int, raw: Mapping[str, Any]) -> set[tuple[Any, ...]]:
        typed: dict[str, Any] = {}
        for name, value in raw.items():
            reader = entity.fields[name].reader if name in entity.fields else None
            if reader is not None:
                try:
                    typed[name] = accepted(reader, value)
                except Wrong:
                    typed[name] = None
        for name in self._key_fields(child):
            formula = entity.fields[name].formula
            if formula is not None:
                typed[name] = self._evaluator.value(formula, typed)
        found = set()
        for alternative in child.key:
            values = [typed.get(name) for name in alternative]
            if all(value is not None for value in values):
                found.add((parent, alternative, *map(repr, values)))
        return found

    def _parent_values(self, child: Child, parents: Sequence[int]) -> dict[int, Record]:
        wanted = {given["field"] for given in child.values.values() if isinstance(given, Mapping) and "field" in given}
        wanted &= self._readable(self._entity.key)
        if not wanted:
            return {}
        return {record.id: record for record in among(self._ctx, self._entity.key, "id", parents, ("id", *sorted(wanted)))}

    # --- the first and the later ones ---------------------------------------------------------------------------------------------------------

    def _order_field(self, child: Child) -> tuple[str, ...]:
        """The fields by which the first child is told from later ones, when some value depends on it: the instant and the field itself."""
        kinds = [key for key, given in child.values.items() if isinstance(given, Mapping) and "later" in given]
        return (*kinds, *child.into.values()) if kinds else ()

    def _put_in_order(self, entity: CompiledEntity, child: Child, places: Sequence[_Wanted], outcomes: list[Outcome]) -> None:
        """A file's rows come in any order: the earliest child carries the ``first`` value, all others that carried it the ``later`` one."""
        for key, given in child.values.items():
            if not (isinstance(given, Mapping) and "later" in given):
                continue
            moment = next(iter(child.into.values()))
            row_of = {item.parent: item.at for item in places}
            for parent, records in self._standing(entity, child, sorted(row_of)).items():
                ordered = sorted((record for record in records if record.get(moment) is not None), key=lambda record: (record[moment], record.id))
                for number, record in enumerate(ordered):
                    wanted = given["first"] if number == 0 else given["later"]
                    if record.get(key) != wanted and record.get(key) in (given["first"], given["later"]):
                        saved = service.update(self._ctx, child.entity, record.id, {key: wanted}, ANY)
                        outcomes[row_of[parent]].touched.append((child.entity, record.id, record.version, saved.version))
