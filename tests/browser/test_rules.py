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


# --- rules ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)])
def test_the_pages_of_rules_are_accessible_and_fit(open_page, accessible, phone, dark):
    page = open_page("ada2", "/w/worked/rules", phone=phone, dark=dark)
    page.locator("#rule-release summary").click()
    accessible(page)
    for path in ("runs", "rules-dead", "r/guest/1"):
        page.goto(f"/w/worked/{path}")
        accessible(page)
    page.get_by_role("tab", name="规则").click()
    expect(page.locator("#why-release")).to_be_visible()
    accessible(page)


def test_an_administrator_reads_from_the_record_why_it_was_released(open_page, accessible):
    page = open_page("ada2", "/w/worked/r/guest/1")
    page.locator("#timeline").get_by_role("link", name="由规则“释放无人看护的病人”").click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_role("heading", name="释放无人看护的病人")).to_be_visible()
    expect(dialog).to_contain_text("如果 责任护士 有值 且 保留 不为是 且 阶段 是 在院")
    expect(dialog.locator(".trace")).to_contain_text("把 责任护士 清空")
    accessible(page)
    dialog.get_by_role("button", name="关闭").click()
    page.get_by_role("tab", name="规则").click()
    expect(page.locator("#why-release .first")).to_contain_text("责任护士 有值")


def test_a_rule_is_switched_off_and_its_parameter_changed_in_place(open_page):
    page = open_page("ada2", "/w/worked/rules")
    page.get_by_role("switch", name="启用或停用：接管病人").click()
    expect(page.locator(".toast")).to_contain_text("已停用")
    expect(page.get_by_role("switch", name="启用或停用：接管病人")).to_have_attribute("aria-checked", "false")
    page.locator("#rule-judge .uses .chip").click()
    expect(page.locator("#setting-form")).to_be_visible()
    page.get_by_label("有效记录最少字数").fill("6")
    page.locator("#dialog").get_by_role("button", name="保存").click()
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#rule-judge .uses .chip")).to_contain_text("6")  # the page of rules stays and tells it anew


def test_the_log_is_filtered_and_opened(open_page):
    page = open_page("ada2", "/w/worked/runs")
    page.get_by_label("结果", exact=True).select_option("refused")
    page.get_by_role("button", name="显示").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="出院结算").click()
    expect(page.locator("main")).to_contain_text("还有欠费，不能结算")
