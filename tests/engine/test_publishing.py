"""Publishing on both databases: plans in words, nothing lost, all or nothing, back again."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import pytest
import sqlalchemy as sa

from engine.builtin import DOCUMENTS
from engine.errors import Conflict, Invalid
from engine.home import Home
from engine.provenance import origins, versions
from engine.publishing import clone_workspace, create_workspace, finish_preparing, give_up_preparing, plan_folder, plan_publish, publish, rollback
from engine.publishing_drift import drift_of
from engine.publishing_folders import export_definitions
from engine.records import service
from engine.records.query import Query, get, page
from metadata.bundle import Bundle
from tests.engine.homes import SMALL, Homes, Place, new_name, small_place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("homes"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def home(homes: Homes, database_kind: str) -> Home:
    return homes.home(database_kind)


@pytest.fixture
def place(home: Home) -> Place:
    return small_place(home)


def rows(place: Place, entity: str = "plant", **words: Any) -> list[dict[str, Any]]:
    return [dict(item) for item in page(place.ctx, Query(entity, **words)).items]


def test_a_new_workspace_has_its_tables_version_one_and_no_drift(place: Place) -> None:
    assert place.workspace.version == 1
    assert drift_of(place.ctx) == []
    service.create(place.ctx, "plant", {"name": "竹"})
    assert [row["name"] for row in rows(place)] == ["竹"]


def test_a_new_workspace_begins_with_the_records_its_preset_says_and_a_clone_with_the_same(home: Home) -> None:
    begin = {"plant": {"oak": {"name": "橡树", "height": 3}, "elm": {"name": "榆树"}}, "leaf": {"first": {"plant": "elm", "name": "叶"}}}
    leaf = {"title": {"zh": "叶"}, "label": "{name}", "fields": {"name": {"type": "text"}, "plant": {"type": "link", "to": "plant"}}}
    place = small_place(home, changes={("preset", "preset"): {**SMALL["preset", "preset"], "start": begin}, ("entity", "leaf"): leaf})
    assert [(row["name"], row["height"]) for row in rows(place, sort=("id",))] == [("橡树", 3), ("榆树", None)]
    assert [row["plant"].label for row in rows(place, "leaf")] == ["榆树"]
    name = new_name()
    clone_workspace(home, place.name, name)
    assert [row["name"] for row in rows(Place(home, name), sort=("id",))] == ["橡树", "榆树"]


def test_a_starting_record_that_a_field_refuses_leaves_no_workspace_behind(home: Home) -> None:
    name = new_name()
    with pytest.raises(Invalid):
        small_place(home, name, {("preset", "preset"): {**SMALL["preset", "preset"], "start": {"plant": {"oak": {"name": "橡树", "height": "tall"}}}}})
    assert name not in {item.name for item in home.workspaces()}


def test_a_plan_says_in_both_languages_what_it_does_and_why(place: Place) -> None:
    plan = plan_publish(
        place.ctx,
        place.changed(
            {
                ("entity", "plant"): place.entity("plant", {"soil": {"type": "text", "title": {"zh": "土壤", "en": "Soil"}}}),
                ("list", "soils"): {"entity": "plant", "title": {"zh": "按土壤", "en": "By soil"}, "sort": ["soil"], "columns": ["name"]},
            }
        ),
    )
    assert plan.ready and {step.risk for step in plan.steps} == {"adds"}
    chinese, english = " ".join(plan.sentences("zh")), " ".join(plan.sentences("en"))
    assert "新增字段「土壤」" in chinese and "列表「按土壤」的条件与排序" in chinese
    assert "Add the field “Soil” to “Plant”" in english and "condition and sort of the list “By soil”" in english


def test_values_of_a_field_come_back_when_its_version_is_published_again(place: Place) -> None:
    before = place.workspace.version
    added = place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}}).number
    made = service.create(place.ctx, "plant", {"name": "松", "soil": "沙"}).id
    rollback(place.ctx, before)
    assert "soil" not in place.workspace.entities["plant"].fields and drift_of(place.ctx) == []
    later = service.create(place.ctx, "plant", {"name": "柏"}).id
    rollback(place.ctx, added)
    assert get(place.ctx, "plant", made)["soil"] == "沙" and get(place.ctx, "plant", later)["soil"] is None
    assert drift_of(place.ctx) == []
    with place.workspace.database.read() as connection:
        assert [(item.number, item.restores) for item in versions(connection)] == [(4, 2), (3, 1), (2, None), (1, None)]


def test_a_changed_type_gets_a_new_column_with_converted_values_and_the_old_one_stays(place: Place) -> None:
    ids = [service.create(place.ctx, "plant", {"name": name, "code": code}).id for name, code in (("a", "12"), ("b", "x"), ("c", None))]
    plan = plan_publish(place.ctx, place.changed({("entity", "plant"): place.entity("plant", {"code": {"type": "integer", "title": {"zh": "编码"}}})}))
    assert [(step.code, step.risk, step.rows) for step in plan.steps] == [("change_type", "needs_data", 2)]
    publish(place.ctx, plan)
    assert [get(place.ctx, "plant", one)["code"] for one in ids] == [12, None, None]
    assert place.workspace.entities["plant"].fields["code"].column.key == "code__2"
    rollback(place.ctx, 1)
    assert [get(place.ctx, "plant", one)["code"] for one in ids] == ["12", "x", None]
    assert drift_of(place.ctx) == []


def test_texts_share_a_column_when_only_the_kind_of_text_changes(place: Place) -> None:
    made = service.create(place.ctx, "plant", {"name": "a", "code": "x"}).id
    plan = plan_publish(place.ctx, place.changed({("entity", "plant"): place.entity("plant", {"code": {"type": "long_text", "title": {"zh": "编码"}}})}))
    assert plan.steps == () and publish(place.ctx, plan).state == "live"
    assert get(place.ctx, "plant", made)["code"] == "x"


def test_a_retired_key_is_not_used_for_something_else(place: Place) -> None:
    place.with_fields("visit", amount=None)
    with pytest.raises(Invalid) as refused:
        place.with_fields("visit", amount={"type": "date", "title": {"zh": "日期"}})
    assert [fault.code for fault in refused.value.faults] == ["key_of_retired"]
    place.with_fields("visit", amount={"type": "integer", "title": {"zh": "数量"}})


def test_duplicates_stop_a_new_uniqueness_and_are_listed(place: Place) -> None:
    ids = [service.create(place.ctx, "plant", {"name": name, "code": "same"}).id for name in ("a", "b")]
    unique = place.entity("plant", unique={"code": {"fields": ["code"], "where": "stage != 'lost'", "message": {"zh": "重复"}}})
    plan = plan_publish(place.ctx, place.changed({("entity", "plant"): unique}))
    assert not plan.ready and plan.schema is not None
    assert [(step.rows, step.violations[0].records) for step in plan.schema.blocked] == [(1, tuple(ids))]
    with pytest.raises(Conflict, match="publish_violations"):
        publish(place.ctx, plan)
    service.update(place.ctx, "plant", ids[0], {"stage": "lost"}, version=1)
    place.publish({("entity", "plant"): unique})
    assert drift_of(place.ctx) == []
    service.create(place.ctx, "plant", {"name": "c", "code": "same", "stage": "lost"})
    with pytest.raises(Conflict):
        service.create(place.ctx, "plant", {"name": "d", "code": "same"})


def test_a_newly_required_field_counts_what_misses_it_and_touches_nothing(place: Place) -> None:
    service.create(place.ctx, "plant", {"name": "a"})
    service.create(place.ctx, "plant", {"name": "b", "height": 3})
    plan = plan_publish(
        place.ctx, place.changed({("entity", "plant"): place.entity("plant", {"height": {"type": "integer", "required": True, "title": {"zh": "高度"}}})})
    )
    assert [(step.code, step.rows) for step in plan.steps] == [("require", 1)]


def test_derived_fields_are_filled_for_records_there_are_and_follow_one_another(place: Place) -> None:
    plants = [service.create(place.ctx, "plant", {"name": name, "height": height}).id for name, height in (("a", 2), ("b", None))]
    for amount in (1, 4):
        service.create(place.ctx, "visit", {"plant": plants[0], "amount": amount, "note": f"n{amount}"})
    place.publish(
        {
            ("entity", "plant"): place.entity(
                "plant",
                {
                    "seen": {"type": "rollup", "from": "visit.plant", "measure": "count", "title": {"zh": "次数"}},
                    "total": {"type": "rollup", "from": "visit.plant", "measure": "sum", "of": "amount", "title": {"zh": "合计"}},
                    "scaled": {"type": "formula", "value": "total * setting.factor + coalesce(height, 0)", "title": {"zh": "折算"}},
                },
            ),
            ("entity", "visit"): place.entity("visit", {"tall": {"type": "lookup", "from": "plant.scaled", "title": {"zh": "引用"}}}),
        }
    )
    found = {row["id"]: (row["seen"], row["total"], row["scaled"]) for row in rows(place)}
    assert found == {plants[0]: (2, 5, 12), plants[1]: (0, 0, 0)}
    assert {row["tall"] for row in rows(place, "visit")} == {12}
    assert drift_of(place.ctx) == []
    place.publish({("settings", "settings"): {"factor": {"type": "integer", "default": 3, "title": {"zh": "系数"}}}})
    assert {row["scaled"] for row in rows(place)} == {17, 0}
    assert {row["tall"] for row in rows(place, "visit")} == {17}


FORMULAS = {
    "day": "date_of(created_at)",
    "since": "start_of(created_at, 'month')",
    "half": "height / 2",
    "tall": "height > 2",
    "said": "concat(name, code)",
    "kind": "case(height > 2, stage, null)",
    "who": "coalesce(owner, created_by)",
    "none": "case(false, height, null)",
    "lots": "height * 3 - 1",
}


def test_formulas_filled_in_the_database_are_those_computed_on_saving(place: Place) -> None:
    given = {"name": "竹", "code": "c", "height": 3, "stage": "won"}
    old = [service.create(place.ctx, "plant", given).id, service.create(place.ctx, "plant", {"name": "松"}).id]
    place.with_fields("plant", **{key: {"type": "formula", "value": source, "title": {"zh": key}} for key, source in FORMULAS.items()})
    new = [service.create(place.ctx, "plant", given).id, service.create(place.ctx, "plant", {"name": "松"}).id]
    for before, after in zip(old, new, strict=True):
        assert [get(place.ctx, "plant", before)[key] for key in FORMULAS] == [get(place.ctx, "plant", after)[key] for key in FORMULAS]
    assert str(get(place.ctx, "plant", old[0])["day"]) == "2026-03-01"


def test_fields_become_searchable_with_the_records_there_are(place: Place) -> None:
    service.create(place.ctx, "plant", {"name": "银杏", "code": "金色大道"})
    assert rows(place, search="大道") == []
    place.with_fields("plant", code={"type": "text", "search": "text", "title": {"zh": "编码"}})
    assert [row["name"] for row in rows(place, search="大道")] == ["银杏"]
    place.with_fields("plant", code={"type": "text", "title": {"zh": "编码"}})
    assert rows(place, search="大道") == [] and len(rows(place, search="银杏")) == 1


def test_encrypting_a_field_keeps_its_values_and_makes_them_findable(place: Place) -> None:
    phone = {"type": "phone", "title": {"zh": "电话"}}
    place.with_fields("plant", phone=phone)
    made = service.create(place.ctx, "plant", {"name": "a", "phone": "13800138000"}).id
    place.with_fields("plant", phone={**phone, "encrypted": True, "unique": True})
    assert get(place.ctx, "plant", made)["phone"] == "+8613800138000"
    with pytest.raises(Conflict):
        service.create(place.ctx, "plant", {"name": "b", "phone": "13800138000"})
    place.with_fields("plant", phone={**phone, "encrypted": True, "last4": True, "search": "phone"})
    assert [row["id"] for row in rows(place, search="8000")] == [made]
    assert drift_of(place.ctx) == []


def test_wrong_definitions_change_nothing_and_name_every_place(place: Place) -> None:
    with pytest.raises(Invalid) as refused:
        place.publish({("entity", "plant"): place.entity("plant", {"a": {"type": "nothing"}, "b": {"type": "choice", "choices": "no_such"}})})
    assert {fault.pointer.split("/fields/")[1].split("/")[0] for fault in refused.value.faults} == {"a", "b"}
    assert place.workspace.version == 1


def test_what_was_confirmed_is_what_is_published(place: Place) -> None:
    plan = plan_publish(place.ctx, place.changed({("entity", "plant"): place.entity("plant", {"x": {"type": "text", "title": {"zh": "x"}}})}))
    with pytest.raises(Conflict, match="publish_other_digest"):
        publish(place.ctx, plan, expect_digest="0" * 64)
    publish(place.ctx, plan, expect_digest=plan.digest)
    with pytest.raises(Conflict, match="publish_stale"):
        publish(place.ctx, plan, expect_digest=plan.digest)


def test_a_failure_in_the_middle_leaves_the_old_version_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: Any, **more: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("engine.publishing.store_version", broken)
    with pytest.raises(RuntimeError):
        place.publish(
            {
                ("entity", "plant"): place.entity("plant", {"x": {"type": "text", "index": True, "title": {"zh": "x"}}}),
                ("entity", "pot"): {"title": {"zh": "盆"}, "fields": {"name": {"type": "text", "title": {"zh": "名"}}}},
            }
        )
    monkeypatch.undo()
    assert place.workspace.version == 1 and drift_of(place.ctx) == []
    place.with_fields("plant", x={"type": "text", "index": True, "title": {"zh": "x"}})
    assert drift_of(place.ctx) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import engine.publishing as publishing
from engine.home import Home
from engine.registry import default_registry
from engine.settings import Settings
from engine.workspace_load import load_workspace
import sqlalchemy as sa
left = [int(sys.argv[1])]
def count(*words):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
home = Home.open(Settings.from_environment({key: value for key, value in os.environ.items() if key.startswith("TANGRAM_")}), default_registry(), load_workspace)
ctx = publishing.operator(home, sys.argv[2])
document = dict(ctx.workspace.bundle.documents["entity", "plant"])
document["fields"] = {**document["fields"], "x": {"type": "text", "index": True, "title": {"zh": "x"}},
                      "y": {"type": "formula", "value": "coalesce(height, 0) + 1", "title": {"zh": "y"}}}
plan = publishing.plan_publish(ctx, ctx.workspace.bundle.replace({("entity", "plant"): document}))
sa.event.listen(sa.Engine, "before_cursor_execute", count)
publishing.publish(ctx, plan)
"""


