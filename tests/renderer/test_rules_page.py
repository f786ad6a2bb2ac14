"""Rules on pages: their sentences, switches and sums; the log and one run with what it saw; why on a record, told only as far as its reader may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from engine import jobs, run_log
from engine.actors import enter_as
from engine.context import Context
from engine.errors import NotFound
from engine.explaining import coming, explain_all, explain_rule
from engine.home import Home
from engine.records import service
from engine.rules.compile import rule_book
from engine.run_log import Wanted
from engine.system_tables_rules import run
from renderer.app import create_app
from tests.renderer.clinic import open_home
from tests.renderer.station import NOW, as_person, make_station, posting_client, words, work_station

HERE = "/w/worked"


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = open_home(tmp_path_factory.mktemp("worked"))
    make_station(home)
    work_station(home)
    yield home
    home.close()


@pytest.fixture(scope="module")
def application(worked: Home) -> object:
    return create_app(worked)


@pytest.fixture
def client_of(worked: Home, application: object) -> Callable[[str], TestClient]:
    return lambda login: posting_client(worked, application, login)


def _operator(home: Home, name: str = "worked") -> Context:
    return enter_as(home, name, "operator")


def _run(home: Home, rule: str) -> run_log.Run:
    return run_log.runs(_operator(home), Wanted(rule))[0][0]


# --- the log, read -------------------------------------------------------------------------------------------------------------------------


def test_runs_are_found_by_rule_state_record_person_and_time(worked):
    ctx = _operator(worked)
    assert [run.rule for run in run_log.runs(ctx, Wanted(entity="guest", record=1))[0]] == ["release", "warn"]
    assert [(run.rule, run.error["code"]) for run in run_log.runs(ctx, Wanted(state="refused"))[0]] == [("bill", "NO_BILL")]
    assert {run.rule for run in run_log.runs(ctx, Wanted(since=NOW + timedelta(days=1)))[0]} == {"release", "warn"}
    assert {run.rule for run in run_log.runs(ctx, Wanted(until=NOW + timedelta(days=1)))[0]} == {"judge", "seen", "bill"}
    nora = run_log.runs(ctx, Wanted("seen"))[0][0].person
    assert nora is not None and {run.rule for run in run_log.runs(ctx, Wanted(person=nora))[0]} == {"judge", "seen"}


def test_the_log_goes_on_page_by_page_without_repeating(worked):
    ctx, found, before = _operator(worked), [], 0
    while True:
        page, before = run_log.runs(ctx, Wanted(), before, 3)
        found += [run.id for run in page]
        if not before:
            break
    assert len(found) == len(set(found)) == 8 and found == sorted(found, reverse=True)


def test_sums_count_by_state_with_the_last_time(worked):
    sums = run_log.sums(_operator(worked), NOW)
    assert sums["judge"].by_state == {"done": 3} and sums["bill"].by_state == {"refused": 1}
    assert sums["release"].last == NOW + timedelta(days=2) and sums["release"].micros > 0
    assert run_log.sums(_operator(worked), NOW + timedelta(days=3)) == {}


# --- why, why not, what next ---------------------------------------------------------------------------------------------------------------


def test_why_a_rule_does_not_run_is_its_first_false_part_with_the_values(worked):
    ctx = _operator(worked)
    found = explain_rule(ctx, rule_book(ctx.workspace).rules["release"], 3)
    assert found.holds is False and found.reason is not None
    assert (found.reason.text, [(seen.label, seen.shown) for seen in found.reason.seen]) == ("保留 不为是", [("保留", "是")])
    released = explain_rule(ctx, rule_book(ctx.workspace).rules["release"], 1)
    assert released.reason is not None and released.reason.text == "责任护士 有值"


def test_what_comes_next_is_told_while_its_condition_holds(worked):
    ctx = _operator(worked, "station")
    found = coming(ctx, "guest", 1)
    assert [(item.rule.key, item.at - NOW, item.shift) for item in found] == [("warn", timedelta(days=1), -86_400), ("release", timedelta(days=2), 0)]
    assert coming(ctx, "guest", 3) == [] and coming(_operator(worked), "guest", 1) == []


def test_parts_about_what_the_reader_may_not_see_are_hidden(worked):
    ctx = as_person(worked, "station", "nina")
    debt = service.create(_operator(worked, "station"), "guest", {"name": "债", "debt": 1}).id
    taken = next(found for found in explain_all(ctx, "guest", debt) if found.rule.key == "take")
    assert taken.holds is True and taken.condition is not None and not any(leaf.hidden for leaf in taken.condition.leaves())
    with pytest.raises(NotFound):
        explain_all(ctx, "guest", 999)


def test_the_page_of_a_record_leaves_out_rules_whose_conditions_its_reader_may_see_nothing_of(counter, counter_client):
    debt = service.create(_operator(counter, "counter"), "guest", {"name": "债", "level": "b", "debt": 5, "nurse": 1}).id
    told = {login: counter_client(login).get(f"/w/counter/r/guest/{debt}/rules").text for login in ("dana", "rosa")}
    assert 'id="why-remit"' in told["dana"] and 'id="why-remit"' not in told["rosa"]  # if: debt > 0, which nurses may not read
    assert 'id="why-leave"' in told["rosa"]


# --- pages ---------------------------------------------------------------------------------------------------------------------------------


def test_the_page_of_rules_says_every_rule_with_its_sums_and_parameters(client_of):
    text = client_of("ada2").get(f"{HERE}/rules").text
    said = words(text)
    assert "病人 的 释放时间 到时，如果 责任护士 有值 且 保留 不为是 且 阶段 是 在院" in said
    assert "把 责任护士 清空" in said and "已完成 3" in said and "已拒绝 1" in said and "30 天内未运行" in said
    assert "有效记录最少字数 5" in said and f"{HERE}/settings/least_words" in text
    assert re.search(r'rules/warn/switch.*?aria-checked="false"', text, re.DOTALL) and "停用" in said


def test_the_rules_of_one_entity_are_shown_alone(client_of):
    said = words(client_of("ada2").get(f"{HERE}/rules?entity=visit").text)
    assert "判定有效查看" in said and "接管病人" not in said and "全部规则" in said
    assert f'href="{HERE}/rules?entity=guest"' in client_of("ada2").get(f"{HERE}/r/guest/1/rules").text


def test_a_rule_is_found_by_its_name_and_by_the_parameters_it_reads(client_of):
    def shown(query: str) -> set[str]:
        return set(re.findall(r'<li id="rule-(\w+)"', client_of("ada2").get(f"{HERE}/rules{query}").text))

    every = shown("")
    assert shown("?q=接管病人") == {"take"} and shown("?q=有效记录最少字数") == {"judge"} and len(every) == 6
    assert not shown("?q=接管病人&entity=visit") and "没有找到“天气”" in words(client_of("ada2").get(f"{HERE}/rules?q=天气").text)


def test_only_whoever_keeps_settings_sees_the_rules_and_the_log(client_of):
    nora = client_of("nora2")
    assert [nora.get(f"{HERE}/{path}").status_code for path in ("rules", "runs", "rules-dead")] == [403] * 3
    assert nora.post(f"{HERE}/rules/judge/switch", data={"on": "0"}).status_code == 403
    assert nora.post(f"{HERE}/rules-dead", data={"job": "1"}).status_code == 403


def test_a_switch_turns_a_rule_off_and_on(client_of, worked):
    ada = client_of("ada2")
    assert ada.post(f"{HERE}/rules/judge/switch", data={"on": "0"}).status_code == 303
    assert "judge" in _operator(worked).workspace.rules_off and "阿达 于" in words(ada.get(f"{HERE}/rules").text)
    assert ada.post(f"{HERE}/rules/judge/switch", data={"on": "1"}).status_code == 303
    assert "judge" not in _operator(worked).workspace.rules_off
    assert ada.post(f"{HERE}/rules/nothing/switch", data={"on": "1"}).status_code == 404


def test_the_log_is_filtered_and_led_to_one_run(client_of, worked):
    ada = client_of("ada2")
    said = words(ada.get(f"{HERE}/runs?state=refused").text)
    assert "出院结算" in said and "还有欠费，不能结算" in said and "妮娜" in said and "8.3" not in said
    assert "没有符合条件的运行" in words(ada.get(f"{HERE}/runs?rule=take").text)
    assert "释放无人看护的病人" in words(ada.get(f"{HERE}/runs?entity=guest&record=1&since=2026-03-04&until=2026-03-04").text)
    assert ada.get(f"{HERE}/runs?record=x&person=y&since=z&before=w").status_code == 200
    said = words(ada.get(f"{HERE}/runs/{_run(worked, 'release').id}").text)
    assert "为何执行 如果 责任护士 有值 且 保留 不为是 且 阶段 是 在院" in said and "责任护士 诺拉" in said and "阶段 在院" in said
    assert "数一数查看，条件为 病人 是 该病人 已查找 找到 2" in said and "把 责任护士 清空 已写入" in said and "已通知 人员 诺拉" in said


def test_a_run_is_seen_by_who_may_read_its_record_and_by_nobody_else(client_of, worked):
    release, judged = _run(worked, "release").id, _run(worked, "judge").id
    nora = client_of("nora2")
    assert nora.get(f"{HERE}/runs/{release}").status_code == 200 and f"{HERE}/runs?rule" not in nora.get(f"{HERE}/runs/{release}").text
    assert nora.get(f"{HERE}/runs/{judged}").status_code == 200  # it ran before its record was made, and is of that record all the same
    with worked.database_of("worked").write() as connection:
        connection.execute(run.update().where(run.c.id == judged).values(record=None))  # as an older release noted it: it is nobody's
    assert nora.get(f"{HERE}/runs/{judged}").status_code == 404
    assert nora.get(f"{HERE}/runs/99999").status_code == 404
    assert client_of("ada2").get(f"{HERE}/runs/{judged}").status_code == 200


def test_a_trace_tells_nobody_what_they_may_not_read(client_of, worked):
    address = f"{HERE}/runs/{_run(worked, 'release').id}"
    assert "“owed” 0" in words(client_of("ada2").get(address).text)
    assert "“owed” ***" in words(client_of("nora2").get(address).text)  # a nurse does not read debts


def test_the_record_page_tells_who_did_it_and_what_comes_next(client_of):
    text = client_of("nora2").get(f"{HERE}/r/guest/1").text
    assert "由规则“释放无人看护的病人”" in text and re.search(rf'href="{HERE}/runs/\d+"', text)
    before = words(client_of("nora").get("/w/station/r/guest/1").text)
    assert "释放无人看护的病人 03-04 10:00" in before and "释放前提醒（释放时间前 1 天） 明天 10:00" in before
    assert 'id="tab-rules"' in text


def test_the_rules_of_a_record_say_why_not(client_of):
    said = words(client_of("nora2").get(f"{HERE}/r/guest/3/rules").text)
    assert "释放无人看护的病人 条件现在不成立" in said and "保留 不为是 · 保留 是" in said and "释放前提醒 已停用" in said
    assert "这条记录的运行记录" not in said and "这条记录的运行记录" in client_of("ada2").get(f"{HERE}/r/guest/3/rules").text
    assert client_of("nora2").get(f"{HERE}/r/guest/999/rules").status_code == 404
    assert client_of("nora2").get(f"{HERE}/r/nothing/1/rules").status_code == 404


def test_what_was_given_up_on_is_run_again(client_of, worked):
    ada = client_of("ada2")
    said = words(ada.get(f"{HERE}/rules-dead").text)
    assert "出院结算 孙二 还有欠费，不能结算" in said
    (dead,) = jobs.given_up(_operator(worked).workspace.database, "worked", name="rule")
    assert ada.post(f"{HERE}/rules-dead", data={}).status_code == 303
    assert jobs.find(_operator(worked).workspace.database, "worked", dead.id).state == "dead"
    assert ada.post(f"{HERE}/rules-dead", data={"job": str(dead.id)}).status_code == 303
    assert jobs.find(_operator(worked).workspace.database, "worked", dead.id).state == "waiting"
