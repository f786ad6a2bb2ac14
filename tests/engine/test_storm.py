"""Workers killed with SIGKILL at random points: no effect lost, none doubled; the same storm over workers without the protection doubles some.

The killer is this process; each worker is one of its own (storm.py). A kill counts when work was still waiting after it: one of a worker that had ended everything
proves nothing. ``TANGRAM_TEST_SIZE=full``: two hundred such kills per database.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine import jobs
from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.clock import wall
from engine.context import Context
from engine.home import Home
from engine.publishing import create_workspace
from engine.records import service
from engine.registry import engine_registry
from engine.settings import Settings
from engine.system_tables_rules import rule_switch, run, schedule
from engine.workspace_checking import with_expressions
from metadata.bundle import Bundle
from tests.engine.homes import ADMIN
from tests.engine.storm import STEPS

ROOT = Path(__file__).resolve().parents[2]
KILLS = 200 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 6
PLAIN, BOOKINGS = 40, 25  # asked for before each kill; more, once workers ended it all before they were killed
WORLD: dict[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "storm", "title": "风暴", "version": "1.0"},
    ("entity", "booking"): {
        "title": "预约",
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": "名称"},
            "at": {"type": "instant", "title": "时刻"},
            "count": {"type": "integer", "default": 0, "title": "次数"},
        },
    },
    ("entity", "mark"): {
        "title": "记号",
        "label": "{kind}",
        "fields": {"kind": {"type": "text", "title": "种类"}, "booking": {"type": "link", "to": "booking", "title": "预约"}},
    },
    ("rule", "count"): {
        "title": "到时计数",
        "on": {"due": "booking.at"},
        "then": [{"set": {"count": "count + 1"}}, {"create": "mark", "values": {"kind": "'due'", "booking": "record"}}],
    },
    ("rule", "echo"): {
        "title": "随后回声",
        "on": {"later": "create", "entity": "mark"},
        "if": "kind == 'due'",
        "then": [{"create": "mark", "values": {"kind": "'later'", "booking": "booking"}}],
    },
    ("rule", "tick"): {"title": "每分钟", "on": {"cron": "* * * * *"}, "then": [{"create": "mark", "values": {"kind": "'cron'"}}]},
    ("role", "admin"): ADMIN,
}


@dataclass
class Storm:
    """A workspace with work to do, and workers at it."""

    home: Home
    nursery: "subprocess.Popen[str]"
    name: str = "storm"
    plain: int = 0
    bookings: int = 0
    walks: int = 0

    @property
    def ctx(self) -> Context:
        return enter_as(self.home, self.name, "operator")

    def worker(self, mode: str = "protected") -> int:
        """The process of a worker that has begun."""
        assert self.nursery.stdin is not None and self.nursery.stdout is not None
        self.nursery.stdin.write(f"{mode}\n")
        self.nursery.stdin.flush()
        return int(self.nursery.stdout.readline())

    def ask(self, plain: int, bookings: int, walks: int = 0) -> None:
        """More work, as people's requests would bring it."""
        with self.home.database_of(self.name).write() as connection:
            for number in range(self.plain, self.plain + plain):
                jobs.put(connection, self.name, "plain", {"name": f"p{number}"})
            for number in range(self.walks, self.walks + walks):
                jobs.put(connection, self.name, "walk", {"name": f"w{number}"})
        at = (wall() - timedelta(hours=1)).isoformat()
        if bookings:
            service.load(self.ctx, "booking", [{"name": f"b{number}", "at": at} for number in range(bookings)])
        self.plain, self.bookings, self.walks = self.plain + plain, self.bookings + bookings, self.walks + walks

    def waiting(self) -> int:
        table = jobs.table_for(self.home.database.dialect)
        with self.home.database_of(self.name).read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).where(table.c.workspace == self.name, table.c.queue == "waiting")).scalar_one())

    def dead(self) -> list[jobs.JobState]:
        return jobs.given_up(self.home.database_of(self.name), self.name)

    def noted(self) -> Counter[str]:
        """How often each plain effect happened."""
        with self.home.database_of(self.name).read() as connection:
            return Counter({row.rule: row.failures for row in connection.execute(sa.select(rule_switch.c.rule, rule_switch.c.failures))})

    def effects(self) -> int:
        """How many plain effects, runs of rules on bookings and their echoes there were."""
        plain = sa.select(sa.func.coalesce(sa.func.sum(rule_switch.c.failures), 0)).scalar_subquery()
        runs = sa.select(sa.func.count()).where(run.c.rule.in_(("count", "echo"))).scalar_subquery()
        with self.home.database_of(self.name).read() as connection:
            return int(connection.execute(sa.select(plain + runs)).scalar_one())

    def column(self, entity: str, *fields: str) -> list[Any]:
        """The values of fields of all records of an entity."""
        compiled = self.home.workspace(self.name).entity(entity)
        with self.home.database_of(self.name).read() as connection:
            rows = connection.execute(sa.select(*(compiled.table.c[compiled.fields[key].column.key] for key in fields)), execution_options={"scoped": True})
            return [tuple(row) if len(fields) > 1 else row[0] for row in rows]


