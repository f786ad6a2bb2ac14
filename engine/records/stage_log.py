"""The stage log: when each record came into each stage, and how long it was in the one before. Gathered in a transaction, written at its end."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.database_ready import Ready
from engine.expressions.sql_time import elapsed
from engine.fields.base import Value

_log = tables.stage_log
_OF_RECORD = (_log.c.entity == sa.bindparam("p_entity", type_=sa.Text), _log.c.record == sa.bindparam("p_record", type_=sa.BigInteger))
#: When record ``p_record`` of ``p_entity`` came into the stage it is in. Of the bare instant SQLite would look for the greatest by walking all records' rows
#: from the newest on.
SINCE = sa.select(sa.func.max(sa.func.coalesce(_log.c.at, _log.c.at), type_=_log.c.at.type)).where(*_OF_RECORD)
_THROUGH = Ready(sa.select(_log.c.from_stage).where(*_OF_RECORD, _log.c.from_stage.is_not(None)))
#: What is written of a stage.
STAGE_COLUMNS = ("entity", "record", "from_stage", "to_stage", "at", "by", "seconds")


@cache
def _inserting(dialect: str) -> Ready:
    """One move. ``p_since``: when the stage before began unless the log knows it; None where there was none, and ``seconds`` stays empty."""
    since, until = (sa.bindparam(name, type_=_log.c.at.type) for name in ("p_since", "p_at"))
    begun = sa.func.coalesce(SINCE.scalar_subquery(), since, type_=_log.c.at.type)
    seconds = sa.case((since.is_not(None), elapsed(dialect, begun, until, 1)))
    return Ready(sa.insert(_log).values(seconds=seconds).inline(), [name for name in STAGE_COLUMNS if name != "seconds"])


def gone_through(connection: sa.Connection, entity: str, record: int) -> frozenset[str]:
    """The stages a record has left."""
    return frozenset(row[0] for row in _THROUGH.rows(connection, {"p_entity": entity, "p_record": record}))


class StageLog:
    """What the log gains in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._gained: list[dict[str, Any]] = []

    def moved(self, entity: str, record: int, before: Value, after: Value, at: datetime, by: int | None, *, since: datetime) -> None:
        """A record has come into a stage. ``since``: when it was made, which is when its first stage began."""
        move = {"entity": entity, "record": record, "from_stage": before, "to_stage": after, "at": at, "by": by}
        self._gained.append({**move, "p_entity": entity, "p_record": record, "p_at": at, "p_since": None if before is None else since})

    def write(self) -> None:
        """Write what was gathered, in order; may be called again."""
        _inserting(self._connection.dialect.name).run_each(self._connection, self._gained)
        self._gained.clear()
