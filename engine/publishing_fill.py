"""Values a publish has to make: derived fields that are new or say something else, search tokens, blind indexes, values of a changed type.

Computing one value is the record room's work; here it is decided which, in which order, and done in chunks. Versions of records do not rise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.actors import system_actor
from engine.clock import State
from engine.context import Cause, Context
from engine.expressions.to_sql import value
from engine.fields.base import Value, Wrong, accepted
from engine.records.carried import Share, carry, carry_anew
from engine.records.derived import own_value
from engine.records.derived_rollups import gather
from engine.records.search import token_columns, write_tokens
from engine.records.work import Row, Work
from engine.schema.plan import SchemaPlan, Step
from engine.schema.tables import plain_table
from engine.scope import TableNames
from engine.surroundings import bound, needed_of
from engine.system_tables import history
from engine.workspace import CompiledEntity, CompiledField, Workspace

if TYPE_CHECKING:
    from engine.home import Home

CHUNK = 2_000
Place = tuple[str, str]
#: Words of a derived field's definition that its values depend on.
_WORDS = ("type", "value", "from", "measure", "of", "by", "where")


# --- which fields --------------------------------------------------------------------------------------------------------------------------


def dirty_fields(old: Workspace, new: Workspace) -> list[Place]:
    """Stored derived fields whose values must be computed anew, each after those it reads."""
    if not old.version:
        return []
    reads = {(entity.key, key): _reads(new, entity, item) for entity in new.entities.values() for key, item in entity.fields.items() if item.derived}
    carried = {(entity.key, item.key): {(entity.key, item.link), (item.entity, item.field)} for entity in new.entities.values() for item in entity.carried}
    reads |= carried
    changed = {place for place in _places(new) if _differs(old, new, place)} | (carried.keys() - _carried_columns(old, new))
    order = _ordered(reads)
    for place in order:
        if reads[place] & changed:
            changed.add(place)
    return [place for place in order if place in changed and (place in carried or new.entities[place[0]].fields[place[1]].column is not None)]


def _carried_columns(old: Workspace, new: Workspace) -> set[Place]:
    """Carried values that are kept true already, in the same column."""
    was = {(entity.key, item.key): str(item.column.key) for entity in old.entities.values() for item in entity.carried}
    return {(entity.key, item.key) for entity in new.entities.values() for item in entity.carried if was.get((entity.key, item.key)) == str(item.column.key)}


def _places(workspace: Workspace) -> Iterator[Place]:
    return ((entity.key, key) for entity in workspace.entities.values() for key in entity.fields)


def _ordered(reads: Mapping[Place, set[Place]]) -> list[Place]:
    try:
        return list(TopologicalSorter({place: sorted(sources & reads.keys()) for place, sources in reads.items()}).static_order())
    except CycleError:
        return list(reads)


def _reads(workspace: Workspace, entity: CompiledEntity, item: CompiledField) -> set[Place]:
    """The fields a derived one is made from, of its own entity and of others."""
    if item.rollup is not None:
        names = {item.rollup.link, item.rollup.of, item.rollup.by} - {""}
        return {(item.rollup.entity, name) for name in (names | set(item.rollup.where.fields) if item.rollup.where else names)}
    if item.lookup is not None:
        return {(entity.key, item.lookup.link), (item.lookup.entity, item.lookup.field)}
    found = set()
    for path in item.formula.reads if item.formula else ():
        if path[0] in entity.fields:
            found.add((entity.key, path[0]))
            if len(path) > 1 and entity.fields[path[0]].target:
                found.add((entity.fields[path[0]].target, path[1]))
    return found


def _differs(old: Workspace, new: Workspace, place: Place) -> bool:
    """Whether a field's values may differ from those kept: another column, another definition, another setting it reads."""
    entity = old.entities.get(place[0])
    if entity is None:
        return False
    now, was = new.entities[place[0]].fields[place[1]], entity.fields.get(place[1])
    if not now.derived:
        return was is not None and was.column is not None and now.column is not None and was.column.key != now.column.key
    if was is None or was.column is None or now.column is None or was.column.key != now.column.key:
        return True
    if any(was.definition.body.get(word) != now.definition.body.get(word) for word in _WORDS):
        return True
    settings = {path[1] for path in now.formula.reads if path[0] == "setting" and len(path) > 1} if now.formula else set()
    return any(old.settings.get(name) != new.settings.get(name) for name in settings)


