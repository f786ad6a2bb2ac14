"""What people of the site are shown first, and what they are no longer shown: search, the page of a customer of the pool, calls with a customer who has left."""

from __future__ import annotations

import pytest

from engine.errors import Invalid
from engine.fields.values import Masked
from engine.notices import inbox
from engine.records import service
from engine.records.query import get
from renderer.bound_record import may_add
from renderer.pages.search import searched

from .conftest import Site


def test_each_finds_first_what_their_own_menus_begin_with(site: Site) -> None:
    assert [searched(site.ctx(login))[0] for login in ("jing", "ning")] == ["customer", "touch"]


def test_a_consultant_claims_a_customer_of_the_pool_and_the_desk_records_the_visit(site: Site) -> None:
    mine = site.customer("jing").id
    pooled = site.customer("jing").id
    service.act(site.ctx("jing"), "customer", pooled, "release", {}, json=True)
    for login, record, may in (("jing", mine, True), ("jing", pooled, False), ("ning", pooled, True)):
        with site.ctx(login).snapshot() as ctx:
            assert may_add(ctx, "visit", "customer", record) is may, (login, record)


def test_the_number_of_a_call_is_masked_once_the_customer_has_left_its_caller(site: Site) -> None:
    customer = site.customer("jing").id
    call = site.create("jing", "call", customer=customer, phone=site.phone(), direction="outbound", result="connected").id
    assert not isinstance(get(site.ctx("jing"), "call", call)["phone"], Masked)
    service.act(site.ctx("jing"), "customer", customer, "release", {}, json=True)
    assert isinstance(get(site.ctx("jing"), "call", call)["phone"], Masked)


def test_whoever_releases_by_hand_says_why_in_words_only_and_the_reason_is_nobodys_to_choose(site: Site) -> None:
    customer = site.customer("jing").id
    with pytest.raises(Invalid):
        service.act(site.ctx("jing"), "customer", customer, "release", {"reason": "expired"}, json=True)
    service.act(site.ctx("jing"), "customer", customer, "release", {"note": "希望换一位顾问"}, json=True)
    assert get(site.ctx("root"), "customer", customer)["release_reason"] == "manual"
    with site.ctx("jing").snapshot() as ctx:
        assert inbox(ctx).items[0].text.endswith("已回到公海：希望换一位顾问")
