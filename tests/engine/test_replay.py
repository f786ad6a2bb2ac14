"""Replays: what a rule would have done over a span of history, judged with records and settings as they were; an unchanged rule agrees with the log."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from engine import jobs, replay_kept
from engine.actors import enter_as
from engine.background import worker_of
from engine.errors import Conflict, Denied, Invalid, NotFound, Refusal, Unavailable
from engine.records import service
from engine.records.erasing import erase
from engine.records.judging import Judging
from engine.records.record import ANY
from engine.records.rewinding import Past
from engine.records.saving import Saving
from engine.records.work import Work
from engine.replay import Finding, Replayed
from engine.replay_kept import Asked, Wanted
from engine.rule_drafts import rule_of
from engine.rule_jobs import switch
from engine.settings_values import set_value
from engine.system_tables_rules import run
from tests.engine.homes import NOW, Homes
from tests.engine.past import Life, life

DAY = timedelta(days=1)
FULL = os.environ.get("TANGRAM_TEST_SIZE") == "full"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Homes]:
    made = Homes(tmp_path_factory.mktemp("past"), lambda: request.getfixturevalue("new_postgres_database"))
    yield made
    made.close()


def told(found: Replayed) -> Counter[str]:
    return Counter(finding.verdict for finding in found.findings)


# --- the unchanged rule -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20 if FULL else 2))
def test_an_unchanged_rule_would_have_done_exactly_what_the_log_says_and_nothing_is_written(homes, database_kind, seed, monkeypatch):
    with life(homes, database_kind, 40 + seed) as past:
        past.live(24)
        before = past.everything()
        assert sum(len(past.done(key)) for key in past.rules) > 10
        for key in past.rules:
            assert _differences(past, key) == [], past.rules[key].body
        assert past.everything() == before
        _take_rewinding_out(monkeypatch)
        assert any(_differences(past, key) for key in past.rules), "a replay that reads today's records must not agree"


def _differences(past: Life, key: str) -> list[Any]:
    """Runs that were not expected, and findings the log does not know. That a run was refused, or its rule switched off after such failures, the log says."""
    found = past.ask(key, since=NOW)
    both = sorted(finding.run or 0 for finding in found.findings if finding.verdict == "both")
    wrong: list[Any] = [finding for finding in found.findings if finding.verdict != "both" and finding.reason not in ("refused", "off")]
    return wrong + ([(both, len(past.done(key)))] if both != [row["id"] for row in past.done(key)] else [])


def _take_rewinding_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Past, "after", lambda self, number: self._states[len(self.entries)])


def test_a_replay_reads_on_a_connection_that_cannot_write(homes, database_kind, monkeypatch):
    with _quiet(homes, database_kind) as past:
        past.item(size=5)
        words = {"rule": "x", "version": 1, "settings": 1, "trigger": "after", "at": NOW, "state": "done"}
        look = Judging.look

        def write(self: Judging, *given: Any, **words_given: Any) -> Any:
            with pytest.raises((sa.exc.DBAPIError, Refusal)):
                self.saving.work.connection.execute(run.insert().values(words))
            raise _Wrote

        monkeypatch.setattr(Judging, "look", write)
        with pytest.raises((_Wrote, Unavailable)):
            past.ask("big")
        monkeypatch.setattr(Judging, "look", look)
        assert told(past.ask("big")) == {"both": 1}


class _Wrote(Exception):
    """The write was refused; the snapshot is of no more use."""


# --- a changed rule -----------------------------------------------------------------------------------------------------------------------

QUIET: dict[str, dict[str, Any]] = {
    "big": {"on": {"after": "update", "entity": "item", "fields": ["size"]}, "if": "size > 4", "then": [{"set": {"note": "'big'"}}]},
    "release": {"on": {"due": "item.due_at"}, "if": "exists(owner) and not held", "then": [{"set": {"owner": None}}]},
    "morning": {"on": {"cron": "0 9 * * *", "for_each": "item", "where": "exists(owner)"}, "then": [{"set": {"count": "count + 1"}}]},
    "judge": {
        "on": {"before": "save", "entity": "item"},
        "then": [{"find": "item", "take": "count", "as": "others", "where": "name == record.name"}, {"refuse": "CROWD", "if": "others > 9", "message": {"zh": "太多"}}],
    },
    "mark": {"on": {"action": "item.mark"}, "if": "size > 2", "then": [{"set": {"held": True}}]},
}  # fmt: skip


class Quiet(Life):
    """A life in which only what a test says happens."""

    def item(self, login: str = "p1", later: bool = True, **values: Any) -> int:
        """An item of size 1, changed to these values an hour later."""
        found = service.create(self.enter(login), "item", {"name": "甲", "size": 1}).id
        if later:
            self.go(hours=1)
        if values:
            service.update(self.enter(login), "item", found, values, ANY)
        return found

    def change(self, record: int, **values: Any) -> None:
        self.go(hours=1)
        service.update(self.enter("p1"), "item", record, values, ANY)

    def draft(self, rule: str, **words: Any) -> Any:
        """A rule with words of its text changed."""
        return rule_of(self.place.workspace, rule, {**self.place.workspace.bundle.documents["rule", rule], **words})

    def person_id(self, login: str) -> int:
        found = self.enter(login).actor.person_id
        assert found is not None
        return found


class _quiet:
    def __init__(self, homes: Homes, kind: str, **changed: dict[str, Any]) -> None:
        rules = {("rule", key): {"title": key, **body} for key, body in {**QUIET, **changed}.items()}
        self._life = life(homes, kind, 1, lambda random: rules)

    def __enter__(self) -> Quiet:
        made = self._life.__enter__()
        return Quiet(made.place, made.random)

    def __exit__(self, *gone: Any) -> None:
        self._life.__exit__(*gone)


@pytest.fixture
def past(homes: Homes, database_kind: str) -> Iterator[Quiet]:
    with _quiet(homes, database_kind) as found:
        yield found


def findings_of(found: Replayed, record: int) -> list[Finding]:
    return [finding for finding in found.findings if finding.record == record]


def test_a_changed_condition_tells_who_more_and_who_no_longer(past):
    five, eight, three = past.item(size=5), past.item(size=8), past.item(size=3)
    past.change(eight, size=1)
    found = past.ask(past.draft("big", **{"if": "size > 6 or size == 3"}))
    assert {record: [one.verdict for one in findings_of(found, record)] for record in (five, eight, three)} == {
        five: ["did"],
        eight: ["both"],
        three: ["would"],
    }
    assert findings_of(found, five)[0].condition == {"size": 5} and findings_of(found, three)[0].condition == {"size": 3}
    assert found.occasions == 4


def test_the_record_its_links_and_its_owner_are_as_they_were(past):
    box = service.create(past.enter("p1"), "box", {"name": "b", "level": 3}).id
    item = past.item(size=2, box=box, owner=past.person_id("p2"))
    past.change(item, size=6)
    past.go(hours=1)
    service.update(past.enter("p1"), "box", box, {"level": 0}, ANY)
    past.change(item, owner=past.person_id("p1"), size=1)
    found = past.ask(past.draft("big", **{"if": "box.level == 3 and size > 4"}), owner="owner")
    assert [(one.verdict, one.owner, one.condition) for one in found.findings] == [("both", past.person_id("p2"), {"box.level": 3, "size": 6})]
    assert told(past.ask(past.draft("big", **{"if": "box.level == 0 and size > 4"}))) == {"did": 1}


def test_settings_are_as_they_stood_or_todays_or_what_is_asked(homes, database_kind):
    limited = {**QUIET["big"], "if": "size >= setting.limit"}
    with _quiet(homes, database_kind, big=limited) as past:
        item = past.item(size=6)
        past.go(hours=1)
        set_value(past.enter("p1"), "limit", 8, confirmed=True)
        past.change(item, size=7)
        assert told(past.ask("big")) == {"both": 1}
        assert told(past.ask("big", today=True)) == {"did": 1}
        assert told(past.ask("big", settings={"limit": 2})) == {"both": 1, "would": 1}


def test_other_days_move_what_falls_due_and_are_told_as_one_finding(past):
    item = past.item(grade="b", at=NOW.isoformat(), owner=past.person_id("p1"))
    held = past.item(grade="b", at=NOW.isoformat(), owner=past.person_id("p1"), held=True)
    past.go(days=9)
    (first,) = past.ask("release").findings
    assert (first.record, first.verdict, first.at, first.did_at) == (item, "both", NOW + 5 * DAY, NOW + 5 * DAY)
    sooner = past.ask("release", settings={"days": {"a": 2, "b": 3, "else": None}})
    assert [(one.record, one.verdict, one.at, one.did_at) for one in sooner.findings] == [(item, "both", NOW + 3 * DAY, NOW + 5 * DAY)]
    freed = past.ask(past.draft("release", **{"if": "exists(owner)"}))
    assert [(one.record, one.verdict) for one in freed.findings] == [(item, "both"), (held, "would")]
    assert told(past.ask("release", settings={"days": {"a": 2, "b": None, "else": None}})) == {"did": 1}


def test_what_waits_for_its_condition_falls_due_when_it_comes_to_hold(past):
    item = past.item(grade="a", at=NOW.isoformat(), owner=past.person_id("p1"), held=True)
    past.go(days=4)
    past.change(item, held=False)
    past.go(hours=2)
    (found,) = past.ask("release").findings
    assert found.verdict == "both" and found.at == NOW + 4 * DAY + timedelta(hours=2)
    assert told(past.ask(past.draft("release", **{"if": "exists(owner) and count > 9"}))) == {"did": 1}


def test_ticks_are_judged_for_every_record_as_it_was_at_each(past):
    item = past.item(owner=past.person_id("p1"))
    past.go(days=2)
    past.change(item, owner=None)
    past.go(days=2)
    assert told(past.ask("morning", since=NOW)) == {"both": 2}
    assert told(past.ask(past.draft("morning", on={**QUIET["morning"]["on"], "where": "empty(owner)"}), since=NOW)) == {"did": 2, "would": 2}


def test_a_pressed_button_is_judged_where_it_was_pressed(past):
    item = past.item(size=3)
    service.act(past.enter("p1"), "item", item, "mark", {})
    past.change(item, size=9, held=False)
    service.act(past.enter("p2"), "item", item, "mark", {})
    assert told(past.ask("mark")) == {"both": 2}
    found = past.ask(past.draft("mark", **{"if": "size > 5"}))
    assert [(one.verdict, one.person) for one in found.findings] == [("did", past.person_id("p1")), ("both", past.person_id("p2"))]


def test_a_stricter_refusal_tells_which_saves_it_would_have_stopped_and_that_a_search_is_todays(past):
    item = past.item(size=9)
    strict = past.draft("judge", then=[*QUIET["judge"]["then"], {"refuse": "HUGE", "if": "size > 8", "message": {"zh": "太大"}}])
    found = findings_of(past.ask(strict), item)
    assert [(one.verdict, one.refusal, one.doubts) for one in found] == [("both", "", ("searched",)), *[("did", "HUGE", ("searched",))] * 2]


def test_why_it_did_not_run_is_told_where_that_is_known(past):
    item = past.item(size=5)
    switch(past.enter("p1"), "big", on=False)
    past.change(item, size=7)
    found = past.ask("big")
    assert [(one.verdict, one.reason) for one in found.findings] == [("both", ""), ("would", "off")]
    fresh = rule_of(past.place.workspace, "fresh", {"title": "新", **QUIET["big"]})
    assert {one.reason for one in past.ask(fresh).findings} == {"absent"}


def test_erased_values_are_marked_as_not_known(homes, database_kind):
    named = {**QUIET["big"], "if": "size > 4 and phone == '13900000001'"}
    with _quiet(homes, database_kind, big=named) as past:
        item = past.item(size=5, phone="13900000001")
        number = replay_kept.ask(past.enter("p1"), Asked("big", 30))
        work(past)
        past.go(hours=1)
        with past.enter("p1").writing() as ctx:
            erase(Saving(Work(ctx)), ctx.workspace.entities["item"], item, "asked for")
        past.change(item, size=6)
        assert [(one.verdict, one.doubts) for one in past.ask("big").findings] == [("did", ("erased",))]
        (kept,) = (one for _number, one in replay_kept.findings(past.enter("p1"), number, Wanted())[0])
        assert kept.verdict == "both" and not kept.condition


def test_a_rule_that_cannot_be_made_is_refused_with_its_faults(past):
    with pytest.raises(Invalid) as refused:
        past.draft("big", **{"if": "size > nothing"})
    assert refused.value.code == "rule_wrong" and refused.value.faults[0].pointer == "/if"
    with pytest.raises(NotFound):
        rule_of(past.place.workspace, "none")
    with pytest.raises(Invalid) as much:
        past.item()
        past.ask(past.draft("morning", on={**QUIET["morning"]["on"], "cron": "* * * * *"}), since=NOW - 400 * DAY, until=NOW + 400 * DAY)
    assert much.value.code == "replay_too_much"


AROUND = {
    "mark": {"on": {"action": "item.mark"}, "then": [{"set": {"size": 4}}]},
    "a_mark": {"on": {"after": "action", "actions": ["item.mark"], "entity": "item"}, "then": [{"set": {"note": "'marked'"}}]},
    "weighed": {"on": {"after": "update", "entity": "item", "fields": ["weight"]}, "if": "empty(note)", "then": [{"set": {"count": 1}}]},
    "noted": {"on": {"after": "update", "entity": "item", "fields": ["weight"]}, "if": "note == 'marked'", "then": [{"set": {"held": True}}]},
    "told": {"on": {"before": "update", "entity": "item", "fields": ["held"]}, "if": "held", "then": [{"set": {"held": False}}]},
}


def test_what_other_rules_wrote_at_the_same_moment_stands_before_or_after_as_it_did(homes, database_kind):
    """Pressed: the action, the rule after it, what follows from the changes; one rule sets back what another wrote, so that history says nothing of it."""
    with _quiet(homes, database_kind, **AROUND) as past:
        item = past.item(later=False)
        past.go(hours=1)
        service.act(past.enter("p1"), "item", item, "mark", {})
        assert [len(past.done(key)) for key in AROUND] == [1, 1, 0, 1, 1]
        assert [told(past.ask(key)) for key in AROUND] == [{"both": 1}, {"both": 1}, {}, {"both": 1}, {"both": 1}]


def test_a_due_value_that_came_back_is_settled_as_long_as_no_other_ran(past):
    item = past.item(grade="a", at=NOW.isoformat(), owner=past.person_id("p1"))
    past.go(days=3)
    past.change(item, grade="b", owner=past.person_id("p1"))
    past.change(item, grade="a")
    past.go(days=1)
    assert len(past.done("release")) == 1 and told(past.ask("release")) == {"both": 1}
    past.change(item, grade="b")
    past.go(days=3)
    assert len(past.done("release")) == 2 and told(past.ask("release")) == {"both": 2}


# --- as a job -----------------------------------------------------------------------------------------------------------------------------


def work(past: Quiet) -> None:
    worker_of(past.place.home).drain(past.place.name)


def test_a_replay_is_worked_on_kept_summed_up_and_drilled_down(past):
    p1, p2 = past.person_id("p1"), past.person_id("p2")
    for login, size in (("p1", 5), ("p2", 6), ("p2", 3)):
        past.item(size=size, owner=past.person_id(login))
        past.go(days=1)
    ctx = past.enter("p1")
    body = {**past.place.workspace.bundle.documents["rule", "big"], "if": "size > 5 or size == 3"}
    number = replay_kept.ask(ctx, Asked("big", 30, "owner", body))
    assert replay_kept.of(ctx, number).state == "waiting"
    work(past)
    done = replay_kept.of(ctx, number)
    assert (done.state, done.occasions, done.body) == ("done", 3, body) and [one.id for one in replay_kept.newest(ctx, "big")] == [number]
    (whole,) = replay_kept.counts(ctx, number)
    assert whole.counts == {"both": 1, "would": 1, "did": 1}
    assert {one.key: one.counts for one in replay_kept.counts(ctx, number, "owner")} == {
        p1: {"both": 0, "would": 0, "did": 1},
        p2: {"both": 1, "would": 1, "did": 0},
    }
    assert len(replay_kept.counts(ctx, number, "day")) == 3
    for wanted, many in ((Wanted("did"), 1), (Wanted(owner=p2), 2), (Wanted("would", owner=p1), 0), (Wanted(owner=0), 0), (Wanted(approximate=True), 0)):
        assert len(replay_kept.findings(ctx, number, wanted)[0]) == many
    first, after = replay_kept.findings(ctx, number, Wanted(), limit=2)
    rest, end = replay_kept.findings(ctx, number, Wanted(), after)
    assert len(first) == 2 and len(rest) == 1 and end == 0
    assert replay_kept.finding_of(ctx, number, rest[0][0]) == rest[0][1]


def test_a_replay_can_be_stopped_and_begun_again_after_its_worker_died(past, monkeypatch):
    past.item(size=5)
    ctx = past.enter("p1")
    stopped = replay_kept.ask(ctx, Asked("big", 30))
    replay_kept.cancel(ctx, stopped)
    again = replay_kept.ask(ctx, Asked("big", 30))
    keep = replay_kept._keep
    monkeypatch.setattr(replay_kept, "_keep", lambda *given: (keep(*given), replay_kept._mark(given[0], given[2], "running"), 1 / 0))
    work(past)
    monkeypatch.setattr(replay_kept, "_keep", keep)
    with past.place.workspace.database.write() as connection:
        table = jobs.table_for(connection.dialect.name)
        connection.execute(table.update().where(table.c.name == "replay").values(run_at=jobs.moment(connection)))
    work(past)
    assert (replay_kept.of(ctx, stopped).state, replay_kept.of(ctx, again).state) == ("cancelled", "done")
    assert replay_kept.counts(ctx, again)[0].total == 1 and replay_kept.counts(ctx, stopped)[0].total == 0
    with pytest.raises(Conflict):
        replay_kept.cancel(ctx, again)


def test_a_running_replay_hears_that_it_is_to_stop(past, monkeypatch):
    past.item(size=5)
    ctx = past.enter("p1")
    number = replay_kept.ask(ctx, Asked("big", 30))
    look = Judging.look

    def stop(self: Judging, *given: Any, **words: Any) -> Any:
        replay_kept.cancel(past.enter("p1"), number)
        return look(self, *given, **words)

    monkeypatch.setattr(Judging, "look", stop)
    work(past)
    assert replay_kept.of(ctx, number).state == "cancelled" and replay_kept.counts(ctx, number)[0].total == 0


def test_what_stops_a_replay_is_told_and_old_ones_are_forgotten(past):
    past.item()
    body = {**past.place.workspace.bundle.documents["rule", "morning"], "on": {**QUIET["morning"]["on"], "cron": "* * * * *"}}
    for _ in range(3):
        past.item(later=False)
    ctx = past.enter("p1")
    number = replay_kept.ask(ctx, Asked("morning", 366, body=body))
    work(past)
    found = replay_kept.of(ctx, number)
    assert found.state == "failed" and found.error["code"] == "replay_too_much"
    past.go(days=91)
    assert replay_kept.forget(enter_as(past.place.home, past.place.name, "retention")) == 1
    with pytest.raises(NotFound):
        replay_kept.of(ctx, number)


def test_only_whoever_keeps_settings_asks_and_only_what_can_be_asked(past):
    ctx = past.enter("p1")
    outsider = replace(ctx, actor=replace(ctx.actor, roles=(), rights=frozenset()))
    with pytest.raises(Denied):
        replay_kept.ask(outsider, Asked("big", 30))
    with pytest.raises(Denied):
        replay_kept.cancel(outsider, 1)
    for wrong in (Asked("big", 0), Asked("big", 400), Asked("big", 30, "name"), Asked("big", 30, settings={"limit": "much"})):
        with pytest.raises(Invalid):
            replay_kept.ask(ctx, wrong)
    with pytest.raises(NotFound):
        replay_kept.ask(ctx, Asked("none", 30))
