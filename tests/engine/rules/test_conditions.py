"""A condition is explained part by part: what held, what not, with the values it saw, and nothing its reader may not see."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.evaluate import Environment, Evaluator
from engine.expressions.language import parse
from engine.expressions.nodes import Field
from engine.expressions.types import BOOLEAN
from engine.rules.conditions import Part, Witness, explain
from engine.rules.labels import Labels
from engine.rules.phrases import Around
from metadata.bundle import Bundle
from tests.faces import world
from tests.faces.grammar import Grammar
from tests.faces.world import NAMES, NOW, PEOPLE, RECORDS, SETTING_VALUES, SPACES, ZONES, follow

ROW = {"id": 1, "grade": "A", "n": 5, "m": None, "owner": 3, "at": NOW, "flag": True, "name": "甲"}


def explained(text, row=ROW, may=lambda node: True, spaces=SPACES[0]) -> Part:
    environment = Environment(NOW, ZONES[0], PEOPLE[0], SETTING_VALUES[0], normal=world.normal, blind=world.blind)
    evaluator = Evaluator(environment, follow)
    witness = Witness(lambda node: evaluator.of_node(node, row, spaces=spaces), may, lambda node, value: "空" if value is None else str(value))
    return explain(parse(text, NAMES, BOOLEAN).tree, Around(Labels(Bundle({})), "item", "item"), witness)


def test_the_first_part_that_does_not_hold_is_named_with_what_it_saw():
    part = explained("grade == 'A' and n > 7 and exists(m)")
    assert [item.holds for item in part.parts] == [True, False, False]
    false = part.first_false()
    assert false is part.parts[1]
    assert [(seen.label, seen.shown) for seen in false.seen] == [("“n”", "5")]


def test_of_alternatives_none_held_all_are_shown():
    part = explained("flag and (grade == 'B' or n > 7)")
    false = part.first_false()
    assert false.op == "or" and [item.holds for item in false.parts] == [False, False]
    assert explained("grade == 'B' or n > 3").first_false() is None


def test_what_was_reckoned_over_time_is_shown_beside_the_moment():
    (part,) = [explained("days_since(at) > 3")]
    assert [seen.shown for seen in part.seen] == ["0", str(NOW)]


def test_a_setting_and_the_person_are_seen_too():
    part = explained("n > setting.days[grade] and me.level > n")
    assert [[seen.shown for seen in item.seen] for item in part.parts] == [["5", "15"], ["3", "5"]]


def test_what_is_only_known_while_the_rule_runs_is_left_open():
    part = explained("param.n > 3 and n > 7")
    assert [item.holds for item in part.parts] == [None, False] and part.holds is False
    assert explained("param.n > 3 and n > 3").holds is None
    assert explained("param.n > 3 or n > 3").holds is True
    assert explained("param.n > 3").seen == ()


def test_a_part_that_reads_what_its_reader_may_not_see_has_no_text_and_no_value():
    part = explained("n > 7 and grade == 'A'", may=lambda node: not (isinstance(node, Field) and node.key == "n"))
    assert part.parts[0] == Part("", False, hidden=True)
    assert part.text == "" and "“n”" not in str(part)
    assert part.parts[1].text and part.first_false().hidden


def test_the_leaves_come_in_order():
    part = explained("flag and (n > 1 or n > 2) and not (n > 3)")
    assert [leaf.holds for leaf in part.leaves()] == [True, True, True, False]


@st.composite
def conditions(draw):
    return Grammar(lambda number: draw(st.integers(0, max(0, number - 1)))).boolean(draw(st.integers(1, 4)))


@given(conditions(), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_the_parts_agree_with_the_whole_and_a_false_one_has_a_reason(text, record):
    row = RECORDS["item"][record]
    environment = Environment(NOW, ZONES[0], PEOPLE[0], SETTING_VALUES[0], normal=world.normal, blind=world.blind)
    truth = Evaluator(environment, follow).truth(parse(text, NAMES, BOOLEAN), row, **SPACES[0])
    part = explained(text, row)
    if part.holds is None:
        assert "param." in text
        return
    assert part.holds is truth
    found = part.first_false()
    assert (found is None) is truth
    if found is not None:
        assert found.holds is False and found.text
