"""What an actor may do with one entity: rows, fields, masks and actions of all their roles together. Decides only; scope.py compiles it to SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from engine.errors import NotFound
from engine.expressions.language import Expression
from engine.expressions.nodes import Field, Hop, LinkField, Node, mapped
from metadata.definitions import EntityGrant, FieldGrant, Role

if TYPE_CHECKING:
    from engine.context import Actor, Context
    from engine.workspace import CompiledEntity, CompiledField, Workspace

#: True = every row, False = none, else the rows for which the expression holds.
Rows = bool | Expression
Truth = Callable[[Expression], bool]

VERBS = ("read", "create", "update", "delete", "export")
_MEMORY_LIMIT = 4096
_SYSTEM = ("*",)
_T = TypeVar("_T")


def remember(workspace: Workspace, key: tuple[object, ...], build: Callable[[], _T]) -> _T:
    """What was built for ``key`` at this version of the workspace; forgotten with it. Bounded: emptied when it grows past its limit."""
    kept = workspace.cache
    found = kept.get(key)
    if found is None:
        if len(kept) > _MEMORY_LIMIT:
            kept.clear()
        found = kept[key] = build()
    return found  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Clause:
    """What one role gives on one entity."""

    role: str
    rows: Mapping[str, Rows]
    led: Mapping[str, Rows]  # the same for statements over many rows: by what rows carry of the records they link to
    actions: Mapping[str, Rows]
    unread: frozenset[str]
    unwritten: frozenset[str]
    masks: Mapping[str, Rows]  # True: always masked; an expression: masked while it holds


@dataclass(frozen=True, slots=True)
class Guard:
    """Per row: when a field is there at all, and when it is shown in clear. Alternatives of granting roles; any one suffices.

    ``visible``: row conditions. ``clear``: (row condition, mask condition) pairs; clear when a row condition holds and its mask does not.
    """

    visible: tuple[Rows, ...]
    clear: tuple[tuple[Rows, Rows], ...]

    @property
    def always_visible(self) -> bool:
        return any(rows is True for rows in self.visible)

    def is_visible(self, truth: Truth) -> bool:
        return any(holds(rows, truth) for rows in self.visible)

    def is_clear(self, truth: Truth) -> bool:
        return any(holds(rows, truth) and not holds(mask, truth) for rows, mask in self.clear)


def holds(rows: Rows, truth: Truth) -> bool:
    """Whether one row condition admits the row that ``truth`` looks at."""
    return rows if isinstance(rows, bool) else truth(rows)


@dataclass(frozen=True, slots=True)
class Grant:
    """All that one set of roles gives on one entity. Equal for everybody with the same roles, so it is built once per version.

    ``readable``: fields that exist for the actor. ``open``: those among them never masked in any row (only these sort, group and filter freely).
    ``guards``: the others' rules per row.
    """

    entity: str
    roles: tuple[str, ...]
    clauses: tuple[Clause, ...]
    readable: frozenset[str]
    writable: frozenset[str]
    open: frozenset[str]
    guards: Mapping[str, Guard] = field(default_factory=dict)

    def condition(self, verb: str) -> bool | tuple[Expression, ...]:
        """The rows a verb reaches, for SQL: True = all, False = none, else expressions of which one must hold."""
        return any_of(clause.led[verb] for clause in self.clauses)

    def allowed(self, verb: str) -> bool:
        """Whether the verb reaches any row at all."""
        return self.condition(verb) is not False

    @property
    def whole(self) -> bool:
        """Whether it is a system principal's: everything on every row."""
        return self.roles == _SYSTEM

    def action(self, name: str) -> bool | tuple[Expression, ...]:
        """The rows on which a named action may be pressed, as ``condition``."""
        return any_of(clause.actions.get(name, False) for clause in self.clauses)

    def presses(self, name: str, truth: Truth) -> bool:
        """Whether a named action is granted on the row that ``truth`` looks at."""
        return any(holds(clause.actions.get(name, False), truth) for clause in self.clauses)

    @property
    def actions(self) -> frozenset[str]:
        """Names of the actions granted on some row."""
        return frozenset(name for clause in self.clauses for name, rows in clause.actions.items() if rows is not False)

    def mask(self, name: str) -> bool:
        """Whether the field may be masked or hidden in some row this grant reads."""
        return name in self.guards

    def shows(self, name: str) -> bool:
        """Whether the field stands in clear in some row: only then may people filter, sort and search by it (there, and only there)."""
        return name in self.open or (name in self.guards and bool(self.guards[name].clear))

    def admits(self, verb: str, truth: Truth) -> bool:
        """Whether the verb is allowed on the row that ``truth`` looks at."""
        return any(holds(clause.rows[verb], truth) for clause in self.clauses)

    def writes(self, verb: str, truth: Truth) -> frozenset[str]:
        """The fields the roles admitting this verb on this row let the actor write."""
        closed = [clause.unwritten for clause in self.clauses if holds(clause.rows[verb], truth)]
        return self.writable_but(closed) if closed else frozenset()

    def writable_but(self, closed: Sequence[frozenset[str]]) -> frozenset[str]:
        """What may be written where several roles close some fields each: one is enough to open a field."""
        shut = frozenset.intersection(*closed)
        return self.writable - shut if shut else self.writable


def any_of(rows: Iterable[Rows]) -> bool | tuple[Expression, ...]:
    """One row condition out of several: True wins, False adds nothing, equal texts count once."""
    found: dict[str, Expression] = {}
    for item in rows:
        if item is True:
            return True
        if item is not False:
            found.setdefault(item.source, item)
    return tuple(found.values()) if found else False


