"""Does the database still look as the definitions say? Tables and columns by Alembic's comparison, indexes by their texts. Changes nothing."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from engine.schema.apply import Conditions
from engine.schema.index_spec import IndexSpec
from engine.schema.ledger import Ledger
from engine.schema.tables import StoredField, by_entity, ddl_table, search_name, table_name
from engine.schema.words import say


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between definitions and database. ``what`` names the table, column or index; ``detail`` shows what was found."""

    code: str
    what: str
    detail: str = ""

    def sentence(self, locale: str = "zh") -> str:
        """For an operator."""
        return say(self.code, locale, what=self.what, detail=self.detail)


def drift(
    connection: sa.Connection,
    stored: Mapping[tuple[str, str], StoredField],
    ledger: Ledger,
    indexes: Mapping[str, IndexSpec],
    conditions: Conditions,
    schema: str | None,
) -> list[Drift]:
    """Every difference. ``connection`` must be able to write on PostgreSQL: expected indexes are made on a temporary table and undone."""
    groups = by_entity(stored.values())
    found = [*_tables(connection, groups, ledger, schema), *_missing_search(ledger, groups, connection.dialect.name)]
    return [*found, *_indexes(connection, indexes, conditions, schema, groups)]


def _tables(connection: sa.Connection, groups: Mapping[str, tuple[StoredField, ...]], ledger: Ledger, schema: str | None) -> Iterator[Drift]:
    holder, dialect = sa.MetaData(), connection.dialect.name
    for entity, fields in groups.items():
        ddl_table(entity, fields, dialect, schema, holder, searched=any(item.letter for item in fields))
    retired = {(table_name(item.entity), item.column) for item in ledger.columns}
    retired |= {(table, f"{column}{end}") for table, column in retired for end in ("__bi", "__bi4")}
    known = {table_name(item.entity) for item in ledger.columns}

    def wanted(name: str | None, kind: str, parents: Mapping[str, Any]) -> bool:
        if kind == "schema":
            return name == schema
        return kind != "table" or (name is not None and name.startswith("r_"))

    def counted(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        if kind in ("index", "unique_constraint"):
            return False
        if reflected and other is None and kind == "column":
            return (thing.table.name, name) not in retired and name != "search__tokens"
        if reflected and other is None and kind == "foreign_key_constraint":
            return not all((thing.table.name, column.name) in retired for column in thing.columns)
        return not (reflected and other is None and kind == "table" and name in known)

    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(
        connection, opts={"include_schemas": schema is not None, "include_name": wanted, "include_object": counted, "compare_server_default": False}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)
        for change in compare_metadata(context, holder):
            yield Drift("drift_table", *_told(change))


def _told(change: Any) -> tuple[str, str]:
    """Where a difference of Alembic's is and what it says."""
    if isinstance(change, list):
        first = change[0]
        return f"{first[2]}.{first[3]}", ", ".join(f"{part[0]}: {part[5]!r} -> {part[6]!r}" for part in change)
    thing = change[-1]
    table = getattr(getattr(thing, "table", thing), "name", "")
    return (f"{table}.{thing.name}" if table and table != getattr(thing, "name", "") else str(table)), str(change[0])


def _missing_search(ledger: Ledger, groups: Mapping[str, tuple[StoredField, ...]], dialect: str) -> Iterator[Drift]:
    for entity, fields in groups.items():
        if dialect == "sqlite" and any(item.letter for item in fields) and search_name(entity) not in ledger.tables:
            yield Drift("drift_search", search_name(entity))


def _indexes(
    connection: sa.Connection, indexes: Mapping[str, IndexSpec], conditions: Conditions, schema: str | None, groups: Mapping[str, tuple[StoredField, ...]]
) -> Iterator[Drift]:
    there = _index_texts(connection, schema)
    if connection.dialect.name == "sqlite":
        expected = {name: _flat(_written(connection, spec, conditions.get(name), groups)) for name, spec in indexes.items()}
    else:
        expected = _made_for_comparison(connection, {name: spec for name, spec in indexes.items() if name in there}, conditions, schema, groups)
    for name in indexes:
        if name not in there:
            yield Drift("drift_index_missing", name)
        elif there[name] != expected[name]:
            yield Drift("drift_index_changed", name, there[name])
    for name in sorted(there.keys() - indexes.keys()):
        yield Drift("drift_index_extra", name, there[name])


def _index(spec: IndexSpec, condition: sa.ColumnElement[bool] | None, table: sa.Table) -> sa.Index:
    columns: list[Any] = [table.c[name].desc() if name in spec.descending else table.c[name] for name in spec.columns]
    extra: dict[str, Any] = {} if condition is None else {"sqlite_where": condition, "postgresql_where": condition}
    if spec.method:
        extra |= {"postgresql_using": spec.method, "postgresql_with": dict(spec.settings)}
    return sa.Index(spec.name, *columns, unique=spec.unique, **extra)


def _written(connection: sa.Connection, spec: IndexSpec, condition: sa.ColumnElement[bool] | None, groups: Mapping[str, tuple[StoredField, ...]]) -> str:
    fields = groups.get(spec.entity, ())
    table = ddl_table(spec.entity, fields, connection.dialect.name, None, sa.MetaData(), searched=any(item.letter for item in fields))
    return str(CreateIndex(_index(spec, condition, table)).compile(dialect=connection.dialect))


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace('"', "")).strip()


def _index_texts(connection: sa.Connection, schema: str | None) -> dict[str, str]:
    if connection.dialect.name == "sqlite":
        rows = connection.execute(
            sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND substr(tbl_name, 1, 2) = 'r_' AND sql IS NOT NULL")
        ).all()
        return {name: _flat(sql) for name, sql in rows}
    rows = connection.execute(
        sa.text(
            "SELECT i.relname::text, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
            " JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = :schema AND left(t.relname, 2) = 'r_' AND NOT x.indisprimary AND x.indisvalid"
        ),
        {"schema": schema},
    ).all()
    return {name: _plain(sql) for name, sql in rows}


def _plain(definition: str) -> str:
    """A definition of PostgreSQL's without the table it is on."""
    return re.sub(r" ON \S+ USING ", " ON USING ", definition)


def _made_for_comparison(
    connection: sa.Connection, indexes: Mapping[str, IndexSpec], conditions: Conditions, schema: str | None, groups: Mapping[str, tuple[StoredField, ...]]
) -> dict[str, str]:
    """What PostgreSQL writes for the expected indexes: made on empty temporary tables, read, undone."""
    found: dict[str, str] = {}
    if not indexes:
        return found
    with connection.begin_nested() as attempt:
        for entity in sorted({spec.entity for spec in indexes.values()}):
            fields = groups.get(entity, ())
            table = sa.Table(
                f"drift_{entity}",
                sa.MetaData(),
                *(
                    column._copy()
                    for column in ddl_table(entity, fields, "postgresql", None, sa.MetaData(), searched=any(item.letter for item in fields)).columns
                ),
                schema="pg_temp",
            )
            connection.execute(sa.text(f'CREATE TEMPORARY TABLE "drift_{entity}" (LIKE "{schema}"."{table_name(entity)}")'))
            for name, spec in indexes.items():
                if spec.entity == entity:
                    connection.execute(CreateIndex(_index(spec, conditions.get(name), table)))
        for name, sql in connection.execute(
            sa.text(
                "SELECT i.relname::text, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
                " JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = pg_my_temp_schema() AND left(t.relname, 6) = 'drift_'"
            )
        ):
            found[name] = _plain(sql)
        attempt.rollback()
    return found
