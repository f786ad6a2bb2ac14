"""Definitions in folders and archives: exporting a workspace's with their base, reading them back, and merging them with what changed since.

A folder stands for a complete state: what it lacks and its base had is retired. Publishes nothing.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from engine.builtin import DOCUMENTS
from engine.context import Context
from engine.errors import Invalid, NotFound
from engine.provenance import Origin, Place, base_documents, from_preset, load_bundle, origins, version_of
from engine.system_tables import document
from metadata.bundle import Bundle, file_of
from metadata.merge import merge
from metadata.vocabulary import Problem

#: The file of an export that names its base; folders of presets have none.
BASE_FILE = ".tangram-base.json"
MAX_MEMBERS = 5_000
MAX_UNPACKED = 50 * 1024 * 1024
_FIXED_TIME = (2000, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A folder's definitions merged with the workspace: the bundle to publish, where it came from, and where both sides changed the same."""

    bundle: Bundle
    problems: tuple[Problem, ...]
    conflicts: Mapping[Place, tuple[str, ...]]
    taken: Mapping[Place, Origin]
    base_texts: tuple[str, ...] = ()

    @staticmethod
    def base_texts_of(connection: sa.Connection, known: Mapping[Place, Origin]) -> tuple[str, ...]:
        """The texts origins name as bases, to be kept beside a copy of the definitions."""
        wanted = {origin.base_digest for origin in known.values() if origin.base_digest}
        rows = connection.execute(sa.select(document.c.digest, document.c.text)).all()
        return tuple(text for digest, text in rows if digest in wanted)


def with_base(bundle: Bundle) -> Bundle:
    """The same definitions on top of the engine's own."""
    return bundle if dict(bundle.base) == dict(DOCUMENTS) else Bundle(bundle.documents, DOCUMENTS, bundle.positions)


# --- exporting -----------------------------------------------------------------------------------------------------------------------------


def export_definitions(ctx: Context, target: Path | str, *, number: int | None = None) -> int:
    """Write a version's definitions (the current one's) with their base to a folder, or to an archive when ``target`` ends in .zip; its number.

    Raises Invalid when the folder is there and not empty.
    """
    path = Path(target)
    with ctx.snapshot() as ctx:
        wanted = ctx.workspace.version if number is None else number
        digest = version_of(ctx.open, wanted).digest
        bundle = load_bundle(ctx.open, wanted)
    base = json.dumps({"workspace": ctx.workspace.name, "version": wanted, "digest": digest}, ensure_ascii=False, indent=2) + "\n"
    if path.suffix == ".zip":
        _write_archive(path, bundle, base)
    else:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise Invalid("export_exists", path=str(path))
        path.mkdir(parents=True, exist_ok=True)
        bundle.write_folder(path)
        (path / BASE_FILE).write_text(base, encoding="utf-8")
    return wanted


def _write_archive(path: Path, bundle: Bundle, base: str) -> None:
    """The same definitions always give the same bytes."""
    texts = {file_of(kind, key): bundle.text(kind, key) for kind, key in bundle.documents}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted({**texts, BASE_FILE: base}.items()):
            archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), text.encode("utf-8"), zipfile.ZIP_DEFLATED)


# --- reading -------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path | str) -> Iterator[Path]:
    """A folder as it is, an archive unpacked for the time of the block. Raises NotFound, Invalid for an archive that is none of ours."""
    place = Path(path)
    if place.is_dir():
        yield place
        return
    if not place.is_file():
        raise NotFound("folder_unreadable", path=str(place))
    with TemporaryDirectory(prefix="tangram-") as scratch:
        _unpack(place, Path(scratch))
        yield Path(scratch)


def _unpack(path: Path, target: Path) -> None:
    """JSON members only, two levels deep, bounded; nothing an archive says is trusted as a path."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
                raise Invalid("folder_unreadable", path=str(path))
            for member in members:
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts or len(name.parts) > 2 or name.suffix != ".json" or "\\" in member.filename:
                    raise Invalid("folder_unreadable", path=f"{path}: {member.filename}")
                place = target.joinpath(*name.parts)
                place.parent.mkdir(exist_ok=True)
                with archive.open(member) as packed:
                    place.write_bytes(packed.read(MAX_UNPACKED))
    except (zipfile.BadZipFile, OSError) as error:
        raise Invalid("folder_unreadable", path=str(path)) from error


def read_source(ctx: Context, path: Path | str) -> Source:
    """A folder or archive merged three ways with its base and what the workspace has now; newer changes of the workspace stay."""
    with opened(path) as folder:
        theirs, problems = Bundle.read_folder(folder, DOCUMENTS)
        named = _named_base(folder)
    current = ctx.workspace.bundle
    known = origins(ctx.open, ctx.workspace.version)
    exported = _exported_base(ctx, named)
    base: Mapping[Place, Mapping[str, Any]] = base_documents(ctx.open, known) if exported is None else exported.documents
    if any(problem.severity == "error" for problem in problems):
        return Source(theirs, tuple(problems), {}, {})
    if exported is None and ctx.workspace.version == 0:
        return Source(theirs, tuple(problems), {}, from_preset(theirs), tuple(theirs.text(*place) for place in theirs.documents))
    result = merge(base, current.documents, theirs.documents)
    conflicts: dict[Place, list[str]] = {}
    for conflict in result.conflicts:
        conflicts.setdefault((conflict.kind, conflict.key), []).append(conflict.pointer)
    positions = {place: at for place, at in theirs.positions.items() if result.documents.get(place) == theirs.documents.get(place)}
    merged = Bundle(result.documents, DOCUMENTS, positions)
    taken = {} if exported is not None else from_preset(theirs)
    texts = () if exported is not None else tuple(theirs.text(*place) for place in theirs.documents)
    return Source(merged, tuple(problems), {place: tuple(pointers) for place, pointers in conflicts.items()}, taken, texts)


def _named_base(folder: Path) -> Mapping[str, Any] | None:
    """What an export says of its base; None for a preset's folder."""
    file = folder / BASE_FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _exported_base(ctx: Context, named: Mapping[str, Any] | None) -> Bundle | None:
    """The version an export names, when it is really one of this workspace (same number, same digest)."""
    number = named.get("version") if named else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return None
    try:
        known = version_of(ctx.open, number)
    except NotFound:
        return None
    return load_bundle(ctx.open, number) if named is not None and known.digest == named.get("digest") else None
