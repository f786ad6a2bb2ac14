"""Who may write to one SQLite file next: first come first served, people's requests before background work. Who drains its jobs: one at a time, in any process.

Knows no database.
"""

import fcntl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, get_ident
from time import monotonic, sleep

_LOOK_SECONDS = 0.01


class _Ticket:
    __slots__ = ("thread", "turn")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.turn = Event()


class FairLock:
    """A lock handed over directly to the longest waiter. SQLite's own busy handler is not fair: a draining worker starves requests for seconds."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._holder: int | None = None
        self._requests: deque[_Ticket] = deque()
        self._background: deque[_Ticket] = deque()

    def acquire(self, timeout: float, *, background: bool = False) -> bool:
        """Wait at most ``timeout`` seconds; False when it was not our turn by then. RuntimeError when this thread holds it already."""
        queue = self._background if background else self._requests
        with self._mutex:
            if self._holder is None:
                self._holder = get_ident()
                return True
            if self._holder == get_ident():
                raise RuntimeError("a write inside a write of the same database: pass the open connection on")
            ticket = _Ticket()
            queue.append(ticket)
        if ticket.turn.wait(timeout):
            return True
        with self._mutex:
            if ticket.turn.is_set():
                return True
            queue.remove(ticket)
            return False

    def release(self) -> None:
        """Hand over to the next waiter."""
        with self._mutex:
            queue = self._requests or self._background
            if not queue:
                self._holder = None
                return
            ticket = queue.popleft()
            self._holder = ticket.thread
            ticket.turn.set()

    def wanted(self) -> bool:
        """Whether a request waits: background work should end its batch."""
        return bool(self._requests)


@contextmanager
def file_lock(path: Path, owner: str, *, wait: float = 0.0) -> Iterator[str | None]:
    """Hold the lock of that name alone among all threads of all processes of this machine; gives who held it before, None when it is not to be had.

    Whoever dies lets go of it. ``wait``: seconds to try. The file is a lock's, never a database's.
    """
    until = monotonic() + wait
    with path.open("a+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() >= until:
                    yield None
                    return
                sleep(_LOOK_SECONDS)
        lock.seek(0)
        last = lock.read()
        if last != owner:
            lock.truncate(0)
            lock.write(owner)
            lock.flush()
        yield last
