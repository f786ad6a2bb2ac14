"""Values that read no row stand in SQL as named binds: one compiled statement serves every person and every moment. Here they are named, found and filled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import visitors

from engine.expressions.evaluate import Evaluator
from engine.expressions.nodes import EnvironmentCall, Node, Space, spell
from engine.expressions.sql_types import sql_type
from engine.expressions.zones import steps
from engine.storage import JsonList

Value = Any
#: What a statement may be built for: binds known to be empty (or an empty list), true or false. Part of the key of a kept statement.
Shape = frozenset[tuple[str, str]]
GENERAL: Shape = frozenset()

_ZONE_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "name": sa.String(),
    "utc_steps": sa.ARRAY(sa.DateTime(timezone=True)),
    "local_steps": sa.ARRAY(sa.DateTime()),
    "offsets": JSONB(),
}


class ZoneBound(sa.BindParameter[Any]):
    """A bind for the time zone: its name, ``utc_steps``, ``local_steps`` or ``offsets`` (zones.Steps)."""

    inherit_cache = True
    part: str


class Bound(sa.BindParameter[Any]):
    """A bind that knows which part of an expression fills it. ``sealed``: the field type whose blind index of the value is bound instead."""

    inherit_cache = True
    node: Node
    sealed: str


def bound(node: Node, *, sealed: str = "", expanding: bool = False) -> Bound:
    """The bind of a part that reads no row. ``expanding``: a list for IN."""
    kind = sa.String() if sealed else sql_type(node.type.element) if expanding else sql_type(node.type)
    found = Bound(name_of(node, sealed=sealed, expanding=expanding), type_=kind, expanding=expanding, required=True)
    found.node = node
    found.sealed = sealed
    return found


def zone_bound(part: str) -> sa.ColumnElement[Any]:
    """The bind of the zone's name or of one list of its steps (arrays and jsonb on PostgreSQL)."""
    kind = _ZONE_TYPES[part]
    found = ZoneBound(f"e_zone_{part}", type_=kind, required=True)
    found.part = part
    return found if part == "name" else sa.cast(found, kind)


def _zone_value(part: str, zone: ZoneInfo) -> Value:
    if part == "name":
        return zone.key
    known = steps(zone)
    if part == "offsets":
        return [offset // timedelta(microseconds=1) for offset in known.offsets]
    return list(known.utc if part == "utc_steps" else known.local)


def name_of(node: Node, *, sealed: str = "", expanding: bool = False) -> str:
    """``e_now``, ``e_me_team``, ``e_setting_idle_days``; a digest for anything longer."""
    tail = ("__bi" if sealed else "") + ("__in" if expanding else "")
    if isinstance(node, EnvironmentCall) and not node.args:
        return f"e_{node.function.name}{tail}"
    if isinstance(node, Space) and node.path[0] in ("me", "setting") and not node.hop:
        return f"e_{'_'.join(node.path)}{tail}"
    return f"e_{hashlib.blake2b(spell(node).encode(), digest_size=9).hexdigest()}{tail}"


def needed_in(statement: sa.ClauseElement) -> dict[str, Bound | ZoneBound]:
    """The expression binds of a statement, by name. Look once per kept statement, not per request."""
    return {item.key: item for item in visitors.iterate(statement) if isinstance(item, Bound | ZoneBound)}


def bind_values(
    evaluator: Evaluator, needed: Mapping[str, Bound | ZoneBound], /, *, old: Mapping[str, Value] | None = None, **spaces: Value
) -> dict[str, Value]:
    """What the binds are filled with in this environment. ``spaces``: carried names and spaces (``record``, ``param``, …)."""
    blind = evaluator.environment.blind
    found: dict[str, Value] = {}
    for item in needed.values():
        if isinstance(item, ZoneBound):
            found[item.key] = _zone_value(item.part, evaluator.environment.timezone)
            continue
        value = evaluator.of_node(item.node, old=old, spaces=spaces)
        if item.sealed:
            value = [blind(item.sealed, one) for one in value] if isinstance(value, list) else None if value is None else blind(item.sealed, value)
        if item.expanding:
            value = [one for one in value or () if one is not None]
        elif isinstance(item.type, sa.Boolean):
            value = bool(value)
        elif isinstance(item.type, JsonList) and value is not None:
            value = list(value)
        found[item.key] = value
    return found


def shape_of(values: Mapping[str, Value]) -> Shape:
    """Which binds are empty, true or false: statements built for this shape are simpler and use more indexes."""
    return frozenset(
        (name, "empty" if value is None or value == [] else "true" if value is True else "false" if value is False else "set") for name, value in values.items()
    )
