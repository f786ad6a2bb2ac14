"""An action is called with checked parameters, held to what it declares, and its failure is named."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.api import CreateRecord, Find, Handle, Notify, Refuse, Send, SetValues, action
from engine.errors import Denied, Invalid, Unavailable
from engine.messages import sentence
from engine.rules.actions import ActionContext, arguments, perform, reach_of
from engine.rules.effects import Engine

CTX = ActionContext(datetime(2026, 3, 1, 3, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
PARAMS: Mapping[str, Mapping[str, object]] = {
    "amount": {"type": "integer", "format": "money"},
    "about": {"type": "integer", "format": "record"},
    "rows": {"type": "array", "items": {"type": "object", "properties": {"who": {"type": "integer"}}, "required": ["who"]}},
}


def handle(entity: str = "task", record: int = 7) -> Handle:
    return Handle(entity, record, lambda _entity, one: {"id": one, "title": "x"})


def made(run, **words):
    return action("test.it", params=PARAMS, **words)(run)


def drive(found, *answers):
    """The effects a call yields and what it gives, each effect answered in turn."""
    effects, given = [], list(answers)
    try:
        effect = next(found)
        while True:
            effects.append(effect)
            effect = found.send(given.pop(0) if given else None)
    except StopIteration as stop:
        return effects, stop.value


def test_parameters_are_checked_all_at_once():
    one = made(lambda ctx, record, params: None, required=("amount",))
    with pytest.raises(Invalid) as refusal:
        arguments(one, {"amount": None, "about": "x", "rows": [{"who": 1}, {"whom": 2}], "more": 1})
    assert {fault.pointer for fault in refusal.value.faults} == {"/amount", "/about", "/rows/1/who", "/more"}
    assert "test.it" in sentence(refusal.value.code, refusal.value.params, "en")


def test_empty_parameters_are_left_out_and_records_become_handles():
    one = made(lambda ctx, record, params: None)
    found = arguments(one, {"amount": None, "about": 7}, {"about": "task"}, lambda entity, record: {"title": "y"})
    assert found == {"about": handle()} and found["about"]["title"] == "y"
    assert arguments(one, {"about": handle()}) == {"about": handle()}


def test_a_record_stands_by_its_id_where_a_number_is_wanted():
    words = {**PARAMS, "who": {"type": ["integer", "string"]}, "any": {"type": "object"}, "people": {"type": "array", "items": {"type": "integer"}}}
    one = action("test.it", params=words)(lambda ctx, record, params: None)
    given = {"who": handle(), "about": handle(), "rows": [{"who": handle(record=3)}], "any": {"x": handle()}, "people": [handle(record=4)]}
    found = arguments(one, given)
    assert found == {"who": 7, "about": handle(), "rows": [{"who": 3}], "any": {"x": handle()}, "people": [4]}


def test_an_object_of_the_format_record_is_a_record_and_nothing_else():
    one = action("test.it", params={"about": {"type": "object", "format": "record"}})(lambda ctx, record, params: None)
    assert arguments(one, {"about": handle()}) == {"about": handle()}
    for value in (7, "7", {"id": 7}, [handle()]):
        with pytest.raises(Invalid):
            arguments(one, {"about": value})


def test_a_true_is_no_number():
    with pytest.raises(Invalid):
        arguments(made(lambda ctx, record, params: None), {"amount": True})


def test_effects_are_handed_on_and_receive_their_results():
    def run(ctx, record, params):
        found = yield Find("task", "status == 'open'", take="count")
        new = yield CreateRecord("task", {"title": str(found)})
        yield SetValues(new, {"title": "z"})
        return {"made": new, "at": ctx.now, "today": ctx.today}

    one = made(run, reads=("task",), writes=("create task", "update task"))
    effects, given = drive(perform(one, "mine", CTX, None, {}), 3, handle())
    assert [type(effect) for effect in effects] == [Find, CreateRecord, SetValues] and effects[1].values == {"title": "3"}
    assert given["made"] == handle() and str(given["today"]) == "2026-03-01"


@pytest.mark.parametrize(
    "effect", [Find("secret"), CreateRecord("secret", {}), SetValues(handle("secret"), {}), Notify([1], "x"), Send("sms", "1", "k"), Engine("merge")]
)
def test_what_an_action_does_not_declare_is_refused(effect):
    def run(ctx, record, params):
        yield effect

    one = made(run, reads=("task",), writes=("create task",), does=("engine freeze",))
    with pytest.raises(Denied) as refusal:
        drive(perform(one, "mine", CTX, None, {}))
    assert refusal.value.code == "action_beyond"


def test_the_entity_a_parameter_is_a_record_of_is_within_reach_and_no_other():
    def run(ctx, record, params):
        yield SetValues(params["about"], {"title": "a"})
        yield SetValues(record, {"title": "b"})

    one = made(run, writes=("update {about}",))
    with pytest.raises(Denied):
        drive(perform(one, "mine", CTX, handle("other"), {"about": handle()}))
    both = made(run, writes=("update {about}", "update {record}"))
    assert len(drive(perform(both, "mine", CTX, handle("other"), {"about": handle()}))[0]) == 2


def test_reach_names_what_is_known_before_and_anything_where_it_is_not():
    word = made(lambda ctx, record, params: None, reads=("{about}", "person"), writes=("create {about}", "update task")).word
    assert set(reach_of(word, {"about": "order"}).writes) == {("create", "order"), ("update", "task")}
    reach = reach_of(word, {})
    assert reach.allows("create", "anything") and not reach.allows("update", "order") and set(reach.reads) == {"*", "person"}


def test_a_pure_action_that_yields_is_refused():
    def run(ctx, record, params):
        yield Refuse("no")

    with pytest.raises(Denied):
        drive(perform(made(run, pure=True), "mine", CTX, None, {}))


def failing(ctx, record, params):
    raise ValueError("of its own")


def failing_later(ctx, record, params):
    yield Refuse("soft", soft=True)
    raise KeyError("later")


def yielding_garbage(ctx, record, params):
    yield {"not": "an effect"}


def returning_garbage(ctx, record, params):
    return object()


def returning_an_effect(ctx, record, params):
    return Refuse("no")


def returning_too_much(ctx, record, params):
    return list(range(200_000))


def returning_itself(ctx, record, params):
    found: list[object] = []
    found.append(found)
    return found


@pytest.mark.parametrize("run", [failing, failing_later, yielding_garbage, returning_garbage, returning_an_effect, returning_too_much, returning_itself])
def test_a_failing_action_becomes_a_refusal_that_names_its_plugin(run, caplog):
    with caplog.at_level(logging.ERROR, "tangram.plugins"), pytest.raises(Unavailable) as refusal:
        drive(perform(made(run), "mine", CTX, None, {}))
    assert refusal.value.code == "plugin_failed" and refusal.value.params["plugin"] == "mine" and "test.it" in caplog.text
    assert "mine" in sentence(refusal.value.code, refusal.value.params)


def test_an_actions_own_refusal_passes():
    def run(ctx, record, params):
        raise Invalid("phone_invalid")

    with pytest.raises(Invalid, match="phone_invalid"):
        drive(perform(made(run), "mine", CTX, None, {}))


def test_an_action_is_closed_when_its_effect_is_refused():
    closed = []

    def run(ctx, record, params):
        try:
            yield Refuse("no")
        finally:
            closed.append(True)

    found = perform(made(run), "mine", CTX, None, {})
    next(found)
    with pytest.raises(Invalid):
        found.throw(Invalid("phone_invalid"))
    assert closed == [True]
