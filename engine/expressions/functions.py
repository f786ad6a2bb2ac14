"""What a function of the language is: its typing rule, its Python face and its SQL face, declared side by side. The functions stand in ``shelf``.

A plugin declares one by a signature in words (``"text, integer -> text"``); only the engine's own use typing rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from engine.expressions.coercion import Coercion
from engine.expressions.nodes import Call, EnvironmentCall, Node
from engine.expressions.problems import refuse
from engine.expressions.types import Type
from metadata.text import Label
from metadata.vocabulary import FunctionWord

Column = sa.ColumnElement[Any]


class SqlFace(Protocol):
    """What a function's SQL face may ask of the compiler."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def value(self, node: Node) -> Column:
        """The SQL of a value; NULL for empty."""

    def holds(self, node: Node, positive: bool = True) -> Column:
        """A term that is true exactly where the condition is (or is not), else false or NULL."""

    def nullable(self, node: Node) -> bool:
        """Whether a value may be empty."""

    def zone(self, part: str) -> Column:
        """The workspace's time zone as a bind: its ``name``, or its ``utc_steps``, ``local_steps`` or ``offsets`` (PostgreSQL)."""


class Site(Protocol):
    """What a typing rule may ask: the columns for refusals and the coercion of arguments."""

    coercion: Coercion

    def choose(self, column: int, args: tuple[Node, ...]) -> Node:
        """``case`` over checked arguments."""

    def list_of(self, column: int, nodes: tuple[Node, ...]) -> Node:
        """A list over checked items."""

    def member(self, op: str, left: Node, right: Node, column: int) -> Node:
        """``in`` or ``not_in`` over checked sides."""


Typing = Callable[["Function", Site, int, tuple[Node, ...]], Node]
SqlValue = Callable[[SqlFace, Call], Column]
SqlHolds = Callable[[SqlFace, Call, bool], Column]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One function. ``python`` takes the argument values (``environment`` first where ``in_environment``) and gives the result, None for empty; it never raises.

    ``sql`` is the value's SQL, ``holds`` that of a condition with its polarity; neither: Python only. ``passes``: the result is one of the
    arguments, so a wanted type is wanted of them. ``volatile``: depends on the moment. ``hidden``: made by the compiler only.
    ``repeats``: how often its SQL repeats an argument, ``nesting`` how deeply it wraps it. ``nullable``: may be
    empty; ``strict``: only when an argument is; ``hollow``: always when an argument is.
    """

    name: str
    signature: str
    help: Label
    typing: Typing
    python: Callable[..., Any]
    sql: SqlValue | None = None
    holds: SqlHolds | None = None
    in_environment: bool = False
    passes: bool = False
    volatile: bool = False
    hidden: bool = False
    repeats: int = 1
    nesting: int = 5
    nullable: bool = True
    strict: bool = False
    hollow: bool = False

    @property
    def has_sql(self) -> bool:
        """Whether it can be used where rows are searched."""
        return self.sql is not None or self.holds is not None or self.python is by_typing

    def call(self, type: Type, column: int, args: Sequence[Node]) -> Node:
        """A call of this function with checked arguments."""
        return (EnvironmentCall if self.in_environment else Call)(type, column, self, tuple(args))

    def word(self) -> FunctionWord:
        """This function as metadata's vocabulary sees it."""
        return FunctionWord(self.name, self.signature, self.help, self.has_sql)


@dataclass(frozen=True, slots=True)
class Signature:
    """Argument types and a result, read from words: ``text, integer? -> text``; ``text... -> text``; ``text|integer`` takes either."""

    args: tuple[tuple[Type, ...], ...]
    result: Type
    least: int
    repeats: bool

    @staticmethod
    def read(words: str) -> Signature:
        """Raises ValueError for what is no signature."""
        given, arrow, result = words.partition("->")
        if not arrow:
            raise ValueError(words)
        parts = [part.strip() for part in given.split(",") if part.strip()]
        repeats = bool(parts) and parts[-1].endswith("...")
        args = tuple(tuple(Type.read(name.strip()) for name in part.rstrip("?.").split("|")) for part in parts)
        least = sum(1 for part in parts if not part.endswith("?"))
        return Signature(args, Type.read(result.strip()), least, repeats)

    def check(self, function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
        """The call with its arguments brought to the declared types."""
        count(function, column, args, self.least, None if self.repeats else len(self.args))
        brought = []
        for index, node in enumerate(args):
            wanted = self.args[min(index, len(self.args) - 1)]
            fitting = next((item for item in wanted if site.coercion.fits(node, item)), wanted[0])
            brought.append(site.coercion.to(node, fitting))
        return function.call(self.result, column, brought)


def by_typing(*values: Any) -> Any:
    """The Python face of a function whose typing rule puts other nodes in its place; both faces are theirs."""
    raise AssertionError("replaced when it was typed")


def count(function: Function, column: int, args: Sequence[Node], least: int, most: int | None) -> None:
    """Refuse a wrong number of arguments."""
    if len(args) < least or (most is not None and len(args) > most):
        raise refuse(column, "argument_count", function=function.name, signature=function.signature, given=len(args))


def declared(words: str) -> Typing:
    """The typing rule of a signature in words."""
    signature = Signature.read(words)
    return signature.check


def declare(name: str, words: str, help: Label, python: Callable[..., Any], *, sql: SqlValue | None = None, holds: SqlHolds | None = None) -> Function:
    """A function from a plugin: typed by its signature, with an SQL face or Python only."""
    return Function(name, f"({words.replace('->', ') ->', 1)}".replace(" )", ")"), help, declared(words), python, sql, holds)


Functions = Mapping[str, Function]
