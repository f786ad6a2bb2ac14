"""Exact arithmetic: sums are exact, boundaries belong to the higher tier, negatives mirror, nothing drifts."""

import os
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Invalid
from plugins.builtin.amounts import adjust, allocate, rounded
from plugins.builtin.tiers import tiers
from tests.plugins.calls import call

MANY = 100_000 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 150
amounts = st.integers(-(10**12), 10**12)
weights = st.lists(st.integers(0, 10_000), min_size=2, max_size=6).filter(any)


def parts(amount: int, shares: list[int]) -> list[int]:
    found, effects = call(allocate, {"amount": amount, "shares": [{"who": number, "weight": weight} for number, weight in enumerate(shares)]})
    assert not effects and [part["who"] for part in found] == list(range(len(shares)))
    return [part["amount"] for part in found]


@settings(max_examples=MANY, deadline=None)
@given(amounts, weights)
def test_parts_add_up_exactly_and_each_is_within_one_unit_of_its_share(amount, shares):
    found = parts(amount, shares)
    assert sum(found) == amount
    assert all(abs(part - Fraction(amount * weight, sum(shares))) < 1 for part, weight in zip(found, shares, strict=True))
    assert all(part == 0 for part, weight in zip(found, shares, strict=True) if weight == 0)


@settings(max_examples=MANY, deadline=None)
@given(amounts, weights)
def test_a_negative_amount_mirrors_the_positive_one(amount, shares):
    assert parts(-amount, shares) == [-part for part in parts(amount, shares)]


@settings(max_examples=MANY, deadline=None)
@given(amounts, weights, st.randoms())
def test_only_equal_remainders_depend_on_the_order(amount, shares, random):
    order = list(range(len(shares)))
    random.shuffle(order)
    moved = parts(amount, [shares[place] for place in order])
    for place, part in zip(order, moved, strict=True):
        rest = abs(amount) * shares[place] % sum(shares)
        equal = [other for other in range(len(shares)) if abs(amount) * shares[other] % sum(shares) == rest]
        assert part == parts(amount, shares)[place] or len(equal) > 1


@settings(max_examples=MANY, deadline=None)
@given(st.lists(amounts, max_size=5), weights)
def test_several_amounts_are_each_shared_out_as_one_alone(several, shares):
    rows = [{"who": f"p{place}", "amount": amount} for place, amount in enumerate(several)]
    found, _ = call(allocate, {"amounts": rows, "shares": [{"who": number, "weight": weight} for number, weight in enumerate(shares)]})
    expected = [(row["who"], part, amount) for row in rows for part, amount in enumerate(parts(row["amount"], shares))]
    assert [(row["who"], row["part"], row["amount"]) for row in found] == expected


@settings(max_examples=MANY, deadline=None)
@given(st.lists(st.integers(0, 10**12), max_size=6), weights)
def test_added_up_one_more_amount_lowers_nobodys_part(several, shares):
    """Which sharing out a grown sum anew would: by largest remainders 5 of 45/45/10 gives 2, 2, 1 but 6 gives 3, 3, 0."""
    rows = [{"who": place, "amount": amount} for place, amount in enumerate(several)]
    given_shares = [{"who": number, "weight": weight} for number, weight in enumerate(shares)]
    before = [0] * len(shares)
    for end in range(len(rows) + 1):
        found, _ = call(allocate, {"amounts": rows[:end], "shares": given_shares, "add_up": True})
        now = [row["amount"] for row in found]
        assert sum(now) == sum(several[:end]) and all(after >= part for after, part in zip(now, before, strict=True))
        before = now
    assert parts(5, [45, 45, 10]) == [2, 2, 1] and parts(6, [45, 45, 10]) == [3, 3, 0]


def test_one_amount_or_several_are_shared_out_not_both_and_not_none():
    for given_amounts in ({}, {"amount": 1, "amounts": []}):
        with pytest.raises(Invalid, match="builtin_one_amount"):
            call(allocate, {**given_amounts, "shares": [{"who": 1, "weight": 1}]})


def test_ties_go_to_the_earlier_share():
    assert parts(1, [1, 1, 1]) == [1, 0, 0] and parts(2, [1, 1, 1]) == [1, 1, 0] and parts(-1, [1, 1]) == [-1, 0]


def test_without_any_weight_nothing_can_be_shared_out():
    assert parts(0, [0, 0]) == [0, 0]
    with pytest.raises(Invalid, match="builtin_no_weight"):
        parts(5, [0, 0])


