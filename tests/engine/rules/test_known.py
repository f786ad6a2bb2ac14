"""What a transaction knows it does not ask for: rows that link to a record it has made, rows it has read, answers it was given, until it takes a lock."""

from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from engine.errors import Conflict
from engine.records import service
from engine.records.record import ANY
from tests.engine.homes import sent

TASKS = [
    {"create": "task", "key": "one", "values": {"customer": "record", "title": "'one'", "amount": 500}},
    {"create": "task", "key": "two", "values": {"customer": "record", "title": "'two'", "amount": 700, "status": "'done'"}},
    {"find": "task", "as": "every", "take": "count", "where": "customer == record"},
    {"find": "task", "as": "still", "take": "count", "where": "customer == record and status == 'open'"},
    {"find": "task", "as": "sum", "take": {"sum": "amount"}, "where": "customer == record"},
    {"find": "task", "as": "none", "where": "customer == record and title == 'three'"},
    {"find": "task", "as": "least", "take": {"min": "amount"}, "where": "customer == record and title == 'three'"},
    {"find": "task", "as": "last", "where": "customer == record", "sort": ["-amount"]},
    {"find": "task", "as": "both", "take": 5, "where": "customer == record", "show": {"title": "title"}},
    {
        "let": {
            "said": "concat(every, ' ', still, case(sum == 1200, ' all', ' other'), case(exists(none), ' some ', ' none '), case(empty(least), 'nothing ', 'least '), last.title, ' ', size(both.title))"
        }
    },
    {"set": {"note": "said"}},
]


def test_what_links_to_a_record_just_made_is_told_as_the_database_would_tell_it(make_site, database_kind):
    made = {"title": "新客户", "on": {"after": "create", "entity": "customer"}, "if": "name == 'new'", "then": TASKS}
    standing = {"title": "老客户", "on": {"action": "customer.count"}, "then": TASKS}
    site = make_site(database_kind, {("rule", "made"): made, ("rule", "standing"): standing})
    old = site.customer("old")
    service.act(site.ctx(), "customer", old, "count", {})
    with sent("r_task") as statements:
        new = site.customer("new")
    assert site.row("customer", new)["note"] == site.row("customer", old)["note"] == "2 1 all none nothing two 2"
    looked = [one for one in statements if one.startswith("SELECT")]
    assert len(looked) == 2, looked  # the sum, and the order of several


def test_roll_ups_of_a_record_just_made_are_true_without_being_gathered(make_site, database_kind):
    follow = {"title": "首次跟进", "on": {"after": "create", "entity": "customer"}, "then": [
        {"create": "follow_up", "values": {"customer": "record", "content": "'电话里聊了很久很久，约了周末'", "method": "'wechat'"}},
        {"create": "spell", "values": {"customer": "record", "person": "me", "start_at": "now()"}},
        {"if": "spells == 1 and exists(followed)", "key": "seen", "then": [{"set": {"note": "'seen'"}}]},
    ]}  # fmt: skip
    site = make_site(database_kind, {("rule", "follow"): follow})
    with sent("v_spells") as counted, sent("v_followed") as latest:
        saved = service.create(site.ctx("b1"), "customer", {"name": "李四"})
    assert not counted and not latest
    row = site.row("customer", saved.id)
    assert (row["spells"], row["note"], row["owner"]) == (1, "seen", site.person("b1")) and row["followed"] is not None
    service.touch(site.ctx(), "customer", [saved.id])
    assert site.row("customer", saved.id) == row


def test_the_same_question_is_asked_once_until_something_is_written_to_what_it_asks(make_site, database_kind):
    find = {"find": "task", "take": "all", "where": "status == 'open'"}
    rule = {
        "title": "数",
        "on": {"action": "customer.count"},
        "then": [
            {**find, "as": "first"},
            {**find, "as": "second"},
            {"create": "task", "values": {"title": "'more'"}},
            {**find, "as": "third"},
            {"set": {"note": "concat(size(first), size(second), size(third))"}},
        ],
    }
    site = make_site(database_kind, {("rule", "count"): rule})
    service.create(site.ctx(), "task", {"title": "there"})
    customer = site.customer()
    with sent("r_task.status =") as statements:
        service.act(site.ctx(), "customer", customer, "count", {})
    assert site.row("customer", customer)["note"] == "112" and len(statements) == 2


