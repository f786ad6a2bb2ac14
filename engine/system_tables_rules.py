"""The fixed tables of a workspace that rules run on: runs with their traces, what is due and done, approvals, messages."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from engine.storage import Instant, JsonValue
from engine.system_tables_base import WORKSPACE, key_column, numbered

#: One row per run of a rule, its trace with it. ``occurrence`` makes it unique where something could be delivered twice (due value, tick, message,
#: job); NULL for what runs inside a save. state: done | refused | failed | skipped. ``steps``: what each step saw and did, by step key.
#: ``cause``: the chain of rules that led here, outermost first. ``micros``: how long it took.
run = numbered(
    "run",
    WORKSPACE,
    key_column(),
    Column("rule", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("settings", BigInteger, nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("occurrence", String(200)),
    Column("at", Instant, nullable=False),
    Column("person", BigInteger),
    Column("cause", JsonValue),
    Column("state", String(16), nullable=False),
    Column("condition", JsonValue),
    Column("steps", JsonValue),
    Column("error", JsonValue),
    Column("micros", BigInteger),
    Column("job", BigInteger),
    Index("ix_run_rule", "rule", "id"),
    Index("ix_run_record", "entity", "record", "id"),
    Index("ix_run_at", "at"),
    Index("ux_run_occurrence", "rule", "occurrence", unique=True),
)

#: What of a due rule is settled for a record: the value of the field (and shift) it ran for last. ``shift`` in seconds.
due_done = Table(
    "due_done",
    WORKSPACE,
    Column("rule", String(40), primary_key=True),
    Column("record", BigInteger, primary_key=True),
    Column("field", String(40), primary_key=True),
    Column("shift", BigInteger, primary_key=True),
    Column("value", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    Column("at", Instant, nullable=False),
)

#: When a cron rule comes next by the workspace's clock.
schedule = Table(
    "schedule", WORKSPACE, Column("rule", String(40), primary_key=True), Column("cron", String(100), nullable=False), Column("next_at", Instant, nullable=False)
)

#: A rule somebody switched off, or that was switched off after failing again and again. A row with ``off_at`` NULL only counts failures.
rule_switch = Table(
    "rule_switch",
    WORKSPACE,
    Column("rule", String(40), primary_key=True),
    Column("off_at", Instant),
    Column("by", BigInteger),
    Column("reason", Text),
    Column("failures", Integer, nullable=False),
)

#: A module whose switch was touched in this workspace. ``off_at``: empty while it is on.
module_switch = Table("module_switch", WORKSPACE, Column("module", String(40), primary_key=True), Column("off_at", Instant), Column("by", BigInteger))

#: An approval. ``frame``: the names the branch will need. state: open | approved | refused | expired | withdrawn | returned.
#: ``about_entity`` and ``about``: the record it is about; ``entity`` and ``record``: the rule's own.
ask = numbered(
    "ask",
    WORKSPACE,
    key_column(),
    Column("rule", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("step", String(120), nullable=False),
    Column("name", String(80), nullable=False),
    Column("run", BigInteger),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("about_entity", String(40)),
    Column("about", BigInteger),
    Column("person", BigInteger),
    Column("title", JsonValue),
    Column("title_frame", Text),
    Column("need", String(16), nullable=False),
    Column("opinion", String(16), nullable=False),
    Column("fields", JsonValue),
    Column("frame", JsonValue, nullable=False),
    Column("answers", JsonValue),
    Column("state", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("escalate_at", Instant),
    Column("escalate_to", JsonValue),
    Column("decided_at", Instant),
    Column("decided_by", BigInteger),
    Index("ix_ask_about", "about_entity", "about"),
    Index("ix_ask_record", "entity", "record"),
    Index("ix_ask_expires", "state", "expires_at"),
    Index("ix_ask_escalate", "state", "escalate_at"),
    Index("ix_ask_person", "person", "state", "id"),
)

#: One who is asked. ``seq``: the turn with ``need`` order. state: open | waiting | approved | refused | passed (delegated, or others sufficed).
ask_person = numbered(
    "ask_person",
    WORKSPACE,
    key_column(),
    Column("ask", BigInteger, ForeignKey("ask.id"), nullable=False),
    Column("person", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("opinion", Text),
    Column("delegated_from", BigInteger),
    Index("ix_ask_person_ask", "ask"),
    Index("ix_ask_person_person", "person", "state", "id"),
)

#: A message inside the application, seen from ``at`` on. ``text``: the template in its languages; ``frame``: the sealed values of its placeholders
#: (engine/rules/wording.py). kind: rule | ask | system.
notice = numbered(
    "notice",
    WORKSPACE,
    key_column(),
    Column("person", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("rule", String(40)),
    Column("run", BigInteger),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("text", JsonValue, nullable=False),
    Column("frame", Text),
    Column("kind", String(16), nullable=False),
    Column("read_at", Instant),
    Index("ix_notice_unread", "person", "read_at", "at", "id"),
    Index("ix_notice_person", "person", "at", "id"),
    Index("ix_notice_record", "entity", "record"),
)

#: A message to the outside, leaving from ``at`` on. state: waiting | sent | captured (sandbox) | held (restored workspace) | dead. ``key``: the same at
#: every try. ``text``: a template as a notice's with its sealed ``frame``, filled in for ``person`` when it leaves; ``sealed``: address and payload of
#: one that was addressed by a rule; ``said``: sealed, where it went and what it said. ``connector``: the connection's name.
outgoing = numbered(
    "outgoing",
    WORKSPACE,
    key_column(),
    Column("at", Instant, nullable=False),
    Column("connector", String(40), nullable=False),
    Column("person", BigInteger),
    Column("template", String(80)),
    Column("text", JsonValue),
    Column("frame", Text),
    Column("sealed", Text),
    Column("said", Text),
    Column("key", String(200), nullable=False, unique=True),
    Column("rule", String(40)),
    Column("run", BigInteger),
    Column("entity", String(40)),
    Column("record", BigInteger),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", JsonValue),
    Column("sent_at", Instant),
    Column("job", BigInteger),
    Index("ix_outgoing_state", "state", "id"),
    Index("ix_outgoing_record", "entity", "record"),
)

#: How messages reach a service from this workspace: a connection, named as rules name it. ``kind``: the connector; ``reached``: the field of a person
#: that holds their address, NULL for the connector's own choice; ``secret``: an envelope of the workspace's cipher.
connector = Table(
    "connector",
    WORKSPACE,
    Column("name", String(40), primary_key=True),
    Column("kind", String(80), nullable=False),
    Column("options", JsonValue, nullable=False),
    Column("reached", String(40)),
    Column("secret", Text),
    Column("active", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
)

#: Two records that became one. ``version``: of the kept one afterwards, None when nothing of it changed; ``moved``: ids of what led to the dropped one.
merging = numbered(
    "merging",
    WORKSPACE,
    key_column(),
    Column("entity", String(40), nullable=False),
    Column("keep", BigInteger, nullable=False),
    Column("drop", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", BigInteger),
    Column("version", BigInteger),
    Column("into_field", String(40)),
    Column("into_before", BigInteger),
    Column("moved", JsonValue, nullable=False),
    Column("undone_at", Instant),
    Index("ix_merging_drop", "entity", "drop"),
    Index("ix_merging_keep", "entity", "keep"),
)

RULE_TABLES = (run, due_done, schedule, rule_switch, module_switch, ask, ask_person, notice, outgoing, connector, merging)
