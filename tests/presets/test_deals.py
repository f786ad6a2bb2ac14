"""Units and money where scenarios cannot reach: ten orders on one unit from two processes, and random histories whose money always adds up.

``TANGRAM_TEST_SIZE=full``: hundreds of histories.
"""

from __future__ import annotations

import os
import random
from itertools import count
from typing import Any

import pytest

from engine.actors import enter_as
from engine.errors import Conflict
from engine.records import service
from engine.records.asks_deciding import decide
from engine.records.query import Query, page
from engine.system_tables_rules import ask
from renderer.form_layout import all_of, form_for, item_of, limit_with, limits_of

from .conftest import Site
from .contest import contest

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"
HISTORIES = 200 if FULL else 3
METHODS = ("full", "mortgage", "fund", "combo", "instalment")
_numbers = count(1)


def unit_of(site: Site, **values: Any) -> int:
    """An available unit in a building of its own."""
    number = next(_numbers)
    project = site.create("fei", "project", code=f"D{number}", name="云溪府").id
    building = site.create("fei", "building", project=project, name=f"{number}").id
    words = {"area_build": 100, "list_total": 200_000_000, "floor_total": 100_000_000, "status": "available", **values}
    return site.create("fei", "unit", full_no=f"{number}-1-101", building=building, floor=1, room="101", **words).id


def rows(site: Site, entity: str, where: str) -> list[dict[str, Any]]:
    return list(page(enter_as(site.home, site.name, "operator"), Query(entity, where=where, limit=200, labels=False)).items)


def the(site: Site, entity: str, number: int) -> dict[str, Any]:
    (row,) = rows(site, entity, f"id == {number}")
    return row


# --- one unit, many buyers -------------------------------------------------------------------------------------------------------------------


def test_of_ten_orders_on_one_unit_at_the_same_instant_from_two_processes_one_wins(fresh_site: Site) -> None:
    site, unit = fresh_site, unit_of(fresh_site)
    people = [("jing", "qiang", "di")[number % 3] for number in range(10)]
    orders = [site.create(login, "subscription", unit=unit, customer=site.customer(login).id, pay_method="full").id for login in people]
    plans = [[{"as": login, "press": ["subscription", order, "submit", {}]}] for login, order in zip(people, orders, strict=True)]
    assert contest(site.home, site.name, plans) == {"done": 1, "UNIT_TAKEN": 9}
    won = [row["id"] for row in rows(site, "subscription", "status == 'active'")]
    assert len(won) == 1 and set(won) < set(orders)
    kept = the(site, "unit", unit)
    assert (kept["status"], getattr(kept["deal"], "id", kept["deal"])) == ("subscribed", won[0])
    assert len(rows(site, "receivable", "item == 'deposit'")) == 1 and len(rows(site, "customer", "stage == 'subscribed'")) == 1


def test_the_database_itself_holds_one_active_order_per_unit(site: Site) -> None:
    """Whoever writes, rules or not: the second row is refused by the index."""
    unit, ctx = unit_of(site), site.ctx()
    values = {"unit": unit, "customer": site.customer("jing").id, "pay_method": "full", "status": "active"}
    service.create(ctx, "subscription", values)
    with pytest.raises(Conflict) as taken:
        service.create(ctx, "subscription", values)
    assert taken.value.code == "duplicate"
    service.create(ctx, "subscription", {**values, "status": "refunded"})


def test_ten_reservations_at_once_get_ten_numbers(fresh_site: Site) -> None:
    site = fresh_site
    people = [("jing", "qiang", "di")[number % 3] for number in range(10)]
    plans = [[{"as": login, "create": ["reservation", {"customer": site.customer(login).id, "category": "opening"}]}] for login in people]
    assert contest(site.home, site.name, plans) == {"done": 10}
    assert sorted(row["seq_no"] for row in rows(site, "reservation", "")) == list(range(1, 11))


# --- money -----------------------------------------------------------------------------------------------------------------------------------


