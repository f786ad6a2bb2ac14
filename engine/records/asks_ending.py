"""Approvals ended: closed with a state, and their branch run in the transaction at hand, on the version of the rule they began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.errors import NotFound
from engine.fields.base import Value
from engine.notices import forget_asked
from engine.provenance import load_bundle
from engine.records.asks import APPROVED, EXPIRED, OPEN, PASSED, REFUSED, RETURNED, WAITING, WITHDRAWN
from engine.rules.book import CompiledRule, RuleBook, Step
from engine.rules.carrying import carry, revive
from engine.rules.compile import compile_rules, rule_book
from engine.rules.effects import Handle
from engine.rules.frame import Start
from engine.system_tables_rules import ask, ask_person

if TYPE_CHECKING:
    from engine.records.saving import Saving
    from engine.workspace import Workspace

#: How a final state's branch is called.
_BRANCH = {APPROVED: "approved", REFUSED: "refused", EXPIRED: "expired", WITHDRAWN: "withdrawn"}


def end_ask(saving: Saving, row: Mapping[str, Any], state: str, answer: Mapping[str, Value]) -> str:
    """Close an approval and run its branch. Approved only while the rule's ``if`` still holds; else it ends as withdrawn and says so."""
    work = saving.work
    try:
        rule, step = rule_of(work.workspace, work.connection, row)
    except NotFound:  # nothing can follow any more
        return _close(saving, row, WITHDRAWN, answer)
    read = work.row
    record = Handle(row["entity"], row["record"], read) if row["entity"] is not None else None
    names = {name: revive(value, read) for name, value in row["frame"].items()}
    names["answer"] = answer
    if isinstance(step.body.get("as"), str):
        names[step.body["as"]] = answer
    start = Start(record, None if record is None else dict(record.row()), names)
    if state == APPROVED and not saving.ruling.still_holds(rule, start):
        state = WITHDRAWN
    _close(saving, row, state, answer)
    steps = (*step.branches.get(_BRANCH[state], ()), *step.branches.get("finally", ()))
    if steps:
        saving.ruling.branch(rule, steps, start, f"ask:{row['id']}:{state}")
    return state


def _close(saving: Saving, row: Mapping[str, Any], state: str, answer: Mapping[str, Value]) -> str:
    work = saving.work
    kept = {name: carry(value) for name, value in answer.items()}
    put_state(saving, row["id"], state, decided_at=work.ctx.now, decided_by=work.ctx.actor.person_id, answers=kept)
    drop_others(saving, row["id"], set())
    forget_asked(work.ctx, row["id"])
    return state


def rule_of(workspace: Workspace, connection: sa.Connection, row: Mapping[str, Any]) -> tuple[CompiledRule, Step]:
    """The rule as it was when it asked, and the step that did: what was begun finishes on the version it began with.

    Raises NotFound where they spoke of what is gone since, and are gone, too.
    """
    rule = book_of(workspace, connection, row["version"]).rules.get(row["rule"])
    try:
        if rule is not None:
            return rule, rule.step(row["step"])
    except KeyError:
        pass
    raise NotFound("unknown_rule", rule=row["rule"])


def book_of(workspace: Workspace, connection: sa.Connection, version: int) -> RuleBook:
    """The rules of a version, over the entities as they are now, as far as they can be read over them."""
    if version == workspace.version:
        return rule_book(workspace)
    return remember(workspace, ("rule book of", version), lambda: compile_rules(workspace, load_bundle(connection, version), earlier=True))


def withdraw_about(saving: Saving, about: Handle) -> int:
    """The open approvals about a record end as withdrawn, in the transaction at hand; gives how many."""
    select = sa.select(ask).where(ask.c.about_entity == about.entity, ask.c.about == about.id, ask.c.state.in_((OPEN, RETURNED)))
    rows = [dict(row) for row in saving.work.connection.execute(select).mappings()]
    for row in rows:
        end_ask(saving, row, WITHDRAWN, {"by": saving.work.ctx.actor.person_id, "opinion": None, "at": saving.work.ctx.now})
    return len(rows)


def put_state(saving: Saving, number: int, state: str, **values: Any) -> None:
    """Put an approval into a state."""
    saving.work.connection.execute(sa.update(ask).where(ask.c.id == number).values(state=state, **values))


def drop_others(saving: Saving, number: int, but: set[int | None]) -> None:
    """Nobody else needs to decide any more, but these."""
    terms = (ask_person.c.ask == number, ask_person.c.state.in_((OPEN, WAITING)), ask_person.c.person.not_in([one for one in but if one is not None]))
    saving.work.connection.execute(sa.update(ask_person).where(*terms).values(state=PASSED))
