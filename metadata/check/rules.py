"""Rules: exactly one trigger that exists, its parameters, and where its steps begin. The steps are metadata/check/steps.py's business."""

import re
from collections.abc import Mapping
from typing import Any

from metadata.check.entities import module
from metadata.check.fields import parameters
from metadata.check.findings import Findings, Spot, own_documents
from metadata.check.frame import Frame
from metadata.check.steps import calendar, steps
from metadata.definitions import ENGINE_ENTITIES
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import closest, key_problem

_TRIGGERS = ("before", "after", "later", "due", "cron", "action", "intake", "event")
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "before": ("entity", "fields", "from", "to", "actions", "where", "imports"),
    "after": ("entity", "fields", "from", "to", "actions", "where", "imports"),
    "later": ("entity", "fields", "from", "to", "where", "imports"),
    "due": ("shift", "repeat", "calendar", "where"),
    "cron": ("for_each", "where", "calendar"),
    "action": ("entity", "with", "sure"),
    "intake": ("with",),
    "event": ("with",),
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, _WEEK))
_CRON_PART = re.compile(r"(\*|[0-9A-Z]{1,3})(?:-([0-9A-Z]{1,3}))?(?:/([0-9]{1,3}))?")


def rules(findings: Findings) -> None:
    """Every rule."""
    taken: dict[str, str] = {}
    for key, document in own_documents(findings, "rule"):
        spot, trigger = findings.spot("rule", key), document["on"]
        given = [word for word in _TRIGGERS if word in trigger]
        if len(given) != 1:
            (spot / "on").report("trigger_one", given=", ".join(given))
            continue
        entity = _trigger(spot / "on", given[0], trigger, taken, key)
        if "module" in document:
            module(spot / "module", document["module"])
        params = parameters(spot / "on" / "with", trigger.get("with", {}), entity)
        names = {"record": entity, "old": entity} if entity else {}
        spaces = {"record", "old", "param", "lines", "run", "tally", "me"} if entity else {"param", "run", "tally", "me"}
        if given[0] in ("due", "cron"):
            spaces.discard("me")
        place = ExpressionPlace(entity or None, "boolean", frozenset(spaces), params, names, sql=given[0] == "due")
        findings.expression(spot / "if", document.get("if"), place)
        frame = Frame(entity, frozenset(spaces), params, names)
        findings.expression(spot / "as_of", document.get("as_of"), frame.place("instant"))
        after = steps(spot / "then", document["then"], frame)
        findings.expression(spot / "give", document.get("give"), after.place())


def _trigger(spot: Spot, verb: str, trigger: Mapping[str, Any], taken: dict[str, str], rule: str) -> str:
    """Check a trigger's words; the entity whose record the rule is about, '' when there is none."""
    findings = spot.findings
    if "calendar" in trigger:
        calendar(spot / "calendar", trigger["calendar"])
    for word in trigger:
        if word not in (verb, "note", *_ALLOWED[verb]):
            (spot / word).report("trigger_word", word=word, trigger=verb, meant=closest(word, _ALLOWED[verb]))
    if verb in ("before", "after", "later"):
        return _write_trigger(spot, verb, trigger)
    if verb == "due":
        return _due(spot / "due", trigger["due"])
    if verb == "cron":
        if not cron_fits(trigger["cron"]):
            (spot / "cron").report("cron_wrong", value=trigger["cron"][:60])
        entity = str(trigger.get("for_each", ""))
        if entity:
            findings.refer(spot / "for_each", "entity", entity)
        findings.expression(spot / "where", trigger.get("where"), ExpressionPlace(entity or None, "boolean", frozenset(), sql=True))
        return entity
    return _action(spot, trigger, taken, rule) if verb == "action" else ""


