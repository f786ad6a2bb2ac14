"""Functions over spans of time: whole units between two moments, whether a value lies between two, days that spans share. Differences are rounded down."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from engine.expressions import zones
from engine.expressions.functions import Column, Function, Site, SqlFace, by_typing, count, declared
from engine.expressions.nodes import Call, Compare, Literal, Logic, Node
from engine.expressions.problems import refuse
from engine.expressions.shelf.times import NOW, TODAY, moment_of
from engine.expressions.sql_time import DAY, SqlTime
from engine.expressions.types import BOOLEAN, DATE, DOUBLE, INSTANT, INTEGER, NULL
from engine.expressions.zones import FIRST, FIRST_DAY, LAST, LAST_DAY, MOST_DAYS
from engine.storage import to_micros

Value = Any
_SECOND = timedelta(seconds=1)


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
        first = moment_of(site, args[0], *kinds)
        here = (TODAY if first.type == DATE else NOW).call(first.type, column, ())
        pair: tuple[Node, ...] = (here, first) if function.name == "days_until" else (first, here)
    else:
        kind = next((node.type for node in args if node.type in kinds), kinds[0])
        pair = tuple(moment_of(site, node, kind) for node in args)
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


ELAPSED = Function("elapsed", "", "", declared("any, any, integer -> integer"), _elapsed, _elapsed_sql, hidden=True, strict=True, hollow=True, nesting=8)
SHIFTED = Function("shifted", "", "", declared("any, integer, integer, integer -> any"), _shifted, hidden=True, strict=True)
DAY_START = Function("day_start", "", "", declared("date, integer -> instant"), _day_start, hidden=True, strict=True, in_environment=True)


def _elapsed_function(name: str, signature: str, zh: str, en: str) -> Function:
    return Function(name, f"{signature} -> integer", {"zh": zh, "en": en}, _elapsed_typing, by_typing, volatile=name.endswith(("since", "until")))


SPANS = (
    ELAPSED,
    SHIFTED,
    DAY_START,
    _elapsed_function("minutes_between", "(instant, instant)", "从前者到后者的整分钟数", "whole minutes from the first to the second"),
    _elapsed_function("hours_between", "(instant, instant)", "从前者到后者的整小时数", "whole hours from the first to the second"),
    _elapsed_function("days_between", "(date or instant, the same)", "从前者到后者的整天数", "whole days from the first to the second"),
    _elapsed_function("days_since", "(date or instant)", "至今整天数", "whole days until now"),
    _elapsed_function("days_until", "(date or instant)", "距今整天数", "whole days from now"),
    _elapsed_function("hours_since", "(instant)", "至今整小时数", "whole hours until now"),
    Function(
        "between",
        "(T, T, T) -> boolean",
        {"zh": "不小于前者且小于后者；后者为空表示未结束", "en": "at least the first and below the second; an empty second is open"},
        _between_typing,
        by_typing,
    ),
    Function(
        "overlap_days",
        "(start, end, since, until) -> number",
        {"zh": "两段时间重叠的天数", "en": "days two spans share"},
        _overlap_typing,
        _overlap,
        _overlap_sql,
        repeats=4,
        nesting=25,
    ),
)
