"""From what the database has and what the definitions say to Steps: each says in words what it does, of which class it is and how many rows it touches.

Decides only; apply.py does it. Nothing is ever dropped or narrowed but indexes, which hold no data of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engine.schema.index_spec import IndexSpec, Reason
from engine.schema.indexes import needed
from engine.schema.ledger import SEARCH_TYPE, Column, Layout, Ledger, Shape, lay_out
from engine.schema.tables import StoredField, search_name, table_name
from engine.schema.words import say
from metadata.bundle import Bundle
from metadata.definitions import Entity
from metadata.text import Label, label_text

Risk = Literal["adds", "widens", "retires", "needs_data"]
#: Building an index over more rows than this on PostgreSQL is done beside the running work, not in the publishing transaction.
SLOW_ROWS = 50_000
VIOLATIONS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """Existing records that break a new uniqueness: how they may be found, never their values (the admin may not be allowed to read them)."""

    records: tuple[int, ...]
    count: int


class Rows(Protocol):
    """What a plan asks the data; counts leave deleted records out."""

    def count(self, entity: str) -> int: ...  # all records
    def filled(self, entity: str, column: str) -> int: ...  # with a value there
    def missing(self, entity: str, column: str) -> int: ...  # without one
    def violations(self, spec: IndexSpec, limit: int) -> tuple[int, list[Violation]]: ...  # groups in all, the first of them


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the schema or of stored values. ``code`` names its sentence; ``rows``: how many records it concerns."""

    code: str
    risk: Risk
    entity: str
    title: Label
    rows: int = 0
    field: str = ""
    field_title: Label = ""
    stored: StoredField | None = None
    before: StoredField | None = None
    index: IndexSpec | None = None
    name: str = ""  # of an index to be dropped
    reasons: tuple[Reason, ...] = ()
    slow: bool = False
    violations: tuple[Violation, ...] = ()

    def sentence(self, locale: str = "zh") -> str:
        """What this step does, for an administrator."""
        told = say(
            self.code,
            locale,
            entity=label_text(self.title, locale, self.entity),
            field=label_text(self.field_title, locale, self.field),
            rows=self.rows,
            columns=self._columns(locale),
            name=self.name,
        )
        why = "；" if locale.startswith("zh") else "; "
        reasons = why.join(say(reason.code, locale, subject=label_text(reason.subject, locale)) for reason in self.reasons)
        return f"{told}{say('because', locale, reasons=reasons)}" if reasons else told

    def _columns(self, locale: str) -> str:
        return ("、" if locale.startswith("zh") else ", ").join(self.index.columns) if self.index else ""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """Everything publishing will do to the tables. ``blocked`` steps stop it (existing rows break a new uniqueness)."""

    layout: Layout
    steps: tuple[Step, ...]
    indexes: Mapping[str, IndexSpec] = field(default_factory=dict)

    @property
    def blocked(self) -> tuple[Step, ...]:
        """Steps whose data stands against them."""
        return tuple(step for step in self.steps if step.violations)

    @property
    def slow(self) -> bool:
        """True when the version must be prepared beside the running one."""
        return any(step.slow for step in self.steps)

    def of(self, *codes: str) -> tuple[Step, ...]:
        """The steps with one of these codes, in order."""
        return tuple(step for step in self.steps if step.code in codes)


Shapes = Mapping[tuple[str, str], Shape]


def plan_schema(
    old: Bundle, new: Bundle, shapes: Shapes, ledger: Ledger, rows: Rows, dialect: str, version: int, dirty: Sequence[tuple[str, str]] = ()
) -> SchemaPlan:
    """The steps from what is to what ``new`` says. ``dirty``: stored derived fields whose values must be computed anew."""
    layout = lay_out(shapes, ledger, version)
    indexes = needed(new, layout.stored, dialect)
    planner = _Planner(old, new, shapes, ledger, rows, dialect, layout)
    steps = (
        *planner.tables(),
        *planner.columns(),
        *planner.search(),
        *planner.retired(),
        *planner.required(),
        *planner.back_fills(dirty),
        *planner.indexes(indexes),
    )
    return SchemaPlan(layout, steps, indexes)


