"""Dates and instants as field types. How people write dates is dates.py; which instant it is now is nobody's business here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from engine.fields.base import BETWEEN, EMPTY, ENDS_OPTION, EQUALS, FILLED, WRONG_KIND, FieldType, Operator, Reader, Value, Writer, Wrong, option, stored_as
from engine.fields.dates import FIRST_YEAR, LAST_YEAR, Moment, date_of, of_cell, read_moment
from engine.fields.scope import FieldScope
from engine.fields.storage import Instant
from metadata.definitions import Field
from metadata.text import Label

MOMENT_OPERATORS = (
    EQUALS,
    Operator("after", {"zh": "不早于", "en": "from"}, 1, "{field} >= {value}"),
    Operator("before", {"zh": "早于", "en": "before"}, 1, "{field} < {value}"),
    BETWEEN,
    EMPTY,
    FILLED,
)
_ISO_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
#: Since the last country gave up an offset with seconds (Liberia, in January 1972), RFC 3339 can write the offset of every zone.
_OFFSETS_OF_MINUTES = datetime(1972, 2, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?")
_WRONG_DATE, _WRONG_INSTANT = Wrong("date_invalid"), Wrong("instant_invalid")
_FIRST, _LAST = datetime(1800, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
_OUT_OF_RANGE = Wrong("date_out_of_range", first=_FIRST.year, last=_LAST.year)


class Date(FieldType):
    """A day of the calendar, without a time zone."""

    name = "date"
    title: ClassVar[Label] = {"zh": "日期", "en": "Date"}
    icon = "calendar"
    widget = "date"
    operators: ClassVar[tuple[Operator, ...]] = MOMENT_OPERATORS
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "minimum": option({"type": "string", "format": "date", "pattern": _ISO_DATE.pattern}, ("最早", "Earliest")),
        "maximum": option({"type": "string", "format": "date", "pattern": _ISO_DATE.pattern}, ("最晚", "Latest")),
    }

    def expression_type(self, field: Field) -> str:
        """date"""
        return "date"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """A date."""
        return stored_as(field, sa.Date())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """ISO dates fast, other written forms and date objects after."""
        low, high = (date.fromisoformat(field.options[word]) if field.options.get(word) else None for word in ("minimum", "maximum"))
        bounded = low is not None or high is not None

        def read(raw: object) -> Value:
            if type(raw) is str:
                if len(raw) == 10 and raw[4] == raw[7] == "-" and raw.isascii():
                    value = _iso_date(raw)
                elif not raw or raw.isspace():
                    return None
                else:
                    found = read_moment(raw)
                    value = found if isinstance(found, Wrong) else found.day
            elif raw is None:
                return None
            else:
                value = _day_of(raw)
            if bounded and not isinstance(value, Wrong):
                if low is not None and value < low:
                    return Wrong("date_too_early", minimum=low.isoformat())
                if high is not None and value > high:
                    return Wrong("date_too_late", maximum=high.isoformat())
            return value

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """YYYY-MM-DD only."""
        read = matching(self.reader(field, scope), _ISO_DATE, _WRONG_DATE)
        if field.options.get("minimum") or field.options.get("maximum"):
            return read
        return lambda raw: _iso_date(raw) if type(raw) is str and len(raw) == 10 and raw[4] == raw[7] == "-" else read(raw)

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """Serial numbers and dates of the spreadsheet, too."""
        read = self.reader(field, scope)

        def cell(raw: object) -> Value:
            found = of_cell(raw)
            return found if found is None or isinstance(found, Wrong) else read(found.day)

        return cell

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """YYYY-MM-DD"""
        return None if value is None else value.isoformat()

    def json_writer(self, field: Field, scope: FieldScope) -> Writer | None:
        """None: orjson writes days so."""
        return None

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """YYYY-MM-DD"""
        return "" if value is None else value.isoformat()

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """YYYY-MM-DD"""
        return "" if value is None else value.isoformat()

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string of format date."""
        bounds = {f"format{word.capitalize()}": field.options[word] for word in ("minimum", "maximum") if field.options.get(word)}
        return {"type": "string", "format": "date", "pattern": _ISO_DATE.pattern, **bounds}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A day of 2025 or the nearest the bounds allow."""
        value = (date(2025, 1, 1) + timedelta(days=random.randrange(365))).isoformat()
        return min(max(value, str(field.options.get("minimum") or value)), str(field.options.get("maximum") or "9998-01-01"))

    def plain(self, value: Value, field: Field) -> str:
        """The ISO text."""
        return str(value.isoformat())

    def from_plain(self, text: str, field: Field) -> Value:
        """The day again."""
        return date.fromisoformat(text)

    def mask(self, value: Value, field: Field) -> str:
        """The year stays."""
        return "" if value is None else f"{value.year}-**-**"


def _iso_date(text: str) -> date | Wrong:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return _WRONG_DATE
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        return Wrong("date_out_of_range", first=FIRST_YEAR, last=LAST_YEAR)
    return found


def _day_of(raw: object) -> date | Wrong:
    if isinstance(raw, date):
        return date_of(raw.year, raw.month, raw.day)
    found = read_moment(raw) if isinstance(raw, str) else _WRONG_DATE
    return found if isinstance(found, Wrong) else found.day


def matching(read: Reader, pattern: re.Pattern[str], wrong: Wrong) -> Reader:
    """A reader of texts of one form alone, white space around them apart; ``wrong`` for others."""
    fits = pattern.match

    def strict(raw: object) -> Value:
        if type(raw) is str:
            if not fits(raw) and (text := raw.strip()) and (text is raw or not fits(text)):
                return wrong
        elif raw is not None:
            return WRONG_KIND
        return read(raw)

    return strict


class InstantType(FieldType):
    """A point in time. With ``"ends": "day"`` it is the end of a day: stored as the next midnight, shown as the day."""

    name = "instant"
    title: ClassVar[Label] = {"zh": "日期时间", "en": "Date and time"}
    icon = "clock"
    widget = "instant"
    operators: ClassVar[tuple[Operator, ...]] = MOMENT_OPERATORS
    options: ClassVar[Mapping[str, Mapping[str, object]]] = {"ends": ENDS_OPTION}

    def expression_type(self, field: Field) -> str:
        """instant"""
        return "instant"

    def column(self, field: Field) -> sa.types.TypeEngine[Any]:
        """timestamptz, or microseconds on SQLite."""
        return stored_as(field, Instant())

    def reader(self, field: Field, scope: FieldScope) -> Reader:
        """RFC 3339; what has no offset is in the workspace's zone; a bare day is its midnight, or the next where the field ends a day."""
        zone, ends_day, local = scope.timezone, field.options.get("ends") == "day", _LOCAL.fullmatch

        def read(raw: object) -> Value:
            if type(raw) is str:
                if local(raw):
                    return _read_instant(raw, zone)
                text = raw.strip()
                if not text:
                    return None
                if local(text):
                    return _read_instant(text, zone)
                return _moment_instant(read_moment(text), zone, ends_day)
            if raw is None:
                return None
            if isinstance(raw, datetime):
                return _aware(raw, zone)
            if isinstance(raw, date):
                return _moment_instant(Moment(raw), zone, ends_day)
            return _WRONG_INSTANT

        return read

    def json_reader(self, field: Field, scope: FieldScope) -> Reader:
        """RFC 3339 with offset only."""
        fits = _RFC3339.fullmatch
        read = matching(self.reader(field, scope), _RFC3339, _WRONG_INSTANT)

        def strict(raw: object) -> Value:
            if type(raw) is not str or not fits(raw):
                return read(raw)
            try:
                found = datetime.fromisoformat(raw).astimezone(UTC)
            except (OverflowError, ValueError):
                return _WRONG_INSTANT
            return found if _FIRST <= found < _LAST else _OUT_OF_RANGE

        return strict

    def cell_reader(self, field: Field, scope: FieldScope) -> Reader:
        """Serial numbers and the spreadsheet's own dates are in the workspace's zone."""
        read, zone, ends_day = self.reader(field, scope), scope.timezone, field.options.get("ends") == "day"

        def cell(raw: object) -> Value:
            if isinstance(raw, str) and _LOCAL.fullmatch(raw.strip()):
                return read(raw)
            found = of_cell(raw)
            return None if found is None else _moment_instant(found, zone, ends_day)

        return cell

    def to_json(self, value: Value, field: Field, scope: FieldScope) -> object:
        """RFC 3339 with the workspace's offset."""
        return None if value is None else _rfc(value.astimezone(scope.timezone))

    def json_writer(self, field: Field, scope: FieldScope) -> Writer | None:
        """The same, with the zone at hand."""
        return instant_writer(scope.timezone)

    def to_form(self, value: Value, field: Field, scope: FieldScope) -> object:
        """Local time without offset, as browsers' controls take it; the day where the field ends one."""
        if value is None:
            return ""
        local = value.astimezone(scope.timezone)
        if field.options.get("ends") == "day" and local.time() == time():
            return (local.date() - timedelta(days=1)).isoformat()
        if local.fold:
            return _rfc(local)
        return local.replace(tzinfo=None).isoformat(timespec="minutes" if not local.second and not local.microsecond else "auto")

    def show(self, value: Value, field: Field, scope: FieldScope, locale: str) -> str:
        """2026-11-23 10:24 in the workspace's zone; only the day where the field ends one."""
        if value is None:
            return ""
        local: datetime = value.astimezone(scope.timezone)
        if field.options.get("ends") == "day" and local.time() == time():
            return (local.date() - timedelta(days=1)).isoformat()
        return local.isoformat(sep=" ", timespec="minutes")[:16]

    def to_cell(self, value: Value, field: Field, scope: FieldScope) -> object:
        """A date cell in the workspace's zone; text where a spreadsheet could not hold it exactly."""
        if value is None:
            return None
        local = value.astimezone(scope.timezone)
        if field.options.get("ends") == "day" and local.time() == time():
            return local.date() - timedelta(days=1)
        if local.microsecond or local.fold or local.year < 1950:
            return _rfc(local)
        return local.replace(tzinfo=None)

    def json_schema(self, field: Field, scope: FieldScope) -> dict[str, object]:
        """A string of format date-time."""
        return {"type": "string", "format": "date-time", "pattern": _RFC3339.pattern}

    def sample(self, random: Random, field: Field, scope: FieldScope) -> object:
        """A minute of 2025."""
        value = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(365 * 1440))
        return _rfc(value.astimezone(scope.timezone))

    def plain(self, value: Value, field: Field) -> str:
        """The UTC text."""
        return str(value.isoformat())

    def from_plain(self, text: str, field: Field) -> Value:
        """The instant again."""
        return datetime.fromisoformat(text)

    def mask(self, value: Value, field: Field) -> str:
        """The year stays."""
        return "" if value is None else f"{value.year}-**-**"


