"""Finding a workspace's current version in its database and making it a Workspace; making the candidate of a version not yet published."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine.clock import State
from engine.crypto import Cipher, Keys
from engine.database import Database
from engine.fields.base import FieldType, Wrong, accepted
from engine.fields.scope import FieldScope
from engine.provenance import load_bundle
from engine.schema.ledger import Ledger, Shape, read_ledger
from engine.system_tables import setting_value, workspace_state
from engine.system_tables_rules import module_switch, rule_switch
from engine.workspace import Workspace
from engine.workspace_compile import compile_entities, shapes
from metadata.bundle import Bundle
from metadata.definitions import Field, Setting

if TYPE_CHECKING:
    from engine.home import Home

#: First words of the keys under which lies what rules were compiled to: nothing of a setting or a row is in it, only which modules are off.
_OF_RULES = frozenset({"rule book", "places", "decision"})


def load_workspace(connection: sa.Connection, home: Home, database: Database, state: State, known: Workspace | None) -> Workspace:
    """The version ``state`` names. ``known``: an earlier version in this process, whose unchanged entities are shared."""
    made = _made(known, state)
    raw, switches = _in_force(connection, state.now), _switches(connection)
    if made is not None:
        return replace(
            made,
            title=state.title,
            sandbox=state.sandbox,
            demo=state.demo,
            settings_version=state.settings_version,
            **switches,
            settings_raw=raw,
            cache=_of_rules(made) if switches["modules_set"] == made.modules_set else {},
            settings=settings_values(made.bundle, raw, made.registry.field_types, made.scope),
        )
    same = known is not None and known.version == state.version
    bundle = known.bundle if known is not None and same else load_bundle(connection, state.version)
    cipher = known.cipher if known is not None else _cipher(connection, home)
    ledger = read_ledger(connection, database.schema)
    return replace(_compiled(home, database, state, bundle, state.version, ledger, raw, cipher, known), **switches)


def _made(known: Workspace | None, state: State) -> Workspace | None:
    """The version as this process has compiled it: for its publish, or under other settings."""
    if known is None:
        return None
    made = known if known.version == state.version else known.cache.get(("published", state.version))
    return made if isinstance(made, Workspace) and made.timezone == state.timezone else None


def _of_rules(made: Workspace) -> dict[tuple[object, ...], object]:
    return {key: found for key, found in dict(made.cache).items() if key[0] in _OF_RULES}


def _cipher(connection: sa.Connection, home: Home) -> Cipher:
    """The workspace's cipher: its own keys, unwrapped by the installation's secret."""
    ring = connection.execute(sa.select(workspace_state.c["keys"])).scalar_one()
    return Keys.open(home.settings).cipher(ring)


def _compiled(
    home: Home, database: Database, state: State, bundle: Bundle, number: int, ledger: Ledger, raw: Mapping[str, Any], cipher: Cipher, known: Workspace | None
) -> Workspace:
    registry = home.registry
    compiled = compile_entities(bundle, registry, state.timezone, ledger, number, database.dialect, known.entities if known else None)
    scope = compiled.book.scope
    return Workspace(
        name=state.name,
        title=state.title,
        version=number,
        bundle=bundle,
        database=database,
        registry=registry,
        timezone=state.timezone,
        scope=scope,
        cipher=cipher,
        book=compiled.book,
        sandbox=state.sandbox,
        demo=state.demo,
        entities=compiled.entities if number else {},
        settings=settings_values(bundle, raw, registry.field_types, scope),
        settings_version=state.settings_version,
        settings_raw=raw,
    )


def compile_candidate(old: Workspace, bundle: Bundle, number: int, ledger: Ledger) -> Workspace:
    """The workspace as it will be when ``bundle`` is published as version ``number`` over ``old``."""
    compiled = compile_entities(bundle, old.registry, old.timezone, ledger, number, old.database.dialect, old.entities, candidate=True)
    raw = {key: value for key, value in old.settings_raw.items() if key in bundle.settings.values}
    values = settings_values(bundle, raw, old.registry.field_types, compiled.book.scope)
    return replace(old, version=number, bundle=bundle, scope=compiled.book.scope, book=compiled.book, entities=compiled.entities, settings=values, cache={})


def remember_published(old: Workspace, candidate: Workspace, number: int) -> None:
    """After its commit: this process need not compile a version again that it has just made. ``old`` forgets it with itself."""
    old.cache["published", number] = candidate


def shapes_of(candidate: Workspace) -> dict[tuple[str, str], Shape]:
    """As what each live field of a compiled workspace is kept, and what its rows carry."""
    carried = {(entity.key, item.key) for entity in candidate.entities.values() for item in entity.carried}
    return {place: shape for place, shape in shapes(candidate.book).items() if shape.carried is None or place in carried}


# --- settings ------------------------------------------------------------------------------------------------------------------------------


def _in_force(connection: sa.Connection, now: datetime) -> dict[str, Any]:
    """The newest value of each setting whose time has come."""
    columns = setting_value.c
    rows = connection.execute(sa.select(columns.key, columns.value).where(columns.in_force_from <= now).order_by(columns.in_force_from, columns.id))
    return dict(rows.all())


def settings_at(connection: sa.Connection, workspace: Workspace, at: datetime) -> dict[str, Any]:
    """Settings as expressions saw them at an instant: what was in force then, by the definitions of now. Read once per settings version, then kept."""
    place = ("settings timeline", workspace.settings_version)
    timeline = workspace.cache.get(place)
    if not isinstance(timeline, _Timeline):
        timeline = workspace.cache[place] = _Timeline.read(connection)
    number = timeline.before(at)
    if number not in timeline.made:
        raw = dict(timeline.changes[:number])
        timeline.made[number] = settings_values(workspace.bundle, raw, workspace.registry.field_types, workspace.scope)
    found = timeline.made[number]
    return {**found, **workspace.settings_held} if workspace.settings_held else found


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Every value ever set, in the order they come into force, and the settings made of the first so many of them."""

    instants: tuple[datetime, ...]
    changes: tuple[tuple[str, Any], ...]
    made: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: sa.Connection) -> _Timeline:
        columns = setting_value.c
        rows = connection.execute(sa.select(columns.in_force_from, columns.key, columns.value).order_by(columns.in_force_from, columns.id)).all()
        return cls(tuple(row[0] for row in rows), tuple((row[1], row[2]) for row in rows))

    def before(self, at: datetime) -> int:
        """How many values were in force at an instant, or had been."""
        return bisect_right(self.instants, at)


