"""Ready statements: the same values, refusals, guard and events as SQLAlchemy's own way, on both databases."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.database import Database
from engine.database_faults import UnscopedStatement, violation_of
from engine.database_postgresql import PostgresServer
from engine.database_ready import PutOffFailed, Ready, catch_up
from engine.errors import Unavailable
from engine.settings import Settings
from engine.storage import Instant, JsonList, JsonValue, Key
from tests.engine.databases import opened

THINGS = sa.MetaData()
thing = sa.Table(
    "thing",
    THINGS,
    sa.Column("id", Key, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, unique=True),
    sa.Column("number", sa.BigInteger),
    sa.Column("share", sa.Double),
    sa.Column("on", sa.Date),
    sa.Column("at", Instant),
    sa.Column("vip", sa.Boolean),
    sa.Column("tags", JsonList),
    sa.Column("body", JsonValue),
    sqlite_autoincrement=True,
)
record = sa.Table("r_thing", THINGS, sa.Column("id", Key, primary_key=True))
NAMES = ("name", "number", "share", "on", "at", "vip", "tags", "body")
INSERT = Ready(sa.insert(thing).returning(thing.c.id), NAMES)
SELECT = Ready(sa.select(thing).where(thing.c.name == sa.bindparam("name", type_=sa.Text, required=True)))
FULL = {
    "name": "中文 \U0001f600",
    "number": 2**53 - 1,
    "share": 0.25,
    "on": date(2026, 3, 15),
    "at": datetime(2026, 3, 15, 10, 0, 0, 123457, tzinfo=timezone(timedelta(hours=8))),
    "vip": True,
    "tags": ["a", "中"],
    "body": {"a": [1, None, {"b": True}]},
}
EMPTY = {**dict.fromkeys(NAMES), "name": "empty"}


@pytest.fixture
def database(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Database]:
    with opened(database_kind, tmp_path, new_postgres_database) as made:
        with made.write() as connection:
            THINGS.create_all(connection)
        yield made


def test_values_go_and_come_exactly_as_sqlalchemy_brings_them(database: Database):
    with database.write() as connection:
        made = [INSERT.first(connection, row) for row in (FULL, EMPTY)]
    with database.read() as connection:
        for row, key in zip((FULL, EMPTY), made, strict=True):
            assert key is not None
            ready = SELECT.first(connection, {"name": row["name"]})
            plain = connection.execute(sa.select(thing).where(thing.c.id == key[0])).one()
            assert ready == tuple(plain) == (key[0], *row.values())
            assert [type(value) for value in ready] == [type(value) for value in plain]
        assert SELECT.rows(connection, {"name": "nobody"}) == [] and SELECT.first(connection, {"name": "nobody"}) is None


def test_an_update_tells_how_many_rows_it_touched_and_constants_stand_in_the_text(database: Database):
    raise_it = Ready(
        sa.update(thing).where(thing.c.name == sa.bindparam("who", type_=sa.Text, required=True)).values(number=7, at=datetime(2026, 1, 1, tzinfo=UTC))
    )
    with database.write() as connection:
        INSERT.first(connection, FULL)
        assert raise_it.run(connection, {"who": FULL["name"]}) == 1 and raise_it.run(connection, {"who": "nobody"}) == 0
        found = SELECT.first(connection, {"name": FULL["name"]})
    assert found is not None and found[2] == 7 and found[5] == datetime(2026, 1, 1, tzinfo=UTC)


def test_constants_that_stand_in_the_text_stand_there_in_every_run(database: Database):
    """A partial index is used only where they do."""
    texts = ["中文 \U0001f600", "100%", "it's :name"]
    in_text = [sa.bindparam("some", text, literal_execute=True, unique=True) for text in texts]
    least = sa.bindparam("least", type_=Instant, required=True)
    found = Ready(sa.select(thing.c.name).where(sa.or_(*(thing.c.name == one for one in in_text)), thing.c.at > least, thing.c.number > 3).order_by(thing.c.id))
    with database.write() as connection:
        for text in texts:
            INSERT.first(connection, {**FULL, "name": text})
        INSERT.first(connection, {**FULL, "name": "no"})
    seen: list[str] = []

    def note(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with database.read() as connection:
            for least_at, names in ((datetime(2026, 1, 1, tzinfo=UTC), texts), (datetime(2026, 4, 1, tzinfo=UTC), [])):
                assert found.rows(connection, {"least": least_at}) == [(name,) for name in names]
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(set(seen)) == 1 and "'it''s :name'" in seen[0]


def test_a_missing_value_is_a_mistake_not_an_empty_one(database: Database):
    with pytest.raises(KeyError), database.read() as connection:
        SELECT.first(connection)


def test_it_is_committed_and_rolled_back_with_its_transaction(database: Database):
    with pytest.raises(KeyError), database.write() as connection:
        INSERT.first(connection, FULL)
        raise KeyError
    with database.read() as connection:
        assert SELECT.first(connection, {"name": FULL["name"]}) is None


def test_a_snapshot_asked_by_ready_statements_alone_sees_one_state(database: Database):
    count = Ready(sa.select(sa.func.count()).select_from(thing))
    with database.snapshot() as connection:
        assert count.first(connection) == (0,)
        with database.write() as other:
            INSERT.first(other, FULL)
        assert count.first(connection) == (0,)
    with database.read() as connection:
        assert count.first(connection) == (1,)


def test_nothing_can_be_written_while_reading(database: Database):
    with pytest.raises((Unavailable, sa.exc.DBAPIError)), database.snapshot() as connection:
        INSERT.first(connection, FULL)


def test_record_tables_are_reached_through_the_scope_compiler_only(database: Database):
    with pytest.raises(UnscopedStatement), database.read() as connection:
        Ready(sa.select(record.c.id)).rows(connection)
    with database.read() as connection:
        assert Ready(sa.select(record.c.id).execution_options(scoped=True)).rows(connection) == []


def test_a_broken_uniqueness_is_told_as_sqlalchemy_tells_it_but_without_the_values(database: Database):
    told = []
    for attempt in (lambda connection: INSERT.first(connection, FULL), lambda connection: connection.execute(sa.insert(thing).values(FULL))):
        with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as connection:
            INSERT.first(connection, FULL)
            attempt(connection)
        told.append(caught.value)
    assert violation_of(told[0]) == violation_of(told[1]) and told[0].params is None


def test_a_statement_whose_text_varies_with_its_values_answers_all_the_same(database: Database):
    varying = Ready(sa.select(thing.c.name, thing.c.at).where(thing.c.name.in_(sa.bindparam("names", expanding=True))).order_by(thing.c.name))
    removing = Ready(sa.delete(thing).where(thing.c.name.in_(sa.bindparam("names", expanding=True))))
    with database.write() as connection:
        INSERT.run_each(connection, [{**FULL, "name": "one"}, {**FULL, "name": "two"}])
        for names in ([], ["one"], ["one", "two"]):
            assert varying.rows(connection, {"names": names}) == [(name, FULL["at"]) for name in names]
        removing.run_each(connection, [{"names": ["one"]}, {"names": ["two"]}])
        assert varying.rows(connection, {"names": ["one", "two"]}) == []


def test_whoever_counts_statements_sees_it(database: Database):
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, parameters: object, context: object, executemany: bool) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with database.read() as connection:
            SELECT.rows(connection, {"name": "x"})
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(seen) == 1 and "thing" in seen[0]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_that_takes_too_long_is_stopped(kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]):
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < 10**9))
    endless = Ready(sa.select(sa.func.count()).select_from(numbers))
    with opened(kind, tmp_path, new_postgres_database, statement_timeout=0.3) as database, pytest.raises(Unavailable) as refused, database.read() as connection:
        endless.rows(connection)
    assert refused.value.code == "too_slow"


def test_two_schemas_of_one_server_are_never_mixed_up(tmp_path: Path, new_postgres_database: Callable[[], str]):
    server = PostgresServer(Settings(home=tmp_path, database_url=new_postgres_database(), secret_key="x" * 32))
    for name in ("ws_a", "ws_b"):
        server.create_schema(name)
        with server.database(name).write() as connection:
            THINGS.create_all(connection)
            INSERT.first(connection, {**EMPTY, "name": name})
    for name, other in (("ws_a", "ws_b"), ("ws_b", "ws_a")):
        with server.database(name).read() as connection:
            assert SELECT.first(connection, {"name": name}) is not None and SELECT.first(connection, {"name": other}) is None
    server.close()


def test_a_plan_prepared_before_a_publish_is_made_anew(tmp_path: Path, new_postgres_database: Callable[[], str]):
    """The column's other type is what a ready statement, which names its columns, can still meet."""
    with opened("postgresql", tmp_path, new_postgres_database, pool_size=1, pool_overflow=0) as database:
        with database.write() as connection:
            THINGS.create_all(connection)
            INSERT.first(connection, FULL)
        for _ in range(8):
            with database.read() as connection:
                SELECT.first(connection, {"name": FULL["name"]})
        with database.write() as connection:
            connection.execute(sa.text("ALTER TABLE ws_things.thing ALTER COLUMN vip TYPE text"))
        with database.read() as connection:
            found = SELECT.first(connection, {"name": FULL["name"]})
    assert found is not None and found[6] == "true"


