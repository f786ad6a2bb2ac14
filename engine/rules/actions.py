"""How an action of a plugin is called: its parameters checked, its effects handed on one by one, held to what it declares, its failures named.

Nothing is applied here; whoever drives the generator applies each effect and sends its result back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from inspect import isgenerator
from typing import Any
from zoneinfo import ZoneInfo

from engine.errors import Denied, Fault, Invalid, Refusal, Unavailable
from engine.fields.base import Value
from engine.registry import Action
from engine.rules import effects
from engine.rules.book import Reach
from engine.rules.effects import Effect, Handle
from engine.rules.parameters import Read, reader
from engine.time_limit import TooSlow, time_limit
from metadata.definitions import Entity
from metadata.vocabulary import ActionWord

log = logging.getLogger("tangram.plugins")

Effects = Generator[Effect, Any, Value]
_NONE: Mapping[str, Any] = {}
_PLAIN = (bool, int, float, str, date, datetime, timedelta, Handle)
_DEEPEST, _LARGEST = 12, 100_000
#: How long an action of a plugin may compute between two effects; those that come with the product are known to end.
SECONDS = 2.0
_TRUSTED = ("", "builtin")


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know besides its parameters. ``now`` is the run's one moment; ``me`` the acting person's id, None where nobody acts.

    ``entities``: the definitions in force, by key; ``settings``: the values in force; ``rule``: the rule that calls, by key.
    """

    now: datetime
    timezone: ZoneInfo
    me: int | None = None
    locale: str = "zh"
    rule: str = ""
    settings: Mapping[str, Value] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The local date."""
        return self.now.astimezone(self.timezone).date()


# --- parameters ------------------------------------------------------------------------------------------------------------------------------------


@cache
def _reader(action: Action) -> Read:
    return reader(action.word.params)


def formats(word: ActionWord, wanted: str) -> list[str]:
    """The parameters of an action that have this format."""
    found = word.params.get("properties")
    return [name for name, schema in found.items() if schema.get("format") == wanted] if isinstance(found, Mapping) else []


def arguments(
    action: Action, given: Mapping[str, Value], entities: Mapping[str, str] = _NONE, read: Callable[[str, int], Mapping[str, Value] | None] | None = None
) -> dict[str, Value]:
    """The parameters an action gets: empty ones left out, records as Handles. Raises Invalid with every fault.

    ``entities``: parameter -> the entity its expression leads to, for records given by their id; ``read`` reads them.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name in formats(action.word, "record"):
        value = found.get(name)
        if type(value) is int and entities.get(name) and read is not None:
            found[name] = Handle(entities[name], value, read)
    faults: list[Fault] = []
    taken = _reader(action)(found, "", faults)
    if faults:
        raise Invalid("action_params", action=action.word.name, faults=faults)
    return dict(taken)


# --- reach -----------------------------------------------------------------------------------------------------------------------------------------


def reach_of(word: ActionWord, entities: Mapping[str, str]) -> Reach:
    """What calling an action may touch. ``entities``: parameter -> the entity it names or is a record of, '' where that is only known at run time."""

    def named(place: str) -> str:
        return (entities.get(place[1:-1]) or "*") if place.startswith("{") else place

    writes = {(verb, named(entity)): frozenset({"*"}) for verb, _, entity in (item.partition(" ") for item in word.writes)}
    return Reach({named(entity): frozenset({"*"}) for entity in word.reads}, writes, frozenset({word.name}))


def _entity_given(value: Value) -> str:
    return value.entity if isinstance(value, Handle) else value if isinstance(value, str) else ""


