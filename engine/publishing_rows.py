"""What publishing asks the data: counts, duplicates, and the conditions of partial indexes. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from engine.errors import Invalid
from engine.expressions.to_sql import condition
from engine.schema.index_spec import IndexSpec
from engine.schema.plan import Violation
from engine.schema.tables import plain_table
from engine.scope import TableNames
from engine.workspace import CompiledEntity, Workspace

_SCOPED = {"scoped": True}
#: Records shown of one group of duplicates.
GROUP_SHOWN = 10


class FreshNames(TableNames):
    """Names of an entity some of whose columns are not built yet: those are empty in every row."""

    def __init__(self, workspace: Workspace, entity: CompiledEntity, columns: Any, fresh: frozenset[str]) -> None:
        super().__init__(workspace, entity, columns)
        self._fresh = fresh

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """The column, or an empty value of its type."""
        found = super().column(name)
        return sa.literal(None, found.type) if getattr(found, "key", None) in self._fresh else found


def index_condition(workspace: Workspace, spec: IndexSpec, fresh: frozenset[str] = frozenset()) -> sa.ColumnElement[bool] | None:
    """The condition of a partial index over the table's columns; None for an index over all rows. Only constants may stand in it."""
    if not (spec.unique or spec.filled):
        return None
    entity = workspace.entities[spec.entity]
    columns = entity.table.c
    filled = spec.columns if spec.unique else spec.columns[:1]
    terms: list[sa.ColumnElement[bool]] = [columns.deleted_at.is_(None)] if spec.unique else []
    terms += [columns[name].is_not(None) for name in filled]
    if spec.where:
        expression = workspace.expression(spec.entity, spec.where, wants="boolean", spaces=frozenset())
        if any(len(path) > 1 or path[0] not in entity.fields for path in expression.reads) or expression.volatile:
            raise Invalid("unique_where_not_constant", entity=spec.entity, key=spec.key)
        terms.append(condition(expression, FreshNames(workspace, entity, columns, fresh)))
    return sa.and_(*terms)


def index_conditions(workspace: Workspace, specs: Iterable[IndexSpec]) -> dict[str, sa.ColumnElement[bool]]:
    """Conditions of all partial indexes by index name."""
    return {spec.name: found for spec in specs if (found := index_condition(workspace, spec)) is not None}


class DataRows:
    """Counts over the records there are now, asked with the workspace that is to be published."""

    def __init__(self, connection: sa.Connection, candidate: Workspace, there: Mapping[str, frozenset[str]]) -> None:
        self._connection = connection
        self._candidate = candidate
        self._there = there  # entity -> physical columns the database has
        self._counts: dict[str, int] = {}

    @staticmethod
    def _table(entity: str, *columns: str) -> sa.Table:
        return plain_table(entity, *(sa.Column(name) for name in columns))

    def _one(self, statement: sa.Select[Any]) -> int:
        return int(self._connection.execute(statement, execution_options=_SCOPED).scalar_one())

    def count(self, entity: str) -> int:
        """Records that are not deleted."""
        if entity not in self._counts:
            table = self._table(entity)
            self._counts[entity] = self._one(sa.select(sa.func.count()).select_from(table).where(table.c.deleted_at.is_(None)))
        return self._counts[entity]

    def filled(self, entity: str, column: str) -> int:
        """Records with a value in a column."""
        table = self._table(entity, column)
        return self._one(sa.select(sa.func.count()).select_from(table).where(table.c.deleted_at.is_(None), table.c[column].is_not(None)))

    def missing(self, entity: str, column: str) -> int:
        """Records without one."""
        table = self._table(entity, column)
        return self._one(sa.select(sa.func.count()).select_from(table).where(table.c.deleted_at.is_(None), table.c[column].is_(None)))

    def violations(self, spec: IndexSpec, limit: int) -> tuple[int, list[Violation]]:
        """How many groups of records share a key that is to be unique, and the first of them."""
        table = self._candidate.entities[spec.entity].table
        there = self._there.get(spec.entity, frozenset())
        if not set(spec.columns) <= there:
            return 0, []
        terms = index_condition(self._candidate, spec, frozenset(column.key for column in table.c) - there)
        assert terms is not None
        keys = [table.c[name] for name in spec.columns]
        groups = sa.select(*keys, sa.func.count().label("rows")).where(terms).group_by(*keys).having(sa.func.count() > 1)
        total = self._one(sa.select(sa.func.count()).select_from(groups.subquery()))
        shown = []
        for *values, rows in self._connection.execute(groups.order_by(sa.desc("rows")).limit(limit), execution_options=_SCOPED) if total else ():
            same = [key == value for key, value in zip(keys, values, strict=True)]
            ids = (
                self._connection.execute(sa.select(table.c.id).where(terms, *same).order_by(table.c.id).limit(GROUP_SHOWN), execution_options=_SCOPED)
                .scalars()
                .all()
            )
            shown.append(Violation(tuple(ids), rows))
        return total, shown
