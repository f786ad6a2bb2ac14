"""The publish page tells how the scenarios end and publishes nothing that breaks one, unless somebody says why."""

from __future__ import annotations

from argparse import Namespace
from io import StringIO
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine import drafts, publishing
from engine.actors import enter_as
from engine.background import worker_of
from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.members import add_member
from engine.provenance import versions
from engine.publishing import create_workspace, plan_drafts, plan_publish
from engine.releasing import prove, release, to_play
from metadata.bundle import Bundle
from renderer.app import create_app
from renderer.commands_definitions import telling
from tests.engine.homes import SMALL
from tests.renderer.clinic import open_home
from tests.renderer.station import posting_client

HERE = "/w/garden/publish"


def scenario(count: int) -> dict[str, Any]:
    return {"title": {"zh": "种下一株"}, "given": [{"create": "plant", "values": {"name": "竹"}}], "then": [{"expect": "plant", "count": count}]}


@pytest.fixture
def garden(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = open_home(tmp_path_factory.mktemp("garden"))
    create_workspace(home, "garden", Bundle({**SMALL, ("scenario", "good"): scenario(1), ("scenario", "odd"): scenario(2)}, DOCUMENTS), demo=True)
    add_member(home, "garden", "ada", ["admin"])
    drafts.act(enter_as(home, "garden", "operator"), "form", "plant", {"op": "add", "type": "integer", "section": "main", "at": 1}, 0)
    yield home
    home.close()


@pytest.fixture
def ada(garden: Home) -> TestClient:
    return posting_client(garden, create_app(garden), "ada")


def digest_of(client: TestClient) -> str:
    return client.get(HERE).text.split('name="digest" value="')[1].split('"')[0]


def pressed(client: TestClient, address: str = HERE, **more: str) -> str:
    """The address of what was begun in the background."""
    answer = client.post(address, data={"digest": digest_of(client), **more}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def mend(garden: Home) -> None:
    """The scenario that does not hold is drafted anew."""
    ctx = enter_as(garden, "garden", "operator")
    drafts.act(ctx, "scenario", "odd", {"op": "put", "document": scenario(1)}, 0)


def test_without_drafts_nothing_is_checked_and_notes_are_no_faults(ada, garden, monkeypatch):
    page = ada.get(HERE).text
    assert "需要先修正的问题" not in page and "新表单" not in page
    for change in drafts.changes(enter_as(garden, "garden", "operator")):
        drafts.drop(enter_as(garden, "garden", "operator"), change.kind, change.key)
    monkeypatch.setattr(publishing, "plan_drafts", None)
    assert "没有待发布的修改" in ada.get(HERE).text


def test_a_publish_plays_in_the_background_shows_how_far_it_is_and_goes_live_when_all_hold(ada, garden):
    mend(garden)
    assert "2 个场景" in ada.get(HERE).text
    page = pressed(ada, note="新表单")
    text = ada.get(page).text
    assert "排队中" in text and f'hx-get="{page}/progress"' in text and f'action="{page}/stop"' in text
    assert page in ada.get(HERE).text, "the page of the drafts leads to it"
    assert pressed(ada) == page, "pressed twice, it is begun once"
    worker_of(garden).drain()
    text = ada.get(f"{page}/progress").text
    assert "版本 2 已生效" in text and "2 个场景成立" in text and "hx-get" not in text
    with enter_as(garden, "garden", "operator").reading() as ctx:
        assert (versions(ctx.open)[0].note, versions(ctx.open)[0].by_name) == ("新表单", "ada")


def test_what_does_not_hold_is_named_in_words_with_the_way_back_and_nothing_is_published(ada, garden):
    page = pressed(ada)
    worker_of(garden).drain()
    text = ada.get(page).text
    assert text.count("种下一株") == 1 and "不成立" in text and "则第 1 步 应有 plant：应有 2 条，实有 1 条" in text and "scenarios/odd.json/then/0" in text
    assert f'href="{HERE}"' in text and garden.look("garden")[0].version == 1 and 'name="digest"' in ada.get(HERE).text


def test_scenarios_can_be_played_without_publishing(ada, garden):
    mend(garden)
    page = pressed(ada, f"{HERE}/play")
    worker_of(garden).drain()
    assert "全部成立" in ada.get(page).text and garden.look("garden")[0].version == 1


def test_a_publish_can_be_stopped(ada, garden):
    mend(garden)
    page = pressed(ada)
    assert ada.post(f"{page}/stop").status_code == 303
    worker_of(garden).drain()
    assert "已停止" in ada.get(page).text and garden.look("garden")[0].version == 1
    assert ada.post(f"{page}/stop").status_code == 409
    assert pressed(ada) != page, "another can be begun"


def test_what_breaks_a_scenario_is_published_only_for_a_reason(ada, garden):
    bare = ada.post(HERE, data={"digest": digest_of(ada), "skip": "1", "skip_scenarios": "", "note": "二版"})
    assert bare.status_code == 422 and "必须写明理由" in bare.text.split('id="skip_scenarios-error"')[1] and 'value="二版"' in bare.text
    stale = ada.post(HERE, data={"digest": "0", "skip": "1", "skip_scenarios": "先恢复营业"})
    assert stale.status_code == 409 and 'class="notice red"' in stale.text and 'id="publish"' in stale.text
    assert ada.post(HERE, data={"digest": digest_of(ada), "skip": "1", "skip_scenarios": "先恢复营业"}).status_code == 303
    with enter_as(garden, "garden", "operator").reading() as ctx:
        assert versions(ctx.open)[0].unproven == "先恢复营业"
    assert "未演练场景：先恢复营业" in ada.get(HERE).text


def test_programs_meet_the_same_check(ada, garden):
    begun = ada.post("/api/garden/publish", json={"digest": digest_of(ada)})
    assert begun.status_code == 202 and begun.headers["location"] == f"/api/garden/jobs/{begun.json()['job']}"
    worker_of(garden).drain()
    state = ada.get(begun.headers["location"]).json()
    assert (state["state"], state["done"], state["result"]["outcome"], [one["key"] for one in state["result"]["broken"]]) == ("done", 2, "broken", ["odd"])
    done = ada.post("/api/garden/publish", json={"digest": digest_of(ada), "skip_scenarios": "power cut"})
    assert done.status_code == 200 and done.json()["version"] == 2


def test_what_changes_looks_only_is_published_without_playing_any(ada, garden):
    ctx = enter_as(garden, "garden", "operator")
    form = dict(ctx.workspace.bundle.documents["form", "plant"])
    plan = plan_publish(ctx, ctx.workspace.bundle.replace({("form", "plant"): {**form, "title": {"zh": "一株植物"}}}))
    assert not to_play(ctx.workspace, plan) and prove(ctx.workspace, plan) == ()
    assert release(ctx, plan).number == 2  # the scenario that does not hold is not asked
    stage = dict(ctx.workspace.bundle.documents["entity", "plant"])
    plan = plan_publish(ctx, ctx.workspace.bundle.replace({("entity", "plant"): {**stage, "title": {"zh": "树"}}}))
    assert to_play(ctx.workspace, plan) == ["good", "odd"]


def test_scenarios_of_a_module_that_is_off_are_neither_counted_nor_played(garden):
    ctx = enter_as(garden, "garden", "operator")
    documents = ctx.workspace.bundle.documents
    module = {"title": {"zh": "零售"}, "default": False}
    preset = {**documents["preset", "preset"], "modules": {"retail": module}}
    odd = {**documents["scenario", "odd"], "module": "retail"}
    plan = plan_publish(ctx, ctx.workspace.bundle.replace({("preset", "preset"): preset, ("scenario", "odd"): odd}))
    assert plan.ready and to_play(ctx.workspace, plan) == ["good"]
    assert [result.key for result in prove(ctx.workspace, plan)] == ["good"]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("json", "stream", "told"), [(False, Terminal(), "\r1/2\r2/2\n"), (True, Terminal(), ""), (False, StringIO(), "")])
def test_a_terminal_is_told_how_many_have_been_played_and_a_script_is_not(garden, monkeypatch, json, stream, told):
    mend(garden)
    ctx = enter_as(garden, "garden", "operator")
    monkeypatch.setattr("sys.stderr", stream)
    assert [result.holds for result in prove(ctx.workspace, plan_drafts(ctx), telling(Namespace(json=json)))] == [True, True]
    assert stream.getvalue() == told
