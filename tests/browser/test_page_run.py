"""One run on the page, as those who run agents read it: inputs, attempts, cost, neighbours."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from pyagent_orch import RetryPolicy, Task, Workflow, agent, current_run
from pyagent_orch.patterns import Debate
from support.chat_server import Behaviour, ChatRequest, ChatServer, answer
from support.page_desk import HOSTILE, Desk, box, echo

MODEL = "openai:gpt-4o-mini"
ANSWERS = {
    "prices": "Entry models fell to 1,900 EUR; cargo bikes hold at 5,200 EUR.",
    "competitors": "Four makers hold 61 % of the market; two of them lease only.",
    "trends": "Leasing through employers grows by 24 % a year; batteries become swappable.",
    "report": "E-bikes in 2027: leasing decides. Makers that sell batteries as a service keep "
    "their customers for twice as long, and fleets buy from whoever repairs within a day. "
    "Prices at the lower end fall; margins move into service contracts and into financing.",
}
WRITING = threading.Event()
"""Set: the report is written to its end."""


def behave(request: ChatRequest) -> Behaviour:
    """Answer as a model would; half of the report waits for `WRITING`."""
    if "write" in request.instructions:
        return answer(ANSWERS["report"], usage=(1_204, 311), held=WRITING)
    topic = next((one for one in ANSWERS if one in request.prompt), "trends")
    return answer(ANSWERS[topic], usage=(412, 96))


def check_facts(text: str) -> str:
    """Reach the archive at the second try."""
    if current_run().attempt < 2:
        raise ConnectionError("the archive answered 529: overloaded")
    return f"3 of 3 claims hold: {text}"


def shout(text: str) -> str:
    """Fail with an error of five megabytes, of which the begin is recorded."""
    raise ValueError(text + " !" * 2_500_000)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    WRITING.clear()
    with ChatServer(behave) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
        yield server
        WRITING.set()


def report(desk: Desk) -> Workflow:
    researcher = agent("You are a market researcher", name="researcher", model=MODEL)
    writer = agent("You write reports for the board", name="writer", model=MODEL)
    return desk.orchestrator.submit_workflow(
        Workflow(
            name="Market report: e-bikes",
            metadata={"customer": "acme"},
            tasks=[
                Task(researcher, "What happens to prices?", name="Find prices"),
                Task(researcher, "Who are the competitors?", name="Find competitors"),
                Task(researcher, "Which trends matter?", name="Find trends"),
                Task(
                    check_facts, "{Find trends.output}", name="Check facts",
                    retry=RetryPolicy(max_attempts=3, delay_seconds=0.05),
                ),
                Task(
                    writer, "Prices: {Find prices.output}\n\nCompetitors: {Find competitors.output}"
                    "\n\nFacts: {Check facts.output}", name="Write report",
                ),
                Task(echo, "{Write report.output}", name="Send to the board"),
            ],
        )
    )  # fmt: skip


def test_a_run_of_models_is_read_while_it_is_written_and_afterwards(
    page: Page,
    at: Callable[[str], Page],
    desk: Desk,
    models: ChatServer,
    shot: Callable[[str], None],
) -> None:
    workflow = report(desk)
    page.set_viewport_size({"width": 1280, "height": 980})
    at(f"workflow/{workflow.id}")
    panel = page.get_by_role("complementary", name="Task")
    # The first call of a model imports its library.
    box(page, "Write report", "running").click(timeout=60_000)
    expect(panel.locator(".streamed pre")).to_contain_text("leasing decides")
    # The input that was made of the outputs, whose agent it is, and what is around it.
    expect(panel).to_contain_text("Prices: Entry models fell to 1,900 EUR")
    expect(panel).to_contain_text("Facts: 3 of 3 claims hold: Leasing through employers")
    expect(panel).to_contain_text("You write reports for the board")
    expect(panel.get_by_role("definition").filter(has_text="writer, a model")).to_be_visible()
    expect(page.locator("header.run")).to_contain_text("customer: acme")
    page.evaluate("scrollTo(0, 0)")
    shot("page-run")

    # What failed first, and when it was tried again.
    panel.get_by_role("button", name="Check facts").click()
    history = panel.get_by_role("listitem")
    expect(history.filter(has_text="attempt 1 failed")).to_contain_text(
        "ConnectionError: the archive answered 529"
    )
    expect(history.filter(has_text="attempt 2 completed")).to_be_visible()
    expect(box(page, "Check facts", "completed")).to_contain_text("attempt 2")
    shot("page-task")

    WRITING.set()
    expect(page.locator("header.run .status")).to_have_text("✓ completed")
    box(page, "Find prices", "completed").click()
    expect(panel).to_contain_text("412 tokens in, 96 out · $0.0001")
    expect(box(page, "Find prices", "completed")).to_contain_text("508 tokens, $0.0001")
    # 3 times 412 and 1,204; 3 times 96 and 311.
    expect(page.locator("header.run")).to_contain_text("2,440 tokens in, 599 out")
    expect(page.locator("header.run")).to_contain_text("$0.0007")
    box(page, "Send to the board", "completed").click()
    expect(panel.get_by_role("heading", name="Input")).to_be_visible()
    expect(panel.get_by_text(ANSWERS["report"])).to_have_count(2)
    page.get_by_role("tab", name="Timeline").click()
    expect(page.get_by_role("listitem").filter(has_text="Write report")).to_be_visible()
    shot("page-timeline")
    page.get_by_role("tab", name="Graph").click()


def test_the_address_leads_to_a_task_in_its_run(at: Callable[[str], Page], desk: Desk) -> None:
    first, second = Task(echo, "one", name="first"), Task(echo, "two", name="second")
    workflow = desk.orchestrator.submit_workflow(
        Workflow(name="pair", tasks=[first, second], dependencies={"second": ["first"]})
    ).wait(20)
    page = at(f"workflow/{workflow.id}?task={second.id}")
    panel = page.get_by_role("complementary", name="Task")
    expect(panel.get_by_role("heading", name="second")).to_be_visible()
    expect(box(page, "second", "completed")).to_have_attribute("aria-current", "true")
    panel.get_by_role("button", name="first").click()
    expect(panel.get_by_role("heading", name="first")).to_be_focused()
    assert page.url.endswith(f"#/workflow/{workflow.id}?task={first.id}")
    page = at(f"task/{second.id}")
    page.get_by_role("link", name="Show it in its run").click()
    expect(panel.get_by_role("heading", name="second")).to_be_visible()


def test_arrows_walk_the_graph_and_escape_comes_back_to_it(
    at: Callable[[str], Page], desk: Desk
) -> None:
    names = ["a", "b", "c"]
    workflow = desk.orchestrator.submit_workflow(
        Workflow(
            name="row", tasks=[Task(echo, name, name=name) for name in names],
            dependencies={"b": ["a"], "c": ["b"]},
        )
    ).wait(20)  # fmt: skip
    page = at(f"workflow/{workflow.id}")
    box(page, "a", "completed").focus()
    for name in ("b", "c"):
        page.keyboard.press("ArrowRight")
        expect(box(page, name, "completed")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="b", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Task")).to_be_hidden()
    expect(box(page, "b", "completed")).to_be_focused()


def test_a_run_is_run_anew_under_a_new_id(at: Callable[[str], Page], desk: Desk) -> None:
    workflow = desk.orchestrator.submit_workflow(
        Workflow(name="again", tasks=[Task(echo, "x", name="only")])
    ).wait(20)
    page = at(f"workflow/{workflow.id}")
    page.get_by_role("button", name="Run anew").click()
    page.wait_for_url(lambda url: "#/workflow/" in url and workflow.id not in url)
    expect(box(page, "only", "completed")).to_be_visible()


def test_hostile_names_and_errors_are_text_in_every_view(
    at: Callable[[str], Page], desk: Desk
) -> None:
    orchestrator = desk.orchestrator
    workflow = orchestrator.submit_workflow(
        Workflow(
            name=HOSTILE,
            metadata={HOSTILE: HOSTILE},
            tasks=[Task(shout, HOSTILE, name=HOSTILE, retry=1), Task(echo, 1, name=f"{HOSTILE} 2")],
            dependencies={f"{HOSTILE} 2": [HOSTILE]},
        )
    ).wait(20)
    orchestrator.schedule(agent=echo, input=HOSTILE, cron="0 3 * * *", name=HOSTILE)
    page = at(f"workflow/{workflow.id}?task={workflow.tasks[0].id}")
    panel = page.get_by_role("complementary", name="Task")
    expect(panel).to_contain_text("ValueError: <img src=x")
    for fold in ("Traceback", "History"):
        panel.locator("summary", has_text=fold).click()
    expect(panel.get_by_role("listitem").filter(has_text="failed for good")).to_contain_text("<img")
    for tab in ("Timeline", "List", "Graph"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(".stage").get_by_role("button", name="<img").first).to_be_visible()
    for place in ("runs", "runs?kind=all", "letters", "schedules"):
        at(place)
        expect(page.get_by_role("row").filter(has_text="<img src=x").first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_the_turns_of_a_pattern_are_drawn_as_they_came_and_a_crowd_as_one_box(
    at: Callable[[str], Page], desk: Desk
) -> None:
    who = [agent(f"Be {name}", name=name, model="offline") for name in ("Ann", "Bob", "Judge")]
    debate = Debate(pro_agent=who[0], con_agent=who[1], judge=who[2], rounds=1)
    crowd = [Task(echo, number, name=f"page {number}") for number in range(20)]
    workflow = desk.orchestrator.submit_workflow(
        Workflow(
            name="argued",
            tasks=[Task(debate, "Tabs?", name="debate"), *crowd, Task(echo, "x", name="end")],
            dependencies={"debate": [task.name for task in crowd], "end": ["debate"]},
        )
    ).wait(30)
    page = at(f"workflow/{workflow.id}")
    expect(box(page, "end", "completed")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^20 . page 20 completed"))).to_be_visible()
    names = ["20 . page", "Ann", "Bob", "Judge", "debate", "end"]
    places = [page.locator(".box", has_text=re.compile(f"^{name}")) for name in names]
    left = [(place.bounding_box() or {"x": -1})["x"] for place in places]
    assert left == sorted(set(left)), left
