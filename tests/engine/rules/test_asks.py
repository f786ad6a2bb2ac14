"""Approvals: who decides and who may not, turns and numbers, opinions and filled-in values, returned, delegated, withdrawn, escalated, expired; branches once."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from engine import upkeep
from engine.background import worker_of
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.jobs import put
from engine.notices import inbox, unread
from engine.publishing import plan_publish, publish
from engine.records import service
from engine.records.asks import asked, mine, waiting_for, what_waits
from engine.records.asks_deciding import add_signer, decide, delegate, due, give_back, next_due, send_again, tick, withdraw
from engine.records.record import ANY

from .conftest import DOCUMENTS_OF_SITE


def ask_rule(**words):
    step = {
        "ask": "discount",
        "as": "said",
        "about": "record",
        "who": "people('boss')",
        "not": "me",
        "message": {"zh": "{name} 申请折扣"},
        "approved": [
            {"set": {"note": "concat('ok ', coalesce(said.opinion, ''))", "budget": "coalesce(said.price, budget)"}},
            {"set": {"calls": "1"}, "if": "me == owner"},
        ],
        "refused": [{"set": {"note": "concat('no ', answer.opinion)"}}],
        "expired": [{"set": {"note": "'late'"}}],
        "withdrawn": [{"set": {"note": "'back'"}}],
        "finally": [{"set": {"seen": "seen + 1"}}],
        **words,
    }
    return {"title": {"zh": "申请折扣"}, "on": {"action": "customer.discount"}, "if": "stage == 'new'", "then": [step, {"set": {"code": "'asked'"}}]}


SPANS = {
    **DOCUMENTS_OF_SITE["settings", "settings"],
    "reply_within": {"type": "duration", "default": "PT4H", "title": "审批期限"},
    "chief_after": {"type": "duration", "default": "PT3H", "title": "上报"},
}
SELLER = {
    "title": "销售",
    "grants": {
        "customer": {"read": True, "create": True, "update": True, "actions": {"discount": True}, "fields": {"budget": {"read": False}}},
        "person": {"read": True},
    },
}


@pytest.fixture
def asking(make_site, database_kind):
    """Makes a site whose sellers may ask for a discount, and asks; bosses b1, b2, b3. Gives the site, the customer, the approval's number."""

    def make(budget=None, **words):
        site = make_site(database_kind, {("rule", "discount"): ask_rule(**words), ("role", "seller"): SELLER, ("settings", "settings"): SPANS})
        for login in ("b2", "b3"):
            service.create(site.ctx(), "person", {"name": f"人{login}", "login": login, "roles": ["boss"]})
        customer = site.held("s1")
        service.update(site.ctx(), "customer", customer, {"budget": budget}, ANY, json=True)
        service.act(site.ctx("s1"), "customer", customer, "discount", {})
        (found,) = reading(site, "s1", mine, state="asked")
        return site, customer, found.id

    return make


def reading(site, login, read, *args, **words):
    with site.ctx(login).snapshot() as ctx:
        return read(ctx, *args, **words)


def test_steps_after_an_ask_go_on_and_the_branch_runs_once_it_is_decided(asking):
    site, customer, number = asking()
    assert site.row("customer", customer)["code"] == "asked" and site.row("customer", customer)["note"] is None
    assert reading(site, "b2", waiting_for) == 1 and reading(site, "s1", waiting_for) == 0
    told = {login: (reading(site, login, waiting_for), reading(site, login, unread)) for login in ("b2", "s1")}
    assert {login: reading(site, login, what_waits)[:2] for login in told} == told and told["b2"] == (1, 1)
    (found,) = reading(site, "b1", mine)
    assert (found.title, found.applicant, found.about) == ("张三 申请折扣", "人s1", customer)
    assert decide(site.ctx("b2"), number, True, opinion="可以") == "approved"
    row = site.row("customer", customer)
    assert (row["note"], row["seen"]) == ("ok 可以", 1)
    assert reading(site, "b1", mine) == [] and reading(site, "b1", waiting_for) == 0
    with pytest.raises(Conflict) as over:
        decide(site.ctx("b1"), number, False)
    assert over.value.code == "ask_over"
    assert reading(site, "s1", asked, number).state == "approved"


