"""Entities beside their fields: label, uniqueness, checks, stages, lines, ledger, merge, import."""

from collections.abc import Mapping
from typing import Any

from metadata.check.fields import field_expressions
from metadata.check.findings import Findings, Spot, own_documents, placeholders
from metadata.definitions import ENGINE_ENTITIES, RECORD_ACTIONS, WIDENED_ENTITIES, Field
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import closest, key_problem, name_problem

_NOT_IN_UNIQUE = ("links", "people", "choices", "tags", "files", "file", "image", "json", "rich_text", "long_text", "lookup", "formula", "rollup")
_NOT_IN_LABEL = ("json", "rich_text", "long_text", "file", "files", "image")


def entities(findings: Findings) -> None:
    """Every own entity."""
    actions = action_names(findings)
    for key, document in own_documents(findings, "entity"):
        spot = findings.spot("entity", key)
        if key in ENGINE_ENTITIES and key not in WIDENED_ENTITIES:
            spot.report("key_engine_entity", key=key)
        elif code := name_problem(key):
            spot.report(code, key=key, proposal=f"{key}_")
        for name, field in document.get("fields", {}).items():
            field_expressions(spot / "fields" / name, field, key)
        _label(spot / "label", key, document)
        _checks(spot / "check", key, document)
        _unique(spot / "unique", key, document)
        _stages(spot / "stages", key, document, actions)
        _lines(spot, key, document)
        _ledger(spot / "ledger", key, document)
        _merge(spot / "merge", key, document)
        _personal(spot / "personal", key, document)
        if "module" in document:
            module(spot / "module", document["module"])
        importing(spot / "import", key, document.get("import", {}))


def module(spot: Spot, name: str) -> None:
    """A module of preset.json."""
    preset = spot.findings.bundle.preset
    if spot.findings.bundle.documents.get(("preset", "preset")) is not None:
        spot.findings.among(spot, "module", name, preset.modules)


def action_names(findings: Findings) -> frozenset[str]:
    """All actions that exist: of rules and of the vocabulary."""
    found = {*findings.vocabulary.actions, *RECORD_ACTIONS}
    for (kind, _), document in findings.whole.documents.items():
        trigger = document.get("on") if kind == "rule" and isinstance(document, Mapping) else None
        if isinstance(trigger, Mapping) and isinstance(trigger.get("action"), str):
            found.add(trigger["action"])
    return frozenset(found)


