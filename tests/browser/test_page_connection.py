"""The page when its connection, its token or its reader is away."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from support.page_desk import Desk, echo

HIDDEN = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
TURNED = "document.dispatchEvent(new Event('visibilitychange'))"


def test_a_page_out_of_sight_lets_its_connection_go_and_misses_nothing(
    at: Callable[[str], Page], desk: Desk
) -> None:
    page = at("runs?kind=tasks")
    expect(page.locator("#connection")).to_have_text("Live")
    page.evaluate(HIDDEN % "true" + TURNED)
    expect(page.locator("#connection")).to_have_text("Paused", timeout=20_000)
    desk.orchestrator.submit(echo, "x", name="while nobody looked").wait(20)
    page.evaluate(HIDDEN % "false" + TURNED)
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.get_by_role("link", name="while nobody looked")).to_be_visible()


def test_a_page_whose_token_is_not_good_any_more_says_so(
    at: Callable[[str], Page], desk: Desk
) -> None:
    page = at("runs")
    expect(page.locator("#connection")).to_have_text("Live")
    # As when the dashboard starts anew, with another token.
    page.context.clear_cookies()
    desk.cut_streams()
    expect(page.locator("#connection")).to_contain_text("Signed out")


def test_the_list_is_read_anew_under_the_reader_s_eyes_and_keeps_the_focus(
    at: Callable[[str], Page], desk: Desk
) -> None:
    desk.orchestrator.submit(echo, "x", name="held on to").wait(20)
    page = at("runs?kind=tasks")
    expect(page.locator("#connection")).to_have_text("Live")
    page.get_by_role("link", name="held on to").focus()
    desk.orchestrator.submit(echo, "x", name="a newer one").wait(20)
    expect(page.get_by_role("link", name="a newer one")).to_be_visible()
    expect(page.get_by_role("link", name="held on to")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Name or id")).to_be_focused()
