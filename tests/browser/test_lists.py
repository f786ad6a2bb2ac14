"""Lists in a browser: log in, look, filter, change in place, drag; by mouse, by keyboard, on a phone, in the dark."""

import re

import pytest
from playwright.sync_api import Page, expect

LIST = "/w/clinic/l/my_patients"


def rows(page: Page):
    return page.locator("tr[id^=row-]")


def test_one_click_logs_a_demo_person_in_and_shows_what_awaits_them(open_page, accessible):
    page = open_page("dora", "/w/clinic/")
    expect(page.locator("h2.page-title")).to_contain_text("多拉")
    expect(page.locator(".metric").first).to_contain_text("60")
    accessible(page)


def test_a_wrong_password_keeps_the_login_and_says_why(open_page):
    page = open_page("", "/login")
    page.get_by_label("登录名").fill("dora")
    page.get_by_label("密码").fill("not the password")
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("登录名或密码不正确")
    expect(page.get_by_label("登录名")).to_have_value("dora")
    open_page.expect_said("422")


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (False, True), (True, False), (True, True)])
def test_every_kind_of_page_is_accessible_and_fits(open_page, accessible, phone, dark):
    page = open_page("anna", "/w/clinic/l/patients", phone=phone, dark=dark)
    for path in (
        "/w/clinic/l/patients",
        "/w/clinic/l/board",
        "/w/clinic/l/days",
        "/w/clinic/search?q=王",
        "/w/clinic/people",
        "/w/clinic/people/rights",
        "/_kitchen",
        "/account",
    ):
        page.goto(path)
        accessible(page)


def test_scrolling_brings_the_next_page_and_the_tabs_their_counts(open_page):
    page = open_page("dora", LIST)
    expect(rows(page)).to_have_count(50)
    expect(page.locator("#tab-my_patients")).to_have_text("60")
    page.locator("#more").scroll_into_view_if_needed()
    expect(rows(page)).to_have_count(60)
    expect(page.locator("#more")).to_have_count(0)


def test_a_filter_narrows_keeps_the_address_and_survives_back_and_reload(open_page):
    page = open_page("dora", LIST)
    page.locator("#quick-grade summary").click()
    page.locator("#quick-grade label", has_text="A 急").click()
    expect(page.locator(".tag.mark.amber")).to_have_count(0)
    expect(page.locator("#chosen-grade")).to_have_text("A 急")
    expect(page).to_have_url(re.compile("grade=a"))
    page.reload()
    expect(page.locator(".tag.mark.blue")).to_have_count(0)
    page.locator("#q").fill("没有这个人")
    expect(page.locator(".empty")).to_contain_text("没有符合条件的记录")
    page.locator(".empty .btn").click()
    expect(rows(page)).to_have_count(50)
    page.go_back()
    expect(page.locator("#chosen-grade")).to_have_text("A 急")


def test_a_link_pressed_while_the_search_box_has_the_focus_is_followed_however_long_it_is_held(open_page):
    page = open_page("dora", LIST)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#q").fill("没有这个人")
    clear = page.locator(".empty .btn")
    clear.hover()
    before = len(asked)
    page.mouse.down()
    expect(page.locator("#q")).not_to_be_focused()
    page.wait_for_timeout(400)
    assert asked[before:] == []
    page.mouse.up()
    expect(rows(page)).to_have_count(50)


def test_search_finds_by_characters_and_by_last_four_digits(open_page):
    page = open_page("dora", LIST)
    page.locator("#q").fill("0033")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("13800000033")


def test_conditions_are_built_row_by_row_and_shown_in_words(open_page, accessible):
    page = open_page("dora", LIST)
    page.get_by_role("button", name="筛选", exact=True).click()
    dialog = page.locator("#dialog")
    dialog.locator("#c0-field").select_option("fee")
    expect(dialog.locator("#c0-operator option[value=at_least]")).to_be_attached()
    with page.expect_response("**/filter*"):
        dialog.locator("#c0-operator").select_option("at_least")
    dialog.locator("input[name='c0.value']").fill("6000")
    dialog.get_by_role("button", name="添加条件").click()
    dialog.locator("#c1-field").select_option("grade")
    expect(dialog.locator("#c1-operator option[value=in]")).to_be_attached()
    dialog.locator("#c1-operator").select_option("in")
    dialog.get_by_label("C 复查").check()
    expect(dialog.locator("input[name='c0.value']").first).to_have_value("6000")
    accessible(page)
    dialog.get_by_role("button", name="应用").click()
    expect(page.locator(".applied")).to_contain_text("费用 不小于")
    expect(page.locator(".applied")).to_contain_text("C 复查")
    assert 0 < rows(page).count() < 10


