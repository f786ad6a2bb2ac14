"""The first system tables of a workspace."""

from alembic import op

from engine.system_tables import WORKSPACE

revision = "workspace_0001"
down_revision = None


def upgrade() -> None:
    WORKSPACE.create_all(op.get_bind())