# --- filling -------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Filler:
    """One run over the steps of a plan. Without ``connection`` each chunk is a transaction of its own (behind people's work)."""

    home: Home
    connection: sa.Connection | None
    old: Workspace
    new: Workspace
    state: State
    only: Mapping[str, frozenset[int]] | None = None  # entity -> records to look at; None: all

    @contextmanager
    def work(self) -> Iterator[Work]:
        """A transaction's work as the publishing principal, on the candidate."""
        if self.connection is not None:
            yield self._work(self.connection)
            return
        with self.new.database.write(background=True) as connection:
            yield self._work(connection)

    def _work(self, connection: sa.Connection) -> Work:
        return Work(
            Context(
                home=self.home,
                workspace=self.new,
                actor=system_actor("publishing"),
                now=self.state.now,
                cause=Cause("publish"),
                connection=connection,
                transaction="write",
                background=True,
            )
        )

    def chunks(self, entity: CompiledEntity, affected: Callable[[Work], Collection[int]] | None = None) -> Iterator[tuple[Work, list[int]]]:
        """Ids of a table in order, chunk by chunk; only the affected ones when catching up."""
        if self.only is not None:
            with self.work() as work:
                ids = sorted(affected(work)) if affected else sorted(self.only.get(entity.key, ()))
                for start in range(0, len(ids), CHUNK):
                    yield work, ids[start : start + CHUNK]
            return
        last = 0
        while True:
            with self.work() as work:
                ids = list(
                    work.connection.execute(
                        sa.select(entity.table.c.id).where(entity.table.c.id > last).order_by(entity.table.c.id).limit(CHUNK),
                        execution_options={"scoped": True},
                    ).scalars()
                )
                if ids:
                    yield work, ids
            if len(ids) < CHUNK:
                return
            last = ids[-1]

    # one kind of step each

    def derive(self, step: Step) -> None:
        entity = self.new.entities[step.entity]
        if step.field not in entity.fields:
            self._carry(entity, step.field)
            return
        item = entity.fields[step.field]
        if self.only is None and item.formula is not None and self._in_sql(entity, item):
            self._derive_in_sql(entity, item)
            return
        for work, ids in self.chunks(entity, lambda work: self._affected(work, entity, item)):
            rows = work.fetch(entity.key, ids, lock=True)
            gathered = gather(work, entity, {one: {item.key} for one in rows}) if item.rollup is not None else {}
            changes = []
            for one, before in rows.items():
                found = gathered[one][item.key] if item.rollup is not None else own_value(work, entity, item.key, before)
                if found != before.get(item.key):
                    changes.append((before, {**before, item.key: found}, (item.key,)))
            self._write(work, entity, changes)

    def _carry(self, entity: CompiledEntity, key: str) -> None:
        """What rows carry of linked records; when catching up, of and by the records changed meanwhile."""
        if self.only is None:
            for work, span in self._ranges(entity):
                carry_anew(self.new, work.connection, entity, key, span)
            return
        item = next(one for one in entity.carried if one.key == key)
        with self.work() as work:
            carry(self.new, work.connection, [Share(entity, item.link, (item.field,), sorted(self.only.get(item.entity, ())))])
            for one in self.only.get(entity.key, frozenset()):
                carry_anew(self.new, work.connection, entity, key, (one, one))

    def _in_sql(self, entity: CompiledEntity, item: CompiledField) -> bool:
        """Whether the SQL face can do it: nothing sealed is read or written, and no search token hangs on it."""
        if item.encrypted or item.formula is None or not item.formula.has_sql or item.letter:
            return False
        for path in item.formula.reads:
            own = entity.fields.get(path[0])
            far = self.new.entities[own.target].fields.get(path[1]) if own is not None and own.target and len(path) > 1 else None
            if (own is not None and (own.encrypted or own.volatile)) or (far is not None and (far.encrypted or far.volatile)):
                return False
        return True

    def _derive_in_sql(self, entity: CompiledEntity, item: CompiledField) -> None:
        assert item.formula is not None and item.column is not None
        names = TableNames(self.new, entity, entity.table.c)
        statement = sa.update(entity.table).values({item.column.key: value(item.formula, names)}).execution_options(scoped=True)
        needed = needed_of(statement)
        for work, ids in self._ranges(entity):
            part = statement if ids is None else statement.where(entity.table.c.id.between(*ids))
            work.connection.execute(part, bound(work.ctx, needed))

    def _ranges(self, entity: CompiledEntity) -> Iterator[tuple[Work, tuple[int, int] | None]]:
        """The whole table at once inside the publishing transaction, ranges of ids in transactions of their own beside running work."""
        if self.connection is not None:
            yield self._work(self.connection), None
            return
        for work, ids in self.chunks(entity):
            yield work, (ids[0], ids[-1])

    def convert(self, step: Step) -> None:
        """Values of a changed type: as people see the old one, read as the new one reads a cell; what it cannot read stays in the old column only."""
        entity, was = self.new.entities[step.entity], self.old.entities[step.entity].fields.get(step.field)
        now = entity.fields[step.field]
        if was is None or was.column is None or now.column is None:
            return
        table = plain_table(entity.key, sa.Column(str(was.column.key), was.column.type))
        source = sa.select(table.c.id, table.c[was.column.key])
        read = now.type.cell_reader(now.value, self.new.scope.of(entity.key))
        for work, ids in self.chunks(entity):
            found = {
                one: kept for one, kept in work.connection.execute(source.where(table.c.id.in_(ids)), execution_options={"scoped": True}) if kept is not None
            }
            changes = []
            for one, before in work.fetch(entity.key, list(found), lock=True).items():
                after = _converted(was, read, self._opened(entity.key, was, found[one]), self.old)
                if after is not None and (self.only is not None or before.get(now.key) is None):
                    changes.append((before, {**before, now.key: after}, (now.key,)))
            self._write(work, entity, changes)

    def _opened(self, entity: str, item: CompiledField, kept: Any) -> Value:
        if not item.encrypted:
            return kept
        return item.type.from_plain(self.old.cipher.open(kept, f"{entity}.{item.key}"), item.value)

    def seal(self, step: Step) -> None:
        """Write an encrypted field again, so that its companions are there."""
        entity = self.new.entities[step.entity]
        for work, ids in self.chunks(entity):
            self._write(work, entity, [(row, row, (step.field,)) for row in work.fetch(entity.key, ids, lock=True).values() if row.get(step.field) is not None])

    def tokens(self, step: Step) -> None:
        """Search tokens of every record that is not deleted."""
        entity = self.new.entities[step.entity]
        for work, ids in self.chunks(entity):
            rows = [(one, row) for one, row in work.fetch(entity.key, ids, lock=True).items() if row.get("deleted_at") is None]
            if entity.search_table is not None:
                write_tokens(work.connection, entity, rows, fresh=False)
            elif rows:
                statement = (
                    sa.update(entity.table)
                    .where(entity.table.c.id == sa.bindparam("w_id"))
                    .values(search__tokens=sa.bindparam("w_tokens", type_=entity.table.c.search__tokens.type))
                    .execution_options(scoped=True)
                )
                work.connection.execute(statement, [{"w_id": one, "w_tokens": token_columns(entity, row)["search__tokens"]} for one, row in rows])

    def _write(self, work: Work, entity: CompiledEntity, changes: Sequence[tuple[Row, Row, Sequence[str]]]) -> None:
        if changes:
            work.update_computed(entity, changes)
            work.finish()

    def _affected(self, work: Work, entity: CompiledEntity, item: CompiledField) -> set[int]:
        """Records whose derived value may have changed while the version was prepared."""
        assert self.only is not None
        found = set(self.only.get(entity.key, ()))
        if item.rollup is not None:
            child = work.entity(item.rollup.entity)
            rows = work.fetch(child.key, self.only.get(child.key, frozenset()))
            found |= {row[item.rollup.link] for row in rows.values() if row.get(item.rollup.link) is not None}
            found |= self.only.get(f"{child.key}.{item.rollup.link}", frozenset())
        for link, target in _hops(entity, item):
            found |= set(work.pointing(entity, link, self.only.get(target, frozenset())))
        return found


