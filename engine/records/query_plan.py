"""A question compiled once: its statements, by the ways that lead to the rows. Kept per version, roles and shape of question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from engine.database_ready import Ready
from engine.expressions.language import Expression
from engine.records.query_columns import Columns
from engine.records.query_order import Order
from engine.records.query_ways import Told, Way, told_where_clear
from engine.records.search import Sought
from engine.scope import Scope, is_narrow, is_of_me, row_clauses, split_alternatives, unindexed
from engine.surroundings import Needed, needed_of

#: A capped count stops here: "1000+".
COUNT_CAP = 1000
#: More branches than this are not united.
MOST_BRANCHES = 12


@dataclass(slots=True)
class Plan:
    """One question's statements, built when first asked. ``terms`` and ``where`` are all conditions beside the reader's rows and the search.

    ``read``: what is to be asked of the reader's rows, where the conditions do not make it certain. ``ways``: alternatives that stand for ``whole``,
    one more condition, where each is led by an index of its own.
    """

    scope: Scope
    columns: Columns
    order: Order
    terms: tuple[sa.ColumnElement[bool], ...]
    where: tuple[Expression, ...]
    search: Sought | None
    name: str  # what cursors are bound to
    read: bool | tuple[Expression, ...]
    ways: tuple[Way, ...] = ()
    whole: Expression | None = None
    led: bool = False  # a link among the terms is to lead to the rows, nothing else (SQLite)
    statements: dict[tuple[object, ...], Statement] = field(default_factory=dict)
    alone: bool = True  # whether one statement was enough for the last page; a guess for the next

    def page(self, phase: int, empties: tuple[bool, ...] | None, count: str | None = None) -> Statement:
        """The statement of a page: the first of its phase, or the one after a position whose values are empty as ``empties`` says.

        ``count``: its last column tells how many rows there are in all, "capped" or "exact".
        """
        key = ("page", phase, empties, count)
        found = self.statements.get(key)
        if found is None:
            more = self.order.terms(phase)
            if empties is not None:
                more.append(self.order.after(phase, empties))
            select = self._limited(more, phase)
            if count:
                select = select.add_columns(self._counting(capped=count != "exact").scalar_subquery())
            found = self.statements[key] = Statement.of(select)
        return found

    def count(self, *, capped: bool) -> Statement:
        """How many rows there are; capped at one more than COUNT_CAP."""
        key = ("count", capped)
        found = self.statements.get(key)
        if found is None:
            found = self.statements[key] = Statement.of(self._counting(capped=capped))
        return found

    def _counting(self, *, capped: bool) -> sa.Select[Any]:
        branches = [branch.ids(self.scope) for branch in self._branches((), 0, streamed=False)]
        if capped:
            branches = [branch.limit(COUNT_CAP + 1) for branch in branches]
        rows: Any = branches[0].subquery()
        if len(branches) > 1:
            together = sa.select(sa.union(*(sa.select(branch.subquery()) for branch in branches)).subquery())
            rows = (together.limit(COUNT_CAP + 1) if capped else together).subquery()
        return sa.select(sa.func.count()).select_from(rows).execution_options(scoped=True)

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Everything asked beside the reader's rows, as WHERE terms."""
        return [*self._asked(True), *(self.search.terms(self.scope) if self.search is not None else ())]

    def _asked(self, rows: bool | tuple[Expression, ...], way: Way | None = None) -> list[sa.ColumnElement[bool]]:
        """The conditions beside some rows, one way standing for the whole where it is given. Where the rows are a person's or their team's, these lead:
        SQLite, which does not look at values, might think that a value a list fixes leaves fewer."""
        last = way.condition if way is not None else self.whole
        asked = [*self.where, *([last] if last is not None else [])]
        return [*self.terms, *(self.scope.user_condition(one, led=not is_of_me(rows)) for one in asked)]

    def _elements(self) -> list[sa.ColumnElement[Any]]:
        """The columns, after them the sort values that a cursor is made of, and what tells whether a search means the row."""
        sorts = [key.column.label(f"s_{index}") for index, key in enumerate(self.order.keys)]
        return [*self.columns.elements, *sorts, *(self.search.evidence(self.scope) if self.search is not None else ())]

    def _limited(self, more: Sequence[sa.ColumnElement[bool]], phase: int) -> sa.Select[Any]:
        """One limited select, or a union of limited branches where the reader's rows are alternatives over different columns.

        The branches give ids and sort values; only the rows of the page are then read whole.
        """
        limit = sa.bindparam("p_limit", type_=sa.Integer, required=True)
        ordering = self.order.ordering(phase)
        branches = self._branches(more, phase, streamed=not self.order.keys)
        record_id = self.scope.column("id")
        if len(branches) == 1:
            only = branches[0]
            select = sa.select(*self._elements()).where(*only.terms).order_by(*only.ordering(ordering, self.order.id_descending)).limit(limit)
            return select.execution_options(scoped=True)
        sorts = [key.column.label(f"s_{index}") for index, key in enumerate(self.order.keys)]
        parts = [
            branch.ids(self.scope).add_columns(*sorts).order_by(*branch.ordering(ordering, self.order.id_descending)).limit(limit).subquery()
            for branch in branches
        ]
        together = sa.union(*(sa.select(part) for part in parts)).subquery()
        page = sa.select(together.c.id).order_by(*self.order.over(together).ordering(phase)).limit(limit)
        return sa.select(*self._elements()).where(record_id.in_(page)).order_by(*ordering).execution_options(scoped=True)

    def _branches(self, more: Sequence[sa.ColumnElement[bool]], phase: int, *, streamed: bool) -> list[Branch]:
        """The ways to the rows: one per alternative of the reader's rows, on SQLite also per way of a search and of a list's condition.

        PostgreSQL knows how often values occur: where some alternative is not one person's or team's rows, or a condition has alternatives of its own,
        it is asked as a whole and walks the order or sorts, as it finds cheaper.
        """
        scope, search, read = self.scope, self.search, self.read
        if self.led:
            return [self._branch(True, [*self.terms, *scope.beside(read), *(scope.user_beside(one) for one in self.where), *more])]
        clever = scope.names.dialect != "sqlite"
        if clever and search is not None:
            return [self._branch(True, [*self._asked(True), *more, self._found(search, read)])]
        if clever and not is_of_me(read):
            return [self._branch(read, [*self._asked(True), *more])]
        alternatives: list[bool | tuple[Expression, ...]] = [(one,) for one in split_alternatives(read)] or [read]
        if search is None:
            if clever or not self.ways or len(alternatives) * len(self.ways) > MOST_BRANCHES or (self.ways[0].alone and read is not True):
                return [self._branch(rows, [*self._asked(rows), *more]) for rows in alternatives]
            return list(self._together(alternatives, more, phase)) or [self._branch(False, [*self.terms, *more])]
        terms = [*self._asked(True), *more]
        found = [self._branch(read, [*terms, term]) for term in search.sealed_terms(scope)]
        if not search.fields:
            return found or [self._branch(False, terms)]
        narrow = search.is_narrow(scope)
        return [*found, *(self._token_branch(rows, terms, streamed, narrow or is_narrow(rows)) for rows in ([read] if narrow else alternatives))]

    def _found(self, search: Sought, read: bool | tuple[Expression, ...]) -> sa.ColumnElement[bool]:
        """Any way of a search with the reader's rows; where a field is only searched in rows that are theirs anyway, nothing more is asked of these."""
        scope = self.scope
        ways = [sa.and_(term, *row_clauses(read, scope.names)) for term in search.sealed_terms(scope)]
        for (_, guard), term in zip(search.groups(scope), search.token_terms(scope), strict=True):
            left = read if guard is None else told_where_clear(guard).left_of(read)
            ways.append(sa.and_(term, *row_clauses(left, scope.names)))
        return sa.or_(sa.false(), *ways)

    def _branch(self, rows: bool | tuple[Expression, ...], terms: Sequence[sa.ColumnElement[bool]]) -> Branch:
        return Branch((self.scope.source.c.deleted_at.is_(None), *row_clauses(rows, self.scope.names), *terms))

    def _open_ways(self, phase: int) -> list[Way]:
        """Those that can lead to rows of a phase: not to rows without a first sort value where they demand one."""
        return [way for way in self.ways if not (phase and self.order.keys[0].name in way.filled)]

    def _together(self, alternatives: Sequence[bool | tuple[Expression, ...]], more: Sequence[sa.ColumnElement[bool]], phase: int) -> Iterator[Branch]:
        """Each alternative of the reader's rows by each way, but for those that a way makes impossible: an index walked for nothing."""
        for rows in alternatives:
            for way in self._open_ways(phase):
                left = Told.by([way.condition]).left_of(rows)
                if left is not False:
                    yield self._way(left, more, way)

    def _way(self, rows: bool | tuple[Expression, ...], more: Sequence[sa.ColumnElement[bool]], way: Way) -> Branch:
        """A way whose index is not that of the order goes by its own: its few rows are sorted."""
        branch = self._branch(rows, [*self._asked(rows, way), *more])
        ranged = way.by - Told.by([way.condition]).values.keys()
        return replace(branch, sorted=bool(self.order.keys) and bool(ranged) and self.order.keys[0].name not in ranged)

    def _token_branch(self, rows: bool | tuple[Expression, ...], terms: Sequence[sa.ColumnElement[bool]], streamed: bool, narrow: bool) -> Branch:
        assert self.search is not None
        stream = self.search.stream(self.scope) if streamed and not narrow else None
        if stream is None:
            return self._branch(rows, [*terms, sa.or_(sa.false(), *self.search.token_terms(self.scope, narrow=narrow))])
        return replace(self._branch(rows, [*terms, *stream[1]]), walked=stream[0].c.rowid)


