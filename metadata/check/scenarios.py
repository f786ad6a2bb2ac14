"""Scenarios: the people, entities, fields, actions and names they speak of. That they come true is for the engine to show."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import action_names, module
from metadata.check.findings import Findings, Spot, own_documents
from metadata.definitions import ENGINE_ENTITIES
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import name_problem

_VERBS = ("create", "update", "delete", "do", "clock", "expect", "together", "setting", "answer")


def scenarios(findings: Findings) -> None:
    """Every scenario."""
    actions = action_names(findings)
    for key, document in own_documents(findings, "scenario"):
        spot = findings.spot("scenario", key)
        if "module" in document:
            module(spot / "module", document["module"])
        people = document.get("people", {})
        for name, person in people.items():
            _person(spot / "people" / name, name, person)
        names: dict[str, str] = dict.fromkeys(people, "person")
        for part in ("given", "when", "then"):
            for number, step in numbered(document.get(part, ())):
                _step(spot / part / number, step, people, names, actions)


def _person(spot: Spot, name: str, person: object) -> None:
    if code := name_problem(name):
        spot.report(code, key=name[:80], proposal=f"{name}_" if code in ("key_python", "key_name_space") else "")
    if isinstance(person, str):
        spot.findings.refer(spot, "role", person)
    elif isinstance(person, Mapping):
        if "role" in person:
            spot.findings.refer(spot / "role", "role", person["role"])
        for number, role in numbered(person.get("roles", ())):
            spot.findings.refer(spot / "roles" / number, "role", role)


def _step(spot: Spot, step: Mapping[str, Any], people: Mapping[str, Any], names: dict[str, str], actions: frozenset[str]) -> None:
    findings = spot.findings
    verbs = [verb for verb in _VERBS if verb in step and not (verb == "expect" and "together" in step)]
    if len(verbs) != 1:
        spot.report("scenario_one_verb", given=", ".join(verbs))
    if "as" in step:
        findings.among(spot / "as", "person", step["as"], people)
    for number, inner in numbered(step.get("together", ())):
        _step(spot / "together" / number, inner, people, names, actions)
    if "do" in step:
        findings.among(spot / "do", "action", step["do"], actions)
    if "setting" in step and findings.bundle.settings.values:
        findings.among(spot / "setting", "setting", step["setting"], findings.bundle.settings.values)
    for word in ("update", "delete", "on"):
        if word in step:
            findings.among(spot / word, "name", step[word].split(".")[0], names)
    entity = next((step[word] for word in ("create", "expect") if isinstance(step.get(word), str)), "")
    if entity and findings.refer(spot / ("create" if "create" in step else "expect"), "entity", entity):
        if "create" in step and entity in ENGINE_ENTITIES and entity not in findings.bundle.entities:
            (spot / "create").report("entity_of_engine", name=entity)
        carried = {name: owner for name, owner in names.items() if name not in findings.field_names(entity)}
        findings.expression(spot / "where", step.get("where"), ExpressionPlace(entity, "boolean", frozenset({"me"} if "as" in step else ()), names=carried))
    elif "update" in step:
        entity = names.get(step["update"], "")
    for name in step.get("values", {}) if entity else ():
        if name not in findings.names("entity"):
            findings.own_field(spot / "values" / name, entity, name)
    if "name" in step:
        if code := name_problem(step["name"]):
            (spot / "name").report(code, key=step["name"], proposal=f"{step['name']}_" if code in ("key_python", "key_name_space") else "")
        names[step["name"]] = entity
