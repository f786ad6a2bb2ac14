"""Buttons in a browser: at a desk and on a phone, light and dark, by keyboard; a form in a dialog, its faults, a soft refusal, the page made fresh."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.renderer.counter import NAME

HERE = f"/w/{NAME}"


def shot(page: Page, name: str) -> None:
    """Kept where TANGRAM_TEST_SHOTS says, to be looked at."""
    folder = os.environ.get("TANGRAM_TEST_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_buttons_and_their_forms_read_well_everywhere(open_page: Callable[..., Page], accessible, phone, dark):
    name = f"{'phone' if phone else 'desk'}-{'dark' if dark else 'light'}"
    page = open_page("rosa", f"{HERE}/r/guest/1", phone=phone, dark=dark)
    accessible(page)
    shot(page, f"press-record-{name}")
    page.locator(".acts-top details.menu > summary").click()
    shot(page, f"press-menu-{name}")
    page.locator(".acts-top .drop a[href$='/do/move']").click()
    dialog = page.locator("#dialog")
    expect(dialog.locator("#action-form")).to_be_visible()
    accessible(page)
    shot(page, f"press-form-{name}")
    dialog.locator(".savebar .primary").click()
    expect(dialog.locator("#p-to-error")).to_be_visible()
    accessible(page)
    shot(page, f"press-faults-{name}")
    open_page.expect_said("422")  # type: ignore[attr-defined]


def test_a_soft_refusal_keeps_what_was_typed_and_the_page_is_made_fresh(open_page: Callable[..., Page]):
    page = open_page("rosa", f"{HERE}/r/guest/1")
    page.locator(".acts-top > a.btn[href$='/do/move'], .acts-top .drop a[href$='/do/move']").first.evaluate("item => item.click()")
    dialog = page.locator("#dialog")
    dialog.locator("#p-to").fill("丽")
    dialog.locator("[role=option][data-label=丽塔]").click()
    dialog.locator("textarea[name=why]").fill("病情明显好转")
    dialog.locator(".savebar .primary").click()
    expect(dialog.locator("#form-errors")).to_contain_text("钱一 是特级护理，确定降级？")
    expect(dialog.locator("textarea[name=why]")).to_have_value("病情明显好转")
    shot(page, "press-soft")
    dialog.get_by_role("button", name="仍然继续").click()
    expect(page.locator("#toasts")).to_contain_text("“转床”已执行")
    expect(dialog).not_to_be_visible()
    expect(page.locator("#main")).to_contain_text("丽塔")
    open_page.expect_said("422")  # type: ignore[attr-defined]


def test_what_cannot_be_pressed_says_why_by_keyboard(open_page: Callable[..., Page], accessible):
    page = open_page("rosa", f"{HERE}/r/guest/3")
    page.locator(".acts-top details.menu > summary").focus()
    page.keyboard.press("Enter")
    off = page.locator(".acts-top .drop a.off[href$='/do/leave']")
    off.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog [role=alert]")).to_contain_text("不满足的条件")
    accessible(page)
    shot(page, "press-off")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()


def test_many_rows_show_a_result_for_each(open_page: Callable[..., Page], accessible):
    page = open_page("rosa", f"{HERE}/l/guests")
    for number in (3, 4):
        page.locator(f"#row-{number} input[name=ids]").check()
    page.locator("#bulk button[hx-get$='/many/move']").click()
    dialog = page.locator("#dialog")
    dialog.locator("#p-to").fill("丽")
    dialog.locator("[role=option][data-label=丽塔]").click()
    dialog.locator("textarea[name=why]").fill("床位调整")
    accessible(page)
    dialog.locator(".savebar .primary").click()
    expect(dialog.locator("#many-done")).to_contain_text("李三 正在保留，不能转床")
    expect(dialog.locator("#many-done")).to_contain_text("已完成 1 条")
    accessible(page)
    shot(page, "press-many")
    dialog.get_by_role("link", name="返回列表").click()
    expect(page.locator("#row-4")).to_contain_text("丽塔")


def test_a_button_on_a_list_is_done_where_it_stands_and_the_list_is_drawn_anew(open_page: Callable[..., Page]):
    page = open_page("rosa", f"{HERE}/l/desk?page=table")
    row = page.locator("#row-4")
    row.get_by_role("button", name="出院").click()
    expect(page.locator("#toasts")).to_contain_text("“出院”已执行")
    expect(page.locator("#main .list-head")).to_be_visible()
    expect(page.locator("#row-3")).to_be_visible()
    expect(row).to_have_count(0)
    expect(page.locator("#tab-desk")).to_have_text("3")
