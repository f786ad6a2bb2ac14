"""Tells whoever waits for work that some was asked for, after the commit: at once in this process, by one NOTIFY for many commits in others (PostgreSQL).

A ring that is lost costs one round of polling and nothing else. Knows no job.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from engine.errors import Refusal

if TYPE_CHECKING:
    from engine.database import Database

log = logging.getLogger("tangram.jobs")

CHANNEL = "tangram_jobs"
_ASKED = "tangram_asked"
_LISTEN_SECONDS = 1.0
_PAUSE_SECONDS = 5.0


def note_asked(connection: sa.Connection) -> None:
    """Work was asked for in this transaction: the bell rings after its commit."""
    connection.info[_ASKED] = True


def was_asked(connection: sa.Connection) -> bool:
    """Whether it was, since last asked."""
    return bool(connection.info.pop(_ASKED, False))


class Bell:
    """One per home. ``ring`` costs a request nothing: other processes are told by a thread of its own, never inside a transaction (its lock would queue commits)."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database  # PostgreSQL only
        self._listeners: list[Callable[[], None]] = []
        self._mutex = threading.Lock()
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._poker: threading.Thread | None = None

    def ring(self) -> None:
        """Work waits."""
        for wake in tuple(self._listeners):
            wake()
        if self._database is not None:
            self._rung.set()
            if self._poker is None:
                self._begin(self._database)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """``wake`` is called at every ring in this process; gives what ends that."""
        with self._mutex:
            self._listeners.append(wake)

        def end() -> None:
            with self._mutex:
                self._listeners.remove(wake)

        return end

    def close(self) -> None:
        """No more telling."""
        self._closed.set()
        self._rung.set()
        if self._poker is not None:
            self._poker.join(2)

    def _begin(self, database: Database) -> None:
        with self._mutex:
            if self._poker is None:
                self._poker = threading.Thread(target=self._poke, args=(database,), name="tangram-poker", daemon=True)
                self._poker.start()

    def _poke(self, database: Database) -> None:
        while not self._closed.is_set():
            try:
                with database.outside() as connection:
                    while self._rung.wait() and not self._closed.is_set():
                        self._rung.clear()
                        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
            except (Refusal, sa.exc.SQLAlchemyError) as error:
                log.warning("workers of other processes are not told, they poll: %s", error)
                self._closed.wait(_PAUSE_SECONDS)


def hear(database: Database, wake: Callable[[], None], stop: threading.Event) -> None:
    """Call ``wake`` whenever any process rings, until told to stop (PostgreSQL; on a connection that passes by a pooler)."""
    while not stop.is_set():
        try:
            with database.outside() as connection:
                connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                driver = connection.connection.driver_connection
                assert driver is not None
                while not stop.is_set():
                    for _ in driver.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                        wake()
        except (Refusal, sa.exc.SQLAlchemyError, OSError) as error:
            log.warning("not told of new work, polling: %s", error)
            stop.wait(_PAUSE_SECONDS)
