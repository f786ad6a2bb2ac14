"""The inbox: messages inside the application, written in the transaction of the rule that sends them, read under their reader's own rights.

One row per person. A calendar may hold a message back: it is there from its opening on, by the workspace's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.database_ready import Ready
from engine.errors import Fault, Invalid, NotFound
from engine.outbox import opening, send_to_people
from engine.records.query_labels import labels
from engine.rules.compile import rule_book
from engine.rules.effects import Notify
from engine.rules.wording import Wording, told, worded
from engine.surroundings import is_there, who_is_there
from engine.system_tables_rules import notice
from metadata.text import label_text

if TYPE_CHECKING:
    from engine.context import Context

SCREEN = "screen"
#: The kind of messages that tell who is to decide an approval; they are about it, not about a record.
ASK = "ask"
_TO_DECIDE = {"zh": "待您审批：", "en": "For you to decide: "}
PAGE = 50
#: The badge counts no further.
MOST_COUNTED = 100
_INSERT = Ready(sa.insert(notice).inline(), [column.name for column in notice.c if column.name != "id"])


@dataclass(frozen=True, slots=True)
class Notice:
    """A message as its reader may see it. ``label``: of the record it is about, None when there is none or it is not theirs to see (any more)."""

    id: int
    at: datetime
    text: str
    kind: str
    rule: str | None
    entity: str | None
    record: int | None
    label: str | None
    read: bool


@dataclass(frozen=True, slots=True)
class Inbox:
    """A page: unread first, each part newest first; ``next`` goes on where it ends."""

    items: list[Notice]
    next: str | None


# --- writing -----------------------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Gathered:
    """Messages of one transaction, written in one call at its end or before somebody looks."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)

    def write(self, connection: sa.Connection) -> None:
        """Write them, in order; may be called again."""
        _INSERT.run_each(connection, self.rows)
        self.rows.clear()


def notify(
    ctx: Context, effect: Notify, *, rule: str, run: int | None, kind: str = "rule", on_the_spot: list[Wording] | None = None, into: Gathered | None = None
) -> int:
    """A message to people, in the open transaction: gathered with its others, or written at once; gives how many people it goes to. Those who left get none.

    On another channel than the screen it leaves through that connection after commit (engine/outbox.py). ``on_the_spot``: the actor is there to read
    what is meant for them, so that it is put here and counts as read.
    """
    compiled = rule_book(ctx.workspace).rules.get(rule)
    text = effect.text or (compiled.title if compiled is not None else "") or effect.template
    wording = worded(ctx, text, effect.frame, compiled, effect.about, effect.sources)
    reader = ctx.actor.person_id if on_the_spot is not None and effect.channel == SCREEN and ctx.actor.person_id in effect.people else None
    if on_the_spot is not None and reader is not None:
        on_the_spot.append(wording)
    if effect.channel != SCREEN:
        return send_to_people(ctx, effect, wording, rule=rule, run=run)
    about = effect.about
    row = {
        "at": opening(ctx, effect.hours),
        "rule": rule or None,
        "run": run,
        "entity": about.entity if about is not None else None,
        "record": about.id if about is not None else None,
        "text": wording.text,
        "frame": wording.frame,
        "kind": kind,
    }
    people, gathered = who_is_there(ctx, set(effect.people)), into if into is not None else Gathered()
    gathered.rows += [{**row, "person": person, "read_at": ctx.now if person == reader else None} for person in people]
    if into is None:
        gathered.write(ctx.open)
    return len(people)


def notify_asked(ctx: Context, number: int, turn: sa.Select[Any], title: Wording, *, rule: str, run: int | None) -> None:
    """Tell those who are to decide an approval, chosen by ``turn``, in the open transaction; nobody is told of the same one twice."""
    row = {
        "at": ctx.now,
        "rule": rule,
        "run": run,
        "entity": ASK,
        "record": number,
        "text": {locale: f"{words}{label_text(title.text, locale)}" for locale, words in _TO_DECIDE.items()},
        "frame": title.frame,
        "kind": ASK,
    }
    earlier = notice.alias("earlier")
    before = sa.select(earlier.c.person).where(earlier.c.entity == ASK, earlier.c.record == number, earlier.c.kind == ASK)
    person = ctx.workspace.entities["person"].table.c.id
    values = {name: sa.literal(value, notice.c[name].type) for name, value in row.items()}
    chosen = sa.select(person, *values.values()).where(person.in_(turn), person.not_in(before), is_there(ctx.workspace, ctx.now))
    ctx.open.execute(sa.insert(notice).from_select(["person", *values], chosen), execution_options={"scoped": True})


def forget_asked(ctx: Context, number: int) -> None:
    """An approval has ended: whoever was told of it has nothing to do any more, so that nothing unread is left of it."""
    terms = (notice.c.entity == ASK, notice.c.record == number, notice.c.kind == ASK, notice.c.read_at.is_(None))
    ctx.open.execute(sa.update(notice).where(*terms).values(read_at=ctx.now))


# --- reading -----------------------------------------------------------------------------------------------------------------------------------


