"""From rule definitions to a RuleBook: expressions parsed with the names the checker says they may use, triggers read, reach derived."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.expressions.checking import kind_of, names_for
from engine.expressions.language import Expression, ExpressionRefused, parse
from engine.expressions.types import Type, UnknownType
from engine.fields.durations import parse_duration
from engine.rules.book import CompiledRule, RuleBook, Step, Template, Term, Trigger
from engine.rules.decisions import Decision, compile_decision
from engine.rules.order import RuleCycle, order
from engine.rules.reach import reach_of
from metadata.bundle import Bundle
from metadata.check.places import Places, places
from metadata.documents import pointer
from metadata.step_words import BRANCHES, step_key, verb_of
from metadata.text import Label
from metadata.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engine.workspace import Workspace

_BRACES = re.compile(r"\{([^{}]*)\}")
_WRITES = ("create", "update", "delete", "stage")


def rule_book(workspace: Workspace) -> RuleBook:
    """The rules of a workspace's version, compiled when first asked for."""
    return remember(workspace, ("rule book",), lambda: compile_rules(workspace, workspace.bundle))


def compile_rules(workspace: Workspace, bundle: Bundle, *, earlier: bool = False) -> RuleBook:
    """The rules of a bundle over the workspace's present entities.

    ``earlier``: the bundle is of another version, for runs that began with it. A rule that speaks of what is gone since is then as it is now, and left
    out where it is gone, too: nothing that waits is lost because of another rule.
    """
    if not bundle.rules:
        return RuleBook()
    maker = _Maker(workspace, places(bundle, _vocabulary(workspace)))
    given = {key: item for key, item in sorted(bundle.rules.items()) if not item.body.get("retired")}
    if earlier:
        rules = {key: rule for key, item in given.items() if (rule := maker.standing(key, item.body, item.title) or rule_book(workspace).rules.get(key))}
    else:
        rules = {key: maker.rule(key, item.body, item.title) for key, item in given.items()}
    return _sorted_in(rules, frozenset(key for key, rule in rules.items() if workspace.is_off(rule.body)))


def book_with(book: RuleBook, rule: CompiledRule) -> RuleBook:
    """A book in which a rule stands as given, in place of the one of its key."""
    return _sorted_in(dict(sorted({**book.rules, rule.key: rule}.items())))


def decision_of(workspace: Workspace, key: str) -> Decision:
    """A decision table of the workspace's version."""

    def build() -> Decision:
        found = remember(workspace, ("places",), lambda: places(workspace.bundle, _vocabulary(workspace)))
        definition = workspace.bundle.decisions[key]
        return compile_decision(workspace, definition.body, definition.title, lambda at, text: _Maker(workspace, found).parsed("decision", key, at, text))

    return remember(workspace, ("decision", key), build)


def _vocabulary(workspace: Workspace) -> Vocabulary:
    """The registry's words, which record a name leads to told by the workspace's own types."""
    book = workspace.book
    return replace(workspace.registry.vocabulary(), kind_of=lambda bundle, place, text: kind_of(book, place, text, book.functions))


def _sorted_in(rules: Mapping[str, CompiledRule], off: frozenset[str] = frozenset()) -> RuleBook:
    """``off``: rules that nothing sets off; their actions are known, so that other rules may name them."""
    moments: dict[str, dict[tuple[str, str], list[CompiledRule]]] = {"before": {}, "after": {}, "later": {}}
    named: dict[str, dict[str, list[CompiledRule]]] = {"intake": {}, "event": {}}
    live = [rule for key, rule in rules.items() if key not in off]
    for rule in live:
        trigger = rule.trigger
        if trigger.kind in moments:
            for entity, verb in _moments_of(trigger):
                moments[trigger.kind].setdefault((entity, verb), []).append(rule)
        elif trigger.kind in named:
            named[trigger.kind].setdefault(trigger.name, []).append(rule)
    ordered = {kind: {place: _in_order(found) for place, found in by.items()} for kind, by in moments.items()}
    return RuleBook(
        rules,
        ordered["before"],
        ordered["after"],
        ordered["later"],
        tuple(rule for rule in live if rule.trigger.kind == "due"),
        tuple(rule for rule in live if rule.trigger.kind == "cron"),
        {rule.trigger.name: rule for rule in rules.values() if rule.trigger.kind == "action"},
        {name: tuple(found) for name, found in named["intake"].items()},
        {name: tuple(found) for name, found in named["event"].items()},
    )


def _in_order(rules: Sequence[CompiledRule]) -> tuple[CompiledRule, ...]:
    try:
        return order(rules)
    except RuleCycle:  # a publish refuses it; what stands from before runs by key
        return tuple(rules)


def _moments_of(trigger: Trigger) -> Iterator[tuple[str, str]]:
    """(entity, verb) pairs a write trigger listens to; an action trigger listens to the action's name."""
    if trigger.verb == "action":
        for name in trigger.actions:
            yield name, "action"
    elif trigger.verb == "save":
        yield trigger.entity, "create"
        yield trigger.entity, "update"
    else:
        yield trigger.entity, trigger.verb


