"""What people type, paste and import into each kind of field, and what they see of it."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fields.base import FieldType, Wrong, accepted
from engine.fields.computed import NoShape, carrier, column_for, shape
from engine.fields.dates import of_cell, read_moment
from engine.fields.phone import read_phone
from engine.fields.region import Address
from engine.fields.scope import FieldScope
from engine.fields.serial import parse_template
from engine.fields.values import FileValue, Link
from engine.registry import default_registry
from metadata.bundle import Bundle
from metadata.definitions import Field, read_fields

TYPES = default_registry().field_types
BUNDLE = Bundle(
    {
        ("choices", "kind"): {"title": "类", "options": {"x": {"title": "甲"}, "y": {"title": "乙"}}},
        ("choices", "detail"): {
            "title": "细类",
            "options": {
                "x1": {"title": "甲一", "parent": "x"},
                "y1": {"title": "乙一", "parent": ["y"]},
                "free": {"title": "不限"},
                "gone": {"title": "旧项", "retired": True},
            },
        },
        ("role", "seller"): {"title": {"zh": "销售", "en": "Seller"}},
        ("entity", "house"): {
            "title": "H",
            "fields": {"price": {"type": "money"}, "size": {"type": "decimal", "scale": 1, "unit": "㎡"}, "owner": {"type": "person"}},
        },
        ("entity", "offer"): {
            "title": "O",
            "fields": {
                "house": {"type": "link", "to": "house"},
                "price": {"type": "lookup", "from": "house.price"},
                "of_owner": {"type": "lookup", "from": "house.owner"},
                "round": {"type": "lookup", "from": "back.first"},
                "back": {"type": "link", "to": "client"},
            },
        },
        ("entity", "client"): {
            "title": "C",
            "fields": {
                "offers": {"type": "rollup", "from": "offer.back", "measure": "count"},
                "best": {"type": "rollup", "from": "offer.back", "measure": "max", "of": "price"},
                "last": {"type": "rollup", "from": "offer.back", "measure": "latest", "of": "of_owner"},
                "mean": {"type": "rollup", "from": "offer.back", "measure": "average", "of": "id"},
                "first": {"type": "rollup", "from": "offer.back", "measure": "earliest", "of": "round"},
                "when": {"type": "rollup", "from": "offer.back", "measure": "max", "of": "created_at"},
            },
        },
    }
)
SCOPE = FieldScope(BUNDLE, ZoneInfo("Asia/Shanghai"), "client", TYPES)


def made(**document: object) -> tuple[FieldType, Field]:
    field = read_fields({"f": document})["f"]
    return TYPES[field.type], field


def read(raw: object, **document: object) -> object:
    kind, field = made(**document)
    return accepted(kind.reader(field, SCOPE), raw)


def cell(raw: object, **document: object) -> object:
    kind, field = made(**document)
    return accepted(kind.cell_reader(field, SCOPE), raw)


def show(value: object, locale: str = "zh", **document: object) -> str:
    kind, field = made(**document)
    return kind.show(value, field, SCOPE, locale)


def refused(raw: object, **document: object) -> str:
    with pytest.raises(Wrong) as wrong:
        read(raw, **document)
    return wrong.value.code


def test_length_counts_characters_not_bytes_and_emoji_stay():
    assert read("𠮷野家😀", type="text", maxLength=4) == "𠮷野家😀" and refused("𠮷野家😀!", type="text", maxLength=4) == "text_too_long"
    assert read("👨‍👩‍👧", type="text") == "👨‍👩‍👧"


@pytest.mark.parametrize("raw", ["a\0b", "\ud83d", "x\udfff", "\0"])
@pytest.mark.parametrize("kind", ["text", "long_text", "rich_text", "address", "serial"])
def test_what_no_database_can_keep_is_refused(kind, raw):
    assert refused(raw, type=kind, template="{0}") == "text_broken"


def test_a_line_stays_one_line_and_a_long_text_keeps_its_lines():
    assert read(" a\r\nb\u2028c ", type="text") == "a b c" and read("a\r\nb\rc", type="long_text") == "a\nb\nc"


def test_a_pattern_cannot_be_made_slow():
    assert refused("a" * 400 + "!", type="text", pattern="^(a+)+$") == "text_pattern"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("<p>你好<script>alert(1)</script></p>", "<p>你好</p>"),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<p onclick="x" style="y">a</p>', "<p>a</p>"),
        ("<img src=x onerror=alert(1)>", None),
        ("<p> </p>", None),
        ("a < b", "a &lt; b"),
    ],
)
def test_rich_text_is_clean_when_it_is_written(raw, kept):
    assert read(raw, type="rich_text") == kept and read(kept, type="rich_text") == kept


@pytest.mark.parametrize(
    ("raw", "value"), [("name@example.com", "name@example.com"), ("Name@EXAMPLE.com", "Name@example.com"), ("ａ@example.com", "a@example.com")]
)
def test_email(raw, value):
    assert read(raw, type="email") == value


@pytest.mark.parametrize("raw", ["a@b", "a b@c.de", "@c.de", "a@.de", "a@c..de", "a@-c.de", "<a@c.de>"])
def test_what_is_no_email(raw):
    assert refused(raw, type="email") == "email_invalid"


def test_web_addresses_are_http_and_get_their_scheme():
    assert read("example.com/路径", type="url") == "https://example.com/路径" and read("HTTP://x.cn", type="url") == "HTTP://x.cn"
    assert read("localhost.test:8000/x", type="url") == "https://localhost.test:8000/x"
    for raw in ("javascript:alert(1)", "ftp://x.cn", "https://", "https://a@b.cn", "data:text/html,x", "https://x.cn/ y", "http://:80", "file:///etc/passwd"):
        assert refused(raw, type="url") == "url_invalid"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (350, 350),
        ("3,287,654.32", 328_765_432),
        ("350万", 350_000_000),
        ("¥1,000.5", 100_050),
        ("1.2亿", 12_000_000_000),
        ("三百五十万", 350_000_000),
        ("３５０", 35_000),
        ("-5", -500),
        ("350元", 35_000),
    ],
)
def test_money_is_minor_units_in_json_and_the_major_unit_when_typed(raw, value):
    assert read(raw, type="money") == value


def test_money_in_a_spreadsheet_is_the_major_unit():
    assert cell(3_500_000, type="money") == 350_000_000 and cell(12.34, type="money") == 1234 and cell("350万", type="money") == 350_000_000
    with pytest.raises(Wrong, match="number_scale"):
        cell(0.1 + 0.2, type="money")
    assert cell(500, type="money", currency="JPY") == read("500", type="money", currency="JPY") == 500


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        (350_000_000, "350 万", "¥3,500,000"),
        (328_765_432, "3,287,654.32", "¥3,287,654.32"),
        (12_000_000_000, "1.2 亿", "¥120,000,000"),
        (0, "0", "¥0"),
        (99_900, "999", "¥999"),
        (-350_000_000, "-350 万", "-¥3,500,000"),
        (123_456_700, "1,234,567", "¥1,234,567"),
        (50, "0.50", "¥0.50"),
        (1_000_001, "10,000.01", "¥10,000.01"),
        (3_860_000_000, "3,860 万", "¥38,600,000"),
    ],
)
def test_money_is_shown_in_wan_only_where_nothing_is_lost(value, zh, en):
    assert show(value, type="money") == zh and show(value, "en", type="money") == en


def test_floats_that_are_not_exact_at_the_scale_are_refused():
    assert read(19.99, type="decimal", scale=2) == 1999 and read(0.07, type="decimal", scale=2) == 7
    for raw in (0.1 + 0.2, 19.999, 1e300, float("nan"), float("inf")):
        assert refused(raw, type="decimal", scale=2) in ("number_scale", "number_invalid")
    assert refused(1.5, type="integer") == "integer_expected" and refused(True, type="integer") == "number_expected"


def test_whole_numbers_stay_within_what_json_carries():
    assert (
        read(2**53 - 1, type="integer") == 2**53 - 1
        and refused(2**53, type="integer") == "number_too_large"
        and refused("9" * 40, type="integer") == "number_too_large"
    )
    assert refused("三位", type="integer") == refused("3 位", type="integer") == refused("9" * 5000, type="integer") == "integer_expected"
    assert refused(10**4000, type="integer") == "number_too_large"


def test_bounds_are_in_the_unit_of_the_definition_and_named_as_people_see_it():
    assert refused(99, type="money", minimum=100) == "number_too_small"
    with pytest.raises(Wrong) as wrong:
        read("0.5", type="money", minimum=100)
    assert wrong.value.params == {"minimum": "1"}
    assert read(0.5, type="decimal", scale=1, minimum=0.5) == 5 and refused(0.4, type="decimal", scale=1, minimum=0.5) == "number_too_small"


def test_percent_is_basis_points():
    assert (
        read("12.5%", type="percent")
        == read("12.5", type="percent")
        == read(1250, type="percent")
        == cell(0.125, type="percent")
        == cell("12.5%", type="percent")
        == 1250
    )
    assert show(1250, type="percent") == "12.5%" and refused("%", type="percent") == "number_invalid"


def test_a_whole_number_with_a_scale_is_typed_and_shown_divided_and_kept_whole():
    def fine(way, value):
        return way(value, type="integer", scale=4, unit="%")

    assert {fine(read, "0.8"), fine(read, 8000), fine(cell, 0.8), fine(cell, "0.8")} == {8000} and fine(cell, 1) == fine(read, "1") == 10_000
    assert fine(show, 8000) == "0.8%" and fine(show, 12_345) == "1.2345%"
    assert refused("0.80001", type="integer", scale=4) == "number_scale" and refused("0.8", type="integer") == "integer_expected"


@pytest.mark.parametrize(
    "raw", ["2025-12-03", "2025/12/3", "2025.12.3", "2025年12月3日", "20251203", " 2025-12-03 ", "２０２５-12-03", "2025-12-03 10:00", date(2025, 12, 3)]
)
def test_dates_in_the_ways_they_are_typed(raw):
    assert read(raw, type="date") == date(2025, 12, 3)


def test_dates_that_do_not_exist_are_refused():
    for raw in ("2025-02-30", "2025-13-01", "12月3日", "x", 5, "2025-W01-1", "0001-01-01"):
        assert refused(raw, type="date").startswith(("date_invalid", "date_out_of_range"))
    assert cell(45994, type="date") == date(2025, 12, 3) and refused("2024-12-31", type="date", minimum="2025-01-01") == "date_too_early"


def test_an_instant_without_offset_is_in_the_workspaces_zone():
    expected = datetime(2025, 12, 3, 7, tzinfo=UTC)
    for raw in (
        "2025-12-03T15:00:00+08:00",
        "2025-12-03T07:00:00Z",
        "2025-12-03T15:00",
        "2025-12-03 15:00:00",
        "2025年12月3日 下午3点",
        datetime(2025, 12, 3, 15),
    ):
        assert read(raw, type="instant") == expected
    kind, field = made(type="instant")
    assert kind.to_json(expected, field, SCOPE) == "2025-12-03T15:00:00+08:00" and kind.show(expected, field, SCOPE, "zh") == "2025-12-03 15:00"
    assert kind.to_form(expected, field, SCOPE) == "2025-12-03T15:00" and cell(45994.625, type="instant") == expected


def test_the_end_of_a_day_is_the_next_midnight_and_shown_as_the_day():
    end = datetime(2025, 12, 3, 16, tzinfo=UTC)
    assert read("2025-12-03", type="instant", ends="day") == end and show(end, type="instant", ends="day") == "2025-12-03"
    assert read("2025-12-03", type="instant") == datetime(2025, 12, 2, 16, tzinfo=UTC)
    kind, field = made(type="instant", ends="day")
    assert kind.to_json(end, field, SCOPE) == "2025-12-04T00:00:00+08:00" and kind.to_cell(end, field, SCOPE) == date(2025, 12, 3)


def test_the_hour_that_comes_twice_keeps_its_instant_in_a_form():
    scope = FieldScope(BUNDLE, ZoneInfo("Europe/Berlin"), "", TYPES)
    kind, field = made(type="instant")
    for hour in (0, 1):
        value = datetime(2025, 10, 26, hour, 30, tzinfo=UTC)
        assert kind.reader(field, scope)(kind.to_form(value, field, scope)) == value


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [("P3D", 259_200), ("PT36H", 129_600), ("3天", 259_200), ("2小时30分", 9000), ("45 min", 2700), ("-P1D", -86_400), ("半小时", 1800), ("1周", 604_800)],
)
def test_durations(raw, seconds):
    assert read(raw, type="duration") == seconds


def test_months_have_no_length_and_long_durations_read_well():
    assert refused("P1M", type="duration") == refused("P1Y", type="duration") == refused("3", type="duration") == "duration_invalid"
    assert show(93_600, type="duration") == "1 天 2 小时" and show(93_600, "en", type="duration") == "1 day 2 hours"
    kind, field = made(type="duration")
    assert kind.to_json(93_600, field, SCOPE) == "P1DT2H"


@pytest.mark.parametrize(
    ("raw", "value"),
    [("是", True), ("否", False), ("Yes", True), ("no", False), ("true", True), ("1", True), (0, False), ("√", True), ("无", False), ("on", True)],
)
def test_yes_and_no(raw, value):
    assert read(raw, type="boolean") is value


def test_choices_go_by_code_and_by_label_only_from_spreadsheets():
    assert read("x", type="choice", choices="kind") == "x" and refused("甲", type="choice", choices="kind") == "choice_unknown"
    assert cell(" 甲 ", type="choice", choices="kind") == "x" and cell("甲、乙", type="choices", choices="kind") == ["x", "y"]
    assert (
        read(["y", "x", "y"], type="choices", choices="kind") == read("y,x", type="choices", choices="kind") == ["x", "y"]
        and read([], type="choices", choices="kind") is None
    )
    assert read("gone", type="choice", choices="detail") == "gone", "a record that has a retired option can still be saved"


def test_a_cascading_choice_belongs_to_what_was_chosen_above():
    kind, field = made(type="choice", choices="detail", parent="kind")
    for value, parent in (("x1", "x"), ("y1", "y"), ("free", "x"), ("free", None), (None, "x")):
        kind.check_parent(value, parent, field, SCOPE)
    for value, parent in (("x1", "y"), ("x1", None)):
        with pytest.raises(Wrong, match="choice_parent"):
            kind.check_parent(value, parent, field, SCOPE)
    assert [code for code, _, _ in kind.offered(field, SCOPE, "x")] == ["x1", "free"]


def test_roles_are_an_option_set_of_their_own():
    assert read(["seller"], type="choices", choices="role") == ["seller"] and show(["seller"], "en", type="choices", choices="role") == "Seller"


def test_tags_are_trimmed_and_come_once():
    assert read(" 重点 ,急；重点", type="tags") == ["重点", "急"] and read(["a  b", "a b"], type="tags") == ["a b"]
    assert refused(["x" * 41], type="tags") == "tag_too_long" and refused([f"t{number}" for number in range(60)], type="tags") == "too_many_items"


@pytest.mark.parametrize("raw", [5, "5", {"id": 5}, {"id": 5, "label": "x"}, Link(5, "x"), 5.0])
def test_a_link_is_an_id_however_it_comes(raw):
    assert read(raw, type="link", to="house") == 5


@pytest.mark.parametrize("raw", [0, -1, True, "x", "1.5", 1.5, [5], {"id": "5"}, {"label": "x"}, 2**53])
def test_what_is_no_link(raw):
    assert refused(raw, type="link", to="house") == "link_expected"


def test_links_and_files_show_what_is_known_of_them():
    kind, field = made(type="link", to="house")
    assert (
        kind.to_json(Link(5, "A-1"), field, SCOPE) == {"id": 5, "label": "A-1"}
        and kind.show(Link(5), field, SCOPE, "zh") == "#5"
        and kind.mask(Link(5, "张三"), field) == "张*"
    )
    kind, field = made(type="file")
    assert kind.to_json(FileValue(3, "a.pdf", 9, "application/pdf", "/f/3"), field, SCOPE) == {
        "id": 3,
        "name": "a.pdf",
        "size": 9,
        "type": "application/pdf",
        "url": "/f/3",
    }


PHONES = {
    "138 0013 8000": "+8613800138000",
    "+86-13700137002": "+8613700137002",
    "13300133006.0": "+8613300133006",
    "１３１００１３１００７": "+8613100131007",
    "0571-88881234转801": "+8657188881234;ext=801",
    "0571-88881234-801": "+8657188881234;ext=801",
    "0571-88881234 ext. 801": "+8657188881234;ext=801",
    "0571-88881234#801": "+8657188881234;ext=801",
    "+852 6123 4567": "+85261234567",
    "00852-6123-4567": "+85261234567",
    "+853 6612 3456": "+85366123456",
    "+886 912 345 678": "+886912345678",
    "'13800138000": "+8613800138000",
    "0086 15214133820": "+8615214133820",
    "8613800138000": "+8613800138000",
    "013800138000": "+8613800138000",
    "(010) 6234-5678": "+861062345678",
    "021-62345678": "+862162345678",
    "0755 2345678": "+867552345678",
    "138OO138OOO": "+8613800138000",
    "\u202d138-0013-8000\u202c": "+8613800138000",
    "+86 571 8888 1234": "+8657188881234",
    "17012345678": "+8617012345678",
}


@pytest.mark.parametrize("raw", PHONES)
def test_phones_have_one_normal_form(raw):
    assert read_phone(raw).value == read(raw, type="phone") == PHONES[raw]


@pytest.mark.parametrize(
    "raw",
    [
        "1380013800",
        "138001380000",
        "12345678901",
        "400-800-1234",
        "88881234",
        "110",
        "+1 650 253 0000",
        "abc",
        "138****8000",
        "+86 1380013800",
        "+852 1123 4567",
        "057188881234567",
        "-",
        "1" * 70,
    ],
)
def test_what_is_no_phone_of_a_person(raw):
    assert refused(raw, type="phone") == "phone_invalid"


def test_digits_a_spreadsheet_lost_are_not_guessed():
    assert (
        refused("1.32001E+10", type="phone") == refused("1.38E10", type="phone") == "phone_precision_lost"
        and cell(13_800_138_000.0, type="phone") == "+8613800138000"
    )
    assert refused(3.3010619900101e17, type="id_no") == "id_no_precision_lost"


@pytest.mark.parametrize(
    ("document", "value", "text"),
    [
        ({"type": "text", "mask": "name"}, "张三丰", "张*"),
        ({"type": "text", "mask": "tail"}, "6222021234567890", "****7890"),
        ({"type": "text", "mask": "all"}, "x", "******"),
        ({"type": "text"}, "张三丰", "张**"),
        ({"type": "email"}, "name@example.com", "n***@example.com"),
        ({"type": "phone", "mask": "tail"}, "+8613800138000", "****8000"),
        ({"type": "money"}, 350, "***"),
        ({"type": "date"}, date(2025, 12, 3), "2025-**-**"),
        ({"type": "text", "mask": "unknown"}, "secret", "******"),
    ],
)
def test_the_mask_a_definition_names_is_used(document, value, text):
    kind, field = made(**document)
    assert kind.mask(value, field) == text


def test_a_phone_is_shown_masked_and_compared_as_one_number():
    kind, field = made(type="phone")
    assert [kind.mask(value, field) for value in ("+8613800138000", "+8657188881234", "+8657188881234;ext=801", "+861062345678", "+85261234567")] == [
        "138****8000",
        "0571****1234",
        "0571****1234",
        "010****5678",
        "+852****67",
    ]
    assert (
        kind.show("+8657188881234;ext=801", field, SCOPE, "zh") == "0571-88881234 转 801" and kind.show("+8613800138000", field, SCOPE, "zh") == "13800138000"
    )
    assert kind.blind("+8657188881234;ext=801", field) == "+8657188881234" and kind.last4("+8657188881234;ext=801", field) == "1234"


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("11010519491231002X", "11010519491231002X"),
        ("11010519491231002x", "11010519491231002X"),
        (" 110105 19491231 002x", "11010519491231002X"),
        ("110105194912310021", "id_no_checksum"),
        ("11010519490230002X", "id_no_birth"),
        ("990105194912310021", "id_no_invalid"),
        ("110105491231002", "id_no_invalid"),
        ("x", "id_no_invalid"),
    ],
)
def test_identity_numbers_are_checked(raw, answer):
    if answer.startswith("id_no"):
        assert refused(raw, type="id_no") == answer
    else:
        assert read(raw, type="id_no") == answer
    kind, field = made(type="id_no")
    assert kind.mask("330106199001010012", field) == "3301**********0012"


@pytest.mark.parametrize("raw", ["330106", "浙江省杭州市西湖区", "浙江 杭州 西湖", "杭州西湖区", "浙江省/杭州市/西湖区", 330106])
def test_regions_by_code_and_by_name(raw):
    assert read(raw, type="region") == "330106"


def test_regions_that_are_unclear_or_too_fine_are_refused():
    assert (
        refused("西湖区", type="region") == "region_ambiguous"
        and refused("火星", type="region") == "region_unknown"
        and refused("330106", type="region", level="city") == "region_too_deep"
    )
    assert read("北京市朝阳区", type="region") == "110105" and read("吉林市", type="region") == "220200" and read("上海", type="region") == "310000"
    assert (
        show("110105", type="region") == "北京市 朝阳区"
        and show("330106", type="region") == "浙江省 杭州市 西湖区"
        and show("999999", type="region") == "999999"
    )


def test_an_address_is_one_text_with_a_region_in_front():
    assert (
        read({"region": "330106", "detail": "文三路1号"}, type="address") == "浙江省杭州市西湖区文三路1号"
        and read({"detail": "文三路"}, type="address") == "文三路"
    )
    assert Address().parts("浙江省杭州市西湖区文三路1号") == ("330106", "文三路1号") and Address().parts("文三路1号") == ("", "文三路1号")
    kind, field = made(type="address")
    assert kind.mask("浙江省杭州市西湖区文三路1号", field) == "浙江省杭州市西湖区***"


def test_json_is_kept_whole_within_its_limits():
    assert (
        read({"a": [1, None, {"b": "x"}]}, type="json") == {"a": [1, None, {"b": "x"}]}
        and read('{"a": 1}', type="json") == {"a": 1}
        and read("plain", type="json") == "plain"
    )
    deep: object = 1
    for _ in range(25):
        deep = [deep]
    assert (
        refused(deep, type="json") == "json_too_deep"
        and refused(["x" * 70_000], type="json") == "json_too_large"
        and read(["x" * 70_000], type="json", maxBytes=100_000) == ["x" * 70_000]
        and refused(["x" * 99_999], type="json", maxBytes=100_000) == "json_too_large"
        and refused({"a": "\0"}, type="json") == "text_broken"
    )
    assert refused([2**60], type="json") == refused(float("nan"), type="json") == "json_number" and refused("{", type="json") == "json_invalid"


def test_serial_numbers_are_written_from_their_template():
    template = parse_template("KH{yyyy}{mm}-{0000}")
    assert template.write(date(2026, 3, 15), 7) == "KH202603-0007" and template.write(date(2026, 3, 15), 12_345) == "KH202603-12345"
    assert template.period(date(2026, 3, 15)) == "202603" and parse_template("N{00}").period(date(2026, 3, 15)) == ""
    for wrong in ("KH", "{0}{0}", "{yyy}{0}", "KH{0", "{}"):
        with pytest.raises(Wrong, match="serial_template"):
            parse_template(wrong)


def shaped(entity: str, key: str) -> tuple[str, dict[str, object]]:
    found = shape(BUNDLE.entities[entity].fields[key], SCOPE.of(entity), lambda _entity, _field: "text")
    return found.type, dict(found.options)


def test_derived_fields_take_the_shape_of_what_they_carry():
    assert shaped("offer", "price") == ("money", {}) and shaped("client", "offers") == ("integer", {}) and shaped("client", "best") == ("money", {})
    assert shaped("client", "last") == ("person", {}) and shaped("client", "mean") == ("double", {}) and shaped("client", "when") == ("instant", {})
    formula = read_fields({"f": {"type": "formula", "value": "x", "of": "decimal:1", "unit": "㎡"}})["f"]
    assert (found := shape(formula, SCOPE, lambda *_: "text")).type == "decimal" and found.options == {"scale": 1, "unit": "㎡"}
    assert shape(read_fields({"f": {"type": "formula", "value": "x"}})["f"], SCOPE, lambda *_: "choice:kind").options == {"choices": "kind"}


def test_a_derived_field_that_leads_nowhere_or_in_a_circle_has_no_shape():
    for field in (BUNDLE.entities["client"].fields["first"], read_fields({"f": {"type": "lookup", "from": "nothing.here"}})["f"]):
        with pytest.raises(NoShape):
            shape(field, SCOPE, lambda *_: "text")


def test_derived_values_are_shown_as_what_they_are_and_cannot_be_given():
    kind, field = made(type="formula", value="x", of="money")
    assert (
        kind.show(350_000_000, field, SCOPE, "zh") == "350 万"
        and kind.to_cell(350_000_000, field, SCOPE) == 3_500_000
        and refused(5, type="lookup") == "derived_given"
    )
    assert str(column_for("decimal:2", TYPES)) == "BIGINT" and carrier("link:house", Field("f", "formula")).options == {"to": "house"}


@given(st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]( [0-2][0-9]:[0-6][0-9])?", fullmatch=True))
def test_dates_as_programs_write_them_mean_in_cells_what_people_mean_by_them(text):
    def read(how: Callable[[str], object]) -> object:
        found = how(text)
        return (found.code, found.params) if isinstance(found, Wrong) else found

    assert read(of_cell) == read(read_moment)
