"""Fields of entities, of settings and of parameters: their types, the options of each type, and what they refer to."""

from collections.abc import Mapping
from typing import Any

import re2  # type: ignore[import-untyped]

from metadata.check.findings import LINK_TYPES, TARGETS, Findings, Spot, notation, own_documents
from metadata.definitions import RESERVED_FIELDS, WIDENED_ENTITIES
from metadata.schemas import SHARED, schema_document
from metadata.shape import option_problems
from metadata.vocabulary import ExpressionPlace
from metadata.words import closest, name_problem

KNOWN_WORDS = frozenset(schema_document(SHARED)["$defs"]["field_definition"]["properties"])
_NEVER_UNIQUE = ("links", "people", "choices", "tags", "files", "file", "image", "json", "rich_text", "long_text")
_DERIVED = ("lookup", "formula", "rollup")
_NOT_ENCRYPTED = ("link", "links", "person", "people", "team", "choice", "choices", "tags", "file", "files", "image", "serial", "boolean", "lookup", "rollup")
_MEASURES = ("count", "sum", "min", "max", "average", "earliest", "latest")
_MAX_PATTERN = 500


def type_and_options(spot: Spot, field: Mapping[str, Any], also: frozenset[str] = KNOWN_WORDS) -> bool:
    """Whether type, options and pattern of a field document are right; ``also``: words that are no options. False: it cannot be relied on."""
    findings = spot.findings
    word = findings.vocabulary.field_types.get(field["type"])
    if word is None:
        return findings.among(spot / "type", "field_type", field["type"], findings.vocabulary.field_types)
    before = len(findings.problems)
    options = {name: value for name, value in field.items() if name not in also}
    for name in options.keys() - word.options.keys():
        (spot / name).report("unknown_option", word=name[:80], type=word.name, meant=closest(name, sorted({*word.options, *also})))
    for name in word.required_options:
        if name not in options:
            spot.report("option_missing", word=name, type=word.name)
    for problem in option_problems(word.options, {name: value for name, value in options.items() if name in word.options}):
        below(spot, problem.pointer).relay(problem)
    pattern_fault(spot / "pattern", options.get("pattern"))
    return len(findings.problems) == before


def below(spot: Spot, at: str) -> Spot:
    """The spot a JSON pointer further down."""
    for token in at.split("/")[1:]:
        spot = spot / token.replace("~1", "/").replace("~0", "~")
    return spot


def pattern_fault(spot: Spot, pattern: object) -> None:
    """A regular expression must be one of the linear engine: no back-references, no look-around."""
    if not isinstance(pattern, str):
        return
    if len(pattern) > _MAX_PATTERN:
        spot.report("pattern_wrong", reason=f"> {_MAX_PATTERN}")
        return
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        spot.report("pattern_wrong", reason=reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason))


def entity_fields(findings: Findings) -> set[tuple[str, str]]:
    """Keys, types and options of all entities' own fields; the fields that cannot be relied on."""
    bad: set[tuple[str, str]] = set()
    for entity, document in own_documents(findings, "entity"):
        base = findings.whole.base.get(("entity", entity), {}).get("fields", {})
        for key, field in document.get("fields", {}).items():
            spot = findings.spot("entity", entity) / "fields" / key
            good = _key(spot, key, base)
            good = type_and_options(spot, field) and good
            good = _together(spot, field) and good
            if not good:
                bad.add((entity, key))
    return bad


def _key(spot: Spot, key: str, base: Mapping[str, Any]) -> bool:
    """Whether a field may have this key."""
    code = name_problem(key)
    if key in RESERVED_FIELDS:
        code = "key_reserved_field"
    elif key in base:
        code = "field_of_engine"
    if code:
        spot.report(code, key=key[:80], proposal=f"{key}_" if code in ("key_python", "key_name_space") else "")
        return False
    if key.endswith("_id") and len(key) > len("_id"):
        spot.report("key_id_suffix", severity="warning", key=key, proposal=key.removesuffix("_id"))
    return True


