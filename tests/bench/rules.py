"""Section 6: rules in the background: runs drained per second, how soon after a commit, due records found among many and released, people's writes meanwhile."""

import argparse
import http.client
import itertools
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine import background, jobs, timed
from engine.actors import enter_as
from engine.clock import wall
from engine.records import service
from engine.records.work import Work
from engine.rules.compile import rule_book
from engine.schema.apply import analyze
from engine.system_tables_rules import run
from tests.bench.data import customer
from tests.bench.load import Server, serving
from tests.bench.report import Section, verdict
from tests.bench.world import WORKSPACE, World, open_world
from tests.postgres import postgres_server

DUE, RELEASED = 1_000, 10_000
#: Writes timed with the worker idle and draining, and those before them that only warm the server up.
WRITES, WARM = 1_000, 100
#: Rules on one entity for the price of a save, and how many saves of each kind are timed.
ACTIVE, SAVES = 20, 400
_SAVED: dict[str, Any] = {
    "name": {"type": "text", "required": True, "title": "名称"},
    "note": {"type": "text", "title": "备注"},
    **{f"number_{number}": {"type": "integer", "title": f"数 {number}"} for number in range(5)},
    **{f"word_{number}": {"type": "text", "title": f"词 {number}"} for number in range(13)},
}
CARDS: dict[tuple[str, str], Any] = {
    ("entity", "card"): {
        "title": "卡片",
        "label": "{name}",
        "fields": {
            "name": {"type": "text", "title": "名称"},
            "state": {"type": "text", "title": "状态"},
            "at": {"type": "instant", "title": "时刻"},
            "count": {"type": "integer", "default": 0, "title": "次数"},
        },
    },
    ("rule", "release"): {"title": "到时释放", "on": {"due": "card.at"}, "if": "state == 'held'", "then": [{"set": {"state": "'free'", "count": "count + 1"}}]},
    **{("entity", key): {"title": key, "label": "{name}", "fields": _SAVED} for key in ("plain", "ruled")},
    **{
        ("rule", f"before_{number}"): {
            "title": f"规则 {number}",
            "on": {"before": "save", "entity": "ruled"},
            "if": f"number_{number % 5} > {number + 10_000} and not contains(note, 'x{number}')",
            "then": [{"refuse": "TOO_MUCH", "at": "name"}],
        }
        for number in range(ACTIVE)
    },
    ("rule", "welcome"): {"title": "新卡片", "on": {"later": "create", "entity": "card", "where": "state == 'new'"}, "then": [{"set": {"state": "'seen'"}}]},
}


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    section = Section("rules", "Rules in the background", ("what", "database", "figure", "goal", "kept"))
    for kind in given.database:
        if kind == "sqlite":
            _measure_on(section, given, kind, "")
        else:
            with postgres_server() as url:
                _measure_on(section, given, kind, url)
    section.remarks.append(
        f"{given.rows:,} records of which {DUE:,} fall due; a run sets two fields of its record through the one writer, with history and its row in the run log."
    )
    section.remarks.append("Drained by one worker; on SQLite in the process that answers lists all the while, and both share the interpreter's lock.")
    return section


