"""Rules inside a save and behind a button: before, after, actions, finds, decisions, refusals, chains, whose authority, what is logged."""

import pytest
import sqlalchemy as sa

from engine import clock
from engine import system_tables_rules as tables
from engine.context import Cause
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.jobs import table_for
from engine.messages import sentence, told
from engine.records import service
from engine.records.history import timeline
from engine.records.record import ANY
from engine.records.runs import Asked
from engine.rules.compile import rule_book
from tests.engine.homes import run_rule

from .conftest import DOCUMENTS_OF_SITE


def follow(site, customer, content, **values):
    return service.create(site.ctx("s1"), "follow_up", {"customer": customer, "content": content, **values}).record


# --- before ------------------------------------------------------------------------------------------------------------------------------------


def test_a_before_rule_derives_values_from_what_it_finds(site):
    customer = site.held("s1")
    long = "客户想看南向三居，周末带父母来"
    assert follow(site, customer, "太短")["why_not"] == "too_short"
    assert follow(site, customer, long)["effective"] is True
    assert follow(site, customer, f" {long} ")["why_not"] == "copied"
    assert follow(site, customer, long + "！", method="phone", call_result="busy")["why_not"] == "not_connected"
    assert follow(site, customer, long + "。", method="phone", call_result="connected")["why_not"] is None


def test_derived_values_follow_what_a_before_rule_sets(site):
    customer = site.held("s1", grade="A")
    assert site.row("customer", customer)["release_at"] is None
    follow(site, customer, "很长很长很长的跟进内容，够字数")
    assert site.row("customer", customer)["followed"] is not None
    assert site.row("customer", customer)["release_at"] is not None


def test_a_before_rule_may_fill_a_required_field_and_nothing_else_does(site, make_site):
    saved = service.create(site.ctx(), "customer", {"name": "李四"})
    assert saved.record["code"] == "K-李四"
    with pytest.raises(Invalid) as wrong:
        service.create(site.ctx(), "customer", {"name": "x" * 30})
    assert {fault.pointer for fault in wrong.value.faults} == {"/name", "/code"}


def test_what_a_before_rule_writes_is_checked_like_anybodys_value(make_site, database_kind):
    long = {"title": "长", "on": {"before": "create", "entity": "task"}, "then": [{"set": {"title": "'一二三四五六七八九十一二三四五'"}}]}
    site = make_site(database_kind, {("rule", "long"): long})
    with pytest.raises(Invalid) as wrong:
        service.create(site.ctx(), "task", {"title": "短"})
    assert wrong.value.faults[0].pointer == "/title"


def test_a_refusal_names_its_field_its_code_and_its_text_and_nothing_is_written(make_site, database_kind):
    rule = {
        "title": "预算",
        "on": {"before": "save", "entity": "customer"},
        "then": [{"refuse": "TOO_POOR", "if": "budget < 100", "at": "budget", "message": {"zh": "{name} 预算只有 {budget}", "en": "{name} has only {budget}"}}],
    }
    readers_only = {"title": "销售", "grants": {"customer": {"read": True, "fields": {"budget": {"read": False}}}}}  # never meets the rule
    site = make_site(database_kind, {("rule", "poor"): rule, ("role", "seller"): readers_only})
    with pytest.raises(Invalid) as wrong:
        service.create(site.ctx(), "customer", {"name": "{王}五", "budget": 50})
    fault = wrong.value.faults[0]
    assert (fault.pointer, fault.code) == ("/budget", "TOO_POOR")
    assert "{王}五 预算只有" in sentence(fault.code, fault.params, "zh") and "0.50" in sentence(fault.code, fault.params, "en")
    assert site.rows("customer") == []


