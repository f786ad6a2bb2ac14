"""Labels of linked records, in one statement per target entity, under the reader's rows and masks of the target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.access import remember
from engine.fields.base import Value
from engine.fields.values import Link, Masked
from engine.records.query_columns import Columns, columns_of
from engine.records.query_plan import Statement
from engine.scope import among, ids_value, scope_of
from engine.surroundings import bound

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

#: Labels may show links; those are followed this deep.
_DEPTH = 2
_NOBODY: Mapping[int, str] = {}


def labels(ctx: Context, entity: str, ids: Collection[int], depth: int = 0) -> dict[int, str]:
    """Label by id, of those records the reader may see."""
    target = ctx.workspace.entities.get(entity)
    if target is None or not ids:
        return {}
    key = ("labels", entity, roles_of(ctx))
    columns, statement, plain, everybody = remember(ctx.workspace, key, lambda: _plan(ctx, target))
    if everybody and (own := _own(ctx, target, ids)):
        return own
    rows = statement.ready.rows(ctx.open, {**bound(ctx, statement.needed), "ids": ids_value(ids, ctx.workspace.database.dialect)})
    if plain:
        return {row[0]: row[2] or f"#{row[0]}" for row in rows}
    records = columns.records(rows)
    if depth < _DEPTH:
        put_labels(ctx, records, columns.links, depth + 1)
    write = label_writer(ctx, target)
    return {record.id: write(record) for record in records}


def _own(ctx: Context, target: CompiledEntity, ids: Collection[int]) -> dict[int, str]:
    """What the actor is called, where nobody else is asked for: known with the rights a request reads, but a writing one may be changing it."""
    me, name = ctx.actor.person_id, ctx.actor.fields.get(target.label_fields()[0])
    return {me: name} if me is not None and name and ctx.transaction != "write" and all(one == me for one in ids) else {}


def _plan(ctx: Context, target: CompiledEntity) -> tuple[Columns, Statement, bool, bool]:
    """Columns, statement, whether the label is one text column as it stands, and whether it is that of people, all of whom the reader may see."""
    scope = scope_of(ctx.workspace, ctx.actor, target)
    columns = columns_of(scope, [name for name in target.label_fields() if name in scope.grant.readable])
    select = scope.select(*columns.elements).where(among(scope.column("id"), "ids", ctx.workspace.database.dialect))
    names = target.label_fields()
    plain = (
        target.label == (("", *names),)
        and columns.names == ("id", "version", *names)
        and not columns.typed
        and not columns.hidden
        and not columns.links
        and target.fields[names[0]].type.name == "text"
    )
    everybody = plain and target.key == "person" and scope.grant.condition("read") is True
    return columns, Statement.of(select), plain, everybody


def roles_of(ctx: Context) -> tuple[str, ...]:
    """What plans and grants are kept by."""
    return ("*",) if ctx.actor.kind == "system" else ctx.actor.roles


def label_writer(ctx: Context, entity: CompiledEntity) -> Callable[[Mapping[str, Value]], str]:
    """A function from a record to its label in the reader's language."""
    fields = {key: entity.fields[key] for key in entity.label_fields() if key in entity.fields}
    scope, locale, pieces = ctx.workspace.scope.of(entity.key), ctx.locale, entity.label

    def write(record: Mapping[str, Value]) -> str:
        parts = []
        for text, key in pieces:
            parts.append(text)
            value = record.get(key) if key else None
            if value is None:
                continue
            if isinstance(value, str | Masked):
                item = fields.get(key)
                parts.append(str(value) if isinstance(value, Masked) or item is None else item.type.show(value, item.value, scope, locale))
            elif isinstance(value, Link):
                parts.append(value.label or "")
            elif (item := fields.get(key)) is not None:
                parts.append(item.type.show(value, item.value, scope, locale))
        return " ".join("".join(parts).split()) or f"#{record['id']}"

    return write


def put_labels(
    ctx: Context, records: Iterable[dict[str, Value]], links: Iterable[tuple[str, str]], depth: int = 0, make: Callable[[int, str | None], object] = Link
) -> None:
    """Replace ids in link fields by ``Link(id, label)``, or what ``make`` makes of both."""
    kept = list(records)
    wanted: dict[str, set[int]] = {}
    linking: list[tuple[str, str, list[tuple[dict[str, Value], Any]]]] = []
    for name, target in links:
        found: list[tuple[dict[str, Value], Any]] = []
        for record in kept:
            value = record.get(name)
            if value.__class__ is int or value.__class__ is list:
                found.append((record, value))
        ids = wanted.setdefault(target, set())
        for _, value in found:
            if value.__class__ is int:
                ids.add(value)
            else:
                ids.update(value)
        linking.append((name, target, found))
    known = {target: labels(ctx, target, ids, depth) for target, ids in wanted.items() if ids}
    for name, target, found in linking:
        names = known.get(target, _NOBODY)
        for record, value in found:
            record[name] = make(value, names.get(value)) if value.__class__ is int else [make(one, names.get(one)) for one in value]