def test_a_refusal_may_demand_its_opinion_and_runs_the_other_branch(asking):
    site, customer, number = asking(opinion="required")
    with pytest.raises(Invalid) as wanting:
        decide(site.ctx("b1"), number, False, opinion=" ")
    assert wanting.value.faults[0].pointer == "/opinion"
    assert decide(site.ctx("b1"), number, False, opinion="太多") == "refused"
    assert site.row("customer", customer)["note"] == "no 太多"


def test_what_the_approver_fills_in_is_read_like_a_field(asking):
    site, customer, number = asking(fields={"price": {"type": "money", "required": True, "minimum": 1, "title": "成交价"}})
    with pytest.raises(Invalid) as wrong:
        decide(site.ctx("b1"), number, True, values={"price": "-3", "x": 1})
    assert {fault.pointer for fault in wrong.value.faults} == {"/price", "/x"}
    decide(site.ctx("b1"), number, True, values={"price": "1,200.50"})
    assert site.row("customer", customer)["budget"] == 120050


def test_whoever_asked_and_who_is_not_asked_cannot_decide(asking):
    site, _, number = asking(who="list(me, people('boss'))")
    with pytest.raises(Denied):
        decide(site.ctx("s1"), number, True)
    with pytest.raises(NotFound):
        decide(site.ctx("s2"), number, True)
    with pytest.raises(NotFound):
        reading(site, "s2", asked, number)


def test_all_need_everybody_and_one_refusal_ends_it(asking):
    site, customer, number = asking(need="all")
    assert decide(site.ctx("b1"), number, True) == "open"
    assert decide(site.ctx("b2"), number, True) == "open"
    with pytest.raises(Conflict):
        decide(site.ctx("b1"), number, True)
    assert decide(site.ctx("b3"), number, True) == "approved"
    site, customer, number = asking(need="all")
    assert decide(site.ctx("b1"), number, True) == "open"
    assert decide(site.ctx("b2"), number, False, opinion="不") == "refused"
    assert site.row("customer", customer)["note"] == "no 不"


def test_a_number_is_approved_as_soon_as_so_many_agree_and_refused_when_they_no_longer_can(asking):
    site, _, number = asking(need=2)
    assert decide(site.ctx("b1"), number, False) == "open"
    assert decide(site.ctx("b2"), number, True) == "open"
    assert decide(site.ctx("b3"), number, True) == "approved"
    site, _, number = asking(need=2)
    assert decide(site.ctx("b1"), number, False) == "open"
    assert decide(site.ctx("b2"), number, False) == "refused"


def test_in_order_the_next_one_waits_for_the_one_before(asking):
    site, _, number = asking(need="order")
    with pytest.raises(Conflict) as early:
        decide(site.ctx("b2"), number, True)
    assert early.value.code == "ask_not_yet" and reading(site, "b2", waiting_for) == 0
    assert decide(site.ctx("b1"), number, True) == "open"
    assert reading(site, "b2", waiting_for) == 1
    assert decide(site.ctx("b2"), number, True) == "open"
    assert decide(site.ctx("b3"), number, True) == "approved"


def test_a_returned_one_is_sent_again_and_everybody_decides_anew(asking):
    site, _, number = asking(need="all")
    decide(site.ctx("b1"), number, True)
    give_back(site.ctx("b2"), number, "请补充理由")
    assert reading(site, "s1", asked, number).state == "returned" and reading(site, "b3", waiting_for) == 0
    send_again(site.ctx("s1"), number)
    assert [state for _, _, state, _, _ in reading(site, "s1", asked, number).people] == ["open"] * 3


def test_a_turn_is_delegated_and_one_more_person_is_asked(asking):
    site, _, number = asking()
    with pytest.raises(Invalid):
        delegate(site.ctx("b1"), number, site.person("s1"))
    delegate(site.ctx("b1"), number, site.person("s2"))
    assert reading(site, "s2", waiting_for) == 1
    with pytest.raises(Conflict):
        decide(site.ctx("b1"), number, True)
    with pytest.raises(Invalid):
        add_signer(site.ctx("b2"), number, site.person("s2"))
    assert decide(site.ctx("s2"), number, True) == "approved"


def test_a_signer_added_must_agree_too(asking):
    site, _, number = asking(who="people('boss')", need="any")
    add_signer(site.ctx("b1"), number, site.person("s2"))
    assert decide(site.ctx("b1"), number, True) == "open"
    assert decide(site.ctx("s2"), number, True) == "approved"


