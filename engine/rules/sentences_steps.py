"""Each of the thirteen verbs in words, and what the names that steps give are called from there on. Used by sentences.py only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.expressions.language import Expression
from engine.expressions.types import Type, UnknownType
from engine.fields.base import Wrong
from engine.fields.durations import parse_duration
from engine.rules.book import Step, Template, Term
from engine.rules.labels import Labels
from engine.rules.phrases import Around, Named, literal, phrase, span, value_phrase
from metadata.check.findings import notation


def term_phrase(term: Term, around: Around, kind: str = "") -> str:
    """An expression in words, or a constant of a type in notation."""
    if isinstance(term, Expression):
        return phrase(term, around)
    return literal(term, _type(kind), around)


def value_of(term: Term, around: Around, kind: str = "") -> str:
    """The same where the value is meant."""
    return value_phrase(term, around) if isinstance(term, Expression) else literal(term, _type(kind), around)


def _type(kind: str) -> Type:
    try:
        return Type.read(kind) if kind else Type("any")
    except UnknownType:
        return Type("any")


class Speech:
    """Steps in order, each in the surroundings the ones before it left: ``learn`` what a step named after ``text`` has said it."""

    def __init__(self, around: Around) -> None:
        self.around = around
        self.labels: Labels = around.labels
        self.word = around.labels.word

    def text(self, step: Step) -> str:
        """One step without its branches."""
        if step.verb == "if":
            return self.word("branch", condition=term_phrase(step.condition, self.around))
        said = _VERBS[step.verb](self, step)
        return said if step.condition is True else self.word("step_if", condition=term_phrase(step.condition, self.around), step=said)

    def inside(self, step: Step, word: str) -> Speech:
        """The surroundings of a branch."""
        inner = Speech(self.around)
        if step.verb == "each" and word == "then":
            inner._name(str(step.body.get("as", "")), self._item_name(step))
        if step.verb == "ask":
            inner.learn(step)
        return inner

    def learn(self, step: Step) -> None:
        """The names a step gives."""
        if step.verb == "let":
            for name in step.under("let"):
                self._name(name, Named(self.labels.quoted(name)))
        if step.verb == "if":
            for below in (item for word in ("then", "else") for item in step.branches.get(word, ())):
                self.learn(below)
        given, made = step.body.get("as"), _NAMES.get(step.verb)
        if isinstance(given, str) and made is not None:
            self._name(given, made(self, step))

    def _name(self, name: str, named: Named) -> None:
        if any(known.text == named.text for other, known in self.around.names.items() if other != name):
            named = replace(named, text=self.word("told_apart", text=named.text, name=name))
        self.around = replace(self.around, names={**self.around.names, name: named})

    # -- words shared by several verbs

    def _rows(self, entity: str) -> Around:
        return replace(self.around, entity=entity, rows=True)

    def _record(self, name: str) -> str:
        """A record a step writes to: the rule's own, a carried name, a link field."""
        if name == "record":
            return self.word("this", entity=self.labels.entity(self.around.own)) if self.around.own else self.word("this_record")
        named = self.around.names.get(name)
        if named is not None:
            return named.text
        return self.labels.field(self.around.own, name) if self.labels.definition(self.around.own, name) else self.labels.quoted(name)

    def _kind(self, entity: str, key: str) -> str:
        found = self.labels.definition(entity, key)
        return notation(found.body) if found is not None and found.body else ""

    def _assigned(self, step: Step, word: str, entity: str, code: str) -> str:
        """FIELD: value of a map of a step."""
        said = []
        for name, term in step.under(word).items():
            field = self.labels.field(entity, name) if entity else self.labels.quoted(name)
            if term is None:
                said.append(self.word("set_empty", field=field) if code == "set_value" else self.word(code, field=field, value=self.word("nothing")))
            else:
                said.append(self.word(code, field=field, value=value_of(term, self.around, self._kind(entity, name))))
        return self.labels.listed(said)

    def _given(self, step: Step, names: Mapping[str, str]) -> str:
        """NAME: value of ``with``, nested lists and maps included."""
        found: dict[str, list[str]] = {}
        for place, term in step.under("with").items():
            found.setdefault(place.partition("/")[0], []).append(value_of(term, self.around))
        said = [self.word("assign", field=names.get(name) or self.labels.quoted(name), value=self.labels.listed(parts)) for name, parts in found.items()]
        return self.word("inputs", inputs=self.labels.listed(said)) if said else ""

    def message(self, template: Template | None, otherwise: str = "") -> str:
        """A template with its placeholders in words."""
        if template is None:
            return otherwise
        language = next((found for found in (self.labels.locale, "zh", "", *template.pieces) if found in template.pieces), "")
        pieces = template.pieces.get(language, ())
        text = "".join(piece if isinstance(piece, str) else self.word("hole", text=value_phrase(piece, self.around)) for piece in pieces)
        return self.labels.quoted(text)

    def _columns(self, step: Step, place: str, entity: str) -> dict[str, str]:
        return {name: value_of(term, self._rows(entity)) for name, term in step.under(place).items()}

    def _lasting(self, step: Step, word: str, text: Any) -> str:
        return value_of(step.terms[word], self.around) if word in step.terms else self._span(text)

    def _span(self, text: Any) -> str:
        try:
            return span(parse_duration(str(text)), self.labels)
        except Wrong:
            return self.labels.quoted(text)

    # -- verbs

    def _let(self, step: Step) -> str:
        return self.labels.listed(
            [self.word("let", name=self.labels.quoted(name), value=value_of(term, self.around)) for name, term in step.under("let").items()]
        )

    def _find(self, step: Step) -> str:
        return self._finding(step, step.body, "")

    def _finding(self, step: Step, body: Mapping[str, Any], prefix: str) -> str:
        source = str(body["find"])
        listed = self.around.names.get(source)
        rows, word = self._rows("" if listed else source), self.word
        entity = listed.text if listed else self.labels.entity(source)
        condition = step.terms.get(f"{prefix}where")
        where = word("find_where", condition=term_phrase(condition, rows)) if condition is not None else ""
        keys = [self._sort_key(step, f"{prefix}sort/{number}", str(text), rows) for number, text in enumerate(body.get("sort", ()))]
        sort = word("find_sort", keys=self.labels.listed(keys)) if keys else ""
        take = body.get("take", "one" if not prefix else "all")
        if isinstance(take, Mapping):
            measure = next(iter(take), "sum")
            text = word(f"find_{measure}", entity=entity, where=where, value=value_of(step.terms.get(f"{prefix}take/{measure}"), rows))
        elif take in ("one", 1, "count", "all"):
            text = word(f"find_{'one' if take == 1 else take}", entity=entity, where=where, sort=sort)
        else:
            text = word("find_some", number=take, entity=entity, where=where, sort=sort)
        return text + (word("find_mine") if body.get("scope") == "me" else "")

    def _sort_key(self, step: Step, place: str, text: str, rows: Around) -> str:
        term = step.terms.get(place)
        key = value_of(term, rows) if isinstance(term, Expression) else self.labels.quoted(text.removeprefix("-"))
        return self.word("find_down", key=key) if text.startswith("-") else key

    def _lock(self, step: Step) -> str:
        names = [value_of(term, self.around) for place, term in step.terms.items() if place == "lock" or place.startswith("lock/")]
        return self.word("lock", names=self.labels.listed(names))

    def _decide(self, step: Step) -> str:
        found = self.labels.bundle.decisions.get(str(step.body["decide"]))
        inputs = found.body.get("inputs", {}) if found else {}
        names = {name: self.labels.parameter(name, document if isinstance(document, Mapping) else {}) for name, document in inputs.items()}
        return self.word("decide", title=self.labels.decision(str(step.body["decide"])), inputs=self._given(step, names))

    def _set(self, step: Step) -> str:
        body = step.body
        if "in" in body:
            where = step.terms.get("where")
            condition = term_phrase(where, self._rows(body["in"])) if where is not None else self.word("always")
            values = self._assigned(step, "set", body["in"], "set_value")
            text = self.word("set_in", entity=self.labels.entity(body["in"]), where=condition, values=values)
        elif body.get("on", "record") != "record":
            entity = self._entity_of(str(body["on"]))
            text = self.word("set_on", record=self._record(str(body["on"])), values=self._assigned(step, "set", entity, "set_value"))
        else:
            text = self.word("set", values=self._assigned(step, "set", self.around.own, "set_value"))
        expect = step.terms.get("expect")
        if expect is None:
            return text
        refusal = self.message(step.message, self.labels.quoted(body.get("refuse", "")))
        return self.word("set_expect", step=text, condition=term_phrase(expect, self.around), refusal=refusal)

    def _entity_of(self, name: str) -> str:
        """The entity of a link field of the record, or of a carried record; '' where it is not known."""
        found = self.labels.definition(self.around.own, name)
        if found is not None:
            return str(found.options.get("to") or (found.type if found.type in ("person", "team") else ""))
        named = self.around.names.get(name)
        return named.entity if named is not None else ""

    def _refuse(self, step: Step) -> str:
        message = self.message(step.message, self.labels.quoted(step.body["refuse"]))
        if step.body.get("soft"):
            return self.word("refuse_soft", message=message)
        if "at" in step.body and self.around.own:
            return self.word("refuse_at", field=self.labels.field(self.around.own, str(step.body["at"])), message=message)
        return self.word("refuse", message=message)

    def _create(self, step: Step) -> str:
        entity = str(step.body["create"])
        values = self._assigned(step, "values", entity, "assign")
        text = self.word("create", entity=self.labels.entity(entity), values=self.word("create_values", values=values) if values else "")
        return self.word("create_once", step=text) if "once" in step.body else text

    def _delete(self, step: Step) -> str:
        return self.word("delete", record=self._record(str(step.body["delete"])))

    def _each(self, step: Step) -> str:
        apart = "_apart" if step.body.get("apart") else ""
        each = step.body["each"]
        if isinstance(each, Mapping):
            return self.word(f"each_find{apart}", find=self._finding(step, each, "each/"))
        term = step.terms.get("each")
        return self.word(f"each{apart}", items=value_of(term, self.around) if isinstance(term, Expression) else self._record(str(each)))

    def _do(self, step: Step) -> str:
        name = str(step.body["do"])
        names = {}
        for rule in self.labels.bundle.rules.values():
            if rule.body["on"].get("action") == name:
                names = {key: self.labels.parameter(key, document) for key, document in rule.body["on"].get("with", {}).items()}
        for key in ("record", name.rpartition(".")[0]):
            if key and key in {place.partition("/")[0] for place in step.under("with")} and key not in names:
                names[key] = self.labels.entity(name.rpartition(".")[0]) if "." in name else self.word("this_record")
        values = self._given(step, names)
        if "on" in step.body:
            return self.word("do_on", record=self._record(str(step.body["on"])), title=self.labels.action(name), values=values)
        return self.word("do", title=self.labels.action(name), values=values)

    def _ask(self, step: Step) -> str:
        body, word, said = step.body, self.word, []
        if "about" in body:
            said.append(word("ask_about", about=self._record(str(body["about"]))))
        if "needed" in step.terms:
            said.append(word("ask_needed", condition=term_phrase(step.terms["needed"], self.around)))
        if "not" in step.terms:
            said.append(word("ask_not", people=value_of(step.terms["not"], self.around)))
        need = body.get("need", "any")
        if need != "any":
            said.append(word("ask_need_number", number=need) if isinstance(need, int) else word(f"ask_need_{need}"))
        if body.get("opinion") == "required":
            said.append(word("ask_opinion"))
        if "within" in body:
            said.append(word("ask_within", span=self._lasting(step, "within", body["within"])))
        if "escalate/to" in step.terms:
            people, after = value_of(step.terms["escalate/to"], self.around), body["escalate"].get("after")
            said.append(
                word("ask_escalate_after", span=self._lasting(step, "escalate/after", after), people=people) if after else word("ask_escalate", people=people)
            )
        details = word("inputs", inputs=word("semicolon").join(said)) if said else ""
        return word("ask", who=value_of(step.terms.get("who"), self.around), details=details)

    def _notify(self, step: Step) -> str:
        body, people = step.body, value_of(step.terms.get("notify"), self.around)
        message = self.message(step.message, self.word("notify_template", name=body.get("template", "")))
        channel = str(body.get("channel", "screen"))
        if channel == "screen":
            text = self.word("notify", people=people, message=message)
        else:
            said = self.word(f"channel_{channel}") if self.labels.knows(f"channel_{channel}") else self.labels.quoted(channel)
            text = self.word("notify_channel", channel=said, people=people, message=message)
        return self.word("notify_hours", step=text, calendar=self.labels.setting(str(body["hours"]))) if "hours" in body else text

    # -- names steps give

    def _item_name(self, step: Step) -> Named:
        each = step.body["each"]
        if isinstance(each, Mapping):
            entity = str(each["find"])
            return Named(self.word("item", entity=self.labels.entity(entity)), self._columns(step, "each/show", entity), entity)
        listed = self.around.names.get(str(each))
        entity = listed.entity if listed is not None else ""
        text = self.word("item", entity=self.labels.entity(entity) if entity else self.word("row"))
        return Named(text, listed.columns if listed is not None else {}, entity)

    def _found_name(self, step: Step) -> Named:
        source = str(step.body["find"])
        listed = self.around.names.get(source)
        said, entity = (listed.text, listed.entity) if listed is not None else (self.labels.entity(source), source)
        if step.body.get("take") == "count":
            return Named(self.word("number_of", entity=said))
        columns = self._columns(step, "show", entity) or (listed.columns if listed is not None else {})
        return Named(self.word("found", entity=said), columns, entity)

    def _made_name(self, step: Step) -> Named:
        entity = str(step.body["create"])
        return Named(self.word("made", entity=self.labels.entity(entity)), entity=entity)

    def _decided_name(self, step: Step) -> Named:
        key = str(step.body["decide"])
        found = self.labels.bundle.decisions.get(key)
        outputs = found.body.get("outputs", {}) if found else {}
        columns = {name: self.labels.parameter(name, item if isinstance(item, Mapping) else {}) for name, item in outputs.items()}
        more = {"explain": self.word("output_explain"), "flags": self.word("output_flags")}
        codes = {name: str(item.get("choice") or item.get("choices") or "") for name, item in outputs.items() if isinstance(item, Mapping)}
        return Named(self.word("decided", title=self.labels.decision(key)), {**more, **columns}, choices=codes)

    def _given_name(self, step: Step) -> Named:
        return Named(self.word("given", title=self.labels.action(str(step.body["do"]))))

    def _answer_name(self, step: Step) -> Named:
        fields = {key: self.labels.parameter(key, document) for key, document in step.body.get("fields", {}).items()}
        fixed = {key: self.word(f"answer_{key}") for key in ("by", "opinion", "at")}
        return Named(self.word("answer"), {**fixed, **fields})


_VERBS: Mapping[str, Callable[[Speech, Step], str]] = {
    "let": Speech._let,
    "find": Speech._find,
    "lock": Speech._lock,
    "decide": Speech._decide,
    "set": Speech._set,
    "refuse": Speech._refuse,
    "create": Speech._create,
    "delete": Speech._delete,
    "each": Speech._each,
    "do": Speech._do,
    "ask": Speech._ask,
    "notify": Speech._notify,
}
_NAMES: Mapping[str, Callable[[Speech, Step], Named]] = {
    "find": Speech._found_name,
    "create": Speech._made_name,
    "decide": Speech._decided_name,
    "do": Speech._given_name,
    "ask": Speech._answer_name,
}
