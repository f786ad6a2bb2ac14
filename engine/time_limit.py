"""A limit to how long foreign code may run: past it an exception is raised inside it. Stops Python at work; a call that waits outside of Python ends first."""

from __future__ import annotations

import ctypes
import heapq
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class TooSlow(BaseException):
    """Raised in the thread that ran on past its limit; no ordinary ``except Exception`` swallows it."""


@dataclass(order=True)
class _Watched:
    deadline: float
    number: int
    thread: int = field(compare=False)
    over: bool = field(default=False, compare=False)
    fired: bool = field(default=False, compare=False)


class _Watch:
    """One thread that waits for the nearest deadline; started when first needed."""

    def __init__(self) -> None:
        # ``with`` on the lock itself, not on the condition: between taking it and the block nothing of Python runs, so it is never left taken.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[_Watched] = []
        self._number = 0
        self._runs = False

    def begin(self, seconds: float) -> _Watched:
        """From now on this thread is watched."""
        with self._lock:
            self._number += 1
            item = _Watched(time.monotonic() + seconds, self._number, threading.get_ident())
            heapq.heappush(self._waiting, item)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._work, name="time limit", daemon=True).start()
            if self._waiting[0] is item:
                self._changed.notify()
        return item

    def end(self, item: _Watched) -> None:
        """It is done; an exception that was on its way is taken back."""
        with self._lock:
            item.over = True
            if item.fired:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(item.thread), None)

    def _work(self) -> None:
        with self._changed:
            while True:
                while self._waiting and (self._waiting[0].over or self._waiting[0].deadline <= time.monotonic()):
                    item = heapq.heappop(self._waiting)
                    if not item.over:
                        item.fired = True
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(item.thread), ctypes.py_object(TooSlow))
                self._changed.wait(self._waiting[0].deadline - time.monotonic() if self._waiting else None)


_watch = _Watch()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TooSlow inside when it lasts longer than so many seconds of wall time."""
    item = _watch.begin(seconds)
    try:
        yield
    finally:
        try:
            _watch.end(item)
        except TooSlow:  # it came just as the work was done
            _watch.end(item)
