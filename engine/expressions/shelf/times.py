"""Functions that give dates and instants. Days, weeks and months are those of the workspace's time zone; what lies beyond the calendar is empty."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from engine.expressions import calendars, zones
from engine.expressions.functions import Column, Function, Site, SqlFace, count, declared
from engine.expressions.nodes import Call, Literal, Node
from engine.expressions.problems import meant, refuse
from engine.expressions.sql_time import DAY, UNITS, SqlTime
from engine.expressions.types import DATE, DURATION, INSTANT, INTEGER, NULL, TEXT, Type
from engine.expressions.zones import MOST_DAYS

Value = Any
_SECOND = timedelta(seconds=1)


def moment_of(site: Site, node: Node, *kinds: Type) -> Node:
    """An argument that is an instant or a date, whichever of ``kinds`` it fits."""
    for kind in kinds:
        if node.type == kind:
            return node
    return site.coercion.to(node, next((kind for kind in kinds if site.coercion.fits(node, kind)), kinds[0]))


def _now(environment: Any) -> datetime:
    return environment.now  # type: ignore[no-any-return]


def _today(environment: Any) -> date:
    return environment.today  # type: ignore[no-any-return]


def _day(environment: Any, moment: Value) -> date | None:
    """The local date of an instant; a date as it is."""
    if not isinstance(moment, datetime):
        return moment  # type: ignore[no-any-return]
    local = zones.local_time(moment, environment.timezone)
    return None if local is None else local.date()


def _date_of(environment: Any, moment: Value) -> Value:
    return _day(environment, moment)


def _day_sql(face: SqlFace, node: Node) -> Column:
    column = face.value(node)
    return SqlTime(face).local_day(column) if node.type == INSTANT else column


def _with_unit(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 2)
    moment, unit = moment_of(site, args[0], INSTANT, DATE), args[1]
    if not isinstance(unit, Literal) or unit.value not in UNITS:
        given = unit.value if isinstance(unit, Literal) else ""
        raise refuse(unit.column, "unknown_unit", value=given, units=", ".join(UNITS), meant=meant(str(given), UNITS))
    return function.call(TEXT if function.name == "period_of" else moment.type, column, (moment, unit))


def _as_given(environment: Any, moment: Value, day: date | None) -> Value:
    """A day in the form the moment it came from had."""
    return zones.midnight(day, environment.timezone) if isinstance(moment, datetime) and day is not None else day


def _start_of(environment: Any, moment: Value, unit: str) -> Value:
    day = _day(environment, moment)
    return None if day is None else _as_given(environment, moment, zones.unit_start(day, unit))


def _end_of(environment: Any, moment: Value, unit: str) -> Value:
    day = _day(environment, moment)
    return None if day is None else _as_given(environment, moment, zones.unit_end(day, unit))


def _unit_sql(face: SqlFace, call: Call, name: str) -> Column:
    moment, unit = call.args
    time = SqlTime(face)
    day = getattr(time, name)(_day_sql(face, moment), unit.value if isinstance(unit, Literal) else "day")
    return time.midnight(day) if moment.type == INSTANT else day


def _period_of(environment: Any, moment: Value, unit: str) -> Value:
    day = _day(environment, moment)
    return None if day is None else zones.period_name(day, unit)


def _period_sql(face: SqlFace, call: Call) -> Column:
    unit = call.args[1]
    return SqlTime(face).period(_day_sql(face, call.args[0]), unit.value if isinstance(unit, Literal) else "day")


def _moved_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 2)
    moment = moment_of(site, args[0], INSTANT, DATE)
    return function.call(moment.type, column, (moment, site.coercion.to(args[1], INTEGER)))


def _add_days(moment: Value, number: Value) -> Value:
    if moment is None or number is None:
        return None
    if not isinstance(moment, datetime):
        return zones.later_day(moment, number)
    return zones.later(moment, number, DAY) if -MOST_DAYS < number < MOST_DAYS else None


def _add_days_sql(face: SqlFace, call: Call) -> Column:
    moment, number = face.value(call.args[0]), face.value(call.args[1])
    time = SqlTime(face)
    return time.later(moment, number, DAY, MOST_DAYS) if call.type == INSTANT else time.add_days(moment, number)


def _add_months(environment: Any, moment: Value, number: Value) -> Value:
    """The same local time of the same day in a later month, or of that month's last day."""
    if moment is None or number is None:
        return None
    if not isinstance(moment, datetime):
        return zones.later_month(moment, number)
    return zones.same_time_later(moment, number, environment.timezone)


def _add_months_sql(face: SqlFace, call: Call) -> Column:
    moment, number = face.value(call.args[0]), face.value(call.args[1])
    time = SqlTime(face)
    return time.same_time_later(moment, number) if call.type == INSTANT else time.add_months(moment, number)


def _add_time_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 3)
    moment, length = site.coercion.to(args[0], INSTANT), site.coercion.to(args[1], DURATION)
    if len(args) == 2 or args[2].type == NULL:
        return function.call(INSTANT, column, (moment, length))
    return ADD_OPEN_TIME.call(INSTANT, column, (moment, length, site.coercion.to(args[2], Type("calendar"))))


def _add_time(moment: Value, length: Value) -> Value:
    if moment is None or length is None or not -MOST_DAYS * DAY < length < MOST_DAYS * DAY:
        return None
    return zones.later(moment, length, 1)


def _add_time_sql(face: SqlFace, call: Call) -> Column:
    return SqlTime(face).later(face.value(call.args[0]), face.value(call.args[1]), 1, MOST_DAYS * DAY)