def test_a_soft_refusal_is_passed_by_who_confirms_it(make_site, database_kind):
    rule = {"title": "确认", "on": {"action": "customer.drop"}, "then": [{"refuse": "SURE", "soft": True, "message": "确定吗"}, {"set": {"note": "'dropped'"}}]}
    role = {"title": "经理", "grants": {"*": {"read": True, "update": True, "create": True}, "customer": {"read": True, "actions": {"drop": True}}}}
    site = make_site(database_kind, {("rule", "drop"): rule, ("role", "boss"): role})
    customer = site.customer()
    with pytest.raises(Conflict) as soft:
        service.act(site.ctx("b1"), "customer", customer, "drop", {})
    assert soft.value.code == "SURE" and soft.value.params["soft"] is True
    service.act(site.ctx("b1"), "customer", customer, "drop", {}, confirmed=["SURE"])
    assert site.row("customer", customer)["note"] == "dropped"


# --- after -------------------------------------------------------------------------------------------------------------------------------------


def test_a_stage_move_sets_off_its_rule_once_and_running_it_again_creates_nothing_twice(site):
    customer = site.held("s1")
    service.update(site.ctx("s1"), "customer", customer, {"stage": "met"}, ANY)
    assert [(row["title"], row["owner"]) for row in site.rows("task")] == [("24小时回访", site.person("s1"))]
    service.update(site.ctx("s1"), "customer", customer, {"stage": "lost"}, ANY)
    service.act(site.ctx("s1"), "customer", customer, "reopen", {})
    service.update(site.ctx("s1"), "customer", customer, {"stage": "met"}, ANY)
    assert len(site.rows("task")) == 1
    assert len(site.runs("greet")) == 2


def test_a_change_of_a_derived_value_sets_off_the_rules_that_name_the_field(site):
    customer = site.customer()
    assert site.row("customer", customer)["calls"] is None
    service.act(site.ctx("b1"), "customer", customer, "take_over", {"to": site.person("s1")})
    assert site.row("customer", customer)["calls"] == 1
    service.act(site.ctx("b1"), "customer", customer, "take_over", {"to": site.person("s2")})
    assert site.row("customer", customer)["calls"] == 2, "once for the whole action, not for each half of it"


def test_a_decision_table_decides_by_its_first_matching_row_and_explains(site):
    ctx = site.ctx("s1")
    new = service.create(ctx, "visit", {"name": "赵六", "phone": "13900000001"}).record
    assert (new["row"], new["channel"], new["verdict"]) == (3, "natural", "第3条：新客户")
    again = service.create(ctx, "visit", {"name": "赵六", "phone": "139 0000 0001"}).record
    assert (again["row"], again["verdict"]) == (2, "第2条：老客户")
    customers = site.rows("customer")
    assert len(customers) == 1 and customers[0]["seen"] == 2
    run = site.runs("judge_visit")[-1]
    assert run["steps"]["judged"]["row"] == "known" and run["steps"]["made"] == {"did": "skipped", "why": "if"}


def test_rules_that_set_each_other_off_without_end_are_stopped_with_their_chain(make_site, database_kind):
    rules = {
        ("rule", "ping"): {"title": "乒", "on": {"after": "update", "entity": "customer", "fields": ["seen"]}, "then": [{"set": {"calls": "seen + 1"}}]},
        ("rule", "pong"): {"title": "乓", "on": {"after": "update", "entity": "customer", "fields": ["calls"]}, "then": [{"set": {"seen": "calls + 1"}}]},
    }
    site = make_site(database_kind, rules)
    customer = site.customer()
    with pytest.raises(Conflict) as stopped:
        service.update(site.ctx(), "customer", customer, {"seen": 5}, ANY)
    assert stopped.value.code == "rule_chain_too_long" and "ping → pong → ping" in str(stopped.value.params["chain"])
    assert site.row("customer", customer)["seen"] == 0


def test_a_fault_in_what_a_rule_writes_is_told_as_the_rules_and_takes_all_back(make_site, database_kind):
    rule = {
        "title": "派任务",
        "on": {"after": "create", "entity": "visit"},
        "then": [{"create": "task", "values": {"title": "concat(record.name, '需要在二十四小时内回访')"}}],
    }
    site = make_site(database_kind, {("rule", "tasks"): rule, ("rule", "judge_visit"): {**DROPPED}})
    with pytest.raises(Conflict) as refused:
        service.create(site.ctx("s1"), "visit", {"name": "名字"})
    assert refused.value.code == "rule_write_refused" and "派任务" in told(refused.value) and "任务" in told(refused.value)
    assert site.rows("visit") == []