def test_a_view_is_saved_as_a_tab_of_its_own(open_page):
    page = open_page("dora", LIST + "?grade=b")
    page.locator("#list-menu summary").click()
    page.get_by_role("button", name="存为视图").click()
    page.get_by_label("名称").fill("常规病人")
    page.locator("#dialog").get_by_role("button", name="保存").click()
    expect(page.locator(".tabs [aria-current]")).to_contain_text("常规病人")
    expect(page.locator(".tag.mark.red")).to_have_count(0)
    other = open_page("denis", LIST)
    expect(other.locator(".tabs")).not_to_contain_text("常规病人")


def test_a_cell_changes_in_place_and_escape_leaves_it(open_page):
    page = open_page("dora", LIST)
    cell = rows(page).nth(1).locator(".cell-edit").first
    cell.click()
    editing = page.locator("td.editing select")
    expect(editing).to_be_visible()
    editing.focus()
    page.keyboard.press("Escape")
    expect(page.locator("td.editing")).to_have_count(0)
    rows(page).nth(1).locator(".cell-edit").first.click()
    page.locator("td.editing select").select_option("b")
    expect(page.locator(".toast")).to_have_text("已保存")
    expect(rows(page).nth(1).locator(".tag.mark")).to_have_text("B")


def test_a_stale_change_is_refused_and_shows_the_fresh_row(open_page):
    first, second = open_page("dora", LIST), open_page("dora", LIST)
    for page in (first, second):
        rows(page).nth(2).locator(".cell-edit").first.click()
        page.locator("td.editing select").wait_for()
    present = first.locator("td.editing select").input_value()
    one, other = (grade for grade in "abc" if grade != present)
    first.locator("td.editing select").select_option(one)
    expect(first.locator(".toast")).to_have_text("已保存")
    second.locator("td.editing select").select_option(other)
    expect(second.locator(".toast.error")).to_be_visible()
    expect(rows(second).nth(2).locator(".tag.mark")).to_have_text(one.upper())
    open_page.expect_said("409")


def test_a_wrong_value_stays_in_the_cell_with_its_reason(open_page):
    page = open_page("dora", LIST)
    rows(page).nth(3).locator(".cell-edit").nth(1).click()
    page.locator("td.editing input[type=text]").fill("很多")
    page.keyboard.press("Enter")
    expect(page.locator("td.editing .error")).to_be_visible()
    expect(page.locator("td.editing input[type=text]")).to_have_value("很多")
    open_page.expect_said("422")


def _drag(page: Page, card, lane) -> None:
    box = card.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 30)
    page.mouse.down()
    target = lane.bounding_box()
    page.mouse.move(target["x"] + 40, target["y"] + 60, steps=12)
    target = lane.bounding_box()
    page.mouse.move(target["x"] + 60, target["y"] + 80, steps=4)
    page.mouse.up()


def test_a_card_dragged_to_the_next_stage_moves_and_is_counted(open_page):
    page = open_page("dora", "/w/clinic/l/board")
    lane = page.locator("ul[data-value=seen]")
    before = lane.locator(".kcard").count()
    card = page.locator("ul[data-value=new] .kcard").nth(1)
    number = card.get_attribute("data-id")
    _drag(page, card, lane)
    expect(lane.locator(f"#card-{number}")).to_be_visible()
    expect(page.locator("#lane-count-seen")).to_have_text(str(before + 1))
    page.reload()
    expect(lane.locator(f"#card-{number}")).to_be_visible()


def test_a_move_the_stages_refuse_goes_back_with_a_reason(open_page):
    page = open_page("dora", "/w/clinic/l/board")
    card = page.locator("ul[data-value=new] .kcard").nth(2)
    number = card.get_attribute("data-id")
    _drag(page, card, page.locator("ul[data-value=healed]"))
    expect(page.locator(".toast.error")).to_be_visible()
    expect(page.locator(f"ul[data-value=new] #card-{number}")).to_be_visible()
    open_page.expect_said("422")


