"""Decision tables: typed inputs in, the outputs of the first row that matches out. Pure; what its caller does with them is the rule's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.expressions.language import Expression
from engine.fields.base import Value, Wrong, accepted
from engine.rules.book import Term
from metadata.check.decisions import field_document
from metadata.definitions import read_fields
from metadata.text import Label

if TYPE_CHECKING:
    from engine.workspace import Workspace

Parse = Callable[[str, str], Expression | None]
#: Evaluates a term of a table with its inputs as names.
Evaluate = Callable[[Term, Mapping[str, Value]], Value]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A row: outputs it names (constants, or expressions over the inputs), and flags."""

    key: str
    title: Label
    condition: Term
    outputs: Mapping[str, Term]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A table, ready to ask. ``explain``: a text with {row}, {title} and names of inputs and outputs in braces."""

    title: Label
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[DecisionRow, ...]
    explain: Label = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def decide(self, given: Mapping[str, Value], evaluate: Evaluate) -> dict[str, Value]:
        """The outputs of the first matching row, those not named empty; ``key``, ``flags`` and ``explain`` beside them. No row: all empty."""
        inputs = {name: given.get(name) for name in self.inputs}
        for row in self.rows:
            if row.condition is True or (isinstance(row.condition, Expression) and evaluate(row.condition, inputs)):
                outputs = {name: evaluate(row.outputs[name], inputs) if name in row.outputs else None for name in self.outputs}
                return {**outputs, "key": row.key, "flags": list(row.flags), "explain": self._explained(row, {**inputs, **outputs})}
        return {**dict.fromkeys(self.outputs), "key": None, "flags": [], "explain": None}

    def _explained(self, row: DecisionRow, values: Mapping[str, Value]) -> str | None:
        """In Chinese, the language of the records a verdict is kept in."""
        text = self.explain.get("zh") or next(iter(self.explain.values()), "") if isinstance(self.explain, Mapping) else self.explain
        title = row.title.get("zh") or next(iter(row.title.values()), "") if isinstance(row.title, Mapping) else row.title
        for name, value in {**values, "title": title or row.key, "key": row.key}.items():
            text = text.replace(f"{{{name}}}", "" if value is None else str(value))
        return text or None


def compile_decision(workspace: Workspace, body: Mapping[str, Any], title: Label, parse: Parse) -> Decision:
    """A sound decision document, its constants read as values of their types."""
    outputs = {name: field_document(item) for name, item in body["outputs"].items()}
    rows = []
    for number, row in enumerate(body["rows"]):
        at = f"/rows/{number}"
        condition = parse(f"{at}/if", row["if"]) if isinstance(row["if"], str) else row["if"]
        then = {name: _output(workspace, name, outputs.get(name), given, f"{at}/then/{name}", parse) for name, given in row["then"].items()}
        rows.append(DecisionRow(row["key"], row.get("title", ""), condition, then, tuple(row.get("flags", ()))))
    return Decision(title, tuple(body["inputs"]), tuple(body["outputs"]), tuple(rows), body.get("explain", ""), body)


def _output(workspace: Workspace, name: str, document: Mapping[str, Any] | None, given: Any, at: str, parse: Parse) -> Term:
    if isinstance(given, Mapping) and isinstance(given.get("value"), str):
        return parse(f"{at}/value", given["value"])
    if document is None or given is None:
        return given
    like = read_fields({name: document})[name]
    kind = workspace.registry.field_types.get(like.type)
    if kind is None or kind.family != "value":
        return given
    try:
        return accepted(kind.json_reader(like, workspace.scope), given)
    except Wrong:
        return None
