"""The publish page tells how the scenarios end and publishes nothing that breaks one, unless somebody says why."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from engine import drafts
from engine.actors import enter_as
from engine.builtin import DOCUMENTS
from engine.home import Home
from engine.members import add_member
from engine.provenance import versions
from engine.publishing import create_workspace, plan_publish
from engine.releasing import may_break, prove, release
from metadata.bundle import Bundle
from renderer.app import create_app
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


def test_the_page_asks_for_the_scenarios_and_names_the_one_that_does_not_hold(ada):
    assert "2 个场景" in ada.get(HERE).text and f'hx-get="{HERE}/scenarios"' in ada.get(HERE).text
    text = ada.get(f"{HERE}/scenarios").text
    assert text.count("种下一株") == 2 and "不成立" in text and "则第 1 步 应有 plant：应有 2 条，实有 1 条" in text and "scenarios/odd.json/then/0" in text


def test_what_breaks_a_scenario_is_published_only_for_a_reason(ada, garden):
    refused = ada.post(HERE, data={"digest": digest_of(ada)})
    assert refused.status_code == 422 and "有 1 个场景不成立，不能发布：odd" in refused.text and garden.look("garden")[0].version == 1
    assert ada.post(HERE, data={"digest": digest_of(ada), "skip": "1", "skip_scenarios": ""}).status_code == 422
    assert ada.post(HERE, data={"digest": digest_of(ada), "skip": "1", "skip_scenarios": "先恢复营业"}).status_code == 303
    with enter_as(garden, "garden", "operator").reading() as ctx:
        assert versions(ctx.open)[0].note == "[scenarios skipped: 先恢复营业]"


def test_programs_meet_the_same_check(ada, garden):
    refused = ada.post("/api/garden/publish", json={"digest": digest_of(ada)})
    assert (refused.status_code, refused.json()["code"]) == (422, "publish_scenarios")
    done = ada.post("/api/garden/publish", json={"digest": digest_of(ada), "skip_scenarios": "power cut"})
    assert done.status_code == 200 and done.json()["version"] == 2


def test_what_changes_looks_only_is_published_without_playing_any(ada, garden):
    ctx = enter_as(garden, "garden", "operator")
    form = dict(ctx.workspace.bundle.documents["form", "plant"])
    plan = plan_publish(ctx, ctx.workspace.bundle.replace({("form", "plant"): {**form, "title": {"zh": "一株植物"}}}))
    assert not may_break(ctx.workspace, plan) and prove(ctx.workspace, plan) == ()
    assert release(ctx, plan).number == 2  # the scenario that does not hold is not asked
    stage = dict(ctx.workspace.bundle.documents["entity", "plant"])
    plan = plan_publish(ctx, ctx.workspace.bundle.replace({("entity", "plant"): {**stage, "title": {"zh": "树"}}}))
    assert may_break(ctx.workspace, plan)
