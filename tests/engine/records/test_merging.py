"""Merging moves every link of every entity to the kept record, and taking it back within 30 days leaves everything exactly as it was."""

import os
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import files, merge_jobs
from engine.clock import move
from engine.context import Context
from engine.errors import Conflict, Invalid, NotFound
from engine.jobs import JobRun, table_for
from engine.messages import catalogue
from engine.records import service
from engine.records.merging import write_values
from engine.records.query import Query, get, page
from engine.records.record import ANY
from engine.records.saving import Saving
from engine.records.work import Work
from engine.rules.effects import Handle
from engine.rules.engine_effects import ENGINE_EFFECTS
from engine.system_tables_rules import merging

MANY = 400 if os.environ.get("TANGRAM_TEST_SIZE") == "full" else 12


def entity(key: str, fields: dict[str, Any], **words: Any) -> tuple[tuple[str, str], dict[str, Any]]:
    return ("entity", key), {"title": key, "label": "{name}", "fields": {"name": {"type": "text", "required": True}, **fields}, **words}


DOCUMENTS = dict(
    [
        entity(
            "client",
            {
                "phone": {"type": "phone", "encrypted": True},
                "no": {"type": "serial", "template": "C{0000}"},
                "grade": {"type": "text"},
                "note": {"type": "long_text"},
                "owner": {"type": "person"},
                "friend": {"type": "link", "to": "client"},
                "friends": {"type": "links", "to": "client"},
                "merged_into": {"type": "link", "to": "client"},
                "papers": {"type": "files"},
                "born": {"type": "date", "once": True},
                "calls": {"type": "rollup", "from": "call.client", "measure": "count"},
                "frozen": {"type": "boolean"},
            },
            unique={"phone": {"fields": ["phone"], "message": "号码已有"}},
            merge={
                "if": "keep.frozen or drop.frozen",
                "message": {"zh": "已冻结", "en": "frozen"},
                "into": "merged_into",
                "fields": {"note": "both", "grade": "newest", "name": "keep"},
            },
        ),
        entity("call", {"client": {"type": "link", "to": "client"}, "grade": {"type": "lookup", "from": "client.grade"}}, append_only=True),
        entity("party", {"guests": {"type": "links", "to": "client"}, "host": {"type": "link", "to": "client"}}),
        entity("member", {"client": {"type": "link", "to": "client", "required": True}}, lines_of="client", unique={"one": {"fields": ["client", "name"]}}),
    ]
)


