"""The fixed tables of a workspace that keep what replays of rules found."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Text

from engine.storage import Instant, JsonValue
from engine.system_tables_base import WORKSPACE, key_column, numbered

#: A question to the past. ``body``: the rule as it was asked about, NULL for the published one of ``version``; ``settings``: changed values by key;
#: ``today``: settings as they were then instead of as they stood; ``owner``: the field by which is counted. state: waiting | running | done | cancelled | failed.
replay = numbered(
    "replay",
    WORKSPACE,
    key_column(),
    Column("rule", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", JsonValue),
    Column("settings", JsonValue),
    Column("today", Boolean, nullable=False),
    Column("owner", String(40), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Column("state", String(16), nullable=False),
    Column("job", BigInteger),
    Column("occasions", BigInteger),
    Column("error", JsonValue),
    Column("done_at", Instant),
    Index("ix_replay_rule", "rule", "id"),
)

#: A record the rule would have touched, or did. ``day``: the local date of ``at``. verdict: both | would | did. ``run``: the run it was.
replay_finding = numbered(
    "replay_finding",
    WORKSPACE,
    key_column(),
    Column("replay", BigInteger, ForeignKey("replay.id"), nullable=False),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("at", Instant, nullable=False),
    Column("day", String(10), nullable=False),
    Column("why", String(16), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("owner", BigInteger),
    Column("person", BigInteger),
    Column("run", BigInteger),
    Column("did_at", Instant),
    Column("condition", JsonValue),
    Column("steps", JsonValue),
    Column("refusal", Text),
    Column("doubts", JsonValue),
    Column("reason", String(16)),
    Index("ix_replay_finding_replay", "replay", "id"),
    Index("ix_replay_finding_record", "entity", "record"),
)

REPLAY_TABLES = (replay, replay_finding)
