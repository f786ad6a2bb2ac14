"""The drift report of a workspace: published definitions against its tables, for operators and as the oracle of tests."""

from __future__ import annotations

from engine.context import Context
from engine.publishing_rows import index_conditions
from engine.schema.drift import Drift, drift
from engine.schema.indexes import needed
from engine.schema.ledger import lay_out, read_ledger
from engine.workspace_load import shapes_of


def drift_of(ctx: Context) -> list[Drift]:
    """Every difference between the published version and the database; empty is what it should be."""
    workspace = ctx.workspace
    database = workspace.database
    with database.write(direct=True) if database.dialect == "postgresql" else database.snapshot(long=True) as connection:
        ledger = read_ledger(connection, database.schema)
        layout = lay_out(shapes_of(workspace), ledger, workspace.version)
        indexes = needed(workspace.bundle, layout.stored, database.dialect)
        return drift(connection, layout.stored, ledger, indexes, index_conditions(workspace, indexes.values()), database.schema)