def grant(ctx: Context, entity: str) -> Grant:
    """What the context's actor may do with an entity. Raises NotFound when there is no such entity or nothing of it is granted."""
    workspace, actor = ctx.workspace, ctx.actor
    compiled = workspace.entities.get(entity)
    if compiled is None:
        raise NotFound("unknown_entity", entity=entity)
    found = grant_of(workspace, actor, compiled)
    if not found.clauses:
        raise NotFound("unknown_entity", entity=entity)
    return found


def grant_of(workspace: Workspace, actor: Actor, entity: CompiledEntity) -> Grant:
    """As ``grant``, but an empty grant where nothing is granted."""
    roles = _SYSTEM if actor.kind == "system" else actor.roles
    return remember(workspace, ("grant", entity.key, roles), lambda: _build(workspace, roles, entity))


def sees_whole(ctx: Context, *entities: str) -> bool:
    """Whether every field of every record of some entities (of all without any) stands in clear for the actor: what came out of them may be shown whole."""
    workspace = ctx.workspace
    for entity in [workspace.entities.get(key) for key in entities] if entities else workspace.entities.values():
        if entity is None:
            return False
        if workspace.is_off(entity.definition.body):
            continue
        granted = grant_of(workspace, ctx.actor, entity)
        if granted.condition("read") is not True or any(name not in granted.open for name, item in entity.fields.items() if not _off(workspace, item)):
            return False
    return True


def rights(ctx: Context, right: str) -> bool:
    """Whether a role of the actor can do something beside records: design, people, publish, import, export, audit, settings."""
    if ctx.actor.kind == "system":
        return True
    return any(right in role.can for key in ctx.actor.roles if (role := ctx.workspace.roles.get(key)) is not None)


def _build(workspace: Workspace, roles: tuple[str, ...], entity: CompiledEntity) -> Grant:
    fields = frozenset(entity.fields)
    if roles == _SYSTEM:
        everything = Clause("*", dict.fromkeys(VERBS, True), dict.fromkeys(VERBS, True), _Everything(), frozenset(), frozenset(), {})
        return Grant(entity.key, roles, (everything,), fields, fields, fields)
    granted = () if workspace.is_off(entity.definition.body) else _given(workspace, roles, entity.key)
    clauses = tuple(_clause(workspace, role, entity, given) for role, given in granted)
    reading = tuple(clause for clause in clauses if clause.rows["read"] is not False)
    readable = frozenset(name for name in fields if any(name not in clause.unread for clause in reading))
    writing = tuple(clause for clause in clauses if clause.rows["create"] is not False or clause.rows["update"] is not False)
    writable = frozenset(name for name in fields if any(name not in clause.unwritten for clause in writing))
    guards = {name: found for name in sorted(readable) if (found := _guard(name, reading)) is not None}
    return Grant(entity.key, roles, clauses, readable, writable, readable - guards.keys(), guards)


class _Everything(dict[str, Rows]):
    """The actions of a system principal: any, on every row."""

    def get(self, key: str, default: object = None) -> Rows:
        return True


def _given(workspace: Workspace, roles: tuple[str, ...], entity: str) -> list[tuple[Role, EntityGrant]]:
    found = []
    for key in roles:
        role = workspace.roles.get(key)
        given = (role.grants.get(entity) or role.grants.get("*")) if role is not None else None
        if role is not None and given is not None:
            found.append((role, given))
    return found


def _clause(workspace: Workspace, role: Role, entity: CompiledEntity, given: EntityGrant) -> Clause:
    def rows(value: bool | str) -> Rows:
        if isinstance(value, bool):
            return value
        return workspace.expression(entity.key, value, wants="boolean")

    named: dict[str, FieldGrant] = {name: given.fields.get(name, given.fields.get("*", FieldGrant())) for name in entity.fields}
    unread = frozenset(name for name, item in named.items() if not item.read or _off(workspace, entity.fields[name]))
    reached = {verb: rows(getattr(given, verb)) for verb in VERBS}
    return Clause(
        role.key,
        reached,
        {verb: _over_carried(entity, found) for verb, found in reached.items()},
        {name: rows(value) for name, value in given.actions.items()},
        unread,
        unread | {name for name, item in named.items() if not item.write},
        {name: rows(item.mask) for name, item in named.items() if item.mask is not False and item.mask != "" and item.read},
    )


def _off(workspace: Workspace, item: CompiledField) -> bool:
    """Whether a field leads to records of a module that is off, or is gathered from them."""
    sources = (item.target, item.lookup.entity if item.lookup else "", item.rollup.entity if item.rollup else "")
    return any(key and workspace.is_off(workspace.entities[key].definition.body) for key in sources)


def _over_carried(entity: CompiledEntity, rows: Rows) -> Rows:
    """The same condition reading what the row carries of linked records in place of these records."""
    columns = {(item.link, item.field): str(item.column.key) for item in entity.carried}

    def change(node: Node) -> Node:
        if isinstance(node, Hop) and (node.link, node.key) in columns:
            return (LinkField if node.type.linked else Field)(node.type, node.column, columns[node.link, node.key])
        return mapped(node, change)

    if isinstance(rows, bool) or not any(path in columns for path in rows.reads):
        return rows
    return Expression(f"{rows.source} [carried]", change(rows.tree), rows.type)


def _guard(name: str, reading: tuple[Clause, ...]) -> Guard | None:
    """None when the field stands in clear on every row the clauses read."""
    alone = len(reading) == 1
    seeing = [(True if alone else clause.rows["read"], clause.masks.get(name, False)) for clause in reading if name not in clause.unread]
    everywhere = len(seeing) == len(reading)
    if everywhere and all(mask is False for _, mask in seeing):
        return None
    if any(rows is True and mask is False for rows, mask in seeing):
        return None
    return Guard((True,) if everywhere else tuple(rows for rows, _ in seeing), tuple((rows, mask) for rows, mask in seeing if mask is not True))
