"""The Python face and the SQL face give the same answer: for random typed expressions and their negations, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.pool import StaticPool

from engine.expressions.language import Expression, parse
from engine.expressions.types import BOOLEAN
from tests.faces.grammar import conditions, values
from tests.faces.world import NAMES, PEOPLE, SETTING_VALUES, SPACES, ZONES, Situation, by_python, by_sql, fill

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
#: Expressions drawn together, asked in one statement: eight per example.
TOGETHER = 8
quietly = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
situations = st.builds(Situation, *(st.integers(0, len(items) - 1) for items in (ZONES, PEOPLE, SETTING_VALUES, SPACES)))


@pytest.fixture(scope="module")
def databases(new_postgres_database: Callable[[], str]) -> Iterator[tuple[sa.Connection, ...]]:
    engines = [sa.create_engine("sqlite://", poolclass=StaticPool), sa.create_engine(new_postgres_database())]
    for engine in engines:
        fill(engine)
    connections = [engine.connect().execution_options(isolation_level="AUTOCOMMIT") for engine in engines]
    yield tuple(connections)
    for connection, engine in zip(connections, engines, strict=True):
        connection.close()
        engine.dispose()


def read(sources: list[str]) -> list[Expression]:
    found = [parse(source, NAMES) for source in sources]
    assert all(item.has_sql for item in found), sources
    return found


def differences(sources: list[str], situation: Situation, databases: tuple[sa.Connection, ...], *, shaped: bool = False) -> list[str]:
    """What the faces disagree about, in words; nothing when they agree."""
    expressions = read(sources)
    expected = by_python(expressions, situation)
    wrong = []
    for connection in databases:
        found, negated = by_sql(expressions, situation, connection, shaped=shaped)
        for number, item in enumerate(expressions):
            wrong += _compared(item, expected[number], found[number], connection.dialect.name)
            if item.type == BOOLEAN:
                wrong += _compared(item, [not answer for answer in expected[number]], negated[number], f"{connection.dialect.name}, negated")
    return wrong


def _compared(item: Expression, python: list, sql: list, where: str) -> list[str]:
    rows = [number for number, (left, right) in enumerate(zip(python, sql, strict=True), 1) if left != right]
    if not rows:
        return []
    first = rows[0] - 1
    return [f"{item.source} [{where}]: {len(rows)} rows, first {rows[0]}: python {python[first]!r}, sql {sql[first]!r}"]


@settings(quietly, max_examples=1500 if FULL else 260)
@given(st.lists(conditions(), min_size=TOGETHER, max_size=TOGETHER), situations)
def test_random_conditions_and_their_negations_hold_for_the_same_rows(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases)), "\n".join(wrong)


@settings(quietly, max_examples=600 if FULL else 70)
@given(st.lists(values(), min_size=TOGETHER, max_size=TOGETHER), situations)
def test_random_values_are_the_same(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases)), "\n".join(wrong)


@settings(quietly, max_examples=300 if FULL else 40)
@given(st.lists(conditions(depth=1), min_size=TOGETHER, max_size=TOGETHER), situations)
def test_conditions_built_for_known_binds_say_the_same(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases, shaped=True)), "\n".join(wrong)
