"""Whether anybody committed to a SQLite file since it was last asked, told by SQLite itself in microseconds. Reads no row."""

import sqlite3
from collections.abc import Callable
from threading import Lock


class Watch:
    """``PRAGMA data_version`` on a connection of its own that never writes: it changes with every commit by anybody else, in this process or another."""

    __slots__ = ("_connection", "_mutex", "_open")

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open = open_connection
        self._connection: sqlite3.Connection | None = None
        self._mutex = Lock()

    def mark(self) -> int | None:
        """A number; while it stays the same, nothing was committed. None when the file does not tell: whoever needs it then asks the file itself."""
        with self._mutex:
            try:
                if self._connection is None:
                    self._connection = self._open()
                return int(self._connection.execute("PRAGMA data_version").fetchall()[0][0])
            except sqlite3.Error:
                return None

    def close(self) -> None:
        """Let go of the file."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
