"""Saving one record: everything refused at once, defaults, stages, keys, versions, lines; and what a save costs."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.context import Cause
from engine.errors import Conflict, Denied, Invalid, NotFound
from engine.fields.values import Masked
from engine.records import query, service
from engine.system_tables import stage_log
from tests.engine.records.conftest import World


def faults(refusal: pytest.ExceptionInfo[Any]) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.code) for fault in refusal.value.faults}


def test_a_new_record_gets_number_defaults_owner_and_derived_values(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三丰", "phone": "139 0000 0001", "budget": 1_000_000})
    found = query.get(ctx, "customer", saved.id)
    assert found["no"] == "K202603-0001" and found["grade"] == "C" and found["stage"] == "new" and found["phone"].endswith("13900000001")
    assert found["owner"] == (world.person("s1"), "人s1") and found["visits"] == 0 and found["team"].label == "甲组" and found["warm"] is False


def test_every_fault_is_told_at_once(world: World):
    with pytest.raises(Invalid) as refusal:
        service.create(
            world.ctx("s1"), "customer", {"phone": "12", "budget": "x", "grade": "Z", "channel": "online", "nonsense": 1, "secret": "1", "visits": 3}
        )
    assert {pointer for pointer, _ in faults(refusal)} == {"/name", "/phone", "/budget", "/grade", "/detail", "/nonsense", "/secret", "/visits"}
    assert ("/secret", "unknown_field") in faults(refusal) and ("/nonsense", "unknown_field") in faults(refusal)
    assert ("/name", "required") in faults(refusal) and ("/detail", "required") in faults(refusal)


def test_a_stale_save_is_refused_with_both_values(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    service.update(ctx, "customer", saved.id, {"grade": "A"}, 1)
    with pytest.raises(Conflict) as refusal:
        service.update(ctx, "customer", saved.id, {"grade": "B"}, 1)
    assert refusal.value.code == "stale"
    assert refusal.value.params["current"]["grade"] == "A" and refusal.value.params["mine"] == {"grade": "B"} and refusal.value.params["version"] == 2


def test_saving_the_same_values_again_writes_nothing(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    again = service.update(ctx, "customer", saved.id, {"name": "张三"}, 1)
    assert again.version == 1 and again.changes == ()


def test_a_taken_key_is_a_conflict_with_the_declared_message_and_field(world: World):
    ctx = world.ctx("s1")
    first = service.create(ctx, "customer", {"name": "张三", "phone": "13900000001"})
    with pytest.raises(Conflict) as refusal:
        service.create(ctx, "customer", {"name": "李四", "phone": "+86 139-0000-0001"})
    assert refusal.value.code == "duplicate" and faults(refusal) == {("/phone", "duplicate")}
    assert refusal.value.params["message"] == {"zh": "该号码已登记"}
    service.update(world.ctx(), "customer", first.id, {"merged": first.id}, service.ANY)
    service.create(ctx, "customer", {"name": "李四", "phone": "13900000001"})


def test_stages_move_only_along_declared_ways(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三"})
    with pytest.raises(Invalid) as refusal:
        service.update(ctx, "customer", saved.id, {"stage": "won"}, 1)
    assert faults(refusal) == {("/stage", "stage_move")} and refusal.value.faults[0].params == {"from": "new", "to": "won"}
    service.update(ctx, "customer", saved.id, {"stage": "met"}, 1)
    with pytest.raises(Invalid) as refusal:
        service.update(ctx, "customer", saved.id, {"stage": "won"}, 2)
    assert faults(refusal) == {("/stage", "stage_condition")}
    service.update(ctx, "customer", saved.id, {"stage": "won", "budget": 5}, 2)
    with ctx.reading() as reading:
        moves = [(row.from_stage, row.to_stage) for row in reading.open.execute(stage_log.select().where(stage_log.c.record == saved.id))]
    assert moves == [(None, "new"), ("new", "met"), ("met", "won")]


def test_checks_once_and_cascades_hold(world: World):
    ctx = world.ctx("s1")
    with pytest.raises(Invalid) as refusal:
        service.create(ctx, "customer", {"name": "张三", "budget": 10, "budget_max": 5, "channel": "online", "detail": "street"})
    assert faults(refusal) == {("/budget_max", "budget_order"), ("/detail", "choice_not_under_parent")}
    saved = service.create(ctx, "customer", {"name": "张三", "first_source": "网络", "channel": "online", "detail": "site"})
    with pytest.raises(Invalid) as refusal:
        service.update(ctx, "customer", saved.id, {"first_source": "电话"}, 1)
    assert faults(refusal) == {("/first_source", "written_once")}
    changed = service.update(ctx, "customer", saved.id, {"channel": "walk_in"}, 1)
    assert changed.record["detail"] is None, "a field that is no longer shown keeps no value"


def test_links_lead_only_to_visible_records(world: World):
    other = service.create(world.ctx("s3"), "customer", {"name": "王五"})
    with pytest.raises(Invalid) as refusal:
        service.create(world.ctx("s1"), "visit", {"customer": other.id})
    assert faults(refusal) == {("/customer", "link_unknown")}
    with pytest.raises(Invalid) as refusal:
        service.create(world.ctx("s1"), "visit", {"customer": 999_999})
    assert faults(refusal) == {("/customer", "link_unknown")}


def test_what_a_person_may_not_see_is_not_found_and_what_they_may_not_change_is_denied(world: World):
    other = service.create(world.ctx("s3"), "customer", {"name": "王五"})
    pool = service.create(world.ctx(), "customer", {"name": "公海"})
    with pytest.raises(NotFound):
        service.update(world.ctx("s1"), "customer", other.id, {"grade": "A"}, 1)
    with pytest.raises(Denied):
        service.update(world.ctx("s1"), "customer", pool.id, {"grade": "A"}, 1)
    with pytest.raises(NotFound):
        service.delete(world.ctx("s1"), "customer", other.id, 1)


def test_all_that_might_point_to_a_record_is_asked_in_one_statement_before_it_is_deleted(world: World, statements):
    ctx = world.ctx("s1")
    assert len(ctx.workspace.entities["customer"].linked_from) > 1
    first, saved = (service.create(ctx, "customer", {"name": name}) for name in ("张三", "李四"))
    service.delete(ctx, "customer", first.id, 1)
    with statements(world) as sent:
        service.delete(ctx, "customer", saved.id, 1)
    assert len([text for text in sent if "EXISTS" in text and "visit" in text]) == 1 and not [text for text in sent if "count(" in text and "visit" in text]


def test_a_linked_record_cannot_be_deleted_and_a_deleted_one_can_come_back(world: World):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三", "phone": "13900000001"})
    visit = service.create(ctx, "visit", {"customer": saved.id, "score": 5})
    with pytest.raises(Conflict) as refusal:
        service.delete(ctx, "customer", saved.id, 1)
    assert refusal.value.code == "still_linked" and refusal.value.params["count"] == 1
    service.delete(ctx, "visit", visit.id, 1)
    assert query.get(ctx, "customer", saved.id)["visits"] == 0
    service.delete(ctx, "customer", saved.id, 1)
    with pytest.raises(NotFound):
        query.get(ctx, "customer", saved.id)
    assert query.page(ctx, query.Query("customer", search="张三")).items == []
    taken = service.create(ctx, "customer", {"name": "李四", "phone": "13900000001"})
    with pytest.raises(Conflict) as refusal:
        service.restore(ctx, "customer", saved.id)
    assert refusal.value.code == "duplicate"
    service.update(ctx, "customer", taken.id, {"phone": "13900000002"}, 1)
    assert service.restore(ctx, "customer", saved.id).record["name"] == "张三"
    assert [item.id for item in query.page(ctx, query.Query("customer", search="张三")).items] == [saved.id]


def test_lines_are_saved_with_their_parent_and_its_checks_see_their_sum(world: World):
    ctx = world.ctx("s1")
    with pytest.raises(Invalid) as refusal:
        service.create(ctx, "order", {"title": "一", "share": [{"who": "甲", "bp": 5000}, {"bp": "x"}]})
    assert ("/share/1/who", "required") in faults(refusal) and "/share/1/bp" in {pointer for pointer, _ in faults(refusal)}
    with pytest.raises(Invalid) as refusal:
        service.create(ctx, "order", {"title": "一", "share": [{"who": "甲", "bp": 5000}]})
    assert faults(refusal) == {("/share_sum", "shares_sum")}
    saved = service.create(ctx, "order", {"title": "一", "share": [{"who": "甲", "bp": 4000}, {"who": "乙", "bp": 6000}]})
    found = query.get(ctx, "order", saved.id)
    assert found["share_sum"] == 10000 and [line["who"] for line in found["share"]] == ["甲", "乙"]
    first, second = found["share"]
    service.update(ctx, "order", saved.id, {"share": [{"id": first["id"], "who": "甲", "bp": 9000}, {"who": "丙", "bp": 1000}]}, found.version)
    after = query.get(ctx, "order", saved.id)
    assert [(line["who"], line["bp"]) for line in after["share"]] == [("甲", 9000), ("丙", 1000)] and after["shares"] == 2
    assert after["share"][0]["id"] == first["id"] and second["id"] not in {line["id"] for line in after["share"]}


def test_an_append_only_record_never_changes(world: World):
    ctx = world.ctx("a1")
    saved = service.create(ctx, "log", {"text": "一"})
    for attempt in (lambda: service.update(ctx, "log", saved.id, {"text": "二"}, 1), lambda: service.delete(ctx, "log", saved.id, 1)):
        with pytest.raises(Denied):
            attempt()


def test_the_same_key_gives_the_same_record_once(world: World):
    ctx = world.ctx("s1")
    first = service.create(ctx, "customer", {"name": "张三"}, idempotency_key="k1")
    assert service.create(ctx, "customer", {"name": "张三"}, idempotency_key="k1").id == first.id
    with pytest.raises(Invalid) as refusal:
        service.create(ctx, "customer", {"name": "李四"}, idempotency_key="k1")
    assert refusal.value.code == "idempotency_key_reused"
    assert service.create(world.ctx("s2"), "customer", {"name": "李四"}, idempotency_key="k1").id != first.id


def test_a_refused_row_of_many_leaves_the_others_alone(world: World):
    ctx = world.ctx("s1")
    results = service.bulk(ctx, "customer", [{"name": "甲", "phone": "13900000001"}, {"name": ""}, {"name": "乙", "phone": "13900000001"}, {"name": "丙"}])
    assert [item.outcome for item in results] == ["created", "refused", "refused", "created"]
    assert results[1].faults[0].pointer == "/name" and results[2].code == "duplicate"
    changed = service.bulk(ctx, "customer", [{"id": results[0].id, "version": 1, "grade": "A"}, {"id": results[3].id, "grade": "A"}])
    assert [item.outcome for item in changed] == ["updated", "refused"]


def test_what_a_save_gives_back_is_masked_for_its_giver(world: World):
    pool = service.create(world.ctx(), "customer", {"name": "张三丰", "phone": "13900000001"})
    seen = query.get(world.ctx("s1"), "customer", pool.id)
    assert seen["name"] == Masked("张*") and isinstance(seen["phone"], Masked) and "secret" not in seen
    lead = world.ctx("l1")
    mine = service.create(world.ctx("s2"), "customer", {"name": "李四", "phone": "13900000002"})
    saved = service.update(lead, "customer", mine.id, {"grade": "A"}, 1)
    assert saved.record["name"] == "李四"


def test_a_plain_save_costs_at_most_five_statements(world: World, statements: Callable[[World], Any]):
    ctx = world.ctx("s1")
    saved = service.create(ctx, "customer", {"name": "张三", "phone": "13900000001"})
    service.update(ctx, "customer", saved.id, {"grade": "A"}, 1)
    with statements(world) as seen:
        service.update(ctx, "customer", saved.id, {"budget": 300, "lucky": 3}, 2)
    assert len(seen) <= 5, seen
    with statements(world) as seen:
        service.create(ctx, "order", {"title": "二"})
    assert len(seen) <= 5, seen


def test_a_save_given_back_whole_is_what_reading_it_gives(world: World):
    pool = service.create(world.ctx(), "customer", {"name": "张三丰", "phone": "13900000001", "owner": world.person("s2")}, whole=True).record
    assert pool == query.get(world.ctx(), "customer", pool.id)
    for login, given in (("s1", {"name": "李四", "phone": "13900000002", "tags": ["a"]}), ("a1", {"name": "王五", "owner": world.person("s3")})):
        ctx = world.ctx(login)
        made = service.create(ctx, "customer", given, whole=True).record
        assert made == query.get(ctx, "customer", made.id) and made["owner"].label
        changed = service.update(ctx, "customer", made.id, {"grade": "A"}, 1, whole=True).record
        assert changed == query.get(ctx, "customer", made.id) and changed["owner"].label
    order = service.create(world.ctx("s1"), "order", {"title": "一", "share": [{"who": "甲", "bp": 10000}]}, whole=True).record
    assert order == query.get(world.ctx("s1"), "order", order.id) and len(order["share"]) == 1
    before = world.ctx("s1")
    renamed = service.update(world.ctx("a1"), "person", world.person("s1"), {"name": "新名"}, service.ANY, whole=True).record
    assert renamed == query.get(world.ctx("a1"), "person", renamed.id)
    assert service.create(before, "customer", {"name": "赵六"}, whole=True).record["owner"].label == "新名"


def test_a_save_given_back_whole_asks_nothing_more_for_rows_at_hand(world: World, statements: Callable[[World], Any]):
    ctx = world.ctx("s1")
    made = service.create(ctx, "customer", {"name": "张三", "phone": "13900000001"})
    for attempt in range(2):
        with statements(world) as seen:
            saved = service.update(ctx, "customer", made.id, {"budget": 300 + attempt}, attempt + 1, whole=True)
    assert len(seen) == 4 + 1, seen  # state, row, change, history; the team's label
    assert saved.record["owner"].label == "人s1" and saved.record["team"].label == "甲组"


def test_system_fields_cannot_be_given(world: World):
    saved = service.create(world.ctx("s1"), "customer", {"name": "张三", "id": 77, "version": 9, "created_by": 4})
    assert saved.id != 77 and saved.version == 1 and saved.record["created_by"] == world.person("s1")


def test_a_serial_number_is_drawn_never_typed_but_an_import_may_bring_old_ones(world: World):
    ctx = world.ctx("s1")
    with pytest.raises(Invalid) as refusal:
        service.create(ctx, "customer", {"name": "张三", "no": "K1"})
    assert faults(refusal) == {("/no", "not_writable")}
    imported = service.create(ctx.because(Cause("import", "旧表")), "customer", {"name": "张三", "no": "K199901-0001"})
    assert imported.record["no"] == "K199901-0001"