def _write_trigger(spot: Spot, verb: str, trigger: Mapping[str, Any]) -> str:
    findings, entity = spot.findings, str(trigger.get("entity", ""))
    if trigger[verb] == "action":
        if "actions" not in trigger:
            spot.report("trigger_missing", word="actions", trigger=f"{verb} action")
        owners = {str(action).rpartition(".")[0] for _, action in numbered(trigger.get("actions", ()))}
        entity = entity or (owners.pop() if len(owners) == 1 else "")
    elif not entity:
        spot.report("trigger_missing", word="entity", trigger=verb)
    if not entity or not findings.refer(spot / ("entity" if "entity" in trigger else "actions"), "entity", entity):
        return entity
    if entity in ENGINE_ENTITIES and entity not in findings.bundle.entities:
        (spot / "entity").report("entity_of_engine", name=entity)
    for number, name in numbered(trigger.get("fields", ())):
        findings.own_field(spot / "fields" / number, entity, name)
    _stage_codes(spot, verb, trigger, entity)
    findings.expression(spot / "where", trigger.get("where"), ExpressionPlace(entity, "boolean", frozenset({"old"}), names={"old": entity}))
    return entity


def _stage_codes(spot: Spot, verb: str, trigger: Mapping[str, Any], entity: str) -> None:
    """``from`` and ``to`` belong to stage triggers of an entity with stages, and name its stages."""
    if trigger[verb] != "stage":
        for word in ("from", "to"):
            if word in trigger:
                (spot / word).report("trigger_word", word=word, trigger=f"{verb} {trigger[verb]}", meant="")
        return
    owner = spot.findings.bundle.entities.get(entity)
    if owner is None:
        return
    if owner.stages is None:
        (spot / verb).report("stages_missing", entity=entity)
        return
    field = spot.findings.field(entity, owner.stages.field)
    codes = spot.findings.codes(str(field.options.get("choices"))) if field else None
    for word in ("from", "to"):
        for code in _list(trigger.get(word, ())):
            if codes is not None and field is not None and code not in codes:
                (spot / word).report("unknown_option_code", name=code, choices=str(field.options.get("choices")), meant=closest(code, sorted(codes)))


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _due(spot: Spot, due: Any) -> str:
    """ENTITY.FIELD, all of one entity, each an instant or a date."""
    findings, owners = spot.findings, dict[str, str]()
    for number, path in numbered(due) if isinstance(due, list) else [(-1, due)]:
        at = spot if number < 0 else spot / number
        entity, dot, name = path.partition(".")
        if not dot or "." in name:
            at.report("due_form", value=path[:80])
        elif findings.refer(at, "entity", owners.setdefault(entity, entity)):
            field = findings.own_field(at, entity, name)
            carried = findings.carried(entity, field) if field else None
            if carried is not None and carried.type not in ("instant", "date"):
                at.report("field_of_type", name=name, type=carried.type, wants="instant / date")
    if len(owners) > 1:
        spot.report("due_one_entity", entities=", ".join(owners))
    return next(iter(owners), "")


def _action(spot: Spot, trigger: Mapping[str, Any], taken: dict[str, str], rule: str) -> str:
    """The name of an action is its entity and a key, or a key alone; no two rules may have the same."""
    findings, action = spot.findings, trigger["action"]
    owner, _, name = action.rpartition(".")
    entity = str(trigger.get("entity", owner))
    if code := key_problem(name):
        (spot / "action").report(code, key=name)
    if action in findings.vocabulary.actions:
        (spot / "action").report("action_of_engine", name=action)
    elif action in taken:
        (spot / "action").report("action_twice", name=action, first=taken[action])
    taken.setdefault(action, rule)
    if entity:
        findings.refer(spot / ("entity" if "entity" in trigger else "action"), "entity", entity)
    return entity


def cron_fits(text: str) -> bool:
    """Whether a text is five cron fields: lists of *, numbers, names, ranges and steps within bounds."""
    fields = text.upper().split()
    return len(fields) == len(_CRON) and all(all(_cron_part(part, *bounds) for part in field.split(",")) for field, bounds in zip(fields, _CRON, strict=True))


def _cron_part(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    match = _CRON_PART.fullmatch(part)
    if match is None:
        return False
    first, last, step = match.groups()
    if step is not None and int(step) == 0:
        return False
    numbers = [_cron_number(word, names) for word in (first, last) if word not in (None, "*")]
    return all(number is not None and low <= number <= high for number in numbers) and (
        len(numbers) < 2 or (first != "*" and (numbers[0] or 0) <= (numbers[1] or 0))
    )


def _cron_number(word: str, names: tuple[str, ...]) -> int | None:
    if word in names:
        return names.index(word) + (1 if names is _MONTHS else 0)
    return int(word) if word.isascii() and word.isdigit() else None
