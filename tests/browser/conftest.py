"""Fixtures of the tests in a real browser: one chromium for a module, a new page for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.chromium import chromium
from support.page_desk import Desk, page_desk

TIMEOUT_MS = 15_000
VIEWPORT = {"width": 1280, "height": 800}
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it lives, `asyncio.run` is refused in this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with cookies and storage of its own.

    A test fails, too, when a script of the page raised; `page_errors` of the test's module
    may be a set of texts that are none of ours to mend.
    """
    context = browser.new_context(viewport=VIEWPORT, color_scheme="light", locale="en-GB")
    context.set_default_timeout(TIMEOUT_MS)
    raised: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: raised.append(str(error)))
    try:
        yield page
        known = getattr(request.module, "page_errors", set())
        unexpected = [text for text in raised if not any(part in text for part in known)]
        assert not unexpected, f"scripts of the page raised: {unexpected}"
    finally:
        # What was to be seen at the end, for whoever looks into a failure.
        page.screenshot(path=tmp_path / "last.png")
        context.close()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """The dashboard, with a private server and a worker."""
    with page_desk() as desk:
        yield desk


@pytest.fixture
def at(page: Page, desk: Desk) -> Callable[[str], Page]:
    """Opens a place of the dashboard's page, signed in."""
    page.goto(desk.entrance)

    def open_place(place: str) -> Page:
        page.goto(f"{desk.address}/#/{place}")
        return page

    return open_place


@pytest.fixture
def shot(page: Page) -> Callable[[str], None]:
    """Takes a picture for docs/images, where `SCREENSHOTS` names the folder: `shot("flower")`."""

    def take(name: str) -> None:
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", scale="css")

    return take
