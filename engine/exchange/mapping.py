"""Which column of a file goes where: an entity's import block made ready, guesses from headers, a person's corrections, saved mappings.

A target is written as text so that it can be saved, shown and typed: ``column:KEY`` (a column of the import block with its reader), ``field:KEY``
(straight into a field), ``ignore``. Reading cells by it is rows.py; nothing is written here but saved mappings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import Grant, grant, remember
from engine.errors import Fault, Invalid
from engine.exchange.sheets import header_text
from engine.fields.base import title_of
from engine.system_tables_imports import saved_mapping
from metadata.text import label_text

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, Workspace

IGNORE = "ignore"
#: How alike a header and a title must be to be taken for the same.
ALIKE = 0.84


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an import block: the reader of its cells and where the parts go.

    ``conflict``: what happens when the record has another value: ``keep`` it, ``note`` the given one in the unread field, ``review`` (an item for a
    person), ``add`` (lists grow). ``many``: every header it knows feeds it. ``joins``: its text is read together with that column's. ``keep``: raw text
    is noted too (``rest``: what was left over; ``differs``: when it is not how the value is written). ``default``: field values of a new record when
    the cell is empty.
    """

    key: str
    reader: str
    headers: tuple[str, ...] = ()
    into: Mapping[str, str] = field(default_factory=dict)
    conflict: str = "keep"
    many: bool = False
    joins: str = ""
    ignore: bool = False
    required: bool = False
    keep: str = ""
    default: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Child:
    """Records of another entity made per row, from a part of column ``of``: its ``each`` list, its ``many`` cells, or its one value.

    ``key``: alternatives; a child is known again when all fields of one alternative are equal. ``lines``: edited inside the parent.
    """

    entity: str
    of: str
    link: str
    lines: bool
    each: str = ""
    into: Mapping[str, str] = field(default_factory=dict)
    key: tuple[tuple[str, ...], ...] = ()
    prefix: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """An entity's import block made ready. ``key``: (entity, field) pairs by which a record is known again, its own or those of its lines."""

    entity: str
    key: tuple[tuple[str, str], ...]
    columns: Mapping[str, Column] = field(default_factory=dict)
    children: tuple[Child, ...] = ()
    on_match: str = "fill"
    review: str = ""
    review_values: Mapping[str, Any] = field(default_factory=dict)
    unread: str = ""
    ditto: frozenset[str] = frozenset()
    not_rows: tuple[str, ...] = ()

    def headers(self) -> Iterable[str]:
        """Every header the block knows."""
        for column in self.columns.values():
            yield from column.headers


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())


def _column(key: str, doc: Mapping[str, Any]) -> Column:
    return Column(
        key,
        doc.get("reader", doc.get("read", "text")),
        _texts(doc.get("headers")),
        doc.get("into", {}),
        doc.get("conflict", "keep"),
        doc.get("many", False),
        doc.get("joins", ""),
        doc.get("ignore", False),
        doc.get("required", False),
        doc.get("keep", ""),
        doc.get("default", {}),
        doc.get("with", {}),
    )


def plan_of(workspace: Workspace, entity: CompiledEntity) -> Plan:
    """The import plan of an entity; without a block, records are known again by their first one-field uniqueness."""
    return remember(workspace, ("import", entity.key), lambda: _plan(workspace, entity))


def _plan(workspace: Workspace, entity: CompiledEntity) -> Plan:
    doc = entity.definition.imports
    unique = [item.definition.fields[0] for item in entity.unique.values() if len(item.definition.fields) == 1]
    keys = _texts(doc.get("key")) or tuple(unique[:1])
    return Plan(
        entity.key,
        tuple((name.partition(".")[0], name.partition(".")[2]) if "." in name else (entity.key, name) for name in keys),
        {key: _column(key, item) for key, item in doc.get("columns", {}).items()},
        tuple(_child(workspace, entity, name, item) for name, item in doc.get("children", {}).items()),
        doc.get("on_match", "fill"),
        doc.get("review", {}).get("entity", ""),
        doc.get("review", {}).get("values", {}),
        doc.get("unread", ""),
        frozenset(_texts(doc.get("ditto"))),
        tuple(header_text(text) for text in _texts(doc.get("not_rows"))),
    )