def _together(spot: Spot, field: Mapping[str, Any]) -> bool:
    """Words that exclude each other."""
    kind, before = field["type"], len(spot.findings.problems)
    if field.get("unique") is True and kind in (*_NEVER_UNIQUE, *_DERIVED):
        (spot / "unique").report("unique_impossible", type=kind)
    if field.get("encrypted") is True and kind in _NOT_ENCRYPTED:
        (spot / "encrypted").report("encrypted_impossible", type=kind)
    if kind in _DERIVED:
        for word in ("required", "default", "once", "read_only"):
            if field.get(word) not in (None, False):
                (spot / word).report("derived_word", word=word, type=kind)
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        first, last = field.get(low), field.get(high)
        if _crossed(first, last):
            (spot / low).report("bounds_crossed", low=low, high=high)
    return len(spot.findings.problems) == before


def _crossed(first: object, last: object) -> bool:
    if isinstance(first, int | float) and isinstance(last, int | float):
        return first > last
    return isinstance(first, str) and isinstance(last, str) and first > last


def entity_references(findings: Findings) -> set[tuple[str, str]]:
    """What own fields refer to: option sets, entities, other fields. The fields whose reference leads nowhere."""
    bad: set[tuple[str, str]] = set()
    for entity, document in own_documents(findings, "entity"):
        for key, field in document.get("fields", {}).items():
            if not references(findings.spot("entity", entity) / "fields" / key, field, entity):
                bad.add((entity, key))
    return bad


def references(spot: Spot, field: Mapping[str, Any], entity: str = "") -> bool:
    """Whether what a field document refers to exists; also of parameters and settings (no ``entity``)."""
    findings, kind = spot.findings, field["type"]
    good = True
    if isinstance(field.get("choices"), str):
        good = findings.refer(spot / "choices", "choices", field["choices"]) and field["choices"] in findings.bundle.choices
    if isinstance(field.get("to"), str) and kind in ("link", "links"):
        good = findings.refer(spot / "to", "entity", field["to"]) and _linkable(spot / "to", field["to"]) and good
    if isinstance(field.get("beside"), str):
        target = TARGETS.get(kind, str(field.get("to", "")))
        good = good and findings.own_field(spot / "beside", target, field["beside"]) is not None
    if kind == "choice" and isinstance(field.get("parent"), str) and entity:
        good = _cascade(spot, field, entity) and good
    if kind == "lookup" and isinstance(field.get("from"), str):
        good = _lookup(spot, field["from"], entity) and good
    if kind == "rollup" and isinstance(field.get("from"), str):
        good = _rollup(spot, field, entity) and good
    return good


def _linkable(spot: Spot, entity: str) -> bool:
    """Records of the engine's logs cannot be linked to."""
    if entity in spot.findings.bundle.entities or ("entity", entity) in spot.findings.whole.documents or entity in WIDENED_ENTITIES:
        return entity in spot.findings.bundle.entities
    spot.report("entity_of_engine", name=entity)
    return False


def _cascade(spot: Spot, field: Mapping[str, Any], entity: str) -> bool:
    """A cascading choice: its parent is a choice of the same record, and each option's parents are options of the parent's set."""
    findings = spot.findings
    parent = findings.own_field(spot / "parent", entity, field["parent"])
    if parent is None:
        return False
    if parent.type != "choice":
        (spot / "parent").report("field_of_type", name=parent.key, type=parent.type, wants="choice")
        return False
    own, codes = findings.bundle.choices.get(str(field.get("choices"))), findings.codes(str(parent.options.get("choices")))
    if own is None or codes is None:
        return True
    for option in own.options.values():
        for code in option.parents:
            if code not in codes:
                (findings.spot("choices", own.key) / "options" / option.code / "parent").report(
                    "unknown_option_code", name=code[:80], choices=str(parent.options.get("choices")), meant=closest(code, sorted(codes))
                )
    return True


def _lookup(spot: Spot, source: str, entity: str) -> bool:
    """LINK.FIELD: the link is of this entity, the field of the one it points to."""
    findings = spot.findings
    if source.count(".") != 1:
        (spot / "from").report("lookup_from", value=source[:80])
        return False
    found = findings.path(spot / "from", entity, source) if entity else None
    return found is not None


