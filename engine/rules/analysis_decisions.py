"""Decision tables judged case by case: rows that never win and cases no row is for, each with an example. Cases are tried, over what the conditions mention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from engine.expressions.evaluate import Environment, Evaluator
from engine.expressions.language import Expression
from engine.expressions.nodes import Call, Compare, Literal, Node, Space, walk
from engine.expressions.types import Type
from engine.rules.analysis_places import Places
from engine.rules.compile import decision_of
from engine.rules.decisions import Decision
from engine.rules.labels import Labels
from engine.rules.phrases import Around, literal
from metadata.vocabulary import Problem

if TYPE_CHECKING:
    from engine.workspace import Workspace

#: Cases do not depend on the moment they are judged at; conditions over the clock are tried at this one.
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
#: More cases than this are not all tried; then nothing is said of rows that might still win.
MOST_CASES = 20_000
Case = Mapping[str, Any]


def decisions(workspace: Workspace, places: Places) -> Iterator[Problem]:
    """Every decision table of a version."""
    for key in workspace.bundle.decisions:
        yield from _judged(workspace, key, decision_of(workspace, key), places)


def _judged(workspace: Workspace, key: str, table: Decision, places: Places) -> Iterator[Problem]:
    spot = places.of("decision", key)
    kinds = _kinds(workspace, table)
    domains = {name: _domain(workspace, table, name, kinds[name]) for name in table.inputs}
    cases = list(islice(_cases(domains), MOST_CASES + 1))
    whole = len(cases) <= MOST_CASES
    if not whole and any(row.condition is True for row in table.rows):
        return  # nothing is said of rows, and there is one for every case
    evaluator = Evaluator(Environment(_MOMENT, workspace.timezone, settings=workspace.settings))
    winners: dict[int, Case] = {}
    beaten: dict[int, tuple[Case, int]] = {}
    gap: Case | None = None
    for case in cases[:MOST_CASES]:
        matching = [number for number, row in enumerate(table.rows) if _matches(evaluator, row.condition, case)]
        if not matching:
            gap = case if gap is None else gap
            continue
        winners.setdefault(matching[0], case)
        for number in matching[1:]:
            beaten.setdefault(number, (case, matching[0]))
    for number, row in enumerate(table.rows):
        if not whole or number in winners:
            continue
        at = spot / "rows" / number
        if number in beaten:
            case, first = beaten[number]
            yield at.problem(
                "decision_row_beaten", "warning", row=row.title or row.key, first=table.rows[first].key, example=_told(workspace, table, kinds, case)
            )
        else:
            yield at.problem("decision_row_never", "warning", row=row.title or row.key)
    if gap is not None:
        yield (spot / "rows").problem("decision_gap", "warning", example=_told(workspace, table, kinds, gap))


def _kinds(workspace: Workspace, table: Decision) -> dict[str, Type]:
    documents = table.body.get("inputs", {})
    found = {}
    for name in table.inputs:
        document = documents.get(name)
        if isinstance(document, str):
            document = {"type": document}
        choices = document.get("choice") or document.get("choices") if isinstance(document, Mapping) else None
        found[name] = Type("choice", of=str(choices)) if choices else workspace.book.parameter(name, document) if document else Type("any")
    return found


def _domain(workspace: Workspace, table: Decision, name: str, kind: Type) -> list[Any]:
    """The values of an input that may make a difference: all of a small set, else the constants it is compared with and their neighbours."""
    if kind.name == "boolean":
        return [True, False]
    if kind.name == "choice" and kind.of:
        return [*workspace.scope.choices(kind.of).options, None]
    found = {value for row in table.rows if isinstance(row.condition, Expression) for value in _beside(workspace, row.condition.tree, name)}
    if kind.exact:
        found = {number + step for number in found if isinstance(number, int) for step in (-1, 0, 1)} or {0}
    return [*sorted(found, key=lambda value: (str(type(value)), value)), None] if found else [_any_of(kind), None]


def _any_of(kind: Type) -> Any:
    return 1 if kind.exact or kind.linked else "x" if kind.textual else True


def _beside(workspace: Workspace, tree: Node, name: str) -> Iterator[Any]:
    """Constants and settings an input is compared with."""
    for node in walk(tree):
        if not isinstance(node, Compare) or not any(_is_input(side, name) for side in (node.left, node.right)):
            continue
        for side in (node.left, node.right):
            for item in walk(side):
                if isinstance(item, Literal) and item.value is not None and not isinstance(side, Call):
                    yield item.value
                elif isinstance(item, Space) and item.path[0] == "setting" and len(item.path) == 2:
                    value = workspace.settings.get(item.path[1])
                    if value is not None and not isinstance(value, Mapping | list):
                        yield value


def _is_input(node: Node, name: str) -> bool:
    return any(isinstance(item, Space) and item.path in ((name,), ("param", name)) for item in walk(node))


def _cases(domains: Mapping[str, Sequence[Any]]) -> Iterator[Case]:
    for values in product(*domains.values()):
        yield dict(zip(domains, values, strict=True))


def _matches(evaluator: Evaluator, condition: object, case: Case) -> bool:
    if not isinstance(condition, Expression):
        return condition is True
    return evaluator.truth(condition, {}, **{**case, "param": case})


def _told(workspace: Workspace, table: Decision, kinds: Mapping[str, Type], case: Case) -> dict[str, str]:
    """A case in both languages."""
    found = {}
    for locale in ("zh", "en"):
        labels = Labels(workspace.bundle, locale)
        documents = table.body.get("inputs", {})
        said = []
        for name, value in case.items():
            document = documents.get(name)
            title = labels.parameter(name, document if isinstance(document, Mapping) else {})
            said.append(labels.word("assign", field=title, value=literal(value, kinds[name], Around(labels))))
        found[locale] = labels.listed(said)
    return found
