"""The steps of rules: one verb each with the words it takes, distinct keys, names that resolve in the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from metadata.check.calls import Call, result_type
from metadata.check.fields import parameters
from metadata.check.findings import Spot, notation
from metadata.check.finds import find, found_columns, found_type, result_columns, table_columns
from metadata.check.frame import Frame
from metadata.definitions import ENGINE_ENTITIES, WIDENED_ENTITIES, Field
from metadata.shape import numbered
from metadata.step_words import ALWAYS, VERBS, step_key, verb_of
from metadata.words import closest, key_problem, name_problem

_NEEDS: Mapping[str, tuple[str, ...]] = {"ask": ("who",), "create": ("values",), "each": ("then",), "if": ("then",)}
_MAX_DEPTH = 8
_NONE: Mapping[str, Any] = {}


def steps(spot: Spot, items: Sequence[Mapping[str, Any]], frame: Frame, depth: int = 0) -> Frame:
    """Check a list of steps; what may be named after them."""
    if depth > _MAX_DEPTH:
        spot.report("steps_too_deep", limit=_MAX_DEPTH)
        return frame
    seen: dict[str, int] = {}
    for number, step in numbered(items):
        at = spot / number
        verb = verb_of(step)
        if not verb:
            at.report("step_without_verb", meant=closest(next(iter(step), ""), VERBS))
            continue
        key = step_key(step, verb)
        if key in seen:
            at.report("step_key_twice", key=key, first=seen[key] + 1)
        seen.setdefault(key, number)
        if "key" in step and (code := key_problem(step["key"])):
            (at / "key").report(code, key=step["key"])
        _words(at, step, verb)
        at.findings.expression(at / "if", step.get("if"), frame.place("boolean"))
        frame = _STEPS[verb](at, step, frame, depth)
    return frame


def _words(spot: Spot, step: Mapping[str, Any], verb: str) -> None:
    allowed = (verb, *ALWAYS, *VERBS[verb])
    for word in step:
        if word not in allowed:
            spot_of = spot / word
            if word in VERBS and word != "if":
                spot_of.report("step_two_verbs", first=verb, second=word)
            else:
                spot_of.report("step_word", word=word, verb=verb, meant=closest(word, allowed))
    for word in _NEEDS.get(verb, ()):
        if word not in step:
            spot.report("step_missing", word=word, verb=verb)


def _named(spot: Spot, name: str, frame: Frame) -> bool:
    """Whether a step may give this name: no keyword, no space, no field of the record."""
    if code := name_problem(name):
        spot.report(code, key=name[:80], proposal=f"{name}_" if code in ("key_python", "key_name_space") else "")
        return False
    if frame.entity and name in spot.findings.field_names(frame.entity):
        spot.report("name_hides_field", name=name, entity=frame.entity)
        return False
    return True


def _record_named(spot: Spot, name: str, frame: Frame) -> str | None:
    """The entity of a carried record, '' when not known, None when there is no such name."""
    head = name.split(".")[0]
    if head in frame.spaces or head in frame.names:
        given = frame.names.get(name, "") if head in frame.names else ""
        return given if given in spot.findings.names("entity") else ""
    if frame.entity and head in spot.findings.field_names(frame.entity):
        field = spot.findings.field(frame.entity, head)
        return spot.findings.target(field) if field is not None and head == name else ""
    spot.report("unknown_name", name=name[:80], meant=closest(head, [*frame.names, *frame.spaces]))
    return None


def _values(spot: Spot, values: Mapping[str, Any], entity: str, frame: Frame) -> None:
    """FIELD: value; strings are expressions over the rule's own record."""
    for name, value in values.items():
        field: Field | None = spot.findings.own_field(spot / name, entity, name) if entity else None
        if field is not None and field.type in ("lookup", "formula", "rollup"):
            (spot / name).report("derived_written", name=name, type=field.type)
        spot.findings.expression(spot / name, value, frame.place(notation(field.body or {"type": field.type}) if field is not None else ""))


def _writable(spot: Spot, entity: str) -> bool:
    """Whether records of an entity may be made and changed by rules."""
    if not spot.findings.refer(spot, "entity", entity):
        return False
    if entity in ENGINE_ENTITIES and entity not in WIDENED_ENTITIES:
        spot.report("entity_of_engine", name=entity)
        return False
    return True


