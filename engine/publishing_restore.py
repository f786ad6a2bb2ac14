"""From a checked archive back to a workspace: system rows, tables as its ledger says, records, search tokens, indexes, files. All of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine import erasures
from engine.accounts import ensure_account
from engine.actors import people_of
from engine.backup import LEFT_OUT, Archive, all_stored, keys_of_passphrase, opened_archive, record_tables, set_last_ids
from engine.clock import read_state
from engine.errors import Invalid
from engine.home import Home
from engine.outbox import HELD, WAITING
from engine.publishing_rows import index_conditions
from engine.records.bulk_insert import insert_rows
from engine.records.search import is_searched, token_columns, write_tokens
from engine.schema.apply import add_foreign_keys, analyze, create_index, create_whole
from engine.schema.indexes import needed
from engine.schema.ledger import Ledger, lay_out, read_ledger
from engine.schema.tables import SEARCH_COLUMN, StoredField, search_column, table_name
from engine.system_tables import WORKSPACE, workspace_state
from engine.system_tables_rules import outgoing
from engine.workspace import CompiledEntity, Workspace
from engine.workspace_load import load_workspace, shapes_of

_CHUNK = 1_000


def restore(home: Home, path: Path, name: str, *, passphrase: str = "") -> Workspace:
    """Make the workspace ``name`` from an archive; its outgoing messages are held until an operator releases them, and whoever was made anonymous is again.

    Raises Invalid for an archive that is damaged or of another release, Unavailable "secret_wrong" when its keys cannot be opened, Conflict when
    there is such a workspace: each before anything is changed. People get accounts of their logins, without a password.
    """
    with opened_archive(path) as archive:
        ring = _ring(home, archive, passphrase)
        state = archive.manifest["state"]
        now = datetime.fromisoformat(state["now"]) if state["sandbox"] else None
        folder = home.settings.files / name
        with home.creating(name, state["title"], sandbox=state["sandbox"], demo=state["demo"], now=now, timezone=state["timezone"]):
            fresh = not folder.exists()
            try:
                _write_files(archive, folder)
                _write_database(home, archive, name, ring)
            except BaseException as error:
                if fresh:
                    shutil.rmtree(folder, ignore_errors=True)
                if isinstance(error, ValueError | TypeError | KeyError | AttributeError | sa.exc.StatementError):
                    raise Invalid("archive_damaged", path=str(path)) from error
                raise
    workspace = home.look(name)[0]
    _give_accounts(home, workspace)
    erasures.repeat(home, name, str(state["name"]))
    return workspace


def _ring(home: Home, archive: Archive, passphrase: str) -> Mapping[str, Any]:
    """The workspace's keys, wrapped by this installation's secret."""
    ring, salt = archive.manifest["keys"], archive.manifest.get("salt")
    if salt:
        if not passphrase:
            raise Invalid("archive_needs_passphrase")
        ring = keys_of_passphrase(passphrase, salt).rewrapped(ring, home.keys)
    home.keys.cipher(ring)
    return dict(ring)


def _write_files(archive: Archive, folder: Path) -> None:
    for token in archive.files():
        place = folder / token[:2] / token
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with archive.file.open(f"files/{token}") as source, place.open("wb") as target:
            shutil.copyfileobj(source, target)


def _write_database(home: Home, archive: Archive, name: str, ring: Mapping[str, Any]) -> None:
    database, words = home.database_of(name), archive.manifest["state"]
    with database.write(direct=True) as connection:
        connection.execution_options(scoped=True)
        if database.dialect == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for table in WORKSPACE.sorted_tables:
            if table.name not in LEFT_OUT:
                for rows in _chunks(archive.rows(f"tables/{table.name}.jsonl", table)):
                    insert_rows(connection, table, rows, database.schema)
        connection.execute(
            workspace_state.update().values(
                version=words["version"], keys=dict(ring), hold_outgoing=True, preset=words["preset"] or None, preset_version=words["preset_version"] or None
            )
        )
        connection.execute(outgoing.update().where(outgoing.c.state == WAITING).values(state=HELD, job=None))
        workspace = load_workspace(connection, home, database, read_state(connection), None)
        ledger = read_ledger(connection, database.schema)
        stored = all_stored(connection, workspace, ledger)
        entities = sorted(member.split("/")[1].removesuffix(".jsonl") for member in archive.manifest["members"] if member.startswith("records/"))
        create_whole(
            connection,
            stored.values(),
            entities,
            [key for key in entities if key in workspace.entities and is_searched(workspace.entities[key])],
            database.schema,
        )
        _write_records(connection, archive, workspace, stored, entities)
        add_foreign_keys(connection, stored.values(), database.schema)
        _create_indexes(connection, workspace, ledger)
        names = [*(table_name(entity) for entity in entities), *(table.name for table in WORKSPACE.sorted_tables if "id" in table.c)]
        set_last_ids(connection, archive.manifest["last_ids"], names, database.schema)
        analyze(connection, entities, database.schema)
    home.look_again(name)


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _write_records(
    connection: sa.Connection, archive: Archive, workspace: Workspace, stored: Mapping[tuple[str, str], StoredField], entities: list[str]
) -> None:
    database = workspace.database
    ledger = Ledger(tables=frozenset(table_name(entity) for entity in entities))
    for entity, table in record_tables(stored, ledger, database.dialect).items():
        compiled = workspace.entities.get(entity)
        tokens = database.dialect == "postgresql" and compiled is not None and is_searched(compiled)
        target = sa.Table(table.name, sa.MetaData(), *(sa.Column(column.name, column.type) for column in table.columns), search_column()) if tokens else table
        for rows in _chunks(archive.rows(f"records/{entity}.jsonl", table)):
            if tokens and compiled is not None:
                rows = [{**row, SEARCH_COLUMN: None, **token_columns(compiled, _by_field(compiled, row))} for row in rows]
            insert_rows(connection, target, rows, database.schema)
            if compiled is not None:
                write_tokens(connection, compiled, [(row["id"], _by_field(compiled, row)) for row in rows if row["deleted_at"] is None], fresh=True)


def _by_field(entity: CompiledEntity, row: Mapping[str, Any]) -> dict[str, Any]:
    """The searched values of a row by field key."""
    return {key: row.get(column.key) for key in entity.search_fields if (column := entity.fields[key].column) is not None}


def _create_indexes(connection: sa.Connection, workspace: Workspace, ledger: Ledger) -> None:
    database = workspace.database
    specs = needed(workspace.bundle, lay_out(shapes_of(workspace), ledger, workspace.version).stored, database.dialect)
    conditions = index_conditions(workspace, specs.values())
    for spec in specs.values():
        create_index(connection, spec, conditions.get(spec.name), database.schema)


def _give_accounts(home: Home, workspace: Workspace) -> None:
    with workspace.database.read() as connection:
        people = people_of(connection, workspace)
    for _, login, name, _ in people:
        ensure_account(home, login, name)
