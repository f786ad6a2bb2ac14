"""Connections: what is committed, what is refused, who waits for whom, and what a person is told when the database cannot."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.database import Database
from engine.database_faults import LostRace, UnscopedStatement, violation_of
from engine.database_lock import FairLock
from engine.database_postgresql import PostgresServer
from engine.database_sqlite import check_file, create_file, open_sqlite
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
    sa.Column("at", Instant),
    sa.Column("tags", JsonList),
    sa.Column("body", JsonValue),
    sqlite_autoincrement=True,
)
record = sa.Table("r_thing", THINGS, sa.Column("id", Key, primary_key=True))


@contextmanager
def _made(kind: str, folder: Path, postgres: Callable[[], str], **words: object) -> Iterator[Database]:
    with opened(kind, folder, postgres, **words) as database:
        with database.write() as connection:
            THINGS.create_all(connection)
        yield database


@pytest.fixture
def database(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Database]:
    with _made(database_kind, tmp_path, new_postgres_database) as made:
        yield made


def _names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(thing.c.name).order_by(thing.c.id)).scalars())


def test_a_write_is_committed_at_the_end_and_rolled_back_by_any_exception(database):
    with database.write() as connection:
        connection.execute(thing.insert().values(name="kept"))
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(thing.insert().values(name="lost"))
        raise KeyError
    assert _names(database) == ["kept"]


def test_tables_are_made_and_unmade_within_a_transaction(database):
    other = sa.Table("other", sa.MetaData(), sa.Column("id", Key, primary_key=True))
    with pytest.raises(KeyError), database.write() as connection:
        other.create(connection)
        raise KeyError
    with database.write() as connection:
        other.create(connection)


def test_values_come_back_as_they_went_in(database):
    moment = datetime(2026, 3, 15, 10, 0, 0, 123457, tzinfo=timezone(timedelta(hours=8)))
    row = {"name": "中文 \U0001f600", "number": 2**53 - 1, "at": moment, "tags": ["a", "中"], "body": {"a": [1, None, {"b": True}]}}
    with database.write() as connection:
        connection.execute(thing.insert().values(**row))
        connection.execute(thing.insert().values(name="empty", tags=[]))
    with database.read() as connection:
        full, empty = connection.execute(sa.select(thing).order_by(thing.c.id)).mappings().all()
    assert {key: full[key] for key in row} == row and full["at"].tzinfo is UTC
    assert (empty["at"], empty["tags"], empty["body"]) == (None, [], None)
    assert type(full["at"]) is datetime


def test_a_naive_instant_is_refused(database):
    with pytest.raises(sa.exc.StatementError), database.write() as connection:
        connection.execute(thing.insert().values(at=datetime(2026, 1, 1)))


def test_nothing_can_be_written_while_reading(database):
    with pytest.raises((Unavailable, sa.exc.DBAPIError)), database.snapshot() as connection:
        connection.execute(thing.insert().values(name="sneaked"))
    assert _names(database) == []


def test_a_snapshot_sees_one_state_while_others_write(database):
    with database.snapshot() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(thing)).scalar_one()
        with database.write() as other:
            other.execute(thing.insert().values(name="meanwhile"))
        assert connection.execute(sa.select(sa.func.count()).select_from(thing)).scalar_one() == before
    assert _names(database) == ["meanwhile"]


def test_record_tables_are_reached_through_the_scope_compiler_only(database):
    for statement in (
        sa.select(record.c.id),
        record.insert().values(id=1),
        record.update().values(id=2),
        record.delete(),
        sa.select(thing.c.id).where(thing.c.id.in_(sa.select(record.c.id))),
        sa.text("SELECT count(*) FROM r_thing"),
    ):
        with pytest.raises(UnscopedStatement), database.write() as connection:
            connection.execute(statement)
    with database.write() as connection:
        connection.execute(record.insert().values(id=1), execution_options={"scoped": True})
        connection.execution_options(scoped=True)
        assert connection.execute(sa.select(record.c.id)).scalar_one() == 1


def test_a_value_that_looks_like_a_record_table_is_only_a_value(database):
    with database.write() as connection:
        connection.execute(thing.insert().values(name="r_thing"))
    assert _names(database) == ["r_thing"]


def test_a_broken_uniqueness_says_which(database):
    with database.write() as connection:
        connection.execute(thing.insert().values(name="one"))
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as connection:
        connection.execute(thing.insert().values(name="one"))
    violation = violation_of(caught.value)
    assert violation.kind == "unique" and violation.table == "thing" and (violation.columns == ("name",) or violation.index == "thing_name_key")


def test_a_lost_race_is_run_again_as_a_whole(database):
    tries = []

    def work(connection: sa.Connection) -> int:
        tries.append(1)
        connection.execute(thing.insert().values(name=f"try {len(tries)}"))
        if len(tries) < 3:
            raise LostRace
        return len(tries)

    assert database.transact(work) == 3
    assert _names(database) == ["try 3"]
    tries.clear()
    with pytest.raises(LostRace):
        database.transact(lambda connection: work(connection) and None if len(tries) < 2 else (_ for _ in ()).throw(LostRace()), attempts=2)


def test_six_writers_at_once_never_meet_a_locked_database(database):
    failures: list[Exception] = []

    def write(number: int) -> None:
        for turn in range(15):
            try:
                with database.write() as connection:
                    most = connection.execute(sa.select(sa.func.max(thing.c.number))).scalar_one()
                    connection.execute(thing.insert().values(name=f"{number}-{turn}", number=(most or 0) + 1))
            except (Unavailable, sa.exc.DBAPIError) as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(_names(database)) == 90


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_read_that_takes_too_long_is_stopped(kind, tmp_path, new_postgres_database):
    with _made(kind, tmp_path, new_postgres_database, statement_timeout=0.2) as database:
        endless = sa.text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000000) SELECT count(*) FROM n")
        started = time.monotonic()
        for way in (database.read, database.snapshot):
            with pytest.raises(Unavailable, match="too_slow"), way() as connection:
                connection.execute(endless)
        assert time.monotonic() - started < 3
        with database.read() as connection:
            assert connection.execute(sa.select(sa.literal(1))).scalar_one() == 1


def test_a_plan_prepared_before_a_publish_is_made_anew(tmp_path, new_postgres_database):
    with _made("postgresql", tmp_path, new_postgres_database, pool_size=1, pool_overflow=0) as database:
        everything = sa.text("SELECT * FROM ws_things.thing")
        for _ in range(8):
            with database.read() as connection:
                connection.execute(everything).all()
        with database.write() as connection:
            connection.execute(sa.text("ALTER TABLE ws_things.thing ADD COLUMN more text"))
        with database.read() as connection:
            assert "more" in connection.execute(everything).keys()  # noqa: SIM118


def test_connections_heal_after_the_server_dropped_them(tmp_path, new_postgres_database, monkeypatch):
    with _made("postgresql", tmp_path, new_postgres_database, pool_size=1, pool_overflow=0) as database:
        with database.read() as connection:
            number = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
        with database.write() as connection:
            connection.execute(sa.select(sa.func.pg_terminate_backend(number)))
        monkeypatch.setattr("engine.database_postgresql._PING_AFTER", 0.0)
        time.sleep(0.1)
        assert _names(database) == []


def test_two_schemas_of_one_server_never_see_each_other(tmp_path, new_postgres_database):
    server = PostgresServer(Settings(home=tmp_path, database_url=new_postgres_database(), secret_key="x" * 32, pool_size=2))
    one, two = (server.database(name) for name in ("ws_one", "ws_two"))
    for name, database in (("ws_one", one), ("ws_two", two)):
        server.create_schema(name)
        with database.write() as connection:
            THINGS.create_all(connection)
            connection.execute(thing.insert().values(name=name))
    for _ in range(20):
        assert (_names(one), _names(two)) == (["ws_one"], ["ws_two"])
    server.drop_schema("ws_one")
    assert "ws_one" not in server.schemas() and "ws_two" in server.schemas()
    server.close()


# --- SQLite files ----------------------------------------------------------------------------------------------------------------------------


def test_a_sqlite_file_is_opened_safely(tmp_path):
    with _made("sqlite", tmp_path, lambda: "") as database:
        for way in (database.read, database.write):
            with way() as connection:
                words = {
                    word: connection.exec_driver_sql(f"PRAGMA {word}").scalar_one() for word in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
                }
            assert words == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    assert (tmp_path / "things.db").stat().st_mode & 0o077 == 0


def test_what_need_not_last_does_not_wait_for_the_disc_and_what_follows_does(tmp_path):
    with _made("sqlite", tmp_path, lambda: "") as database:
        seen = []
        for number, lasting in enumerate((True, False, False, True)):
            with database.write(lasting=lasting) as connection:
                seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
                connection.execute(thing.insert().values(name=str(number)))
        assert seen == [2, 1, 1, 2] and _names(database) == ["0", "1", "2", "3"]
    with _made("sqlite", tmp_path / "off", lambda: "", sqlite_synchronous="OFF") as database, database.write(lasting=False) as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 0, "never more careful than it was told to be"


def test_what_need_not_last_does_not_wait_for_the_servers_log(tmp_path, new_postgres_database):
    with _made("postgresql", tmp_path, new_postgres_database) as database:
        with database.write() as connection:
            connection.exec_driver_sql("SET synchronous_commit TO on")
        for lasting, word in ((False, "off"), (True, "on")):
            with database.write(lasting=lasting) as connection:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == word


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("these are my notes, not a database")
    with pytest.raises(Unavailable, match="database_file_foreign"):
        check_file(path)
    assert path.read_text().startswith("these are my notes")
    with pytest.raises(Unavailable, match="database_file_unreadable"):
        check_file(tmp_path / "missing.db")


def test_a_damaged_file_is_told_plainly(tmp_path):
    with _made("sqlite", tmp_path, lambda: "") as database, database.write() as connection:
        connection.execute(thing.insert(), [{"name": f"row {number}" * 50} for number in range(500)])
    path = tmp_path / "things.db"
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)
    damaged = open_sqlite(path, Settings(home=tmp_path))
    with pytest.raises(Unavailable, match="database_corrupt"), damaged.read() as connection:
        connection.execute(sa.select(thing)).all()


def test_a_full_disk_is_told_plainly_and_reading_goes_on(tmp_path):
    with _made("sqlite", tmp_path, lambda: "") as database:
        with database.write() as connection:
            connection.execute(thing.insert().values(name="before"))
        with pytest.raises(Unavailable, match="database_full"), database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
            connection.execute(thing.insert(), [{"name": str(number) * 400} for number in range(200)])
        assert _names(database) == ["before"]
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
            connection.execute(thing.insert().values(name="after"))
        assert _names(database) == ["before", "after"]


def test_a_writer_that_waits_too_long_is_told_so(tmp_path):
    with _made("sqlite", tmp_path, lambda: "", busy_timeout=0.2) as database:
        holding, done = threading.Event(), threading.Event()

        def hold() -> None:
            with database.write():
                holding.set()
                done.wait(5)

        thread = threading.Thread(target=hold)
        thread.start()
        holding.wait(5)
        with pytest.raises(Unavailable, match="database_busy"), database.write():
            pass
        done.set()
        thread.join()
        with database.write() as connection:
            connection.execute(thing.insert().values(name="later"))


def test_a_write_inside_a_write_is_a_mistake_not_a_deadlock(tmp_path):
    with _made("sqlite", tmp_path, lambda: "") as database, database.write(), pytest.raises(RuntimeError, match="inside a write"), database.write():
        pass


# --- the lock ----------------------------------------------------------------------------------------------------------------------------------


def _queue_up(lock: FairLock, names: list[tuple[str, bool]], order: list[str]) -> list[threading.Thread]:
    threads = []
    for name, background in names:

        def run(name: str = name, background: bool = background) -> None:
            assert lock.acquire(5, background=background)
            order.append(name)
            lock.release()

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        deadline = time.monotonic() + 5
        while len(lock._requests) + len(lock._background) < len(threads) and time.monotonic() < deadline:
            time.sleep(0.001)
    return threads


def test_people_go_before_background_work_and_first_come_first_served():
    lock, order = FairLock(), []
    assert lock.acquire(1)
    threads = _queue_up(lock, [("job 1", True), ("person 1", False), ("job 2", True), ("person 2", False)], order)
    assert lock.wanted()
    lock.release()
    for thread in threads:
        thread.join()
    assert order == ["person 1", "person 2", "job 1", "job 2"]
    assert not lock.wanted() and lock.acquire(0)


def test_who_gave_up_waiting_is_not_served():
    lock = FairLock()
    assert lock.acquire(1)
    results = []
    thread = threading.Thread(target=lambda: results.append(lock.acquire(0.05)))
    thread.start()
    thread.join()
    assert results == [False]
    lock.release()
    assert lock.acquire(0)


def test_another_process_coming_and_going_never_takes_the_log_away(tmp_path):
    """Opening a file a second time must not drop the locks of the first: the leaving process would believe itself the last and delete the log."""
    path = tmp_path / "shared.db"
    create_file(path)
    settings = Settings.from_environment({"TANGRAM_HOME": str(tmp_path)})
    first = open_sqlite(path, settings)
    with first.write() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (n INTEGER)")
    with first.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM seen").scalar_one() == 0
    second = open_sqlite(path, settings)
    for number in range(1, 4):
        code = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('INSERT INTO seen VALUES ({number})'); c.commit(); c.close()"
        subprocess.run([sys.executable, "-c", code], check=True)
        for database in (first, second):
            with database.read() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM seen").scalar_one() == number
    first.close()
    second.close()