DROPPED = {"title": "无", "on": {"action": "visit.nothing"}, "then": []}

# --- actions -----------------------------------------------------------------------------------------------------------------------------------


def test_an_action_needs_its_grant_its_condition_and_good_parameters(site):
    mine, free = site.held("s1"), site.customer("李四")
    with pytest.raises(NotFound):
        service.act(site.ctx("s2"), "customer", mine, "claim", {"reason": "我要跟进"})
    with pytest.raises(Denied):
        service.act(site.ctx("s1"), "customer", mine, "claim", {"reason": "我要跟进他"})
    with pytest.raises(Conflict) as later:
        service.act(site.ctx("s1"), "customer", mine, "reopen", {})
    assert later.value.code == "action_not_now"
    with pytest.raises(Invalid) as wrong:
        service.act(site.ctx("s1"), "customer", free, "claim", {"reason": "短", "more": 1})
    assert {(fault.pointer, fault.code) for fault in wrong.value.faults} >= {("/more", "unknown_param")} and len(wrong.value.faults) == 2
    with pytest.raises(NotFound):
        service.act(site.ctx("s1"), "customer", free, "nothing", {})


def test_a_claim_takes_the_customer_within_the_months_quota(site):
    free = [site.customer(f"客{number}") for number in range(3)]
    acted = service.act(site.ctx("s1"), "customer", free[0], "claim", {"reason": "老客户介绍"})
    assert acted.result.entity == "claim" and acted.record["owner"].id == site.person("s1")
    service.act(site.ctx("s1"), "customer", free[1], "claim", {"reason": "老客户介绍"})
    with pytest.raises(Conflict) as full:
        service.act(site.ctx("s1"), "customer", free[2], "claim", {"reason": "老客户介绍"})
    assert full.value.code == "QUOTA" and told(full.value) == "每月最多捞取 2 个，客2 不能再捞"
    site.later(days=31)
    service.act(site.ctx("s1"), "customer", free[2], "claim", {"reason": "老客户介绍"})


def test_tasks_go_with_the_customer_and_the_old_spell_ends(site):
    customer = site.held("s1")
    service.create(site.ctx(), "task", {"customer": customer, "title": "回访", "owner": site.person("s1")})
    service.create(site.ctx(), "task", {"customer": customer, "title": "完成的", "owner": site.person("s1"), "status": "done"})
    service.act(site.ctx("b1"), "customer", customer, "take_over", {"to": site.person("s2"), "why": "resigned"})
    assert [row["owner"] for row in site.rows("task")] == [site.person("s2"), site.person("s1")]
    first, second = site.rows("spell")
    assert (first["end_reason"], second["end_at"], second["person"]) == ("resigned", None, site.person("s2"))


def test_a_stage_only_an_action_may_leave_is_left_by_that_action_alone(site):
    customer = site.held("s1")
    service.update(site.ctx("s1"), "customer", customer, {"stage": "lost"}, ANY)
    with pytest.raises(Invalid):
        service.update(site.ctx("s1"), "customer", customer, {"stage": "new"}, ANY)
    acted = service.act(site.ctx("s1"), "customer", customer, "reopen", {})
    assert acted.record["stage"] == "new"


# --- whose authority ---------------------------------------------------------------------------------------------------------------------------


def test_a_rule_sees_and_writes_beyond_the_person_who_set_it_off_and_history_names_both(site):
    """s2 may not read the customer s1 holds, yet the visit s2 registers is judged by it."""
    customer = site.held("s1", "孙七", phone="13900000007")
    visit = service.create(site.ctx("s2"), "visit", {"name": "孙七", "phone": "13900000007"}).record
    assert visit["row"] == 1
    moment = timeline(site.ctx("b1"), "customer", customer).items[0]
    assert (moment.cause["kind"], moment.cause["name"], moment.cause["principal"]) == ("rule", "judge_visit", "rule:judge_visit")
    assert moment.person.id == site.person("s2")
    assert moment.cause["detail"]["run"] == site.runs("judge_visit")[-1]["id"]


