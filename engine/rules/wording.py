"""What a message says: a template kept with the values of its placeholders, told to each reader in their language, under their grants and masks.

What its values were made of is found when the message is written; whether its reader may see that is asked whenever it is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from engine.access import grant_of
from engine.errors import Unavailable
from engine.fields.base import Value
from engine.fields.computed import carrier
from engine.fields.values import HIDDEN
from engine.records.query_labels import labels
from engine.rules.book import CompiledRule, every_step
from engine.rules.carrying import carry, revive
from engine.rules.effects import Handle
from engine.rules.origins import Origin, Origins
from engine.scope import scope_of
from engine.surroundings import bound, needed_of
from engine.workspace_types import SYSTEM_TYPES
from metadata.definitions import Field
from metadata.text import Label, label_text

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledEntity

_PLACE = "message.frame"
_PLACES = re.compile(r"( ?)\{([^{}]*)\}")
_NAME = re.compile(r"(?<![\w.'\"])[a-z][a-z0-9_]*")
_AT_ONCE = 500
_CLEAR, _MASKED, _CLOSED = 0, 1, 2
_PYTHON_TYPES: tuple[tuple[type, str], ...] = ((bool, "boolean"), (datetime, "instant"), (date, "date"), (int, "integer"), (float, "double"))


@dataclass(frozen=True, slots=True)
class Wording:
    """A message as it is kept. ``frame``: its placeholders' values, sealed; None when it has none."""

    text: Label
    frame: str | None = None


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """A value, as what it is shown, and what it was made of."""

    value: Value
    type: str
    origins: tuple[Origin, ...]
    single: Origin | None


# --- writing -----------------------------------------------------------------------------------------------------------------------------------


def worded(
    ctx: Context, text: Label, values: Mapping[str, Value], rule: CompiledRule | None, about: Handle | None = None, sources: Mapping[str, Handle] | None = None
) -> Wording:
    """Keep a template with the values of its placeholders. ``sources``: the records its rule carries, by name."""
    if not values:
        return Wording(text)
    origins = Origins(rule, about, ctx.actor.person_id, sources or {})
    known = {} if rule is None else {source: one for step in every_step(rule.steps) if step.message for source, one in step.message.expressions().items()}
    found = {}
    for source, value in values.items():
        expression = known.get(source)
        if expression is None:
            made_of, single, kind = _guessed(ctx, source, about), None, ""
        else:
            made_of, single, kind = origins.of(expression), origins.single(expression), str(expression.type)
        found[source] = {
            "value": carry(value),
            "type": kind,
            "of": [[one.entity, one.record, one.field] for one in made_of],
            **({"single": [single.entity, single.record, single.field]} if single is not None else {}),
        }
    return Wording(text, ctx.workspace.cipher.seal(orjson.dumps(found).decode(), _PLACE))


def _guessed(ctx: Context, source: str, about: Handle | None) -> tuple[Origin, ...]:
    """For a placeholder no rule of this version explains: the record it is about, and every field of it that the text names."""
    entity = ctx.workspace.entities.get(about.entity) if about is not None else None
    if about is None or entity is None:
        return ()
    named = [name for name in _NAME.findall(source) if name in entity.fields]
    return (Origin(about.entity, about.id), *(Origin(about.entity, about.id, name) for name in dict.fromkeys(named)))


# --- reading -----------------------------------------------------------------------------------------------------------------------------------


def told(ctx: Context, items: Sequence[Wording]) -> list[str]:
    """The messages as the context's actor may read them, in their language."""
    frames = [_opened(ctx, item) for item in items]
    with ctx.snapshot() as ctx:
        sight = _look(ctx, frames)
        return [_filled(ctx, item.text, frame, sight) for item, frame in zip(items, frames, strict=True)]


def _opened(ctx: Context, item: Wording) -> dict[str, _Placeholder] | None:
    """The placeholders by their text; None when the envelope cannot be opened (its key is gone): then nothing is shown."""
    if item.frame is None:
        return {}
    try:
        found = orjson.loads(ctx.workspace.cipher.open(item.frame, _PLACE))
    except Unavailable:
        return None
    return {
        source: _Placeholder(
            revive(one["value"], lambda entity, record: None), one["type"], tuple(Origin(*origin) for origin in one["of"]), _single(one.get("single"))
        )
        for source, one in found.items()
    }


