"""Forms in a browser: conditions, lines, faults as fields are left, files, two people at once."""

import pytest
from playwright.sync_api import Page, expect

NEW, EDIT = "/w/ward/r/stay/new", "/w/ward/r/stay/2/edit"


def save(page: Page) -> None:
    page.get_by_role("button", name="保存", exact=True).click()


@pytest.mark.parametrize(("phone", "dark"), [(False, True), (True, False)])
def test_a_form_is_accessible_and_fits(open_page, accessible, phone, dark):
    page = open_page("wanda", NEW, phone=phone, dark=dark)
    accessible(page)
    expect(page.get_by_role("tab", name="安排")).to_be_visible(visible=not phone)
    expect(page.get_by_label("楼区")).to_be_visible(visible=phone)
    tall, above = page.locator(".savebar").bounding_box()["height"], "parseFloat(getComputedStyle(document.querySelector('#toasts')).bottom)"
    assert page.evaluate(above) > tall, "what is told would lie over the button that saves where the bar stands at the end of the window"


@pytest.mark.parametrize("dark", [False, True])
def test_what_went_wrong_is_told_in_colours_that_can_be_read(open_page, accessible, dark):
    page = open_page("wanda", NEW, dark=dark)
    page.evaluate("document.body.dispatchEvent(new CustomEvent('toast', { detail: { text: '程序出错，未能完成', kind: 'error' }, bubbles: true }))")
    expect(page.locator(".toast.error")).to_be_visible()
    accessible(page)


def test_conditions_are_decided_by_the_server_while_typing_goes_on(open_page):
    page = open_page("wanda", NEW)
    page.get_by_label("姓名", exact=True).fill("周五")
    expect(page.get_by_label("承保机构")).to_have_count(0)
    page.get_by_label("有医保").check()
    expect(page.locator("#f-insurer-label.required")).to_be_visible()
    expect(page.get_by_label("姓名", exact=True)).to_have_value("周五")
    page.get_by_role("tab", name="安排").click()
    page.get_by_role("radio", name="西区").check()
    expect(page.get_by_role("radio", name="西二")).to_be_visible()
    expect(page.get_by_role("radio", name="东一")).to_have_count(0)
    expect(page.get_by_role("tab", name="安排")).to_have_attribute("aria-selected", "true")


def test_a_field_tells_its_fault_when_it_is_left_and_saves_nothing(open_page):
    page = open_page("wanda", NEW)
    page.get_by_label("姓名", exact=True).fill("x")
    page.get_by_label("姓名", exact=True).fill("")
    page.get_by_label("姓名", exact=True).blur()
    expect(page.locator("#f-name-error")).to_be_visible()
    page.get_by_role("tab", name="安排").click()
    page.get_by_label("押金").fill("很多")
    page.get_by_label("押金").blur()
    expect(page.locator("#f-deposit-error")).to_be_visible()
    expect(page.get_by_label("押金")).to_have_value("很多")
    page.get_by_label("押金").fill("3000")
    page.get_by_label("押金").blur()
    expect(page.locator("#f-deposit-error")).to_have_count(0)


def test_a_refused_save_keeps_everything_and_puts_the_cursor_on_the_first_fault(open_page):
    page = open_page("wanda", NEW)
    page.get_by_label("姓名", exact=True).fill("吴六")
    page.get_by_role("tab", name="安排").click()
    page.get_by_label("入院").fill("2026-05-02")
    page.get_by_label("出院日").fill("2026-05-01")
    page.get_by_role("tab", name="病人").click()
    save(page)
    expect(page.locator("#f-to_day-error")).to_have_text("出院早于入院")
    expect(page.get_by_label("出院日")).to_be_focused()
    expect(page.get_by_role("tab", name="安排")).to_contain_text("请检查")
    expect(page.get_by_label("姓名", exact=True)).to_have_value("吴六")
    open_page.expect_said("422")


def test_a_check_that_answers_after_a_refused_save_wipes_out_nothing(open_page):
    page, held = open_page("rosa", "/w/counter/r/guest/new"), []
    page.route("**/r/guest/check*", lambda route: held.append(route))
    page.get_by_role("radio", name="二级").check()
    page.get_by_label("姓名").fill("无名")
    save(page)
    expect(page.locator("#f-name-error")).to_have_text("请问清姓名")
    assert held, "leaving the field asks for a check"
    with page.expect_response("**/r/guest/check*"):
        for route in held:
            route.continue_()
    page.wait_for_timeout(200)
    expect(page.locator("#f-name-error")).to_be_visible()
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")
    open_page.expect_said("422")


