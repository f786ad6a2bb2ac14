"""Gives a registry's vocabulary its expression check: types of a bundle are found out once and kept for the next expression of the same bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import RLock
from typing import Any

from engine.expressions.checking import check_expression, kind_of
from engine.expressions.problems import ExpressionRefused
from engine.expressions.types import ANY, Type, UnknownType
from engine.fields.computed import NoShape
from engine.fields.scope import SHANGHAI
from engine.registry import Registry
from engine.workspace_types import TypeBook
from metadata.bundle import Bundle
from metadata.vocabulary import ExpressionCheck, ExpressionPlace, ExpressionProblem, KindOf

_KEPT = 8


class _Tolerant(Mapping[str, Type]):
    """Fields whose type cannot be told (their own problem is reported where they stand) are of any type."""

    def __init__(self, fields: Mapping[str, Type]) -> None:
        self._fields = fields

    def __getitem__(self, key: str) -> Type:
        if key not in self._fields:
            raise KeyError(key)
        try:
            return self._fields[key]
        except (ExpressionRefused, NoShape, KeyError, UnknownType, RecursionError):
            return ANY

    def __contains__(self, key: object) -> bool:
        return key in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class _Book(TypeBook):
    """The types of a bundle that may still be wrong."""

    def fields(self, entity: str) -> Mapping[str, Type]:
        return _Tolerant(TypeBook.fields(self, entity))

    def parameter(self, key: str, document: Mapping[str, Any]) -> Type:
        try:
            return TypeBook.parameter(self, key, document)
        except (NoShape, KeyError, UnknownType):
            return ANY


def expression_check(registry: Registry) -> tuple[ExpressionCheck, KindOf]:
    """The check of expressions against a bundle, and what they give, with this registry's field types and functions."""
    books: dict[Bundle, _Book] = {}
    lock = RLock()

    def book(bundle: Any) -> _Book:
        found = books.get(bundle)
        if found is None:
            if len(books) >= _KEPT:
                books.clear()
            found = books[bundle] = _Book(bundle, registry.field_types, SHANGHAI, registry.functions)
        return found

    def check(bundle: object, place: ExpressionPlace, text: str) -> tuple[ExpressionProblem, ...]:
        with lock:
            return tuple(check_expression(book(bundle), place, text, registry.functions))

    def kind(bundle: object, place: ExpressionPlace, text: str) -> str:
        with lock:
            return kind_of(book(bundle), place, text, registry.functions)

    return check, kind


def with_expressions(registry: Registry) -> Registry:
    """The registry, its vocabulary now checking expressions."""
    registry.check_with(*expression_check(registry))
    return registry
