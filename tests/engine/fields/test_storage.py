"""Every field type's values come back from both databases as they went in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from engine.fields.storage import Instant
from tests.contracts.field_type import Subject
from tests.engine.fields.test_contract import FIELDS, REGISTRY, SCOPE

STORED = {key: Subject(REGISTRY.field_types[field.type], field, SCOPE) for key, field in FIELDS.items() if REGISTRY.field_types[field.type].family != "derived"}


@pytest.fixture
def connected(database_kind: str, request: pytest.FixtureRequest) -> Callable[[], Iterator[sa.Connection]]:
    url = "sqlite://" if database_kind == "sqlite" else str(request.getfixturevalue("new_postgres_database")()).replace("postgresql:", "postgresql+psycopg:", 1)

    @contextmanager
    def connect() -> Iterator[sa.Connection]:
        database = sa.create_engine(url)
        try:
            with database.connect() as connection:
                yield connection
        finally:
            database.dispose()

    return connect


def test_values_of_every_type_come_back_as_they_went_in(connected):
    table = sa.Table(
        "values",
        sa.MetaData(),
        sa.Column("n", sa.Integer, primary_key=True),
        *(sa.Column(key, subject.kind.column(subject.field)) for key, subject in STORED.items()),
    )
    plain = {key: [value for _, value in subject.values()] for key, subject in STORED.items() if not subject.field.encrypted}
    rows = [{"n": number, **{key: values[number] for key, values in plain.items()}} for number in range(10)]
    with connected() as connection:
        table.create(connection)
        connection.execute(table.insert(), rows)
        connection.execute(table.insert(), [{"n": 99, **dict.fromkeys(plain)}])
        found = [dict(row) for row in connection.execute(table.select().order_by(table.c.n)).mappings()]
    for wanted, row in zip(rows, found, strict=False):
        assert {key: row[key] for key in wanted} == wanted
        assert {key: type(row[key]) for key in wanted} == {key: type(value) for key, value in wanted.items()}
    assert all(found[-1][key] is None for key in plain)


def test_hostile_but_allowed_texts_come_back_unchanged(connected):
    table = sa.Table("texts", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True), sa.Column("text", STORED["text"].kind.column(FIELDS["text"])))
    texts = ["𠮷野家😀", "'; drop table texts; --", "\\", "%_", "‮abc", "\u200b", "é", "e\u0301", "=1+1", "\x01\x7f", "İßﬁ", "\ufeffx", "a\u2028b"]
    read = STORED["long_text"].kind.reader(FIELDS["long_text"], SCOPE)
    values = [read(text) for text in texts]
    with connected() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"n": number, "text": value} for number, value in enumerate(values)])
        assert list(connection.execute(sa.select(table.c.text).order_by(table.c.n)).scalars()) == values


def test_an_instant_keeps_its_microsecond_and_needs_a_zone(connected):
    table = sa.Table("moments", sa.MetaData(), sa.Column("at", Instant()))
    value = datetime(2025, 12, 3, 7, 0, 0, 123456, tzinfo=UTC)
    with connected() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"at": value}])
        found = connection.execute(sa.select(table.c.at).where(table.c.at == value)).scalar_one()
        assert found == value and found.utcoffset().total_seconds() == 0
        with pytest.raises(sa.exc.StatementError):
            connection.execute(table.insert(), [{"at": datetime(2025, 12, 3)}])