def test_on_a_phone_a_card_moves_by_a_sheet_that_is_whole_in_the_window(open_page):
    page = open_page("dora", "/w/clinic/l/board", phone=True)
    number = page.locator("ul[data-value=new] .kcard").nth(4).get_attribute("data-id")
    card = page.locator(f"#card-{number}")
    card.scroll_into_view_if_needed()
    card.locator("summary").tap()
    expect(card.locator("details[open]")).to_have_count(1)
    sheet = card.locator(".drop").bounding_box()
    assert sheet["x"] == 0 and sheet["width"] == page.viewport_size["width"] and round(sheet["y"] + sheet["height"]) <= page.viewport_size["height"]
    card.locator("[data-move-to=seen]").tap()
    expect(page.locator(f"ul[data-value=seen] #card-{number}")).to_be_attached()


def test_a_card_moves_by_keyboard_alone(open_page):
    page = open_page("dora", "/w/clinic/l/board")
    card = page.locator("ul[data-value=new] .kcard").nth(3)
    number = card.get_attribute("data-id")
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"ul[data-value=seen] #card-{number}")).to_be_visible()


def test_the_calendar_shows_appointments_and_turns_to_weeks(open_page):
    page = open_page("dora", "/w/clinic/l/days")
    expect(page.locator(".event", has_text="检查 0")).to_be_visible()
    page.get_by_role("link", name="周", exact=True).click()
    expect(page.locator(".day")).to_have_count(7)
    expect(page.locator(".event").first).to_be_visible()


def test_chosen_rows_are_changed_together(open_page):
    page = open_page("carl", "/w/clinic/l/patients")
    for index in (0, 1, 2):
        rows(page).nth(index).locator("input[name=ids]").check()
    expect(page.locator("#bulk-count")).to_have_text("3")
    page.get_by_role("button", name="分派").click()
    page.locator("#dialog select[name=value], #dialog [role=combobox]").wait_for()
    if page.locator("#dialog [role=combobox]").count():
        page.locator("#dialog [role=combobox]").fill("丹尼")
        page.locator("#dialog [role=option]", has_text="丹尼").click()
    else:
        page.locator("#dialog select[name=value]").select_option(label="丹尼")
    page.locator("#dialog").get_by_role("button", name="修改").click()
    expect(page.locator(".toast")).to_contain_text("已完成 3 条")
    for index in (0, 1, 2):
        expect(rows(page).nth(index)).to_contain_text("丹尼")


def test_columns_are_chosen_per_address(open_page):
    page = open_page("carl", "/w/clinic/l/patients")
    page.get_by_role("button", name="选择列").click()
    page.locator("#dialog").get_by_label("备注").check()
    page.locator("#dialog").get_by_role("button", name="应用").click()
    expect(page.locator("th", has_text="备注")).to_be_visible()


def test_the_chief_sees_masked_numbers_and_the_row_menu_knows_the_rights(open_page):
    page = open_page("carl", "/w/clinic/l/patients")
    expect(rows(page).first).to_contain_text("138****")
    rows(page).first.hover()
    rows(page).first.get_by_role("button", name="更多").click()
    expect(page.locator("#dialog").get_by_role("link", name="编辑")).to_be_visible()


