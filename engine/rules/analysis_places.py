"""Where in a document the analysis found something: file, pointer and line of rules, their steps and decision tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine.rules.book import CompiledRule, Step
from metadata.bundle import Bundle, file_of
from metadata.documents import pointer
from metadata.text import Label, label_text
from metadata.vocabulary import Problem, Severity

COMMA: Mapping[str, str] = {"zh": "、", "en": ", "}
ARROW: Mapping[str, str] = {"zh": " → ", "en": " → "}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in one document. ``spot / "then" / 2`` goes deeper."""

    bundle: Bundle
    kind: str
    key: str
    path: tuple[str | int, ...] = ()

    def __truediv__(self, token: str | int) -> Spot:
        return replace(self, path=(*self.path, token))

    def problem(self, code: str, severity: Severity = "error", column: int = 0, **params: object) -> Problem:
        """A problem here."""
        at = pointer(*self.path)
        positions = self.bundle.positions.get((self.kind, self.key))
        line, file_column = positions.place(at) if positions else (0, 0)
        return Problem(code, file_of(self.kind, self.key), at, params, line, column or file_column, severity)


@dataclass(frozen=True, slots=True)
class Places:
    """Places of a bundle's documents."""

    bundle: Bundle

    def of(self, kind: str, key: str) -> Spot:
        """The root of a document."""
        return Spot(self.bundle, kind, key)

    def steps(self, rule: CompiledRule) -> dict[str, Spot]:
        """The place of every step of a rule by its path."""
        return dict(_below(rule.steps, self.of("rule", rule.key) / "then"))


def _below(steps: tuple[Step, ...], spot: Spot) -> Iterator[tuple[str, Spot]]:
    for number, step in enumerate(steps):
        yield step.path, spot / number
        for word, branch in step.branches.items():
            yield from _below(branch, spot / number / word)


def together(titles: Iterable[Label], mark: Mapping[str, str] = COMMA) -> dict[str, str]:
    """Several titles as one label."""
    found = list(titles)
    return {locale: sign.join(label_text(title, locale) for title in found) for locale, sign in mark.items()}
