"""What rules read of records beyond their own: fields computed when they are read, and two hops through what an action gave."""

import pytest

from engine.errors import Conflict
from engine.records import service
from tests.engine.rules.conftest import DOCUMENTS_OF_SITE

FRESH = {"type": "formula", "value": "days_since(created_at) < 3", "title": "新客"}
HOT = {"type": "formula", "value": "fresh and grade == 'A'", "title": "热"}
WELCOME = {
    "title": "欢迎",
    "on": {"after": "create", "entity": "task"},
    "if": "customer.hot",
    "then": [
        {"find": "customer", "as": "who", "where": "id == record.customer.id"},
        {"set": {"title": "case(who.fresh and record.customer.hot, '热', '冷')", "amount": "case(customer.fresh, 100, 0)"}},
    ],
}
HAND_ON = {
    "title": "转交",
    "on": {"action": "customer.hand_on", "with": {"to": {"type": "person", "required": True, "title": "给"}}},
    "then": [{"do": "customer.take_over", "as": "moved", "with": {"to": "param.to"}}, {"set": {"note": "moved.person.name"}}],
}
BOSS = {
    "title": "经理",
    "grants": {"*": {"read": True, "update": True, "create": True}, "customer": {"read": True, "update": True, "actions": {"hand_on": True, "count": True}}},
}
COUNT = {"title": "数", "on": {"action": "customer.count"}, "then": [{"do": "customer.number", "as": "found"}, {"set": {"note": "found.person"}}]}
NUMBER = {"title": "号", "on": {"action": "customer.number"}, "then": [], "give": "seen"}


def test_a_field_computed_when_it_is_read_is_read_over_links_and_of_found_records_too(make_site, database_kind):
    customer = DOCUMENTS_OF_SITE["entity", "customer"]
    widened = {**customer, "fields": {**customer["fields"], "fresh": FRESH, "hot": HOT}}
    site = make_site(database_kind, {("entity", "customer"): widened, ("rule", "welcome"): WELCOME})
    hot = service.create(site.ctx(), "task", {"title": "甲", "customer": site.customer(grade="A")}).id
    cold = service.create(site.ctx(), "task", {"title": "乙", "customer": site.customer(grade="B")}).id
    assert [(row["title"], row["amount"]) for row in site.rows("task") if row["id"] in (hot, cold)] == [("热", 100), ("乙", None)]
    assert [run["condition"] for run in site.runs("welcome")] == [{"customer.hot": True}]


def test_what_an_action_gave_leads_two_links_far_and_a_bare_number_is_refused_by_name(make_site, database_kind):
    site = make_site(database_kind, {("rule", "hand_on"): HAND_ON, ("rule", "count"): COUNT, ("rule", "number"): NUMBER, ("role", "boss"): BOSS})
    customer = site.customer()
    service.act(site.ctx("b1"), "customer", customer, "hand_on", {"to": site.person("s2")})
    assert site.row("customer", customer)["note"] == "人s2"
    with pytest.raises(Conflict) as refused:
        service.act(site.ctx("b1"), "customer", customer, "count", {})
    assert refused.value.code == "rule_bare_number" and refused.value.params["name"] == "found"
