"""What rules did and why, on both databases: the log by its filters, why a rule does not run as far as its reader may see, what due rules will do."""

from datetime import timedelta

import pytest

from engine.errors import NotFound
from engine.explaining import coming, explain_all, explain_rule
from engine.records import service
from engine.rules.compile import rule_book
from engine.run_log import Wanted, last_runs, run_of, runs, sums
from tests.engine.rules.conftest import NOW

RICH = {
    ("rule", "rich"): {
        "title": "大客户",
        "on": {"after": "update", "entity": "customer"},
        "if": "budget > 100000 and grade == 'A' and (owner == me or seen > 3)",
        "then": [{"set": {"note": "'rich'"}}],
    },
    ("rule", "warn"): {
        "title": "释放前提醒",
        "on": {"due": "customer.release_at", "shift": ["-P3D", "-P1D"]},
        "if": "exists(owner)",
        "then": [{"notify": "owner", "message": "快到期了"}],
    },
}


@pytest.fixture
def rich(make_site, database_kind):
    return make_site(database_kind, RICH)


def test_runs_are_found_by_each_filter(rich):
    held = rich.held("s1", "赵一")
    ctx = rich.ctx()
    found, following = runs(ctx, Wanted(rule="take_over"))
    assert [(run.entity, run.record, run.state) for run in found] == [("customer", held, "done")] and following == 0
    assert found[0].person == rich.person("b1") and run_of(ctx, found[0].id) == found[0]
    assert runs(ctx, Wanted(person=rich.person("s2")))[0] == [] and runs(ctx, Wanted(state="failed"))[0] == []
    assert runs(ctx, Wanted(entity="customer", record=held, since=NOW + timedelta(days=1)))[0] == []
    assert last_runs(ctx, "customer", held, ["take_over", "claim"]) == {"take_over": found[0]}
    assert sums(ctx, NOW - timedelta(days=1))["take_over"].by_state == {"done": 1}
    with pytest.raises(NotFound, match="unknown_run"):
        run_of(ctx, 10**9)


def test_a_part_its_reader_may_not_see_is_hidden_and_the_rest_is_told(rich):
    held = rich.held("s1", "钱二", budget=500, grade="A")
    rule = rule_book(rich.workspace).rules["rich"]
    boss = explain_rule(rich.ctx("b1"), rule, held)
    assert boss.holds is False and boss.reason is not None
    assert (boss.reason.text, [seen.shown for seen in boss.reason.seen]) == ("预算 大于 1,000", ["5"])
    seller = explain_rule(rich.ctx("s1"), rule, held)
    assert seller.condition is not None and seller.reason is not None and seller.reason.hidden and seller.reason.text == ""
    assert [part.holds for part in seller.condition.parts] == [False, True, True]
    assert "预算" not in str(seller.condition) and "5" not in str(seller.condition.parts[0])


def test_a_record_the_reader_may_not_see_explains_nothing(rich):
    held = rich.held("s1", "孙三")
    with pytest.raises(NotFound):
        explain_all(rich.ctx("s2"), "customer", held)
    assert {found.rule.key for found in explain_all(rich.ctx("s1"), "customer", held)} >= {"rich", "warn", "take_over"}


def test_what_due_rules_will_do_stands_in_its_order_and_ends_with_its_condition(rich):
    held = rich.held("s1", "李四", grade="B")
    service.create(rich.ctx("s1"), "follow_up", {"customer": held, "content": "聊得很好，约了周末再来看看"})
    release = rich.row("customer", held)["release_at"]
    assert release is not None
    assert [(item.rule.key, release - item.at) for item in coming(rich.ctx("s1"), "customer", held)] == [
        ("warn", timedelta(days=3)),
        ("warn", timedelta(days=1)),
    ]
    rich.later(days=release.day - NOW.day - 2)
    assert [release - item.at for item in coming(rich.ctx("s1"), "customer", held)] == [timedelta(days=1)]
    assert coming(rich.ctx("b1"), "customer", rich.customer("周五")) == []
