"""Which type every field of a bundle has in expressions, derived ones found out, and the names an expression may use. Knows no database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from engine.expressions.checking import ROLES, names_for
from engine.expressions.functions import Functions
from engine.expressions.language import Expression, parse
from engine.expressions.names import Names
from engine.expressions.shelf import FUNCTIONS
from engine.expressions.types import ANY, INSTANT, INTEGER, PERSON, Type, UnknownType
from engine.fields.base import FieldType
from engine.fields.computed import shape
from engine.fields.scope import FieldScope
from engine.system_entities import SYSTEM_ENTITIES
from metadata.bundle import Bundle
from metadata.definitions import Field, read_fields
from metadata.vocabulary import ExpressionPlace

SYSTEM_TYPES: Mapping[str, Type] = {"id": INTEGER, "version": INTEGER, "created_at": INSTANT, "created_by": PERSON, "updated_at": INSTANT, "updated_by": PERSON}


@dataclass(frozen=True, slots=True)
class Shown:
    """As what the values of a field appear: the type and field of the values and their type in expressions."""

    type: FieldType
    value: Field
    expression: Type


class _Fields(Mapping[str, Type]):
    """The fields of one entity with their types, found out when asked: a formula may read another one."""

    def __init__(self, book: TypeBook, entity: str, keys: Collection[str]) -> None:
        self._book, self._entity, self._keys = book, entity, dict.fromkeys((*SYSTEM_TYPES, *keys))

    def __getitem__(self, key: str) -> Type:
        if key in SYSTEM_TYPES:
            return SYSTEM_TYPES[key]
        if key not in self._keys:
            raise KeyError(key)
        return self._book.shown(self._entity, key).expression

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(slots=True)
class TypeBook:
    """Types of one bundle, each found out once. Not shared by threads while it is being filled."""

    bundle: Bundle
    types: Mapping[str, FieldType]
    timezone: ZoneInfo
    functions: Functions = field(default_factory=lambda: FUNCTIONS)
    scope: FieldScope = field(init=False)
    _shown: dict[tuple[str, str], Shown] = field(default_factory=dict)
    _fields: dict[str, Mapping[str, Type]] = field(default_factory=dict)
    _settings: Mapping[str, Type] | None = None

    def __post_init__(self) -> None:
        self.scope = FieldScope(self.bundle, self.timezone, types=self.types)

    def shown(self, entity: str, key: str) -> Shown:
        """Type and field of a live field's values."""
        found = self._shown.get((entity, key))
        if found is None:
            definition = self.bundle.entities[entity].fields[key]
            found = self._shown[entity, key] = self.shown_of(entity, definition)
        return found

    def shown_of(self, entity: str, definition: Field) -> Shown:
        """The same for a field that stands elsewhere (a parameter of an action)."""
        value = shape(definition, self.scope.of(entity), self._infer)
        kind = self.types[value.type]
        type_ = Type.read(kind.expression_type(value))
        return Shown(kind, value, type_.seal(kind.name) if value.encrypted else type_)

    def _infer(self, entity: str, definition: Field) -> str:
        return str(self.formula(entity, definition).type.clear())

    def formula(self, entity: str, definition: Field) -> Expression:
        """The expression of a formula field."""
        names = names_for(self, ExpressionPlace(entity, encrypted=definition.encrypted))
        return parse(str(definition.options["value"]), names, None, self.functions)

    def fields(self, entity: str) -> Mapping[str, Type]:
        """Live fields of an entity, system fields included."""
        found = self._fields.get(entity)
        if found is None:
            known, system = self.bundle.entities.get(entity), SYSTEM_ENTITIES.get(entity)
            if system is not None:
                return system.fields
            found = self._fields[entity] = _Fields(self, entity, [item.key for item in known.live_fields()] if known else ())
        return found

    def parse(self, entity: str | None, source: str, wants: str, spaces: frozenset[str], params: Mapping[str, Mapping[str, Any]] | None = None) -> Expression:
        """A checked expression over an entity's fields. Raises ExpressionRefused."""
        return parse(source, self.names(entity, spaces, params), Type.read(wants) if wants else None, self.functions)

    def names(self, entity: str | None, spaces: frozenset[str], params: Mapping[str, Mapping[str, Any]] | None = None) -> Names:
        """The names open to an expression: the entity's fields, settings, and the wanted spaces (me, old, record, param, lines, run)."""
        return names_for(self, ExpressionPlace(entity, spaces=spaces, params=params or {}))

    def parameter(self, key: str, document: Mapping[str, Any]) -> Type:
        """The type of a parameter given as a field document."""
        return self.shown_of("", read_fields({key: document})[key]).expression

    def codes(self, choices: str) -> Collection[str] | None:
        """The codes of an option set, of the roles for ``role``; None when there is no such set."""
        known = self.bundle.choices.get(choices)
        if known is not None:
            return known.options
        return self.bundle.roles if choices == ROLES else None

    def lines(self, entity: str) -> list[str]:
        """Entities edited as lines of one."""
        return [key for key, item in self.bundle.entities.items() if item.lines_of == entity] if entity else []

    def knows(self, entity: str) -> bool:
        """Whether there is such an entity."""
        return entity in self.bundle.entities

    def settings(self) -> Mapping[str, Type]:
        """Settings with their types."""
        if self._settings is None:
            self._settings = {key: self._setting(key) for key in self.bundle.settings.values}
        return self._settings

    def _setting(self, key: str) -> Type:
        setting = self.bundle.settings.values[key]
        if setting.type == "map":
            return Type("map", of=setting.by, item=self._plain(Field(key, setting.of, options=setting.body)))
        if setting.type in ("calendar", "table"):
            return Type(setting.type)
        return self._plain(Field(key, setting.type, options=setting.body))

    def _plain(self, like: Field) -> Type:
        kind = self.types.get(like.type)
        if kind is None:
            return ANY
        try:
            return Type.read(kind.expression_type(like))
        except (UnknownType, KeyError):
            return ANY
