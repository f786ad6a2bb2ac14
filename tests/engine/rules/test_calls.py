"""The parameters of an action as its conditions ask for them, and as rules that call it leave them out."""

import pytest

from engine.errors import Invalid
from engine.records import service
from metadata.check import check

SETTLE = {
    "title": "了结",
    "on": {
        "action": "customer.settle",
        "with": {
            "how": {"type": "text", "required": True, "title": "方式"},
            "why": {"type": "text", "show": "how != 'won'", "required": "how == 'lost'", "default": "无", "title": "原因"},
            "to": {"type": "person", "show": "how == 'moved'", "required": True, "title": "给谁"},
            "by": {"type": "person", "default": {"value": "me"}, "title": "谁"},
        },
    },
    "then": [{"set": {"note": "concat(param.how, ' ', param.why, ' ', param.to.name, ' ', param.by.name)"}}],
}
QUICK = {"title": "快", "on": {"action": "customer.quick"}, "then": [{"do": "customer.settle", "with": {"how": "'moved'", "to": "me"}}]}
BOSS = {
    "title": "经理",
    "grants": {"*": {"read": True, "update": True, "create": True}, "customer": {"read": True, "update": True, "actions": {"settle": True, "quick": True}}},
}


def settled(make_site, database_kind):
    site = make_site(database_kind, {("rule", "settle"): SETTLE, ("rule", "quick"): QUICK, ("role", "boss"): BOSS})
    return site, site.customer()


def faults_of(site, customer, params, *, json=False):
    with pytest.raises(Invalid) as refused:
        service.act(site.ctx("b1"), "customer", customer, "settle", params, json=json)
    return [(fault.pointer, fault.code) for fault in refused.value.faults]


def test_what_the_conditions_of_parameters_ask_for_must_be_given_and_nothing_else_is_taken(make_site, database_kind):
    site, customer = settled(make_site, database_kind)
    assert faults_of(site, customer, {"how": "lost", "why": ""}) == [("/why", "required")]
    assert faults_of(site, customer, {"how": "moved", "why": "x"}) == [("/to", "required")]
    assert faults_of(site, customer, {"how": "won", "why": "x"}, json=True) == [("/why", "param_not_asked")]
    service.act(site.ctx("b1"), "customer", customer, "settle", {"how": "won", "why": "typed before", "to": "not a person"})
    assert site.row("customer", customer)["note"] == "won 无  人b1", "what a form does not ask for is as if nobody had given it"


def test_a_rule_that_calls_an_action_gets_the_defaults_of_what_it_leaves_out(make_site, database_kind):
    site, customer = settled(make_site, database_kind)
    service.act(site.ctx("b1"), "customer", customer, "quick", {})
    assert site.row("customer", customer)["note"] == "moved 无 人b1 人b1"


def test_conditions_of_parameters_are_checked_before_publishing(make_site):
    site = make_site("sqlite")
    wrong = {**SETTLE, "on": {**SETTLE["on"], "with": {**SETTLE["on"]["with"], "why": {"type": "text", "show": "hwo == 'won'", "title": "原因"}}}}
    problems = check(site.workspace.bundle.replace({("rule", "settle"): wrong}), site.workspace.registry.vocabulary())
    assert [(problem.file, problem.pointer) for problem in problems if problem.severity == "error"] == [("rules/settle.json", "/on/with/why/show")]