class History:
    """One deal from its order to its end, in random amounts and order; what must be true is held after each event."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.random = site, random.Random(seed)
        roll = self.random
        self.total = roll.randrange(100_000_000, 400_000_000)
        self.unit = unit_of(site, list_total=self.total, floor_total=None)
        self.customer = site.customer("jing").id
        words = {"unit": self.unit, "customer": self.customer, "pay_method": roll.choice(METHODS), "deposit_due": roll.randrange(1, self.total // 5)}
        self.order = site.create("jing", "subscription", **words).id
        service.act(site.ctx("jing"), "subscription", self.order, "submit", {})
        self.contract = 0

    def bills(self, where: str = "not void") -> list[dict[str, Any]]:
        return rows(self.site, "receivable", f"subscription == {self.order} and {where}")

    def check(self) -> None:
        """Receivables are the contract's total, each has received what was cleared, nothing more than is due."""
        money = rows(self.site, "payment", f"customer == {self.customer}")
        for bill in self.bills("amount >= 0"):
            cleared = sum(row["amount"] for row in money if row["receivable"] == bill["id"] and row["status"] == "cleared")
            assert bill["received"] == cleared and 0 <= cleared <= bill["amount"], (self.order, bill)
        if self.contract:
            contract = the(self.site, "contract", self.contract)
            assert contract["receivable"] == sum(bill["amount"] for bill in self.bills()) == contract["total_fen"] == self.total
            assert contract["received"] == sum(row["amount"] for row in money if row["status"] == "cleared")

    def sign(self) -> None:
        self.contract = self.site.create("fei", "contract", subscription=self.order, kind="draft").id

    def pay(self) -> None:
        """Some of what is open, confirmed or bounced; now and then one is reversed."""
        site, roll = self.site, self.random
        bill = roll.choice([row for row in self.bills() if row["left"] > 0] or [None])
        if bill is None:
            return
        amount = bill["left"] if roll.random() < 0.5 else roll.randrange(1, bill["left"] + 1)
        payment = site.create("fei", "payment", receivable=bill["id"], amount=amount).id
        kind = roll.random()
        service.act(site.ctx("yun"), "payment", payment, *(("bounce", {"reason": "退"}) if kind < 0.15 else ("confirm", {})))
        if kind > 0.85:
            service.act(site.ctx("yun"), "payment", payment, "reverse", {"reason": "错"})

    def change(self, kind: str, **values: Any) -> None:
        site = self.site
        request = site.create("jing", "change_request", kind=kind, subscription=self.order, reason="客户申请", **values).id
        service.act(site.ctx("jing"), "change_request", request, "submit", {})
        with site.ctx().reading() as reading:
            number = reading.open.execute(ask.select().where(ask.c.state == "open").order_by(ask.c.id.desc()).limit(1)).mappings().one()["id"]
        decide(site.ctx("xiao" if kind == "pay_method" else "zhe"), number, True, opinion="同意")

    def dearer(self) -> None:
        """Another price, never below what came in already."""
        received = sum(bill["received"] for bill in self.bills())
        self.total = max(self.random.randrange(100_000_000, 400_000_000), received + self.bills("item == 'deposit'")[0]["amount"] + 1)
        self.change("special_discount", to_total=self.total)

    def refund(self) -> None:
        """Everything goes back: the ledger of the deal ends at nothing, the unit is free."""
        self.change("refund")
        for row in rows(self.site, "payment", f"customer == {self.customer} and refund and status == 'pending'"):
            service.act(self.site.ctx("yun"), "payment", row["id"], "pay_back", {"voucher_no": "TK1"})
        assert sum(row["amount"] for row in rows(self.site, "payment", f"customer == {self.customer} and status == 'cleared'")) == 0
        assert all(bill["received"] == 0 and bill["void"] for bill in self.bills("amount >= 0"))
        order, unit = the(self.site, "subscription", self.order), the(self.site, "unit", self.unit)
        assert (order["status"], order["received"], unit["status"], unit["deal"]) == ("refunded", 0, "available", None)


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_money_adds_up_at_every_moment_and_a_refund_leaves_nothing(site: Site, seed: int) -> None:
    history = History(site, seed)
    for _ in range(history.random.randrange(0, 3)):
        history.pay()
        history.check()
    history.sign()
    history.check()
    for _ in range(history.random.randrange(2, 6)):
        event = history.random.choice(("pay", "pay", "pay", "method", "price"))
        if event == "pay":
            history.pay()
        elif event == "price":
            history.dearer()
        else:
            history.change("pay_method", to_pay_method=history.random.choice(METHODS))
        history.check()
    history.refund()


# --- which units an order is offered -----------------------------------------------------------------------------------------------------------


def offered(site: Site, login: str, consultant: str) -> set[int]:
    """The units the form of an order offers somebody who writes it for a consultant."""
    ctx = site.ctx(login)
    item = ctx.workspace.entities["subscription"].fields["unit"]
    limits = limits_of(item, item_of(form_for(ctx, "subscription"), "unit"))
    return site.ids(login, "unit", all_of(*(limit_with(limit, {"consultant": str(site.person(consultant))}) for limit in limits)))


def test_an_order_is_offered_units_that_are_free_or_held_by_its_consultant_or_its_writer(fresh_site: Site) -> None:
    site = fresh_site
    free, taken, other, sold = (unit_of(site) for _number in range(4))
    service.act(site.ctx("jing"), "unit", taken, "lock", {})
    service.act(site.ctx("qiang"), "unit", other, "book", {"customer": site.customer("qiang").id})
    order = site.create("di", "subscription", unit=sold, customer=site.customer("di").id, pay_method="full").id
    service.act(site.ctx("di"), "subscription", order, "submit", {})
    assert offered(site, "fei", "jing") == {free, taken}  # a sales assistant writes the order of her consultant
    assert offered(site, "qiang", "qiang") == {free, other}
    assert offered(site, "fei", "di") == {free}
