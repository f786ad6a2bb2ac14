"""The inbox and the outbox in a browser: at a desk and on a phone, light and dark, by keyboard, and the bell that counts by itself."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from engine.actors import enter_as
from engine.notices import notify
from engine.rules.effects import Notify
from tests.renderer.mailroom import NAME, UNREAD

HERE = f"/w/{NAME}"


def shot(page: Page, name: str) -> None:
    """Kept where TANGRAM_TEST_SHOTS says, to be looked at."""
    folder = os.environ.get("TANGRAM_TEST_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png")


def tell(site, login_id: int, text: str) -> None:
    with enter_as(site.home, NAME, "operator").writing() as ctx:
        notify(ctx, Notify([login_id], text), rule="", run=None)


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_inbox_reads_well_everywhere(open_page: Callable[..., Page], accessible, phone, dark):
    page = open_page("mona", f"{HERE}/inbox", phone=phone, dark=dark)
    expect(page.locator(".inbox > li.told")).to_have_count(50)
    expect(page.locator("#bell .badge")).to_be_visible()
    accessible(page)
    shot(page, f"inbox-{'phone' if phone else 'desk'}-{'dark' if dark else 'light'}")


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_outbox_and_one_message_read_well_everywhere(open_page: Callable[..., Page], accessible, phone):
    page = open_page("adam", f"{HERE}/outbox", phone=phone, dark=phone)
    expect(page.locator("tr[id^=outgoing]")).to_have_count(5)
    accessible(page)
    shot(page, f"outbox-{'phone' if phone else 'desk'}")
    page.goto(f"{HERE}/outbox?state=dead")
    accessible(page)
    shot(page, f"outbox-dead-{'phone' if phone else 'desk'}")
    page.locator("tr[id^=outgoing] td.title a").first.click()
    expect(page.locator(".notice.red")).to_contain_text("对方答复 503：busy")
    accessible(page)
    shot(page, f"outgoing-{'phone' if phone else 'desk'}")


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_connections_read_well_everywhere(open_page: Callable[..., Page], accessible, phone):
    page = open_page("adam", f"{HERE}/connections", phone=phone)
    accessible(page)
    shot(page, f"connections-{'phone' if phone else 'desk'}")
    page.goto(f"{HERE}/connections/sms")
    accessible(page)
    shot(page, f"connection-{'phone' if phone else 'desk'}")
    page.goto(f"{HERE}/connections/new?kind=email")
    page.locator("button[type=submit].primary").click()
    expect(page.locator("[role=alert]").first).to_be_visible()
    accessible(page)
    shot(page, f"connection-wrong-{'phone' if phone else 'desk'}")
    open_page.expect_said("422")  # type: ignore[attr-defined]


def test_marking_read_counts_the_bell_down_without_a_new_page(open_page: Callable[..., Page], site):
    page = open_page("mona", f"{HERE}/inbox")
    before = int(page.locator("#bell .badge").inner_text())
    assert before >= UNREAD
    first = page.locator(".inbox > li.unread").first
    number = first.get_attribute("id")
    first.locator("button[id^=mark-]").click()
    expect(page.locator(f"#{number}")).not_to_have_class("told unread")
    expect(page.locator("#bell .badge")).to_have_text(str(before - 1))
    page.locator(f"#{number} button[id^=mark-]").click()
    expect(page.locator("#bell .badge")).to_have_text(str(before))


def test_a_message_opens_its_record_by_keyboard_and_is_read_then(open_page: Callable[..., Page], site):
    page = open_page("mona", f"{HERE}/inbox?show=unread")
    said = page.locator(".inbox > li.unread button.say").first
    number = page.locator(".inbox > li.unread:has(button.say)").first.get_attribute("id")
    said.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/r/patient/*")
    page.goto(f"{HERE}/inbox?show=unread")
    expect(page.locator(f"#{number}")).to_have_count(0)


def test_the_bell_counts_up_when_looked_at_again_and_stands_still_while_hidden(open_page: Callable[..., Page], site):
    page = open_page("mona", f"{HERE}/")
    before = int(page.locator("#bell .badge").inner_text())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/inbox/bell" in request.url else None)
    hide = "value => { Object.defineProperty(document, 'hidden', {value, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    page.evaluate("() => htmx.trigger('#bell', 'poll')")
    page.wait_for_timeout(300)
    assert asked == []
    tell(site, 1, "新的一条")
    page.evaluate(hide, False)
    expect(page.locator("#bell .badge")).to_have_text(str(before + 1))
    assert len(asked) == 1


def test_older_messages_come_at_the_end_on_request(open_page: Callable[..., Page]):
    page = open_page("mona", f"{HERE}/inbox")
    page.locator("#more-notices button").click()
    expect(page.locator("#more-notices")).to_have_count(0)
    assert page.locator(".inbox > li.told").count() > 50
