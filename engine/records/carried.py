"""Carried values kept true: copied from the linked record in the statement that writes a row, and carried on, set by set, when that record changes.

They are no values of the record: no version rises, history notes nothing (it notes the record they are copied from), nobody is shown them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.scope import among, ids_value

if TYPE_CHECKING:
    from engine.workspace import Carried, CompiledEntity, Workspace

Place = tuple[str, str]  # (entity, link)


class Carrying:
    """What one transaction still has to carry on to the rows that link to records it changed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._due: dict[Place, tuple[set[int], set[str]]] = {}
        self._written: set[str] = set()  # entities of which this transaction has written rows
        self._made: set[tuple[str, int]] = set()  # records it has made: nobody else's rows can link to them

    def wrote(self, entity: str, made: int | None = None) -> None:
        """A row of an entity was written, or made."""
        self._written.add(entity)
        if made is not None:
            self._made.add((entity, made))

    def changed(self, entity: CompiledEntity, record_id: int, names: Iterable[str]) -> None:
        """Some fields of a record were written. To one made here only rows of entities written before can link: later ones copy it as it is then."""
        places = carriers(self._workspace)
        for name in names:
            for place in places.get((entity.key, name), ()):
                if (entity.key, record_id) in self._made and place[0] not in self._written:
                    continue
                ids, fields = self._due.setdefault(place, (set(), set()))
                ids.add(record_id)
                fields.add(name)

    def settle(self, connection: sa.Connection) -> None:
        """Bring every row up to date, the deleted ones too: they may come back."""
        due, self._due = self._due, {}
        left = [Share(self._workspace.entities[entity], link, tuple(sorted(fields)), sorted(ids)) for (entity, link), (ids, fields) in sorted(due.items())]
        while left:
            some, left = _together(left) if connection.dialect.name == "postgresql" else (left[:1], left[1:])
            carry(self._workspace, connection, some)


def carriers(workspace: Workspace) -> Mapping[Place, tuple[Place, ...]]:
    """Who carries a field: (entity, field) -> the links of other entities it is copied over."""

    def build() -> Mapping[Place, tuple[Place, ...]]:
        found: dict[Place, tuple[Place, ...]] = {}
        for entity in workspace.entities.values():
            for item in entity.carried:
                found[item.entity, item.field] = (*found.get((item.entity, item.field), ()), (entity.key, item.link))
        return found

    return remember(workspace, ("carriers",), build)


@dataclass(frozen=True, slots=True)
class Share:
    """What rows of one entity take of the records one of their links leads to."""

    child: CompiledEntity
    link: str
    fields: tuple[str, ...]
    targets: list[int]


def _together(shares: list[Share]) -> tuple[list[Share], list[Share]]:
    """The shares that one statement may write, and the others: it changes a row once."""
    some: dict[str, Share] = {}
    for share in shares:
        some.setdefault(share.child.key, share)
    return list(some.values()), [share for share in shares if some[share.child.key] is not share]


def carry(workspace: Workspace, connection: sa.Connection, shares: Sequence[Share]) -> None:
    """Copy fields of the target records to all rows whose links lead to them: one statement, however many; several entities only on PostgreSQL."""
    dialect = workspace.database.dialect

    def build() -> Ready:
        updates = []
        for number, share in enumerate(shares):
            items = [item for item in share.child.carried if item.link == share.link and item.field in share.fields]
            meant = among(share.child.table.c[link_column(share.child, share.link)], f"ids_{number}", dialect)
            updates.append(_copying(workspace, share.child, items).where(meant))
        if len(updates) == 1:
            return Ready(updates[0])
        parts = [update.returning(share.child.table.c.id).cte(f"part_{number}") for number, (share, update) in enumerate(zip(shares, updates, strict=True))]
        return Ready(sa.select(sa.literal(1)).add_cte(*parts).execution_options(scoped=True))

    statement = remember(workspace, ("carry", *((share.child.key, share.link, share.fields) for share in shares)), build)
    statement.run(connection, {f"ids_{number}": ids_value(share.targets, dialect) for number, share in enumerate(shares)})


