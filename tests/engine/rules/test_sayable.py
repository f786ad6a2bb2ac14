"""What an administrator must be able to say with rules and built-in actions, each as a definition that runs: every way to assign, ledgers, merging, evidence."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from engine.errors import Conflict, Invalid, Refusal
from engine.records import service
from engine.records.record import ANY
from engine.rules.compile import rule_book
from metadata.check import check

TEXT = {"type": "text", "title": "x"}
PERSON = {"type": "person", "title": "x"}


def entity(fields: dict[str, Any], **words: Any) -> dict[str, Any]:
    return {"title": "x", "label": "{name}", "fields": {"name": {**TEXT, "required": True}, **fields}, **words}


def rule(on: dict[str, Any], *then: dict[str, Any], **words: Any) -> dict[str, Any]:
    return {"title": {"zh": "规则", "en": "Rule"}, "on": on, "then": list(then), **words}


DOCUMENTS: dict[tuple[str, str], Any] = {
    ("entity", "lead"): entity(
        {
            "owner": PERSON,
            "region": TEXT,
            "status": {**TEXT, "default": "open"},
            "grab_until": {"type": "instant", "title": "x"},
            "how": TEXT,
            "proof": {"type": "json", "title": "x", "once": True},
            "sum": TEXT,
        },
        merge={"if": "keep.status != drop.status", "message": {"zh": "状态不同", "en": "Not the same status"}},
    ),
    ("entity", "board"): entity({"cursor": PERSON}),
    ("entity", "member"): entity({"person": PERSON, "seq": {"type": "integer", "title": "x"}, "state": TEXT}),
    ("entity", "owed"): entity({"person": PERSON}),
    ("entity", "person"): {
        "fields": {
            "region": TEXT,
            "weight": {"type": "integer", "title": "x"},
            "cap": {"type": "integer", "title": "x"},
            "load": {"type": "rollup", "title": "x", "from": "lead.owner", "measure": "count", "where": "status == 'open'"},
        }
    },
    ("entity", "deal"): entity({"total": {"type": "money", "title": "x"}}),
    ("entity", "share"): entity(
        {
            "deal": {"type": "link", "to": "deal", "title": "x"},
            "person": PERSON,
            "bp": {"type": "integer", "title": "x"},
            "seq": {"type": "integer", "title": "x"},
        }
    ),
    ("entity", "entry"): entity(
        {
            "deal": {"type": "link", "to": "deal", "required": True, "title": "x"},
            "payee": {**PERSON, "required": True},
            "account": {**TEXT, "required": True},
            "amount": {"type": "money", "required": True, "title": "x"},
            "period": TEXT,
        },
        ledger={"about": "deal", "who": "payee", "account": "account", "amount": "amount"},
    ),
    # fixed
    ("rule", "fixed"): rule({"action": "lead.fixed"}, {"find": "person", "as": "who", "where": "login == 's2'"}, {"set": {"owner": "who", "how": "'fixed'"}}),
    # round robin with absence and make-up turns
    ("rule", "turn"): rule(
        {"action": "lead.turn"},
        {"lock": ["'board'"]},
        {"find": "board", "as": "board", "where": "name == 'floor'"},
        {"find": "member", "as": "queue", "take": "all", "sort": ["seq"], "show": {"who": "person", "state": "state"}},
        {"find": "owed", "as": "owing", "take": "all", "sort": ["id"], "show": {"who": "person"}},
        {
            "do": "turn.next",
            "as": "next",
            "with": {"queue": "queue", "cursor": "board.cursor", "owed": "owing", "ready": "list('on')", "owe": "list('busy', 'out')"},
        },
        {"refuse": "NOBODY", "if": "empty(next.who)", "message": {"zh": "没有人在位"}},
        {"set": {"cursor": "next.cursor"}, "on": "board"},
        {"each": "next.newly_owed", "as": "late", "then": [{"create": "owed", "values": {"name": "'补接'", "person": "late"}}]},
        {"find": "owed", "as": "served", "if": "next.how == 'owed'", "where": "person == next.who", "sort": ["id"]},
        {"delete": "served", "if": "exists(served)"},
        {"set": {"owner": "next.who", "how": "next.how"}},
    ),
    # least loaded with weight and cap
    ("rule", "least"): rule(
        {"action": "lead.least"},
        {"lock": "'loads'"},
        {
            "find": "person",
            "as": "people_",
            "take": "all",
            "where": "has(roles, 'seller') and active",
            "sort": ["login"],
            "show": {"who": "id", "load": "load", "weight": "weight", "cap": "cap"},
        },
        {"do": "least", "as": "chosen", "with": {"candidates": "people_"}},
        {"refuse": "ALL_FULL", "if": "empty(chosen.who)"},
        {"set": {"owner": "chosen.who", "how": "'least'"}},
    ),
    # by region
    ("rule", "region"): rule(
        {"before": "create", "entity": "lead"},
        {"find": "person", "as": "local", "where": "region == record.region and exists(region)", "sort": ["load", "id"]},
        {"set": {"owner": "local", "how": "'region'"}, "if": "exists(local)"},
        **{"if": "exists(region)"},
    ),
    # grab, within a time
    ("rule", "grab"): rule(
        {"action": "lead.grab"},
        {"refuse": "TOO_LATE", "if": "grab_until <= now()", "message": {"zh": "已过抢单时间"}},
        {"set": {"owner": "me", "how": "'grab'"}, "expect": "empty(owner)", "refuse": "TAKEN", "message": {"zh": "已被抢走"}},
    ),
    # ledger
    ("rule", "entitle"): rule(
        {"action": "deal.entitle", "with": {"total": {"type": "money", "title": "x"}}},
        {"find": "share", "take": 50, "as": "shares", "where": "deal == record", "sort": ["seq", "person"], "show": {"who": "person", "weight": "bp"}},
        {"do": "allocate", "as": "parts", "with": {"amount": "param.total", "shares": "shares"}},
        {
            "do": "ledger.reach",
            "as": "posted",
            "with": {
                "ledger": "'entry'",
                "about": "record",
                "account": "'entitled'",
                "targets": "parts",
                "others": "'zero'",
                "values": {"name": "run.title", "period": "period_of(now(), 'month')"},
            },
        },
        {"do": "ledger.balances", "as": "now_", "with": {"ledger": "'entry'", "about": "record", "account": "'entitled'"}},
        {"set": {"total": "total(now_.amount)"}},
        give="posted",
    ),
    ("rule", "pay"): rule(
        {"action": "lead.pay", "with": {"deal": {"type": "link", "to": "deal", "title": "x", "required": True}}},
        {
            "do": "ledger.reach",
            "as": "posted",
            "with": {"ledger": "'entry'", "about": "param.deal", "account": "'paid'", "targets": [{"who": "me", "amount": 500}], "values": {"name": "'x'"}},
        },
        give="posted",
    ),
    # merge and back, evidence
    ("rule", "join"): rule(
        {"action": "lead.join", "with": {"other": {"type": "link", "to": "lead", "title": "x", "required": True}}},
        {"do": "merge", "as": "done", "with": {"keep": "record", "drop": "param.other"}},
        give="done",
    ),
    ("rule", "part"): rule(
        {"action": "lead.part", "with": {"other": {"type": "integer", "title": "x", "required": True}}},
        {"find": "lead", "as": "none_", "where": "id == param.other"},
        {"do": "merge.undo", "if": "exists(none_)", "with": {"keep": "record", "drop": "none_"}},
    ),
    ("rule", "freeze"): rule(
        {"action": "lead.freeze"},
        {"find": "member", "as": "seen", "take": "all", "sort": ["seq"]},
        {"do": "evidence.freeze", "as": "kept", "with": {"of": {"lead": "record", "members": "seen"}}},
        {"set": {"proof": "kept.json", "sum": "kept.sha256"}},
    ),
}
ACTIONS = ("fixed", "turn", "least", "grab", "join", "part", "freeze", "pay")


@pytest.fixture
def site(make_site, database_kind):
    grants = {"*": {"read": True, "create": True, "update": True, "delete": True}}
    grants["lead"] = {**grants["*"], "actions": dict.fromkeys(ACTIONS, True)}
    grants["deal"] = {**grants["*"], "actions": {"entitle": True}}
    roles = {("role", key): {"title": key, "grants": grants} for key in ("seller", "boss")}
    site = make_site(database_kind, {**DOCUMENTS, **roles})
    service.create(site.ctx(), "board", {"name": "floor"})
    for number, login in enumerate(("s1", "s2", "b1")):
        service.create(site.ctx(), "member", {"name": login, "person": site.person(login), "seq": number, "state": "on"})
    return site


def lead(site, **values) -> int:
    return service.create(site.ctx(), "lead", {"name": "客", **values}).id


def press(site, entity: str, record: int, name: str, login: str = "b1", **params):
    return service.act(site.ctx(login), entity, record, name, params)


def owner(site, record: int):
    who = site.row("lead", record)["owner"]
    return next((login for login in ("s1", "s2", "b1") if site.person(login) == who), None)


def given(site, name: str, login: str = "b1") -> str | None:
    record = lead(site)
    press(site, "lead", record, name, login)
    return owner(site, record)


def state(site, login: str, value: str) -> None:
    member = next(row for row in site.rows("member") if row["person"] == site.person(login))
    service.update(site.ctx(), "member", member["id"], {"state": value}, ANY)


def test_these_rules_are_sound(site):
    errors = [problem for problem in check(site.workspace.bundle, site.workspace.registry.vocabulary()) if problem.severity == "error"]
    assert errors == []


def test_fixed(site):
    assert given(site, "fixed") == "s2"


def test_round_robin_with_absence_and_make_up_turns(site):
    assert [given(site, "turn") for _ in range(4)] == ["s1", "s2", "b1", "s1"]
    state(site, "s2", "busy")
    assert given(site, "turn") == "b1" and [row["person"] for row in site.rows("owed")] == [site.person("s2")]
    state(site, "s2", "on")
    assert given(site, "turn") == "s2" and site.rows("owed") == []
    assert given(site, "turn") == "s1"
    state(site, "s2", "leave")
    assert given(site, "turn") == "b1" and site.rows("owed") == []
    for login in ("s1", "s2", "b1"):
        state(site, login, "out")
    with pytest.raises(Conflict, match="NOBODY"):
        given(site, "turn")
    assert site.rows("owed") == []


def test_least_loaded_with_weight_and_cap(site):
    service.update(site.ctx(), "person", site.person("s1"), {"weight": 2}, ANY)
    assert [given(site, "least") for _ in range(6)] == ["s1", "s2", "s1", "s1", "s2", "s1"]
    service.update(site.ctx(), "person", site.person("s1"), {"cap": 4}, ANY)
    assert [given(site, "least") for _ in range(2)] == ["s2", "s2"]
    service.update(site.ctx(), "person", site.person("s2"), {"cap": 1}, ANY)
    with pytest.raises(Conflict, match="ALL_FULL"):
        given(site, "least")


def test_by_region(site):
    service.update(site.ctx(), "person", site.person("s2"), {"region": "north"}, ANY)
    assert owner(site, lead(site, region="north")) == "s2" and owner(site, lead(site, region="south")) is None and owner(site, lead(site)) is None


def test_grab_within_a_time(site):
    record = lead(site, grab_until="2026-03-01T12:00:00+08:00")
    press(site, "lead", record, "grab", "s1")
    assert owner(site, record) == "s1"
    with pytest.raises(Conflict, match="TAKEN"):
        press(site, "lead", record, "grab", "s2")
    other = lead(site, grab_until="2026-03-01T12:00:00+08:00")
    site.later(hours=2)
    with pytest.raises((Conflict, Invalid), match="TOO_LATE"):
        press(site, "lead", other, "grab", "s1")


def test_shares_are_posted_once_and_exactly(site):
    deal = service.create(site.ctx(), "deal", {"name": "一"}).id
    for number, (login, points) in enumerate((("s1", 3333), ("s2", 3333), ("b1", 3334))):
        service.create(site.ctx(), "share", {"name": login, "deal": deal, "person": site.person(login), "bp": points, "seq": number})
    first = press(site, "deal", deal, "entitle", total=10_000)
    assert [row["amount"] for row in first.result["posted"]] == [3333, 3333, 3334] and site.row("deal", deal)["total"] == 10_000
    assert press(site, "deal", deal, "entitle", total=10_000).result["posted"] == []
    again = press(site, "deal", deal, "entitle", total=100).result
    assert again["total"] == -9_900 and site.row("deal", deal)["total"] == 100
    assert {row["period"] for row in site.rows("entry")} == {"2026-03"} and sum(row["amount"] for row in site.rows("entry")) == 100


def test_two_records_are_merged_by_a_button_and_the_entitys_word_refuses(site):
    keep, drop = lead(site), lead(site, region="north")
    assert press(site, "lead", keep, "join", other=drop).result["fields"]
    assert [row["id"] for row in site.rows("lead")] == [keep] and site.row("lead", keep)["region"] == "north"
    other = lead(site, status="closed")
    with pytest.raises(Conflict, match="merge_refused"):
        press(site, "lead", keep, "join", other=other)


def test_evidence_is_frozen_into_a_field_written_once(site):
    record = lead(site)
    press(site, "lead", record, "freeze")
    row = site.row("lead", record)
    assert len(row["sum"]) == 64 and [item["values"]["name"] for item in row["proof"]["of"]["members"]] == ["s1", "s2", "b1"]
    with pytest.raises((Conflict, Invalid)):
        press(site, "lead", record, "freeze")


def together(many: int, work) -> list[Any]:
    """The work of several people at the same instant; what each got or met."""
    start = Barrier(many)

    def one(number: int) -> Any:
        start.wait()
        try:
            return work(number)
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


def test_balances_asked_for_at_the_same_instant_are_posted_once(site):
    """From buttons of different records, so that nothing but the ledger's own lock stands between them."""
    deal = service.create(site.ctx(), "deal", {"name": "一"}).id
    leads = [lead(site) for _ in range(8)]
    told = together(8, lambda number: press(site, "lead", leads[number], "pay", deal=deal).result["total"])
    assert sorted(told) == [0] * 7 + [500] and [row["amount"] for row in site.rows("entry")] == [500]


def test_turns_taken_at_the_same_instant_are_fair(site):
    leads = [lead(site) for _ in range(9)]
    assert together(9, lambda number: press(site, "lead", leads[number], "turn") and "done") == ["done"] * 9
    owners = [owner(site, record) for record in leads]
    assert {login: owners.count(login) for login in ("s1", "s2", "b1")} == {"s1": 3, "s2": 3, "b1": 3}


def test_one_grabs_where_many_reach(site):
    record = lead(site, grab_until="2026-03-01T12:00:00+08:00")
    told = together(10, lambda number: press(site, "lead", record, "grab", ("s1", "s2", "b1")[number % 3]) and "won")
    assert sorted(told) == ["TAKEN"] * 9 + ["won"] and owner(site, record) is not None


def test_a_rules_reach_includes_what_the_actions_it_calls_touch(site):
    rules = rule_book(site.workspace).rules
    assert ("create", "entry") in rules["entitle"].reach.writes and "entry" in rules["entitle"].reach.reads
    assert ("merge", "lead") in rules["join"].reach.writes and "merge" in rules["join"].reach.actions
    assert not {place for place in rules["turn"].reach.writes if place[0] == "merge"}
