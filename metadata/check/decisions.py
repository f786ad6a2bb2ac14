"""Decision tables: typed inputs and outputs, rows whose conditions and outputs fit them, rows that can never match."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import module
from metadata.check.findings import Findings, Spot, notation, own_documents, placeholders
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import closest, key_problem, name_problem

_CONSTANTS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "money": (int,),
    "percent": (int,),
    "decimal": (int, float),
    "boolean": (bool,),
    "text": (str,),
    "choice": (str,),
    "date": (str,),
    "instant": (str,),
}
_SHORT = {"choice": "choice", "choices": "choices", "link": "link"}


def decisions(findings: Findings) -> None:
    """Every decision table."""
    for key, document in own_documents(findings, "decision"):
        spot = findings.spot("decision", key)
        if "module" in document:
            module(spot / "module", document["module"])
        inputs = _typed(spot / "inputs", document["inputs"])
        outputs = _typed(spot / "outputs", document["outputs"])
        names = {name: str(item.get("to", "")) if item["type"] == "link" else notation(item) for name, item in inputs.items()}
        place = ExpressionPlace(None, "boolean", frozenset({"param"}), inputs, {**dict.fromkeys(document["inputs"], ""), **names})
        _rows(spot / "rows", document, outputs, place)
        _explain(spot / "explain", document.get("explain"), document)


def _typed(spot: Spot, items: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Inputs or outputs as field documents."""
    findings, found = spot.findings, {}
    for name, item in items.items():
        at = spot / name
        if code := name_problem(name):
            at.report(code, key=name[:80], proposal=f"{name}_" if code in ("key_python", "key_name_space") else "")
        document = field_document(item)
        if "type" not in document:
            at.report("shape_missing", word="type")
            continue
        if not findings.among(at, "field_type", document["type"], findings.vocabulary.field_types):
            continue
        if isinstance(document.get("choices"), str) and not findings.refer(at, "choices", document["choices"]):
            continue
        if isinstance(document.get("to"), str) and not findings.refer(at, "entity", document["to"]):
            continue
        found[name] = document
    return found


def field_document(item: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """An input or output as a field's document: ``"integer"``, ``{"choice": KEY}`` and ``{"link": ENTITY}`` are short forms."""
    document: Mapping[str, Any] = {"type": item} if isinstance(item, str) else item
    short = next((word for word in _SHORT if word in document and "type" not in document), "")
    if not short:
        return document
    return {"type": short, ("to" if short == "link" else "choices"): document[short]}


def _rows(spot: Spot, document: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]], place: ExpressionPlace) -> None:
    seen: set[str] = set()
    conditions: dict[object, str] = {}
    always = ""
    for number, row in numbered(document["rows"]):
        at, condition = spot / number, row["if"]
        if code := key_problem(row["key"]):
            (at / "key").report(code, key=row["key"])
        elif row["key"] in seen:
            (at / "key").report("key_twice", key=row["key"])
        seen.add(row["key"])
        at.findings.expression(at / "if", condition, place)
        if always:
            (at / "if").report("row_never", key=row["key"], first=always)
        elif condition is False:
            (at / "if").report("row_never", key=row["key"], first="")
        elif condition in conditions:
            (at / "if").report("row_never", key=row["key"], first=conditions[condition])
        conditions.setdefault(condition, row["key"])
        always = always or (row["key"] if condition is True else "")
        for name, given in row["then"].items():
            _output(at / "then" / name, name, given, document, outputs, place)
    if not always:
        spot.report("rows_not_all", severity="warning")


def _output(spot: Spot, name: str, given: object, document: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]], place: ExpressionPlace) -> None:
    findings = spot.findings
    if not findings.among(spot, "output", name, document["outputs"]) or name not in outputs or given is None:
        return
    if isinstance(given, Mapping):
        if set(given) == {"value"}:
            findings.expression(spot / "value", given["value"], ExpressionPlace(None, "", place.spaces, place.params, place.names))
        else:
            spot.report("output_value", name=name)
        return
    kind = str(outputs[name]["type"])
    if kind not in _CONSTANTS or isinstance(given, list):
        if kind in _CONSTANTS:
            spot.report("setting_default", type=kind)
        return
    if not isinstance(given, _CONSTANTS[kind]) or (isinstance(given, bool) and kind != "boolean"):
        spot.report("setting_default", type=kind)
        return
    choices = str(outputs[name].get("choices", ""))
    codes = findings.codes(choices) if kind == "choice" else None
    if codes is not None and given not in codes:
        spot.report("unknown_option_code", name=str(given)[:80], choices=choices, meant=closest(given, sorted(codes)))


def _explain(spot: Spot, text: object, document: Mapping[str, Any]) -> None:
    known = {"title", "key", *document["outputs"], *document["inputs"]}
    parts = text.items() if isinstance(text, Mapping) else [("", text)]
    for language, part in parts:
        for name in placeholders(part):
            spot.findings.among(spot / language if language else spot, "output", name.strip(), known)
