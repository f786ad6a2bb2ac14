"""Finds over the engine's own tables: stages gone through, runs, approvals, notices. Rows come as mappings; there is nothing to write to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.errors import Conflict
from engine.expressions.binds import bind_values
from engine.expressions.evaluate import Evaluator
from engine.expressions.language import Expression
from engine.expressions.to_sql import SqlNames, condition, value
from engine.expressions.types import BOOLEAN
from engine.fields.base import Value
from engine.rules.effects import MOST_FOUND, Find
from engine.scope import TableNames
from engine.surroundings import needed_of
from engine.system_entities import SystemEntity

if TYPE_CHECKING:
    from engine.workspace import Workspace


class SystemNames:
    """The fields of a system table as columns."""

    def __init__(self, workspace: Workspace, entity: SystemEntity) -> None:
        self._workspace = workspace
        self._entity = entity
        self.dialect = workspace.database.dialect

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column; KeyError for one that is not offered."""
        return self._entity.column(name)

    def hop(self, link: str) -> tuple[sa.FromClause, SqlNames]:
        """The people a person field leads to."""
        target = self._workspace.entities[self._entity.fields[link].entity]
        alias = target.table.alias()
        return alias, TableNames(self._workspace, target, alias.c)

    def blind(self, name: str) -> sa.ColumnElement[Any]:
        """None of them is encrypted."""
        raise KeyError(name)


def find_system(
    workspace: Workspace,
    connection: sa.Connection,
    entity: SystemEntity,
    effect: Find,
    evaluator: Evaluator,
    evaluate: Callable[[Expression, Mapping[str, Value], dict[str, Value]], Value],
) -> Value:
    """The result of a find as ``Find`` says, a mapping for each row. Raises Conflict "rule_found_too_many" rather than leave rows out."""
    names, spaces = SystemNames(workspace, entity), dict(effect.spaces)

    def parsed(given: Expression | str, wants: str = "") -> Expression:
        return given if isinstance(given, Expression) else workspace.expression(entity.key, given, wants, ("me",))

    terms = [] if entity.where is None else [entity.where]
    if effect.where is not None:
        terms.append(condition(parsed(effect.where, str(BOOLEAN)), names))
    if effect.take == "count" or isinstance(effect.take, tuple):
        measure, of = effect.take if isinstance(effect.take, tuple) else ("count", "")
        column = getattr(sa.func, measure)(value(parsed(of), names)) if of else sa.func.count()
        select: sa.Select[Any] = sa.select(column).select_from(entity.table).where(*terms)
        found = connection.execute(select, bind_values(evaluator, needed_of(select), **spaces)).scalar()
        return 0 if found is None and measure in ("sum", "count") else found
    order = [(value(parsed(what), names).desc() if down else value(parsed(what), names).asc()).nulls_last() for what, down in effect.sort]
    limit = 1 if effect.take == "one" else effect.take if isinstance(effect.take, int) else MOST_FOUND
    columns: list[sa.ColumnElement[Any]] = [entity.column(name).label(name) for name in entity.fields]
    select = sa.select(*columns).where(*terms).order_by(*order, entity.table.c.id).limit(limit)
    rows = [dict(row) for row in connection.execute(select, bind_values(evaluator, needed_of(select), **spaces)).mappings()]
    if effect.take == "all" and len(rows) == MOST_FOUND:
        raise Conflict("rule_found_too_many", entity=entity.key, limit=MOST_FOUND)
    if effect.show:
        rows = [{name: evaluate(expression, spaces, row) for name, expression in effect.show.items()} for row in rows]
    return (rows[0] if rows else None) if effect.take in ("one", 1) else rows
