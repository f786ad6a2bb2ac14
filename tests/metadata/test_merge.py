"""Three-way merging by property, lists by key: laws that hold for any definitions, and what happens where both sides changed."""

import copy
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.keyed import identical
from metadata.merge import NOTHING, merge

PLACE = ("form", "a")
NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.sampled_from([0, 1, True, "x", "y", None])
KEYED = st.lists(NAMES, unique=True, max_size=4).flatmap(
    lambda keys: st.tuples(*(st.dictionaries(NAMES, SCALARS, max_size=2).map(lambda item, key=key: {"key": key, **item}) for key in keys)).map(list)
)
NODES = st.recursive(
    SCALARS | st.lists(NAMES, unique=True, max_size=4) | st.lists(SCALARS, max_size=3) | KEYED,
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, NODES, max_size=4)
BUNDLES = st.dictionaries(st.sampled_from([PLACE, ("form", "b"), ("list", "a")]), DOCUMENTS, max_size=3)


def changed(seed: int, document: Any) -> Any:
    """The document after a few random gestures: keys removed, moved, set; items removed, moved, added."""
    chance, node = random.Random(seed), copy.deepcopy(document)
    for _ in range(chance.randint(0, 3)):
        here: Any = node
        while isinstance(here, dict | list) and here and chance.random() < 0.6:
            below = [item for item in (here.values() if isinstance(here, dict) else here) if isinstance(item, dict | list)]
            if not below:
                break
            here = chance.choice(below)
        if isinstance(here, dict):
            keys = list(here)
            gesture = chance.randrange(3)
            if gesture == 0 and keys and "key" not in here:
                del here[chance.choice(keys)]
            elif gesture == 1:
                here[chance.choice("abcd")] = chance.choice([1, "z", {"a": 1}])
            else:
                items = list(here.items())
                chance.shuffle(items)
                here.clear()
                here.update(items)
        elif isinstance(here, list):
            chance.shuffle(here)
            if here and chance.random() < 0.4:
                here.pop()
    return node


SEEDS = st.integers(0, 10**6)


def same(one: Any, other: Any) -> bool:
    return list(one) == list(other) and identical(list(one.values()), list(other.values()))


@settings(max_examples=200, deadline=None)
@given(BUNDLES, BUNDLES)
def test_where_only_theirs_changed_the_result_is_theirs(base: Any, theirs: Any) -> None:
    result = merge(base, base, theirs)
    assert result.conflicts == () and result.kept == ()
    assert set(result.documents) == set(theirs) and all(identical(result.documents[place], theirs[place]) for place in theirs)


@settings(max_examples=200, deadline=None)
@given(BUNDLES, BUNDLES)
def test_where_only_ours_changed_the_result_is_ours(base: Any, ours: Any) -> None:
    result = merge(base, ours, base)
    assert result.conflicts == () and result.taken == ()
    assert same(result.documents, ours)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, SEEDS, SEEDS)
def test_conflicts_are_the_same_whichever_side_asks(base: Any, one: int, other: int) -> None:
    ours, theirs = changed(one, base), changed(other, base)
    forth = merge({PLACE: base}, {PLACE: ours}, {PLACE: theirs}).conflicts
    back = merge({PLACE: base}, {PLACE: theirs}, {PLACE: ours}).conflicts
    assert len(forth) == len(back)
    assert sorted(repr((item.ours, item.theirs)) for item in forth) == sorted(repr((item.theirs, item.ours)) for item in back)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, SEEDS, SEEDS)
def test_merging_the_result_again_changes_nothing(base: Any, one: int, other: int) -> None:
    ours, theirs = {PLACE: changed(one, base)}, {PLACE: changed(other, base)}
    once = merge({PLACE: base}, ours, theirs)
    again = merge({PLACE: base}, once.documents, theirs)
    assert identical(again.documents[PLACE], once.documents[PLACE]) if PLACE in once.documents else PLACE not in again.documents
    assert again.taken == ()


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, SEEDS)
def test_the_same_change_on_both_sides_is_no_conflict(base: Any, seed: int) -> None:
    result = merge({PLACE: base}, {PLACE: changed(seed, base)}, {PLACE: changed(seed, base)})
    assert result.conflicts == () and identical(result.documents[PLACE], changed(seed, base))


@settings(max_examples=200, deadline=None)
@given(BUNDLES, BUNDLES, BUNDLES)
def test_nothing_is_touched(base: Any, ours: Any, theirs: Any) -> None:
    before = copy.deepcopy((base, ours, theirs))
    merge(base, ours, theirs)
    assert identical([list(side.values()) for side in before], [list(side.values()) for side in (base, ours, theirs)])


BASE = {"title": "客户", "layout": [{"key": "who", "items": ["name", "phone"]}, {"key": "need", "columns": 2, "items": ["grade"]}]}


