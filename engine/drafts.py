"""Definitions being changed: one shared draft per definition, gestures with undo and redo, who changed what, and the bundle publishing would give.

What a gesture does stands in drafts_operations.py; publishing takes the drafts over and empties them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from engine.access import rights
from engine.context import Context
from engine.drafts_desk import Desk, Json, Place
from engine.drafts_operations import perform, subject
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.system_tables import draft, draft_entry
from metadata.bundle import Bundle
from metadata.canonical import canonical
from metadata.definitions import KINDS, SINGLE_KINDS
from metadata.documents import MAX_BYTES, parse_document
from metadata.merge import merge
from metadata.shape import too_deep
from metadata.words import key_problem

HISTORY_LIMIT = 200
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DraftState:
    """A definition as drafted now. ``number`` goes with the next gesture; ``undo`` / ``redo``: how many steps there are.

    ``document`` is None when the draft takes the definition out; ``changed``: a draft exists.
    """

    kind: str
    key: str
    number: int
    document: Mapping[str, Json] | None
    changed: bool
    undo: int = 0
    redo: int = 0
    by: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DraftEntry:
    """One gesture in the history of a definition, newest first when listed."""

    number: int
    operation: Mapping[str, Json]
    by: int | None
    at: datetime
    undone: bool


@dataclass(frozen=True, slots=True)
class DraftChange:
    """A definition that differs from the published one, and the people who changed it (ids of persons)."""

    kind: str
    key: str
    number: int
    removed: bool
    base_version: int
    people: tuple[int, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """The bundle publishing all drafts would give. ``conflicts``: pointers per definition that both a draft and a newer version changed."""

    bundle: Bundle
    changes: tuple[DraftChange, ...]
    conflicts: Mapping[Place, tuple[str, ...]]


def _may_design(ctx: Context) -> None:
    if not rights(ctx, "design"):
        raise Denied("draft_denied")


def _read_text(text: str | None) -> Mapping[str, Json] | None:
    return None if text is None else parse_document(text).document


def _text(kind: str, document: Mapping[str, Json] | None) -> str | None:
    return None if document is None else canonical(kind, document)


def _row(ctx: Context, kind: str, key: str) -> sa.Row[Any] | None:
    return ctx.open.execute(sa.select(draft).where(draft.c.kind == kind, draft.c.key == key)).one_or_none()


def _entries(kind: str, key: str, undone: bool | None = None) -> sa.Select[Any]:
    wanted = [] if undone is None else [draft_entry.c.undone == undone]
    return sa.select(draft_entry).where(draft_entry.c.kind == kind, draft_entry.c.key == key, *wanted).order_by(draft_entry.c.id.desc())


def _current(ctx: Context, kind: str, key: str) -> Mapping[str, Json] | None:
    """A definition as drafted, else as published (own documents only)."""
    row = _row(ctx, kind, key)
    return _read_text(row.text) if row is not None else ctx.workspace.bundle.documents.get((kind, key))


# --- looking -------------------------------------------------------------------------------------------------------------------------------


def state(ctx: Context, kind: str, key: str) -> DraftState:
    """A definition as its designers see it now. Raises NotFound when there is neither a draft nor a published one."""
    _may_design(ctx)
    with ctx.reading() as ctx:
        return _state(ctx, kind, key)


def _state(ctx: Context, kind: str, key: str) -> DraftState:
    row = _row(ctx, kind, key)
    if row is None:
        document = ctx.workspace.bundle.documents.get((kind, key))
        if document is None:
            raise NotFound("draft_no_definition", kind=kind[:40], key=key[:60])
        return DraftState(kind, key, 0, document, False)
    counts: dict[bool, int] = dict(
        ctx.open.execute(
            sa.select(draft_entry.c.undone, sa.func.count()).where(draft_entry.c.kind == kind, draft_entry.c.key == key).group_by(draft_entry.c.undone)
        ).all()
    )
    return DraftState(kind, key, row.number, _read_text(row.text), True, counts.get(False, 0), counts.get(True, 0), row.by, row.at)


def entries(ctx: Context, kind: str, key: str) -> list[DraftEntry]:
    """The gestures made on a definition since it was last published, newest first."""
    _may_design(ctx)
    with ctx.reading() as ctx:
        return [DraftEntry(row.number, row.operation["did"], row.by, row.at, row.undone) for row in ctx.open.execute(_entries(kind, key))]


def changes(ctx: Context) -> list[DraftChange]:
    """Every definition that differs from the published one, and who changed it."""
    _may_design(ctx)
    with ctx.reading() as ctx:
        return _changes(ctx)


def _changes(ctx: Context) -> list[DraftChange]:
    people: dict[Place, list[int]] = {}
    for row in ctx.open.execute(
        sa.select(draft_entry.c.kind, draft_entry.c.key, draft_entry.c.by, draft_entry.c.operation)
        .where(draft_entry.c.undone.is_(False))
        .order_by(draft_entry.c.id)
    ):
        for kind, key in ((row.kind, row.key), *((also["kind"], also["key"]) for also in row.operation["also"])):
            known = people.setdefault((kind, key), [])
            if row.by is not None and row.by not in known:
                known.append(row.by)
    return [
        DraftChange(row.kind, row.key, row.number, row.text is None, row.base_version, tuple(people.get((row.kind, row.key), ())), row.at)
        for row in ctx.open.execute(sa.select(draft).order_by(draft.c.kind, draft.c.key))
    ]


def preview(ctx: Context) -> Preview:
    """Published definitions with all drafts on top; a draft begun on an older version is merged with what was published since."""
    with ctx.reading() as ctx:
        published, found, conflicts = ctx.workspace.bundle, {}, {}
        for row in ctx.open.execute(sa.select(draft)):
            place = (row.kind, row.key)
            now = published.documents.get(place)
            ours, base = _read_text(row.text), _read_text(row.base_text)
            if _text(row.kind, now) != row.base_text:
                merged, broken = _merged(place, base, ours, now)
                ours = merged
                if broken:
                    conflicts[place] = broken
            found[place] = ours
        return Preview(published.replace(found), tuple(_changes(ctx)), conflicts)


def _merged(
    place: Place, base: Mapping[str, Json] | None, ours: Mapping[str, Json] | None, theirs: Mapping[str, Json] | None
) -> tuple[Mapping[str, Json] | None, tuple[str, ...]]:
    """One document merged three ways, and the pointers where both sides changed the same."""

    def of(document: Mapping[str, Json] | None) -> dict[Place, Mapping[str, Json]]:
        return {} if document is None else {place: document}

    result = merge(of(base), of(ours), of(theirs))
    return result.documents.get(place), tuple(conflict.pointer for conflict in result.conflicts)


# --- gestures ------------------------------------------------------------------------------------------------------------------------------


def act(ctx: Context, kind: str, key: str, operation: Mapping[str, Json], number: int) -> DraftState:
    """Do one gesture on a definition. ``number`` is the one last seen: another one refuses with Conflict ``draft_stale`` and the current state.

    Raises Denied without the right to design, Invalid for an operation that makes no sense, NotFound for an item that is gone.
    """
    _may_design(ctx)
    if kind not in KINDS or key_problem(key) or (kind in SINGLE_KINDS and key != kind):
        raise NotFound("draft_no_definition", kind=kind[:40], key=key[:60])
    _storable(operation)
    with ctx.writing() as ctx:
        _expect(ctx, kind, key, number)
        desk = _desk(ctx, (kind, key))
        perform(desk, operation)
        made = {
            place: (before, after)
            for place, document in desk.changed.items()
            if (before := _text(place[0], _current(ctx, *place))) != (after := _text(place[0], document))
        }
        if made:
            _note(ctx, (kind, key), operation, made)
            for place, (_, after) in made.items():
                _keep(ctx, place, after)
            if (kind, key) not in made:
                _keep(ctx, (kind, key), _text(kind, _current(ctx, kind, key)))
        return _state(ctx, kind, key)


def _storable(operation: Mapping[str, Json]) -> None:
    """Refuse what no definition could hold and no database keeps: bottomless nesting, too much text, NUL, half characters."""
    if not too_deep(operation):
        text = json.dumps(operation, ensure_ascii=False)
        if len(text) <= MAX_BYTES and "\\u0000" not in text and not _HALF.search(text):
            return
    raise Invalid("draft_bad_value", name="operation")


def _expect(ctx: Context, kind: str, key: str, number: int) -> None:
    row = _row(ctx, kind, key)
    if number != (0 if row is None else row.number):
        known = row is not None or (kind, key) in ctx.workspace.bundle.documents
        raise Conflict("draft_stale", current=_state(ctx, kind, key) if known else None)


def _desk(ctx: Context, place: Place) -> Desk:
    bundle = ctx.workspace.bundle

    def published(entity: str, field: str) -> bool:
        known = bundle.entities.get(entity)
        return known is not None and field in known.fields

    def inherited(entity: str) -> Mapping[str, Json]:
        return bundle.base.get(("entity", entity), {})

    titles = {name: kind.title for name, kind in ctx.workspace.registry.field_types.items() if not kind.hidden}
    return Desk(place, lambda kind, key: _current(ctx, kind, key), inherited, published, titles, {})


def _keep(ctx: Context, place: Place, text: str | None) -> None:
    """Write a definition's draft, beginning one on the published version when there is none; a draft equal to it stays until dropped or published."""
    kind, key = place
    base = _text(kind, ctx.workspace.bundle.documents.get(place))
    changed = ctx.open.execute(
        draft.update().where(draft.c.kind == kind, draft.c.key == key).values(text=text, number=draft.c.number + 1, at=ctx.now, by=ctx.actor.person_id)
    )
    if not changed.rowcount:
        ctx.open.execute(
            draft.insert().values(
                kind=kind, key=key, number=1, text=text, base_version=ctx.workspace.version, base_text=base, at=ctx.now, by=ctx.actor.person_id
            )
        )


