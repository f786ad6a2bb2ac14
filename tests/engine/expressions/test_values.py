"""The Python face: empty values, numbers, money, texts, lists, spaces and functions give what the language promises, for single cases worth naming."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.expressions.evaluate import Environment, Evaluator
from engine.expressions.functions import declare
from engine.expressions.language import Names, NameSpace, parse
from engine.expressions.shelf import FUNCTIONS
from engine.expressions.types import BOOLEAN, DATE, INSTANT, INTEGER, MONEY, PERCENT, PERSON, TEXT, Type

NOW = datetime(2026, 3, 15, 3, 30, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
FIELDS = {
    "name": TEXT,
    "other": TEXT,
    "grade": Type.read("choice:grade"),
    "amount": MONEY,
    "share": PERCENT,
    "n": INTEGER,
    "m": INTEGER,
    "area": Type.read("decimal:2"),
    "flag": BOOLEAN,
    "day": DATE,
    "at": INSTANT,
    "end": INSTANT,
    "owner": PERSON,
    "tags": Type("tags"),
    "phone": TEXT.seal("phone"),
}
BELOW = {"person": {"name": TEXT, "team": Type("team"), "boss": PERSON}, "thing": FIELDS, "line": {"amount": MONEY, "who": PERSON}}
NAMES = Names(
    FIELDS,
    lambda type: BELOW.get(type.entity),
    {
        "me": NameSpace(PERSON, {"team": Type("team"), "roles": Type.read("choices:role")}),
        "old": NameSpace(Type.read("link:thing")),
        "record": NameSpace(Type.read("link:thing")),
        "setting": {"days": Type.read("map:grade:integer"), "limit": INTEGER, "hours": Type("calendar")},
        "param": {"to": PERSON, "since": INSTANT},
        "lines": {"line": Type.read("rows:line")},
        "shares": NameSpace(Type("any")),
        "who": NameSpace(PERSON),
    },
    "thing",
)
PEOPLE = {1: {"id": 1, "name": "张三", "team": 7, "boss": 2}, 2: {"id": 2, "name": "李四", "team": None, "boss": None}}
SETTINGS = {"days": {"A": 15, "C": None, "else": 3}, "limit": 7, "hours": {"mon-fri": ["09:00-12:00", "13:00-18:00"], "2026-03-16": []}}
ME = {"id": 1, "team": 7, "roles": ["boss"]}


def evaluator(me: dict | None = ME) -> Evaluator:
    return Evaluator(Environment(NOW, SHANGHAI, me, SETTINGS, people=lambda role: [1, 2] if role == "boss" else []), lambda entity, record: PEOPLE.get(record))


def value(text: str, row: dict | None = None, **spaces: object) -> object:
    return evaluator().value(parse(text, NAMES), row or {}, **spaces)


@pytest.mark.parametrize(
    ("text", "empty", "one"),
    [
        ("n == 1", False, True),
        ("n != 1", True, False),
        ("n == null", True, False),
        ("n != null", False, True),
        ("n is null", True, False),
        ("n < 2", False, True),
        ("n >= 1", False, True),
        ("not n < 2", True, False),
        ("not (n > 5)", True, True),
        ("n in (1, 2)", False, True),
        ("n not in (1, 2)", True, False),
        ("n == m", True, False),
        ("n != m", False, True),
        ("0 < n <= 1", False, True),
        ("empty(n)", True, False),
        ("exists(n)", False, True),
        ("n + 1 > 0", False, True),
        ("empty(n + 1)", True, False),
        ("flag", False, False),
        ("not flag", True, True),
        ("flag == false", True, True),
        ("flag == true", False, False),
        ("flag == null", True, True),
        ("between(n, 1, 2)", False, True),
        ("between(n, 1, m)", False, True),
        ("between(n, m, 2)", False, False),
    ],
)
def test_a_condition_is_true_or_false_even_of_empties(text, empty, one):
    condition = parse(text, NAMES, BOOLEAN)
    assert evaluator().truth(condition, {}) is empty
    assert evaluator().truth(condition, {"n": 1}) is one


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("n / 2", {"n": 7}, 3.5),
        ("n / 0", {"n": 7}, None),
        ("n / m", {"n": 7, "m": 0}, None),
        ("n * m", {"n": 2**53 - 1, "m": 2}, None),
        ("n * m", {"n": 3, "m": -4}, -12),
        ("-n", {"n": 3}, -3),
        ("area + 0.5", {"area": 8950}, 9000),
        ("area * 2", {"area": 8950}, 17900),
        ("area == 89.5", {"area": 8950}, True),
        ("area > 89", {"area": 8950}, True),
        ("n == 1.0", {"n": 1}, True),
        ("min(n, m, 5)", {"n": None, "m": 9}, 5),
        ("max(n, m)", {}, None),
        ("case(n > 1, 'a', n > 0, 'b', null)", {"n": 1}, "b"),
        ("coalesce(name, other, 'x')", {"name": "", "other": None}, "x"),
        ("'a' if flag else 'b'", {"flag": None}, "b"),
        ("squeeze(name)", {"name": " 张\u3000三\n "}, "张三"),
        ("squeeze(name)", {"name": "  "}, None),
        ("lower(name)", {"name": "ÄBC"}, "Äbc"),
        ("concat(name, other, n)", {"name": "a", "n": 3}, "a3"),
        ("head(name, 2)", {"name": "李四😀"}, "李四"),
        ("tail(name, 4)", {"name": "13900008000"}, "8000"),
        ("tail(name, 0)", {"name": "abc"}, None),
        ("length(name)", {"name": "李😀"}, 2),
        ("length(name)", {}, None),
        ("contains(name, '%')", {"name": "50%"}, True),
        ("startswith(name, 'A')", {"name": "ab"}, False),
        ("edit_distance(name, 'kitten')", {"name": "sitten"}, 1),
        ("edit_distance(name, 'kitten')", {"name": "sitting"}, 3),
        ("edit_distance(name, 'abcdef')", {"name": "x"}, 3),
        ("has(tags, 'a')", {"tags": ["a"]}, True),
        ("has(tags, 'a')", {}, False),
        ("size(tags)", {}, 0),
        ("list(n, m, 3)", {"n": 1}, [1, 3]),
        ("list(tags, name)", {"tags": ["a", "b"], "name": "c"}, ["a", "b", "c"]),
        ("setting.days[grade]", {"grade": "A"}, 15),
        ("setting.days[grade]", {"grade": "B"}, 3),
        ("setting.days[grade]", {"grade": "C"}, None),
        ("setting.days[grade]", {}, 3),
        ("owner.name", {"owner": 1}, "张三"),
        ("owner.name", {"owner": 9}, None),
        ("owner.name", {}, None),
        ("owner == me", {"owner": (1, "张三")}, True),
        ("owner.boss == 2", {"owner": 1}, True),
        ("part(amount, share)", {"amount": 1005, "share": 5000}, 503),
        ("part(amount, 5000)", {"amount": -1005}, -503),
        ("rate(amount, 1500)", {"amount": 10_000_000}, 15_000),
        ("portion(amount, 1, 3)", {"amount": 100}, 33),
        ("portion(amount, 1, 3)", {"amount": -100}, -33),
        ("portion(amount, 1, n)", {"amount": 100}, None),
        ("portion(10000, n, 3)", {"n": 2}, 6666),
        ("part(amount, 3333)", {"amount": 2**53 - 1}, ((2**53 - 1) * 3333 * 2 + 10_000) // 20_000),
    ],
)
def test_values(text, row, expected):
    assert value(text, row) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today()", date(2026, 3, 15)),
        ("date_of(at)", date(2026, 3, 16)),
        ("start_of(at, 'day')", datetime(2026, 3, 15, 16, tzinfo=UTC)),
        ("end_of(at, 'month')", datetime(2026, 3, 31, 16, tzinfo=UTC)),
        ("start_of(day, 'week')", date(2024, 2, 26)),
        ("end_of(day, 'quarter')", date(2024, 4, 1)),
        ("period_of(at, 'week')", "2026-W12"),
        ("period_of(day, 'quarter')", "2024-Q1"),
        ("period_of(day, 'year')", "2024"),
        ("add_days(day, 1)", date(2024, 3, 1)),
        ("add_months(day, 12)", date(2025, 2, 28)),
        ("add_months(day, -1)", date(2024, 1, 29)),
        ("add_days(day, 10000000)", None),
        ("add_days(at, 1)", datetime(2026, 3, 16, 16, tzinfo=UTC)),
        ("add_time(at, 'PT90M')", datetime(2026, 3, 15, 17, 30, tzinfo=UTC)),
        ("end_of_day_after(at, 0)", datetime(2026, 3, 16, 16, tzinfo=UTC)),
        ("end_of_day_after(at, 15)", datetime(2026, 3, 31, 16, tzinfo=UTC)),
        ("days_since(at)", -1),
        ("days_until(at)", 0),
        ("hours_since(at)", -13),
        ("minutes_between(now(), at)", 750),
        ("hours_between(at, now())", -13),
        ("days_since(day)", 745),
        ("days_between(day, today())", 745),
        ("at == '2026-03-16'", True),
        ("at == '2026-03-16T00:00'", True),
        ("at == '2026-03-15T16:00:00Z'", True),
        ("overlap_days(day, null, '2024-02-01', '2024-03-02')", 2),
        ("overlap_days(at, end, at, null)", None),
    ],
)
def test_times_are_those_of_the_workspace(text, expected):
    assert value(text, {"at": datetime(2026, 3, 15, 16, tzinfo=UTC), "day": date(2024, 2, 29)}) == expected


def test_open_hours_are_counted():
    saturday = datetime(2026, 3, 14, 2, tzinfo=UTC)
    assert value("open_at(at, setting.hours)", {"at": saturday}) == datetime(2026, 3, 17, 1, tzinfo=UTC)  # Monday the 16th is closed
    assert value("add_time(at, 'PT4H', setting.hours)", {"at": saturday}) == datetime(2026, 3, 17, 6, tzinfo=UTC)
    assert value("add_time(at, 'PT4H', null)", {"at": saturday}) == datetime(2026, 3, 14, 6, tzinfo=UTC)
    assert value("add_time(at, '-PT1H', setting.hours)", {"at": saturday}) == datetime(2026, 3, 13, 9, tzinfo=UTC)
    inside = datetime(2026, 3, 17, 2, tzinfo=UTC)
    assert value("open_at(at, setting.hours)", {"at": inside}) == inside


def test_spaces_and_carried_names_are_read():
    old = {"n": 3, "owner": 2}
    assert value("old.n + n", {"n": 4}, old=old) == 7
    assert value("old.owner.name", {}, old=old) == "李四"
    assert value("param.to.name", {}, param={"to": (1, "x")}) == "张三"
    assert value("param.since", {}) is None
    assert value("total(lines.line.amount)", {}, lines={"line": [{"amount": 3}, {"amount": None}, {"amount": 4}]}) == 7
    assert value("top(lines.line.amount)", {}, lines={"line": []}) is None
    assert value("who.name", {}, who=1) == value("who.name", {}, who={"id": 1, "name": "张三"}) == "张三"
    assert value("who == me", {}, who={"id": 1}) is True
    assert value("pick(shares, 'who', 2, 'weight')", {}, shares=[{"who": 1, "weight": 30}, {"who": 2, "weight": 70}]) == 70
    assert value("pick(shares, 'who', 3, 'weight')", {}, shares=[{"who": 1, "weight": 30}]) == 0
    assert value("people('boss')", {}) == [1, 2]
    assert value("shares.a > 3", {}, shares={"a": "text"}) is False


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("list(shares, 'x')", ["a", None, 3], ["a", "x"]),
        ("list(shares, 'x')", "a", ["a", "x"]),
        ("list(shares, 'x')", None, ["x"]),
        ("list(shares, owner)", [{"id": 4}, 5], [4, 5, 1]),
        ("list(shares, tags)", ["a"], ["a", "t"]),
        ("'x' in (shares, 'y')", ["a", "x"], True),
        ("name not in (shares, 'y')", ["a", "x"], False),
        ("size(list(shares, n))", [1, 2], 3),
    ],
)
def test_a_list_takes_in_what_turns_out_to_be_a_list(text, given, expected):
    assert value(text, {"owner": 1, "tags": ["t"], "name": "a", "n": 7}, shares=given) == expected


def test_nobody_is_no_owner():
    assert evaluator(None).truth(parse("owner == me", NAMES), {"owner": None}) is False
    assert evaluator(None).truth(parse("me.team == null", NAMES), {}) is True


def test_a_function_of_a_plugin_is_typed_by_its_signature():
    twice = declare("twice", "integer|money, integer? -> integer", "", lambda amount, times=2: None if amount is None else amount * times)
    functions = {**FUNCTIONS, "twice": twice}
    expression = parse("twice(n) + twice(amount, 3)", NAMES, None, functions)
    assert evaluator().value(expression, {"n": 4, "amount": 5}) == 23
    assert not expression.has_sql
    assert twice.word().signature == "(integer|money, integer?) -> integer"
