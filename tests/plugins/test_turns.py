"""Whose turn it is, against a naive model; who carries the least; a draw that can be repeated."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from plugins.builtin.turns import least, sample, turn_next
from tests.plugins.calls import call

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
MANY = 20_000 if FULL else 200
READY, OWE = ["on"], ["busy", "meal", "out"]
STATES = ["on", "busy", "meal", "out", "rest", "leave", None]


def turn(states, cursor=None, owed=(), **words):
    queue = [{"who": who, "state": state} for who, state in states]
    found, effects = call(turn_next, {"queue": queue, "cursor": cursor, "owed": [{"who": who} for who in owed], "ready": READY, "owe": OWE, **words})
    assert not effects
    return found


def test_the_first_ready_one_after_the_cursor_is_served_and_those_passed_over_are_owed():
    found = turn([("a", "on"), ("b", "busy"), ("c", "rest"), ("d", "on")], cursor="a")
    assert (found["who"], found["how"], found["cursor"]) == ("d", "turn", "d") and found["skipped"] == ["b", "c"] and found["newly_owed"] == ["b"]


def test_somebody_owed_goes_first_and_the_cursor_stays():
    found = turn([("a", "on"), ("b", "on"), ("c", "on")], cursor="a", owed=["x", "c", "b"])
    assert (found["who"], found["how"], found["cursor"]) == ("c", "owed", "a") and found["owed_row"] == {"who": "c"} and not found["newly_owed"]


def test_nobody_ready_changes_nothing():
    found = turn([("a", "busy"), ("b", "rest")], cursor="a", owed=["b"])
    assert found == {"who": None, "how": "none", "cursor": "a", "newly_owed": [], "skipped": [], "owed_row": None}


def test_the_circle_closes_at_the_one_who_had_the_last_turn():
    assert turn([("a", "on"), ("b", "busy")], cursor="a")["who"] == "a"
    assert turn([("a", "on"), ("b", "on")])["who"] == "a" and turn([("a", "on")], cursor="gone")["who"] == "a"


def test_nobody_is_owed_two_turns_at_once():
    assert turn([("a", "busy"), ("b", "on")], owed=["a"])["newly_owed"] == []


class Board(RuleBasedStateMachine):
    """A sales floor: people change state, visitors come. The model counts turns as one would by hand, with a list that is rotated."""

    @initialize(size=st.integers(1, 6))
    def open(self, size):
        self.states = dict.fromkeys(range(1, size + 1), "on")
        self.cursor, self.owed = None, []
        self.line = list(self.states)  # the model's: whoever is in front comes next

    @rule(who=st.integers(1, 6), state=st.sampled_from(STATES))
    def change(self, who, state):
        if who in self.states:
            self.states[who] = state

    @rule()
    def visitor(self):
        expected = self.by_hand()
        found = turn(list(self.states.items()), self.cursor, self.owed)
        assert (found["who"], found["how"]) == expected
        if found["how"] == "owed":
            self.owed.remove(found["who"])
        self.owed += found["newly_owed"]
        self.cursor = found["cursor"]
        assert self.owed == self.hand_owed

    def by_hand(self):
        self.hand_owed = list(self.owed)
        for who in self.owed:
            if self.states[who] == "on":
                self.hand_owed.remove(who)
                return who, "owed"
        if "on" not in self.states.values():
            return None, "none"
        while True:
            who = self.line.pop(0)
            self.line.append(who)
            if self.states[who] == "on":
                return who, "turn"
            if self.states[who] in OWE and who not in self.hand_owed:
                self.hand_owed.append(who)

    @invariant()
    def nobody_twice(self):
        assert len(set(self.owed)) == len(self.owed)


def test_turns_are_as_counted_by_hand():
    run_state_machine_as_test(Board, settings=settings(max_examples=MANY // 4, stateful_step_count=40, deadline=None))


@settings(max_examples=MANY, deadline=None)
@given(st.integers(1, 8), st.integers(1, 60))
def test_among_people_always_ready_turns_differ_by_at_most_one(people, visitors):
    turns, cursor = dict.fromkeys(range(people), 0), None
    for _ in range(visitors):
        cursor = turn([(who, "on") for who in turns], cursor)["who"]
        turns[cursor] += 1
    assert max(turns.values()) - min(turns.values()) <= 1


# --- least ------------------------------------------------------------------------------------------------------------------------------------------


def lightest(*candidates):
    rows = [dict(zip(("who", "load", "weight", "cap"), row, strict=False)) for row in candidates]
    return call(least, {"candidates": rows})[0]


@pytest.mark.parametrize(
    ("candidates", "who", "full"),
    [
        ([("a", 3), ("b", 2), ("c", 2)], "b", []),
        ([("a", 3, 2), ("b", 2, 1)], "a", []),
        ([("a", 0, 0), ("b", 9, 1)], "b", []),
        ([("a", 1, 1, 1), ("b", 9, 1, 10)], "b", ["a"]),
        ([("a", 1, 1, 1)], None, ["a"]),
        ([("a", None, None, None), ("b", 0)], "a", []),
        ([], None, []),
    ],
)
def test_the_least_load_for_its_weight_below_the_cap_is_chosen(candidates, who, full):
    found = lightest(*candidates)
    assert found["who"] == who and found["full"] == full and (found["row"] or {}).get("who") == who


@settings(max_examples=MANY, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 80))
def test_loads_come_to_stand_as_the_weights(weights, many):
    loads = [0] * len(weights)
    for _ in range(many):
        loads[lightest(*((who, loads[who], weight) for who, weight in enumerate(weights)))["who"]] += 1
    assert all(abs(load - many * weight / sum(weights)) < len(weights) + 1 for load, weight in zip(loads, weights, strict=True))


# --- sample -----------------------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=MANY, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 25), st.text(max_size=8), st.randoms())
def test_a_draw_depends_on_the_seed_and_not_on_the_order(items, many, seed, random):
    drawn = call(sample, {"from": items, "n": many, "seed": seed})[0]
    assert len(drawn) == min(many, len(items)) and all(drawn.count(one) <= items.count(one) for one in drawn)
    moved = list(items)
    random.shuffle(moved)
    assert call(sample, {"from": moved, "n": many, "seed": seed})[0] == drawn
    assert call(sample, {"from": items, "n": many + 1, "seed": seed})[0][: len(drawn)] == drawn


def test_every_item_is_drawn_about_equally_often_over_many_seeds():
    hits = dict.fromkeys(range(5), 0)
    for seed in range(2000):
        hits[call(sample, {"from": list(hits), "n": 1, "seed": seed})[0][0]] += 1
    assert all(320 < hit < 480 for hit in hits.values()), hits
