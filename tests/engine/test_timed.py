"""What falls due: found once per value, in order, at its instant; waiting while its condition is false; cron once; settings in force; the sandbox clock."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine import timed
from engine.background import advance
from engine.errors import Conflict, Denied, Invalid
from engine.publishing import create_workspace
from engine.records import service
from engine.records.record import ANY
from engine.rehearsal import ran_since
from engine.rules.compile import rule_book
from engine.schema.apply import analyze
from engine.schema.indexes import needed
from engine.schema.ledger import Ledger, lay_out
from engine.system_tables import setting_value
from engine.system_tables_rules import due_done, notice, rule_switch, run, schedule
from engine.workspace_load import shapes_of
from tests.engine.homes import NOW, Homes
from tests.engine.timing import Timing, local, timing

HOUR, DAY = 3600, 86400


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("timed"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


@pytest.fixture
def clock(database_kind: str, homes: Homes) -> Timing:
    return timing(homes, database_kind)


def test_a_due_rule_runs_once_for_a_value_and_again_for_a_new_one(clock):
    clock.due("remind", "at")
    early, late = clock.make(at=local("2026-03-01 10:59")), clock.make(at=local("2026-03-01 11:01"))
    assert clock.sweep() == 1 and clock.sweep() == 0
    clock.drain()
    assert clock.runs() == [("remind", early)]
    clock.change(early, at=local("2026-03-01 10:30"))
    assert clock.sweep() == 1
    clock.drain()
    clock.go("2026-03-01 11:01")
    assert clock.runs() == [("remind", early), ("remind", early), ("remind", late)] and clock.sweep() == 0


def test_a_date_is_due_at_its_local_midnight(clock):
    clock.due("day", "day")
    today, tomorrow = clock.make(day="2026-03-01"), clock.make(day="2026-03-02")
    assert clock.sweep() == 1 and clock.sweep() == 0
    assert [(item.record, item.at) for item in clock.go("2026-03-02 12:00")] == [(today, NOW), (tomorrow, local("2026-03-02 00:00"))]
    assert clock.sweep() == 0


def test_a_rule_whose_condition_is_false_waits_and_costs_no_job(clock):
    clock.due("release", "at", holds="state != 'frozen'")
    frozen = clock.make(at=local("2026-03-01 10:00"), state="frozen")
    assert clock.sweep() == 0
    clock.change(frozen, state="open")
    assert clock.sweep() == 1
    clock.drain()
    assert clock.runs() == [("release", frozen)]


def test_a_condition_that_stopped_holding_before_the_run_gives_the_mark_back(clock):
    clock.due("release", "at", holds="state != 'frozen'")
    booking = clock.make(at=local("2026-03-01 10:00"), state="open")
    for _ in range(2):
        clock.change(booking, state="open")
        assert clock.sweep() == 1
        clock.change(booking, state="frozen")
        clock.drain()
        assert clock.runs() == [] and clock.marks() == [] and clock.sweep() == 0
    clock.change(booking, state="open")
    assert clock.sweep() == 1
    clock.drain()
    assert clock.runs() == [("release", booking)] and clock.sweep() == 0


def test_of_several_missed_shifts_only_the_nearest_runs(clock):
    clock.due("warn", "at", shifts=(-7 * DAY, -3 * DAY, -DAY))
    for day in ("2026-03-12", "2026-03-06", "2026-03-03", "2026-03-01", "2026-02-01"):
        clock.make(name=day, at=local(f"{day} 12:00"))
    assert clock.sweep() == 4
    assert [(args["mark"]["shift"] // DAY) for args in sorted(clock.waiting(), key=lambda args: args["record"])] == [-7, -3, -1, -1]
    clock.drain()
    clock.go("2026-03-20 00:00")
    shifts = {record: [shift // DAY for _, found, shift, _ in clock.marks() if found == record] for _, record in clock.runs()}
    assert sorted(shifts.values()) == [[-7, -3, -1], [-7, -3, -1], [-3, -1], [-1], [-1]]


def test_a_shift_in_open_hours_counts_only_those(clock):
    """Open Monday to Friday, 9 to 12 and 14 to 18; it is Sunday."""
    clock.due("overdue", "at", shifts=(4 * HOUR,), calendar="hours")
    clock.due("soon", "at", shifts=(-2 * HOUR,), calendar="hours")
    friday, monday = clock.make(at=local("2026-02-27 17:00")), clock.make(at=local("2026-03-02 10:00"))
    ran = [(item.rule, item.record, item.at) for item in clock.go("2026-03-03 09:00")]
    assert ran == [
        ("soon", friday, NOW),
        ("soon", monday, NOW),  # an hour before on Monday, one more on Friday
        ("overdue", friday, local("2026-03-02 12:00")),
        ("overdue", monday, local("2026-03-02 16:00")),
    ]


def test_it_runs_again_after_the_time_given_while_it_holds(clock):
    clock.due("nag", "at", holds="state != 'done'", repeat=3 * DAY)
    booking = clock.make(at=local("2026-03-02 09:00"), state="open")
    ran = clock.go("2026-03-09 00:00")
    assert [item.at for item in ran] == [local("2026-03-02 09:00"), local("2026-03-05 09:00"), local("2026-03-08 09:00")]
    clock.change(booking, state="done")
    assert clock.go("2026-03-20 00:00") == []


def test_a_week_of_downtime_is_caught_up_in_the_order_things_fell_due(clock):
    clock.due("b_first", "at")
    clock.due("a_second", "day", shifts=(12 * HOUR,))
    days = [f"2026-02-{day:02}" for day in range(20, 27)]
    for number, day in enumerate(reversed(days)):
        clock.make(name=day, at=local(f"{day} 09:0{number}"), day=day)
    assert clock.sweep() == 14
    asked = [(args["at"][:10], args["rule"]) for args in clock.waiting()]
    assert asked == [(day, rule) for day in days for rule in ("b_first", "a_second")]
    clock.drain()
    assert [rule for rule, _ in clock.runs()] == ["b_first", "a_second"] * 7


def test_batches_follow_each_other_without_losing_or_doubling_a_record(clock, monkeypatch):
    monkeypatch.setattr("engine.timed.BATCH", 7)
    monkeypatch.setattr("engine.timed_windows.PAGE", 5)
    clock.due("release", "at", holds="state == 'open'")
    made = [clock.make(at=local("2026-03-01 09:00") + timedelta(minutes=number // 5), state="open") for number in range(30)]
    assert clock.sweep() == 30 and clock.sweep() == 0
    assert [args["record"] for args in clock.waiting()] == made


def test_conditions_that_read_settings_and_links_and_time_are_part_of_the_search(clock):
    clock.due("light", "at", holds="size > setting.least and at < now()")
    light, heavy = clock.make(at=local("2026-03-01 09:00"), size=0), clock.make(at=local("2026-03-01 09:00"), size=4)
    assert clock.sweep() == 1 and clock.waiting()[0]["record"] == heavy and light != heavy


def test_deleted_records_and_rules_switched_off_are_left_alone(clock):
    clock.due("release", "at")
    clock.make(at=local("2026-03-01 09:00"))
    with clock.place.workspace.database.write() as connection:
        connection.execute(rule_switch.insert().values(rule="release", off_at=NOW, by=1, failures=0))
    assert clock.sweep() == 0
    with clock.place.workspace.database.write() as connection:
        connection.execute(rule_switch.delete())
        table = clock.place.workspace.entities["booking"].table
        connection.execute(table.update().values(deleted_at=NOW), execution_options={"scoped": True})
    assert clock.sweep() == 0


def test_two_sweeps_at_the_same_time_ask_once(clock):
    """Both have found the same record before either has marked it."""
    clock.due("release", "at")
    clock.make(at=local("2026-03-01 09:00"))
    found = [list(timed.found_in(clock.ctx, window)) for _ in range(2) for window in timed.due_windows(clock.ctx, clock.book)]
    assert [timed._mark(clock.ctx, batch) for batch in found] == [1, 0] and len(clock.waiting()) == 1


RULES = {
    ("rule", "release"): {
        "title": {"zh": "释放"},
        "on": {"due": "booking.at"},
        "if": "state in ('open', 'held') and size > setting.least",
        "then": [{"set": {"state": "'free'"}}],
    }
}


def test_the_sweep_goes_by_the_index_its_rule_brought(database_kind, homes):
    """Of 3,000 bookings gone by, ten are open: the others are not in the index, and none of them is looked at."""
    clock = timing(homes, database_kind)
    clock.place.publish(RULES)
    service.load(clock.ctx, "booking", [{"at": "2026-02-01T09:00:00Z", "state": "done" if number % 300 else "open", "size": 3} for number in range(3000)])
    database = clock.place.workspace.database
    with database.write(direct=True) as connection:
        analyze(connection, ["booking"], database.schema)
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if "due_done" in statement and statement.startswith("SELECT"):
            seen.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert timed.sweep(clock.ctx, rule_book(clock.place.workspace)) == 10
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    (index,) = [spec.name for spec in needed_indexes(clock) if spec.filled]
    explain = "EXPLAIN QUERY PLAN " if database_kind == "sqlite" else "EXPLAIN "
    assert len(seen) == 2  # whether anything is due, and what
    for text, parameters in seen:
        with database.snapshot() as connection:
            plan = "\n".join(str(row) for row in connection.execution_options(scoped=True).exec_driver_sql(explain + text, parameters))
        assert f"{index}" in plan, plan
    assert advance(clock.place.home, clock.place.name, local("2026-03-01 12:00")).ran == ran_since(clock.place.home, clock.place.name, 0)
    assert [record for _, record in clock.runs()] == list(range(1, 3001, 300))
    with clock.ctx.reading() as ctx:
        assert clock.row(ctx, 301)["state"] == "free"


def needed_indexes(clock):
    workspace = clock.place.workspace
    shapes = shapes_of(workspace)
    return needed(workspace.bundle, lay_out(shapes, Ledger(), 1).stored, workspace.database.dialect).values()


# --- cron --------------------------------------------------------------------------------------------------------------------------------------


def test_cron_runs_at_its_ticks_by_the_workspaces_clock(clock):
    clock.cron("weekly", "0 8 * * MON")
    ran = clock.go("2026-03-17 00:00")
    assert [(item.rule, item.record, item.at) for item in ran] == [("weekly", None, local(f"2026-03-{day:02} 08:00")) for day in (2, 9, 16)]


def test_of_missed_ticks_only_the_latest_runs_and_nobody_runs_it_twice(clock):
    clock.cron("hourly", "0 * * * *")
    assert clock.tick() == 0
    clock.place.home.move_clock(clock.place.name, local("2026-03-03 10:30"))
    assert clock.tick() == 1 and clock.tick() == 0
    assert [args["at"] for args in clock.waiting()] == [local("2026-03-03 10:00").isoformat()]


def test_a_tick_for_each_record_asks_for_those_its_condition_finds(clock, monkeypatch):
    monkeypatch.setattr("engine.timed_cron.BATCH", 3)
    clock.cron("each", "0 9 * * *", each="booking", where="state == 'open'")
    made = [clock.make(state="open" if number % 2 else "closed") for number in range(14)]
    clock.go("2026-03-02 09:00")
    assert [record for _, record in clock.runs()] == made[1::2]
    assert len({occurrence for (occurrence,) in clock.runs(run.c.occurrence)}) == 7


def test_a_cron_rule_keeps_to_its_opening_hours(clock):
    clock.cron("open", "0 */3 * * *", calendar="hours")
    ran = clock.go("2026-03-03 00:00")
    assert [item.at for item in ran] == [local("2026-03-02 09:00"), local("2026-03-02 15:00")]


def test_a_changed_schedule_begins_anew_and_a_retired_one_is_forgotten(clock):
    clock.cron("report", "0 8 * * *")
    clock.tick()
    clock.cron("report", "0 20 * * *")
    clock.tick()
    with clock.place.workspace.database.read() as connection:
        assert connection.execute(sa.select(schedule.c.next_at)).scalar_one() == local("2026-03-01 20:00")
    clock.rules.clear()
    clock.tick()
    with clock.place.workspace.database.read() as connection:
        assert connection.execute(sa.select(schedule.c.rule)).all() == []


# --- settings ----------------------------------------------------------------------------------------------------------------------------------


def test_a_setting_that_comes_into_force_computes_the_values_that_read_it(clock):
    booking = clock.make(size=10)
    with clock.place.workspace.database.write() as connection:
        connection.execute(setting_value.insert().values(key="factor", value=5, in_force_from=local("2026-03-02 00:00"), at=NOW))
        connection.execute(setting_value.insert().values(key="factor", value=7, in_force_from=local("2026-03-04 00:00"), at=NOW))
    weights = []
    for day in ("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-05"):
        clock.go(f"{day} 12:00")
        with clock.ctx.reading() as ctx:
            weights.append(clock.row(ctx, booking)["weight"])
    assert weights == [20, 50, 50, 70]


# --- the clock ---------------------------------------------------------------------------------------------------------------------------------


def test_the_clock_stops_at_every_instant_and_what_a_run_makes_due_runs_in_its_turn(clock):
    clock.due("first", "at", holds="state == 'new'")
    clock.due("second", "day", holds="state == 'called'")
    clock.effects["first"] = lambda ctx, row: clock_change(ctx, row["id"], state="called", day="2026-03-03")
    booking = clock.make(at=local("2026-03-02 15:00"), state="new")
    ran = clock.go("2026-04-10 11:00")
    assert [(item.rule, item.record, item.at, item.state) for item in ran] == [
        ("first", booking, local("2026-03-02 15:00"), "done"),
        ("second", booking, local("2026-03-03 00:00"), "done"),
    ]
    assert clock.ctx.now == local("2026-04-10 11:00")


def clock_change(ctx, record, **values):
    service.update(ctx, "booking", record, values, ANY)


def test_the_clock_of_a_live_workspace_is_not_moved_and_no_clock_goes_back(clock, homes, database_kind):
    with pytest.raises(Invalid) as back:
        clock.go("2026-02-01 00:00")
    assert back.value.code == "clock_backwards"
    name = f"{clock.place.name}_live"
    create_workspace(clock.place.home, name, clock.place.workspace.bundle)
    clock.place.name = name
    with pytest.raises(Denied):
        clock.go("2030-01-01 00:00")


# --- failures ----------------------------------------------------------------------------------------------------------------------------------


def told(clock):
    with clock.place.workspace.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(notice.c.person, notice.c.rule))]


def fail(ctx, row):
    raise ValueError("mistake")


def test_a_rule_that_fails_again_and_again_is_switched_off_and_administrators_are_told(clock):
    clock.due("bad", "at")
    clock.due("good", "at")
    clock.effects["bad"] = fail
    admin = service.create(clock.ctx, "person", {"name": "管", "login": "boss", "roles": ["admin"]}).id
    service.create(clock.ctx, "person", {"name": "走", "login": "gone", "roles": ["admin"], "active": False})
    made = [clock.make(at=local("2026-03-01 09:00") + timedelta(minutes=number)) for number in range(7)]
    clock.sweep()
    clock.drain()
    with clock.place.workspace.database.read() as connection:
        off = connection.execute(sa.select(rule_switch)).one()
    assert off.rule == "bad" and off.off_at is not None and off.by is None and off.reason.startswith("rule_failed_often")
    assert told(clock) == [(admin, "bad")]
    assert sorted(record for rule, record in clock.runs() if rule == "good") == made
    assert {(rule, state) for rule, state in clock.runs(run.c.rule, run.c.state)} == {("bad", "failed"), ("good", "done")}
    clock.make(at=local("2026-03-01 09:30"))
    assert clock.sweep() == 1  # the good one


def test_a_success_begins_the_count_of_failures_anew(clock):
    clock.due("shaky", "at")

    def refuse_odd(ctx, row):
        if row["size"]:
            raise Conflict("taken")

    clock.effects["shaky"] = refuse_odd
    for number in range(20):
        clock.make(at=local("2026-03-01 09:00") + timedelta(minutes=number), size=int(number % 5 != 4))
    clock.sweep()
    clock.drain()
    with clock.place.workspace.database.read() as connection:
        assert connection.execute(sa.select(rule_switch).where(sa.or_(rule_switch.c.off_at.is_not(None), rule_switch.c.failures > 0))).all() == []
    assert len(clock.runs()) == 20 and told(clock) == []


def test_what_a_switched_off_rule_was_to_do_stays_due_or_waits_to_be_run_again(clock):
    clock.due("later", "at")
    clock.make(at=local("2026-03-01 09:00"))
    clock.sweep()
    with clock.place.workspace.database.write() as connection:  # a person switches it off while its job waits
        connection.execute(rule_switch.insert().values(rule="later", off_at=NOW, by=1, failures=0))
    clock.drain()
    assert clock.runs() == [] and clock.marks() == [] and clock.waiting() == []
    with clock.place.workspace.database.write() as connection:
        connection.execute(rule_switch.delete())
        connection.execute(due_done.update().values(at=NOW))
    assert clock.sweep() == 1