def test_a_find_after_a_lock_sees_what_others_committed_meanwhile(make_site):
    find = {"find": "task", "where": "id == param.task"}
    rule = {
        "title": "看",
        "on": {"action": "customer.look", "with": {"task": {"type": "integer", "required": True}}},
        "then": [
            {**find, "as": "before"},
            {"let": {"was": "before.status"}},
            {"lock": "'queue'"},
            {**find, "as": "later"},
            {"set": {"note": "concat(was, ' ', later.status)"}},
        ],
    }
    site = make_site("postgresql", {("rule", "look"): rule})
    customer, task = site.customer(), service.create(site.ctx(), "task", {"title": "there"}).id

    def meanwhile(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "pg_advisory_xact_lock" in statement:
            service.update(site.ctx(), "task", task, {"status": "taken"}, ANY)

    sa.event.listen(sa.Engine, "before_cursor_execute", meanwhile)
    try:
        service.act(site.ctx(), "customer", customer, "look", {"task": task})
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", meanwhile)
    assert site.row("customer", customer)["note"] == "open taken"


def test_what_is_gathered_of_people_is_true_at_once_and_leaves_their_rights_as_read(make_site, database_kind):
    held = {"held": {"type": "rollup", "from": "task.owner", "measure": "count", "where": "status == 'open'", "title": "在手"}}
    full = {"title": "满", "on": {"before": "create", "entity": "task"}, "if": "me.held >= 2", "then": [{"refuse": "FULL"}]}
    site = make_site(database_kind, {("entity", "person"): {"fields": held}, ("rule", "full"): full})
    boss = site.ctx("b1")
    version = site.home.look(site.name)[1].permission_version
    for title in ("one", "two"):
        service.create(boss, "task", {"title": title, "owner": boss.actor.person_id})
    with pytest.raises(Conflict, match="FULL"):
        service.create(boss, "task", {"title": "three", "owner": boss.actor.person_id})
    assert site.row("person", site.person("b1"))["held"] == 2
    assert site.home.look(site.name)[1].permission_version == version
    service.update(site.ctx(), "person", site.person("s1"), {"name": "someone"}, ANY)
    assert site.home.look(site.name)[1].permission_version > version


def test_rows_a_step_changes_are_taken_hold_of_as_they_are_found(make_site, database_kind):
    """One statement finds and locks them, however many; what each was is in its history all the same."""
    rule = {
        "title": "取消",
        "on": {"action": "customer.cancel"},
        "then": [{"set": {"status": "'cancelled'"}, "in": "task", "where": "customer == record and status == 'open'"}],
    }
    site = make_site(database_kind, {("rule", "cancel"): rule})
    customer = site.customer()
    tasks = [service.create(site.ctx(), "task", {"title": f"t{number}", "customer": customer}).id for number in range(4)]
    with sent("FROM") as statements:
        service.act(site.ctx(), "customer", customer, "cancel", {})
    assert len([one for one in statements if one.startswith("SELECT") and "r_task.title" in one]) == 1
    assert [(site.row("task", task)["status"], site.row("task", task)["version"]) for task in tasks] == [("cancelled", 2)] * 4


def test_a_row_that_somebody_changed_meanwhile_is_left_alone_by_a_step_that_no_longer_means_it(make_site):
    rule = {
        "title": "取消",
        "on": {"action": "customer.cancel"},
        "then": [{"set": {"status": "'cancelled'"}, "in": "task", "where": "customer == record and status == 'open'"}],
    }
    site = make_site("postgresql", {("rule", "cancel"): rule})
    customer = site.customer()
    first, second = (service.create(site.ctx(), "task", {"title": title, "customer": customer}).id for title in ("a", "b"))
    with site.ctx().writing() as other:
        service.update(other, "task", first, {"status": "done"}, ANY)
        pressed = Thread(target=lambda: service.act(site.ctx(), "customer", customer, "cancel", {}))
        pressed.start()
        pressed.join(0.3)
        assert pressed.is_alive(), "it waits for the row"
    pressed.join(10)
    assert [site.row("task", task)["status"] for task in (first, second)] == ["done", "cancelled"]
