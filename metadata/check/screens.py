"""Forms and lists: their fields, conditions, sections and actions."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import action_names, module
from metadata.check.findings import Findings, Spot, own_documents
from metadata.check.roles import may_read
from metadata.definitions import Field
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import key_problem

_UNSORTED = ("json", "file", "files", "image", "rich_text", "long_text", "choices", "tags", "links", "people")
_GRID_TYPES = ("text", "integer", "choice", "link", "person", "team", "date")


def forms(findings: Findings) -> None:
    """Every form."""
    for key, document in own_documents(findings, "form"):
        spot, entity = findings.spot("form", key), document["entity"]
        findings.refer(spot / "entity", "entity", entity)
        findings.roles(spot / "for", numbered(document.get("for", ())))
        if "module" in document:
            module(spot / "module", document["module"])
        for tab in document.get("tabs", {}):
            if code := key_problem(tab):
                (spot / "tabs" / tab).report(code, key=tab[:80])
        seen: set[str] = set()
        placed: dict[str, str] = {}
        for number, section in numbered(document.get("layout", ())):
            _section(spot / "layout" / number, section, document, seen, placed)


def _section(spot: Spot, section: Mapping[str, Any], form: Mapping[str, Any], seen: set[str], placed: dict[str, str]) -> None:
    findings, entity = spot.findings, form["entity"]
    if code := key_problem(section["key"]):
        (spot / "key").report(code, key=section["key"])
    elif section["key"] in seen:
        (spot / "key").report("key_twice", key=section["key"])
    seen.add(section["key"])
    if "tab" in section or form.get("tabs"):
        findings.among(spot / ("tab" if "tab" in section else "key"), "tab", section.get("tab", ""), form.get("tabs", {}))
    findings.expression(spot / "show", section.get("show"), ExpressionPlace(entity, "boolean"))
    owner = entity
    if "lines" in section:
        owner = section["lines"]
        if findings.refer(spot / "lines", "entity", owner) and owner in findings.bundle.entities and findings.bundle.entities[owner].lines_of != entity:
            (spot / "lines").report("lines_of_other", name=owner, entity=entity)
    for number, item in numbered(section.get("items", ())):
        _item(spot / "items" / number, item, section, owner, placed if owner == entity else {})


def _item(spot: Spot, item: str | Mapping[str, Any], section: Mapping[str, Any], entity: str, placed: dict[str, str]) -> None:
    findings = spot.findings
    name = item if isinstance(item, str) else item["field"]
    at = spot if isinstance(item, str) else spot / "field"
    field = findings.own_field(at, entity, name)
    if name in placed:
        at.report("field_twice", name=name, first=placed[name])
    placed.setdefault(name, section["key"])
    if field is not None and field.retired:
        at.report("field_retired", severity="warning", name=name)
    if isinstance(item, str):
        return
    for word in ("required", "read_only", "show"):
        findings.expression(spot / word, item.get(word), ExpressionPlace(entity, "boolean"))
    if item.get("span", 1) > section.get("columns", 2):
        (spot / "span").report("span_too_wide", columns=section.get("columns", 2))
    if "where" in item and field is not None:
        _offered(spot / "where", item["where"], field, entity)


def _offered(spot: Spot, source: str, field: Field, entity: str) -> None:
    """What a form offers for a field: of a link records of its target, of a choice the options with which the record satisfies the condition."""
    target = spot.findings.target(field)
    if target:
        spot.findings.expression(spot, source, ExpressionPlace(target, "boolean", frozenset({"me", "record"}), names={"record": entity}, sql=True))
    elif field.type in ("choice", "choices"):
        spot.findings.expression(spot, source, ExpressionPlace(entity, "boolean"))
    else:
        spot.report("field_of_type", name=field.key, type=field.type, wants="link / choice")


def lists(findings: Findings) -> None:
    """Every list."""
    actions = action_names(findings)
    for key, document in own_documents(findings, "list"):
        spot, entity = findings.spot("list", key), document["entity"]
        findings.refer(spot / "entity", "entity", entity)
        for number, role in numbered(document.get("for", ())):
            at, granted = spot / "for" / number, findings.bundle.documents.get(("role", role))
            if findings.refer(at, "role", role) and granted is not None and not may_read(granted, entity):
                at.report("audience_cannot_read", severity="warning", role=role, entity=entity)
        if "module" in document:
            module(spot / "module", document["module"])
        findings.expression(spot / "where", document.get("where"), ExpressionPlace(entity, "boolean", sql=True))
        for number, column in numbered(document["columns"]):
            findings.path(spot / "columns" / number, entity, column)
        for word in ("quick", "inline"):
            for number, name in numbered(document.get(word, ())):
                findings.own_field(spot / word / number, entity, name)
        _sort(spot / "sort", entity, document)
        _tint(spot / "tint", entity, document)
        for slot, name in document.get("mobile", {}).items():
            findings.path(spot / "mobile" / slot, entity, name)
        _views(spot, entity, document)
        for word in ("actions", "bulk"):
            for number, action in numbered(document.get(word, ())):
                list_action(spot / word / number, action, entity, actions)
        for number, action in numbered(document.get("buttons", ())):
            if f"{entity}.{action.removeprefix(f'{entity}.')}" not in actions:
                findings.among(spot / "buttons" / number, "action", action, {name for name in actions if name.startswith(f"{entity}.")})
        for number, made in numbered(document.get("create", ())):
            findings.refer(spot / "create" / number, "entity", made)
        _above(spot / "above", key, document)


def _above(spot: Spot, key: str, document: Mapping[str, Any]) -> None:
    """Lists that stand above this one: others, that its readers may open."""
    findings = spot.findings
    for number, name in numbered(document.get("above", ())):
        if not findings.refer(spot / number, "list", name):
            continue
        if name == key:
            (spot / number).report("list_above_itself", name=name)


def list_action(spot: Spot, action: str, entity: str, actions: frozenset[str]) -> None:
    """An action by name, one of the list's own entity by its short name, or ENTITY.new."""
    owner, _, verb = action.rpartition(".")
    if verb == "new" and owner:
        spot.findings.refer(spot, "entity", owner)
    elif f"{entity}.{action}" not in actions:
        spot.findings.among(spot, "action", action, actions)


