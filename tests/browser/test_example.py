"""The page of the FastAPI example, used by hand."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from support.example import running
from support.relay import Relay

CUTS = 20
WORDS = " ".join(f"w{number}" for number in range(45))


def test_a_story_submitted_on_the_page_survives_twenty_cuts(page: Page, tmp_path: Path) -> None:
    with (
        running("web_fastapi.py", tmp_path, STORY_PACE="0.2") as client,
        Relay(int(client.base_url.port or 0)) as relay,
    ):
        page.goto(f"http://127.0.0.1:{relay.port}/")
        page.get_by_label("About").fill(WORDS)
        page.get_by_role("button", name="Tell it").click()
        length = "document.getElementById('story').textContent.length"
        for cut in range(CUTS):
            # It grows between two cuts.
            page.wait_for_function(f"{length} > {page.evaluate(length)}")
            assert relay.cut() > 0, cut
        expect(page.locator("#status")).to_have_text("task.completed", timeout=60_000)
        task = client.get("/agents/tasks").json()["items"][0]["id"]
        output = client.get(f"/agents/tasks/{task}").json()["output"]
        assert WORDS in output
        assert page.evaluate("document.getElementById('story').textContent") == output


def test_a_story_is_cancelled_on_the_page(page: Page, tmp_path: Path) -> None:
    with running("web_fastapi.py", tmp_path, STORY_PACE="0.5") as client:
        page.goto(str(client.base_url))
        page.get_by_role("button", name="Tell it").click()
        expect(page.locator("#story")).not_to_be_empty()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#status")).to_have_text("task.cancelled")
