"""Which rules read a setting, found from their expressions. For pages that show settings beside the rules they steer."""

from __future__ import annotations

from collections.abc import Iterator

from engine.expressions.language import Expression
from engine.rules.book import CompiledRule, RuleBook, every_step


def expressions_of(rule: CompiledRule) -> Iterator[Expression]:
    """Every expression of a rule, messages included."""
    terms: list[object] = [rule.condition, rule.as_of, rule.give, rule.trigger.where]
    for step in every_step(rule.steps):
        terms += [step.condition, *step.terms.values()]
        terms += step.message.expressions().values() if step.message is not None else ()
    yield from (term for term in terms if isinstance(term, Expression))


def settings_of(rule: CompiledRule) -> tuple[str, ...]:
    """The settings a rule reads, calendars of its trigger and messages included, each once."""
    found = [path[1] for expression in expressions_of(rule) for path in sorted(expression.reads) if path[0] == "setting" and len(path) > 1]
    calendars = [rule.trigger.calendar, *(str(step.body["hours"]) for step in every_step(rule.steps) if "hours" in step.body)]
    return tuple(dict.fromkeys([*found, *(key for key in calendars if key)]))


def rules_reading(book: RuleBook, setting: str) -> list[CompiledRule]:
    """The rules that read a setting, by key."""
    return [rule for _key, rule in sorted(book.rules.items()) if setting in settings_of(rule)]
