"""The scope compiler: the only one that names a record table for reading. Every statement it gives carries the reader's rows and leaves out the deleted.

Decides nothing (access.py does) and runs nothing (records/query.py does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.operators import custom_op

from engine.access import Grant, Guard, Rows, grant_of, remember
from engine.errors import Fault, Invalid
from engine.expressions.language import Expression, Names, NameSpace, parse
from engine.expressions.nodes import Compare, Field, LinkField, Logic, Node, Space
from engine.expressions.problems import ExpressionRefused, NoSqlFace
from engine.expressions.to_sql import condition, value
from engine.expressions.types import BOOLEAN, Type, link_to
from engine.workspace_types import SYSTEM_TYPES

if TYPE_CHECKING:
    from engine.context import Actor
    from engine.workspace import CompiledEntity, CompiledField, Workspace

Clause = sa.ColumnElement[bool]

#: More alternatives than this are asked as one condition.
MOST_ALTERNATIVES = 6


class TableNames:
    """Field names of one entity as columns of one FROM element. With an ``actor``, links lead only to rows and fields that actor may see."""

    __slots__ = ("_actor", "_columns", "_entity", "_workspace", "dialect")

    def __init__(self, workspace: Workspace, entity: CompiledEntity, columns: Any, actor: Actor | None = None) -> None:
        self._workspace = workspace
        self._entity = entity
        self._columns = columns
        self._actor = actor
        self.dialect = workspace.database.dialect

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """The column of a field; a formula that is not stored is put in its place. For a person: empty in rows where they see it masked."""
        field = self._entity.fields.get(name)
        if field is None:
            return self._columns[name]  # type: ignore[no-any-return]
        found = self._stored(field)
        return found if self._actor is None else self._guarded(name, found)

    def _guarded(self, name: str, found: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        guard = grant_of(self._workspace, self._actor, self._entity).guards.get(name) if self._actor is not None else None
        if guard is None:
            return found
        return sa.case((clear_term(guard, TableNames(self._workspace, self._entity, self._columns)), found), else_=sa.null())

    def _stored(self, field: CompiledField) -> sa.ColumnElement[Any]:
        if field.column is not None:
            return self._columns[field.column.key]  # type: ignore[no-any-return]
        if field.formula is not None:
            return value(field.formula, TableNames(self._workspace, self._entity, self._columns))
        raise KeyError(field.key)

    def blind(self, name: str) -> sa.ColumnElement[Any]:
        """The blind-index column of an encrypted field."""
        companion = self._entity.fields[name].bi_column
        if companion is None:
            raise KeyError(name)
        return self._guarded(name, self._columns[companion.key])

    def hop(self, link: str) -> tuple[sa.FromClause, TableNames]:
        """The table a link leads to, as an alias of its own, and the names there."""
        entity = self._workspace.entities[self._entity.fields[link].target]
        alias: sa.FromClause = entity.table.alias()
        if self._actor is not None:
            granted = grant_of(self._workspace, self._actor, entity)
            names = TableNames(self._workspace, entity, alias.c)
            seen = sa.select(alias).where(alias.c.deleted_at.is_(None), *row_clauses(granted.condition("read"), names))
            alias = seen.subquery()
        return alias, TableNames(self._workspace, entity, alias.c, self._actor)


class _Unled(TableNames):
    """Names whose columns SQLite will not look up in an index."""

    __slots__ = ()

    @classmethod
    def of(cls, names: TableNames) -> _Unled:
        return cls(names._workspace, names._entity, names._columns, names._actor)

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """The column, not to be led by."""
        return unindexed(super().column(name))


def _parts(expression: Expression, dialect: str, led: bool) -> list[tuple[Expression, bool]]:
    """A condition in parts, each with whether SQLite is to keep from its index: where the rows of one person are asked for, theirs is the index to go by,
    whatever SQLite thinks of a value it knows little about."""
    tree = expression.tree
    if dialect != "sqlite" or (led and not _demands_me(tree)):
        return [(expression, False)]
    parts = tree.parts if isinstance(tree, Logic) and tree.op == "and" else (tree,)
    return [(Expression(expression.source, part, BOOLEAN), _fixes_value(part)) for part in parts]


def _fixes_value(node: Node) -> bool:
    """Of a choice or the like: a link to a record leaves few rows by itself."""
    return isinstance(node, Compare) and node.op in ("eq", "in") and isinstance(node.left, Field) and not isinstance(node.left, LinkField)


def row_clauses(rows: bool | tuple[Expression, ...], names: TableNames) -> list[Clause]:
    """Row conditions as WHERE terms: none for all rows, ``false`` for none."""
    if isinstance(rows, bool):
        return [] if rows else [sa.false()]
    return [sa.or_(*(condition(item, names) for item in rows))]


def _term(rows: Rows, names: TableNames, *, negate: bool = False) -> Clause:
    if isinstance(rows, bool):
        return sa.true() if rows is not negate else sa.false()
    return condition(rows, names, negate=negate)


def clear_term(guard: Guard, names: TableNames) -> Clause:
    """True exactly where a guarded field is shown in clear."""
    return sa.or_(sa.false(), *(sa.and_(_term(rows, names), _term(mask, names, negate=True)) for rows, mask in guard.clear))


@dataclass(frozen=True, slots=True)
class Scope:
    """One entity as one actor may see it, over one FROM element."""

    workspace: Workspace
    entity: CompiledEntity
    actor: Actor
    grant: Grant
    source: Any  # the table, or an alias of it
    names: TableNames

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """The column of a field or system field."""
        return self.names.column(name)

    def rows(self, verb: str = "read") -> list[Clause]:
        """The terms every statement of this verb carries: not deleted, read by the actor, and reached by the verb."""
        terms: list[Clause] = [self.source.c.deleted_at.is_(None), *row_clauses(self.grant.condition("read"), self.names)]
        if verb != "read":
            terms += row_clauses(self.grant.condition(verb), self.names)
        return terms

    def select(self, *columns: sa.ColumnElement[Any], verb: str = "read") -> sa.Select[Any]:
        """A select of the rows the verb reaches."""
        return sa.select(*columns).where(*self.rows(verb)).execution_options(scoped=True)

    def beside(self, rows: bool | tuple[Expression, ...]) -> list[Clause]:
        """A row condition as WHERE terms that SQLite is not to be led by: something else leaves few rows."""
        return row_clauses(rows, _Unled.of(self.names))

    def user_beside(self, expression: Expression) -> Clause:
        """As ``user_condition``, not to be led by either."""
        return condition(expression, _Unled.of(TableNames(self.workspace, self.entity, self.source.c, self.actor)))

    def holds(self, rows: Rows) -> Clause:
        """A row condition as a column (true or false, never unknown)."""
        if isinstance(rows, bool):
            return sa.literal(rows)
        return sa.case((condition(rows, self.names), sa.true()), else_=sa.false())

    def visible(self, guard: Guard) -> Clause:
        """Whether a guarded field is there, per row."""
        return sa.or_(sa.false(), *(_term(rows, self.names) for rows in guard.visible))

    def clear(self, guard: Guard) -> Clause:
        """Whether a guarded field is shown in clear, per row; never unknown."""
        return sa.case((clear_term(guard, self.names), sa.true()), else_=sa.false())

    def shown(self, name: str) -> sa.ColumnElement[Any]:
        """A column as its reader sees it: empty where it is masked."""
        return TableNames(self.workspace, self.entity, self.source.c, self.actor).column(name)

    def user_expression(self, source: str) -> Expression:
        """A person's own condition, parsed. Raises Invalid."""
        return user_expression(self.workspace, self.actor, self.entity, source)

    def user_condition(self, expression: Expression, *, led: bool = True) -> Clause:
        """A parsed one as a WHERE term; not ``led``: SQLite goes by other conditions than values it fixes. Raises Invalid."""
        names = TableNames(self.workspace, self.entity, self.source.c, self.actor)
        try:
            return sa.and_(*(condition(part, _Unled.of(names) if led_away else names) for part, led_away in _parts(expression, names.dialect, led)))
        except NoSqlFace as missing:
            raise Invalid("where_refused", faults=[Fault("/where", "expression_python_only", {"what": missing.what, "column": missing.column})]) from missing