@contextmanager
def storm_on(kind: str, folder: Path, postgres: Callable[[], str]) -> Iterator[Storm]:
    environment = {"TANGRAM_HOME": str(folder), "TANGRAM_SECRET_KEY": "k" * 40, "TANGRAM_SQLITE_SYNCHRONOUS": "NORMAL", "TANGRAM_JOB_LEASE": "1"}
    if kind == "postgresql":
        environment["TANGRAM_DATABASE_URL"] = postgres()
    with closing(Home.open(Settings.from_environment(environment), with_expressions(engine_registry()).freeze(), migrate=True)) as home:
        create_workspace(home, "storm", Bundle(WORLD, DOCUMENTS), title="风暴")
        words = [sys.executable, "-m", "tests.engine.storm", "storm"]
        with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
            yield Storm(home, nursery)


@pytest.fixture
def storm(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Storm]:
    with storm_on(database_kind, tmp_path, new_postgres_database) as made:
        yield made


def kill(worker: int) -> None:
    """At once, wherever it is; and wait until it is gone."""
    os.kill(worker, signal.SIGKILL)
    with suppress(ProcessLookupError):
        while True:
            os.kill(worker, 0)
            time.sleep(0.002)


def until_at_work(storm: Storm, effects: int, seconds: float = 10) -> None:
    """Wait until there were so many effects, however fast they come, so that a kill meets a worker neither still starting nor done with everything."""
    until = time.monotonic() + seconds
    while storm.effects() < effects and time.monotonic() < until:
        time.sleep(0.002)


def until_idle(storm: Storm, seconds: float) -> None:
    """Wait for the living workers to end what there is."""
    until = time.monotonic() + seconds
    quiet = 0
    while quiet < 5 and time.monotonic() < until:
        quiet = quiet + 1 if storm.waiting() == 0 else 0
        time.sleep(0.1)
    assert storm.waiting() == 0, f"{storm.waiting()} jobs still wait"


def test_two_workers_killed_at_random_points_lose_nothing_and_double_nothing(storm):
    chance = random.Random()
    workers = [storm.worker(), storm.worker()]
    try:
        number, met, times = 0, 0, 1
        while met < KILLS:
            assert number < 3 * KILLS, f"only {met} of {number} kills met work"
            begun, wanted = storm.effects(), times * (PLAIN + 2 * BOOKINGS)
            storm.ask(times * PLAIN, times * BOOKINGS, walks=int(number % 20 == 0))
            until_at_work(storm, begun + chance.randint(1, wanted * 3 // 4))
            time.sleep(chance.uniform(0, 0.02))
            kill(workers[number % 2])
            if storm.waiting() > 0:
                met += 1
            else:
                times = min(2 * times, 8)
            workers[number % 2] = storm.worker()
            number += 1
        print(f"{number} kills, {met} of them met work; {storm.plain} plain jobs, {storm.bookings} bookings, {storm.walks} walks")
        until_idle(storm, 60 + KILLS)
    finally:
        for worker in workers:
            kill(worker)
    expected = {**{f"p{number}": 1 for number in range(storm.plain)}, **{f"w{walk}_{step}": 1 for walk in range(storm.walks) for step in range(STEPS)}}
    noted = storm.noted()
    wrong = {name: times for name, times in noted.items() if times != 1}
    assert storm.dead() == [] and wrong == {} and set(noted) == set(expected)
    assert Counter(storm.column("booking", "count")) == Counter({1: storm.bookings})
    marks = Counter(storm.column("mark", "kind", "booking"))
    assert {times for (kind, _), times in marks.items() if kind != "cron"} == {1}
    assert Counter(kind for kind, _ in marks if kind != "cron") == Counter({"due": storm.bookings, "later": storm.bookings})
    with storm.home.database_of(storm.name).read() as connection:
        ran = connection.execute(sa.select(run.c.rule, sa.func.count().label("times")).where(run.c.state == "done", run.c.rule != "tick").group_by(run.c.rule))
        assert {row.rule: row.times for row in ran} == {"count": storm.bookings, "echo": storm.bookings}


def test_the_same_storm_over_workers_without_the_protection_doubles_effects(storm):
    chance = random.Random()
    for _ in range(5):  # one round of four kills finds it more often than not
        for _ in range(4):
            begun = storm.effects()
            storm.ask(PLAIN // 2, 0)
            worker = storm.worker("unprotected")
            until_at_work(storm, begun + 1)
            time.sleep(chance.uniform(0, 0.03))
            kill(worker)
        last = storm.worker("unprotected")
        until_idle(storm, 60)
        kill(last)
        if max(storm.noted().values()) > 1:
            return
    pytest.fail("a storm that finds nothing wrong with this proves nothing")


def test_three_workers_run_a_tick_once(storm):
    workers = [storm.worker() for _ in range(3)]
    try:
        time.sleep(0.5)
        with storm.home.database_of(storm.name).write() as connection:
            connection.execute(schedule.update().values(next_at=wall() - timedelta(minutes=30)))
        time.sleep(1.5)
    finally:
        for worker in workers:
            kill(worker)
    with storm.home.database_of(storm.name).read() as connection:
        occurrences = list(connection.execute(sa.select(run.c.occurrence).where(run.c.rule == "tick")).scalars())
    assert 1 <= len(occurrences) == len(set(occurrences)) <= 2  # a minute may have ended meanwhile
    assert storm.column("mark", "kind") == ["cron"] * len(occurrences)
