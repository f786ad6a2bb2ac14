"""A publish in the background on both databases: as it was confirmed or not at all, stopped, gone on with after a death, never published twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine import drafts, jobs, releases
from engine.clock import wall
from engine.errors import Conflict
from engine.provenance import versions
from engine.publishing import plan_drafts
from engine.scenarios import Result
from engine.worker import Worker
from metadata.vocabulary import Problem
from tests.engine.homes import Homes, Place, small_place

KEYS = [f"s{number}" for number in range(4)]
Watch = Callable[[str], None]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("releases"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def place(database_kind: str, homes: Homes) -> Iterator[Place]:
    """A workspace with four scenarios and a drafted field."""
    scenario = {"title": {"zh": "什么都没有"}, "then": [{"expect": "plant", "count": 0}]}
    made = small_place(homes.home(database_kind), changes={("scenario", key): scenario for key in KEYS})
    draft(made, "weight", 0)
    yield made
    with made.workspace.database.write() as connection:
        connection.execute(jobs.table_for(made.workspace.database.dialect).delete())


def draft(place: Place, field: str, number: int) -> None:
    document = place.entity("plant", {field: {"type": "integer", "title": "重量"}})
    drafts.act(place.ctx, "entity", "plant", {"op": "put", "document": document}, number)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Scenarios that hold (but for the ``broken``) without being played; ``watch`` is told each before it ends. Gives those played so far."""

    def pretend(watch: Watch = lambda key: None, broken: tuple[str, ...] = ()) -> list[str]:
        found: list[str] = []

        def run(registry: Any, bundle: Any, keys: list[str], *, timezone: str) -> Iterator[Result]:
            for key in keys:
                watch(key)
                found.append(key)
                yield Result(key, {"zh": key}, (Problem("unexpected_count", f"scenarios/{key}.json", "/then/0"),) if key in broken else (), 1, 0.0)

        monkeypatch.setattr(releases, "run_scenarios", run)
        monkeypatch.setattr(releases, "_TOLD_EVERY", 0.0)
        return found

    return pretend


def begin(place: Place) -> int:
    plan = plan_drafts(place.ctx)
    return releases.start(place.ctx, plan, note="重量", expect_digest=plan.digest)


def drain(place: Place) -> None:
    """Work on it, as a worker does that need not wait for the next try."""
    table = jobs.table_for(place.workspace.database.dialect)
    with place.workspace.database.write() as connection:
        connection.execute(sa.update(table).values(run_at=wall() - timedelta(minutes=1)))
    Worker(place.home, {releases.JOB: releases.KIND}).drain(place.name)


def numbers(place: Place) -> list[int]:
    with place.ctx.reading() as ctx:
        return [item.number for item in versions(ctx.open)]


def test_all_hold_and_the_confirmed_drafts_are_live_with_their_note(place, played):
    found, job = played(), begin(place)
    with pytest.raises(Conflict) as second:
        begin(place)
    assert (second.value.code, second.value.params["id"], releases.running(place.ctx)) == ("release_running", job, job)
    drain(place)
    release = releases.of(place.ctx, job)
    assert found == KEYS and (release.state, release.version, release.done, release.total) == ("live", 2, 4, 4)
    assert numbers(place) == [2, 1] and "weight" in place.workspace.entity("plant").fields
    assert drafts.changes(place.ctx) == [] and releases.running(place.ctx) is None


def test_those_that_do_not_hold_are_all_named_and_nothing_is_published(place, played):
    played(broken=("s1", "s3"))
    job = begin(place)
    drain(place)
    release = releases.of(place.ctx, job)
    assert (release.state, [one.key for one in release.broken], numbers(place)) == ("broken", ["s1", "s3"], [1])
    assert [place_ for one in release.broken for place_, _ in one.problems] == ["scenarios/s1.json/then/0", "scenarios/s3.json/then/0"]
    assert len(drafts.changes(place.ctx)) == 1


@pytest.mark.parametrize("moved", ["draft", "version"])
def test_what_moved_meanwhile_is_told_at_once_and_nothing_is_lost(place, played, moved):
    def move(key: str) -> None:
        if key == "s1" and moved == "draft":
            draft(place, "depth", 1)
        elif key == "s1":
            place.publish({("role", "admin"): {**place.workspace.bundle.documents["role", "admin"], "title": "管理"}})

    found = played(move)
    job = begin(place)
    drain(place)
    release = releases.of(place.ctx, job)
    assert release.state == "refused" and ("修改了草稿" if moved == "draft" else "第 2 版已经上线") in release.why
    assert found == ["s0", "s1"] and numbers(place) == ([1] if moved == "draft" else [2, 1])
    assert [(change.kind, change.key) for change in drafts.changes(place.ctx)] == [("entity", "plant")]


def test_stopped_it_plays_no_further_and_publishes_nothing(place, played):
    found = played(lambda key: releases.stop(place.ctx, job) if key == "s2" else None)
    job = begin(place)
    drain(place)
    release = releases.of(place.ctx, job)
    assert (release.state, release.done, found, numbers(place)) == ("stopped", 2, KEYS[:3], [1])
    with pytest.raises(Conflict) as over:
        releases.stop(place.ctx, job)
    assert over.value.code == "release_ended"


def test_a_worker_that_died_is_gone_on_with_behind_what_it_had_played(place, played):
    deaths = ["s2"]

    def die(key: str) -> None:
        if key in deaths:
            deaths.remove(key)
            raise MemoryError

    found = played(die)
    job = begin(place)
    drain(place)
    assert releases.of(place.ctx, job).state == "waiting"
    drain(place)
    assert found == KEYS and releases.of(place.ctx, job).state == "live" and numbers(place) == [2, 1]


def test_one_that_died_behind_the_publish_publishes_no_second_version(place, played, monkeypatch):
    played()
    real, deaths = releases._live, [1]

    def die_once(job: jobs.JobRun, number: int) -> dict[str, Any]:
        if deaths.pop() if deaths else 0:
            raise MemoryError
        return real(job, number)

    monkeypatch.setattr(releases, "_live", die_once)
    job = begin(place)
    drain(place)
    assert numbers(place) == [2, 1] and releases.of(place.ctx, job).state == "waiting"
    drain(place)
    assert numbers(place) == [2, 1] and (releases.of(place.ctx, job).state, releases.of(place.ctx, job).version) == ("live", 2)
