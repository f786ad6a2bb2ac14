"""How often something was done lately: sliding windows, in memory for one process, in the home database for several. Decides no limit itself."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

import sqlalchemy as sa

from engine.database import Database
from engine.errors import Unavailable
from engine.system_tables import rate

_LONGEST = timedelta(days=1)
_CLEAN_EVERY = 500


class Rates(Protocol):
    """Counts of things done, by name."""

    def times(self, name: str, since: datetime) -> list[datetime]:
        """When ``name`` was done after ``since``, oldest first."""

    def note(self, name: str, at: datetime) -> None:
        """It was done once more."""

    def clear(self, name: str) -> None:
        """Forget it."""


class MemoryRates:
    """For the one serving process of an embedded installation."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._times: dict[str, deque[datetime]] = {}
        self._noted = 0

    def times(self, name: str, since: datetime) -> list[datetime]:
        with self._mutex:
            return [at for at in self._times.get(name, ()) if at > since]

    def note(self, name: str, at: datetime) -> None:
        with self._mutex:
            self._times.setdefault(name, deque(maxlen=1000)).append(at)
            self._noted += 1
            if self._noted % _CLEAN_EVERY == 0:
                self._times = {key: times for key, times in self._times.items() if times[-1] > at - _LONGEST}

    def clear(self, name: str) -> None:
        with self._mutex:
            self._times.pop(name, None)


class DatabaseRates:
    """For several processes: rows of the home database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted = 0

    def times(self, name: str, since: datetime) -> list[datetime]:
        with self._database.read() as connection:
            return list(connection.execute(sa.select(rate.c.at).where(rate.c.name == name, rate.c.at > since).order_by(rate.c.at)).scalars())

    def note(self, name: str, at: datetime) -> None:
        self._noted += 1
        with self._database.write() as connection:
            connection.execute(rate.insert().values(name=name, at=at))
            if self._noted % _CLEAN_EVERY == 0:
                connection.execute(rate.delete().where(rate.c.at < at - _LONGEST))

    def clear(self, name: str) -> None:
        with self._database.write() as connection:
            connection.execute(rate.delete().where(rate.c.name == name))


def take(rates: Rates, name: str, limit: int, window: timedelta, now: datetime) -> None:
    """Do it once more, if fewer than ``limit`` times in the last ``window``. Raises Unavailable("too_many_attempts", retry_after=seconds)."""
    times = rates.times(name, now - window)
    if len(times) >= limit:
        raise Unavailable("too_many_attempts", retry_after=max(1, round((times[-limit] + window - now).total_seconds())))
    rates.note(name, now)
