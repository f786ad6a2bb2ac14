"""Workers that a test kills: ``python -m tests.engine.storm WORKSPACE`` begins one for each line it is given, settings from the environment.

A line names the mode; ``unprotected`` is what workers must not be: effects and the end of a job committed one after the other. Each worker is a process of
its own, forked when everything is imported and nothing is open, so that a kill costs a tenth of a second; it says its number when it is ready, and drains until it is killed.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from engine import background, worker_batch
from engine.home import Home
from engine.jobs import JobKind, JobRun
from engine.registry import engine_registry
from engine.settings import Settings
from engine.system_tables_rules import rule_switch
from engine.worker import Worker
from engine.worker_claims import remove
from engine.workspace_checking import with_expressions

STEPS = 60
#: Between an effect and the end of its job, where there is nothing to protect it.
GAP_SECONDS = 0.004


def note(connection: sa.Connection, name: str) -> None:
    """An effect that only the transaction keeps from happening twice: one more under a name (in a table of counts that nothing else here uses)."""
    done = connection.execute(rule_switch.update().where(rule_switch.c.rule == name).values(failures=rule_switch.c.failures + 1))
    if done.rowcount == 0:
        connection.execute(rule_switch.insert().values(rule=name, failures=1))


def plain(run: JobRun) -> None:
    """A job inside a transaction."""
    note(run.open, run.args["name"])


def walk(run: JobRun) -> Mapping[str, Any]:
    """A leased job that keeps how far it is in the transaction of each step."""
    for number in range(int(run.progress.get("done", 0)), STEPS):
        with run.database.write(background=True) as connection:
            note(connection, f"{run.args['name']}_{number}")
            run.checkpoint(connection, {"done": number + 1, "total": STEPS})
        time.sleep(0.005)
    return {}


def kinds() -> dict[str, JobKind]:
    """The product's kinds and the storm's."""
    return {**background.kinds(), "plain": JobKind("plain", plain, mode="tx"), "walk": JobKind("walk", walk, retries=1000)}


_protected = worker_batch._transaction


def unprotected(kinds: Mapping[str, JobKind], runs: Sequence[JobRun], lost: dict[int, int], *, apart: bool) -> list[JobRun]:
    """Jobs as a queue runs them that is not part of the database's transaction: the effect is committed, then the job is ended."""
    plains = [run for run in runs if run.name == "plain"]
    if not plains:
        return _protected(kinds, runs, lost, apart=apart)
    for run in plains:
        with run.database.write(background=True) as connection:
            kinds[run.name].run(replace(run, connection=connection))
        time.sleep(GAP_SECONDS)
        with run.database.write(background=True) as connection:
            remove(connection, [run.id])
    return [run for run in runs if run.name != "plain"]


def main() -> None:
    """Begin workers as long as somebody asks for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries them
    for line in sys.stdin:
        if os.fork() == 0:
            drain(sys.argv[1], line.strip())


def drain(name: str, mode: str) -> None:
    """Drain until killed."""
    if mode == "unprotected":
        worker_batch._transaction = unprotected
    words = {key: value for key, value in os.environ.items() if key.startswith("TANGRAM_") and not key.startswith("TANGRAM_TEST")}
    home = Home.open(Settings.from_environment(words), with_expressions(engine_registry()).freeze())
    worker = Worker(home, kinds(), (), (background.look,))
    home.workspace(name)
    print(os.getpid(), flush=True)
    while True:
        worker.look(now=True)
        worker.drain()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
