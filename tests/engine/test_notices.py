"""The inbox: one message per active person, told to each under their own rights when they read it, held back by hours, marked by nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from engine import notices
from engine.clock import move
from engine.context import Context
from engine.errors import Invalid, NotFound
from engine.home import Home
from engine.notices import inbox, mark, notify, unread
from engine.records import service
from engine.records.asks import what_waits
from engine.records.runs import Asked
from engine.rules.effects import Handle, Notify
from engine.system_tables_rules import notice
from tests.engine.garden import NOW, Garden, garden_homes, handle, make_garden
from tests.engine.homes import run_rule, sent


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Home]]:
    with garden_homes(tmp_path_factory.mktemp("notices"), lambda: request.getfixturevalue("new_postgres_database")) as homes:
        yield homes


@pytest.fixture
def garden(database_kind: str, homes: Callable[[str], Home]) -> Garden:
    return make_garden(homes(database_kind), sandbox=True)


def tell(garden: Garden, plant: int | None, *people: str, rule: str = "tell_owner", **words: object) -> int:
    """The notice of the rule about a plant, with the values its placeholders have now."""
    with garden.acting() as ctx:
        about = handle(ctx, "plant", plant) if plant is not None else None
        step = garden.workspace.bundle.rules[rule].body["then"][-1]
        given: dict[str, object] = {}
        if about is not None:
            row = about.row()
            given = {name: row.get(name) for name in ("name", "stage", "owner", "phone", "code", "price", "seen_at")}
            given |= {"called": f"电话{row['name']}", "owner.name": "Gil"}
        words = {"text": step["message"], "frame": given, "about": about, **words}
        return notify(ctx, Notify([garden.people[one] for one in people], **words), rule=rule, run=None)  # type: ignore[arg-type]


def texts(garden: Garden, login: str, **words: object) -> list[str]:
    return [item.text for item in inbox(garden.as_(login, **words)).items]  # type: ignore[arg-type]


def test_each_active_person_gets_one_message_and_who_left_gets_none(garden):
    assert tell(garden, garden.plant(owner=garden.people["gil"]), "gil", "gus", "gil", "old") == 2
    assert [len(texts(garden, login)) for login in ("gil", "gus", "ada")] == [1, 1, 0]


def test_who_has_left_by_date_is_told_nothing_from_that_moment_on(garden):
    service.update(garden.ctx, "person", garden.people["gus"], {"ends_at": (NOW + timedelta(days=1)).isoformat()}, service.ANY)
    plant = garden.plant(owner=garden.people["gil"])
    assert tell(garden, plant, "gil", "gus") == 2
    with garden.acting() as ctx:
        move(ctx.open, NOW + timedelta(days=2))
    assert tell(garden, plant, "gil", "gus") == 1


def test_who_leaves_in_a_transaction_is_told_nothing_in_it_and_is_told_again_when_it_goes_back(garden):
    gus, ada = garden.people["gus"], garden.as_("ada")

    def told(ctx: Context) -> int:
        return notify(ctx, Notify([gus], "你好"), rule="tell_owner", run=None)

    with ada.writing() as ctx:
        assert told(ctx) == 1
    with pytest.raises(RuntimeError), ada.writing() as ctx:
        service.update(ctx, "person", gus, {"active": False}, service.ANY)
        assert told(ctx) == 0
        raise RuntimeError
    with ada.writing() as ctx:
        assert told(ctx) == 1
    service.update(garden.ctx, "person", gus, {"active": False}, service.ANY)
    with ada.writing() as ctx:
        assert told(ctx) == 0


def test_the_messages_of_a_transaction_are_written_in_one_call_in_their_order(garden):
    steps = [{"notify": "param.who", "key": f"n{number}", "message": f"第{number}条"} for number in range(3)]
    rule = {"on": {"event": "bell", "with": {"who": {"type": "person"}}}, "title": "铃", "then": steps}
    changed = make_garden(garden.home, sandbox=True, changes={("rule", "bell"): rule})
    with sent("notice (") as statements:
        run_rule(changed.ctx, Asked("bell", None, "once", {"who": changed.people["gil"]}))
    assert len(statements) == 1
    assert texts(changed, "gil") == ["第2条", "第1条", "第0条"]


def test_a_message_of_a_transaction_that_goes_back_was_never_sent(garden):
    with pytest.raises(RuntimeError), garden.acting() as ctx:
        notify(ctx, Notify([garden.people["gil"]], "你好"), rule="tell_owner", run=None)
        raise RuntimeError
    assert texts(garden, "gil") == []


def test_an_administrator_reads_every_value_as_fields_show_them(garden):
    plant = garden.plant(owner=garden.people["gil"], seen_at="2026-03-02T10:30:00+08:00")
    tell(garden, plant, "ada")
    assert texts(garden, "ada") == ["牡丹（新）由 Gil 负责，电话 13800138000，编码 X-1，价 3,287,654.32，2026-03-02 10:30，电话牡丹，Gil"]
    assert texts(garden, "ada", locale="en")[0].startswith("牡丹 (新) of Gil, phone 13800138000, code X-1, price ¥3,287,654.32")


def test_a_reader_sees_masked_values_masked_and_hidden_ones_not_at_all(garden):
    plant = garden.plant(owner=garden.people["gil"])
    tell(garden, plant, "gil")
    assert texts(garden, "gil") == ["牡丹（新）由 Gil 负责，电话 138****8000，编码 ***，价 3,287,654.32，，电话牡丹，Gil"]


def test_rights_are_those_of_the_moment_of_reading(garden):
    plant = garden.plant(owner=garden.people["gil"])
    tell(garden, plant, "gil")
    service.update(garden.ctx, "plant", plant, {"stage": "won"}, service.ANY)
    assert "13800138000" in texts(garden, "gil")[0]
    service.update(garden.ctx, "plant", plant, {"stage": "lost", "phone": None}, service.ANY)
    assert "138****8000" in texts(garden, "gil")[0]  # still masked for them, though there is no number now
    service.update(garden.ctx, "plant", plant, {"owner": garden.people["gus"]}, service.ANY)
    gone = inbox(garden.as_("gil")).items[0]
    assert gone.text == "***（***）由 *** 负责，电话 ***，编码 ***，价 ***，***，***，***" and gone.label is None
    service.delete(garden.ctx, "plant", plant, service.ANY)
    assert "牡丹" not in texts(garden, "gil")[0]


def test_before_a_value_that_is_empty_no_space_is_left_over(garden):
    tell(garden, garden.plant(owner=garden.people["gil"]), "gil", text="到期：{name} {seen_at}，请看 {stage}")
    assert texts(garden, "gil") == ["到期：牡丹，请看 新"]


def test_a_name_made_by_let_is_as_closed_as_what_it_was_made_of(garden):
    rule = dict(garden.workspace.bundle.documents["rule", "tell_owner"])
    rule["then"] = [{"let": {"called": "concat('编码', code)"}}, {"notify": "owner", "message": "{called}"}]
    changed = make_garden(garden.home, sandbox=True, changes={("rule", "tell_owner"): rule})
    plant = changed.plant(owner=changed.people["gil"])
    tell(changed, plant, "gil", "ada", text="{called}", frame={"called": "编码X-1"})
    assert (texts(changed, "gil"), texts(changed, "ada")) == (["***"], ["编码X-1"])


def test_records_a_rule_carries_are_shown_to_those_who_may_see_them(garden):
    rule = dict(garden.workspace.bundle.documents["rule", "tell_owner"])
    rule["then"] = [
        {"find": "plant", "as": "twin", "where": "height == record.height"},
        {"notify": "owner", "message": "{twin.name}、{twin}、{twin.owner.name}"},
    ]
    changed = make_garden(garden.home, sandbox=True, changes={("rule", "tell_owner"): rule})
    mine, theirs = changed.plant(owner=changed.people["gil"]), changed.plant(name="月季", owner=changed.people["gus"])
    with changed.acting() as ctx:
        about, twin = handle(ctx, "plant", mine), handle(ctx, "plant", theirs)
        people = [changed.people[one] for one in ("gil", "gus", "ada")]
        values = {"twin.name": "月季", "twin": twin, "twin.owner.name": "Gus"}
        notify(ctx, Notify(people, "{twin.name}、{twin}、{twin.owner.name}", values, about=about, sources={"twin": twin}), rule="tell_owner", run=None)
        notify(ctx, Notify(people, "{twin.name}、{twin}、{twin.owner.name}", values, about=about), rule="tell_owner", run=None)
    assert texts(changed, "ada") == ["月季、月季、Gus"] * 2
    assert texts(changed, "gus") == ["***、月季、***", "月季、月季、Gus"]  # not told which record it was, nothing of it is shown
    assert texts(changed, "gil") == ["***、***、***"] * 2


def test_a_message_of_a_plugin_shows_plain_values_and_records_by_their_labels(garden):
    plant = garden.plant(owner=garden.people["gil"])
    with garden.acting() as ctx:
        values = {"why": "超时", "at": NOW, "what": handle(ctx, "plant", plant), "yes": True, "many": [1, 2]}
        notify(ctx, Notify([garden.people["gil"]], "{why} {at} {what} {yes} {many} {unknown}", values), rule="", run=None)
    assert texts(garden, "gil") == ["超时 2026-03-01 11:00 牡丹 是 1、2 {unknown}"]


def test_what_is_kept_of_a_message_is_sealed(garden):
    tell(garden, garden.plant(owner=garden.people["gil"]), "gil")
    with garden.workspace.database.read() as connection:
        row = connection.execute(sa.select(notice)).one()
    assert "13800138000" not in str(tuple(row)) and "牡丹" not in str(tuple(row))


def test_what_waits_is_counted_again_when_a_message_comes_due_and_when_anybody_commits(garden):
    plant = garden.plant(owner=garden.people["gil"])
    tell(garden, plant, "gil", hours="hours")
    ctx = garden.as_("gil")
    later = replace(ctx, now=NOW + timedelta(hours=22, seconds=1))
    assert [what_waits(one)[:2] for one in (ctx, later, ctx, later)] == [(0, 0), (0, 1)] * 2
    tell(garden, plant, "gil")
    assert [what_waits(one)[:2] for one in (ctx, later)] == [(0, 1), (0, 2)]


def test_hours_hold_a_message_back_until_the_workspace_opens(garden):
    assert tell(garden, garden.plant(owner=garden.people["gil"]), "gil", hours="hours") == 1
    assert texts(garden, "gil") == [] and unread(garden.as_("gil")) == 0
    monday = NOW + timedelta(hours=22)  # 09:00 on Monday in Shanghai
    with garden.acting() as ctx:
        move(ctx.open, monday - timedelta(seconds=1))
    assert unread(garden.as_("gil")) == 0
    with garden.acting() as ctx:
        move(ctx.open, monday)
    assert unread(garden.as_("gil")) == 1 and inbox(garden.as_("gil")).items[0].at == monday


def test_reading_is_marked_by_the_receiver_alone(garden):
    plant = garden.plant(owner=garden.people["gil"])
    tell(garden, plant, "gil", "gus")
    mine, other = inbox(garden.as_("gil")).items[0], inbox(garden.as_("gus")).items[0]
    assert mark(garden.as_("gus"), [mine.id]) == 0 and unread(garden.as_("gil")) == 1
    with pytest.raises(NotFound):
        notices.about(garden.as_("gil"), other.id)
    assert notices.about(garden.as_("gil"), mine.id) == ("plant", plant)
    assert (mark(garden.as_("gil"), [mine.id]), mark(garden.as_("gil"), [mine.id]), unread(garden.as_("gil"))) == (1, 0, 0)
    assert (mark(garden.as_("gil"), [mine.id], read=False), unread(garden.as_("gil"))) == (1, 1)
    assert mark(garden.as_("gil")) == 1 and unread(garden.as_("gus")) == 1


def test_pages_give_unread_first_and_every_message_once(garden):
    gil = garden.people["gil"]
    for number in range(9):
        with garden.acting() as ctx:
            notify(ctx, Notify([gil], f"第{number}条"), rule="", run=None)
    every = {item.text: item.id for item in inbox(garden.as_("gil")).items}
    mark(garden.as_("gil"), [every["第8条"], every["第3条"]])
    found, cursor = [], ""
    while True:
        page = inbox(garden.as_("gil"), cursor=cursor, limit=2)
        found += [item.text for item in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert found == [f"第{number}条" for number in (7, 6, 5, 4, 2, 1, 0, 8, 3)]
    assert [len(inbox(garden.as_("gil"), show=show).items) for show in ("unread", "read", "all")] == [7, 2, 9]


@pytest.mark.parametrize("cursor", ["x", "u~x~1", "u~2026-03-01T00:00:00~1", "u~2026-03-01T00:00:00+00:00~x", "u~2026-03-01T00:00:00+00:00~" + "9" * 30, "~~"])
def test_a_foreign_cursor_is_refused(garden, cursor):
    with pytest.raises(Invalid, match="cursor_invalid"):
        inbox(garden.as_("gil"), cursor=cursor)


def test_the_badge_costs_one_statement_that_goes_by_an_index(garden):
    tell(garden, garden.plant(owner=garden.people["gil"]), "gil")
    ctx = garden.as_("gil")
    with sent("notice") as statements:
        assert unread(ctx) == 1
    assert len(statements) == 1
    with garden.workspace.database.read() as connection:
        if connection.dialect.name == "sqlite":
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN SELECT id FROM notice WHERE person = 1 AND at <= 5 AND read_at IS NULL LIMIT 100").all()
            assert "ix_notice_unread" in str(plan)


def test_a_message_without_a_text_says_what_its_rule_is_called(garden):
    with garden.acting() as ctx:
        notify(ctx, Notify([garden.people["gil"]], "", template="T1"), rule="tell_owner", run=7)
    assert texts(garden, "gil", locale="en") == ["Tell the owner"]


def test_a_record_that_never_was_shows_nothing(garden):
    with garden.acting() as ctx:
        about = Handle("plant", 999, lambda *_: {"name": "无"})
        notify(ctx, Notify([garden.people["ada"]], "{name}", {"name": "无"}, about=about), rule="tell_owner", run=None)
    assert texts(garden, "ada") == ["***"]


def test_a_rule_tells_whom_it_names_what_its_record_holds(garden):
    plant = garden.plant(owner=garden.people["gil"])
    service.act(garden.as_("ada"), "plant", plant, "tell", {})
    found = inbox(garden.as_("gil")).items
    assert [(item.text, item.rule, item.entity, item.record, item.label) for item in found] == [
        ("牡丹（新）由 Gil 负责，电话 138****8000，编码 ***，价 3,287,654.32，，电话牡丹，Gil", "tell_owner", "plant", plant, "牡丹")
    ]


def test_a_run_asked_for_again_and_again_tells_once(garden):
    rule = {"on": {"event": "bell", "with": {"who": {"type": "person"}}}, "title": "铃", "then": [{"notify": "param.who", "message": "{param.who.name}好"}]}
    changed = make_garden(garden.home, sandbox=True, changes={("rule", "bell"): rule})
    for _ in range(5):
        run_rule(changed.ctx, Asked("bell", None, "once", {"who": changed.people["gil"]}))
    assert texts(changed, "gil") == ["Gil好"]
