"""What may be named at one point of a rule, as its steps give names one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metadata.vocabulary import ExpressionPlace


@dataclass(frozen=True, slots=True)
class Frame:
    """What may be named at one point of a rule. ``names``: carried names -> entity, type in notation (``integer``, ``rows:ENTITY``), or '' for any value;
    ``columns``: carried lists of rows -> their columns."""

    entity: str
    spaces: frozenset[str]
    params: Mapping[str, Mapping[str, object]]
    names: Mapping[str, str]
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def place(self, wants: str = "") -> ExpressionPlace:
        """An expression over the rule's own record."""
        return ExpressionPlace(self.entity or None, wants, self.spaces, self.params, self.names)

    def rows(self, entity: str, wants: str = "") -> ExpressionPlace:
        """An expression over the rows of another entity that are looked at."""
        return ExpressionPlace(entity or None, wants, self.spaces, self.params, self.names)

    def of_columns(self, columns: frozenset[str]) -> ExpressionPlace:
        """An expression over rows of values: bare names are their columns, which stand before names carried so far."""
        return ExpressionPlace(None, "", self.spaces, self.params, {**self.names, **dict.fromkeys(columns, "")})

    def naming(self, name: str, entity: str = "", columns: frozenset[str] = frozenset()) -> Frame:
        """The same with one more name."""
        kept = {key: value for key, value in self.columns.items() if key != name}
        return replace(self, names={**self.names, name: entity}, columns={**kept, name: columns} if columns else kept)

    def opening(self, *spaces: str) -> Frame:
        """The same with more name spaces."""
        return replace(self, spaces=self.spaces | set(spaces))
