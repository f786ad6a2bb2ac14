"""A day at a site, told role by role on both databases: what each may see and do, and what the definitions work out by themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine.background import advance
from engine.errors import Conflict, Denied, Invalid, NotFound, Refusal
from engine.fields.values import Masked
from engine.records import service
from engine.records.asks import mine
from engine.records.asks_deciding import decide
from engine.records.query import Query, get, page
from engine.system_tables_rules import notice, run

from .conftest import MORNING, PEOPLE, Site


def day_end(text: str) -> datetime:
    """The instant at which the local day ends."""
    return (datetime.fromisoformat(f"{text}T00:00:00+08:00") + timedelta(days=1)).astimezone(UTC)


def codes(refusal: Refusal) -> set[str]:
    return {fault.code for fault in refusal.faults} | {refusal.code}


def test_seats_are_the_active_people_who_can_log_in(site: Site) -> None:
    where = site.ctx().workspace.bundle.lists["seats"].where
    seats = site.ids("root", "person", where)
    site.create("", "person", name="没有账号的人", roles=["consultant"])
    leaver = service.create(site.ctx(), "person", {"name": "离职的人", "login": f"left{site.phone()}", "roles": ["consultant"]})
    assert site.ids("root", "person", where) == {*seats, leaver.id} and len(seats) == len(PEOPLE)
    service.update(site.ctx(), "person", leaver.id, {"ends_at": "2026-03-14T00:00:00+08:00"}, leaver.version)
    assert site.ids("root", "person", where) == seats


# --- the consultant ---------------------------------------------------------------------------------------------------------------------------


def test_a_visitor_registered_by_a_consultant_is_theirs_and_protected_for_thirty_days(site: Site) -> None:
    made = get(site.ctx("jing"), "customer", site.customer("jing").id)
    assert made["owner"].id == site.person("jing") and made["team"].label == "one"
    assert (made["pool_state"], made["hold_kind"], made["stage"]) == ("private", "visit", "new")
    assert made["protect_until"] == day_end("2026-04-14") and made["protected"] is True
    assert made["idle_release_at"] == day_end("2026-03-30") and made["alert_at"] == day_end("2026-03-18")


@pytest.mark.parametrize(("source", "kind", "until"), [("call", "call", "2026-03-30"), ("online", "lead", "2026-03-30"), ("agency", "visit", "2026-04-14")])
def test_the_days_of_protection_follow_how_a_customer_came(site: Site, source: str, kind: str, until: str) -> None:
    made = get(site.ctx("jing"), "customer", site.customer("jing", source=source).id)
    assert (made["hold_kind"], made["protect_until"]) == (kind, day_end(until))


@pytest.mark.parametrize(("grade", "release"), [("A", "2026-03-30"), ("B", "2026-03-30"), ("C", None), (None, "2026-03-30")])
def test_low_interest_customers_are_never_released_for_idleness(site: Site, grade: str | None, release: str | None) -> None:
    made = get(site.ctx("jing"), "customer", site.customer("jing", grade=grade).id)
    assert made["idle_release_at"] == (day_end(release) if release else None)


@pytest.mark.parametrize("again", ["138 {0} {1}", "+86-138{0}{1}", "0086138{0}{1}", "１３８{0}{1}"])
def test_a_known_phone_is_refused_however_it_is_written_and_whoever_holds_it(site: Site, again: str) -> None:
    digits = site.phone()[3:]
    site.customer("jing", phone=f"138{digits}")
    with pytest.raises(Conflict) as refused:
        site.customer("qiang", name="另一位", phone=again.format(digits[:4], digits[4:]))
    assert refused.value.code == "duplicate"


def test_the_phone_of_a_merged_customer_is_free_again(site: Site) -> None:
    phone, kept = site.phone(), site.customer("jing")
    merged = site.customer("jing", phone=phone)
    service.update(site.ctx(), "customer", merged.id, {"merged_into": kept.id}, merged.version)
    assert site.customer("jing", phone=phone).id != merged.id


def test_family_and_further_phones_are_saved_with_their_customer(site: Site) -> None:
    made = site.customer(
        "jing", member=[{"name": "钱强", "relation": "spouse", "phone": site.phone()}], customer_phone=[{"phone": site.phone(), "label": "office"}]
    )
    record = get(site.ctx("jing"), "customer", made.id)
    assert [(line["name"], line["relation"]) for line in record["member"]] == [("钱强", "spouse")] and len(record["customer_phone"]) == 1


def test_somebody_elses_customer_does_not_exist(site: Site) -> None:
    theirs = site.customer("di", name="欧阳无忌")
    assert theirs.id not in site.ids("jing", "customer")
    with pytest.raises(NotFound):
        get(site.ctx("jing"), "customer", theirs.id)
    with pytest.raises(NotFound):
        service.update(site.ctx("jing"), "customer", theirs.id, {"grade": "A"}, theirs.version)
    assert not page(site.ctx("jing"), Query("customer", search="无忌")).items and page(site.ctx("di"), Query("customer", search="无忌")).items


def test_pool_customers_are_seen_without_name_and_phone(site: Site) -> None:
    made = site.customer("", pool_state="pool")
    record = get(site.ctx("jing"), "customer", made.id)
    assert isinstance(record["name"], Masked) and isinstance(record["phone"], Masked) and "三丰" not in str(record["name"])
    with pytest.raises(Denied):
        service.update(site.ctx("jing"), "customer", made.id, {"grade": "A"}, made.version)


@pytest.mark.parametrize("change", [{"owner": 1}, {"protect_until": "2030-01-01T00:00:00+08:00"}, {"pool_state": "deal"}, {"hold_kind": "visit"}])
def test_a_consultant_cannot_change_who_holds_a_customer_nor_for_how_long(site: Site, change: dict[str, Any]) -> None:
    made = site.customer("jing", source="call")
    with pytest.raises(Invalid) as refused:
        service.update(site.ctx("jing"), "customer", made.id, change, made.version)
    assert "not_writable" in codes(refused.value)


FOLLOW = {"method": "phone", "call_result": "connected", "content": "客户周六带爱人来看四房，重点看采光", "next_contact_at": "2026-03-20T10:00:00+08:00"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"method": "wechat", "call_result": None, "replied": True}, None),
        ({"method": "wechat", "call_result": None}, "no_reply"),
        ({"method": "sms", "call_result": None, "replied": True, "mass": True}, "mass"),
        ({"method": "visit", "call_result": None}, None),
        ({"at": "2026-03-14T10:59:00+08:00"}, "late"),
        ({"at": "2026-03-14T11:00:00+08:00"}, None),
        ({"call_result": "no_answer"}, "not_connected"),
        ({"content": "已 联 系 客 户"}, "too_short"),
        ({"at": "2026-03-13T09:00:00+08:00"}, "late"),
        ({"next_contact_at": None}, "no_next"),
    ],
)
def test_a_follow_up_is_judged_when_it_is_saved(site: Site, change: dict[str, Any], why: str | None) -> None:
    saved = site.create("jing", "follow_up", customer=site.customer("jing").id, **{**FOLLOW, **change})
    assert (saved.record["why_not"], saved.record["is_effective"]) == (why, why is None)
    assert saved.record["author"].id == site.person("jing")


def test_an_effective_follow_up_puts_off_release_and_sets_the_next_contact(site: Site) -> None:
    made = site.customer("jing", grade="A")
    service.update(site.ctx(), "customer", made.id, {"owned_since": "2026-03-01T10:00:00+08:00"}, made.version)
    assert get(site.ctx("jing"), "customer", made.id)["idle_release_at"] == day_end("2026-03-16")
    site.create("jing", "follow_up", customer=made.id, **{**FOLLOW, "call_result": "no_answer", "content": "连打三次都没有人接，晚上再打"})
    assert get(site.ctx("jing"), "customer", made.id)["idle_release_at"] == day_end("2026-03-16")
    site.create("jing", "follow_up", customer=made.id, **FOLLOW)
    record = get(site.ctx("jing"), "customer", made.id)
    assert record["idle_release_at"] == day_end("2026-03-30") and record["follow_ups"] == 2
    assert record["next_contact_at"] == datetime.fromisoformat(FOLLOW["next_contact_at"]).astimezone(UTC)


def test_only_the_owner_follows_up(site: Site) -> None:
    made = site.customer("jing")
    with pytest.raises((Denied, NotFound, Invalid)):
        site.create("di", "follow_up", customer=made.id, **FOLLOW)


def test_the_verdict_on_a_follow_up_is_nobodys_to_enter(site: Site) -> None:
    with pytest.raises(Invalid):
        site.create("jing", "follow_up", customer=site.customer("jing").id, **{**FOLLOW, "call_result": "no_answer"}, is_effective=True)


def test_a_first_visit_is_first_and_later_ones_are_repeats(site: Site) -> None:
    made = site.customer("jing")
    first = site.create("jing", "visit", customer=made.id, at="2026-03-10T10:00:00+08:00")
    second = site.create("jing", "visit", customer=made.id)
    record = get(site.ctx("jing"), "customer", made.id)
    assert (first.record["kind"], second.record["kind"], record["visits"]) == ("first", "re", 2)
    assert first.record["receiver"].id == site.person("jing") == first.record["owner_at_visit"].id
    assert record["first_visit_at"] == datetime.fromisoformat("2026-03-10T10:00:00+08:00").astimezone(UTC)


def test_stages_move_only_along_their_ways(site: Site) -> None:
    made = site.customer("jing")
    with pytest.raises((Invalid, Conflict)):
        service.update(site.ctx("jing"), "customer", made.id, {"stage": "signed"}, made.version)
    assert service.update(site.ctx("jing"), "customer", made.id, {"stage": "first_visit"}, made.version).record["stage"] == "first_visit"


def test_todays_list_holds_who_is_due_and_who_was_never_called(site: Site) -> None:
    where = site.ctx("jing").workspace.bundle.lists["customers_today"].where
    new, due, later = (site.customer("jing").id for _ in range(3))
    site.create("jing", "follow_up", customer=due, **{**FOLLOW, "next_contact_at": "2026-03-15T16:00:00+08:00"})
    site.create("jing", "follow_up", customer=later, **FOLLOW)
    assert {new, due} <= site.ids("jing", "customer", where) and later not in site.ids("jing", "customer", where)


def test_a_customer_is_found_by_full_number_and_last_four_by_those_who_see_it(site: Site) -> None:
    phone = site.phone()
    made = site.customer("jing", phone=phone)
    for text in (phone, phone[-4:]):
        assert made.id in {record["id"] for record in page(site.ctx("jing"), Query("customer", search=text, limit=200)).items}
        assert made.id not in {record["id"] for record in page(site.ctx("di"), Query("customer", search=text, limit=200)).items}


def test_protection_ends_with_its_last_day(fresh_site: Site) -> None:
    made = fresh_site.customer("jing")
    expiring = fresh_site.ctx("jing").workspace.bundle.lists["my_expiring"].where
    assert made.id not in fresh_site.ids("jing", "customer", expiring)
    fresh_site.home.move_clock(fresh_site.name, MORNING + timedelta(days=28))
    assert made.id in fresh_site.ids("jing", "customer", expiring)
    assert get(fresh_site.ctx("jing"), "customer", made.id)["protected"] is True
    fresh_site.home.move_clock(fresh_site.name, MORNING + timedelta(days=31))
    assert get(fresh_site.ctx("jing"), "customer", made.id)["protected"] is False


# --- the others -------------------------------------------------------------------------------------------------------------------------------


def test_a_supervisor_sees_the_own_team_and_hands_customers_over_within_it(site: Site) -> None:
    ours, theirs = site.customer("jing"), site.customer("di")
    seen = site.ids("ting", "customer")
    assert ours.id in seen and theirs.id not in seen
    moved = service.update(site.ctx("ting"), "customer", ours.id, {"owner": site.person("qiang")}, ours.version)
    assert moved.record["owner"].id == site.person("qiang") and ours.id in site.ids("qiang", "customer") and ours.id not in site.ids("jing", "customer")


def test_when_a_consultant_changes_teams_their_customers_go_along(fresh_site: Site) -> None:
    made = fresh_site.customer("jing")
    team = fresh_site.ctx("di").actor.team
    person = get(fresh_site.ctx(), "person", fresh_site.person("jing"))
    service.update(fresh_site.ctx(), "person", person["id"], {"team": team}, person["version"])
    assert made.id not in fresh_site.ids("ting", "customer") and made.id in fresh_site.ids("feng", "customer")


def test_a_receptionist_registers_for_a_consultant_and_sees_no_more_than_that(site: Site) -> None:
    made = site.customer("ning", owner=site.person("qiang"))
    record = get(site.ctx("ning"), "customer", made.id)
    assert isinstance(record["phone"], Masked) and record["owner"].id == site.person("qiang")
    assert not {"grade", "remark", "last_follow_at", "budget_max"} & set(record)
    assert get(site.ctx("qiang"), "customer", made.id)["pool_state"] == "private"


def test_a_visitor_without_a_consultant_lies_in_the_pool(site: Site) -> None:
    record = get(site.ctx("xiao"), "customer", site.customer("ning").id)
    assert (record["pool_state"], record["owner"], record["protect_until"]) == ("pool", None, None)


@pytest.mark.parametrize(
    ("login", "values", "seen"),
    [
        ("chao", {"source": "agency"}, True),
        ("chao", {"source": "natural"}, False),
        ("yun", {"stage": "signed"}, True),
        ("yun", {"stage": "intent_up"}, False),
        ("yue", {}, True),
        ("yue", {"do_not_contact": True}, False),
        ("kai", {"source": "natural"}, True),
        ("zhe", {}, True),
        ("fei", {}, True),
        ("root", {}, True),
    ],
)
def test_each_office_sees_the_customers_of_its_work(site: Site, login: str, values: dict[str, Any], seen: bool) -> None:
    made = site.customer("jing", **values)
    assert (made.id in site.ids(login, "customer")) is seen
    if seen:
        assert isinstance(get(site.ctx(login), "customer", made.id)["phone"], Masked)


def test_the_floor_price_is_there_for_finance_and_not_for_consultants(site: Site) -> None:
    project = site.create("fei", "project", code=f"P{site.phone()}", name="云溪府", stage="selling")
    building = site.create("fei", "building", project=project.id, name="12")
    unit = site.create(
        "fei", "unit", full_no="12-2-1201", building=building.id, floor=12, room="1201", area_build=118.5, list_total=380_000_000, floor_total=361_000_000
    )
    assert get(site.ctx("yun"), "unit", unit.id)["floor_total"] == 361_000_000
    record = get(site.ctx("jing"), "unit", unit.id)
    assert "floor_total" not in record and record["list_total"] == 380_000_000
    with pytest.raises((Invalid, Conflict)):
        service.update(site.ctx("fei"), "unit", unit.id, {"status": "signed"}, unit.version)
    available = service.update(site.ctx("fei"), "unit", unit.id, {"status": "available"}, unit.version)
    with pytest.raises(Invalid) as refused:
        service.update(site.ctx("fei"), "unit", unit.id, {"status": "locked"}, available.version)
    assert "stage_by_action" in codes(refused.value)


def test_an_auditor_reads_and_writes_nothing(site: Site) -> None:
    made = site.customer("jing")
    assert made.id in site.ids("kai", "customer")
    with pytest.raises(Denied):
        site.customer("kai")
    with pytest.raises(Denied):
        service.update(site.ctx("kai"), "customer", made.id, {"grade": "B"}, made.version)


def test_a_budget_stands_in_order(site: Site) -> None:
    with pytest.raises(Invalid) as refused:
        site.customer("jing", budget_min=400_000_000, budget_max=300_000_000)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/budget_max", "budget_order")]


# --- the rules --------------------------------------------------------------------------------------------------------------------------------


def test_a_copied_follow_up_does_not_count(site: Site) -> None:
    made = site.customer("jing")
    assert site.create("jing", "follow_up", customer=made.id, **FOLLOW).record["is_effective"] is True
    again = site.create("jing", "follow_up", customer=made.id, **{**FOLLOW, "content": f"  {FOLLOW['content']} "}).record
    assert (again["is_effective"], again["why_not"]) == (False, "copied")


def test_forty_days_without_a_follow_up_put_a_customer_back_into_the_pool_and_its_log_says_why(fresh_site: Site) -> None:
    """By the clock alone: reminders on the way, the release at the end of the fifteenth day, once, with the task cancelled and the owner told."""
    site = fresh_site
    made = site.customer("jing", grade="A", name="李四光")
    task = site.create("jing", "task", title="回访", customer=made.id, due_at="2026-04-20T10:00:00+08:00").id
    ran = advance(site.home, site.name, MORNING + timedelta(days=40)).ran
    ours = [(one.rule, one.at) for one in ran if one.entity == "customer" and one.record == made.id]
    assert [rule for rule, _ in ours].count("release_idle") == 1 and ("release_idle", day_end("2026-03-30")) in ours
    assert [rule for rule, _ in ours].count("remind_idle") == 1 and ("remind_idle", day_end("2026-03-27")) in ours
    assert [rule for rule, _ in ours].count("remind_no_follow") == 5 and "remind_expiring" not in [rule for rule, _ in ours]
    record = get(site.ctx("jing"), "customer", made.id)
    assert (record["pool_state"], record["owner"], record["last_owner"].id, record["release_reason"]) == ("pool", None, site.person("jing"), "idle")
    assert record["pool_since"] == day_end("2026-03-30") and isinstance(record["phone"], Masked)
    assert get(site.ctx("jing"), "task", task)["status"] == "cancelled"
    with site.ctx("jing").snapshot() as ctx:
        select = sa.select(run).where(run.c.record == made.id, run.c.rule == "release_idle")
        (row,) = ctx.open.execute(select).mappings()
        told = ctx.open.execute(sa.select(notice.c.text).where(notice.c.person == site.person("jing"), notice.c.record == made.id)).scalars().all()
    assert row["condition"]["pool_state"] == "private" and row["condition"]["stage"] == "new"
    assert any("回到公海" in str(text) for text in told)


def test_a_claim_waits_for_the_supervisor_and_then_brings_the_customer(site: Site) -> None:
    free = service.create(site.ctx(), "customer", {"name": "公海客", "phone": site.phone(), "source": "natural"}).id
    service.act(site.ctx("jing"), "customer", free, "claim", {"reason": "老客户介绍来的"})
    with pytest.raises(Conflict) as pending:
        service.act(site.ctx("di"), "customer", free, "claim", {"reason": "我也想跟进他"})
    assert pending.value.code == "PENDING"
    with site.ctx("jing").snapshot() as ctx:
        asked = mine(ctx, state="asked")[0]
    decider = next(login for login, role, _ in PEOPLE if site.person(login) in {person for person, *_ in asked.people})
    with pytest.raises(Invalid):
        decide(site.ctx(decider), asked.id, True)
    assert decide(site.ctx(decider), asked.id, True, opinion="同意") == "approved"
    record = get(site.ctx("jing"), "customer", free)
    assert (record["owner"].id, record["pool_state"], record["hold_kind"]) == (site.person("jing"), "private", "claim")
    assert not isinstance(record["phone"], Masked)


def test_a_released_customer_cannot_be_claimed_back_within_the_cool_down(site: Site) -> None:
    made = site.customer("jing")
    service.act(site.ctx("jing"), "customer", made.id, "release", {"note": "联系不上"})
    with pytest.raises(Conflict) as cooling:
        service.act(site.ctx("jing"), "customer", made.id, "claim", {"reason": "又联系上了"})
    assert cooling.value.code == "COOLDOWN"


def test_only_who_leads_transfers_and_open_tasks_go_along(site: Site) -> None:
    made = site.customer("jing")
    task = site.create("jing", "task", title="回访", customer=made.id, due_at="2026-04-20T10:00:00+08:00").id
    with pytest.raises(Denied):
        service.act(site.ctx("jing"), "customer", made.id, "transfer", {"to": site.person("di")})
    boss = next(login for login, role, _ in PEOPLE if role == "manager")
    service.act(site.ctx(boss), "customer", made.id, "transfer", {"to": site.person("di")})
    assert get(site.ctx("di"), "customer", made.id)["owner"].id == site.person("di")
    assert get(site.ctx("di"), "task", task)["owner"].id == site.person("di")