def _add_open_time(environment: Any, moment: Value, length: Value, calendar: Value) -> Value:
    if calendar is None:
        return _add_time(moment, length)
    if moment is None or length is None:
        return None
    known = _calendar(calendar)
    return None if known is None else known.add(moment, length, environment.timezone, environment.holidays)


def _calendar(definition: Value) -> calendars.Calendar | None:
    """The calendar of a setting's value; None when it cannot be read (saving the setting says why)."""
    try:
        return calendars.read(definition)
    except calendars.BadCalendar:
        return None


def _open_at(environment: Any, moment: Value, calendar: Value) -> Value:
    if moment is None or calendar is None:
        return moment
    known = _calendar(calendar)
    return None if known is None else known.open_at(moment, environment.timezone, environment.holidays)


def _end_of_day_after(environment: Any, moment: Value, number: Value) -> Value:
    day = _day(environment, moment)
    if day is None or number is None:
        return None
    following = zones.later_day(day, number + 1)
    return None if following is None else zones.midnight(following, environment.timezone)


def _end_of_day_after_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 2)
    return function.call(INSTANT, column, (moment_of(site, args[0], INSTANT, DATE), site.coercion.to(args[1], INTEGER)))


def _end_of_day_after_sql(face: SqlFace, call: Call) -> Column:
    time = SqlTime(face)
    return time.midnight(time.add_days(_day_sql(face, call.args[0]), face.value(call.args[1]) + 1))


def _local_instant(environment: Any, text: Value) -> Value:
    return None if text is None else zones.moment_of(datetime.fromisoformat(text), environment.timezone)


NOW = Function(
    "now",
    "() -> instant",
    {"zh": "现在（整次运行不变）", "en": "this moment, fixed for the whole run"},
    declared("-> instant"),
    _now,
    in_environment=True,
    volatile=True,
    nullable=False,
)
TODAY = Function(
    "today",
    "() -> date",
    {"zh": "今天（工作区时区）", "en": "today in the workspace's time zone"},
    declared("-> date"),
    _today,
    in_environment=True,
    volatile=True,
    nullable=False,
)
LOCAL_INSTANT = Function("local_instant", "", "", declared("text -> instant"), _local_instant, hidden=True, in_environment=True)
ADD_OPEN_TIME = Function("add_open_time", "", "", declared("instant, duration, calendar -> instant"), _add_open_time, hidden=True, in_environment=True)


TIMES = (
    NOW,
    TODAY,
    LOCAL_INSTANT,
    ADD_OPEN_TIME,
    Function(
        "date_of",
        "(instant) -> date",
        {"zh": "所在的日期", "en": "the local date of an instant"},
        declared("instant -> date"),
        _date_of,
        lambda face, call: _day_sql(face, call.args[0]),
        in_environment=True,
        repeats=2,
        hollow=True,
    ),
    Function(
        "start_of",
        "(instant, unit) -> instant",
        {"zh": "所在日、周、月、季、年的开始", "en": "when its day, week, month, quarter or year begins"},
        _with_unit,
        _start_of,
        lambda face, call: _unit_sql(face, call, "unit_start"),
        nesting=14,
        in_environment=True,
        repeats=8,
        hollow=True,
    ),
    Function(
        "end_of",
        "(instant, unit) -> instant",
        {"zh": "所在日、周、月、季、年的结束（不含）", "en": "when its day, week, month, quarter or year is over"},
        _with_unit,
        _end_of,
        lambda face, call: _unit_sql(face, call, "unit_end"),
        nesting=14,
        in_environment=True,
        repeats=8,
        hollow=True,
    ),
    Function(
        "period_of",
        "(instant, unit) -> text",
        {"zh": "所在周期，如 2026-03、2026-W12", "en": "its period, as 2026-03 or 2026-W12"},
        _with_unit,
        _period_of,
        _period_sql,
        nesting=9,
        in_environment=True,
        repeats=4,
        hollow=True,
    ),
    Function(
        "add_days",
        "(date or instant, n) -> the same",
        {"zh": "加 n 天（时刻按 24 小时）", "en": "n days later (of an instant: 24 hours each)"},
        _moved_typing,
        _add_days,
        _add_days_sql,
        hollow=True,
    ),
    Function(
        "add_months",
        "(date or instant, n) -> the same",
        {"zh": "加 n 个月，月末取最后一天", "en": "n months later, at most that month's last day"},
        _moved_typing,
        _add_months,
        _add_months_sql,
        in_environment=True,
        repeats=16,
        hollow=True,
    ),
    Function(
        "add_time",
        "(instant, duration, calendar or null) -> instant",
        {"zh": "加一段时间，可只算营业时间", "en": "later by a duration, of open time if a calendar is given"},
        _add_time_typing,
        _add_time,
        _add_time_sql,
        hollow=True,
    ),
    Function(
        "open_at",
        "(instant, calendar) -> instant",
        {"zh": "若已开门即本身，否则下次开门时", "en": "itself if open, else the next opening"},
        declared("instant, calendar -> instant"),
        _open_at,
        in_environment=True,
    ),
    Function(
        "end_of_day_after",
        "(instant, n) -> instant",
        {"zh": "n 天后当日结束（次日零点，不含）", "en": "midnight after n more days: n days, inclusive"},
        _end_of_day_after_typing,
        _end_of_day_after,
        _end_of_day_after_sql,
        nesting=14,
        in_environment=True,
        repeats=8,
        hollow=True,
    ),
)