def _sort(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    for number, name in numbered(document.get("sort", ())):
        field = spot.findings.own_field(spot / number, entity, name.removeprefix("-"))
        if field is None:
            continue
        word = spot.findings.vocabulary.field_types.get(field.type)
        if field.type in _UNSORTED or (word is not None and not word.sortable):
            (spot / number).report("sort_impossible", name=field.key, type=field.type)


def _tint(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    for name, tints in document.get("tint", {}).items():
        spot.findings.own_field(spot / name, entity, name)
        for number, tint in numbered(tints):
            spot.findings.expression(spot / name / number / "if", tint["if"], ExpressionPlace(entity, "boolean"))


def _views(spot: Spot, entity: str, document: Mapping[str, Any]) -> None:
    """Kanban by a choice, calendar by a date or an instant, a grid by fields with one value; the first view must be one of those there are."""
    for word, types in (("kanban", ("choice",)), ("calendar", ("date", "instant"))):
        if word in document:
            field = spot.findings.own_field(spot / word, entity, document[word])
            carried = spot.findings.carried(entity, field) if field else None
            if carried is not None and carried.type not in types:
                (spot / word).report("field_of_type", name=document[word], type=carried.type, wants=" / ".join(types))
        elif document.get("view") == word:
            (spot / "view").report("view_without_field", view=word)
    if "grid" in document:
        _grid(spot / "grid", entity, document["grid"])
    elif document.get("view") == "grid":
        (spot / "view").report("view_without_field", view="grid")


def _grid(spot: Spot, entity: str, grid: Mapping[str, Any]) -> None:
    """Rows, columns and sections need one value per record that can be put in order; the colour is a choice."""
    named = [(spot / word, grid[word]) for word in ("rows", "sections", "colour") if word in grid]
    named += [(spot / "columns" / number, name) for number, name in numbered(grid["columns"])]
    for at, name in named:
        field = at.findings.own_field(at, entity, name)
        carried = at.findings.carried(entity, field) if field else None
        if carried is None:
            continue
        if name == grid["colour"] and carried.type != "choice":
            at.report("field_of_type", name=name, type=carried.type, wants="choice")
        elif carried.type not in _GRID_TYPES or carried.encrypted:
            at.report("field_of_type", name=name, type=carried.type, wants=" / ".join(_GRID_TYPES))
    for number, name in numbered(grid["cell"]):
        spot.findings.own_field(spot / "cell" / number, entity, name)
