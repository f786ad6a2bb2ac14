"""Occasions known from the log of runs alone: pressed buttons, messages and events, and rules around an action. Presses that were refused left no trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from engine.records.rewinding import LAST, Position
from engine.replay_log import Did, Log, Moments, at_key, before_key
from engine.replay_looking import Desk, Occasion
from engine.rules.book import CompiledRule
from engine.system_tables_rules import run


def own_runs(desk: Desk, log: Log, moments: Moments) -> Iterator[Occasion]:
    """The occasions of an action rule, or of one that waits for messages: each time it ran."""
    why = "press" if desk.rule.trigger.kind == "action" else "message"
    for did in sorted(log.runs.values(), key=lambda did: did.id):
        yield Occasion(did.record or None, did.at, why, Position(did.at, 0, moments.before_run(did)), did.key, did.person)


def around_actions(desk: Desk, moments: Moments) -> Iterator[Occasion]:
    """The occasions of a rule before or after actions: each run of one of them."""
    named = {rule.key: rule for rule in desk.book.rules.values() if rule.trigger.kind == "action" and _listens(desk.rule, rule.trigger.name)}
    question, columns = desk.question, (run.c.id, run.c.rule, run.c.record, run.c.at, run.c.person, run.c.cause)
    terms = (run.c.rule.in_(sorted(named)), run.c.at >= question.since, run.c.at < question.until, run.c.state == "done")
    for row in desk.ctx.open.execute(sa.select(*columns).where(*terms).order_by(run.c.id)).mappings():
        before = desk.rule.trigger.kind == "before"
        key = before_key(row["record"], row["at"], (row["cause"] or ())[:-1]) if before else at_key(row["record"], row["at"])
        yield Occasion(row["record"] or None, row["at"], "press", _around(desk, moments, dict(row)), key, row["person"])


def _listens(rule: CompiledRule, name: str) -> bool:
    return name in rule.trigger.actions or f"{name.rpartition('.')[0]}.*" in rule.trigger.actions


def _around(desk: Desk, moments: Moments, row: Mapping[str, Any]) -> Position:
    """Before what the action wrote, or after it."""
    if desk.rule.trigger.kind == "before":
        return Position(row["at"], 0, moments.before_run(Did(row["id"], 0, row["at"], None, ())))
    kinds = {key: rule.trigger.kind for key, rule in desk.book.rules.items()}
    ours = {row["rule"], *(key for key, kind in kinds.items() if kind in ("before", "action"))}
    later = (entry for entry in moments.at(row["at"]) if entry.run is not None and entry.run > row["id"] and not ours.issuperset(entry.chain))
    return Position(row["at"], 0, next((entry.id for entry in later), LAST))