Made = Mapping[Place, tuple[str | None, str | None]]


def _note(ctx: Context, place: Place, operation: Mapping[str, Json], made: Made) -> None:
    """Add the gesture to the history of its definition: typing goes on in the last entry, what was undone is forgotten."""
    kind, key = place
    ctx.open.execute(draft_entry.delete().where(draft_entry.c.kind == kind, draft_entry.c.key == key, draft_entry.c.undone.is_(True)))
    last = ctx.open.execute(_entries(kind, key).limit(1)).one_or_none()
    about = subject(operation)
    number = (0 if last is None else last.number) + 1
    if last is not None and about and last.by == ctx.actor.person_id and subject(last.operation["did"]) == about:
        made = _continued(last, place, made)
        ctx.open.execute(draft_entry.delete().where(draft_entry.c.id == last.id))
        number = last.number
    made = {where: texts for where, texts in made.items() if texts[0] != texts[1]}
    if not made:
        return
    before, after = made.get(place, (None, None))
    also = [{"kind": where[0], "key": where[1], "before": texts[0], "after": texts[1]} for where, texts in made.items() if where != place]
    kept = {"did": dict(operation), "own": place in made, "also": also}
    ctx.open.execute(
        draft_entry.insert().values(
            kind=kind, key=key, number=number, operation=kept, before=before, after=after, undone=False, at=ctx.now, by=ctx.actor.person_id
        )
    )
    oldest = _entries(kind, key).with_only_columns(draft_entry.c.id).offset(HISTORY_LIMIT).limit(HISTORY_LIMIT)
    too_old = ctx.open.execute(oldest).scalars().all()
    if too_old:
        ctx.open.execute(draft_entry.delete().where(draft_entry.c.id.in_(too_old)))


