"""Real pages in a real browser: a served clinic, pages that are somebody's, and the proof that nothing was said on the console."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from engine.home import Home
from renderer.app import create_app
from tests.prepare import HINT, find_browser
from tests.renderer.clinic import make_clinic, open_home
from tests.renderer.counter import make_counter
from tests.renderer.mailroom import make_mailroom
from tests.renderer.station import make_station, work_station
from tests.renderer.ward import make_ward

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@dataclass(frozen=True, slots=True)
class Served:
    """A running server and the installation behind it."""

    url: str
    home: Home


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The clinic, served by uvicorn on a free port."""
    home = open_home(tmp_path_factory.mktemp("browser"))
    make_clinic(home)
    make_ward(home)
    make_station(home)
    make_station(home, "tried", "3")  # whose guests no changed setting releases
    make_mailroom(home)
    make_counter(home)
    work_station(home)
    server = uvicorn.Server(uvicorn.Config(create_app(home), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}", home)
    server.should_exit = True
    thread.join(timeout=10)
    home.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the session."""
    path = find_browser()
    assert path is not None, HINT
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@dataclass(slots=True)
class Opened:
    """Pages opened by one test, and what their consoles said."""

    browser: Browser
    site: Served
    said: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def __call__(self, login: str = "", path: str = "/w/clinic/", *, phone: bool = False, dark: bool = False, locale: str = "zh-CN") -> Page:
        """A page of that person (one click on the login page), at a path, when its scripts stand ready."""
        context = self.browser.new_context(
            viewport=PHONE if phone else DESK,
            has_touch=phone,
            is_mobile=phone,
            color_scheme="dark" if dark else "light",
            locale=locale,
            base_url=self.site.url,
            accept_downloads=True,
        )
        context.set_default_timeout(8000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        if login:
            page.goto("/login")
            page.locator(f"button[name=login][value={login}]").click()
            page.wait_for_url("**/w/**")
        page.goto(path)
        page.locator("html[data-ready]").wait_for(state="attached")
        return page

    def expect_said(self, part: str) -> None:
        """The console is expected to have said this (a refused request does); it no longer counts."""
        kept = [line for line in self.said if part not in line]
        assert len(kept) < len(self.said), f"the console never said {part!r}: {self.said}"
        self.said[:] = kept


@pytest.fixture
def open_page(chromium: Browser, site: Served) -> Iterator[Callable[..., Page]]:
    """Opens pages; at the end nothing may have been said on any console, CSP violations included."""
    opened = Opened(chromium, site)
    yield opened
    for context in opened.contexts:
        context.close()
    assert not opened.said, "\n".join(opened.said)


@pytest.fixture
def accessible() -> Callable[[Page], None]:
    """Asserts that axe finds nothing wrong by WCAG 2.2 A and AA, and that nothing is wider than the window."""

    def check(page: Page) -> None:
        page.locator("html[data-ready]").wait_for(state="attached")
        found: dict[str, Any] = page.evaluate(
            AXE.read_text(encoding="utf-8")
            + """
            ;axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}, resultTypes: ['violations']})"""
        )
        wrong = [f"{item['id']}: {item['help']}: {[node['html'][:160] for node in item['nodes'][:3]]}" for item in found["violations"]]
        assert not wrong, "\n".join(wrong)
        width, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width <= window, f"{page.url} is {width} wide in a window of {window}"

    return check
