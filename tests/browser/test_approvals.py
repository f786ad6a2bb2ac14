"""Approvals in a browser: at a desk and on a phone, light and dark; decided with values and opinion, the number in the menu counting down, handed on by keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_actions import HERE, shot


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_approvals_read_well_everywhere(open_page: Callable[..., Page], accessible, phone, dark):
    name = f"{'phone' if phone else 'desk'}-{'dark' if dark else 'light'}"
    page = open_page("dana", f"{HERE}/approvals", phone=phone, dark=dark)
    expect(page.locator("article.approval").first).to_be_visible()
    accessible(page)
    shot(page, f"approvals-{name}")
    page.goto(f"{HERE}/approvals/1")
    accessible(page)
    shot(page, f"approval-{name}")
    page.goto(f"{HERE}/r/guest/2")
    expect(page.locator("#asks")).to_be_visible()
    accessible(page)
    shot(page, f"approval-record-{name}")


def test_an_approver_hands_on_by_the_dialog(open_page: Callable[..., Page], accessible):
    page = open_page("dana", f"{HERE}/approvals/3")
    page.locator("article.approval details.menu > summary").focus()
    page.keyboard.press("Enter")
    page.locator("article.approval .drop a").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#dialog")
    expect(dialog.locator("#hand-form")).to_be_visible()
    accessible(page)
    dialog.locator("input[role=combobox]").fill("丽")
    dialog.locator("[role=option][data-label=丽塔]").click()
    shot(page, "approval-hand")
    dialog.locator(".savebar .primary").click()
    expect(page.locator("article.approval")).to_contain_text("丽塔")
    expect(page.locator("#toasts")).to_contain_text("已转交")


def test_deciding_asks_for_what_is_needed_and_counts_down(open_page: Callable[..., Page]):
    page = open_page("dana", f"{HERE}/approvals")
    count = page.locator("#asks-link .count")
    before = int(count.inner_text().rsplit("：", 1)[-1])
    card = page.locator("#ask-1")
    card.locator("textarea").fill("同意")
    card.locator(".savebar .primary").click()
    expect(card.locator("#a1-left-error")).to_be_visible()
    expect(card.locator("textarea")).to_have_value("同意")
    shot(page, "approval-faults")
    card.locator("input[name=left]").fill("1000")
    card.locator(".savebar .primary").click()
    expect(card).to_contain_text("已批准")
    expect(count).to_contain_text(str(before - 1))
    open_page.expect_said("422")  # type: ignore[attr-defined]
