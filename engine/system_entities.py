"""The engine's own tables as definitions may name them in finds, scenarios and reports: read only, each field with its type in expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from engine.expressions.types import INSTANT, INTEGER, PERSON, TEXT, Type
from engine.system_tables import access_log, history, stage_log
from engine.system_tables_rules import ask, notice, run


@dataclass(frozen=True, slots=True)
class SystemEntity:
    """One of them. ``where``: which rows of the table it is. The column ``record`` is called ``record_id``: ``record`` is the rule's own in finds."""

    key: str
    table: sa.Table
    fields: Mapping[str, Type]
    where: sa.ColumnElement[bool] | None = None

    def column(self, name: str) -> sa.Column[object]:
        """The column of a field; KeyError for one that is not offered."""
        self.fields[name]
        return self.table.c["record" if name == "record_id" else name]


_ABOUT: Mapping[str, Type] = {"entity": TEXT, "record_id": INTEGER}
SYSTEM_ENTITIES: Mapping[str, SystemEntity] = {
    item.key: item
    for item in (
        SystemEntity("stage_log", stage_log, {"id": INTEGER, **_ABOUT, "from_stage": TEXT, "to_stage": TEXT, "at": INSTANT, "by": PERSON, "seconds": INTEGER}),
        SystemEntity("history", history, {"id": INTEGER, **_ABOUT, "version": INTEGER, "verb": TEXT, "at": INSTANT, "person": PERSON}),
        SystemEntity("reveal", access_log, {"id": INTEGER, **_ABOUT, "field": TEXT, "at": INSTANT, "person": PERSON}, access_log.c.kind == "reveal"),
        SystemEntity(
            "run",
            run,
            {"id": INTEGER, "rule": TEXT, "version": INTEGER, "trigger": TEXT, **_ABOUT, "occurrence": TEXT, "at": INSTANT, "person": PERSON, "state": TEXT},
        ),
        SystemEntity(
            "ask",
            ask,
            {
                "id": INTEGER,
                "name": TEXT,
                "rule": TEXT,
                **_ABOUT,
                "about_entity": TEXT,
                "about": INTEGER,
                "person": PERSON,
                "state": TEXT,
                "at": INSTANT,
                "expires_at": INSTANT,
                "decided_at": INSTANT,
                "decided_by": PERSON,
            },
        ),
        SystemEntity("notice", notice, {"id": INTEGER, "person": PERSON, "at": INSTANT, "rule": TEXT, **_ABOUT, "kind": TEXT, "read_at": INSTANT}),
    )
}
