"""A workspace in one file: everything comes back, on either database, under another secret with a passphrase; a damaged archive changes nothing."""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from engine import accounts, actors, api_tokens
from engine.backup import backup
from engine.errors import Conflict, Invalid, NotFound, Unavailable
from engine.home import Home
from engine.members import add_member
from engine.publishing import rollback
from engine.publishing_drift import drift_of
from engine.publishing_restore import restore
from engine.records import service
from engine.records.history import timeline
from engine.records.query import Query, get, page
from engine.records.record import ANY
from engine.system_tables import api_token, workspace_state
from tests.engine.homes import NOW, Place, opened_home, small_place

PHONE = {"type": "phone", "encrypted": True, "mask": "phone", "search": "phone", "title": {"zh": "电话"}}


@pytest.fixture
def home(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Home]:
    with opened_home(database_kind, tmp_path / "here", new_postgres_database) as home:
        yield home


@pytest.fixture
def place(home: Home) -> Place:
    """A workspace with a past: a retired field that has values, a changed type, a deleted record, links both ways, an encrypted value."""
    place = small_place(home)
    add_member(home, place.name, "li.na", ["admin"], name="李娜")
    api_tokens.create_token(home, place.name, "li.na")
    place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}}, phone=PHONE, seen={"type": "instant", "title": {"zh": "时间"}})
    for number in range(30):
        service.create(
            place.ctx,
            "plant",
            {"name": f"竹子{number}", "code": str(number), "soil": "沙", "phone": f"1390000{number:04}", "owner": 1, "seen": "2026-03-01T10:00:00+08:00"},
        )
    service.create(place.ctx, "visit", {"plant": 3, "note": "浇水", "amount": 7})
    service.delete(place.ctx, "plant", 30, ANY)
    team = service.create(place.ctx, "team", {"name": "甲", "lead": 1}).id
    service.update(place.ctx, "person", 1, {"team": team}, ANY)
    place.with_fields("plant", soil=None, code={"type": "integer", "title": {"zh": "编码"}})
    return place


def _told(home: Home, name: str) -> dict[str, object]:
    """Everything people can see of a workspace."""
    ctx = Place(home, name).ctx
    return {
        "plants": [dict(item) for item in page(ctx, Query("plant", limit=100, sort=("id",))).items],
        "visits": [dict(item) for item in page(ctx, Query("visit")).items],
        "people": [dict(item) for item in page(ctx, Query("person")).items],
        "search": [item["id"] for item in page(ctx, Query("plant", search="竹子2")).items],
        "phone": [item["id"] for item in page(ctx, Query("plant", search="13900000005")).items],
        "history": repr(timeline(ctx, "plant", 3)),
    }


def test_everything_comes_back_as_it_was(home, place, tmp_path):
    manifest = backup(home, place.name, tmp_path / "kept.zip")
    assert (tmp_path / "kept.zip").stat().st_mode & 0o077 == 0
    assert manifest["members"]["records/plant.jsonl"]["rows"] == 30
    restore(home, tmp_path / "kept.zip", "again")
    assert _told(home, "again") == _told(home, place.name)
    again = Place(home, "again")
    assert drift_of(again.ctx) == [] and again.workspace.title == "花园" and again.workspace.sandbox and home.look("again")[1].now == NOW
    assert service.create(again.ctx, "plant", {"name": "新"}).id == 31
    service.restore(again.ctx, "plant", 30)
    rollback(again.ctx, 2)
    assert get(again.ctx, "plant", 3)["soil"] == "沙" and get(again.ctx, "plant", 3)["code"] == "2"


def test_no_token_goes_along_and_outgoing_messages_wait(home, place, tmp_path):
    backup(home, place.name, tmp_path / "kept.zip")
    with zipfile.ZipFile(tmp_path / "kept.zip") as file:
        assert not [name for name in file.namelist() if "token" in name or "source_key" in name or "job" in name]
        assert "13900000005" not in file.read("records/plant.jsonl").decode() and "k" * 40 not in file.read("manifest.json").decode()
    restore(home, tmp_path / "kept.zip", "again")
    with home.database_of("again").read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(api_token)).scalar_one() == 0
        assert connection.execute(sa.select(workspace_state.c.hold_outgoing)).scalar_one() is True


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_it_is_the_way_from_one_database_to_the_other(source, target, tmp_path, new_postgres_database):
    with opened_home(source, tmp_path / "one", new_postgres_database) as one, opened_home(target, tmp_path / "two", new_postgres_database) as two:
        from_place = small_place(one, "garden")
        add_member(one, "garden", "li.na", ["admin"])
        from_place.with_fields("plant", phone=PHONE)
        for number in range(9):
            service.create(from_place.ctx, "plant", {"name": f"竹子{number}", "phone": f"1390000{number:04}", "owner": 1})
        backup(one, "garden", tmp_path / "kept.zip")
        restore(two, tmp_path / "kept.zip", "garden")
        assert _told(two, "garden") == _told(one, "garden")
        assert drift_of(Place(two, "garden").ctx) == []
        assert accounts.find_account(two, "li.na").invited and actors.memberships(two, "li.na") == ["garden"]


