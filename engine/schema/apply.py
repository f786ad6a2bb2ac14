"""Steps to Alembic operations, inside a transaction its caller opened. Decides nothing: plan.py did. Values are filled by backfill.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.schema.index_spec import IndexSpec
from engine.schema.plan import SchemaPlan, Step
from engine.schema.tables import StoredField, ddl_columns, field_columns, search_column, search_name, system_columns, table_name

if TYPE_CHECKING:
    from alembic.operations import Operations

#: Rows ANALYZE looks at per index on SQLite; enough for its choice of index, and milliseconds on a million rows.
ANALYSIS_LIMIT = 1000

#: index name -> its condition over the table's columns (deleted_at and empty columns included), for partial ones.
Conditions = Mapping[str, sa.ColumnElement[bool]]


def operations(connection: sa.Connection) -> Operations:
    """Alembic's operations on this connection; the transaction stays its caller's."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    return Operations(MigrationContext.configure(connection))


def apply_tables(connection: sa.Connection, plan: SchemaPlan, schema: str | None) -> None:
    """Create tables, add columns and the places of search tokens: all that values can be written to afterwards."""
    op, dialect = operations(connection), connection.dialect.name
    stored = list(plan.layout.stored.values())
    created = [step.entity for step in plan.of("create_table")]
    searched = {step.entity for step in plan.of("create_search")}
    for entity in created:
        _create_table(op, entity, [item for item in stored if item.entity == entity], dialect, schema)
    if dialect == "postgresql":
        for entity in created:
            _add_foreign_keys(op, [item for item in stored if item.entity == entity and item.guarded], schema)
    for step in plan.of("add_column", "carry", "change_type"):
        if step.stored is not None:
            for column in ddl_columns(step.stored, schema):
                op.add_column(table_name(step.entity), column, schema=schema, inline_references=True)
    for entity in sorted(searched):
        _create_search(connection, op, entity, schema)


def _create_table(op: Operations, entity: str, stored: Iterable[StoredField], dialect: str, schema: str | None) -> None:
    columns = system_columns()
    for item in stored:
        columns += ddl_columns(item, schema) if dialect == "sqlite" else field_columns(item)
    op.create_table(table_name(entity), *columns, schema=schema, sqlite_autoincrement=True)


def _add_foreign_keys(op: Operations, stored: Iterable[StoredField], schema: str | None) -> None:
    """PostgreSQL wants the target to be there: after all tables are."""
    for item in stored:
        told = hashlib.sha256(f"{item.entity}.{item.column}".encode()).hexdigest()[:8]
        op.create_foreign_key(
            f"fk_{item.entity}_{told}", table_name(item.entity), table_name(item.target), [item.column], ["id"], source_schema=schema, referent_schema=schema
        )


def _create_search(connection: sa.Connection, op: Operations, entity: str, schema: str | None) -> None:
    if connection.dialect.name == "postgresql":
        op.add_column(table_name(entity), search_column(), schema=schema)
    else:
        connection.execute(sa.text(f'CREATE VIRTUAL TABLE "{search_name(entity)}" USING fts5(tokens, detail=none)'))


def drop_indexes(connection: sa.Connection, steps: Iterable[Step], schema: str | None) -> None:
    """Remove indexes nobody needs any more (a removed uniqueness ends with its index)."""
    op = operations(connection)
    for step in steps:
        op.drop_index(step.name, table_name=table_name(step.entity), schema=schema)


def create_index(connection: sa.Connection, spec: IndexSpec, condition: sa.ColumnElement[bool] | None, schema: str | None, *, beside: bool = False) -> None:
    """Build one index; ``beside``: CONCURRENTLY, outside a transaction (PostgreSQL)."""
    op = operations(connection)
    columns: list[str | sa.TextClause] = [sa.text(f'"{name}" DESC') if name in spec.descending else name for name in spec.columns]
    extra: dict[str, Any] = {"postgresql_concurrently": True} if beside else {}
    if condition is not None:
        extra |= {"sqlite_where": condition, "postgresql_where": condition}
    if spec.method:
        extra |= {"postgresql_using": spec.method, "postgresql_with": dict(spec.settings)}
    op.create_index(spec.name, table_name(spec.entity), columns, schema=schema, unique=spec.unique, **extra)


def analyze(connection: sa.Connection, entities: Iterable[str], schema: str | None) -> None:
    """Tell the database's planner about tables whose indexes changed; without it SQLite chooses badly."""
    quote = connection.dialect.identifier_preparer.quote
    prefix = f"{quote(schema)}." if schema else ""
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text(f"PRAGMA analysis_limit={ANALYSIS_LIMIT}"))
    for entity in sorted(set(entities)):
        connection.execute(sa.text(f"ANALYZE {prefix}{quote(table_name(entity))}"))


def create_whole(connection: sa.Connection, stored: Iterable[StoredField], entities: Iterable[str], searched: Iterable[str], schema: str | None) -> None:
    """Tables with all their columns at once, for a restore; PostgreSQL gets its foreign keys after the rows (``add_foreign_keys``)."""
    op, dialect, fields = operations(connection), connection.dialect.name, list(stored)
    for entity in entities:
        _create_table(op, entity, [item for item in fields if item.entity == entity], dialect, schema)
    for entity in searched:
        _create_search(connection, op, entity, schema)


def add_foreign_keys(connection: sa.Connection, stored: Iterable[StoredField], schema: str | None) -> None:
    """The foreign keys ``create_whole`` left out (PostgreSQL; SQLite has them in its tables)."""
    if connection.dialect.name == "postgresql":
        _add_foreign_keys(operations(connection), [item for item in stored if item.guarded], schema)
