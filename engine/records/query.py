"""Reading records: one, a page, a count, counts by a field, a picker. Every way in goes through the reader's scope; nothing is changed here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa

from engine.access import remember
from engine.errors import Fault, Invalid, NotFound
from engine.expressions.language import Expression
from engine.fields.file import file_json
from engine.fields.values import Link, Masked, link_id
from engine.records.attachments import put_files
from engine.records.history import note_access
from engine.records.query_columns import HEAD, TAIL, Columns, columns_of, readable_names
from engine.records.query_cursor import describe, read_cursor, write_cursor
from engine.records.query_json import json_link
from engine.records.query_labels import label_writer, put_labels, roles_of
from engine.records.query_match import Matches, matches
from engine.records.query_order import order_of
from engine.records.query_plan import COUNT_CAP, Plan, Statement
from engine.records.query_walk import Walk, counted, place, walk
from engine.records.query_ways import Told, Way, indexes_of, spread, ways_of
from engine.records.record import Record
from engine.records.search import Sought, sought
from engine.scope import Scope, is_narrow, row_clauses, scope_of
from engine.surroundings import bound

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

#: Rows a page may hold at most.
PAGE_LIMIT = 200
#: Rows a picture of everything (a grid) may hold at most.
WHOLE_LIMIT = 5_000
_AT_ONCE = 500
Item = TypeVar("Item", bound=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks. ``where``: expression texts that must all hold; ``equals``: exact matches by field (``FIELD=VALUE``; several: any of them).

    ``fields``: None = all readable ones. ``count``: None, "capped" (at 1,000) or "exact". ``labels``: False leaves links as ids.
    ``verb``: only rows that this verb (export, update…) reaches as well. ``whole``: up to WHOLE_LIMIT rows at once, for a picture of all of them.
    ``within``: a condition of the definitions themselves, without values of anybody's: it may read what the reader may not.
    """

    entity: str
    where: str | tuple[str, ...] = ""
    sort: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    limit: int = 50
    cursor: str | None = None
    count: str | None = None
    search: str = ""
    equals: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    labels: bool = True
    verb: str = "read"
    whole: bool = False
    within: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page: its records, the cursor of the next one (None: the last page), the count where asked and whether it stopped at the cap."""

    items: list[Item]
    next: str | None = None
    count: int | None = None
    count_capped: bool = False


@dataclass(frozen=True, slots=True)
class Face(Generic[Item]):
    """What rows of the database become for their reader: the rows by their columns, a link by id and label, a file by what is known of it."""

    rows: Callable[[Columns, Sequence[Sequence[Any]]], list[Item]]
    link: Callable[[int, str | None], object]
    file: Callable[[Any], object] | None


#: Typed values, for pages and the engine itself; and the JSON of the API, in the form orjson takes.
RECORDS: Face[Record] = Face(Columns.records, Link, None)
JSON: Face[dict[str, Any]] = Face(Columns.json, json_link, file_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query with its plan and the values to bind."""

    plan: Plan
    binds: dict[str, Any]
    noted: tuple[tuple[str, str], ...]
    search: Sought | None = None

    @property
    def keeps(self) -> Callable[[Sequence[Any]], bool] | None:
        """Which rows a search means of those that its index finds; None where the index finds no others."""
        return self.search.keeping(self.plan.scope) if self.search is not None and self.search.loose else None


def page(ctx: Context, query: Query) -> Page[Record]:
    """A page of the records the reader may see. Raises Invalid for unknown names and wrong values, NotFound when nothing is granted."""
    return page_as(RECORDS, ctx, query)


def page_as(face: Face[Item], ctx: Context, query: Query) -> Page[Item]:
    """As ``page``, with the rows in one of their faces."""
    asked = _asked(ctx, query)
    found = _page(face, ctx, query, asked)
    if asked.noted:
        note_access(ctx, "search", query.entity, detail={"fields": [list(item) for item in asked.noted], "found": [item["id"] for item in found.items]})
    return found


