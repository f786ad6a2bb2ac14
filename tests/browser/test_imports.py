"""The import wizard in a browser: real lists, from the file through the rehearsal to the report, and back again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine import builtin
from engine.members import add_member
from engine.publishing import create_workspace
from metadata.bundle import Bundle
from renderer.serving import working

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def estate(site) -> Iterator[None]:
    """The preset's workspace on the day the messy list was written, an administrator, and a worker."""
    bundle, problems = Bundle.read_folder(ROOT / "presets" / "real_estate", builtin.DOCUMENTS)
    assert not [problem for problem in problems if problem.severity == "error"]
    create_workspace(site.home, "estate", bundle, title="云溪府", sandbox=True, demo=True, now=datetime(2026, 3, 15, 1, tzinfo=UTC))
    add_member(site.home, "estate", "eva", ["admin"], name="伊娃")
    with working(site.home, True):
        yield


def upload(page: Page, name: str) -> None:
    page.goto("/w/estate/imports?entity=customer")
    page.locator("#file").set_input_files(DATA / name)
    expect(page.locator("[data-file-name]")).to_have_text(name)
    page.get_by_role("button", name="上传并查看").click()
    expect(page.locator("#mapping")).to_be_visible()


def sums(page: Page) -> dict[str, int]:
    names, numbers = page.locator(".import-sums dt").all_text_contents(), page.locator(".import-sums dd").all_text_contents()
    return {name: int(number) for name, number in zip(names, numbers, strict=True)}


def start(page: Page, how: str) -> None:
    page.locator(f"#mapping button[value={how}]").click()
    expect(page.locator(".import-sums")).to_be_visible(timeout=40_000)


def test_a_messy_list_is_rehearsed_imported_reported_and_undone(open_page, estate, accessible):
    page = open_page("eva", "/w/estate/imports?entity=customer")
    accessible(page)
    upload(page, "customers_messy.xlsx")
    accessible(page)
    start(page, "dry")
    expect(page.locator("main")).to_contain_text("预演")
    rehearsed = sums(page)
    page.locator("#mapping button[value=run]").click()
    expect(page.get_by_role("button", name="撤销整个导入")).to_be_visible(timeout=20_000)
    assert sums(page) == rehearsed
    assert rehearsed["数据行"] == rehearsed["新建"] + rehearsed["并入"] + rehearsed["未导入"] == 20
    page.get_by_role("link", name="新建").click()
    made = page.locator("#import .items li").first
    expect(made.get_by_role("link")).to_have_attribute("href", re.compile(r"/r/customer/\d+$"))  # what became of the row, by its name
    assert "—" not in page.locator("#import .items").inner_text()
    page.get_by_role("link", name="未导入").click()
    expect(page.locator("#import .items li")).to_have_count(rehearsed["未导入"])
    expect(page.locator("#import .items")).to_contain_text("缺少姓名")
    accessible(page)
    with page.expect_download() as got:
        page.get_by_role("link", name="下载需处理的行").click()
    assert got.value.suggested_filename == "customers_messy-report.xlsx" and got.value.path().stat().st_size > 2000
    page.get_by_role("button", name="撤销整个导入").click()
    expect(page.locator(".toast")).to_contain_text("已撤销")
    page.goto("/w/estate/l/customers_all")
    expect(page.locator("tr[id^=row-]")).to_have_count(0)


def test_three_thousand_rows_show_their_progress_and_all_are_accounted_for(open_page, estate):
    page = open_page("eva", "/w/estate/imports")
    upload(page, "customers_site.xlsx")
    page.locator("#mapping button[value=run]").click()
    expect(page.locator("#import progress")).to_be_visible()
    expect(page.get_by_role("button", name="撤销整个导入")).to_be_visible(timeout=60_000)
    found = sums(page)
    assert found["数据行"] == found["新建"] + found["并入"] + found["未导入"] > 2500


def test_a_column_may_be_left_out_and_a_file_that_is_none_is_refused(open_page, estate, tmp_path, accessible):
    page = open_page("eva", "/w/estate/imports", phone=True)
    upload(page, "customers_messy.xlsx")
    accessible(page)
    page.locator("#mapping select").nth(3).select_option("")
    start(page, "dry")
    expect(page.locator("#mapping tr", has=page.locator("select").nth(0)).nth(3)).to_contain_text("未使用")
    wrong = tmp_path / "图.xlsx"
    wrong.write_bytes(b"PK\x03\x04 this is no spreadsheet")
    page.goto("/w/estate/imports")
    page.locator("#file").set_input_files(wrong)
    page.get_by_role("button", name="上传并查看").click()
    expect(page.locator(".toast.error")).to_be_visible()
    expect(page.locator("[data-file-name]")).to_have_text("图.xlsx")
    open_page.expect_said("422")
