"""Connections that stay taken between requests: to take one from SQLAlchemy's pool and give it back costs several times a small statement. Sends nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

import sqlalchemy as sa

Alive = Callable[[sa.Connection], bool]


class Resting:
    """Up to ``most`` idle connections of some engines, the last used first; those that rest longest make room.

    ``alive`` is asked about one that rested longer than ``trusted`` seconds. One that met an exception, or was given options of its own, goes back to its pool.
    """

    def __init__(self, most: int, alive: Alive = lambda connection: True, trusted: float = float("inf")) -> None:
        self._most, self._alive, self._trusted = most, alive, trusted
        self._idle: list[tuple[float, sa.Connection]] = []
        self._mutex = Lock()

    @contextmanager
    def lend(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """A connection of an engine, in no transaction that anybody else began."""
        connection = self._take(engine)
        options = connection.get_execution_options()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.get_execution_options() is options and not connection.invalidated:
            self._rest(connection)
        else:
            connection.close()

    def let_go(self, *engines: sa.Engine) -> None:
        """Give the idle connections of these engines, of all when none is named, back to their pools."""
        with self._mutex:
            gone = [item for item in self._idle if not engines or item[1].engine in engines]
            self._idle = [item for item in self._idle if item not in gone]
        for _, connection in gone:
            connection.close()

    def _take(self, engine: sa.Engine) -> sa.Connection:
        while (found := self._last(engine)) is not None:
            since, connection = found
            if monotonic() - since < self._trusted or self._alive(connection):
                return connection
            connection.invalidate()
            connection.close()
        return engine.connect()

    def _last(self, engine: sa.Engine) -> tuple[float, sa.Connection] | None:
        with self._mutex:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][1].engine is engine:
                    return self._idle.pop(place)
        return None

    def _rest(self, connection: sa.Connection) -> None:
        with self._mutex:
            self._idle.append((monotonic(), connection))
            surplus = self._idle.pop(0)[1] if len(self._idle) > self._most else None
        if surplus is not None:
            surplus.close()