def scope_of(workspace: Workspace, actor: Actor, entity: CompiledEntity, *, alias: bool = False) -> Scope:
    """The scope of an actor on an entity; ``alias`` for a second look at a table that a statement already names."""
    source: Any = entity.table.alias() if alias else entity.table
    return Scope(workspace, entity, actor, grant_of(workspace, actor, entity), source, TableNames(workspace, entity, source.c))


def user_expression(workspace: Workspace, actor: Actor, entity: CompiledEntity, source: str) -> Expression:
    """A condition a person gave, parsed with the names that exist for them: what they may not read is as unknown as what is not there.

    Raises Invalid with every problem in it.
    """
    roles = ("*",) if actor.kind == "system" else actor.roles
    try:
        return remember(workspace, ("where", entity.key, roles, source), lambda: parse(source, user_names(workspace, actor, entity), BOOLEAN))
    except ExpressionRefused as refused:
        raise Invalid("where_refused", faults=[Fault("/where", item.code, {"column": item.column, **item.params}) for item in refused.problems]) from refused


def user_names(workspace: Workspace, actor: Actor, entity: CompiledEntity) -> Names:
    """The names a person may use in conditions on an entity: fields they may read in clear in some row, links only to such."""

    def known(key: str) -> Mapping[str, Type]:
        target = workspace.entities.get(key)
        if target is None:
            return {}
        granted = grant_of(workspace, actor, target)
        if not granted.allowed("read"):
            return {}
        return {**SYSTEM_TYPES, **{name: item.expression_type for name, item in target.fields.items() if granted.shows(name)}}

    whole = workspace.book.names(entity.key, frozenset({"me"}))
    return replace(whole, fields=known(entity.key), hops=lambda type_: known(type_.entity) if type_.entity else None)


