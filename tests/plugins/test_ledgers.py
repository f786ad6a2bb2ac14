"""A ledger is brought to its targets once, and through any history of entitlement, re-rating, release, re-allocation and refund its sums stay exact."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule, run_state_machine_as_test

from engine.errors import Invalid
from engine.rules.effects import CreateRecord, Effect, Engine, Handle, Lock
from metadata.definitions import Entity
from plugins.builtin.amounts import allocate
from plugins.builtin.ledgers import balances, reach
from plugins.builtin.tiers import tiers
from tests.plugins.calls import CTX, call

HISTORIES = 3_000 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 60
ENTITY = Entity("entry", "entry", {}, ledger={"about": "deal", "who": "payee", "account": "account", "amount": "amount"})
LEDGER_CTX = replace(CTX, entities={"entry": ENTITY, "deal": Entity("deal", "deal", {})})


@dataclass
class Entries:
    """The entries of a ledger in memory, and the effects' answers. What was posted is never changed."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    locked: bool = False

    def answer(self, effect: Effect) -> Any:
        match effect:
            case Lock():
                self.locked = True
            case Engine(name="ledger.balances", params=params):
                assert params["ledger"] == "entry"
                return self.balances(params["about"], params["account"])
            case CreateRecord(entity="entry", values=values):
                assert self.locked, "posted without the lock"
                self.rows.append(dict(values))
                return Handle("entry", len(self.rows), lambda entity, number: self.rows[number - 1])
            case _:
                raise AssertionError(effect)
        return None

    def balances(self, about: int, account: str) -> list[dict[str, Any]]:
        found: dict[Any, int] = {}
        for row in self.rows:
            if (row["deal"], row["account"]) == (about, account):
                found[row["payee"]] = found.get(row["payee"], 0) + row["amount"]
        return [{"who": who, "amount": found[who]} for who in sorted(found)]

    def reach(self, about: int, account: str, targets: Sequence[tuple[int, int]], **words: Any) -> list[tuple[int, int]]:
        """What is posted, each (who, difference)."""
        self.locked = False
        rows = [{"who": who, "amount": amount} for who, amount in targets]
        deal = Handle("deal", about, lambda entity, number: {"id": number})
        found, _ = call(reach, {"ledger": "entry", "about": deal, "account": account, "targets": rows, **words}, self.answer, ctx=LEDGER_CTX)
        assert len(found["entries"]) == len(found["posted"]) and found["total"] == sum(row["amount"] for row in found["posted"])
        return [(row["who"], row["amount"]) for row in found["posted"]]

    def sums(self, about: int, account: str) -> dict[Any, int]:
        return {row["who"]: row["amount"] for row in self.balances(about, account)}


@pytest.fixture
def entries() -> Entries:
    return Entries()


def test_the_difference_is_posted_and_done_again_nothing(entries):
    assert entries.reach(1, "earned", [(1, 70), (2, 30)], values={"note": "x"}) == [(1, 70), (2, 30)]
    assert entries.reach(1, "earned", [(1, 70), (2, 30)]) == [] and entries.reach(1, "earned", [(1, 50)]) == [(1, -20)]
    assert entries.sums(1, "earned") == {1: 50, 2: 30} and entries.rows[0]["note"] == "x" and entries.sums(2, "earned") == {}


def test_targets_of_one_person_are_added_up(entries):
    assert entries.reach(1, "earned", [(1, 70), (2, 5), (1, 30)]) == [(1, 100), (2, 5)]


def test_others_go_to_zero_where_told_and_up_only_never_lowers(entries):
    entries.reach(1, "earned", [(1, 70), (2, 30)])
    assert entries.reach(1, "earned", [(1, 60), (3, 10)], only="up") == [(3, 10)]
    assert entries.reach(1, "earned", [], others="zero") == [(1, -70), (2, -30), (3, -10)]
    assert set(entries.sums(1, "earned").values()) == {0}


def test_balances_are_told(entries):
    entries.reach(1, "earned", [(2, 30), (1, 70)])
    found, _ = call(balances, {"ledger": "entry", "about": Handle("deal", 1, dict), "account": "earned"}, entries.answer, ctx=LEDGER_CTX)
    assert found == [{"who": 1, "amount": 70}, {"who": 2, "amount": 30}]


def test_only_a_ledger_keeps_balances_and_it_fills_its_own_fields(entries):
    with pytest.raises(Invalid, match="builtin_no_ledger"):
        call(reach, {"ledger": "deal", "about": Handle("deal", 1, dict), "account": "x", "targets": []}, entries.answer, ctx=LEDGER_CTX)
    with pytest.raises(Invalid, match="builtin_ledger_values"):
        entries.reach(1, "earned", [(1, 5)], values={"amount": 7})


