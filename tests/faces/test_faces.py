"""The Python face and the SQL face give the same answer: for random typed expressions and their negations, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faces.comparing import TOGETHER, differences, filled, quietly, situations
from tests.faces.grammar import conditions, values

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"


@pytest.fixture(scope="module")
def databases(new_postgres_database: Callable[[], str]) -> Iterator[tuple[sa.Connection, ...]]:
    with filled("sqlite://", new_postgres_database()) as connections:
        yield connections


def together(source: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(source, min_size=TOGETHER, max_size=TOGETHER)


@settings(quietly, max_examples=1500 if FULL else 300)
@given(together(conditions()), situations)
def test_random_conditions_and_their_negations_hold_for_the_same_rows(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases)), "\n".join(wrong)


@settings(quietly, max_examples=600 if FULL else 80)
@given(together(values()), situations)
def test_random_values_are_the_same(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases)), "\n".join(wrong)


@settings(quietly, max_examples=300 if FULL else 50)
@given(together(conditions(depth=1)), situations)
def test_conditions_built_for_known_binds_say_the_same(databases, sources, situation):
    assert not (wrong := differences(sources, situation, databases, shaped=True)), "\n".join(wrong)