def _label(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    if "label" not in document:
        if entity not in WIDENED_ENTITIES:
            spot.findings.spot("entity", entity).report("label_missing", severity="warning")
        return
    names = placeholders(document["label"])
    if not names:
        spot.report("label_constant")
    for name in names:
        found = spot.findings.path(spot, entity, name.strip())
        if found is not None and found.type in _NOT_IN_LABEL:
            spot.report("field_of_type", name=name.strip(), type=found.type, wants="text")


def _checks(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    place = ExpressionPlace(entity, "boolean", frozenset({"me", "old"}), names={"old": entity})
    for number, item in numbered(document.get("check", ())):
        at = spot / number
        at.findings.expression(at / "if", item["if"], place)
        if "at" in item:
            at.findings.own_field(at / "at", entity, item["at"])
        if code := key_problem(item["code"].lower()):
            (at / "code").report(code, key=item["code"])
        elif item["code"] in seen:
            (at / "code").report("key_twice", key=item["code"])
        seen.add(item["code"])
        at.findings.template(at / "message", item.get("message"), ExpressionPlace(entity))


def _unique(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    for name, item in document.get("unique", {}).items():
        at = spot / name
        if code := key_problem(name):
            at.report(code, key=name[:80])
        for number, field in numbered(item["fields"]):
            found = at.findings.own_field(at / "fields" / number, entity, field)
            if found is not None and found.type in _NOT_IN_UNIQUE:
                (at / "fields" / number).report("unique_impossible", type=found.type)
        at.findings.expression(at / "where", item.get("where"), ExpressionPlace(entity, "boolean", frozenset(), sql=True, stored=True))


def _stages(spot: Spot, entity: str, document: Mapping[str, Any], actions: frozenset[str]) -> None:
    stages = document.get("stages")
    if stages is None:
        return
    findings = spot.findings
    field = findings.own_field(spot / "field", entity, stages["field"])
    if field is not None and field.type != "choice":
        (spot / "field").report("field_of_type", name=field.key, type=field.type, wants="choice")
        field = None
    codes = findings.codes(str(field.options.get("choices"))) if field else None
    seen: set[tuple[str, str]] = set()
    for number, move in numbered(stages.get("moves", ())):
        at = spot / "moves" / number
        for word in ("from", "to"):
            for index, code in numbered(move[word]):
                if codes is not None and field is not None and code not in codes:
                    (at / word / index).report("unknown_option_code", name=code, choices=str(field.options.get("choices")), meant=closest(code, sorted(codes)))
        findings.expression(at / "if", move.get("if"), ExpressionPlace(entity, "boolean", frozenset({"me", "old"}), names={"old": entity}))
        for index, action in numbered(move.get("action", ())):
            findings.among(at / "action" / index, "action", action, actions)
        if "if" not in move and "action" not in move:
            pairs = {(source, target) for source in move["from"] for target in move["to"]}
            for source, target in sorted(pairs & seen):
                at.report("move_twice", severity="warning", source=source, target=target)
            seen |= pairs


def _lines(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    parent = document.get("lines_of")
    if parent is None:
        return
    findings = spot.findings
    if not findings.refer(spot / "lines_of", "entity", parent):
        return
    if parent == entity:
        (spot / "lines_of").report("lines_of_itself", name=parent)
        return
    link_key = document.get("parent_field", parent)
    at = spot / ("parent_field" if "parent_field" in document else "lines_of")
    if entity in findings.field_names(parent):
        (spot / "lines_of").report("lines_clash", name=entity, entity=parent)
    link: Field | None = findings.own_field(at, entity, link_key)
    if link is not None and (link.type != "link" or findings.target(link) != parent):
        at.report("lines_link", name=link.key, entity=parent)


#: What each part of a ledger may be: what it is about a record, whose it is, the account a name, the amount exact.
_LEDGER: Mapping[str, tuple[str, ...]] = {
    "about": ("link", "person", "team"),
    "who": ("person", "team", "link", "choice", "text"),
    "account": ("choice", "text"),
    "amount": ("money", "integer", "decimal"),
}


def _ledger(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    for word, types in _LEDGER.items():
        if word not in document.get("ledger", {}):
            continue
        field = spot.findings.own_field(spot / word, entity, document["ledger"][word])
        if field is not None and field.type not in types:
            (spot / word).report("field_of_type", name=field.key, type=field.type, wants=" / ".join(types))


def _merge(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    merge, findings = document.get("merge", {}), spot.findings
    names = {"keep": entity, "drop": entity}
    place = ExpressionPlace(entity, "boolean", frozenset({"me", "record"}), names={"record": entity, **names})
    findings.expression(spot / "if", merge.get("if"), place)
    for name in merge.get("fields", {}):
        field = findings.own_field(spot / "fields" / name, entity, name)
        if field is not None and field.type in ("lookup", "formula", "rollup"):
            (spot / "fields" / name).report("derived_written", name=name, type=field.type)
    if "into" in merge:
        into = findings.own_field(spot / "into", entity, merge["into"])
        if into is not None and (into.type != "link" or findings.target(into) != entity):
            (spot / "into").report("field_of_type", name=into.key, type=into.type, wants=f"link → {entity}")


def _personal(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    personal, findings = document.get("personal", {}), spot.findings
    for number, name in enumerate(personal.get("of", ())):
        field = findings.own_field(spot / "of" / number, entity, name)
        if field is not None and field.type != "link":
            (spot / "of" / number).report("field_of_type", name=field.key, type=field.type, wants="link")
    if "since" in personal:
        since = findings.own_field(spot / "since", entity, personal["since"])
        if since is not None and since.type not in ("date", "instant", "rollup", "formula", "lookup"):
            (spot / "since").report("field_of_type", name=since.key, type=since.type, wants="date / instant")
    findings.expression(spot / "while", personal.get("while"), ExpressionPlace(entity, "boolean", frozenset(), sql=True))


def importing(spot: Spot, entity: str, block: Mapping[str, Any]) -> None:
    """The parts of an import block that name readers, fields and unique keys; what they mean is the importer's business."""
    findings, readers = spot.findings, spot.findings.vocabulary.readers
    known = findings.field_names(entity) | set(findings.bundle.entities[entity].unique if entity in findings.bundle.entities else ())
    for word in ("key", "match"):
        for number, name in numbered(block.get(word, ()) if isinstance(block.get(word), list) else ()):
            if not isinstance(name, str):
                (spot / word / number).report("shape_type", expected="string", found="object", value="")
            elif "." in name:
                _elsewhere(spot / word / number, name)
            elif known:
                findings.among(spot / word / number, "field", name, known)
    for key, column in block.get("columns", {}).items():
        at = spot / "columns" / key
        for word in ("reader", "read"):
            if word in column and readers:
                findings.among(at / word, "reader", column[word], readers)
        if "field" in column:
            findings.own_field(at / "field", entity, column["field"])
        reader = readers.get(column.get("reader", column.get("read", "")))
        into = column.get("into")
        for part, field in into.items() if isinstance(into, Mapping) else ():
            if reader is not None and reader.parts:
                findings.among(at / "into" / part, "part", part, (*reader.parts, *column.get("with", {}).get("labels", ())))
            if isinstance(field, str):
                _target(at / "into" / part, entity, field)
        if isinstance(into, str):
            _target(at / "into", entity, into)


def _target(spot: Spot, entity: str, name: str) -> None:
    if "." in name:
        _elsewhere(spot, name)
    else:
        spot.findings.own_field(spot, entity, name)


def _elsewhere(spot: Spot, name: str) -> None:
    """ENTITY.FIELD."""
    entity, _, field = name.partition(".")
    if spot.findings.refer(spot, "entity", entity):
        spot.findings.own_field(spot, entity, field)
