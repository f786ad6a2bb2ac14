"""What every field type must satisfy, to be run over the registry and by authors of plugins.

from tests.contracts.field_type import CONTRACT, Subject

@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_my_type(clause):
    clause(Subject(MyType(), read_fields({"f": {"type": "my_type"}})["f"], scope))
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy.dialects import postgresql, sqlite

from engine.expressions.types import Type
from engine.fields import regions
from engine.fields.base import FieldType, Wrong, accepted
from engine.fields.identity import check_character
from engine.fields.scope import FieldScope
from engine.fields.text import is_web_address
from engine.messages import catalogue
from metadata.bundle import Bundle
from metadata.definitions import Field, read_fields
from metadata.text import label_text

SAMPLES = 30
FIRST, LAST = (datetime(year, month, day, tzinfo=UTC).timestamp() for year, month, day in ((1800, 1, 1), (9998, 12, 31)))


@dataclass(frozen=True)
class Subject:
    """A field type with one field of it. ``codes``: error codes a plugin brings a catalogue for."""

    kind: FieldType
    field: Field
    scope: FieldScope
    codes: frozenset[str] = frozenset()

    def values(self) -> Iterator[tuple[object, Any]]:
        """(raw sample, typed value), different ones."""
        random, read = Random(7), self.kind.reader(self.field, self.scope)
        for _ in range(SAMPLES):
            raw = self.kind.sample(random, self.field, self.scope)
            yield raw, accepted(read, raw)

    @property
    def derived(self) -> bool:
        return self.kind.family == "derived"


def subject(kind: FieldType, codes: Iterable[str] = (), **options: Any) -> Subject:
    """A field of this type, with these options, in a workspace with nothing else."""
    field = read_fields({"f": {"type": kind.name, **options}})["f"]
    return Subject(kind, field, FieldScope(Bundle({}), types={kind.name: kind}), frozenset(codes))


FORMATS = FormatChecker(())
FORMATS.checks("date", (ValueError,))(lambda text: not isinstance(text, str) or 1800 <= date.fromisoformat(text).year <= 9998)
FORMATS.checks("date-time", (ValueError,))(lambda text: not isinstance(text, str) or FIRST <= datetime.fromisoformat(text).timestamp() < LAST)
FORMATS.checks("uri", ())(lambda text: not isinstance(text, str) or is_web_address(text))
FORMATS.checks("cn-region", ())(lambda text: not isinstance(text, str) or text in regions.names())
FORMATS.checks("cn-id", (ValueError,))(
    lambda text: (
        not isinstance(text, str)
        or (text[17].upper() == check_character(text[:17]) and bool(date(int(text[6:10]), int(text[10:12]), int(text[12:14]))) and "11" <= text[:2] <= "83")
    )
)


def accepts(schema: dict[str, Any], raw: object) -> bool:
    """Whether the plain JSON Schema accepts a JSON value; decimals are compared as the digits of the JSON text, as the standard means it."""
    if "multipleOf" in schema:
        schema, raw = (json.loads(json.dumps(item), parse_float=Decimal) for item in (schema, raw))
    return bool(Draft202012Validator(schema, format_checker=FORMATS).is_valid(raw))


def is_described(subject: Subject) -> None:
    """It has a name, a title in both languages, options that are JSON Schema, and a type in expressions."""
    kind = subject.kind
    word = kind.word()
    assert label_text(kind.title, "zh") and label_text(kind.title, "en") and word.name == kind.name == subject.field.type
    assert set(kind.required_options) <= set(kind.options)
    Draft202012Validator.check_schema({"type": "object", "properties": dict(kind.options)})
    assert all(option["title"] and option["x-en"]["title"] for option in kind.options.values()), "an option without titles"
    assert Type.read(kind.expression_type(subject.field))
    assert kind.widget.isidentifier() and kind.align in ("start", "end")
    assert all(label_text(operator.title, "zh") and "{field}" in operator.expression for operator in kind.operators)


def has_a_column_on_both_databases(subject: Subject) -> None:
    """Its values lie in a column that both databases can make, and sealed ones in text."""
    column = subject.kind.column(subject.field)
    if column is None:
        assert subject.derived
        return
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        assert str(sa.schema.CreateTable(sa.Table("t", sa.MetaData(), sa.Column("c", column))).compile(dialect=dialect))


def reads_what_it_samples(subject: Subject) -> None:
    """Every sample is read, by the liberal and by the strict reader alike, and the schema accepts it."""
    if subject.derived:
        return
    schema, strict = subject.kind.json_schema(subject.field, subject.scope), subject.kind.json_reader(subject.field, subject.scope)
    Draft202012Validator.check_schema(schema)
    for raw, value in subject.values():
        assert value is not None and strict(raw) == value, raw
        assert accepts(schema, raw), (schema, raw)


def faces_lead_back(subject: Subject) -> None:
    """JSON, form, spreadsheet cell and sealed text of a value give the value again; the JSON form fits the schema."""
    if subject.derived:
        return
    kind, field, scope = subject.kind, subject.field, subject.scope
    read, cell, schema = kind.reader(field, scope), kind.cell_reader(field, scope), kind.json_schema(field, scope)
    for _, value in subject.values():
        shown = kind.to_json(value, field, scope)
        assert json.loads(json.dumps(shown)) == shown and read(shown) == value
        assert accepts(schema, shown), (schema, shown)
        assert read(kind.to_form(value, field, scope)) == value
        assert cell(kind.to_cell(value, field, scope)) == value
        assert isinstance(kind.to_cell(value, field, scope), str | int | float | bool | date | datetime)
        assert kind.from_plain(kind.plain(value, field), field) == value and isinstance(kind.blind(value, field), str)


def is_written_as_its_json(subject: Subject) -> None:
    """What orjson writes by the shorter way is the JSON form, for every value."""
    kind, field, scope = subject.kind, subject.field, subject.scope
    write = kind.json_writer(field, scope)
    for _, value in () if subject.derived else subject.values():
        assert orjson.dumps(value if write is None else write(value)) == orjson.dumps(kind.to_json(value, field, scope))


def is_shown_as_text(subject: Subject) -> None:
    """People see plain text in both languages, masked text hides something, and empty is empty in every face."""
    kind, field, scope = subject.kind, subject.field, subject.scope
    for locale in ("zh", "en"):
        assert kind.show(None, field, scope, locale) == ""
        for _, value in () if subject.derived else subject.values():
            assert isinstance(kind.show(value, field, scope, locale), str) and kind.show(value, field, scope, locale)
            assert kind.mask(value, field) and kind.mask(value, field) != kind.show(value, field, scope, locale)
    assert kind.mask(None, field) == "" and kind.to_cell(None, field, scope) is None
    assert kind.to_json(None, field, scope) in (None, []) and kind.to_form(None, field, scope) in ("", [], None)


def reads_empty_as_empty(subject: Subject) -> None:
    """Nothing, an empty text and white space are no value."""
    kind, field, scope = subject.kind, subject.field, subject.scope
    for read in (kind.reader(field, scope), kind.cell_reader(field, scope)):
        assert read(None) is None and read("") is None
    if not subject.derived:
        assert kind.json_reader(field, scope)(None) is None


HOSTILE: tuple[object, ...] = (
    True,
    False,
    0,
    1,
    -1,
    1.0,
    1.5,
    12.34,
    0.1 + 0.2,
    19.99,
    1e16,
    -1e300,
    2**53 - 1,
    2**53,
    -(2**53),
    10**30,
    "",
    " ",
    "x",
    "是",
    "1",
    "12.5",
    "350万",
    "¥1,000.50",
    "2025-12-03",
    "2025-02-30",
    "2025-12-03T10:00:00+08:00",
    "2025-12-03T10:00:00Z",
    "2025-12-03T24:00:00Z",
    "2025-12-03T10:00",
    "2025年12月3日",
    "0001-01-01",
    "9999-12-31T23:59:59-12:00",
    "P3D",
    "PT",
    "P1M",
    "PT90M",
    "+8613800138000",
    "13800138000",
    "138 0013 8000",
    "0571-88881234",
    "+8657188881234;ext=801",
    "1.32001E+10",
    "a@b.c",
    "a@b",
    "x@example.com",
    "https://example.com/a?b=1",
    "http://",
    "javascript:alert(1)",
    "ftp://x.y",
    "https://user@host/",
    "https://h:99999/",
    "330106",
    "999999",
    "330000",
    "11010119900307653X",
    "110101199003076530",
    "=1+1",
    "<script>alert(1)</script>",
    "<p>x</p>",
    "a\0b",
    "\ud800",
    "𠮷野家👨‍👩‍👧",
    "‮abc",
    "A" * 600,
    "好" * 600,
    "x" * 20_000,
    "a",
    "b",
    "a,b",
    "null",
    "[1]",
    '{"a": 1}',
    [],
    [""],
    [None],
    [1],
    [1, 1],
    [1.0],
    ["a"],
    ["a", "a"],
    ["b", "a"],
    ["a", "zzz"],
    [[]],
    [{}],
    [{"id": 1}],
    [{"id": 0}],
    [True],
    {},
    {"id": 1},
    {"id": 1, "label": "x"},
    {"id": 1, "label": None},
    {"id": "1"},
    {"id": 1.0},
    {"id": -1},
    {"id": True},
    {"id": None},
    {"id": 1, "x": 2},
    {"region": "330106", "detail": "x"},
    {"region": "x"},
    {"detail": 1},
    {"street": "x"},
    ["t" * 41],
    ["x"] * 60,
    list(range(1, 600)),
)


def is_exactly_its_schema(subject: Subject) -> None:
    """The strict reader accepts exactly what the schema says, and reads it as the liberal one does.

    Beyond any schema: white space at the ends (trimmed first), values that are empty, halves of surrogate pairs. A type with
    ``schema_is_wider`` may refuse more than its schema can say.
    """
    if subject.derived:
        return
    kind, field, scope = subject.kind, subject.field, subject.scope
    schema, strict, read = kind.json_schema(field, scope), kind.json_reader(field, scope), kind.reader(field, scope)

    def compare(raw: object) -> None:
        if not _comparable(raw):
            return
        try:
            value = accepted(strict, raw)
        except Wrong as wrong:
            assert kind.schema_is_wider or not accepts(schema, raw), (wrong.code, raw, schema)
            return
        assert read(raw) == value
        if value is not None:
            assert accepts(schema, raw), (raw, schema)

    for raw in HOSTILE:
        compare(raw)
    given(st.one_of(JSON, st.text(max_size=30), mutations(subject)))(_settled(compare))()


def refuses_only_by_its_own_word(subject: Subject) -> None:
    """Whatever is given, a reader answers with a value or with Wrong, returned or raised, whose code has a sentence in both languages."""
    kind, field, scope = subject.kind, subject.field, subject.scope
    readers = (kind.reader(field, scope), kind.json_reader(field, scope), kind.cell_reader(field, scope))

    def read(raw: object) -> None:
        for reader in readers:
            try:
                value = accepted(reader, raw)
            except Wrong as wrong:
                assert wrong.code in subject.codes or catalogue()[wrong.code].keys() >= {"zh", "en"}, wrong.code
            else:
                assert value is None or kind.show(value, field, scope, "zh") is not None

    for raw in (*HOSTILE, math.nan, math.inf, date(2025, 12, 3), datetime(2025, 12, 3, 10), b"x", object(), 45994, 45994.5, (1, 2)):
        read(raw)
    given(st.one_of(JSON, st.text(max_size=40), st.floats(), mutations(subject)))(_settled(read))()


def tokens_are_letters_and_digits(subject: Subject) -> None:
    """Search tokens hold nothing a full-text index would split at, and there are none of sealed values."""
    for _, value in () if subject.derived else subject.values():
        assert all(token.isalnum() for token in subject.kind.search_tokens(value, subject.field))
        assert not subject.kind.search_tokens(value, _sealed(subject.field))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)


def mutations(subject: Subject) -> st.SearchStrategy[object]:
    """Samples with a character exchanged, dropped or doubled."""
    if subject.derived:
        return st.none()
    samples = [raw for raw, _ in subject.values()]

    def change(raw: object, at: int, letter: str, how: int) -> object:
        if not isinstance(raw, str) or not raw:
            return [raw] if how == 0 else raw
        at %= len(raw)
        return raw[:at] + ("" if how == 0 else letter if how == 1 else raw[at] * 2) + raw[at + 1 :]

    return st.builds(change, st.sampled_from(samples), st.integers(0, 200), st.characters(exclude_categories=("Cs",)), st.integers(0, 2))


def _settled(function: Callable[[Any], None]) -> Callable[[Any], None]:
    return settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))(function)


def _comparable(raw: object) -> bool:
    if isinstance(raw, str):
        return raw == raw.strip() and raw != "" and not any("\ud800" <= character <= "\udfff" for character in raw)
    if isinstance(raw, list):
        return all(_comparable(item) or item == "" for item in raw)
    if isinstance(raw, dict):
        return all(_comparable(key) and _comparable(item) for key, item in raw.items())
    return not isinstance(raw, int | float) or abs(raw) < 1e300


def _sealed(field: Field) -> Field:
    return Field(field.key, field.type, search=field.search or "text", encrypted=True, options=field.options)


CONTRACT: tuple[Callable[[Subject], None], ...] = (
    is_described,
    has_a_column_on_both_databases,
    reads_what_it_samples,
    faces_lead_back,
    is_written_as_its_json,
    is_shown_as_text,
    reads_empty_as_empty,
    is_exactly_its_schema,
    refuses_only_by_its_own_word,
    tokens_are_letters_and_digits,
)