def unread(ctx: Context) -> int:
    """How many messages wait for the actor, at most ``MOST_COUNTED``: one indexed statement."""
    with ctx.reading() as ctx:
        found = _unread.first(ctx.open, _binds(ctx))
        return int(found[0]) if found is not None else 0


_whose = notice.c.person == sa.bindparam("p_person", type_=sa.BigInteger)
_when = sa.bindparam("p_now", type_=notice.c.at.type)
_mine = (_whose, notice.c.at <= _when)
_first_unread = sa.select(notice.c.id).where(*_mine, notice.c.read_at.is_(None)).limit(MOST_COUNTED)
#: How many messages wait for ``p_person`` at ``p_now``.
UNREAD = sa.select(sa.func.count()).select_from(_first_unread.subquery())
#: When the first message comes that is held back for ``p_person`` at ``p_now``.
NEXT_HELD = sa.select(sa.func.min(notice.c.at, type_=notice.c.at.type)).where(_whose, notice.c.at > _when, notice.c.read_at.is_(None))
_unread = Ready(UNREAD)


def _binds(ctx: Context) -> dict[str, Any]:
    return {"p_person": ctx.actor.person_id or 0, "p_now": ctx.now}


def inbox(ctx: Context, *, show: str = "all", cursor: str = "", limit: int = PAGE) -> Inbox:
    """A page of the actor's messages; ``show``: all, unread, read. Raises Invalid for a cursor that is none of ours."""
    part, at, last = _read_cursor(cursor)
    rows: list[Any] = []
    with ctx.snapshot() as ctx:
        for name, clause in (("u", notice.c.read_at.is_(None)), ("r", notice.c.read_at.is_not(None))):
            if (show == "unread" and name == "r") or (show == "read" and name == "u") or (part == "r" and name == "u"):
                continue
            select = sa.select(notice).where(*_mine, clause).order_by(notice.c.at.desc(), notice.c.id.desc()).limit(limit + 1 - len(rows))
            if at is not None and name == part:
                select = select.where(sa.or_(notice.c.at < at, sa.and_(notice.c.at == at, notice.c.id < last)))
            if len(rows) <= limit:
                rows += ctx.open.execute(select, _binds(ctx)).all()
        items = _notices(ctx, rows[:limit])
    end = rows[limit - 1] if len(rows) > limit else None
    return Inbox(items, None if end is None else f"{'u' if end.read_at is None else 'r'}~{end.at.isoformat()}~{end.id}")


def _read_cursor(cursor: str) -> tuple[str, datetime | None, int]:
    if not cursor:
        return "", None, 0
    part, _, rest = cursor.partition("~")
    at, _, last = rest.partition("~")
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        found = None
    if part not in ("u", "r") or found is None or found.tzinfo is None or not (last.isascii() and last.isdigit()) or len(last) > 18:
        raise Invalid("cursor_invalid", faults=(Fault("/cursor", "cursor_invalid"),))
    return part, found, int(last)


def _notices(ctx: Context, rows: Sequence[Any]) -> list[Notice]:
    texts = told(ctx, [Wording(row.text, row.frame) for row in rows])
    wanted: dict[str, set[int]] = {}
    for row in rows:
        if row.entity in ctx.workspace.entities and row.record:
            wanted.setdefault(row.entity, set()).add(row.record)
    known = {entity: labels(ctx, entity, ids) for entity, ids in wanted.items()}
    return [
        Notice(row.id, row.at, text, row.kind, row.rule, row.entity, row.record, known.get(row.entity, {}).get(row.record), row.read_at is not None)
        for row, text in zip(rows, texts, strict=True)
    ]


def find_notice(ctx: Context, notice_id: int) -> Notice:
    """One of the actor's messages. Raises NotFound for another's."""
    with ctx.snapshot() as ctx:
        rows = ctx.open.execute(sa.select(notice).where(*_mine, notice.c.id == notice_id), _binds(ctx)).all()
        if not rows:
            raise NotFound("no_such_notice", id=notice_id)
        return _notices(ctx, rows)[0]


def about(ctx: Context, notice_id: int) -> tuple[str | None, int | None]:
    """What one of the actor's messages is about. Raises NotFound for another's."""
    with ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(notice.c.entity, notice.c.record).where(*_mine, notice.c.id == notice_id), _binds(ctx)).first()
    if row is None:
        raise NotFound("no_such_notice", id=notice_id)
    return row.entity, row.record


def mark(ctx: Context, ids: Iterable[int] | None = None, *, read: bool = True) -> int:
    """Note that the actor has read (or not read) some of their messages, all of them without ``ids``; gives how many that changed."""
    statement = sa.update(notice).where(*_mine, notice.c.read_at.is_(None) if read else notice.c.read_at.is_not(None))
    if ids is not None:
        statement = statement.where(notice.c.id.in_(sorted(set(ids))))
    with ctx.writing() as ctx:
        return int(ctx.open.execute(statement.values(read_at=ctx.now if read else None), _binds(ctx)).rowcount)
