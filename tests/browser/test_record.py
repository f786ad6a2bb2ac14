"""The page of one record: what it tells, what it hides, what can be done from it."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from engine.actors import enter_as
from engine.clock import wall
from engine.records import service

STAY = "/w/ward/r/stay/1"


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)])
def test_a_record_page_is_accessible_and_fits(open_page, accessible, phone, dark):
    page = open_page("wanda", STAY, phone=phone, dark=dark)
    accessible(page)
    page.get_by_role("tab", name="查房").click()
    accessible(page)


def test_the_head_tells_who_where_and_until_when(open_page):
    page = open_page("wanda", STAY)
    expect(page.locator(".record-head")).to_contain_text("钱一")
    expect(page.locator(".record-head .tag.amber")).to_contain_text("复核到期")
    expect(page.locator(".steps [aria-current]")).to_have_text("在院")
    expect(page.locator("#next")).to_contain_text("换药")
    expect(page.locator("#next")).not_to_contain_text("拆线")
    expect(page.locator("#profile")).not_to_contain_text("钱一")


def test_a_day_gone_by_that_alarms_nobody_is_no_next_step(open_page, site):
    ctx = enter_as(site.home, "ward", "operator")
    stay = service.create(ctx, "stay", {"name": "周四", "state": "out", "review_at": (wall() - timedelta(days=9)).isoformat()})
    page = open_page("wanda", f"/w/ward/r/stay/{stay.id}")
    expect(page.locator("#profile")).to_contain_text("复核到期")
    expect(page.locator("#next")).to_have_count(0)
    expect(page.locator(".record-head .tag")).to_have_count(0)
    service.delete(ctx, "stay", stay.id, stay.version)


def test_the_first_action_is_the_lists_own_and_opens_a_quick_form_in_place(open_page, accessible):
    page = open_page("willi", "/w/ward/r/stay/2")
    page.locator(".acts-top .primary").click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_role("heading", name="写查房")).to_be_visible()
    accessible(page)
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.locator("#f-said-error")).to_be_visible()
    expect(dialog.get_by_label("所见")).to_be_focused()
    dialog.get_by_label("所见").fill("精神好")
    dialog.get_by_label("所见").press("Control+Enter")
    expect(page.locator("#timeline")).to_contain_text("精神好")
    expect(page.locator(".toast")).to_contain_text("已保存")
    open_page.expect_said("422")


def test_the_story_joins_changes_and_related_records_and_goes_on(open_page):
    page = open_page("wanda", STAY)
    story = page.locator("#timeline > li[id]")
    expect(story).to_have_count(20)
    expect(story.nth(1)).to_contain_text("查房")
    page.locator("#timeline").get_by_role("button", name="显示更多").click()
    expect(page.locator("#timeline .quote", has_text=re.compile("查房记录 25$"))).to_be_visible()
    shown = page.locator("#timeline .quote").all_text_contents()
    assert len(shown) == len(set(shown)) == 24
    page.get_by_role("tab", name="变更记录").click()
    expect(page.locator("#changes")).to_contain_text("新建")


def test_the_part_that_is_read_stays_when_the_page_is_drawn_anew_loaded_again_or_come_back_to(open_page, site):
    ctx = enter_as(site.home, "ward", "operator")
    stay = service.create(ctx, "stay", {"name": "吴五", "state": "in"})
    service.create(ctx, "round", {"stay": stay.id, "said": "睡得好"})
    page = open_page("willi", f"/w/ward/r/stay/{stay.id}")
    changes, rounds, story = (page.get_by_role("tab", name=name) for name in ("变更记录", "查房", "动态"))
    changes.click()
    expect(page.locator("#changes > li[id]")).to_have_count(1)
    service.update(ctx, "stay", stay.id, {"name": "吴伍"}, stay.version)
    page.evaluate("document.dispatchEvent(new Event('freshPage'))")
    expect(page.locator(".record-name")).to_have_text("吴伍")
    expect(changes).to_have_attribute("aria-selected", "true")
    expect(page.locator("#changes > li[id]")).to_have_count(2)
    expect(page.locator("#timeline")).to_be_hidden()
    page.reload()
    expect(page.locator("#changes > li[id]")).to_have_count(2)
    rounds.click()
    page.locator("#panel-round-stay a").first.click()
    page.wait_for_url("**/r/round/*")
    page.go_back()
    expect(rounds).to_have_attribute("aria-selected", "true")
    story.click()
    page.reload()
    expect(page.locator("#timeline")).to_be_visible()


def test_all_of_a_related_list_really_are_those_of_the_record(open_page):
    page = open_page("wanda", STAY)
    page.get_by_role("tab", name="查房 24").click()
    page.get_by_role("link", name="查看全部 24 条").click()
    expect(page.locator("tr[id^=row-]")).to_have_count(24)
    expect(page.locator("tr[id^=row-]", has_text="孙二")).to_have_count(0)


def test_a_masked_value_is_shown_for_a_reason_only(open_page):
    page = open_page("wanda", STAY)
    expect(page.locator("#shown-phone")).to_contain_text("139****0001")
    page.get_by_role("button", name="查看电话").click()
    dialog = page.locator("#dialog")
    dialog.get_by_role("button", name="显示", exact=True).click()
    expect(dialog.locator("#reason-error")).to_be_visible()
    dialog.get_by_label("查看原因").fill("家属要求回电")
    dialog.get_by_role("button", name="显示", exact=True).click()
    expect(page.locator("#shown-phone")).to_contain_text("13900000001")
    expect(dialog).to_be_hidden()
    open_page.expect_said("422")


def test_a_deleted_record_comes_back_from_the_toast(open_page):
    page = open_page("wally", "/w/ward/r/chore/2")
    page.locator(".acts-top .menu summary").click()
    page.get_by_role("button", name="删除").click()
    page.locator(".toast").get_by_role("button", name="撤销").click()
    expect(page.locator(".record-name")).to_have_text("拆线 钱一")


def test_on_a_phone_the_next_step_comes_before_the_profile_and_the_story(open_page):
    page = open_page("wanda", STAY, phone=True)
    tops = [page.locator(name).bounding_box()["y"] for name in (".record-top", "#next", "#profile", ".story")]
    assert tops == sorted(tops)


def test_what_is_pressed_on_a_phone_is_as_large_as_a_finger(open_page):
    page = open_page("wanda", STAY, phone=True)
    assert page.locator("#shown-phone .reveal").bounding_box()["height"] >= 40
    page = open_page("ada2", "/w/worked/rules", phone=True)
    assert page.locator(".rules summary").first.bounding_box()["height"] >= 40


def test_english_readers_read_english(open_page):
    page = open_page("wanda", STAY)
    page.context.add_cookies([{"name": "tangram-locale", "value": "en", "url": page.url}])
    page.reload()
    expect(page.locator("#next h2")).to_have_text("Next")
    expect(page.get_by_role("tab", name="Story")).to_be_visible()


def test_a_line_of_text_is_read_to_its_end(open_page, site):
    page = open_page("wanda", "/w/ward/r/stay/new", phone=True)
    insurer = "城镇职工基本医疗保险，" * 9
    page.get_by_label("姓名").fill("孙九")
    page.get_by_label("有医保").check()
    page.get_by_label("承保机构").fill(insurer)
    page.get_by_role("button", name="保存").click()
    expect(page.locator("#profile")).to_contain_text(insurer)
    service.delete(enter_as(site.home, "ward", "operator"), "stay", int(page.url.rpartition("/")[2]), service.ANY)


def test_a_record_leads_to_what_it_is_called_by(open_page):
    page = open_page("wanda", "/w/ward/r/chore/1")
    expect(page.locator("#profile").get_by_role("link", name="钱一")).to_be_visible()


def test_on_a_phone_the_menu_of_a_record_is_a_sheet_above_all_bars(open_page):
    page = open_page("wanda", STAY, phone=True)
    page.locator(".acts-top .menu summary").click()
    drop = page.locator(".acts-top .menu > .drop").bounding_box()
    assert drop["y"] >= 0 and round(drop["y"] + drop["height"]) == 844
    page.locator(".acts-top .menu").get_by_role("button", name="打印").click(trial=True)
