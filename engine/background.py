"""What work there is in the background: all that a rehearsal has (clockwork.py), and what plays rehearsals itself; a worker that does all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import clockwork, releases
from engine.clockwork import HOURLY, SOURCES, advance, look
from engine.jobs import JobKind
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.home import Home

__all__ = ["HOURLY", "SOURCES", "advance", "kinds", "look", "worker_of"]


def kinds() -> dict[str, JobKind]:
    """What jobs there are and what runs them."""
    return {**clockwork.kinds(), releases.KIND.name: releases.KIND}


def worker_of(home: Home) -> Worker:
    """A worker for all of it."""
    return Worker(home, kinds(), HOURLY, (look,))