def _rollup(spot: Spot, field: Mapping[str, Any], entity: str) -> bool:
    """ENTITY.LINK points back to this entity; ``of`` and ``by`` are fields of that entity."""
    findings, source = spot.findings, field["from"]
    if source.count(".") != 1:
        (spot / "from").report("rollup_from", value=source[:80])
        return False
    child, link_key = source.split(".")
    if not findings.refer(spot / "from", "entity", child):
        return False
    link = findings.own_field(spot / "from", child, link_key)
    if link is None:
        return False
    if link.type not in LINK_TYPES or findings.target(link) != entity:
        (spot / "from").report("rollup_link", name=source[:80], entity=entity)
        return False
    measure = field.get("measure")
    if measure in _MEASURES and measure != "count" and not isinstance(field.get("of"), str):
        spot.report("option_missing", word="of", type=f"rollup {measure}")
        return False
    found = [findings.own_field(spot / word, child, field[word]) for word in ("of", "by") if isinstance(field.get(word), str)]
    return all(found) and _measurable(spot, measure, child, field)


def _measurable(spot: Spot, measure: object, child: str, field: Mapping[str, Any]) -> bool:
    """A measure that fits the type of what it measures."""
    findings = spot.findings
    of = findings.field(child, str(field.get("of", "")))
    carried = findings.carried(child, of) if of else None
    if carried is None or measure not in ("sum", "average"):
        return True
    if carried.type not in ("integer", "decimal", "money", "percent", "duration"):
        (spot / "of").report("field_of_type", name=carried.key, type=carried.type, wants="integer, decimal, money, percent")
        return False
    return True


def field_expressions(spot: Spot, field: Mapping[str, Any], entity: str) -> None:
    """Every expression of one sound field."""
    findings, kind = spot.findings, field["type"]
    boolean = ExpressionPlace(entity, "boolean")
    for word in ("required", "read_only", "show"):
        findings.expression(spot / word, field.get(word), boolean)
    _default(spot, field, ExpressionPlace(entity, notation(field)))
    if kind == "formula":
        findings.expression(spot / "value", field.get("value"), ExpressionPlace(entity, encrypted=bool(field.get("encrypted"))))
    elif kind == "rollup":
        child = str(field.get("from", "")).partition(".")[0]
        findings.expression(spot / "where", field.get("where"), ExpressionPlace(child, "boolean", frozenset(), sql=True, stored=True))
    elif kind in ("link", "links"):
        spaces = frozenset({"me", "record"})
        findings.expression(spot / "where", field.get("where"), ExpressionPlace(str(field.get("to")), "boolean", spaces, names={"record": entity}, sql=True))
        findings.expression(spot / "flags", field.get("flags"), ExpressionPlace(entity, "boolean", sql=True))


def _default(spot: Spot, field: Mapping[str, Any], place: ExpressionPlace) -> None:
    """What a field or parameter begins with. ``place``: what an expression may name there."""
    default = field.get("default")
    if isinstance(default, Mapping) and set(default) == {"value"}:
        spot.findings.expression(spot / "default" / "value", default["value"], place)
    elif field["type"] == "choice" and isinstance(default, str):
        codes = spot.findings.codes(str(field.get("choices")))
        if codes is not None and default not in codes:
            (spot / "default").report("unknown_option_code", name=default[:80], choices=str(field.get("choices")), meant=closest(default, sorted(codes)))


def beside(documents: Mapping[str, Mapping[str, Any]]) -> ExpressionPlace:
    """What the conditions of parameters may name: the other parameters, each by its key."""
    return ExpressionPlace(None, "boolean", names={key: notation(field) for key, field in documents.items() if "type" in field})


def beginning(field: Mapping[str, Any], entity: str) -> ExpressionPlace:
    """What the default of a parameter may name: the fields of the record it is asked about, where there is one."""
    return ExpressionPlace(entity or None, notation(field), frozenset({"me", "record"} if entity else {"me"}), names={"record": entity} if entity else {})


def parameters(spot: Spot, documents: Mapping[str, Mapping[str, Any]], entity: str = "") -> dict[str, Mapping[str, Any]]:
    """The parameters that can be relied on, after checking all of them like fields. ``entity``: whose record they are asked about, '' where there is none."""
    good, place = {}, beside(documents)
    for key, field in documents.items():
        at = spot / key
        for word in ("required", "show"):
            at.findings.expression(at / word, field.get(word), place)
        if code := name_problem(key):
            at.report(code, key=key[:80], proposal=f"{key}_" if code in ("key_python", "key_name_space") else "")
        elif type_and_options(at, field) and references(at, field):
            _default(at, field, beginning(field, entity))
            good[key] = field
        else:
            at.findings.broken.add(key)
    return good