@pytest.mark.parametrize("statements", [3, 6, 10, 400])
def test_a_killed_publish_is_the_old_version_or_the_new_one(place: Place, statements: int) -> None:
    service.create(place.ctx, "plant", {"name": "a", "height": 1})
    settings = place.home.settings
    words = {"TANGRAM_HOME": str(settings.home), "TANGRAM_SECRET_KEY": settings.secret_key}
    if place.workspace.database.dialect == "postgresql":
        words["TANGRAM_DATABASE_URL"] = settings.database_url
    code = subprocess.run(
        [sys.executable, "-c", KILLED, str(statements), place.name], env={**os.environ, **words}, cwd=Path(__file__).resolve().parents[2]
    ).returncode
    assert code == (0 if statements == 400 else -signal.SIGKILL)
    assert place.workspace.version == (2 if code == 0 else 1)
    assert ("x" in place.workspace.entities["plant"].fields) == (code == 0)
    assert drift_of(place.ctx) == []
    if code:
        place.with_fields("plant", x={"type": "text", "index": True, "title": {"zh": "x"}})
        assert drift_of(place.ctx) == []


def test_slow_steps_are_prepared_beside_the_running_version(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.schema.plan.SLOW_ROWS", 1)
    ids = [service.create(place.ctx, "plant", {"name": name, "height": height}).id for name, height in (("a", 1), ("b", 2), ("c", 3))]
    entity = place.entity(
        "plant",
        {
            "code": {"type": "text", "index": True, "title": {"zh": "编码"}},
            "twice": {"type": "formula", "value": "coalesce(height, 0) * 2", "title": {"zh": "两倍"}},
        },
    )
    plan = plan_publish(place.ctx, place.changed({("entity", "plant"): entity}))
    done = publish(place.ctx, plan, wait=False)
    if place.workspace.database.dialect == "postgresql":
        assert done.state == "preparing" and place.workspace.version == 1
        service.update(place.ctx, "plant", ids[0], {"height": 10}, version=1)
        ids.append(service.create(place.ctx, "plant", {"name": "d", "height": 7}).id)
        with pytest.raises(Conflict, match="publish_running"):
            place.with_fields("visit", more={"type": "text", "title": {"zh": "更多"}})
        finish_preparing(place.home, place.name, done.number)
        assert [get(place.ctx, "plant", one)["twice"] for one in ids] == [20, 4, 6, 14]
    assert place.workspace.version == 2 and drift_of(place.ctx) == []


def test_a_version_that_cannot_be_prepared_is_given_up_and_had_again_later(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    place = small_place(homes.home("postgresql"))
    monkeypatch.setattr("engine.schema.plan.SLOW_ROWS", 0)
    service.create(place.ctx, "plant", {"name": "a", "code": "x"})
    number = place.publish(
        {("entity", "plant"): place.entity("plant", {"code": {"type": "text", "index": True, "unique": True, "title": {"zh": "编码"}}})}, wait=False
    ).number
    twin = service.create(place.ctx, "plant", {"name": "b", "code": "x"}).id
    with pytest.raises(Conflict, match="publish_violations"):
        finish_preparing(place.home, place.name, number)
    assert place.workspace.version == 1 and drift_of(place.ctx) == []
    with pytest.raises(Conflict, match="publish_not_preparing"):
        give_up_preparing(place.ctx, number)
    service.delete(place.ctx, "plant", twin, version=1)
    assert rollback(place.ctx, number).state == "live" and drift_of(place.ctx) == []


def test_a_clone_has_the_definitions_and_their_origins_but_no_data(place: Place) -> None:
    service.create(place.ctx, "plant", {"name": "a"})
    place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}})
    copy = Place(place.home, clone_workspace(place.home, place.name, new_name(), sandbox=True).name)
    assert copy.workspace.bundle.digest == place.workspace.bundle.digest and rows(copy) == []
    with copy.workspace.database.read() as connection:
        known = origins(connection, 1)
    assert (known["entity", "plant"].origin, known["entity", "plant"].preset, known["entity", "plant"].preset_version) == ("workspace", "small", "1.0")
    assert known["entity", "visit"].origin == "preset"


