"""Commands that move records: import, export, demo data, the schema of an entity. Each is one call of the engine; parsing and telling are cli.py's."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.actors import enter_as, enter_person
from engine.context import Cause, Context
from engine.demo.fill import fill
from engine.errors import Invalid, NotFound
from engine.exchange import batches
from engine.exchange.exporting import export
from engine.exchange.mapping import saved
from engine.messages import sentence
from engine.records.query import Query
from metadata.reference import reference as reference_text
from renderer.api.schemas import entity_schema
from renderer.commands import Answer, opened_home
from renderer.serving import all_words, read_settings

_PAGE = 500


def _entity(ctx: Context, key: str) -> None:
    if key not in ctx.workspace.entities:
        raise NotFound("unknown_entity", entity=key)


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise NotFound("file_unreadable", path=str(path), reason="not a file")
    return path


# --- import ----------------------------------------------------------------------------------------------------------------------------------------


def import_(given: Namespace) -> Answer:
    """Read a spreadsheet into an entity; what became of each row."""
    path = _readable(Path(given.file))
    with opened_home() as home:
        ctx = enter_as(home, given.workspace, "operator", locale=given.locale, cause=Cause("import", path.name))
        _entity(ctx, given.entity)
        batch = batches.begin(ctx, given.entity, path, path.name)
        if given.mapping:
            batch = batches.set_mapping(ctx, batch.id, _mapping(ctx, batch, given.mapping))
        batch = batches.run(ctx, batch.id, dry=given.dry_run)
        rows = list(_report(ctx, batch.id))
    data = {
        "batch": batch.id,
        "dry_run": given.dry_run,
        "counts": dict(batch.counts),
        "mapping": dict(zip(batch.headers, batch.targets, strict=True)),
        "rows": rows,
    }
    counts = ", ".join(f"{name} {count}" for name, count in batch.counts.items() if isinstance(count, int))
    return Answer([*(_row_line(row, given.locale) for row in rows if row["faults"] or row["warnings"]), counts], data)


def _mapping(ctx: Context, batch: batches.Batch, given: str) -> Mapping[str, str]:
    """Header -> target, from a JSON file or a mapping saved under a name."""
    if given.endswith(".json"):
        try:
            found = json.loads(_readable(Path(given)).read_text(encoding="utf-8"))
        except ValueError as error:
            raise Invalid("file_unreadable", path=given, reason=str(error)) from error
        if not isinstance(found, dict):
            raise Invalid("file_unreadable", path=given, reason="not an object")
        return {str(header): str(target) for header, target in found.items()}
    kept = saved(ctx, ctx.workspace.entities[batch.entity], batch.headers, given)
    if kept is None:
        raise NotFound("unknown_mapping", name=given)
    return dict(zip(batch.headers, kept.targets, strict=True))


def _report(ctx: Context, batch: int) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = batches.report(ctx, batch, after=after, limit=_PAGE)
        for row in page.rows:
            yield {"sheet": row.sheet, "row": row.row, "outcome": row.outcome, "record": row.record, "faults": list(row.faults), "warnings": list(row.warnings)}
        after = page.next


def _row_line(row: Mapping[str, Any], locale: str) -> str:
    said = "; ".join(sentence(str(item.get("code", "")), item.get("params") or {}, locale) for item in (*row["faults"], *row["warnings"]))
    return f"{row['sheet']}:{row['row']} {row['outcome']} {said}"


# --- export ----------------------------------------------------------------------------------------------------------------------------------------


def export_(given: Namespace) -> Answer:
    """Write what a person may see of an entity into a spreadsheet."""
    path = Path(given.file)
    if path.suffix not in (".csv", ".xlsx"):
        raise Invalid("export_format", format=path.suffix or path.name)
    with opened_home() as home:
        ctx = enter_person(home, given.workspace, given.as_login, locale=given.locale)
        try:
            done = export(ctx, Query(given.entity, where=given.where), path, "csv" if path.suffix == ".csv" else "xlsx")
        except OSError as error:
            raise Invalid("file_unwritable", path=str(path), reason=error.strerror or type(error).__name__) from error
    return Answer([f"{path}: {done.rows}"], {"file": str(path), "rows": done.rows, "columns": list(done.columns)})


# --- demo data, schema -----------------------------------------------------------------------------------------------------------------------------


def demo_data(given: Namespace) -> Answer:
    """Made-up people and records."""
    with opened_home() as home:
        filled = fill(home, given.workspace, given.scale, given.seed)
    lines = [f"{entity}: {count}" for entity, count in filled.made.items()]
    lines += [f"{entity}: refused {count} ({filled.reasons.get(entity, '')})" for entity, count in filled.refused.items()]
    return Answer(lines, {"made": dict(filled.made), "refused": filled.refused}, not filled.refused)


def schema(given: Namespace) -> Answer:
    """The JSON Schema of an entity's record."""
    with opened_home() as home:
        ctx = enter_as(home, given.workspace, "operator", locale=given.locale)
        _entity(ctx, given.entity)
        found = entity_schema(ctx, given.entity)
    return Answer([json.dumps(found, ensure_ascii=False, indent=2)], found)


def reference(given: Namespace) -> Answer:
    """The reference of the definition language with this installation's words."""
    text = reference_text(all_words(read_settings().plugin_folder).vocabulary())
    if given.file is None:
        return Answer([text.rstrip("\n")], {"text": text})
    try:
        Path(given.file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Invalid("file_unwritable", path=given.file, reason=error.strerror or type(error).__name__) from error
    return Answer([given.file], {"file": given.file})