def _continued(last: sa.Row[Any], place: Place, made: Made) -> Made:
    """The last entry and this one as one: from where the typing began to where it is now."""
    joined = dict(_texts_of(last, place))
    for where, (before, after) in made.items():
        joined[where] = (joined.get(where, (before, after))[0], after)
    return joined


def _texts_of(entry: sa.Row[Any], place: Place) -> Made:
    """Texts before and after of every document an entry touched."""
    own = {place: (entry.before, entry.after)} if entry.operation["own"] else {}
    return {**own, **{(also["kind"], also["key"]): (also["before"], also["after"]) for also in entry.operation["also"]}}


def undo(ctx: Context, kind: str, key: str, number: int) -> DraftState:
    """Take the last gesture on a definition back, in every document it touched; what others changed elsewhere in them stays."""
    return _step(ctx, kind, key, number, back=True)


def redo(ctx: Context, kind: str, key: str, number: int) -> DraftState:
    """Do the gesture last undone again."""
    return _step(ctx, kind, key, number, back=False)


def _step(ctx: Context, kind: str, key: str, number: int, *, back: bool) -> DraftState:
    _may_design(ctx)
    with ctx.writing() as ctx:
        _expect(ctx, kind, key, number)
        newest = _entries(kind, key, undone=not back)
        entry = ctx.open.execute((newest if back else newest.order_by(None).order_by(draft_entry.c.id)).limit(1)).one_or_none()
        if entry is None:
            raise Invalid("draft_nothing_to_undo" if back else "draft_nothing_to_redo")
        for place, (before, after) in _texts_of(entry, (kind, key)).items():
            _keep(ctx, place, _moved(ctx, place, *((after, before) if back else (before, after))))
        if not entry.operation["own"]:
            _keep(ctx, (kind, key), _text(kind, _current(ctx, kind, key)))
        ctx.open.execute(draft_entry.update().where(draft_entry.c.id == entry.id).values(undone=back))
        return _state(ctx, kind, key)


def _moved(ctx: Context, place: Place, source: str | None, target: str | None) -> str | None:
    """The text a document has when the change from ``source`` to ``target`` is made to it as it is now."""
    now = _current(ctx, *place)
    if _text(place[0], now) == source:
        return target
    merged, broken = _merged(place, _read_text(source), now, _read_text(target))
    if broken:
        raise Conflict("draft_undo_conflict", current=_state(ctx, *place), places=len(broken))
    return _text(place[0], merged)


def drop(ctx: Context, kind: str, key: str) -> None:
    """Give up one definition's draft with its history; the published one counts again."""
    _may_design(ctx)
    with ctx.writing() as ctx:
        forget(ctx.open, [(kind, key)])


def forget(connection: sa.Connection, places: Iterable[Place]) -> None:
    """Remove drafts and their histories, inside a transaction (dropping, publishing)."""
    for kind, key in places:
        connection.execute(draft_entry.delete().where(draft_entry.c.kind == kind, draft_entry.c.key == key))
        connection.execute(draft.delete().where(draft.c.kind == kind, draft.c.key == key))
