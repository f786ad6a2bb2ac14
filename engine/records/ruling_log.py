"""Runs of rules as rows of the run table: ids drawn before anything is written, rows inserted together at the end, occurrences unique.

Several runs of jobs share a transaction, and the ids drawn in it. Runs asked for later are jobs, put together at the end, too; so are messages to people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from engine import system_tables_rules as tables
from engine.database_ready import Ready
from engine.jobs import Asked, put_all
from engine.notices import Gathered
from engine.records.ids import draw_ids
from engine.rules.book import CompiledRule
from engine.rules.effects import Handle
from engine.rules.frame import Frame
from engine.scope import among, ids_value

if TYPE_CHECKING:
    from engine.context import Context
    from engine.records.work import Work

#: How many ids are drawn at once, first and from then on in one transaction.
_BLOCK, _MORE = 32, 64
_DRAWN = "tangram_run_ids"
_INSERT = Ready(sa.insert(tables.run).inline(), [column.name for column in tables.run.c])
_KNOWN = Ready(sa.select(tables.run.c.id).where(tables.run.c.rule == sa.bindparam("p_rule"), tables.run.c.occurrence == sa.bindparam("p_occurrence")))


@cache
def _ran(dialect: str) -> Ready:
    """Which of some (rule, occurrence) there are. PostgreSQL is given pairs: asked for both lists it reads every run of a rule when it knows nothing of the table."""
    run = tables.run.c
    if dialect == "sqlite":
        return Ready(sa.select(run.rule, run.occurrence).where(among(run.rule, "rules", dialect), among(run.occurrence, "occurrences", dialect)))
    lists = [sa.bindparam(name, type_=ARRAY(sa.Text), required=True) for name in ("rules", "occurrences")]
    asked = sa.func.unnest(*lists).table_valued("rule", "occurrence").render_derived()
    ran = sa.exists().where(run.rule == asked.c.rule, run.occurrence == asked.c.occurrence)
    return Ready(sa.select(asked.c.rule, asked.c.occurrence).where(ran))


@dataclass(slots=True)
class RunLog:
    """The runs of one transaction. ``ahead``: how many of them are known to come."""

    work: Work
    ahead: int = 0
    notices: Gathered = field(default_factory=Gathered)
    _rows: list[tuple[Handle | None, dict[str, Any]]] = field(default_factory=list)
    _later: list[Asked] = field(default_factory=list)
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)  # (rule, occurrence) -> whether it ran

    def draw(self) -> int:
        """The id of the next run."""
        connection = self.work.connection
        transaction, ids, last = connection.info.get(_DRAWN, (None, [], 0))
        again = transaction is connection.get_transaction()
        if not again or not ids:
            # Others of this transaction may still hold ids of the block before, whose rows are not yet written.
            many = _MORE if again else max(_BLOCK, self.ahead)
            ids = draw_ids(self.work.workspace, connection, tables.run, many, above=last if again else 0)
            connection.info[_DRAWN] = (connection.get_transaction(), ids, ids[-1])
        number: int = ids.pop(0)
        return number

    def known(self, rule: str, occurrence: str) -> bool:
        """Whether a rule ran for an occurrence before, in this transaction or an earlier one."""
        found = self._known.get((rule, occurrence))
        return found if found is not None else _KNOWN.first(self.work.connection, {"p_rule": rule, "p_occurrence": occurrence}) is not None

    def expect(self, asked: Collection[tuple[str, str]]) -> None:
        """Learn which of some (rule, occurrence) pairs ran before: one question for many runs to come."""
        dialect = self.work.connection.dialect.name
        given = {"rules": ids_value([rule for rule, _ in asked], dialect), "occurrences": ids_value([occurrence for _, occurrence in asked], dialect)}
        ran = set(_ran(dialect).rows(self.work.connection, given))
        self._known.update((pair, pair in ran) for pair in asked)
        self.ahead = len(asked)

    def note(self, rule: CompiledRule, frame: Frame, occurrence: str | None, chain: Sequence[str], ctx: Context, micros: int, job: int | None = None) -> None:
        """Keep a run that has ended well; it is written with the transaction's end, when a record that was being made has its id."""
        if occurrence is not None:
            self._known[rule.key, occurrence] = True
        record = frame.record
        row = {
            "id": frame.run,
            "rule": rule.key,
            "version": ctx.workspace.version,
            "settings": ctx.workspace.settings_version,
            "trigger": rule.trigger.kind,
            "entity": record.entity if record is not None else None,
            "occurrence": occurrence,
            "at": ctx.now,
            "person": ctx.actor.person_id,
            "cause": list(chain),
            "state": "done",
            "condition": frame.trace.condition or None,
            "steps": frame.trace.steps or None,
            "error": None,
            "micros": micros,
            "job": job,
        }
        self._rows.append((record, row))

    def later(self, args: Mapping[str, Any], person: int | None) -> None:
        """Ask for a run that begins once this transaction stands."""
        self._later.append(Asked(args, person=person))

    def finish(self) -> None:
        """Write the runs, the jobs of those to come and what people are told, each in one call."""
        self.notices.write(self.work.connection)
        if self._later:
            put_all(self.work.connection, self.work.workspace.name, "rule", self._later)
            self._later = []
        if self._rows:
            rows = [{**row, "record": None if record is None else getattr(record, "number", record.id)} for record, row in self._rows]
            _INSERT.run_each(self.work.connection, rows)
            self._rows = []
