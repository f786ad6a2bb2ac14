"""Reports and dashboards: sets, dimensions, measures and cards whose names resolve."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import module
from metadata.check.fields import parameters
from metadata.check.findings import Findings, Spot, own_documents
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import key_problem, name_problem

_SPACES = frozenset({"me", "param"})
_OVER = ("rank", "share", "gini", "spread", "previous", "target")
_VALUES = ("sum", "average", "median", "min", "max")
#: Parameters every report has: the span looked at and the moment it is looked at from.
_ALWAYS: Mapping[str, Mapping[str, object]] = {"since": {"type": "instant"}, "until": {"type": "instant"}, "as_of": {"type": "instant"}}


def reports(findings: Findings) -> None:
    """Every report."""
    for key, document in own_documents(findings, "report"):
        spot = findings.spot("report", key)
        findings.roles(spot / "for", numbered(document.get("for", ())))
        if "module" in document:
            module(spot / "module", document["module"])
        if "drill" in document:
            findings.refer(spot / "drill", "list", document["drill"])
        if not any(word in document for word in ("measures", "funnel", "forecast")):
            spot.report("report_without_measure")
        params = {**_ALWAYS, **parameters(spot / "with", document.get("with", {}))}
        names = _sets(spot / "sets", document, params)
        place = ExpressionPlace(None, "", _SPACES, params, names)
        for name, by in document.get("by", {}).items():
            _name(spot / "by" / name, name)
            source, word = (by, "") if isinstance(by, str) else (by.get("of", by.get("value")), "of" if "of" in by else "value")
            findings.expression(spot / "by" / name / word if word else spot / "by" / name, source, place)
        _measures(spot / "measures", document.get("measures", {}), names, place)


def _name(spot: Spot, name: str) -> None:
    if code := name_problem(name):
        spot.report(code, key=name[:80], proposal=f"{name}_" if code in ("key_python", "key_name_space") else "")


def _sets(spot: Spot, document: Mapping[str, Any], params: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    findings, sets = spot.findings, document.get("sets", {})
    names = {}
    for name, item in sets.items():
        at, entity = spot / name, item["from"]
        _name(at, name)
        names[name] = entity if findings.refer(at / "from", "entity", entity) else ""
        if not names[name]:
            continue
        findings.expression(at / "at", item.get("at"), ExpressionPlace(entity, "instant", _SPACES, params))
        findings.expression(at / "where", item.get("where"), ExpressionPlace(entity, "boolean", _SPACES, params, sql=True))
        unit = item.get("unit", document.get("unit"))
        if unit is not None and unit != "id":
            findings.path(at / "unit" if "unit" in item else at, entity, unit)
        if "after" in item:
            findings.among(at / "after", "set", item["after"], set(sets) - {name})
        elif "within" in item:
            (at / "within").report("set_within", name=name)
    return names


def _measures(spot: Spot, measures: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], place: ExpressionPlace) -> None:
    findings = spot.findings
    for name, item in measures.items():
        at = spot / name
        _name(at, name)
        kinds = [word for word in ("count", "units", *_VALUES, "ratio", *_OVER) if word in item]
        if len(kinds) != 1:
            at.report("measure_one", given=", ".join(kinds))
        for word in ("count", "units"):
            for part in str(item.get(word, "")).split(" and ") if word in item else ():
                findings.among(at / word, "set", part.strip().removeprefix("not ").strip(), names)
        for word in _VALUES:
            findings.expression(at / word, item.get(word), place)
        findings.expression(at / "where", item.get("where"), place)
        for number, other in numbered(item.get("ratio", ())):
            findings.among(at / "ratio" / number, "measure", other, set(measures) - {name})
        for word in _OVER:
            if word in item:
                findings.among(at / word, "measure", item[word], set(measures) - {name})


def dashboards(findings: Findings) -> None:
    """Every dashboard."""
    for key, document in own_documents(findings, "dashboard"):
        spot = findings.spot("dashboard", key)
        findings.roles(spot / "for", numbered(document.get("for", ())))
        if "module" in document:
            module(spot / "module", document["module"])
        seen: set[str] = set()
        for number, card in numbered(document["cards"]):
            at = spot / "cards" / number
            if code := key_problem(card["key"]):
                (at / "key").report(code, key=card["key"])
            elif card["key"] in seen:
                (at / "key").report("key_twice", key=card["key"])
            seen.add(card["key"])
            _card(at, card)


def _card(spot: Spot, card: Mapping[str, Any]) -> None:
    findings = spot.findings
    findings.roles(spot / "for", numbered(card.get("for", ())))
    if ("report" in card) == ("list" in card):
        spot.report("card_shows_one")
    if "list" in card:
        findings.refer(spot / "list", "list", card["list"])
    if "report" not in card or not findings.refer(spot / "report", "report", card["report"]):
        return
    report = findings.bundle.reports.get(card["report"])
    if report is None:
        return
    measures, by = report.body.get("measures", {}), report.body.get("by", {})
    for word, name in [("measure", card["measure"])] if "measure" in card else []:
        findings.among(spot / word, "measure", name, measures)
    for number, name in numbered(card.get("measures", ())):
        findings.among(spot / "measures" / number, "measure", name, measures)
    for name in [card["by"]] if isinstance(card.get("by"), str) else card.get("by", ()):
        findings.among(spot / "by", "dimension", name, by)