def test_child_lines_come_and_go_with_their_record(open_page):
    page = open_page("wanda", EDIT)
    page.get_by_role("button", name="添加家属").click()
    page.get_by_role("button", name="添加家属").click()
    page.get_by_label("家属姓名 1").fill("孙父")
    page.get_by_label("家属姓名 2").fill("孙母")
    page.get_by_role("button", name="删除第 1 行").click()
    expect(page.get_by_label("家属姓名 1")).to_have_value("孙母")
    page.get_by_label("手机 1").fill("123")
    save(page)
    expect(page.locator(".lines .error")).to_be_visible()
    page.get_by_label("手机 1").fill("13900000077")
    save(page)
    page.get_by_role("tab", name="家属").click()
    expect(page.locator("[id^=panel-kin]")).to_contain_text("孙母")
    expect(page.locator("[id^=panel-kin]")).not_to_contain_text("孙父")
    open_page.expect_said("422")


def test_of_a_stored_line_only_what_may_change_is_typed(open_page):
    page = open_page("wanda", "/w/ward/r/stay/1/edit")
    expect(page.locator("#f-review_at")).to_have_attribute("type", "datetime-local")  # it stands at a time of day, which a control of days would lose
    line = page.locator("#line-kin-0")
    expect(line.get_by_label("家属姓名")).to_be_editable()
    for name in ("关系", "来电"):
        expect(line.get_by_label(name)).not_to_be_editable()
    expect(line.get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="添加家属").click()
    fresh = page.locator("#line-kin-1")
    expect(fresh.get_by_label("关系")).to_be_editable()
    expect(fresh.get_by_role("button")).to_have_count(1)


def test_files_are_stored_when_chosen_and_kept_by_the_save(open_page, tmp_path):
    paper = tmp_path / "同意书.txt"
    paper.write_text("同意", encoding="utf-8")
    page = open_page("wanda", EDIT)
    page.get_by_role("tab", name="安排").click()
    page.locator("#f-papers").set_input_files(paper)
    expect(page.locator("#f-papers-files .chip")).to_contain_text("同意书.txt")
    save(page)
    expect(page.locator("#files")).to_contain_text("同意书.txt")
    with page.expect_download() as got:
        page.locator("#files a").click()
    assert got.value.path().read_text(encoding="utf-8") == "同意"


def test_two_people_see_both_values_and_choose(open_page, accessible):
    first, second = open_page("wanda", EDIT), open_page("willi", EDIT)
    first.get_by_label("姓名", exact=True).fill("孙甲")
    save(first)
    expect(first.locator(".record-name")).to_have_text("孙甲")
    second.get_by_label("姓名", exact=True).fill("孙乙")
    second.get_by_role("radio", name="A 特级").check()
    save(second)
    row = second.locator(".compare tbody tr")
    expect(row).to_contain_text(["孙乙"])
    expect(row.filter(has_text="姓名")).to_contain_text("孙甲")
    accessible(second)
    row.filter(has_text="姓名").get_by_role("radio").nth(1).check()
    save(second)
    expect(second.locator(".record-name")).to_have_text("孙甲")
    expect(second.locator(".record-head")).to_contain_text("A")
    open_page.expect_said("409")


def test_leaving_with_unsaved_input_asks_first(open_page):
    page = open_page("wanda", NEW)
    page.get_by_label("姓名", exact=True).fill("没保存")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("link", name="取消").click()
    expect(page.get_by_label("姓名", exact=True)).to_have_value("没保存")
    assert asked == ["beforeunload"]


def test_a_form_sent_twice_makes_one_record(open_page):
    page = open_page("wanda", "/w/ward/r/chore/new?stay=1")
    page.get_by_label("内容").fill("量血压")
    page.get_by_label("截止").fill("2026-12-01T09:30")
    form = page.evaluate("Object.fromEntries(new FormData(document.querySelector('#record-form')))")
    token = page.locator("meta[name=csrf]").get_attribute("content")
    headers = {"X-CSRF-Token": token, "Origin": page.url.split("/w/")[0]}
    places = [page.request.post("/w/ward/r/chore/new", form=form, headers=headers, max_redirects=0).headers["location"] for _ in range(2)]
    assert places[0] == places[1]
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")