def test_a_connection_the_server_dropped_leaves_the_pool(tmp_path: Path, new_postgres_database: Callable[[], str]):
    with opened("postgresql", tmp_path, new_postgres_database, pool_size=1, pool_overflow=0) as database:
        with database.write() as connection:
            THINGS.create_all(connection)
        with pytest.raises(Unavailable) as refused, database.write() as connection:
            own = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
            with database.outside() as other:
                other.execute(sa.select(sa.func.pg_terminate_backend(own)))
            SELECT.rows(connection, {"name": "x"})
        assert refused.value.code == "database_away"
        with database.write() as connection:
            assert SELECT.rows(connection, {"name": "x"}) == []


MOVE = Ready(sa.update(thing).where(thing.c.id == sa.bindparam("p_id", type_=sa.BigInteger)).values(number=sa.bindparam("w_number", type_=sa.BigInteger)))
NAME = Ready(sa.update(thing).where(thing.c.id == sa.bindparam("p_id", type_=sa.BigInteger)).values(name=sa.bindparam("w_name", type_=sa.Text)))
NUMBERS = sa.select(thing.c.number).order_by(thing.c.id)


def made(database: Database, *names: str) -> list[int]:
    with database.write() as connection:
        return [INSERT.rows(connection, {**EMPTY, "name": name})[0][0] for name in names]


