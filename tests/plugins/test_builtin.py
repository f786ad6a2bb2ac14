"""The built-in plugin's words."""

from datetime import UTC, date, datetime

import pytest

from engine.fields.base import Wrong
from engine.fields.scope import FieldScope
from engine.readers.base import ReadingScope
from metadata.bundle import Bundle
from metadata.definitions import read_fields
from plugins.builtin.values import Rating, YesNo, years_between

SCOPE = FieldScope(Bundle({}))


def test_stars_are_read_from_numbers_and_stars_and_shown_as_stars():
    field = read_fields({"f": {"type": "rating", "stars": 5}})["f"]
    read = Rating().reader(field, SCOPE)
    assert read(3) == read("3") == read("★★★") == read("★★★☆☆") == 3
    assert Rating().show(3, field, SCOPE, "zh") == "★★★☆☆"
    for wrong in (0, 6, "x", "☆", True, 2.5):
        assert isinstance(read(wrong), Wrong), wrong


@pytest.mark.parametrize(
    ("start", "end", "years"),
    [
        (date(1990, 3, 7), date(2026, 3, 6), 35),
        (date(1990, 3, 7), date(2026, 3, 7), 36),
        (date(2000, 2, 29), date(2025, 2, 28), 24),
        (date(2000, 2, 29), date(2025, 3, 1), 25),
        (date(2026, 1, 1), date(2025, 1, 2), 0),
        (None, date(2025, 1, 1), None),
    ],
)
def test_years_between_counts_full_years(start, end, years):
    assert years_between.python(start, end) == years


@pytest.mark.parametrize(("cell", "value"), [("是", True), (" √ ", True), ("已退", True), ("未成交", False), ("No", False), (1, True), ("不确定", False)])
def test_yes_and_no_are_read_as_sheets_have_them(cell, value):
    assert YesNo().read([cell], {}, ReadingScope(SCOPE, datetime(2026, 3, 15, tzinfo=UTC))).parts == {"value": value}


def test_what_is_neither_yes_nor_no_is_refused():
    with pytest.raises(Wrong, match="builtin_yes_no"):
        YesNo().read(["也许"], {}, ReadingScope(SCOPE, datetime(2026, 3, 15, tzinfo=UTC)))
