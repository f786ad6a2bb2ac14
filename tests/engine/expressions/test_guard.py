"""Whatever text comes in: an expression, or ExpressionRefused with places and codes; never another error, never long, never big."""

import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.expressions.guard import MAX_DEPTH, MAX_LENGTH, read
from engine.expressions.language import Expression, ExpressionRefused, Names, parse
from engine.expressions.types import BOOLEAN, INTEGER, TEXT, Type
from engine.messages import catalogue

FIELDS = {f"field_{number}": INTEGER for number in range(80)} | {"name": TEXT, "flag": BOOLEAN, "owner": Type("person")}
NAMES = Names(FIELDS, lambda type: {"name": TEXT, "boss": Type("person")}, {"setting": {"days": Type.read("map:grade:integer")}}, "thing")
quietly = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def refused(text: str) -> str:
    with pytest.raises(ExpressionRefused) as caught:
        parse(text, NAMES)
    return caught.value.problems[0].code.removeprefix("expression_")


def fate(text: str) -> Expression | ExpressionRefused:
    """The expression or the refusal, whose problems are checked; anything else is a failure."""
    try:
        return parse(text, NAMES)
    except ExpressionRefused as error:
        for problem in error.problems:
            assert problem.column >= 1
            assert problem.code in catalogue(), problem.code
        return error


PROBES = (
    "('a'*90000).replace('a','b'*90000)",
    "'%0200000000d' % 1",
    "'a'.center(200000000)",
    "f'{1:200000000}'",
    "4000000**100000",
    "+".join("1" * 900),
    "-" * 1900 + "1",
    "not " * 450 + "flag",
    "(" * 900 + "1" + ")" * 900,
    "[" * 300,
    "name.__class__",
    "().__class__.__mro__",
    "(x for x in name)",
    "[x for x in name]",
    "lambda: 1",
    "__import__('os')",
    "name.format()",
    "head(name, n=1)",
    "head(*name)",
    "setting.days[0:1]",
    "setting.days",
    "name[0]",
    "1 if 1",
    "yield 1",
    "await name",
    "a := 1",
    "a = 1",
    "1; 2",
    "1\n2",
    "b'x'",
    "1j",
    "...",
    "name\x00",
    "'\\x00'",
    "'\\ud800'",
    "\ud800",
    "'" + "a" * 3000 + "'",
    "9" * 1500,
    "1e999",
    "-1e400",
    "{1: 2}",
    "{1}",
    "``",
    "é",
    "'\\N{BULLET}'",
    "\r\n\t",
    "0x",
    "1_000_000_000_000_000_000",
    "flag and " * 220 + "flag",
    "case(" * 19 + "flag" + ")" * 19,
    "print(1)",
    "eval('1')",
    "field_1 ** 2",
    "field_1 % 2",
    "field_1 // 2",
    "~field_1",
    "field_1 << 2",
    "field_1 @ 2",
    "#",
    "name #c",
)


@pytest.mark.parametrize("text", PROBES, ids=lambda text: ascii(text[:30]))
def test_known_attacks_are_refused_or_harmless(text):
    fate(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("1" * (MAX_LENGTH + 1), "too_long"),
        ("flag and " * 220 + "flag", "too_many_nodes"),
        ("-(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH, "too_deep"),
        ("name\x00", "bad_character"),
        ("field_1 +", "syntax"),
        ("f'{1}'", "syntax_not_offered"),
        ("field_1 % 2", "operator_not_offered"),
        ("name.lower()", "methods_not_offered"),
        ("head(name, n=2)", "keywords_not_offered"),
        ("name[0]", "subscript_not_offered"),
        ("1000000000000001", "number_too_large"),
        ("0.12345678901", "too_precise"),
        ("field_1 ** 2", "operator_not_offered"),
        ("a = 1", "syntax"),
    ],
)
def test_limits_and_syntax_have_their_codes(text, code):
    assert refused(text) == code


@settings(quietly, max_examples=400)
@given(st.text(max_size=2100))
@example("'" * 1999)
@example("((((" * 500)
def test_random_text_is_an_expression_or_refused(text):
    fate(text)


WORDS = (
    "name",
    "flag",
    "field_1",
    "field_l",
    "owner",
    "owner.boss",
    "owner.boss.name",
    "setting.days['A']",
    "me",
    "null",
    "true",
    "None",
    "'a'",
    "'2026-01-01'",
    "1",
    "0.5",
    "-",
    "+",
    "*",
    "/",
    "<",
    "==",
    "!=",
    "in",
    "not",
    "is",
    "and",
    "or",
    "if",
    "else",
    "(",
    ")",
    "(",
    ")",
    ",",
    "[",
    "]",
    "case(",
    "empty(",
    "head(",
    "now()",
    "days_since(",
    "min(",
    "list(",
    "has(",
    ".",
    "**",
    "%",
    ":",
    "lambda",
    "for",
    "\n",
    " ",
)


@settings(quietly, max_examples=600)
@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
def test_random_words_of_the_language_are_an_expression_or_refused(text):
    fate(text)


_leaf = st.sampled_from(("name", "flag", "field_1", "nothing", "owner.name", "1", "0.5", "'a'", "null", "now()", "setting.days[name]"))
_trees = st.recursive(
    _leaf,
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from(("+", "-", "*", "/", "<", "==", "in", "and", "or", "is", "%")), below).map(lambda parts: f"({' '.join(parts)})"),
        below.map(lambda part: f"not ({part})"),
        st.tuples(st.sampled_from(("case", "min", "concat", "has", "nothing")), st.lists(below, max_size=4)).map(
            lambda parts: f"{parts[0]}({', '.join(parts[1])})"
        ),
        st.lists(below, max_size=4).map(lambda parts: f"({', '.join(parts)},)" if parts else "()"),
    ),
    max_leaves=60,
)


@settings(quietly, max_examples=300)
@given(_trees)
def test_random_trees_are_an_expression_or_refused(text):
    fate(text)


@pytest.mark.parametrize(
    "text",
    [*PROBES, " and ".join(["feld_1 == 1"] * 60), "(" * 55 + ")" * 55, "+".join(["field_1"] * 90), "list(" + ",".join(["'x'"] * 180) + ")"],
    ids=lambda text: ascii(text[:20]),
)
def test_no_text_takes_longer_than_ten_milliseconds(text):
    def seconds() -> float:
        begin = time.thread_time()
        fate(text)
        return time.thread_time() - begin

    assert min(seconds() for _ in range(3)) < 0.010


def test_columns_count_characters_from_one():
    with pytest.raises(ExpressionRefused) as caught:
        parse("  name == '张三' and naem == 'x'", NAMES)
    assert [(problem.column, problem.code, problem.params["meant"]) for problem in caught.value.problems] == [(20, "expression_unknown_name", "name")]


def test_every_problem_of_a_text_is_told():
    with pytest.raises(ExpressionRefused) as caught:
        parse("naem == 1 and lenght(name) > 2 and name < 'b'", NAMES)
    assert [(problem.column, problem.code) for problem in caught.value.problems] == [
        (1, "expression_unknown_name"),
        (15, "expression_unknown_function"),
        (36, "expression_not_ordered"),
    ]


def test_threads_read_texts_at_once():
    text = " and ".join(f"(a{number} == {number} or b in ('x', 'y'))" for number in range(15))
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            time.sleep(0)

    def reading() -> None:
        for _time in range(400):
            Garbage()
            read(text)

    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(reading) for _thread in range(8)]:
                done.result()
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
