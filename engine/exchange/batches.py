"""An import as a whole: the file kept, its columns mapped, run in chunks by a job or at once, every row reported, undone as one step.

A row's outcome is ``created``, ``merged`` or ``refused``; the three together equal the rows of data. Rows that are no data are counted by reason.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import jobs
from engine.access import grant, rights, sees_whole
from engine.actors import enter_as, enter_id
from engine.context import Cause, Context
from engine.errors import Denied, Invalid, NotFound
from engine.exchange.importing import Importer
from engine.exchange.mapping import check_mapping, guess, plan_of, save_mapping, saved
from engine.exchange.outcomes import Outcome, counted, keep
from engine.exchange.reading import Pace, Reading, ahead, known_words, passed
from engine.exchange.rows import RowDraft, is_passed
from engine.exchange.sheets import SheetRow, Sheets, keep_lines, kept_lines, shown_cell
from engine.fields.values import HIDDEN
from engine.records.loading import uncollected
from engine.system_tables_imports import import_batch, import_row

if TYPE_CHECKING:
    from engine.workspace import CompiledEntity

JOB = "import"
SAMPLE = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """An import. ``headers`` are all headers of the file in order, ``targets`` where each goes; ``counts`` what became of the rows."""

    id: int
    entity: str
    file_name: str
    state: str
    headers: tuple[str, ...]
    targets: tuple[str, ...]
    guessed: frozenset[str]
    counts: Mapping[str, Any]
    created_at: datetime
    by: int | None
    token: str
    sample: tuple[tuple[Any, ...], ...] = ()
    job: int | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of the report. ``faults`` and ``warnings`` carry codes and params; ``raw`` the cells as they stood, where something is to be said."""

    sheet: str
    row: int
    outcome: str
    record: int | None
    faults: tuple[Mapping[str, Any], ...]
    warnings: tuple[Mapping[str, Any], ...]
    raw: tuple[Any, ...] = ()


# --- begin ---------------------------------------------------------------------------------------------------------------------------------


def begin(ctx: Context, entity: str, path: Path, file_name: str) -> Batch:
    """Keep a file and look at it: headers, a guess where each goes, a sample. Raises Denied without the right, Invalid for files that are no sheets."""
    compiled = _importable(ctx, entity)
    plan = plan_of(ctx.workspace, compiled)
    token = secrets.token_hex(16)
    target = _path(ctx, token)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sheets, sample, total, said = Sheets(known_words(ctx, compiled)), list[dict[str, Any]](), 0, 0
    with keep_lines(path, target) as lines, uncollected():
        for table, rows in sheets.blocks(lines):
            if table is sheets.tables[0]:
                sample += [_aligned(table.headers, row) for row in rows[: SAMPLE - len(sample)]]
            total += len(rows)
            said += sum(is_passed(row, plan) for row in rows) if plan.not_rows else 0
    if not sheets.tables:
        kept_lines(target).unlink()
        raise Invalid("import_no_rows", file=file_name)
    shutil.copyfile(path, target)
    headers = _headers(sheets)
    mapping = saved(ctx, compiled, headers) or guess(ctx, compiled, headers)
    by_header = dict(zip(headers, mapping.targets, strict=True))
    with ctx.writing() as inner:
        number = inner.open.execute(
            import_batch.insert().returning(import_batch.c.id),
            {
                "entity": entity,
                "file_name": file_name[:200],
                "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
                "state": "checked",
                "mapping": {"headers": headers, "targets": [by_header[header] for header in headers], "guessed": [headers[at] for at in mapping.guessed]},
                "options": {"token": token, "sample": [[shown_cell(by.get(header)) for header in headers] for by in sample]},
                "counts": {"rows": total - said, "passed": passed(sheets, said)},
                "created_at": inner.now,
                "by": inner.actor.person_id,
            },
        ).scalar_one()
    return find(ctx, int(number))


def _importable(ctx: Context, entity: str) -> CompiledEntity:
    granted = grant(ctx, entity)
    if not rights(ctx, "import") or not granted.allowed("create"):
        raise Denied("import_denied", entity=entity)
    return ctx.workspace.entities[entity]


def _headers(sheets: Sheets) -> list[str]:
    return list(dict.fromkeys(header for table in sheets.tables for header in table.headers if header))


def _aligned(headers: Sequence[str], row: SheetRow) -> dict[str, Any]:
    return dict(zip(headers, row.cells, strict=False))


def _path(ctx: Context, token: str) -> Path:
    return ctx.home.settings.home / "imports" / ctx.workspace.name / token


