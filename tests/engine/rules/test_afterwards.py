"""What rules ask for after the commit: later runs, events, items apart, approvals whose time is up; each once, in jobs."""

from datetime import timedelta

import pytest

from engine.background import SOURCES, worker_of
from engine.jobs import newest
from engine.records import service
from engine.records.asks import asked
from engine.records.record import ANY
from engine.rehearsal import advance
from tests.engine.rules.test_asks import SELLER, ask_rule


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
