"""The archive of a workspace: what is in it, written in one consistent snapshot, checked before anything of it is believed. Restoring tables is publishing_restore.py's.

A zip of manifest.json, ``tables/NAME.jsonl`` (system tables), ``records/ENTITY.jsonl`` (all columns, deleted and retired ones too) and ``files/TOKEN``.
The same from both databases. No session, token, source key, secret of a connection or job is in it; encrypted values stay sealed, their keys wrapped.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from engine.clock import State, read_state, wall
from engine.crypto import Keys
from engine.errors import Invalid, NotFound
from engine.home import Home
from engine.migrations import HEADS
from engine.provenance import load_bundle
from engine.schema.ledger import SEARCH_TYPE, Ledger, lay_out, read_ledger
from engine.schema.tables import StoredField, entity_table
from engine.storage import Instant
from engine.system_tables import WORKSPACE, workspace_state
from engine.workspace import Workspace
from engine.workspace_compile import compile_entities
from engine.workspace_load import shapes_of

FORMAT = 1
MANIFEST = "manifest.json"
#: What another installation must not get, and what is only of this moment.
LEFT_OUT = frozenset({"api_token", "source_key", "job", "idempotency", "workspace_state", "replay", "replay_finding"})
#: Columns of kept tables that are secrets of this installation.
BLANKED: Mapping[str, frozenset[str]] = {"connector": frozenset({"secret"})}
_MEMBER = re.compile(r"tables/[a-z_]{1,60}\.jsonl|records/[a-z][a-z0-9_]{0,39}\.jsonl|files/[A-Za-z0-9_-]{1,64}")
_CHUNK = 2_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that has been checked: its manifest and the open file."""

    manifest: Mapping[str, Any]
    file: zipfile.ZipFile

    def rows(self, member: str, table: sa.Table) -> Iterator[dict[str, Any]]:
        """The rows of one member as values of the table's columns, by column name; an absent member has none."""
        if member not in self.manifest["members"]:
            return
        readers = {column.name: _reader_of(column.type) for column in table.columns}
        with self.file.open(member) as lines:
            for line in lines:
                row = orjson.loads(line)
                yield {name: read(row[name]) if row.get(name) is not None else None for name, read in readers.items()}

    def files(self) -> Iterator[str]:
        """Tokens of the attachments."""
        return (name.removeprefix("files/") for name in self.manifest["members"] if name.startswith("files/"))


def _reader_of(type_: sa.types.TypeEngine[Any]) -> Callable[[Any], Any]:
    if isinstance(type_, Instant):
        return datetime.fromisoformat
    return date.fromisoformat if isinstance(type_, sa.Date) else lambda value: value


def keys_of_passphrase(passphrase: str, salt: str) -> Keys:
    """The wrapping keys a passphrase stands for."""
    return Keys(hashlib.scrypt(passphrase.encode(), salt=bytes.fromhex(salt), n=2**15, r=8, p=1, maxmem=64 << 20).hex())


# --- every column there is -------------------------------------------------------------------------------------------------------------------------


def all_stored(connection: sa.Connection, workspace: Workspace, ledger: Ledger) -> dict[tuple[str, str], StoredField]:
    """Every physical column of record tables: those in use, and retired ones as the version that made them knew them."""
    live = lay_out(shapes_of(workspace), ledger, workspace.version).stored
    found = {(item.entity, item.column): item for item in live.values()}
    for item in ledger.columns:
        if item.type == SEARCH_TYPE or (item.entity, item.column) in found:
            continue
        then = compile_entities(load_bundle(connection, item.since), workspace.registry, workspace.timezone, ledger, item.since, workspace.database.dialect)
        for stored in lay_out(then.shapes, ledger, item.since).stored.values():
            found.setdefault((stored.entity, stored.column), stored)
    return found


