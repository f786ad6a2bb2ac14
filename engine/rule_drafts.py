"""A rule as it might be: its draft, or a text somebody gives, checked against the published definitions and compiled over the entities as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.drafts import preview
from engine.errors import Fault, Invalid, NotFound
from engine.rules.book import CompiledRule
from engine.rules.compile import compile_rules, rule_book
from metadata.bundle import file_of
from metadata.canonical import canonical
from metadata.check import check
from metadata.documents import parse_document

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

KIND = "rule"


def drafted(ctx: Context, key: str) -> Mapping[str, Any] | None:
    """The rule as its draft says, merged with what was published since; None without a draft that changes it, or when the draft takes it out."""
    document = preview(ctx).bundle.documents.get((KIND, key))
    return None if document == ctx.workspace.bundle.documents.get((KIND, key)) else document


def text_of(body: Mapping[str, Any]) -> str:
    """A rule in the canonical form of its file."""
    return canonical(KIND, body)


def read_text(text: str) -> Mapping[str, Any]:
    """The document a text holds. Raises Invalid with every fault of its form."""
    parsed = parse_document(text)
    if parsed.problems or not isinstance(parsed.document, Mapping):
        raise Invalid("rule_wrong", faults=[Fault("/body", item.code, dict(item.params)) for item in parsed.problems] or [Fault("/body", "wrong_kind")])
    return parsed.document


def rule_of(workspace: Workspace, key: str, body: Mapping[str, Any] | None = None) -> CompiledRule:
    """The published rule of a key, or the one a body makes. Raises NotFound, Invalid "rule_wrong" with what is wrong with the body."""
    if body is None:
        found = rule_book(workspace).rules.get(key)
        if found is None:
            raise NotFound("unknown_rule", rule=key[:60])
        return found
    bundle = workspace.bundle.replace({(KIND, key): body})
    wrong = [item for item in check(bundle, workspace.registry.vocabulary()) if item.severity == "error" and item.file == file_of(KIND, key)]
    if wrong or body.get("retired"):
        faults = [Fault(item.pointer, item.code, dict(item.params)) for item in wrong]
        raise Invalid("rule_wrong", problems=wrong, faults=faults or [Fault("/retired", "unknown_rule", {"rule": key})])
    return compile_rules(workspace, bundle).rules[key]


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """A document as JSON keeps it."""
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found
