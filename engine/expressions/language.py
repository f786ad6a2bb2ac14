"""The language's front door: ``parse`` and the Expression it gives. What names there are says names.py; evaluating is evaluate.py, compiling to_sql.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from engine.expressions.analysis import Analysis
from engine.expressions.faces import without_sql
from engine.expressions.functions import Functions
from engine.expressions.guard import read
from engine.expressions.names import Names, NameSpace
from engine.expressions.nodes import Call, Field, Hop, MapValue, Node, Path, Space, walk
from engine.expressions.problems import ExpressionRefused
from engine.expressions.shelf import FUNCTIONS
from engine.expressions.types import Type

__all__ = ["Expression", "ExpressionRefused", "NameSpace", "Names", "Type", "parse"]


@dataclass(frozen=True, eq=False)
class Expression:
    """A checked expression: immutable, shared by all requests of a version, compared by identity."""

    source: str
    tree: Node
    type: Type

    @cached_property
    def reads(self) -> frozenset[Path]:
        """Dotted names it reads: ``("grade",)``, ``("owner", "team")``, ``("me", "team")``, ``("setting", "idle_days")``."""
        return frozenset(path for node in walk(self.tree) if (path := _path(node)) is not None)

    @cached_property
    def fields(self) -> frozenset[str]:
        """Fields of the row it reads, links it hops over included."""
        return frozenset(node.link if isinstance(node, Hop) else node.key for node in walk(self.tree) if isinstance(node, Field | Hop))

    @cached_property
    def volatile(self) -> bool:
        """Whether it depends on the moment or on who asks, so that its value cannot be stored."""
        return any((isinstance(node, Call) and node.function.volatile) or (isinstance(node, Space) and node.path[0] == "me") for node in walk(self.tree))

    @cached_property
    def has_sql(self) -> bool:
        """Whether it can be compiled to SQL."""
        return without_sql(self.tree) is None


def _path(node: Node) -> Path | None:
    match node:
        case Field(key=key):
            return (key,)
        case Hop(link=link, key=key):
            return (link, key)
        case Space(path=path):
            return path
        case MapValue(key=key):
            return ("setting", key)
    return None


def parse(source: str, names: Names, wants: Type | None = None, functions: Functions = FUNCTIONS) -> Expression:
    """The checked expression of a text. ``wants``: the type its place needs. Raises ExpressionRefused with every problem found, nothing else."""
    guarded = read(source)
    analysis = Analysis(guarded, names, functions)
    tree = analysis.root(guarded.tree, wants)
    if analysis.problems:
        raise ExpressionRefused(*sorted(analysis.problems, key=lambda item: item.column))
    return Expression(source, tree, tree.type if wants is None or wants.dynamic else wants)