def record_tables(stored: Mapping[tuple[str, str], StoredField], ledger: Ledger, dialect: str) -> dict[str, sa.Table]:
    """Entity -> its table with every column, without search tokens, which are made anew."""
    entities = sorted({name.removeprefix("r_") for name in ledger.tables if name.startswith("r_")})
    return {entity: entity_table(entity, [item for (owner, _), item in stored.items() if owner == entity], dialect, searched=False) for entity in entities}


# --- writing -----------------------------------------------------------------------------------------------------------------------------------------


def backup(home: Home, name: str, target: Path, *, passphrase: str = "") -> Mapping[str, Any]:
    """Write the archive of a workspace; gives its manifest. The file appears whole or not at all, readable by its owner only.

    ``passphrase``: wraps the keys of encrypted fields for an installation with another secret. Raises NotFound, Invalid when the target cannot be written.
    """
    workspace = home.look(name)[0]
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with (
            os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as out,
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file,
        ):
            manifest = _write(home, workspace, file, passphrase)
        draft.replace(target)
    except OSError as error:
        raise Invalid("file_unwritable", path=str(target), reason=error.strerror or type(error).__name__) from error
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _write(home: Home, workspace: Workspace, file: zipfile.ZipFile, passphrase: str) -> Mapping[str, Any]:
    members: dict[str, Any] = {}
    with workspace.database.snapshot(long=True) as connection:
        connection.execution_options(scoped=True)
        state = read_state(connection)
        ledger = read_ledger(connection, workspace.database.schema)
        stored = all_stored(connection, workspace, ledger)
        for table in WORKSPACE.sorted_tables:
            if table.name not in LEFT_OUT:
                members[f"tables/{table.name}.jsonl"] = _write_rows(connection, file, f"tables/{table.name}.jsonl", table)
        for entity, table in record_tables(stored, ledger, workspace.database.dialect).items():
            members[f"records/{entity}.jsonl"] = _write_rows(connection, file, f"records/{entity}.jsonl", table)
        tokens = list(connection.execute(sa.select(WORKSPACE.tables["file"].c.token)).scalars())
        ring = connection.execute(sa.select(workspace_state.c["keys"])).scalar_one()
        last = _last_ids(connection, workspace, ledger)
    for token in tokens:
        path = home.settings.files / workspace.name / token[:2] / token
        if path.is_file():
            members[f"files/{token}"] = _write_member(file, f"files/{token}", _blocks(path))
    manifest = {
        "format": FORMAT,
        "release": HEADS["workspace"],
        "made_at": wall(),
        "state": _state_words(state),
        "members": members,
        "last_ids": last,
        **_wrapped(home, ring, passphrase),
    }
    file.writestr(MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def _state_words(state: State) -> dict[str, Any]:
    return {
        "name": state.name,
        "title": state.title,
        "version": state.version,
        "sandbox": state.sandbox,
        "demo": state.demo,
        "now": state.now,
        "timezone": str(state.timezone),
        "preset": state.preset,
        "preset_version": state.preset_version,
    }


def _wrapped(home: Home, ring: Mapping[str, Any], passphrase: str) -> dict[str, Any]:
    if not passphrase:
        return {"keys": ring}
    salt = secrets.token_hex(16)
    return {"keys": home.keys.rewrapped(ring, keys_of_passphrase(passphrase, salt)), "salt": salt}


def _write_rows(connection: sa.Connection, file: zipfile.ZipFile, name: str, table: sa.Table) -> dict[str, Any]:
    count, blanked = 0, BLANKED.get(table.name, frozenset())

    def blocks() -> Iterator[bytes]:
        nonlocal count
        rows = connection.execution_options(yield_per=_CHUNK).execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
        for part in rows.partitions():
            count += len(part)
            yield b"".join(
                orjson.dumps({str(key): value for key, value in row.items() if value is not None and key not in blanked}, option=orjson.OPT_APPEND_NEWLINE)
                for row in part
            )

    return {**_write_member(file, name, blocks()), "rows": count}


def _write_member(file: zipfile.ZipFile, name: str, blocks: Iterable[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with file.open(name, "w", force_zip64=True) as out:
        for block in blocks:
            digest.update(block)
            size += len(block)
            out.write(block)
    return {"sha256": digest.hexdigest(), "size": size}


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while block := source.read(_BLOCK):
            yield block


def _last_ids(connection: sa.Connection, workspace: Workspace, ledger: Ledger) -> dict[str, int]:
    """The last id given in each table: ids are never given twice, also not after a restore."""
    names = [
        *sorted(name for name in ledger.tables if name.startswith("r_")),
        *(str(table.name) for table in WORKSPACE.sorted_tables if table.name not in LEFT_OUT and "id" in table.c),
    ]
    if workspace.database.dialect == "sqlite":
        known = {name: int(last) for name, last in connection.execute(sa.text("SELECT name, seq FROM sqlite_sequence"))}
        return {name: known[name] for name in names if name in known}
    given = sa.text(
        "SELECT last_value FROM pg_sequences WHERE schemaname = :schema AND format('%I.%I', schemaname, sequencename) = "
        "pg_get_serial_sequence(format('%I.%I', CAST(:schema AS text), CAST(:name AS text)), 'id')"
    )
    found = {name: connection.execute(given, {"schema": workspace.database.schema, "name": name}).scalar() for name in names}
    return {name: int(last) for name, last in found.items() if last is not None}


# --- reading -----------------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    """An archive whose every byte has been checked. Raises NotFound or Invalid("archive_damaged" | "archive_of_newer_release") before anything is changed."""
    if not path.is_file():
        raise NotFound("file_unreadable", path=str(path), reason="not a file")
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Invalid("archive_damaged", path=str(path)) from error
    with file:
        try:
            manifest = _checked(file)
        except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise Invalid("archive_damaged", path=str(path)) from error
        if manifest["format"] != FORMAT or manifest["release"] != HEADS["workspace"]:
            raise Invalid("archive_of_newer_release", path=str(path), release=str(manifest["release"])[:40])
        yield Archive(manifest, file)


def _checked(file: zipfile.ZipFile) -> Mapping[str, Any]:
    """The manifest, when every member it names is there with its digest and there is nothing else. ValueError otherwise."""
    names = file.namelist()
    if file.getinfo(MANIFEST).file_size > 64 << 20:
        raise ValueError("manifest")
    manifest = orjson.loads(file.read(MANIFEST))
    members = manifest["members"]
    if len(names) != len(set(names)) or set(names) != {MANIFEST, *members} or not all(_MEMBER.fullmatch(name) for name in members):
        raise ValueError("members")
    for name, words in members.items():
        digest, left = hashlib.sha256(), int(words["size"])
        with file.open(name) as member:
            while block := member.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise ValueError(name)
                digest.update(block)
        if left or digest.hexdigest() != words["sha256"]:
            raise ValueError(name)
    for word, kind in (("name", str), ("title", str), ("version", int), ("sandbox", bool), ("demo", bool), ("timezone", str)):
        if not isinstance(manifest["state"][word], kind):
            raise ValueError(word)
    return {**manifest, "release": manifest["release"], "keys": dict(manifest["keys"]), "last_ids": dict(manifest["last_ids"]), "format": manifest["format"]}


def set_last_ids(connection: sa.Connection, last_ids: Mapping[str, Any], tables: Iterable[str], schema: str | None) -> None:
    """Ids go on after the last one the archive knows of."""
    known = {name: last_ids[name] for name in tables if isinstance(last_ids.get(name), int) and last_ids[name] > 0}
    if schema is None:
        for name, last in known.items():
            connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), {"name": name, "last": last})
        return
    move = sa.text("SELECT setval(CAST(pg_get_serial_sequence(format('%I.%I', CAST(:schema AS text), CAST(:name AS text)), 'id') AS regclass), :last)")
    for name, last in known.items():
        connection.execute(move, {"schema": schema, "name": name, "last": last})