@dataclass(frozen=True, slots=True)
class Branch:
    """One way to the rows: its terms, and the token index's own row number where that drives the statement."""

    terms: tuple[sa.ColumnElement[bool], ...]
    walked: sa.ColumnElement[int] | None = None
    sorted: bool = False  # led by an index that is not the order's

    def ids(self, scope: Scope) -> sa.Select[Any]:
        """The ids it leads to."""
        return sa.select(scope.column("id").label("id")).where(*self.terms).execution_options(scoped=True)

    def ordering(self, ordering: Sequence[sa.ColumnElement[Any]], descending: bool) -> Sequence[sa.ColumnElement[Any]]:
        """The order, by the token index's own where that drives the statement (it is only asked in the order of ids)."""
        if self.walked is None:
            return [_sorting(ordering[0]), *ordering[1:]] if self.sorted else ordering
        return [self.walked.desc() if descending else self.walked.asc()]


def _sorting(term: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """An ORDER BY term that SQLite will not serve by an index."""
    return sa.UnaryExpression(unindexed(term.element), modifier=term.modifier) if isinstance(term, sa.UnaryExpression) else term


@dataclass(frozen=True, slots=True)
class Statement:
    """A prebuilt statement and the values of its surroundings it wants bound. ``ready``: the same, where its text never varies."""

    select: sa.Select[Any]
    needed: Needed
    ready: Ready

    @classmethod
    def of(cls, select: sa.Select[Any]) -> Statement:
        """Read off the statement what it wants."""
        return cls(select, needed_of(select), Ready(select))
