"""Reports of imports are paged by the index they are read by; what nobody asks for is not kept."""

from alembic import op

revision = "workspace_0003"
down_revision = "workspace_0002"


def upgrade() -> None:
    op.drop_index("ix_import_row_record", "import_row")
    op.drop_index("ix_import_row_batch", "import_row")
    op.create_index("ix_import_row_batch", "import_row", ["batch", "id"])
