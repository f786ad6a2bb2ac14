"""What a workspace's database has: tables, finished indexes, and which physical column holds the values of which field. Reads and notes; changes no table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from engine.errors import Invalid
from engine.fields.base import FieldType
from engine.fields.computed import target_of
from engine.schema.tables import StoredField, stored_field
from engine.system_tables import physical_column
from metadata.definitions import Field

LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Ledger rows of search letters: the column is ``search__<letter>``, the type this word.
SEARCH_TYPE = "search"
COLUMN = re.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True, slots=True)
class Column:
    """A physical column and whose values it keeps. ``retired``: the version that stopped using it, None while in use."""

    entity: str
    column: str
    field: str
    type: str
    since: int
    retired: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """As what a field's values are kept: ``type`` and ``value`` are those of the values (of a formula giving money, money).

    ``carried``: for a carried value (carried.py) the own link, the entity it leads to and the field there.
    """

    field: Field
    type: FieldType
    value: Field
    derived: bool = False
    stored: bool = True
    carried: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The state of a workspace's schema as the plan needs it."""

    columns: tuple[Column, ...] = ()
    tables: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()  # finished ones; an invalid index on PostgreSQL does not count
    broken: frozenset[str] = frozenset()  # invalid ones, to be dropped and built again

    def of(self, entity: str) -> tuple[Column, ...]:
        """The columns of one entity."""
        return tuple(item for item in self.columns if item.entity == entity)


def signature(shape: Shape) -> str:
    """What a column's contents mean: two fields of equal signature may share a column, so that a change of type within it keeps the values.

    Plain texts are one meaning (a choice may become a text); numbers keep their unit; what is computed never lies where people's input lies.
    """
    kind = shape.type.column(shape.value)
    if kind is None:
        return ""
    if shape.value.encrypted:
        meaning = f"sealed:{shape.type.name}"
    elif isinstance(kind, sa.String) and shape.type.name != "rich_text":
        meaning = "text"
    elif shape.type.family == "link":
        meaning = f"{shape.type.name if not isinstance(kind, sa.BigInteger) else 'link'}:{target_of(shape.value)}"
    elif shape.type.name == "decimal":
        meaning = f"decimal:{shape.value.options.get('scale', 2)}"
    elif shape.type.name in ("choices", "tags"):
        meaning = "codes"
    else:
        meaning = shape.type.name
    return f"={meaning}" if shape.derived else meaning


def read_ledger(connection: sa.Connection, schema: str | None) -> Ledger:
    """The ledger and what the database really has (three small reads)."""
    rows = connection.execute(sa.select(physical_column)).mappings()
    columns = tuple(Column(row["entity"], row["column"], row["field"], row["type"], row["since"], row["retired"]) for row in rows)
    return Ledger(columns, *_objects(connection, schema))


