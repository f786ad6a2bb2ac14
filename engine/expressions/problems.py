"""How an expression that cannot be accepted is reported: every problem with its 1-based column, a code and parameters; never a sentence."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from metadata.vocabulary import ExpressionProblem

#: Known words looked at for a guess.
_LOOKED_AT = 2_000


class ExpressionRefused(Exception):
    """The text is no expression of this language, or does not fit where it stands. ``problems`` lists all that were found."""

    def __init__(self, *problems: ExpressionProblem) -> None:
        super().__init__("; ".join(f"{item.column}: {item.code} {dict(item.params)}" for item in problems))
        self.problems: tuple[ExpressionProblem, ...] = problems


class NoSqlFace(Exception):
    """A part of the expression can be computed in Python only. ``what`` names it, ``column`` is 1-based."""

    def __init__(self, what: str, column: int) -> None:
        super().__init__(f"{column}: {what}")
        self.what = what
        self.column = column


def problem(column: int, code: str, **params: object) -> ExpressionProblem:
    """A problem at a 1-based column."""
    return ExpressionProblem(max(1, column), f"expression_{code}", params)


def refuse(column: int, code: str, **params: object) -> ExpressionRefused:
    """The exception of one problem, to be raised."""
    return ExpressionRefused(problem(column, code, **params))


def meant(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ''."""
    near = [item for item in islice(known, _LOOKED_AT) if abs(len(item) - len(word)) < 4]
    found = get_close_matches(word, near, n=1, cutoff=0.6)
    return found[0] if found else ""
