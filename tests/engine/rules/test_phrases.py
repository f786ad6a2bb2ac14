"""Expressions read aloud: with the names people gave, in both languages, for every tree the grammar can make."""

import string
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.builtin import DOCUMENTS
from engine.expressions.checking import names_for
from engine.expressions.language import parse
from engine.fields.scope import SHANGHAI
from engine.registry import engine_registry
from engine.rules.labels import Labels, catalogue
from engine.rules.phrases import Around, Named, phrase, span, value_phrase
from engine.rules.schedules import schedule_phrase
from engine.system_entities import SYSTEM_ENTITIES
from engine.workspace_checking import with_expressions
from engine.workspace_types import TypeBook
from metadata.bundle import Bundle
from metadata.vocabulary import ExpressionPlace
from tests.faces.grammar import Grammar
from tests.faces.world import NAMES
from tests.metadata.samples import GOOD

SPACES = frozenset({"me", "record", "old", "run", "param", "lines", "answer", "tally"})


@cache
def book() -> TypeBook:
    registry = with_expressions(engine_registry()).freeze()
    bundle, problems = Bundle.read_folder(GOOD, DOCUMENTS)
    assert not problems
    return TypeBook(bundle, registry.field_types, SHANGHAI, registry.functions)


def said(text: str, locale: str = "zh", rows: bool = False, value: bool = False) -> str:
    params = {"why": {"type": "text", "title": {"zh": "原因", "en": "Reason"}}, "n": {"type": "integer"}}
    place = ExpressionPlace("customer", "", SPACES, params, {"record": "customer", "old": "customer", "seen": "customer", "outcome": ""})
    expression = parse(text, names_for(book(), place), None, book().functions)
    names = {"seen": Named("找到的客户"), "outcome": Named("结论", {"grade": "等级"}, choices={"grade": "grade"})}
    around = Around(Labels(book().bundle, locale), "customer", "customer", rows, names, params)
    return value_phrase(expression, around) if value else phrase(expression, around)


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("stage == 'lost' and days_since(owned_since) > 30", "阶段 是 战败 且 距 归属开始 已过 30 天以上", "Stage is 战败 and more than 30 days since Since"),
        ("not (stage == 'lost') or empty(owner)", "阶段 不是 战败 或 归属 为空", "Stage is not 战败 or Owner is empty"),
        (
            "owner == me and (grade == 'A' or grade == 'B')",
            "归属 是 操作人 且 （等级 是 A 或 等级 是 B）",
            "Owner is the acting person and (Grade is A or Grade is B)",
        ),
        ("grade in ('A', 'B')", "等级 是 A、B 之一", "Grade is one of A, B"),
        ("budget_max > 2000000", "预算至 大于 2 万", "To is more than ¥20,000"),
        ("days_until(born) <= 3", "离 生日 不超过 3 天", "at most 3 days until Born"),
        ("hours_between(owned_since, now()) > 24", "距 归属开始 已过 24 小时以上", "more than 24 hours since Since"),
        ("days_between(owned_since, created_at) < 2", "从 归属开始 到 创建时间 不足 2 天", "less than 2 days from Since to created at"),
        ("1 <= days_since(born)", "距 生日 已满 1 天", "at least 1 day since Born"),
        (
            "between(owned_since, start_of(now(), 'month'), end_of(now(), 'month'))",
            "归属开始 在 本月开始时 与 本月结束时 之间",
            "Since is between the start of this month and the end of this month",
        ),
        ("setting.idle_days[grade] > 3", "等级 对应的参数“闲置天数” 大于 3", "the setting ‘Idle’ for Grade is more than 3"),
        ("owner.team == me.team", "归属 的 团队 是 操作人 的 团队", "Team of Owner is team of the acting person"),
        ("old.stage != stage", "原 阶段 不是 阶段", "the former Stage is not Stage"),
        ("me.role == 'boss'", "操作人 的 角色 是 主管", "role of the acting person is Boss"),
        ("seen.owner == me", "找到的客户 的 归属 是 操作人", None),
        ("outcome.grade == 'A'", "结论 的 等级 是 A", None),
        ("length(squeeze(name)) < setting.quota", "姓名（去空白） 的字数 小于 参数“每月上限”", None),
        ("has(tags, 'x') and not has(tags, param.why)", "标签 里有 “x” 且 标签 里没有 原因", None),
        ("setting.approve", "参数“须审批” 为是", "the setting ‘Approve’ is yes"),
    ],
)
def test_a_condition_reads_as_people_would_say_it(text, zh, en):
    assert said(text) == zh
    assert en is None or said(text, "en") == en


