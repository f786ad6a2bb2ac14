"""Records out as xlsx or csv: exactly what the caller may see, masked as they see it, formulas made harmless, every export logged."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.access import grant
from engine.errors import Denied, Invalid
from engine.exchange.workbook import write_sheet
from engine.fields.base import title_of
from engine.fields.values import FileValue, Link, Masked
from engine.records.history import note_access
from engine.records.query import Query, page, wanted_columns

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.record import Record
    from engine.workspace import CompiledField

Format = Literal["xlsx", "csv"]
PAGE = 200
#: First characters (after NFKC) that make a spreadsheet program run a cell as a formula.
RISKY = ("=", "+", "-", "@", "\t", "\r")
SYSTEM_TITLES = {"id": {"zh": "编号", "en": "ID"}, "created_at": {"zh": "创建时间", "en": "Created"}, "updated_at": {"zh": "更新时间", "en": "Updated"}}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    path: Path
    rows: int
    columns: tuple[str, ...]


def harmless(text: str) -> str:
    """A text that no spreadsheet program takes for a formula (SECURITY R8): blanks and controls before it are looked through, ``'`` is put in front."""
    head = next((char for char in text if not (char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Zs"))), "")
    folded = unicodedata.normalize("NFKC", head)[:1] if head else ""
    return "'" + text if folded in RISKY and folded else text


def export(ctx: Context, query: Query, path: Path, form: Format = "xlsx") -> Exported:
    """Write every record the query finds for the caller; raises Denied without the right to export this entity, Invalid for unknown fields.

    ``query.fields`` are the columns (all readable ones by default); ``limit`` and ``cursor`` of the query are not looked at.
    """
    granted = grant(ctx, query.entity)
    if not granted.allowed("export"):
        raise Denied("export_denied", entity=query.entity)
    if form not in ("xlsx", "csv"):
        raise Invalid("export_format", format=form)
    with ctx.snapshot(long=True) as inner:
        columns = wanted_columns(inner, query.entity, query.fields)
        rows = _rows(inner, replace(query, fields=columns, verb="export", limit=PAGE, count=None), columns)
        titles = _titles(inner, query.entity, columns)
        count = write_sheet(path, "records", titles, rows) if form == "xlsx" else _write_csv(path, titles, rows)
    note_access(ctx, "export", query.entity, detail={"rows": count, "columns": list(columns), "where": list(_texts(query.where)), "search": bool(query.search)})
    return Exported(path, count, columns)


def _texts(where: str | tuple[str, ...]) -> tuple[str, ...]:
    return (where,) if isinstance(where, str) and where else tuple(where)


def _titles(ctx: Context, entity: str, columns: Sequence[str]) -> list[str]:
    fields = ctx.workspace.entities[entity].fields
    return [title_of(fields[name].definition, ctx.locale) if name in fields else SYSTEM_TITLES.get(name, {}).get(ctx.locale, name) for name in columns]


def _rows(ctx: Context, query: Query, columns: Sequence[str]) -> Iterator[list[Any]]:
    fields = ctx.workspace.entities[query.entity].fields
    cursor: str | None = None
    while True:
        found = page(ctx, replace(query, cursor=cursor))
        for record in found.items:
            yield [_cell(ctx, fields.get(name), record, name) for name in columns]
        cursor = found.next
        if cursor is None:
            return


def _cell(ctx: Context, field: CompiledField | None, record: Record, name: str) -> Any:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, Masked):
        return value.text
    if isinstance(value, Link):
        return value.label or str(value.id)
    if isinstance(value, FileValue):
        return value.name
    if isinstance(value, list):
        return "、".join(_item(ctx, field, item) for item in value)
    if field is None:
        return value.astimezone(ctx.workspace.timezone).replace(tzinfo=None) if isinstance(value, datetime) else value
    cell = field.type.to_cell(value, field.value, ctx.workspace.scope)
    return cell.astimezone(ctx.workspace.timezone).replace(tzinfo=None) if isinstance(cell, datetime) and cell.tzinfo else cell


def _item(ctx: Context, field: CompiledField | None, item: Any) -> str:
    if isinstance(item, Link):
        return item.label or str(item.id)
    if isinstance(item, FileValue):
        return item.name
    return field.type.show([item], field.value, ctx.workspace.scope, ctx.locale) if field is not None else str(item)


def _write_csv(path: Path, titles: Sequence[str], rows: Iterator[list[Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([harmless(title) for title in titles])
        for row in rows:
            writer.writerow([harmless(value) if isinstance(value, str) else "" if value is None else value for value in row])
            count += 1
    return count