class World:
    """A workspace with the operator, who may do everything."""

    def __init__(self, home: Any, make: Callable[..., Any], enter: Callable[..., Context]) -> None:
        self.workspace = make(DOCUMENTS)
        self.ctx = enter(self.workspace)

    def make(self, entity: str, **values: Any) -> int:
        return service.create(self.ctx, entity, {"name": "x", **values}).id

    def tick(self, **span: int) -> None:
        """The sandbox's clock goes on."""
        with self.ctx.writing() as ctx:
            move(ctx.open, ctx.now + timedelta(**(span or {"minutes": 1})))

    def do(self, name: str, keep: int, drop: int) -> Any:
        with self.ctx.writing() as open_ctx:
            saving = Saving(Work(open_ctx))
            read = saving.work.row
            given = ENGINE_EFFECTS[name](saving, {"keep": Handle("client", keep, read), "drop": Handle("client", drop, read)})
            saving.finish()
        return given

    def read(self, entity: str, record: int) -> dict[str, Any]:
        return dict(get(self.ctx, entity, record))

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Every row as it lies, deleted ones included, without versions and times of change."""
        found = {}
        with self.ctx.reading() as ctx:
            for key in ("client", "call", "party", "member"):
                work = Work(ctx)
                ids = ctx.open.execute(sa.select(work.entity(key).table.c.id), execution_options={"scoped": True}).scalars().all()
                rows = work.fetch(key, ids)
                found[key] = [{name: value for name, value in rows[one].items() if name not in ("version", "updated_at", "updated_by")} for one in sorted(rows)]
        return found


@pytest.fixture
def world(home, make_workspace, enter) -> World:
    return World(home, make_workspace, enter)


def ids(value: Any) -> list[int]:
    return [item.id for item in value or ()]


def test_every_link_of_every_entity_moves_and_derived_values_follow(world):
    keep = world.make("client", grade="A")
    world.tick()
    drop = world.make("client", grade="B", phone="13900000001", member=[{"name": "子"}])
    call, party = world.make("call", client=drop), world.make("party", guests=[drop, keep], host=drop)
    gone = world.make("party", host=drop)
    service.delete(world.ctx, "party", gone, ANY)
    done = world.do("merge", keep, drop)
    assert done["moved"] == {"call": 1, "member": 1, "party": 3}
    kept, called, held = world.read("client", keep), world.read("call", call), world.read("party", party)
    assert kept["calls"] == 1 and called["client"].id == keep and called["grade"] == kept["grade"] == "B"
    assert ids(held["guests"]) == [keep] and held["host"].id == keep and [line["name"] for line in kept["member"]] == ["子"]
    with pytest.raises(NotFound):
        world.read("client", drop)
    service.restore(world.ctx, "party", gone)
    assert world.read("party", gone)["host"].id == keep


def test_fields_are_taken_as_the_entity_says(world):
    keep, drop = world.make("client", name="甲", note="一", grade="A"), world.make("client", name="乙", note="二", phone="13900000001", born="1990-03-07")
    world.tick()
    service.update(world.ctx, "client", keep, {"grade": "C"}, ANY)
    world.do("merge", keep, drop)
    kept = world.read("client", keep)
    assert (kept["name"], kept["note"], kept["grade"], str(kept["born"])) == ("甲", "一\n二", "C", "1990-03-07")
    assert [record.id for record in page(world.ctx, Query("client", where="phone == '13900000001'")).items] == [keep]


def test_a_record_is_never_linked_to_itself(world):
    keep = world.make("client")
    drop = world.make("client", friend=keep, friends=[keep])
    service.update(world.ctx, "client", keep, {"friend": drop, "friends": [drop]}, ANY)
    before = world.dump()
    world.do("merge", keep, drop)
    kept = world.read("client", keep)
    assert kept["friend"] is None and not kept["friends"]
    world.do("merge.undo", keep, drop)
    assert world.dump() == before


def test_the_entitys_own_words_refuse_a_merge(world):
    keep, drop = world.make("client", frozen=True), world.make("client")
    with pytest.raises(Conflict, match="merge_refused") as refusal:
        world.do("merge", keep, drop)
    assert refusal.value.params["message"] == {"zh": "已冻结", "en": "frozen"}
    for one, other in ((keep, keep), (keep, 99_999)):
        with pytest.raises((Invalid, NotFound)):
            world.do("merge", one, other)


def test_a_merge_that_would_break_a_unique_key_is_refused_as_a_whole(world):
    keep, drop = world.make("client", member=[{"name": "子"}]), world.make("client", member=[{"name": "子"}])
    before = world.dump()
    with pytest.raises(Conflict, match="duplicate"):
        world.do("merge", keep, drop)
    assert world.dump() == before


def test_a_merged_record_comes_back_only_by_taking_the_merge_back(world):
    keep, drop = world.make("client"), world.make("client", phone="13900000001")
    world.do("merge", keep, drop)
    with pytest.raises(Conflict, match="merged_away"):
        service.restore(world.ctx, "client", drop)
    world.do("merge.undo", keep, drop)
    assert world.read("client", drop)["phone"] and world.read("client", keep)["phone"] is None
    with pytest.raises(NotFound, match="no_such_merge"):
        world.do("merge.undo", keep, drop)


def test_what_people_changed_since_is_left_and_named(world):
    keep = world.make("client", grade="A")
    world.tick()
    drop = world.make("client", grade="B", note="二")
    call, other, third = world.make("party", host=drop), world.make("party", host=drop), world.make("client")
    world.do("merge", keep, drop)
    service.update(world.ctx, "party", other, {"host": third}, ANY)
    service.update(world.ctx, "client", keep, {"grade": "Z"}, ANY)
    added = world.make("call", client=keep)
    done = world.do("merge.undo", keep, drop)
    assert done == {"moved": {"party": 1}, "left": ["grade", "party.host"]}
    assert world.read("party", call)["host"].id == drop and world.read("party", other)["host"].id == third
    assert world.read("client", keep)["grade"] == "Z" and world.read("client", keep)["note"] is None
    assert world.read("call", added)["client"].id == keep and world.read("client", drop)["calls"] == 0


def test_a_merge_is_taken_back_for_thirty_days_and_not_after(world):
    keep, drop = world.make("client"), world.make("client")
    world.do("merge", keep, drop)

    world.tick(days=30)
    world.do("merge.undo", keep, drop)
    world.do("merge", keep, drop)
    world.tick(days=30, seconds=1)
    with pytest.raises(Conflict, match="merge_too_old"):
        world.do("merge.undo", keep, drop)


def test_of_two_merges_the_later_is_taken_back_first(world):
    first, second, third = (world.make("client") for _ in range(3))
    call = world.make("call", client=third)
    before = world.dump()
    world.do("merge", second, third)
    world.do("merge", first, second)
    assert world.read("call", call)["client"].id == first
    with pytest.raises(Conflict, match="merge_kept_gone"):
        world.do("merge.undo", second, third)
    world.do("merge.undo", first, second)
    world.do("merge.undo", second, third)
    assert world.dump() == before


def test_files_follow_and_come_back(world):
    papers = [files.upload(world.ctx, f"{number}.txt", BytesIO(b"text"), limit=100).id for number in range(2)]
    keep, drop = world.make("client", papers=papers[:1]), world.make("client", papers=papers[1:])
    world.do("merge", keep, drop)
    kept = world.read("client", keep)
    assert [item.id for item in kept["papers"]] == papers
    assert files.open_file(world.ctx, papers[1])
    world.do("merge.undo", keep, drop)
    assert [item.id for item in world.read("client", keep)["papers"]] == papers[:1] and [item.id for item in world.read("client", drop)["papers"]] == papers[1:]
    assert files.open_file(world.ctx, papers[1])


def test_a_link_made_while_the_records_became_one_is_moved_by_the_job_that_follows(world):
    """As a transaction leaves it that saw the dropped record alive and committed after the merge."""
    keep, drop = world.make("client"), world.make("client")
    call, party = world.make("call", client=keep), world.make("party", guests=[keep])
    world.do("merge", keep, drop)
    with world.ctx.writing() as ctx:
        saving = Saving(Work(ctx))
        for key, record, name, value in (("call", call, "client", drop), ("party", party, "guests", [drop])):
            write_values(saving, saving.work.entity(key), record, {name: value})
        saving.finish()
        job = (
            ctx.open.execute(sa.select(table_for(ctx.open.dialect.name)).where(sa.column("name") == "merge").order_by(sa.column("id").desc()))
            .mappings()
            .first()
        )
    assert job is not None and job["run_at"] > job["created_at"]
    run = JobRun(world.ctx.home, world.workspace.database, world.workspace.name, job["id"], "merge", job["args"], {}, 1, "test", None)
    assert merge_jobs.run(run) == {"moved": 2} and merge_jobs.run(run) == {"moved": 0}
    assert world.read("call", call)["client"].id == keep and ids(world.read("party", party)["guests"]) == [keep] and world.read("client", keep)["calls"] == 1
    world.do("merge.undo", keep, drop)
    assert world.read("call", call)["client"].id == drop and merge_jobs.run(run) == {"moved": 0}


def test_what_is_kept_for_taking_back_holds_no_value_of_anybody(world):
    keep, drop = world.make("client"), world.make("client", name="王秘密", phone="13900000001", member=[{"name": "李秘密"}])
    world.do("merge", keep, drop)
    with world.ctx.reading() as ctx:
        row = ctx.open.execute(sa.select(merging)).mappings().one()
    assert "秘密" not in str(dict(row)) and "139" not in str(row["moved"])


names = st.sampled_from(["甲", "乙", None])
clients = st.lists(st.tuples(names, names, st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3, unique=True)), min_size=2, max_size=4)
links = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3, unique=True)), max_size=4)


@settings(max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients, links)
def test_taking_a_merge_back_leaves_everything_as_it_was(world, made, linked):
    some = [world.make("client", grade=grade, note=note) for grade, note, _, _ in made]

    def one(number: int) -> int:
        return some[number % len(some)]

    for number, (_, _, friend, friends) in enumerate(made):
        service.update(world.ctx, "client", some[number], {"friend": one(friend), "friends": sorted({one(item) for item in friends})}, ANY)
    for host, guests in linked:
        world.make("party", host=one(host), guests=sorted({one(item) for item in guests}))
        world.make("call", client=one(host))
    before = world.dump()
    world.do("merge", some[0], some[1])
    merged = world.dump()
    assert not [row for key in ("call", "party", "client") for row in merged[key] if row["deleted_at"] is None and some[1] in _leads(row)]
    world.do("merge.undo", some[0], some[1])
    assert world.dump() == before


def _leads(row: dict[str, Any]) -> list[Any]:
    return [row.get("host"), row.get("client"), row.get("friend"), *(row.get("guests") or ()), *(row.get("friends") or ())]


def test_every_refusal_has_its_sentences():
    assert {"merge_pair", "merge_refused", "merge_too_many", "merged_away", "no_such_merge", "merge_too_old", "merge_kept_gone"} <= catalogue().keys()