def test_whoever_asked_takes_it_back(asking):
    site, customer, number = asking()
    with pytest.raises(NotFound):
        withdraw(site.ctx("s2"), number)
    withdraw(site.ctx("s1"), number)
    assert site.row("customer", customer)["note"] == "back"
    with pytest.raises(Conflict):
        decide(site.ctx("b1"), number, True)


def test_time_escalates_and_expires_and_never_approves(asking):
    site, customer, number = asking(who="me.lead", within="PT24H", escalate={"after": "PT8H", "to": "people('boss')"})
    # nobody leads: those it escalates to are asked at once
    assert reading(site, "b1", waiting_for) == 1
    with site.ctx().snapshot() as ctx:
        assert next_due(ctx.open) == ctx.now + timedelta(hours=8) and due(ctx.open, ctx.now) == []
    site.later(hours=9)
    with site.ctx().snapshot() as ctx:
        assert due(ctx.open, ctx.now) == [number]
    assert tick(site.ctx(), number) == "open" == tick(site.ctx(), number)
    site.later(hours=16)
    assert tick(site.ctx(), number) == "expired" == tick(site.ctx(), number)
    row = site.row("customer", customer)
    assert (row["note"], row["seen"]) == ("late", 1)


def test_how_long_it_may_take_can_be_a_setting(asking):
    site, customer, number = asking(within="setting.reply_within", escalate={"after": "setting.chief_after", "to": "people('seller')"})
    site.later(hours=3)
    assert (tick(site.ctx(), number), reading(site, "s2", waiting_for)) == ("open", 1)
    site.later(hours=1)
    assert (tick(site.ctx(), number), site.row("customer", customer)["note"]) == ("expired", "late")


def test_before_it_is_approved_the_rules_condition_is_looked_at_again(asking):
    site, customer, number = asking()
    service.update(site.ctx(), "customer", customer, {"stage": "met"}, ANY)
    assert decide(site.ctx("b1"), number, True) == "withdrawn"
    assert site.row("customer", customer)["note"] == "back"


def test_an_open_one_finishes_on_the_version_it_began_with(asking):
    site, customer, number = asking()
    changed = ask_rule(approved=[{"set": {"note": "'new branch'"}}])
    ctx = site.ctx()
    bundle = ctx.workspace.bundle.replace({("rule", "discount"): changed})
    publish(ctx, plan_publish(ctx, bundle))
    decide(site.ctx("b1"), number, True, opinion="可")
    assert site.row("customer", customer)["note"] == "ok 可"


CUSTOMER = DOCUMENTS_OF_SITE["entity", "customer"]
MOODY = {**CUSTOMER, "fields": {**CUSTOMER["fields"], "mood": {"type": "text", "title": "心情"}}}
GLAD = {"title": "高兴", "on": {"after": "update", "entity": "customer"}, "if": "mood == 'glad'", "then": [{"set": {"seen": "100"}}]}


@pytest.fixture
def moody(make_site, database_kind):
    """Makes a site whose customers have a mood that a rule reads, asks for a discount, and publishes without mood and that rule. Gives site, customer, number."""

    def make(rule, then):
        documents = {("rule", "discount"): rule, ("rule", "glad"): GLAD, ("role", "seller"): SELLER, ("settings", "settings"): SPANS}
        site = make_site(database_kind, {**documents, ("entity", "customer"): MOODY})
        customer = site.held("s1")
        service.act(site.ctx("s1"), "customer", customer, "discount", {})
        (found,) = reading(site, "s1", mine, state="asked")
        ctx = site.ctx()
        gone = {("rule", "glad"): None, ("entity", "customer"): CUSTOMER}
        if then is None:
            gone["role", "seller"] = {**SELLER, "grants": {"customer": {"read": True}}}
        bundle = ctx.workspace.bundle.replace({**gone, ("rule", "discount"): then})
        publish(ctx, plan_publish(ctx, bundle))
        return site, customer, found.id

    return make


def test_an_open_one_finishes_whatever_another_rule_of_its_version_speaks_of(moody):
    site, customer, number = moody(ask_rule(), ask_rule(approved=[{"set": {"note": "'new branch'"}}]))
    assert decide(site.ctx("b1"), number, True, opinion="可") == "approved"
    assert (site.row("customer", customer)["note"], site.row("customer", customer)["seen"]) == ("ok 可", 1)