def _switches(connection: sa.Connection) -> dict[str, Any]:
    """The rules that are switched off, and the modules whose switch was touched."""
    rules = connection.execute(sa.select(rule_switch.c.rule).where(rule_switch.c.off_at.is_not(None))).scalars()
    modules = connection.execute(sa.select(module_switch.c.module, module_switch.c.off_at)).all()
    return {"rules_off": frozenset(rules), "modules_set": {key: off_at is None for key, off_at in modules}}


def settings_values(bundle: Bundle, raw: Mapping[str, Any], types: Mapping[str, FieldType], scope: FieldScope) -> dict[str, Any]:
    """Settings as expressions see them: what was set here, else the definition's default; typed like fields."""
    return {key: _typed(setting, raw.get(key, setting.default), types, scope) for key, setting in bundle.settings.values.items()}


def read_setting(workspace: Workspace, setting: Setting, value: Any) -> Any:
    """A value kept as JSON, typed as expressions see it."""
    return _typed(setting, value, workspace.registry.field_types, workspace.scope)


def _typed(setting: Setting, value: Any, types: Mapping[str, FieldType], scope: FieldScope) -> Any:
    if setting.type == "map" and isinstance(value, dict):
        return {code: _read(Field(setting.key, setting.of, options=setting.body), item, types, scope) for code, item in value.items()}
    if setting.type in ("map", "calendar", "table"):
        return value
    return _read(Field(setting.key, setting.type, options=setting.body), value, types, scope)


def _read(like: Field, value: Any, types: Mapping[str, FieldType], scope: FieldScope) -> Any:
    """A typed value; one that does not fit its type (a value set before the definition changed) counts as empty."""
    if value is None or like.type not in types:
        return value
    try:
        return accepted(types[like.type].reader(like, scope), value)
    except (Wrong, KeyError):
        return None
