"""The page, used by hand: a real browser, a real worker, real clicks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from pyagent_orch import Task, Workflow
from support.page_desk import HOSTILE, POEM, TOKEN, Desk, box, echo, need, page_desk, recite
from support.relay import Relay


def test_without_the_token_the_page_says_how_to_get_in(page: Page, desk: Desk) -> None:
    page.goto(desk.address)
    expect(page.get_by_role("alert")).to_contain_text("token")


def test_the_token_leaves_the_address_at_once(page: Page, desk: Desk) -> None:
    page.goto(desk.entrance)
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_graph_turns_while_the_run_moves(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "thing").touch()
    workflow = desk.report(tmp_path)
    page = at(f"workflow/{workflow.id}")
    expect(box(page, "analyse", "running")).to_be_visible()
    expect(box(page, "write", "pending")).to_be_visible()
    expect(box(page, "check", "completed")).to_be_visible()
    box(page, "analyse", "running").click()
    expect(page.get_by_role("heading", name="analyse")).to_be_visible()
    (tmp_path / "gate").touch()
    expect(box(page, "write", "completed")).to_be_visible()
    expect(page.locator("header.run .status")).to_have_text("✓ completed")
    page.locator("main > details summary").click()
    expect(page.locator("main > details pre")).to_contain_text("the end")


def test_streamed_text_survives_twenty_cuts_of_the_connection(
    page: Page, desk: Desk, tmp_path: Path
) -> None:
    task = desk.orchestrator.submit(recite, str(tmp_path), name="poem")
    with Relay(int(desk.address.rpartition(":")[2])) as relay:
        page.goto(f"http://127.0.0.1:{relay.port}/?token={TOKEN}")
        page.goto(f"http://127.0.0.1:{relay.port}/#/task/{task.id}")
        text = page.locator(".streamed pre")
        for number in range(len(POEM)):
            (tmp_path / str(number)).touch()
            expect(text).to_have_text("".join(POEM[: number + 1]), use_inner_text=True)
            assert relay.cut() > 0
        (tmp_path / "end").touch()
        output = page.get_by_role("heading", name="Output").locator("xpath=ancestor::section/pre")
        expect(output).to_have_text("".join(POEM), use_inner_text=True)
    assert task.result(20) == "".join(POEM)


def test_a_run_is_cancelled_and_tells_so(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    workflow = desk.report(tmp_path)
    page = at(f"workflow/{workflow.id}")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("header.run .status")).to_have_text("⊘ cancelled")
    expect(box(page, "write", "skipped").or_(box(page, "write", "cancelled"))).to_be_visible()
    assert workflow.wait(20).status.value == "cancelled"


def test_what_failed_is_tried_again_and_completes(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    workflow = desk.report(tmp_path)
    page = at(f"workflow/{workflow.id}")
    box(page, "check", "failed").click()
    panel = page.get_by_role("complementary", name="Task")
    expect(panel).to_contain_text(f"ValueError: {HOSTILE[:20]}")
    (tmp_path / "thing").touch()
    page.get_by_role("button", name="Retry what failed").click()
    expect(box(page, "check", "completed")).to_be_visible()
    expect(page.locator("header.run .status")).to_have_text("✓ completed")
    expect(panel).to_contain_text("found")


def test_one_task_is_retried_from_its_panel(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    task = desk.orchestrator.submit(need, str(tmp_path / "thing"), name="lonely", retry=1)
    task.wait(20)
    page = at(f"task/{task.id}")
    (tmp_path / "thing").touch()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("header.run .status")).to_have_text("✓ completed")


def test_dead_letters_are_shown_and_retried(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    for number in range(2):
        desk.orchestrator.submit(need, str(tmp_path / "x"), name=f"dead {number}", retry=1).wait(20)
    page = at("letters")
    expect(page.get_by_role("row", name=re.compile("dead 1"))).to_contain_text("is missing")
    (tmp_path / "x").touch()
    page.get_by_role("button", name="Retry dead 1").click()
    expect(page.get_by_role("row", name=re.compile("dead 1"))).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Retry all").click()
    expect(page.get_by_role("row", name=re.compile("dead 0"))).to_have_count(0)


def test_jobs_are_paused_resumed_and_run(at: Callable[[str], Page], desk: Desk) -> None:
    desk.orchestrator.schedule(agent=echo, input="tick", cron="0 3 * * *", name="nightly")
    page = at("schedules")
    row = page.get_by_role("row", name=re.compile("nightly"))
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("enabled")
    row.get_by_role("button", name="Run").click()
    expect(row).to_contain_text("just now")


def test_workers_and_queues_are_shown(at: Callable[[str], Page], desk: Desk) -> None:
    desk.orchestrator.submit(echo, "x").wait(20)
    page = at("fleet")
    expect(page.get_by_role("row", name=re.compile("^embedded-"))).to_contain_text("threads")
    expect(page.get_by_role("row", name=re.compile("^agents"))).to_be_visible()


def test_runs_are_found_by_name_state_and_kind(at: Callable[[str], Page], desk: Desk) -> None:
    for name in ("apple pie", "plum cake"):
        desk.orchestrator.submit(echo, name, name=name).wait(20)
    page = at("runs?kind=tasks")
    page.get_by_label("Name or id").fill("plum")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="plum cake")).to_be_visible()
    expect(page.get_by_role("link", name="apple pie")).to_have_count(0)
    page.get_by_role("button", name="failed").click()
    expect(page.get_by_text("Nothing fits the filters.")).to_be_visible()


def test_what_is_submitted_elsewhere_appears_by_itself(
    at: Callable[[str], Page], desk: Desk
) -> None:
    page = at("runs?kind=tasks")
    expect(page.locator("#connection")).to_have_text("Live")
    desk.orchestrator.submit(echo, "x", name="out of the blue")
    expect(page.get_by_role("link", name="out of the blue")).to_be_visible()


def test_hostile_text_is_shown_as_text(at: Callable[[str], Page], desk: Desk) -> None:
    task = desk.orchestrator.submit(echo, {"text": HOSTILE}, name=HOSTILE, metadata={"m": HOSTILE})
    task.wait(20)
    page = at(f"task/{task.id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>window.hacked")
    expect(page.get_by_role("complementary", name="Task")).to_contain_text("\\u202e\\u001b[31m")
    at("runs?kind=tasks")
    expect(page.get_by_role("link", name=re.compile("onerror"))).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_five_megabytes_are_shown_in_part_until_all_is_wanted(
    at: Callable[[str], Page], desk: Desk
) -> None:
    task = desk.orchestrator.submit(echo, "word " * 1_000_000, name="long")
    task.wait(20)
    page = at(f"task/{task.id}")
    more = page.get_by_role("button", name="Show all 5,000,000 characters")
    expect(more).to_have_count(2)
    more.last.click()
    expect(more).to_have_count(1)


def test_two_thousand_tasks_open_and_stay_usable(
    at: Callable[[str], Page], desk: Desk, record_property: Callable[[str, object], None]
) -> None:
    tasks = [Task(echo, number, name=f"t{number}") for number in range(2_000)]
    needs = {
        f"t{number}": [f"t{number - back}" for back in (67, 70, 74) if number >= back]
        for number in range(67, 2_000)
    }
    workflow = Workflow(name="large", tasks=tasks, dependencies=needs)
    desk.orchestrator.submit_workflow(workflow).wait(100)
    page = at("runs")
    began = time.monotonic()
    at(f"workflow/{workflow.id}")
    expect(page.locator(".box").first).to_be_visible(timeout=30_000)
    record_property("seconds", time.monotonic() - began)
    page.get_by_role("tab", name="List").click()
    page.get_by_label("Filter the tasks").fill("t1999")
    page.get_by_role("button", name="t1999").click()
    expect(page.get_by_role("complementary", name="Task")).to_contain_text("completed")
    page.get_by_role("tab", name="Timeline").click()
    # Only what is in sight is in the page.
    expect(page.get_by_role("listitem").first).to_be_visible()
    assert page.get_by_role("listitem").count() < 100


def test_the_keyboard_reaches_a_task_and_comes_back(
    at: Callable[[str], Page], desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    workflow = desk.report(tmp_path)
    workflow.wait(20)
    page = at(f"workflow/{workflow.id}")
    box(page, "gather", "completed").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="gather")).to_be_focused()
    page.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_is_accessible_and_fits(
    browser: Browser, desk: Desk, tmp_path: Path, scheme: str, width: int
) -> None:
    (tmp_path / "gate").touch()
    workflow = desk.report(tmp_path)
    workflow.wait(20)
    desk.orchestrator.schedule(
        agent=echo, input="x", cron="0 4 * * *", name="for the eyes", id="eyes"
    )
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(desk.entrance)
    for place, seen in {
        "runs": "weekly report",
        "schedules": "for the eyes",
        "fleet": "embedded-",
        "letters": "check",
        f"workflow/{workflow.id}": "gather",
    }.items():
        page.goto(f"{desk.address}/#/{place}")
        expect(page.locator("main").get_by_text(seen).first).to_be_visible()
        if place.startswith("workflow"):
            box(page, "check", "failed").click()
            expect(page.get_by_role("heading", name="check", exact=True)).to_be_visible()
        # Animations are halfway between two colours.
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        serious = [
            (one["id"], [node["html"][:200] for node in one["nodes"]])
            for one in found.response["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == [], place
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{place} is {wide} wide on a screen of {width}"
    context.close()


def test_a_read_only_page_has_nothing_to_press(page: Page, tmp_path: Path) -> None:
    with page_desk(read_only=True) as desk:
        workflow = desk.report(tmp_path)
        page.goto(desk.entrance)
        page.goto(f"{desk.address}/#/workflow/{workflow.id}")
        expect(box(page, "gather", "completed")).to_be_visible()
        expect(page.get_by_role("button", name="Cancel the run")).to_have_count(0)
        answer = page.request.post(f"{desk.address}/api/workflows/{workflow.id}/cancel", data={})
        assert answer.status == 403
        (tmp_path / "gate").touch()