def find(ctx: Context, batch: int) -> Batch:
    """One import, its own importer's or for those with the right; cells of its file only where they may be read. Raises NotFound."""
    found = _found(ctx, batch)
    return found if _shows_cells(ctx, found) else replace(found, sample=())


def _shows_cells(ctx: Context, batch: Batch) -> bool:
    """Whether somebody may read the cells of a file: they brought it, or see every field of every record of its entity."""
    return (batch.by is not None and batch.by == ctx.actor.person_id) or sees_whole(ctx, batch.entity)


def _found(ctx: Context, batch: int) -> Batch:
    with ctx.reading() as inner:
        row = inner.open.execute(sa.select(import_batch).where(import_batch.c.id == batch)).one_or_none()
    if row is None or not (rights(ctx, "import") or row.by == ctx.actor.person_id):
        raise NotFound("unknown_import", id=batch)
    return _batch(row)


def _batch(row: Any) -> Batch:
    mapping, options = row.mapping or {}, row.options or {}
    return Batch(
        row.id,
        row.entity,
        row.file_name,
        row.state,
        tuple(mapping.get("headers", ())),
        tuple(mapping.get("targets", ())),
        frozenset(mapping.get("guessed", ())),
        row.counts or {},
        row.created_at,
        row.by,
        options.get("token", ""),
        tuple(tuple(cells) for cells in options.get("sample", ())),
        options.get("job"),
    )


def newest(ctx: Context, entity: str = "", limit: int = 20) -> list[Batch]:
    """The newest imports."""
    select = sa.select(import_batch).order_by(import_batch.c.id.desc()).limit(limit)
    if not rights(ctx, "import"):
        raise Denied("import_denied", entity=entity)
    with ctx.reading() as inner:
        return [replace(_batch(row), sample=()) for row in inner.open.execute(select.where(import_batch.c.entity == entity) if entity else select)]


def set_mapping(ctx: Context, batch: int, targets: Mapping[str, str], save_as: str = "") -> Batch:
    """A person's mapping by header; headers not named keep theirs. ``save_as`` keeps it for files with the same headers."""
    found = _found(ctx, batch)
    compiled = _importable(ctx, found.entity)
    chosen = [targets.get(header, old) for header, old in zip(found.headers, found.targets, strict=True)]
    mapping = check_mapping(ctx, compiled, chosen)
    with ctx.writing() as inner:
        inner.open.execute(import_batch.update().where(import_batch.c.id == batch).values(mapping={"headers": list(found.headers), "targets": chosen}))
    if save_as:
        save_mapping(ctx, found.entity, save_as, found.headers, mapping)
    return find(ctx, batch)


# --- run -----------------------------------------------------------------------------------------------------------------------------------


class _Rehearsed(Exception):
    """Ends the transaction of a dry chunk without a commit."""


def run(ctx: Context, batch: int, *, dry: bool = False, start: int = 0, checkpoint: Callable[[Context, Mapping[str, Any]], None] | None = None) -> Batch:
    """Import (or rehearse) the rows from number ``start`` on, a chunk to a transaction; ``checkpoint`` is called inside each."""
    found = _found(ctx, batch)
    compiled = _importable(ctx, found.entity)
    context = ctx.because(Cause("import", found.file_name, {"batch": batch}))
    importer = Importer(found.entity, plan_of(ctx.workspace, compiled), found.file_name, dry=dry)
    reading = Reading(ctx, compiled, _path(ctx, found.token), dict(zip(found.headers, found.targets, strict=True)), importer)
    _clear(ctx, batch, dry, start)
    told = {"rows": found.counts.get("rows", 0), "passed": found.counts.get("passed", {})}
    counts = {**found.counts, **told} if start else told
    done, pace = start, Pace()
    with closing(ahead(reading.pieces(start), pace)) as chunks:
        for pieces in chunks:
            begun = perf_counter()
            done += sum(map(len, pieces))
            with uncollected():
                drafts = list(chain.from_iterable(pieces))
                counts = _chunk(context, importer, batch, drafts, counts, dry, checkpoint, {"done": done, "total": told["rows"]})
                pieces.clear()
                del drafts  # gone before anybody looks for cycles
            pace.took(perf_counter() - begun)
    with ctx.writing() as inner:
        inner.open.execute(
            import_batch.update()
            .where(import_batch.c.id == batch)
            .values(state="checked" if dry else "done", counts={**counts, **reading.counts(), "dry": dry}, done_at=None if dry else inner.now)
        )
    return find(ctx, batch)