def _objects(connection: sa.Connection, schema: str | None) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    if connection.dialect.name == "sqlite":
        found = connection.execute(
            sa.text(
                "SELECT type, name FROM sqlite_master WHERE (type = 'table' AND substr(name, 1, 2) IN ('r_', 's_'))"
                " OR (type = 'index' AND substr(tbl_name, 1, 2) = 'r_' AND substr(name, 1, 3) = 'ix_')"
            )
        ).all()
        return (frozenset(name for kind, name in found if kind == "table"), frozenset(name for kind, name in found if kind == "index"), frozenset())
    found = connection.execute(
        sa.text(
            "SELECT c.relkind::text, c.relname::text, coalesce(i.indisvalid, true) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid WHERE n.nspname = :schema"
            " AND ((c.relkind = 'r' AND left(c.relname, 2) = 'r_') OR (c.relkind = 'i' AND left(t.relname, 2) = 'r_' AND left(c.relname, 3) = 'ix_'))"
        ),
        {"schema": schema},
    ).all()
    tables = frozenset(name for kind, name, _ in found if kind == "r")
    return (
        tables,
        frozenset(name for kind, name, valid in found if kind == "i" and valid),
        frozenset(name for kind, name, valid in found if kind == "i" and not valid),
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """Where every field of a bundle lies. ``taken`` are ledger columns that serve again after having been retired; ``left`` those given up."""

    stored: Mapping[tuple[str, str], StoredField]
    signatures: Mapping[tuple[str, str], str]
    new: tuple[StoredField, ...]
    taken: tuple[Column, ...]
    left: tuple[Column, ...]
    letters: tuple[Column, ...]  # search letters given out for the first time


def lay_out(shapes: Mapping[tuple[str, str], Shape], ledger: Ledger, version: int) -> Layout:
    """Give each stored field its column: the one it has, the one it had, or a new one (``key``, then ``key__2``)."""
    by_field: dict[tuple[str, str], list[Column]] = {}
    for known_column in ledger.columns:
        if known_column.type != SEARCH_TYPE:
            by_field.setdefault((known_column.entity, known_column.field), []).append(known_column)
    letters = {(item.entity, item.field): item.column.removeprefix("search__") for item in ledger.columns if item.type == SEARCH_TYPE}
    stored: dict[tuple[str, str], StoredField] = {}
    signatures: dict[tuple[str, str], str] = {}
    new: list[StoredField] = []
    taken: list[Column] = []
    used: set[tuple[str, str]] = set()
    given: list[Column] = []
    for place, shape in shapes.items():
        if not shape.stored or not (meaning := signature(shape)):
            continue
        known = by_field.get(place, [])
        fit = [item for item in known if item.type == meaning and (shape.carried is None or is_kept(item, version))]
        column = next(iter(sorted(fit, key=lambda item: (item.retired is not None, -item.since))), None)
        name = column.column if column else _free_name(place[1], known)
        letter = _letter(place, shape, letters, given, version)
        kept = stored_field(place[0], shape.field, shape.type, shape.value, name, letter)
        if kept is None:
            continue
        if shape.carried is not None:
            kept = replace(kept, carried=True)
        stored[place], signatures[place] = kept, meaning
        used.add((place[0], name))
        if column is None:
            new.append(kept)
        elif column.retired is not None and shape.carried is None:
            taken.append(column)
    left = tuple(item for item in ledger.columns if item.type != SEARCH_TYPE and item.retired is None and (item.entity, item.column) not in used)
    return Layout(stored, signatures, tuple(new), tuple(taken), left, tuple(given))


def is_kept(column: Column, version: int) -> bool:
    """Whether a computed column is kept true at a version. One that was given up is never used again: meanwhile nobody kept it."""
    return column.since <= version and (column.retired is None or column.retired > version)


def kept_places(ledger: Ledger, version: int) -> frozenset[tuple[str, str]]:
    """(entity, key) of the columns in use at a version."""
    return frozenset((item.entity, item.field) for item in ledger.columns if item.type != SEARCH_TYPE and is_kept(item, version))


def _free_name(key: str, known: Iterable[Column]) -> str:
    names = {item.column for item in known}
    if key not in names:
        return key
    number = 2
    while f"{key}__{number}" in names:
        number += 1
    return f"{key}__{number}"


def _letter(place: tuple[str, str], shape: Shape, letters: dict[tuple[str, str], str], given: list[Column], version: int) -> str:
    """The search letter of a field, given once and for ever; "" for fields that are not searched or whose tokens may not exist."""
    if not shape.field.search or shape.value.encrypted:
        return ""
    if place not in letters:
        taken = {letter for (entity, _), letter in letters.items() if entity == place[0]}
        free = [letter for letter in LETTERS if letter not in taken]
        if not free:
            raise Invalid("too_many_search_fields", entity=place[0], limit=len(LETTERS))
        letters[place] = free[0]
        given.append(Column(place[0], f"search__{free[0]}", place[1], SEARCH_TYPE, version))
    return letters[place]


def note_layout(connection: sa.Connection, layout: Layout, version: int) -> None:
    """Write what the layout decided into the ledger, in the publishing transaction."""
    rows = [
        {"entity": item.entity, "column": item.column, "field": item.key, "type": layout.signatures[item.entity, item.key], "since": version, "retired": None}
        for item in layout.new
    ]
    rows += [
        {"entity": item.entity, "column": item.column, "field": item.field, "type": item.type, "since": version, "retired": None} for item in layout.letters
    ]
    if rows:
        connection.execute(physical_column.insert(), rows)
    for item in layout.taken:
        connection.execute(_one(item).values(retired=None))
    for item in layout.left:
        connection.execute(_one(item).values(retired=version))


def _one(column: Column) -> sa.Update:
    return physical_column.update().where(physical_column.c.entity == column.entity, physical_column.c.column == column.column)
