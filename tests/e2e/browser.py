"""A real Chromium for tests of the dashboard: what it complains about, and what it asks of others, is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from devstack.browser import find

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LOCAL = ("data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:")
Scheme = Literal["light", "dark"]
expect.set_options(timeout=20_000)  # a bound for a busy machine, not a wait


@contextmanager
def chromium() -> Iterator[Browser]:
    """The one that `devstack.browser` finds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page, and everything about it that a user should never have to see."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.complaints.append(f"left the machine: {request.url}")


@contextmanager
def watched(browser: Browser, *, width: int = 1280, scheme: Scheme = "light") -> Iterator[Page]:
    """A page of its own session; at the end nothing may have been complained of."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(30_000)
    found = Watched(context)
    yield found.page
    context.close()
    assert found.complaints == []


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("main h1")
    page.wait_for_function(
        "window.did_handshake"
    )  # not "networkidle": on a busy machine the connection may fall back to polling


def card(page: Page, name: str) -> Locator:
    """The figure of a metric card."""
    return page.locator(".ii-metric", has=page.get_by_text(name, exact=True)).locator(".v").first


def drag(page: Page, grip: Locator, by: float) -> None:
    """Take something with the mouse and move it sideways by so many pixels."""
    box = grip.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by / 2, y)
    page.mouse.move(x + by, y)
    page.mouse.up()
