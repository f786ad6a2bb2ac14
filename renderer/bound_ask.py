"""Approvals ready for their cards: what, who, about which record, what to fill in, who said what. Bound for one reader; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.errors import NotFound, Refusal
from engine.records import asks
from engine.records.asks import OPEN, RETURNED, Asked
from engine.records.query import get
from engine.records.ruling_press import parameters_from
from engine.rules.compile import rule_book
from metadata.text import label_text
from renderer import formats
from renderer.bound_action import BoundParameters, ParameterBinder
from renderer.bound_record import Desk, Fact, record_label, summary, told_by_people
from renderer.translations import _

if TYPE_CHECKING:
    from engine.context import Context

HOUR, DAY = 3600, 86400
COLOURS = {
    "open": "blue",
    "waiting": "slate",
    "approved": "green",
    "refused": "red",
    "expired": "amber",
    "withdrawn": "slate",
    "returned": "amber",
    "passed": "slate",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One who is asked, and what they said. ``state``: in words."""

    name: str
    state: str
    colour: str
    opinion: str
    at: str


@dataclass(frozen=True, slots=True)
class BoundAsk:
    """One approval on its card. ``mine``: it waits for the reader; ``quick``: yes or no is all it needs; ``own``: the reader asked for it."""

    id: int
    title: str
    rule: str
    applicant: str
    at: str
    state: str
    colour: str
    left: str
    late: bool
    about: str
    href: str
    facts: tuple[Fact, ...]
    people: tuple[Said, ...]
    form: BoundParameters
    given: tuple[tuple[str, str], ...]
    opinion: str
    typed: str
    mine: bool
    quick: bool
    own: bool
    returned: bool
    open: bool


def state_text(state: str) -> str:
    """The state of an approval, or of one who is asked, in words."""
    return {
        "open": _("Waiting for a decision"),
        "waiting": _("Not yet their turn"),
        "approved": _("Approved"),
        "refused": _("Refused"),
        "expired": _("Expired"),
        "withdrawn": _("Withdrawn"),
        "returned": _("Returned"),
        "passed": _("Handed on or no longer needed"),
    }.get(state, state)


def bound_ask(
    desk: Desk, one: Asked, *, raw: Mapping[str, Any] | None = None, refusal: Refusal | None = None, confirmed: str = "", typed: str = ""
) -> BoundAsk:
    """An approval for the reader. ``raw``, ``typed``: values and opinion as they were sent, when the decision was refused. Needs an open connection."""
    ctx = desk.ctx
    me = ctx.actor.person_id
    mine = one.state == OPEN and any(person == me and state == OPEN for person, _name, state, _said, _at in one.people)
    rule = rule_book(ctx.workspace).rules.get(one.rule)
    entity = one.entity or ""
    known = parameters_from(ctx.workspace, entity, one.fields)
    binder = ParameterBinder(ctx, known, f"ask.{one.id}", entity, desk.base, record=one.record, raw=raw, prefix=f"a{one.id}")
    about, href, facts = _about(desk, one)
    return BoundAsk(
        one.id,
        one.title,
        label_text(rule.title, ctx.locale, one.rule) if rule is not None else one.rule,
        one.applicant or _("The system"),
        _when(ctx, one.at),
        state_text(one.state),
        COLOURS.get(one.state, "slate"),
        _left(ctx, one),
        one.expires_at is not None and (one.expires_at - ctx.now).total_seconds() < DAY,
        about,
        href,
        facts,
        tuple(
            Said(name, state_text(state), COLOURS.get(state, "slate"), said or "", _when(ctx, at) if at is not None else "")
            for _person, name, state, said, at in one.people
        ),
        binder.bind(refusal, confirmed, "opinion") if mine or refusal is not None else BoundParameters(()),
        _given(binder, one),
        one.opinion,
        typed,
        mine,
        mine and not one.fields and one.opinion != "required",
        one.person == me,
        one.state == RETURNED,
        one.state in (OPEN, RETURNED),
    )


def _given(binder: ParameterBinder, one: Asked) -> tuple[tuple[str, str], ...]:
    """What the approver filled in, in words."""
    answers = asks.answers_of(one)
    return tuple(binder.told(name, answers[name]) for name in binder.fields if answers.get(name) is not None)


def _about(desk: Desk, one: Asked) -> tuple[str, str, tuple[Fact, ...]]:
    """The record's label, address and main values; nothing where the reader may not see it."""
    key, number = (one.about_entity, one.about) if one.about is not None else (one.entity, one.record)
    entity = desk.ctx.workspace.entities.get(key or "")
    if entity is None or number is None:
        return "", "", ()
    try:
        record = get(desk.ctx, entity.key, number)
    except NotFound:
        return "", "", ()
    return (
        record_label(desk.ctx, entity, record),
        f"{desk.base}/r/{entity.key}/{number}",
        (*summary(desk, entity, record), *told_by_people(desk, entity, record)),
    )


def _when(ctx: Context, at: datetime) -> str:
    return formats.short_instant(at, ctx.workspace.timezone, ctx.now.astimezone(ctx.workspace.timezone).date())


def _left(ctx: Context, one: Asked) -> str:
    """How much time is left to decide; '' without a limit."""
    if one.expires_at is None or one.state != OPEN:
        return ""
    seconds = (one.expires_at - ctx.now).total_seconds()
    if seconds <= 0:
        return _("Time is up")
    if seconds < HOUR:
        return _("%(count)s minutes left", count=max(1, int(seconds // 60)))
    return _("%(count)s days left", count=int(seconds // DAY)) if seconds >= 2 * DAY else _("%(count)s hours left", count=int(seconds // HOUR))
