"""What every request begins with is read again exactly when somebody committed something."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.database import Database
from tests.engine.databases import opened

things = sa.Table("things", sa.MetaData(), sa.Column("name", sa.String))


def names(asked: list[int]) -> Callable[[sa.Connection], list[str]]:
    def ask(connection: sa.Connection) -> list[str]:
        asked.append(1)
        return list(connection.execute(sa.select(things.c.name).order_by(things.c.name)).scalars())

    return ask


def add(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute(things.insert().values(name=name))


def test_an_answer_holds_until_anybody_commits(tmp_path: Path, database_kind: str, new_postgres_database: Callable[[], str]):
    with opened(database_kind, tmp_path, new_postgres_database) as database:
        with database.write() as connection:
            things.create(connection)
        asked: list[int] = []
        for expected in (["a"], ["a", "b"]):
            add(database, expected[-1])
            assert [database.kept("names", names(asked)) for _ in range(3)] == [expected] * 3
        assert len(asked) == (2 if database_kind == "sqlite" else 6)
        assert database.kept("other", names(asked)) == ["a", "b"]


def test_another_process_is_noticed_too(tmp_path: Path):
    with opened("sqlite", tmp_path, str) as database:
        with database.write() as connection:
            things.create(connection)
        asked: list[int] = []
        assert database.kept("names", names(asked)) == []
        other = sqlite3.connect(tmp_path / "things.db")
        other.execute("INSERT INTO things VALUES ('z')")
        assert database.kept("names", names(asked)) == []  # not committed yet
        other.commit()
        assert database.kept("names", names(asked)) == ["z"] and len(asked) == 2
        other.close()


def test_a_rolled_back_write_leaves_no_answer_behind(tmp_path: Path):
    with opened("sqlite", tmp_path, str) as database:
        with database.write() as connection:
            things.create(connection)
        asked: list[int] = []
        try:
            with database.write() as connection:
                connection.execute(things.insert().values(name="lost"))
                assert database.kept("names", names(asked)) == []
                raise ValueError
        except ValueError:
            pass
        assert database.kept("names", names(asked)) == []


def test_a_question_that_fails_leaves_the_next_one_alone(tmp_path: Path):
    with opened("sqlite", tmp_path, str) as database:
        with database.write() as connection:
            things.create(connection)

        def wrong(connection: sa.Connection) -> list[str]:
            connection.execute(sa.select(things)).first()
            raise LookupError

        with pytest.raises(LookupError):
            database.kept("names", wrong)
        add(database, "a")
        assert database.kept("names", names([])) == ["a"]
