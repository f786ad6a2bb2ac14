"""What rules ask for after the commit: later runs, events, items apart, approvals whose time is up; each once, in jobs."""

import os
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from engine.background import SOURCES, worker_of
from engine.errors import Conflict, Denied, NotFound, Unavailable
from engine.jobs import newest
from engine.records import service
from engine.records.asks import asked
from engine.records.history import timeline
from engine.records.record import ANY
from engine.rehearsal import advance
from tests.engine.rules.conftest import DOCUMENTS_OF_SITE
from tests.engine.rules.test_asks import SELLER, ask_rule

FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"


@pytest.fixture
def drain():
    """Runs what is asked for in a site."""

    def run(site):
        worker = worker_of(site.home)
        worker.drain()
        return worker

    return run


def test_a_later_rule_runs_after_the_commit_once_and_names_who_set_it_off(make_site, database_kind, drain):
    rule = {
        "title": "稍后",
        "on": {"later": "update", "entity": "customer", "fields": ["grade"]},
        "if": "old.grade != grade",
        "then": [{"create": "task", "values": {"customer": "record", "title": "concat(old.grade, '→', grade)", "owner": "me"}}],
    }
    site = make_site(database_kind, {("rule", "regrade"): rule})
    customer = site.held("s1")
    service.update(site.ctx("s1"), "customer", customer, {"grade": "A"}, ANY)
    assert site.rows("task") == []
    drain(site)
    drain(site)
    (task,) = site.rows("task")
    assert (task["title"], task["owner"]) == ("C→A", site.person("s1"))
    (run,) = site.runs("regrade")
    assert (run["trigger"], run["state"], run["person"]) == ("later", "done", site.person("s1"))


def test_a_refused_save_leaves_nothing_to_be_done_later(make_site, database_kind, drain):
    later = {"title": "稍后", "on": {"later": "create", "entity": "task"}, "then": [{"set": {"status": "'later'"}}]}
    stop = {"title": "停", "on": {"after": "create", "entity": "task"}, "if": "title == 'stop'", "then": [{"refuse": "STOP"}]}
    site = make_site(database_kind, {("rule", "later"): later, ("rule", "stop"): stop})
    with pytest.raises(Exception, match="STOP"):
        service.create(site.ctx(), "task", {"title": "stop"})
    service.create(site.ctx(), "task", {"title": "go"})
    drain(site)
    assert [row["status"] for row in site.rows("task")] == ["later"]
    assert len([job for job in newest(site.workspace.database, site.name) if job.name == "rule"]) <= 1


def test_an_event_starts_every_rule_that_waits_for_it_with_its_values(make_site, database_kind, drain):
    documents = {
        ("rule", "call"): {
            "title": "叫",
            "on": {"after": "create", "entity": "task"},
            "if": "title == 'call'",
            "then": [{"do": "emit", "with": {"event": "'called'", "values": {"who": "record", "text": "record.title"}}}],
        },
        ("rule", "hear"): {
            "title": "听",
            "on": {"event": "called", "with": {"who": {"type": "link", "to": "task"}, "text": {"type": "text"}}},
            "then": [{"create": "task", "values": {"title": "concat('heard ', param.who.title)"}}],
        },
    }
    site = make_site(database_kind, documents)
    service.create(site.ctx(), "task", {"title": "call"})
    drain(site)
    assert [row["title"] for row in site.rows("task")] == ["call", "heard call"]


def test_items_apart_are_handled_one_by_one_and_counted(make_site, database_kind, drain):
    rule = {
        "title": "分派",
        "on": {"action": "customer.spread", "with": {"word": {"type": "text"}}},
        "then": [
            {
                "each": {"find": "task", "where": "customer == record", "sort": ["id"]},
                "as": "one",
                "apart": True,
                "then": [{"refuse": "BAD", "if": "one.title == 'bad'"}, {"set": {"status": "param.word"}, "on": "one"}],
                "done": [{"set": {"note": "concat(tally.done, '/', tally.refused)"}}],
            }
        ],
    }
    role = {
        "title": "经理",
        "grants": {"*": {"read": True, "update": True, "create": True}, "customer": {"read": True, "update": True, "actions": {"spread": True}}},
    }
    site = make_site(database_kind, {("rule", "spread"): rule, ("role", "boss"): role})
    customer = site.customer()
    for title in ("a", "bad", "c"):
        service.create(site.ctx(), "task", {"customer": customer, "title": title})
    service.act(site.ctx("b1"), "customer", customer, "spread", {"word": "spread"})
    assert {row["status"] for row in site.rows("task")} == {"open"}
    drain(site)
    assert [row["status"] for row in site.rows("task")] == ["spread", "open", "spread"]
    assert site.row("customer", customer)["note"] == "2/1"
    (job,) = [job for job in newest(site.workspace.database, site.name) if job.name == "apart"]
    assert (job.state, job.progress["done"], job.progress["refused"], job.progress["faults"]) == ("done", 2, 1, [{"item": 1, "code": "BAD"}])


