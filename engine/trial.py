"""Try a rule: run it on one record as somebody, really, in a transaction that never commits; what it found, decided, would write and say is told, nothing is kept.

No job, message or serial number is left behind. On PostgreSQL ids of rows are drawn from sequences, which do not go back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.actors import enter_as, enter_id
from engine.errors import NotFound, Refusal
from engine.explaining import Explained, explain_rule
from engine.fields.values import link_id
from engine.records import query
from engine.records.query_labels import labels
from engine.records.record import Change
from engine.records.ruling import Ruling
from engine.records.ruling_effects import raw_values
from engine.records.ruling_press import parameters_of, press, read_given
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules.book import CompiledRule
from engine.rules.compile import book_with, rule_book
from engine.rules.effects import Handle
from engine.rules.frame import Frame, Start
from engine.rules.wording import Wording, told
from engine.system_tables_rules import notice, outgoing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity, Workspace


@dataclass(frozen=True, slots=True)
class TriedChange:
    """A row the rule would write: JSON values of the fields that change. ``readable``: whether whoever looks may read the record; ``label`` is theirs."""

    entity: str
    id: int
    kind: str
    label: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    readable: bool


@dataclass(frozen=True, slots=True)
class TriedMessage:
    """A message the rule would send: to whom, through what ("": the inbox), and its text as whoever looks may read it."""

    person: int | None
    connector: str
    text: str


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended: ``state`` done, skipped (its condition does not hold, told in ``why``), unheard (what changes does not set it off) or refused
    (``refusal``). ``steps``: facts by path, as in the log.

    ``followed``: the rules that it would set off.
    """

    rule: CompiledRule
    state: str
    why: Explained | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: tuple[TriedChange, ...] = ()
    messages: tuple[TriedMessage, ...] = ()
    followed: tuple[str, ...] = ()
    refusal: Refusal | None = None


class _Undone(Exception):
    """Carries the outcome out of the transaction that it takes back."""

    def __init__(self, tried: Tried) -> None:
        super().__init__()
        self.tried = tried


@dataclass(slots=True)
class _Watched(Ruling):
    """Rules at work whose runs can be looked at even when they were refused."""

    frames: list[Frame] = field(default_factory=list)
    judged: set[CompiledRule] = field(default_factory=set)
    old: Mapping[str, Any] = field(default_factory=dict)

    def _fires(self, rule: CompiledRule, start: Start) -> bool:
        """As ever, and remembered."""
        self.judged.add(rule)
        return Ruling._fires(self, rule, start)

    def heard(self, change: Change) -> list[CompiledRule]:
        """The rules after commit that a change concerns."""
        return self._listening(self.book.later, change)

    def framed(self, rule: CompiledRule, start: Start, chain: tuple[str, ...]) -> tuple[Frame, Saving]:
        """As ever, and remembered."""
        frame, saving = Ruling.framed(self, rule, start, chain)
        self.frames.append(frame)
        return frame, saving


def try_rule(
    ctx: Context,
    rule: CompiledRule,
    record: int | None,
    *,
    person: int | None = None,
    params: Mapping[str, Any] | None = None,
    values: Mapping[str, object] | None = None,
) -> Tried:
    """Run a rule (the published one, or a draft of it) on a record for ``ctx``, who looks, as a person (None: as the clock does); one that is off runs as well.

    ``params`` as forms give them. ``values``: of a rule that listens to writes, what the record is changed to, so that ``old`` is as it stands.

    Raises NotFound for a record whoever looks may not see, or none where the rule is about one, or a person who may not enter.
    """
    if rule.entity and record is None:
        raise NotFound("no_such_record", entity=rule.entity, id=0)
    why = explain_rule(ctx, rule, record) if rule.entity and record is not None else None
    name = ctx.workspace.name
    acting = enter_as(ctx.home, name, "clock") if person is None else enter_id(ctx.home, name, person, locale=ctx.locale)

    def work(connection: sa.Connection) -> None:
        asked = _Asked(rule, record, params or {}, values or {})
        raise _Undone(_tried(ctx.within(connection), _with_rule_on(acting.within(connection), rule), asked, why))

    try:
        ctx.workspace.database.transact(work)
    except _Undone as undone:
        return undone.tried
    raise AssertionError("a try always goes back")


