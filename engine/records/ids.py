"""Ids drawn before their rows are written, so that rows can name each other and go in one statement. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from engine.access import remember
from engine.database_ready import Ready

if TYPE_CHECKING:
    from engine.workspace import Workspace


def draw_ids(workspace: Workspace, connection: sa.Connection, table: sa.Table, many: int, *, above: int = 0) -> list[int]:
    """New ids of a record table or a numbered system table, ascending, in an open write transaction.

    On PostgreSQL from its sequence. On SQLite nobody else can write meanwhile, so they follow the last one ever used; ``above``: the last one that this
    transaction has drawn and perhaps not written yet.
    """
    if workspace.database.dialect == "sqlite":
        last = remember(workspace, ("last id", table.name), lambda: Ready(_last_of(table))).first(connection)
        first = max(last[0] if last else 0, above) + 1
        return list(range(first, first + many))
    drawn = remember(workspace, ("next ids", table.name), lambda: Ready(_next_of(table, workspace.database.schema)))
    return sorted(number for (number,) in drawn.rows(connection, {"many": many}))


def _last_of(table: sa.Table) -> sa.Select[Any]:
    """SQLite: the last id of a table, deleted rows counted."""
    sequence = sa.table("sqlite_sequence", sa.column("name", sa.Text), sa.column("seq", sa.Integer))
    return sa.select(sequence.c.seq).where(sequence.c.name == table.name)


def _next_of(table: sa.Table, schema: str | None) -> sa.Select[Any]:
    """PostgreSQL: the next ``many`` numbers of a table's sequence, which is looked up once."""
    owner = f'"{schema}"."{table.name}"' if schema else f'"{table.name}"'
    sequence = sa.select(sa.cast(sa.func.pg_get_serial_sequence(owner, "id"), postgresql.REGCLASS)).scalar_subquery()
    drawn = sa.func.nextval(sequence, type_=sa.BigInteger)
    return sa.select(drawn).select_from(sa.func.generate_series(1, sa.bindparam("many", type_=sa.Integer)).alias("many"))
