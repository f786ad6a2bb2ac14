"""Turns and grabbing where scenarios cannot reach: two processes at once, random histories of a day, and how long it takes from a lead to its owner's notice."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from engine.background import advance
from engine.records import service
from engine.records.query import get
from engine.records.record import ANY
from engine.scope import engine_select
from engine.system_tables_rules import notice

from .conftest import Site
from .contest import contest


def rows(site: Site, entity: str) -> list[Any]:
    """All records of an entity as stored, by id."""
    with site.ctx().reading() as ctx:
        compiled = ctx.workspace.entities[entity]
        return [dict(row) for row in ctx.open.execute(engine_select(compiled, *compiled.table.c).order_by(compiled.table.c.id)).mappings()]


def consultants(site: Site, many: int) -> dict[str, int]:
    """New consultants by login."""
    team = site.ctx("jing").actor.team
    made = {}
    for number in range(many):
        login = f"gu{number:02}"
        made[login] = service.create(site.ctx(), "person", {"name": login, "login": login, "roles": ["consultant"], "team": team}).id
    return made


def board(site: Site, people: dict[str, int], **values: Any) -> dict[str, int]:
    """A board with these people on, in this order; its id under ""."""
    made = {"": service.create(site.ctx(), "duty_board", {"name": "主轮", "auto_busy": False, **values}).id}
    for number, (login, person) in enumerate(people.items()):
        made[login] = service.create(site.ctx(), "duty_member", {"board": made[""], "person": person, "sort": number, "status": "on"}).id
    return made


# --- two processes ----------------------------------------------------------------------------------------------------------------------------


def test_ten_visitors_registered_at_once_take_ten_consecutive_turns_none_twice(fresh_site: Site) -> None:
    people = consultants(fresh_site, 10)
    made = board(fresh_site, people, auto_busy=True)
    visit = {"kind": "visit", "name": "来客", "source": "natural"}
    plans = [[{"as": "ning", "create": ["touch", {**visit, "phone": fresh_site.phone()}]}] for n in range(10)]
    assert contest(fresh_site.home, fresh_site.name, plans) == {"done": 10}
    turns = [event for event in rows(fresh_site, "duty_event") if event["kind"] == "turn"]
    assert sorted(event["seq"] for event in turns) == list(range(1, 11))
    assert [event["person"] for event in sorted(turns, key=lambda event: event["seq"])] == list(people.values())
    assert {event["customer"]: event["person"] for event in turns} == {row["id"]: row["owner"] for row in rows(fresh_site, "customer")}
    kept = get(fresh_site.ctx(), "duty_board", made[""])
    assert (kept["last_seq"], kept["on_count"], kept["cursor"].id, kept["owed_count"]) == (10, 0, made["gu09"], 0)


def test_fifty_leads_grabbed_by_twenty_at_three_an_hour_each_have_one_winner(fresh_site: Site) -> None:
    people = consultants(fresh_site, 20)
    board(fresh_site, people)
    ctx = fresh_site.ctx()
    customers = [service.create(ctx, "customer", {"name": "线索", "phone": fresh_site.phone(), "source": "online", "owner": None}).id for _ in range(50)]
    for customer in customers:
        service.act(ctx, "customer", customer, "assign", {"how": "grab"})
    offers = [row["id"] for row in rows(fresh_site, "grab_offer")]
    plans = []
    for number, login in enumerate(people):
        order = random.Random(number).sample(offers, len(offers))
        plans.append([{"as": login, "press": ["grab_offer", offer, "grab", {}], "until": "GRAB_LIMIT"} for offer in order])
    found = contest(fresh_site.home, fresh_site.name, plans)
    assert found["done"] == 50 and set(found) <= {"done", "TAKEN", "GRAB_LIMIT"}
    taken = rows(fresh_site, "grab_offer")
    assert {row["status"] for row in taken} == {"won"}
    assert max(Counter(row["winner"] for row in taken).values()) == 3
    assert {row["customer"]: row["winner"] for row in taken} == {row["id"]: row["owner"] for row in rows(fresh_site, "customer")}
    events = rows(fresh_site, "duty_event")
    assert sorted(event["seq"] for event in events) == list(range(1, 51)) and {event["kind"] for event in events} == {"lead"}


# --- random histories -------------------------------------------------------------------------------------------------------------------------


@dataclass
class Turns:
    """C10 in its own words: an ordered list with a cursor, those owed first in, first out."""

    order: list[str]
    state: dict[str, str]
    cursor: int = -1
    owed: deque[str] = field(default_factory=deque)

    def serve(self) -> tuple[str, str] | None:
        """Who gets the next visitor and how; None when nobody is on."""
        for somebody in self.owed:
            if self.state[somebody] == "on":
                self.owed.remove(somebody)
                return somebody, "makeup"
        circle = [(self.cursor + step) % len(self.order) for step in range(1, len(self.order) + 1)]
        taker = next((place for place in circle if self.state[self.order[place]] == "on"), None)
        if taker is None:
            return None
        for place in circle[: circle.index(taker)]:
            if self.state[self.order[place]] in ("busy", "meal", "out") and self.order[place] not in self.owed:
                self.owed.append(self.order[place])
        self.cursor = taker
        return self.order[taker], "turn"


def test_turns_of_a_random_history_are_fair(fresh_site: Site) -> None:
    """People come and go at random: each visitor gets who C10 says, nobody is owed more than they missed, and who is always on waits at most a round."""
    chance = random.Random(20260315)
    people = consultants(fresh_site, 5)
    made = board(fresh_site, people)
    model, names = Turns(list(people), dict.fromkeys(people, "on")), {member: login for login, member in made.items()}
    steady, waited = "gu02", 0
    for _ in range(40):
        if chance.random() < 0.5:
            login, state = (
                chance.choice([name for name in people if name != steady]),
                chance.choice(("on", "on", "busy", "meal", "out", "rest", "leave", "off")),
            )
            service.update(fresh_site.ctx(), "duty_member", made[login], {"status": state}, ANY)
            model.state[login] = state
        expected = model.serve()
        assert expected is not None, "one is always on"
        result = service.act(fresh_site.ctx(), "duty_board", made[""], "take", {}).result
        assert names[result.id] == expected[0]
        members = {names[row["id"]]: row for row in rows(fresh_site, "duty_member")}
        owed = sorted((row["owed_seq"], login) for login, row in members.items() if row["owed_seq"] is not None)
        assert [login for _, login in owed] == list(model.owed)
        waited = 0 if expected[0] == steady else waited + 1
        assert waited <= 2 * len(people), "a round of turns and a round of make-ups at most"
    events = rows(fresh_site, "duty_event")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    missed = Counter(event["member"] for event in events if event["kind"] == "skip" and event["status"] in ("busy", "meal", "out"))
    assert all(number <= missed[member] for member, number in Counter(event["member"] for event in events if event["kind"] == "makeup").items())
    assert {row["member"]: row["groups"] for row in rows(fresh_site, "duty_tally") if row["groups"]} == Counter(
        event["member"] for event in events if event["kind"] in ("turn", "makeup")
    )


# --- the chain of a lead ----------------------------------------------------------------------------------------------------------------------


def test_a_lead_has_its_owner_and_the_owner_their_notice_within_seconds(fresh_site: Site) -> None:
    """From the event that comes in to the notice on the owner's phone, later rules and messages included."""
    board(fresh_site, {"jing": fresh_site.person("jing")})
    begun = perf_counter()
    lead = {"kind": "lead", "name": "线上客户", "phone": fresh_site.phone(), "source": "online", "key": "lead-1"}
    service.create(fresh_site.ctx(), "touch", lead)
    advance(fresh_site.home, fresh_site.name, fresh_site.ctx().now)
    seconds = perf_counter() - begun
    (customer,) = rows(fresh_site, "customer")
    assert customer["owner"] == fresh_site.person("jing") and customer["pool_state"] == "private"
    with fresh_site.ctx().reading() as ctx:
        told = ctx.open.execute(sa.select(notice.c.text).where(notice.c.person == fresh_site.person("jing"), notice.c.record == customer["id"])).scalars().all()
    assert told
    assert seconds < 10
