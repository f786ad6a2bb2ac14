"""Rules of one trigger run in the order of what they write and read, then by key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.language import parse
from engine.expressions.names import Names, NameSpace
from engine.expressions.types import INTEGER, Type
from engine.rules.book import CompiledRule, Step, Trigger
from engine.rules.order import RuleCycle, order, own_reads, own_writes

FIELDS = dict.fromkeys("abcdef", INTEGER) | {"place": Type.read("link:place")}
SPACES = {"record": NameSpace(Type.read("link:item")), "old": NameSpace(Type.read("link:item"))}
NAMES = Names(FIELDS, lambda type: FIELDS if type.entity == "item" else {"size": INTEGER} if type.entity == "place" else None, SPACES, "item")


def rule(key: str, condition: str = "", steps: tuple[Step, ...] = (), **sets: str) -> CompiledRule:
    own = (Step("set", "set", {"set": sets}, terms={f"set/{name}": parse(text, NAMES) for name, text in sets.items()}),) if sets else ()
    return CompiledRule(key, key, Trigger("before", "save", "item"), "item", parse(condition, NAMES) if condition else True, (*own, *steps))


def keys(*rules: CompiledRule) -> list[str]:
    return [item.key for item in order(rules)]


def test_who_reads_a_field_runs_after_who_writes_it():
    assert keys(rule("a1", a="b"), rule("b1", b="c"), rule("c1", c="1")) == ["c1", "b1", "a1"]


def test_where_nothing_decides_keys_do():
    assert keys(rule("z"), rule("m", a="1"), rule("k", b="2")) == ["k", "m", "z"]


def test_the_free_ones_keep_their_place_by_key_around_the_bound_ones():
    assert keys(rule("a", a="b"), rule("b"), rule("z", b="1")) == ["b", "z", "a"]


def test_the_condition_reads_too_and_so_does_record():
    assert keys(rule("a", "b > 1"), rule("z", b="1")) == ["z", "a"]
    assert keys(rule("a", "record.b > 1"), rule("z", b="1")) == ["z", "a"]
    assert keys(rule("a", "place.size > 1"), rule("z", place="place")) == ["z", "a"]


def test_what_a_field_was_before_the_save_waits_for_nobody():
    assert keys(rule("a", "old.b > 1"), rule("z", b="1")) == ["a", "z"]


def test_a_rule_may_read_what_it_writes_itself():
    assert keys(rule("a", "b > 1", b="b + 1")) == ["a"]


def test_rules_that_wait_for_other_fields_are_not_of_one_trigger():
    def on(key, field, **sets):
        made = rule(key, **sets)
        return CompiledRule(key, key, Trigger("after", "update", "item", frozenset({field})), "item", True, made.steps)

    assert keys(on("ping", "a", b="a"), on("pong", "b", a="b")) == ["ping", "pong"]
    with pytest.raises(RuleCycle):
        order([on("ping", "a", b="a"), on("pong", "a", a="b")])


def test_a_cycle_is_refused_and_names_the_rules_and_what_each_waits_for():
    with pytest.raises(RuleCycle) as refused:
        order([rule("x", a="b"), rule("y", b="c"), rule("z", c="a"), rule("free")])
    found = dict(zip(refused.value.keys, refused.value.fields, strict=False))
    assert set(refused.value.keys) == {"x", "y", "z"} and refused.value.keys[0] == refused.value.keys[-1]
    assert found == {"x": "b", "y": "c", "z": "a"}


def test_fields_of_rows_looked_at_are_not_those_of_the_record():
    where = {"where": parse("a == record.b", NAMES)}
    finding = rule("f", steps=(Step("find", "f", {"find": "item"}, terms=where),))
    assert own_reads(finding) == {"b"}
    others = rule("o", steps=(Step("set", "o", {"in": "item"}, terms={"set/a": parse("c", NAMES), "where": parse("d > 1", NAMES)}),))
    assert own_reads(others) == {"c"} and own_writes(others) == frozenset()
    inline = rule("e", steps=(Step("each", "e", {}, terms={"each/where": parse("a > record.f", NAMES)}),))
    assert own_reads(inline) == {"f"}


def test_steps_inside_branches_count():
    inner = Step("set", "i", {"set": {}}, terms={"set/a": parse("1", NAMES)})
    branched = rule("b", steps=(Step("if", "if", {}, condition=parse("e > 1", NAMES), branches={"then": (inner,)}),))
    assert own_writes(branched) == {"a"} and own_reads(branched) == {"e"}


RULES = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), min_size=1, max_size=6)


@given(RULES, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_is_the_same_however_the_rules_come_and_keeps_every_writer_before_its_readers(pairs, random):
    rules = [rule(f"r{number}", f"{read} > 0", **{write: "1"}) for number, (write, read) in enumerate(pairs)]
    shuffled = random.sample(rules, len(rules))
    try:
        found = order(rules)
    except RuleCycle as refused:
        assert len(set(refused.keys)) > 1
        with pytest.raises(RuleCycle):
            order(shuffled)
        return
    assert [item.key for item in order(shuffled)] == [item.key for item in found]
    for place, late in enumerate(found):
        assert not any(own_writes(after) & own_reads(late) for after in found[place + 1 :])
