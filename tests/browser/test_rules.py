"""Settings and rules in a real browser: changing a value with what it brings about, what rules did and why."""

import pytest
from playwright.sync_api import expect

SETTINGS = "/w/station/settings"


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)])
def test_the_settings_page_is_accessible_and_fits(open_page, accessible, phone, dark):
    page = open_page("ada", SETTINGS, phone=phone, dark=dark)
    accessible(page)
    for key in ("idle_days", "open_hours", "rates", "ask_first"):
        page.locator(f"#{key} .acts .btn").last.click()
        expect(page.locator("#dialog #setting-form")).to_be_visible()
        accessible(page)
        page.locator("#dialog [data-close]").first.click()


def test_a_value_is_set_after_what_it_brings_about_was_told(open_page):
    page = open_page("ada", SETTINGS)
    page.get_by_role("button", name="修改无人看护多少天后释放").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("特级", exact=True).fill("3")
    dialog.get_by_label("其余", exact=True).focus()
    expect(dialog.locator("#effects")).to_contain_text("条随之改变")
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.locator(".notice.amber")).to_contain_text("请确认后再保存")
    expect(dialog.get_by_label("特级", exact=True)).to_have_value("3")
    dialog.get_by_role("button", name="仍要保存").click()
    expect(page.locator(".toast")).to_contain_text("已保存")
    expect(page.locator("#idle_days")).to_contain_text("特级 3 天")
    open_page.expect_said("409")


def test_a_wrong_value_is_told_at_its_control(open_page):
    page = open_page("ada", SETTINGS)
    page.get_by_role("button", name="修改押金").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("押金").fill("很多")
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.locator("#s-value-error")).to_be_visible()
    open_page.expect_said("422")