def test_the_clock_ends_an_approval_nobody_decides(make_site, database_kind, drain):
    site = make_site(database_kind, {("rule", "discount"): ask_rule(within="PT24H"), ("role", "seller"): SELLER})
    customer = site.held("s1")
    service.act(site.ctx("s1"), "customer", customer, "discount", {})
    number = 1
    ran = advance(site.home, site.name, site.ctx().now + timedelta(hours=30), drain(site), SOURCES)
    with site.ctx().snapshot() as ctx:
        found = asked(ctx, number)
    assert found.state == "expired" and found.decided_at - found.at == timedelta(hours=24)
    assert site.row("customer", customer)["note"] == "late"
    assert [one.rule for one in ran.ran] == ["discount"]


@pytest.mark.parametrize("together", [2, 50])
def test_rows_loaded_at_once_set_off_the_same_rules_as_rows_saved_one_by_one(make_site, database_kind, monkeypatch, together):
    """Also where some of them are written together, and one of those is refused; they are read as people type them."""
    monkeypatch.setattr("engine.records.service.TOGETHER", together)
    site = make_site(database_kind)
    phones = ["139 0000 0001", "", "13900000001", "1390000-0002", "13900000003", "13900000003"]
    results = service.load(site.ctx("s1"), "visit", [{"name": phone and f"客{number}", "phone": phone} for number, phone in enumerate(phones)])
    assert [(result.outcome, result.code) for result in results] == [("refused", "invalid") if not phone else ("created", "") for phone in phones]
    verdicts = ["第3条：新客户", "第2条：老客户", "第3条：新客户", "第3条：新客户", "第2条：老客户"]
    assert [row["verdict"] for row in site.rows("visit")] == verdicts and len(site.runs("judge_visit")) == 5
    made = [[one for entity, one, _ in result.more if entity == "customer"] for result in results]
    assert made == [[1], [], [], [2], [3], []] and [row["id"] for row in site.rows("customer")] == [1, 2, 3]
    noted = [entry.verb for result in results if result.id is not None for entry in timeline(site.ctx(), "visit", result.id).items]
    assert noted.count("create") == 5


def test_a_hundred_who_claim_at_the_same_instant_have_one_winner(make_site, database_kind):
    """Everyone else is told the rule's own refusal, and nothing of theirs stays."""
    people, rounds = (100, 1000) if FULL else (12, 2)
    settings = DOCUMENTS_OF_SITE["settings", "settings"]
    quota = {"claim_quota": {**settings["claim_quota"], "default": rounds}}  # whoever wins often is to be refused by the race, not by the quota
    site = make_site(database_kind, {("settings", "settings"): settings | quota})
    for number in range(people):
        service.create(site.ctx(), "person", {"name": f"卖{number}", "login": f"x{number}", "roles": ["seller"]})
    for round_ in range(rounds):
        free = site.customer(f"客{round_}")
        ready, outcomes = Barrier(people), []

        def claim(login, free=free, ready=ready, outcomes=outcomes):
            ctx = site.ctx(login)
            ready.wait()
            while True:
                try:
                    service.act(ctx, "customer", free, "claim", {"reason": "我要跟进他"})
                    outcomes.append("done")
                except (Conflict, Denied, NotFound) as refusal:
                    outcomes.append(refusal.code)
                except Unavailable:  # no connection to be had in time on a busy machine: pressed again
                    continue
                return

        threads = [Thread(target=claim, args=(f"x{number}",)) for number in range(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == people and outcomes.count("done") == 1, (round_, outcomes)
        assert set(outcomes) - {"done"} <= {"action_not_now", "may_not_act", "no_such_record"}
        spells = [row for row in site.rows("spell") if row["customer"] == free]
        claims = [row for row in site.rows("claim") if row["customer"] == free]
        assert len(spells) == len(claims) == 1 and spells[0]["person"] == claims[0]["applicant"]


def test_two_visits_with_one_new_telephone_at_once_make_one_customer(make_site, database_kind):
    """The loser of the race for the unique key is run again as a whole, and then knows the winner's customer."""
    site = make_site(database_kind)
    ready, outcomes = Barrier(8), []

    def come(number):
        ctx = site.ctx("s1")
        ready.wait()
        try:
            outcomes.append(service.create(ctx, "visit", {"name": f"客{number}", "phone": "13900000077"}).record["row"])
        except Conflict as refusal:
            outcomes.append(refusal.code)

    threads = [Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [2] * 7 + [3], outcomes
    assert len(site.rows("customer")) == 1 and site.rows("customer")[0]["seen"] == 8


def test_many_runs_of_one_transaction_that_run_others_have_each_their_own_row(make_site, database_kind, drain):
    """Jobs that share a transaction share the ids they draw: none is drawn twice, however deep the runs go and whoever fails between."""
    rules = {
        ("rule", "outer"): {
            "title": "外",
            "on": {"later": "create", "entity": "task"},
            "then": [{"do": "task.inner", "with": {"task": "record"}}, {"refuse": "ODD", "if": "title == '3'"}],
        },
        ("rule", "inner"): {"title": "内", "on": {"action": "task.inner"}, "then": [{"do": "task.deep", "with": {"task": "record"}}]},
        ("rule", "deep"): {"title": "深", "on": {"action": "task.deep"}, "then": [{"set": {"status": "'deep'"}}]},
    }
    site = make_site(database_kind, rules)
    for number in range(24):
        service.create(site.ctx(), "task", {"title": str(number)})
    drain(site)
    assert [row["status"] for row in site.rows("task")].count("deep") == 23
    runs = site.runs()
    assert len({run["id"] for run in runs}) == len(runs) and [run["state"] for run in runs].count("done") == 23 * 3
