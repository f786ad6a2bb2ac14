"""Rules: runs with their traces, what is due and done, approvals, messages in and out."""

import sqlalchemy as sa
from alembic import op

from engine.storage import Instant, JsonValue, Key

revision = "workspace_0002"
down_revision = "workspace_0001"


def upgrade() -> None:
    _runs()
    _approvals()
    _messages()
    _merging()


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settings", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("occurrence", sa.String(200), nullable=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("cause", JsonValue(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("condition", JsonValue(), nullable=True),
        sa.Column("steps", JsonValue(), nullable=True),
        sa.Column("error", JsonValue(), nullable=True),
        sa.Column("micros", sa.BigInteger(), nullable=True),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_rule", "run", ["rule", "id"])
    op.create_index("ix_run_record", "run", ["entity", "record", "id"])
    op.create_index("ix_run_at", "run", ["at"])
    op.create_index("ux_run_occurrence", "run", ["rule", "occurrence"], unique=True)
    op.create_table(
        "due_done",
        sa.Column("rule", sa.String(40), primary_key=True),
        sa.Column("record", sa.BigInteger(), primary_key=True),
        sa.Column("field", sa.String(40), primary_key=True),
        sa.Column("shift", sa.BigInteger(), primary_key=True),
        sa.Column("value", Instant(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
    )
    op.create_table(
        "schedule",
        sa.Column("rule", sa.String(40), primary_key=True),
        sa.Column("cron", sa.String(100), nullable=False),
        sa.Column("next_at", Instant(), nullable=False),
    )
    op.create_table(
        "rule_switch",
        sa.Column("rule", sa.String(40), primary_key=True),
        sa.Column("off_at", Instant(), nullable=True),
        sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
    )


def _approvals() -> None:
    op.create_table(
        "ask",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(120), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("about_entity", sa.String(40), nullable=True),
        sa.Column("about", sa.BigInteger(), nullable=True),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("title", JsonValue(), nullable=True),
        sa.Column("need", sa.String(16), nullable=False),
        sa.Column("opinion", sa.String(16), nullable=False),
        sa.Column("fields", JsonValue(), nullable=True),
        sa.Column("frame", JsonValue(), nullable=False),
        sa.Column("answers", JsonValue(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("escalate_at", Instant(), nullable=True),
        sa.Column("escalate_to", JsonValue(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ask_about", "ask", ["about_entity", "about"])
    op.create_index("ix_ask_record", "ask", ["entity", "record"])
    op.create_index("ix_ask_expires", "ask", ["state", "expires_at"])
    op.create_index("ix_ask_escalate", "ask", ["state", "escalate_at"])
    op.create_index("ix_ask_person", "ask", ["person", "state", "id"])
    op.create_table(
        "ask_person",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("ask", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("opinion", sa.Text(), nullable=True),
        sa.Column("delegated_from", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["ask"], ["ask.id"]),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ask_person_ask", "ask_person", ["ask"])
    op.create_index("ix_ask_person_person", "ask_person", ["person", "state", "id"])


def _messages() -> None:
    op.create_table(
        "notice",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("rule", sa.String(40), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("text", JsonValue(), nullable=False),
        sa.Column("frame", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("read_at", Instant(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notice_unread", "notice", ["person", "read_at", "at", "id"])
    op.create_index("ix_notice_person", "notice", ["person", "at", "id"])
    op.create_index("ix_notice_record", "notice", ["entity", "record"])
    op.create_table(
        "outgoing",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("connector", sa.String(40), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("template", sa.String(80), nullable=True),
        sa.Column("text", JsonValue(), nullable=True),
        sa.Column("frame", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("rule", sa.String(40), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", JsonValue(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outgoing_state", "outgoing", ["state", "id"])
    op.create_index("ix_outgoing_record", "outgoing", ["entity", "record"])
    op.create_table(
        "connector",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("options", JsonValue(), nullable=False),
        sa.Column("reached", sa.String(40), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True),
    )


def _merging() -> None:
    op.create_table(
        "merging",
        sa.Column("id", Key, primary_key=True, autoincrement=True),
        sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("keep", sa.BigInteger(), nullable=False),
        sa.Column("drop", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("into_field", sa.String(40), nullable=True),
        sa.Column("into_before", sa.BigInteger(), nullable=True),
        sa.Column("moved", JsonValue(), nullable=False),
        sa.Column("undone_at", Instant(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_merging_drop", "merging", ["entity", "drop"])
    op.create_index("ix_merging_keep", "merging", ["entity", "keep"])
