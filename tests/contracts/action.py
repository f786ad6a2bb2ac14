"""What every action must satisfy, to be run over the registry and by authors of plugins.

from tests.contracts.action import CONTRACT, Subject

@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_my_action(clause):
    clause(Subject(my_action))

``answer`` gives the results of the effects an action with effects asks for; without it, the plain ones of an empty workspace.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator

from engine.errors import Invalid
from engine.registry import Action
from engine.rules import effects
from engine.rules.actions import ActionContext, arguments, formats, perform
from engine.rules.effects import Effect, Handle
from metadata.definitions import Entity
from metadata.text import label_text

CTX = ActionContext(datetime(2026, 3, 1, 3, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai"), me=1, rule="a_rule")
FORMATS = ("entity", "field", "values", "record", "list", "person", "people", "money", "date", "date-time")
VERBS = ("create", "update", "delete", "merge")
DOES = ("send", "notify", "ask", "emit", "engine", "do")
#: Values no parameter of an example has, each of another JSON type.
HOSTILE: tuple[Any, ...] = (object(), 1.5, True, "☃", [[]], {"no": {"such": "thing"}}, -(10**30))


@dataclass(frozen=True)
class Subject:
    """An action, whose plugin it is of, the definitions it may look at, and how its effects are answered."""

    action: Action
    plugin: str = "test"
    entities: Mapping[str, Entity] | None = None
    answer: Callable[[Effect], Any] | None = None

    def examples(self) -> Iterator[dict[str, Any]]:
        """The declared calls; records stand there as numbers and become records of an entity ``thing``."""
        for example in self.action.word.params.get("examples", ()):
            params = copy.deepcopy(dict(example))
            for name in formats(self.action.word, "record"):
                if name in params:
                    params[name] = thing(params[name])
            yield params

    def call(self, params: Mapping[str, Any], ctx: ActionContext = CTX) -> tuple[Any, list[Effect]]:
        """What a call gives, and the effects it asked for."""
        ctx = replace(ctx, entities=self.entities or {})
        running, asked, reply = perform(self.action, self.plugin, ctx, None, arguments(self.action, params)), [], None
        while True:
            try:
                effect = running.send(reply)
            except StopIteration as stop:
                return stop.value, asked
            asked.append(effect)
            reply = (self.answer or plain_answer)(effect)


def thing(number: int, entity: str = "thing") -> Handle:
    """A record with nothing in it."""
    return Handle(entity, number, lambda _entity, one: {"id": one, "version": 1})


def plain_answer(effect: Effect) -> Any:
    """What an effect gives where nothing is found and everything succeeds."""
    match effect:
        case effects.CreateRecord():
            return thing(1, effect.entity)
        case effects.Find(take="one"):
            return None
        case effects.Find(take="count") | effects.Send() | effects.Notify() | effects.WithdrawAsks():
            return 0
        case effects.Find(take=(str(), _)):
            return None
        case effects.Find() | effects.Engine():
            return []
    return None


def is_described(subject: Subject) -> None:
    """It has titles and help in both languages, parameters that are JSON Schema with titles a form can show, and at least one example."""
    word = subject.action.word
    for label in (word.title, word.help):
        assert label_text(label, "zh") and label_text(label, "en"), word.name
    Draft202012Validator.check_schema(dict(word.params))
    Draft202012Validator.check_schema(dict(word.result))
    properties: Any = word.params["properties"]
    assert set(word.params["required"]) <= set(properties)  # type: ignore[call-overload]
    for name, schema in properties.items():
        assert schema["title"] and schema["x-en"]["title"], f"the parameter {name} has no titles"
        assert schema.get("format", "money") in FORMATS, schema["format"]
    assert word.params.get("examples"), "give it an example"
    json.dumps([word.params, word.result])


def declares_what_exists(subject: Subject) -> None:
    """What it says it touches is said in the words there are, and a pure one touches nothing."""
    word = subject.action.word
    properties: Any = word.params["properties"]
    for item in word.writes:
        verb, _, entity = item.partition(" ")
        assert verb in VERBS and entity, item
    for place in (*word.reads, *(item.partition(" ")[2] for item in word.writes)):
        assert not place.startswith("{") or place[1:-1] in (*properties, "record"), place
    assert all(item.partition(" ")[0] in DOES for item in word.does)
    assert not word.pure or not (word.reads or word.writes or word.does)


def keeps_its_examples(subject: Subject) -> None:
    """Every example is accepted, gives a result that fits its schema, and asks for nothing that was not declared."""
    for params in subject.examples():
        given, asked = subject.call(params)
        assert not (subject.action.word.pure and asked), "a pure action asked for something"
        plain = json.loads(json.dumps(given, default=lambda value: value.id if isinstance(value, Handle) else str(value)))
        errors = list(Draft202012Validator(dict(subject.action.word.result)).iter_errors(plain))
        assert not errors, errors


def gives_the_same_again(subject: Subject) -> None:
    """The same parameters give the same result and effects, at another hour and for other people too when it is pure; they are left as they were."""
    other = ActionContext(datetime(2031, 7, 9, tzinfo=UTC), ZoneInfo("UTC"), me=99, locale="en", rule="another") if subject.action.word.pure else CTX
    for params in subject.examples():
        before = repr(params)
        first, asked = subject.call(params)
        assert repr(params) == before, "the parameters were changed"
        again, asked_again = subject.call(params, other)
        assert repr((first, asked)) == repr((again, asked_again))


def refuses_wrong_parameters(subject: Subject) -> None:
    """Missing, unknown and hostile parameters end in Invalid, with the place, or in a result: never in a failure."""
    for params in subject.examples():
        for name in subject.action.word.params["required"]:  # type: ignore[attr-defined]
            with pytest.raises(Invalid) as missing:
                subject.call({key: value for key, value in params.items() if key != name})
            assert f"/{name}" in {fault.pointer for fault in missing.value.faults}
        with pytest.raises(Invalid):
            subject.call({**params, "no_such_parameter": 1})
        for name in params:
            for value in HOSTILE:
                try:
                    subject.call({**params, name: value})
                except Invalid as refusal:
                    assert refusal.code and str(refusal)
        break


CONTRACT: tuple[Callable[[Subject], None], ...] = (is_described, declares_what_exists, keeps_its_examples, gives_the_same_again, refuses_wrong_parameters)
