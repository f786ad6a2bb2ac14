"""SQLite's write-ahead log emptied into its file, so that no earlier state of a page can be read from it any more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.database import Database

#: Seconds to wait for readers of older states.
_PATIENCE = 10.0


def empty_log(database: Database) -> bool:
    """Whether the log is empty now: readers may hold on to older states for a while. True on PostgreSQL, whose log is the operator's."""
    if database.path is None:
        return True
    with closing(sqlite3.connect(database.path, isolation_level=None, timeout=_PATIENCE)) as connection:
        busy, _pages, _moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
