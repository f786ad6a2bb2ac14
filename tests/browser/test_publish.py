"""A publish whose scenarios are played in the background: stopped, refused with its reasons, and live at the end, while the page tells how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from engine import drafts
from engine.actors import enter_as
from engine.background import worker_of
from engine.publishing import rollback

PUBLISH = "/w/ward/publish"


def stays(count: int) -> dict[str, Any]:
    return {"title": {"zh": "一开始没有住院登记"}, "then": [{"expect": "stay", "count": count}]}


@pytest.fixture
def drafted(site) -> Iterator[Any]:
    """A scenario is drafted that does not hold; afterwards the definitions are as they were."""
    ctx = enter_as(site.home, "ward", "operator")
    version = ctx.workspace.version
    drafts.act(ctx, "scenario", "begin", {"op": "put", "document": stays(1)}, 0)
    yield ctx
    drafts.drop(ctx, "scenario", "begin")
    rollback(enter_as(site.home, "ward", "operator"), version)


def press(page: Page) -> None:
    page.goto(PUBLISH)
    page.locator("#publish").click()
    expect(page.locator("#release")).to_contain_text("排队中")


def test_scenarios_are_played_behind_the_page_which_tells_how_they_end(open_page, accessible, site, drafted):
    page = open_page("wally", PUBLISH)
    expect(page.locator("main")).to_contain_text("发布前先演练 1 个场景")
    press(page)
    accessible(page)
    page.get_by_role("button", name="停止").click()
    expect(page.locator("#release")).to_contain_text("没有发布，草稿都在")
    press(page)
    worker_of(site.home).drain("ward")
    expect(page.locator("#release")).to_contain_text("第 1 步 应有 stay：应有 1 条，实有 0 条")
    accessible(page)
    drafts.act(drafted, "scenario", "begin", {"op": "put", "document": stays(0)}, 1)
    page.get_by_role("link", name="返回草稿").click()
    expect(page).to_have_url(f"{page.url.split('/w/')[0]}{PUBLISH}")
    press(page)
    worker = worker_of(site.home)
    worker.start()
    try:
        expect(page.locator("#release")).to_contain_text("1 个场景成立", timeout=60_000)
    finally:
        worker.stop()
    expect(page.locator("#release")).to_contain_text("已生效")
    accessible(page)


def test_dropping_a_draft_and_bringing_a_version_back_ask_first(open_page, drafted):
    page, asked = open_page("wally", PUBLISH), []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="删除草稿").click()
    for button in page.get_by_role("button", name="恢复", exact=True).all()[:1]:
        button.click()
    assert asked[0] == "删除这份草稿？其中的修改找不回来。" and all("恢复版本" in text for text in asked[1:])
    page.reload()
    expect(page.get_by_role("button", name="删除草稿")).to_have_count(1)
