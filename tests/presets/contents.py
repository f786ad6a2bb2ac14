"""What the tables of a PostgreSQL database held at named moments, kept beside them in the same database: coming back rewrites only what was written since.

Copying a database of hundreds of tables takes a second; a scenario writes into a few dozen of them, a few rows each.
"""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

_SCHEMA = "kept"
_OURS = "relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = 'tangram' OR nspname LIKE 'ws\\_%')"
#: Rows written so far, by table; exact once every other connection has ended, since each tells what it wrote at its end at the latest.
_WRITTEN = f"""SELECT oid::regclass::text, pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid)
    FROM pg_class WHERE relkind = 'r' AND {_OURS}"""
_DRAWN = f"SELECT oid::regclass::text, pg_sequence_last_value(oid) FROM pg_class WHERE relkind = 'S' AND {_OURS}"
_SHAPE = f"""SELECT md5(coalesce((SELECT string_agg(oid || ' ' || xmin, ',' ORDER BY oid) FROM pg_class WHERE {_OURS}), '')
    || coalesce((SELECT string_agg(attrelid || ' ' || attname || ' ' || a.xmin, ',' ORDER BY attrelid, attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE c.relkind = 'r' AND c.{_OURS}), ''))"""
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
#: A table many times larger than its rows (their dead versions stay until then) is swept; in pages of 8 kB.
_SWEPT_ABOVE = 128


@dataclass(frozen=True, slots=True)
class _Moment:
    """By table, the table its rows were copied into (None: it was empty); by sequence, its last number; and the shape of the tables then."""

    rows: dict[str, str | None]
    drawn: dict[str, int | None]
    shape: str


class Contents:
    """The contents of one database, of whose tables nothing may change but the rows."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(f"CREATE SCHEMA {_SCHEMA}")
        self._moments: dict[str, _Moment] = {}
        self._written: dict[str, int] = {}
        self._now = _Moment({}, {}, "")
        self._copies = 0

    def close(self) -> None:
        """End the connection; what is kept goes with the database."""
        self._connection.close()

    def keep(self, name: str) -> None:
        """Keep what the tables hold now under a name."""
        touched = self._touched()
        self._now = _Moment({**self._now.rows, **{table: self._copied(table) for table in touched}}, self._all(_DRAWN), self._shape())
        self._moments[name] = self._now

    def bring(self, name: str) -> None:
        """Let the tables hold again what was kept under a name."""
        moment = self._moments[name]
        touched = self._touched()
        assert self._shape() == moment.shape, "tables were made or changed: such a test needs a home of its own"
        others = (table for table in {**moment.rows, **self._now.rows} if moment.rows.get(table) != self._now.rows.get(table))
        wrong = sorted({*touched, *others})
        drawn = self._all(_DRAWN)
        steps = ["SET LOCAL session_replication_role = replica", *(f"DELETE FROM {table}" for table in wrong)]
        steps += [f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {copy}" for table in wrong if (copy := moment.rows.get(table))]
        steps += [f"SELECT setval('{of}', {last or 1}, {last is not None})" for of, last in moment.drawn.items() if drawn[of] != last]
        with self._connection.transaction():
            self._connection.execute(";".join(steps).encode())
        self._sweep(wrong)
        self._now, self._written = moment, self._all(_WRITTEN)

    def _touched(self) -> list[str]:
        """Tables written since the last moment that was kept or brought, once everybody else has left."""
        while self._connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}").fetchone():
            time.sleep(0.002)
        before, self._written = self._written, self._all(_WRITTEN)
        return [table for table, written in self._written.items() if written != before.get(table, 0)]

    def _copied(self, table: str) -> str | None:
        if self._connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode()).fetchone() is None:
            return None
        self._copies += 1
        copy = f"{_SCHEMA}.c{self._copies}"
        self._connection.execute(f"CREATE TABLE {copy} AS SELECT * FROM {table}".encode())
        return copy

    def _sweep(self, tables: list[str]) -> None:
        large = self._connection.execute(
            "SELECT t FROM unnest(%s::text[]) AS t WHERE pg_relation_size(t::regclass) > %s * 8192", (tables, _SWEPT_ABOVE)
        ).fetchall()
        for (table,) in large:
            self._connection.execute(f"VACUUM {table}".encode())
        self._connection.execute("SELECT pg_stat_force_next_flush()")

    def _all(self, statement: str) -> dict[str, Any]:
        return dict(self._connection.execute(statement.encode()).fetchall())

    def _shape(self) -> str:
        row = self._connection.execute(_SHAPE.encode()).fetchone()
        assert row is not None
        return str(row[0])