def link_condition(workspace: Workspace, owner: CompiledEntity, field: CompiledField) -> Expression:
    """Which records a link field may point to: an expression over the target in which ``record`` is the row that links."""

    def build() -> Expression:
        names = workspace.book.names(field.target, frozenset({"me"}))
        spaces = {**names.spaces, "record": NameSpace(link_to(owner.key))}
        return parse(str(field.definition.options["where"]), replace(names, spaces=spaces), BOOLEAN)

    return remember(workspace, ("link condition", owner.key, field.key), build)


def split_alternatives(rows: bool | tuple[Expression, ...]) -> tuple[Expression, ...]:
    """The alternatives of a row condition that may each use an index of their own; () when there is only one, or too many to ask one by one."""
    if isinstance(rows, bool):
        return ()
    found: list[Expression] = []
    for one in rows:
        parts = one.tree.parts if isinstance(one.tree, Logic) and one.tree.op == "or" else (one.tree,)
        found += [one] if len(parts) == 1 else [Expression(f"{one.source} [{index}]", part, BOOLEAN) for index, part in enumerate(parts)]
    return tuple(found) if 1 < len(found) <= MOST_ALTERNATIVES else ()


def is_narrow(rows: bool | tuple[Expression, ...]) -> bool:
    """Whether a row condition leaves each person a small part of the table: it demands that a field of the record is the person."""
    return isinstance(rows, tuple) and all(_demands_me(one.tree) for one in rows)


def is_of_me(rows: bool | tuple[Expression, ...]) -> bool:
    """Whether each alternative of a row condition compares a field of the record with the person or something of theirs (``team in me.teams``)."""
    return isinstance(rows, tuple) and all(_compares_me(one.tree) for one in rows)


def _compares_me(node: Node) -> bool:
    if isinstance(node, Logic):
        return (any if node.op == "and" else all)(_compares_me(part) for part in node.parts)
    if not isinstance(node, Compare) or node.op not in ("eq", "in"):
        return False
    sides = (node.left, node.right)
    return any(isinstance(side, Space) and side.path[0] == "me" for side in sides) and any(isinstance(side, Field) for side in sides)


def is_narrow_guard(guard: Guard) -> bool:
    """Whether a field stands in clear only in a small part of each person's rows: those of which a field is the person."""
    return bool(guard.clear) and all(
        (not isinstance(rows, bool) and _demands_me(rows.tree)) or (not isinstance(mask, bool) and _denies_me(mask.tree)) for rows, mask in guard.clear
    )


def _denies_me(node: Node) -> bool:
    return isinstance(node, Compare) and node.op == "ne" and any(isinstance(side, Space) and side.path == ("me",) for side in (node.left, node.right))


def _demands_me(node: Node) -> bool:
    if isinstance(node, Logic):
        return (any if node.op == "and" else all)(_demands_me(part) for part in node.parts)
    if not isinstance(node, Compare) or node.op != "eq":
        return False
    sides = (node.left, node.right)
    return any(isinstance(side, Space) and side.path == ("me",) for side in sides) and any(isinstance(side, Field) for side in sides)


def among(column: sa.ColumnElement[Any], name: str, dialect: str) -> Clause:
    """The column is one of the ids (or texts) bound under a name by ``ids_value``: one bind however many there are, so the statement's text never changes."""
    if dialect == "postgresql":
        kind = sa.Text() if isinstance(column.type, sa.String) else sa.BigInteger()
        return column == sa.any_(sa.bindparam(name, type_=ARRAY(kind), required=True))
    return column.in_(sa.select(sa.func.json_each(sa.bindparam(name, type_=sa.Text, required=True)).table_valued("value").c.value))


def ids_value(ids: Iterable[Any], dialect: str) -> object:
    """What ``among`` wants bound."""
    kept = list(ids)
    return kept if dialect == "postgresql" else orjson.dumps(kept).decode()


def unindexed(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The same value, which SQLite will not look up in an index: a hint to drive a statement from elsewhere."""
    return sa.UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def engine_select(entity: CompiledEntity, *columns: sa.ColumnElement[Any], deleted: bool = False) -> sa.Select[Any]:
    """What the engine itself must see to keep guarantees and derived values true, beyond any person's rows. Nothing of it is given to people."""
    select = sa.select(*columns) if deleted else sa.select(*columns).where(entity.table.c.deleted_at.is_(None))
    return select.execution_options(scoped=True)
