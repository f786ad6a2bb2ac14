"""The import wizard: a file, its columns, a rehearsal, the run with progress, the report row by row, undo as a whole."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from engine import files, jobs
from engine.access import grant_of
from engine.errors import NotFound
from engine.exchange import batches, undo
from engine.exchange.mapping import choices_of
from engine.exchange.reporting import reasons, write_report
from engine.messages import sentence
from engine.records.query_labels import labels
from metadata.text import label_text
from renderer.api.work import kept
from renderer.requests import Routes, Visit
from renderer.security import Permission
from renderer.translations import _

routes = Routes()
IMPORT = Permission("member", right="import")
UPLOAD = Permission("member", right="import", upload=True)
WORKING = ("waiting", "running")


def _entities(visit: Visit) -> list[tuple[str, str]]:
    """What the person may import into: entities of the application with lists or an import block, not child lines."""
    ctx, found = visit.ctx, []
    for key, entity in ctx.workspace.entities.items():
        if not entity.lines_of and grant_of(ctx.workspace, ctx.actor, entity).allowed("create"):
            found.append((not entity.definition.imports, label_text(entity.title, visit.locale, key), key))
    return [(key, title) for _rank, title, key in sorted(found)]


@routes.get("/w/{ws}/imports", IMPORT)
def start(visit: Visit) -> Response:
    """A new import, and the ones before."""
    titles = dict(_entities(visit))
    past = [
        {
            "batch": item,
            "title": titles.get(item.entity, item.entity),
            "state": _state(item.state),
            "at": item.created_at.astimezone(visit.ctx.workspace.timezone),
        }
        for item in batches.newest(visit.ctx)
    ]
    return visit.page("imports.html", entities=_entities(visit), past=past, chosen=visit.request.query_params.get("entity", ""))


@routes.get("/w/{ws}/import/{entity}", IMPORT)
def start_of(visit: Visit) -> Response:
    """A new import into one entity."""
    return visit.redirect(f"{visit.base}/imports?entity={visit.path['entity']}")


@routes.post("/w/{ws}/imports", UPLOAD)
def begin(visit: Visit) -> Response:
    """Take the file and look at it."""
    given = visit.upload("file")
    with tempfile.TemporaryDirectory() as folder:
        batch = batches.begin(visit.ctx, visit.text("entity"), kept(given, folder), files.safe_name(given.filename or "upload"))
    return visit.redirect(f"{visit.base}/imports/{batch.id}")


def _state(state: str) -> str:
    return {"checked": _("Ready"), "reading": _("Rehearsing"), "running": _("Running"), "done": _("Done"), "undone": _("Undone"), "failed": _("Failed")}.get(
        state, state
    )


@routes.get("/w/{ws}/imports/{id}", IMPORT)
def show(visit: Visit) -> Response:
    """Where an import stands: its columns, its progress, its report."""
    return visit.page("import.html", **_view(visit, batches.find(visit.ctx, visit.number("id"))))


@routes.get("/w/{ws}/imports/{id}/progress", IMPORT)
def progress(visit: Visit) -> Response:
    """The moving part of the page; asks again while work goes on."""
    return visit.part("_import.html", **_view(visit, batches.find(visit.ctx, visit.number("id"))))


def _view(visit: Visit, batch: batches.Batch) -> dict[str, Any]:
    ctx = visit.ctx
    compiled = ctx.workspace.entities.get(batch.entity)
    if compiled is None:
        raise NotFound("unknown_entity", entity=batch.entity)
    job = jobs.find(ctx.workspace.database, ctx.workspace.name, batch.job) if batch.job else None
    working = job is not None and job.state in WORKING
    outcome = visit.request.query_params.get("outcome", "")
    after = visit.request.query_params.get("after", "0")
    counts = batch.counts
    ran = any(name in counts for name in ("created", "merged", "refused"))
    page = batches.report(ctx, batch.id, outcome=outcome, after=int(after) if after.isdigit() else 0, limit=50) if ran and not working else batches.Report()
    with ctx.reading() as reading:
        names = labels(reading, batch.entity, {row.record for row in page.rows if row.record is not None})
    rows = [
        {
            "place": f"{row.sheet}!{row.row}" if row.sheet else str(row.row),
            "outcome": row.outcome,
            "record": row.record,
            "name": names.get(row.record or 0, ""),
            "why": reasons(row, visit.locale),
            "text": "，".join(str(cell) for cell in row.raw if cell is not None)[:120],
        }
        for row in page.rows
    ]
    return {
        "batch": batch,
        "title": label_text(compiled.title, visit.locale, batch.entity),
        "state": _state(batch.state),
        "working": working,
        "job": job,
        "failure": sentence(str(job.error["code"]), dict(job.error.get("params", {})), visit.locale) if job and job.state == "dead" and job.error else "",
        "columns": [
            {"header": header, "target": target, "guessed": header in batch.guessed, "sample": _sample(batch, at)}
            for at, (header, target) in enumerate(zip(batch.headers, batch.targets, strict=True))
        ],
        "targets": choices_of(ctx, compiled, visit.locale),
        "counts": counts,
        "ran": ran,
        "dry": bool(counts.get("dry")),
        "rows": rows,
        "next": page.next,
        "outcome": outcome,
        "here": f"{visit.base}/imports/{batch.id}",
        "passed": _passed(counts),
        "skipped": counts.get("skipped", []),
        "editable": batch.state == "checked" and not working,
    }


def _sample(batch: batches.Batch, at: int) -> str:
    return " · ".join(str(cells[at]) for cells in batch.sample[:4] if at < len(cells) and cells[at] is not None)[:80]


def _passed(counts: Any) -> list[tuple[str, int]]:
    words: dict[str, str] = {
        "title": _("title rows"),
        "header": _("header rows"),
        "subtotal": _("subtotals"),
        "not_rows": _("subtotals"),
        "hidden_sheet": _("rows of hidden sheets"),
        "no_header": _("rows without a header"),
    }
    return [(words.get(str(name), str(name)), number) for name, number in dict(counts.get("passed", {})).items() if number]


@routes.post("/w/{ws}/imports/{id}/run", IMPORT)
def run(visit: Visit) -> Response:
    """Keep the chosen columns and start the rehearsal or the run."""
    number = visit.number("id")
    batch = batches.find(visit.ctx, number)
    targets = {header: visit.text(f"target:{at}", old) for at, (header, old) in enumerate(zip(batch.headers, batch.targets, strict=True))}
    batches.set_mapping(visit.ctx, number, targets, visit.text("save_as").strip()[:60])
    batches.start(visit.ctx, number, dry=visit.text("how") != "run")
    return visit.redirect(f"{visit.base}/imports/{number}")


@routes.post("/w/{ws}/imports/{id}/undo", IMPORT)
def take_back(visit: Visit) -> Response:
    """Undo the whole import."""
    found, skipped = undo.undo(visit.ctx, visit.number("id"))
    text = _("%(count)s records undone", count=found.counts.get("undone", 0))
    if skipped:
        text += " · " + _("%(count)s were changed since and stay", count=len(skipped))
    return visit.redirect(f"{visit.base}/imports/{found.id}", toast=text)


@routes.get("/w/{ws}/imports/{id}/report", IMPORT)
def report_file(visit: Visit) -> Response:
    """The refused and doubtful rows as a spreadsheet."""
    batch = batches.find(visit.ctx, visit.number("id"))
    folder = tempfile.mkdtemp(prefix="report-")
    path = Path(folder) / "report.xlsx"
    write_report(visit.ctx, batch.id, path, outcome="said")

    def forget() -> None:
        path.unlink(missing_ok=True)
        Path(folder).rmdir()

    return FileResponse(
        path,
        filename=f"{Path(batch.file_name).stem}-report.xlsx",
        background=BackgroundTask(forget),
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    )
