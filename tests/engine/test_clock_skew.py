"""Several machines, one database: a worker whose own clock is minutes wrong claims, leases and runs by the database's time; what falls due likewise."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.clock import database_now, wall
from engine.jobs import JobKind, JobRun, find, moment, put, table_for
from engine.publishing import create_workspace
from engine.worker import Worker
from metadata.bundle import Bundle
from tests.engine.homes import SMALL, Homes, Place, new_name

JOBS = table_for("postgresql")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("skew"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(homes: Homes) -> Iterator[Place]:
    """A live workspace on PostgreSQL; on SQLite every process has the one machine's clock."""
    made = Place(homes.home("postgresql"), new_name())
    create_workspace(made.home, made.name, Bundle(SMALL, DOCUMENTS), title="花园")
    yield made
    with made.workspace.database.write() as connection:
        connection.execute(JOBS.delete())


@pytest.fixture(params=[-10, 10], ids=["behind", "ahead"])
def skew(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Sets this machine's clock ten minutes wrong from here on, wherever the engine reads it."""

    def wrong() -> None:
        found = [module for name, module in list(sys.modules.items()) if name.startswith("engine.") and getattr(module, "wall", None) is wall]
        assert len(found) > 3
        for module in found:
            monkeypatch.setattr(module, "wall", lambda: datetime.now(UTC) + request.param * MINUTE)

    return wrong


def ask(place: Place, later: timedelta) -> int:
    """A job that is to begin so much later by the database's time."""
    with place.workspace.database.write() as connection:
        job = put(connection, place.name, "note", {})
        connection.execute(JOBS.update().where(JOBS.c.id == job).values(run_at=moment(connection, later)))
        return job


def machine(place: Place, run: Callable[[JobRun], None]) -> Worker:
    """A worker of a machine of its own."""
    return Worker(place.home, {"note": JobKind("note", run)})


def test_a_machine_whose_clock_is_wrong_runs_jobs_when_the_database_says_so(place, skew):
    skew()
    due, early = ask(place, -SECOND), ask(place, 5 * MINUTE)
    ran: list[int] = []
    assert machine(place, lambda run: ran.append(run.id)).drain() == 1 and ran == [due]
    assert find(place.workspace.database, place.name, early).state == "waiting"


def test_a_machine_whose_clock_is_wrong_neither_takes_a_job_under_lease_nor_loses_its_own(place, skew):
    job, others = ask(place, -SECOND), list[int]()

    def take(run: JobRun) -> None:
        run.tell({"done": 1, "total": 2})
        skew()
        assert machine(place, lambda run: others.append(run.id)).drain() == 0
        run.tell({"done": 2, "total": 2})

    assert machine(place, take).drain() == 1
    found = find(place.workspace.database, place.name, job)
    assert (found.state, found.progress["done"], others) == ("done", 2, [])


def test_a_lease_given_by_a_machine_whose_clock_is_wrong_lasts_as_long_as_any(place, skew):
    ask(place, -SECOND)
    ends: list[timedelta] = []

    def look(run: JobRun) -> None:
        with place.workspace.database.read() as connection:
            ends.append(find(place.workspace.database, place.name, run.id).run_at - database_now(connection))

    skew()
    assert machine(place, look).drain() == 1
    lease = timedelta(seconds=place.home.settings.job_lease)
    assert lease - 5 * SECOND < ends[0] <= lease


def test_a_failed_job_waits_its_pause_by_the_databases_time(place, skew):
    def fail(run: JobRun) -> None:
        raise ValueError

    job = ask(place, -SECOND)
    skew()
    assert machine(place, fail).drain() == 1
    with place.workspace.database.read() as connection:
        pause = find(place.workspace.database, place.name, job).run_at - database_now(connection)
    assert timedelta() < pause < 4 * SECOND


def test_what_falls_due_in_a_live_workspace_falls_due_by_the_databases_time(place, skew):
    skew()
    with place.workspace.database.read() as connection:
        true = database_now(connection)
    assert abs(enter_as(place.home, place.name, "clock").now - true) < 5 * SECOND
    with enter_as(place.home, place.name, "clock").writing() as ctx:
        assert abs(ctx.now - true) < 5 * SECOND