def _page(face: Face[Item], ctx: Context, query: Query, asked: _Asked) -> Page[Item]:
    """Several statements about the rows see one state; where one is enough, no transaction is opened for it."""
    plan, keeps, limit = asked.plan, asked.keeps, max(1, min(query.limit, WHOLE_LIMIT if query.whole else PAGE_LIMIT))
    start = read_cursor(query.cursor, plan.name, ctx.workspace.cipher) if query.cursor else None
    if keeps is None and plan.alone:
        with ctx.reading() as reading:
            found = walk(reading, plan, asked.binds, start, limit + 1, count=query.count, once=reading.transaction == "read")
            if found.ended:
                return _told(face, reading, query, asked, found, limit)
    with ctx.snapshot() as snapshot:
        found = walk(snapshot, plan, asked.binds, start, limit + 1, keeps=keeps, count=query.count if keeps is None else None)
        plan.alone = found.statements == 1
        return _told(face, snapshot, query, asked, found, limit)


def _told(face: Face[Item], ctx: Context, query: Query, asked: _Asked, found: Walk, limit: int) -> Page[Item]:
    """The rows found, with what else a page tells."""
    plan = asked.plan
    items = face.rows(plan.columns, found.rows[:limit])
    position = place(plan, found.rows[limit - 1], found.phases[limit - 1]) if len(found.rows) > limit else found.stopped
    if query.labels:
        put_labels(ctx, items, plan.columns.links, make=face.link)
        put_files(ctx, items, plan.columns.files, face.file)
    count, capped = _count(ctx, asked, query.count, found.count)
    return Page(items, write_cursor(position, plan.name, ctx.workspace.cipher) if position is not None else None, count, capped)


def _count(ctx: Context, asked: _Asked, wanted: str | None, known: int | None) -> tuple[int | None, bool]:
    if not wanted:
        return None, False
    if known is None and asked.keeps is not None:
        known = counted(ctx, asked.plan, asked.binds, asked.keeps, sys.maxsize if wanted == "exact" else COUNT_CAP + 1)
    elif known is None:
        known = _number(ctx, asked.plan.count(capped=wanted != "exact"), asked.binds)
    return (COUNT_CAP, True) if wanted != "exact" and known > COUNT_CAP else (known, False)


def _number(ctx: Context, statement: Statement, binds: Mapping[str, Any]) -> int:
    found = statement.ready.first(ctx.open, {**binds, **bound(ctx, statement.needed)})
    assert found is not None
    return int(found[0])


def _asked(ctx: Context, query: Query) -> _Asked:
    scope = _scope(ctx, query.entity)
    found = matches(ctx, scope, query.equals) if query.equals else Matches()
    search = sought(ctx, scope, query.search) if query.search.strip() else None
    texts = [query.where] if isinstance(query.where, str) else list(query.where)
    where = tuple(text for text in (*texts, *found.conditions) if text.strip())
    key = ("plan", query.entity, roles_of(ctx), where, query.sort, query.fields, tuple(found.shape), search.shape if search else None, query.verb, query.within)
    plan = remember(ctx.workspace, key, lambda: _plan(scope, query, where, found, search))
    noted = (*found.noted, *(search.noted if search else ()))
    return _Asked(plan, {**found.binds, **(search.binds if search else {})}, noted, search)


def _plan(scope: Scope, query: Query, where: tuple[str, ...], found: Matches, search: Sought | None) -> Plan:
    told = Told.by(scope.user_expression(text) for text in where)
    order = order_of(scope, query.sort, told.filled)
    read = told.left_of(scope.grant.condition("read"))
    led = found.link(scope) if scope.names.dialect == "sqlite" and search is None else ""
    if led and order.keys and (led, order.keys[0].name) not in indexes_of(scope.workspace, scope.entity).second:
        order = order.made()
    if scope.names.dialect == "sqlite" and not led:
        read = spread(read, indexes_of(scope.workspace, scope.entity))
    split, ways = _split(scope, where, read) if search is None and not found.shape else ("", ())
    terms = found.terms(scope)
    if query.verb != "read":
        terms += row_clauses(scope.grant.condition(query.verb), scope.names)
    if query.within:
        terms += row_clauses((scope.workspace.expression(query.entity, query.within, wants="boolean"),), scope.names)
    name = describe((query.entity, where, query.sort, sorted(found.shape), search.shape if search else ""))
    asked = tuple(scope.user_expression(text) for text in where if text != split)
    whole = scope.user_expression(split) if split else None
    for one in (*asked, *([whole] if whole is not None else ())):
        scope.user_condition(one)  # what SQL cannot say is refused before anything is asked
    return Plan(scope, columns_of(scope, wanted_fields(scope, query.fields)), order, tuple(terms), asked, search, name, read, ways, whole, bool(led))


