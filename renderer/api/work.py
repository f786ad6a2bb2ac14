"""Imports, exports and long work over JSON, and files in and out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from engine import files, jobs
from engine.access import rights
from engine.context import Context
from engine.errors import Invalid, NotFound
from engine.exchange import batches, undo
from engine.messages import sentence
from renderer.api.route import OneHop
from renderer.api.shapes import BatchId, FileId, JobId, Upload, answer, truth, whole
from renderer.requests import ApiContext, guarded

router = APIRouter(prefix="/api/{ws}", route_class=OneHop)


def kept(upload: UploadFile, folder: str) -> Path:
    """The upload's content in a file of its own, for readers that want a path."""
    path = Path(folder) / "upload"
    with path.open("wb") as target:
        while block := upload.file.read(1 << 20):
            target.write(block)
    return path


@router.post("/imports/{entity}", **guarded("create", right="import", upload=True))
def begin_import(ctx: ApiContext, request: Request, entity: str, file: Upload) -> Response:
    """Look at a file and start importing it by its guessed or saved mapping; ``dry=true`` rehearses. The answer names the job to follow."""
    with tempfile.TemporaryDirectory() as folder:
        batch = batches.begin(ctx, entity, kept(file, folder), files.safe_name(file.filename or "upload"))
    job = batches.start(ctx, batch.id, dry=truth(request.query_params, "dry"))
    return answer({"batch": batch.id, "job": job, "headers": batch.headers, "targets": batch.targets}, 202, Location=f"/api/{ctx.workspace.name}/jobs/{job}")


@router.get("/imports/{batch}/rows", **guarded(right="import"))
def import_rows(ctx: ApiContext, request: Request, batch: BatchId) -> Response:
    """What became of each row."""
    found = batches.report(ctx, batch, outcome=request.query_params.get("outcome", ""), after=whole(request.query_params, "after", 0, 0, 2**53))
    return answer(
        {
            "items": [
                {
                    "sheet": row.sheet,
                    "row": row.row,
                    "outcome": row.outcome,
                    "record": row.record,
                    "errors": [_fault(item, ctx.locale) for item in row.faults],
                    "warnings": [_fault(item, ctx.locale) for item in row.warnings],
                }
                for row in found.rows
            ],
            "next": found.next,
        }
    )


def _fault(item: Any, locale: str) -> dict[str, Any]:
    return {"pointer": item["pointer"], "code": item["code"], "message": sentence(item["code"], item["params"], locale)}


@router.post("/imports/{batch}/undo", **guarded(right="import"))
def undo_import(ctx: ApiContext, batch: BatchId) -> Response:
    """Undo a whole import; records changed since are skipped and listed."""
    found, skipped = undo.undo(ctx, batch)
    return answer(
        {
            "state": found.state,
            "undone": found.counts.get("undone", 0),
            "skipped": [{"entity": item.entity, "record": item.record, "why": item.why} for item in skipped],
        }
    )


@router.get("/jobs/{job}", **guarded("read"))
def job_state(ctx: ApiContext, job: JobId) -> Response:
    """How far a piece of long work is."""
    return answer(job_json(ctx, job))


def job_json(ctx: Context, job: int) -> dict[str, Any]:
    """A job of the caller's, or an import where they have the right to import. Raises NotFound."""
    found = jobs.find(ctx.workspace.database, ctx.workspace.name, job)
    if found.person != ctx.actor.person_id and not (found.name == batches.JOB and rights(ctx, "import")):
        raise NotFound("unknown_job", id=job)
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state,
        "done": found.progress.get("done", 0),
        "total": found.progress.get("total"),
        "result": {key: value for key, value in found.progress.items() if key not in ("done", "total", "error")},
        "error": found.error,
        "created_at": found.created_at.isoformat(),
        "done_at": found.done_at.isoformat() if found.done_at else None,
    }


@router.post("/files", **guarded("create", upload=True))
def upload_file(ctx: ApiContext, file: Upload) -> Response:
    """Store a file; it is the uploader's until a save binds it."""
    return answer(files.upload(ctx, file.filename or "file", file.file, limit=ctx.home.settings.max_upload)._asdict(), 201)


@router.get("/files/{number}", **guarded("read"))
def get_file(ctx: ApiContext, number: FileId) -> Response:
    """A file's content, as an attachment."""
    return file_response(files.open_file(ctx, number), inline=False)


def file_response(found: files.StoredFile, *, inline: bool) -> Response:
    """A stored file, inert: its own policy, no sniffing, shown in place only when it is a picture."""
    if not found.path.is_file():
        raise Invalid("file_lost", name=found.value.name)
    return FileResponse(
        found.path,
        media_type=found.value.type,
        filename=found.value.name,
        content_disposition_type="inline" if inline and found.inline else "attachment",
        headers={"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
