"""A person made anonymous is nowhere to be found any more, in no table and in no file, while counts and amounts stay; by age, on request, and again after a restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine import erasures, upkeep
from engine.actors import enter_as, enter_person
from engine.background import kinds, worker_of
from engine.backup import backup
from engine.builtin import DOCUMENTS
from engine.clock import move
from engine.context import Context
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.home import Home
from engine.jobs import JobRun
from engine.publishing import create_workspace
from engine.publishing_restore import restore
from engine.records import service
from engine.records.history import timeline
from engine.records.query import Query, get, page
from engine.records.record import ANY
from engine.records.reveal import reveal
from engine.subject_file import subject_file
from metadata.bundle import Bundle
from tests.engine.homes import NOW, opened_home

PERSONAL = {"personal": "personal"}
GUEST = {
    "title": {"zh": "病人"},
    "label": "{name}",
    "personal": {"subject": True, "keep": "P24M", "since": "last_at", "while": "debt > 0"},
    "fields": {
        "name": {"type": "text", "required": True, "search": "name", **PERSONAL},
        "phone": {"type": "phone", "encrypted": True, "required": True, "mask": "phone", "search": "phone", **PERSONAL},
        "wechat": {"type": "text", "required": True, "unique": True, **PERSONAL},
        "call_name": {"type": "formula", "value": "concat(name, '/', wechat)"},
        "debt": {"type": "money"},
        "grade": {"type": "text"},
        "merged_into": {"type": "link", "to": "guest"},
        "stays": {"type": "rollup", "from": "stay.guest", "measure": "count"},
        "last_at": {"type": "rollup", "from": "stay.guest", "measure": "max", "of": "at"},
        "last_words": {"type": "rollup", "from": "stay.guest", "measure": "latest", "of": "words", "by": "at"},
    },
}
STAY = {
    "title": {"zh": "住院"},
    "label": "{id}",
    "fields": {
        "guest": {"type": "link", "to": "guest"},
        "at": {"type": "instant"},
        "words": {"type": "long_text", **PERSONAL},
        "cost": {"type": "money"},
        "who": {"type": "lookup", "from": "guest.name"},
    },
}
LINE = {
    "title": {"zh": "家属"},
    "label": "{name}",
    "lines_of": "guest",
    "fields": {"guest": {"type": "link", "to": "guest", "required": True}, "name": {"type": "text", **PERSONAL}},
}
TIP = {
    "title": {"zh": "介绍"},
    "label": "{id}",
    "personal": {"of": ["newcomer"]},
    "fields": {"giver": {"type": "link", "to": "guest"}, "newcomer": {"type": "link", "to": "guest"}, "said": {"type": "text", **PERSONAL}},
}
DOCS: dict[tuple[str, str], Any] = {
    ("preset", "preset"): {"name": "small", "title": "小世界", "version": "1"},
    ("entity", "guest"): GUEST,
    ("entity", "stay"): STAY,
    ("entity", "relative"): LINE,
    ("entity", "tip"): TIP,
    ("rule", "tell"): {
        "title": {"zh": "通知"},
        "on": {"after": "create", "entity": "stay"},
        "then": [{"notify": "people('admin')", "message": {"zh": "{guest.name} 说：{words}", "en": "{guest.name}: {words}"}}],
    },
    ("rule", "discharge"): {
        "title": {"zh": "出院"},
        "on": {"action": "guest.discharge"},
        "then": [{"ask": "leave", "who": "people('admin')", "not": "me", "message": {"zh": "{name} 出院", "en": "{name} leaves"}, "approved": []}],
    },
    ("role", "admin"): {
        "title": {"zh": "管理员"},
        "grants": {
            "*": {"read": True, "create": True, "update": True},
            "guest": {"read": True, "create": True, "update": True, "actions": {"erase": "debt > 0 or empty(debt)", "subject_file": True, "discharge": True}},
        },
    },
    ("role", "desk"): {
        "title": {"zh": "前台"},
        "grants": {"guest": {"read": True, "fields": {"phone": {"mask": True}}, "actions": {"reveal": True, "discharge": True}}},
    },
}
SAID = ("欧阳黛娜", "13900001234", "dana_wx_77", "腰疼三年", "欧阳小娜")


@pytest.fixture
def home(database_kind: str, tmp_path: Path, new_postgres_database: Callable[[], str]) -> Iterator[Home]:
    with opened_home(database_kind, tmp_path / "here", new_postgres_database) as home:
        yield home


@pytest.fixture
def ward(home: Home) -> Home:
    """A workspace with an admin and a desk."""
    create_workspace(home, "ward", Bundle(DOCS, DOCUMENTS), title="病房", sandbox=True, now=NOW)
    ctx = enter_as(home, "ward", "operator")
    for login, role in (("ada", "admin"), ("dee", "desk")):
        service.create(ctx, "person", {"name": login, "login": login, "roles": [role]})
    return home


def dana(ward: Home) -> int:
    """A guest with everything: a past, a relative, a stay, messages, runs, a deleted stay, a look."""
    ctx = enter_as(ward, "ward", "operator")
    guest = service.create(ctx, "guest", {"name": "欧阳", "phone": SAID[1], "wechat": SAID[2], "grade": "甲", "relative": [{"name": SAID[4]}]}).id
    service.update(ctx, "guest", guest, {"name": SAID[0]}, ANY)
    service.create(ctx, "stay", {"guest": guest, "at": NOW.isoformat(), "words": SAID[3], "cost": 880000})
    gone = service.create(ctx, "stay", {"guest": guest, "at": NOW.isoformat(), "words": f"{SAID[3]}！", "cost": 1})
    service.delete(ctx, "stay", gone.id, ANY)
    reveal(enter_person(ward, "ward", "dee"), "guest", guest, "phone", "回电")
    return guest


def as_admin(ward: Home) -> Context:
    return enter_person(ward, "ward", "ada")


def everywhere(ward: Home) -> str:
    """Every value of every table of the workspace as text; on SQLite every byte of its files, too."""
    database = ward.workspace("ward").database
    found = []
    with database.read() as connection:
        for name in sa.inspect(connection).get_table_names(schema=database.schema):
            place = f'"{database.schema}"."{name}"' if database.schema else f'"{name}"'
            found += [repr(tuple(row)) for row in connection.exec_driver_sql(f"SELECT * FROM {place}", execution_options={"scoped": True}).all()]
    if database.path is not None:
        for path in database.path.parent.glob(f"{database.path.name}*"):
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(found)


def test_nothing_of_the_person_is_left_anywhere(ward: Home) -> None:
    guest = dana(ward)
    before = everywhere(ward)
    assert all(word in before for word in SAID if word != SAID[1])
    counts = erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    assert counts == {"guest": 1, "relative": 1, "stay": 2}
    worker_of(ward).drain()
    after = everywhere(ward)
    assert [word for word in SAID if word in after] == []
    assert "欧阳" not in after and "ouyang" not in after.lower()


def test_what_is_not_personal_stays_true(ward: Home) -> None:
    guest = dana(ward)
    erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    ctx = enter_as(ward, "ward", "operator")
    record = get(ctx, "guest", guest)
    assert (record["name"], record["phone"], record["wechat"], record["grade"], record["stays"]) == ("***", None, None, "甲", 1)
    assert record["last_words"] is None and record["call_name"] == "***/" and [line["name"] for line in record["relative"]] == [None]
    stay = page(ctx, Query("stay")).items[0]
    assert (stay["cost"].amount if hasattr(stay["cost"], "amount") else stay["cost"], stay["words"], stay["who"]) == (880000, None, "***")
    for word in ("欧阳", SAID[1], "1234", "oy"):
        assert page(ctx, Query("guest", search=word)).items == []
    told = timeline(ctx, "guest", guest).items
    assert told[0].verb == "erase" and told[0].cause["detail"] == {"reason": "本人要求"} and told[0].cause["name"] == "erase"
    assert "grade" in {change.field for moment in told for change in moment.changes} and not {"name", "phone"} & {c.field for m in told for c in m.changes}


def test_of_two_persons_in_a_record_only_the_one_it_belongs_to_empties_it(ward: Home) -> None:
    guest, ctx = dana(ward), enter_as(ward, "ward", "operator")
    other = service.create(ctx, "guest", {"name": "周四", "phone": "13900005678", "wechat": "zhou"}).id
    tip = service.create(ctx, "tip", {"giver": guest, "newcomer": other, "said": "周四想来"}).id
    erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    assert get(ctx, "tip", tip)["said"] == "周四想来"
    assert erasures.erase_now(as_admin(ward), "guest", other, "本人要求") == {"guest": 1, "tip": 1}
    assert get(ctx, "tip", tip)["said"] is None


def test_it_takes_a_grant_on_that_very_person_a_reason_and_happens_once(ward: Home) -> None:
    guest, ctx = dana(ward), enter_as(ward, "ward", "operator")
    with pytest.raises(Denied, match="may_not_erase"):
        erasures.erase_now(enter_person(ward, "ward", "dee"), "guest", guest, "想")
    with pytest.raises(Invalid):
        erasures.erase_now(as_admin(ward), "guest", guest, " ")
    with pytest.raises(NotFound):
        erasures.erase_now(as_admin(ward), "stay", 1, "不是人")
    with pytest.raises(NotFound):
        erasures.theirs(enter_as(ward, "ward", "operator"), "guest", 99)
    service.act(enter_person(ward, "ward", "dee"), "guest", guest, "discharge", {})
    with pytest.raises(Conflict, match="erase_waits"):
        erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    assert get(ctx, "guest", guest)["name"] == SAID[0]
    service.update(ctx, "guest", guest, {"debt": 0}, ANY)
    with pytest.raises(Denied):
        erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")


def test_a_second_time_is_refused_and_the_ledger_knows_it_once(ward: Home) -> None:
    guest = dana(ward)
    erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    with pytest.raises(Conflict, match="erased_before"):
        erasures.erase_now(as_admin(ward), "guest", guest, "再来一次")
    worker_of(ward).drain()
    again = JobRun(
        ward, ward.workspace("ward").database, "ward", 0, erasures.JOB, {"entity": "guest", "record": guest, "searched": ["guest"]}, {}, 1, "w", None
    )
    kinds()[erasures.JOB].run(again)  # a worker that died before it could say so
    with ward.database.read() as connection:
        rows = connection.execute(sa.select(erasures._ledger.c.workspace, erasures._ledger.c.entity, erasures._ledger.c.record)).all()
    assert [tuple(row) for row in rows] == [("ward", "guest", guest)]


def test_those_not_heard_of_for_as_long_as_may_be_kept_are_let_go(ward: Home) -> None:
    guest, ctx = dana(ward), enter_as(ward, "ward", "operator")
    owing = service.create(ctx, "guest", {"name": "欠费", "phone": "13900005678", "wechat": "owing", "debt": 100}).id

    def look(months: int) -> int:
        with ctx.writing() as inner:
            move(inner.open, NOW + timedelta(days=30.5 * months))
        return erasures.let_go(enter_as(ward, "ward", "retention"))

    assert look(23) == 0 and look(25) == 1 and look(26) == 0
    assert get(ctx, "guest", guest)["name"] == "***" and get(ctx, "guest", owing)["name"] == "欠费"
    assert upkeep.KIND.name == "upkeep"


def test_a_restored_archive_loses_again_what_was_made_anonymous_since(ward: Home, tmp_path: Path) -> None:
    guest = dana(ward)
    archive = tmp_path / "ward.tangram"
    backup(ward, "ward", archive)
    erasures.erase_now(as_admin(ward), "guest", guest, "本人要求")
    worker_of(ward).drain()
    restore(ward, archive, "again")
    assert get(enter_as(ward, "again", "operator"), "guest", guest)["name"] == "***"
    assert timeline(enter_as(ward, "again", "operator"), "guest", guest).items[0].verb == "erase"


def test_the_file_of_a_person_holds_everything_in_clear_and_notes_who_took_it(ward: Home) -> None:
    guest = dana(ward)
    with pytest.raises(Denied, match="may_not_subject_file"):
        subject_file(enter_person(ward, "ward", "dee"), "guest", guest)
    found = subject_file(as_admin(ward), "guest", guest)
    assert found.label == SAID[0] and {key: len(rows) for key, rows in found.records.items()} == {"guest": 1, "relative": 1, "stay": 1}
    assert str(found.records["guest"][0]["phone"]).endswith(SAID[1]) and found.records["stay"][0]["words"] == SAID[3]
    assert [moment.verb for moment in found.changes][-1] == "create"
    assert [(look.kind, look.person, look.field, look.reason) for look in found.looks] == [("reveal", "dee", "phone", "回电")]
    assert [look.kind for look in subject_file(as_admin(ward), "guest", guest).looks] == ["subject_file", "reveal"]
