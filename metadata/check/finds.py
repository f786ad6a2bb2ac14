"""Finds: what a step looks for in an entity or in a list made earlier, and what may be named of what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metadata.check.findings import Spot
from metadata.check.frame import Frame
from metadata.shape import numbered
from metadata.vocabulary import ActionWord, ExpressionPlace
from metadata.words import name_problem


def find(spot: Spot, step: Mapping[str, Any], frame: Frame) -> str:
    """Check the words of a find; the entity whose records are looked at, '' where they are rows of values."""
    findings, source = spot.findings, step["find"]
    listed = source in frame.names
    entity = "" if listed else source
    if listed:
        entity = frame.names[source].removeprefix("rows:") if frame.names[source].startswith("rows:") else ""
        rows = frame.rows(entity) if entity else frame.of_columns(frame.columns.get(source, frozenset()))
        _words(spot, step, rows, replace(rows, wants="boolean"))
    elif not findings.among(spot / "find", "entity", source, findings.names("entity") | set(frame.names)):
        entity = ""
    elif entity:
        rows = frame.rows(entity)
        _words(spot, step, rows, replace(rows, wants="boolean", sql=True))
    for name in step.get("show", {}):
        if code := name_problem(name):
            (spot / "show" / name).report(code, key=name[:80], proposal=f"{name}_")
    return entity


def _words(spot: Spot, step: Mapping[str, Any], rows: ExpressionPlace, condition: ExpressionPlace) -> None:
    findings = spot.findings
    findings.expression(spot / "where", step.get("where"), condition)
    for number, part in numbered(step.get("sort", ())):
        findings.expression(spot / "sort" / number, part.removeprefix("-"), rows)
    for name, part in step.get("show", {}).items():
        findings.expression(spot / "show" / name, part, rows)
    for measure, part in step["take"].items() if isinstance(step.get("take"), Mapping) else ():
        findings.expression(spot / "take" / measure, part, rows)


def found_type(spot: Spot, step: Mapping[str, Any], entity: str, frame: Frame) -> str:
    """What a find gives: one record, rows, a number, an amount; '' when nothing can be said of it."""
    take = step.get("take", "one")
    if take == "count":
        return "integer"
    if isinstance(take, Mapping) and entity and "average" not in take:
        return next((spot.findings.vocabulary.kind_of(spot.findings.bundle, frame.rows(entity), str(part)) for part in take.values()), "")
    if "show" in step or isinstance(take, Mapping) or not entity:
        return ""
    return entity if take in ("one", 1) else f"rows:{entity}"


def found_columns(step: Mapping[str, Any], frame: Frame) -> frozenset[str]:
    """The columns of the rows a find gives: those it shows, else those of the list it looked in."""
    return frozenset(step["show"]) if "show" in step else frame.columns.get(step["find"], frozenset())


def result_columns(word: ActionWord) -> frozenset[str]:
    """The columns of the rows an action gives, as far as its result's schema says."""
    items = word.result.get("items")
    properties = items.get("properties") if isinstance(items, Mapping) else None
    return frozenset(properties) if isinstance(properties, Mapping) else frozenset()


def table_columns(spot: Spot, value: object) -> frozenset[str]:
    """The columns of the rows of a setting that is a table, where a value is just that setting."""
    key = value.removeprefix("setting.") if isinstance(value, str) and value.startswith("setting.") else ""
    setting = spot.findings.bundle.settings.values.get(key)
    columns = setting.body.get("columns") if setting is not None and setting.type == "table" else None
    return frozenset(columns) if isinstance(columns, Mapping) else frozenset()