def _measure_on(section: Section, given: argparse.Namespace, kind: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = open_world(folder, url, CARDS)

        def row(what: str, figure: float, unit: str, goal: float, *, most: bool = True) -> None:
            section.rows.append((what, kind, f"{figure:,.1f} {unit}", f"{'<' if most else '≥'} {goal:,g} {unit}", verdict(figure, goal, most=most)))

        _fill(world, given.rows)
        row(f"{DUE:,} due found", _finding(world), "ms", 100)
        timed.sweep(_ctx(world), rule_book(_ctx(world).workspace))
        background.worker_of(world.home).drain()
        row("nothing due", _sweeping(world), "ms", 5)
        _make_due(world, RELEASED)
        begin = time.perf_counter()
        timed.sweep(_ctx(world), rule_book(_ctx(world).workspace))
        asked = time.perf_counter()
        background.worker_of(world.home).drain()
        ended = time.perf_counter()
        row(f"{RELEASED:,} due, found and released", ended - begin, "s", 20)
        if kind == "postgresql":
            row("runs drained", RELEASED / (ended - asked), "per s", 1000, most=False)
        ratio, micros = _price_of_rules(world)
        row(f"a save with {ACTIVE} rules before it to one without (processor time)", ratio, "times", 1.3)
        row("a rule's condition that does not hold (processor time)", micros, "µs", 10)
        row("commit to effect, p95", _latency(world), "ms", 300)
        if kind == "sqlite":
            served, ratio = _beside_people(world)
            row("runs drained while lists are served", served, "per s", 500, most=False)
            row("people's writes, p99 while draining to idle", ratio, "times", 3)
        world.home.close()


def _ctx(world: World) -> Any:
    return enter_as(world.home, WORKSPACE, "clock")


def _fill(world: World, rows: int) -> None:
    now = wall()
    late, early = (now + timedelta(days=400)).isoformat(), now - timedelta(days=1)
    for start in range(0, rows, 5000):
        cards = [
            {"name": f"c{number}", "state": "held", "at": (early + timedelta(milliseconds=number)).isoformat() if number % (rows // DUE) == 0 else late}
            for number in range(start, min(rows, start + 5000))
        ]
        service.load(world.ctx, "card", cards)
    with world.ctx.workspace.database.write(direct=True) as connection:
        analyze(connection, ["card"], world.ctx.workspace.database.schema)


def _make_due(world: World, many: int) -> None:
    """Move the instant of so many held cards into the past, as if a day had gone by."""
    table = _ctx(world).workspace.entity("card").table
    with world.ctx.workspace.database.write() as connection:
        connection.execution_options(scoped=True)
        some = sa.select(table.c.id).where(table.c.state == "held").order_by(table.c.id).limit(many)
        connection.execute(table.update().where(table.c.id.in_(some)).values(at=wall() - timedelta(hours=1)))


def _median(work: Callable[[], object], times: int) -> float:
    """Milliseconds."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return statistics.median(found) * 1000


def _finding(world: World) -> float:
    ctx = _ctx(world)
    windows = timed.due_windows(ctx, rule_book(ctx.workspace))

    def find() -> None:
        found = [item for window in windows for item in timed.found_in(ctx, window)]
        assert len(found) == DUE, len(found)

    return _median(find, 7)


def _sweeping(world: World) -> float:
    def sweep() -> None:
        ctx = _ctx(world)
        assert timed.sweep(ctx, rule_book(ctx.workspace)) == 0

    return _median(sweep, 30)


def _latency(world: World) -> float:
    """Milliseconds from the commit of a change to the commit of what its rule does, 95th of a hundred."""
    worker = background.worker_of(world.home)
    worker.start()
    found = []
    ran = sa.select(run.c.id).where(run.c.rule == "welcome", run.c.record == sa.bindparam("record"))
    for number in range(100):
        made = service.create(_ctx(world), "card", {"name": f"n{number}", "state": "new"}).id
        begin = time.perf_counter()
        while True:
            with world.ctx.workspace.database.read() as connection:
                if connection.execute(ran, {"record": made}).first() is not None:
                    break
            time.sleep(0.001)
        found.append(time.perf_counter() - begin)
        time.sleep(0.01)
    worker.stop()
    return sorted(found)[94] * 1000


def _price_of_rules(world: World) -> tuple[float, float]:
    """Processor time of a save among rules to that of one without, in turns; and what one condition costs by itself, in microseconds."""
    ctx = world.ctx
    values = {"name": "n", "note": "note", **{f"number_{number}": number for number in range(5)}, **{f"word_{number}": "word" for number in range(13)}}
    ids = {key: service.create(ctx, key, values, json=True).id for key in ("plain", "ruled")}
    spent: dict[str, list[float]] = {"plain": [], "ruled": []}
    for number in range(SAVES):
        for key, record in ids.items():
            begin = time.process_time()
            service.update(ctx, key, record, {"number_0": number, "note": f"note {number}"}, service.ANY, json=True)
            spent[key].append(time.process_time() - begin)
    book = rule_book(ctx.workspace)
    with ctx.workspace.database.read() as connection:
        work = Work(replace(ctx, connection=connection, transaction="read"))
        row, entity = work.row("ruled", ids["ruled"]), work.entity("ruled")
        assert row is not None
        begin = time.process_time()
        for _ in range(SAVES):
            for rule in book.before["ruled", "update"]:
                work.truth(entity, row)(rule.condition)  # type: ignore[arg-type]
        each = (time.process_time() - begin) / SAVES / ACTIVE * 1e6
    return statistics.median(spent["ruled"]) / statistics.median(spent["plain"]), each


def _waiting(world: World) -> int:
    table = jobs.table_for(world.home.database.dialect)
    with world.home.database_of(WORKSPACE).read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).where(table.c.queue == "waiting")).scalar_one())


def _beside_people(world: World) -> tuple[float, float]:
    """Runs per second drained by the serving process while it answers lists; the ratio of the slowest percent of writes then and without any work."""
    tokens = world.tokens("a", 20)
    chance = random.Random(3)
    bodies = [json.dumps(customer(chance, 10**7 + number, world.members)).encode() for number in range(2 * WRITES + WARM)]
    with serving(lambda port: ["-m", "renderer.cli", "serve", "--port", str(port)], "/healthz", dict(world.environment)) as server:
        _writes(server, tokens, bodies[2 * WRITES :])
        idle = _writes(server, tokens, bodies[:WRITES])
        _make_due(world, 60_000)
        timed.sweep(_ctx(world), rule_book(_ctx(world).workspace))
        busy = _writes(server, tokens, bodies[WRITES : 2 * WRITES])
        assert _waiting(world), "the work ended before the writes did"
        with _reading(server, tokens):
            before, begin = _waiting(world), time.perf_counter()
            time.sleep(8)
            drained = (before - _waiting(world)) / (time.perf_counter() - begin)
        assert _waiting(world), "the work ended before it was measured"
    return drained, _p99(busy) / _p99(idle)


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1]


def _writes(server: Server, tokens: list[str], bodies: list[bytes]) -> list[float]:
    """Seconds of each create, one after another, by many people in turn."""
    connection = _connect(server)
    return [_timed(connection, "POST", f"/api/{WORKSPACE}/records/customer", tokens[number % len(tokens)], body, 201) for number, body in enumerate(bodies)]


def _connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


def _timed(connection: http.client.HTTPConnection, method: str, path: str, token: str, body: bytes | None, status: int) -> float:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    begin = time.perf_counter()
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != status:
        raise AssertionError(f"{method} {path}: {answer.status} {content[:300]!r}")
    return time.perf_counter() - begin


@contextmanager
def _reading(server: Server, tokens: list[str]) -> Iterator[None]:
    """People who ask for a list, ten times a second in all."""
    stop = threading.Event()

    def read() -> None:
        connection = _connect(server)
        for token in itertools.cycle(tokens):
            if stop.wait(0.1):
                return
            _timed(connection, "GET", f"/api/{WORKSPACE}/records/card?limit=50&sort=-id", token, None, 200)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
