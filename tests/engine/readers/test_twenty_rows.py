"""The twenty messy rows of a real list, read cell by cell under the preset's own option sets and import options."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.fields.base import Wrong
from engine.fields.scope import FieldScope
from engine.readers.base import Reading, ReadingScope
from engine.registry import default_registry
from metadata.bundle import Bundle

PRESET = Path(__file__).resolve().parents[3] / "presets" / "real_estate"
REGISTRY = default_registry()


@pytest.fixture(scope="module")
def scope() -> ReadingScope:
    bundle, _ = Bundle.read_folder(PRESET, {})
    return ReadingScope(FieldScope(bundle, ZoneInfo("Asia/Shanghai"), "customer", REGISTRY.field_types), datetime(2026, 3, 15, 2, tzinfo=UTC))


def read(scope: ReadingScope, column: str, *cells: object) -> Reading:
    """The cells under the reader, the options and the fields the preset's import block gives that column."""
    definition = scope.fields.bundle.entities["customer"]
    doc = json.loads((PRESET / "entities" / "customer.json").read_text(encoding="utf-8"))["import"]["columns"][column]
    fields = {part: definition.fields[key] for part, key in doc.get("into", {}).items() if key in definition.fields}
    return REGISTRY.readers[doc.get("reader", "text")].read(list(cells), {**doc.get("with", {}), "fields": fields}, scope)


def wan(amount: float) -> int:
    return int(amount * 10_000 * 100)


PEOPLE = {
    1: (("张伟", "138 0013 8000"), {"name": "张伟", "phone": "+8613800138000"}),
    2: (("王芳13900139001",), {"name": "王芳", "phone": "+8613900139001"}),
    3: (("刘先生", "+86-13700137002"), {"name": "刘先生", "gender": "male", "phone": "+8613700137002"}),
    4: (("张 伟", "13800138000"), {"name": "张伟", "phone": "+8613800138000"}),
    5: (
        ("陈小姐/赵先生", "13600136003/13500135004"),
        {"name": "陈小姐", "gender": "female", "phone": "+8613600136003", "others": [{"name": "赵先生", "gender": "male", "phone": "+8613500135004"}]},
    ),
    8: (("韩梅梅", "13300133006.0"), {"name": "韩梅梅", "phone": "+8613300133006"}),
    10: (("周杰", "１３１００１３１００７"), {"name": "周杰", "phone": "+8613100131007"}),
    11: (("郑爽", "0571-88881234转801"), {"name": "郑爽", "phone": "+8657188881234", "extension": "801"}),
    12: (
        ("孙丽(丈夫:钱强)", "15000150008、15100151009(先生)"),
        {"name": "孙丽", "phone": "+8615000150008", "others": [{"name": "钱强", "gender": "male", "relation": "spouse", "phone": "+8615100151009"}]},
    ),
    13: (("何洁", "15200152010"), {"name": "何洁", "phone": "+8615200152010"}),
    15: (("刘先生", "137-0013-7002"), {"name": "刘先生", "gender": "male", "phone": "+8613700137002"}),
    20: (("杨过", "+852 6123 4567"), {"name": "杨过", "phone": "+85261234567"}),
}


@pytest.mark.parametrize("row", PEOPLE)
def test_people_and_their_numbers(scope, row):
    cells, parts = PEOPLE[row]
    assert read(scope, "name", *cells) == Reading(parts)


@pytest.mark.parametrize(
    ("cells", "code", "part"),
    [
        (("李雷", "1380013800"), "phone_invalid", "phone"),
        (("13400134005",), "name_required", "name"),
        (("吴敏", "1.32001E+10"), "phone_precision_lost", "phone"),
    ],
    ids=["row 6", "row 7", "row 9"],
)
def test_what_cannot_be_a_person_is_refused_by_name(scope, cells, code, part):
    with pytest.raises(Wrong) as refused:
        read(scope, "name", *cells)
    assert (refused.value.code, refused.value.params) == (code, {"part": part})


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("2025/12/3", {"at": "2025-12-03", "date": "2025-12-03"}),
        ("12月3日", {"at": "2025-12-03", "date": "2025-12-03"}),
        ("2025.12.05", {"at": "2025-12-05", "date": "2025-12-05"}),
        ("12.10", {"at": "2025-12-10", "date": "2025-12-10"}),
        (45994, {"at": "2025-12-03", "date": "2025-12-03"}),
        ("45994", {"at": "2025-12-03", "date": "2025-12-03"}),
        ("2025年12月3日 下午3点", {"at": "2025-12-03T15:00:00+08:00", "date": "2025-12-03", "time": "15:00"}),
    ],
)
def test_dates(scope, cell, parts):
    assert read(scope, "came", cell) == Reading(parts)


def test_a_date_that_does_not_exist_is_said_so(scope):
    with pytest.raises(Wrong, match="date_invalid"):
        read(scope, "came", "2025-13-01")


@pytest.mark.parametrize(
    ("cell", "low", "high", "warnings"),
    [
        ("300-400万", 300, 400, ()),
        ("350万左右", 350, 350, ("approx",)),
        ("200-250", 200, 250, ("unit_inferred",)),
        ("500万以上", 500, None, ()),
        ("三百万以内", None, 300, ()),
        ("300~400", 300, 400, ("unit_inferred",)),
        ("350W", 350, 350, ()),
        (280, 280, 280, ("unit_inferred",)),
        ("420万", 420, 420, ()),
    ],
)
def test_budgets(scope, cell, low, high, warnings):
    parts = {word: wan(value) for word, value in (("min", low), ("max", high)) if value is not None}
    assert read(scope, "budget", cell) == Reading(parts, warnings)


def test_a_labelled_amount_goes_to_its_own_part(scope):
    assert read(scope, "budget", "总价400万，首付120万").parts == {"min": wan(400), "max": wan(400), "首付": wan(120)}


@pytest.mark.parametrize(
    ("cell", "low", "high"),
    [("100-120㎡", 100, 120), ("110平", 110, 110), ("89", 89, 89), (89, 89, 89), ("140+", 140, None), ("105m2", 105, 105), ("95-110", 95, 110)],
)
def test_areas(scope, cell, low, high):
    parts = read(scope, "area", cell).parts
    assert (parts.get("min"), parts.get("max")) == (low, high)


@pytest.mark.parametrize(
    ("column", "cell", "reading"),
    [
        ("layouts", "三房两厅", {"codes": ["three"]}),
        ("layouts", "3房", {"codes": ["three"]}),
        ("layouts", "三房/四房", {"codes": ["three", "four"]}),
        ("source", "自然到访", {"code": "natural"}),
        ("source", "抖音", {"code": "online", "child": "douyin"}),
        ("source", "链家", {"code": "agency", "child": "lianjia"}),
        ("source", "分销-房友", {"code": "distribution", "child": "fangyou"}),
        ("source", "老带新(业主周敏)", {"code": "referral"}),
        ("gender", "先生", {"code": "male"}),
        ("grade", "B+", {"code": "B"}),
        ("deal", "是", {"code": "signed"}),
        ("deal", "否", {}),
    ],
)
def test_options_by_any_spelling(scope, column, cell, reading):
    assert read(scope, column, cell).parts == reading


def test_what_stands_beside_an_option_is_kept(scope):
    assert read(scope, "source", "老带新(业主周敏)").rest == "业主周敏"
    assert read(scope, "grade", "B+").differs and not read(scope, "gender", "男").differs
