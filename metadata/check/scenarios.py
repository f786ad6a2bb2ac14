"""Scenarios: the people, entities, fields, actions and names they speak of. That they come true is for the engine to show."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import action_names, module
from metadata.check.findings import Findings, Spot, own_documents
from metadata.definitions import ENGINE_ENTITIES
from metadata.scenario_base import BaseLoop, Step, shared, steps
from metadata.shape import numbered
from metadata.vocabulary import ExpressionPlace
from metadata.words import name_problem

_VERBS = ("create", "update", "delete", "do", "clock", "expect", "together", "setting", "answer", "sent", "reveal", "intake")


def scenarios(findings: Findings) -> None:
    """Every scenario."""
    actions = action_names(findings)
    documents = dict(own_documents(findings, "scenario"))
    for key, document in documents.items():
        spot = findings.spot("scenario", key)
        if "module" in document:
            module(spot / "module", document["module"])
        for name, person in document.get("people", {}).items():
            _person(spot / "people" / name, name, person)
        known, played = _with_bases(spot, documents, key)
        _teams(spot, document, known)
        names: dict[str, str] = dict.fromkeys(known["people"], "person")
        for step in played:
            if step.scenario == key:
                _step(spot / step.part / step.number, step.body, known["people"], names, actions)
            elif "name" in step.body:
                names[step.body["name"]] = _entity(step.body, names)


def _with_bases(spot: Spot, documents: Mapping[str, Mapping[str, Any]], key: str) -> tuple[Mapping[str, Any], list[Step]]:
    """People, teams and steps of a scenario with those of its bases; of itself alone when they lead round in a circle."""
    document = documents[key]
    if "base" in document:
        spot.findings.refer(spot / "base", "scenario", document["base"])
    try:
        return shared(documents, key), list(steps(documents, key))
    except BaseLoop as loop:
        (spot / "base").report("scenario_base_loop", keys=" → ".join(loop.keys))
        alone = {key: {word: value for word, value in document.items() if word != "base"}}
        return shared(alone, key), list(steps(alone, key))


def _teams(spot: Spot, document: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name, team in document.get("teams", {}).items():
        at = spot / "teams" / name
        if "parent" in team:
            spot.findings.among(at / "parent", "team", team["parent"], known["teams"])
        if "lead" in team:
            spot.findings.among(at / "lead", "person", team["lead"], known["people"])
        for field in team.get("values", {}):
            spot.findings.own_field(at / "values" / field, "team", field)


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
    if "intake" in step:
        findings.among(spot / "intake", "name", step["intake"], _sources(findings))
    if "reveal" in step and findings.among(spot / "reveal", "name", step["reveal"].split(".")[0], names):
        record, _, field = step["reveal"].rpartition(".")
        if names.get(record):
            findings.own_field(spot / "reveal", names[record], field)
    for word in ("update", "delete", "on"):
        if word in step:
            findings.among(spot / word, "name", step[word].split(".")[0], names)
    entity = _entity(step, {})
    if entity and findings.refer(spot / ("create" if "create" in step else "expect"), "entity", entity):
        if "create" in step and entity in ENGINE_ENTITIES and entity not in findings.bundle.entities:
            (spot / "create").report("entity_of_engine", name=entity)
        carried = {name: owner for name, owner in names.items() if name not in findings.field_names(entity)}
        findings.expression(spot / "where", step.get("where"), ExpressionPlace(entity, "boolean", frozenset({"me"} if "as" in step else ()), names=carried))
    elif not entity:
        entity = _entity(step, names)
    for name in step.get("values", {}) if entity else ():
        if name not in findings.names("entity"):
            findings.own_field(spot / "values" / name, entity, name)
    if "name" in step:
        if code := name_problem(step["name"]):
            (spot / "name").report(code, key=step["name"], proposal=f"{step['name']}_" if code in ("key_python", "key_name_space") else "")
        names[step["name"]] = entity


def _sources(findings: Findings) -> frozenset[str]:
    """What rules wait for from outside."""
    return frozenset(str(on[word]) for _, document in own_documents(findings, "rule") for word in ("intake", "event") if word in (on := document.get("on", {})))


def _entity(step: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The entity of the record a step speaks of, where it says so."""
    said = next((step[word] for word in ("create", "expect") if isinstance(step.get(word), str)), "")
    return said or names.get(step.get("update", ""), "")
