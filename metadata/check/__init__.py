"""All problems of a bundle at once: shape first, then everything the names in it refer to. Total: any JSON gives problems, never an exception.

A document with a fault is checked on without its faulty part, and what mentions that part is not blamed again.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from metadata.bundle import Bundle, Documents, Key, file_of
from metadata.check import application, cycles, decisions, entities, fields, reports, roles, rules, scenarios, screens
from metadata.check.findings import Findings
from metadata.definitions import KINDS, SINGLE_KINDS
from metadata.documents import MAX_DEPTH, parse_document
from metadata.shape import shape_problems, sound, too_deep
from metadata.vocabulary import Problem, Vocabulary
from metadata.words import closest, key_problem

_ROUNDS = 10


def check(bundle: Bundle, vocabulary: Vocabulary) -> list[Problem]:
    """Every problem of the bundle's own documents, in the order of files and places; lines are filled where it was read from files."""
    findings = Findings(bundle, vocabulary)
    documents = _sound_documents(findings)
    findings.bundle = bundle.replace({key: documents.get(key) for key, given in bundle.documents.items() if documents.get(key) is not given})
    _drop_fields(findings, fields.entity_fields(findings))
    bad = fields.entity_references(findings)
    reported = len(findings.problems)
    for _ in range(_ROUNDS):
        if not bad:
            break
        _drop_fields(findings, bad)
        bad = fields.entity_references(findings)
        del findings.problems[reported:]
    _drop_fields(findings, cycles.derived_rings(findings))
    _drop_settings(findings, application.settings(findings))
    for part in (
        application.preset,
        application.choices,
        entities.entities,
        screens.forms,
        screens.lists,
        rules.rules,
        decisions.decisions,
        reports.reports,
        reports.dashboards,
        roles.roles,
        scenarios.scenarios,
        cycles.option_rings,
        cycles.line_rings,
        cycles.action_rings,
    ):
        part(findings)
    return ordered(findings.problems)


def check_folder(path: FilePath | str, vocabulary: Vocabulary, base: Documents | None = None) -> list[Problem]:
    """Every problem of a folder of definitions, those of its files first."""
    bundle, problems = Bundle.read_folder(path, base)
    if not problems and ("preset", "preset") not in bundle.documents:
        problems.append(Problem("preset_missing", KINDS["preset"], severity="warning"))
    return ordered([*problems, *check(bundle, vocabulary)])


def ordered(problems: list[Problem]) -> list[Problem]:
    """Problems once each, by file, line and place; errors before warnings of the same place."""
    once = {(item.file, item.pointer, item.code, item.column, repr(sorted(item.params.items()))): item for item in reversed(problems)}
    return [item for _, item in sorted(((_order(item), item) for item in once.values()), key=lambda pair: pair[0])]


def _order(item: Problem) -> tuple[object, ...]:
    at = tuple(token.zfill(6) if token.isdigit() else token for token in item.pointer.split("/"))
    return (item.file, item.line, at, item.severity, item.column, item.code, repr(sorted(item.params.items())))


def _sound_documents(findings: Findings) -> dict[Key, Mapping[str, Any]]:
    """Shape and keys of every document; what of each can be relied on."""
    found: dict[Key, Mapping[str, Any]] = {}
    for (kind, key), given in findings.whole.documents.items():
        if kind not in KINDS:
            findings.problems.append(Problem("unknown_kind", f"{kind}/{key}", params={"name": kind, "meant": closest(kind, KINDS)}))
            continue
        file, document = file_of(kind, key), given
        if kind in SINGLE_KINDS and key != kind:
            findings.problems.append(Problem("single_kind", file, params={"key": key, "kind": kind}))
            continue
        if (code := key_problem(key)) and (kind, key) not in findings.whole.positions:
            findings.problems.append(Problem(code, file, params={"key": key[:80]}))
        if not code and _is_clean(kind, document):
            found[(kind, key)] = document
            continue
        if (kind, key) not in findings.whole.positions:
            document = _as_text(findings, file, document)
        problems = shape_problems(kind, document, file)
        for problem in problems:
            fields.below(findings.spot(kind, key), problem.pointer).relay(problem)
        rest, _ = sound(kind, document) if problems else (document, False)
        if rest is not None and not code:
            found[(kind, key)] = rest
    return found


def _is_clean(kind: str, document: Any) -> bool:
    """Whether a document has the shape of its kind; remembered, so that checking a bundle anew costs only what changed in it."""
    return not too_deep(document) and _is_clean_text(kind, json.dumps(document, ensure_ascii=False))


@lru_cache(maxsize=8192)
def _is_clean_text(kind: str, text: str) -> bool:
    parsed = parse_document(text)
    return not parsed.problems and not shape_problems(kind, parsed.document)


def _as_text(findings: Findings, file: str, document: Any) -> Any:
    """A document that was never a file, held to what files are held to: depth, size, characters, numbers."""
    if too_deep(document):
        findings.problems.append(Problem("json_too_deep", file, params={"limit": MAX_DEPTH}))
        return {}
    parsed = parse_document(json.dumps(document, ensure_ascii=False), file)
    findings.problems += [Problem(item.code, item.file, item.pointer, item.params) for item in parsed.problems]
    return document if not parsed.problems else parsed.document


def _drop_fields(findings: Findings, bad: set[tuple[str, str]]) -> None:
    """Go on without these fields; expressions that mention them are not blamed for it."""
    if not bad:
        return
    changes: dict[Key, Mapping[str, Any] | None] = {}
    for entity in {entity for entity, _ in bad}:
        document = findings.bundle.documents.get(("entity", entity))
        if document is not None:
            kept = {key: field for key, field in document["fields"].items() if (entity, key) not in bad}
            changes[("entity", entity)] = {**document, "fields": kept}
    findings.broken |= {key for _, key in bad}
    findings.bundle = findings.bundle.replace(changes)


def _drop_settings(findings: Findings, bad: set[str]) -> None:
    document = findings.bundle.documents.get(("settings", "settings"))
    if bad and document is not None:
        findings.broken |= bad
        findings.bundle = findings.bundle.replace({("settings", "settings"): {key: value for key, value in document.items() if key not in bad}})


__all__ = ["check", "check_folder", "ordered"]