def _split(scope: Scope, where: tuple[str, ...], read: bool | tuple[Expression, ...]) -> tuple[str, tuple[Way, ...]]:
    """The condition that is better asked one alternative after the other, with these."""
    expressions = {text: scope.user_expression(text) for text in where}
    few = is_narrow(read) or any(is_narrow((one,)) for one in expressions.values())  # each person's rows are few anyway
    for text, one in expressions.items():
        ways = ways_of(one, indexes_of(scope.workspace, scope.entity))
        if ways and not (few and ways[0].alone):
            return text, ways
    return "", ()


def _scope(ctx: Context, entity: str) -> Scope:
    compiled = ctx.workspace.entities.get(entity)
    scope = scope_of(ctx.workspace, ctx.actor, compiled) if compiled is not None else None
    if scope is None or not scope.grant.allowed("read"):
        raise NotFound("unknown_entity", entity=entity)
    return scope


def wanted_columns(ctx: Context, entity: str, fields: Sequence[str] | None) -> tuple[str, ...]:
    """As ``wanted_fields``, for callers that only know the entity's key."""
    return wanted_fields(_scope(ctx, entity), fields)


def wanted_fields(scope: Scope, fields: Sequence[str] | None) -> tuple[str, ...]:
    """The asked fields, all readable ones by default. Raises Invalid naming each that does not exist for the reader."""
    if fields is None:
        return readable_names(scope)
    known = {*scope.grant.readable, *HEAD, *TAIL}
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise Invalid("fields_invalid", faults=[Fault("/fields", "unknown_field", {"field": name}) for name in unknown])
    return tuple(dict.fromkeys(fields))


def get(ctx: Context, entity: str, record_id: int, fields: Sequence[str] | None = None, *, lines: bool = True) -> Record:
    """One record as the reader may see it, its child lines included unless ``fields`` leaves them out. Raises NotFound."""
    return get_as(RECORDS, ctx, entity, record_id, fields, lines=lines)


def get_as(face: Face[Item], ctx: Context, entity: str, record_id: int, fields: Sequence[str] | None = None, *, lines: bool = True) -> Item:
    """As ``get``, in one of the faces of a row."""
    scope = _scope(ctx, entity)
    compiled = scope.entity
    children = [name for name in compiled.lines if fields is None or name in fields] if lines else []
    own = tuple(name for name in fields if name not in compiled.lines) if fields is not None else None
    columns, statement = remember(ctx.workspace, ("one", entity, roles_of(ctx), own), lambda: _one(scope, own))
    with ctx.snapshot() if children else ctx.reading() as ctx:  # labels are read under the reader's rights anew
        row = statement.ready.first(ctx.open, {**bound(ctx, statement.needed), "p_id": record_id})
        if row is None:
            raise NotFound("no_such_record", entity=entity, id=record_id)
        (record,) = face.rows(columns, [row])
        put_labels(ctx, [record], columns.links, make=face.link)
        put_files(ctx, [record], columns.files, face.file)
        for child in children:
            _put_lines(face, ctx, record, compiled, child)
    return record


def complete(ctx: Context, entity: str, record: Record) -> Record:
    """A record as a save gave it, with what ``get`` adds: labels of its links, its files, its child lines. In place; asks only for what is not there."""
    compiled = ctx.workspace.entities[entity]
    if len(record) == len(HEAD):  # its giver may not see what became of it
        return record
    scope = scope_of(ctx.workspace, ctx.actor, compiled)
    columns, _ = remember(ctx.workspace, ("one", entity, roles_of(ctx), None), lambda: _one(scope, None))
    links = [(name, target) for name, target in columns.links if (link := record.get(name)) and not (link.__class__ is Link and link.label is not None)]
    files = [item for item in columns.files if record.get(item.key)]
    if not (links or files or compiled.lines):
        return record
    for name, _ in links:
        value = record[name]
        record[name] = [link_id(one) for one in value] if isinstance(value, list) else value if isinstance(value, Masked) else link_id(value)
    with ctx.snapshot() if compiled.lines else ctx.reading() as ctx:
        put_labels(ctx, [record], links)
        put_files(ctx, [record], files)
        for child in compiled.lines:
            _put_lines(RECORDS, ctx, record, compiled, child)
    return record