# --- histories -------------------------------------------------------------------------------------------------------------------------------------

MODES = ("forward", "marginal_units", "marginal_amount", "whole_retro")
SCALE = [{"at_least": 0, "below": 2, "rate_ppm": 8_000}, {"at_least": 2, "below": 4, "rate_ppm": 11_111}, {"at_least": 4, "rate_ppm": 15_000}]
BY_AMOUNT = [
    {"at_least": 0, "below": 10**8, "rate_ppm": 8_000},
    {"at_least": 10**8, "below": 3 * 10**8, "rate_ppm": 11_111},
    {"at_least": 3 * 10**8, "rate_ppm": 15_000},
]


@dataclass
class Deal:
    """What is agreed: its price, how it is shared, what was paid so far."""

    number: int
    price: int
    shares: list[tuple[int, int]]
    received: int = 0
    refunded: bool = False


class Histories(RuleBasedStateMachine):
    """Deals of one period in any order of events. Rules do no more than call tiers, allocate and ledger.reach."""

    deals = Bundle("deals")
    shares = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 10_000)), min_size=1, max_size=4)

    @initialize(mode=st.sampled_from(MODES))
    def begin(self, mode):
        self.mode, self.book, self.entries = mode, list[Deal](), Entries()
        self.released: dict[tuple[int, int], int] = {}

    def rate(self):
        """Re-rate the whole period and share out anew: only differences are posted."""
        standing = [deal for deal in self.book if not deal.refunded]
        params = {
            "mode": self.mode,
            "items": [{"id": deal.number, "amount": deal.price} for deal in standing],
            "tiers": BY_AMOUNT if self.mode == "marginal_amount" else SCALE,
        }
        self.totals = {row["id"]: row["amount"] for row in call(tiers, params)[0]}
        for deal in standing:
            parts = call(allocate, {"amount": self.totals[deal.number], "shares": [{"who": who, "weight": weight} for who, weight in deal.shares]})[0]
            self.entries.reach(deal.number, "entitled", [(part["who"], part["amount"]) for part in parts], others="zero")

    @rule(target=deals, price=st.integers(10**4, 3 * 10**8), shares=shares)
    def sell(self, price, shares):
        deal = Deal(len(self.book) + 1, price, shares)
        self.book.append(deal)
        self.rate()
        return multiple(deal)

    @rule(deal=deals, share=st.integers(1, 100))
    def receive(self, deal, share):
        """Money comes in: released is what is entitled in proportion, nothing below the gate, never less than before."""
        if deal.refunded:
            return
        deal.received = min(deal.price, deal.received + deal.price * share // 100)
        if deal.received * 100 < deal.price * 30:
            return
        entitled = self.entries.sums(deal.number, "entitled")
        full = deal.received >= deal.price
        targets = [(who, amount if full else amount * deal.received // deal.price) for who, amount in entitled.items()]
        posted = self.entries.reach(deal.number, "released", targets, only="up")
        assert all(amount > 0 for _, amount in posted)
        assert self.entries.reach(deal.number, "released", targets, only="up") == []

    @rule(deal=deals, shares=shares)
    def allocate_anew(self, deal, shares):
        if not deal.refunded:
            deal.shares = shares
            self.rate()

    @rule(deal=deals)
    def refund(self, deal):
        deal.refunded = True
        for account in ("entitled", "released"):
            self.entries.reach(deal.number, account, [], others="zero")
            assert self.entries.reach(deal.number, account, [], others="zero") == []
        self.rate()

    @rule()
    def do_again(self):
        """Whatever is asked a second time posts nothing."""
        before = len(self.entries.rows)
        self.rate()
        assert len(self.entries.rows) == before

    @invariant()
    def sums_are_exact(self):
        for deal in getattr(self, "book", ()):
            entitled, released = (self.entries.sums(deal.number, account) for account in ("entitled", "released"))
            assert sum(entitled.values()) == (0 if deal.refunded else self.totals[deal.number])
            assert not deal.refunded or not any([*entitled.values(), *released.values()])
            for who, amount in released.items():
                assert deal.refunded or amount >= self.released.get((deal.number, who), 0), "a release fell"
                self.released[deal.number, who] = 0 if deal.refunded else amount

    @invariant()
    def nothing_posts_zero(self):
        assert all(row["amount"] for row in getattr(self, "entries", Entries()).rows)


def test_histories_end_exact():
    run_state_machine_as_test(Histories, settings=settings(max_examples=HISTORIES, stateful_step_count=30, deadline=None))
