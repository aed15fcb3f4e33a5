"""A real Chromium for tests of the dashboard: what it complains about, and what it asks of others, is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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
