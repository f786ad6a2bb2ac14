"""A setting ready for its page: what it is, its value in words, the controls its type draws, and what was typed read back. Decides no permission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from engine.expressions.calendars import WEEKDAYS
from engine.expressions.language import Expression
from engine.fields.base import accepted
from engine.rules.compile import decision_of
from engine.settings_effects import settings_in
from engine.settings_values import ELSE
from engine.workspace import CompiledField
from engine.workspace_load import read_setting
from metadata.definitions import Field, Setting
from metadata.text import label_text
from renderer.bound_field import BoundField, Surroundings, bound_field, shown_text
from renderer.translations import _

if TYPE_CHECKING:
    from engine.workspace import Workspace

#: Empty rows under a table for more of them.
MORE_ROWS = 2
NAME = "value"


@dataclass(frozen=True, slots=True)
class Control:
    """What a setting is changed with. ``kind``: one, map, calendar, table, none (changed in the definitions only).

    ``fields`` hold one control, one per option (the last for all others) or one per weekday; ``off``: names of those switched off;
    ``rows`` one list of controls per row of a table, under ``columns``. ``id`` and ``start`` begin the ids and names of what stands beside them.
    """

    kind: str
    fields: tuple[BoundField, ...] = ()
    off: frozenset[str] = frozenset()
    rows: tuple[tuple[BoundField, ...], ...] = ()
    columns: tuple[str, ...] = ()
    days: str = ""
    holidays: str = ""
    id: str = "s"
    start: str = ""

    def named(self, start: str) -> Control:
        """The same controls with a beginning to all their names, so that several settings stand in one form."""
        fields = tuple(replace(one, name=start + one.name) for one in self.fields)
        rows = tuple(tuple(replace(one, name=start + one.name) for one in row) for row in self.rows)
        return replace(self, fields=fields, rows=rows, off=frozenset(start + name for name in self.off), start=start)


def setting_field(workspace: Workspace, setting: Setting, kind: str, title: Any = "", body: Mapping[str, Any] | None = None) -> CompiledField:
    """A field of the setting's type (or of a column's), so that the macros of fields draw it."""
    options = dict(body if body is not None else setting.body)
    for word in ("type", "title", "help", "description", "default", "by", "of", "columns", "group", "note", "retired"):
        options.pop(word, None)
    definition = Field(setting.key, kind, title=title or setting.title, required=setting.default is not None, options=options, body=options)
    shown = workspace.book.shown_of("", definition)
    return CompiledField(setting.key, definition, shown.type, shown.value, shown.expression, None, required=definition.required)


def surroundings(workspace: Workspace, locale: str, base: str, prefix: str = "s") -> Surroundings:
    """What the controls of settings are bound in."""
    return Surroundings(workspace.scope, locale, base, prefix)


# --- in words ------------------------------------------------------------------------------------------------------------------------------


def setting_text(workspace: Workspace, setting: Setting, value: Any, locale: str) -> str:
    """A value (JSON) in words."""
    around = surroundings(workspace, locale, "")
    typed = read_setting(workspace, setting, value)
    pause = "、" if locale == "zh" else ", "
    if value is None:
        return _("Off")
    if setting.type == "map":
        return pause.join(_map_part(workspace, setting, code, item, around) for code, item in typed.items()) if isinstance(typed, Mapping) else ""
    if setting.type == "calendar":
        return calendar_text(value, locale)
    if setting.type == "table":
        return _("%(count)s rows", count=len(value) if isinstance(value, list) else 0)
    return with_unit(setting, shown_text(setting_field(workspace, setting, setting.type), typed, around), locale)


def with_unit(setting: Setting, text: str, locale: str) -> str:
    """A shown value with the setting's unit behind it, where its type has not put it there."""
    unit = label_text(setting.body.get("unit"), locale)
    return f"{text} {unit}" if unit and text and not text.endswith(unit) else text


def _map_part(workspace: Workspace, setting: Setting, code: str, value: Any, around: Surroundings) -> str:
    options = workspace.scope.choices(setting.by).options
    title = _("all others") if code == ELSE else label_text(options[code].title, around.locale, code) if code in options else code
    shown = _("off") if value is None else shown_text(setting_field(workspace, setting, setting.of), value, around)
    return f"{title} {with_unit(setting, shown, around.locale) if value is not None else shown}"