def upgraded(tmp_path: Path, changes: dict[tuple[str, str], Any]) -> Path:
    folder = tmp_path / "preset"
    documents = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
    Bundle(documents, DOCUMENTS).write_folder(folder)
    return folder


def test_a_preset_upgrade_merges_with_what_the_workspace_changed(place: Place, tmp_path: Path) -> None:
    place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}})
    plant = json.loads(json.dumps(SMALL["entity", "plant"]))
    plant["fields"]["light"] = {"type": "text", "title": {"zh": "光照"}}
    folder = upgraded(tmp_path, {("preset", "preset"): {**SMALL["preset", "preset"], "version": "1.1"}, ("entity", "plant"): plant, ("list", "plants"): None})
    plan = plan_folder(place.ctx, folder)
    assert not plan.conflicts and plan.ready
    publish(place.ctx, plan)
    assert {"soil", "light"} <= place.workspace.entities["plant"].fields.keys() and "plants" not in place.workspace.bundle.lists
    with place.workspace.database.read() as connection:
        known = origins(connection, place.workspace.version)
    assert (known["entity", "plant"].origin, known["entity", "plant"].preset_version) == ("workspace", "1.1")
    assert plan_folder(place.ctx, folder).differences == ()


def test_both_sides_changing_the_same_is_refused_with_the_place(place: Place, tmp_path: Path) -> None:
    place.with_fields("plant", height={"type": "integer", "title": {"zh": "身高"}})
    plant = json.loads(json.dumps(SMALL["entity", "plant"]))
    plant["fields"]["height"]["title"] = {"zh": "株高"}
    with pytest.raises(Conflict) as refused:
        publish(place.ctx, plan_folder(place.ctx, upgraded(tmp_path, {("entity", "plant"): plant})))
    assert [fault.pointer for fault in refused.value.faults] == ["/entity/plant/fields/height/title/zh"]


