"""Rules read aloud: trigger, condition and steps as indented lines or as one sentence, in Chinese and English. Total: every compiled rule has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.expressions.language import Expression
from engine.rules.book import CompiledRule, Step, Trigger
from engine.rules.labels import Labels
from engine.rules.phrases import Around, Named, phrase, span, value_phrase
from engine.rules.schedules import schedule_phrase
from engine.rules.sentences_steps import Speech, term_phrase

if TYPE_CHECKING:
    from engine.rules.decisions import Decision
    from engine.workspace import Workspace

_SPACES = re.compile(r" {2,}")
_WIDE = re.compile(r" ?([（）【】，；：、]) ?")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a rule. ``part``: when, if, step, branch, give; ``path``: of the step it says, as traces name it; ``depth``: how far in."""

    text: str
    part: str
    depth: int = 0
    path: str = ""


def labels_of(workspace: Workspace, locale: str) -> Labels:
    """The names of a workspace's version for a reader."""
    return Labels(workspace.bundle, locale, workspace.registry.vocabulary().actions)


def around_of(rule: CompiledRule, labels: Labels) -> Around:
    """Where the expressions of a rule's own stand."""
    return Around(labels, rule.entity, rule.entity, params=rule.trigger.params)


def lines(rule: CompiledRule, labels: Labels) -> tuple[Line, ...]:
    """A rule from its trigger to what it gives."""
    return tuple(replace(line, text=_tidy(line.text, labels)) for line in _lines(rule, labels))


def _lines(rule: CompiledRule, labels: Labels) -> Iterator[Line]:
    around = around_of(rule, labels)
    when = trigger_phrase(rule.trigger, around)
    if rule.as_of is not None:
        when += labels.word("comma") + labels.word("as_of", moment=value_phrase(rule.as_of, around))
    yield Line(when, "when")
    if rule.condition is not True:
        yield Line(labels.word("if", condition=term_phrase(rule.condition, around)), "if")
    speech = Speech(around)
    yield from _below(rule.steps, speech, 1)
    if rule.give is not None:
        yield Line(labels.word("give", value=value_phrase(rule.give, speech.around)), "give", 1)


def _below(steps: tuple[Step, ...], speech: Speech, depth: int) -> Iterator[Line]:
    for step in steps:
        yield Line(speech.text(step), "step", depth, step.path)
        yield from _branches(step, speech, depth + 1)
        speech.learn(step)


def _branches(step: Step, speech: Speech, depth: int) -> Iterator[Line]:
    for word, below in step.branches.items():
        inner = speech.inside(step, word)
        if word == "then":
            yield from _below(below, inner, depth)
            continue
        yield Line(speech.labels.word(word), "branch", depth - (word == "else"), f"{step.path}/{word}")
        yield from _below(below, inner, depth + (word != "else"))


def sentence(rule: CompiledRule, labels: Labels) -> str:
    """A rule as one sentence."""
    found = _lines(rule, labels)
    when = next(found).text
    rest = list(found)
    condition = rest.pop(0).text if rest and rest[0].part == "if" else ""
    steps = _joined(rest, labels) or labels.word("nothing_to_do")
    text = labels.word("sentence_if", when=when, condition=condition, steps=steps) if condition else labels.word("sentence", when=when, steps=steps)
    return _tidy(text, labels)


def _joined(found: list[Line], labels: Labels) -> str:
    """Lines of one depth with what stands below each in brackets."""
    parts, number = [], 0
    while number < len(found):
        end = next((later for later in range(number + 1, len(found)) if found[later].depth <= found[number].depth), len(found))
        below = found[number + 1 : end]
        text = found[number].text
        if below:
            text = labels.word("inside", text=text, steps=labels.word("bracket", steps=_joined(below, labels)))
        parts.append(text)
        number = end
    return labels.word("semicolon").join(parts)


def decision_lines(decision: Decision, labels: Labels) -> tuple[str, ...]:
    """A decision table row by row."""
    inputs = {name: document if isinstance(document, Mapping) else {} for name, document in decision.body.get("inputs", {}).items()}
    said = {name: Named(labels.parameter(name, document)) for name, document in inputs.items()}
    around = Around(labels, params=inputs, names=said)
    found = []
    for number, row in enumerate(decision.rows, 1):
        outputs = [
            labels.word("assign", field=output_label(decision, name, labels), value=term_phrase(term, around, _notation(decision, name)))
            for name, term in row.outputs.items()
        ]
        if row.flags:
            outputs.append(labels.word("decision_flags", flags=labels.listed([labels.quoted(flag) for flag in row.flags])))
        code = "decision_else" if row.condition is True else "decision_if"
        text = labels.word(code, number=number, condition=term_phrase(row.condition, around), outputs=labels.listed(outputs) or labels.word("nothing"))
        found.append(_tidy(labels.word("decision_titled", text=text, title=labels.text(row.title, row.key)) if row.title else text, labels))
    return tuple(found)


