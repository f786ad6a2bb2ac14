"""The first tables of the home database."""

import sqlalchemy as sa
from alembic import op

from engine.storage import Instant, JsonValue, Key

revision = "home_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "account", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("login", sa.String(120), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("second_factor", sa.Text(), nullable=True), sa.Column("locale", sa.String(16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False), sa.Column("password_at", Instant(), nullable=True),
        sa.Column("disabled_at", Instant(), nullable=True), sa.UniqueConstraint("login"), sqlite_autoincrement=True)
    op.create_table(
        "erasure", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("workspace", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(40), nullable=False), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False), sa.Column("detail", JsonValue(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_erasure_workspace", "erasure", ["workspace"])
    op.create_table(
        "job", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("workspace", sa.String(40), nullable=False),
        sa.Column("queue", sa.String(40), nullable=False), sa.Column("name", sa.String(80), nullable=False),
        sa.Column("key", sa.String(200), nullable=True), sa.Column("args", JsonValue(), nullable=False),
        sa.Column("run_at", Instant(), nullable=False), sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(80), nullable=True), sa.Column("progress", JsonValue(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True), sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False), sa.Column("done_at", Instant(), nullable=True), sa.UniqueConstraint("key"),
        sqlite_autoincrement=True)
    op.create_index("ix_job_queue_run_at", "job", ["queue", "run_at"])
    op.create_index("ix_job_workspace", "job", ["workspace", "id"])
    op.create_table(
        "one_time", sa.Column("digest", sa.String(64), primary_key=True), sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False), sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False), sa.Column("used_at", Instant(), nullable=True))
    op.create_index("ix_one_time_account", "one_time", ["account"])
    op.create_table(
        "rate", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("name", sa.String(160), nullable=False),
        sa.Column("at", Instant(), nullable=False), sqlite_autoincrement=True)
    op.create_index("ix_rate_name_at", "rate", ["name", "at"])
    op.create_table(
        "session", sa.Column("digest", sa.String(64), primary_key=True), sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False), sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False), sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(300), nullable=False))
    op.create_index("ix_session_account", "session", ["account"])
    op.create_table(
        "workspace", sa.Column("name", sa.String(40), primary_key=True), sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False), sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False), sa.Column("created_at", Instant(), nullable=False))
