"""The job that follows a merge: links which other transactions were making meanwhile are moved, too. Merging itself is engine/records/merging.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.actors import enter_as
from engine.jobs import JobKind, JobRun
from engine.records.merging import JOB, move_late
from engine.records.saving import Saving
from engine.records.work import Work


def run(job: JobRun) -> Mapping[str, Any]:
    """Move what is left, in one transaction; done again it finds nothing."""
    with enter_as(job.home, job.workspace, "merging").writing() as ctx:
        saving = Saving(Work(ctx))
        moved = move_late(saving, int(job.args["merging"]))
        saving.finish()
    return {"moved": moved}


KIND = JobKind(JOB, run)
