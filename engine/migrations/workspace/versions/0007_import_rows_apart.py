"""Rows of an import's report are not checked against their import one by one: the transaction that writes them holds its row."""

import sqlalchemy as sa
from alembic import op

from engine.storage import JsonList, JsonValue, Key

revision = "workspace_0007"
down_revision = "workspace_0006"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("import_row_batch_fkey", "import_row", type_="foreignkey")
    else:
        _made_anew()


def _made_anew() -> None:
    """SQLite takes a constraint from a table only by making the table anew."""
    op.rename_table("import_row", "import_row_before")
    op.create_table(
        "import_row",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("sheet", sa.Text(), nullable=True),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("versions", JsonList(), nullable=True),
        sa.Column("faults", JsonValue(), nullable=True),
        sa.Column("raw", JsonValue(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO import_row SELECT * FROM import_row_before")
    op.drop_table("import_row_before")
    op.create_index("ix_import_row_batch", "import_row", ["batch", "id"])
    op.create_index("ix_import_row_outcome", "import_row", ["batch", "outcome", "id"])
