"""The fixed tables of a workspace that keep what files were imported, what became of their rows, and mappings to use again."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Text

from engine.storage import Instant, JsonList, JsonValue
from engine.system_tables_base import WORKSPACE, key_column, numbered

#: state: reading | checked | running | done | undone | failed.
import_batch = numbered(
    "import_batch",
    WORKSPACE,
    key_column(),
    Column("entity", String(40), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("mapping", JsonValue),
    Column("options", JsonValue),
    Column("state", String(16), nullable=False),
    Column("counts", JsonValue),
    Column("created_at", Instant, nullable=False),
    Column("by", BigInteger),
    Column("done_at", Instant),
    Column("undone_at", Instant),
)

#: One row of the file: what became of it. No foreign key: fifty thousand rows would each ask for their import, whose row the transaction holds anyway.
#: ``versions``: the record's version before and after, so that an undo skips what changed since.
import_row = numbered(
    "import_row",
    WORKSPACE,
    key_column(),
    Column("batch", BigInteger, nullable=False),
    Column("sheet", Text),
    Column("row", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("versions", JsonList),
    Column("faults", JsonValue),
    Column("raw", JsonValue),
    Index("ix_import_row_batch", "batch", "id"),
    Index("ix_import_row_outcome", "batch", "outcome", "id"),
)

saved_mapping = numbered(
    "saved_mapping",
    WORKSPACE,
    key_column(),
    Column("entity", String(40), nullable=False),
    Column("name", Text, nullable=False),
    Column("headers", String(64), nullable=False),
    Column("body", JsonValue, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Index("ix_saved_mapping_entity", "entity", "headers"),
)

IMPORT_TABLES = (import_batch, import_row, saved_mapping)
