"""The comparison of the two faces has teeth: each of twelve planted mistakes of the compiler is caught by the very strategies it runs on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.faces.comparing import TOGETHER, differences, filled, quietly, situations
from tests.faces.grammar import conditions
from tests.faces.mutants import MUTANTS, Mutant


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[sa.Connection, ...]]:
    with filled("sqlite://") as connections:
        yield connections


class Caught(Exception):
    """The faces disagreed."""


def first_difference(database: tuple[sa.Connection, ...], examples: int) -> str:
    """What the comparison says first within so many examples; '' when it finds nothing."""

    @settings(quietly, max_examples=examples, phases=(Phase.generate,), report_multiple_bugs=False, derandomize=True)
    @given(st.lists(conditions(), min_size=TOGETHER, max_size=TOGETHER), situations)
    def compare(sources, situation):
        wrong = differences(sources, situation, database)
        if wrong:
            raise Caught(wrong[0])

    try:
        compare()
    except Caught as caught:
        return str(caught)
    return ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_is_caught(mutant: Mutant, database):
    with mutant():
        assert first_difference(database, 300), mutant.__doc__


def test_the_sound_compiler_passes_the_same_examples(database):
    assert first_difference(database, 20) == ""
