"""Jobs: asked for in the same transaction, run once, resumed where they stopped, given up on in the open, fenced by their lease."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine import jobs, worker_claims
from engine import worker as working
from engine.clock import wall
from engine.database_faults import LostRace
from engine.database_lock import file_lock
from engine.errors import Invalid, NotFound
from engine.files import upload
from engine.home import Home
from engine.jobs import JobKind, JobRun, find, put, table_for
from engine.system_tables import file as file_table
from engine.system_tables_rules import rule_switch
from engine.upkeep import KIND as UPKEEP
from engine.worker import Worker
from engine.worker_batch import run_batch
from tests.engine.homes import Homes, Place, small_place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("jobs"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(database_kind: str, homes: Homes) -> Iterator[Place]:
    made = small_place(homes.home(database_kind))
    yield made
    table = jobs.table_for(made.workspace.database.dialect)
    with made.workspace.database.write() as connection:
        connection.execute(table.delete())  # no test finds the jobs of another


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


def test_the_same_key_in_two_workspaces_is_two_jobs(place):
    other = small_place(place.home)
    assert ask(place, "note", key="k") > 0 and ask(other, "note", key="k") > 0
    seen: list[tuple[str, str | None]] = []
    worker(place, JobKind("note", lambda run: seen.append((run.workspace, run.key)))).drain()
    assert sorted(seen) == sorted([(place.name, "k"), (other.name, "k")])


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
    monkeypatch.setattr(worker_claims, "FIRST_PAUSE", timedelta(0))
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
    monkeypatch.setattr(place.home, "settings", replace(place.home.settings, job_lease=-1))  # every lease is over at once: another worker may take the job
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


# --- jobs inside a transaction


def log_row(connection: sa.Connection, name: str) -> None:
    connection.execute(rule_switch.insert().values(rule=name, failures=0))


def logged(place: Place) -> list[str]:
    with place.workspace.database.read() as connection:
        return list(connection.execute(sa.select(rule_switch.c.rule).order_by(rule_switch.c.rule)).scalars())


def write_row(run: JobRun) -> None:
    log_row(run.open, run.args["name"])


def fail_on_bad(run: JobRun) -> None:
    write_row(run)
    if run.args["name"] == "bad":
        raise ValueError("mistake")
    if run.args["name"] == "refused":
        raise Invalid("file_damaged", file="x.xlsx")


def test_a_job_in_a_transaction_ends_with_its_effects_and_leaves_no_row(place):
    job = ask(place, "row", {"name": "a"})
    worker(place, JobKind("row", write_row, mode="tx")).drain()
    assert logged(place) == ["a"]
    with pytest.raises(NotFound):
        state(place, job)


def test_a_failing_job_takes_back_its_own_effects_and_leaves_those_that_share_its_transaction(place):
    found = {name: ask(place, "row", {"name": name}) for name in ("a", "bad", "b", "refused", "c")}
    worker(place, JobKind("row", fail_on_bad, mode="tx")).drain()
    assert logged(place) == ["a", "b", "c"]
    bad, refused = state(place, found["bad"]), state(place, found["refused"])
    assert (bad.state, bad.error and bad.error["code"], bad.attempts) == ("waiting", "job_failed", 1) and bad.run_at > bad.created_at + timedelta(seconds=1)
    assert (refused.state, refused.error and refused.error["code"]) == ("dead", "file_damaged")
    assert [item.id for item in jobs.given_up(place.workspace.database, place.name)] == [found["refused"]]
    with place.workspace.database.write() as connection:
        assert jobs.run_again(connection, place.name, found["refused"], 987654) == 1
    assert state(place, found["refused"]).state == "waiting"


def test_a_worker_that_lost_its_jobs_writes_nothing_of_them(place):
    kinds = {"row": JobKind("row", write_row, mode="tx")}
    home = place.home.database if place.home.database.dialect == "postgresql" else place.workspace.database
    job = ask(place, "row", {"name": "once"})
    late = worker_claims.claim(place.home, home, "late", worker_claims.Lane(True, ("row",)), kinds)
    assert [run.id for run in late] == [job]
    with home.write() as connection:  # its lease ends while it sleeps, and another takes the job over
        connection.execute(jobs.table_for(home.dialect).update().values(run_at=jobs.moment(connection)))
    worker(place, *kinds.values()).drain()
    assert run_batch(kinds, late, lambda: False) == [] and logged(place) == ["once"]


def test_a_job_whose_worker_dies_each_time_is_given_up_on_and_takes_no_other_with_it(place):
    """A worker that dies leaves its claim; the next one takes the suspects one by one."""
    ran: list[str] = []

    def die(run: JobRun) -> None:
        ran.append(run.args["name"])
        write_row(run)
        if run.args["name"] == "poison":
            raise SystemExit  # goes through every "except Exception", as a killed process goes through everything

    found = {name: ask(place, "row", {"name": name}) for name in ("a", "poison", "b")}
    home = place.home.database if place.home.database.dialect == "postgresql" else place.workspace.database
    for _ in range(20):
        with home.write() as connection:
            connection.execute(
                jobs.table_for(home.dialect).update().where(jobs.table_for(home.dialect).c.queue == "waiting").values(run_at=jobs.moment(connection))
            )
        try:
            if not worker(place, JobKind("row", die, mode="tx")).drain():
                break
        except SystemExit:
            continue
    dead = state(place, found["poison"])
    assert logged(place) == ["a", "b"] and ran.count("poison") == worker_claims.MOST_CRASHES
    assert (dead.state, dead.error and dead.error["code"]) == ("dead", "job_killed_worker")


def test_a_job_that_loses_a_race_runs_again_at_once_after_the_others_before_it_are_committed(place):
    seen: list[str] = []

    def lose(run: JobRun) -> None:
        seen.append(run.args["name"])
        if run.args["name"] == "loser" and seen.count("loser") < 3:
            raise LostRace
        write_row(run)

    for name in ("a", "loser", "z"):
        ask(place, "row", {"name": name})
    worker(place, JobKind("row", lose, mode="tx")).drain()
    assert seen == ["a", "loser", "a", "loser", "loser", "z"] and logged(place) == ["a", "loser", "z"]


def test_many_jobs_are_asked_for_at_once_and_begin_in_that_order(place):
    with place.workspace.database.write() as connection:
        jobs.put_all(connection, place.name, "row", [jobs.Asked({"name": f"{number:03}"}, f"k{number}") for number in range(45)])
    seen: list[str] = []
    worker(place, JobKind("row", lambda run: seen.append(run.args["name"]), mode="tx")).drain()
    assert seen == [f"{number:03}" for number in range(45)]


def test_a_worker_hears_of_work_after_the_commit_without_polling(place, monkeypatch):
    """Asked for by another process on PostgreSQL: a second home knows the first only through the database."""
    monkeypatch.setattr(working, "SWEEP_SECONDS", 60)
    began = threading.Event()
    hand = worker(place, JobKind("row", lambda run: began.set(), mode="tx"))
    hand.start()
    try:
        time.sleep(0.5)  # it has looked once, and waits
        other = Home.open(place.home.settings, place.home.registry) if place.home.database.dialect == "postgresql" else place.home
        with closing(other) if other is not place.home else nullcontext():
            with other.database_of(place.name).write() as connection:
                put(connection, place.name, "row", {})
            begin = time.perf_counter()
            assert began.wait(10) and time.perf_counter() - begin < 1.0
    finally:
        hand.stop()


def test_on_sqlite_one_worker_at_a_time_drains_a_workspace(homes):
    place = small_place(homes.home("sqlite"))
    ask(place, "row", {"name": "a"})
    assert place.workspace.database.path is not None
    with file_lock(place.workspace.database.path.with_suffix(".tx.lock"), "another") as last:
        assert last is not None and worker(place, JobKind("row", write_row, mode="tx")).drain() == 0
    assert worker(place, JobKind("row", write_row, mode="tx")).drain() == 1


def test_on_sqlite_a_new_worker_need_not_wait_for_the_lease_of_one_that_died(homes):
    place = small_place(homes.home("sqlite"))
    kinds = {"row": JobKind("row", write_row, mode="tx")}
    ask(place, "row", {"name": "a"})
    with file_lock(place.workspace.database.path.with_suffix(".tx.lock"), "dead"):
        assert worker_claims.claim(place.home, place.workspace.database, "dead", worker_claims.Lane(True, ("row",)), kinds)
    assert worker(place, *kinds.values()).drain() == 1 and logged(place) == ["a"]


def test_slow_jobs_hold_up_nothing_that_is_quickly_done(place):
    go_on, done = threading.Event(), threading.Event()
    running = worker(place, JobKind("long", lambda run: go_on.wait(20) and None, slow=True), JobKind("short", lambda run: done.set()))
    ask(place, "long")
    running.start()
    try:
        time.sleep(0.1)
        ask(place, "short")
        assert done.wait(10), "it waited behind the slow one"
    finally:
        go_on.set()
        running.stop()


# --- upkeep


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


def test_upkeep_forgets_jobs_that_were_done_long_ago_and_no_others(place):
    table = table_for(place.home.database.dialect)
    with place.workspace.database.write() as connection:
        for queue, days in (("done", 40), ("done", 20), ("dead", 40)):
            number = put(connection, place.name, "row", {})
            connection.execute(sa.update(table).where(table.c.id == number).values(queue=queue, done_at=wall() - timedelta(days=days)))
    worker(place, UPKEEP).drain()
    with place.workspace.database.write() as connection:
        put(connection, place.name, UPKEEP.name, {})
    worker(place, UPKEEP).drain()
    with place.workspace.database.read() as connection:
        left = connection.execute(sa.select(table.c.queue).where(table.c.workspace == place.name, table.c.name == "row").order_by(table.c.id)).scalars().all()
    assert left == ["done", "dead"]
