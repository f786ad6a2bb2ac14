"""Rings among definitions: derived fields that need each other, options that are their own ancestors, actions that call each other."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metadata.check.findings import Findings, own_documents
from metadata.shape import numbered
from metadata.words import closest

Node = tuple[str, str]
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NAME = re.compile(r"(?<![\w.])([a-z_][a-z0-9_]*)(?:\.([a-z_][a-z0-9_]*))?(?!\s*\()")


def names_in(source: object) -> list[tuple[str, str]]:
    """The (name, attribute) pairs an expression mentions, without parsing it: good enough to find what may depend on what."""
    return _NAME.findall(_TEXT.sub("''", source)) if isinstance(source, str) else []


def rings(graph: Mapping[Node, Sequence[Node]]) -> list[list[Node]]:
    """Rings of a graph, at least one of every connected tangle, found without recursion."""
    state: dict[Node, int] = {}
    found = []
    for start in graph:
        if start in state:
            continue
        path: list[Node] = []
        stack: list[tuple[Node, Iterator[Node]]] = [(start, iter(graph[start]))]
        state[start] = 1
        path.append(start)
        while stack:
            node, following = stack[-1]
            target = next((item for item in following if item in graph and state.get(item) != 2), None)
            if target is None:
                state[node] = 2
                stack.pop()
                path.pop()
            elif state.get(target) == 1:
                found.append(path[path.index(target) :])
            else:
                state[target] = 1
                path.append(target)
                stack.append((target, iter(graph[target])))
    return found


def derived_rings(findings: Findings) -> set[Node]:
    """Formulas, look-ups and roll-ups that need themselves; the fields concerned."""
    graph = {
        (entity, field.key): _needs(findings, entity, field.type, field.options)
        for entity, definition in findings.bundle.entities.items()
        for field in definition.fields.values()
        if field.type in ("formula", "lookup", "rollup")
    }
    concerned: set[Node] = set()
    for ring in rings(graph):
        concerned |= set(ring)
        entity, key = ring[0]
        spot = findings.spot("entity", entity) / "fields" / key
        spot.report("cycle_fields", cycle=" -> ".join(f"{owner}.{name}" for owner, name in [*ring, ring[0]]))
    return concerned


def _needs(findings: Findings, entity: str, kind: str, options: Mapping[str, Any]) -> list[Node]:
    source, _, name = str(options.get("from", "")).partition(".")
    if kind == "lookup":
        link = findings.field(entity, source)
        return [(entity, source), (findings.target(link) if link else "", name)]
    if kind == "rollup":
        return [*((source, str(options[word])) for word in ("of", "by") if word in options), *_mentioned(findings, source, options.get("where"))]
    return _mentioned(findings, entity, options.get("value"))


def _mentioned(findings: Findings, entity: str, source: object) -> list[Node]:
    nodes = []
    for name, attribute in names_in(source):
        nodes.append((entity, name))
        link = findings.field(entity, name) if attribute else None
        if link is not None:
            nodes.append((findings.target(link), attribute))
    return nodes


def option_rings(findings: Findings) -> None:
    """Options that are their own ancestors, in sets that are their own parent set; sets that are."""
    cascaded = {field.options.get("choices") for entity in findings.bundle.entities.values() for field in entity.fields.values() if "parent" in field.options}
    for key, document in own_documents(findings, "choices"):
        options = document["options"]
        graph: dict[Node, list[Node]] = {}
        for code, option in options.items():
            parents = option.get("parent", ())
            graph[(key, code)] = [(key, parent) for parent in ([parents] if isinstance(parents, str) else parents)]
        if "of" in document or key in cascaded:
            continue
        for (_, code), parents in graph.items():
            for _, parent in parents:
                if parent not in options:
                    spot = findings.spot("choices", key) / "options" / code / "parent"
                    spot.report("unknown_option_code", name=parent, choices=key, meant=closest(parent, sorted(options)))
        for ring in rings(graph):
            (findings.spot("choices", key) / "options" / ring[0][1] / "parent").report("cycle_options", cycle=" -> ".join(code for _, code in [*ring, ring[0]]))
    sets = {("", key): [("", str(document["of"]))] for key, document in own_documents(findings, "choices") if "of" in document and document["of"] != key}
    for ring in rings(sets):
        (findings.spot("choices", ring[0][1]) / "of").report("cycle_choices", cycle=" -> ".join(key for _, key in [*ring, ring[0]]))


def line_rings(findings: Findings) -> None:
    """Entities that are child lines of each other."""
    graph = {("", key): [("", document["lines_of"])] for key, document in own_documents(findings, "entity") if document.get("lines_of", key) != key}
    for ring in rings(graph):
        (findings.spot("entity", ring[0][1]) / "lines_of").report("cycle_lines", cycle=" -> ".join(key for _, key in [*ring, ring[0]]))


def action_rings(findings: Findings) -> None:
    """Actions that call each other."""
    rules = {str(document["on"].get("action")): (key, document) for key, document in own_documents(findings, "rule") if "action" in document["on"]}
    graph = {("", action): [("", called) for called in _calls(document["then"])] for action, (_, document) in rules.items()}
    for ring in rings(graph):
        key, _ = rules[ring[0][1]]
        (findings.spot("rule", key) / "on" / "action").report("cycle_actions", cycle=" -> ".join(action for _, action in [*ring, ring[0]]))


def _calls(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    pending = list(steps)
    while pending:
        step = pending.pop()
        if "do" in step:
            yield str(step["do"])
        for word in ("then", "else", "done", "approved", "refused", "expired", "withdrawn", "finally"):
            pending += [inner for _, inner in numbered(step.get(word, ()))]
