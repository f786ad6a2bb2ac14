"""Section 2: one record of 25 fields from raw input to typed values, and one expression on it; best of many short turns, in microseconds."""

import argparse
import random
import tempfile
from collections.abc import Callable
from time import perf_counter

from engine.access import grant
from engine.actors import enter_person
from engine.expressions.evaluate import Evaluator
from engine.records.values import intake
from engine.surroundings import environment
from tests.bench.data import customer
from tests.bench.report import Section, verdict
from tests.bench.world import WORKSPACE, open_world

#: The three kinds of rules the engine's choices were measured with.
EXPRESSIONS = {
    "two comparisons, a span": "stage == 'new' and days_since(next_at) > 30",
    "user's attributes, a list": "(team == me.team or owner == me) and stage not in ('signed', 'lost')",
    "six terms": "vip or visits > 3 or budget_min >= 3000000 or grade == 'a' and source in ('call', 'online') and exists(phone2)",
}
FAULTS = {"name": "x" * 61, "grade": "zzz", "budget_min": "much", "birth": "some day", "phone": "12"}


def best(work: Callable[[], object], turns: int = 60, times: int = 300) -> float:
    """Microseconds of one call: the fastest turn, which other work on the machine disturbed least."""
    found = []
    for _ in range(turns):
        begin = perf_counter()
        for _ in range(times):
            work()
        found.append((perf_counter() - begin) / times)
    return min(found) * 1e6


def measure(given: argparse.Namespace) -> Section:
    """The section's table."""
    section = Section("costs", "In process: validation and expressions", ("what", "µs", "goal", "kept"))

    def row(what: str, figure: float, goal: float) -> None:
        section.rows.append((what, f"{figure:.1f}", f"≤ {goal:.0f}", verdict(figure, goal)))

    with tempfile.TemporaryDirectory() as folder:
        world = open_world(folder)
        ctx = enter_person(world.home, WORKSPACE, "a0")
        entity = ctx.workspace.entities["customer"]
        granted, raw = grant(ctx, "customer"), customer(random.Random(1), 1, world.members, team=1)
        wrong = {**raw, **FAULTS}
        for what, json in (("JSON", True), ("form text or JSON", False)):
            take = intake(ctx.workspace, entity, json=json).take
            found = take(wrong, granted.writable, granted.readable)
            assert len(found.faults) == len(FAULTS), found.faults
            row(f"a record of 25 fields as {what}, valid", best(lambda take=take: take(raw, granted.writable, granted.readable)), 10)
            row(f"a record of 25 fields as {what}, with {len(FAULTS)} faults", best(lambda take=take: take(wrong, granted.writable, granted.readable)), 10)
        with ctx.reading() as inner:
            evaluator, values = Evaluator(environment(inner)), intake(ctx.workspace, entity).take(raw, granted.writable, granted.readable).values
            for what, source in EXPRESSIONS.items():
                expression = ctx.workspace.expression("customer", source, wants="boolean")
                row(f"cached expression: {what}", best(lambda expression=expression: evaluator.truth(expression, values)), 3)
        world.home.close()
    return section