def _hops(entity: CompiledEntity, item: CompiledField) -> Iterator[tuple[str, str]]:
    if item.lookup is not None:
        yield item.lookup.link, item.lookup.entity
    for path in item.formula.reads if item.formula else ():
        if len(path) > 1 and path[0] in entity.fields and entity.fields[path[0]].target:
            yield path[0], entity.fields[path[0]].target


def _converted(was: CompiledField, read: Callable[[object], Value], kept: Value, old: Workspace) -> Value:
    for face in (was.type.to_cell, was.type.to_json):
        try:
            return accepted(read, face(kept, was.value, old.scope))
        except (Wrong, ValueError, TypeError):
            continue
    return None


def fill(
    home: Home, connection: sa.Connection | None, old: Workspace, new: Workspace, schema: SchemaPlan, state: State, *, since: datetime | None = None
) -> None:
    """Make every value the plan's steps ask for. ``connection``: all in that transaction; None: in many small ones. ``since``: only what changed then."""
    steps = schema.of("change_type", "back_fill", "fill_blind", "fill_search")
    if not steps:
        return
    only = _changed_since(connection, since) if since is not None and connection is not None else None
    filler = _Filler(home, connection, old, new, state, only)
    kinds: Mapping[str, Callable[[Step], None]] = {
        "change_type": filler.convert,
        "back_fill": filler.derive,
        "fill_blind": filler.seal,
        "fill_search": filler.tokens,
    }
    for code in kinds:
        for step in steps:
            if step.code == code:
                kinds[code](step)


def _changed_since(connection: sa.Connection, since: datetime) -> dict[str, frozenset[int]]:
    """Records changed since an instant by entity; under ``ENTITY.LINK`` also what links pointed to before."""
    found: dict[str, set[int]] = {}
    for entity, record, before in connection.execute(sa.select(history.c.entity, history.c.record, history.c.before).where(history.c.at >= since)):
        found.setdefault(entity, set()).add(record)
        for name, was in _numbers(before):
            found.setdefault(f"{entity}.{name}", set()).add(was)
    return {place: frozenset(ids) for place, ids in found.items()}


def _numbers(before: object) -> Iterable[tuple[str, int]]:
    return [(name, was) for name, was in before.items() if type(was) is int] if isinstance(before, Mapping) else []