@pytest.mark.parametrize(("numerator", "denominator", "whole"), [(5, 10, 1), (-5, 10, -1), (4, 10, 0), (-4, 10, 0), (15, 10, 2), (25, 10, 3), (0, 7, 0)])
def test_rounding_is_half_up_and_mirrored(numerator, denominator, whole):
    assert rounded(numerator, denominator) == whole


# --- tiers -----------------------------------------------------------------------------------------------------------------------------------------

STEPS = [{"at_least": 0, "below": 3, "rate_ppm": 10_000}, {"at_least": 3, "below": 5, "rate_ppm": 12_000}, {"at_least": 5, "below": None, "rate_ppm": 15_000}]


def priced(mode: str, items: list[tuple[int, int]], scale=STEPS, **words: object) -> list[int]:
    rows = [{"id": number, "amount": amount, "units": units} for number, (amount, units) in enumerate(items)]
    found, _ = call(tiers, {"mode": mode, "items": rows, "tiers": scale, **words})
    assert [row["id"] for row in found] == list(range(len(items)))
    return [row["amount"] for row in found]


def test_a_boundary_belongs_to_the_higher_tier():
    assert priced("forward", [(1_000_000, 1)] * 5) == [10_000, 10_000, 12_000, 12_000, 15_000]
    assert priced("marginal_units", [(1_000_000, 1)] * 5) == [10_000, 10_000, 12_000, 12_000, 15_000]
    assert priced("whole_retro", [(1_000_000, 1)] * 3) == [12_000] * 3 and priced("whole_retro", [(1_000_000, 1)] * 2) == [10_000] * 2


def test_an_item_over_a_boundary_is_divided_by_units():
    assert priced("marginal_units", [(4_000_000, 4)]) == [2 * 10_000 + 2 * 12_000]
    assert priced("forward", [(4_000_000, 4)]) == [4 * 12_000]


def test_fixed_amounts_are_per_unit():
    fixed = [{"at_least": 1, "below": 3, "fixed": 500}, {"at_least": 3, "fixed": 800}]
    assert priced("forward", [(9, 1), (9, 2), (-9, 1)], fixed) == [500, 1600, -800]
    assert priced("marginal_units", [(9, 4)], fixed) == [2 * 500 + 2 * 800]
    with pytest.raises(Invalid, match="builtin_tier_fixed"):
        priced("marginal_amount", [(9, 1)], [{"at_least": 0, "fixed": 500}])


def test_tiers_by_amount_reach_their_tier_by_the_cumulated_amount():
    by_amount = [{"at_least": 0, "below": 100, "rate_ppm": 100_000}, {"at_least": 100, "rate_ppm": 200_000}]
    assert priced("forward", [(60, 1), (40, 1), (50, 1)], by_amount, count="amount") == [6, 8, 10]
    assert priced("marginal_amount", [(60, 1), (40, 1), (50, 1)], by_amount) == [6, 4, 10]
    assert priced("whole_retro", [(60, 1), (40, 1)], by_amount, count="amount") == [12, 8]


@pytest.mark.parametrize(
    ("code", "scale"),
    [
        ("builtin_tiers_none", []),
        ("builtin_tiers_gap", [{"at_least": 2, "rate_ppm": 1}]),
        ("builtin_tiers_gap", [{"at_least": 0, "below": 3, "rate_ppm": 1}, {"at_least": 4, "rate_ppm": 1}]),
        ("builtin_tiers_gap", [{"at_least": 0, "below": 3, "rate_ppm": 1}]),
        ("builtin_tiers_overlap", [{"at_least": 0, "below": 4, "rate_ppm": 1}, {"at_least": 3, "rate_ppm": 1}]),
        ("builtin_tiers_overlap", [{"at_least": 0, "rate_ppm": 1}, {"at_least": 3, "rate_ppm": 1}]),
        ("builtin_tier_rate", [{"at_least": 0}]),
        ("builtin_tier_rate", [{"at_least": 0, "rate_ppm": 1, "fixed": 1}]),
    ],
)
def test_gaps_overlaps_and_tiers_without_a_rate_are_refused(code, scale):
    with pytest.raises(Invalid, match=code):
        priced("forward", [(1, 1)], scale)


@st.composite
def scales(draw):
    """Sound tiers by rate, from 0."""
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=5)))
    rates = [draw(st.integers(0, 200_000)) for _ in range(len(bounds) + 1)]
    return [{"at_least": low, "below": high, "rate_ppm": rate} for low, high, rate in zip([0, *bounds], [*bounds, None], rates, strict=True)]


