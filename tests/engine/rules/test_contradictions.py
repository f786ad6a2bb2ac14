"""A condition that can never hold is found out; one that holds for some record is never accused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.evaluate import Environment, Evaluator
from engine.expressions.language import parse
from engine.expressions.types import BOOLEAN
from engine.rules.contradictions import never_holds
from tests.faces import world
from tests.faces.grammar import Grammar
from tests.faces.world import NAMES, NOW, PEOPLE, RECORDS, SETTING_VALUES, SPACES, ZONES, follow


def never(*texts: str) -> bool:
    return never_holds(*(parse(text, NAMES, BOOLEAN).tree for text in texts))


@pytest.mark.parametrize(
    "text",
    [
        "grade == 'A' and grade == 'B'",
        "grade == 'A' and grade != 'A'",
        "grade == 'A' and grade in ('B', 'C')",
        "grade in ('A', 'B') and grade not in ('A', 'B')",
        "empty(n) and n > 3",
        "n == null and n == 3",
        "empty(n) and exists(n)",
        "n > 5 and n < 3",
        "n > 5 and n <= 5",
        "n > 3 and n < 4",
        "3 < n and n < 4",
        "n >= 3 and n <= 4 and n != 3 and n != 4",
        "n == 9 and n < 3",
        "flag and not flag",
        "false",
        "flag and false",
        "day > '2026-03-15' and day < '2026-03-14'",
        "(grade == 'A' or grade == 'B') and grade == 'C'",
        "not (grade == 'A' or flag) and (flag or grade == 'A')",
        "empty(n) and n > m",
        "place.size > 3 and empty(place.size)",
        "days_since(day) > 10 and days_since(day) < 5",
        "amount > 100 and amount < 101",
        "n < null",
    ],
)
def test_a_contradiction_is_found(text):
    assert never(text)


@pytest.mark.parametrize(
    "text",
    [
        "grade == 'A' or grade == 'B'",
        "not (n > 3) and not (n <= 3)",  # an empty n
        "n != 3 and empty(n)",
        "area > 3 and area < 4",
        "n >= 3 and n <= 3",
        "grade != 'A' and grade != 'B' and grade != 'C'",
        "record.grade == 'A' and grade == 'B'",
        "n > 3 and m < 3",
        "empty(n) and not (n > 3)",
        "flag or not flag",
        "name == 'a' and name == note",
    ],
)
def test_what_may_hold_is_left_alone(text):
    assert not never(text)


def test_several_conditions_are_judged_together():
    assert never("grade == 'A'", "grade == 'B'") and not never("grade == 'A'", "n > 3")


@st.composite
def conditions(draw):
    return Grammar(lambda number: draw(st.integers(0, max(0, number - 1)))).boolean(draw(st.integers(1, 3)))


@given(conditions(), conditions())
@settings(max_examples=400, deadline=None)
def test_nothing_that_holds_for_some_record_is_called_impossible(first, second):
    trees = [parse(text, NAMES, BOOLEAN) for text in (first, second)]
    if not never_holds(*(tree.tree for tree in trees)):
        return
    for person in PEOPLE:
        for values in SETTING_VALUES:
            evaluator = Evaluator(Environment(NOW, ZONES[0], person, values, normal=world.normal, blind=world.blind), follow)
            for row in RECORDS["item"].values():
                assert not all(evaluator.truth(tree, row, **SPACES[0]) for tree in trees)
