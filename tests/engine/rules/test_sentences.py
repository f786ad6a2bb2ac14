"""Rules read aloud: trigger, condition and every step, in both languages, with the names people gave; every rule there can be has its lines."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.language import parse
from engine.rules.book import CompiledRule, Step, Template, Trigger, every_step
from engine.rules.labels import Labels
from engine.rules.sentences import decision_lines, lines, sentence
from metadata.bundle import Bundle
from tests.engine.rules.said import TRADE, read_rules
from tests.faces.grammar import Grammar
from tests.faces.world import NAMES
from tests.metadata.samples import GOOD

LOCALES = ("zh", "en")


@cache
def good() -> Any:
    bundle, problems = Bundle.read_folder(GOOD)
    assert not problems
    return read_rules(bundle.documents)


@cache
def trade() -> Any:
    return read_rules(TRADE)


def told(world: Any, key: str, locale: str = "zh") -> list[str]:
    bundle, book, _ = world
    return ["  " * line.depth + line.text for line in lines(book.rules[key], Labels(bundle, locale))]


def test_a_claim_reads_as_its_author_meant_it():
    assert told(trade(), "claim") == [
        "对 客户 执行“捞取公海客户”时（填写 “reason”）",
        "如果 公海状态 是 公海",
        "  若 前任顾问 是 操作人 且 距 进入公海时间 不足 参数“冷却天数” 天，拒绝：“释放后 [参数“冷却天数”] 天内不能捞回”",
        "  与同样以 “quota”、操作人 排队的规则依次进行",
        "  数一数捞取申请，条件为 申请人 是 操作人 且 月份 是 本月 且 状态 是 待批、已批 之一",
        "  若 捞取申请的数量 至少为 参数“每月捞取上限”，拒绝：“QUOTA”",
        "  新建捞取申请（客户 为 该客户、申请人 为 操作人、理由 为 “reason”、月份 为 本月）",
        "  请 操作人 的 上级 审批（事由 新建的捞取申请；仅当 参数“捞取须审批” 为是 才需要，否则直接通过；不能是 操作人；须写意见；限 1 天）",
        "    同意后",
        "      把 新建的捞取申请 的 状态 设为 已批、意见 设为 审批答复 的 审批意见",
        "      执行“换归属”（客户 为 该客户、人员 为 新建的捞取申请 的 申请人、归属种类 为 捞取）",
        "    不同意后",
        "      把 新建的捞取申请 的 状态 设为 已拒、意见 设为 审批答复 的 审批意见",
        "    过期后",
        "      把 新建的捞取申请 的 状态 设为 已过期",
    ]


def test_changing_hands_reads_as_its_author_meant_it():
    assert told(trade(), "take_over") == [
        "对 客户 执行“换归属”时（填写 人员、归属种类、结束原因）",
        "  记“was”为 归属顾问",
        "  把每条归属期（客户 是 该客户 且 结束 为空）的 结束 设为 现在、结束原因 设为 结束原因、转移 中第一个有值的",
        "  新建归属期（客户 为 该客户、顾问 为 人员、种类 为 归属种类、开始 为 现在、保护至 为 现在 后第 归属种类 对应的参数“保护天数” 天结束时）",
        "  把每条任务（客户 是 该客户 且 状态 是 未完成）的 负责人 设为 人员",
        "  通知 人员、“was”：“客户 [姓名] 现由 [人员 的 姓名] 跟进”",
        "  结果为 新建的归属期",
    ]


def test_a_derivation_before_the_save_reads_as_its_author_meant_it():
    assert told(trade(), "effective")[2:] == [
        "  把 无效原因 设为（方式 是 电话 且 通话结果 不是 接通）时为 未接通，内容（去空白）的字数 小于 参数“有效跟进最少字数” 时为 太短，"
        "找到的跟进 的 内容（去空白）里有 内容（去空白）时为 与前次雷同，距 时间 已过 24 小时以上 时为 补录过晚，否则为 空",
        "  把 有效跟进 设为 是否 无效原因 为空",
    ]


def test_what_a_visitor_sets_off_reads_in_english_too():
    found = told(trade(), "arrival", "en")
    assert found[0] == "After a Touch is created, settings as they were at 接触时间"
    assert found[2] == "  Find one Registration where 电话 is 电话 of this Touch and 状态 is 有效, sorted by 报备时间"
    assert found[8].endswith("set on the Registration found 状态 to 报备状态 of the outcome of ‘判客规则’, 驳回原因 to 驳回原因 of the outcome of ‘判客规则’")


def test_a_decision_table_reads_row_by_row():
    bundle, _, tables = trade()
    assert decision_lines(tables["attribution"], Labels(bundle, "zh")) == (
        "1. 若 “deal” 为是：“row” 为 2、归属方式 为 维持",
        "2. 若 “protected” 为是：“row” 为 3、归属方式 为 维持",
        "3. 若 “reg” 为是 且 “lead” 小于 参数“报备提前分钟数”：“row” 为 6、渠道 为 自然到访、报备状态 为 驳回、驳回原因 为 报备过晚、归属方式 为 轮派、"
        "标记 “suspect_intercept”",
        "4. 其余：“row” 为 14、渠道 为 自然到访、归属方式 为 轮派",
    )
    english = decision_lines(good()[2]["attribution"], Labels(good()[0], "en"))
    assert english[1] == "2. if ‘minutes’ is less than the setting ‘Quota’: ‘row’: ‘minutes’, Grade: B, flags ‘late’"


@pytest.mark.parametrize(
    ("key", "zh", "en"),
    [
        ("release", "客户 的 释放 前 1 天（只算参数“营业时间”的开放时间），如果 归属 有值，则把 归属 清空。", "1 day before Release of a Customer (counting the open hours of the setting ‘Hours’), if Owner is there: set Owner to nothing."),
        ("morning", "每周一至周五 08:00，对每个满足 在岗 为是 的 人员，通知 该人员：“早”。", "Every Monday to Friday at 08:00, for each Person where Active is yes, tell this Person: ‘Good morning’."),
        ("staged", "客户 的阶段变为 已到访 之后，通知 归属：模板“came”。", "After the stage of a Customer changes to 已到访, tell Owner: the template ‘came’."),
        ("lead", "从“lead”收到消息时，新建客户（姓名 为 “name”、电话 为 “1”），已有同样的就用已有的。", None),
    ],
)  # fmt: skip
def test_a_rule_is_one_sentence(key, zh, en):
    bundle, book, _ = good()
    assert sentence(book.rules[key], Labels(bundle, "zh")) == zh
    assert en is None or sentence(book.rules[key], Labels(bundle, "en")) == en


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("world", [good, trade])
def test_every_rule_has_a_line_for_each_of_its_steps_and_shows_no_key_that_has_a_title(world, locale):
    bundle, book, _ = world()
    for rule in book.rules.values():
        found = lines(rule, Labels(bundle, locale))
        assert [line.path for line in found if line.part == "step"] == [step.path for step in every_step(rule.steps)]
        text = " ".join(line.text for line in found)
        titled = {key for entity in bundle.entities.values() for key, field in entity.fields.items() if field.title}
        titled |= {key for key, item in bundle.settings.values.items() if item.title}
        words = {word for word in text.replace("“", " ").split() if word.isascii() and "_" in word}
        # built-in actions and names that steps give have no title to show
        assert not (words & titled), (rule.key, words & titled)
        assert sentence(rule, Labels(bundle, locale))


def test_inside_a_sentence_what_stands_below_is_in_brackets():
    bundle, book, _ = good()
    text = sentence(book.rules["reopen"], Labels(bundle, "zh"))
    assert "【同意后：【把 新建的来访 的 记录 设为 审批答复 的 审批意见】；不同意后：【删除 新建的来访】】" in text
    assert text.startswith("对 客户 执行“重开”时（填写 原因），如果 阶段 是 战败，则") and text.endswith("。")


# --- every rule there can be ---------------------------------------------------------------------------------------------------------------


@st.composite
def rules(draw: Any) -> CompiledRule:
    below = st.integers
    grammar = Grammar(lambda number: draw(below(0, max(0, number - 1))))

    def expression(kind: str = "boolean") -> Any:
        return parse(getattr(grammar, kind)(draw(below(0, 2))), NAMES)

    def value() -> Any:
        return (
            draw(st.sampled_from([None, True, 5]))
            if draw(st.booleans())
            else expression(draw(st.sampled_from(["integer", "text", "instant", "grade", "boolean"])))
        )

    def message() -> Template:
        return Template("", {"zh": ("前", expression("text"), "后"), "en": (expression("integer"),)})

    def make(depth: int) -> Step:
        verbs = ["let", "find", "lock", "decide", "set", "refuse", "create", "delete", "do", "notify", *(["each", "if", "ask"] if depth else [])]
        verb, name = draw(st.sampled_from(verbs)), draw(st.sampled_from(["a", "b", "seen"]))
        where = {"where": expression()} if draw(st.booleans()) else {}
        condition = expression() if draw(st.booleans()) else True
        then = {"then": tuple(make(depth - 1) for _ in range(draw(below(0, 2))))} if depth else {}
        match verb:
            case "let":
                return Step(verb, name, {"let": {}}, condition, {f"let/{name}": value()})
            case "find":
                take = draw(st.sampled_from(["one", 1, 5, "count", "all", {"sum": "n"}]))
                return Step(
                    verb,
                    name,
                    {"find": draw(st.sampled_from(["item", "place", "a"])), "as": name, "take": take, "sort": ["-n"]},
                    condition,
                    {**where, "sort/0": expression("integer"), "show/x": value(), "take/sum": expression("integer")},
                )
            case "lock":
                return Step(verb, name, {"lock": []}, condition, {"lock/0": value()})
            case "decide":
                return Step(verb, name, {"decide": "t", "as": name}, condition, {"with/n": value()})
            case "set":
                body = draw(st.sampled_from([{}, {"on": "a"}, {"in": "place"}, {"refuse": "X"}]))
                expect = {"expect": expression()} if "refuse" in body else {}
                return Step(verb, name, {"set": {}, **body}, condition, {"set/n": value(), **where, **expect})
            case "refuse":
                return Step(verb, name, {"refuse": "NO", "at": "n", "soft": draw(st.booleans())}, condition, message=message() if draw(st.booleans()) else None)
            case "create":
                return Step(verb, name, {"create": "place", "as": name, **draw(st.sampled_from([{}, {"once": "k"}]))}, condition, {"values/size": value()})
            case "delete":
                return Step(verb, name, {"delete": name}, condition)
            case "do":
                return Step(verb, name, {"do": "place.act", "as": name}, condition, {"with/place": value(), "with/list/0": value()})
            case "notify":
                return Step(verb, name, {"notify": "", "channel": draw(st.sampled_from(["screen", "sms", "smoke"]))}, condition, {"notify": value()}, message())
            case "each":
                each = draw(st.sampled_from(["a", {"find": "place"}]))
                terms = {"each": value()} if each == "a" else {f"each/{key}": term for key, term in where.items()}
                return Step(verb, name, {"each": each, "as": name, "apart": draw(st.booleans())}, condition, terms, branches={**then, "done": (make(0),)})
            case "if":
                return Step(verb, name, {"if": ""}, expression(), branches={**then, "else": (make(0),)})
        body = {
            "ask": "x",
            "as": name,
            "about": "a",
            "need": draw(st.sampled_from(["any", "all", 2, "order"])),
            "within": "PT5H",
            "opinion": "required",
            "escalate": {"after": "P1D"},
        }
        return Step(
            "ask",
            name,
            body,
            condition,
            {"who": value(), "not": value(), "needed": expression(), "escalate/to": value()},
            branches={"approved": (make(0),), "finally": (make(0),)},
        )

    trigger = draw(
        st.sampled_from(
            [
                Trigger("before", "save", "item", frozenset({"n"})),
                Trigger("after", "stage", "item", targets=frozenset({"x"})),
                Trigger("before", "action", "item", actions=("item.*",)),
                Trigger("later", "create", "item"),
                Trigger("due", entity="item", due=("at", "end"), shifts=(-86_400, 0, 3_600), repeat=60, calendar="hours"),
                Trigger("cron", entity="item", cron="0 8 * * MON"),
                Trigger("cron", cron="@daily"),
                Trigger("action", entity="item", name="item.act", params={"n": {"type": "integer"}}),
                Trigger("intake", name="x"),
                Trigger("event", name="x"),
            ]
        )
    )
    steps = tuple(make(2) for _ in range(draw(below(0, 3))))
    return CompiledRule(
        "r", "", trigger, trigger.entity, expression() if draw(st.booleans()) else True, steps, as_of=expression("instant"), give=expression("text")
    )


@given(rules(), st.sampled_from(LOCALES))
@settings(max_examples=150, deadline=None)
def test_every_rule_there_can_be_is_read_aloud(rule, locale):
    labels = Labels(Bundle({}), locale)
    found = lines(rule, labels)
    assert found[0].part == "when" and all(line.text.strip() for line in found)
    assert len([line for line in found if line.part == "step"]) == len(list(every_step(rule.steps)))
    assert sentence(rule, labels).strip()
