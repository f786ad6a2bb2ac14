"""Every change leaves a row with its cause; the timeline shows it under the reader's fields and masks; revealing is logged and limited."""

import orjson
import pytest

from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.fields.values import Masked
from engine.records import history, query, service
from engine.records.jsonshape import moment_json, record_json
from engine.records.reveal import reveal
from engine.system_tables import access_log
from engine.system_tables import history as history_table
from tests.engine.records.conftest import World


def test_the_timeline_tells_who_changed_what_newest_first(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三", "phone": "13911112222", "budget": 5})
    service.update(ctx, "customer", saved.id, {"budget": 9}, 1)
    newest, oldest = history.timeline(ctx, "customer", saved.id).items
    assert (newest.verb, oldest.verb) == ("update", "create") and newest.version == 2
    assert [(item.field, item.before, item.after) for item in newest.changes] == [("budget", 5, 9)]
    assert newest.person == (world.person("s1"), "人s1") and newest.cause["kind"] == "person"
    assert {item.field: item.after for item in oldest.changes}["phone"].endswith("13911112222")
    shaped = moment_json(world.workspace, world.workspace.entities["customer"], newest)
    assert shaped["changes"] == [{"field": "budget", "before": 5, "after": 9, "computed": False}] and shaped["at"] == "2026-03-01T11:00:00+08:00"


def test_the_timeline_keeps_masks_and_unreadable_fields(world: World):
    pool = service.create(world.ctx(), "customer", {"name": "张三丰", "phone": "13911112222", "secret": "底价 100"})
    changes = {item.field: item.after for item in history.timeline(world.ctx("s1"), "customer", pool.id).items[0].changes}
    assert changes["name"] == Masked("张*") and isinstance(changes["phone"], Masked) and "secret" not in changes
    with pytest.raises(NotFound):
        history.timeline(world.ctx("l1"), "customer", pool.id)


def test_history_keeps_no_clear_text_of_an_encrypted_field(world: World):
    service.create(world.ctx(), "customer", {"name": "张三丰", "phone": "13911112222"})
    with world.ctx().reading() as ctx:
        rows = [str(row) for row in ctx.open.execute(history_table.select())]
    assert rows and not any("13911112222" in row for row in rows)


def test_a_timeline_goes_on_where_a_page_ends(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    for number in range(5):
        service.update(ctx, "customer", saved.id, {"lucky": number}, number + 1)
    page = history.timeline(ctx, "customer", saved.id, limit=4)
    rest = history.timeline(ctx, "customer", saved.id, cursor=page.next, limit=4)
    assert [item.version for item in (*page.items, *rest.items)] == [6, 5, 4, 3, 2, 1] and rest.next is None


def test_revealing_needs_the_grant_a_reason_and_quota_and_is_logged(world: World, make_world):
    documents = {
        ("settings", "settings"): {
            "days": {"type": "integer", "default": 3, "title": "天数"},
            "reveal_quota": {"type": "integer", "default": 2, "title": "每天查看次数"},
        }
    }
    world = make_world("sqlite", documents)
    ctx = world.ctx("s1")
    pool = service.create(world.ctx(), "customer", {"name": "张三丰", "phone": "13911112222", "secret": "x"})
    assert isinstance(query.get(ctx, "customer", pool.id)["phone"], Masked)
    assert reveal(ctx, "customer", pool.id, "phone", "回访").endswith("13911112222")
    with pytest.raises(Invalid):
        reveal(ctx, "customer", pool.id, "phone", " ")
    with pytest.raises(NotFound):
        reveal(ctx, "customer", pool.id, "secret", "回访")
    other = service.create(world.ctx("s3"), "customer", {"name": "王五", "phone": "13911113333"})
    with pytest.raises(NotFound):
        reveal(ctx, "customer", other.id, "phone", "回访")
    reveal(ctx, "customer", pool.id, "name", "回访")
    with pytest.raises(Conflict) as refusal:
        reveal(ctx, "customer", pool.id, "name", "回访")
    assert refusal.value.code == "reveal_quota"
    with ctx.reading() as reading:
        rows = reading.open.execute(access_log.select().where(access_log.c.kind == "reveal")).all()
    assert [(row.field, row.record, row.detail["reason"]) for row in rows] == [("phone", pool.id, "回访"), ("name", pool.id, "回访")]


def test_revealing_is_denied_without_the_action(world: World):
    mine = service.create(world.ctx("s1"), "customer", {"name": "张三", "phone": "13911112222"})
    assert reveal(world.ctx("s1"), "customer", mine.id, "phone", "回访").endswith("2222"), "what stands in clear may be asked for"
    service.update(world.ctx(), "customer", mine.id, {"owner": None}, service.ANY)
    assert reveal(world.ctx("s1"), "customer", mine.id, "phone", "回访").endswith("2222"), "granted on unowned rows"
    with pytest.raises((Denied, NotFound)):
        reveal(world.ctx("l1"), "customer", mine.id, "phone", "回访")


def test_a_record_as_json_follows_the_contract(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三", "budget": 12345, "next_at": "2026-03-02T10:00:00+08:00", "born": "1990-02-03", "tags": []})
    found = orjson.loads(orjson.dumps(record_json(world.workspace, world.workspace.entities["customer"], query.get(ctx, "customer", saved.id))))
    assert found["owner"] == {"id": world.person("s1"), "label": "人s1"} and found["budget"] == 12345 and found["next_at"] == "2026-03-02T10:00:00+08:00"
    assert found["born"] == "1990-02-03" and found["tags"] == [] and found["merged"] is None and found["created_at"].endswith("+08:00")