def _clear(ctx: Context, batch: int, dry: bool, start: int) -> None:
    """A new run begins a new report."""
    with ctx.writing() as inner:
        if start == 0:
            inner.open.execute(import_row.delete().where(import_row.c.batch == batch))
        inner.open.execute(import_batch.update().where(import_batch.c.id == batch).values(state="reading" if dry else "running"))


def _chunk(
    ctx: Context,
    importer: Importer,
    batch: int,
    drafts: Sequence[RowDraft],
    counts: dict[str, Any],
    dry: bool,
    checkpoint: Callable[[Context, Mapping[str, Any]], None] | None,
    progress: Mapping[str, Any],
) -> dict[str, Any]:
    """A chunk in a transaction of its own. The disc is waited for at the end of all: what a power failure takes back is imported again, or nobody was told."""
    outcomes: list[Outcome] = []
    try:
        with ctx.writing(lasting=False) as inner:
            outcomes = importer.chunk(inner, drafts)
            if dry:
                raise _Rehearsed
            keep(inner, batch, outcomes)
            counts = counted(counts, outcomes)
            inner.open.execute(import_batch.update().where(import_batch.c.id == batch).values(counts=counts))
            if checkpoint is not None:
                checkpoint(inner, progress)
    except _Rehearsed:
        counts = counted(counts, outcomes)
        with ctx.writing(lasting=False) as inner:
            keep(inner, batch, outcomes, dry=True)
            if checkpoint is not None:
                checkpoint(inner, progress)
    return counts


def start(ctx: Context, batch: int, *, dry: bool = False) -> int:
    """Have the import (or its rehearsal) run by a job; gives the job's id."""
    found = _found(ctx, batch)
    _importable(ctx, found.entity)
    if found.state in ("done", "undone", "running"):
        raise Invalid("import_already_run", state=found.state)
    with ctx.writing() as inner:
        job = jobs.put(
            inner.open,
            ctx.workspace.name,
            JOB,
            {"batch": batch, "dry": dry, "locale": ctx.locale},
            person=ctx.actor.person_id,
            key=f"import:{ctx.workspace.name}:{batch}:{dry}",
        )
        inner.open.execute(
            import_batch.update()
            .where(import_batch.c.id == batch)
            .values(options={"token": found.token, "sample": [list(cells) for cells in found.sample], "job": job})
        )
    return job


def run_job(job: jobs.JobRun) -> Mapping[str, Any]:
    """The job: resumes at the chunk it had not committed."""
    cause = Cause("import", "", {"batch": job.args["batch"]})
    ctx = (
        enter_id(job.home, job.workspace, job.person, locale=job.args.get("locale", "zh"), cause=cause)
        if job.person
        else enter_as(job.home, job.workspace, "operator", cause=cause)
    )
    ctx = replace(ctx, background=True)
    dry = bool(job.args.get("dry"))
    batch = run(
        ctx,
        job.args["batch"],
        dry=dry,
        start=0 if dry else int(job.progress.get("done", 0)),
        checkpoint=lambda inner, progress: job.checkpoint(inner.open, progress),
    )
    return {"counts": dict(batch.counts), "batch": batch.id}


# --- report --------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """A page of the report; ``next`` is where it goes on."""

    rows: list[ReportRow] = field(default_factory=list)
    next: int | None = None


def report(ctx: Context, batch: int, *, outcome: str = "", after: int = 0, limit: int = 100) -> Report:
    """What became of each row. ``outcome``: only created, merged, refused, or ``said`` for those with faults or warnings."""
    shows, table = _shows_cells(ctx, _found(ctx, batch)), import_row
    select = sa.select(table).where(table.c.batch == batch, table.c.id > after, table.c.outcome != "also").order_by(table.c.id).limit(limit + 1)
    if outcome == "said":
        select = select.where(table.c.raw.is_not(None), sa.func.length(sa.cast(table.c.faults, sa.Text)) > 4)
    elif outcome:
        select = select.where(table.c.outcome == outcome)
    with ctx.reading() as inner:
        found = inner.open.execute(select).all()
    rows = [
        ReportRow(
            row.sheet or "",
            row.row,
            row.outcome,
            row.record,
            tuple(_fault(item, shows) for item in row.faults or () if not item.get("warning")),
            tuple(_fault(item, shows) for item in row.faults or () if item.get("warning")),
            tuple(row.raw or ()) if shows else (),
        )
        for row in found[:limit]
    ]
    return Report(rows, found[limit - 1].id if len(found) > limit else None)


def _fault(item: Mapping[str, Any], shows: bool) -> Mapping[str, Any]:
    """What is to be said about a row; its particulars may repeat what stood in a cell."""
    return item if shows else {**item, "params": dict.fromkeys(item.get("params") or (), HIDDEN)}