def test_statements_put_off_are_done_before_anything_else_is_asked(database: Database):
    first, second = made(database, "a", "b")
    with database.write() as connection:
        for number in (1, 2):
            MOVE.put_off(connection, {"p_id": first, "w_number": number})
            MOVE.put_off(connection, {"p_id": second, "w_number": 10 * number})
        assert SELECT.rows(connection, {"name": "a"})[0][2] == 2
        MOVE.put_off(connection, {"p_id": first, "w_number": 3})
        assert list(connection.execute(NUMBERS).scalars()) == [3, 20]
        MOVE.put_off(connection, {"p_id": second, "w_number": 30})
        with connection.begin_nested() as inner:
            MOVE.run(connection, {"p_id": first, "w_number": 4})
            inner.rollback()
        catch_up(connection)
    with database.read() as connection:
        assert list(connection.execute(NUMBERS).scalars()) == [3, 30]


@pytest.mark.parametrize("wrong", [{"p_id": 0, "w_name": "nobody"}, {"p_id": None, "w_name": "a"}])
def test_what_goes_wrong_with_one_of_them_takes_all_back(database: Database, wrong: dict[str, object]):
    """A row that is not there, a name that is taken; and the connection's next transaction knows nothing of it."""
    _, second = made(database, "a", "b")
    with pytest.raises(PutOffFailed), database.write() as connection:
        NAME.put_off(connection, {"p_id": second, "w_name": "c"})
        NAME.put_off(connection, {**wrong, "p_id": second if wrong["p_id"] is None else 0})
        connection.execute(NUMBERS)
    with pytest.raises(RuntimeError), database.write() as connection:
        NAME.put_off(connection, {"p_id": second, "w_name": "d"})
        raise RuntimeError
    with database.write() as connection:
        connection.execute(NUMBERS)
    with database.read() as connection:
        assert sorted(connection.execute(sa.select(thing.c.name)).scalars()) == ["a", "b"]