def _with_rule_on(ctx: Context, rule: CompiledRule) -> Context:
    workspace = replace(ctx.workspace, rules_off=ctx.workspace.rules_off - {rule.key})
    published = rule_book(ctx.workspace).rules.get(rule.key) is rule
    return replace(ctx, workspace=workspace if published else replace(workspace, cache={}))  # what is kept by the rule's key is of the published one


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is tried on which record, with what."""

    rule: CompiledRule
    record: int | None
    params: Mapping[str, Any]
    values: Mapping[str, object]


def _tried(viewer: Context, acting: Context, asked: _Asked, why: Explained | None) -> Tried:
    saving, rule = Saving(Work(acting)), asked.rule
    watched = saving.ruling = _Watched(saving)
    watched.book = book_with(watched.book, rule)
    state, refusal = "done", None
    try:
        if not _begin(saving, watched, asked):
            state = "skipped" if rule in watched.judged else "unheard"
            why = _why_changed(viewer, asked, watched.old) if asked.values and state == "skipped" else why
        saving.finish()
    except Refusal as stopped:
        state, refusal = "refused", stopped
    own = next((frame for frame in watched.frames if frame.rule is rule), None)
    found = Tried(rule, state, None if asked.values and state == "done" else why, refusal=refusal)
    if own is None:
        return found
    found = replace(found, condition=own.trace.condition, steps=own.trace.steps)
    if refusal is not None:
        return found
    runs = [frame.run for frame in watched.frames]
    followed = tuple(dict.fromkeys(frame.rule.key for frame in watched.frames if frame is not own))
    return replace(found, changes=_changes(viewer, saving.work.changes), messages=_messages(viewer, runs), followed=followed)


def _begin(saving: Saving, watched: _Watched, asked: _Asked) -> bool:
    """Set the rule off as its trigger would; whether its condition held."""
    work, rule, record = saving.work, asked.rule, asked.record
    if rule.trigger.kind == "action" and record is not None:
        press(saving, work.entity(rule.entity), record, rule.trigger.name.rpartition(".")[2], asked.params)
        return True
    handle = Handle(rule.entity, record, work.row) if record is not None and rule.entity else None
    if asked.values and handle is not None and listens_to_values(rule):
        return _changed(saving, watched, asked, handle)
    known = parameters_of(work.workspace, rule)
    spaces = {"param": read_given(work, known, asked.params, handle)} if known else {}
    due = rule.trigger.due[0] if rule.trigger.due else ""
    start = Start(handle, None if handle is None else handle.row(), spaces, due=due)
    return saving.ruling.start(rule, start) is not None


def listens_to_values(rule: CompiledRule) -> bool:
    """Whether a rule can be tried with a record's values changed."""
    return rule.trigger.kind in ("before", "after", "later") and rule.trigger.verb in ("create", "update", "save", "stage")


def _changed(saving: Saving, watched: _Watched, asked: _Asked, handle: Handle) -> bool:
    """Save the record with its values changed; whether that set the rule off. What follows a creation or a commit is begun by hand."""
    rule = asked.rule
    watched.old = dict(handle.row())
    entity = saving.work.entity(rule.entity)
    held = saving.hold(entity, handle.id, "update")
    saving.update(entity, handle.id, asked.values, held.row["version"])
    watched.drain()
    if any(frame.rule is rule for frame in watched.frames):
        return True
    if rule.trigger.verb != "create" and rule.trigger.kind != "later":
        return False
    change = next((one for one in saving.work.changes if (one.entity, one.id) == (rule.entity, handle.id)), None)
    if rule.trigger.verb != "create" and (change is None or rule not in watched.heard(change)):
        return False
    return watched.start(rule, Start(handle, watched.old if rule.trigger.verb != "create" else {})) is not None


def _why_changed(viewer: Context, asked: _Asked, old: Mapping[str, Any]) -> Explained | None:
    """Why the rule would not run for the record as changed, as far as whoever looks may see."""
    try:
        return explain_rule(viewer, asked.rule, asked.record, old=old) if asked.record is not None else None
    except NotFound:
        return None


def _changes(viewer: Context, changes: Sequence[Change]) -> tuple[TriedChange, ...]:
    """What was written, once a row, as far as its reader may see the rows."""
    merged: dict[tuple[str, int], Change] = {}
    for change in changes:
        earlier = merged.get((change.entity, change.id))
        if earlier is not None:
            kind = earlier.kind if change.kind in ("update", "computed") else change.kind
            change = replace(change, kind=kind, before={**change.before, **earlier.before}, after={**earlier.after, **change.after})
        merged[change.entity, change.id] = change
    return tuple(_change(viewer, change) for change in merged.values())


def _change(viewer: Context, change: Change) -> TriedChange:
    entity = viewer.workspace.entities[change.entity]
    names = [name for name in change.after if name in entity.fields and change.before.get(name) != change.after[name]]
    before, after = ({name: side.get(name) for name in names} for side in (change.before, change.after))
    workspace, readable = viewer.workspace, change.kind == "delete"
    if not readable:
        try:
            query.get(viewer, change.entity, change.id, fields=("id",), lines=False)
            readable = True
        except NotFound:
            readable = False
    label = labels(viewer, change.entity, [change.id]).get(change.id, "") if readable else ""
    told_before, told_after = (_plain(workspace, entity, side) if readable else {} for side in (before, after))
    return TriedChange(change.entity, change.id, change.kind, label, told_before, told_after, readable)


def _plain(workspace: Workspace, entity: CompiledEntity, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON, links as ids."""
    links = {name: value for name, value in values.items() if entity.fields[name].target}
    ids = {name: [link_id(one) for one in value] if isinstance(value, list) else link_id(value) for name, value in links.items()}
    return {**raw_values(workspace, entity, values), **ids}


def _messages(viewer: Context, runs: Sequence[int | None]) -> tuple[TriedMessage, ...]:
    """The messages of these runs as they lie in the transaction."""
    columns = (notice.c.person, notice.c.text, notice.c.frame)
    rows = viewer.open.execute(sa.select(*columns).where(notice.c.run.in_(runs)).order_by(notice.c.id)).all()
    texts = told(viewer, [Wording(row.text, row.frame) for row in rows])
    found = [TriedMessage(row.person, "", text) for row, text in zip(rows, texts, strict=True)]
    sent = viewer.open.execute(sa.select(outgoing.c.person, outgoing.c.connector).where(outgoing.c.run.in_(runs)).order_by(outgoing.c.id))
    return (*found, *(TriedMessage(row.person, row.connector, "") for row in sent))