def weekday_names() -> dict[str, str]:
    """The weekdays by their keys in calendars."""
    return dict(zip(WEEKDAYS, (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")), strict=True))


def calendar_text(value: Any, locale: str) -> str:
    """Open hours in words: 周一至周五 08:30-12:00."""
    names, parts = weekday_names(), []
    for key, spans in value.items() if isinstance(value, Mapping) else ():
        if key == "holidays":
            continue
        first, _dash, last = str(key).partition("-") if not str(key)[:1].isdigit() else (str(key), "", "")
        days = (f"{names.get(first, first)}{'至' if locale == 'zh' else '–'}{names.get(last, last)}") if last else names.get(first, first)
        parts.append(f"{days} {' '.join(map(str, spans)) or _('closed')}")
    if isinstance(value, Mapping) and value.get("holidays"):
        parts.append(_("closed on public holidays"))
    return ("；" if locale == "zh" else "; ").join(parts)


# --- controls ------------------------------------------------------------------------------------------------------------------------------


def control(
    workspace: Workspace, setting: Setting, value: Any, around: Surroundings, raw: Mapping[str, Any] | None = None, errors: Mapping[str, Sequence[str]] = {}
) -> Control:
    """The controls of a setting with a value (JSON), or with what was typed and what is wrong with it (sentences by JSON pointer)."""
    match setting.type:
        case "map":
            return _map_control(workspace, setting, value, around, raw, errors)
        case "calendar":
            return _calendar_control(value, raw, around.prefix)
        case "table":
            return _table_control(workspace, setting, value, around, raw, errors)
    item = setting_field(workspace, setting, setting.type)
    if item.type.family == "link":
        return Control("none")
    typed = read_setting(workspace, setting, value)
    given = None if raw is None else raw.get(NAME, "")
    return Control("one", (bound_field(item, typed, around, raw=given, name=NAME, errors=tuple(errors.get("/value", ())), help=""),))


def _map_control(
    workspace: Workspace, setting: Setting, value: Any, around: Surroundings, raw: Mapping[str, Any] | None, errors: Mapping[str, Sequence[str]]
) -> Control:
    typed = read_setting(workspace, setting, value)
    kept: Mapping[str, Any] = typed if isinstance(typed, Mapping) else {}
    fields, off = [], set()
    for code, title in _codes(workspace, setting, kept, around.locale):
        item = setting_field(workspace, setting, setting.of, title)
        name = f"{NAME}.{code}"
        given = None if raw is None else raw.get(name, "")
        if (code in kept and kept[code] is None) if raw is None else bool(raw.get(f"off.{code}")):
            off.add(name)
        fields.append(
            bound_field(
                item, kept.get(code), around, raw=given, name=name, label=title, errors=tuple(errors.get(f"/value/{code}", ())), required=False, help=""
            )
        )
    return Control("map", tuple(fields), frozenset(off))


def _codes(workspace: Workspace, setting: Setting, kept: Mapping[str, Any], locale: str) -> list[tuple[str, str]]:
    options = workspace.scope.choices(setting.by).options
    found = [(code, label_text(option.title, locale, code)) for code, option in options.items() if not option.retired or code in kept]
    return [*found, (ELSE, _("All others"))]


def _calendar_control(value: Any, raw: Mapping[str, Any] | None, prefix: str) -> Control:
    week, days, holidays = _spread(value) if raw is None else ({day: str(raw.get(f"{NAME}.{day}", "")) for day in WEEKDAYS}, str(raw.get("days", "")), "")
    fields = tuple(BoundField(key=day, id=f"{prefix}-value-{day}", name=f"{NAME}.{day}", label=name, value=week[day]) for day, name in weekday_names().items())
    return Control("calendar", fields, days=days, holidays=str(raw.get("holidays", "")) if raw is not None else holidays, id=prefix)


def _spread(value: Any) -> tuple[dict[str, str], str, str]:
    """A calendar by single weekdays, single days line by line, and the holiday calendar."""
    week, lines, holidays = dict.fromkeys(WEEKDAYS, ""), [], ""
    for key, spans in value.items() if isinstance(value, Mapping) else ():
        if key == "holidays":
            holidays = str(spans)
        elif str(key)[:1].isdigit():
            lines.append(f"{key} {' '.join(spans)}".strip())
        else:
            for day in _days(str(key)):
                week[day] = " ".join(spans)
    return week, "\n".join(lines), holidays


def _days(key: str) -> list[str]:
    first, _dash, last = key.partition("-")
    if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
        return []
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [WEEKDAYS[number % 7] for number in range(start, (end if end >= start else end + 7) + 1)]


def _table_control(
    workspace: Workspace, setting: Setting, value: Any, around: Surroundings, raw: Mapping[str, Any] | None, errors: Mapping[str, Sequence[str]]
) -> Control:
    columns = {key: (document, label_text(document.get("title"), around.locale, key)) for key, document in setting.body.get("columns", {}).items()}
    kept = value if isinstance(value, list) else []
    number = len(kept) + MORE_ROWS if raw is None else 1 + max((int(name.split(".")[1]) for name in raw if name.startswith(f"{NAME}.")), default=0)
    rows = []
    for index in range(number):
        row = []
        for key, (document, title) in columns.items():
            item = setting_field(workspace, setting, str(document["type"]), title, document)
            name = f"{NAME}.{index}.{key}"
            stored = kept[index].get(key) if index < len(kept) else None
            typed = accepted(item.type.reader(item.value, workspace.scope), stored) if stored is not None else None
            given = None if raw is None else raw.get(name, "")
            row.append(
                bound_field(item, typed, around, raw=given, name=name, label=title, errors=tuple(errors.get(f"/value/{index}/{key}", ())), required=False)
            )
        rows.append(tuple(row))
    return Control("table", rows=tuple(rows), columns=tuple(title for _document, title in columns.values()))


# --- what was typed ------------------------------------------------------------------------------------------------------------------------


def typed_value(setting: Setting, raw: Mapping[str, Any]) -> Any:
    """What a form says, as ``settings_values.read_value`` takes it from forms."""
    match setting.type:
        case "map":
            return _typed_map(raw)
        case "calendar":
            return _typed_calendar(raw)
        case "table":
            return _typed_table(raw)
    given = raw.get(NAME, "")
    return given[-1] if isinstance(given, list) and given and setting.type == "boolean" else given  # a switch posts what it means when off, then when on


def untouched(workspace: Workspace, setting: Setting, value: Any) -> Any:
    """A calendar or a table (JSON) as its own controls say it when nobody has changed them."""
    drawn = control(workspace, setting, value, surroundings(workspace, "zh", ""))
    raw = {one.name: one.value for one in (*drawn.fields, *(one for row in drawn.rows for one in row))}
    return typed_value(setting, {**raw, "days": drawn.days, "holidays": drawn.holidays})


def _typed_map(raw: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in raw.items():
        head, _dot, code = name.partition(".")
        if head != NAME or not code:
            continue
        if raw.get(f"off.{code}") or (code == ELSE and given in ("", [])):
            found[code] = None
        elif given not in ("", []):
            found[code] = given
    return found


def _typed_calendar(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Weekdays of the same hours one after the other become one span: mon-fri."""
    hours = [str(raw.get(f"{NAME}.{day}", "")).split() for day in WEEKDAYS]
    found: dict[str, Any] = {}
    start = 0
    for number in range(1, len(WEEKDAYS) + 1):
        if number < len(WEEKDAYS) and hours[number] == hours[start]:
            continue
        if hours[start]:
            found[WEEKDAYS[start] if number - 1 == start else f"{WEEKDAYS[start]}-{WEEKDAYS[number - 1]}"] = hours[start]
        start = number
    for line in str(raw.get("days", "")).splitlines():
        day, *spans = line.split() or [""]
        if day:
            found[_day(day)] = spans
    if raw.get("holidays"):
        found["holidays"] = raw["holidays"]
    return found


def _day(text: str) -> str:
    try:
        year, month, day = map(int, text.replace("/", "-").split("-"))
        return date(year, month, day).isoformat()
    except ValueError:
        return text


def _typed_table(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for name, given in raw.items():
        head, _dot, rest = name.partition(".")
        number, _dot, key = rest.partition(".")
        if head == NAME and number.isdigit() and key:
            rows.setdefault(int(number), {})[key] = given
    return [row for _number, row in sorted(rows.items()) if any(value not in ("", []) for value in row.values())]


# --- who reads it --------------------------------------------------------------------------------------------------------------------------


def fields_reading(workspace: Workspace, key: str, locale: str) -> list[str]:
    """Formulas that read a setting, as ENTITY · FIELD."""
    return [
        f"{label_text(entity.title, locale, entity.key)} · {label_text(item.definition.title, locale, name)}"
        for entity in workspace.entities.values()
        for name, item in entity.fields.items()
        if item.formula is not None and key in settings_in(item.formula)
    ]


def decisions_reading(workspace: Workspace, key: str, locale: str) -> list[str]:
    """Decision tables that read a setting in a condition or an outcome."""
    found = []
    for name in workspace.bundle.decisions:
        table = decision_of(workspace, name)
        terms = (term for row in table.rows for term in (row.condition, *row.outputs.values()))
        if any(isinstance(term, Expression) and key in settings_in(term) for term in terms):
            found.append(label_text(table.title, locale, name))
    return found