def test_a_picker_offers_what_the_fields_limit_allows(open_page):
    page = open_page("wanda", "/w/ward/r/round/new?stay=3&use=quick")
    page.get_by_role("combobox", name="接续").click()
    options = page.locator("#f-after-options [role=option]")
    expect(page.locator("#f-after-options")).to_contain_text("没有找到")
    page.get_by_role("combobox", name="住院").fill("钱")
    page.locator("#f-stay-options [role=option]", has_text="钱一").click()
    expect(page.locator("#f-after-pick [hx-get*='record.stay=1']")).to_have_count(1)
    page.get_by_role("combobox", name="接续").fill("")
    page.get_by_role("combobox", name="接续").press("ArrowDown")
    page.get_by_role("combobox", name="接续").type(" ")
    expect(options).to_have_count(12)
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")


@pytest.mark.parametrize("phone", [False, True])
def test_words_typed_into_a_picker_and_not_chosen_are_asked_for_and_kept(open_page, phone):
    page = open_page("wanda", "/w/ward/r/round/new?stay=3&use=quick", phone=phone)
    page.get_by_role("combobox", name="住院").fill("0051")
    save(page)
    expect(page.locator("#f-stay-error")).to_contain_text("请从列表里选一条")
    expect(page.get_by_role("combobox", name="住院")).to_have_value("0051")
    page.get_by_role("combobox", name="住院").fill("钱")
    page.locator("#f-stay-options [role=option]", has_text="钱一").click()
    expect(page.get_by_role("combobox", name="住院")).to_have_value("钱一")
    expect(page.locator("#f-stay-pick input[type=hidden]")).to_have_value("1")
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")
    open_page.expect_said("422")


def test_what_is_chosen_in_an_empty_picker_decides_what_other_fields_offer(open_page):
    page = open_page("wanda", "/w/ward/r/round/new?use=quick")
    page.get_by_role("combobox", name="住院").fill("钱")
    page.locator("#f-stay-options [role=option]", has_text="钱一").click()
    expect(page.locator("#f-after-pick [hx-get*='record.stay=1']")).to_have_count(1)
    expect(page.get_by_role("combobox", name="住院")).to_have_value("钱一")
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")


def test_the_options_of_a_picker_open_below_what_is_said_of_it(open_page):
    page = open_page("wanda", "/w/ward/r/round/new?use=quick")
    save(page)
    said = page.locator("#f-stay-error")
    expect(said).to_be_visible()
    page.get_by_role("combobox", name="住院").fill("钱")
    options = page.locator("#f-stay-options")
    expect(options.get_by_role("option")).not_to_have_count(0)
    assert said.bounding_box()["y"] + said.bounding_box()["height"] <= options.bounding_box()["y"]
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")
    open_page.expect_said("422")


def test_what_is_read_only_stays_so(open_page):
    page = open_page("wanda", EDIT)
    page.get_by_role("radio", name="出院").check()
    page.get_by_role("tab", name="安排").click()
    expect(page.get_by_label("押金")).not_to_be_editable()
    page.evaluate("delete document.querySelector('#record-form').dataset.dirty")


def test_a_phone_begins_with_its_short_form_and_changes_a_record_with_all_fields(open_page):
    page = open_page("wanda", "/w/ward/", phone=True)
    page.set_extra_http_headers({"User-Agent": "Mobile"})
    page.goto(NEW)
    expect(page.get_by_label("姓名", exact=True)).to_be_visible()
    expect(page.get_by_label("备注")).to_have_count(0)
    expect(page.get_by_role("link", name="完整表单")).to_be_visible()
    page.goto(EDIT)
    expect(page.get_by_label("备注")).to_be_visible()


def test_a_hint_stays_beside_the_fault(open_page):
    page = open_page("wanda", NEW)
    hints = page.locator(".field .hint").count()
    save(page)
    expect(page.locator("#f-name-error")).to_be_visible()
    assert page.locator(".field .hint").count() == hints
    open_page.expect_said("422")