def test_an_open_one_whose_rule_speaks_of_what_is_gone_finishes_as_the_rule_is_now(moody):
    site, customer, number = moody(ask_rule(approved=[{"set": {"mood": "'glad'"}}]), ask_rule(approved=[{"set": {"note": "'new branch'"}}]))
    assert decide(site.ctx("b1"), number, True, opinion="可") == "approved"
    assert site.row("customer", customer)["note"] == "new branch"


def test_an_open_one_whose_rule_is_gone_with_what_it_speaks_of_ends_as_withdrawn(moody):
    site, customer, number = moody(ask_rule(approved=[{"set": {"mood": "'glad'"}}]), None)
    assert decide(site.ctx("b1"), number, True, opinion="可") == "withdrawn"
    assert (site.row("customer", customer)["note"], site.row("customer", customer)["seen"]) == (None, 0)
    assert reading(site, "b1", waiting_for) == 0 and reading(site, "b1", unread) == 0


def test_what_waits_runs_though_another_rule_of_its_version_speaks_of_what_is_gone(make_site, database_kind):
    later = {"title": "稍后", "on": {"later": "create", "entity": "task"}, "then": [{"set": {"status": "'seen'"}}]}
    site = make_site(database_kind, {("rule", "glad"): GLAD, ("rule", "later"): later, ("entity", "customer"): MOODY})
    task = service.create(site.ctx(), "task", {"title": "一"}).id
    ctx = site.ctx()
    publish(ctx, plan_publish(ctx, ctx.workspace.bundle.replace({("entity", "customer"): CUSTOMER, ("rule", "glad"): None})))
    worker_of(site.home).drain(site.name)
    assert site.row("task", task)["status"] == "seen"


def test_where_none_is_needed_the_branch_runs_at_once(asking, make_site, database_kind):
    rule = ask_rule(needed="budget > 100")
    site = make_site(database_kind, {("rule", "discount"): rule, ("role", "seller"): SELLER})
    customer = site.held("s1")
    service.act(site.ctx("s1"), "customer", customer, "discount", {})
    row = site.row("customer", customer)
    assert (row["note"], row["seen"]) == ("ok", 1) and reading(site, "b1", mine) == []


