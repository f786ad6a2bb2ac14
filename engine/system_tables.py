"""The fixed tables of the home database and of each workspace. Their history stands in engine/migrations; records live in tables of their own (r_*)."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

from engine.storage import Instant, JsonList, JsonValue
from engine.system_tables_base import HOME as HOME
from engine.system_tables_base import WORKSPACE as WORKSPACE
from engine.system_tables_base import key_column, numbered
from engine.system_tables_imports import IMPORT_TABLES as IMPORT_TABLES
from engine.system_tables_replay import REPLAY_TABLES as REPLAY_TABLES
from engine.system_tables_rules import RULE_TABLES as RULE_TABLES

# --- home: one per installation ------------------------------------------------------------------------------------------------------

#: state: creating | ready. A row in 'creating' is what a broken creation left behind.
workspace = Table(
    "workspace",
    HOME,
    Column("name", String(40), primary_key=True),
    Column("title", Text, nullable=False),
    Column("sandbox", Boolean, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
)

account = numbered(
    "account",
    HOME,
    key_column(),
    Column("login", String(120), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("second_factor", Text),
    Column("locale", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("password_at", Instant),
    Column("disabled_at", Instant),
)

session = Table(
    "session",
    HOME,
    Column("digest", String(64), primary_key=True),
    Column("account", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ip", String(64), nullable=False),
    Column("agent", String(300), nullable=False),
    Index("ix_session_account", "account"),
)

#: purpose: password (set a new one).
one_time = Table(
    "one_time",
    HOME,
    Column("digest", String(64), primary_key=True),
    Column("account", BigInteger, nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_one_time_account", "account"),
)

#: One row per counted attempt; a sliding window counts those younger than its length.
rate = numbered(
    "rate", HOME, key_column(), Column("name", String(160), nullable=False), Column("at", Instant, nullable=False), Index("ix_rate_name_at", "name", "at")
)

erasure = numbered(
    "erasure",
    HOME,
    key_column(),
    Column("workspace", String(40), nullable=False),
    Column("entity", String(40), nullable=False),
    Column("record", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", JsonValue),
    Index("ix_erasure_workspace", "workspace"),
)


def _job(holder: MetaData, *order: str) -> Table:
    """Work to do after a commit. ``key`` makes it unique while it waits; ``run_at`` of a leased one is the end of its lease."""
    return numbered(
        "job",
        holder,
        key_column(),
        Column("workspace", String(40), nullable=False),
        Column("queue", String(40), nullable=False),
        Column("name", String(80), nullable=False),
        Column("key", String(200), unique=True),
        Column("args", JsonValue, nullable=False),
        Column("run_at", Instant, nullable=False),
        Column("attempts", Integer, nullable=False, default=0),
        Column("worker", String(80)),
        Column("progress", JsonValue),
        Column("error", Text),
        Column("person", BigInteger),
        Column("created_at", Instant, nullable=False),
        Column("done_at", Instant),
        Index("ix_job_queue_run_at", "queue", "run_at", *order),
        Index("ix_job_workspace", "workspace", "id"),
    )


home_job = _job(HOME, "id")  # PostgreSQL: one for all workspaces, read in order however many wait (an index of SQLite ends with the id by itself)
workspace_job = _job(WORKSPACE)  # SQLite: in each file, so that a job commits with the change that asks for it


# --- workspace: state and definitions --------------------------------------------------------------------------------------------------

#: One row. ``version`` 0 = nothing published yet. ``permission_version`` rises with every change of people, teams, roles. ``now``: a sandbox's clock.
#: ``hold_outgoing``: restored, its messages wait for an operator.
workspace_state = Table(
    "workspace_state",
    WORKSPACE,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(40), nullable=False),
    Column("title", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("permission_version", BigInteger, nullable=False),
    Column("settings_version", BigInteger, nullable=False),
    Column("sandbox", Boolean, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("now", Instant),
    Column("release", String(40), nullable=False),
    Column("timezone", String(60), nullable=False),
    Column("preset", String(120)),
    Column("preset_version", String(40)),
    Column("hold_outgoing", Boolean, nullable=False),
    Column("keys", JsonValue),
    Column("created_at", Instant, nullable=False),
)

#: state: live | preparing | refused. ``number`` of a rollback is new; ``restores`` the number it publishes again; ``unproven`` why its scenarios were left out.
version = Table(
    "version",
    WORKSPACE,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Column("by_name", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("restores", Integer),
    Column("unproven", Text, nullable=False, server_default=""),
)

document = Table("document", WORKSPACE, Column("digest", String(64), primary_key=True), Column("text", Text, nullable=False))

#: Which text each definition has at a version, and where it comes from: ``origin`` preset | workspace, the preset's name and version, the base text's digest.
version_document = Table(
    "version_document",
    WORKSPACE,
    Column("version", Integer, sa.ForeignKey("version.number"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("digest", String(64), sa.ForeignKey("document.digest"), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("preset", String(120)),
    Column("preset_version", String(40)),
    Column("base_digest", String(64)),
)

#: A definition being changed. ``text`` NULL = to be removed. ``number`` rises with every gesture; ``redo`` = gestures undone and not yet overwritten.
draft = Table(
    "draft",
    WORKSPACE,
    Column("kind", String(20), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("text", Text),
    Column("base_version", Integer, nullable=False),
    Column("base_text", Text),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
)

draft_entry = numbered(
    "draft_entry",
    WORKSPACE,
    key_column(),
    Column("kind", String(20), nullable=False),
    Column("key", String(40), nullable=False),
    Column("number", Integer, nullable=False),
    Column("operation", JsonValue, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("undone", Boolean, nullable=False, default=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Index("ix_draft_entry_kind_key_number", "kind", "key", "number"),
)

#: The column a field's values lie in, given once; ``key__2`` after a type change. ``type``: the field type it was made for.
physical_column = Table(
    "physical_column",
    WORKSPACE,
    Column("entity", String(40), primary_key=True),
    Column("column", String(50), primary_key=True),
    Column("field", String(40), nullable=False),
    Column("type", String(60), nullable=False),
    Column("since", Integer, nullable=False),
    Column("retired", Integer),
)


# --- workspace: what happened ----------------------------------------------------------------------------------------------------------

#: Append-only. ``verb``: create update delete restore; ``before`` / ``after`` hold changed fields only; ``computed``: which of them nobody entered.
history = numbered(
    "history",
    WORKSPACE,
    key_column(),
    Column("entity", String(40), nullable=False),
    Column("record", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("verb", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("person", BigInteger),
    Column("cause", JsonValue, nullable=False),
    Column("before", JsonValue),
    Column("after", JsonValue),
    Column("computed", JsonList),
    Index("ix_history_record", "entity", "record", "id"),
    Index("ix_history_at", "entity", "at"),
)

stage_log = numbered(
    "stage_log",
    WORKSPACE,
    key_column(),
    Column("entity", String(40), nullable=False),
    Column("record", BigInteger, nullable=False),
    Column("from_stage", String(60)),
    Column("to_stage", String(60)),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Column("seconds", BigInteger),
    Index("ix_stage_log_record", "entity", "record", "id"),
    Index("ix_stage_log_at", "entity", "at"),
)

#: Reads that must be accounted for. ``kind``: reveal export search file report.
access_log = numbered(
    "access_log",
    WORKSPACE,
    key_column(),
    Column("at", Instant, nullable=False),
    Column("person", BigInteger),
    Column("kind", String(20), nullable=False),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("field", String(40)),
    Column("ip", String(64)),
    Column("cause", JsonValue),
    Column("detail", JsonValue),
    Index("ix_access_log_at", "at"),
    Index("ix_access_log_person", "person", "kind", "at"),
)

#: Serial numbers: the last one drawn of each series.
counter = Table("counter", WORKSPACE, Column("name", String(200), primary_key=True), Column("value", BigInteger, nullable=False))

idempotency = Table(
    "idempotency",
    WORKSPACE,
    Column("caller", String(80), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("status", Integer),
    Column("answer", JsonValue),
    Column("at", Instant, nullable=False),
    Index("ix_idempotency_at", "at"),
)

#: An attachment: unbound until a save puts it on (entity, record, field).
file = numbered(
    "file",
    WORKSPACE,
    key_column(),
    Column("token", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("type", String(120), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("field", String(40)),
    Column("uploaded_by", BigInteger),
    Column("uploaded_at", Instant, nullable=False),
    Column("bound_at", Instant),
    Index("ix_file_record", "entity", "record", "field"),
    Index("ix_file_unbound", "bound_at", "uploaded_at"),
)


# --- workspace: people's own things ------------------------------------------------------------------------------------------------------

#: ``owner`` NULL = shared with everybody who may open the list.
saved_view = numbered(
    "saved_view",
    WORKSPACE,
    key_column(),
    Column("list", String(40), nullable=False),
    Column("entity", String(40), nullable=False),
    Column("title", Text, nullable=False),
    Column("owner", BigInteger),
    Column("body", JsonValue, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Index("ix_saved_view_list", "list", "owner"),
)

api_token = numbered(
    "api_token",
    WORKSPACE,
    key_column(),
    Column("digest", String(64), nullable=False, unique=True),
    Column("person", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Index("ix_api_token_person", "person"),
)

source_key = numbered(
    "source_key",
    WORKSPACE,
    key_column(),
    Column("source", String(40), nullable=False, unique=True),
    Column("secret", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

#: Values of settings, each in force from an instant on; the newest not later than now counts.
setting_value = numbered(
    "setting_value",
    WORKSPACE,
    key_column(),
    Column("key", String(40), nullable=False),
    Column("value", JsonValue),
    Column("in_force_from", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Index("ix_setting_value_key", "key", "in_force_from"),
)
