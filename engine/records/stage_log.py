"""The stage log: when each record came into each stage, and how long it was in the one before. Gathered in a transaction, written at its end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from engine import system_tables as tables
from engine.database_ready import Ready
from engine.fields.base import Value

_log = tables.stage_log
#: When record ``p_record`` of ``p_entity`` came into the stage it is in. Of the bare instant SQLite would look for the greatest by walking all records' rows
#: from the newest on.
SINCE = Ready(
    sa.select(sa.func.max(sa.func.coalesce(_log.c.at, _log.c.at), type_=_log.c.at.type)).where(
        _log.c.entity == sa.bindparam("p_entity", type_=sa.Text), _log.c.record == sa.bindparam("p_record", type_=sa.BigInteger)
    )
)
_THROUGH = Ready(
    sa.select(_log.c.from_stage).where(
        _log.c.entity == sa.bindparam("p_entity", type_=sa.Text), _log.c.record == sa.bindparam("p_record", type_=sa.BigInteger), _log.c.from_stage.is_not(None)
    )
)
#: What is written of a stage.
STAGE_COLUMNS = ("entity", "record", "from_stage", "to_stage", "at", "by", "seconds")
_INSERT = Ready(sa.insert(_log).inline(), STAGE_COLUMNS)


def gone_through(connection: sa.Connection, entity: str, record: int) -> frozenset[str]:
    """The stages a record has left."""
    return frozenset(row[0] for row in _THROUGH.rows(connection, {"p_entity": entity, "p_record": record}))


class StageLog:
    """What the log gains in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._gained: list[dict[str, Any]] = []

    def moved(self, entity: str, record: int, before: Value, after: Value, at: datetime, by: int | None, *, since: datetime, fresh: bool) -> None:
        """A record has come into a stage. ``since``: when it was made, which is when its first stage began; ``fresh``: made by this very transaction."""
        begun = None if before is None else self._begun(entity, record, fresh) or since
        seconds = None if begun is None else int((at - begun).total_seconds())
        self._gained.append({"entity": entity, "record": record, "from_stage": before, "to_stage": after, "at": at, "by": by, "seconds": seconds})

    def write(self) -> None:
        """Write what was gathered; may be called again."""
        _INSERT.run_each(self._connection, self._gained)
        self._gained.clear()

    def _begun(self, entity: str, record: int, fresh: bool) -> datetime | None:
        """When a record came into the stage it is in, as the log says."""
        here = [row["at"] for row in self._gained if (row["entity"], row["record"]) == (entity, record)]
        if here or fresh:
            return here[-1] if here else None
        found = SINCE.first(self._connection, {"p_entity": entity, "p_record": record})
        return found[0] if found is not None else None
