"""Trying a rule: it runs for real on one record as somebody, tells everything it would do, and leaves nothing behind on either database."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from engine.actors import enter_person
from engine.errors import NotFound
from engine.jobs import table_for
from engine.records import service
from engine.rule_drafts import rule_of
from engine.rule_jobs import switch
from engine.rules.compile import rule_book
from engine.system_tables import counter, history
from engine.system_tables_rules import notice, outgoing, run
from engine.trial import Tried, try_rule
from tests.engine.rules.conftest import BOSS, DOCUMENTS_OF_SITE, Site, make_site

__all__ = ["make_site"]

RELEASE = {
    "title": "放回公海",
    "on": {"due": "customer.release_at"},
    "if": "exists(owner)",
    "then": [
        {"let": {"was": "owner"}},
        {"find": "spell", "take": "count", "as": "times", "where": "customer == record"},
        {"set": {"end_at": "now()", "end_reason": "'idle'"}, "in": "spell", "where": "customer == record and empty(end_at)"},
        {"create": "task", "values": {"customer": "record", "title": "'回访'", "key": "name"}},
        {"notify": "was", "message": {"zh": "客户 {name} 已放回公海"}},
    ],
}
LATER = {"title": "随后", "on": {"later": "update", "entity": "customer", "fields": ["owner"]}, "then": [{"set": {"note": "'later'"}}]}
NUMBERED = {**DOCUMENTS_OF_SITE["entity", "task"]}
NUMBERED["fields"] = {**NUMBERED["fields"], "no": {"type": "serial", "template": "T{0000}", "title": "编号"}}
DOCUMENTS = {("rule", "release"): RELEASE, ("rule", "later"): LATER, ("entity", "task"): NUMBERED}
DOCUMENTS["role", "boss"] = {**BOSS, "can": ["people", "publish", "settings"]}


@pytest.fixture
def site(make_site: Callable[..., Site], database_kind: str) -> Site:
    return make_site(database_kind, DOCUMENTS)


def everything(site: Site) -> dict[str, Any]:
    """All that could be left behind."""
    tables = [history, run, notice, outgoing, counter, table_for(site.workspace.database.dialect)]
    with site.workspace.database.read() as connection:
        found = {table.name: sorted(map(repr, connection.execute(sa.select(table)).all())) for table in tables}
    return {**found, **{key: site.rows(key) for key in site.workspace.entities}}


def tried(site: Site, key: str, record: int | None, who: str = "", viewer: str = "b1", **params: Any) -> Tried:
    rule = rule_book(site.workspace).rules[key]
    before = everything(site)
    person = site.person(who) if who else None
    found = try_rule(enter_person(site.home, site.name, viewer), rule, record, person=person, params=params)
    assert everything(site) == before
    return found


def test_a_due_rule_is_tried_and_tells_what_it_found_would_write_and_say(site):
    customer = site.held("s1")
    found = tried(site, "release", customer)
    assert found.state == "done" and found.why is not None and found.why.holds
    assert found.condition == {"owner": site.person("s1")}
    assert [facts.get("did") for facts in found.steps.values()] == ["let", "found", "set", "created", "notified"]
    changes = {change.entity: change for change in found.changes}
    assert (changes["spell"].before["end_reason"], changes["spell"].after["end_reason"]) == (None, "idle")
    assert (changes["customer"].before["owner"], changes["customer"].after["owner"]) == (site.person("s1"), None)
    assert changes["task"].kind == "create" and changes["task"].after["no"] == "T0001" and changes["task"].readable
    assert [(item.person, item.text) for item in found.messages] == [(site.person("s1"), "客户 张三 已放回公海")]
    assert found.followed == ("count_owner",)


def test_a_rule_whose_condition_does_not_hold_says_the_first_part_that_is_false(site):
    found = tried(site, "release", site.customer())
    assert found.state == "skipped" and not found.steps and not found.changes
    assert found.why is not None and found.why.reason is not None and "归属人" in found.why.reason.text


def test_a_button_is_pressed_with_the_rights_and_parameters_of_the_person_chosen(site):
    customer = site.customer()
    assert {change.entity for change in tried(site, "claim", customer, "s1", reason="老客户转介绍来的").changes} == {"claim", "spell", "customer"}
    refused = tried(site, "claim", customer, "s1", reason="短")
    assert refused.state == "refused" and refused.refusal is not None and refused.refusal.faults[0].code == "text_too_short"
    held = site.held("s2", "李四")
    refused = tried(site, "claim", held, "s1", reason="老客户转介绍来的")
    assert refused.refusal is not None and refused.refusal.code in ("no_such_record", "may_not_act")


def test_a_refusal_of_a_step_is_told_with_the_steps_before_it(site):
    for name in ("一", "二"):
        service.act(site.ctx("s1"), "customer", site.customer(name), "claim", {"reason": "老客户转介绍来的"})
    refused = tried(site, "claim", site.customer("三"), "s1", reason="老客户转介绍来的")
    assert refused.refusal is not None and refused.refusal.code == "QUOTA" and not refused.changes
    assert [facts.get("did") for facts in refused.steps.values()] == ["locked", "found", "refused"]
    assert tried(site, "reopen", site.customer("四"), "b1").state == "refused"


def test_rules_before_and_after_a_write_are_tried_on_a_record_as_it_stands(site):
    customer = site.held("s1")
    found = tried(site, "count_owner", customer)
    assert found.state == "done" and found.changes[0].after["calls"] == 2
    assert tried(site, "code_of_customer", customer).state == "skipped"
    assert tried(site, "greet", customer).changes[0].entity == "task"


def test_a_rule_that_is_switched_off_can_be_tried_before_it_is_switched_on(site):
    switch(site.ctx(), "release", on=False)
    assert tried(site, "release", site.held("s1")).state == "done"


def test_whoever_looks_sees_only_records_they_may_read(site):
    customer = site.held("s1")
    found = tried(site, "release", customer, viewer="s1")
    task = next(change for change in found.changes if change.entity == "task")
    assert (task.readable, task.label, task.after) == (False, "", {})
    with pytest.raises(NotFound):
        tried(site, "release", customer, viewer="s2")


GROWN = {
    "title": "变大",
    "on": {"after": "update", "entity": "customer", "fields": ["calls"]},
    "if": "calls > old.calls",
    "then": [{"set": {"note": "'grown'"}}],
}
CAPPED = {"title": "封顶", "on": {"before": "update", "entity": "customer"}, "if": "calls > 9", "then": [{"set": {"calls": 9}}]}
MADE = {"title": "新建后", "on": {"after": "create", "entity": "customer"}, "if": "calls > 4", "then": [{"set": {"note": "'made'"}}]}
ASKED = {
    "title": "随后看",
    "on": {"later": "update", "entity": "customer", "fields": ["calls"]},
    "if": "calls > old.calls",
    "then": [{"set": {"note": "'later'"}}],
}
CHANGED = {**DOCUMENTS, ("rule", "grown"): GROWN, ("rule", "capped"): CAPPED, ("rule", "made"): MADE, ("rule", "asked"): ASKED}


def changed(site: Site, key: str, record: int, body: dict[str, Any] | None = None, **values: Any) -> Tried:
    """A rule (with another text) tried with a record's values changed; nothing may be left behind."""
    before = everything(site)
    rule = rule_of(site.workspace, key, body)
    found = try_rule(enter_person(site.home, site.name, "b1"), rule, record, person=site.person("b1"), values=values)
    assert everything(site) == before
    return found


