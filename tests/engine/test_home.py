"""One installation: workspaces appear whole or not at all, versions are noticed, releases fit or are refused in one line, sandboxes have their own time."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine import clock, migrations, system_tables
from engine.actors import system_actor
from engine.context import Cause, Context
from engine.database_sqlite import open_sqlite
from engine.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from engine.home import Home
from engine.settings import Settings
from engine.system_tables import version
from engine.system_tables_imports import import_batch, import_row

NOON = datetime(2026, 3, 15, 4, tzinfo=UTC)


def _load(connection, home, database, state, known):
    """A workspace that only knows its version."""
    return SimpleNamespace(name=state.name, version=state.version, database=database, title=state.title, cache={})


def _settings(kind: str, folder: Path, postgres: Callable[[], str], **words: object) -> Settings:
    return Settings(home=folder, **words) if kind == "sqlite" else Settings(home=folder, database_url=postgres(), secret_key="x" * 32, **words)


@pytest.fixture
def settings(database_kind, tmp_path, new_postgres_database) -> Settings:
    return _settings(database_kind, tmp_path, new_postgres_database)


@pytest.fixture
def home(settings) -> Iterator[Home]:
    made = Home.open(settings, None, _load)
    yield made
    made.close()


def _publish(home: Home, name: str, **values: object) -> None:
    with home.database_of(name).write() as connection:
        connection.execute(system_tables.workspace_state.update().values(**values))


def test_a_workspace_is_registered_once_it_is_whole(home):
    with home.creating("demo", "示范", demo=True):
        assert home.workspaces() == []
    (entry,) = home.workspaces()
    assert (entry.name, entry.title, entry.demo, entry.sandbox) == ("demo", "示范", True, False)
    assert home.workspace("demo").version == 0
    with pytest.raises(Conflict, match="workspace_exists"), home.creating("demo", ""):
        pass


def test_a_creation_that_fails_leaves_nothing_and_can_be_tried_again(home, settings):
    with pytest.raises(KeyError), home.creating("demo", ""):
        raise KeyError
    assert home.workspaces() == []
    with pytest.raises(NotFound):
        home.workspace("demo")
    assert not list((settings.home / "workspaces").glob("demo*")) if settings.embedded else "ws_demo" not in home._server.schemas()
    with home.creating("demo", ""):
        pass


def test_what_a_killed_creation_left_is_replaced(home):
    home._claim("demo", "", False, False)
    home._make("demo")
    home._opened.clear()
    assert home.workspaces() == []
    with home.creating("demo", "again"):
        pass
    assert [entry.title for entry in home.workspaces()] == ["again"]


def test_two_who_make_the_same_workspace_at_once_do_not_disturb_each_other(home):
    with home.creating("demo", ""), pytest.raises(Conflict, match="workspace_being_made"), home.creating("demo", ""):
        pass
    assert home.workspace("demo").version == 0


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a-b", "../x", "a" * 41, "演示", "a b"])
def test_a_name_that_could_be_a_path_is_refused(home, name):
    with pytest.raises(Invalid, match="workspace_name"), home.creating(name, ""):
        pass
    with pytest.raises(NotFound):
        home.workspace(name)


def test_a_new_version_is_noticed_within_a_second_and_at_once_by_a_request(home, monkeypatch):
    with home.creating("demo", ""):
        pass
    assert home.workspace("demo").version == 0
    _publish(home, "demo", version=1)
    assert home.workspace("demo").version == 0
    assert home.look("demo")[0].version == 1
    _publish(home, "demo", version=2)
    monkeypatch.setattr("engine.home._LOOK_AFTER", 0.0)
    assert home.workspace("demo").version == 2
    assert home.workspace("demo") is home.workspace("demo")


def test_a_write_sees_the_version_and_the_time_inside_its_transaction(home):
    with home.creating("rehearsal", "", sandbox=True, now=NOON):
        pass
    workspace, state = home.look("rehearsal")
    ctx = Context(home, workspace, system_actor("operator"), state.now, cause=Cause("system", "test"))
    _publish(home, "rehearsal", version=1)
    home.move_clock("rehearsal", NOON + timedelta(days=1))
    with ctx.writing() as inner:
        assert (inner.workspace.version, inner.now, inner.transaction) == (1, NOON + timedelta(days=1), "write")
        with inner.writing() as nested, nested.reading() as reading:
            assert reading.connection is inner.connection
    with pytest.raises(RuntimeError):
        ctx.open  # noqa: B018


def test_a_sandbox_stands_still_until_moved_forward_and_a_live_clock_cannot_be_moved(home):
    with home.creating("rehearsal", "", sandbox=True, now=NOON), home.creating("live", ""):
        pass
    assert home.look("rehearsal")[1].now == NOON
    home.move_clock("rehearsal", NOON + timedelta(hours=1))
    assert home.look("rehearsal")[1].now == NOON + timedelta(hours=1)
    with pytest.raises(Invalid, match="clock_backwards"):
        home.move_clock("rehearsal", NOON)
    with pytest.raises(Denied, match="clock_of_live_workspace"):
        home.move_clock("live", NOON + timedelta(days=999))
    assert abs(home.look("live")[1].now - clock.wall()) < timedelta(seconds=20)


def test_a_setting_comes_into_force_when_a_sandbox_gets_there(home):
    with home.creating("rehearsal", "", sandbox=True, now=NOON):
        pass
    with home.database_of("rehearsal").write() as connection:
        connection.execute(system_tables.setting_value.insert().values(key="days", value=3, in_force_from=NOON + timedelta(days=2), at=NOON))
    before = home.look("rehearsal")[1].settings_version
    home.move_clock("rehearsal", NOON + timedelta(days=1))
    assert home.look("rehearsal")[1].settings_version == before
    home.move_clock("rehearsal", NOON + timedelta(days=2))
    assert home.look("rehearsal")[1].settings_version == before + 1


def test_many_workspaces_are_served_with_few_open(database_kind, tmp_path, new_postgres_database):
    home = Home.open(_settings(database_kind, tmp_path, new_postgres_database, open_workspaces=2), None, _load)
    for number in range(4):
        with home.creating(f"w{number}", ""):
            pass
    for _ in range(2):
        assert [home.workspace(f"w{number}").name for number in range(4)] == ["w0", "w1", "w2", "w3"]
    assert len(home._opened) == 2
    home.close()


def test_threads_that_ask_at_once_compile_once(home):
    made = []
    home._load = lambda *words: made.append(1) or _load(*words)
    with home.creating("demo", ""):
        pass
    threads = [threading.Thread(target=home.workspace, args=("demo",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


# --- releases ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", ["home", "workspace"])
def test_migrations_give_exactly_the_tables_the_code_uses(home, branch):
    with home.creating("demo", ""):
        pass
    database = home.database if branch == "home" else home.database_of("demo")
    tables = system_tables.HOME if branch == "home" else system_tables.WORKSPACE
    assert migrations.HEADS[branch] == migrations._scripts(branch).get_current_head()
    assert migrations.state_of(database, branch) == "current"
    wanted = sa.MetaData()
    for table in tables.tables.values():
        table.to_metadata(wanted, schema=database.schema)

    def ours(name: str | None, kind: str, parents: dict) -> bool:
        return name == database.schema if kind == "schema" else name != migrations.VERSION_TABLE

    with database.snapshot() as connection:
        context = MigrationContext.configure(connection, opts={"include_schemas": database.schema is not None, "include_name": ours, "compare_type": True})
        assert compare_metadata(context, wanted) == []


def test_reports_of_imports_outlive_the_release_that_made_their_table_anew(home, monkeypatch):
    before = {"home": "head", "workspace": "workspace_0006"}
    monkeypatch.setattr("engine.home.upgrade", lambda database, branch: migrations.upgrade(database, branch, before[branch]))
    with home.creating("demo", ""):
        pass
    database, batch, row = home.database_of("demo"), import_batch, import_row
    with database.write() as connection:
        connection.execute(batch.insert(), {"entity": "customer", "file_name": "a.csv", "sha256": "0", "state": "done", "created_at": clock.wall()})
        connection.execute(row.insert(), [{"batch": 1, "row": number, "outcome": "created", "versions": [None, 1]} for number in range(3)])
        connection.execute(row.delete().where(row.c.id == 3))
    assert migrations.state_of(database, "workspace") == "older"
    migrations.upgrade(database, "workspace")
    assert migrations.state_of(database, "workspace") == "current"
    with database.write() as connection:
        connection.execute(row.insert(), {"batch": 1, "row": 3, "outcome": "refused"})
        kept = connection.execute(sa.select(row.c.id, row.c.row, row.c.versions).order_by(row.c.id)).all()
    assert kept[:2] == [(1, 0, [None, 1]), (2, 1, [None, 1])]
    assert kept[2][1:] == (3, None)


def test_why_scenarios_were_left_out_is_taken_from_the_notes_of_an_older_release(home, monkeypatch):
    before = {"home": "head", "workspace": "workspace_0007"}
    monkeypatch.setattr("engine.home.upgrade", lambda database, branch: migrations.upgrade(database, branch, before[branch]))
    with home.creating("demo", ""):
        pass
    database = home.database_of("demo")
    with database.write() as connection:
        for number, note in enumerate(("一版", "二版 [scenarios skipped: 停电，先恢复]", "[scenarios skipped: 停电]"), start=1):
            row = {"number": number, "at": clock.wall(), "by_name": "admin", "note": note, "digest": "0", "state": "live"}
            connection.execute(sa.insert(version).values(row))
    migrations.upgrade(database, "workspace")
    with database.write() as connection:
        kept = connection.execute(sa.select(version.c.note, version.c.unproven).order_by(version.c.number)).all()
    assert kept == [("一版", ""), ("二版", "停电，先恢复"), ("", "停电")]


def test_data_of_a_newer_release_is_refused(home, settings):
    with home.creating("demo", ""):
        pass
    with home.database_of("demo").write() as connection:
        connection.execute(
            sa.text(
                "UPDATE alembic_version SET version_num = 'from_the_future'"
                if settings.embedded
                else "UPDATE ws_demo.alembic_version SET version_num = 'from_the_future'"
            )
        )
    later = Home.open(settings, None, _load)
    with pytest.raises(Unavailable, match="database_of_newer_release"):
        later.workspace("demo")
    later.close()


def test_data_of_an_older_release_waits_for_migrate(home, settings, monkeypatch):
    with home.creating("demo", ""):
        pass
    monkeypatch.setattr("engine.home.state_of", lambda database, branch: "older" if branch == "workspace" else "current")
    later = Home.open(settings, None, _load)
    with pytest.raises(Unavailable, match="database_of_older_release"):
        later.workspace("demo")
    assert later.migrate() == ["demo"]
    backups = list((settings.home / "backups").glob("demo-*.db"))
    assert len(backups) == (1 if settings.embedded else 0)
    for backup in backups:
        assert sqlite3.connect(backup).execute("SELECT name FROM workspace_state").fetchone() == ("demo",)
    later.close()


# --- what stops a start ------------------------------------------------------------------------------------------------------------------------


def test_a_home_that_is_no_database_stops_the_start_and_is_left_alone(tmp_path):
    (tmp_path / "home.db").write_text("my diary, not a database")
    with pytest.raises(Unavailable, match="database_file_foreign"):
        Home.open(Settings(home=tmp_path), None, _load)
    assert (tmp_path / "home.db").read_text() == "my diary, not a database"


def test_a_damaged_home_stops_the_start(tmp_path):
    Home.open(Settings(home=tmp_path), None, _load).close()
    (tmp_path / "home.db").write_bytes(b"SQLite format 3\x00" + b"\xa5" * 40000)
    with pytest.raises(Unavailable, match="database_file_damaged"):
        Home.open(Settings(home=tmp_path), None, _load)


def test_a_server_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(Unavailable, match="database_away"):
        Home.open(Settings(home=tmp_path, database_url="postgresql+psycopg://nobody@127.0.0.1:9/none", secret_key="x" * 32), None, _load)


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="database_file_unreadable"):
        Home.open(Settings(home=tmp_path / "file" / "var"), None, _load)


def test_an_old_sqlite_stops_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.database_sqlite.sqlite3.sqlite_version_info", (3, 31, 1))
    with pytest.raises(Unavailable, match="sqlite_too_old"):
        Home.open(Settings(home=tmp_path), None, _load)


def test_only_the_owner_can_read_the_files(tmp_path):
    home = Home.open(Settings(home=tmp_path), None, _load)
    with home.creating("demo", ""):
        pass
    home.close()
    assert [path for path in tmp_path.rglob("*.db*") if path.stat().st_mode & 0o077] == []
    open_sqlite(tmp_path / "workspaces" / "demo.db", Settings(home=tmp_path)).close()
