"""The browser of the tests: Debian's chromium, driven by playwright, cut off from the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = (
    "no chromium is installed, which these tests look at pages with: "
    "apt-get update && apt-get install -y chromium"
)
FLAGS = (
    # The processes of a container have no user namespaces, and often no graphics.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Pages of ours must not need anything that is not theirs.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def find_chromium() -> str:
    """The program; without one the test is skipped with the remedy, and fails in CI."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    if os.environ.get("CI") == "true":
        pytest.fail(REMEDY)
    pytest.skip(REMEDY)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one; it ends with the block.

    While it lives, this thread counts as one with a running event loop: `asyncio.run` is
    refused in it. A server of the test belongs into a process or a thread of its own.
    """
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()
