"""The first system tables of a workspace."""

import sqlalchemy as sa
from alembic import op

from engine.storage import Instant, JsonList, JsonValue, Key

revision = "workspace_0001"
down_revision = None


def upgrade() -> None:
    _first_part()
    _second_part()
    _third_part()
    _fourth_part()


def _first_part() -> None:
    op.create_table(
        "access_log", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("at", Instant(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=True), sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("entity", sa.String(40), nullable=True), sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("field", sa.String(40), nullable=True), sa.Column("ip", sa.String(64), nullable=True),
        sa.Column("cause", JsonValue(), nullable=True), sa.Column("detail", JsonValue(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_access_log_at", "access_log", ["at"])
    op.create_index("ix_access_log_person", "access_log", ["person", "kind", "at"])
    op.create_table(
        "api_token", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False), sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False), sa.Column("seen_at", Instant(), nullable=True),
        sa.Column("expires_at", Instant(), nullable=True), sa.Column("revoked_at", Instant(), nullable=True), sa.UniqueConstraint("digest"),
        sqlite_autoincrement=True)
    op.create_index("ix_api_token_person", "api_token", ["person"])
    op.create_table(
        "counter", sa.Column("name", sa.String(200), primary_key=True), sa.Column("value", sa.BigInteger(), nullable=False))
    op.create_table(
        "document", sa.Column("digest", sa.String(64), primary_key=True), sa.Column("text", sa.Text(), nullable=False))
    op.create_table(
        "draft", sa.Column("kind", sa.String(20), primary_key=True), sa.Column("key", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False), sa.Column("text", sa.Text(), nullable=True),
        sa.Column("base_version", sa.Integer(), nullable=False), sa.Column("base_text", sa.Text(), nullable=True),
        sa.Column("at", Instant(), nullable=False), sa.Column("by", sa.BigInteger(), nullable=True))
    op.create_table(
        "draft_entry", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(40), nullable=False), sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operation", JsonValue(), nullable=False), sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True), sa.Column("undone", sa.Boolean(), nullable=False), sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_draft_entry_kind_key_number", "draft_entry", ["kind", "key", "number"])
    op.create_table(
        "file", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("token", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(120), nullable=False), sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(40), nullable=True), sa.Column("record", sa.BigInteger(), nullable=True),
        sa.Column("field", sa.String(40), nullable=True), sa.Column("uploaded_by", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_at", Instant(), nullable=False), sa.Column("bound_at", Instant(), nullable=True), sa.UniqueConstraint("token"),
        sqlite_autoincrement=True)
    op.create_index("ix_file_record", "file", ["entity", "record", "field"])
    op.create_index("ix_file_unbound", "file", ["bound_at", "uploaded_at"])


def _second_part() -> None:
    op.create_table(
        "history", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("record", sa.BigInteger(), nullable=False), sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False), sa.Column("at", Instant(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=True), sa.Column("cause", JsonValue(), nullable=False),
        sa.Column("before", JsonValue(), nullable=True), sa.Column("after", JsonValue(), nullable=True),
        sa.Column("computed", JsonList(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_history_at", "history", ["entity", "at"])
    op.create_index("ix_history_record", "history", ["entity", "record", "id"])
    op.create_table(
        "idempotency", sa.Column("caller", sa.String(80), primary_key=True), sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False), sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", JsonValue(), nullable=True), sa.Column("at", Instant(), nullable=False))
    op.create_index("ix_idempotency_at", "idempotency", ["at"])
    op.create_table(
        "import_batch", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False), sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("mapping", JsonValue(), nullable=True), sa.Column("options", JsonValue(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False), sa.Column("counts", JsonValue(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False), sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True), sa.Column("undone_at", Instant(), nullable=True), sqlite_autoincrement=True)
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
        "physical_column", sa.Column("entity", sa.String(40), primary_key=True), sa.Column("column", sa.String(50), primary_key=True),
        sa.Column("field", sa.String(40), nullable=False), sa.Column("type", sa.String(60), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False), sa.Column("retired", sa.Integer(), nullable=True))
    op.create_table(
        "saved_mapping", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("headers", sa.String(64), nullable=False),
        sa.Column("body", JsonValue(), nullable=False), sa.Column("at", Instant(), nullable=False), sa.Column("by", sa.BigInteger(), nullable=True),
        sqlite_autoincrement=True)
    op.create_index("ix_saved_mapping_entity", "saved_mapping", ["entity", "headers"])


def _third_part() -> None:
    op.create_table(
        "saved_view", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("list", sa.String(40), nullable=False),
        sa.Column("entity", sa.String(40), nullable=False), sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=True), sa.Column("body", JsonValue(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False), sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_saved_view_list", "saved_view", ["list", "owner"])
    op.create_table(
        "setting_value", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("key", sa.String(40), nullable=False),
        sa.Column("value", JsonValue(), nullable=True), sa.Column("in_force_from", Instant(), nullable=False),
        sa.Column("at", Instant(), nullable=False), sa.Column("by", sa.BigInteger(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_setting_value_key", "setting_value", ["key", "in_force_from"])
    op.create_table(
        "source_key", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("source", sa.String(40), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False), sa.Column("created_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True), sa.UniqueConstraint("source"), sqlite_autoincrement=True)
    op.create_table(
        "stage_log", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("record", sa.BigInteger(), nullable=False), sa.Column("from_stage", sa.String(60), nullable=True),
        sa.Column("to_stage", sa.String(60), nullable=True), sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True), sa.Column("seconds", sa.BigInteger(), nullable=True), sqlite_autoincrement=True)
    op.create_index("ix_stage_log_at", "stage_log", ["entity", "at"])
    op.create_index("ix_stage_log_record", "stage_log", ["entity", "record", "id"])
    op.create_table(
        "version", sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False), sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True), sa.Column("by_name", sa.Text(), nullable=False), sa.Column("note", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False), sa.Column("state", sa.String(16), nullable=False),
        sa.Column("restores", sa.Integer(), nullable=True))
    op.create_table(
        "workspace_state", sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False), sa.Column("name", sa.String(40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False), sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("permission_version", sa.BigInteger(), nullable=False), sa.Column("settings_version", sa.BigInteger(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False), sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("now", Instant(), nullable=True), sa.Column("release", sa.String(40), nullable=False),
        sa.Column("timezone", sa.String(60), nullable=False), sa.Column("preset", sa.String(120), nullable=True),
        sa.Column("preset_version", sa.String(40), nullable=True), sa.Column("hold_outgoing", sa.Boolean(), nullable=False),
        sa.Column("keys", JsonValue(), nullable=True), sa.Column("created_at", Instant(), nullable=False))
    op.create_table(
        "import_row", sa.Column("id", Key, primary_key=True, autoincrement=True), sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("sheet", sa.Text(), nullable=True), sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False), sa.Column("entity", sa.String(40), nullable=True),
        sa.Column("record", sa.BigInteger(), nullable=True), sa.Column("versions", JsonList(), nullable=True),
        sa.Column("faults", JsonValue(), nullable=True), sa.Column("raw", JsonValue(), nullable=True),
        sa.ForeignKeyConstraint(["batch"], ["import_batch.id"]), sqlite_autoincrement=True)
    op.create_index("ix_import_row_batch", "import_row", ["batch", "row"])
    op.create_index("ix_import_row_outcome", "import_row", ["batch", "outcome", "id"])
    op.create_index("ix_import_row_record", "import_row", ["entity", "record"])


def _fourth_part() -> None:
    op.create_table(
        "version_document", sa.Column("version", sa.Integer(), primary_key=True), sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("key", sa.String(40), primary_key=True), sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False), sa.Column("preset", sa.String(120), nullable=True),
        sa.Column("preset_version", sa.String(40), nullable=True), sa.Column("base_digest", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(["version"], ["version.number"]), sa.ForeignKeyConstraint(["digest"], ["document.digest"]))