class _Bounds:
    """What one call may do, by what its action declares and the parameters it was given."""

    def __init__(self, word: ActionWord, record: Handle | None, params: Mapping[str, Value]) -> None:
        self.word = word
        given = {name: _entity_given(value) for name, value in params.items()} | {"record": record.entity if record is not None else ""}
        self.reach = reach_of(word, given)

    def admit(self, effect: Effect) -> None:
        """Raises Denied for an effect the action does not declare."""
        if self.word.pure or not self._declared(effect):
            raise Denied("action_beyond", action=self.word.name, effect=type(effect).__name__, entity=_touched(effect))

    def _declared(self, effect: Effect) -> bool:
        match effect:
            case effects.Find():
                return effect.entity in self.reach.reads or "*" in self.reach.reads
            case effects.CreateRecord() | effects.SetValues() | effects.DeleteRecord():
                return self.reach.allows(_WRITES[type(effect)], _touched(effect))
            case effects.Engine():
                return f"engine {effect.name}" in self.word.does
            case effects.RunAction():
                return f"do {effect.name}" in self.word.does
            case effects.Lock() | effects.Refuse():
                return True
        return _OTHERS.get(type(effect), "?") in self.word.does


_WRITES: Mapping[type, str] = {effects.CreateRecord: "create", effects.SetValues: "update", effects.DeleteRecord: "delete"}
_OTHERS: Mapping[type, str] = {effects.Notify: "notify", effects.Send: "send", effects.Emit: "emit", effects.Ask: "ask", effects.WithdrawAsks: "ask"}


def _touched(effect: Effect) -> str:
    record = getattr(effect, "record", None)
    return record.entity if isinstance(record, Handle) else str(getattr(effect, "entity", "") or getattr(effect, "name", ""))


# --- calling ---------------------------------------------------------------------------------------------------------------------------------------


def perform(action: Action, plugin: str, ctx: ActionContext, record: Handle | None, params: Mapping[str, Value]) -> Effects:
    """The effects of one call, each receiving its result, and at the end what the action gives. ``params`` as ``arguments`` gave them.

    A refusal is the action's own word; anything else a plugin raises or gives becomes Unavailable "plugin_failed", named and logged.
    """
    bounds = _Bounds(action.word, record, params)
    with _named(action.word.name, plugin):
        found = action.run(ctx, record, params)
    if not isgenerator(found):
        return _result(found, action.word.name, plugin)
    answer: Any = None
    try:
        while True:
            with _named(action.word.name, plugin):
                try:
                    effect = found.send(answer)
                except StopIteration as stop:
                    return _result(stop.value, action.word.name, plugin)
                if not isinstance(effect, Effect):
                    raise TypeError(f"it yielded {type(effect).__name__}, which is no effect")
                bounds.admit(effect)
            answer = yield effect
    finally:
        found.close()


@contextmanager
def _named(action: str, plugin: str) -> Iterator[None]:
    """Whatever is raised inside that is no refusal is logged and told as this plugin's failure, so is running on and on."""
    try:
        with nullcontext() if plugin in _TRUSTED else time_limit(SECONDS):
            yield
    except Refusal:
        raise
    except (Exception, TooSlow) as error:
        log.error("plugin %s: the action %s failed", plugin or "engine", action, exc_info=error)
        raise Unavailable("plugin_failed", plugin=plugin or "engine", action=action, reason=f"{type(error).__name__}: {error}"[:200]) from error


def _result(value: Value, action: str, plugin: str) -> Value:
    with _named(action, plugin):
        if isinstance(value, effects.Effect):
            raise TypeError("it returned an effect: effects are yielded")
        if not _is_value([value], 0, [_LARGEST]):
            raise TypeError(f"its result ({type(value).__name__}) holds what rules cannot carry, or too much of it")
    return value


def _is_value(items: Sequence[Value], depth: int, left: list[int]) -> bool:
    """Whether these are values rules may carry: plain ones, records, and lists and mappings of them, not too many and not too deep."""
    left[0] -= len(items)
    if depth > _DEEPEST or left[0] < 0:
        return False
    for item in items:
        if item is None or isinstance(item, _PLAIN):
            continue
        if isinstance(item, Mapping):
            if not all(isinstance(key, str) for key in item) or not _is_value(list(item.values()), depth + 1, left):
                return False
        elif not isinstance(item, list | tuple) or not _is_value(item, depth + 1, left):
            return False
    return True
