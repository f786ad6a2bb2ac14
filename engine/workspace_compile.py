"""From a bundle to compiled entities: everything pre-parsed, entities whose sources did not change taken over from the version before. Executes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from engine.expressions.language import Expression
from engine.fields.computed import target_of
from engine.registry import Registry
from engine.schema.carried import carried_shapes
from engine.schema.indexes import unique_spec, uniques_of
from engine.schema.ledger import Ledger, Shape, kept_places, lay_out
from engine.schema.tables import StoredField, by_entity, entity_table, last4_name, search_table
from engine.schema.tables import blind_name as bi_name
from engine.workspace import Carried, CompiledCheck, CompiledEntity, CompiledField, CompiledMove, CompiledUnique, Lookup, Rollup
from engine.workspace_types import TypeBook
from metadata.bundle import Bundle
from metadata.definitions import Entity, Field

ME = frozenset({"me"})
ON_SAVE = frozenset({"me", "old"})


def shapes(book: TypeBook) -> dict[tuple[str, str], Shape]:
    """As what each live field is kept, engine's entities first, and after them what rows carry of records they link to."""
    found: dict[tuple[str, str], Shape] = {}
    for entity in book.bundle.entities.values():
        for item in entity.live_fields():
            shown = book.shown(entity.key, item.key)
            volatile = item.type == "formula" and book.formula(entity.key, item).volatile
            found[entity.key, item.key] = Shape(item, shown.type, shown.value, book.types[item.type].family == "derived", not volatile)
    return {**found, **carried_shapes(book.bundle, found)}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a bundle was compiled to."""

    entities: Mapping[str, CompiledEntity]
    book: TypeBook
    shapes: Mapping[tuple[str, str], Shape]


def compile_entities(
    bundle: Bundle,
    registry: Registry,
    timezone: ZoneInfo,
    ledger: Ledger,
    version: int,
    dialect: str,
    known: Mapping[str, CompiledEntity] | None = None,
    *,
    candidate: bool = False,
) -> Compiled:
    """Every entity of a bundle. ``known``: those of the version before. Raises ExpressionRefused, NoShape, KeyError for definitions check would refuse.

    ``candidate``: a version still to be published, which may carry what no column is there for yet (a release may carry more than the one before).
    """
    book = TypeBook(bundle, registry.field_types, timezone, registry.functions)
    found = shapes(book)
    if not candidate:
        kept = kept_places(ledger, version)
        found = {place: shape for place, shape in found.items() if shape.carried is None or place in kept}
    stored = lay_out(found, ledger, version).stored
    groups = by_entity(stored.values())
    incoming, surfaces = _incoming(bundle), dict[str, _Surface]()
    entities: dict[str, CompiledEntity] = {}
    for entity in bundle.entities.values():
        items = groups.get(entity.key, ())
        carried = {item.key: found[entity.key, item.key].carried for item in items if item.carried}
        maker = _Maker(bundle, book, entity, {item.key: item for item in items}, carried, dialect, tuple(incoming.get(entity.key, ())), surfaces)
        depends = maker.depends()
        before = (known or {}).get(entity.key)
        entities[entity.key] = before if before is not None and _same_sources(before.depends, depends) else maker.make(depends)
    return Compiled(entities, book, found)


#: What others see of an entity: its fields with their types, and what may be compared with them.
_Surface = frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What an entity was compiled from. ``own`` must be equal for it to be taken over; of entities a hop away what was there must still be there."""

    own: tuple[object, ...]
    near: Mapping[str, _Surface]


def _same_sources(before: object, now: Sources) -> bool:
    return (
        isinstance(before, Sources)
        and before.near.keys() == now.near.keys()
        and all(surface <= now.near[key] for key, surface in before.near.items())
        and before.own == now.own
    )


