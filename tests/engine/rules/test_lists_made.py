"""A list that a step made (rows it showed, an action's result, records) is looked in like an entity: conditions, order and columns, checked before publish."""

from typing import Any

import pytest

from engine.records import service
from metadata.check import check

TEXT = {"type": "text", "title": "x"}


def entity(fields: dict[str, Any], **words: Any) -> dict[str, Any]:
    return {"title": "x", "label": "{name}", "fields": {"name": {**TEXT, "required": True}, **fields}, **words}


def rule(name: str, *then: dict[str, Any], give: str) -> dict[str, Any]:
    return {"title": {"zh": "规则", "en": "Rule"}, "on": {"action": name}, "then": list(then), "give": give}


SHARES = {"find": "share", "as": "shares", "take": 50, "where": "deal == record", "sort": ["id"], "show": {"who": "id", "weight": "bp", "name_": "name"}}
PARTS = {"do": "allocate", "as": "parts", "with": {"amount": "total", "shares": "shares"}}
DOCUMENTS: dict[tuple[str, str], Any] = {
    ("entity", "deal"): entity({"total": {"type": "money", "title": "x"}}),
    ("entity", "share"): entity({"deal": {"type": "link", "to": "deal", "title": "x"}, "bp": {"type": "integer", "title": "x"}}),
    ("rule", "shown"): rule(
        "deal.shown",
        SHARES,
        PARTS,
        {"let": {"most": "low(shares.weight) + 100"}},
        {
            "find": "shares",
            "as": "half",
            "take": 50,
            "where": "weight >= most and pick(parts, 'who', who, 'amount') > 0",
            "sort": ["-weight", "who"],
            "show": {"name_": "name_", "amount": "portion(pick(parts, 'who', who, 'amount'), 1, 2)", "of_": "record.total"},
        },
        give="half",
    ),
    ("rule", "results"): rule(
        "deal.results",
        SHARES,
        PARTS,
        {"find": "parts", "as": "small", "take": "count", "where": "amount < 500"},
        {"find": "parts", "as": "largest", "sort": ["-amount"]},
        {"find": "parts", "as": "again", "take": 9, "where": "amount < 500"},
        {"find": "again", "as": "least", "sort": ["amount"], "show": {"worth": "amount"}},
        give="list(small, largest.amount, least.worth)",
    ),
    ("rule", "records"): rule(
        "deal.records",
        {"find": "share", "as": "all_", "take": 50, "where": "deal == record", "sort": ["id"]},
        {"find": "all_", "as": "some", "take": 50, "where": "bp > 2000 and deal.total > 0", "sort": ["-bp"]},
        give="some.name",
    ),
    ("rule", "named"): rule(
        "deal.named",
        {"find": "share", "as": "row", "where": "deal == record", "sort": ["id"]},
        {"let": {"expression": "row.bp", "entity": "row.name", "needed": 1, "self": 2}},
        {"find": "share", "as": "evaluator", "take": "count", "where": "deal == record and bp > expression and name != entity and bp > needed + self"},
        give="list(evaluator, expression)",
    ),
}


@pytest.fixture
def site(make_site, database_kind):
    grants = {"*": {"read": True, "create": True, "update": True}}
    grants["deal"] = {**grants["*"], "actions": dict.fromkeys(("shown", "results", "records", "named"), True)}
    return make_site(database_kind, {**DOCUMENTS, **{("role", key): {"title": key, "grants": grants} for key in ("seller", "boss")}})


def result(site, name: str) -> Any:
    deal = service.create(site.ctx(), "deal", {"name": "d", "total": 1_001}).id
    for word, points in (("a", 2_000), ("b", 3_000), ("c", 5_000)):
        service.create(site.ctx(), "share", {"name": word, "deal": deal, "bp": points})
    return service.act(site.ctx("b1"), "deal", deal, name, {}).result


def test_rows_shown_are_chosen_ordered_and_shown_anew_with_the_rules_names_in_reach(site):
    assert result(site, "shown") == [{"name_": "c", "amount": 250, "of_": 1_001}, {"name_": "b", "amount": 150, "of_": 1_001}]


def test_results_of_actions_are_looked_in_by_their_columns(site):
    assert result(site, "results") == [2, 501, 200]


def test_records_found_are_looked_in_by_their_fields(site):
    assert result(site, "records") == ["c", "b"]


def test_a_step_may_be_named_like_anything_the_engine_calls_its_own(site):
    assert result(site, "named") == [2, 2000]


@pytest.mark.parametrize(
    ("at", "step"),
    [
        ("/then/2/where", {"find": "shares", "as": "x", "where": "wieght > 1"}),
        ("/then/2/show/y", {"find": "parts", "as": "x", "show": {"y": "name_"}}),
        ("/then/2/sort/0", {"find": "parts", "as": "x", "sort": ["-total"]}),
    ],
)
def test_a_column_that_is_not_there_is_told_before_publish(site, at, step):
    wrong = rule("deal.wrong", SHARES, PARTS, step, give="x")
    bundle = site.workspace.bundle.replace({("rule", "wrong"): wrong})
    found = [problem for problem in check(bundle, site.workspace.registry.vocabulary()) if problem.severity == "error"]
    assert [(problem.file, problem.pointer) for problem in found] == [("rules/wrong.json", at)]
