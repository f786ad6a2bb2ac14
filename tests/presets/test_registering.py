"""The front desk: many at once with one new telephone, from two processes; what registering a visitor costs the database."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from engine.actors import enter_as
from engine.background import advance
from engine.intake import accept
from engine.records import service
from engine.records.query import Query, count, page
from engine.system_tables_rules import notice

from .conftest import MORNING, Site

ROOT = Path(__file__).parents[2]
#: Statements of registering a new visitor: recognising, deciding, the turn, customer, spell, visit, tasks, verdict, histories and the log of rules.
MOST_STATEMENTS = 80


def desk(site: Site) -> None:
    """A board with two on duty."""
    board = site.create("", "duty_board", name="主轮", auto_busy=False).id
    for number, login in enumerate(("jing", "qiang")):
        site.create("", "duty_member", board=board, person=site.person(login), sort=number, status="on")


def environment(site: Site) -> dict[str, str]:
    settings = site.home.settings
    words = {"TANGRAM_HOME": str(settings.home), "TANGRAM_SECRET_KEY": settings.secret_key, "TANGRAM_SQLITE_SYNCHRONOUS": settings.sqlite_synchronous}
    return {**os.environ, **words, **({"TANGRAM_DATABASE_URL": settings.database_url} if settings.database_url else {})}


def test_ten_visits_of_one_new_telephone_from_two_processes_at_once_make_one_customer(fresh_site: Site) -> None:
    site, phone = fresh_site, fresh_site.phone()
    desk(site)
    command = [sys.executable, "-m", "tests.presets.visitors", site.name, "ning", phone, "5"]
    desks = [subprocess.Popen(command, env=environment(site), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in desks:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in desks:
        assert one.stdin is not None
        one.stdin.write("now\n")
        one.stdin.flush()
    rows = Counter(int(row) for one in desks for row in one.communicate(timeout=120)[0].split())
    assert rows == {14: 1, 3: 9}
    (customer,) = page(site.ctx(), Query("customer", where=f"phone == '{phone}'", fields=("visits", "owner"))).items
    assert customer["visits"] == 10 and customer["owner"] is not None
    about = f"customer == {customer['id']}"
    assert [count(site.ctx(), entity, about) for entity in ("touch", "verdict", "visit")] == [10, 10, 10]
    assert count(site.ctx(), "ownership_spell", f"{about} and empty(end_at)") == 1
    assert count(site.ctx(), "duty_event", f"{about} and kind == 'turn'") == 1


def test_registering_a_new_visitor_takes_a_bounded_number_of_statements(fresh_site: Site) -> None:
    site = fresh_site
    desk(site)
    seen: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    service.create(site.ctx("ning"), "touch", {"kind": "visit", "name": "先来", "phone": site.phone()})
    ctx = site.ctx("ning")
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        made = service.create(ctx, "touch", {"kind": "visit", "name": "张三", "phone": site.phone()})
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert made.record["row"] == 14 and made.record["owner"].id == site.person("qiang")
    assert len(seen) <= MOST_STATEMENTS, len(seen)


def test_a_lead_from_outside_is_a_customer_of_somebodys_as_soon_as_its_message_is_worked_on_and_counts_once(fresh_site: Site) -> None:
    """A portal sends the same lead twice, and another one of a telephone that is known: both are judged, nothing is made twice."""
    site, phone = fresh_site, fresh_site.phone()
    desk(site)
    lead = {
        "key": "dy-1001",
        "name": "抖音客",
        "phone": phone,
        "source_detail": "douyin",
        "area": "xihu",
        "layouts": ["three"],
        "budget_max": 300_000_000,
        "campaign": "开盘",
    }
    for number, given in (("m1", lead), ("m2", lead), ("m3", {**lead, "key": "dy-1002"})):
        accept(enter_as(site.home, site.name, "intake"), "lead", number, repr((number, given)).encode(), given)
    advance(site.home, site.name, MORNING)
    (customer,) = page(site.ctx(), Query("customer", where=f"phone == '{phone}'")).items
    assert (customer["owner"].id, customer["source"], customer["source_detail"], customer["hold_kind"]) == (site.person("jing"), "online", "douyin", "lead")
    assert (customer["residence_area"], customer["layouts"], customer["budget_max"], customer["stage"]) == ("xihu", ["three"], 300_000_000, "new")
    touches = page(site.ctx(), Query("touch", where=f"customer == {customer.id}", sort=("id",))).items
    assert [(touch["key"], touch["row"], touch["campaign"]) for touch in touches] == [("lead-dy-1001", 14, "开盘"), ("lead-dy-1002", 3, "开盘")]
    with site.ctx("jing").snapshot() as ctx:
        told = ctx.open.execute(sa.select(notice.c.text).where(notice.c.person == site.person("jing"), notice.c.record == customer.id)).scalars().all()
    assert any("跟进" in str(text) for text in told)