items = st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 20)), max_size=8)


def bracket(scale, count):
    return next(tier for tier in scale if tier["at_least"] <= count and (tier["below"] is None or count < tier["below"]))


@settings(max_examples=MANY, deadline=None)
@given(scales(), st.lists(st.integers(-(10**10), 10**10), max_size=8))
def test_by_brackets_of_amount_the_sum_never_drifts(scale, deals):
    """The sum of all items is what one item of the whole amount would give, and taking everything back brings it to zero."""
    found = priced("marginal_amount", [(amount, 1) for amount in deals], scale)
    assert sum(found) == sum(priced("marginal_amount", [(sum(deals), 1)], scale))
    assert sum(priced("marginal_amount", [*((amount, 1) for amount in deals), (-sum(deals), 1)], scale)) == 0


@settings(max_examples=MANY, deadline=None)
@given(scales(), items)
def test_by_units_each_unit_has_the_tier_of_its_number(scale, deals):
    """Against a naive reading: unit after unit, each with its share of the amount."""
    expected, number = [], 0
    for amount, units in deals:
        worth = Fraction(0)
        for _ in range(units):
            number += 1
            worth += Fraction(amount, units) * bracket(scale, number)["rate_ppm"] / 1_000_000
        expected.append(rounded(worth.numerator, worth.denominator))
    assert priced("marginal_units", deals, scale) == expected


@settings(max_examples=MANY, deadline=None)
@given(scales(), items)
def test_forward_and_retroactive_rates_are_those_of_the_tier_reached(scale, deals):
    numbers = [sum(units for _, units in deals[: place + 1]) for place in range(len(deals))]
    rates = [bracket(scale, number)["rate_ppm"] for number in numbers]
    assert priced("forward", deals, scale) == [rounded(amount * rate, 1_000_000) for (amount, _), rate in zip(deals, rates, strict=True)]
    last = bracket(scale, numbers[-1])["rate_ppm"] if deals else 0
    assert priced("whole_retro", deals, scale) == [rounded(amount * last, 1_000_000) for amount, _ in deals]


# --- adjust ----------------------------------------------------------------------------------------------------------------------------------------


def test_steps_are_taken_in_order_and_each_effect_is_told():
    found, _ = call(
        adjust,
        {
            "amount": 328_765_432,
            "quantity": 8934,
            "scale": 2,
            "steps": [
                {"mode": "percent", "value": 9800, "title": "98 折"},
                {"mode": "minus_per_unit", "value": 10_000},
                {"mode": "minus_percent", "value": 100},
                {"mode": "minus", "value": 500_000},
                {"mode": "round_down", "value": 100_000},
            ],
        },
    )
    after = [322_190_123, 322_190_123 - 893_400, 318_083_756, 317_583_756, 317_500_000]
    assert [row["amount"] for row in found["rows"]] == after and found["amount"] == after[-1]
    assert sum(row["effect"] for row in found["rows"]) == after[-1] - 328_765_432 and found["rows"][0]["title"] == "98 折"


def test_an_amount_never_falls_below_zero():
    found, _ = call(adjust, {"amount": 100, "steps": [{"mode": "minus", "value": 300}, {"mode": "round_down", "value": 0}]})
    assert found["amount"] == 0 and found["rows"][0]["effect"] == -100


def test_a_step_takes_off_no_more_than_its_most_and_reads_points_or_money():
    found, _ = call(
        adjust,
        {
            "amount": 1_000_000,
            "steps": [
                {"mode": "percent", "points": 9000, "money": None, "most": 40_000},
                {"mode": "minus", "money": 10_000, "points": None, "most": None},
                {"mode": "round_down", "money": 100_000, "most": 90_000},
                {"mode": "percent"},
            ],
        },
    )
    assert [row["effect"] for row in found["rows"]] == [-40_000, -10_000, -50_000, 0] and found["amount"] == 900_000


@settings(max_examples=MANY, deadline=None)
@given(
    st.integers(0, 10**12), st.lists(st.tuples(st.sampled_from(["percent", "minus_percent", "minus", "minus_per_unit", "round_down"]), st.integers(0, 20_000)))
)
def test_effects_always_account_for_the_whole_difference(amount, steps):
    found, _ = call(adjust, {"amount": amount, "quantity": 3, "steps": [{"mode": mode, "value": value} for mode, value in steps]})
    assert found["amount"] == amount + sum(row["effect"] for row in found["rows"]) >= 0