def carry_anew(workspace: Workspace, connection: sa.Connection, child: CompiledEntity, key: str, span: tuple[int, int] | None) -> None:
    """Copy one carried value to all rows, or to those with ids from one to another: what publishing has to fill."""
    statement = _copying(workspace, child, [item for item in child.carried if item.key == key])
    connection.execute(statement if span is None else statement.where(child.table.c.id.between(*span)))


def _copying(workspace: Workspace, child: CompiledEntity, items: Iterable[Carried]) -> sa.Update:
    """Only rows that differ are written: a row left alone costs no new version on PostgreSQL and no index entry on either."""
    values = {str(item.column.key): _source(workspace, item, child.table.c[link_column(child, item.link)]) for item in items}
    differs = sa.or_(*(child.table.c[key].is_distinct_from(source) for key, source in values.items()))
    return sa.update(child.table).values(values).where(differs).execution_options(scoped=True)


def _source(workspace: Workspace, item: Carried, link: sa.ColumnElement[int], lock: Mapping[str, Any] | None = None) -> sa.ScalarSelect[Any]:
    target = workspace.entities[item.entity]
    alias = target.table.alias(f"of_{item.link}")
    select = sa.select(alias.c[_stored_as(target, item)]).where(alias.c.id == link).correlate_except(alias)
    return (select.with_for_update(of=alias, **lock) if lock is not None else select).scalar_subquery()


def _stored_as(target: CompiledEntity, item: Carried) -> str:
    column = target.fields[item.field].column
    assert column is not None  # only stored fields are carried
    return str(column.key)


def link_column(child: CompiledEntity, link: str) -> str:
    """The physical column of a link."""
    column = child.fields[link].column
    assert column is not None
    return str(column.key)


# --- rows being written --------------------------------------------------------------------------------------------------------------------------


def copies(workspace: Workspace, child: CompiledEntity, links: Collection[str] | None = None) -> dict[str, sa.ScalarSelect[Any]]:
    """What a row that is written carries, by column key: read by the writing statement itself, which wants ``binds_of`` the row.

    On PostgreSQL the linked record is locked until the transaction ends, so that nobody changes it unseen between this reading and the commit.
    """
    found = {}
    for item in child.carried:
        if links is None or item.link in links:
            wanted = sa.bindparam(f"carry_{item.link}", type_=sa.BigInteger, required=True)
            found[str(item.column.key)] = _source(workspace, item, wanted, _lock(workspace, child, item))
    return found


def binds_of(child: CompiledEntity, row: Mapping[str, Any], links: Collection[str] | None = None) -> dict[str, Any]:
    """The values ``copies`` wants."""
    return {f"carry_{item.link}": row.get(item.link) for item in child.carried if links is None or item.link in links}


def copied(
    workspace: Workspace, connection: sa.Connection, child: CompiledEntity, items: tuple[Carried, ...], targets: Collection[int]
) -> dict[int, tuple[Any, ...]]:
    """The values of ``items``, which share one link, by target: for many rows at once."""

    def build() -> sa.Select[Any]:
        target = workspace.entities[items[0].entity]
        columns = [target.table.c[_stored_as(target, item)] for item in items]
        select = sa.select(target.table.c.id, *columns).where(among(target.table.c.id, "ids", workspace.database.dialect)).order_by(target.table.c.id)
        lock = _lock(workspace, child, items[0])
        return (select.with_for_update(**lock) if lock is not None else select).execution_options(scoped=True)

    statement = remember(workspace, ("copied", child.key, items[0].link), build)
    rows = connection.execute(statement, {"ids": ids_value(sorted(targets), workspace.database.dialect)})
    return {row[0]: tuple(row[1:]) for row in rows}


def _lock(workspace: Workspace, child: CompiledEntity, item: Carried) -> Mapping[str, Any] | None:
    """As strongly as the transaction will lock the target anyway when it gathers its roll-ups: taking a weak lock first would invite a deadlock."""
    if workspace.database.dialect != "postgresql":
        return None
    gathers = any(
        field.rollup is not None and (field.rollup.entity, field.rollup.link) == (child.key, item.link)
        for field in workspace.entities[item.entity].fields.values()
    )
    return {"key_share": True} if gathers else {"read": True}
