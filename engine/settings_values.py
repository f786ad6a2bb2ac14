"""Values of a workspace's settings: read and checked by their definitions, set from an instant on, their history. What they bring about is settings_effects.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from engine import holidays
from engine.access import rights
from engine.clock import raise_settings_version
from engine.errors import Conflict, Denied, Fault, Invalid, NotFound
from engine.expressions.calendars import BadCalendar
from engine.expressions.calendars import read as read_calendar
from engine.fields.base import FieldType, Value, Wrong, accepted
from engine.settings_effects import Consequences, consequences
from engine.system_tables import setting_value
from engine.workspace_load import read_setting
from metadata.definitions import Field, Setting, read_fields

if TYPE_CHECKING:
    from engine.context import Context
    from engine.workspace import Workspace

RIGHT = "settings"
#: The code of a map's value for all other options.
ELSE = "else"
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Change:
    """A value somebody set. ``by``: a person's id, None for the engine's own; ``value`` as JSON."""

    id: int
    key: str
    value: Any
    in_force_from: datetime
    at: datetime
    by: int | None


@dataclass(frozen=True, slots=True)
class Current:
    """A setting with the value in force (JSON), the change that set it (None: the default) and those that come later, soonest first."""

    setting: Setting
    value: Any
    change: Change | None = None
    coming: Sequence[Change] = ()


def current(ctx: Context) -> list[Current]:
    """All settings that are not retired, in the order they are defined."""
    with ctx.reading() as ctx:
        changes = _changes(ctx)
    found = []
    for key, setting in ctx.workspace.bundle.settings.values.items():
        if setting.body.get("retired"):
            continue
        own = [change for change in changes if change.key == key]
        past = [change for change in own if change.in_force_from <= ctx.now]
        value = past[-1].value if past else setting.default
        found.append(Current(setting, value, past[-1] if past else None, tuple(change for change in own if change.in_force_from > ctx.now)))
    return found


def current_of(ctx: Context, key: str) -> Current:
    """One setting. Raises NotFound."""
    for item in current(ctx):
        if item.setting.key == key:
            return item
    raise NotFound("unknown_setting", name=key[:60])


def history(ctx: Context, key: str) -> list[Change]:
    """Every value a setting was given, the newest in force first."""
    with ctx.reading() as ctx:
        return list(reversed([change for change in _changes(ctx) if change.key == key]))


def _changes(ctx: Context) -> list[Change]:
    columns = setting_value.c
    select = sa.select(columns.id, columns.key, columns.value, columns.in_force_from, columns.at, columns.by).order_by(columns.in_force_from, columns.id)
    return [Change(*row) for row in ctx.open.execute(select)]


def set_value(ctx: Context, key: str, raw: Any, in_force_from: datetime | None = None, *, confirmed: bool = False, form: bool = False) -> Change:
    """Give a setting a value from an instant on (None: from now). ``raw`` is JSON, or with ``form`` what people type.

    Raises NotFound, Denied, Invalid with pointers into ``/value``, Conflict "setting_touches_many" when more than a tenth of an entity's records
    change and nobody confirmed that.
    """
    if not rights(ctx, RIGHT):
        raise Denied("right_missing", right=RIGHT)
    value = read_value(ctx.workspace, key, raw, form=form)
    if not confirmed:  # counted before the write transaction: a million rows must not keep others waiting
        with ctx.reading() as reading:
            _ask_again(consequences(reading, key, typed(ctx.workspace, key, value), in_force_from or ctx.now))
    with ctx.writing() as ctx:
        value = read_value(ctx.workspace, key, raw, form=form)
        since = ctx.now if in_force_from is None else in_force_from
        if since < ctx.now:
            raise Invalid("invalid", faults=[Fault("/in_force_from", "setting_in_the_past")])
        row = {"key": key, "value": value, "in_force_from": since, "at": ctx.now, "by": ctx.actor.person_id}
        number = ctx.open.execute(setting_value.insert().returning(setting_value.c.id), row).scalar_one()
        raise_settings_version(ctx.open)
        return Change(int(number), key, value, since, ctx.now, ctx.actor.person_id)


def _ask_again(found: Consequences) -> None:
    if found.large:
        worst = max(found.touched, key=lambda item: item.changed / max(item.records, 1))
        raise Conflict("setting_touches_many", changed=worst.changed, records=worst.records, due=sum(item.due for item in found.touched))


def withdraw(ctx: Context, key: str, number: int) -> None:
    """Take back a value that has not come into force yet. Raises NotFound, Denied, Conflict when it has."""
    if not rights(ctx, RIGHT):
        raise Denied("right_missing", right=RIGHT)
    with ctx.writing() as ctx:
        found = next((change for change in _changes(ctx) if change.id == number and change.key == key), None)
        if found is None:
            raise NotFound("unknown_setting_value", name=key[:60])
        if found.in_force_from <= ctx.now:
            raise Conflict("setting_in_force")
        ctx.open.execute(setting_value.delete().where(setting_value.c.id == number))
        raise_settings_version(ctx.open)


# --- checking ------------------------------------------------------------------------------------------------------------------------------


def typed(workspace: Workspace, key: str, value: Any) -> Value:
    """A checked value as expressions see it."""
    return read_setting(workspace, workspace.bundle.settings.values[key], value)


def read_value(workspace: Workspace, key: str, raw: Any, *, form: bool = False) -> Any:
    """The JSON form in which a value is kept. Raises NotFound, Invalid with every fault."""
    setting = workspace.bundle.settings.values.get(key)
    if setting is None:
        raise NotFound("unknown_setting", name=key[:60])
    reading = _Reading(workspace, form)
    value = reading.setting(setting, raw)
    if reading.faults:
        raise Invalid("invalid", faults=reading.faults)
    return value


class _Reading:
    """Reads one value, collecting faults."""

    def __init__(self, workspace: Workspace, form: bool) -> None:
        self.workspace = workspace
        self.form = form
        self.faults: list[Fault] = []

    def setting(self, setting: Setting, raw: Any) -> Any:
        """By the setting's type."""
        match setting.type:
            case "map":
                return self.map(setting, raw)
            case "calendar":
                return self.calendar(raw)
            case "table":
                return self.table(setting, raw)
        value = self.one(Field(setting.key, setting.type, options=setting.body), raw, "/value")
        if value is None and setting.default is not None and not self.faults:
            self.faults.append(Fault("/value", "required"))
        return value

    def one(self, field: Field, raw: Any, at: str) -> Any:
        """One value of a field type, as JSON."""
        kind: FieldType | None = self.workspace.registry.field_types.get(field.type)
        if kind is None:
            self.faults.append(Fault(at, "wrong_kind"))
            return None
        reader = (kind.reader if self.form else kind.json_reader)(field, self.workspace.scope)
        try:
            value = accepted(reader, raw)
        except Wrong as wrong:
            self.faults.append(Fault(at, wrong.code, wrong.params))
            return None
        return value if value is None or kind.family == "link" else kind.to_json(value, field, self.workspace.scope)

    def map(self, setting: Setting, raw: Any) -> Any:
        """A value for each option, ``else`` for the rest; empty = off."""
        if not isinstance(raw, Mapping):
            self.faults.append(Fault("/value", "wrong_kind"))
            return None
        codes = {*self.workspace.scope.choices(setting.by).options, ELSE}
        field = Field(setting.key, setting.of, options=setting.body)
        for code in raw.keys() - codes:
            self.faults.append(Fault(f"/value/{code}", "setting_option_unknown", {"value": str(code)[:60]}))
        return {code: self.one(field, item, f"/value/{code}") for code, item in raw.items() if code in codes}

    def calendar(self, raw: Any) -> Any:
        """Open hours by weekday, single days, a holiday calendar."""
        if not isinstance(raw, Mapping):
            self.faults.append(Fault("/value", "wrong_kind"))
            return None
        try:
            read_calendar(raw)
        except BadCalendar as bad:
            self.faults.append(Fault("/value", "calendar_part_wrong", {"part": str(bad)}))
            return None
        if raw.get("holidays") and raw["holidays"] not in holidays.names():
            self.faults.append(Fault("/value/holidays", "unknown_holidays", {"name": str(raw["holidays"])[:40], "known": ", ".join(holidays.names())}))
        return dict(raw)

    def table(self, setting: Setting, raw: Any) -> Any:
        """Rows of typed columns."""
        if not isinstance(raw, list) or not all(isinstance(row, Mapping) for row in raw):
            self.faults.append(Fault("/value", "wrong_kind"))
            return None
        if len(raw) > MOST_ROWS:
            self.faults.append(Fault("/value", "setting_rows_too_many", {"limit": MOST_ROWS}))
            return None
        columns = read_fields(setting.body.get("columns", {}))
        for number, row in enumerate(raw):
            self.faults += [Fault(f"/value/{number}/{name}", "setting_column_unknown", {"name": str(name)[:60]}) for name in row.keys() - columns.keys()]
        return [{name: self.one(field, row.get(name), f"/value/{number}/{name}") for name, field in columns.items()} for number, row in enumerate(raw)]