def test_an_export_names_its_base_so_that_newer_changes_stay(place: Place, tmp_path: Path) -> None:
    folder, archive = tmp_path / "out", tmp_path / "out.zip"
    assert export_definitions(place.ctx, folder) == 1 and export_definitions(place.ctx, archive) == 1
    place.with_fields("plant", soil={"type": "text", "title": {"zh": "土壤"}})
    file = folder / "entities" / "visit.json"
    file.write_text(file.read_text(encoding="utf-8").replace("说明", "备注"), encoding="utf-8")
    publish(place.ctx, plan_folder(place.ctx, folder))
    assert "soil" in place.workspace.entities["plant"].fields
    assert place.workspace.bundle.entities["visit"].fields["note"].title == {"zh": "备注"}
    assert plan_folder(place.ctx, archive).differences == ()
    with pytest.raises(Invalid, match="export_exists"):
        export_definitions(place.ctx, folder)


def test_an_archive_that_reaches_outside_is_refused(place: Place, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../evil.json", "{}")
    with pytest.raises(Invalid, match="folder_unreadable"):
        plan_folder(place.ctx, tmp_path / "bad.zip")


def test_rights_that_change_are_told_with_the_number_of_people(place: Place) -> None:
    viewer = {"title": {"zh": "看客"}, "grants": {"visit": {"read": True}}}
    place.publish({("role", "viewer"): viewer})
    for number in range(3):
        service.create(place.ctx, "person", {"name": f"p{number}", "roles": ["viewer"]})
    plan = plan_publish(place.ctx, place.changed({("role", "viewer"): {**viewer, "grants": {"visit": {"read": "amount > 3"}, "plant": {"read": True}}}}))
    told = {(right.direction, right.verb): right for right in plan.rights}
    assert told["gains", "read"].people == 3 and "3 人（看客）将可以查看「植物」" in told["gains", "read"].sentence("zh")
    assert told["loses", "read"].before == "*" and told["loses", "read"].after == "amount > 3"


def test_a_workspace_that_cannot_be_made_leaves_no_trace(home: Home) -> None:
    name = new_name()
    with pytest.raises(Invalid):
        create_workspace(home, name, Bundle({**SMALL, ("entity", "x"): {"title": "x", "fields": {"a": {"type": "nothing"}}}}, DOCUMENTS))
    assert name not in [entry.name for entry in home.workspaces()]
    assert small_place(home, name).workspace.version == 1


def test_drift_sees_a_lost_column_a_changed_condition_and_a_foreign_index(place: Place) -> None:
    place.publish({("entity", "plant"): place.entity("plant", unique={"code": {"fields": ["code"], "message": {"zh": "重复"}}})})
    assert drift_of(place.ctx) == []
    unique = place.workspace.entities["plant"].unique["code"].index
    database = place.workspace.database
    prefix = f'"{database.schema}".' if database.schema else ""
    inside = "" if database.schema else prefix
    with database.write() as connection:
        connection.execute(sa.text(f'DROP INDEX {prefix}"{unique}"'))
        connection.execute(sa.text(f'CREATE UNIQUE INDEX {inside}"{unique}" ON {prefix}"r_plant" (code) WHERE code IS NOT NULL'))
        connection.execute(sa.text(f'CREATE INDEX {inside}"by_hand" ON {prefix}"r_plant" (height)'))
        connection.execute(sa.text(f'ALTER TABLE {prefix}"r_visit" DROP COLUMN note'))
    assert {(item.code, item.what) for item in drift_of(place.ctx)} == {
        ("drift_table", "r_visit.note"),
        ("drift_index_changed", unique),
        ("drift_index_extra", "by_hand"),
    }


def test_publishing_waits_politely_for_readers(homes: Homes) -> None:
    """A long reader holds the table on PostgreSQL: the publish gives way after half a second and tries again; other readers are not stopped."""
    place = small_place(homes.home("postgresql"))
    database = place.workspace.database
    reading, release = Event(), Event()

    def hold() -> None:
        with database.snapshot(long=True) as connection:
            connection.execute(sa.select(sa.func.count()).select_from(place.workspace.entities["plant"].table), execution_options={"scoped": True})
            reading.set()
            release.wait(10)

    holder = Thread(target=hold)
    holder.start()
    reading.wait(10)
    Timer(1.2, release.set).start()
    assert place.with_fields("plant", late={"type": "text", "title": {"zh": "晚"}}).number == 2
    holder.join()
    assert drift_of(place.ctx) == []
