"""A real Chromium, watched: whatever the page logs as an error, or violates of its CSP, fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.support.chromium import ARGUMENTS, find_chromium

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """`await open_page(url, width=..., dark=...)`; at the end of the test no page may have complained."""
    complaints: list[str] = []

    async def open_page(url: str, width: int = 1440, height: int = 900, dark: bool = False) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: complaints.append(f"a dialog opened: {dialog.message}"))
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', "
            "event => console.error('CSP', event.violatedDirective, event.blockedURI))"
        )
        await page.goto(url)
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    assert complaints == []


def forgive_refused_connections(open_page: OpenPage) -> None:
    """The browser logs them by itself, while a test has no bridge running."""
    complaints: list[str] = open_page.complaints  # type: ignore[attr-defined]
    expected = ("WebSocket connection to", "ERR_CONNECTION_REFUSED")
    complaints[:] = [text for text in complaints if not any(words in text for words in expected)]
