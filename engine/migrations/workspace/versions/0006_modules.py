"""Modules are switched on and off in each workspace."""

import sqlalchemy as sa
from alembic import op

from engine.storage import Instant

revision = "workspace_0006"
down_revision = "workspace_0005"


def upgrade() -> None:
    op.create_table(
        "module_switch",
        sa.Column("module", sa.String(40), primary_key=True),
        sa.Column("off_at", Instant(), nullable=True),
        sa.Column("by", sa.BigInteger(), nullable=True),
    )