def test_a_text_for_a_person_never_shows_what_they_may_not_read(make_site, database_kind):
    rule = {"title": "查", "on": {"action": "customer.peek"}, "then": [{"refuse": "PEEK", "message": "{name} {phone} {budget} {grade}"}]}
    role = {
        "title": "销售",
        "grants": {"customer": {"read": True, "fields": {"phone": {"mask": "owner != me"}, "budget": {"mask": "owner != me"}}, "actions": {"peek": True}}},
    }
    site = make_site(database_kind, {("rule", "peek"): rule, ("role", "seller"): role})
    customer = site.customer("周八", phone="13900000008", budget=123456)
    with pytest.raises(Conflict) as told_to:
        service.act(site.ctx("s1"), "customer", customer, "peek", {})
    assert told(told_to.value) == "周八 *** *** C级"


def test_a_step_writes_on_the_record_a_link_field_leads_to(make_site, database_kind):
    rule = {"title": "记", "on": {"action": "follow_up.note"}, "then": [{"set": {"budget": "700"}, "on": "customer"}]}
    role = {"title": "销售", "grants": {"customer": {"read": True}, "follow_up": {"read": True, "create": True, "actions": {"note": True}}}}
    site = make_site(database_kind, {("rule", "note"): rule, ("role", "seller"): role})
    customer = site.customer("周九")
    follow_up = service.create(site.ctx(), "follow_up", {"customer": customer, "content": "聊得很好，约了周末"}).id
    service.act(site.ctx("s1"), "follow_up", follow_up, "note", {})
    assert site.row("customer", customer)["budget"] == 700


def test_a_step_writes_on_the_record_that_a_link_of_a_carried_record_leads_to(make_site, database_kind):
    steps = [
        {"find": "follow_up", "as": "last", "where": "customer == record", "sort": ["-id"]},
        {"set": {"budget": "900"}, "on": "last.customer"},
        {"set": {"note": "'谢谢'"}, "on": "param.other"},
    ]
    other = {"type": "link", "to": "customer", "title": "另一位", "required": True}
    rule = {"title": "记", "on": {"action": "customer.thank", "with": {"other": other}}, "then": steps}
    role = {"title": "销售", "grants": {"customer": {"read": True, "actions": {"thank": True}}, "follow_up": {"read": True, "create": True}}}
    site = make_site(database_kind, {("rule", "thank"): rule, ("role", "seller"): role})
    customer, second = site.customer("周九"), site.customer("周十")
    service.create(site.ctx(), "follow_up", {"customer": customer, "content": "聊得很好，约了周末"})
    service.act(site.ctx("s1"), "customer", customer, "thank", {"other": second})
    assert (site.row("customer", customer)["budget"], site.row("customer", second)["note"]) == (900, "谢谢")


# --- the log -----------------------------------------------------------------------------------------------------------------------------------


def test_a_let_that_leads_to_a_record_is_that_record_for_the_steps_after_it(make_site, database_kind):
    """Over link after link: each let is known for the record it gives, so the next one reads its fields."""
    rule = {
        "title": "任务名",
        "on": {"after": "create", "entity": "follow_up"},
        "then": [
            {"let": {"whose": "coalesce(customer, null)"}},
            {"let": {"held_by": "whose.owner"}},
            {"let": {"boss": "held_by.lead"}},
            {"create": "task", "values": {"title": "concat(held_by.name, '的')", "owner": "boss", "customer": "whose"}},
        ],
    }
    site = make_site(database_kind, {("rule", "names"): rule})
    customer = site.held("s1")
    follow(site, customer, "客户想看南向三居，周末带父母来")
    (task,) = [row for row in site.rows("task") if row["title"].endswith("的")]
    assert task["customer"] == customer and task["title"] == f"{site.row('person', site.person('s1'))['name']}的"