def one(ours: Any, theirs: Any) -> Any:
    result = merge({PLACE: BASE}, {PLACE: ours}, {PLACE: theirs})
    return result.documents.get(PLACE), [item.pointer for item in result.conflicts], result


def edit(**words: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BASE), **words}


def test_changes_of_different_properties_meet() -> None:
    merged, conflicts, result = one(edit(title="客戶"), edit(use="quick"))
    assert merged == edit(title="客戶", use="quick") and conflicts == []
    assert [item.pointer for item in result.taken] == ["/use"] and [item.pointer for item in result.kept] == ["/title"]


def test_changes_in_different_items_of_a_list_meet() -> None:
    ours, theirs = edit(), edit()
    ours["layout"][0]["items"].append("source")
    theirs["layout"][1]["columns"] = 3
    merged, conflicts, _ = one(ours, theirs)
    assert conflicts == [] and merged["layout"][0]["items"] == ["name", "phone", "source"] and merged["layout"][1]["columns"] == 3


def test_both_add_to_one_list_and_nothing_is_lost() -> None:
    ours, theirs = edit(), edit()
    ours["layout"][0]["items"].insert(1, "wechat")
    theirs["layout"][0]["items"].insert(0, "no")
    merged, conflicts, _ = one(ours, theirs)
    assert conflicts == [] and merged["layout"][0]["items"] == ["no", "name", "wechat", "phone"]


def test_the_same_property_changed_differently_is_a_conflict_and_keeps_ours() -> None:
    merged, conflicts, _ = one(edit(title="a"), edit(title="b"))
    assert conflicts == ["/title"] and merged["title"] == "a"


def test_what_ours_changed_and_theirs_took_away_is_a_conflict_and_an_orphan() -> None:
    ours, theirs = edit(), edit()
    ours["layout"][1]["columns"] = 3
    theirs["layout"].pop()
    merged, conflicts, result = one(ours, theirs)
    assert conflicts == ["/layout/1"] and merged["layout"][1]["columns"] == 3
    assert [item.pointer for item in result.orphans] == ["/layout/1"] and result.orphans[0].theirs is NOTHING


def test_a_definition_gone_from_theirs_goes_when_ours_did_not_change_it() -> None:
    assert merge({PLACE: BASE}, {PLACE: BASE}, {}).documents == {}
    assert merge({PLACE: BASE}, {PLACE: edit(title="x")}, {}).conflicts[0].pointer == ""
    assert merge({PLACE: BASE}, {}, {PLACE: BASE}).documents == {}


def test_moving_in_one_and_changing_in_the_other_meet() -> None:
    ours, theirs = edit(), edit()
    ours["layout"].reverse()
    theirs["layout"][0]["columns"] = 3
    merged, conflicts, _ = one(ours, theirs)
    assert conflicts == [] and [section["key"] for section in merged["layout"]] == ["need", "who"] and merged["layout"][1]["columns"] == 3


def test_two_different_new_orders_are_a_conflict() -> None:
    base = {"columns": ["a", "b", "c"]}
    result = merge({PLACE: base}, {PLACE: {"columns": ["b", "a", "c"]}}, {PLACE: {"columns": ["c", "a", "b"]}})
    assert [item.pointer for item in result.conflicts] == ["/columns"] and result.documents[PLACE] == {"columns": ["b", "a", "c"]}


def test_rule_steps_are_known_by_their_keys() -> None:
    base = {"then": [{"find": "visit", "as": "last"}, {"refuse": "QUOTA", "if": "x"}, {"set": {"a": "1"}}]}
    ours, theirs = copy.deepcopy(base), copy.deepcopy(base)
    ours["then"][1]["if"] = "y"
    theirs["then"].insert(1, {"let": {"b": "2"}})
    result = merge({PLACE: base}, {PLACE: ours}, {PLACE: theirs})
    assert result.conflicts == () and [next(iter(step)) for step in result.documents[PLACE]["then"]] == ["find", "let", "refuse", "set"]
    assert result.documents[PLACE]["then"][2]["if"] == "y"


def test_lists_without_keys_count_as_one_value() -> None:
    base = {"default": [1, 2]}
    assert merge({PLACE: base}, {PLACE: {"default": [1, 3]}}, {PLACE: base}).documents[PLACE] == {"default": [1, 3]}
    assert [item.pointer for item in merge({PLACE: base}, {PLACE: {"default": [1, 3]}}, {PLACE: {"default": [2]}}).conflicts] == ["/default"]


def test_the_word_for_editors_is_never_a_conflict() -> None:
    result = merge({PLACE: {"$schema": "a"}}, {PLACE: {"$schema": "b"}}, {PLACE: {"$schema": "c", "title": "x"}})
    assert result.conflicts == () and result.documents[PLACE] == {"$schema": "b", "title": "x"}