def _incoming(bundle: Bundle) -> dict[str, list[tuple[str, str]]]:
    """Entity -> the single links that point to it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entity in bundle.entities.values():
        for item in entity.live_fields():
            if item.type in ("link", "person", "team"):
                found.setdefault(target_of(item), []).append((entity.key, item.key))
    return found


@dataclass(frozen=True, slots=True)
class _Maker:
    """Compiles one entity."""

    bundle: Bundle
    book: TypeBook
    entity: Entity
    stored: Mapping[str, StoredField]
    carried: Mapping[str, tuple[str, str, str] | None]
    dialect: str
    incoming: tuple[tuple[str, str], ...]
    surfaces: dict[str, _Surface]  # those made so far: an entity is near many others

    def depends(self) -> Sources:
        """Everything the result is made from; documents are compared by identity first, so equal ones cost nothing."""
        near = dict.fromkeys(
            (
                "person",
                "team",
                *(target for item in self.entity.live_fields() if (target := target_of(item))),
                *(str(item.options.get("from", "")).partition(".")[0] for item in self.entity.live_fields() if item.type == "rollup"),
            )
        )
        roles = tuple((key, role.title) for key, role in self.bundle.roles.items())
        choices = {key: item.body for key, item in self.bundle.choices.items()}
        stored = tuple((item.key, item.column, item.target, item.blind, item.last4, item.letter, item.carried) for item in self.stored.values())
        return Sources(
            (
                self.entity.body,
                stored,
                self._surface(self.entity.key),
                choices,
                roles,
                self.bundle.settings.body,
                str(self.book.timezone),
                self.incoming,
                self._lines(),
                self.dialect,
            ),
            {key: self._surface(key) for key in near},
        )

    def _surface(self, entity: str) -> _Surface:
        if entity not in self.surfaces:
            self.surfaces[entity] = frozenset((name, str(type_), type_.sealed) for name, type_ in self.book.fields(entity).items())
        return self.surfaces[entity]

    def _lines(self) -> tuple[str, ...]:
        return tuple(other.key for other in self.bundle.entities.values() if other.lines_of == self.entity.key)

    def parse(self, source: str, wants: str = "", spaces: frozenset[str] = ME) -> Expression:
        return self.book.parse(self.entity.key, source, wants, spaces)

    def make(self, depends: object) -> CompiledEntity:
        searched = any(item.letter for item in self.stored.values())
        table = entity_table(self.entity.key, self.stored.values(), self.dialect, searched=searched)
        fields = {item.key: self.field(item, table) for item in self.entity.live_fields()}
        stages = self.entity.stages
        return CompiledEntity(
            self.entity.key,
            self.entity,
            table,
            fields,
            checks=tuple(CompiledCheck(check, self.parse(check.condition, "boolean", ON_SAVE)) for check in self.entity.checks),
            unique=self.uniques(table),
            stages=stages,
            moves=self.moves(),
            label=label_pieces(self.entity.label, fields),
            links_to=tuple(key for key, item in self.stored.items() if item.guarded),
            linked_from=self.incoming,
            lines=self._lines(),
            lines_of=self.entity.lines_of,
            parent_field=self.entity.parent_field if self.entity.lines_of else "",
            derived_order=derived_order(fields),
            search_fields=tuple(key for key, item in fields.items() if item.definition.search and item.column is not None),
            carried=tuple(Carried(key, *path, table.c[self.stored[key].column]) for key, path in self.carried.items() if path is not None),
            search_table=search_table(self.entity.key) if searched and self.dialect == "sqlite" else None,
            depends=depends,
        )

    def field(self, item: Field, table: sa.Table) -> CompiledField:
        shown = self.book.shown(self.entity.key, item.key)
        stored = self.stored.get(item.key)
        derived = self.book.types[item.type].family == "derived"
        column = table.c[stored.column] if stored else None
        formula = self.book.formula(self.entity.key, item) if item.type == "formula" else None
        return CompiledField(
            item.key,
            item,
            shown.type,
            shown.value,
            shown.expression,
            column,
            bi_column=table.c[bi_name(stored.column)] if stored and stored.blind else None,
            bi4_column=table.c[last4_name(stored.column)] if stored and stored.last4 else None,
            reader=None if derived else shown.type.reader(shown.value, self.book.scope.of(self.entity.key)),
            required=self.flag(item.required),
            default=self.default(item, str(shown.expression.clear())),
            read_only=self.flag(item.read_only),
            show=self.parse(item.show, "boolean", ON_SAVE) if item.show else None,
            formula=formula,
            rollup=self.rollup(item),
            lookup=self.lookup(item),
            volatile=formula is not None and stored is None,
            target=target_of(shown.value),
            letter=stored.letter if stored else "",
        )

    def flag(self, value: bool | str) -> bool | Expression:
        return self.parse(value, "boolean", ON_SAVE) if isinstance(value, str) else value

    def default(self, item: Field, wants: str) -> Any:
        """A raw value, or the expression that gives one."""
        if isinstance(item.default, dict) and item.default.keys() == {"value"} and isinstance(item.default["value"], str):
            return self.parse(item.default["value"], wants)
        return item.default

    def rollup(self, item: Field) -> Rollup | None:
        if item.type != "rollup":
            return None
        child, _, link = str(item.options["from"]).partition(".")
        where = item.options.get("where")
        return Rollup(
            child,
            link,
            str(item.options["measure"]),
            str(item.options.get("of", "")),
            str(item.options.get("by", "")),
            self.book.parse(child, str(where), "boolean", frozenset()) if where else None,
        )

    def lookup(self, item: Field) -> Lookup | None:
        if item.type != "lookup":
            return None
        link, _, key = str(item.options["from"]).partition(".")
        return Lookup(link, target_of(self.entity.fields[link]), key)

    def uniques(self, table: sa.Table) -> dict[str, CompiledUnique]:
        found = {}
        for unique in uniques_of(self.entity):
            spec = unique_spec(self.entity, unique, self.stored)
            if spec is not None:
                where = self.parse(unique.where, "boolean", frozenset()) if unique.where else None
                found[unique.key] = CompiledUnique(unique, spec.name, tuple(table.c[name] for name in spec.columns), where)
        return found

    def moves(self) -> dict[tuple[str, str], tuple[CompiledMove, ...]]:
        found: dict[tuple[str, str], tuple[CompiledMove, ...]] = {}
        for move in self.entity.stages.moves if self.entity.stages else ():
            way = CompiledMove(move.actions, self.parse(move.condition, "boolean", ON_SAVE) if move.condition else None)
            for source in move.sources:
                for target in move.targets:
                    found[source, target] = (*found.get((source, target), ()), way)
        return found


def label_pieces(template: str, fields: Mapping[str, CompiledField]) -> tuple[tuple[str, str], ...]:
    """(text, field key or "") pieces of a label template; the first field when there is no template."""
    if not template:
        first = next(iter(fields), "")
        return (("", first),) if first else ()
    return tuple((text, key if key in fields else "") for text, key, _, _ in Formatter().parse(template) for key in (key or "",))


def derived_order(fields: Mapping[str, CompiledField]) -> tuple[str, ...]:
    """Stored derived fields, each after the own derived fields it reads; in the written order where that is free."""
    stored = {key: item for key, item in fields.items() if item.derived and item.column is not None}
    graph: dict[str, Iterable[str]] = {key: sorted(_own_reads(item) & stored.keys()) for key, item in stored.items()}
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError:
        return tuple(stored)


def _own_reads(item: CompiledField) -> set[str]:
    if item.formula is not None:
        return set(item.formula.fields)
    return {item.lookup.link} if item.lookup is not None else set()
