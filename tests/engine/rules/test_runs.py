"""Runs that share a transaction: each sees what those before it did, what is locked is read once, what fails goes back alone."""

from typing import Any

import sqlalchemy as sa

from engine import worker_batch
from engine.background import worker_of
from engine.records import service
from engine.records.history import timeline
from engine.records.record import ANY
from engine.records.runs import Asked, Runs
from engine.records.work import Work
from engine.system_tables import history

MANY = 20
WELCOME: dict[tuple[str, str], Any] = {
    ("rule", "welcome"): {
        "title": "新客户",
        "on": {"later": "create", "entity": "customer"},
        "then": [{"refuse": "UNWANTED", "if": "name == 'bad'"}, {"set": {"seen": "seen + 1", "note": "concat('hello ', name)"}}],
    }
}


def test_runs_of_one_record_see_what_the_ones_before_them_wrote(make_site, database_kind):
    """The engine's own tables included: a run finds the histories of those that share its transaction."""
    rule = {
        "title": "数",
        "on": {"later": "update", "entity": "customer", "fields": ["grade"]},
        "then": [
            {"find": "history", "where": "entity == 'customer' and record_id == record.id and verb == 'update'", "take": "count", "as": "before"},
            {"set": {"seen": "seen + 1", "note": "concat(coalesce(note, ''), before)"}},
        ],
    }
    site = make_site(database_kind, {("rule", "count"): rule})
    customer = site.customer()
    for number in range(3):
        service.update(site.ctx(), "customer", customer, {"grade": "AB"[number % 2]}, ANY)
    worker_of(site.home).drain(site.name)
    row = site.row("customer", customer)
    assert (row["seen"], row["note"]) == (3, "345")
    assert [moment.version for moment in timeline(site.ctx(), "customer", customer).items][:4] == [row["version"] - back for back in range(4)]


def test_a_run_among_twenty_costs_two_statements(make_site, database_kind, monkeypatch):
    monkeypatch.setattr(worker_batch, "LONGEST_SECONDS", 60)  # however busy this machine is
    site = make_site(database_kind, WELCOME)
    for number in range(MANY):
        site.customer(f"c{number}")
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert worker_of(site.home).drain(site.name) == MANY
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert [row["seen"] for row in site.rows("customer")] == [1] * MANY and len(site.runs("welcome")) == MANY
    assert len(seen) <= 2 * MANY, len(seen)


def test_a_run_that_fails_among_others_takes_back_nothing_but_its_own(make_site, database_kind):
    site = make_site(database_kind, WELCOME)
    made = [site.customer("bad" if number == 4 else f"c{number}") for number in range(8)]
    worker_of(site.home).drain(site.name)
    assert [row["seen"] for row in site.rows("customer")] == [1, 1, 1, 1, 0, 1, 1, 1]
    assert [(run["state"], run["record"]) for run in site.runs("welcome") if run["state"] != "done"] == [("refused", made[4])]
    with site.workspace.database.read() as connection:
        written = sa.select(history.c.record).where(history.c.entity == "customer", history.c.verb == "update", history.c.record.in_(made))
        assert sorted(connection.execute(written).scalars()) == sorted({*made} - {made[4]})


def test_what_was_only_read_is_read_again_by_the_next_run_and_what_is_locked_is_not(make_site):
    """After a lock a rule must see what others have committed, whatever runs before it in the same transaction had read."""
    site = make_site("postgresql", {})
    read, locked = site.customer("read"), site.customer("locked")
    with site.ctx().writing() as ctx:
        work = Work(ctx)
        assert work.row("customer", read)["note"] is None
        work.fetch("customer", [locked], lock=True)
        service.update(site.ctx(), "customer", read, {"note": "changed"}, ANY)
        after = work.next(ctx)
        assert after.row("customer", read)["note"] == "changed"
        assert after.own("customer", locked)["name"] == "locked" and after.own("customer", read) is None


def test_a_run_asked_for_twice_in_one_transaction_runs_once(make_site, database_kind):
    rule = {"title": "叫", "on": {"event": "called", "with": {"who": {"type": "text"}}}, "then": [{"create": "task", "values": {"title": "param.who"}}]}
    site = make_site(database_kind, {("rule", "call"): rule})
    asked = [Asked("call", None, occurrence, {"who": occurrence}) for occurrence in ("once", "twice", "once")]
    with site.ctx().writing() as ctx:
        runs = Runs(ctx)
        runs.expect(asked)
        assert [runs.run(ctx, one).state for one in asked] == ["done", "done", "skipped"]
        runs.finish()
    assert [row["title"] for row in site.rows("task")] == ["once", "twice"]


def test_runs_that_want_the_same_unique_key_answer_each_for_itself(make_site, database_kind):
    """Updates of runs that share a transaction are sent together; one that fails takes none of the others with it."""
    key = {"title": "键", "on": {"later": "create", "entity": "task"}, "then": [{"set": {"key": "'one'"}}]}
    site = make_site(database_kind, {("rule", "key"): key})
    made = [service.create(site.ctx(), "task", {"title": f"t{number}"}).id for number in range(4)]
    worker_of(site.home).drain(site.name)
    assert [row["key"] for row in site.rows("task")] == ["one", None, None, None]
    assert sorted((run["record"], run["state"], (run["error"] or {}).get("code")) for run in site.runs("key")) == [
        (made[0], "done", None),
        *((number, "refused", "duplicate") for number in made[1:]),
    ]
