"""What publishing says of rules before they run: loops, contradictions, rivals, slow finds, messages nobody should read. Each is named where it stands."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.errors import Invalid
from engine.messages import catalogue
from engine.publishing import plan_publish, publish
from engine.records import service
from engine.rules.compile import compile_rules
from metadata.messages import sentence
from metadata.vocabulary import Problem
from tests.engine.homes import Homes, Place, small_place

PLANT = {
    "title": {"zh": "植物", "en": "Plant"},
    "label": "{name}",
    "fields": {
        "name": {"type": "text", "title": {"zh": "名称"}, "required": True},
        "code": {"type": "text", "title": {"zh": "编码"}, "unique": True},
        "height": {"type": "integer", "title": {"zh": "高度"}},
        "width": {"type": "integer", "title": {"zh": "宽度"}},
        "price": {"type": "money", "title": {"zh": "底价"}},
        "stage": {"type": "choice", "choices": "stage", "title": {"zh": "阶段"}, "default": "new"},
        "owner": {"type": "person", "title": {"zh": "负责人"}},
        "ends_at": {"type": "instant", "title": {"zh": "到期"}},
        "soon": {"type": "formula", "value": "add_days(now(), height)", "title": {"zh": "将来"}},
    },
    "stages": {"field": "stage", "moves": [{"from": ["new"], "to": ["won", "lost"]}, {"from": ["lost"], "to": ["new"]}]},
}
WORLD = {
    ("entity", "plant"): PLANT,
    ("role", "gardener"): {
        "title": {"zh": "园丁"},
        "grants": {
            "plant": {"read": "owner == me", "create": True, "update": True, "fields": {"price": {"read": False}}},
            "visit": {"read": True, "create": True, "update": True},
        },
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    homes = Homes(tmp_path_factory.mktemp("analysis"), lambda: str)
    yield small_place(homes.home("sqlite"), changes=WORLD)
    homes.close()


def rule(on: dict[str, Any], *then: dict[str, Any], **words: Any) -> dict[str, Any]:
    return {"title": {"zh": words.pop("title", "规则"), "en": "Rule"}, "on": on, "then": list(then), **words}


def problems(place: Place, **rules: dict[str, Any]) -> list[Problem]:
    changes = {("decision" if "rows" in document else "rule", key): document for key, document in rules.items()}
    found = plan_publish(place.ctx, place.changed(changes)).problems
    for item in found:
        for locale in ("zh", "en"):
            assert "{" not in sentence(item.code, item.params, locale, catalogue()), item
    return [item for item in found if item.code != "rows_not_all"]  # what the checker, without trying cases, can only suspect


def codes(place: Place, **rules: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item.code, item.severity, f"{item.file.partition('/')[2].removesuffix('.json')}{item.pointer}") for item in problems(place, **rules)]


SAVE = {"before": "save", "entity": "plant"}
SAVED = {"after": "update", "entity": "plant"}


def test_sound_rules_give_no_problem(place):
    good = rule(SAVE, {"set": {"width": "height * 2"}}, **{"if": "stage == 'new' and exists(height)"})
    assert codes(place, good=good, other=rule(SAVE, {"set": {"price": "width"}})) == []


# --- order ---------------------------------------------------------------------------------------------------------------------------------


def test_two_rules_that_set_one_field_on_one_trigger_are_named(place):
    found = codes(place, a=rule(SAVE, {"set": {"height": "1"}}), b=rule(SAVE, {"set": {"height": "2"}}))
    assert found == [("rules_write_same", "warning", "b/on")]


def test_not_when_their_conditions_exclude_each_other_or_one_reads_what_the_other_writes(place):
    first = rule(SAVE, {"set": {"height": "1"}}, **{"if": "stage == 'new'"})
    assert codes(place, a=first, b=rule(SAVE, {"set": {"height": "2"}}, **{"if": "stage == 'won'"})) == []
    assert codes(place, a=rule(SAVE, {"set": {"height": "1", "width": "2"}}), b=rule(SAVE, {"set": {"height": "width"}})) == []


def test_rules_that_wait_for_each_other_are_refused(place):
    found = problems(place, a=rule(SAVE, {"set": {"height": "width"}}, title="甲"), b=rule(SAVE, {"set": {"width": "height"}}, title="乙"))
    (cycle,) = [item for item in found if item.severity == "error"]
    assert cycle.code == "rule_order_cycle"
    assert sentence(cycle.code, cycle.params, "zh", catalogue()).count("甲") + sentence(cycle.code, cycle.params, "zh", catalogue()).count("乙") == 3
    with pytest.raises(Invalid, match="publish_problems"):
        publish(
            place.ctx,
            plan_publish(
                place.ctx, place.changed({("rule", "a"): rule(SAVE, {"set": {"height": "width"}}), ("rule", "b"): rule(SAVE, {"set": {"width": "height"}})})
            ),
        )


# --- conditions ----------------------------------------------------------------------------------------------------------------------------


def test_conditions_that_can_never_hold_are_named_where_they_stand(place):
    never = rule(
        SAVE,
        {"find": "visit", "as": "seen", "where": "plant == record and amount > 3 and amount < 4"},
        {"set": {"height": "1"}, "if": "empty(height) and height > 3"},
        {"if": "stage == 'new'", "then": [{"set": {"width": "1"}, "if": "stage in ('won', 'lost') and stage == 'new'"}]},
        **{"if": "stage == 'new' and stage == 'won'"},
    )
    found = [place for code, _, place in codes(place, never=never) if code == "condition_never"]
    assert found == ["never/if", "never/then/0/where", "never/then/1/if", "never/then/2/then/0/if"]


def test_a_stage_rule_whose_condition_asks_for_another_stage_never_runs(place):
    on = {"after": "stage", "entity": "plant", "to": "won"}
    assert codes(place, s=rule(on, {"set": {"height": "1"}}, **{"if": "stage == 'lost'"})) == [("condition_never", "warning", "s/if")]
    assert codes(place, s=rule(on, {"set": {"height": "1"}}, **{"if": "stage == 'won'"})) == []


def test_nothing_falls_due_by_a_value_that_is_not_stored(place):
    assert ("due_not_stored", "error", "d/on/due") in codes(place, d=rule({"due": "plant.soon"}, {"set": {"height": "1"}}))


# --- finds ---------------------------------------------------------------------------------------------------------------------------------


def test_a_find_that_no_index_leads_is_named_and_one_that_a_link_leads_is_not(place):
    slow = rule(SAVE, {"find": "visit", "as": "seen", "where": "amount == 3"})
    assert codes(place, slow=slow) == [("find_without_index", "warning", "slow/then/0/where")]
    for where in ("plant == record and amount == 3", "id == 3", "plant == record or plant == 3"):
        assert codes(place, quick=rule(SAVE, {"find": "visit", "as": "seen", "where": where})) == []
    assert codes(place, each=rule(SAVED, {"each": {"find": "visit", "where": "amount == 3"}, "as": "v", "then": [{"set": {"note": "'x'"}, "on": "v"}]})) == [
        ("find_without_index", "warning", "each/then/0/each/where")
    ]


def test_equality_of_two_values_that_may_both_be_empty_is_named(place):
    both = rule(SAVE, {"find": "plant", "as": "seen", "where": "owner == record.owner"})
    assert ("find_matches_empty", "warning", "both/then/0/where") in codes(place, both=both)
    for words in (
        {"find": "plant", "as": "seen", "where": "owner == record.owner and exists(owner)"},
        {"find": "plant", "as": "seen", "where": "owner == record.owner", "if": "exists(record.owner)"},
        {"find": "plant", "as": "seen", "where": "owner == me"},
        {"find": "visit", "as": "seen", "where": "plant == record"},
    ):
        assert "find_matches_empty" not in [code for code, _, _ in codes(place, fine=rule(SAVE, words))]


def test_a_create_that_may_meet_a_unique_key_wants_once(place):
    make = {"create": "plant", "values": {"name": "name", "code": "code"}}
    on = {"after": "create", "entity": "visit"}
    on_plant = {"action": "plant.copy"}
    found = codes(place, make=rule(on_plant, make))
    assert ("create_meets_unique", "warning", "make/then/0") in found
    assert "create_meets_unique" not in [code for code, _, _ in codes(place, make=rule(on_plant, {**make, "once": "code"}))]
    assert "create_meets_unique" not in [code for code, _, _ in codes(place, make=rule(on, {"create": "plant", "values": {"name": "note"}}))]


# --- messages ------------------------------------------------------------------------------------------------------------------------------


def test_a_message_that_shows_its_readers_what_they_may_not_see_is_refused(place):
    told = rule(SAVE, {"refuse": "NO", "message": {"zh": "底价是 {price}，{name}"}})
    assert codes(place, told=told) == [("message_unreadable", "error", "told/then/0/message")]
    assert codes(place, told=rule(SAVE, {"refuse": "NO", "message": {"zh": "{name}"}})) == []
    noted = rule(SAVED, {"notify": "people('gardener')", "message": {"zh": "{price}"}})
    assert codes(place, noted=noted) == [("message_unreadable", "error", "noted/then/0/message")]
    assert codes(place, noted=rule(SAVED, {"notify": "people('admin')", "message": {"zh": "{price}"}})) == []
    guessed = rule(SAVED, {"notify": "owner", "message": {"zh": "{price}"}})
    assert codes(place, guessed=guessed) == [("message_unreadable", "warning", "guessed/then/0/message")]


def test_an_action_that_nobody_may_do_is_named(place):
    idle = rule({"action": "plant.prune"}, {"set": {"height": "1"}})
    assert codes(place, idle=idle) == [("action_nobody", "warning", "idle/on")]
    assert codes(place, idle=idle, user=rule(SAVED, {"do": "plant.prune", "with": {"plant": "record"}}, **{"if": "height > 3"})) == []


# --- chains --------------------------------------------------------------------------------------------------------------------------------


def test_records_that_make_each_other_without_end_are_refused(place):
    plants = rule({"after": "create", "entity": "plant"}, {"create": "visit", "values": {"plant": "record"}}, title="种")
    visits = rule({"after": "create", "entity": "visit"}, {"create": "plant", "values": {"name": "'x'"}}, title="看")
    (found,) = [item for item in problems(place, a=plants, b=visits) if item.severity == "error"]
    assert found.code == "rule_loop" and sentence(found.code, found.params, "zh", catalogue()).endswith("种 → 看 → 种。")
    narrowed = rule({"after": "create", "entity": "visit"}, {"create": "plant", "values": {"name": "'x'"}, "if": "amount > 3"})
    assert [item.severity for item in problems(place, a=plants, b=narrowed) if item.code == "rule_loop"] == ["warning"]


def test_a_field_that_grows_with_every_change_is_refused(place):
    grows = rule(SAVED, {"set": {"height": "height + 1"}})
    assert codes(place, grows=grows) == [("rule_loop", "error", "grows/then/0")]


def test_rules_that_come_to_rest_are_left_alone(place):
    first = rule({**SAVED, "fields": ["height"]}, {"set": {"width": "height * 2"}})
    second = rule({**SAVED, "fields": ["width"]}, {"set": {"stage": "'won'"}})
    assert codes(place, first=first, second=second) == []
    assert codes(place, stamp=rule(SAVED, {"set": {"ends_at": "now()"}})) == []


def test_values_made_of_each_other_may_never_rest(place):
    first = rule({**SAVED, "fields": ["height"]}, {"set": {"width": "height * 2"}})
    second = rule({**SAVED, "fields": ["width"]}, {"set": {"height": "width + 1"}})
    assert [(code, severity) for code, severity, _ in codes(place, first=first, second=second) if code == "rule_loop"] == [("rule_loop", "warning")]


def test_actions_that_call_each_other_are_refused(place):
    first = rule({"action": "plant.one"}, {"do": "plant.two", "with": {"plant": "record"}, "if": "height > 3"})
    second = rule({"action": "plant.two"}, {"do": "plant.one", "with": {"plant": "record"}, "if": "height > 3"})
    assert codes(place, first=first, second=second) == [("cycle_actions", "error", "first/on/action")]


def test_a_long_path_is_counted_through_what_it_sets_off(place):
    finds = [{"find": "visit", "as": f"v{number}", "where": "plant == record"} for number in range(30)]
    other = [{"find": "plant", "as": f"p{number}", "where": "id == 3"} for number in range(30)]
    both = {
        "a": rule({"after": "create", "entity": "plant"}, *finds, {"create": "visit", "values": {"plant": "record"}}),
        "b": rule({"after": "create", "entity": "visit"}, *other),
    }
    found = [item for item in problems(place, **both) if item.code == "statements_many"]
    assert [(item.file, item.params["statements"]) for item in found] == [("rules/a.json", 5 + 30 + 1 + 30)]
    assert codes(place, a=rule({"after": "create", "entity": "plant"}, *finds)) == []


# --- decision tables -----------------------------------------------------------------------------------------------------------------------


def table(*rows: tuple[str, Any], **inputs: Any) -> dict[str, Any]:
    return {
        "title": {"zh": "表"},
        "inputs": inputs,
        "outputs": {"row": "integer"},
        "rows": [{"key": key, "if": condition, "then": {"row": number}} for number, (key, condition) in enumerate(rows, 1)],
    }


def test_a_row_that_an_earlier_one_always_beats_is_named_with_an_example(place):
    found = problems(place, t=table(("a", "n >= 3"), ("b", "n > 5 and flag"), ("c", True), n="integer", flag="boolean"))
    (beaten,) = found
    assert (beaten.code, beaten.pointer, beaten.params["first"]) == ("decision_row_beaten", "/rows/1", "a")
    assert "是" in str(beaten.params["example"]) and "6" in str(beaten.params["example"])


def test_a_row_that_matches_nothing_and_a_case_without_a_row_are_named(place):
    found = codes(place, t=table(("a", "n > 3 and n < 4"), ("b", "n >= 3"), n="integer"))
    assert [(code, where) for code, _, where in found] == [("decision_row_never", "t/rows/0"), ("decision_gap", "t/rows")]
    assert codes(place, t=table(("a", "flag"), ("b", "not flag"), flag="boolean")) == []
    stages = table(("a", "stage in ('new', 'won')"), ("b", "stage == 'lost'"), stage={"choice": "stage"})
    assert [code for code, _, _ in codes(place, t=stages)] == ["decision_gap"]  # no stage at all


def test_settings_count_with_the_values_they_have(place):
    assert codes(place, t=table(("a", "n < setting.factor"), ("b", "n >= setting.factor"), ("c", "empty(n)"), n="integer")) == []


def test_a_publish_compiles_the_rules_once_for_their_analysis_and_for_what_follows(make_site, monkeypatch):
    site, compiled, real = make_site("sqlite"), [], compile_rules
    monkeypatch.setattr("engine.rules.compile.compile_rules", lambda workspace, bundle: compiled.append(workspace) or real(workspace, bundle))
    ctx = site.ctx()
    changed = {("rule", "spare"): {"title": "闲", "on": {"before": "create", "entity": "task"}, "then": [{"set": {"status": "'new'"}}]}}
    publish(ctx, plan_publish(ctx, ctx.workspace.bundle.replace(changed)))
    service.create(site.ctx(), "task", {"title": "甲"})
    assert len(compiled) == 1 and site.rows("task")[-1]["status"] == "new"


def test_a_plan_tells_what_it_brings_apart_from_what_is_noticed_about_the_version_in_force(make_site):
    site = make_site("sqlite")
    ctx = site.ctx()
    standing = plan_publish(ctx, ctx.workspace.bundle)
    never = {
        "title": "从不",
        "on": {"before": "create", "entity": "task"},
        "if": "status == 'new' and status == 'done'",
        "then": [{"set": {"status": "'new'"}}],
    }
    brought = plan_publish(ctx, ctx.workspace.bundle.replace({("rule", "never"): never}))
    assert standing.problems == () and [(item.code, item.file) for item in brought.problems] == [("condition_never", "rules/never.json")]
    publish(ctx, brought)
    now = site.ctx()
    later = plan_publish(now, now.workspace.bundle)
    assert later.problems == () and len(later.standing) == len(brought.standing) + 1