LOADED = {
    "title": "任务的客户",
    "on": {"after": "create", "entity": "task"},
    "then": [{"refuse": "TOO_POOR", "if": "amount < 100"}, {"create": "customer", "as": "made", "values": {"name": "title"}}, {"set": {"customer": "made"}}],
}


def test_rows_loaded_at_once_set_off_the_rules_after_their_creation_and_say_what_was_made(make_site, database_kind):
    """All rows are written together, then each is followed; one that a rule refuses leaves the others."""
    site = make_site(database_kind, {("rule", "loaded"): LOADED})
    results = service.load(site.ctx(), "task", [{"title": name} for name in ("甲", "乙", "丙")])
    assert [(result.outcome, result.version, [entity for entity, _, _ in result.more]) for result in results] == [("created", 2, ["customer"])] * 3
    assert [row["name"] for row in site.rows("customer")] == ["甲", "乙", "丙"]
    assert [row["customer"] for row in site.rows("task")] == [result.more[0][1] for result in results]
    results = service.load(site.ctx(), "task", [{"title": "丁"}, {"title": "戊", "amount": "0.5"}, {"title": "己"}])
    assert [(result.outcome, result.code) for result in results] == [("created", ""), ("refused", "TOO_POOR"), ("created", "")]
    assert len(site.rows("customer")) == len(site.rows("task")) == len(site.runs("loaded")) == 5


def test_a_rule_that_is_not_for_imports_is_set_off_by_every_save_but_an_imports(make_site, database_kind):
    quiet = {**LOADED, "on": {**LOADED["on"], "imports": False}}
    site = make_site(database_kind, {("rule", "loaded"): quiet})
    importing = site.ctx().because(Cause("import", "list.xlsx"))
    assert [result.more for result in service.load(importing, "task", [{"title": "甲"}, {"title": "乙"}])] == [(), ()]
    service.create(importing, "task", {"title": "丙"})
    assert site.rows("customer") == [] and len(site.rows("task")) == 3
    service.create(site.ctx(), "task", {"title": "丁"})
    assert [row["name"] for row in site.rows("customer")] == ["丁"]


def test_a_run_is_logged_with_its_condition_and_steps_and_a_false_one_is_not(site):
    free = site.customer()
    service.act(site.ctx("s1"), "customer", free, "claim", {"reason": "老客户介绍"})
    run = site.runs("claim")[0]
    assert run["state"] == "done" and run["trigger"] == "action" and run["condition"] == {"pooled": True} and run["person"] == site.person("s1")
    assert run["steps"]["used"] == {"did": "found", "found": 0} and run["steps"]["QUOTA"] == {"did": "skipped", "why": "if"}
    assert run["steps"]["claim"]["record"]["entity"] == "claim"
    nested = site.runs("take_over")[0]
    assert nested["cause"] == ["claim", "take_over"]
    service.update(site.ctx(), "customer", free, {"note": "x"}, ANY)
    assert len(site.runs("code_of_customer")) == 1, "only the creation had no code"


def test_an_occurrence_runs_once_whoever_asks_again(site):
    customer = site.held("s1")
    first = run_rule(site.ctx(), Asked("greet", customer, "tick-1"))
    again = run_rule(site.ctx(), Asked("greet", customer, "tick-1"))
    assert (first.state, again.state) == ("done", "skipped")
    assert run_rule(site.ctx(), Asked("greet", customer, "tick-2")).state == "done"
    assert len(site.rows("task")) == 1


def test_a_rule_switched_off_does_not_run(site):
    with site.workspace.database.write() as connection:
        connection.execute(sa.insert(tables.rule_switch).values(rule="code_of_customer", off_at=site.ctx().now, failures=0))
        clock.raise_settings_version(connection)
    site.home.look_again(site.name)
    with pytest.raises(Invalid):
        service.create(site.ctx(), "customer", {"name": "无编码"})


def test_the_reach_of_a_rule_is_what_its_steps_name(site):
    book = rule_book(site.workspace)
    reach = book.rules["take_over"].reach
    assert reach.writes == {
        ("update", "spell"): {"end_at", "end_reason"},
        ("create", "spell"): {"customer", "person", "kind", "start_at"},
        ("update", "task"): {"owner"},
    }
    assert book.rules["claim"].reach.actions == {"customer.take_over"}


