"""Finding something on a long page of our own (rules, parameters) by words somebody types. Records are searched by the engine."""

from __future__ import annotations

from starlette.requests import Request

LONGEST = 60


def sought(request: Request) -> str:
    """The words asked for."""
    return str(request.query_params.get("q", "")).strip()[:LONGEST]


def has_words(words: str, *texts: str) -> bool:
    """Whether each of the words stands somewhere in these texts; true for no words."""
    told = "\n".join(texts).casefold()
    return all(word in told for word in words.casefold().split())
