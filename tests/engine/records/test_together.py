"""Several people at the same instant: no edit is lost, one key has one winner, roll-ups end true, serial numbers are all different."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.errors import Conflict
from engine.records import history, query, service
from engine.records.query import Query
from tests.engine.records.conftest import World


def together(clients: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(work, range(clients)))


def test_no_edit_is_lost_and_every_stale_one_is_told_both_values(world: World):
    records = [service.create(world.ctx("a1"), "customer", {"name": f"客{number}", "lucky": 0}).id for number in range(3)]

    def client(number: int) -> tuple[list[tuple[int, int]], int]:
        chance, done, stale = random.Random(number), [], 0
        for turn in range(6):
            ctx, target = world.ctx("a1"), chance.choice(records)
            seen = query.get(ctx, "customer", target, ("lucky",))
            mine = 1000 * (number + 1) + turn
            try:
                service.update(ctx, "customer", target, {"lucky": mine}, seen.version)
                done.append((target, mine))
            except Conflict as refusal:
                assert refusal.code == "stale" and refusal.params["mine"] == {"lucky": mine} and refusal.params["current"]["lucky"] != mine
                stale += 1
        return done, stale

    outcomes = together(8, client)
    accepted = Counter(target for done, _ in outcomes for target, _ in done)
    assert sum(accepted.values()) + sum(stale for _, stale in outcomes) == 48
    for target in records:
        moments = history.timeline(world.ctx("a1"), "customer", target, limit=200).items
        written = [change.after for moment in moments for change in moment.changes if change.field == "lucky" and moment.verb == "update"]
        assert sorted(written) == sorted(mine for done, _ in outcomes for one, mine in done if one == target), "each accepted edit stands in history"
        assert query.get(world.ctx("a1"), "customer", target).version == 1 + accepted[target]


def test_one_key_has_one_winner(world: World):
    for turn in range(3):

        def client(number: int, turn: int = turn) -> str:
            try:
                service.create(world.ctx("s1" if number % 2 else "s2"), "customer", {"name": f"客{number}", "phone": f"1390000000{turn}"})
                return "won"
            except Conflict as refusal:
                return refusal.code

        assert Counter(together(8, client)) == {"won": 1, "duplicate": 7}


def test_the_same_request_sent_many_times_at_once_makes_one_record(world: World):
    ids = together(8, lambda number: service.create(world.ctx("s1"), "customer", {"name": "一次"}, idempotency_key="same").id)
    assert len(set(ids)) == 1 and len(query.page(world.ctx("s1"), Query("customer")).items) == 1


def test_rollups_and_serial_numbers_are_true_after_a_rush(world: World):
    target = service.create(world.ctx("s1"), "customer", {"name": "热门"}).id

    def client(number: int) -> None:
        for turn in range(4):
            service.create(world.ctx("s1"), "visit", {"customer": target, "score": number + turn})
            service.create(world.ctx("s1"), "customer", {"name": f"客{number}-{turn}"})

    together(6, client)
    found = query.get(world.ctx("s1"), "customer", target)
    assert found["visits"] == 24 and found["score_sum"] == sum(number + turn for number in range(6) for turn in range(4))
    numbers = [item["no"] for item in query.page(world.ctx("s1"), Query("customer", limit=200)).items]
    assert len(set(numbers)) == 25 and sorted(numbers) == [f"K202603-{number:04}" for number in range(1, 26)]