def _set(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings = spot.findings
    entity: str | None = frame.entity
    if "in" in step:
        entity = step["in"] if _writable(spot / "in", step["in"]) else None
        findings.expression(spot / "where", step.get("where"), frame.rows(step["in"], "boolean"))
        if "where" not in step:
            spot.report("step_missing", word="where", verb="set in")
    elif "where" in step:
        (spot / "where").report("step_word", word="where", verb="set", meant="if")
    if "on" in step:
        entity = _record_named(spot / "on", step["on"], frame)
    if entity is None:
        return frame
    if not entity and "on" not in step:
        spot.report("set_without_record")
        return frame
    findings.expression(spot / "expect", step.get("expect"), frame.rows(entity, "boolean"))
    if "expect" in step and "refuse" not in step:
        spot.report("step_missing", word="refuse", verb="expect")
    _values(spot / "set", step["set"], entity, frame)
    findings.template(spot / "message", step.get("message"), frame.place())
    return frame


def _let(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings = spot.findings
    for name, value in step["let"].items():
        findings.expression(spot / "let" / name, value, frame.place())
        if _named(spot / "let" / name, name, frame):
            kind = findings.vocabulary.kind_of(findings.bundle, frame.place(), value) if isinstance(value, str) else ""
            frame = frame.naming(name, kind, table_columns(spot, value))
    return frame


def _find(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    entity = find(spot, step, frame)
    if "as" not in step:
        spot.report("step_missing", word="as", verb="find")
    elif _named(spot / "as", step["as"], frame):
        frame = frame.naming(step["as"], found_type(spot, step, entity, frame), found_columns(step, frame))
    return frame


def _lock(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    if isinstance(step["lock"], str):
        spot.findings.expression(spot / "lock", step["lock"], frame.place())
    else:
        for number, part in numbered(step["lock"]):
            spot.findings.expression(spot / "lock" / number, part, frame.place())
    return frame


def _decide(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings, key, inputs = spot.findings, step["decide"], _NONE
    if findings.refer(spot / "decide", "decision", key) and key in findings.bundle.decisions:
        inputs = findings.bundle.decisions[key].body["inputs"]
        for name in step.get("with", {}):
            findings.among(spot / "with" / name, "input", name, inputs)
        for name in inputs.keys() - step.get("with", {}).keys():
            (spot / "with").report("input_missing", severity="warning", name=name, decision=key)
    _given(spot / "with", step.get("with", {}), frame, inputs)
    return _result(spot, step, frame)


def _given(spot: Spot, values: Mapping[str, Any], frame: Frame, wanted: Mapping[str, Any] = _NONE) -> None:
    """NAME: expression, of the type its name wants where that is known."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _given(spot / name, value, frame)
        elif isinstance(value, list):
            _given_list(spot / name, value, frame)
        else:
            document = wanted.get(name)
            wants = notation({"type": document} if isinstance(document, str) else document or {})
            spot.findings.expression(spot / name, value, frame.place(wants))


def _given_list(spot: Spot, items: Sequence[Any], frame: Frame) -> None:
    for number, item in numbered(items):
        if isinstance(item, Mapping):
            _given(spot / number, item, frame)
        elif isinstance(item, list):
            _given_list(spot / number, item, frame)
        else:
            spot.findings.expression(spot / number, item, frame.place())


def _result(spot: Spot, step: Mapping[str, Any], frame: Frame, entity: str = "", columns: frozenset[str] = frozenset()) -> Frame:
    if "as" in step and _named(spot / "as", step["as"], frame):
        return frame.naming(step["as"], entity, columns)
    return frame


def _create(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings, entity = spot.findings, step["create"]
    good = _writable(spot / "create", entity)
    _values(spot / "values", step.get("values", {}), entity if good else "", frame)
    owner = findings.bundle.entities.get(entity)
    if owner is not None:
        if "once" in step:
            keys = {*owner.unique, *(field.key for field in owner.fields.values() if field.unique)}
            findings.among(spot / "once", "unique", step["once"], keys)
        for field in owner.fields.values():
            if field.required is True and field.default is None and field.key not in step.get("values", {}) and not field.retired:
                (spot / "values").report("create_misses_required", severity="warning", name=field.key, entity=entity)
    return _result(spot, step, frame, entity if good else "")


def _delete(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    _record_named(spot / "delete", step["delete"], frame)
    return frame


def _each(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    each, entity = step["each"], ""
    if isinstance(each, Mapping):
        entity = find(spot / "each", each, frame)
    else:
        spot.findings.expression(spot / "each", each, frame.place())
        entity = frame.names.get(each, "").removeprefix("rows:") if frame.names.get(each, "").startswith("rows:") else ""
    inner = frame
    if "as" not in step:
        spot.report("step_missing", word="as", verb="each")
    elif _named(spot / "as", step["as"], frame):
        inner = frame.naming(step["as"], entity)
    steps(spot / "then", step.get("then", ()), inner, depth + 1)
    steps(spot / "done", step.get("done", ()), frame.opening("tally"), depth + 1)
    return frame


def _if(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    names = dict(frame.names)
    for word in ("then", "else"):
        names.update(steps(spot / word, step.get(word, ()), frame, depth + 1).names)
    return replace(frame, names=names)


def _do(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings, action, given = spot.findings, step["do"], step.get("with", {})
    if "on" in step:
        _record_named(spot / "on", step["on"], frame)
    word = findings.vocabulary.actions.get(action)
    if word is not None:
        Call(word, given, frame.place, frame.names, lambda at, values, entity: _values(at, values, entity, frame)).check(spot / "with")
        return _result(spot, step, frame, result_type(word), result_columns(word))
    known: dict[str, Mapping[str, Any]] = {}
    for document in (rule.body for rule in findings.bundle.rules.values()):
        if "action" in document["on"]:
            known.setdefault(document["on"]["action"], document["on"].get("with", {}))
    params = known.get(action)
    if findings.among(spot / "do", "action", action, {*known, *findings.vocabulary.actions}) and params is not None:
        owner = action.rpartition(".")[0]
        for name in given:
            findings.among(spot / "with" / name, "param", name, {*params, *([owner] if owner else []), "record"})
        for name, param in params.items():
            if param.get("required") is True and "default" not in param and name not in given:
                spot.report("param_missing", name=name, action=action)
    _given(spot / "with", given, frame, params or _NONE)
    return _result(spot, step, frame)


def _ask(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings = spot.findings
    for word, wants in (("needed", "boolean"), ("who", ""), ("not", "")):
        findings.expression(spot / word, step.get(word), frame.place(wants))
    if "about" in step:
        _record_named(spot / "about", step["about"], frame)
    _span(spot / "within", step.get("within"), frame)
    if "escalate" in step:
        findings.expression(spot / "escalate" / "to", step["escalate"]["to"], frame.place())
        _span(spot / "escalate" / "after", step["escalate"].get("after"), frame)
        if "within" not in step and "after" not in step["escalate"]:
            (spot / "escalate").report("step_missing", word="after", verb="escalate")
    parameters(spot / "fields", step.get("fields", {}), frame.entity)
    inner = (frame if step.get("as") == "answer" else _result(spot, step, frame)).opening("me", "answer")
    for word in ("approved", "refused", "expired", "withdrawn", "finally"):
        steps(spot / word, step.get(word, ()), inner, depth + 1)
    findings.template(spot / "message", step.get("message"), frame.place())
    return frame


def _span(spot: Spot, text: str | None, frame: Frame) -> None:
    """A duration, or an expression that gives one: no name begins with a capital, so that the two cannot be taken for each other."""
    if text is not None and not text.lstrip("-").startswith("P"):
        spot.findings.expression(spot, text, frame.place("duration"))


def calendar(spot: Spot, name: str) -> None:
    """A setting of type calendar."""
    findings = spot.findings
    calendars = {key for key, setting in findings.bundle.settings.values.items() if setting.type == "calendar"}
    if ("settings", "settings") not in findings.whole.unread:
        findings.among(spot, "calendar", name, calendars | findings.broken)


def _notify(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    findings = spot.findings
    findings.expression(spot / "notify", step["notify"], frame.place())
    findings.template(spot / "message", step.get("message"), frame.place())
    if "message" not in step and "template" not in step:
        spot.report("step_missing", word="message", verb="notify")
    if "hours" in step:
        calendar(spot / "hours", step["hours"])
    return frame


def _refuse(spot: Spot, step: Mapping[str, Any], frame: Frame, depth: int) -> Frame:
    if code := key_problem(step["refuse"].lower()):
        (spot / "refuse").report(code, key=step["refuse"])
    if "at" in step and frame.entity and step["at"] not in frame.params:
        spot.findings.own_field(spot / "at", frame.entity, step["at"])
    spot.findings.template(spot / "message", step.get("message"), frame.place())
    return frame


_STEPS = {
    "set": _set,
    "ask": _ask,
    "let": _let,
    "find": _find,
    "lock": _lock,
    "decide": _decide,
    "create": _create,
    "delete": _delete,
    "each": _each,
    "do": _do,
    "notify": _notify,
    "refuse": _refuse,
    "if": _if,
}
