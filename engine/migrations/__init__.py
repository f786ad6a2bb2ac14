"""Brings the system tables of the home database and of workspaces up to this release: two Alembic histories, home and workspace.

Touches no record table: those change by publishing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from engine.database import Database

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, RevisionStep
    from alembic.script import ScriptDirectory

Branch = Literal["home", "workspace"]
State = Literal["empty", "older", "current", "newer"]

VERSION_TABLE = "alembic_version"
#: The newest revision of each history: a server that finds it need not load Alembic to know that nothing is missing.
HEADS: Mapping[Branch, str] = {"home": "home_0002", "workspace": "workspace_0008"}


@cache
def _scripts(branch: Branch) -> ScriptDirectory:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(__file__).parent / branch))
    return ScriptDirectory.from_config(config)


def _revision(connection: sa.Connection, schema: str | None) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    table = sa.table(VERSION_TABLE, sa.column("version_num"), schema=schema)
    found: str | None = connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()
    return found


def state_of(database: Database, branch: Branch) -> State:
    """Whether the system tables are missing, of an older release, of this one, or of a newer one."""
    with database.read() as connection:
        revision = _revision(connection, database.schema)
    if revision is None:
        return "empty"
    if revision == HEADS[branch]:
        return "current"
    known = {script.revision for script in _scripts(branch).walk_revisions()}
    return "older" if revision in known else "newer"


def upgrade(database: Database, branch: Branch, to: str = "head") -> None:
    """Run what is missing up to a revision, all or nothing. One process at a time; a second one finds nothing left to do."""
    with database.write(direct=True) as connection:
        if database.schema is not None:
            # For this transaction only: scripts then need not name the schema, and ALTER ignores the schema translation.
            connection.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"migrate {database.schema}"))))
        _run(connection, _scripts(branch), database.schema, to)


def _run(connection: sa.Connection, scripts: ScriptDirectory, schema: str | None, to: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    def steps(revision: object, context: MigrationContext) -> list[RevisionStep]:
        return scripts._upgrade_revs(to, revision)  # type: ignore[arg-type]

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=schema, transaction_per_migration=False)
        environment.run_migrations()
