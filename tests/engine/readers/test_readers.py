"""Readers of messy cells on what the twenty rows do not hold, and on anything at all."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.fields.base import Wrong
from engine.fields.scope import FieldScope
from engine.messages import catalogue
from engine.readers.base import Reading, ReadingScope
from engine.registry import default_registry
from metadata.bundle import Bundle
from metadata.definitions import read_fields

READERS = default_registry().readers
BUNDLE = Bundle(
    {
        ("choices", "colour"): {
            "title": "颜色",
            "options": {
                "red": {"title": {"zh": "红色", "en": "Red"}, "also": ["大红", "红"]},
                "blue": {"title": "蓝色"},
                "gone": {"title": "灰色", "retired": True},
            },
        }
    }
)
FIELDS = read_fields({"code": {"type": "choice", "choices": "colour"}})
SCOPE = ReadingScope(FieldScope(BUNDLE, ZoneInfo("Asia/Shanghai")), datetime(2026, 3, 15, 2, tzinfo=UTC))


def read(name: str, *cells: object, **options: object) -> Reading:
    return READERS[name].read(list(cells), options, SCOPE)


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        (
            ("郑宇霞（爱人叶永娟）", "18604330090/18694369161"),
            {"name": "郑宇霞", "phone": "+8618604330090", "others": [{"name": "叶永娟", "phone": "+8618694369161", "relation": "spouse"}]},
        ),
        (("张三", "13800138000 13900139000"), {"name": "张三", "phone": "+8613800138000", "more_phones": [{"phone": "+8613900139000"}]}),
        (
            ("张三", "13800138000(本人) 13900139000(妻子)"),
            {"name": "张三", "phone": "+8613800138000", "others": [{"name": "妻子", "phone": "+8613900139000", "gender": "female", "relation": "spouse"}]},
        ),
        (
            ("张三,妻子:李四 13900139000", "13800138000"),
            {"name": "张三", "phone": "+8613800138000", "others": [{"name": "李四", "phone": "+8613900139000", "gender": "female", "relation": "spouse"}]},
        ),
        (("张三(男)", 13800138000), {"name": "张三", "gender": "male", "phone": "+8613800138000"}),
        (("张三", 13800138000.0), {"name": "张三", "phone": "+8613800138000"}),
        (("Tom  Lee", "13800138000"), {"name": "Tom Lee", "phone": "+8613800138000"}),
        (("欧阳 娜娜", "13800138000"), {"name": "欧阳娜娜", "phone": "+8613800138000"}),
        (("古力娜扎·买买提", "\xa018811570758 "), {"name": "古力娜扎·买买提", "phone": "+8618811570758"}),
        (("\u200b张三", "138OO138OOO"), {"name": "张三", "phone": "+8613800138000"}),
        (("张三", "(0571)88881234"), {"name": "张三", "phone": "+8657188881234"}),
        (("张三", "无"), {"name": "张三"}),
        (("父亲李四", "13800138000"), {"name": "李四", "gender": "male", "phone": "+8613800138000"}),
        (("𠮷野", "13800138000"), {"name": "𠮷野", "phone": "+8613800138000"}),
    ],
)
def test_people_in_the_ways_they_are_written(cells, parts):
    assert read("people", *cells).parts == parts


def test_a_wrong_number_beside_a_right_one_is_a_warning():
    assert read("people", "张三", "13800138000/1390013900") == Reading({"name": "张三", "phone": "+8613800138000"}, ("phone_invalid",))


def test_a_remark_in_brackets_is_left_over():
    assert read("people", "张三(老同学介绍)", "13800138000").rest == "老同学介绍"


def test_the_codes_of_relations_and_genders_can_be_renamed():
    parts = read("people", "孙丽(丈夫:钱强)", relations={"spouse": "partner"}, genders={"male": "m"}).parts
    assert parts == {"name": "孙丽", "others": [{"name": "钱强", "relation": "partner", "gender": "m"}]}


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("三四百万", {"min": 300_000_000, "max": 400_000_000}),
        ("不超过350万", {"max": 350_000_000}),
        ("至少两百万", {"min": 200_000_000}),
        ("3,287,654.32", {"min": 328_765_432, "max": 328_765_432}),
        ("300万-1.2亿", {"min": 300_000_000, "max": 12_000_000_000}),
        ("400-300万", {"min": 300_000_000, "max": 400_000_000}),
        ("¥350万元", {"min": 350_000_000, "max": 350_000_000}),
        ("三百五十万", {"min": 350_000_000, "max": 350_000_000}),
    ],
)
def test_amounts(cell, parts):
    assert read("amount_range", cell).parts == parts


def test_a_number_written_out_gets_no_unit():
    assert read("amount_range", "3500000", unit="万") == Reading({"min": 350_000_000, "max": 350_000_000})
    assert read("amount_range", "350") == Reading({"min": 35_000, "max": 35_000})


@pytest.mark.parametrize(
    ("name", "cell", "code"),
    [
        ("amount_range", "面议", "amount_unread"),
        ("number_range", "不限", "number_unread"),
        ("moment", "下周", "date_invalid"),
        ("person", "无", "person_unread"),
        ("phone", "abc", "phone_invalid"),
        ("choice", "绿色", "choice_unknown"),
    ],
)
def test_what_says_nothing_is_refused(name, cell, code):
    with pytest.raises(Wrong, match=code):
        read(name, cell, fields=FIELDS)


def test_the_29th_of_february_is_found_in_the_last_leap_year():
    assert read("moment", "2月29日").parts["date"] == "2024-02-29"


def test_today_is_that_of_the_workspace():
    late = ReadingScope(SCOPE.fields, datetime(2026, 3, 14, 17, tzinfo=UTC))
    assert READERS["moment"].read(["3月15日"], {}, late).parts["date"] == "2026-03-15"
    assert READERS["moment"].read(["昨天"], {}, late).parts["date"] == "2026-03-14"


def test_options_are_found_inside_a_longer_text_and_retired_ones_still_mean_themselves():
    assert read("choice", "偏大红一点", fields=FIELDS) == Reading({"code": "red"}, rest="偏 一点", differs=True)
    assert read("choice", "灰色", fields=FIELDS).parts == {"code": "gone"}
    assert read("choice", "红色、绿色", fields={"codes": FIELDS["code"]}) == Reading({"codes": ["red"]}, rest="绿色")


def test_numbers_alone_are_phones():
    assert read("phone", "13800138000/0571-88881234-801").parts == {"phone": "+8613800138000", "more_phones": [{"phone": "+8657188881234", "extension": "801"}]}


CELLS = st.one_of(
    st.text(max_size=60),
    st.integers(-(10**18), 10**18),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.text(alphabet="0123456789 /()（）、,-+.:*转张李先生女士妻子万亿百千三两以上内左右约年月日点至~kKwWoOeE\u200b", max_size=40),
)


@pytest.mark.parametrize("name", sorted(READERS))
@given(cells=st.lists(CELLS, min_size=1, max_size=3))
@example(cells=["(" * 60]).via("nesting")
@example(cells=["1" * 400])
@example(cells=["一" * 60])
@settings(max_examples=120, deadline=None, database=None)
def test_a_reader_answers_with_a_reading_or_with_its_own_refusal(name, cells):
    try:
        reading = READERS[name].read(cells, {"fields": FIELDS, "unit": "万", "labels": ["首付"]}, SCOPE)
    except Wrong as wrong:
        assert wrong.code in catalogue()
    else:
        assert reading.parts.keys() <= {*READERS[name].parts, "首付"} and set(reading.warnings) <= catalogue().keys()