@pytest.mark.parametrize(
    ("text", "zh"),
    [
        ("case(exists(owner), add_days(owned_since, setting.idle_days[grade]), null)", "归属 有值 时为 归属开始 后 等级 对应的参数“闲置天数” 天，否则为 空"),
        ("coalesce(owner, created_by)", "归属、创建人 中第一个有值的"),
        ("budget_max - budget_min", "预算至 − 预算从"),
        ("people('boss')", "全体主管"),
        ("empty(owner)", "是否 归属 为空"),
        ("end_of_day_after(now(), 3)", "现在 后第 3 天结束时"),
        ("period_of(now(), 'month')", "本月"),
        ("concat(name, '-', head(code, 2))", "姓名 + “-” + 代号 的前 2 个字"),
        ("record", "该客户"),
        ("run.title", "规则名称"),
        ("param.n", "“n”"),
    ],
)
def test_a_value_reads_as_what_it_is(text, zh):
    assert said(text, value=True) == zh


def test_among_rows_looked_at_the_record_is_named():
    assert said("owner == record.owner and id != record.id", rows=True) == "归属 是 该客户 的 归属 且 编号 不等于 该客户 的 编号"
    assert said("stage == record.stage") == "阶段 是 阶段"


def test_no_key_of_a_titled_thing_is_shown():
    text = said("budget_min > 5 and exists(release_at) and last_visit < now() and spent > 0 and owner_team == me.team and source == 'walk'")
    assert not [key for key in book().bundle.entities["customer"].fields if key in text]


@pytest.mark.parametrize(
    ("cron", "zh", "en"),
    [
        ("0 8 * * MON-FRI", "每周一至周五 08:00", "Every Monday to Friday at 08:00"),
        ("30 9,18 * * *", "每天 09:30、18:30", "Every day at 09:30, 18:30"),
        ("0 0 1 * *", "每月 1 日 00:00", "On day 1 of every month at 00:00"),
        ("0 6 1 1 *", "每年 1 月 1 日 06:00", "Every year on day 1 of month 1 at 06:00"),
        ("*/15 * * * *", "每天每 15 分钟", "Every day every 15 minutes"),
        ("5 * * * 0", "每周日每小时第 5 分", "Every Sunday at minute 5 of every hour"),
        ("0 8-18/2 * * 7", "按时刻表 0 8-18/2 * * 7", "By the schedule 0 8-18/2 * * 7"),
    ],
)
def test_a_schedule_reads_as_a_time(cron, zh, en):
    assert schedule_phrase(cron, Labels(book().bundle, "zh")) == zh
    assert schedule_phrase(cron, Labels(book().bundle, "en")) == en


def test_a_length_of_time_has_its_parts():
    labels = Labels(book().bundle, "zh"), Labels(book().bundle, "en")
    assert [span(604_800, item) for item in labels] == ["7 天", "7 days"]
    assert [span(-90_061, item) for item in labels] == ["负 1 天 1 小时 1 分钟 1 秒", "minus 1 day 1 hour 1 minute 1 second"]
    assert span(0, labels[0]) == "0 秒"


def test_the_engines_own_tables_and_their_fields_have_names():
    for locale in ("zh", "en"):
        labels = Labels(book().bundle, locale)
        quote = labels.quoted("")[0]
        for key, entity in SYSTEM_ENTITIES.items():
            assert not labels.entity(key).startswith(quote)
            assert not [field for field in entity.fields if labels.field(key, field).startswith(quote)]


def test_every_phrase_is_there_in_both_languages_with_the_same_parts():
    for code, texts in catalogue().items():
        parts = [{name for _, name, _, _ in string.Formatter().parse(texts[language]) if name} for language in ("zh", "en")]
        assert set(texts) == {"zh", "en"} and parts[0] == parts[1], code


@st.composite
def trees(draw):
    grammar = Grammar(lambda number: draw(st.integers(0, max(0, number - 1))))
    kind = draw(st.sampled_from(["boolean", "integer", "text", "money", "instant", "date", "decimal", "grade", "list", "bracketed", "double"]))
    made = getattr(grammar, kind)
    return made() if kind == "bracketed" else made(draw(st.integers(0, 4)))


@given(trees(), st.sampled_from(["zh", "en"]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_expression_of_the_grammar_has_a_phrase(text, locale, rows):
    expression = parse(text, NAMES)
    around = Around(Labels(book().bundle, locale), "item", "item", rows)
    assert phrase(expression, around).strip() and value_phrase(expression, around).strip()