def _single(given: Sequence[Any] | None) -> Origin | None:
    return None if given is None else Origin(*given)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a reader sees of the records at hand: how well each asked field of each visible record, and labels."""

    rows: Mapping[tuple[str, int], Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


def _look(ctx: Context, frames: Sequence[Mapping[str, _Placeholder] | None]) -> _Sight:
    wanted: dict[str, tuple[set[int], set[str]]] = {}
    linked: dict[str, set[int]] = {}
    for frame in frames:
        for place in (frame or {}).values():
            for origin in place.origins:
                ids, fields = wanted.setdefault(origin.entity, (set(), set()))
                fields.add(origin.field)
                if origin.record is not None:
                    ids.add(origin.record)
            target, records = _links(ctx, place)
            if target:
                linked.setdefault(target, set()).update(records)
    rows: dict[tuple[str, int], Mapping[str, int]] = {}
    for key, (ids, fields) in wanted.items():
        entity = ctx.workspace.entities.get(key)
        if entity is not None:
            rows.update(_seen(ctx, entity, sorted(ids), fields))
    return _Sight(rows, {key: labels(ctx, key, ids) for key, ids in linked.items()})


def _seen(ctx: Context, entity: CompiledEntity, ids: Sequence[int], fields: set[str]) -> dict[tuple[str, int], dict[str, int]]:
    """Of the records the reader may see: the guarded ones among some fields, and whether each is clear, masked or not there."""
    scope = scope_of(ctx.workspace, ctx.actor, entity)
    if not scope.grant.allowed("read"):
        return {}
    guards = {name: scope.grant.guards[name] for name in sorted(fields) if name in scope.grant.guards}
    columns: list[sa.ColumnElement[Any]] = [scope.column("id")]
    for guard in guards.values():
        columns += [scope.visible(guard), scope.clear(guard)]
    found: dict[tuple[str, int], dict[str, int]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        statement = scope.select(*columns).where(scope.column("id").in_(ids[start : start + _AT_ONCE]))
        for row in ctx.open.execute(statement, bound(ctx, needed_of(statement))):
            flags = zip(guards, zip(row[1::2], row[2::2], strict=True), strict=True)
            found[entity.key, row[0]] = {name: _CLOSED if not seen else _CLEAR if clear else _MASKED for name, (seen, clear) in flags}
    return found


def _level(ctx: Context, sight: _Sight, origin: Origin) -> int:
    entity = ctx.workspace.entities.get(origin.entity)
    if entity is None:
        return _CLOSED
    grant = grant_of(ctx.workspace, ctx.actor, entity)
    plain = not origin.field or origin.field in SYSTEM_TYPES
    if not plain and origin.field not in grant.readable:
        return _CLOSED
    if origin.record is None:
        return _CLEAR if grant.condition("read") is True and (plain or origin.field in grant.open) else _CLOSED
    flags = sight.rows.get((origin.entity, origin.record))
    return _CLOSED if flags is None else flags.get(origin.field, _CLEAR)


def _filled(ctx: Context, text: Label, frame: Mapping[str, _Placeholder] | None, sight: _Sight) -> str:
    """The text with its values in place; before one that is empty no space is left over."""

    def shown(match: re.Match[str]) -> str:
        if frame is None:
            return match[1] + HIDDEN
        place = frame.get(match[2])
        said = match[0][len(match[1]) :] if place is None else _shown(ctx, place, sight)
        return match[1] + said if said else ""

    return _PLACES.sub(shown, label_text(text, ctx.locale))


def _shown(ctx: Context, place: _Placeholder, sight: _Sight) -> str:
    level = max((_level(ctx, sight, origin) for origin in place.origins), default=_CLEAR)
    if level == _CLOSED:
        return HIDDEN
    if place.value is None:
        return ""
    entity, records = _links(ctx, place)
    if entity:
        names = sight.names.get(entity, {})
        return HIDDEN if level == _MASKED else _listed(ctx, [names.get(one, HIDDEN) for one in records])
    home = ctx.workspace.entities.get(place.single.entity) if place.single is not None else None
    item = home.fields.get(place.single.field) if home is not None and place.single is not None else None
    if level == _MASKED:
        return item.type.mask(place.value, item.value) if item is not None else HIDDEN
    if item is not None:
        return item.type.show(place.value, item.value, ctx.workspace.scope.of(place.single.entity if place.single else ""), ctx.locale)
    return _plain(ctx, place.value, place.type)


def _links(ctx: Context, place: _Placeholder) -> tuple[str, list[int]]:
    """The entity and ids of a value that is one record or several; ('', []) for any other."""
    values = place.value if isinstance(place.value, list) else [place.value]
    handles = [one for one in values if isinstance(one, Handle)]
    if handles:
        return handles[0].entity, [one.id for one in handles if one.entity == handles[0].entity]
    kind, _, of = place.type.partition(":")
    if kind == "list":
        kind, _, of = of.partition(":")
    target = {"person": "person", "people": "person", "team": "team", "link": of, "links": of}.get(kind, "")
    return (target, [one for one in values if isinstance(one, int)]) if target else ("", [])


def _plain(ctx: Context, value: Value, notation: str) -> str:
    """A value as text by its type in expressions; by what it is where nothing is known of it."""
    if notation.partition(":")[0] in ("", "any", "json", "list", "rows", "table", "null"):
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return _listed(ctx, [_plain(ctx, one, "") for one in value])
        notation = next((name for kind, name in _PYTHON_TYPES if isinstance(value, kind)), "")
        if not notation:
            return ""
    like = carrier(notation, Field("value", "formula"))
    return ctx.workspace.registry.field_types[like.type].show(value, like, ctx.workspace.scope, ctx.locale)


def _listed(ctx: Context, parts: Sequence[str]) -> str:
    return ("、" if ctx.locale == "zh" else ", ").join(part for part in parts if part)