def test_a_rule_finds_in_the_engines_own_tables_too(make_site, database_kind):
    rule = {
        "title": "查",
        "on": {"action": "customer.audit"},
        "then": [
            {
                "find": "stage_log",
                "as": "moves",
                "take": 9,
                "where": "entity == 'customer' and record_id == record.id",
                "sort": ["-at", "-id"],
                "show": {"to": "to_stage"},
            },
            {"find": "run", "as": "runs", "take": "count", "where": "rule == 'take_over' and person.name == 'x'"},
            {"find": "stage_log", "as": "last", "where": "record_id == record.id and to_stage == 'met'", "sort": ["-at"]},
            {"set": {"note": "concat(case(has(moves.to, 'met'), 'was met ', ''), last.from_stage)", "calls": "size(moves) + runs"}},
        ],
    }
    role = {
        "title": "经理",
        "grants": {
            "*": {"read": True, "update": True, "create": True},
            "customer": {"read": True, "update": True, "actions": {"audit": True, "take_over": True}},
        },
    }
    site = make_site(database_kind, {("rule", "audit"): rule, ("role", "boss"): role})
    customer = site.held("s1")
    service.update(site.ctx("b1"), "customer", customer, {"stage": "met"}, ANY)
    service.act(site.ctx("b1"), "customer", customer, "audit", {})
    row = site.row("customer", customer)
    assert (row["note"], row["calls"]) == ("was met new", 2)


def test_nothing_encrypted_stands_in_clear_in_the_log_or_in_jobs(make_site, database_kind):
    """The telephone is read by conditions, found, let, set and changed; at rest it is an envelope everywhere."""
    documents = {
        ("rule", "copy"): {
            "title": "抄",
            "on": {"after": "create", "entity": "visit"},
            "if": "phone == '13900000009'",
            "then": [
                {"let": {"number": "record.phone"}},
                {"find": "visit", "as": "rows", "take": 5, "where": "phone == record.phone", "show": {"number_there": "phone", "name_there": "name"}},
                {"set": {"phone": "'13900000009'"}},
                {"create": "customer", "values": {"name": "record.name", "phone": "record.phone"}, "as": "made"},
            ],
        },
        ("rule", "later"): {"title": "后", "on": {"later": "update", "entity": "visit", "fields": ["phone"]}, "then": [{"set": {"verdict": "'x'"}}]},
        ("rule", "judge_visit"): DROPPED,
    }
    site = make_site(database_kind, documents)
    visit = service.create(site.ctx("s1"), "visit", {"name": "吴九", "phone": "13900000009"}).id
    service.update(site.ctx(), "visit", visit, {"phone": "13900000010"}, ANY)
    assert site.runs("copy")[0]["steps"]["rows"]["found"] == [{"name_there": "吴九"}]
    with site.workspace.database.read() as connection:
        jobs = [dict(row) for row in connection.execute(sa.select(table_for(connection.dialect.name))).mappings()]
    assert "1390000000" not in str([site.runs(), [job["args"] for job in jobs], site.rows("visit"), site.rows("customer")])


def test_a_built_in_action_takes_the_record_its_rule_is_of_as_the_parameter_of_that_name(make_site, database_kind):
    rule = {"title": "离职", "on": {"action": "person.leave"}, "if": "active", "then": [{"do": "person.disable", "with": {"person": "record"}}]}
    boss = DOCUMENTS_OF_SITE["role", "boss"]
    boss = {**boss, "grants": {**boss["grants"], "person": {"read": True, "actions": {"leave": True}}}}
    site = make_site(database_kind, {("rule", "leave"): rule, ("role", "boss"): boss})
    service.act(site.ctx("b1"), "person", site.person("s1"), "leave", {})
    assert site.row("person", site.person("b1"))["active"] is True
    with pytest.raises(NotFound):
        site.ctx("s1")
