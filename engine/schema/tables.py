"""From an entity to its table: names, system columns, one column per stored field, search tables. Executes nothing; indexes are indexes.py.

Two faces of one table: for reading and writing records without constraints (``entity_table``), and for DDL with foreign keys and a schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from engine.fields.base import FieldType
from engine.fields.computed import target_of
from engine.storage import Instant, Key
from metadata.definitions import Field

#: Columns every record table has, in order, before the fields.
SYSTEM_COLUMNS = ("id", "version", "created_at", "created_by", "updated_at", "updated_by", "deleted_at")

SEARCH_COLUMN = "search__tokens"


@dataclass(frozen=True, slots=True)
class StoredField:
    """One field as storage sees it: the physical column, its type, and which companions it has.

    ``target`` is the entity a single link points to (a real foreign key), "" otherwise. ``blind`` and ``last4``: companion columns of an
    encrypted field. ``letter`` prefixes its search tokens, "" when it takes no part in search. ``carried``: no field but a carried value
    (carried.py); it needs no foreign key of its own, since what it is copied from has one.
    """

    entity: str
    key: str
    column: str
    type: sa.types.TypeEngine[Any]
    target: str = ""
    blind: bool = False
    last4: bool = False
    letter: str = ""
    carried: bool = False

    @property
    def guarded(self) -> bool:
        """Whether the database guarantees that its target is there."""
        return bool(self.target) and not self.carried


def table_name(entity: str) -> str:
    """The record table of an entity."""
    return f"r_{entity}"


def search_name(entity: str) -> str:
    """The full-text table of an entity (SQLite only)."""
    return f"s_{entity}"


def blind_name(column: str) -> str:
    """The companion column holding the blind index of an encrypted column."""
    return f"{column}__bi"


def last4_name(column: str) -> str:
    """The companion column holding the blind index of the last four characters."""
    return f"{column}__bi4"


def stored_field(entity: str, field: Field, kind: FieldType, value: Field, column: str, letter: str = "") -> StoredField | None:
    """What is stored of ``field``; None when its type keeps nothing. ``kind`` and ``value`` are the type and field its *values* have."""
    type_ = kind.column(value)
    if type_ is None:
        return None
    target = target_of(value) if kind.family == "link" and isinstance(type_, sa.BigInteger) else ""
    return StoredField(entity, field.key, column, type_, target, field.encrypted, field.encrypted and bool(field.options.get("last4")), letter)


def field_columns(stored: StoredField) -> list[sa.Column[Any]]:
    """The column of a field and its companions, without constraints. Both companions are always there, so that last4 can be opted in later."""
    columns = [sa.Column(stored.column, stored.type)]
    if stored.blind:
        columns += [sa.Column(blind_name(stored.column), sa.String(32)), sa.Column(last4_name(stored.column), sa.String(32))]
    return columns


def system_columns() -> list[sa.Column[Any]]:
    """The columns every record has. Who made and changed a record are person ids without a foreign key: named principals have none."""
    return [
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.BigInteger),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("updated_by", sa.BigInteger),
        sa.Column("deleted_at", Instant),
    ]


def search_column() -> sa.Column[Any]:
    """PostgreSQL: the tokens of a record, in the record's own row."""
    return sa.Column(SEARCH_COLUMN, postgresql.ARRAY(sa.Text))


def entity_table(entity: str, fields: Iterable[StoredField], dialect: str, *, searched: bool) -> sa.Table:
    """The table records are read from and written to; a MetaData of its own, so that unchanged entities keep their objects."""
    columns = system_columns()
    for stored in fields:
        columns += field_columns(stored)
    if searched and dialect == "postgresql":
        columns.append(search_column())
    return sa.Table(table_name(entity), sa.MetaData(), *columns, sqlite_autoincrement=True)


def plain_table(entity: str, *columns: sa.Column[Any]) -> sa.Table:
    """Some columns of a record table, for counting and for columns no definition names any more."""
    return sa.Table(table_name(entity), sa.MetaData(), sa.Column("id", Key, primary_key=True), sa.Column("deleted_at", Instant), *columns)


def search_table(entity: str) -> sa.Table:
    """The FTS5 table of an entity: ``rowid``, ``tokens``, and ``match``, the hidden column of the table's own name that MATCH is asked of."""
    name = search_name(entity)
    return sa.Table(name, sa.MetaData(), sa.Column("rowid", sa.Integer, primary_key=True), sa.Column("tokens", sa.Text), sa.Column(name, sa.Text, key="match"))


def ddl_columns(stored: StoredField, schema: str | None) -> list[sa.Column[Any]]:
    """The columns of a field for DDL: a single link with its foreign key, named by text so that the target need not be at hand."""
    columns = field_columns(stored)
    if stored.guarded:
        prefix = f"{schema}." if schema else ""
        columns[0].append_foreign_key(sa.ForeignKey(f"{prefix}{table_name(stored.target)}.id"))
    return columns


def ddl_table(entity: str, fields: Iterable[StoredField], dialect: str, schema: str | None, holder: sa.MetaData, *, searched: bool) -> sa.Table:
    """The same table with its foreign keys and schema, among others in ``holder``: what the database is compared with."""
    columns = system_columns()
    for stored in fields:
        columns += ddl_columns(stored, schema)
    if searched and dialect == "postgresql":
        columns.append(search_column())
    return sa.Table(table_name(entity), holder, *columns, schema=schema, sqlite_autoincrement=True)


def by_entity(fields: Iterable[StoredField]) -> Mapping[str, tuple[StoredField, ...]]:
    """Stored fields grouped by their entity, in the given order."""
    grouped: dict[str, list[StoredField]] = {}
    for stored in fields:
        grouped.setdefault(stored.entity, []).append(stored)
    return {entity: tuple(items) for entity, items in grouped.items()}