def entity_of(index: str) -> str:
    """The entity an index name tells of; names are cut at a length no key reaches."""
    return index.removeprefix("ix_").rpartition("_")[0]


@dataclass(frozen=True, slots=True)
class _Planner:
    old: Bundle
    new: Bundle
    shapes: Shapes
    ledger: Ledger
    rows: Rows
    dialect: str
    layout: Layout

    def has(self, entity: str) -> bool:
        return table_name(entity) in self.ledger.tables

    def step(self, code: str, risk: Risk, entity: Entity, key: str = "", **more: object) -> Step:
        shape = self.shapes.get((entity.key, key))
        titles = entity.fields[key].title if key in entity.fields else shape.field.title if shape is not None else key
        return Step(code, risk, entity.key, entity.title, field=key, field_title=titles or key, **more)  # type: ignore[arg-type]

    def tables(self) -> list[Step]:
        return [self.step("create_table", "adds", entity) for entity in self.new.entities.values() if not self.has(entity.key)]

    def columns(self) -> list[Step]:
        """New columns, types changed to a new column, and fields that come back with their values."""
        steps = []
        for stored in self.layout.new:
            entity = self.new.entities[stored.entity]
            if not self.has(entity.key):
                continue
            former = self._former(stored)
            if stored.carried:
                steps.append(self.step("carry", "adds", entity, stored.key, stored=stored))
            elif former is None:
                steps.append(self.step("add_column", "adds", entity, stored.key, stored=stored))
            else:
                steps.append(
                    self.step("change_type", "needs_data", entity, stored.key, stored=stored, before=former, rows=self.rows.filled(entity.key, former.column))
                )
        for column in self.layout.taken:
            entity = self.new.entities[column.entity]
            steps.append(self.step("revive_field", "adds", entity, column.field, rows=self.rows.filled(entity.key, column.column)))
        return steps

    def _former(self, stored: StoredField) -> StoredField | None:
        """The column whose entered values a changed type takes over; None for a new field or one that was or is computed."""
        if self.layout.signatures[stored.entity, stored.key].startswith("="):
            return None
        lefts = [item for item in self.layout.left if (item.entity, item.field) == (stored.entity, stored.key) and not item.type.startswith("=")]
        return StoredField(stored.entity, stored.key, lefts[-1].column, stored.type) if lefts else None

    def search(self) -> list[Step]:
        """The place for search tokens of entities searched for the first time, and filling it when a searched field is new."""
        steps = []
        known = {item.entity for item in self.ledger.columns if item.type == SEARCH_TYPE}
        searched = {stored.entity for stored in self.layout.stored.values() if stored.letter}
        changed = {item.entity for item in (*self.layout.letters, *self._search_gone())}
        for key in sorted(searched):
            entity = self.new.entities[key]
            place_there = search_name(key) in self.ledger.tables if self.dialect == "sqlite" else key in known
            if not place_there:
                steps.append(self.step("create_search", "adds", entity))
            if self.has(key) and (key in changed or not place_there) and (count := self.rows.count(key)):
                steps.append(self.step("fill_search", "needs_data", entity, rows=count, slow=self._slow(count)))
        return steps

    def _search_gone(self) -> list[Column]:
        """Letters of fields that are not searched any more: their tokens must go."""
        return [
            item
            for item in self.ledger.columns
            if item.type == SEARCH_TYPE
            and item.entity in self.old.entities
            and (was := self.old.entities[item.entity].fields.get(item.field)) is not None
            and was.search
            and not was.retired
            and not getattr(self.layout.stored.get((item.entity, item.field)), "letter", "")
        ]

    def retired(self) -> list[Step]:
        """Fields and entities that disappear from view; their columns stay."""
        steps = []
        for entity in self.old.entities.values():
            after = self.new.entities.get(entity.key)
            if after is None:
                steps.append(self.step("retire_entity", "retires", entity, rows=self.rows.count(entity.key) if self.has(entity.key) else 0))
                continue
            for was in entity.live_fields():
                now = after.fields.get(was.key)
                if now is None or now.retired:
                    column = next((item.column for item in self.layout.left if (item.entity, item.field) == (entity.key, was.key)), "")
                    count = self.rows.filled(entity.key, column) if column and self.has(entity.key) else 0
                    steps.append(self.step("retire_field", "retires", entity, was.key, rows=count))
        return steps

    def required(self) -> list[Step]:
        """Fields required from now on: counted, nothing is touched."""
        steps = []
        for entity in self.new.entities.values():
            before = self.old.entities.get(entity.key)
            if before is None or not self.has(entity.key) or before is entity:
                continue
            for now in entity.live_fields():
                was = before.fields.get(now.key)
                stored = self.layout.stored.get((entity.key, now.key))
                if now.required is True and not (was is not None and was.required is True and not was.retired) and stored is not None:
                    count = self.rows.count(entity.key) if stored in self.layout.new else self.rows.missing(entity.key, stored.column)
                    steps.append(self.step("require", "needs_data", entity, now.key, rows=count))
        return steps

    def back_fills(self, dirty: Sequence[tuple[str, str]]) -> list[Step]:
        """Derived values to compute, blind indexes to make."""
        steps = []
        for entity_key, key in dirty:
            stored = self.layout.stored.get((entity_key, key))
            if stored is not None and self.has(entity_key) and (count := self.rows.count(entity_key)):
                steps.append(self.step("back_fill", "needs_data", self.new.entities[entity_key], key, stored=stored, rows=count, slow=self._slow(count)))
        for (entity_key, key), stored in self.layout.stored.items():
            before = self.old.entities.get(entity_key)
            was = before.fields.get(key) if before else None
            if stored.last4 and was is not None and was.encrypted and not was.options.get("last4") and stored not in self.layout.new:
                count = self.rows.filled(entity_key, stored.column)
                steps.append(self.step("fill_blind", "needs_data", self.new.entities[entity_key], key, stored=stored, rows=count, slow=self._slow(count)))
        return steps

    def indexes(self, specs: Mapping[str, IndexSpec]) -> list[Step]:
        """Indexes to build and indexes nobody needs any more."""
        steps = [self._index(specs[name]) for name in specs if name not in self.ledger.indexes]
        idle = sorted((self.ledger.indexes - specs.keys()) | self.ledger.broken)
        for name in idle:
            entity = entity_of(name)
            steps.append(Step("drop_index", "widens", entity, self.new.entities[entity].title if entity in self.new.entities else entity, name=name))
        return steps

    def _index(self, spec: IndexSpec) -> Step:
        entity = self.new.entities[spec.entity]
        if not self.has(spec.entity):
            return self.step("create_unique" if spec.unique else "create_index", "adds", entity, index=spec, reasons=spec.reasons)
        count = self.rows.count(spec.entity)
        slow = self._slow(count)
        if not spec.unique:
            return self.step("create_index", "adds", entity, index=spec, reasons=spec.reasons, rows=count, slow=slow)
        fresh = {stored.column for stored in self.layout.new if stored.entity == spec.entity}
        groups, shown = (0, []) if any(column.removesuffix("__bi") in fresh for column in spec.columns) else self.rows.violations(spec, VIOLATIONS_SHOWN)
        return self.step(
            "unique_broken" if groups else "create_unique",
            "needs_data" if groups else "adds",
            entity,
            index=spec,
            reasons=spec.reasons,
            rows=groups or count,
            slow=slow,
            violations=tuple(shown),
        )

    def _slow(self, count: int) -> bool:
        return self.dialect == "postgresql" and count > SLOW_ROWS
