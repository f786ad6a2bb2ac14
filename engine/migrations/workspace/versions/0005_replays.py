"""Replays of rules keep what they found."""

import sqlalchemy as sa
from alembic import op

from engine.storage import Instant, JsonValue, Key

revision = "workspace_0005"
down_revision = "workspace_0004"


def upgrade() -> None:
    op.create_table(
        "replay",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", JsonValue(), nullable=True),
        sa.Column("settings", JsonValue(), nullable=True),
        sa.Column("today", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("occasions", sa.BigInteger(), nullable=True),
        sa.Column("error", JsonValue(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replay_rule", "replay", ["rule", "id"])
    op.create_table(
        "replay_finding",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("replay", sa.BigInteger(), sa.ForeignKey("replay.id"), nullable=False),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=True),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("did_at", Instant(), nullable=True),
        sa.Column("condition", JsonValue(), nullable=True),
        sa.Column("steps", JsonValue(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("doubts", JsonValue(), nullable=True),
        sa.Column("reason", sa.String(16), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replay_finding_replay", "replay_finding", ["replay", "id"])
    op.create_index("ix_replay_finding_record", "replay_finding", ["entity", "record"])