def test_another_secret_needs_the_passphrase(tmp_path, new_postgres_database):
    with opened_home("sqlite", tmp_path / "one", new_postgres_database) as one:
        place = small_place(one, "garden")
        place.with_fields("plant", phone=PHONE)
        service.create(place.ctx, "plant", {"name": "竹", "phone": "13900000005"})
        backup(one, "garden", tmp_path / "plain.zip")
        backup(one, "garden", tmp_path / "moving.zip", passphrase="seven blue kettles")
        other = Home.open(replace(one.settings, home=tmp_path / "two", secret_key="another secret of forty characters!!!!!!"), one.registry)
        for file, words, reason in (
            ("plain.zip", {}, "secret_wrong"),
            ("moving.zip", {}, "archive_needs_passphrase"),
            ("moving.zip", {"passphrase": "guess"}, "secret_wrong"),
        ):
            with pytest.raises((Unavailable, Invalid), match=reason):
                restore(other, tmp_path / file, "garden", **words)
        assert other.workspaces() == []
        restore(other, tmp_path / "moving.zip", "garden", passphrase="seven blue kettles")
        assert get(Place(other, "garden").ctx, "plant", 1)["phone"].endswith("13900000005")
        other.close()


def test_a_damaged_archive_is_refused_and_nothing_is_changed(home, place, tmp_path):
    backup(home, place.name, tmp_path / "kept.zip")
    whole, random = (tmp_path / "kept.zip").read_bytes(), Random(7)
    damaged = tmp_path / "damaged.zip"
    before = home.workspaces()
    contents = [whole[: random.randrange(len(whole))] for _ in range(15)] + [b"", b"PK", b"no zip at all"]
    for _ in range(40):
        at = random.randrange(len(whole))
        contents.append(whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :])
    for number, content in enumerate(contents):
        damaged.write_bytes(content)
        try:
            restore(home, damaged, f"again{number}")
        except Invalid as refusal:
            assert refusal.code == "archive_damaged"
            assert home.workspaces() == before
        else:  # the flipped bit meant nothing (a time stamp in the zip's directory): then all of it came back
            assert _told(home, f"again{number}") == _told(home, place.name)
            before = home.workspaces()
    with pytest.raises(NotFound):
        restore(home, tmp_path / "none.zip", "again")


def _forged(whole: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(whole) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target


@pytest.mark.parametrize("name", ["../../evil", "files/../../evil", "tables/x.sql", "records/R_x.jsonl", "/etc/passwd", "files/a/b"])
def test_a_hostile_name_in_an_archive_goes_nowhere(home, place, tmp_path, name):
    backup(home, place.name, tmp_path / "kept.zip")

    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["members"][name] = {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0}
        members |= {name: b"", "manifest.json": json.dumps(manifest).encode()}

    with pytest.raises(Invalid, match="archive_damaged"):
        restore(home, _forged(tmp_path / "kept.zip", tmp_path / "forged.zip", change), "again")
    assert [entry.name for entry in home.workspaces()] == [place.name]


def test_an_archive_of_another_release_and_a_taken_name_are_refused(home, place, tmp_path):
    backup(home, place.name, tmp_path / "kept.zip")

    def later(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps({**json.loads(members["manifest.json"]), "release": "from_the_future"}).encode()

    with pytest.raises(Invalid, match="archive_of_newer_release"):
        restore(home, _forged(tmp_path / "kept.zip", tmp_path / "later.zip", later), "again")
    with pytest.raises(Conflict, match="workspace_exists"):
        restore(home, tmp_path / "kept.zip", place.name)
    with pytest.raises(Invalid, match="file_unwritable"):
        backup(home, place.name, tmp_path / "no" / "such" / "folder.zip")
