"""Where the expressions of rules and decisions stand: what each may name and of which type it must be, as the checker itself walks them.

The engine compiles rules from this, so that there is one walk and not two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metadata.bundle import Bundle
from metadata.check import decisions, rules
from metadata.check.findings import Findings, Spot
from metadata.documents import pointer
from metadata.vocabulary import ExpressionPlace, Vocabulary


@dataclass(frozen=True, slots=True)
class Places:
    """Places by kind, key of the definition, pointer and text (a template holds several texts at one pointer)."""

    found: Mapping[tuple[str, str, str, str], ExpressionPlace] = field(default_factory=dict)

    def find(self, kind: str, key: str, at: str, text: str) -> ExpressionPlace | None:
        """The place of an expression; None for a text that no checker looks at."""
        return self.found.get((kind, key, at, text))


class _Walk(Findings):
    """Notes places instead of checking what stands there."""

    def __init__(self, bundle: Bundle, vocabulary: Vocabulary) -> None:
        super().__init__(bundle, vocabulary)
        self.places: dict[tuple[str, str, str, str], ExpressionPlace] = {}

    def expression(self, spot: Spot, source: object, place: ExpressionPlace) -> None:
        if isinstance(source, str):
            self.places[spot.kind, spot.key, pointer(*spot.path), source] = place


def places(bundle: Bundle, vocabulary: Vocabulary) -> Places:
    """The places of every expression in the rules and decisions of a sound bundle."""
    walk = _Walk(bundle, vocabulary)
    rules.rules(walk)
    decisions.decisions(walk)
    return Places(walk.places)
