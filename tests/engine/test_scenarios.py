"""Scenarios: what a preset promises is played in throw-away sandboxes on both databases; a line that does not come true is named in words."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.builtin import DOCUMENTS
from engine.errors import Invalid
from engine.home import Home
from engine.messages import catalogue
from engine.publishing import create_workspace, operator, plan_publish
from engine.releasing import release
from engine.scenarios import Result, run_scenario, run_scenarios
from engine.system_tables import version
from metadata.bundle import Bundle
from metadata.check import check
from metadata.messages import sentence
from tests.engine.rules.conftest import DOCUMENTS_OF_SITE, NOW

LEAD = {
    "title": "线索进来",
    "on": {"intake": "lead", "with": {"name": {"type": "text", "required": True}, "phone": {"type": "phone", "encrypted": True}}},
    "then": [{"create": "customer", "values": {"name": "param.name", "phone": "param.phone"}}],
}
PEOPLE = {"s1": "seller", "s2": "seller", "b1": {"role": "boss", "team": "一组"}, "s3": {"role": "seller", "team": "一组", "lead": "b1"}}
HELD = [
    {"as": "b1", "create": "customer", "values": {"name": "张三", "phone": "13900000001", "grade": "A"}, "name": "k"},
    {"as": "b1", "do": "customer.take_over", "on": "k", "with": {"to": "s1", "kind": "new"}, "name": "spell"},
]
RELEASE = {
    "title": "无跟进放回公海",
    "on": {"due": "customer.release_at"},
    "if": "exists(owner)",
    "then": [
        {"let": {"was": "owner"}},
        {"set": {"end_at": "now()", "end_reason": "'idle'"}, "in": "spell", "where": "customer == record and empty(end_at)"},
        {"notify": "was", "message": {"zh": "客户 {name} 已放回公海"}},
    ],
}
ASKING = {
    "title": "申请重开",
    "on": {"action": "customer.ask_reopen"},
    "then": [
        {
            "ask": "reopening",
            "about": "record",
            "who": "people('boss')",
            "opinion": "required",
            "approved": [{"set": {"note": "answer.opinion"}}],
            "refused": [{"set": {"note": "'no'"}}],
        }
    ],
}
GIVING = {
    "title": "让给别人",
    "on": {"action": "customer.give_away", "with": {"to": {"type": "person", "required": True}}},
    "then": [
        {"refuse": "GRADE_A", "if": "grade == 'A'", "soft": True, "message": {"zh": "这是 A 级客户"}},
        {"do": "customer.take_over", "with": {"customer": "record", "to": "param.to"}},
        {"key": "mail", "notify": "param.to", "channel": "mail", "message": {"zh": "{name} 让给您了"}},
        {"notify": "param.to", "message": {"zh": "{name} 让给您了"}},
    ],
}
GIVE = {"as": "b1", "do": "customer.give_away", "on": "k", "with": {"to": "s2"}}
SCENARIOS: dict[str, Any] = {
    "held": {"title": "张三归 s1", "now": "2026-03-01T11:00:00+08:00", "people": PEOPLE, "given": HELD},
    "confirmed": {
        "title": "从别的场景开始：看过提示仍要做，站内和站外的消息都写着姓名",
        "base": "held",
        "people": {"b2": {"role": "boss"}},
        "given": [{**GIVE, "refused": "GRADE_A"}],
        "when": [{**GIVE, "as": "b2", "confirm": ["GRADE_A"]}],
        "then": [
            {"expect": "customer", "where": "owner == s2", "count": 1, "values": {"name": "张三"}},
            {"expect": "spell", "where": "empty(end_at)", "values": {"person": "s2"}},
            {"as": "s2", "expect": "notice", "says": "张三 让给您了", "count": 1},
            {"as": "s2", "expect": "notice", "says": "李四", "count": 0},
            {"sent": "mail", "to": "s2", "says": "张三", "count": 1},
            {"sent": "mail", "to": "s1", "count": 0},
            {"sent": "sms", "count": 0},
        ],
    },
    "teams": {
        "title": "负责人在自己的团队里，上级团队看得到下级团队",
        "teams": {"案场": {"lead": "m"}, "一组": {"parent": "案场", "lead": "b1"}},
        "people": {"m": "boss", "b1": "boss", "s1": {"role": "seller", "team": "一组"}, "s2": {"role": "seller", "lead": "b1"}},
        "then": [
            {"expect": "person", "where": "name == 'b1'", "values": {"team": "一组", "lead": "b1"}},
            {"expect": "person", "where": "name == 's2'", "values": {"team": "一组", "lead": "b1"}},
            {"expect": "person", "where": "name == 'm'", "values": {"team": "案场"}},
            {"expect": "team", "where": "name == '一组'", "values": {"parent": "案场", "lead": "b1"}},
        ],
    },
    "returned": {
        "title": "退回的审批还没有结果",
        "base": "held",
        "given": [{"as": "b1", "do": "customer.ask_reopen", "on": "k"}],
        "when": [{"as": "b1", "answer": "reopening", "on": "k", "with": {"opinion": "写清楚"}, "decision": "returned"}],
        "then": [{"expect": "ask", "values": {"state": "returned"}}, {"expect": "customer", "values": {"note": None}}],
    },
    "pool": {
        "title": {"zh": "三天没有跟进，客户回到公海", "en": "Three days without a follow-up bring a customer back to the pool"},
        "now": "2026-03-01T11:00:00+08:00",
        "people": PEOPLE,
        "given": [*HELD, {"as": "s1", "create": "follow_up", "values": {"customer": "k", "content": "今天在现场谈了一个多小时"}, "name": "f"}],
        "when": [{"clock": "2026-03-05T00:30:00+08:00"}],
        "then": [
            {"expect": "customer", "where": "phone == '13900000001'", "values": {"pooled": True, "owner": None, "name": "张三", "grade": "A"}},
            {"expect": "spell", "where": "customer == k", "count": 1, "values": {"end_reason": "idle", "person": "s1", "customer": "k"}},
            {"expect": "notice", "as": "s1", "count": 1},
            {"expect": "notice", "as": "s2", "count": 0},
            {"expect": "run", "where": "rule == 'release' and state == 'done'", "values": {"trigger": "due"}},
            {"expect": "follow_up", "where": "author == s1", "values": {"effective": True}},
        ],
    },
    "frozen": {
        "title": "没到时候，客户还在",
        "now": "2026-03-01T11:00:00+08:00",
        "people": PEOPLE,
        "given": HELD,
        "when": [
            {"as": "s1", "create": "follow_up", "values": {"customer": "k", "content": "今天在现场谈了一个多小时"}},
            {"clock": "2026-03-04T23:59:00+08:00"},
        ],
        "then": [{"as": "s1", "expect": "customer", "where": "owner == me", "count": 1}, {"as": "s2", "expect": "customer", "count": 0}],
    },
    "longer": {
        "title": "参数改长，放回也晚",
        "now": "2026-03-01T11:00:00+08:00",
        "people": PEOPLE,
        "given": [
            *HELD,
            {"as": "s1", "create": "follow_up", "values": {"customer": "k", "content": "今天在现场谈了一个多小时"}},
            {"setting": "idle_days", "value": {"A": 30, "else": 60}},
        ],
        "when": [{"clock": "2026-03-20T12:00:00+08:00"}],
        "then": [{"expect": "customer", "values": {"owner": "s1", "release_at": "2026-04-01T00:00:00+08:00"}}],
    },
    "rights": {
        "title": "别人的客户看不到、改不了，预算不给看，电话打码",
        "people": PEOPLE,
        "given": [*HELD, {"as": "b1", "update": "k", "values": {"budget": 100000000}}],
        "when": [
            {"as": "s2", "update": "k", "values": {"name": "李四"}, "refused": "no_such_record"},
            {"as": "s2", "do": "customer.take_over", "on": "k", "with": {"to": "s2"}, "refused": True},
            {"as": "s1", "update": "spell.customer", "values": {"name": "张三丰"}},
        ],
        "then": [
            {"as": "s1", "expect": "customer", "where": "name == '张三丰'", "values": {"phone": "13900000001"}},
            {"expect": "customer", "values": {"budget": 100000000}},
            {"as": "b1", "delete": "k", "refused": "still_linked"},
        ],
    },
    "quota": {
        "title": "每月最多捞两个",
        "people": PEOPLE,
        "given": [{"create": "customer", "values": {"name": name}, "name": name} for name in ("p1", "p2", "p3")],
        "when": [
            {"as": "s1", "do": "customer.claim", "on": "p1", "with": {"reason": "老客户转介绍"}},
            {"as": "s1", "do": "customer.claim", "on": "p2", "with": {"reason": "老客户转介绍"}, "name": "claimed"},
            {"as": "s1", "do": "customer.claim", "with": {"reason": "短"}, "on": "p3", "refused": "text_too_short"},
        ],
        "then": [
            {"as": "s1", "do": "customer.claim", "on": "p3", "with": {"reason": "老客户转介绍"}, "refused": "QUOTA"},
            {"expect": "claim", "where": "applicant == s1", "count": 2},
            {"expect": "customer", "where": "claimed.customer == p2 and name == 'p2'", "values": {"owner": "s1"}},
        ],
    },
    "race": {
        "title": "同时捞一个客户，只有一个人得到",
        "people": PEOPLE,
        "given": [{"create": "customer", "values": {"name": "k"}, "name": "k"}],
        "when": [
            {
                "together": [{"as": who, "do": "customer.claim", "on": "k", "with": {"reason": "老客户转介绍"}} for who in ("s1", "s2", "s3")],
                "expect": {"done": 1, "no_such_record": 2},
            }
        ],
        "then": [{"expect": "claim", "count": 1}, {"expect": "spell", "where": "empty(end_at)", "count": 1}],
    },
    "twenty": {
        "title": "二十个人同时捞一个客户，只有一个人得到",
        "people": {f"c{number}": "seller" for number in range(20)},
        "given": [{"create": "customer", "values": {"name": "k"}, "name": "k"}],
        "when": [
            {
                "together": [{"as": f"c{number}", "do": "customer.claim", "on": "k", "with": {"reason": "老客户转介绍"}} for number in range(20)],
                "expect": {"done": 1, "no_such_record": 19},
            }
        ],
        "then": [{"expect": "spell", "where": "empty(end_at)", "count": 1}],
    },
    "outside": {
        "title": "外部消息进来一次，查看完整号码要写理由、要有权、留痕",
        "people": PEOPLE,
        "given": [
            {"intake": "lead", "values": {"name": "张三", "phone": "13900000001"}},
            {"intake": "lead", "values": {"name": "张三", "phone": "13900000001"}},
            {"intake": "lead", "values": {"phone": "13900000002"}, "refused": "required"},
            {"expect": "customer", "where": "name == '张三'", "count": 1, "name": "k"},
        ],
        "when": [
            {"as": "b1", "reveal": "k.phone", "refused": "reason_required"},
            {"as": "b1", "reveal": "k.phone", "with": {"reason": "回访"}},
            {"as": "s2", "reveal": "k.phone", "with": {"reason": "回访"}, "refused": "may_not_reveal"},
        ],
        "then": [{"expect": "reveal", "where": "person == b1 and entity == 'customer' and record_id == k.id and field == 'phone'", "count": 1}],
    },
    "asked": {
        "title": "审批同意之后写下意见",
        "people": PEOPLE,
        "given": [*HELD, {"as": "b1", "do": "customer.ask_reopen", "on": "k"}],
        "when": [
            {"as": "s1", "answer": "reopening", "refused": "unknown_ask"},
            {"as": "b1", "answer": "reopening", "on": "k", "refused": "required"},
            {"as": "b1", "answer": "reopening", "on": "k", "with": {"opinion": "同意再谈"}, "decision": "approved"},
        ],
        "then": [
            {"expect": "customer", "values": {"note": "同意再谈"}},
            {"expect": "ask", "values": {"state": "approved", "decided_by": "b1", "name": "reopening"}},
        ],
    },
}
BOSS = {**DOCUMENTS_OF_SITE["role", "boss"]}
BOSS["grants"] = {
    **BOSS["grants"],
    "customer": {**BOSS["grants"]["customer"], "actions": {"take_over": True, "claim": "pooled", "ask_reopen": True, "give_away": True}},
}
RULES = {("rule", "lead"): LEAD, ("rule", "release"): RELEASE, ("rule", "ask_reopen"): ASKING, ("rule", "give_away"): GIVING}
SITE = {**DOCUMENTS_OF_SITE, **RULES, ("role", "boss"): BOSS, ("scenario", "held"): SCENARIOS["held"]}


def site(**scenarios: Any) -> Bundle:
    """The small site with scenarios."""
    return Bundle({**SITE, **{("scenario", key): body for key, body in scenarios.items()}}, DOCUMENTS)


def said(result: Result, locale: str = "zh") -> list[str]:
    return [f"{item.pointer} {sentence(item.code, item.params, locale, catalogue())}" for item in result.problems]


_count = iter(range(1, 1000))


def played(home: Home, key: str, bundle: Bundle) -> Result:
    """One scenario in a new workspace of a home."""
    workspace = create_workspace(home, f"scenes{next(_count)}", bundle, sandbox=True, now=NOW.replace(month=1))
    return run_scenario(home, workspace, key, bundle)


@pytest.mark.parametrize("key", SCENARIOS)
def test_a_scenario_of_the_small_site_holds_on_both_databases(key, database_kind, open_home: Callable[[str], Home]):
    result = played(open_home(database_kind), key, site(**{key: SCENARIOS[key]}))
    assert result.holds, said(result)
    own = sum(len(SCENARIOS[key].get(part, ())) for part in ("given", "when", "then"))
    assert result.steps == own + (len(HELD) if SCENARIOS[key].get("base") == "held" else 0)


def test_a_line_that_does_not_come_true_is_named_in_both_languages_with_what_was_expected_and_what_is_there(open_home: Callable[[str], Home]):
    wrong = [
        {"expect": "customer", "values": {"owner": "s2", "name": "张三"}},
        {"expect": "customer", "where": "owner == s2"},
        {"expect": "task", "count": 3},
        {"as": "s1", "expect": "customer", "values": {"budget": 5}},
        {"as": "s1", "update": "k", "values": {"name": "王五"}, "refused": "QUOTA"},
        {"as": "s1", "do": "customer.claim", "on": "k", "with": {"reason": "老客户转介绍"}, "refused": "QUOTA"},
        {"as": "s1", "answer": "reopening"},
    ]
    result = played(open_home("sqlite"), "wrong", site(wrong={"title": "错", "people": PEOPLE, "given": HELD, "then": wrong}))
    assert said(result) == [
        "/then/0/values/owner 则第 1 步 应有 customer：“归属人”应为“s2”，实为“s1”",
        "/then/1 则第 2 步 应有 customer owner == s2：应当有，一条也没有",
        "/then/2 则第 3 步 应有 task：应有 3 条，实有 0 条",
        "/then/3/values/budget 则第 4 步 s1 应有 customer：“预算”应为“5”，但 s1 看不到这个字段",
        "/then/4 则第 5 步 s1 修改 k：应被拒绝（QUOTA），却做成了",
        "/then/5 则第 6 步 s1 执行 customer.claim k：应以 QUOTA 被拒绝，实际是 may_not_act：您不能对这条记录执行“捞取公海客户”",
        "/then/6 则第 7 步 s1 决定审批 reopening：没有正在等待决定的审批“reopening”",
    ]
    assert said(result, "en")[0] == "/then/0/values/owner then 1, expects customer: “归属人” should be “s2” and is “s1”"
    assert said(result, "en")[4] == "/then/4 then 5, s1 changes k: should have been refused (QUOTA) and was done"


def test_a_name_that_leads_nowhere_and_a_value_that_cannot_be_are_told_not_crashed_on(open_home: Callable[[str], Home]):
    then = [
        {"update": "k.none", "values": {}},
        {"update": "k.name", "values": {}},
        {"expect": "customer", "values": {"release_at": "soon", "name": "张三"}},
        {"expect": "ask", "count": 0, "values": {"at": "soon"}},
        {"expect": "run", "where": "rule == 'take_over'", "values": {"at": "soon"}},
    ]
    result = played(open_home("sqlite"), "odd", site(odd={"title": "怪", "people": PEOPLE, "given": HELD, "then": then}))
    assert [(item.pointer, item.code) for item in result.problems] == [
        ("/then/0", "scenario_no_record"),
        ("/then/1", "scenario_no_record"),
        ("/then/2/values/release_at", "scenario_value"),
        ("/then/4/values/at", "scenario_value"),
    ]


def test_what_is_given_or_done_and_fails_ends_the_scenario_there(open_home: Callable[[str], Home]):
    steps = {"given": [*HELD, {"as": "s2", "update": "k", "values": {"name": "李四"}}], "then": [{"expect": "task", "count": 3}]}
    result = played(open_home("sqlite"), "early", site(early={"title": "早", "people": PEOPLE, **steps}))
    assert [(item.pointer, item.code) for item in result.problems] == [("/given/2", "scenario_refused")] and result.steps == 3


def test_people_who_cannot_be_made_are_named(open_home: Callable[[str], Home]):
    result = played(open_home("sqlite"), "odd", site(odd={"title": "人", "people": {"s1": {"role": "seller", "values": {"email": 7}}}}))
    assert [(item.pointer, item.code) for item in result.problems] == [("/people/s1", "scenario_refused")]


def test_each_scenario_begins_in_a_sandbox_of_its_own_and_leaves_nothing_behind(tmp_path, monkeypatch, open_home: Callable[[str], Home]):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    results = list(run_scenarios(open_home("sqlite").registry, site(**SCENARIOS)))
    assert {result.key for result in results} == SCENARIOS.keys() and all(result.holds for result in results), [said(result) for result in results]
    assert list(tmp_path.iterdir()) == []
    assert [result.key for result in run_scenarios(open_home("sqlite").registry, site(**SCENARIOS), {"race"})] == ["race"]


def broken(**words: Any) -> dict[str, Any]:
    return {"title": {"zh": "错", "en": "Wrong"}, "people": PEOPLE, "given": HELD, "then": [{"expect": "task", "count": 3}], **words}


def test_a_scenario_that_does_not_hold_stops_a_publish_and_is_named(database_kind, open_home: Callable[[str], Home]):
    home, name = open_home(database_kind), f"scenes{next(_count)}"
    create_workspace(home, name, site())
    ctx = operator(home, name)
    with pytest.raises(Invalid) as refused:
        release(ctx, plan_publish(ctx, site(race=SCENARIOS["race"], wrong=broken())))
    assert refused.value.code == "publish_scenarios" and refused.value.params["titles"] == "wrong"
    assert [(item.file, item.pointer) for item in refused.value.params["problems"]] == [("scenarios/wrong.json", "/then/0")]
    assert home.look(name)[0].version == 1
    assert release(ctx, plan_publish(ctx, site(race=SCENARIOS["race"], wrong=broken(then=[{"expect": "task", "count": 0}])))).number == 2


def test_scenarios_are_left_out_only_for_a_reason_that_stands_with_the_version(open_home: Callable[[str], Home]):
    home, name = open_home("sqlite"), f"scenes{next(_count)}"
    create_workspace(home, name, site())
    ctx = operator(home, name)
    plan = plan_publish(ctx, site(wrong=broken()))
    with pytest.raises(Invalid, match="scenario_skip_reason"):
        release(ctx, plan, skip_scenarios=" ")
    assert release(ctx, plan, note="v2", skip_scenarios="案场停电，先恢复").number == 2
    with ctx.reading() as reading:
        notes = reading.open.execute(version.select().order_by(version.c.number)).mappings().all()
    assert (notes[-1]["note"], notes[-1]["unproven"]) == ("v2", "案场停电，先恢复")


def test_what_a_base_gives_and_fails_is_named_in_the_file_of_the_base(open_home: Callable[[str], Home]):
    bundle = site(first=broken(given=[*HELD, {"as": "s2", "update": "k", "values": {"name": "李四"}}]), second={"title": "续", "base": "first"})
    result = played(open_home("sqlite"), "second", bundle)
    assert [(item.file, item.pointer, item.code) for item in result.problems] == [("scenarios/first.json", "/given/2", "scenario_refused")]


def test_bases_that_lead_round_and_names_nobody_gave_are_told_by_the_check(open_home: Callable[[str], Home]):
    first = {"title": "一", "base": "second", "people": PEOPLE}
    second = {"title": "二", "base": "first", "teams": {"一组": {"parent": "二组", "lead": "x1", "values": {"none": 1}}}}
    third = {"title": "三", "base": "nowhere"}
    fourth = {"title": "四", "base": "held", "when": [{"as": "s1", "update": "k", "values": {"nome": "李四"}}, {"as": "s1", "update": "j", "values": {}}]}
    problems = check(site(first=first, second=second, third=third, fourth=fourth), open_home("sqlite").registry.vocabulary())
    own = [(item.file.split("/")[1], item.pointer, item.code) for item in problems if item.file.startswith("scenarios/")]
    assert sorted(own) == [
        ("first.json", "/base", "scenario_base_loop"),
        ("fourth.json", "/when/0/values/nome", "unknown_field"),
        ("fourth.json", "/when/1/update", "unknown_name"),
        ("second.json", "/base", "scenario_base_loop"),
        ("second.json", "/teams/一组/lead", "unknown_person"),
        ("second.json", "/teams/一组/parent", "unknown_team"),
        ("second.json", "/teams/一组/values/none", "unknown_field"),
        ("third.json", "/base", "unknown_scenario"),
    ]


def test_whoever_expects_as_somebody_may_say_me(open_home: Callable[[str], Home]):
    steps = [{"as": "s1", "expect": "customer", "where": "owner == me"}, {"expect": "customer", "where": "owner == me"}]
    problems = check(site(mine=broken(then=steps)), open_home("sqlite").registry.vocabulary())
    own = [(item.code, item.pointer) for item in problems if item.file.startswith("scenarios/")]
    assert own == [("expression_unknown_name", "/then/1/where")]