def test_arrow_keys_walk_the_rows_and_slash_goes_to_search(open_page):
    page = open_page("dora", LIST)
    rows(page).first.locator("td.title a").focus()
    page.keyboard.press("ArrowDown")
    expect(rows(page).nth(1).locator("td.title a")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search-all")).to_be_focused()


def test_the_language_changes_everything_and_stays(open_page):
    page = open_page("denis", "/w/clinic/l/board")
    page.locator("#person-menu summary").click()
    page.get_by_role("button", name="English").click()
    expect(page.locator(".nav")).to_contain_text("My patients")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.locator("#person-menu summary").click()
    page.get_by_role("button", name="中文").click()
    expect(page.locator(".nav")).to_contain_text("我的病人")


def test_the_theme_is_kept_by_the_device_and_set_before_painting(open_page):
    page = open_page("dora", LIST)
    page.locator("#person-menu summary").click()
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_on_a_phone_rows_are_cards_and_the_tab_bar_leads_everywhere(open_page):
    page = open_page("dora", LIST, phone=True)
    expect(page.locator("thead")).to_be_hidden()
    first = rows(page).first
    for slot in ("lead", "title", "state", "sub", "due"):
        expect(first.locator(f"td[data-slot={slot}]")).to_be_visible()
    page.locator(".tabbar [data-drawer]").click()
    expect(page.locator(".side")).to_be_visible()
    page.locator(".side a", has_text="预约").click()
    expect(page).to_have_url(re.compile("/l/days"))


def test_an_added_person_gets_a_link_that_sets_the_password_once(open_page):
    page = open_page("anna", "/w/clinic/people")
    page.get_by_role("button", name="添加人员").click()
    page.locator("#add-name").fill("艾米")
    page.locator("#add-login").fill("emi")
    page.locator("#add-role-doctor").check()
    page.locator("#add-person").get_by_role("button", name="添加", exact=True).click()
    link = page.locator("#one-time-link").input_value()
    fresh = open_page("", link)
    fresh.get_by_label("密码").fill("bamboo grove, bright moon 37")
    fresh.get_by_label("再输一次").fill("bamboo grove, bright moon 37")
    fresh.get_by_role("button", name="设置密码并登录").click()
    expect(fresh.locator(".nav")).to_contain_text("我的病人")


def test_the_global_search_is_not_narrowed_by_a_list_looked_at_before(open_page):
    page = open_page("dora", LIST)
    page.goto(page.url.split("/w/clinic")[0] + "/w/clinic/l/board")
    page.goto(page.url.split("/w/clinic")[0] + "/w/clinic/search?q=0033")
    expect(page.locator("main")).to_contain_text("13800000033")


def test_on_a_phone_the_titles_of_cards_stand_in_line_whatever_leads_them(open_page):
    page = open_page("dora", LIST, phone=True)
    page.locator("td[data-slot=lead]").nth(1).evaluate("cell => { cell.textContent = '二十四小时' }")
    page.locator("td[data-slot=lead]").nth(2).evaluate("cell => { cell.textContent = '' }")
    lefts = page.evaluate("[...document.querySelectorAll('td[data-slot=title]')].map(cell => Math.round(cell.getBoundingClientRect().left))")
    assert len(lefts) == 50 and len(set(lefts)) == 1


def test_what_is_pressed_most_on_a_phone_is_high_enough_for_a_thumb(open_page):
    page = open_page("dora", LIST, phone=True)
    for path in (LIST, "/w/clinic/l/board", "/w/clinic/l/days"):
        page.goto(path)
        low = page.evaluate(
            "[...document.querySelectorAll('.tabs > a, .segments > a, .filters .btn, .tabbar > *, .cell-edit')]"
            ".map(one => [one.textContent.trim(), one.getBoundingClientRect().height]).filter(([_text, height]) => height && height < 40)"
        )
        assert low == [], path


def test_an_empty_board_and_an_empty_month_offer_to_begin(open_page):
    page = open_page("denis", "/w/clinic/l/board?owner=3", phone=True)
    expect(page.locator(".empty")).to_contain_text("没有符合条件的记录")
    page.goto("/w/clinic/l/days?cursor=2031-01-01")
    expect(page.locator(".empty")).to_contain_text("这段时间没有记录")
    expect(page.locator(".empty").get_by_role("link", name="预约")).to_be_visible()


def test_nobody_is_offered_to_edit_what_they_may_only_read(open_page):
    page = open_page("dora", LIST)
    page.goto("/w/clinic/l/board/row/1")
    expect(page.get_by_role("link", name="打开")).to_be_visible()
    expect(page.get_by_role("link", name="编辑")).to_have_count(0)
    page.goto("/w/clinic/l/board/row/2")
    expect(page.get_by_role("link", name="编辑")).to_be_visible()


def test_on_a_phone_a_calendar_opens_at_today_and_names_weekdays(open_page):
    page = open_page("dora", "/w/clinic/l/days", phone=True)
    today = page.locator(".day.today")
    expect(today).to_be_in_viewport()
    expect(today.locator(".date")).to_contain_text("周")
