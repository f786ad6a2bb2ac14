"""Any name may be carried by a rule, rows of a setting that is a table among what it looks in; and what a refused button says."""

import pytest

from engine.errors import Conflict
from engine.messages import told
from engine.records import service
from metadata.check import check
from tests.engine.rules.conftest import DOCUMENTS_OF_SITE

LEVELS = {
    "type": "table",
    "title": "档",
    "columns": {"called": {"type": "text", "title": "名"}, "least": {"type": "money", "title": "起"}},
    "default": [{"called": "低", "least": 100}, {"called": "中", "least": 200}, {"called": "高", "least": 900}],
}
BOSS = {
    "title": "经理",
    "grants": {"*": {"read": True, "update": True, "create": True}, "customer": {"read": True, "update": True, "actions": {"sum_up": True}}},
}
SUM_UP = {
    "title": {"zh": "汇总", "en": "Sum up"},
    "on": {"action": "customer.sum_up", "with": {"least": {"type": "money", "title": "起点"}}},
    "then": [
        {"find": "task", "as": "bills", "take": 50, "where": "customer == record", "sort": ["id"], "show": {"name": "title", "sum": "amount", "by": "owner"}},
        {
            "find": "bills",
            "as": "large",
            "take": 50,
            "where": "sum >= param.least and by == me",
            "sort": ["-sum"],
            "show": {"name": "name", "twice": "sum + sum"},
        },
        {"find": "bills", "as": "count", "take": "count", "where": "sum < param.least"},
        {"let": {"text": "''", "levels": "setting.levels"}},
        {"find": "levels", "as": "level", "take": 9, "where": "least <= param.least", "sort": ["-least"], "show": {"called": "called"}},
        {"each": "large", "as": "row", "then": [{"let": {"text": "concat(text, row.name)"}, "key": "text"}]},
        {"each": "level", "as": "row", "key": "levels", "then": [{"let": {"text": "concat(text, row.called)"}, "key": "text"}]},
        {"set": {"note": "text", "calls": "count", "budget": "total(large.twice)"}},
    ],
}


def with_bills(make_site, database_kind, rule):
    kept = DOCUMENTS_OF_SITE["settings", "settings"]
    site = make_site(database_kind, {("rule", "sum_up"): rule, ("role", "boss"): BOSS, ("settings", "settings"): {**kept, "levels": LEVELS}})
    customer = site.customer()
    for title, amount, owner in (("甲", 300, "b1"), ("乙", 100, "b1"), ("丙", 500, "b1"), ("丁", 900, "s1")):
        service.create(site.ctx(), "task", {"title": title, "customer": customer, "amount": amount, "owner": site.person(owner)})
    return site, customer


def test_a_list_made_earlier_is_filtered_sorted_and_shown_anew_and_any_name_may_be_carried(make_site, database_kind):
    site, customer = with_bills(make_site, database_kind, SUM_UP)
    assert [problem for problem in check(site.workspace.bundle, site.workspace.registry.vocabulary()) if problem.severity == "error"] == []
    service.act(site.ctx("b1"), "customer", customer, "sum_up", {"least": 200})
    row = site.row("customer", customer)
    assert (row["note"], row["calls"], row["budget"]) == ("丙甲中低", 1, 1600)


def test_a_refused_button_names_the_stage_its_record_is_in(make_site, database_kind):
    site, customer = with_bills(make_site, database_kind, {**SUM_UP, "if": "stage == 'won'"})
    with pytest.raises(Conflict) as refused:
        service.act(site.ctx("b1"), "customer", customer, "sum_up", {"least": 200})
    assert refused.value.code == "action_not_now"
    assert (told(refused.value, "zh"), told(refused.value, "en")) == ("现在不能执行“汇总”：阶段为“new”", "“Sum up” cannot be done now: 阶段 is “new”")


def test_a_sum_a_rule_has_found_or_reckoned_is_told_as_money(make_site, database_kind):
    rule = {
        "title": "汇总",
        "on": {"action": "customer.sum_up"},
        "then": [
            {"find": "task", "as": "so_far", "take": {"sum": "amount"}, "where": "customer == record"},
            {"find": "task", "as": "most", "take": {"max": "amount"}, "where": "customer == record"},
            {"let": {"rest": "so_far - coalesce(most, 0)", "half": "so_far"}},
            {"refuse": "SO_MUCH", "if": "so_far > 0", "message": "共 {so_far}，最多一笔 {most}，其余 {rest}，{half - rest}"},
        ],
    }
    site, customer = with_bills(make_site, database_kind, rule)
    service.create(site.ctx(), "task", {"title": "大", "customer": customer, "amount": 123456700, "owner": site.person("b1")})
    with pytest.raises(Conflict) as refused:
        service.act(site.ctx("b1"), "customer", customer, "sum_up", {})
    assert told(refused.value, "zh") == "共 1,234,585，最多一笔 1,234,567，其余 18，1,234,567"
