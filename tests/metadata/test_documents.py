"""JSON is read strictly, with the place of every node, in linear time, and never with an exception."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.documents import MAX_BYTES, MAX_DEPTH, decode, escape, parse_document, pointer

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
CLEAN = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"), max_size=8
)
DOCUMENTS = st.recursive(SCALARS | CLEAN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CLEAN, inner, max_size=4), max_leaves=20)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.sampled_from([None, 1, 4]), st.booleans())
def test_what_json_writes_is_read_as_it_was(document: object, indent: int | None, ascii_only: bool) -> None:
    parsed = parse_document(json.dumps(document, indent=indent, ensure_ascii=ascii_only))
    assert parsed.problems == []
    assert json.dumps(parsed.document) == json.dumps(document)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]",:0123456789eE+-.truefalsn \n\\/ux\u4e2d，NaI', max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    parsed = parse_document(text, "a.json")
    try:
        expected = json.loads(text, parse_constant=lambda word: pytest.fail("constant") if parsed.problems == [] else 0)
    except (ValueError, RecursionError):
        assert parsed.problems
    else:
        assert parsed.problems or json.dumps(parsed.document) == json.dumps(expected)
    assert all(problem.file == "a.json" and problem.line >= 1 and problem.column >= 1 for problem in parsed.problems)


def test_every_node_has_its_line_and_column() -> None:
    text = '{\n  "a": 1,\n  "b~/c": [\n    {"d": null},\n    "汉字"\n  ]\n}\n'
    positions = parse_document(text).positions
    assert positions.place("") == (1, 1)
    assert positions.place("/a") == (2, 3)
    assert positions.place(pointer("b~/c")) == (3, 3)
    assert positions.place(pointer("b~/c", 0, "d")) == (4, 6)
    assert positions.place(pointer("b~/c", 1)) == (5, 5)


def test_a_pointer_into_nothing_stands_at_its_nearest_ancestor() -> None:
    positions = parse_document('{\n"a": {}\n}').positions
    assert positions.place("/a/b/c") == (2, 1)
    assert positions.place("/x") == (1, 1)


def test_pointers_escape_as_rfc_6901_says() -> None:
    assert escape("a/b~c") == "a~1b~0c" and pointer() == "" and pointer("", 0) == "//0"


def test_duplicate_keys_are_told_with_the_first_line_and_the_first_value_stays() -> None:
    parsed = parse_document('{"read": "own",\n "read": "all"}')
    [problem] = parsed.problems
    assert (problem.code, problem.line, dict(problem.params)) == ("json_duplicate_key", 2, {"key": "read", "first": 1})
    assert parsed.document == {"read": "own"}


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "json_empty", 1, 1),
        ("{", "json_end", 1, 2),
        ("[1, 2", "json_end", 1, 6),
        ('{"a" 1}', "json_colon", 1, 6),
        ('{"a": 1 "b": 2}', "json_comma", 1, 9),
        ("[1,]", "json_trailing_comma", 1, 3),
        ("[\n1\n2]", "json_comma", 3, 1),
        ("{a: 1}", "json_key", 1, 2),
        ("[NaN]", "json_not_a_number", 1, 2),
        ("[-Infinity]", "json_not_a_number", 1, 2),
        ("[1e999]", "json_number_range", 1, 2),
        ("[9223372036854775808]", "json_number_range", 1, 2),
        ("[01]", "json_comma", 1, 3),
        ("[.5]", "json_value", 1, 2),
        ("[1.]", "json_comma", 1, 3),
        ('["a\n"]', "json_unterminated", 1, 2),
        ('["\\x"]', "json_string", 1, 3),
        ("{}{}", "json_trailing", 1, 3),
        ("[undefined]", "json_word", 1, 2),
        ("['a']", "json_single_quote", 1, 2),
        ("[1]//x", "json_comment", 1, 4),
        ("｛｝", "json_fullwidth", 1, 1),
        ("[" * 60, "json_too_deep", 1, MAX_DEPTH + 1),
    ],
)
def test_each_error_of_syntax_has_its_own_code_and_place(text: str, code: str, line: int, column: int) -> None:
    problem = parse_document(text).problems[0]
    assert (problem.code, problem.line, problem.column) == (code, line, column)


def test_depth_is_counted_without_recursion() -> None:
    assert parse_document("[" * MAX_DEPTH + "]" * MAX_DEPTH).problems == []
    assert [problem.code for problem in parse_document("[" * 500_000).problems] == ["json_too_deep"]


def test_reading_takes_time_in_proportion_to_the_text() -> None:
    slow = [
        '{"a":' * 30 + "1" + "}" * 30,
        ",".join('"a":1' for _ in range(100_000)).join("{}"),
        '["' + "\\\\" * 400_000 + '"]',
        " " * 900_000 + "1",
        "[" + "1," * 400_000,
    ]
    begun = time.process_time()
    for text in slow:
        parse_document(text)
    assert time.process_time() - begun < 10
    assert len(parse_document(slow[1]).problems) == 100


def test_size_is_capped_before_reading() -> None:
    assert [problem.code for problem in decode(b" " * (MAX_BYTES + 1))[1]] == ["file_too_large"]
    assert [problem.code for problem in parse_document(" " * (MAX_BYTES + 1)).problems] == ["file_too_large"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    text, problems = decode(data)
    assert text is not None or problems


def test_encodings_people_really_use_are_named() -> None:
    assert decode("客户".encode("gbk"))[1][0].code == "file_gbk"
    assert decode("客户".encode("utf-16"))[1][0].code == "file_utf16"
    assert decode(b"\xff\x00\xfe")[1][0].code == "file_not_utf8"
    text, problems = decode("客户".encode("utf-8-sig"))
    assert (text, [problem.code for problem in problems]) == ("客户", ["file_bom"])
    assert decode(b"ab\ncd\xff")[1][0].line == 2
