"""Connections that rest between requests: nothing of one use is left to the next, nobody is kept waiting for them, plans outlive pages."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.database import Database
from engine.database_faults import UnscopedStatement
from engine.database_postgresql import PostgresServer
from engine.database_ready import Ready
from engine.database_resting import Resting
from engine.settings import Settings
from tests.engine.databases import opened

NUMBERS = sa.MetaData()
number = sa.Table("number", NUMBERS, sa.Column("n", sa.BigInteger))
rows = sa.Table("r_number", NUMBERS, sa.Column("n", sa.BigInteger))
COUNT = sa.select(sa.func.count()).select_from(number)


def test_what_was_said_to_a_connection_is_not_said_for_the_next(tmp_path: Path, database_kind: str, new_postgres_database: Callable[[], str]):
    with opened(database_kind, tmp_path, new_postgres_database) as database:
        with database.write() as connection:
            NUMBERS.create_all(connection)
        for way in (database.read, database.snapshot, partial(database.snapshot, long=True), database.write):
            with way() as connection:
                connection.execution_options(scoped=True)
                connection.execute(sa.select(rows)).all()
            with pytest.raises(UnscopedStatement), way() as connection:
                connection.execute(sa.select(rows)).all()


def test_a_transaction_ends_with_its_block_whatever_happened_in_it(tmp_path: Path, database_kind: str, new_postgres_database: Callable[[], str]):
    with opened(database_kind, tmp_path, new_postgres_database) as database:
        with database.write() as connection:
            NUMBERS.create_all(connection)

        def count(way: Callable[[], AbstractContextManager[sa.Connection]]) -> int:
            with way() as connection:
                return int(connection.execute(COUNT).scalar_one())

        for known, way in enumerate((database.read, database.snapshot, partial(database.snapshot, long=True), database.write)):
            for error, statement in ((sa.exc.DBAPIError, sa.text("SELECT nothing FROM nowhere")), (KeyError, COUNT)):
                with pytest.raises(error), way() as connection:
                    if way == database.write:
                        connection.execute(number.insert().values(n=1))
                    connection.execute(statement)
                    raise KeyError
            with database.write() as connection:
                connection.execute(number.insert().values(n=2))
            assert count(database.read) == count(database.snapshot) == count(partial(database.snapshot, long=True)) == known + 1


def test_pages_leave_prepared_statements_prepared(tmp_path: Path, new_postgres_database: Callable[[], str]):
    """A rollback would make psycopg throw them away, so that each page would be planned from nothing."""
    asked = Ready(COUNT.where(number.c.n > sa.bindparam("least", type_=sa.BigInteger, required=True)))
    with opened("postgresql", tmp_path, new_postgres_database) as database:
        with database.write() as connection:
            NUMBERS.create_all(connection)
        for _ in range(8):
            with database.snapshot() as connection:
                asked.first(connection, {"least": 1})
        with database.read() as connection:
            kept = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%number%%'").scalar_one()
    assert kept == 1


def test_one_workspace_never_rests_on_all_connections_of_the_server(tmp_path: Path, new_postgres_database: Callable[[], str]):
    settings = Settings(home=tmp_path, database_url=new_postgres_database(), secret_key="x" * 32, pool_size=2, pool_overflow=1)
    server = PostgresServer(settings)
    databases = [server.database("public") for _ in range(5)]
    for _ in range(3):
        for database in databases:
            assert _both(database) == 2
    server.close()


def _both(database: Database) -> int:
    with database.read() as one, database.snapshot() as other:
        return int(one.execute(sa.select(sa.literal(1))).scalar_one()) + int(other.execute(sa.select(sa.literal(1))).scalar_one())


def test_the_last_used_is_given_first_and_the_longest_idle_makes_room():
    engine, other = sa.create_engine("sqlite://"), sa.create_engine("sqlite://")
    resting = Resting(2)
    with resting.lend(engine) as first, resting.lend(engine) as second:
        pass
    with resting.lend(engine) as found:
        assert found is first, "given back last"
    with resting.lend(other) as stranger:
        assert stranger.engine is other
    with resting.lend(engine) as found:
        assert found is first and second.closed
    resting.let_go(engine)
    assert first.closed and not stranger.closed
    resting.let_go()
    assert stranger.closed


def test_one_that_died_while_it_rested_is_not_given():
    engine, dead = sa.create_engine("sqlite://"), set[sa.Connection]()
    resting = Resting(2, lambda connection: connection not in dead, trusted=0.0)
    with resting.lend(engine) as first:
        pass
    with resting.lend(engine) as again:
        assert again is first
    dead.add(first)
    with resting.lend(engine) as found:
        assert found is not first and first.closed