def output_label(decision: Decision, name: str, labels: Labels) -> str:
    """What an output of a decision table is called."""
    document = decision.body.get("outputs", {}).get(name)
    return labels.parameter(name, document if isinstance(document, Mapping) else {})


def _notation(decision: Decision, name: str) -> str:
    document = decision.body.get("outputs", {}).get(name)
    if isinstance(document, Mapping):
        choices = document.get("choice") or document.get("choices")
        return f"choice:{choices}" if choices else str(document.get("type", ""))
    return str(document or "")


def trigger_phrase(trigger: Trigger, around: Around) -> str:
    """When a rule runs."""
    labels = around.labels
    match trigger.kind:
        case "before" | "after" | "later":
            text = _write_phrase(trigger, labels)
            if trigger.where is not None:
                text = labels.word("when_where", when=text, where=phrase(trigger.where, around))
            return labels.word("when_later", when=text) if trigger.kind == "later" else text
        case "due":
            return _due_phrase(trigger, around)
        case "cron":
            return _cron_phrase(trigger, around)
        case "action":
            return _action_phrase(trigger, labels)
    return labels.word(f"when_{trigger.kind}", name=trigger.name) if labels.knows(f"when_{trigger.kind}") else labels.quoted(trigger.kind)


def _write_phrase(trigger: Trigger, labels: Labels) -> str:
    stages = {"from": _stages(trigger, sorted(trigger.sources), labels), "to": _stages(trigger, sorted(trigger.targets), labels)}
    fields = [labels.field(trigger.entity, key) for key in sorted(trigger.fields)]
    moved = {name: labels.word(f"when_{name}", stages=found) if found else "" for name, found in stages.items()}
    actions = labels.listed([labels.quoted(labels.action(name)) for name in trigger.actions])
    kind = "before" if trigger.kind == "before" else "after"
    return labels.word(
        f"when_{kind}_{trigger.verb}",
        entity=labels.entity(trigger.entity),
        fields=labels.word("when_fields", fields=labels.listed(fields)) if fields else "",
        actions=actions,
        **{"from": moved["from"], "to": moved["to"] or labels.word("when_moved")},
    )


def _stages(trigger: Trigger, codes: list[str], labels: Labels) -> str:
    owner = labels.bundle.entities.get(trigger.entity)
    field = labels.definition(trigger.entity, owner.stages.field) if owner and owner.stages else None
    choices = str(field.options.get("choices", "")) if field else ""
    return labels.listed([labels.option(choices, code) for code in codes])


def _due_phrase(trigger: Trigger, around: Around) -> str:
    labels = around.labels
    fields = labels.listed([labels.field(trigger.entity, key) for key in trigger.due])
    parts = [
        labels.word("shift_before", spans=labels.listed([span(-shift, labels) for shift in trigger.shifts if shift < 0])) if min(trigger.shifts) < 0 else "",
        labels.word("shift_zero") if 0 in trigger.shifts else "",
        labels.word("shift_after", spans=labels.listed([span(shift, labels) for shift in trigger.shifts if shift > 0])) if max(trigger.shifts) > 0 else "",
    ]
    if trigger.shifts == (0,):
        text = labels.word("when_due", entity=labels.entity(trigger.entity), fields=fields)
    else:
        shifts = labels.listed([part for part in parts if part])
        text = labels.word("when_shifted", entity=labels.entity(trigger.entity), fields=fields, shifts=shifts)
    if trigger.where is not None:
        text = labels.word("when_where", when=text, where=phrase(trigger.where, around))
    if trigger.repeat:
        text += labels.word("when_repeat", span=span(trigger.repeat, labels))
    return text + (labels.word("when_calendar", calendar=labels.setting(trigger.calendar)) if trigger.calendar else "")


def _cron_phrase(trigger: Trigger, around: Around) -> str:
    labels, time = around.labels, schedule_phrase(trigger.cron, around.labels)
    if not trigger.entity:
        return labels.word("when_cron", time=time)
    entity = labels.entity(trigger.entity)
    if isinstance(trigger.where, Expression):
        return labels.word("when_cron_each_where", time=time, entity=entity, where=phrase(trigger.where, around))
    return labels.word("when_cron_each", time=time, entity=entity)


def _action_phrase(trigger: Trigger, labels: Labels) -> str:
    title = labels.action(trigger.name)
    entity = labels.entity(trigger.entity) if trigger.entity else ""
    text = labels.word("when_action_on", entity=entity, title=title) if entity else labels.word("when_action", title=title)
    params = [labels.parameter(key, document) for key, document in trigger.params.items()]
    return text + (labels.word("when_params", params=labels.listed(params)) if params else "")


def _tidy(text: str, labels: Labels) -> str:
    """One space where several met; none beside a full-width mark."""
    text = _SPACES.sub(" ", text).strip()
    return _WIDE.sub(r"\1", text) if labels.locale.startswith("zh") else text[:1].upper() + text[1:]