def _child(workspace: Workspace, entity: CompiledEntity, name: str, doc: Mapping[str, Any]) -> Child:
    made = workspace.entities[name]
    links = [made.parent_field] if made.lines_of == entity.key else [key for key in made.links_to if made.fields[key].target == entity.key]
    alternatives = tuple((item,) if isinstance(item, str) else tuple(item) for item in doc.get("key", ()))
    return Child(
        name,
        doc["of"],
        links[0],
        made.lines_of == entity.key,
        doc.get("each", ""),
        doc.get("into", {}),
        alternatives,
        doc.get("prefix", ""),
        doc.get("values", {}),
    )


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Where each column of a file goes, by position; ``guessed`` are those nobody has confirmed."""

    targets: tuple[str, ...]
    guessed: frozenset[int] = frozenset()


def _titles(entity: CompiledEntity, writable: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, item in entity.fields.items():
        if item.derived or key not in writable:
            continue
        for text in (key, title_of(item.definition, "zh"), title_of(item.definition, "en"), label_text(item.definition.title)):
            found.setdefault(header_text(text), key)
    return found


def guess(ctx: Context, entity: CompiledEntity, headers: Sequence[str]) -> ColumnMapping:
    """Targets for the headers of a file: the import block's words first, then field titles and keys, then what is nearly alike."""
    plan = plan_of(ctx.workspace, entity)
    granted = grant(ctx, entity.key)
    known = {header_text(text): IGNORE if column.ignore else f"column:{column.key}" for column in plan.columns.values() for text in column.headers}
    titles = _titles(entity, granted.writable)
    targets: list[str] = []
    guessed: set[int] = set()
    for at, header in enumerate(headers):
        text = header_text(header)
        target = known.get(text) or (f"field:{titles[text]}" if text in titles else "")
        if not target and text:
            target = _nearly(text, known, titles)
            if target:
                guessed.add(at)
        targets.append("" if target.startswith("field:") and target in targets else target)
    return ColumnMapping(tuple(targets), frozenset(guessed))


def _nearly(text: str, known: Mapping[str, str], titles: Mapping[str, str]) -> str:
    scored = [
        (SequenceMatcher(None, text, word).ratio(), target)
        for word, target in (*known.items(), *((word, f"field:{key}") for word, key in titles.items()))
        if word
    ]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= ALIKE else ""


def check_mapping(ctx: Context, entity: CompiledEntity, targets: Sequence[str]) -> ColumnMapping:
    """A person's mapping, checked against the block and what they may write. Raises Invalid naming each wrong target."""
    plan = plan_of(ctx.workspace, entity)
    granted: Grant = grant(ctx, entity.key)
    faults = []
    for at, target in enumerate(targets):
        kind, _, name = target.partition(":")
        good = (
            target in ("", IGNORE)
            or (kind == "column" and name in plan.columns)
            or (kind == "field" and name in granted.writable and not entity.fields[name].derived)
        )
        if not good:
            faults.append(Fault(f"/{at}", "import_target_unknown", {"target": target}))
    if faults:
        raise Invalid("import_mapping_wrong", faults=faults)
    return ColumnMapping(tuple(targets))


def choices_of(ctx: Context, entity: CompiledEntity, locale: str) -> list[tuple[str, str]]:
    """Every target a person may choose, with its label: the block's columns, then the fields."""
    plan = plan_of(ctx.workspace, entity)
    granted = grant(ctx, entity.key)
    found = [(f"column:{key}", " / ".join(column.headers[:2]) or key) for key, column in plan.columns.items() if not column.ignore]
    found += [(f"field:{key}", title_of(item.definition, locale)) for key, item in entity.fields.items() if not item.derived and key in granted.writable]
    return found


# --- saved mappings ------------------------------------------------------------------------------------------------------------------------


def _fingerprint(headers: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(header_text(header) for header in headers).encode()).hexdigest()


def save_mapping(ctx: Context, entity: str, name: str, headers: Sequence[str], mapping: ColumnMapping) -> None:
    """Keep a mapping under a name; the next file with the same headers is offered it. The same name is replaced."""
    with ctx.writing() as inner:
        assert inner.connection is not None
        inner.connection.execute(saved_mapping.delete().where(saved_mapping.c.entity == entity, saved_mapping.c.name == name))
        inner.connection.execute(
            saved_mapping.insert(),
            {
                "entity": entity,
                "name": name,
                "headers": _fingerprint(headers),
                "at": inner.now,
                "by": inner.actor.person_id,
                "body": dict(zip(headers, mapping.targets, strict=False)),
            },
        )


def saved(ctx: Context, entity: CompiledEntity, headers: Sequence[str], name: str = "") -> ColumnMapping | None:
    """The saved mapping of that name, or the newest for exactly these headers; None when there is none."""
    select = sa.select(saved_mapping.c.body).where(saved_mapping.c.entity == entity.key).order_by(saved_mapping.c.id.desc()).limit(1)
    select = select.where(saved_mapping.c.name == name) if name else select.where(saved_mapping.c.headers == _fingerprint(headers))
    with ctx.reading() as inner:
        assert inner.connection is not None
        body = inner.connection.execute(select).scalar_one_or_none()
    if body is None:
        return None
    by_header = {header_text(header): target for header, target in body.items()}
    return check_mapping(ctx, entity, [by_header.get(header_text(header), "") for header in headers])


def names(ctx: Context, entity: str) -> list[str]:
    """Names of the saved mappings of an entity."""
    with ctx.reading() as inner:
        assert inner.connection is not None
        return list(inner.connection.execute(sa.select(saved_mapping.c.name).where(saved_mapping.c.entity == entity).order_by(saved_mapping.c.name)).scalars())
