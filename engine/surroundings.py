"""The surroundings that conditions and statements are evaluated in: the moment, who acts, settings, people by role, encrypted values, records beyond links."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from engine.access import remember
from engine.clock import has_changed_people
from engine.database_ready import Ready
from engine.expressions.binds import Bound, ZoneBound
from engine.expressions.evaluate import Environment, Evaluator, Fields
from engine.expressions.to_sql import bind_values, condition, needed_in
from engine.fields.base import FieldType, Reader, Value, Wrong, accepted
from engine.holidays import closed_days
from engine.myself import Myself
from engine.scope import TableNames, among, engine_select, ids_value
from metadata.definitions import Field as Definition

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

#: The values of the surroundings a statement wants bound, by name.
Needed = Mapping[str, Bound | ZoneBound]

_OF_ROLE = "has(roles, param.role)"
_ROLE: Mapping[str, Mapping[str, Any]] = {"role": {"type": "text"}}


def environment(ctx: Context) -> Environment:
    """The surroundings every expression of this request is evaluated in: the clock, the zone, who acts, the settings in force."""
    workspace = ctx.workspace
    sealed = remember(workspace, ("sealed values",), lambda: SealedValues(workspace))
    return Environment(
        ctx.now,
        workspace.timezone,
        Myself.of(ctx),
        workspace.settings,
        sealed.normal,
        sealed.blind,
        people=lambda role: active_people(ctx, role),
        holidays=closed_days,
    )


def active_people(ctx: Context, role: str) -> list[int]:
    """Ids of the people who have a role and may enter the workspace now, in order. Asks the open connection."""
    workspace, people = ctx.workspace, ctx.workspace.entities["person"]

    def build() -> tuple[sa.Select[Any], Needed]:
        of_role = condition(workspace.expression("person", _OF_ROLE, "boolean", ("param",), _ROLE), TableNames(workspace, people, people.table.c))
        at = sa.bindparam("p_at", type_=people.table.c.created_at.type)
        select = engine_select(people, people.table.c.id).where(of_role, is_there(workspace, at)).order_by(people.table.c.id)
        return select, needed_of(select)

    select, needed = remember(workspace, ("active people",), build)
    values = bind_values(Evaluator(Environment(ctx.now, workspace.timezone)), needed, param={"role": role})
    return list(ctx.open.execute(select, {**values, "p_at": ctx.now}).scalars())


def is_there(workspace: Workspace, at: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    """Whether a row of the people is of somebody who works here at that moment: who is asked, told and turned to. The same as may enter (actors.load_actor)."""
    ends = workspace.entities["person"].fields["ends_at"].column
    assert ends is not None
    return sa.and_(*_works_here(workspace), sa.or_(ends.is_(None), ends > at))


def _works_here(workspace: Workspace) -> tuple[sa.ColumnElement[bool], ...]:
    """Whether a row of the people is of somebody who has not left."""
    people = workspace.entities["person"]
    active = people.fields["active"].column
    assert active is not None
    return people.table.c.deleted_at.is_(None), active.is_(True)


def who_is_there(ctx: Context, people: Collection[int]) -> list[int]:
    """Those of some people who work here now, in order. Who does is remembered until a right is changed; a transaction that has changed people asks."""
    version = ctx.actor.permission_version
    if not version or has_changed_people(ctx.open):
        return sorted(one for one, ends in _ends(ctx, people).items() if ends is None or ends > ctx.now)
    known: dict[int, datetime | Literal["gone"] | None] = ctx.workspace.read_at("there", version)
    if missing := [one for one in people if one not in known]:
        known.update({**dict.fromkeys(missing, "gone"), **_ends(ctx, missing)})
    return sorted(one for one in people if (ends := known[one]) is None or (ends != "gone" and ends > ctx.now))


def _ends(ctx: Context, people: Collection[int]) -> dict[int, datetime | None]:
    """Until when those of some people work here who do."""

    def build() -> Ready:
        table, dialect = ctx.workspace.entities["person"].table, ctx.workspace.database.dialect
        ends = ctx.workspace.entities["person"].fields["ends_at"].column
        assert ends is not None
        return Ready(sa.select(table.c.id, ends).where(among(table.c.id, "people", dialect), *_works_here(ctx.workspace)).execution_options(scoped=True))

    rows = remember(ctx.workspace, ("who is there",), build).rows(ctx.open, {"people": ids_value(people, ctx.workspace.database.dialect)})
    return {row[0]: row[1] for row in rows}


def active_with_right(ctx: Context, *wanted: str) -> list[int]:
    """Ids of the people who may enter the workspace now and have a role with one of these rights, in order: the administrators of a matter."""
    roles = [key for key, role in ctx.workspace.roles.items() if set(wanted) & set(role.can)]
    return sorted({person for role in roles for person in active_people(ctx, role)})


class SealedValues:
    """Encrypted values as expressions compare them: by their normal form in Python, by blind index in SQL."""

    def __init__(self, workspace: Workspace) -> None:
        self._cipher = workspace.cipher
        self._scope = workspace.scope
        self._kinds: dict[str, tuple[FieldType, Definition, Reader]] = {}

    def _kind(self, name: str) -> tuple[FieldType, Definition, Reader]:
        if name not in self._kinds:
            kind, bare = self._scope.types[name], Definition(key="value", type=name)
            self._kinds[name] = kind, bare, kind.reader(bare, self._scope)
        return self._kinds[name]

    def normal(self, name: str, value: Value) -> Value:
        """The stored form of a value of a field type; the value itself when it is none (and so equals nothing stored)."""
        kind, bare, read = self._kind(name)
        try:
            return kind.blind(accepted(read, value), bare)
        except Wrong:
            return value

    def blind(self, name: str, value: Value) -> Value:
        """The blind index of a value."""
        return self._cipher.blind(name, str(self.normal(name, value)))


def needed_of(select: sa.ClauseElement) -> Needed:
    """The values of the surroundings a statement wants bound. Look once per kept statement."""
    return needed_in(select)


def bound(ctx: Context, needed: Needed, /, **spaces: Value) -> dict[str, Any]:
    """The wanted values of the surroundings; nothing is computed when a statement wants none."""
    return bind_values(evaluator_of(ctx), needed, **spaces) if needed else {}


def evaluator_of(ctx: Context) -> Evaluator:
    """An evaluator for this request, which follows links beyond any person's rows: for the engine's own conditions."""

    def follow(key: str, record_id: int) -> Mapping[str, Value] | None:
        entity = ctx.workspace.entities[key]
        stored = {name: item.column for name, item in entity.fields.items() if item.column is not None and not item.encrypted}
        select = engine_select(entity, entity.table.c.id, *stored.values()).where(entity.table.c.id == record_id)
        row = ctx.open.execute(select).first()
        return None if row is None else dict(zip(("id", *stored), row, strict=True))

    return Evaluator(environment(ctx), follow, fields_of(ctx.workspace))


def fields_of(workspace: Workspace) -> Fields:
    """What evaluators know of the fields of records that links lead to."""

    def build() -> Fields:
        every = [(entity.key, item) for entity in workspace.entities.values() for item in entity.fields.values()]
        computed = {(entity, item.key): item.formula for entity, item in every if item.volatile and item.formula is not None}
        return Fields(computed, {(entity, item.key): item.target for entity, item in every if item.target})

    return remember(workspace, ("fields",), build)
