"""An approval's title is kept with the values of its placeholders and filled in for each reader; those of before stay as they were filled."""

import sqlalchemy as sa
from alembic import op

revision = "workspace_0004"
down_revision = "workspace_0003"


def upgrade() -> None:
    op.add_column("ask", sa.Column("title_frame", sa.Text()))
