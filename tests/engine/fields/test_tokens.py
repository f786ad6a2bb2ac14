"""Search by two characters, initials and digits: a text is found by every part of it, and by nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fields.tokens import found_in, initials, query_tokens, text_tokens, tokens
from engine.registry import default_registry
from metadata.definitions import read_fields

TYPES = default_registry().field_types
NAMES = ("张三丰", "欧阳娜娜", "单雄信", "Tom Lee", "古力娜扎·买买提", "𠮷野家", "A栋2号")


def finds(kind: str, text: str, value: str) -> bool:
    """As a search does: all tokens of the query are in the index, then the exact check."""
    wanted = query_tokens(text, "n")
    return bool(wanted) and set(wanted) <= set(tokens(kind, value, "n")) and found_in(kind, text, value)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("张三", "张三丰"),
        ("三丰", "张三丰"),
        ("张三丰", "张三丰"),
        ("丰", "张三丰"),
        ("zsf", "张三丰"),
        ("ZS", "张三丰"),
        ("sf", "张三丰"),
        ("sxx", "单雄信"),
        ("dxx", "单雄信"),
        ("oynn", "欧阳娜娜"),
        ("tom", "Tom Lee"),
        ("om lee", "Tom Lee"),
        ("glnz", "古力娜扎·买买提"),
        ("扎·买", "古力娜扎·买买提"),
        ("𠮷野", "𠮷野家"),
        ("2号", "A栋2号"),
        ("Ａ栋", "A栋2号"),
    ],
)
def test_a_name_is_found_by_its_parts_and_its_initials(query, value):
    assert finds("name", query, value)


@pytest.mark.parametrize(
    ("query", "value"),
    [("张丰", "张三丰"), ("zf", "张三丰"), ("李", "张三丰"), ("tl", "Tom Lee"), ("", "张三丰"), ("·", "古力娜扎·买买提"), ("zsfx", "张三丰")],
)
def test_what_is_not_in_a_name_does_not_find_it(query, value):
    assert not finds("name", query, value)


def test_initials_belong_to_names_only():
    assert not finds("text", "zsf", "张三丰") and initials("重庆") == ["zq", "cq"] and initials("abc") == []


def test_digits_are_found_in_pieces_of_a_number():
    for part in ("8000", "0013", "13800138000", "138"):
        assert finds("phone", part, "+8613800138000")


@given(st.text(min_size=1, max_size=30), st.data())
@settings(max_examples=200, deadline=None, database=None)
def test_every_part_of_any_text_finds_it(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    wanted = query_tokens(part, "n")
    held = set(tokens("text", text, "n"))
    assert all(token.isalnum() for token in held)
    if wanted and part == part.strip() and part.isascii():
        assert set(wanted) <= held and found_in("text", part, text)


def test_tokens_of_a_name_are_few():
    assert len(text_tokens("name", "张三丰")) == 3 + 2 + 3 + 2 + 1


@pytest.mark.parametrize(
    "document",
    [
        {"type": "phone", "search": "phone", "mask": "phone"},
        {"type": "phone", "search": "phone", "encrypted": True},
        {"type": "text", "search": "name", "encrypted": True},
        {"type": "text", "search": "phone", "mask": "tail"},
        {"type": "id_no", "search": "text"},
    ],
)
def test_no_piece_of_a_masked_number_or_a_sealed_value_is_in_the_index(document):
    field = read_fields({"f": document})["f"]
    assert not TYPES[field.type].search_tokens("+8613800138000", field)
