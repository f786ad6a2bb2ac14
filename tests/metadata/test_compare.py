"""Differences are told in an administrator's words, place by place, and none is missed."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.bundle import Bundle
from metadata.compare import Difference, compare
from metadata.keyed import identical
from metadata.layers import Layer, customised, state
from metadata.messages import shown
from tests.metadata.samples import edited, good

CUSTOMER = ("entity", "customer")


def after(place: tuple[str, str], sets: dict[str, Any] | None = None, removes: list[str] | None = None) -> list[Difference]:
    old = good()
    return compare(old, old.replace({place: edited(old.documents[place], sets or {}, removes or [])}))


def told(place: tuple[str, str], sets: dict[str, Any] | None = None, removes: list[str] | None = None, locale: str = "zh") -> list[str]:
    return [item.sentence(locale) for item in after(place, sets, removes)]


def test_nothing_changed_is_no_difference() -> None:
    assert compare(good(), good()) == []


def test_a_new_field_is_told_by_its_title() -> None:
    sets = {"/fields/wechat": {"type": "text", "title": {"zh": "微信", "en": "WeChat"}}}
    assert told(CUSTOMER, sets) == ["实体「客户」 › 字段：新增「微信」"]
    assert told(CUSTOMER, sets, locale="en") == ["Entity “Customer” › Fields: “WeChat” is added"]


def test_a_word_that_changes_is_told_with_before_and_after() -> None:
    assert told(CUSTOMER, {"/fields/name/maxLength": 80}) == ["实体「客户」 › 字段 › 姓名 › 最长：60 → 80"]
    assert told(CUSTOMER, {"/fields/code/required": True}) == ["实体「客户」 › 字段 › 代号 › 必填：空 → 是"]
    assert told(("form", "customer_full"), {"/layout/0/columns": 3}) == ["表单「客户」 › 版面 › 身份 › 列数：2 → 3"]


def test_a_label_is_one_value() -> None:
    assert told(CUSTOMER, {"/fields/name/title": {"zh": "客户姓名", "en": "Name"}}) == ["实体「客户」 › 字段 › 客户姓名 › 名称：姓名 → 客户姓名"]


def test_retiring_and_bringing_back_are_told_as_such() -> None:
    [item] = after(CUSTOMER, {"/fields/code/retired": True})
    assert (item.code, item.path, item.sentence()) == ("part_retired", "/fields/code/retired", "实体「客户」 › 字段 › 代号：停用")
    old = good()
    retired = old.replace({CUSTOMER: edited(old.documents[CUSTOMER], {"/fields/code/retired": True}, [])})
    assert [item.code for item in compare(retired, old)] == ["part_restored"]


def test_items_come_go_and_move() -> None:
    place = ("list", "mine")
    assert told(place, {"/columns/5": "stage"}) == ["列表「我的客户」 › 列：新增「阶段」"]
    assert told(place, removes=["/columns/4"]) == ["列表「我的客户」 › 列：移除「释放」"]
    assert told(place, {"/columns": ["phone", "name", "grade", "owner.name", "release_at"]}) == ["列表「我的客户」 › 列：顺序改变"]


def test_options_in_another_order_are_a_change() -> None:
    old = good()
    options = dict(reversed(list(old.documents[("choices", "grade")]["options"].items())))
    [item] = compare(old, old.replace({("choices", "grade"): {"title": {"zh": "等级", "en": "Grade"}, "options": options}}))
    assert (item.code, item.path) == ("order_changed", "/options")


def test_whole_definitions_come_and_go() -> None:
    old = good()
    new = old.replace({("list", "all"): None, ("list", "new"): {"entity": "customer", "title": {"zh": "新客", "en": "New"}, "columns": ["name"]}})
    assert [item.sentence() for item in compare(old, new)] == ["移除列表「全部」", "新增列表「新客」"]
    assert [item.sentence("en") for item in compare(old, new)] == ["List “All” is taken away", "List “New” is added"]


def test_settings_and_preset_are_called_by_their_kind() -> None:
    assert told(("settings", "settings"), {"/quota/default": 20}) == ["参数 › 每月上限 › 默认值：30 → 20"]
    assert told(("preset", "preset"), {"/version": "1.3.0"}) == ["预置包 › 版本：1.2.0 → 1.3.0"]


def test_a_retired_that_is_wrongly_written_is_a_change_and_one_left_out_is_none() -> None:
    assert told(("choices", "stage"), {"/options/lost/retired": None}) == ["选项集「阶段」 › 选项 › 战败 › 停用：否 → 空"]
    assert told(("choices", "stage"), {"/options/new/retired": False}) == []


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_change_gives_a_difference_and_sentences(data: st.DataObject) -> None:
    old = good()
    place = data.draw(st.sampled_from(sorted(old.documents)))
    node: Any = copy.deepcopy(old.documents[place])
    document = node
    while isinstance(node, dict | list) and node:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(st.sampled_from([12345, "changed", None, [7], {"zz": 1}]))
            break
        node = node[key]
    found = compare(old, old.replace({place: document}))
    assert bool(found) != identical(document, old.documents[place]) and all(item.sentence(locale) for item in found for locale in ("zh", "en"))
    assert {(item.kind, item.key) for item in found} <= {place}


def test_values_are_shown_as_people_read_them() -> None:
    assert [shown(value) for value in (None, True, False, "x", 3, ["a", True], {"zh": "甲"}, [])] == ["空", "是", "否", "x", "3", "a、是", "甲", "空"]
    assert shown({"a": 1}, "en") == '{"a": 1}' and len(shown("x" * 500)) == 120


def test_a_layer_tells_what_was_changed_from_which_base() -> None:
    base = good().documents[("form", "order_full")]
    changed = edited(base, {"/layout/0/columns": 1}, [])
    layer = Layer("small", "1.2.0", base)
    assert [state(layer, base), state(layer, changed), state(layer, None), state(Layer(), base)] == ["untouched", "customised", "removed", "own"]
    [item] = customised(layer, "form", "order_full", changed)
    assert (item.path, item.before, item.after) == ("/layout/0/columns", None, 1)


def test_bundles_of_nothing_compare() -> None:
    assert [item.code for item in compare(Bundle(), good())] == ["definition_added"] * len(good().documents)
