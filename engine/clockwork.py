"""What happens by the clock and what follows from records: the kinds of jobs, what is asked for hourly; a rehearsal's whole background. background.py adds what plays rehearsals."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from engine import asks_timed, delivery, erasures, many, merge_jobs, rehearsal, replay_kept, rule_apart, timed_settings, upkeep
from engine.exchange import batches
from engine.jobs import JobKind
from engine.rehearsal import Advanced
from engine.rule_jobs import RuleJobs
from engine.rules.compile import rule_book
from engine.timed import Source, due_source, run_sources
from engine.timed_cron import cron_source
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.home import Home

HOURLY = (upkeep.JOB,)
SOURCES: tuple[Source, ...] = (timed_settings.SOURCE, asks_timed.SOURCE, cron_source(rule_book), due_source(rule_book))


def kinds() -> dict[str, JobKind]:
    """What jobs there are and what runs them."""
    found = (
        JobKind(batches.JOB, batches.run_job, slow=True),
        upkeep.KIND,
        timed_settings.KIND,
        delivery.KIND,
        erasures.KIND,
        many.KIND,
        merge_jobs.KIND,
        rule_apart.KIND,
        replay_kept.KIND,
        asks_timed.KIND,
        asks_timed.LEAVING_KIND,
        RuleJobs().kind(),
    )
    return {kind.name: kind for kind in found}


def look(home: Home, workspace: str) -> None:
    """Ask for everything that is due in a workspace by its clock."""
    run_sources(home, workspace, SOURCES)


def worker_of(home: Home) -> Worker:
    """A worker for all of it."""
    return Worker(home, kinds(), HOURLY, (look,))


def advance(home: Home, workspace: str, to: datetime, *, seconds: float = float("inf")) -> Advanced:
    """Move a sandbox's clock forward, running everything that falls due in order, for so long. Raises Denied, Invalid, Conflict, Unavailable."""
    return rehearsal.advance(home, workspace, to, worker_of(home), SOURCES, seconds=seconds)
