"""Gathering roll-ups: the values of several roll-ups for several records, one statement per (source, link), one more for each earliest or latest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.database_ready import Ready
from engine.expressions.to_sql import condition
from engine.fields.base import Value
from engine.scope import TableNames, among, engine_select, ids_value
from engine.surroundings import Needed, bound, needed_of

if TYPE_CHECKING:
    from engine.records.work import Work
    from engine.workspace import CompiledEntity, CompiledField

_PICKED = ("earliest", "latest")


def gather(work: Work, entity: CompiledEntity, wanted: Mapping[int, Collection[str]]) -> dict[int, dict[str, Value]]:
    """The values of the wanted roll-ups by record."""
    found: dict[int, dict[str, Value]] = {one: {} for one in wanted}
    groups: dict[tuple[str, str], dict[str, CompiledField]] = {}
    for name in sorted({name for names in wanted.values() for name in names}):
        rollup = entity.fields[name].rollup
        if rollup is not None:
            groups.setdefault((rollup.entity, rollup.link), {})[name] = entity.fields[name]
    for (source, link), items in groups.items():
        ids = [one for one, names in wanted.items() if items.keys() & set(names)]
        for one in [one for one in ids if work.known.made(entity.key, one)]:
            at_hand = _at_hand(work, entity, items, one)
            if at_hand is not None:
                found[one].update(at_hand)
                ids.remove(one)
        if not ids:
            continue
        measured = tuple(name for name, item in items.items() if item.rollup is not None and item.rollup.measure not in _PICKED)
        if measured:
            _measure(work, entity, source, link, measured, ids, found)
        for name in items.keys() - set(measured):
            _pick(work, entity, name, ids, found)
    return found


def _at_hand(work: Work, entity: CompiledEntity, items: Mapping[str, CompiledField], record_id: int) -> dict[str, Value] | None:
    """The roll-ups of a record this transaction has made, gathered from the rows at hand; None where the database must be asked."""
    rollups = {name: item.rollup for name, item in items.items() if item.rollup is not None}
    first = next(iter(rollups.values()))
    child = work.entity(first.entity)
    rows = work.known.linking(child, first.link, record_id)
    if rows is None or not all(rollup.measure in (*_FOLDED, *_PICKED) for rollup in rollups.values()):
        return None
    found: dict[str, Value] = {}
    for name, rollup in rollups.items():
        meant = rows if rollup.where is None else [row for row in rows if work.truth(child, row)(rollup.where)]
        of = rollup.of or "id"
        if rollup.measure in _FOLDED:
            found[name] = _FOLDED[rollup.measure]([row[of] for row in meant if row[of] is not None])
        elif any(isinstance(row[rollup.by or "id"], str) for row in meant):
            return None  # texts are sorted by the database
        else:
            found[name] = _picked(meant, rollup.by or "id", rollup.measure == "latest", of)
    return found


def _picked(rows: list[dict[str, Value]], by: str, latest: bool, of: str) -> Value:
    """As ``_picking``: rows without a value to go by come last."""
    filled = [row for row in rows if row[by] is not None]
    ordered = sorted(filled or rows, key=(lambda row: (row[by], row["id"])) if filled else itemgetter("id"), reverse=latest)
    return ordered[0][of] if ordered else None


#: Measures that are the same in Python as in SQL whatever the type of their values.
_FOLDED: Mapping[str, Callable[[list[Any]], Value]] = {
    "count": len,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
}


def _measure(work: Work, entity: CompiledEntity, source: str, link: str, names: tuple[str, ...], ids: list[int], found: dict[int, dict[str, Value]]) -> None:
    statement, needed = remember(work.workspace, ("measure", entity.key, names), lambda: _measuring(work, entity, source, link, names))
    rows = {row[0]: row[1:] for row in statement.rows(work.connection, {**bound(work.ctx, needed), "ids": ids_value(ids, work.workspace.database.dialect)})}
    for one in ids:
        row = rows.get(one)
        for index, name in enumerate(names):
            item = entity.fields[name]
            found[one][name] = _result(item, *(row[2 * index : 2 * index + 2] if row is not None else (None, 0)))


def _result(item: CompiledField, value: Any, number: int) -> Value:
    measure = item.rollup.measure if item.rollup is not None else ""
    if measure == "count":
        return int(value or 0)
    if measure == "sum":
        return _number(value) if value is not None else 0
    if measure != "average" or not number or value is None:
        return value if measure != "average" else None
    total = _number(value)
    if isinstance(total, float) or (item.column is not None and isinstance(item.column.type, sa.Float)):
        return total / number
    half_up = (2 * abs(total) + number) // (2 * number)
    return half_up if total >= 0 else -half_up


def _number(value: Any) -> int | float:
    return int(value) if isinstance(value, Decimal | int) else float(value)


def _measuring(work: Work, entity: CompiledEntity, source: str, link: str, names: tuple[str, ...]) -> tuple[Ready, Needed]:
    child = work.entity(source)
    table = child.table
    over = TableNames(work.workspace, child, table.c)
    pointing = over.column(link)
    columns: list[sa.ColumnElement[Any]] = [pointing]
    for name in names:
        columns += [part.label(f"{kind}_{name}") for kind, part in zip(("v", "n"), _parts(entity.fields[name], over), strict=True)]
    select = engine_select(child, *columns).where(among(pointing, "ids", over.dialect)).group_by(pointing)
    return Ready(select), needed_of(select)


def _parts(item: CompiledField, over: TableNames) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """The aggregate and how many values it took."""
    rollup = item.rollup
    assert rollup is not None
    holds = condition(rollup.where, over) if rollup.where is not None else None

    def where(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column if holds is None else sa.case((holds, column), else_=sa.null())

    if rollup.measure == "count":
        counted = sa.func.count(where(over.column(rollup.of or "id")))
        return counted, sa.literal(0)
    column = over.column(rollup.of)
    if rollup.measure in ("min", "max"):
        made = sa.func.min if rollup.measure == "min" else sa.func.max
        ordered = sa.collate(column, "C") if over.dialect == "postgresql" and isinstance(column.type, sa.Text) else column  # by code points, as on SQLite
        return made(where(ordered), type_=column.type), sa.literal(0)
    return sa.func.sum(where(column)), sa.func.count(where(column))


def _pick(work: Work, entity: CompiledEntity, name: str, ids: list[int], found: dict[int, dict[str, Value]]) -> None:
    statement, needed = remember(work.workspace, ("pick", entity.key, name), lambda: _picking(work, entity.fields[name]))
    rows: dict[int, Value] = dict(statement.rows(work.connection, {**bound(work.ctx, needed), "ids": ids_value(ids, work.workspace.database.dialect)}))
    for one in ids:
        found[one][name] = rows.get(one)


def _picking(work: Work, item: CompiledField) -> tuple[Ready, Needed]:
    """The value of the first row of each record in the order of ``by`` (empty ones last), then of making."""
    rollup = item.rollup
    assert rollup is not None
    child = work.entity(rollup.entity)
    over = TableNames(work.workspace, child, child.table.c)
    pointing, by, record_id = over.column(rollup.link), over.column(rollup.by or "id"), over.column("id")
    latest = rollup.measure == "latest"
    order = (by.is_(None).asc(), by.desc() if latest else by.asc(), record_id.desc() if latest else record_id.asc())
    place = sa.func.row_number().over(partition_by=pointing, order_by=order).label("place")
    inner = engine_select(child, pointing.label("target"), over.column(rollup.of).label("value"), place).where(among(pointing, "ids", over.dialect))
    if rollup.where is not None:
        inner = inner.where(condition(rollup.where, over))
    ranked = inner.subquery()
    select = sa.select(ranked.c.target, ranked.c.value).where(ranked.c.place == 1).execution_options(scoped=True)
    return Ready(select), needed_of(select)
