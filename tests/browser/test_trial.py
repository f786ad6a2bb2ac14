"""A rule tried in a real browser: from the page of rules to what it would do, on a desk and on a phone."""

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)])
def test_an_administrator_tries_a_rule_on_a_record_and_nothing_is_kept(open_page, accessible, phone, dark):
    page = open_page("ada3", "/w/tried/rules", phone=phone, dark=dark)
    page.locator("#rule-release").get_by_role("link", name="试运行").click()
    accessible(page)
    page.get_by_label("病人").select_option("1")
    page.get_by_role("button", name="试运行").click()
    tried = page.locator("#tried")
    expect(tried).to_contain_text("会执行")
    expect(tried).to_contain_text("诺拉 → —")
    expect(tried).to_contain_text("钱一 已释放，共查看 2 次")
    accessible(page)
    page.goto("/w/tried/r/guest/1")
    expect(page.locator("main")).to_contain_text("诺拉")


def test_a_rule_is_tried_as_somebody_with_what_its_button_asks_for(open_page, accessible):
    page = open_page("ada3", "/w/tried/rules/take/try?record=2")
    page.get_by_label("由谁").select_option(label="妮娜")
    page.get_by_label("原因").fill("转科")
    page.get_by_role("button", name="试运行").click()
    expect(page.locator("#tried")).to_contain_text("欠费超过押金")
    expect(page.get_by_label("原因")).to_have_value("转科")
    accessible(page)
