"""Splits, tiers and releases by the million (``TANGRAM_TEST_SIZE=full``; fewer otherwise): sums are exact, nobody's cumulative release falls, all is released
when all is received, and taking back what was released leaves nothing. The functions are those the rules call."""

import os
import random
from fractions import Fraction

from engine.expressions.shelf import FUNCTIONS
from plugins.builtin.amounts import PPM, rounded, shared
from plugins.builtin.tiers import tiers
from tests.plugins.calls import CTX

MANY = 1_000_000 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 20_000
portion = FUNCTIONS["portion"].python
WHOLE = 10_000


def weights_of(roll: random.Random) -> list[int]:
    """Basis points of two to six shares: 10,000 in all, some of them nothing."""
    cuts = sorted(roll.choice((0, WHOLE, roll.randrange(WHOLE + 1))) for _ in range(roll.randrange(1, 6)))
    return [high - low for low, high in zip([0, *cuts], [*cuts, WHOLE], strict=True)]


def test_a_million_splits_are_exact_and_within_one_unit_of_each_share() -> None:
    roll = random.Random(1)
    for _ in range(MANY):
        amount, weights = roll.randrange(1, 10**10), weights_of(roll)
        parts = shared(amount, weights)
        assert sum(parts) == amount
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part * WHOLE - amount * weight) < WHOLE, (amount, weights)
        assert shared(-amount, weights) == [-part for part in parts]


def test_a_million_releases_never_fall_and_end_at_the_entitlement() -> None:
    roll = random.Random(2)
    for _ in range(MANY // 4):
        whole, weights = roll.randrange(1, 10**10), weights_of(roll)
        total = rounded(whole * roll.randrange(1, 50_000), PPM)
        parts = shared(total, weights)
        released, received, gate = [0] * len(parts), 0, whole - portion(whole, WHOLE - 3_000, WHOLE)
        for share in (*(roll.randrange(1, 60) for _ in range(3)), 100):
            received = min(whole, received + whole * share // 100 + 1)
            now = [portion(part, received, whole) if received >= gate else 0 for part in parts]
            assert (received * 10 >= whole * 3) == (received >= gate)
            assert all(after >= before for before, after in zip(released, now, strict=True)), (whole, weights, received)
            assert sum(now) <= total and all(after <= part for after, part in zip(now, parts, strict=True))
            released = now
        assert released == parts and sum(released) == total
        assert [part + back for part, back in zip(parts, (-part for part in parts), strict=True)] == [0] * len(parts)


def test_a_successors_part_of_later_releases_never_falls_and_nothing_is_lost() -> None:
    roll = random.Random(3)
    for _ in range(MANY // 4):
        whole, own, later = roll.randrange(1, 10**9), roll.randrange(10**7), roll.randrange(WHOLE + 1)
        left, received, before = roll.randrange(whole + 1), 0, (0, 0)
        for share in (*(roll.randrange(1, 60) for _ in range(3)), 100):
            received = min(whole, received + whole * share // 100 + 1)
            out, kept = portion(own, received, whole), portion(own, left, whole)
            successor = portion(max(0, out - kept), later, WHOLE)
            after = out - successor, successor
            assert sum(after) == out and after[0] >= before[0] and after[1] >= before[1], (whole, own, later, left, received)
            before = after
        assert sum(before) == own


def test_tiers_by_amount_never_drift_and_reaching_a_tier_rates_all_alike() -> None:
    roll = random.Random(4)
    for _ in range(MANY // 20):
        steps = [0, *sorted(roll.sample(range(1, 10**9), 2)), None]
        rates = [roll.randrange(50_000) for _ in range(3)]
        scale = [{"at_least": low, "below": high, "rate_ppm": rate} for low, high, rate in zip(steps[:-1], steps[1:], rates, strict=True)]
        items = [{"id": number, "amount": roll.randrange(1, 5 * 10**8)} for number in range(roll.randrange(1, 9))]
        found = tiers.run(CTX, None, {"items": items, "tiers": scale, "mode": "marginal_amount"})
        reached = sum(item["amount"] for item in items)
        exact = sum(
            Fraction((min(reached, tier["below"] or reached) - tier["at_least"]) * tier["rate_ppm"], PPM) for tier in scale if reached > tier["at_least"]
        )
        assert abs(sum(row["amount"] for row in found) - exact) <= Fraction(1, 2), (scale, items)
        retro = tiers.run(CTX, None, {"items": items, "tiers": scale, "mode": "whole_retro", "count": "amount"})
        rate = next(tier["rate_ppm"] for tier in reversed(scale) if tier["at_least"] <= reached)
        assert [row["amount"] for row in retro] == [rounded(item["amount"] * rate, PPM) for item in items]
