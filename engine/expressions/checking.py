"""Expressions of definitions checked before they are published: which names are open at a place, and every problem of a text standing there.

What types the fields of a bundle have is known by whoever compiles bundles; here it is asked for (TypeSource).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from engine.expressions.faces import without_sql
from engine.expressions.functions import Functions
from engine.expressions.language import Expression, parse
from engine.expressions.names import Names, NameSpace
from engine.expressions.nodes import Call, Node, Space, walk
from engine.expressions.problems import ExpressionRefused, problem
from engine.expressions.shelf import FUNCTIONS
from engine.expressions.types import ANY, INSTANT, INTEGER, PERSON, TEXT, Type, UnknownType, link_to
from metadata.vocabulary import ExpressionCheck, ExpressionPlace, ExpressionProblem

#: The option set whose codes are the bundle's roles.
ROLES = "role"
#: What ``me`` has beside the fields of a person.
ME: Mapping[str, Type] = {
    "role": Type("choice", of=ROLES),
    "roles": Type("choices", of=ROLES),
    "team": Type("team"),
    "teams": Type("list", item=Type("team")),
    "lead": PERSON,
}
RUN: Mapping[str, Type] = {"at": INSTANT, "due": TEXT, "version": INTEGER, "settings": INTEGER, "title": TEXT, "cause": TEXT, "occurrence": INTEGER}
TALLY: Mapping[str, Type] = {"done": INTEGER, "refused": INTEGER, "failed": INTEGER}
ANSWER: Mapping[str, Type] = {"by": PERSON, "opinion": TEXT, "at": INSTANT}


class TypeSource(Protocol):
    """The types of one bundle."""

    def fields(self, entity: str) -> Mapping[str, Type]:
        """Live fields of an entity and its system fields; empty when there is no such entity."""

    def settings(self) -> Mapping[str, Type]:
        """Settings by key."""

    def parameter(self, key: str, document: Mapping[str, Any]) -> Type:
        """The type of a parameter given as a field document."""

    def codes(self, choices: str) -> Collection[str] | None:
        """The codes of an option set (roles included); None when there is no such set."""

    def lines(self, entity: str) -> Sequence[str]:
        """Entities edited as lines of one."""

    def knows(self, entity: str) -> bool:
        """Whether there is such an entity, the engine's own included."""


def me_space() -> NameSpace:
    """``me``: the acting person."""
    return NameSpace(PERSON, ME)


def names_for(source: TypeSource, place: ExpressionPlace) -> Names:
    """Every name open at a place: fields, settings, parameters, spaces and carried names."""
    spaces: dict[str, NameSpace | Mapping[str, Type] | Type] = {"setting": source.settings()}
    fixed: Mapping[str, NameSpace | Mapping[str, Type]] = {
        "me": me_space(),
        "run": RUN,
        "tally": TALLY,
        "answer": NameSpace(ANY, ANSWER),
        "param": {key: source.parameter(key, document) for key, document in place.params.items()},
        "lines": {key: Type("rows", of=key) for key in source.lines(place.entity or "")},
    }
    spaces |= {name: fixed[name] for name in place.spaces if name in fixed}
    for name in ("record", "old"):
        entity = place.names.get(name) or place.entity
        if name in place.spaces or name in place.names:
            spaces[name] = NameSpace(link_to(entity)) if entity else NameSpace(ANY)
    spaces |= {name: carried(source, given) for name, given in place.names.items() if name not in spaces}
    names = Names(source.fields(place.entity) if place.entity else {}, _hops(source), spaces, place.entity, source.codes)
    return names.opened() if place.encrypted else names


def carried(source: TypeSource, given: str) -> NameSpace:
    """A carried name: a record of an entity, a value of a type in notation, or, when nothing is said, anything."""
    if given and source.knows(given):
        return NameSpace(link_to(given))
    try:
        return NameSpace(Type.read(given)) if given else NameSpace(ANY)
    except UnknownType:
        return NameSpace(ANY)


def _hops(source: TypeSource) -> Callable[[Type], Mapping[str, Type] | None]:
    def hops(type: Type) -> Mapping[str, Type] | None:
        return source.fields(type.entity) if type.entity else None

    return hops


def check_expression(source: TypeSource, place: ExpressionPlace, text: str, functions: Functions = FUNCTIONS) -> Sequence[ExpressionProblem]:
    """Every problem of a text at a place; () when it may stand there."""
    try:
        expression = parse(text, names_for(source, place), _wanted(place.wants), functions)
    except ExpressionRefused as refused:
        return refused.problems
    found = []
    if place.sql:
        missing = without_sql(expression.tree)
        if missing is not None:
            found.append(problem(missing.column, "python_only", what=missing.what))
    if place.stored and expression.volatile:
        found.append(problem(_moment(expression), "not_stored"))
    return tuple(found)


def kind_of(source: TypeSource, place: ExpressionPlace, text: str, functions: Functions = FUNCTIONS) -> str:
    """What a text at a place gives where its value alone would not tell: the entity of one record, the type of an amount in notation; else ''."""
    try:
        found = parse(text, names_for(source, place), None, functions).type
    except ExpressionRefused:
        return ""
    if found.linked:
        return found.entity
    return str(found) if found.exact and found.name != "integer" else ""


def _wanted(notation: str) -> Type | None:
    try:
        return Type.read(notation) if notation else None
    except UnknownType:
        return None


def _moment(expression: Expression) -> int:
    """The column of the first part that depends on the moment or on who asks."""

    def volatile(node: Node) -> bool:
        return (isinstance(node, Call) and node.function.volatile) or (isinstance(node, Space) and node.path[0] == "me")

    return min(node.column for node in walk(expression.tree) if volatile(node))


def checker(source_of: Callable[[Any], TypeSource], functions: Callable[[], Functions]) -> ExpressionCheck:
    """The check metadata's vocabulary carries. ``source_of`` gives the types of a bundle and may keep them."""

    def check(bundle: object, place: ExpressionPlace, text: str) -> Sequence[ExpressionProblem]:
        return check_expression(source_of(bundle), place, text, functions())

    return check
