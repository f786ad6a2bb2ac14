"""Calling an action as a rule does: parameters checked, effects answered. For tests of actions, ours and those of plugin authors."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.registry import Action
from engine.rules.actions import ActionContext, arguments, perform
from engine.rules.effects import Effect, Handle

CTX = ActionContext(datetime(2026, 3, 1, 3, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai"), me=1, rule="a_rule")


def no_answer(effect: Effect) -> Any:
    """For actions whose effects need none."""


def call(
    action: Action, params: Mapping[str, Any], answer: Callable[[Effect], Any] = no_answer, *, ctx: ActionContext = CTX, record: Handle | None = None
) -> tuple[Any, list[Effect]]:
    """What the action gives, and the effects it asked for."""
    found, effects, reply = perform(action, "test", ctx, record, arguments(action, params)), [], None
    while True:
        try:
            effect = found.send(reply)
        except StopIteration as stop:
            return stop.value, effects
        effects.append(effect)
        reply = answer(effect)