def test_two_who_decide_at_the_same_instant_decide_once(asking):
    site, customer, number = asking()
    barrier, outcomes = Barrier(3), []

    def run(login):
        ctx = site.ctx(login)
        barrier.wait()
        try:
            outcomes.append(decide(ctx, number, True))
        except Conflict as over:
            outcomes.append(over.code)

    threads = [Thread(target=run, args=(login,)) for login in ("b1", "b2", "b3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["approved", "ask_over", "ask_over"]
    assert site.row("customer", customer)["seen"] == 1


# --- being told --------------------------------------------------------------------------------------------------------------------------------


def told_of_asks(site, login):
    """What somebody was told of approvals: the texts, and whether each is read."""
    return [(item.text, item.read) for item in inbox(site.ctx(login)).items if item.kind == "ask"]


def test_whoever_is_to_decide_is_told_once_and_nobody_else(asking):
    site, _, number = asking()
    assert told_of_asks(site, "b1") == told_of_asks(site, "b2") == [("待您审批：张三 申请折扣", False)]
    assert told_of_asks(site, "s1") == [] and unread(site.ctx("b1")) == 1
    give_back(site.ctx("b1"), number, "写清楚")
    send_again(site.ctx("s1"), number)
    assert len(told_of_asks(site, "b1")) == 1


def test_a_decided_one_leaves_nothing_unread(asking):
    site, _, number = asking()
    decide(site.ctx("b2"), number, True, opinion="可以")
    assert [told_of_asks(site, login) for login in ("b1", "b2", "b3")] == [[("待您审批：张三 申请折扣", True)]] * 3


def test_in_order_each_is_told_when_their_turn_has_come(asking):
    site, _, number = asking(need="order")
    assert (len(told_of_asks(site, "b1")), told_of_asks(site, "b2")) == (1, [])
    decide(site.ctx("b1"), number, True, opinion="可以")
    assert (len(told_of_asks(site, "b2")), told_of_asks(site, "b3")) == (1, [])


def test_whoever_it_is_handed_on_to_is_told(asking):
    site, _, number = asking()
    service.create(site.ctx(), "person", {"name": "人b4", "login": "b4", "roles": ["boss"]})
    delegate(site.ctx("b1"), number, site.person("b4"))
    assert told_of_asks(site, "b4") == [("待您审批：张三 申请折扣", False)]


def test_those_it_escalates_to_are_told_and_never_whoever_may_not_decide(asking):
    site, _, number = asking(escalate={"after": "PT1H", "to": "people('seller')"})
    assert told_of_asks(site, "s2") == []
    site.later(hours=2)
    assert tick(site.ctx(), number) == "open" == tick(site.ctx(), number)
    assert len(told_of_asks(site, "s2")) == 1 and len(told_of_asks(site, "b1")) == 1
    assert told_of_asks(site, "s1") == []
    with pytest.raises(Denied):
        decide(site.ctx("s1"), number, True, opinion="自己同意")


def test_a_title_is_filled_with_the_eyes_of_whoever_reads_it(asking):
    """The seller who asked sees no budget; the boss who decides sees it, in the approval and in the message."""
    site, _, number = asking(budget=100_000, message={"zh": "{name}，预算 {budget}"})
    with site.ctx("s1").snapshot() as ctx:
        assert asked(ctx, number).title == "张三，预算 ***"
    with site.ctx("b1").snapshot() as ctx:
        assert asked(ctx, number).title == "张三，预算 1,000"
    assert told_of_asks(site, "b1") == [("待您审批：张三，预算 1,000", False)]


# --- somebody leaves ------------------------------------------------------------------------------------------------------------------------


def leave(site, login):
    """Somebody does not work here any more, and what follows from it is done."""
    service.update(site.ctx(), "person", site.person(login), {"active": False}, ANY)
    worker_of(site.home).drain(site.name)


def asked_now(site, number):
    with site.ctx().snapshot() as ctx:
        return [(label, state) for _, label, state, _, _ in asked(ctx, number).people]


def test_what_waits_for_somebody_who_left_goes_to_who_leads_them_with_a_notice(asking):
    site, _, number = asking(need="order")
    top = service.create(site.ctx(), "team", {"name": "总部", "lead": site.person("s2")}).id
    team = service.create(site.ctx(), "team", {"name": "一组", "parent": top, "lead": site.person("b1")}).id
    service.update(site.ctx(), "person", site.person("b1"), {"team": team}, ANY)
    before = reading(site, "s2", unread)
    leave(site, "b1")
    assert asked_now(site, number) == [("人b1", "passed"), ("人s2", "open"), ("人b2", "waiting"), ("人b3", "waiting")]
    assert reading(site, "s2", unread) == before + 1 and reading(site, "s2", waiting_for) == 1
    leave(site, "b3")
    assert asked_now(site, number)[2:] == [("人b2", "waiting"), ("人b3", "passed")], "no team, no administrator beside those asked: the others decide"
    assert decide(site.ctx("s2"), number, True) == "open" and decide(site.ctx("b2"), number, True) == "approved"


def test_where_nobody_leads_them_the_administrators_decide_and_never_whoever_asked(asking):
    site, _, number = asking()
    for login in ("b2", "b3"):
        leave(site, login)
    service.create(site.ctx(), "person", {"name": "人b4", "login": "b4", "roles": ["boss"]})
    service.update(site.ctx(), "person", site.person("s1"), {"roles": ["seller", "boss"]}, ANY)
    leave(site, "b1")
    assert dict(asked_now(site, number)) == {"人b1": "passed", "人b2": "passed", "人b3": "passed", "人b4": "open"}
    assert decide(site.ctx("b4"), number, True) == "approved"


def test_what_waits_for_somebody_whose_last_day_has_passed_is_passed_on_within_the_hour(asking):
    site, _, number = asking()
    ends = site.ctx().now + timedelta(days=1)
    for login in ("b1", "b2"):
        service.update(site.ctx(), "person", site.person(login), {"ends_at": ends.isoformat()}, ANY, json=True)
    site.later(days=2)
    with site.ctx().writing() as ctx:
        put(ctx.open, site.name, upkeep.JOB, {})
    worker_of(site.home).drain(site.name)
    assert dict(asked_now(site, number)) == {"人b1": "passed", "人b2": "passed", "人b3": "open"}