def _one(scope: Scope, fields: Sequence[str] | None) -> tuple[Columns, Statement]:
    columns = columns_of(scope, wanted_fields(scope, fields))
    wanted = sa.bindparam("p_id", type_=sa.BigInteger, required=True)
    return columns, Statement.of(scope.select(*columns.elements).where(scope.column("id") == wanted))


def _put_lines(face: Face[Item], ctx: Context, record: Item, entity: CompiledEntity, child: str) -> None:
    compiled = ctx.workspace.entities[child]
    scope = scope_of(ctx.workspace, ctx.actor, compiled)
    if not scope.grant.allowed("read"):
        return

    def build() -> tuple[Columns, Statement]:
        columns = columns_of(scope, [name for name in compiled.fields if name in scope.grant.readable and name != compiled.parent_field])
        wanted = sa.bindparam("p_id", type_=sa.BigInteger, required=True)
        select = scope.select(*columns.elements).where(scope.column(compiled.parent_field) == wanted).order_by(scope.column("id")).limit(1000)
        return columns, Statement.of(select)

    columns, statement = remember(ctx.workspace, ("lines", child, roles_of(ctx)), build)
    rows = statement.ready.rows(ctx.open, {**bound(ctx, statement.needed), "p_id": record["id"]})
    records = face.rows(columns, rows)
    put_labels(ctx, records, columns.links, make=face.link)
    put_files(ctx, records, columns.files, face.file)
    record[child] = records


def count(ctx: Context, entity: str, where: str | tuple[str, ...] = "", *, exact: bool = True) -> int:
    """How many records of a condition the reader may see; not exact: at most COUNT_CAP + 1 is looked at."""
    asked = _asked(ctx, Query(entity, where, fields=("id",)))
    statement = asked.plan.count(capped=not exact)
    with ctx.reading() as ctx:
        return _number(ctx, statement, asked.binds)


def among(ctx: Context, entity: str, field: str, ids: Collection[int], fields: Sequence[str]) -> list[Record]:
    """The visible records whose ``field`` (``id``, or a link) is one of ``ids``, by id; links stay ids. For work on many records at once."""
    scope = _scope(ctx, entity)
    wanted = wanted_fields(scope, fields)

    def build() -> tuple[Columns, Statement]:
        columns = columns_of(scope, wanted)
        column = scope.column(field)
        one_of = column.in_(sa.bindparam("ids", expanding=True, type_=sa.BigInteger))
        return columns, Statement.of(scope.select(*columns.elements).where(one_of).order_by(scope.column("id")))

    columns, statement = remember(ctx.workspace, ("among", entity, roles_of(ctx), field, wanted), build)
    found: list[Record] = []
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        binds = {**bound(ctx, statement.needed), "ids": ordered[start : start + _AT_ONCE]}
        found += columns.records(statement.ready.rows(ctx.open, binds))
    return found


def lookup(ctx: Context, entity: str, text: str, limit: int = 20, where: str = "", within: str = "") -> list[tuple[int, str]]:
    """For a picker: ids and labels of visible records that a search finds (the newest without a text). ``within``: as a Query's."""
    return [(record.id, label) for record, label in looked_up(ctx, entity, text, limit, where, within)]


def looked_up(ctx: Context, entity: str, text: str, limit: int = 20, where: str = "", within: str = "", beside: Sequence[str] = ()) -> list[tuple[Record, str]]:
    """The same with the records: what their labels are made of, and the fields ``beside`` it."""
    compiled = ctx.workspace.entities.get(entity)
    if compiled is None:
        raise NotFound("unknown_entity", entity=entity)
    scope = _scope(ctx, entity)
    fields = tuple(name for name in compiled.label_fields() if name in scope.grant.readable)
    found = page(ctx, Query(entity, where, fields=tuple(dict.fromkeys(("id", *fields, *beside))), limit=limit, search=text, within=within))
    write = label_writer(ctx, compiled)
    return [(record, write(record)) for record in found.items]