@pytest.fixture
def watched(make_site: Callable[..., Site], database_kind: str) -> Site:
    return make_site(database_kind, CHANGED)


def test_rules_around_a_write_are_tried_with_the_values_it_would_bring(watched):
    customer = watched.customer(calls=4)
    grown = changed(watched, "grown", customer, calls=6)
    assert grown.state == "done" and grown.condition == {"calls": 6, "old.calls": 4}
    assert {name: (one.before[name], one.after[name]) for one in grown.changes for name in one.after} == {"calls": (4, 6), "note": (None, "grown")}
    smaller = changed(watched, "grown", customer, calls=2)
    assert smaller.state == "skipped" and smaller.why is not None and smaller.why.reason is not None
    assert changed(watched, "grown", customer, budget=100).state == "unheard"
    capped = changed(watched, "capped", customer, calls=12)
    assert capped.state == "done" and capped.changes[0].after["calls"] == 9
    assert changed(watched, "made", customer, calls=5).state == "done"
    assert changed(watched, "asked", customer, calls=5).state == "done" and changed(watched, "asked", customer, budget=5).state == "unheard"
    assert changed(watched, "grown", customer, calls="many").state == "refused"


def test_a_draft_of_a_rule_is_tried_and_the_published_one_stays(watched):
    customer = watched.customer(calls=4)
    assert changed(watched, "grown", customer, {**GROWN, "if": "calls < old.calls"}, calls=2).state == "done"
    assert changed(watched, "grown", customer, calls=2).state == "skipped"
    held = watched.customer("李四")
    body = {
        "title": "直接",
        "if": "pooled",
        "on": {"action": "customer.claim", "with": {"why": {"type": "text", "required": True}}},
        "then": [{"set": {"note": "param.why"}}],
    }
    rule = rule_of(watched.workspace, "claim", body)
    found = try_rule(enter_person(watched.home, watched.name, "b1"), rule, held, person=watched.person("s1"), params={"why": "就是想要"})
    assert found.state == "done" and found.changes[0].after == {"note": "就是想要"}
    assert tried(watched, "claim", held, "s1", reason="老客户转介绍来的").state == "done"
