"""The thirteen verbs: each turns a step into effects, receives their results and gives names to them. Writes nothing and knows no database."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from engine.errors import Conflict
from engine.expressions.language import Expression
from engine.fields.base import Value
from engine.fields.durations import parse_duration
from engine.rules.book import Step, Term
from engine.rules.effects import Apart, Ask, CreateRecord, DeleteRecord, Effect, Find, Given, Handle, Lock, Notify, Refuse, RunAction, SetValues
from engine.rules.frame import Frame
from engine.rules.origins import sources_of
from metadata.text import Label

Effects = Generator[Effect, Any, None]

#: Most items of an ``each`` inside one transaction, and most records a ``set`` ``in`` may change.
MOST_ITEMS = 1000


def run_steps(frame: Frame, steps: Sequence[Step]) -> Effects:
    """Steps in order; one whose ``if`` does not hold is passed over and its name is empty."""
    for step in steps:
        if step.verb != "if" and not frame.holds(step.condition):
            frame.trace.note(step, did="skipped", why="if")
            _name(frame, step, None)
            continue
        yield from _VERBS[step.verb](frame, step)


def _name(frame: Frame, step: Step, value: Value) -> None:
    name = step.body.get("as")
    if isinstance(name, str):
        frame.spaces[name] = value


def _given(frame: Frame, terms: Mapping[str, Term]) -> dict[str, Value]:
    """Values of fields: expressions give typed values, constants stand as written in JSON."""
    return {name: frame.value(term) if isinstance(term, Expression) else Given(term) for name, term in terms.items()}


def _let(frame: Frame, step: Step) -> Effects:
    for name, term in step.under("let").items():
        frame.spaces[name] = frame.carry(term)
        if is_sealed(term):
            frame.sealed.add(name)
    frame.trace.note(step, did="let", values={name: frame.spaces[name] for name in step.under("let") if name not in frame.sealed})
    return
    yield


def _set(frame: Frame, step: Step) -> Effects:
    body, values = step.body, _given(frame, step.under("set"))
    targets: Sequence[Handle | None]
    if "in" in body:
        targets = yield Find(body["in"], _expression(step, "where"), take=MOST_ITEMS + 1, spaces=dict(frame.spaces), hold=True)
        _bounded(frame, step, len(targets))
    else:
        targets = [frame.of(body.get("on", "record"))]
    written = [target for target in targets if target is not None]
    expect = _expression(step, "expect")
    for target in written:
        message = frame.eyes.text(frame, step.message) if step.message is not None and expect is not None else ""
        yield SetValues(target, values, expect, str(body.get("refuse", "")), message, dict(frame.spaces))
    frame.trace.note(
        step,
        did="set" if written else "skipped",
        records=written,
        values=_shown(frame, step, body.get("in") or (written[0].entity if written else ""), values),
        **({} if written else {"why": "no_record"}),
    )


def _shown(frame: Frame, step: Step, entity: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """What a trace may keep of written values: nothing that is kept encrypted where it lies, or came from there."""
    hidden, terms = frame.eyes.encrypted(entity), step.under("set")
    return {name: value.value if isinstance(value, Given) else value for name, value in values.items() if name not in hidden and not is_sealed(terms.get(name))}


def is_sealed(term: Term) -> bool:
    """Whether a term gives what is kept encrypted."""
    return isinstance(term, Expression) and bool(term.type.sealed)


def _bounded(frame: Frame, step: Step, count: int) -> None:
    if count > MOST_ITEMS:
        raise Conflict("rule_too_many", rule=frame.rule.title or frame.rule.key, step=step.key, limit=MOST_ITEMS)


def _expression(step: Step, place: str) -> Expression | None:
    found = step.terms.get(place)
    return found if isinstance(found, Expression) else None


def _find(frame: Frame, step: Step) -> Effects:
    source = step.body["find"]
    if source in frame.spaces:
        found = _in_list(frame, step, frame.spaces[source])
    else:
        found = yield _finding(frame, step, step.body, "")
    _name(frame, step, found)
    closed = {name for name, term in step.under("show").items() if is_sealed(term)}
    shown = [{name: value for name, value in row.items() if name not in closed} for row in found] if closed and isinstance(found, list) else found
    frame.trace.note(step, did="found", found=None if closed and not isinstance(found, list) else shown)


def _finding(frame: Frame, step: Step, body: Mapping[str, Any], prefix: str) -> Find:
    """The words of a find, of a step or of an ``each``."""
    sort: list[tuple[Expression | str, bool]] = []
    for number, text in enumerate(body.get("sort", ())):
        term = step.terms.get(f"{prefix}sort/{number}")
        sort.append((term if isinstance(term, Expression) else text.removeprefix("-"), text.startswith("-")))
    take = body.get("take", "one")
    if isinstance(take, Mapping):
        ((measure, text),) = take.items()
        term = step.terms.get(f"{prefix}take/{measure}")
        take = (measure, term if isinstance(term, Expression) else text)
    show = {name: term for name, term in step.under(f"{prefix}show").items() if isinstance(term, Expression)}
    where = _expression(step, f"{prefix}where")
    return Find(body["find"], where, tuple(sort), take, show, dict(frame.spaces), str(body.get("scope", "")))


def _in_list(frame: Frame, step: Step, items: Value) -> Value:
    """A find in a list made earlier: its rows are looked at one by one."""
    rows = [item for item in items or () if isinstance(item, Mapping)]
    where = _expression(step, "where")
    if where is not None:
        rows = [row for row in rows if _of_row(frame, where, row)]
    for number, text in reversed(list(enumerate(step.body.get("sort", ())))):
        keyed = [(_sort_value(frame, step, number, text, row), row) for row in rows]
        filled = sorted((pair for pair in keyed if pair[0] is not None), key=itemgetter(0), reverse=text.startswith("-"))
        rows = [row for _, row in filled] + [row for key, row in keyed if key is None]
    show = step.under("show")
    if show:
        rows = [{name: _of_row(frame, term, row) if isinstance(term, Expression) else term for name, term in show.items()} for row in rows]
    take = step.body.get("take", "one")
    if take == "count":
        return len(rows)
    if take in ("one", 1):
        return rows[0] if rows else None
    return rows[:take] if isinstance(take, int) else rows


def _sort_value(frame: Frame, step: Step, number: int, text: str, row: Mapping[str, Value]) -> Value:
    term = _expression(step, f"sort/{number}")
    return row.get(text.removeprefix("-")) if term is None else _of_row(frame, term, row)


def _of_row(frame: Frame, term: Expression, row: Mapping[str, Value]) -> Value:
    """A value over one item of a list: the fields of a record, or the columns of a row, which stand before names carried so far."""
    return frame.eyes.value(frame, term, frame.spaces if isinstance(row, Handle) else {**frame.spaces, **row}, row)


def _lock(frame: Frame, step: Step) -> Effects:
    if isinstance(step.body["lock"], list):
        names = [frame.value(term) for term in step.under("lock").values()]
    else:
        names = [frame.value(step.terms["lock"])]
    yield Lock(tuple(name.id if isinstance(name, Handle) else name for name in names))
    frame.trace.note(step, did="locked")


def _decide(frame: Frame, step: Step) -> Effects:
    table = frame.eyes.decision(step.body["decide"])
    given = {name: frame.value(term) for name, term in step.under("with").items()}
    result = table.decide(given, lambda term, inputs: frame.eyes.value(frame, term, {"param": inputs, **inputs}, {}) if isinstance(term, Expression) else term)
    _name(frame, step, result)
    inputs = {name: given[name] for name, term in step.under("with").items() if not is_sealed(term)}
    frame.trace.note(step, did="decided", row=result["key"], inputs=inputs, outputs={name: result[name] for name in table.outputs})
    return
    yield


def _create(frame: Frame, step: Step) -> Effects:
    values = _given(frame, step.under("values"))
    made = yield CreateRecord(step.body["create"], values, str(step.body.get("once", "")))
    _name(frame, step, made)
    frame.trace.note(step, did="created", record=made)


def _delete(frame: Frame, step: Step) -> Effects:
    target = frame.of(step.body["delete"])
    if target is not None:
        yield DeleteRecord(target)
    frame.trace.note(step, did="deleted" if target is not None else "skipped", record=target)


def _each(frame: Frame, step: Step) -> Effects:
    each = step.body["each"]
    if isinstance(each, Mapping):
        finding = _finding(frame, step, each, "each/")
        if "take" not in each:
            finding = Find(finding.entity, finding.where, finding.sort, MOST_ITEMS + 1, finding.show, finding.spaces, finding.scope)
        items = yield finding
    else:
        items = frame.value(step.terms["each"])
    items = [] if items is None else items if isinstance(items, list) else [items]
    if step.body.get("apart"):
        job = yield Apart(step.path, items, frame.carried())
        frame.trace.note(step, did="apart", items=len(items), job=job)
        return
    _bounded(frame, step, len(items))
    for item in items:
        _name(frame, step, item)
        yield from run_steps(frame, step.branches.get("then", ()))
    _name(frame, step, None)
    frame.trace.note(step, did="each", items=len(items))
    frame.spaces["tally"] = {"done": len(items), "refused": 0, "failed": 0}
    yield from run_steps(frame, step.branches.get("done", ()))


def _if(frame: Frame, step: Step) -> Effects:
    branch = "then" if frame.holds(step.condition) else "else"
    frame.trace.note(step, did=branch)
    yield from run_steps(frame, step.branches.get(branch, ()))


def _do(frame: Frame, step: Step) -> Effects:
    name = step.body["do"]
    params = _nested(frame, step.body.get("with", {}), step.terms, "with")
    owner = name.rpartition(".")[0]
    target = frame.of(step.body["on"]) if "on" in step.body else None
    for word in (owner, "record"):
        if target is None and isinstance(params.get(word), Handle):
            target = params.pop(word)
    if target is None and not ({owner, "record"} & params.keys()) and "on" not in step.body and frame.record is not None and frame.record.entity == owner:
        target = frame.record
    result = yield RunAction(name, params, target)
    _name(frame, step, result)
    frame.trace.note(step, did="done", record=target, result=result)


def _nested(frame: Frame, value: Any, terms: Mapping[str, Term], place: str) -> Any:
    """Parameters as written, every expression in them by its value."""
    if isinstance(value, Mapping):
        return {name: _nested(frame, item, terms, f"{place}/{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [_nested(frame, item, terms, f"{place}/{number}") for number, item in enumerate(value)]
    return frame.carry(terms[place]) if place in terms else value


def _ask(frame: Frame, step: Step) -> Effects:
    body = step.body
    if "needed" in body and not frame.holds(step.terms["needed"]):
        frame.trace.note(step, did="approved", why="not_needed")
        answer = {"by": None, "opinion": None, "at": None}
        frame.spaces["answer"] = answer
        _name(frame, step, answer)
        for word in ("approved", "finally"):
            yield from run_steps(frame, step.branches.get(word, ()))
        return
    escalate = body.get("escalate", {})
    text, shown, sources = _said(frame, step)
    made = yield Ask(
        str(body["ask"]),
        step.path,
        people_in(frame.value(step.terms["who"])),
        people_in(frame.value(step.terms["not"])) if "not" in step.terms else (),
        body.get("need", "any"),
        frame.of(body["about"]) if "about" in body else frame.record,
        body.get("opinion", "optional"),
        body.get("fields", {}),
        _seconds(frame, step, "within", body.get("within")),
        _seconds(frame, step, "escalate/after", escalate.get("after")),
        people_in(frame.value(step.terms["escalate/to"])) if "escalate/to" in step.terms else (),
        text,
        shown,
        frame.carried(),
        sources,
    )
    _name(frame, step, made)
    frame.trace.note(step, did="asked", ask=made)


def _notify(frame: Frame, step: Step) -> Effects:
    body = step.body
    people = people_in(frame.value(step.terms["notify"]))
    text, shown, sources = _said(frame, step)
    channel, template, hours = str(body.get("channel", "screen")), str(body.get("template", "")), str(body.get("hours", ""))
    told = yield Notify(people, text, shown, channel, template, hours, frame.record, sources)
    frame.trace.note(step, did="notified", people=people, told=told)


def _said(frame: Frame, step: Step) -> tuple[Label, dict[str, Value], Mapping[str, Handle]]:
    """A step's message for each reader's own eyes: the template, the values of its placeholders, the records they are of."""
    if step.message is None:
        return "", {}, {}
    expressions = step.message.expressions()
    return step.message.label, {text: frame.value(one) for text, one in expressions.items()}, sources_of(expressions.values(), frame.spaces)


def people_in(value: Value) -> list[int]:
    """Ids of people given as one, as several, or as records; each once, in order."""
    items = value if isinstance(value, list | tuple) and not hasattr(value, "label") else [value]
    ids = [item.get("id") if isinstance(item, Mapping) else getattr(item, "id", item) for item in items]
    return list(dict.fromkeys(one for one in ids if isinstance(one, int) and one > 0))


def _seconds(frame: Frame, step: Step, word: str, text: Any) -> int | None:
    """A span of time as it is written, or as its expression gives it; None for none."""
    if word in step.terms:
        value = frame.value(step.terms[word])
        return value if isinstance(value, int) else None
    return parse_duration(text) if isinstance(text, str) else None


def _refuse(frame: Frame, step: Step) -> Effects:
    body = step.body
    message = frame.eyes.text(frame, step.message) if step.message is not None else ""
    frame.trace.note(step, did="refused", code=body["refuse"])
    yield Refuse(body["refuse"], message, str(body.get("at", "")), bool(body.get("soft", False)))
    frame.trace.note(step, did="confirmed", code=body["refuse"])


_VERBS: Mapping[str, Callable[[Frame, Step], Effects]] = {
    "let": _let,
    "find": _find,
    "lock": _lock,
    "decide": _decide,
    "set": _set,
    "refuse": _refuse,
    "create": _create,
    "delete": _delete,
    "each": _each,
    "if": _if,
    "do": _do,
    "ask": _ask,
    "notify": _notify,
}
