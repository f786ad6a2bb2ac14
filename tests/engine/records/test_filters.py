"""Filter rows become expression text and come back the same; FIELD=VALUE parameters name only what exists."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.records.filters import FilterGroup, FilterRow, from_text, to_text
from engine.registry import default_registry

TYPES = {name: default_registry().field_types[name] for name in ("text", "integer", "money", "date", "boolean", "choice", "choices", "tags", "instant")}
_VALUES = {
    "integer": st.integers(-(10**9), 10**9),
    "money": st.integers(-(10**9), 10**9),
    "date": st.dates().map(str),
    "boolean": st.booleans(),
    "instant": st.datetimes().map(str),
}


@st.composite
def rows(draw: st.DrawFn) -> FilterRow:
    name = draw(st.sampled_from(sorted(TYPES)))
    operator = draw(st.sampled_from(TYPES[name].operators))
    number = operator.values if operator.values >= 0 else draw(st.integers(1, 3))
    return FilterRow(name, operator.key, tuple(draw(_VALUES.get(name, st.text(max_size=5))) for _ in range(number)))


@st.composite
def groups(draw: st.DrawFn) -> FilterGroup:
    inner = st.builds(lambda join, items: FilterGroup(join, tuple(items)), st.sampled_from(["and", "or"]), st.lists(rows(), min_size=2, max_size=3))
    return FilterGroup(draw(st.sampled_from(["and", "or"])), tuple(draw(st.lists(st.one_of(rows(), inner), min_size=1, max_size=3))))


@settings(max_examples=300, deadline=None)
@given(groups())
def test_filters_round_trip_through_text(group: FilterGroup):
    text = to_text(group, TYPES)
    again = from_text(text, TYPES)
    assert again is not None and to_text(again, TYPES) == text


def test_an_expression_nobody_could_have_clicked_is_not_shown_as_rows():
    for source in (
        "text == other",
        "integer + 1 > 2",
        "not (text == 'a')",
        "(text == 'a' and (integer == 1 or (integer == 2 and boolean == true)))",
        "text ==",
        "",
    ):
        found = from_text(source, TYPES)
        assert (found == FilterGroup()) if not source else found is None


def test_unknown_fields_operators_and_counts_are_all_told():
    group = FilterGroup("and", (FilterRow("nope", "is", (1,)), FilterRow("text", "at_least", (1,)), FilterRow("integer", "between", (1,))))
    with pytest.raises(Invalid) as refusal:
        to_text(group, TYPES)
    assert [(fault.pointer, fault.code) for fault in refusal.value.faults] == [("/0", "unknown_field"), ("/1", "unknown_operator"), ("/2", "filter_values")]
