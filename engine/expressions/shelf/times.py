"""Functions over dates and instants. Days, weeks and months are those of the workspace's time zone; differences are rounded down."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from engine.expressions import calendars, zones
from engine.expressions.functions import Column, Function, Site, SqlFace, count, declared
from engine.expressions.nodes import Call, Compare, Literal, Logic, Node
from engine.expressions.problems import meant, refuse
from engine.expressions.sql_time import DAY, UNITS, SqlTime
from engine.expressions.types import BOOLEAN, DATE, DOUBLE, DURATION, INSTANT, INTEGER, NULL, TEXT, Type
from engine.expressions.zones import FIRST, FIRST_DAY, LAST, LAST_DAY, MOST_DAYS
from engine.storage import to_micros

Value = Any
_SECOND = timedelta(seconds=1)


def _moment(site: Site, node: Node, *kinds: Type) -> Node:
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
    moment, unit = _moment(site, args[0], INSTANT, DATE), args[1]
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
    moment = _moment(site, args[0], INSTANT, DATE)
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
    return calendars.read(calendar).add(moment, length, environment.timezone, environment.holidays)


def _open_at(environment: Any, moment: Value, calendar: Value) -> Value:
    if moment is None or calendar is None:
        return moment
    return calendars.read(calendar).open_at(moment, environment.timezone, environment.holidays)


def _end_of_day_after(environment: Any, moment: Value, number: Value) -> Value:
    day = _day(environment, moment)
    if day is None or number is None:
        return None
    following = zones.later_day(day, number + 1)
    return None if following is None else zones.midnight(following, environment.timezone)


def _end_of_day_after_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 2, 2)
    return function.call(INSTANT, column, (_moment(site, args[0], INSTANT, DATE), site.coercion.to(args[1], INTEGER)))


def _end_of_day_after_sql(face: SqlFace, call: Call) -> Column:
    time = SqlTime(face)
    return time.midnight(time.add_days(_day_sql(face, call.args[0]), face.value(call.args[1]) + 1))


def _between_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    """``low <= x`` and ``x < high``, or no upper end when ``high`` is empty."""
    count(function, column, args, 3, 3)
    kind, (item, low, high) = site.coercion.common(args)
    if not (kind.ordered or kind.dynamic or kind == NULL) or kind.sealed:
        raise refuse(column, "not_ordered", type=str(kind), operator="between")
    ended = Compare(BOOLEAN, column, "lt", item, high)
    running = Compare(BOOLEAN, column, "eq", high, Literal(NULL, column, None))
    return Logic(BOOLEAN, column, "and", (Compare(BOOLEAN, column, "ge", item, low), Logic(BOOLEAN, column, "or", (ended, running))))


def _elapsed(since: Value, until: Value, seconds: int) -> Value:
    if since is None or until is None:
        return None
    if not isinstance(since, datetime):
        return (until - since).days
    return (until - since) // (seconds * _SECOND)


def _elapsed_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    """All of them become ``elapsed(since, until, seconds)``: one meaning, one SQL, one rewrite."""
    ago = function.name in ("days_since", "days_until", "hours_since")
    count(function, column, args, 1 if ago else 2, 1 if ago else 2)
    unit = {"m": 60, "h": 3_600, "d": DAY}[function.name[0]]
    kinds = (INSTANT, DATE) if unit == DAY else (INSTANT,)
    if ago:
        first = _moment(site, args[0], *kinds)
        here = (TODAY if first.type == DATE else NOW).call(first.type, column, ())
        pair: tuple[Node, ...] = (here, first) if function.name == "days_until" else (first, here)
    else:
        kind = next((node.type for node in args if node.type in kinds), kinds[0])
        pair = tuple(_moment(site, node, kind) for node in args)
    return ELAPSED.call(INTEGER, column, (*pair, Literal(INTEGER, column, unit)))


def _elapsed_sql(face: SqlFace, call: Call) -> Column:
    since, until, unit = call.args
    time = SqlTime(face)
    if DATE in (since.type, until.type):
        return time.days(face.value(since), face.value(until))
    return time.elapsed(face.value(since), face.value(until), unit.value if isinstance(unit, Literal) else DAY)


def _overlap_typing(function: Function, site: Site, column: int, args: tuple[Node, ...]) -> Node:
    count(function, column, args, 4, 4)
    kind, brought = site.coercion.common(args)
    if not kind.timely:
        raise refuse(column, "not_ordered", type=str(kind), operator=function.name)
    return function.call(INTEGER if kind == DATE else DOUBLE, column, brought)


def _overlap(start: Value, end: Value, since: Value, until: Value) -> Value:
    """Days two spans share (of instants: with fractions); an end that is empty is still running, two empty ones have no answer."""
    ends = [item for item in (end, until) if item is not None]
    if start is None or since is None or not ends:
        return None
    begin, finish = max(start, since), min(ends)
    if not isinstance(start, datetime):
        return max((finish - begin).days, 0)
    micros = to_micros(finish) - to_micros(begin)
    return float(micros) / 86_400_000_000.0 if micros > 0 else 0.0


def _overlap_sql(face: SqlFace, call: Call) -> Column:
    start, end, since, until = (face.value(node) for node in call.args)
    time = SqlTime(face)
    begin = sa.case((start >= since, start), else_=since)
    finish = sa.case((sa.and_(end.is_not(None), sa.or_(until.is_(None), end <= until)), end), else_=until)
    whole = call.type == INTEGER
    shared = time.days(begin, finish) if whole else time.elapsed_micros(begin, finish)
    share = shared if whole else sa.cast(shared, sa.Double) / sa.literal(86_400_000_000.0, sa.Double)
    nothing = sa.literal(0, sa.BigInteger) if whole else sa.literal(0.0, sa.Double)
    return sa.case((sa.or_(start.is_(None), since.is_(None)), sa.null()), (shared <= 0, nothing), else_=share)


def _local_instant(environment: Any, text: Value) -> Value:
    return None if text is None else zones.moment_of(datetime.fromisoformat(text), environment.timezone)


def _shifted(moment: Value, number: Value, seconds: int, more: int) -> Value:
    """``moment + (number + more) x seconds``, held inside the calendar: the bound that a rewritten comparison uses."""
    if moment is None or number is None:
        return None
    units = number + more if seconds > 0 else -(number + more)
    if isinstance(moment, datetime):
        reach = max(-MOST_DAYS * DAY * 4, min(units * abs(seconds), MOST_DAYS * DAY * 4))
        if to_micros(moment) // 1_000_000 + reach <= to_micros(FIRST) // 1_000_000:
            return FIRST
        return LAST if to_micros(moment) // 1_000_000 + reach >= to_micros(LAST) // 1_000_000 else moment + reach * _SECOND
    ordinal = moment.toordinal() + max(-MOST_DAYS * 4, min(units, MOST_DAYS * 4))
    return date.fromordinal(max(FIRST_DAY.toordinal(), min(ordinal, LAST_DAY.toordinal())))


def _day_start(environment: Any, day: Value, more: int) -> Value:
    """Midnight of a day, or of the one ``more`` days after; held inside the calendar."""
    if day is None:
        return None
    later = date.fromordinal(min(day.toordinal() + more, LAST_DAY.toordinal()))
    return zones.midnight(later, environment.timezone) or (LAST.astimezone(UTC) if later > date(5000, 1, 1) else FIRST)


NOW = Function("now", "() -> instant", {"zh": "现在（整次运行不变）", "en": "this moment, fixed for the whole run"}, declared("-> instant"), _now, in_environment=True,
               volatile=True, nullable=False)
TODAY = Function("today", "() -> date", {"zh": "今天（工作区时区）", "en": "today in the workspace's time zone"}, declared("-> date"), _today, in_environment=True,
                 volatile=True, nullable=False)
ELAPSED = Function("elapsed", "", "", declared("any, any, integer -> integer"), _elapsed, _elapsed_sql, hidden=True, strict=True, hollow=True, nesting=8)
SHIFTED = Function("shifted", "", "", declared("any, integer, integer, integer -> any"), _shifted, hidden=True, strict=True)
DAY_START = Function("day_start", "", "", declared("date, integer -> instant"), _day_start, hidden=True, strict=True, in_environment=True)
LOCAL_INSTANT = Function("local_instant", "", "", declared("text -> instant"), _local_instant, hidden=True, in_environment=True)
ADD_OPEN_TIME = Function("add_open_time", "", "", declared("instant, duration, calendar -> instant"), _add_open_time, hidden=True, in_environment=True)


def _elapsed_function(name: str, signature: str, zh: str, en: str) -> Function:
    return Function(name, f"{signature} -> integer", {"zh": zh, "en": en}, _elapsed_typing, _elapsed, _elapsed_sql, volatile=name.endswith(("since", "until")))


TIMES = (
    NOW, TODAY, ELAPSED, SHIFTED, DAY_START, LOCAL_INSTANT, ADD_OPEN_TIME,
    Function("date_of", "(instant) -> date", {"zh": "所在的日期", "en": "the local date of an instant"}, declared("instant -> date"), _date_of,
             lambda face, call: _day_sql(face, call.args[0]), in_environment=True, repeats=2, hollow=True),
    Function("start_of", "(instant, unit) -> instant", {"zh": "所在日、周、月、季、年的开始", "en": "when its day, week, month, quarter or year begins"}, _with_unit,
             _start_of, lambda face, call: _unit_sql(face, call, "unit_start"), nesting=14, in_environment=True, repeats=8, hollow=True),
    Function("end_of", "(instant, unit) -> instant", {"zh": "所在日、周、月、季、年的结束（不含）", "en": "when its day, week, month, quarter or year is over"}, _with_unit,
             _end_of, lambda face, call: _unit_sql(face, call, "unit_end"), nesting=14, in_environment=True, repeats=8, hollow=True),
    Function("period_of", "(instant, unit) -> text", {"zh": "所在周期，如 2026-03、2026-W12", "en": "its period, as 2026-03 or 2026-W12"}, _with_unit, _period_of,
             _period_sql, nesting=9, in_environment=True, repeats=4, hollow=True),
    Function("add_days", "(date or instant, n) -> the same", {"zh": "加 n 天（时刻按 24 小时）", "en": "n days later (of an instant: 24 hours each)"}, _moved_typing,
             _add_days, _add_days_sql, hollow=True),
    Function("add_months", "(date or instant, n) -> the same", {"zh": "加 n 个月，月末取最后一天", "en": "n months later, at most that month's last day"}, _moved_typing,
             _add_months, _add_months_sql, in_environment=True, repeats=16, hollow=True),
    Function("add_time", "(instant, duration, calendar or null) -> instant", {"zh": "加一段时间，可只算营业时间", "en": "later by a duration, of open time if a calendar is given"},
             _add_time_typing, _add_time, _add_time_sql, hollow=True),
    Function("open_at", "(instant, calendar) -> instant", {"zh": "若已开门即本身，否则下次开门时", "en": "itself if open, else the next opening"},
             declared("instant, calendar -> instant"), _open_at, in_environment=True),
    Function("end_of_day_after", "(instant, n) -> instant", {"zh": "n 天后当日结束（次日零点，不含）", "en": "midnight after n more days: n days, inclusive"},
             _end_of_day_after_typing, _end_of_day_after, _end_of_day_after_sql, nesting=14, in_environment=True, repeats=8, hollow=True),
    _elapsed_function("minutes_between", "(instant, instant)", "从前者到后者的整分钟数", "whole minutes from the first to the second"),
    _elapsed_function("hours_between", "(instant, instant)", "从前者到后者的整小时数", "whole hours from the first to the second"),
    _elapsed_function("days_between", "(date or instant, the same)", "从前者到后者的整天数", "whole days from the first to the second"),
    _elapsed_function("days_since", "(date or instant)", "至今整天数", "whole days until now"),
    _elapsed_function("days_until", "(date or instant)", "距今整天数", "whole days from now"),
    _elapsed_function("hours_since", "(instant)", "至今整小时数", "whole hours until now"),
    Function("between", "(T, T, T) -> boolean", {"zh": "不小于前者且小于后者；后者为空表示未结束", "en": "at least the first and below the second; an empty second is open"},
             _between_typing, _elapsed, holds=lambda face, call, positive: sa.true()),
    Function("overlap_days", "(start, end, since, until) -> number", {"zh": "两段时间重叠的天数", "en": "days two spans share"}, _overlap_typing, _overlap, _overlap_sql, repeats=4, nesting=25),
)