def instant_writer(zone: ZoneInfo) -> Writer:
    """An instant as orjson writes it with the zone's offset, in a quarter of the time ``isoformat`` takes. Older ones may need an offset of RFC 3339's own."""
    return lambda value: value.astimezone(zone) if value >= _OFFSETS_OF_MINUTES else _rfc(value.astimezone(zone))


def _rfc(local: datetime) -> str:
    text: str = local.isoformat()
    return text if text[-6] in "+-" else local.astimezone(UTC).isoformat()  # an offset with seconds is none of RFC 3339


def _read_instant(text: str, zone: ZoneInfo) -> datetime | Wrong:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _WRONG_INSTANT
    return _aware(found, zone)


def _aware(value: datetime, zone: ZoneInfo) -> datetime | Wrong:
    try:
        found = (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        return _WRONG_INSTANT
    return found if _FIRST <= found < _LAST else _OUT_OF_RANGE


def _moment_instant(moment: Moment | Wrong, zone: ZoneInfo, ends_day: bool) -> datetime | Wrong:
    """The instant of a day and time in a zone; a bare day is its midnight, or the next one when it ends a day."""
    if isinstance(moment, Wrong):
        return moment
    if moment.at is not None:
        return _aware(datetime.combine(moment.day, moment.at), zone)
    return _aware(datetime.combine(moment.day + timedelta(days=1) if ends_day else moment.day, time()), zone)


__all__ = ["Date", "InstantType"]
