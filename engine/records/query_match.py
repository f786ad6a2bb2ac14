"""Exact matches by field (``FIELD=VALUE``): the only question a masked or encrypted field answers, by full value or last four, and then it is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.access import remember
from engine.errors import Fault, Invalid
from engine.fields.base import Reader, Wrong, accepted
from engine.records.filters import literal
from engine.records.values import blinded
from engine.scope import Scope
from engine.storage import JsonList
from metadata.definitions import WIDENED_ENTITIES

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import CompiledField, Workspace

_SYSTEM = ("id", "version", "created_by", "updated_by")


@dataclass(slots=True)
class Matches:
    """What was asked, without its values: ``shape`` names it for the plan, ``binds`` carries the values, ``noted`` the fields to log."""

    shape: list[tuple[str, str]] = field(default_factory=list)
    binds: dict[str, Any] = field(default_factory=dict)
    noted: list[tuple[str, str]] = field(default_factory=list)  # (field, "full" | "last4")
    conditions: list[str] = field(default_factory=list)  # for lists: expression texts
    faults: list[Fault] = field(default_factory=list)

    def link(self, scope: Scope) -> str:
        """A link that is to lead to one record, which few rows do; '' where there is none. People and teams are led to by many."""
        fields = scope.entity.fields
        targets = {name: fields[name].target for name, how in self.shape if how == ":one" and name in fields}
        return next((name for name, target in targets.items() if target and target not in WIDENED_ENTITIES), "")

    def terms(self, scope: Scope) -> list[sa.ColumnElement[bool]]:
        """The WHERE terms of the shape."""
        return [_term(scope, name, how) for name, how in self.shape]


def matches(ctx: Context, scope: Scope, equals: Mapping[str, str | Sequence[str]]) -> Matches:
    """Read the asked values. Raises Invalid with every field that does not exist for the reader and every value that is none."""
    found = Matches()
    for name, given in equals.items():
        values = (given,) if isinstance(given, str) else tuple(given)
        item = scope.entity.fields.get(name)
        if name in _SYSTEM:
            _system(found, name, values)
        elif item is None or name not in scope.grant.readable:
            found.faults.append(Fault(f"/{name}", "unknown_field", {"field": name}))
        else:
            _field(ctx, scope, found, item, values)
    if found.faults:
        raise Invalid("filter_invalid", faults=found.faults)
    return found


def _system(found: Matches, name: str, values: tuple[str, ...]) -> None:
    if not all(str(value).isdecimal() and len(str(value)) < 19 for value in values):
        found.faults.append(Fault(f"/{name}", "not_a_number"))
        return
    _put(found, name, [int(value) for value in values])


def _field(ctx: Context, scope: Scope, found: Matches, item: CompiledField, values: tuple[str, ...]) -> None:
    guarded = item.key in scope.grant.guards
    if item.bi4_column is not None and all(len(value) == 4 and value.isalnum() for value in values):
        _put(found, item.key, [scope.workspace.cipher.blind4(item.value.type, value) for value in values], "last4")
        found.noted.append((item.key, "last4"))
        return
    try:
        read = reader_of(scope.workspace, scope.entity.key, item)
        typed = [ctx.actor.person_id if value == "me" and item.target == "person" else accepted(read, value) for value in values]
    except Wrong as wrong:
        found.faults.append(Fault(f"/{item.key}", wrong.code, wrong.params))
        return
    if guarded or item.encrypted:
        found.noted.append((item.key, "full"))
    if item.encrypted:
        _put(found, item.key, [blinded(scope.workspace.cipher, item, value) for value in typed], "blind")
    elif item.column is not None and isinstance(item.column.type, JsonList):
        _listed(found, item, typed, guarded)
    else:
        _put(found, item.key, typed)


def _listed(found: Matches, item: CompiledField, typed: Sequence[Any], guarded: bool) -> None:
    if guarded:
        found.faults.append(Fault(f"/{item.key}", "not_filterable", {"field": item.key}))
        return
    wanted = [value for one in typed for value in (one if isinstance(one, list | tuple) else [one])]
    parts = [f"has({item.key}, {literal(value)})" for value in wanted if value is not None] or [f"empty({item.key})"]
    found.conditions.append(" or ".join(parts))


def _put(found: Matches, name: str, values: Sequence[Any], how: str = "") -> None:
    kept = [value for value in values if value is not None]
    kind = f"{how}:" + ("empty" if not kept else "one" if len(values) == 1 else "some" if len(kept) == len(values) else "some_or_empty")
    found.shape.append((name, kind))
    if kept:
        found.binds[f"q_{name}"] = kept[0] if kind.endswith(":one") else kept


def _term(scope: Scope, name: str, how: str) -> sa.ColumnElement[bool]:
    where, kind = how.split(":")
    item = scope.entity.fields.get(name)
    if item is not None and where:
        companion = item.bi_column if where == "blind" else item.bi4_column
        column = scope.source.c[companion.key] if companion is not None else scope.column(name)
    else:
        column = scope.column(name)
    bind = sa.bindparam(f"q_{name}", type_=column.type, required=True, expanding=kind.startswith("some"))
    term: sa.ColumnElement[bool]
    if kind == "empty":
        term = column.is_(None)
    elif kind == "one":
        term = column == bind
    else:
        term = column.in_(bind)
        if kind == "some_or_empty":
            term = sa.or_(term, column.is_(None))
    guard = scope.grant.guards.get(name)
    return term if guard is None or guard.always_visible else sa.and_(term, scope.visible(guard))


def reader_of(workspace: Workspace, entity: str, item: CompiledField) -> Reader:
    """Reads a value of a field, derived ones included."""
    return item.reader or remember(workspace, ("reader", entity, item.key), lambda: item.type.reader(item.value, workspace.scope.of(entity)))
