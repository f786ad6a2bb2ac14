"""A published Bundle compiled once: tables, readers, expressions, who links to whom. Immutable; a new version is a new Workspace beside the old.

The nouns; how they are made from definitions is workspace_compile.py's business, how a version is found and read workspace_load.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from engine.fields.base import FieldType, Reader, Value
from metadata.definitions import Check, Entity, Field, Role, Stages, Unique
from metadata.text import Label

if TYPE_CHECKING:
    from engine.crypto import Cipher
    from engine.database import Database
    from engine.expressions.language import Expression
    from engine.expressions.types import Type
    from engine.fields.scope import FieldScope
    from engine.registry import Registry
    from engine.workspace_types import TypeBook
    from metadata.bundle import Bundle

#: Plans and expressions kept per version; when there are more, all are forgotten and made again.
CACHE_LIMIT = 8192
#: First words of the keys under which the cache holds what was read of a workspace's data.
_OF_DATA = frozenset({"actors", "teams", "logins", "settings timeline", "published", "rule book of", "scenarios", "there"})


@dataclass(frozen=True, slots=True)
class Lookup:
    """A value fetched over one link of the record: ``link`` is the own field, ``field`` the target's."""

    link: str
    entity: str
    field: str


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A hidden stored copy of ``field`` of the record of ``entity`` that the own ``link`` leads to (schema/carried.py)."""

    key: str
    link: str
    entity: str
    field: str
    column: sa.Column[Any]


@dataclass(frozen=True, slots=True)
class Rollup:
    """A value gathered from the records of ``entity`` whose ``link`` points here. ``where`` reads stored fields of those records only."""

    entity: str
    link: str
    measure: str  # count sum min max average earliest latest
    of: str = ""
    by: str = ""
    where: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledField:
    """One live field, ready for use. ``type`` and ``value`` are the type and field of its *values*: of a formula giving money, money.

    ``column`` is None when nothing is stored (volatile formulas); companions are there for encrypted fields. ``reader`` is None for
    derived fields. ``required`` and ``read_only`` are a boolean or an expression; ``default`` is a raw value or an expression.
    """

    key: str
    definition: Field
    type: FieldType
    value: Field
    expression_type: Type
    column: sa.Column[Any] | None
    bi_column: sa.Column[Any] | None = None
    bi4_column: sa.Column[Any] | None = None
    reader: Reader | None = None
    required: bool | Expression = False
    default: Value | Expression = None
    read_only: bool | Expression = False
    show: Expression | None = None
    formula: Expression | None = None
    rollup: Rollup | None = None
    lookup: Lookup | None = None
    volatile: bool = False
    target: str = ""  # entity of a link, links, person, people or team
    letter: str = ""  # prefix of its search tokens; "" = takes no part

    @property
    def derived(self) -> bool:
        """True when people do not enter it."""
        return self.formula is not None or self.rollup is not None or self.lookup is not None

    @property
    def encrypted(self) -> bool:
        """True when the column holds an envelope."""
        return self.definition.encrypted


@dataclass(frozen=True, slots=True)
class CompiledCheck:
    """A rule over one record: refused at ``at`` when ``condition`` is true."""

    definition: Check
    condition: Expression


@dataclass(frozen=True, slots=True)
class CompiledUnique:
    """A uniqueness the database guarantees by the index ``index``; a field of type unique gives one of its own key."""

    definition: Unique
    index: str
    columns: tuple[sa.Column[Any], ...]
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class CompiledMove:
    """An allowed stage change; ``actions``: only through one of these, () = any way."""

    actions: tuple[str, ...]
    condition: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledEntity:
    """One entity, ready for use. ``fields`` are the live ones in order; ``derived_order`` the stored own formulas and lookups, each after what it reads."""

    key: str
    definition: Entity
    table: sa.Table
    fields: Mapping[str, CompiledField]
    checks: tuple[CompiledCheck, ...] = ()
    unique: Mapping[str, CompiledUnique] = field(default_factory=dict)
    stages: Stages | None = None
    moves: Mapping[tuple[str, str], tuple[CompiledMove, ...]] = field(default_factory=dict)  # (from, to) -> ways
    label: tuple[tuple[str, str], ...] = ()  # (text, field key or "") pieces of the label template, in order
    links_to: tuple[str, ...] = ()  # own link fields (single)
    linked_from: tuple[tuple[str, str], ...] = ()  # (entity, field) of single links and person/team fields pointing here
    lines: tuple[str, ...] = ()  # entities edited inside this one
    lines_of: str = ""
    parent_field: str = ""
    derived_order: tuple[str, ...] = ()
    search_fields: tuple[str, ...] = ()
    carried: tuple[Carried, ...] = ()
    search_table: sa.Table | None = None  # SQLite only; PostgreSQL keeps tokens in table.c.search__tokens
    depends: object = None  # all this was made from; an equal one of the next version shares the object

    @property
    def title(self) -> Label:
        """What people call it."""
        return self.definition.title

    def label_fields(self) -> tuple[str, ...]:
        """Fields the label shows."""
        return tuple(key for _, key in self.label if key)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Workspace:
    """One workspace at one published version: immutable, shared by threads, replaced as a whole."""

    name: str
    title: str
    version: int
    bundle: Bundle
    database: Database
    registry: Registry
    timezone: ZoneInfo
    scope: FieldScope
    cipher: Cipher
    book: TypeBook
    sandbox: bool = False
    demo: bool = False
    entities: Mapping[str, CompiledEntity] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)  # values in force, as expressions see them
    settings_version: int = 0
    rules_off: frozenset[str] = frozenset()  # rules switched off here
    modules_set: Mapping[str, bool] = field(default_factory=dict)  # modules switched on or off here, whatever their default
    settings_raw: Mapping[str, Any] = field(default_factory=dict)  # values set in this workspace and in force, as JSON
    settings_held: Mapping[str, Value] = field(default_factory=dict)  # values that hold at any instant: only where somebody asks what if
    cache: dict[tuple[object, ...], object] = field(default_factory=dict, compare=False, repr=False)  # plans and expressions of this version

    def unread(self) -> Workspace:
        """The same version with nothing of its data remembered: only what was made of definitions."""
        return replace(self, cache={key: value for key, value in self.cache.items() if key[0] not in _OF_DATA})

    def read_at(self, word: str, version: int, most: int = CACHE_LIMIT) -> dict[Any, Any]:
        """What was read of people's data under a permission version, to be added to; what was read under others, and more than ``most``, is forgotten."""
        kept = self.cache.get((word, version))
        if not isinstance(kept, dict) or len(kept) > most:
            for old in [old for old in list(self.cache) if old[0] == word]:
                self.cache.pop(old, None)
            kept = self.cache[word, version] = {}
        return kept

    @property
    def modules_off(self) -> frozenset[str]:
        """The modules that are off: to people nothing of them is there, and their rules do not run. Their records and columns stay."""
        known = self.bundle.preset.modules if self.bundle.preset is not None else {}
        return frozenset(key for key, module in known.items() if not self.modules_set.get(key, module.get("default", True)))

    def is_off(self, document: Mapping[str, Any]) -> bool:
        """Whether a definition or a menu belongs to a module that is off."""
        return "module" in document and document["module"] in self.modules_off

    @property
    def roles(self) -> Mapping[str, Role]:
        """Roles by key."""
        return self.bundle.roles

    def entity(self, key: str) -> CompiledEntity:
        """The entity of this key; KeyError when there is none (edges turn a user's mistake into NotFound before)."""
        return self.entities[key]

    def expression(
        self, entity: str | None, source: str, wants: str = "", spaces: Iterable[str] = ("me",), params: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Expression:
        """A checked expression over an entity's fields, made once per version; ``wants``: a type's notation. Raises ExpressionRefused.

        ``spaces``: which of me, old, record, param are open besides ``setting``. With ``params`` nothing is kept.
        """
        opened = frozenset(spaces)
        if params:
            return self.book.parse(entity, source, wants, opened, params)
        place = ("expression", entity, source, wants, opened)
        found = self.cache.get(place)
        if found is None:
            found = self.book.parse(entity, source, wants, opened)
            if len(self.cache) > CACHE_LIMIT:
                self.cache.clear()
            self.cache[place] = found
        return found  # type: ignore[return-value]
