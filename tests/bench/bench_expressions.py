"""What expressions cost: evaluated from the cached tree, parsed and checked, compiled to SQL. Run: python -m tests.bench.bench_expressions."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from statistics import median

import sqlalchemy as sa

from engine.expressions.language import parse
from engine.expressions.to_sql import condition
from tests.faces.world import NAMES, RECORDS, TABLES, Situation, TableNames

#: The three rules ENGINE measured: two terms; memberships and the acting person; six terms.
RULES = {
    "A two terms": "grade == 'A' and days_since(at) > 30",
    "B person, team, in": "(owner.team == me.team or owner == me) and kind not in ('call', 'visit')",
    "C six terms": "flag and n > 3 and m < 100 and grade != 'B' and exists(owner) and amount >= 1000",
}
LIMITS = {"cached evaluation": 3.0, "parse and check": 200.0}


def microseconds(run: Callable[[], object], number: int) -> float:
    """The median of seven rounds, per call."""
    return median(timeit.repeat(run, number=number, repeat=7)) / number * 1e6


def measure() -> list[tuple[str, float, float, float, float]]:
    """Per rule: cached evaluation (mean over rows), parse and check, compile for SQLite and for PostgreSQL; microseconds."""
    evaluator = Situation(0, 0, 0, 0).evaluator()
    rows = list(RECORDS["item"].values())
    found = []
    for name, text in RULES.items():
        expression = parse(text, NAMES)
        compiled = []
        for dialect in ("sqlite", "postgresql"):
            names = TableNames("item", TABLES["item"], dialect)
            compiled.append(microseconds(lambda names=names, expression=expression: condition(expression, names), 50))
        evaluated = microseconds(lambda expression=expression: [evaluator.truth(expression, row) for row in rows], 20) / len(rows)
        found.append((name, evaluated, microseconds(lambda text=text: parse(text, NAMES), 100), compiled[0], compiled[1]))
    return found


def main() -> None:
    """Print the table."""
    print(f"SQLAlchemy {sa.__version__}; microseconds, median of seven rounds")
    print(f"{'rule':<22}{'evaluate':>10}{'parse+check':>13}{'to SQLite':>11}{'to PG':>9}")
    for name, *figures in measure():
        print(f"{name:<22}{figures[0]:>10.2f}{figures[1]:>13.0f}{figures[2]:>11.0f}{figures[3]:>9.0f}")
    print(f"wanted: at most {LIMITS['cached evaluation']} for an evaluation, {LIMITS['parse and check']} for parse and check")


if __name__ == "__main__":
    main()
