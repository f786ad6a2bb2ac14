"""Roles: what they grant on entities and fields, and grants that reach nobody or say nothing."""

from collections.abc import Mapping
from typing import Any

from metadata.check.entities import action_names
from metadata.check.findings import Findings, Spot, own_documents
from metadata.definitions import ENGINE_ENTITIES, WIDENED_ENTITIES
from metadata.vocabulary import ExpressionPlace
from metadata.words import name_problem

ALL = "*"
_VERBS = ("read", "create", "update", "delete", "export")


def roles(findings: Findings) -> None:
    """Every role, and that somebody may administer."""
    actions = action_names(findings)
    documents = own_documents(findings, "role")
    for key, document in documents:
        spot = findings.spot("role", key)
        if code := name_problem(key):
            spot.report(code, key=key, proposal=f"{key}_")
        for entity, grant in document.get("grants", {}).items():
            if entity == ALL or findings.refer(spot / "grants" / entity, "entity", entity):
                _grant(spot / "grants" / entity, entity, grant, actions)
        if not document.get("grants") and not document.get("can"):
            spot.report("role_empty", severity="warning")
    _granted_to_nobody(findings, [document for _, document in documents])
    everybody = [document for (kind, _), document in findings.whole.documents.items() if kind == "role" and isinstance(document, Mapping)]
    if everybody and not any("people" in document.get("can", ()) for document in everybody if isinstance(document.get("can", ()), list)):
        findings.spot("role", documents[0][0] if documents else "").report("nobody_administers", severity="warning")


def _granted_to_nobody(findings: Findings, documents: list[Mapping[str, Any]]) -> None:
    """Entities that no role may read."""
    if not documents:
        return
    for entity, _ in own_documents(findings, "entity"):
        if not any(may_read(document, entity) for document in documents):
            findings.spot("entity", entity).report("entity_granted_to_nobody", severity="warning", entity=entity)


def may_read(role: Mapping[str, Any], entity: str) -> bool:
    """Whether a role grants reading some records of an entity, by itself or under *."""
    grants = role.get("grants", {})
    return grants.get(entity, grants.get(ALL, {})).get("read") not in (None, False)


def _grant(spot: Spot, entity: str, grant: Mapping[str, Any], actions: frozenset[str]) -> None:
    findings = spot.findings
    if not any(grant.get(verb) not in (None, False) for verb in _VERBS) and not grant.get("actions"):
        spot.report("grant_nothing", severity="warning", entity=entity)
    for verb in ("create", "update", "delete", "export"):
        if grant.get(verb) not in (None, False) and grant.get("read") in (None, False):
            (spot / verb).report("grant_without_read", severity="warning", verb=verb, entity=entity)
    if entity in ENGINE_ENTITIES and entity not in WIDENED_ENTITIES:
        for verb in ("create", "update", "delete"):
            if grant.get(verb) not in (None, False):
                (spot / verb).report("grant_engine_entity", entity=entity)
    place = ExpressionPlace(None if entity == ALL else entity, "boolean", sql=True)
    for verb in _VERBS:
        findings.expression(spot / verb, grant.get(verb), place)
    for action, condition in grant.get("actions", {}).items():
        at = spot / "actions" / action
        if f"{entity}.{action}" not in actions:
            findings.among(at, "action", action, actions)
        findings.expression(at, condition, place)
    for name, field in grant.get("fields", {}).items():
        at = spot / "fields" / name
        if entity == ALL:
            at.report("grant_fields_of_all", name=name[:80])
            continue
        findings.own_field(at, entity, name)
        findings.expression(at / "mask", field.get("mask"), place)
        if field.get("read") is False and field.get("write") is True:
            (at / "write").report("grant_write_unread", name=name)
