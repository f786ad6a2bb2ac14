"""The scope compiler: the only one that names a record table for reading. Every statement it gives carries the reader's rows and leaves out the deleted.

Decides nothing (access.py does) and runs nothing (records/query.py does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Grant, Guard, Rows, any_of, grant_of, remember
from engine.expressions.language import Expression, Names, parse
from engine.expressions.to_sql import condition, value

if TYPE_CHECKING:
    from engine.actors import Actor
    from engine.expressions.types import Type
    from engine.workspace import CompiledEntity, CompiledField, Workspace

Clause = sa.ColumnElement[bool]

#: Read-only columns every record has that may be filtered and sorted by.
OPEN_SYSTEM_FIELDS = ("id", "created_at", "created_by", "updated_at", "updated_by", "version")


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
        """The column of a field; a formula that is not stored is put in its place."""
        field = self._entity.fields.get(name)
        if field is None:
            return self._columns[name]  # type: ignore[no-any-return]
        if field.column is not None:
            return self._columns[field.column.key]  # type: ignore[no-any-return]
        if field.formula is not None:
            return value(field.formula, TableNames(self._workspace, self._entity, self._columns))
        raise KeyError(name)

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


def row_clauses(rows: bool | tuple[Expression, ...], names: TableNames) -> list[Clause]:
    """Row conditions as WHERE terms: none for all rows, ``false`` for none."""
    if isinstance(rows, bool):
        return [] if rows else [sa.false()]
    return [sa.or_(*(condition(item, names) for item in rows))]


@dataclass(frozen=True, slots=True)
class Scope:
    """One entity as one actor may see it, over one FROM element."""

    workspace: Workspace
    entity: CompiledEntity
    actor: Actor
    grant: Grant
    source: Any                                   # the table, or an alias of it
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

    def holds(self, rows: Rows) -> Clause:
        """A row condition as a column (true or false, never unknown)."""
        if isinstance(rows, bool):
            return sa.literal(rows)
        return sa.case((condition(rows, self.names), sa.true()), else_=sa.false())

    def visible(self, guard: Guard) -> Clause:
        """Whether a guarded field is there, per row."""
        return sa.or_(sa.false(), *(self._term(rows) for rows in guard.visible))

    def clear(self, guard: Guard) -> Clause:
        """Whether a guarded field is shown in clear, per row."""
        return sa.case((sa.or_(sa.false(), *(sa.and_(self._term(rows), self._not(mask)) for rows, mask in guard.clear)), sa.true()), else_=sa.false())

    def _term(self, rows: Rows) -> Clause:
        return (sa.true() if rows else sa.false()) if isinstance(rows, bool) else condition(rows, self.names)

    def _not(self, rows: Rows) -> Clause:
        return (sa.false() if rows else sa.true()) if isinstance(rows, bool) else condition(rows, self.names, negate=True)

    def user_terms(self, source: str) -> Clause:
        """A person's own condition as a WHERE term: over open fields of rows and links they may see. Raises ExpressionRefused."""
        names = TableNames(self.workspace, self.entity, self.source.c, self.actor)
        return condition(user_expression(self.workspace, self.actor, self.entity, source), names)


def scope_of(workspace: Workspace, actor: Actor, entity: CompiledEntity, *, alias: bool = False) -> Scope:
    """The scope of an actor on an entity; ``alias`` for a second look at a table that a statement already names."""
    source: Any = entity.table.alias() if alias else entity.table
    return Scope(workspace, entity, actor, grant_of(workspace, actor, entity), source, TableNames(workspace, entity, source.c))


def user_expression(workspace: Workspace, actor: Actor, entity: CompiledEntity, source: str) -> Expression:
    """A condition a person gave, parsed with the names that exist for them: what they may not read is as unknown as what is not there."""
    roles = ("*",) if actor.kind == "system" else actor.roles
    return remember(workspace, ("where", entity.key, roles, source), lambda: parse(source, user_names(workspace, actor, entity), wants=_boolean()))


def user_names(workspace: Workspace, actor: Actor, entity: CompiledEntity) -> Names:
    """The names a person may use in conditions on an entity."""
    raise NotImplementedError


def split_alternatives(rows: bool | tuple[Expression, ...]) -> tuple[Expression, ...]:
    """The alternatives of a row condition that may each use an index of their own; () when there is only one."""
    return rows if isinstance(rows, tuple) and len(rows) > 1 else ()


__all__ = ["OPEN_SYSTEM_FIELDS", "Scope", "TableNames", "any_of", "row_clauses", "scope_of", "user_expression"]
_ = (Iterable, Mapping, Sequence)
