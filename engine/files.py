"""Attachments: stored under random names, typed by content, readable exactly when the field of the record they are bound to is. Serving is the renderer's.

Binding a file to a record happens in the save (engine/records/attachments.py); here is the store, the upload, the way to one file, and the clean-up.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import puremagic
import sqlalchemy as sa

from engine.errors import Invalid, NotFound
from engine.fields.values import FileValue, Masked
from engine.records.attachments import file_url
from engine.records.history import note_access
from engine.records.query import get
from engine.system_tables import file as table

if TYPE_CHECKING:
    from engine.context import Context

UNBOUND_FOR = timedelta(hours=24)
_BLOCK = 1 << 20
#: Types a browser may show in place; everything else is handed out as an attachment only.
SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
#: Content that could run in a browser is never typed as what it is.
_ACTIVE = ("svg", "html", "xml", "javascript", "xhtml")
UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file its reader may open: where it lies and what it is."""

    value: FileValue
    path: Path
    sha256: str

    @property
    def inline(self) -> bool:
        """Whether a browser may show it in place."""
        return self.value.type in SHOWN


def _folder(ctx: Context) -> Path:
    return Path(ctx.home.settings.files) / ctx.workspace.name


def _path(ctx: Context, token: str) -> Path:
    return _folder(ctx) / token[:2] / token


def media_type(head: bytes, name: str) -> str:
    """The media type by content; never one that a browser would run. Text that no signature tells is plain text when it decodes."""
    try:
        found = puremagic.from_string(head, mime=True, filename=None)
    except (puremagic.PureError, ValueError):
        found = ""
    if not found or any(word in found for word in _ACTIVE):
        stripped = head[:512].lstrip().lower()
        if stripped.startswith((b"<", b"\xef\xbb\xbf<")) or b"\0" in head[:4096]:
            return UNKNOWN
        try:
            head[:4096].decode("utf-8")
        except UnicodeDecodeError:
            return UNKNOWN
        return "text/csv" if name.lower().endswith(".csv") else "text/plain"
    return str(found)


def safe_name(name: str) -> str:
    """A file name as people gave it, without path, control characters and bidi tricks."""
    cleaned = "".join(
        char
        for char in name.replace("\\", "/").rsplit("/", 1)[-1]
        if char.isprintable() and char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
    return cleaned.strip(". ")[:200] or "file"


def upload(ctx: Context, name: str, source: BinaryIO, *, limit: int) -> FileValue:
    """Store an upload; it belongs to its uploader until a save binds it (24 h). Raises Invalid when it is empty or longer than ``limit`` bytes."""
    token = secrets.token_hex(24)
    path = _path(ctx, token)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size, head = hashlib.sha256(), 0, b""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > limit:
                break
            head = head or block[:8192]
            digest.update(block)
            target.write(block)
    if size > limit or size == 0:
        path.unlink()
        raise Invalid("file_too_long" if size else "file_empty", name=safe_name(name), limit=limit)
    with ctx.writing() as inner:
        number = inner.open.execute(
            table.insert().returning(table.c.id),
            {
                "token": token,
                "name": safe_name(name),
                "size": size,
                "type": media_type(head, name),
                "sha256": digest.hexdigest(),
                "uploaded_by": inner.actor.person_id,
                "uploaded_at": inner.now,
            },
        ).scalar_one()
    return FileValue(int(number), safe_name(name), size, media_type(head, name), file_url(ctx.workspace.name, int(number)))


def open_file(ctx: Context, number: int) -> StoredFile:
    """A file the caller may read. Raises NotFound when there is none, or none for them."""
    with ctx.reading() as inner:
        row = inner.open.execute(sa.select(table).where(table.c.id == number)).one_or_none()
    if row is None or not _may_read(ctx, row):
        raise NotFound("unknown_file", id=number)
    if row.entity is not None:
        note_access(ctx, "file", row.entity, record=row.record, field=row.field, detail={"file": number})
    value = FileValue(row.id, row.name, row.size, row.type, file_url(ctx.workspace.name, row.id))
    return StoredFile(value, _path(ctx, row.token), row.sha256)


def _may_read(ctx: Context, row: Any) -> bool:
    if row.entity is None or row.record is None:
        return bool(row.uploaded_by is not None and row.uploaded_by == ctx.actor.person_id)
    try:
        record = get(ctx, row.entity, row.record, (row.field,), lines=False)
    except (NotFound, Invalid):
        return False
    held = record.get(row.field)
    values = held if isinstance(held, list) else [held]
    return not isinstance(held, Masked) and row.id in [item.id if isinstance(item, FileValue) else item for item in values]


def clean(ctx: Context) -> int:
    """Remove uploads that no save has bound for 24 hours; gives how many."""
    with ctx.writing() as inner:
        rows = inner.open.execute(
            sa.select(table.c.id, table.c.token).where(table.c.bound_at.is_(None), table.c.uploaded_at < inner.now - UNBOUND_FOR).limit(1000)
        ).all()
        if rows:
            inner.open.execute(table.delete().where(table.c.id.in_([row.id for row in rows])))
    _unlink(_path(ctx, row.token) for row in rows)
    return len(rows)


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
