"""Jobs: asked for in the same transaction, run once, resumed where they stopped, given up on in the open, fenced by their lease."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine import jobs
from engine import worker as working
from engine.errors import Invalid, NotFound
from engine.files import upload
from engine.jobs import JobKind, JobRun, find, put
from engine.system_tables import file as file_table
from engine.upkeep import KIND as UPKEEP
from engine.worker import Worker
from tests.engine.homes import Homes, Place, small_place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("jobs"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(database_kind: str, homes: Homes) -> Place:
    return small_place(homes.home(database_kind))


def ask(place: Place, name: str, args: dict[str, Any] | None = None, **words: Any) -> int:
    with place.workspace.database.write() as connection:
        return put(connection, place.name, name, args or {}, **words)


def state(place: Place, job: int) -> jobs.JobState:
    return find(place.workspace.database, place.name, job)


def worker(place: Place, *kinds: JobKind) -> Worker:
    return Worker(place.home, {kind.name: kind for kind in kinds})


def test_a_job_asked_for_in_a_rolled_back_transaction_was_never_asked_for(place):
    with pytest.raises(RuntimeError), place.workspace.database.write() as connection:
        put(connection, place.name, "note", {})
        raise RuntimeError
    assert worker(place, JobKind("note", lambda run: None)).drain() == 0


def test_a_job_runs_once_and_keeps_its_result(place):
    ran: list[dict[str, Any]] = []
    kind = JobKind("note", lambda run: (ran.append(dict(run.args)), {"said": 7})[1])
    job = ask(place, "note", {"text": "你好"})
    assert worker(place, kind).drain() == 1 and worker(place, kind).drain() == 0
    assert ran == [{"text": "你好"}]
    assert (state(place, job).state, state(place, job).progress["said"]) == ("done", 7)


def test_the_same_key_is_the_same_job_while_it_waits(place):
    assert ask(place, "note", key="k") == ask(place, "note", key="k")
    worker(place, JobKind("note", lambda run: None)).drain()
    assert ask(place, "note", key="k") > 0


def test_a_refusal_is_final_and_says_why(place):
    def refuse(run: JobRun) -> None:
        raise Invalid("file_damaged", file="x.xlsx")

    job = ask(place, "note")
    worker(place, JobKind("note", refuse)).drain()
    found = state(place, job)
    assert found.state == "dead" and found.error is not None and found.error["code"] == "file_damaged"
    with place.workspace.database.write() as connection:
        jobs.run_again(connection, place.name, job)
    assert state(place, job).state == "waiting"


def test_a_failure_is_tried_again_later_and_given_up_on_in_the_end(place, monkeypatch):
    monkeypatch.setattr(working, "FIRST_PAUSE", timedelta(0))
    tries: list[int] = []

    def fail(run: JobRun) -> None:
        tries.append(run.attempt)
        raise ValueError("mistake")

    job = ask(place, "fails")
    hand = worker(place, JobKind("fails", fail, retries=2))
    for _ in range(10):
        hand.drain()
    assert tries == [1, 2, 3] and state(place, job).state == "dead"


def test_a_job_resumes_where_its_last_checkpoint_stood_and_a_late_worker_is_fenced(place, monkeypatch):
    monkeypatch.setattr(jobs, "LEASE", timedelta(seconds=-1))  # every lease is over at once: another worker may take the job
    seen: list[int] = []
    late: list[JobRun] = []

    def count(run: JobRun) -> None:
        seen.append(int(run.progress.get("done", 0)))
        if len(seen) == 1:
            run.tell({"done": 5, "total": 9})
            late.append(run)
            raise KeyboardInterrupt

    job = ask(place, "note")
    with pytest.raises(KeyboardInterrupt):
        worker(place, JobKind("note", count)).drain()
    worker(place, JobKind("note", count)).drain()
    assert seen == [0, 5] and state(place, job).state == "done"
    with pytest.raises(jobs.LeaseLost), place.workspace.database.write() as connection:
        late[0].checkpoint(connection, {"done": 9})


def test_an_unknown_job_is_given_up_on_and_named(place):
    job = ask(place, "from_a_plugin_that_is_gone")
    worker(place).drain()
    found = state(place, job)
    assert found.state == "dead" and found.error is not None and found.error["code"] == "job_unknown"
    with pytest.raises(NotFound):
        find(place.workspace.database, "another", job)


def test_upkeep_removes_uploads_no_save_has_bound_for_a_day(place, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("hello", encoding="utf-8")
    with path.open("rb") as source:
        stored = upload(place.ctx, "../a.txt", source, limit=100)
    assert stored.name == "a.txt" and stored.type == "text/plain"
    ask(place, UPKEEP.name)
    worker(place, UPKEEP).drain()
    with place.workspace.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(file_table)).scalar_one() == 1
    with place.workspace.database.write() as connection:
        connection.execute(file_table.update().values(uploaded_at=place.ctx.now - timedelta(hours=25)))
    ask(place, UPKEEP.name)
    worker(place, UPKEEP).drain()
    with place.workspace.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(file_table)).scalar_one() == 0
