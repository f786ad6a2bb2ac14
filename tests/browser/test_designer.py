"""The designer by mouse, by touch and by keyboard; two administrators at once; from a drag to a changed table and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from engine.actors import enter_as
from engine.drafts import drop
from engine.records.query import Query
from engine.records.query import page as records

FORM, LIST = "/w/ward/design/form/stay_full", "/w/ward/design/list/stays"


@pytest.fixture(autouse=True)
def fresh_drafts(site):
    """Each test begins without drafts."""
    ctx = enter_as(site.home, "ward", "operator")
    for kind, key in (("form", "stay_full"), ("list", "stays"), ("entity", "stay")):
        drop(ctx, kind, key)


#: How the children of what is dragged onto stand, and whether what is dragged stands beside it.
STANDING = """onto => {
  const ghost = onto.parentElement.querySelector(':scope > .drag-ghost');
  return [[...onto.parentElement.children].map(item => item.id).join(), !!ghost && [ghost.previousElementSibling, ghost.nextElementSibling].includes(onto)];
}"""


def drag(page: Page, item: Locator, onto: Locator) -> None:
    """By a real mouse, as people do it: it is let go when the canvas has made room beside the target, which is looked at again while it does."""
    item.scroll_into_view_if_needed()
    start, before = item.bounding_box(), onto.evaluate(STANDING)[0]
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    for _try in range(20):
        box = onto.bounding_box()
        x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
        page.mouse.move(x, y, steps=6)
        known = None
        for part in range(20):  # what is being moved aside takes nothing until it stands
            page.wait_for_timeout(80)
            page.mouse.move(x + part % 2, y)
            if known == (known := onto.evaluate(STANDING)):
                break
        if known[1] and known[0] != before:
            break
    page.mouse.up()


def keys(page: Page, section: str) -> list[str]:
    return page.locator(f"#zone-{section} > [data-item]").evaluate_all("found => found.map(item => item.dataset.item)")


def settled(page: Page, number: int) -> None:
    """The draft stands at this number, as the page shows it."""
    expect(page.locator(f"#designer[data-number='{number}']")).to_be_attached()


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)])
def test_the_designer_is_accessible_and_fits(open_page, accessible, phone, dark):
    page = open_page("wally", FORM + "?select=field:level", phone=phone, dark=dark)
    for path in (FORM + "?select=field:level", LIST, "/w/ward/design", "/w/ward/publish"):
        page.goto(path)
        accessible(page)


def test_a_type_is_dragged_onto_the_form_and_given_its_properties(open_page):
    page = open_page("wally", FORM)
    drag(page, page.locator("#tile-type-integer"), page.locator("#item-level"))
    settled(page, 1)
    fresh = page.locator("#zone-basics .design-field.selected")
    expect(fresh).to_contain_text("新")
    page.locator("#p-title").fill("床位号")
    expect(fresh).to_have_attribute("aria-label", "床位号")
    page.locator("#p-required").select_option("always")
    expect(fresh.locator(".label.required")).to_be_visible()
    expect(page.locator("#p-title")).to_have_value("床位号")


def test_fields_move_by_mouse_within_and_across_sections(open_page):
    page = open_page("wally", FORM)
    drag(page, page.locator("#item-name"), page.locator("#item-level"))
    settled(page, 1)
    assert keys(page, "basics").index("name") > 0
    drag(page, page.locator("#item-name"), page.locator("#item-room"))
    settled(page, 2)
    assert "name" in keys(page, "place") and "name" not in keys(page, "basics")


def test_a_long_press_drags_on_a_phone(open_page):
    page = open_page("wally", FORM, phone=True)
    item, onto = page.locator("#item-name"), page.locator("#item-level")
    item.scroll_into_view_if_needed()
    start, end = item.bounding_box(), onto.bounding_box()
    touch = page.context.new_cdp_session(page)
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_timeout(300)
    for part in range(1, 9):
        at = y + (end["y"] + end["height"] * 0.7 - y) * part / 8
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": at}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settled(page, 1)
    assert keys(page, "basics")[0] != "name"


def test_everything_goes_by_keyboard_and_comes_back(open_page):
    page = open_page("wally", FORM)
    first = keys(page, "basics")
    page.locator("#item-phone").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#item-phone")).to_have_attribute("aria-current", "true")
    page.keyboard.press("Alt+ArrowUp")
    settled(page, 1)
    assert keys(page, "basics")[:2] == ["phone", "name"]
    expect(page.locator("#item-phone")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Alt+ArrowDown")
    settled(page, 3)
    page.keyboard.press("Delete")
    settled(page, 4)
    assert "phone" not in keys(page, "basics")
    expect(page.locator("#tile-field-phone")).to_be_visible()
    expect(page.locator("#design-told")).to_have_text("已移除")
    for number in range(5, 9):
        page.keyboard.press("Control+z")
        settled(page, number)
    assert keys(page, "basics") == first
    page.keyboard.press("Control+Shift+Z")
    settled(page, 9)
    assert keys(page, "basics")[0] == "phone"


def test_the_palette_is_searched_and_offers_what_is_not_placed(open_page):
    page = open_page("wally", LIST)
    page.locator("[data-palette-search]").fill("押金")
    expect(page.locator(".palette .tile:visible")).to_have_count(1)
    page.locator("#tile-field-deposit").click()
    settled(page, 1)
    assert keys(page, "columns")[-1] == "deposit"
    expect(page.locator("#item-deposit")).to_have_attribute("aria-current", "true")


def test_columns_of_a_list_move_and_show_samples(open_page, site):
    newest = records(enter_as(site.home, "ward", "operator"), Query("stay", sort=("-id",), limit=3)).items
    page = open_page("wally", LIST)
    for record in newest:
        expect(page.locator("#item-name")).to_contain_text(record["name"])
    drag(page, page.locator("#item-state"), page.locator("#item-phone"))
    settled(page, 1)
    assert keys(page, "columns").index("state") < 3


def test_a_wrong_condition_is_told_beside_its_control(open_page):
    page = open_page("wally", FORM + "?select=field:note")
    page.locator("#p-required").select_option("when")
    page.locator("#p-required-when").fill("levl == 'a'")
    expect(page.locator("#p-required-error")).to_contain_text("levl")
    expect(page.locator("#p-required-when")).to_have_attribute("aria-invalid", "true")
    page.locator("#p-required-when").fill("level == 'a'")
    expect(page.locator("#p-required-error")).to_have_count(0)


def test_a_stale_second_session_is_told_and_sees_the_draft_as_it_stands(open_page):
    first, second = open_page("wally", FORM), open_page("wally", FORM)
    first.locator("#item-phone").press("Alt+ArrowUp")
    settled(first, 1)
    second.locator("#item-note").press("Delete")
    expect(second.locator(".toast.error")).to_be_visible()
    settled(second, 1)
    assert keys(second, "basics")[0] == "phone" and "note" in keys(second, "rest")
    open_page.expect_said("409")


def publish(page: Page) -> None:
    page.goto("/w/ward/publish")
    page.locator("#publish").click()
    expect(page.locator(".toast")).to_contain_text("已生效")


def test_from_a_drag_to_a_changed_table_and_back(open_page):
    """A dropped field is published, filled, taken back with its version, published again, and shows its value."""
    other = open_page("wanda", "/w/ward/r/stay/3/edit")
    page = open_page("wally", FORM)
    page.locator("#item-name").click()
    expect(page.locator("#item-name.selected")).to_be_attached()
    page.locator("#tile-type-text").click()
    settled(page, 1)
    page.locator("#p-title").fill("过敏史")
    expect(page.locator("#zone-basics .selected")).to_have_attribute("aria-label", "过敏史")
    page.goto("/w/ward/publish")
    expect(page.locator("main")).to_contain_text("过敏史")
    publish(page)
    version = int(page.locator("li:has(.tag.green) .num").first.text_content())
    other.reload()
    other.get_by_label("过敏史").fill("青霉素")
    other.get_by_role("button", name="保存", exact=True).click()
    expect(other.locator("#profile")).to_contain_text("青霉素")
    bring_back(page, version - 1)
    other.reload()
    expect(other.locator("#profile")).not_to_contain_text("青霉素")
    bring_back(page, version)
    other.reload()
    expect(other.locator("#profile")).to_contain_text("青霉素")
    bring_back(page, version - 1)


def bring_back(page: Page, version: int) -> None:
    """Publish an earlier version again, once asked whether that is meant; a reader may lag by a second."""
    page.goto("/w/ward/publish")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator(f"button[name=version][value='{version}']").click()
    expect(page.locator(".toast")).to_contain_text("已生效")
    page.wait_for_timeout(1100)


def test_a_column_is_dragged_published_and_seen(open_page):
    page = open_page("wally", LIST)
    drag(page, page.locator("#tile-field-deposit"), page.locator("#item-level"))
    settled(page, 1)
    publish(page)
    page.wait_for_timeout(1100)
    page.goto("/w/ward/l/stays")
    expect(page.locator("thead")).to_contain_text("押金")