@dataclass(frozen=True, slots=True)
class _Maker:
    workspace: Workspace
    places: Places

    def parsed(self, kind: str, key: str, at: str, text: str) -> Expression | None:
        """The expression standing at a place; None when no expression is looked for there."""
        place = self.places.find(kind, key, at, text)
        if place is None:
            return None
        book = self.workspace.book
        return parse(text, names_for(book, place), _wanted(place.wants), book.functions)

    def rule(self, key: str, body: Mapping[str, Any], title: Label) -> CompiledRule:
        """One rule."""
        trigger = self._trigger(key, body["on"])
        steps = self._steps(key, body["then"], ("then",), "")
        rule = CompiledRule(
            key,
            title,
            trigger,
            trigger.entity,
            self._term(key, ("if",), body.get("if", True)),
            steps,
            self.parsed("rule", key, "/as_of", body.get("as_of", "")),
            self.parsed("rule", key, "/give", body.get("give", "")),
            body=body,
        )
        return reach_of(self.workspace, rule)

    def standing(self, key: str, body: Mapping[str, Any], title: Label) -> CompiledRule | None:
        """One rule of an earlier version; None where it reads or writes what is gone."""
        try:
            rule = self.rule(key, body, title)
        except (ExpressionRefused, KeyError):
            return None
        entities = self.workspace.entities
        written = ((entities.get(entity), fields - {"*"}) for (_, entity), fields in rule.reach.writes.items() if entity != "*")
        return rule if all(entity is not None and fields <= entity.fields.keys() for entity, fields in written) else None

    def _trigger(self, key: str, on: Mapping[str, Any]) -> Trigger:
        kind = next(word for word in ("before", "after", "later", "due", "cron", "action", "intake", "event") if word in on)
        due = (on["due"],) if isinstance(on.get("due"), str) else tuple(on.get("due", ()))
        entity = str(on.get("entity") or on.get("for_each") or (due[0].partition(".")[0] if due else ""))
        if kind == "action" and not entity:
            entity = str(on["action"].rpartition(".")[0])
        if kind in ("before", "after") and on[kind] == "action" and not entity:
            entity = str(on["actions"][0].partition(".")[0])
        shifts = on.get("shift", "PT0S")
        return Trigger(
            kind,
            str(on[kind]) if kind in ("before", "after", "later") else "",
            entity,
            frozenset(on.get("fields", ())),
            frozenset(_listed(on.get("from", ()))),
            frozenset(_listed(on.get("to", ()))),
            tuple(on.get("actions", ())),
            self.parsed("rule", key, "/on/where", on.get("where", "")),
            tuple(path.partition(".")[2] for path in due),
            tuple(sorted(parse_duration(item) for item in _listed(shifts))),
            parse_duration(on["repeat"]) if "repeat" in on else 0,
            str(on.get("calendar", "")),
            str(on.get("cron", "")),
            str(on[kind]) if kind in ("action", "intake", "event") else "",
            on.get("with", {}),
            bool(on.get("imports", True)),
        )

    def _steps(self, key: str, items: Sequence[Mapping[str, Any]], at: tuple[str | int, ...], above: str) -> tuple[Step, ...]:
        return tuple(self._step(key, item, (*at, number), above) for number, item in enumerate(items))

    def _step(self, key: str, body: Mapping[str, Any], at: tuple[str | int, ...], above: str) -> Step:
        verb = verb_of(body)
        name = step_key(body, verb)
        path = f"{above}/{name}" if above else name
        terms: dict[str, Term] = {}
        branches: dict[str, tuple[Step, ...]] = {}
        for word, value in body.items():
            if word in BRANCHES:
                branches[word] = self._steps(key, value, (*at, word), f"{path}/{word}")
            elif word not in ("if", "message", "key", "note"):
                self._terms(key, (*at, word), value, word, terms)
        condition = self._term(key, (*at, "if"), body.get("if", True))
        message = self._template(key, (*at, "message"), body["message"]) if "message" in body else None
        return Step(verb, name, body, condition, terms, message, branches, path)

    def _terms(self, key: str, at: tuple[str | int, ...], value: Any, place: str, found: dict[str, Term]) -> None:
        """Every expression and constant below one word of a step, by its place."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                self._terms(key, (*at, name), item, f"{place}/{name}", found)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self._terms(key, (*at, number), item, f"{place}/{number}", found)
        elif isinstance(value, str):
            expression = self.parsed("rule", key, pointer(*at), value) or self.parsed("rule", key, pointer(*at), value.removeprefix("-"))
            if expression is not None:
                found[place] = expression
        else:
            found[place] = value

    def _term(self, key: str, at: tuple[str | int, ...], value: Any) -> Term:
        return self.parsed("rule", key, pointer(*at), value) if isinstance(value, str) else value

    def _template(self, key: str, at: tuple[str | int, ...], text: Label) -> Template:
        texts = {language: (part, (*at, language)) for language, part in text.items()} if isinstance(text, Mapping) else {"": (text, at)}
        return Template(text, {language: self._pieces(key, place, part) for language, (part, place) in texts.items()})

    def _pieces(self, key: str, at: tuple[str | int, ...], text: str) -> tuple[str | Expression, ...]:
        pieces: list[str | Expression] = []
        for number, part in enumerate(_BRACES.split(text)):
            found = self.parsed("rule", key, pointer(*at), part) if number % 2 else None
            if found is not None:
                pieces.append(found)
            elif part:
                pieces.append(part)
        return tuple(pieces)


def _wanted(notation: str) -> Type | None:
    try:
        return Type.read(notation) if notation else None
    except UnknownType:
        return None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
