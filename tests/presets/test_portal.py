"""A partner's agent at the portal learns nothing by registering: the same answer, the same statements and the same time for any number; and sees nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import thread_time
from typing import Any

import pytest
import sqlalchemy as sa

from engine.background import advance
from engine.errors import Refusal
from engine.records import service
from engine.records.history import timeline
from engine.records.query import Query, get, page
from engine.records.record import ANY, Saved

from .conftest import Site

#: How much longer one kind of number may take than the other.
TOLERANCE = 0.10


def agents(site: Site) -> None:
    """Two agents of two partners, ``ag`` and ``bg``, who log in."""
    for number, login in enumerate(("ag", "bg")):
        partner = service.create(site.ctx(), "channel_partner", {"name": f"渠道{login}", "kind": "distribution"}).id
        agent = service.create(site.ctx(), "channel_agent", {"partner": partner, "name": login, "phone": f"1370000000{number}"}).id
        service.create(site.ctx(), "person", {"name": login, "login": login, "roles": ["channel_agent"], "agent": agent})


def register(site: Site, phone: str, login: str = "ag") -> Saved:
    return service.create(site.ctx(login), "channel_registration", {"customer_name": "报备客", "phone": phone}, json=True)


def settle(site: Site) -> None:
    """What a worker would do by now."""
    advance(site.home, site.name, site.ctx().now)


def number(site: Site, *, known: bool) -> str:
    """The number of a protected customer with a history, made just now; or another one, after the same has been done."""
    phone = site.phone()
    customer = site.customer("jing", phone=phone).id
    site.create("jing", "visit", customer=customer)
    return phone if known else site.phone()


@contextmanager
def listening() -> Iterator[list[str]]:
    """The statements said meanwhile."""
    said: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        said.append(re.sub(r"\s+", " ", statement))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def shape(saved: Saved) -> dict[str, Any]:
    """An answer without what differs between any two registrations."""
    return {key: value for key, value in dict(saved.record or {}).items() if key not in ("id", "no", "phone")}


@pytest.fixture
def portal(fresh_site: Site) -> Site:
    agents(fresh_site)
    register(fresh_site, fresh_site.phone())  # whatever is compiled or cached at the first one
    settle(fresh_site)
    return fresh_site


def test_the_answer_and_the_statements_are_the_same_for_known_and_unknown_numbers(portal: Site) -> None:
    answers, said = [], []
    for known in (False, True, False, True):
        phone = number(portal, known=known)
        with listening() as statements:
            answers.append(shape(register(portal, phone)))
        said.append(statements)
        settle(portal)
    assert all(answer == answers[0] for answer in answers) and answers[0]["agent_state"] == "pending"
    assert all(statements == said[0] for statements in said)


def test_both_take_the_same_time_within_a_tenth(portal: Site) -> None:
    """Time of this thread, so that other work on the machine does not count; in turns, so that what changes slowly hits both alike."""
    for tries_left in (2, 1, 0):
        spent: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(60):
            known = turn % 2 == 0
            phone = number(portal, known=known)
            begun = thread_time()
            register(portal, phone)
            spent[known].append(thread_time() - begun)
        ratio = median(spent[True]) / median(spent[False])
        if 1 - TOLERANCE <= ratio <= 1 + TOLERANCE:
            return
        assert tries_left, f"known numbers take {ratio:.2f} times as long as unknown ones"


def view(site: Site, login: str, phones: list[str]) -> dict[str, Any]:
    """All an agent can see: records of every entity, what a search finds, the story of the own ones."""
    ctx, seen = site.ctx(login), {}
    for key in ctx.workspace.entities:
        for search in ("", *phones):
            try:
                seen[f"{key} {search}"] = [repr(sorted(dict(item).items(), key=str)) for item in page(ctx, Query(key, limit=200, search=search)).items]
            except Refusal as refusal:
                seen[f"{key} {search}"] = refusal.code
    own = page(ctx, Query("channel_registration", fields=("id",), limit=200)).items
    seen["stories"] = [repr(timeline(ctx, "channel_registration", item["id"])) for item in own]
    return seen


def test_an_agent_sees_own_registrations_and_nothing_else(portal: Site) -> None:
    phone = portal.phone()
    register(portal, phone)
    settle(portal)
    seen = view(portal, "ag", [phone])
    readable = {key.split(" ")[0] for key, found in seen.items() if isinstance(found, list) and key != "stories"}
    assert readable == {"channel_registration"}
    record = get(portal.ctx("ag"), "channel_registration", page(portal.ctx("ag"), Query("channel_registration", fields=("id",))).items[0]["id"])
    hidden = {"customer", "arrival", "reject_code", "status", "appeal", "agent", "partner", "confirm_no", "arrive_protect_until"}
    assert not hidden & set(record)
    assert {"agent_state", "reply", "customer_name", "phone"} <= set(record)


def test_what_others_do_changes_nothing_of_what_an_agent_sees(portal: Site) -> None:
    """Non-interference: customers, visits, follow-ups, hand-overs and other agents' registrations, at random, with the agent's own numbers among them."""
    mine = [portal.phone() for _ in range(2)]
    for phone in mine:
        register(portal, phone)
    settle(portal)
    before = view(portal, "ag", mine)
    chance, customers = random.Random(11), []
    for _ in range(12):
        what = chance.choice(("customer", "visit", "follow_up", "other", "transfer", "edit"))
        if what == "customer" or not customers:
            customers.append(portal.customer(chance.choice(("jing", "di")), phone=portal.phone()).id)
        elif what == "visit":
            portal.create("", "visit", customer=chance.choice(customers), receiver=portal.person("jing"))
        elif what == "follow_up":
            portal.create(
                "", "follow_up", customer=chance.choice(customers), author=portal.person("jing"), method="wechat", content="客户说周末再来看一次样板间"
            )
        elif what == "other":
            register(portal, chance.choice([*mine, portal.phone()]), "bg")
        elif what == "transfer":
            customer = chance.choice(customers)
            to = portal.person("qiang")
            if get(portal.ctx(), "customer", customer)["owner"].id != to:
                service.act(portal.ctx(), "customer", customer, "transfer", {"to": to})
        else:
            service.update(portal.ctx(), "customer", chance.choice(customers), {"remark": f"备注 {chance.random()}"}, ANY)
    settle(portal)
    assert view(portal, "ag", mine) == before
